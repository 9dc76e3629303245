"""The Cloud Storage JSON API v1: a call in, a reply out, nothing of HTTP's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import unquote

from localgcp.loopback import Call, Reply
from localgcp.routes import Routes
from localgcp.storage import batch, copies
from localgcp.storage.buckets import Buckets, bucket_resource
from localgcp.storage.conditions import Conditions, number
from localgcp.storage.errors import StorageError, from_os, invalid, no_object, unimplemented
from localgcp.storage.fields import selected
from localgcp.storage.listing import PAGE, page
from localgcp.storage.media import download
from localgcp.storage.metadata import Stored, object_resource
from localgcp.storage.objects import Objects
from localgcp.storage.records import Resource
from localgcp.storage.uploads import Progress, Uploads, parsed_json

JSON = {"Content-Type": "application/json; charset=UTF-8"}
# Parameters for what is not emulated; with "false" they ask for nothing. `versions` is none of them: as no bucket can
# have versioning, the versions of an object are the live one.
_REFUSED = {
    "softDeleted": "soft delete",
    "restoreToken": "soft delete",
    "kmsKeyName": "a key of Cloud KMS",
    "destinationKmsKeyName": "a key of Cloud KMS",
    "predefinedAcl": "access control lists",
    "predefinedDefaultObjectAcl": "access control lists",
    "destinationPredefinedAcl": "access control lists",
    "includeFoldersAsPrefixes": "managed folders",
    "filter": "a filter by object contexts",
    "enableObjectRetention": "object retention",
    "overrideUnlockedRetention": "object retention",
    "X-Goog-Signature": "a signed URL",
    "GoogleAccessId": "a signed URL",
    "uploads": "the XML API's multipart upload",
}

Handler = Callable[["Api", Call, dict[str, str]], Reply]
_route: Routes[Handler] = Routes()


class Api:
    """Answers calls for one folder of buckets."""

    def __init__(self, buckets: Buckets, objects: Objects, uploads: Uploads) -> None:
        self.buckets = buckets
        self.objects = objects
        self.uploads = uploads

    def answer(self, call: Call) -> Reply:
        """Never raises: a fault of this server is a bad request too, since the client would retry anything else."""
        try:
            return self._answer(call)
        except StorageError as error:
            return _error_reply(call, error)
        except OSError as error:
            return _error_reply(call, from_os(error))
        except Exception as error:
            return _error_reply(call, invalid(f"A fault of the local server: {type(error).__name__}: {error}"))

    def _answer(self, call: Call) -> Reply:
        _refuse(call)
        path = call.raw_path.removeprefix("/resumable")
        if path == "/batch/storage/v1" and call.method == "POST":
            return batch.answer(call, self.answer)
        if path.startswith("/upload/storage/v1/"):
            return _upload(self, call, path.removeprefix("/upload/storage/v1"))
        path = path.removeprefix("/download")
        if not path.startswith("/storage/v1/"):
            raise unimplemented(f"{call.method} {call.path}", "only the JSON API is, not the XML API or signed URLs")
        path = path.removeprefix("/storage/v1")
        if found := _route.find(call.method, path):
            handler, parts = found
            return handler(self, call, {key: _decoded(value) for key, value in parts.items()})
        raise unimplemented(f"{call.method} {call.path}")


def _refuse(call: Call) -> None:
    """Raises StorageError for a parameter or header that asks for what is not emulated."""
    for name, what in _REFUSED.items():
        if call.query.get(name, "false").lower() != "false":
            raise unimplemented(f"{what} ({name})")
    if any(name.startswith(("x-goog-encryption-", "x-goog-copy-source-encryption-")) for name in call.headers):
        raise unimplemented("a customer-supplied encryption key")


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid(f"Not UTF-8: {text[:80]}") from None


def _error_reply(call: Call, error: StorageError) -> Reply:
    if error.status == 304:
        return Reply(304)
    if call.query.get("alt") == "media":
        # A download's error is a text, and the client shows it as it is.
        return Reply(error.status, error.message.encode(), {"Content-Type": "text/html; charset=UTF-8"})
    return Reply(error.status, json.dumps(error.body()).encode(), JSON)


def _reply(call: Call, resource: Resource) -> Reply:
    if call.query.get("fields"):
        resource = selected(resource, call.query["fields"])
    return Reply(200, json.dumps(resource).encode(), JSON)


def _base(call: Call) -> str:
    return f"http://{call.headers['host']}"


def _object(api: Api, call: Call, stored: Stored) -> Resource:
    return object_resource(stored, api.buckets.get(stored.bucket).storage_class, _base(call))


def _body(call: Call) -> Resource:
    return parsed_json(call.body) if call.body else {}


def _project(api: Api, call: Call) -> str:
    """The project that a request names. A client of an emulator may name none, or "<none>"."""
    named = call.query.get("project")
    return api.buckets.project if named in (None, "", "<none>", "None") else named


# Projects


@_route("GET", "/projects/{project}/serviceAccount")
def _service_account(api: Api, call: Call, at: dict[str, str]) -> Reply:
    email = f"service-local@{at['project']}.iam.gserviceaccount.com"
    return _reply(call, {"kind": "storage#serviceAccount", "email_address": email})


# Buckets


@_route("GET", "/b")
def _list_buckets(api: Api, call: Call, _: dict[str, str]) -> Reply:
    most, after = number(call.query, "maxResults") or PAGE, call.query.get("pageToken", "")
    found = [b for b in api.buckets.all(_project(api, call)) if b.name.startswith(call.query.get("prefix", ""))]
    rest = [bucket for bucket in found if bucket.name > after]
    shown = rest[:most]
    body: Resource = {"kind": "storage#buckets", "items": [bucket_resource(b, _base(call)) for b in shown]}
    return _reply(call, body | ({"nextPageToken": shown[-1].name} if len(rest) > most else {}))


@_route("POST", "/b")
def _insert_bucket(api: Api, call: Call, _: dict[str, str]) -> Reply:
    return _reply(call, bucket_resource(api.buckets.insert(_body(call), _project(api, call)), _base(call)))


@_route("GET", "/b/{bucket}")
def _get_bucket(api: Api, call: Call, at: dict[str, str]) -> Reply:
    bucket = api.buckets.get(at["bucket"])
    Conditions.of(call.query).check(bucket, reading=True)
    return _reply(call, bucket_resource(bucket, _base(call)))


def _change_bucket(api: Api, call: Call, at: dict[str, str]) -> Reply:
    replace = call.method == "PUT"
    changed = api.buckets.change(at["bucket"], _body(call), replace, Conditions.of(call.query))
    return _reply(call, bucket_resource(changed, _base(call)))


_route("PATCH", "/b/{bucket}")(_change_bucket)
_route("PUT", "/b/{bucket}")(_change_bucket)


@_route("DELETE", "/b/{bucket}")
def _delete_bucket(api: Api, call: Call, at: dict[str, str]) -> Reply:
    api.buckets.delete(at["bucket"], Conditions.of(call.query))
    return Reply(204)


# Objects


@_route("GET", "/b/{bucket}/o")
def _list_objects(api: Api, call: Call, at: dict[str, str]) -> Reply:
    bucket = api.buckets.get(at["bucket"])
    found = page(api.objects.names(bucket, call.query.get("prefix", "")), call.query)
    items = []
    for name in found.names:
        try:
            items.append(object_resource(api.objects.get(bucket.name, name), bucket.storage_class, _base(call)))
        except StorageError as error:
            # Something has removed it since.
            if error.status != 404:
                raise
    body: Resource = {"kind": "storage#objects"}
    body |= ({"items": items} if items else {}) | ({"prefixes": found.prefixes} if found.prefixes else {})
    return _reply(call, body | ({"nextPageToken": found.token} if found.token else {}))


@_route("GET", "/b/{bucket}/o/{object}")
def _get_object(api: Api, call: Call, at: dict[str, str]) -> Reply:
    generation, conditions = number(call.query, "generation"), Conditions.of(call.query)
    if call.query.get("alt") != "media":
        stored = api.objects.get(at["bucket"], at["object"], generation)
        conditions.check(stored, reading=True)
        return _reply(call, _object(api, call, stored))
    stored, file = api.objects.open(at["bucket"], at["object"])
    try:
        if generation not in (None, stored.generation):
            raise no_object(at["bucket"], at["object"])
        conditions.check(stored, reading=True)
        return download(call, stored, file)
    except StorageError:
        file.close()
        raise


def _change_object(api: Api, call: Call, at: dict[str, str]) -> Reply:
    replace, generation = call.method == "PUT", number(call.query, "generation")
    conditions = Conditions.of(call.query)
    changed = api.objects.change(at["bucket"], at["object"], _body(call), replace, generation, conditions)
    return _reply(call, _object(api, call, changed))


_route("PATCH", "/b/{bucket}/o/{object}")(_change_object)
_route("PUT", "/b/{bucket}/o/{object}")(_change_object)


@_route("DELETE", "/b/{bucket}/o/{object}")
def _delete_object(api: Api, call: Call, at: dict[str, str]) -> Reply:
    api.objects.delete(at["bucket"], at["object"], number(call.query, "generation"), Conditions.of(call.query))
    return Reply(204)


def _copied(api: Api, call: Call, at: dict[str, str]) -> Stored:
    source = (at["bucket"], at["object"], number(call.query, "sourceGeneration"))
    source_if, target_if = Conditions.of(call.query, "ifSource"), Conditions.of(call.query)
    return copies.copy(api.objects, source, (at["to_bucket"], at["to"]), _body(call), source_if, target_if)


@_route("POST", "/b/{bucket}/o/{object}/copyTo/b/{to_bucket}/o/{to}")
def _copy(api: Api, call: Call, at: dict[str, str]) -> Reply:
    return _reply(call, _object(api, call, _copied(api, call, at)))


@_route("POST", "/b/{bucket}/o/{object}/rewriteTo/b/{to_bucket}/o/{to}")
def _rewrite(api: Api, call: Call, at: dict[str, str]) -> Reply:
    if call.query.get("rewriteToken"):
        raise invalid("Invalid rewriteToken: every rewrite is done with its first request here.")
    stored = _copied(api, call, at)
    body: Resource = {"kind": "storage#rewriteResponse", "done": True, "resource": _object(api, call, stored)}
    return _reply(call, body | {"objectSize": str(stored.size), "totalBytesRewritten": str(stored.size)})


@_route("POST", "/b/{bucket}/o/{object}/moveTo/o/{to}")
def _move(api: Api, call: Call, at: dict[str, str]) -> Reply:
    source_if, target_if = Conditions.of(call.query, "ifSource"), Conditions.of(call.query)
    return _reply(
        call, _object(api, call, api.objects.move(at["bucket"], at["object"], at["to"], source_if, target_if))
    )


@_route("POST", "/b/{bucket}/o/{object}/compose")
def _compose(api: Api, call: Call, at: dict[str, str]) -> Reply:
    stored = copies.compose(api.objects, at["bucket"], at["object"], _body(call), Conditions.of(call.query))
    return _reply(call, _object(api, call, stored))


# Uploads

_UPLOAD = re.compile(r"/b/([^/]+)/o\Z")


def _upload(api: Api, call: Call, path: str) -> Reply:
    found = _UPLOAD.match(path)
    if found is None:
        raise unimplemented(f"{call.method} {call.path}")
    bucket, kind = _decoded(found[1]), call.query.get("uploadType")
    if "upload_id" in call.query:
        return _proceed(api, call, call.query["upload_id"])
    if call.method != "POST":
        raise unimplemented(f"{call.method} {call.path} without an upload_id")
    if kind == "media":
        return _reply(call, _object(api, call, api.uploads.media(call, bucket)))
    if kind == "multipart":
        return _reply(call, _object(api, call, api.uploads.multipart(call, bucket)))
    if kind != "resumable":
        raise invalid(f"Invalid uploadType: {kind}. It takes media, multipart or resumable.")
    identifier = api.uploads.begin(call, bucket)
    address = f"{_base(call)}/upload/storage/v1{path}?uploadType=resumable&upload_id={identifier}"
    return Reply(200, b"", {"Location": address, "X-GUploader-UploadID": identifier})


def _proceed(api: Api, call: Call, identifier: str) -> Reply:
    if call.method == "DELETE":
        api.uploads.cancel(identifier)
        return Reply(499)
    if call.method not in ("PUT", "POST"):
        raise unimplemented(f"{call.method} of an upload")
    state = api.uploads.proceed(call, identifier)
    if isinstance(state, Progress):
        return Reply(308, b"", {"Range": f"bytes=0-{state.received - 1}"} if state.received else {})
    return _reply(call, _object(api, call, state))

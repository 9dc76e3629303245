"""An object's metadata: what a request may set, what a PATCH changes, and the API's form of the whole."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localgcp.storage.buckets import checked_storage_class
from localgcp.storage.errors import invalid, unimplemented
from localgcp.storage.files import Digest, Draft
from localgcp.storage.records import Resource, Signature
from localgcp.storage.times import timestamp

_TEXTS = {"contentType", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "customTime"}
# What the service computes: a client sends it back with update() and it changes nothing.
_COMPUTED = {
    "kind", "id", "selfLink", "mediaLink", "name", "bucket", "generation", "metageneration", "size", "md5Hash",
    "crc32c", "etag", "componentCount", "owner", "timeCreated", "updated", "timeDeleted", "timeFinalized",
    "timeStorageClassUpdated", "storageClass",
}  # fmt: skip
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Stored:
    """An object as it is now. `record` has what was set, its metageneration and the checksums once they are known."""

    bucket: str
    name: str
    path: Path
    signature: Signature
    generation: int
    record: Resource

    @property
    def size(self) -> int:
        """In bytes."""
        return self.signature.size

    @property
    def metageneration(self) -> int:
        return int(self.record.get("metageneration", "1"))

    @property
    def content_type(self) -> str:
        """As it was set; of a file that something else has written, by its name."""
        return str(self.record.get("contentType") or mimetypes.guess_type(self.name)[0] or OCTETS)

    @property
    def components(self) -> int:
        return int(self.record.get("componentCount", 1))


def settable(resource: Resource) -> Resource:
    """What a request sets of a new object. Raises StorageError for what has no effect here."""
    return changed({}, resource, replace=True)


def changed(old: Resource, change: Resource, replace: bool) -> Resource:
    """What is set after a PATCH, or with `replace` after a PUT. Raises StorageError for what has no effect here."""
    new = {} if replace else dict(old)
    for key, value in change.items():
        if key == "metadata":
            new[key] = _custom({} if replace else old.get(key) or {}, value)
        elif key in _TEXTS:
            new[key] = _text(key, value)
        elif key not in _COMPUTED and value not in (None, False, [], {}):
            raise unimplemented(f"the object setting '{key}'", "leave it out")
    return {key: value for key, value in new.items() if value not in (None, {})}


def storage_class(resource: Resource, default: str) -> str:
    """The storage class that a request sets. Raises StorageError for one that there is not."""
    wanted = resource.get("storageClass")
    return default if wanted is None else checked_storage_class(wanted)


def _text(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"Invalid value for {key}: {value!r}. It takes a text.")
    # It becomes a header of downloads.
    if not value.isprintable():
        raise invalid(f"Invalid value for {key}: it has a control character.")
    if key == "customTime":
        _check_time(value)
    return value


def _check_time(value: str) -> None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise invalid(f"Invalid value for customTime: {value!r}. It takes a time like 2026-01-31T12:00:00Z.") from None


def _custom(old: dict[str, str], change: Any) -> dict[str, str]:
    if change is None:
        return {}
    if not isinstance(change, dict) or not all(value is None or isinstance(value, str) for value in change.values()):
        raise invalid("Invalid value for metadata: an object of texts is needed")
    return {key: value for key, value in (old | change).items() if value is not None}


def checksums(digest: Digest) -> Resource:
    """The checksums as a record keeps them."""
    return {"crc32c": digest.crc32c, "md5Hash": digest.md5}


def check_sent(draft: Draft, resource: Resource, headers: dict[str, str]) -> None:
    """Raises StorageError when the content is not what the client's checksums say of it."""
    sent: list[tuple[str, str | None]] = [("crc32c", resource.get("crc32c")), ("md5", resource.get("md5Hash"))]
    for part in filter(None, headers.get("x-goog-hash", "").split(",")):
        label, _, checksum = part.strip().partition("=")
        sent.append((label, checksum))
    sent.append(("md5", headers.get("content-md5")))
    computed = {"crc32c": draft.digest.crc32c, "md5": draft.digest.md5}
    for kind, value in sent:
        if value and kind in computed and value != computed[kind]:
            name = {"crc32c": "CRC32C", "md5": "MD5 hash"}[kind]
            raise invalid(f'Provided {name} "{value}" doesn\'t match calculated {name} "{computed[kind]}".')


def object_resource(stored: Stored, bucket_class: str, base: str) -> Resource:
    """The object in the API's form; `base` is the server's address."""
    created = timestamp(stored.generation)
    place = f"storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
    return {
        "storageClass": bucket_class,
        "updated": created,
        "timeStorageClassUpdated": created,
        **stored.record,
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.name}/{stored.generation}",
        "selfLink": f"{base}/{place}",
        "mediaLink": f"{base}/download/{place}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": stored.bucket,
        "generation": str(stored.generation),
        "metageneration": str(stored.metageneration),
        "contentType": stored.content_type,
        "size": str(stored.size),
        "timeCreated": created,
        "timeFinalized": created,
        "etag": etag(stored),
    }


def etag(stored: Stored) -> str:
    return base64.b64encode(f"{stored.generation}/{stored.metageneration}".encode()).decode()

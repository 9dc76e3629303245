"""Uploads: in one request, in one request with metadata, or resumable in chunks."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localgcp.loopback import Call
from localgcp.storage import files, metadata
from localgcp.storage.conditions import Conditions
from localgcp.storage.errors import StorageError, invalid
from localgcp.storage.files import Draft, digest_of, replace_text, write_draft
from localgcp.storage.metadata import Stored
from localgcp.storage.objects import Objects
from localgcp.storage.records import Resource

# How long a resumable upload can be taken up again, in seconds; as long as in the service.
_WEEK = 7 * 24 * 3600
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")


@dataclass(frozen=True)
class Progress:
    """A resumable upload that waits for more: how many bytes have come."""

    received: int


class Uploads:
    def __init__(self, objects: Objects, folder: Path, scratch: Path) -> None:
        self.objects = objects
        self._folder = folder
        self._scratch = scratch
        self._locks: dict[str, threading.Lock] = {}
        self._forget_old()

    def media(self, call: Call, bucket: str) -> Stored:
        """uploadType=media: the body is the content, the name a parameter."""
        resource = {"name": call.query.get("name"), "contentType": call.headers.get("content-type", metadata.OCTETS)}
        return self._finish(bucket, resource, call.query, call.headers, self._draft(call.body))

    def multipart(self, call: Call, bucket: str) -> Stored:
        """uploadType=multipart: metadata and content."""
        resource, content_type, content = _related(call)
        resource.setdefault("contentType", content_type)
        return self._finish(bucket, resource, call.query, call.headers, self._draft(content))

    def begin(self, call: Call, bucket: str) -> str:
        """uploadType=resumable: the identifier under which the content comes. Raises StorageError."""
        resource = parsed_json(call.body) if call.body else {}
        resource.setdefault("contentType", call.headers.get("x-upload-content-type", metadata.OCTETS))
        # What would be refused in the end is refused before the content is sent.
        name = _name(resource, call.query)
        metadata.settable(resource)
        current = self.objects.find(bucket, name)
        Conditions.of(call.query).check(current)
        identifier = uuid.uuid4().hex
        session = {
            "bucket": bucket,
            "resource": resource | {"name": name},
            "query": call.query,
            "headers": {key: call.headers[key] for key in ("x-goog-hash",) if key in call.headers},
            "total": call.headers.get("x-upload-content-length"),
        }
        self._part(identifier).touch()
        self._write(identifier, session)
        return identifier

    def proceed(self, call: Call, identifier: str) -> Stored | Progress:
        """Takes a chunk, or tells how far an upload is. Raises StorageError."""
        with self._locked(identifier):
            session = self._session(identifier)
            if "done" in session:
                bucket, name, generation = session["done"]
                return self.objects.get(bucket, name, generation)
            if not self._part(identifier).exists():
                raise _no_upload(identifier)
            total = self._append(call, identifier, session)
            received = self._part(identifier).stat().st_size
            if total is None or received < total:
                return Progress(received)
            return self._complete(call, identifier, session)

    def cancel(self, identifier: str) -> None:
        """Raises StorageError when there is no such upload."""
        with self._locked(identifier):
            self._session(identifier)
            self._forget(identifier)

    def _append(self, call: Call, identifier: str, session: Resource) -> int | None:
        """Adds the request's bytes and gives the size of the whole, None while it is not known."""
        header = call.headers.get("content-range")
        part = self._part(identifier)
        if header is None:
            # All of the rest in one request.
            _write_at(part, 0, call.body)
            return len(call.body)
        found = _CONTENT_RANGE.match(header)
        if found is None:
            raise invalid(f"Invalid Content-Range: {header}")
        total = int(found[3]) if found[3] != "*" else None
        if total is None and session["total"] is not None:
            total = int(session["total"])
        if found[1] is not None:
            self._check_chunk(call, found, part.stat().st_size, total)
            _write_at(part, int(found[1]), call.body)
        return total

    def _check_chunk(self, call: Call, found: re.Match[str], received: int, total: int | None) -> None:
        first, last = int(found[1]), int(found[2])
        if last - first + 1 != len(call.body):
            raise invalid(f"Content-Range '{found[0]}' does not fit a body of {len(call.body)} bytes.")
        if first > received:
            raise invalid(f"The chunk begins at byte {first}, but only {received} bytes have come before it.")
        if total is not None and last >= total:
            raise invalid(f"Content-Range '{found[0]}' goes beyond the {total} bytes of the upload.")

    def _complete(self, call: Call, identifier: str, session: Resource) -> Stored:
        part = self._part(identifier)
        with open(part, "r+b") as file:
            files.flush(file)
            digest = digest_of(file)
        draft = Draft(part, part.stat().st_size, digest)
        headers = session["headers"] | {key: call.headers[key] for key in ("x-goog-hash",) if key in call.headers}
        try:
            stored = self._finish(session["bucket"], session["resource"], session["query"], headers, draft)
        except StorageError:
            self._forget(identifier)
            raise
        # A client that has not got the answer asks again.
        self._write(identifier, {"done": [stored.bucket, stored.name, stored.generation]})
        return stored

    def _finish(
        self, bucket: str, resource: Resource, query: dict[str, str], headers: dict[str, str], draft: Draft
    ) -> Stored:
        """Makes a draft an object, with what the request says of it. Raises StorageError and removes the draft."""
        try:
            name = _name(resource, query)
            metadata.check_sent(draft, resource, headers)
            if "contentEncoding" in query:
                resource = resource | {"contentEncoding": query["contentEncoding"]}
            holder = self.objects.buckets.get(bucket)
            record = metadata.settable(resource) | metadata.checksums(draft.digest)
            record["storageClass"] = metadata.storage_class(resource, holder.storage_class)
            record.setdefault("contentType", metadata.OCTETS)
            return self.objects.put(bucket, name, draft, record, Conditions.of(query))
        finally:
            draft.discard()

    def _draft(self, content: bytes) -> Draft:
        return write_draft(self._scratch, [content])

    @contextmanager
    def _locked(self, identifier: str) -> Iterator[None]:
        if not re.fullmatch(r"[0-9a-f]{32}", identifier):
            raise _no_upload(identifier)
        with self._locks.setdefault(identifier, threading.Lock()):
            yield

    def _session(self, identifier: str) -> Resource:
        try:
            return parsed_json(self._path(identifier).read_bytes())
        except FileNotFoundError:
            raise _no_upload(identifier) from None

    def _write(self, identifier: str, session: Resource) -> None:
        replace_text(self._path(identifier), json.dumps(session), self._scratch)

    def _forget(self, identifier: str) -> None:
        self._path(identifier).unlink(missing_ok=True)
        self._part(identifier).unlink(missing_ok=True)
        self._locks.pop(identifier, None)

    def _path(self, identifier: str) -> Path:
        return self._folder / f"{identifier}.json"

    def _part(self, identifier: str) -> Path:
        return self._folder / f"{identifier}.part"

    def _forget_old(self) -> None:
        """Removes what killed processes have left; what is younger may belong to another server or be taken up."""
        for path in [*self._folder.iterdir(), *self._scratch.iterdir()]:
            try:
                if path.stat().st_mtime < time.time() - _WEEK:
                    path.unlink()
            except FileNotFoundError:
                pass


def _write_at(path: Path, position: int, data: bytes) -> None:
    """Writes bytes at a position; what was there behind them goes, since the client sends it again."""
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(data)
        file.truncate()


def _name(resource: Resource, query: dict[str, str]) -> str:
    name = query.get("name") or resource.get("name")
    if not isinstance(name, str) or not name:
        raise StorageError(400, "required", "Required: the name of the object")
    return name


def _no_upload(identifier: str) -> StorageError:
    return StorageError(404, "notFound", f"No such upload, or it was cancelled: {identifier[:40]}")


def parsed_json(body: bytes) -> Resource:
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        raise StorageError(400, "parseError", "Parse Error: the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise StorageError(400, "parseError", "Parse Error: the body is not a JSON object")
    return parsed


def _related(call: Call) -> tuple[Resource, str, bytes]:
    """(metadata, content type, content) of a multipart/related body. Raises StorageError when it has other parts."""
    found = re.search(r'boundary="?([^";]+)"?', call.headers.get("content-type", ""))
    if found is None:
        raise invalid("The Content-Type of a multipart upload must be multipart/related with a boundary.")
    marker = b"--" + found[1].strip().encode()
    begin = call.body.find(marker) + len(marker)
    # The boundary belongs with the line break before it, which the first line shows; content may end in "\r".
    line = b"\r\n" if call.body[begin : begin + 2] == b"\r\n" else b"\n"
    pieces = call.body[begin:].split(line + marker)
    if begin < len(marker) or len(pieces) != 3 or not pieces[2].startswith(b"--"):
        raise invalid("A multipart upload has two parts, the metadata and the content, and ends with its boundary.")
    (_, resource), (head, content) = (_part(piece, line) for piece in pieces[:2])
    return parsed_json(resource), head.get("content-type", metadata.OCTETS), content


def _part(piece: bytes, line: bytes) -> tuple[dict[str, str], bytes]:
    head, _, content = piece.removeprefix(line).partition(line + line)
    if piece.startswith(line + line):
        head, content = b"", piece[2 * len(line) :]
    pairs = [text.partition(":") for text in head.decode("latin-1").splitlines()]
    return {key.strip().lower(): value.strip() for key, _, value in pairs}, content

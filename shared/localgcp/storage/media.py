"""Downloads: the bytes of an object, whole or a range, with the headers that the client checks them by."""

from __future__ import annotations

import gzip
import re
from typing import BinaryIO

from localgcp.loopback import Call, Reply, Stream
from localgcp.storage.errors import StorageError
from localgcp.storage.files import blocks
from localgcp.storage.metadata import Stored, etag

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def download(call: Call, stored: Stored, file: BinaryIO) -> Reply:
    """The answer with an object's content; takes the open file. Raises StorageError for a range outside of it."""
    headers = _headers(stored)
    if stored.record.get("contentEncoding") == "gzip":
        if "gzip" not in call.headers.get("accept-encoding", ""):
            return _decompressed(headers, file)
        headers["Content-Encoding"] = "gzip"
    found = _RANGE.match(call.headers.get("range", ""))
    if found is None or found[0] == "bytes=-":
        return Reply(200, b"", headers, Stream(stored.size, blocks(file, 0, stored.size)))
    first, last = _bounds(found[1], found[2], stored.size)
    if first >= stored.size or last < first:
        file.close()
        raise StorageError(416, "requestedRangeNotSatisfiable", f"Request range not satisfiable: {found[0]}")
    headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
    length = last - first + 1
    return Reply(206, b"", headers, Stream(length, blocks(file, first, length)))


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and the last byte of `bytes=first-last`; `bytes=-n` are the last n."""
    if not first:
        return max(0, size - int(last)), size - 1 if int(last) else -1
    return int(first), min(int(last), size - 1) if last else size - 1


def _decompressed(headers: dict[str, str], file: BinaryIO) -> Reply:
    """What the service sends to a client that does not take gzip: always the whole content."""
    with file:
        body = gzip.decompress(file.read())
    return Reply(200, body, {key: value for key, value in headers.items() if key != "X-Goog-Hash"})


def _headers(stored: Stored) -> dict[str, str]:
    record = stored.record
    md5 = f",md5={record['md5Hash']}" if "md5Hash" in record else ""
    headers = {
        "Content-Type": stored.content_type,
        "ETag": etag(stored),
        "Accept-Ranges": "bytes",
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": f"crc32c={record['crc32c']}{md5}",
        "X-Goog-Storage-Class": record.get("storageClass", "STANDARD"),
        "X-Goog-Stored-Content-Encoding": record.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(stored.size),
    }
    more = {"cacheControl": "Cache-Control", "contentDisposition": "Content-Disposition"}
    more["contentLanguage"] = "Content-Language"
    headers |= {header: record[key] for key, header in more.items() if key in record}
    # Headers are sent as Latin-1; clients read other characters as UTF-8.
    return {key: value.encode().decode("latin-1") for key, value in headers.items()}

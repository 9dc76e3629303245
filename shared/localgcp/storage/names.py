"""Names of buckets and objects: what Cloud Storage allows and what a path can hold."""

from __future__ import annotations

import re

from localgcp.storage.errors import StorageError, invalid

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{1,220})[a-z0-9]\Z")
_MOST_BYTES, _MOST_BYTES_OF_A_PART = 1024, 255


def is_bucket_name(name: str) -> bool:
    """Whether Cloud Storage would take this name; no name of a hidden folder is one."""
    parts = name.split(".")
    long_enough = len(parts) > 1 or len(name) <= 63
    return bool(_BUCKET.match(name)) and all(0 < len(part) <= 63 for part in parts) and long_enough


def check_bucket_name(name: str) -> None:
    """Raises StorageError for a name that Cloud Storage would not take."""
    if not is_bucket_name(name):
        raise invalid(
            f"Invalid bucket name: '{name}'. It takes 3 to 63 characters: lower-case letters, digits, '-', '_' and "
            "'.', and begins and ends with a letter or a digit."
        )


def check_object_name(name: str) -> None:
    """Raises StorageError for a name that no object can have, or none that is a file below the bucket's folder."""
    problem = _problem(name)
    if problem:
        raise _refused(name, problem)


def is_object_name(name: str) -> bool:
    return not _problem(name)


def _problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if size > _MOST_BYTES:
        return f"it has {size} bytes, at most {_MOST_BYTES} are allowed"
    if any(character in name for character in "\0\r\n"):
        return "it has a NUL or a line break"
    # A name that ends in "/" is a folder marker: its last part is empty.
    for part in name.removesuffix("/").split("/"):
        if part in ("", ".", ".."):
            return f"its part '{part}' cannot be a file's name, and objects are files here"
        if len(part.encode()) > _MOST_BYTES_OF_A_PART:
            return f"a part between '/' has more than {_MOST_BYTES_OF_A_PART} bytes, and objects are files here"
    return None


def _refused(name: str, problem: str) -> StorageError:
    return invalid(f"Invalid object name {name[:80]!r}: {problem}.")

"""Files: drafts that replace an object in one step, checksums, and one writer at a time."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import threading
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

BLOCK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """Checksums as the API writes them: the big-endian bytes in base64."""

    crc32c: str
    md5: str


class Hasher:
    def __init__(self) -> None:
        self._crc32c = google_crc32c.Checksum()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._crc32c.update(data)
        self._md5.update(data)

    def digest(self) -> Digest:
        return Digest(_base64(self._crc32c.digest()), _base64(self._md5.digest()))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def blocks(file: BinaryIO, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
    """The bytes of an open file from `start`, at most `length` of them, in blocks of 1 MiB. Closes the file."""
    with file:
        file.seek(start)
        left = length if length is not None else os.fstat(file.fileno()).st_size - start
        while left > 0 and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block


def digest_of(file: BinaryIO) -> Digest:
    """The checksums of an open file, which is at its beginning before and after."""
    hasher = Hasher()
    while block := file.read(BLOCK):
        hasher.update(block)
    file.seek(0)
    return hasher.digest()


@dataclass(frozen=True)
class Draft:
    """A complete file on its way to become an object: its path, its size in bytes and its checksums."""

    path: Path
    size: int
    digest: Digest

    def discard(self) -> None:
        """Removes the file unless it has become an object."""
        self.path.unlink(missing_ok=True)


def write_draft(folder: Path, content: Iterable[bytes], durable: bool = True) -> Draft:
    """Writes blocks to a new file in a folder, down to the disk. Raises OSError and leaves nothing then.

    What is not `durable` may be gone after a crash of the machine; it takes a tenth of the time.
    """
    path, hasher, size = folder / uuid.uuid4().hex, Hasher(), 0
    try:
        with open(path, "xb") as file:
            for block in content:
                file.write(block)
                hasher.update(block)
                size += len(block)
            if durable:
                flush(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Draft(path, size, hasher.digest())


def flush(file: BinaryIO) -> None:
    """Brings an open file down to the disk."""
    file.flush()
    os.fsync(file.fileno())


def replace_text(path: Path, text: str, scratch: Path, durable: bool = True) -> None:
    """Makes a file have this text, in one step. `scratch` is a folder on the same disk. Raises OSError."""
    draft = write_draft(scratch, [text.encode()], durable)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft.path, path)
    finally:
        draft.discard()


class Lock:
    """One writer at a time: among the threads of this process and among servers on the same folder."""

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._file = open(path, "ab")  # noqa: SIM115 - it is open as long as the server runs

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for its turn. A thread that has it must not ask again."""
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()

"""Finds what learners have handed in, in files, folders and zips in whatever state, and reads its bytes within bounds.

Nothing is unpacked to disk and no link is followed: a member of a zip is a name and some bytes.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labkit.catalog import LabError

MOST_FILE = 64 * 2**20  # bytes of one file
MOST_ZIP = 2**30  # bytes of a zip
MOST_ARCHIVE = 2**29  # bytes that one zip unpacks to
MOST_MEMBERS = 20_000
# What systems and editors add by themselves, which nobody has handed in.
NOISE = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", "__pycache__", ".git", ".venvs")
_OTHER_ARCHIVES = {b"Rar!": "rar", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
_ZIP = (b"PK\3\4", b"PK\5\6")
_CLOSED = "encrypted: ask for it without a password"
_TOO_LARGE = f"unpacks to more than {MOST_FILE >> 20} MiB"


@dataclass(frozen=True)
class Found:
    """A file that was found. `source`: how a person finds it again, a `!` after each zip that it lies in.

    `root`: what it was found in, a path that was given or a zip. `parts`: the folders and the name below that root.
    `data`: None where it could not be read, and `message` says why. `time`: seconds, of the file or the zip's member.
    """

    source: str
    root: str
    parts: tuple[str, ...]
    data: bytes | None
    time: float
    message: str = ""

    @property
    def name(self) -> str:
        return self.parts[-1]


def take_in(paths: Sequence[Path], not_below: Path) -> Iterator[Found]:
    """Every file in these paths and in the zips there, one level of zips in zips included.

    `not_below`: a folder that is passed over, the class's own. Raises LabError for a path that is not there.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise LabError(f"{path}: no such file or folder. Name what the learners have handed in.")
    for path in paths:
        # `.` has no name of its own.
        name = path.name or path.resolve().name
        if path.is_dir() and not path.is_symlink():
            yield from _folder(path, name, not_below.resolve())
        else:
            yield from _opened(_on_disk(path, name, name, (name,)), 0)


def _folder(folder: Path, name: str, not_below: Path) -> Iterator[Found]:
    for where, folders, files in os.walk(folder):
        here = Path(where)
        linked = [one for one in folders if (here / one).is_symlink()]
        folders[:] = sorted(
            one for one in folders if one not in (*NOISE, *linked) and (here / one).resolve() != not_below
        )
        for file in sorted([*files, *linked]):
            parts = (here / file).relative_to(folder).parts
            if not _is_noise(parts):
                source = "/".join((name, *parts))
                yield from _opened(_on_disk(here / file, source, name, parts), 0)


def _is_noise(parts: Sequence[str]) -> bool:
    return any(part in NOISE or part.startswith("._") for part in parts)


def _on_disk(path: Path, source: str, root: str, parts: tuple[str, ...]) -> Found:
    try:
        told = path.lstat()
        if stat.S_ISLNK(told.st_mode):
            return Found(source, root, parts, None, told.st_mtime, "a link, which is not followed")
        if not stat.S_ISREG(told.st_mode):
            return Found(source, root, parts, None, told.st_mtime, "no plain file")
        # A zip may be larger than a file in it: its members have bounds of their own.
        most = MOST_ZIP if _begins_as_zip(path) else MOST_FILE
        if told.st_size > most:
            return Found(source, root, parts, None, told.st_mtime, f"larger than {most >> 20} MiB")
        return Found(source, root, parts, path.read_bytes(), told.st_mtime)
    except OSError as error:
        return Found(source, root, parts, None, 0.0, f"cannot be read: {error.strerror}")


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _ZIP


def _opened(found: Found, depth: int) -> Iterator[Found]:
    """The file itself, or what is in it where it is a zip, whatever its name says."""
    data = found.data
    if data is None:
        yield found
    elif data[:4] in _ZIP and depth < 2:
        yield from _members(found, data, depth)
    elif data[:4] in _ZIP:
        yield _unread(found, "a zip in a zip in a zip, which is not opened: unpack one of them")
    elif not data and found.name.lower().endswith(".zip"):
        yield _unread(found, "the file is empty")
    elif kind := next((name for magic, name in _OTHER_ARCHIVES.items() if data.startswith(magic)), ""):
        yield _unread(found, f"packed by {kind}: unpack it first, or pack it as zip")
    elif found.name.lower().endswith(".zip") and not data.lstrip().startswith(b"{"):
        yield _unread(found, "no zip: its beginning is missing or damaged")
    else:
        yield found


def _unread(found: Found, message: str) -> Found:
    return Found(found.source, found.root, found.parts, None, found.time, message)


def _members(found: Found, data: bytes, depth: int) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        yield _unread(found, f"no zip that can be read, damaged or cut off: {error}")
        return
    members = archive.infolist()
    if not members:
        yield _unread(found, "an empty zip")
    left = MOST_ARCHIVE
    for member in members[:MOST_MEMBERS]:
        parts, outside = _parts(member)
        if member.filename.endswith(("/", "\\")) or _is_noise(parts) or not parts:
            continue
        if left <= 0:
            yield _unread(found, f"unpacks to more than {MOST_ARCHIVE >> 20} MiB: the rest of it was not read")
            return
        content, message = _content(archive, member)
        # What is refused counts as well: reading it has cost as much.
        left -= MOST_FILE if message == _TOO_LARGE else len(content or b"")
        if outside and content is not None:
            message = "its path leads out of the zip; only its name was used"
        one = Found(f"{found.source}!{'/'.join(parts)}", found.source, parts, content, _time(member), message)
        yield from _opened(one, depth + 1)
    if len(members) > MOST_MEMBERS:
        yield _unread(found, f"has more than {MOST_MEMBERS} members: the rest of it was not read")


def _parts(member: zipfile.ZipInfo) -> tuple[tuple[str, ...], bool]:
    """The folders and name of a member as any system writes them; and whether its path leads out of the zip."""
    name = member.orig_filename
    if not member.flag_bits & 0x800:
        # Without the flag a name is by the standard in code page 437; macOS writes UTF-8 all the same.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    name = name.partition("\0")[0].replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    outside = ".." in parts or name.startswith("/") or (bool(parts) and parts[0][1:] == ":")
    return (tuple(parts[-1:]) if outside and parts[-1] != ".." else () if outside else tuple(parts)), outside


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[bytes | None, str]:
    """The bytes of a member, or None and why not. What the zip says of its size is not believed."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return None, "a link, which is not followed"
    if member.flag_bits & 0x1:
        return None, _CLOSED
    try:
        with archive.open(member) as file:
            data = file.read(MOST_FILE + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        return None, f"damaged in the zip: {error}"
    if len(data) > MOST_FILE:
        return None, _TOO_LARGE
    return data, ""


def _time(member: zipfile.ZipInfo) -> float:
    try:
        return datetime(*member.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0

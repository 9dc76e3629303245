"""`labs hand-in`: one zip of a learner's copies and their progress, to be given to the trainer."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.collection import lab_folders
from labkit.catalog.places import home
from labkit.catalog.version import lab_version

CARD = "hand-in.toml"
PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class HandedIn:
    """The file, the notebooks in it by path, and how many lines of progress it has (None: there is no progress)."""

    path: Path
    notebooks: tuple[str, ...]
    progress: int | None


def hand_in(name: str, out: Path | None = None, now: datetime | None = None) -> HandedIn:
    """Writes hand-in-<name>.zip into the current folder, or `out`.

    Raises LabError when there is no name or nothing to hand in, and when `out` is there already; the default name gets
    a number instead.
    """
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not name:
        raise LabError('--name is empty: your trainer must know whose it is. --name "Ada Lovelace"')
    workspace = home() / "workspace"
    notebooks = sorted(path for path in workspace.glob("*/*.ipynb") if path.is_file() and not path.is_symlink())
    progress = workspace / PROGRESS
    if not notebooks and not progress.is_file():
        raise LabError(
            f"{workspace} holds no notebook and no progress: there is nothing to hand in. `labs start` makes a copy."
        )
    moment = now or datetime.now(UTC)
    path = _new_path(name, out)
    try:
        with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(CARD, _card(name, moment))
            for found in [*notebooks, *([progress] if progress.is_file() else [])]:
                archive.writestr(found.relative_to(home()).as_posix(), found.read_bytes())
    except FileExistsError:
        raise LabError(f"{path} is there already and is not overwritten. Give another --out.") from None
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LabError(f"{path} could not be written: {error.strerror}. Give another --out.") from None
    lines = len(progress.read_bytes().splitlines()) if progress.is_file() else None
    return HandedIn(path, tuple(found.relative_to(home()).as_posix() for found in notebooks), lines)


def _new_path(name: str, out: Path | None) -> Path:
    if out is not None:
        return out
    stem = f"hand-in-{file_name(name)}"
    path, number = Path(f"{stem}.zip"), 2
    while path.exists():
        path, number = Path(f"{stem}-{number}.zip"), number + 1
    return path


def file_name(name: str) -> str:
    """A name as part of a file's: small letters of ASCII, digits and dashes, "learner" where none is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "learner"


def toml_text(text: str) -> str:
    """A text as a TOML string; what cannot be printed becomes a blank."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _card(name: str, moment: datetime) -> str:
    return (
        f"name = {toml_text(name)}\n"
        f"created = {moment.replace(microsecond=0).isoformat()}\n"
        f'collection = "{collection_version()}"\n'
    )


def collection_version() -> str:
    """12 hexadecimal digits for the versions of all labs that are here."""
    versions = [f"{folder.name} {lab_version(folder)}\n" for folder in lab_folders()]
    return hashlib.sha256("".join(versions).encode()).hexdigest()[:12]

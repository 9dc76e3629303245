"""gs:// URIs as files: a bucket is a folder, an object a file below it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localgcp.bqml.errors import BadRequest

# A reader that finds one of these finds a complete model: they are moved into place last.
LAST = ("saved_model.pb", "model.bst")


@dataclass(frozen=True)
class Location:
    """An object or a prefix of objects: the bucket's folder and the name inside it, without slashes at its ends."""

    bucket: Path
    name: str


@dataclass(frozen=True)
class Buckets:
    """The folder that has one folder for each bucket; None where no buckets are emulated."""

    folder: Path | None

    def location(self, uri: str) -> Location:
        """Raises BadRequest for what is no URI, code 404 for a bucket that does not exist."""
        if self.folder is None:
            raise BadRequest(f"Cannot use {uri}: this BigQuery was started without Cloud Storage buckets.")
        scheme, _, rest = uri.partition("://")
        name, _, path = rest.partition("/")
        path = path.removesuffix("/")
        parts = path.split("/") if path else []
        if scheme != "gs" or not name or any(part in ("", ".", "..") or "\0" in part for part in (name, *parts)):
            raise BadRequest(f"Invalid Cloud Storage URI: {uri}. Write gs://bucket/path.")
        bucket = self.folder / name
        if name.startswith(".") or not bucket.is_dir():
            raise BadRequest(f"Not found: Bucket {name}", "notFound", 404)
        if not (bucket / path).resolve().is_relative_to(bucket.resolve()):
            raise BadRequest(f"Invalid Cloud Storage URI: {uri} leads out of the bucket.")
        return Location(bucket, path)

    @contextmanager
    def upload(self, uri: str) -> Iterator[Path]:
        """A folder to write into, whose files are under the URI when the context closes without an error.

        A new prefix appears at once. Under an existing one a file replaces the object of its name and other objects
        stay, as when objects are written to Cloud Storage.
        """
        to = self.location(uri)
        target = to.bucket / to.name
        for part in (target, *target.parents):
            if part.is_file():
                raise BadRequest(f"Cannot write below {uri}: an object has the name of this folder.")
        # Beside the buckets, so that moving is renaming; the dot keeps it from being a bucket.
        made = Path(tempfile.mkdtemp(prefix=".export-", dir=self.folder))
        try:
            yield made
            made.chmod(to.bucket.stat().st_mode)
            _move(made, target)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def read(self, uri: str) -> dict[str, bytes]:
        """Objects by their name relative to the folder they lie in: one, or with `*` at the end all with the prefix.

        Raises BadRequest, code 404 where there is none.
        """
        starred = uri.endswith("*")
        stem = uri.removesuffix("*")
        if "*" in stem:
            raise BadRequest(f"Invalid MODEL_PATH {uri}: one * is supported, at the end.")
        # A prefix may end within a name: gs://b/models/v1* has the folder models and the start v1.
        folder, _, start = stem.rpartition("/")
        if not folder.startswith("gs://"):
            raise BadRequest(f"Invalid MODEL_PATH {uri}: write gs://bucket/path.")
        at = self.location(folder)
        base = at.bucket / at.name
        found = {name: path for name, path in _files(base) if (name.startswith(start) if starred else name == start)}
        if not found:
            hint = f" To import a folder write {uri.removesuffix('/')}/*" if (base / start).is_dir() else ""
            raise BadRequest(f"Not found: Uris {uri}.{hint}", "notFound", 404)
        return {name: path.read_bytes() for name, path in found.items()}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Plain files below the folder; links are not followed, they could lead out of the bucket."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _move(made: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(made, target)
        return
    names = [name for name, _ in _files(made)]
    clash = next((name for name in names if (target / name).is_dir()), None)
    if clash:
        raise BadRequest(f"Cannot write the object {clash}: there is a folder of that name.")
    for name in sorted(names, key=lambda name: (name.rsplit("/")[-1] in LAST, name)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / name, target / name)

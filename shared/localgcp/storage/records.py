"""What a file cannot carry about an object or a bucket: JSON files in a side folder that is no bucket."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localgcp.storage.files import Lock, replace_text

Resource = dict[str, Any]
# No bucket can have this name: it begins with a dot.
SIDE = ".meta"


@dataclass(frozen=True)
class Signature:
    """What ties a record to one state of a file: the size in bytes and the time of its last change in ns."""

    size: int
    changed: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Signature:
        return cls(stat.st_size, stat.st_mtime_ns)


class Records:
    """The records below one folder of buckets.

    An object's record has an entry for the file as it is and may have one for the file that is about to replace it.
    So the replacement of the file alone decides which one holds, wherever a process is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._side = folder / SIDE
        self.scratch = self._side / "drafts"
        self.uploads = self._side / "uploads"
        for part in (self.scratch, self.uploads):
            part.mkdir(parents=True, exist_ok=True)
        self.lock = Lock(self._side / "lock")
        # On macOS "A" and "a" are one file, in Cloud Storage they are two objects.
        self.folds_names = (self._side / "LOCK").exists()

    def bucket(self, name: str) -> Resource | None:
        return _read(self._bucket_path(name))

    def set_bucket(self, name: str, resource: Resource) -> None:
        replace_text(self._bucket_path(name), json.dumps(resource, indent=2), self.scratch)

    def drop_bucket(self, name: str) -> None:
        """Forgets a bucket and its objects."""
        self._bucket_path(name).unlink(missing_ok=True)
        shutil.rmtree(self._side / "objects" / name, ignore_errors=True)

    def get(self, bucket: str, name: str, signature: Signature | None) -> Resource | None:
        """The entry of a file in this state; of a folder marker with None."""
        for entry in self._entries(bucket, name):
            if signature is None or (entry.get("size"), entry.get("changed")) == (signature.size, signature.changed):
                found: Resource = entry["resource"]
                return found
        return None

    def keep_computed(self, bucket: str, name: str, signature: Signature, resource: Resource) -> None:
        """As `set`, for what can be computed again."""
        self._write(bucket, name, [_entry(signature, resource)], durable=False)

    def set(
        self, bucket: str, name: str, signature: Signature, resource: Resource, keep: Signature | None = None
    ) -> None:
        """Sets the entry of a file in one state. Other entries go, but the one of the state `keep`."""
        entries = [_entry(signature, resource)]
        if keep is not None and keep != signature and (kept := self.get(bucket, name, keep)) is not None:
            entries.append(_entry(keep, kept))
        self._write(bucket, name, entries)

    def drop(self, bucket: str, name: str) -> None:
        self._object_path(bucket, name).unlink(missing_ok=True)

    def _write(self, bucket: str, name: str, entries: list[Resource], durable: bool = True) -> None:
        text = json.dumps({"name": name, "entries": entries}, indent=2)
        replace_text(self._object_path(bucket, name), text, self.scratch, durable)

    def _entries(self, bucket: str, name: str) -> list[Resource]:
        record = _read(self._object_path(bucket, name)) or {}
        entries: list[Resource] = record.get("entries", [])
        return entries

    def _bucket_path(self, name: str) -> Path:
        return self._side / "buckets" / f"{name}.json"

    def _object_path(self, bucket: str, name: str) -> Path:
        # By its hash: with the name itself, the record of "a" could be in the way of that of "a.json/b".
        key = hashlib.sha256(name.encode()).hexdigest()
        return self._side / "objects" / bucket / key[:2] / f"{key}.json"


def _entry(signature: Signature, resource: Resource) -> Resource:
    return {"size": signature.size, "changed": signature.changed, "resource": resource}


def _read(path: Path) -> Resource | None:
    """A JSON object; None when there is none or a crash of the machine has left something else."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None

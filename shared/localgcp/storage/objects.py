"""Objects: the files of a bucket, replaced in one step, with their generations."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from localgcp.storage import files, metadata
from localgcp.storage.buckets import Bucket, Buckets
from localgcp.storage.conditions import Conditions
from localgcp.storage.errors import StorageError, conflict, forbidden, invalid, no_object
from localgcp.storage.files import Draft
from localgcp.storage.listing import is_plain_file, walk
from localgcp.storage.metadata import Stored
from localgcp.storage.names import check_object_name
from localgcp.storage.records import Records, Resource, Signature
from localgcp.storage.times import now, timestamp


class Objects:
    """The objects of all buckets.

    The generation of a file is the time of its last change in microseconds, so a file that something else writes
    has a new one, and what was recorded of the old file holds no longer.
    """

    def __init__(self, buckets: Buckets, records: Records) -> None:
        self.buckets = buckets
        self.records = records

    def names(self, bucket: Bucket, prefix: str = "") -> Iterator[str]:
        """The names of a bucket's objects that begin with a prefix, in no order."""
        return walk(bucket.path, lambda name: self.records.get(bucket.name, name, None) is not None, prefix)

    def find(self, bucket: str, name: str) -> Stored | None:
        """The object, its checksums perhaps not yet computed; None when there is none. Raises StorageError."""
        path = self._path(bucket, name)
        if self._other_spelling(bucket, name):
            return None
        if name.endswith("/"):
            record = self.records.get(bucket, name, None) if path.is_dir() else None
            return None if record is None else _marker(bucket, name, path, record)
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return self._stored(bucket, name, path, status) if is_plain_file(status) else None

    def get(self, bucket: str, name: str, generation: int | None = None) -> Stored:
        """The object with its checksums. Raises StorageError when there is none, or none of that generation."""
        stored = self.find(bucket, name)
        if stored is None or generation not in (None, stored.generation):
            raise no_object(bucket, name)
        if "crc32c" in stored.record:
            return stored
        stored, file = self.open(bucket, name)
        file.close()
        return stored

    def open(self, bucket: str, name: str) -> tuple[Stored, BinaryIO]:
        """The object and its open file, which stays as it is when the object is replaced. Raises StorageError."""
        path = self._path(bucket, name)
        while True:
            stored = self.find(bucket, name)
            if stored is None:
                raise no_object(bucket, name)
            if name.endswith("/"):
                return stored, open(os.devnull, "rb")
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            # Between the two looks the object may have been replaced: then again.
            status = os.fstat(file.fileno())
            if Signature.of(status) == Signature.of(_status(path)) and _generation(status) == stored.generation:
                return self._with_checksums(stored, file), file
            file.close()

    def put(self, bucket: str, name: str, draft: Draft, record: Resource, conditions: Conditions) -> Stored:
        """Makes a draft the object; until then the old one stays. Raises StorageError."""
        with self.records.lock.held():
            return self._put(bucket, name, draft, record, conditions)

    def _put(self, bucket: str, name: str, draft: Draft, record: Resource, conditions: Conditions) -> Stored:
        holder = self.buckets.get(bucket)
        current = self.find(bucket, name)
        conditions.check(current)
        path = self._path(bucket, name)
        if other := self._other_spelling(bucket, name):
            raise conflict(f"'{name}' cannot be stored: for this machine's disk it is the same name as '{other}'.")
        generation = max(now(), current.generation + 1 if current else 1)
        record = {"storageClass": holder.storage_class} | record | {"metageneration": "1"}
        if name.endswith("/"):
            return self._put_marker(bucket, name, draft, record | {"generation": str(generation)})
        _make_folders(holder.path, path.parent, name)
        if self.records.get(bucket, name + "/", None) is not None and path.is_dir():
            raise _is_folder(name)
        _check_no_folder(path, name)
        os.utime(draft.path, ns=(generation * 1000, generation * 1000))
        keep = current.signature if current else None
        self.records.set(bucket, name, Signature.of(os.lstat(draft.path)), record, keep)
        os.replace(draft.path, path)
        return self._stored(bucket, name, path, os.lstat(path))

    def _put_marker(self, bucket: str, name: str, draft: Draft, record: Resource) -> Stored:
        if draft.size:
            raise invalid(f"An object whose name ends in '/' is a folder here, and has no content: '{name}'.")
        path = self._path(bucket, name)
        _make_folders(self.buckets.get(bucket).path, path, name)
        marker = _marker(bucket, name, path, record)
        self.records.set(bucket, name, marker.signature, record)
        return marker

    def delete(self, bucket: str, name: str, generation: int | None, conditions: Conditions) -> None:
        """Raises StorageError when there is no such object or a condition does not hold."""
        with self.records.lock.held():
            self._delete(bucket, name, generation, conditions)

    def _delete(self, bucket: str, name: str, generation: int | None, conditions: Conditions) -> None:
        holder = self.buckets.get(bucket)
        stored = self.find(bucket, name)
        if stored is None or generation not in (None, stored.generation):
            raise no_object(bucket, name)
        conditions.check(stored)
        if not name.endswith("/"):
            os.unlink(stored.path)
        self.records.drop(bucket, name)
        self._remove_empty(holder, stored.path if name.endswith("/") else stored.path.parent)

    def change(
        self, bucket: str, name: str, change: Resource, as_put: bool, generation: int | None, conditions: Conditions
    ) -> Stored:
        """Changes the metadata: what a PATCH names, or with `as_put` all of it. Raises StorageError."""
        with self.records.lock.held():
            stored = self.find(bucket, name)
            if stored is None or generation not in (None, stored.generation):
                raise no_object(bucket, name)
            conditions.check(stored)
            if change.get("storageClass") not in (None, stored.record.get("storageClass", change.get("storageClass"))):
                raise invalid("The storage class of an object changes by a rewrite, not by a change of its metadata.")
            stays = ("crc32c", "md5Hash", "componentCount", "storageClass", "generation", "timeStorageClassUpdated")
            record = metadata.changed(stored.record, change, as_put)
            record |= {key: stored.record[key] for key in stays if key in stored.record}
            record |= {"metageneration": str(stored.metageneration + 1), "updated": timestamp(now())}
            named = as_put or "contentType" in change
            record.setdefault("contentType", metadata.OCTETS if named else stored.content_type)
            self.records.set(bucket, name, stored.signature, record)
        return self.get(bucket, name)

    def move(self, bucket: str, source: str, target: str, source_if: Conditions, target_if: Conditions) -> Stored:
        """Gives an object another name in its bucket: a new object, and the old one is gone. Raises StorageError."""
        if source == target:
            raise invalid("An object cannot be moved to its own name.")
        stored, file = self.open(bucket, source)
        draft = files.write_draft(self.records.scratch, files.blocks(file))
        try:
            with self.records.lock.held():
                source_if.check(self.find(bucket, source))
                moved = self._put(bucket, target, draft, copied(stored), target_if)
                self._delete(bucket, source, stored.generation, Conditions())
                return moved
        finally:
            draft.discard()

    def _path(self, bucket: str, name: str) -> Path:
        """Where the object lies. Raises StorageError for a name or a link that leads elsewhere."""
        check_object_name(name)
        path = self.buckets.get(bucket).path
        for part in name.removesuffix("/").split("/"):
            path = path / part
            if path.is_symlink():
                raise forbidden(f"'{part}' in {bucket}/{name} is a symbolic link, which is not followed.")
        return path

    def _other_spelling(self, bucket: str, name: str) -> str | None:
        """The name under which the disk has what this name finds, when it does not tell the two apart."""
        if not self.records.folds_names:
            return None
        folder = self.buckets.get(bucket).path
        for part in name.removesuffix("/").split("/"):
            entries = os.listdir(folder) if folder.is_dir() else []
            if part not in entries:
                return next((entry for entry in entries if _folded(entry) == _folded(part)), None)
            folder = folder / part
        return None

    def _stored(self, bucket: str, name: str, path: Path, status: os.stat_result) -> Stored:
        record = self.records.get(bucket, name, Signature.of(status))
        return Stored(bucket, name, path, Signature.of(status), _generation(status), record or {})

    def _with_checksums(self, stored: Stored, file: BinaryIO) -> Stored:
        """Computes the checksums of a file that something else has written, and keeps them for its next reader."""
        if "crc32c" in stored.record:
            return stored
        complete = replace(stored, record=stored.record | metadata.checksums(files.digest_of(file)))
        # Under the lock: an upload may just have recorded what its file will have.
        with self.records.lock.held():
            try:
                if Signature.of(_status(stored.path)) == stored.signature:
                    self.records.keep_computed(stored.bucket, stored.name, stored.signature, complete.record)
            except OSError:
                pass  # the disk is full, perhaps: then they are computed again
        return complete

    def _remove_empty(self, bucket: Bucket, folder: Path) -> None:
        """Removes the folders that held nothing but what was deleted: in Cloud Storage there are none."""
        while folder != bucket.path:
            name = folder.relative_to(bucket.path).as_posix() + "/"
            if self.records.get(bucket.name, name, None) is not None:
                return
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = folder.parent


def copied(source: Stored) -> Resource:
    """What a copy takes over from its source."""
    kept = {key: value for key, value in source.record.items() if key not in _OF_THIS_GENERATION}
    return kept | {"contentType": source.content_type}


_OF_THIS_GENERATION = {"metageneration", "updated", "timeStorageClassUpdated", "generation"}


def _marker(bucket: str, name: str, path: Path, record: Resource) -> Stored:
    generation = int(record["generation"])
    return Stored(bucket, name, path, Signature(0, generation), generation, record)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _generation(status: os.stat_result) -> int:
    # 0 means "no object".
    return max(1, status.st_mtime_ns // 1000)


def _status(path: Path) -> os.stat_result:
    """The state of a path; of the empty device when there is nothing."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return os.stat(os.devnull)


def _make_folders(bucket: Path, folder: Path, name: str) -> None:
    """Makes a folder and those above it, up to the bucket's. Raises StorageError when an object is in the way."""
    above = [folder, *folder.parents]
    for part in reversed(above[: above.index(bucket)]):
        try:
            part.mkdir(exist_ok=True)
        except FileExistsError:
            raise conflict(
                f"'{name}' cannot be stored: '{part.relative_to(bucket).as_posix()}' is an object, and on a disk a "
                "file cannot be a folder at the same time. Cloud Storage would take both; choose another name."
            ) from None


def _check_no_folder(path: Path, name: str) -> None:
    """Raises StorageError when a folder that holds something has the path of an object."""
    try:
        os.rmdir(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        raise _is_folder(name) from None


def _is_folder(name: str) -> StorageError:
    return conflict(
        f"'{name}' cannot be stored: it is the folder of other objects, and on a disk a folder cannot be a file "
        "at the same time. Cloud Storage would take both; choose another name."
    )

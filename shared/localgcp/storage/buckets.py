"""Buckets: the folders below one folder, and their settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localgcp.storage.conditions import Conditions
from localgcp.storage.errors import conflict, invalid, no_bucket, unimplemented
from localgcp.storage.listing import walk
from localgcp.storage.names import check_bucket_name, is_bucket_name
from localgcp.storage.records import Records, Resource
from localgcp.storage.times import now, timestamp

STORAGE_CLASSES = {
    "STANDARD",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
    "MULTI_REGIONAL",
    "REGIONAL",
    "DURABLE_REDUCED_AVAILABILITY",
}
_MULTI_REGIONS, _DUAL_REGIONS = {"US", "EU", "ASIA"}, {"NAM4", "EUR4", "ASIA1"}
# What the service computes: a client sends it back with update() and it changes nothing.
_COMPUTED = {
    "kind", "id", "selfLink", "name", "etag", "generation", "metageneration", "projectNumber", "timeCreated", "updated",
    "locationType", "owner", "satisfiesPZS", "satisfiesPZI",
}  # fmt: skip
# Settings that are off here: sending them switched off is no request for anything.
_OFF: dict[str, tuple[Any, ...]] = {
    "versioning": ({"enabled": False},),
    "lifecycle": ({"rule": []}, {}),
    "softDeletePolicy": ({"retentionDurationSeconds": "0"}, {"retentionDurationSeconds": 0}),
    "autoclass": ({"enabled": False},),
    "hierarchicalNamespace": ({"enabled": False},),
    "billing": ({"requesterPays": False},),
    "defaultEventBasedHold": (False,),
    "rpo": ("DEFAULT",),
}


@dataclass(frozen=True)
class Bucket:
    """A bucket as it is now; `settings` is what its record holds."""

    name: str
    path: Path
    settings: Resource

    @property
    def generation(self) -> int:
        return int(self.settings["generation"])

    @property
    def metageneration(self) -> int:
        return int(self.settings["metageneration"])

    @property
    def storage_class(self) -> str:
        return str(self.settings["storageClass"])


class Buckets:
    """The buckets of one folder. A folder that something else has made is a bucket, too."""

    def __init__(self, folder: Path, records: Records, project: str) -> None:
        self.folder = folder
        self.records = records
        self.project = project

    def get(self, name: str) -> Bucket:
        """Raises StorageError when there is none."""
        check_bucket_name(name)
        path = self.folder / name
        if path.is_symlink() or not path.is_dir():
            raise no_bucket(name)
        return Bucket(name, path, self.records.bucket(name) or self._adopt(name))

    def all(self, project: str) -> list[Bucket]:
        """The buckets that were made for this project, by name."""
        with os.scandir(self.folder) as entries:
            names = [e.name for e in entries if is_bucket_name(e.name) and e.is_dir(follow_symlinks=False)]
        found = [self.get(name) for name in sorted(names)]
        return [bucket for bucket in found if bucket.settings.get("project", self.project) == project]

    def insert(self, resource: Resource, project: str) -> Bucket:
        """Makes a bucket. Raises StorageError when there is one of that name."""
        name = resource.get("name")
        if not isinstance(name, str):
            raise invalid("Required: the name of the bucket")
        check_bucket_name(name)
        settings = _changed({}, resource, replace=True)
        with self.records.lock.held():
            try:
                (self.folder / name).mkdir()
            except FileExistsError:
                message = "Your previous request to create the named bucket succeeded and you already own it."
                raise conflict(f"{message} ({name})") from None
            self.records.set_bucket(name, _defaults(project) | settings)
        return self.get(name)

    def change(self, name: str, resource: Resource, replace: bool, conditions: Conditions) -> Bucket:
        """Changes the settings that a PATCH names, or with `replace` all of them. Raises StorageError."""
        with self.records.lock.held():
            bucket = self.get(name)
            conditions.check(bucket)
            settings = _changed(bucket.settings, resource, replace)
            settings |= {"metageneration": str(bucket.metageneration + 1), "updated": timestamp(now())}
            self.records.set_bucket(name, settings)
        return self.get(name)

    def delete(self, name: str, conditions: Conditions) -> None:
        """Removes an empty bucket. Raises StorageError when it has objects."""
        with self.records.lock.held():
            bucket = self.get(name)
            conditions.check(bucket)
            marked = walk(bucket.path, lambda marker: self.records.get(name, marker, None) is not None)
            if next(marked, None) is not None or next(_files_below(bucket.path), None) is not None:
                raise conflict("The bucket you tried to delete is not empty.")
            for folder, _, _ in os.walk(bucket.path, topdown=False):
                os.rmdir(folder)
            self.records.drop_bucket(name)

    def _adopt(self, name: str) -> Resource:
        """The settings of a folder that became a bucket without this server; kept, so that its times stand still."""
        settings = _defaults(self.project)
        self.records.set_bucket(name, settings)
        return settings


def _files_below(folder: Path) -> Iterator[str]:
    """The paths of everything below a folder that is no folder, whether its name can be an object's or not."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def bucket_resource(bucket: Bucket, base: str) -> Resource:
    """The bucket in the API's form; `base` is the server's address."""
    settings = {key: value for key, value in bucket.settings.items() if key != "project"}
    place = settings["location"]
    kind = "multi-region" if place in _MULTI_REGIONS else "dual-region" if place in _DUAL_REGIONS else "region"
    return settings | {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base}/storage/v1/b/{bucket.name}",
        "locationType": kind,
        "etag": f"{bucket.generation}/{bucket.metageneration}",
    }


def _defaults(project: str) -> Resource:
    moment = now()
    return {
        "project": project,
        "projectNumber": "0",
        "generation": str(moment),
        "metageneration": "1",
        "timeCreated": timestamp(moment),
        "updated": timestamp(moment),
        "location": "US",
        "storageClass": "STANDARD",
        # There are no ACLs here, and this is the setting with which the service has none, either.
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "bucketPolicyOnly": {"enabled": True},
            "publicAccessPrevention": "inherited",
        },
    }


def _changed(old: Resource, change: Resource, replace: bool) -> Resource:
    """The settings after a PATCH or PUT. Raises StorageError for what has no effect here."""
    new = {key: value for key, value in old.items() if not (replace and key == "labels")}
    for key, value in change.items():
        if key in _COMPUTED or (value is None and key != "labels") or value in _OFF.get(key, ()):
            continue
        if key == "labels":
            new["labels"] = _merged(new.get("labels", {}), value)
        elif key == "storageClass":
            new[key] = checked_storage_class(value)
        elif key == "location":
            new[key] = _location(old.get("location"), value)
        elif key == "iamConfiguration":
            new[key] = _iam_configuration(value)
        else:
            raise unimplemented(f"the bucket setting '{key}'", "leave it out")
    if not new.get("labels"):
        new.pop("labels", None)
    return new


def _merged(old: dict[str, str], change: Any) -> dict[str, str]:
    if change is None:
        return {}
    if not isinstance(change, dict) or not all(value is None or isinstance(value, str) for value in change.values()):
        raise invalid("Invalid labels: an object of texts is needed")
    return {key: value for key, value in (old | change).items() if value is not None}


def checked_storage_class(value: Any) -> str:
    """Raises StorageError for one that there is not."""
    if value not in STORAGE_CLASSES:
        raise invalid(f"Invalid storage class: {value!r}. It takes one of {', '.join(sorted(STORAGE_CLASSES))}.")
    return str(value)


def _location(old: str | None, value: Any) -> str:
    if not isinstance(value, str) or not value.replace("-", "").isalnum():
        raise invalid(f"The specified location constraint is not valid: {value!r}")
    if old not in (None, value.upper()):
        raise invalid("A bucket's location cannot be changed.")
    return value.upper()


def _iam_configuration(value: Resource) -> Resource:
    for key in ("uniformBucketLevelAccess", "bucketPolicyOnly"):
        if value.get(key, {}).get("enabled", True) is not True:
            raise unimplemented("a bucket with ACLs", "leave uniform bucket-level access on")
    prevention = value.get("publicAccessPrevention", "inherited")
    if prevention not in ("inherited", "enforced", "unspecified"):
        raise invalid(f"Invalid publicAccessPrevention: {prevention!r}")
    switched_on = {"uniformBucketLevelAccess": {"enabled": True}, "bucketPolicyOnly": {"enabled": True}}
    return switched_on | {"publicAccessPrevention": prevention}

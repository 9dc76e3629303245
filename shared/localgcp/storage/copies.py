"""Objects made of other objects: copies, rewrites and compositions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

from localgcp.storage import files, metadata
from localgcp.storage.conditions import Conditions
from localgcp.storage.errors import invalid
from localgcp.storage.metadata import Stored
from localgcp.storage.objects import Objects, copied
from localgcp.storage.records import Resource

_MOST_SOURCES = 32


def copy(
    objects: Objects,
    source: tuple[str, str, int | None],
    target: tuple[str, str],
    change: Resource,
    source_if: Conditions,
    target_if: Conditions,
) -> Stored:
    """Copies (bucket, name, generation) to (bucket, name). `change` is the new metadata; empty, it stays the source's.

    Raises StorageError.
    """
    bucket, name, generation = source
    holder = objects.buckets.get(target[0])
    stored, file = objects.open(bucket, name)
    with file:
        if generation not in (None, stored.generation):
            objects.get(bucket, name, generation)
        source_if.check(stored)
        record = copied(stored)
        if change:
            sums = {key: record[key] for key in ("crc32c", "md5Hash", "componentCount") if key in record}
            record = {"contentType": stored.content_type} | metadata.settable(change) | sums
        record["storageClass"] = metadata.storage_class(change, holder.storage_class)
        draft = files.write_draft(objects.records.scratch, files.blocks(file))
    try:
        return objects.put(*target, draft, record, target_if)
    finally:
        draft.discard()


def compose(objects: Objects, bucket: str, name: str, request: Resource, conditions: Conditions) -> Stored:
    """Joins the objects that a compose request names. Raises StorageError."""
    sources = request.get("sourceObjects")
    if not isinstance(sources, list) or not 0 < len(sources) <= _MOST_SOURCES:
        raise invalid(f"A composition takes 1 to {_MOST_SOURCES} source objects.")
    holder = objects.buckets.get(bucket)
    change = request.get("destination") or {}
    with ExitStack() as stack:
        opened = [_opened(objects, bucket, source, stack) for source in sources]
        draft = files.write_draft(objects.records.scratch, _joined([file for _, file in opened]))
    try:
        stored = [each for each, _ in opened]
        record = {"contentType": stored[0].content_type} | metadata.settable(change)
        record |= metadata.checksums(draft.digest) | {"componentCount": sum(each.components for each in stored)}
        record.pop("md5Hash", None)  # a composed object has none, in the service either
        record["storageClass"] = metadata.storage_class(change, holder.storage_class)
        return objects.put(bucket, name, draft, record, conditions)
    finally:
        draft.discard()


def _opened(objects: Objects, bucket: str, source: Any, stack: ExitStack) -> tuple[Stored, BinaryIO]:
    if not isinstance(source, dict) or not isinstance(source.get("name"), str):
        raise invalid("Each source of a composition has a name.")
    stored, file = objects.open(bucket, source["name"])
    stack.enter_context(file)
    if source.get("generation") is not None:
        objects.get(bucket, source["name"], int(source["generation"]))
    wanted = (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
    Conditions(generation=None if wanted is None else int(wanted)).check(stored)
    return stored, file


def _joined(opened: list[BinaryIO]) -> Iterator[bytes]:
    for file in opened:
        yield from files.blocks(file)

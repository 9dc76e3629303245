"""The instances of a batch prediction: read from files of a bucket or a table, turned into what the model takes."""

from __future__ import annotations

import base64
import csv
import datetime
import decimal
import fnmatch
import gzip
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

from localgcp.vertex.batch.tables import Tables
from localgcp.vertex.errors import VertexError, invalid, unimplemented
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places

_NAMED = ("bigquery", "csv")
_WILD = "*"
_CRC_MASK = 0xA282EAD8


@dataclass(frozen=True)
class Row:
    """An instance of the input: its named fields where it has such, and the JSON value as it stands there."""

    value: Any
    fields: dict[str, Any] | None = None


@dataclass(frozen=True)
class Unreadable:
    """A line or record that is no instance."""

    text: str
    error: str


@dataclass(frozen=True)
class Instance:
    """What the model gets, and what stands for it in the output: its `instance` or its `key`.

    `row` has the named fields of the input, for a table's columns.
    """

    value: Any
    shown: dict[str, Any]
    row: dict[str, Any] | None = None


@dataclass
class Inputs:
    """The input of a job. `missing` are files that could not be read, known once the rows have been read."""

    config: Message
    places: Places
    tables: Callable[[], Tables]
    missing: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[Row | Unreadable]:
        """Every instance in its order. Raises VertexError when there is no input at all."""
        if raw(self.config).WhichOneof("source") == "bigquery_source":
            source = self.tables()
            yield from (
                Row(list(found.values()), found) for found in source.rows(self.config.bigquery_source.input_uri)
            )
            return
        read = _READERS[self.config.instances_format]
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    yield from read(file, self.places)
            except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
                self.missing.append(f"{path.name}: {error}")

    def _paths(self) -> list[Path]:
        found: list[Path] = []
        for uri in self.config.gcs_source.uris:
            paths = _matching(uri, self.places) if _WILD in uri else [self.places.local(uri)]
            there = [path for path in paths if path.is_file()]
            if not there:
                self.missing.append(f"No file matches '{uri}'.")
            found += there
        if not found:
            raise VertexError("NOT_FOUND", " ".join(self.missing) or "gcs_source has no uris.")
        return found


class Conversion:
    """How a row becomes an instance: `instance_config` of a job. Raises VertexError for one that does not fit."""

    def __init__(self, config: Message, instances_format: str) -> None:
        self._type = config.instance_type
        self._key = config.key_field
        self._included, self._excluded = list(config.included_fields), set(config.excluded_fields)
        self._named = instances_format in _NAMED
        if self._type not in ("", "object", "array"):
            raise invalid(f"instance_config.instance_type is 'object' or 'array', not '{self._type}'.")
        if self._type and instances_format not in ("jsonl", "bigquery"):
            raise invalid(f"instance_config.instance_type does not apply to the format {instances_format}.")
        if self._included and self._excluded:
            raise invalid("instance_config has included_fields and excluded_fields; only one of them can be set.")
        if (self._included or self._excluded) and instances_format not in ("jsonl", "bigquery"):
            raise invalid(f"included_fields and excluded_fields do not apply to the format {instances_format}.")
        if self._key and instances_format not in ("jsonl", "bigquery", "csv"):
            raise unimplemented(f"instance_config.key_field with the format {instances_format}")
        if self._excluded and not self._key:
            raise unimplemented("instance_config.excluded_fields without key_field", "give a key_field")

    def __call__(self, row: Row) -> Instance:
        """Raises VertexError for a row that lacks what the configuration names."""
        chosen = self._fields(row)
        if chosen is None:
            value = row.value
            if self._type == "object" and not isinstance(value, dict):
                raise invalid("The instance is no JSON object, and instance_type is 'object'.")
        elif self._type == "array" and not self._named and not self._included:
            raise invalid("included_fields is needed to make arrays of JSON objects: it gives their order.")
        else:
            as_array = self._type == "array" or (self._named and self._type == "")
            value = list(chosen.values()) if as_array else chosen
        if self._key:
            return Instance(value, {"key": (row.fields or {})[self._key]}, row.fields)
        return Instance(value, {"instance": value}, row.fields)

    def _fields(self, row: Row) -> dict[str, Any] | None:
        """The named fields that go to the model, in their order; None when the instance has no names."""
        if row.fields is None:
            if self._key or self._included or self._excluded:
                raise invalid("instance_config names fields, and the instance is no JSON object.")
            return None
        missing = [name for name in (*self._included, *filter(None, [self._key])) if name not in row.fields]
        if missing:
            raise invalid(f"The instance has no field {', '.join(missing)}, which instance_config names.")
        names = self._included or [name for name in row.fields if name not in self._excluded]
        return {name: row.fields[name] for name in names if name != self._key}


def _matching(uri: str, places: Places) -> list[Path]:
    """The files of a URI with wildcards."""
    folder, pattern = places.local(uri[: uri.index(_WILD)].rpartition("/")[0]), places.local(uri)
    return sorted(path for path in folder.rglob("*") if fnmatch.fnmatchcase(str(path), str(pattern)))


def _jsonl(file: BinaryIO, _: Places) -> Iterator[Row | Unreadable]:
    for line in file:
        text = line.decode("utf-8").strip()
        if not text:
            continue
        try:
            value = json.loads(text)
        except ValueError as error:
            yield Unreadable(text, f"The line is no JSON: {error}")
        else:
            yield Row(value, value if isinstance(value, dict) and set(value) != {"b64"} else None)


def _csv(file: BinaryIO, _: Places) -> Iterator[Row | Unreadable]:
    """The first line has the names; a value without quotes is a number, as the service wants it."""
    lines = file.read().decode("utf-8").splitlines()
    names = next(csv.reader(lines[:1]), [])
    for line in filter(str.strip, lines[1:]):
        try:
            values = [_whole(value) for value in next(csv.reader([line], quoting=csv.QUOTE_NONNUMERIC))]
        except ValueError:
            yield Unreadable(line, "A value that is no number must stand in double quotes")
            continue
        if len(values) != len(names):
            yield Unreadable(line, f"The line has {len(values)} values and the header {len(names)} names")
        else:
            yield Row(values, dict(zip(names, values)))


def _tf_record(file: BinaryIO, _: Places) -> Iterator[Row | Unreadable]:
    while head := file.read(12):
        length, checked = struct.unpack("<QI", head) if len(head) == 12 else (0, -1)
        if _masked_crc(head[:8]) != checked:
            raise EOFError("it is no TFRecord file, or it is damaged")
        body = file.read(length)
        if len(body) != length or struct.unpack("<I", file.read(4))[0] != _masked_crc(body):
            raise EOFError("a record of the TFRecord file is damaged")
        yield Row({"b64": base64.b64encode(body).decode()})


def _tf_record_gzip(file: BinaryIO, places: Places) -> Iterator[Row | Unreadable]:
    with gzip.open(file) as inner:
        yield from _tf_record(inner, places)  # type: ignore[arg-type]


def _file_list(file: BinaryIO, places: Places) -> Iterator[Row | Unreadable]:
    for line in file:
        uri = line.decode("utf-8").strip()
        if not uri:
            continue
        try:
            yield Row({"b64": base64.b64encode(places.local(uri).read_bytes()).decode()})
        except (OSError, VertexError):
            yield Unreadable(uri, "There is no such file")


_READERS: dict[str, Callable[[BinaryIO, Places], Iterator[Row | Unreadable]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "tf-record": _tf_record,
    "tf-record-gzip": _tf_record_gzip,
    "file-list": _file_list,
}
FILE_FORMATS = tuple(_READERS)


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK) & 0xFFFFFFFF


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def json_value(value: Any) -> Any:
    """A value of a table as JSON has it."""
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value

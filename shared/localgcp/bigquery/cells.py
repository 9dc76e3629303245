"""Rows as the API sends them, `{"f": [{"v": …}]}`, and values as it receives them."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from localgcp.bigquery.types import Field
from localgcp.bigquery.values import json_dump

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def encode_rows(table: pa.Table, fields: list[Field], int64_timestamps: bool = True) -> list[str]:
    """Each row as JSON text.

    Text and not objects: a page may hold 100,000 cells, and putting strings together is several times as fast as
    having `json` walk nested dicts.
    """
    if not table.num_columns:
        return []
    columns = [_encode_column(column, field, int64_timestamps) for column, field in zip(table.columns, fields)]
    template = '{"f":[' + ",".join(['{"v":%s}'] * len(columns)) + "]}"
    return [template % row for row in zip(*columns)]


def _encode_column(column: Any, field: Field, int64_timestamps: bool) -> list[str]:
    if field["mode"] != "REPEATED" and field["type"] in ("INTEGER", "BOOLEAN", "DATE"):
        # Arrow prints these as BigQuery does, and prints a whole column at once.
        return ["null" if text is None else f'"{text}"' for text in column.cast(pa.string()).to_pylist()]
    encode = _encoder(field, int64_timestamps)
    return [json.dumps(encode(value), ensure_ascii=False) for value in column.to_pylist()]


def _encoder(field: Field, int64_timestamps: bool) -> Callable[[Any], Any]:
    """The function from a Python value to what stands at "v"."""
    if field["mode"] == "REPEATED":
        element = _encoder(field | {"mode": "NULLABLE"}, int64_timestamps)
        # BigQuery has no NULL array in a result: it shows an empty one.
        return lambda value: [{"v": element(item)} for item in value or []]
    if field["type"] == "RECORD":
        parts = [_encoder(part, int64_timestamps) for part in field["fields"]]
        return lambda value: (
            None if value is None else {"f": [{"v": part(item)} for part, item in zip(parts, value.values())]}
        )
    if field["type"] == "RANGE":
        bound = _encoder({"type": field["rangeElementType"]["type"], "mode": "NULLABLE"}, True)
        return lambda value: (
            None if value is None else "[{}, {})".format(*(bound(v) or "UNBOUNDED" for v in value.values()))
        )
    scalar: Callable[[Any], Any]
    if field["type"] == "TIMESTAMP":
        scalar = _microseconds if int64_timestamps else _seconds
    else:
        scalar = _SCALARS.get(field["type"], str)
    return lambda value: None if value is None else scalar(value)


def _microseconds(value: dt.datetime) -> str:
    return str((value - _EPOCH) // _MICROSECOND)


def _seconds(value: dt.datetime) -> str:
    """What the API sends unless formatOptions.useInt64Timestamp is set: seconds as a float."""
    return repr((value - _EPOCH) / dt.timedelta(seconds=1))


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _numeric(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _interval(value: Any) -> str:
    """`1-2 3 4:5:6.789`: each of the three parts has its own sign."""
    months, days = value.months, value.days
    micros = int(value.nanoseconds / 1000)
    seconds, fraction = divmod(abs(micros), 10**6)
    digits = f"{fraction:06}"
    tail = "" if not fraction else "." + (digits[:3] if digits.endswith("000") else digits)
    clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}{tail}"
    years = f"{abs(months) // 12}-{abs(months) % 12}"
    return f"{'-' * (months < 0)}{years} {days} {'-' * (micros < 0)}{clock}"


def _geography(value: bytes) -> str:
    from bqemulator.types.geography import wkb_to_wkt

    # BigQuery writes POINT(1 2), without the space that others have behind the name.
    return re.sub(r"([A-Z]) \(", r"\1(", str(wkb_to_wkt(value)))


def _json(value: str) -> str:
    """A JSON value as BigQuery keeps it: members in order, nothing between them."""
    return json_dump(json.loads(value))


_SCALARS: dict[str, Callable[[Any], str]] = {
    "FLOAT": _float,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _numeric,
    "BYTES": lambda value: base64.b64encode(value).decode(),
    "DATE": lambda value: value.isoformat(),
    "TIME": lambda value: value.isoformat(),
    "DATETIME": lambda value: value.isoformat(),
    "BOOLEAN": lambda value: "true" if value else "false",
    "INTERVAL": _interval,
    "GEOGRAPHY": _geography,
    "JSON": _json,
}


class BadValue(ValueError):
    """A value that is not of its field's type; the text says so in BigQuery's words."""


def decode(value: Any, field: Field, path: str = "") -> Any:
    """The Python value of a JSON value, for insertAll and query parameters. Raises BadValue."""
    name = path + field["name"]
    if field.get("mode") == "REPEATED":
        if not isinstance(value, list):
            raise BadValue(f"Array specified for non-repeated field: {name}." if value else f"{name} is not an array.")
        return [decode(item, field | {"mode": "REQUIRED"}, path) for item in value]
    if value is None:
        if field.get("mode") == "REQUIRED":
            raise BadValue(f"Missing required field: {name}.")
        return None
    if field["type"] == "RECORD":
        if not isinstance(value, dict):
            raise BadValue(f"This field: {name} is not a record.")
        return decode_record(value, field["fields"], f"{name}.")
    if field["type"] == "JSON":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, list):
        raise BadValue(f"Array specified for non-repeated field: {name}.")
    if isinstance(value, dict):
        raise BadValue("This field is not a record.")
    return _DECODERS[field["type"]](value)


def decode_record(record: dict[str, Any], fields: list[Field], path: str = "", ignore_unknown: bool = False) -> Any:
    """A JSON object as a dict of Python values, with None or [] for a missing field. Raises BadValue."""
    by_name = {key.lower(): value for key, value in record.items()}
    known = {field["name"].lower() for field in fields}
    if not ignore_unknown and (unknown := [key for key in record if key.lower() not in known]):
        raise BadValue(f"no such field: {path}{unknown[0]}.")
    values = {}
    for field in fields:
        missing: Any = [] if field["mode"] == "REPEATED" else None
        given = by_name.get(field["name"].lower(), missing)
        values[field["name"]] = decode(missing if given is None else given, field, path)
    return values


def _integer(value: Any) -> int:
    try:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"Cannot convert value to integer (bad value): {value}") from None
    if not -(2**63) <= number < 2**63:
        raise BadValue(f"Cannot convert value to integer (out of range): {value}")
    return number


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadValue(f"Cannot convert value to floating point (bad value): {value}") from None


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise BadValue(f"Cannot convert value to boolean (bad value): {value}")
    return text == "true"


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BadValue("Could not decode base64 string to bytes.") from None


def _to_numeric(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise BadValue(f"Invalid NUMERIC value: {value}") from None


def _parsed(kind: str, parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return parse(str(value).strip())
        except ValueError:
            raise BadValue(f'Invalid {kind} string "{value}"') from None

    return convert


def _timestamp(text: str) -> dt.datetime:
    """`2024-01-02 03:04:05[.ffffff][ UTC|Z|+01:00]`, or seconds since the epoch, which the API takes too."""
    if re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", text):
        return _EPOCH + dt.timedelta(seconds=float(text)) if "." in text else _EPOCH + dt.timedelta(seconds=int(text))
    moment = dt.datetime.fromisoformat(re.sub(r"\s*(UTC|Z)$", "+00:00", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _integer,
    "FLOAT": _to_float,
    "BOOLEAN": _boolean,
    "STRING": _string,
    "BYTES": _bytes,
    "NUMERIC": _to_numeric,
    "DATE": _parsed("date", dt.date.fromisoformat),
    "TIME": _parsed("time", dt.time.fromisoformat),
    "DATETIME": _parsed("datetime", lambda text: dt.datetime.fromisoformat(text).replace(tzinfo=None)),
    "TIMESTAMP": _parsed("timestamp", _timestamp),
}

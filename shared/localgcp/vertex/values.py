"""JSON values between protobuf's Value and Python, faster than through text."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import struct_pb2

_EXACT = 2.0**53


def from_value(value: struct_pb2.Value) -> Any:
    """A Python value. A whole number is an int, as the service writes it in the JSON that a container gets."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _EXACT else number
    if kind == "list_value":
        return [from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return {key: from_value(item) for key, item in value.struct_value.fields.items()}
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None


def to_value(value: Any) -> struct_pb2.Value:
    """Raises TypeError for what JSON does not have, such as bytes or NaN."""
    found = struct_pb2.Value()
    _fill(found, value)
    return found


def _fill(target: struct_pb2.Value, value: Any) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise TypeError(f"{value} is no JSON number")
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, (list, tuple)):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[str(key)], item)
    else:
        raise TypeError(f"a {type(value).__name__}")

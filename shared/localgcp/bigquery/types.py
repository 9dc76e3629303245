"""Types: BigQuery's REST schema, GoogleSQL's type names, DuckDB's types.

A field is the API's TableFieldSchema as a dict; its types carry the API's names (INTEGER, FLOAT, BOOLEAN, RECORD).
"""

from __future__ import annotations

import re
from typing import Any

from localgcp.bigquery.errors import BigQueryError, invalid, unimplemented
from localgcp.bigquery.names import quote

Field = dict[str, Any]

_TO_DUCKDB = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "NUMERIC": "DECIMAL(38,9)",
    "JSON": "JSON",
    "INTERVAL": "INTERVAL",
}
# GoogleSQL's names, all of which the API accepts too.
_ALIASES = {
    "INT64": "INTEGER",
    "INT": "INTEGER",
    "SMALLINT": "INTEGER",
    "BIGINT": "INTEGER",
    "TINYINT": "INTEGER",
    "BYTEINT": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_TO_SQL = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
_FROM_DUCKDB = {
    "tinyint": "INTEGER",
    "smallint": "INTEGER",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "hugeint": "INTEGER",  # what DuckDB sums integers in
    "utinyint": "INTEGER",
    "usmallint": "INTEGER",
    "uinteger": "INTEGER",
    "ubigint": "INTEGER",
    "uhugeint": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "boolean": "BOOLEAN",
    "varchar": "STRING",
    "blob": "BYTES",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp_s": "DATETIME",
    "timestamp_ms": "DATETIME",
    "timestamp_ns": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "interval": "INTERVAL",
    "uuid": "STRING",
    "enum": "STRING",
    "geometry": "GEOGRAPHY",
    '"null"': "INTEGER",  # BigQuery gives an untyped NULL the type INT64
    "null": "INTEGER",
}
_RANGE_ELEMENTS = {"DATE", "DATETIME", "TIMESTAMP"}
_MODES = {"NULLABLE", "REQUIRED", "REPEATED"}
_FIELD_KEYS = {"name", "type", "mode", "fields", "description", "precision", "scale", "defaultValueExpression"}


def canonical(kind: str) -> str:
    """The API's name of a type, INT64 -> INTEGER."""
    upper = kind.upper()
    return _ALIASES.get(upper, upper)


def check_fields(fields: list[Field], path: str = "") -> list[Field]:
    """The fields of a request with the API's type names and an explicit mode.

    Raises BigQueryError for what is no field, and for types that a local column cannot hold exactly.
    """
    seen: set[str] = set()
    return [_check_field(field, path, seen) for field in fields]


def _check_field(field: Field, path: str, seen: set[str]) -> Field:
    name = field.get("name", "")
    if not re.fullmatch(r"[^\W\d]\w*", name) or len(name) > 300:
        raise invalid(
            f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most 300 characters '
            "long."
        )
    if name.lower() in seen:
        raise invalid(f"Duplicate field name: {path}{name}")
    seen.add(name.lower())
    for key, value in field.items():
        if key not in _FIELD_KEYS and value not in (None, [], {}, {"names": []}):
            raise unimplemented(f"the property {key} of field {path}{name}")
    checked = {key: value for key, value in field.items() if key in _FIELD_KEYS and value is not None}
    kind = canonical(field.get("type", ""))
    mode = (field.get("mode") or "NULLABLE").upper()
    if mode not in _MODES:
        raise invalid(f'Invalid value for mode: "{mode}" is not a valid value')
    checked |= {"type": kind, "mode": mode}
    if kind == "RECORD":
        if not field.get("fields"):
            raise invalid(f"Field {path}{name} is type RECORD but has no schema")
        checked["fields"] = check_fields(field["fields"], f"{path}{name}.")
    elif kind in {"BIGNUMERIC", "GEOGRAPHY", "RANGE", "INTERVAL"}:
        raise unimplemented(f"a column of type {kind} ({path}{name})")
    elif kind not in _TO_DUCKDB:
        raise invalid(f"Invalid value for type: {field.get('type')} is not a valid value")
    return checked


def duckdb_type(field: Field) -> str:
    """The DuckDB type of a column. Raises BigQueryError for types that DuckDB cannot hold exactly."""
    kind = canonical(field["type"])
    if kind == "RECORD":
        inner = "STRUCT(" + ", ".join(f"{quote(part['name'])} {duckdb_type(part)}" for part in field["fields"]) + ")"
    elif kind == "NUMERIC" and field.get("precision"):
        inner = f"DECIMAL({field['precision']},{field.get('scale', 0)})"
    elif kind in _TO_DUCKDB:
        inner = _TO_DUCKDB[kind]
    else:
        raise unimplemented(f"a column of type {kind}")
    return inner + "[]" if field.get("mode") == "REPEATED" else inner


def sql_type(field: Field) -> str:
    """The GoogleSQL type of a field, `ARRAY<STRUCT<a INT64>>`."""
    kind = canonical(field["type"])
    if kind == "RECORD":
        text = "STRUCT<" + ", ".join(f"{part['name']} {sql_type(part)}" for part in field["fields"]) + ">"
    elif kind == "RANGE":
        text = f"RANGE<{field['rangeElementType']['type']}>"
    elif kind == "NUMERIC" and field.get("precision"):
        text = f"NUMERIC({field['precision']}" + (f", {field['scale']})" if field.get("scale") else ")")
    else:
        text = _TO_SQL.get(kind, kind)
    return f"ARRAY<{text}>" if field.get("mode") == "REPEATED" else text


def field_of(name: str, kind: Any) -> Field:
    """The field of a result column. `kind` is the DuckDBPyType in a cursor's description.

    Raises BigQueryError for a type that has no counterpart (an array of arrays, a map).
    """
    if kind.id in ("list", "array"):
        element = dict(kind.children)["child"]
        inner = field_of(name, element)
        if inner["mode"] == "REPEATED":
            raise BigQueryError(f"Cannot construct array with element type {sql_type(inner)}: arrays of arrays")
        return inner | {"mode": "REPEATED"}
    field: Field = {"name": name, "type": "", "mode": "NULLABLE"}
    # JSON is an alias of VARCHAR that only the printed type tells.
    if str(kind) == "JSON":
        return field | {"type": "JSON"}
    if kind.id == "struct":
        parts = [field_of(part, child) for part, child in kind.children]
        names = [part["name"] for part in parts]
        if names == ["start", "end"] and parts[0]["type"] == parts[1]["type"] in _RANGE_ELEMENTS:
            # bqemulator keeps a RANGE<T> as STRUCT(start T, end T).
            return field | {"type": "RANGE", "rangeElementType": {"type": parts[0]["type"]}}
        return field | {"type": "RECORD", "fields": _named(parts)}
    if kind.id == "decimal":
        scale = dict(kind.children)["scale"]
        return field | {"type": "BIGNUMERIC" if scale > 9 else "NUMERIC"}  # bqemulator marks BIGNUMERIC by its scale
    if str(kind).startswith("GEOMETRY"):
        return field | {"type": "GEOGRAPHY"}
    if kind.id in _FROM_DUCKDB or str(kind).lower() in _FROM_DUCKDB:
        return field | {"type": _FROM_DUCKDB.get(kind.id) or _FROM_DUCKDB[str(kind).lower()]}
    raise unimplemented(f"a result of the type {kind}")


def _named(parts: list[Field]) -> list[Field]:
    """Fields without a name get the one that BigQuery gives, _field_1."""
    return [
        part | {"name": f"_field_{position}"} if not part["name"] else part for position, part in enumerate(parts, 1)
    ]


def result_fields(description: list[Any]) -> list[Field]:
    """The fields of a result, with the names that BigQuery gives: f0_ for an unnamed one, none twice."""
    fields = [field_of(column[0], column[1]) for column in description]
    seen: dict[str, int] = {}
    for field in fields:
        count = seen.get(field["name"].lower(), 0)
        seen[field["name"].lower()] = count + 1
        if count:
            field["name"] = f"{field['name']}_{count}"
    return fields

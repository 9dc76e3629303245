"""Query parameters of a request, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localgcp.bigquery.cells import BadValue, decode
from localgcp.bigquery.errors import invalid
from localgcp.bigquery.types import Field, canonical


@dataclass(frozen=True)
class Parameter:
    """A value and its type; `name` is lower case; a positional one is called _1, _2 …"""

    name: str
    field: Field
    value: Any


def read_parameters(given: list[dict[str, Any]]) -> dict[str, Parameter]:
    """The API's QueryParameter list by name or position. Raises BigQueryError for a value not of its type."""
    parameters = {}
    for position, item in enumerate(given, 1):
        name = (item.get("name") or f"_{position}").lower()
        field = _field(name, item.get("parameterType") or {})
        try:
            value = decode(_plain(item.get("parameterValue") or {}, field), field)
        except BadValue as error:
            raise invalid(f"Invalid value for query parameter {name}: {error}") from None
        parameters[name] = Parameter(name, field, value)
    return parameters


def _field(name: str, kind: dict[str, Any]) -> Field:
    """A QueryParameterType as a field."""
    type_name = canonical(kind.get("type", "STRING"))
    if type_name == "ARRAY":
        return _field(name, kind["arrayType"]) | {"mode": "REPEATED"}
    field: Field = {"name": name, "type": type_name, "mode": "NULLABLE"}
    if type_name == "RECORD":
        field["fields"] = [_field(part["name"], part["type"]) for part in kind["structTypes"]]
    return field


def _plain(value: dict[str, Any], field: Field) -> Any:
    """A QueryParameterValue as the JSON value that insertAll would take."""
    if field["mode"] == "REPEATED":
        return [_plain(item, field | {"mode": "NULLABLE"}) for item in value.get("arrayValues") or []]
    if field["type"] == "RECORD":
        given = value.get("structValues") or {}
        return {part["name"]: _plain(given.get(part["name"], {}), part) for part in field["fields"]}
    return value.get("value")

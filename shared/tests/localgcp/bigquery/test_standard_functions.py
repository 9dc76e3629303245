"""The answers and types of the standard functions, through the real client, held against the GoogleSQL reference."""

from __future__ import annotations

import datetime as dt
import json
import math
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

CASES = tomllib.loads((Path(__file__).parent / "standard_functions.toml").read_text(encoding="utf-8"))


def _cases() -> Iterator[Any]:
    for family, table in CASES.items():
        for number, case in enumerate(table["cases"]):
            yield pytest.param(*case[:2], case[2:], id=f"{family}-{number}-{case[0][:60]}")


def typed(field: bigquery.SchemaField) -> str:
    """The type of a result's column, with the fields of a RECORD."""
    kind = field.field_type
    if kind == "RECORD":
        kind = f"RECORD<{', '.join(f'{part.name} {typed(part)}' for part in field.fields)}>"
    elif kind == "RANGE":
        kind = f"RANGE<{field.range_element_type.element_type}>"
    return f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind


def shown(value: Any) -> Any:
    """A value of the client as the cases write it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ").replace("+00:00", "+00")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, list):
        return [shown(item) for item in value]
    return str(value)


def _shown_as(field: bigquery.SchemaField, value: Any) -> Any:
    if field.mode == "REPEATED":
        single = bigquery.SchemaField(
            field.name, field.field_type, fields=field.fields, range_element_type=field.range_element_type
        )
        return [_shown_as(single, item) for item in value]
    if value is None:
        return "NULL"
    if field.field_type == "RECORD":
        return {part.name: _shown_as(part, value[part.name]) for part in field.fields}
    if field.field_type == "JSON":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if field.field_type == "RANGE":
        bounds = [shown(value[end]) if value[end] is not None else "UNBOUNDED" for end in ("start", "end")]
        return f"[{bounds[0]}, {bounds[1]})"
    if field.field_type == "INTERVAL":
        return _interval(value)
    return shown(value)


def _interval(value: Any) -> str:
    """A relativedelta as GoogleSQL writes an interval, Y-M D H:M:S."""
    months = value.years * 12 + value.months
    micros = ((value.hours * 60 + value.minutes) * 60 + value.seconds) * 10**6 + value.microseconds
    seconds, fraction = divmod(abs(micros), 10**6)
    clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}"
    if fraction:
        digits = f"{fraction:06}"
        clock += "." + (digits[:3] if digits.endswith("000") else digits)
    years = f"{abs(months) // 12}-{abs(months) % 12}"
    return f"{'-' * (months < 0)}{years} {value.days} {'-' * (micros < 0)}{clock}"


def _same(got: Any, expected: Any, kind: str) -> bool:
    if "FLOAT" in kind and isinstance(got, str) and isinstance(expected, str):
        try:
            return math.isclose(float(got), float(expected), rel_tol=1e-14) or got == expected
        except ValueError:
            return got == expected
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(_same(a, b, kind) for a, b in zip(got, expected))
    return bool(got == expected)


def run(client: bigquery.Client, expression: str) -> tuple[str, list[Any]]:
    """The type of a query's one column and its values, or ERROR and the message."""
    sql = expression if expression.startswith(("SELECT", "WITH")) else f"SELECT {expression}"
    try:
        result = client.query_and_wait(sql)
    except BadRequest as error:
        return "ERROR", [str(error.message)]
    (field,) = result.schema
    return typed(field), [_shown_as(field, row[0]) for row in result]


def matches(got: tuple[str, list[Any]], kind: str, rows: list[Any]) -> bool:
    if kind == "REFUSED":
        return got[0] == "ERROR" and rows[0] in got[1][0] and "UNIMPLEMENTED" in got[1][0]
    if kind == "ERROR":
        return got[0] == "ERROR" and rows[0] in got[1][0] and "UNIMPLEMENTED" not in got[1][0]
    return got[0] == kind and len(got[1]) == len(rows) and all(_same(a, b, kind) for a, b in zip(got[1], rows))


@pytest.mark.parametrize(("expression", "kind", "rows"), list(_cases()))
def test_case(shared_client: bigquery.Client, expression: str, kind: str, rows: list[Any]) -> None:
    got = run(shared_client, expression)
    assert matches(got, kind, rows), f"{expression}: {got} instead of {(kind, rows)}"


def test_there_are_enough_cases() -> None:
    assert sum(len(table["cases"]) for table in CASES.values()) >= 650


def test_a_wrong_value_or_type_would_be_seen() -> None:
    assert matches(("FLOAT", ["0.1"]), "FLOAT", ["0.1"])
    assert not matches(("FLOAT", ["0.1"]), "FLOAT", ["0.1000001"])
    assert not matches(("INTEGER", ["1"]), "FLOAT", ["1"])
    assert not matches(("INTEGER", ["1"]), "INTEGER", ["1", "1"])
    assert not matches(("ERROR", ["UNIMPLEMENTED: x is not emulated locally."]), "ERROR", ["x"])

"""Date functions whose units DuckDB counts differently: weeks, and whole units between timestamps.

BigQuery's WEEK begins on Sunday, WEEK(<day>) on that day and ISOWEEK on Monday; DuckDB has the week of Monday alone.
TIMESTAMP_DIFF counts whole units, where DuckDB's function of that kind counts the boundaries between them.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localgcp.bigquery.errors import BigQueryError
from localgcp.bigquery.syntax import Tree

# How many days before 1970-01-01, a Thursday, the week began that it lies in.
_OFFSETS = {
    "SUNDAY": 4,
    "MONDAY": 3,
    "TUESDAY": 2,
    "WEDNESDAY": 1,
    "THURSDAY": 0,
    "FRIDAY": 6,
    "SATURDAY": 5,
}

_DAYS = "(CAST(d AS DATE) - DATE '1970-01-01')"
MACROS = (
    f"LOCAL_WEEKDAY(d, k) AS ((({_DAYS} + k) % 7) + 7) % 7",
    f"LOCAL_WEEK(d, k) AS ({_DAYS} + k - LOCAL_WEEKDAY(d, k)) // 7",
    "LOCAL_WEEKS(a, b, k) AS CAST(LOCAL_WEEK(a, k) - LOCAL_WEEK(b, k) AS BIGINT)",
    "LOCAL_WEEK_START(d, k) AS CAST(d AS DATE) - CAST(LOCAL_WEEKDAY(d, k) AS INTEGER)",
    "LOCAL_DATE_WEEK_START(d, k) AS CASE WHEN typeof(d) = 'DATE' THEN LOCAL_WEEK_START(d, k) ELSE error("
    "'UNIMPLEMENTED: DATE_TRUNC of a ' || typeof(d) || ' to the week is not emulated locally.') END",
    "LOCAL_WEEK_NUMBER(d, k) AS CAST((dayofyear(CAST(d AS DATE)) + 6 - LOCAL_WEEKDAY(d, k)) // 7 AS BIGINT)",
    "LOCAL_WHOLE_UNITS(unit, a, b) AS date_sub(unit, b, a)",
)

_WHOLE_UNITS = {"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"}


def week_offset(unit: Tree) -> int | None:
    """The offset of a week unit; None for another one."""
    if isinstance(unit, exp.WeekStart):
        day = unit.name.upper()
        if day not in _OFFSETS:
            raise BigQueryError(f"A valid date part argument for WEEK is required, but found {day}")
        return _OFFSETS[day]
    name = unit.name.upper() if unit is not None else ""
    return {"WEEK": _OFFSETS["SUNDAY"], "ISOWEEK": _OFFSETS["MONDAY"]}.get(name)


def _number(value: int) -> Tree:
    return exp.Literal.number(value)


def _call(name: str, *arguments: Tree) -> Tree:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _date_trunc(node: Tree) -> Tree | None:
    week = week_offset(node.args.get("unit"))
    if week is not None:
        return _call("LOCAL_DATE_WEEK_START", node.this, _number(week))
    unit = node.args["unit"].name.upper()
    return None if unit == "ISOYEAR" else _call("LOCAL_DATE_TRUNC", exp.Literal.string(unit.lower()), node.this)


def _trunc_to(kind: str) -> Callable[[Tree], Tree | None]:
    def change(node: Tree) -> Tree | None:
        week = week_offset(node.args.get("unit"))
        if week is None:
            return None
        if zone := node.args.get("zone"):
            return _call("LOCAL_WEEK_START_IN", node.this, _number(week), zone)
        return exp.cast(_call("LOCAL_WEEK_START", node.this, _number(week)), kind, dialect="bigquery")

    return change


def _week_diff(node: Tree) -> Tree | None:
    week = week_offset(node.args.get("unit"))
    return None if week is None else _call("LOCAL_WEEKS", node.this, node.expression, _number(week))


def _timestamp_shift(node: Tree) -> Tree | None:
    unit = node.args["unit"].name.upper()
    if unit not in _WHOLE_UNITS:
        raise BigQueryError(
            f"{node.sql_name()} does not support the {unit} date part when the argument is TIMESTAMP type"
        )
    return None


def _timestamp_diff(node: Tree) -> Tree | None:
    unit = node.args["unit"].name.upper()
    if unit not in _WHOLE_UNITS:
        raise BigQueryError(f"TIMESTAMP_DIFF does not support the {unit} date part")
    return _call("LOCAL_WHOLE_UNITS", exp.Literal.string(unit.lower()), node.this, node.expression)


def _extract(node: Tree) -> Tree | None:
    part, value = node.this.name.upper(), node.expression
    if isinstance(node.this, exp.WeekStart) or part == "WEEK":
        return _call("LOCAL_WEEK_NUMBER", value, _number(week_offset(node.this) or 0))
    if part in ("MICROSECOND", "MILLISECOND"):
        return _call(f"LOCAL_{part}", value)
    if part in ("TIME", "DATETIME"):
        return exp.cast(value.copy(), part, dialect="bigquery")
    return None


CHANGES: dict[type, Callable[[Tree], Tree | None]] = {
    exp.DateTrunc: _date_trunc,
    exp.TimestampTrunc: _trunc_to("TIMESTAMP"),
    exp.DatetimeTrunc: _trunc_to("DATETIME"),
    exp.DateDiff: _week_diff,
    exp.DatetimeDiff: _week_diff,
    exp.TimestampDiff: _timestamp_diff,
    exp.TimestampAdd: _timestamp_shift,
    exp.TimestampSub: _timestamp_shift,
    exp.Extract: _extract,
}

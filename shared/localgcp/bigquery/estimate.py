"""How many bytes a query reads: the columns it names, in the partitions that its conditions leave over.

Sizes are those of https://cloud.google.com/bigquery/pricing#data (an INT64 is 8 bytes, a STRING 2 and its UTF-8 text).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from localgcp.bigquery.catalog import Resource
from localgcp.bigquery.names import TableName, quote
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field, sql_type

MEGABYTE = 1 << 20
MINIMUM_BILLED = 10 * MEGABYTE

NULL_PARTITION, OUTSIDE = "__NULL__", "__UNPARTITIONED__"


@dataclass(frozen=True)
class Scan:
    """One reading of a table: which columns (None: all), under which conditions on its own columns."""

    table: TableName
    columns: frozenset[str] | None
    conditions: tuple[Tree, ...] = ()


# The bytes of what a statement reads: by table, then by partition and column.
Cells = dict[TableName, dict[tuple[str | None, str], int]]


@dataclass
class Reading:
    """What a statement reads, with all queries that run inside it. A column of a partition counts once."""

    cells: Cells = field(default_factory=dict)
    exact: bool = True

    def add(self, cells: Cells, exact: bool) -> None:
        for name, found in cells.items():
            self.cells[name] = self.cells.get(name, {}) | found
        self.exact = self.exact and exact

    @property
    def sizes(self) -> dict[TableName, int]:
        return {name: sum(found.values()) for name, found in self.cells.items()}


def scans_of(tree: Tree, resources: dict[TableName, Resource]) -> tuple[list[Scan], bool]:
    """The scans of a resolved statement, and whether they are exact.

    When the optimizer cannot follow a statement, the answer is every column of every table: an upper bound.
    """
    try:
        optimized = _optimized(_as_query(tree), resources)
        scans = [scan for scope in traverse_scope(optimized) for scan in _scans_of_scope(scope, resources)]
    except (SqlglotError, KeyError, AttributeError, TypeError, ValueError, RecursionError):
        scans = []
    if {scan.table for scan in scans} == set(resources):
        return scans, True
    return [Scan(name, None) for name in resources], False


def simple_scan(tree: Tree, resources: dict[TableName, Resource]) -> Scan | None:
    """The scan of a SELECT from one table and nothing else, which most are: the optimizer takes milliseconds."""
    from_ = tree.args.get("from_")
    if not isinstance(tree, exp.Select) or from_ is None or not isinstance(from_.this, exp.Table):
        return None
    if (
        tree.args.get("joins")
        or tree.args.get("with_")
        or tree.args.get("laterals")
        or len(list(tree.find_all(exp.Select))) > 1
    ):
        return None
    if any(item.is_star for item in tree.expressions) or from_.this.args.get("pivots"):
        return None
    name = TableName(from_.this.catalog, from_.this.db, from_.this.name)
    alias = from_.this.alias_or_name.lower()
    known = {field["name"].lower() for field in resources[name]["schema"]["fields"]}
    paths = [[part.name.lower() for part in column.parts] for column in tree.find_all(exp.Column)]
    if [alias] in paths and alias not in known:
        return None  # the whole row as a STRUCT
    names = {path[1] if path[0] == alias and len(path) > 1 else path[0] for path in paths}
    where = tree.args["where"].this if tree.args.get("where") else None
    parts = [] if where is None else list(where.flatten()) if isinstance(where, exp.And) else [where]
    conditions = tuple(part for part in parts if part.find(exp.Column))
    return Scan(name, frozenset(names & known), conditions)


def _as_query(tree: Tree) -> Tree:
    """A DML statement as the query that reads what it reads: all columns of what it changes, and its sources."""
    if isinstance(tree, exp.Insert):
        return tree.expression
    if isinstance(tree, exp.Merge):
        return exp.select("*").from_(tree.this).join(tree.args["using"], on=tree.args["on"], join_type="inner")
    if isinstance(tree, (exp.Update, exp.Delete)):
        select = exp.select("*").from_(tree.this).where(tree.args["where"].this)
        return select.join(tree.args["from_"].this, join_type="cross") if tree.args.get("from_") else select
    return tree


def _optimized(tree: Tree, resources: dict[TableName, Resource]) -> Tree:
    schema: dict[str, Any] = {}
    for name, resource in resources.items():
        columns = {field["name"].lower(): sql_type(field) for field in resource["schema"]["fields"]}
        schema.setdefault(name.project, {}).setdefault(name.dataset, {})[name.table] = columns
    qualified = qualify(
        tree.copy(), dialect="bigquery", schema=schema, validate_qualify_columns=False, quote_identifiers=False
    )
    return pushdown_predicates(pushdown_projections(qualified), dialect="bigquery")


def _scans_of_scope(scope: Scope, resources: dict[TableName, Resource]) -> list[Scan]:
    scans = []
    for alias, source in scope.sources.items():
        if not isinstance(source, exp.Table) or not source.catalog:
            continue
        name = TableName(source.catalog, source.db, source.name)
        columns = [column for column in scope.columns if column.table.lower() == alias.lower()]
        stars = any(isinstance(column.this, exp.Star) for column in columns)
        names = None if stars else frozenset(column.name.lower() for column in columns)
        scans.append(Scan(name, names, tuple(_conditions(scope.expression, alias))))
    return scans


def _conditions(select: Tree, alias: str) -> list[Tree]:
    """The parts of WHERE, and of the ON of inner joins, that speak of one table only."""
    found: list[Tree] = []
    roots = [select.args["where"].this] if select.args.get("where") else []
    for join in select.args.get("joins") or []:
        if join.args.get("on") and join.side not in ("LEFT", "RIGHT", "FULL"):
            roots.append(join.args["on"])
    for root in roots:
        for part in root.flatten() if isinstance(root, exp.And) else [root]:
            tables = {column.table.lower() for column in part.find_all(exp.Column)}
            if tables == {alias.lower()} and part.find(exp.Select) is None:
                found.append(part)
    return found


# Sizes


def size_of(value: str, field: Field) -> str:
    """The DuckDB expression for the logical bytes of one value; NULL counts as 0."""
    if field["mode"] == "REPEATED":
        element = size_of("e", field | {"mode": "NULLABLE"})
        return f"coalesce(list_sum(list_transform({value}, lambda e: {element})), 0)"
    if field["type"] == "RECORD":
        return "(" + " + ".join(size_of(f"{value}.{quote(part['name'])}", part) for part in field["fields"]) + ")"
    if field["type"] == "STRING":
        return f"coalesce(2 + strlen({value}), 0)"
    if field["type"] == "JSON":
        return f"coalesce(strlen({value}), 0)"
    if field["type"] == "BYTES":
        return f"coalesce(2 + octet_length({value}), 0)"
    width = {"BOOLEAN": 1, "NUMERIC": 16, "BIGNUMERIC": 32, "INTERVAL": 16}.get(field["type"], 8)
    return f"CASE WHEN {value} IS NULL THEN 0 ELSE {width} END"


def statistics_query(name: TableName, resource: Resource) -> str:
    """DuckDB SQL: partition id, rows, then the bytes of each column; one row per partition."""
    sums = ", ".join(f"sum({size_of(quote(f['name']), f)})::BIGINT" for f in resource["schema"]["fields"])
    return f"SELECT {partition_id(resource)}, count(*), {sums} FROM {name.duckdb} GROUP BY 1 ORDER BY 1"


# Partitions

_FORMATS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}


def partition_id(resource: Resource) -> str:
    """The DuckDB expression for the id of a row's partition, NULL in a table without partitions."""
    if partitioning := resource.get("timePartitioning"):
        column = quote(partitioning["field"])
        return f"coalesce(strftime({column}, '{_FORMATS[partitioning['type']]}'), '{NULL_PARTITION}')"
    if partitioning := resource.get("rangePartitioning"):
        column, limits = quote(partitioning["field"]), partitioning["range"]
        start, end, step = int(limits["start"]), int(limits["end"]), int(limits["interval"])
        return (
            f"CASE WHEN {column} IS NULL THEN '{NULL_PARTITION}' "
            f"WHEN {column} < {start} OR {column} >= {end} THEN '{OUTSIDE}' "
            f"ELSE CAST({start} + (({column} - {start}) // {step}) * {step} AS VARCHAR) END"
        )
    return "NULL"


def partition_column(resource: Resource) -> str | None:
    partitioning = resource.get("timePartitioning") or resource.get("rangePartitioning")
    return partitioning["field"].lower() if partitioning else None


def partition_bounds(resource: Resource, identifiers: list[str]) -> pa.Table:
    """(id, lo, hi) of partitions, `hi` the largest value that can lie in it; NULLs for the partition of NULLs."""
    if ranges := resource.get("rangePartitioning"):
        step, end = int(ranges["range"]["interval"]), int(ranges["range"]["end"])
        bounds = [
            (i, None, None) if i in (NULL_PARTITION, OUTSIDE) else (i, int(i), min(int(i) + step, end) - 1)
            for i in identifiers
        ]
        kind = pa.int64()
    else:
        partitioning = resource["timePartitioning"]
        column = partitioning["field"].lower()
        field = next(f for f in resource["schema"]["fields"] if f["name"].lower() == column)
        bounds = [_time_bounds(i, partitioning["type"], field["type"]) for i in identifiers]
        kind = {"DATE": pa.date32(), "DATETIME": pa.timestamp("us"), "TIMESTAMP": pa.timestamp("us", tz="UTC")}[
            field["type"]
        ]
    ids, lows, highs = zip(*bounds) if bounds else ((), (), ())
    return pa.table({"id": pa.array(ids, pa.string()), "lo": pa.array(lows, kind), "hi": pa.array(highs, kind)})


def _time_bounds(identifier: str, unit: str, kind: str) -> tuple[str, Any, Any]:
    if identifier == NULL_PARTITION:
        return identifier, None, None
    low = dt.datetime.strptime(identifier, _FORMATS[unit])
    if unit == "HOUR":
        following = low + dt.timedelta(hours=1)
    elif unit == "DAY":
        following = low + dt.timedelta(days=1)
    elif unit == "MONTH":
        following = (low.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    else:
        following = low.replace(year=low.year + 1)
    if kind == "DATE":
        return identifier, low.date(), following.date() - dt.timedelta(days=1)
    high = following - dt.timedelta(microseconds=1)
    if kind == "TIMESTAMP":
        return identifier, low.replace(tzinfo=dt.UTC), high.replace(tzinfo=dt.UTC)
    return identifier, low, high


def may_match(condition: Tree, column: str) -> Tree | None:
    """The condition on (lo, hi) under which a partition can hold a row that meets `condition`.

    None when the condition says nothing about the partitioning column that BigQuery could prune by.
    """
    if isinstance(condition, exp.Paren):
        return may_match(condition.this, column)
    if isinstance(condition, (exp.And, exp.Or)):
        parts = [may_match(part, column) for part in (condition.left, condition.right)]
        if isinstance(condition, exp.Or):
            return exp.or_(*parts) if all(parts) else None
        known = [part for part in parts if part is not None]
        return exp.and_(*known) if known else None
    if isinstance(condition, exp.Between):
        low, high = condition.args["low"], condition.args["high"]
        return may_match(
            exp.and_(exp.GTE(this=condition.this, expression=low), exp.LTE(this=condition.this, expression=high)),
            column,
        )
    if isinstance(condition, exp.In) and condition.expressions:
        return may_match(
            exp.or_(*[exp.EQ(this=condition.this.copy(), expression=e.copy()) for e in condition.expressions]), column
        )
    if isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null) and _is(condition.this, column):
        return _compare(exp.Is, exp.column("lo"), exp.null())
    if isinstance(condition, exp.Not) and isinstance(condition.this, exp.Is) and _is(condition.this.this, column):
        return exp.not_(_compare(exp.Is, exp.column("lo"), exp.null()))
    for kind, swapped in _SWAPPED.items():
        if type(condition) is kind:
            if _monotone(condition.this, column) and _is_constant(condition.expression):
                return _bound(kind, condition.this, condition.expression)
            if _monotone(condition.expression, column) and _is_constant(condition.this):
                return _bound(swapped, condition.expression, condition.this)
    return None


_SWAPPED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.EQ: exp.EQ,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
}


def _bound(kind: type[exp.Expression], operand: Tree, value: Tree) -> Tree:
    low, high = _at(operand, "lo"), _at(operand, "hi")
    if kind is exp.EQ:
        return exp.and_(_compare(exp.LTE, low, value), _compare(exp.GTE, high, value))
    return _compare(kind, low if kind in (exp.LT, exp.LTE) else high, value)


def _compare(kind: type[exp.Expression], left: Tree, right: Tree) -> Tree:
    return kind(this=left.copy(), expression=right.copy())


def _at(operand: Tree, bound: str) -> Tree:
    """The operand with the partitioning column replaced by a bound."""
    return operand.transform(lambda node: exp.column(bound) if isinstance(node, exp.Column) else node)


def _is(node: Tree, column: str) -> bool:
    return isinstance(node, exp.Column) and node.name.lower() == column


# Functions of the column that never go down as it goes up, so that they may be applied to the bounds.
_MONOTONE = (exp.Date, exp.TimestampTrunc, exp.DateTrunc, exp.DatetimeTrunc, exp.TsOrDsToDate, exp.Timestamp, exp.Paren)


def _monotone(node: Tree, column: str) -> bool:
    if _is(node, column):
        return True
    if isinstance(node, exp.Cast) and node.to.this in (
        exp.DType.DATE,
        exp.DType.TIMESTAMP,
        exp.DType.TIMESTAMPTZ,
        exp.DType.DATETIME,
    ):
        return _monotone(node.this, column)
    return isinstance(node, _MONOTONE) and isinstance(node.this, exp.Expression) and _monotone(node.this, column)


def _is_constant(node: Tree) -> bool:
    return node.find(exp.Column, exp.Select) is None


Evaluate = Callable[[pa.Table, Tree], list[str]]


def kept_partitions(
    scan: Scan, resource: Resource, identifiers: list[str], evaluate: Evaluate
) -> tuple[list[str], bool]:
    """The partitions that a scan must read, and whether any condition was usable for pruning.

    `evaluate(bounds, condition)` runs the condition over the (id, lo, hi) table and gives the ids.
    """
    column = partition_column(resource)
    conditions = [made for part in scan.conditions if column and (made := may_match(part, column)) is not None]
    if not conditions:
        return identifiers, False
    # Rows outside the ranges, and all partitions of what cannot be told, are read.
    kept = set(evaluate(partition_bounds(resource, identifiers), exp.and_(*conditions)))
    return [i for i in identifiers if i in kept or i == OUTSIDE], True


def billed(processed_by_table: dict[TableName, int]) -> int:
    """Bytes billed on demand: whole megabytes, at least 10 for each table that is read."""
    return sum(max(MINIMUM_BILLED, -(-size // MEGABYTE) * MEGABYTE) for size in processed_by_table.values())

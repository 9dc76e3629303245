"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE, with the checks that DuckDB would not make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.names import TableName
from localgcp.bigquery.outcome import Outcome
from localgcp.bigquery.resolve import qualified
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field, sql_type

if TYPE_CHECKING:
    from localgcp.bigquery.session import Session


def run(session: Session, tree: Tree) -> Outcome:
    """Runs a DML statement. Raises BigQueryError."""
    if isinstance(tree, exp.TruncateTable):
        return _truncate(session, tree)
    node = _target_node(tree)
    name = session.names().table(node)
    resource = session.catalog.table(name)
    if resource["type"] != "TABLE":
        raise BigQueryError(f"DML cannot change {name}: it is a {resource['type']}")
    if isinstance(tree, exp.Insert):
        _check_insert(session, tree, name, resource["schema"]["fields"])
    else:
        _check_where(tree)
        _check_assignments(session, tree, name, resource["schema"]["fields"])
    node.replace(qualified(node, name))
    if isinstance(tree, (exp.Merge, exp.Update)):
        _check_single_match(session, tree)
    kind = type(tree).__name__.upper()
    outcome = Outcome(kind)
    compiled = session.compile(tree)
    session.charge(outcome, compiled)
    rows = session.run_duckdb(compiled.duckdb).fetchone()
    outcome.affected = int(rows[0]) if rows else 0
    if kind in _COUNTERS:
        outcome.dml_stats = {_COUNTERS[kind]: str(outcome.affected)}
    outcome.referenced = sorted({*outcome.referenced, name}, key=str)
    session.catalog.touch(name)
    session.changed(name)
    return outcome


_COUNTERS = {"INSERT": "insertedRowCount", "UPDATE": "updatedRowCount", "DELETE": "deletedRowCount"}


def _target_node(tree: Tree) -> exp.Table:
    node = tree.this
    if isinstance(tree, exp.Delete) and not isinstance(node, exp.Table):
        # `DELETE t WHERE …` without FROM is parsed as a list of tables.
        node = (tree.args.get("tables") or [None])[0]
        tree.set("this", node)
        tree.set("tables", None)
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table):
        raise BigQueryError("Syntax error: a DML statement names the table it changes")
    return node


def _truncate(session: Session, tree: exp.TruncateTable) -> Outcome:
    name = session.names().table(tree.expressions[0])
    if session.catalog.table(name)["type"] != "TABLE":
        raise BigQueryError(f"TRUNCATE TABLE cannot change {name}: it is a VIEW")
    before = session.run_duckdb(f"SELECT count(*) FROM {name.duckdb}").fetchone()
    session.run_duckdb(f"DELETE FROM {name.duckdb}")
    session.catalog.touch(name)
    session.changed(name)
    affected = int(before[0]) if before else 0
    return Outcome("TRUNCATE_TABLE", affected=affected, dml_stats={"deletedRowCount": str(affected)})


def _check_where(tree: Tree) -> None:
    if isinstance(tree, (exp.Update, exp.Delete)) and not tree.args.get("where"):
        raise BigQueryError(f"{type(tree).__name__.upper()} must have a WHERE clause at [1:1]")


# Types


def _check_insert(session: Session, tree: exp.Insert, name: TableName, fields: list[Field]) -> None:
    """The number and the types of what is inserted. BigQuery casts neither a STRING nor a FLOAT64 to INT64 here."""
    columns = [item.name for item in tree.this.expressions] if isinstance(tree.this, exp.Schema) else None
    targets = [_column(fields, column, name) for column in columns] if columns else fields
    source = tree.expression
    if isinstance(source, exp.Values):
        for row in source.expressions:
            _check_values(row, targets)
        return
    if not isinstance(source, exp.Query):
        raise BigQueryError("Syntax error: INSERT needs VALUES or a query")
    compiled = session.compile(source.copy())
    found = session.result_fields(compiled)
    if len(found) != len(targets):
        raise BigQueryError(f"Inserted row has wrong column count; Has {len(found)}, expected {len(targets)}")
    literal = _literal_positions(source)
    for position, (given, target) in enumerate(zip(found, targets), 1):
        if position not in literal and not _assignable(given, target):
            raise BigQueryError(
                f"Query column {position} has type {sql_type(given)} which cannot be inserted into column "
                f"{target['name']}, which has type {sql_type(target)}"
            )


def _check_values(row: Tree, targets: list[Field]) -> None:
    values = row.expressions if isinstance(row, exp.Tuple) else [row]
    if len(values) != len(targets):
        raise BigQueryError(f"Inserted row has wrong column count; Has {len(values)}, expected {len(targets)}")
    for value, target in zip(values, targets):
        kind = _literal_type(value)
        if kind and target["type"] not in _LITERAL_TARGETS[kind] | {kind}:
            raise BigQueryError(
                f"Value has type {sql_type({'type': kind})} which cannot be inserted into column {target['name']}, "
                f"which has type {sql_type(target)}"
            )


# What a literal may become without CAST: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
_LITERAL_TARGETS = {
    "STRING": {"DATE", "DATETIME", "TIME", "TIMESTAMP", "BYTES"},
    "INTEGER": {"FLOAT", "NUMERIC", "BIGNUMERIC"},
    "FLOAT": {"NUMERIC", "BIGNUMERIC"},
    "BOOLEAN": set(),
}


def _literal_type(value: Tree) -> str | None:
    if isinstance(value, exp.Boolean):
        return "BOOLEAN"
    if isinstance(value, exp.Neg):
        return _literal_type(value.this)
    if not isinstance(value, exp.Literal):
        return None
    if value.is_string:
        return "STRING"
    return "INTEGER" if value.is_int else "FLOAT"


def _literal_positions(query: Tree) -> set[int]:
    if not isinstance(query, exp.Select) or any(item.is_star for item in query.expressions):
        return set()
    return {i for i, item in enumerate(query.expressions, 1) if isinstance(item.unalias(), (exp.Literal, exp.Null))}


_COERCIONS = {
    "INTEGER": {"FLOAT", "NUMERIC", "BIGNUMERIC"},
    "NUMERIC": {"FLOAT", "BIGNUMERIC"},
    "BIGNUMERIC": {"FLOAT"},
    "DATE": {"DATETIME", "TIMESTAMP"},
    "DATETIME": {"TIMESTAMP"},
    "TIMESTAMP": {"DATETIME"},
}


def _assignable(given: Field, target: Field) -> bool:
    if (given["mode"] == "REPEATED") != (target["mode"] == "REPEATED"):
        return False
    if given["type"] == target["type"] == "RECORD":
        if [part["name"].lower() for part in given["fields"]] != [part["name"].lower() for part in target["fields"]]:
            # BigQuery goes by position here and DuckDB by name, which would put NULLs into the rows.
            raise unimplemented(f"assigning a STRUCT with other field names to {target['name']}")
        return all(_assignable(part, other) for part, other in zip(given["fields"], target["fields"]))
    return given["type"] == target["type"] or target["type"] in _COERCIONS.get(given["type"], set())


def _column(fields: list[Field], column: str, name: TableName) -> Field:
    for field in fields:
        if field["name"].lower() == column.lower():
            return field
    raise BigQueryError(f"Column {column} is not present in table {name}")


def _check_assignments(session: Session, tree: Tree, name: TableName, fields: list[Field]) -> None:
    """The types of `SET column = value`: DuckDB would round 1.5 into an INT64 column."""
    pairs = [(item.this, item.expression) for item in _assignments(tree)]
    for column, _ in pairs:
        if len(column.parts) > 2 or (len(column.parts) == 2 and not _is_target(column, tree)):
            raise unimplemented(f"UPDATE of a field of a STRUCT ({column.sql(dialect='bigquery')})")
    checked = [
        (_column(fields, column.name, name), value)
        for column, value in pairs
        if not isinstance(value, (exp.Null, exp.Var)) and value.sql().upper() != "DEFAULT"
    ]
    for target, value in checked:
        _check_values(exp.Tuple(expressions=[value.copy()]), [target])
    unknown = [(target, value) for target, value in checked if _literal_type(value) is None]
    if not unknown:
        return
    select = exp.select(*[exp.alias_(value.copy(), f"v{i}") for i, (_, value) in enumerate(unknown)], copy=False)
    for source in _sources(tree):
        select = (
            select.from_(source.copy())
            if not select.args.get("from_")
            else select.join(source.copy(), join_type="cross")
        )
    for (target, _), given in zip(unknown, session.result_fields(session.compile(select))):
        if not _assignable(given, target):
            raise BigQueryError(
                f"Value of type {sql_type(given)} cannot be assigned to {target['name']}, "
                f"which has type {sql_type(target)}"
            )


def _is_target(column: exp.Column, tree: Tree) -> bool:
    return bool(column.table.lower() == tree.this.alias_or_name.lower())


def _assignments(tree: Tree) -> list[Tree]:
    if isinstance(tree, exp.Update):
        return list(tree.expressions)
    if isinstance(tree, exp.Merge):
        updates = [when.args["then"] for when in tree.args["whens"].expressions]
        return [item for then in updates if isinstance(then, exp.Update) for item in then.expressions]
    return []


def _sources(tree: Tree) -> list[Tree]:
    sources = [tree.this]
    if isinstance(tree, exp.Merge):
        sources.append(tree.args["using"])
    elif tree.args.get("from_"):
        sources.append(tree.args["from_"].this)
        sources += [join.this for join in tree.args["from_"].args.get("joins") or []]
    return sources


# One source row for each target row


def _check_single_match(session: Session, tree: Tree) -> None:
    """BigQuery refuses an UPDATE or MERGE in which two source rows meet one target row; DuckDB takes one of them."""
    target = tree.this
    alias = target.alias_or_name
    if isinstance(tree, exp.Merge):
        matched = [when for when in tree.args["whens"].expressions if when.args.get("matched")]
        if not matched:
            return
        source, on = tree.args["using"], tree.args["on"]
        conditions = [when.args.get("condition") for when in matched]
        where = (
            None if any(c is None for c in conditions) else exp.or_(*[c.copy() for c in conditions if c is not None])
        )
    else:
        if not tree.args.get("from_") or tree.args["from_"].args.get("joins"):
            return
        source, on, where = tree.args["from_"].this, tree.args["where"].this, None
    row = exp.column("rowid", table=alias)
    select = exp.select("1").from_(target.copy()).join(source.copy(), on=on.copy(), join_type="inner")
    if where is not None:
        select = select.where(where)
    select = select.group_by(row).having("COUNT(*) > 1").limit(1)
    if session.run_duckdb(session.compile(select).duckdb).fetchone():
        raise BigQueryError("UPDATE/MERGE must match at most one source row for each target row")

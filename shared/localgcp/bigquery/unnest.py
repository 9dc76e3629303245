"""UNNEST in FROM: the fields of STRUCTs are columns of their own, and WITH OFFSET counts from 0.

DuckDB gives one column that holds the STRUCT. Where the elements are known to be STRUCTs the call becomes
`(SELECT unnest(array, max_depth := 2)) AS alias`, which has the fields as columns and the whole under its alias.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlglot
from sqlglot import exp

from localgcp.bigquery.binding import cte_of
from localgcp.bigquery.errors import unimplemented
from localgcp.bigquery.names import TableName
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field

_MARK = "LOCAL_UNNEST"
FieldsOf = Callable[[TableName], list[Field]]

# What gives an array of plain values, whatever its arguments.
_PLAIN = (exp.GenerateSeries, exp.GenerateDateArray, exp.GenerateTimestampArray, exp.Split, exp.RegexpExtractAll)


def flatten_structs(tree: Tree, fields_of: FieldsOf) -> Tree:
    """The tree with such calls marked. Raises BigQueryError for `SELECT *` over elements of unknown type."""
    for node in list(tree.find_all(exp.Unnest)):
        select = node.find_ancestor(exp.Select)
        if select is None or not isinstance(node.parent, (exp.From, exp.Join)) or len(node.expressions) != 1:
            continue
        array = node.expressions[0]
        if isinstance(node.parent, exp.Join) and node.parent.side == "LEFT" and not node.parent.args.get("on"):
            # Written out without a condition, it would come back from the translator as a CROSS JOIN.
            node.parent.set("on", exp.true())
        kind = _element(array, select, fields_of)
        if kind is None and any(isinstance(item, exp.Star) for item in select.expressions):
            raise unimplemented(f"SELECT * over {node.sql(dialect='bigquery')}", "name the columns")
        if kind:
            node.replace(_marked(node, array, _MARK))
        elif node.args.get("offset"):
            node.replace(_marked(node, array, f"{_MARK}_PLAIN"))
    return tree


def _element(array: Tree, select: exp.Select, fields_of: FieldsOf) -> list[Field] | None:
    """The fields of the array's elements: [] for plain values, None when it is not known."""
    if isinstance(array, exp.Array) and not isinstance(array.expressions[0] if array.expressions else None, exp.Query):
        first = array.expressions[0] if array.expressions else None
        if not isinstance(first, exp.Struct):
            return (
                []
                if first is None or isinstance(first, (exp.Literal, exp.Null, exp.Neg, exp.Cast, exp.Boolean))
                else None
            )
        return [{"name": part.name, "type": "", "mode": "NULLABLE"} for part in first.expressions]
    if isinstance(array, exp.Array) and isinstance(array.expressions[0], exp.Select):
        inner = array.expressions[0]
        if inner.args.get("kind") != "STRUCT" or any(item.is_star for item in inner.expressions):
            return None
        return [{"name": item.alias_or_name, "type": "", "mode": "NULLABLE"} for item in inner.expressions]
    if isinstance(array, exp.ArrayAgg):
        value = array.this
        while isinstance(value, (exp.Order, exp.Limit, exp.Distinct)):
            value = value.this if not isinstance(value, exp.Distinct) else value.expressions[0]
        return _element(exp.Array(expressions=[value.copy()]), select, fields_of)
    if isinstance(array, _PLAIN) or (
        isinstance(array, exp.Cast) and array.to.is_type("array") and not array.to.find(exp.ColumnDef)
    ):
        return []
    if isinstance(array, (exp.Column, exp.Dot)):
        field = _field([part.name for part in array.parts], select, fields_of)
        return field.get("fields", []) if field else None
    return None


def _field(path: list[str], select: exp.Select, fields_of: FieldsOf) -> Field | None:
    """The field that a path of names means in a SELECT or in one around it."""
    around: exp.Select | None = select
    while around is not None:
        if found := _field_here(path, around, fields_of):
            return found
        around = around.find_ancestor(exp.Select)
    return None


def _field_here(path: list[str], select: exp.Select, fields_of: FieldsOf) -> Field | None:
    from_ = select.args.get("from_")
    sources = ([from_.this] if from_ else []) + [join.this for join in select.args.get("joins") or []]
    for source in sources:
        fields: list[Field] = []
        if isinstance(source, exp.Table) and source.catalog:
            fields = fields_of(TableName(source.catalog, source.db, source.name))
        alias = source.alias_or_name.lower()
        query = source.this if isinstance(source, exp.Subquery) else None
        cte = cte_of(source) if isinstance(source, exp.Table) and not source.catalog else None
        if cte is None and isinstance(source, exp.Table) and not source.catalog and not source.db:
            fields = fields_of(TableName("", "", source.name))  # a registered table, such as a result of ML.PREDICT
        if cte is not None and source.find_ancestor(exp.CTE) is not cte:  # a recursive one says nothing new
            query = cte.this
        if query is not None:
            rest = path[1:] if path[0].lower() == alias and len(path) > 1 else path
            column = _output_field(rest[0], query, fields_of)
            fields = [column] if column else []
        if isinstance(source, exp.Unnest):
            columns = source.args["alias"].columns if source.args.get("alias") else []
            alias = columns[0].name.lower() if columns else ""
            element = _element(source.expressions[0], select, fields_of) if path[0].lower() == alias else None
            fields = element or []
        rest = path[1:] if path[0].lower() == alias else path
        if found := _walk(rest, fields):
            return found
    return None


def _output_field(name: str, query: Tree, fields_of: FieldsOf) -> Field | None:
    """The field that a column of a subquery is, if its text says so."""
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    for item in query.expressions:
        if item.is_star:
            if found := _field_here([name], query, fields_of):
                return found
        elif item.alias_or_name.lower() == name.lower():
            value = item.unalias()
            if isinstance(value, (exp.Column, exp.Dot)):
                found = _field([part.name for part in value.parts], query, fields_of)
                return found | {"name": name} if found else None
            element = _element(value, query, fields_of)
            return {"name": name, "type": "", "mode": "REPEATED", "fields": element} if element is not None else None
    return None


def name_ordered(tree: Tree) -> Tree:
    """`SELECT t.a … ORDER BY a`: the column's name is an alias too, which DuckDB must be told."""
    for select in tree.find_all(exp.Select):
        order = select.args.get("order")
        if order is None:
            continue
        used = {c.name.lower() for one in order.expressions for c in one.find_all(exp.Column) if len(c.parts) == 1}
        names = [item.alias_or_name.lower() for item in select.expressions]
        for item in select.expressions:
            name = item.parts[-1].name if isinstance(item, (exp.Column, exp.Dot)) and len(item.parts) > 1 else ""
            if name and not item.is_star and name.lower() in used and names.count(name.lower()) == 1:
                item.replace(exp.alias_(item.copy(), name, quoted=True))
    return tree


def _walk(path: list[str], fields: list[Field]) -> Field | None:
    for position, name in enumerate(path):
        field = next((one for one in fields if one["name"].lower() == name.lower()), None)
        if field is None:
            return None
        if position == len(path) - 1:
            return field
        fields = field.get("fields", [])
    return None


def _marked(node: exp.Unnest, array: Tree, mark: str) -> exp.Subquery:
    """The subquery that stands for an UNNEST. sqlglot would number WITH OFFSET from 1 as DuckDB does, not from 0."""
    alias = node.args.get("alias")
    columns = alias.columns if alias else []
    call: Tree = exp.Anonymous(this=mark, expressions=[_named(array)])
    items = [exp.alias_(call, columns[0].name) if mark != _MARK and columns else call]
    offset = node.args.get("offset")
    if offset:
        name = offset.name if isinstance(offset, exp.Expression) else "offset"
        items.append(exp.alias_(exp.Anonymous(this=f"{_MARK}_RANGE", expressions=[_named(array)]), name))
    made = exp.Subquery(this=exp.Select(expressions=items))
    if columns:
        made.set("alias", exp.TableAlias(this=exp.to_identifier(columns[0].name)))
    return made


def _named(array: Tree) -> Tree:
    """An array literal whose first STRUCT names the fields of the others, which may be tuples."""
    array = array.copy()
    if not isinstance(array, exp.Array) or not array.expressions or not isinstance(array.expressions[0], exp.Struct):
        return array
    names = [part.name if isinstance(part, exp.PropertyEQ) else None for part in array.expressions[0].expressions]
    for element in array.expressions[1:]:
        if isinstance(element, (exp.Struct, exp.Tuple)) and len(element.expressions) == len(names):
            values = [part.expression if isinstance(part, exp.PropertyEQ) else part for part in element.expressions]
            element.replace(
                exp.Struct(
                    expressions=[
                        exp.PropertyEQ(this=exp.to_identifier(name), expression=value.copy()) if name else value.copy()
                        for name, value in zip(names, values)
                    ]
                )
            )
    return array


def finish(duckdb_sql: str) -> str:
    """The marks in translated SQL as the DuckDB calls that BigQuery's grammar has no words for."""
    if _MARK not in duckdb_sql:
        return duckdb_sql
    tree = sqlglot.parse_one(duckdb_sql, read="duckdb")
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name == _MARK:
            depth = exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))
            node.replace(exp.Anonymous(this="unnest", expressions=[node.expressions[0].copy(), depth]))
        elif node.name == f"{_MARK}_PLAIN":
            node.replace(exp.Anonymous(this="unnest", expressions=[node.expressions[0].copy()]))
        elif node.name == f"{_MARK}_RANGE":
            length = exp.Anonymous(this="len", expressions=[node.expressions[0].copy()])
            node.replace(exp.Anonymous(this="unnest", expressions=[exp.Anonymous(this="range", expressions=[length])]))
    return tree.sql(dialect="duckdb")

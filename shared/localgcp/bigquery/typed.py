"""Steps that need the type of a column: comparisons across types, and averages of NUMERIC."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localgcp.bigquery.errors import BigQueryError
from localgcp.bigquery.names import TableName
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field, sql_type

_OPERATORS: dict[type, str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_NUMBER_TYPES = {"INT64", "FLOAT64"}
_NUMBERS = {"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"}


def check_comparisons(tree: Tree, fields_of: Callable[[TableName], list[Field]], locate: Callable[[str], str]) -> None:
    """Raises BigQueryError for `string_column = 5` or `integer_column = '5'` where the column is a table's own."""
    for node in tree.find_all(*_OPERATORS, exp.In):
        operator = _OPERATORS.get(type(node), "IN")
        others = node.expressions if isinstance(node, exp.In) else [node.expression]
        for left, right in [(node.this, other) for other in others]:
            column, value = (left, right) if isinstance(left, exp.Column) else (right, left)
            kind = _literal(value)
            if (one := _literal(column)) and kind and ((one in _NUMBER_TYPES) != (kind in _NUMBER_TYPES)):
                kinds = f"{_literal(left)}, {_literal(right)}"
                raise BigQueryError(f"No matching signature for operator {operator} for argument types: {kinds}")
            if not isinstance(column, exp.Column) or kind is None:
                continue
            field = _field(column, fields_of)
            if field is not None and not _comparable(field, kind):
                types = [sql_type(field), kind] if column is left else [kind, sql_type(field)]
                raise BigQueryError(
                    f"No matching signature for operator {operator} for argument types: {', '.join(types)}"
                    + locate(column.name)
                )


def _literal(node: Tree) -> str | None:
    if isinstance(node, exp.Neg):
        return _literal(node.this)
    if isinstance(node, exp.Boolean):
        return "BOOL"
    if isinstance(node, exp.Literal):
        return "STRING" if node.is_string else "INT64" if node.is_int else "FLOAT64"
    return None


def _comparable(field: Field, kind: str) -> bool:
    if field["mode"] == "REPEATED" or field["type"] == "RECORD":
        return False
    if kind == "STRING":
        return str(field["type"]) not in _NUMBERS | {"BOOLEAN"}
    if kind == "BOOL":
        return str(field["type"]) == "BOOLEAN"
    return str(field["type"]) in _NUMBERS


def _field(column: exp.Column, fields_of: Callable[[TableName], list[Field]]) -> Field | None:
    """The field of a column whose table is known without a doubt: one base table of that alias in the same SELECT."""
    select = column.find_ancestor(exp.Select)
    if select is None or len(column.parts) > 2:
        return None
    from_ = select.args.get("from_")
    sources = ([from_.this] if from_ else []) + [join.this for join in select.args.get("joins") or []]
    if column.table:
        sources = [source for source in sources if source.alias_or_name.lower() == column.table.lower()]
    if len(sources) != 1 or not isinstance(sources[0], exp.Table) or not sources[0].catalog:
        return None
    if column.name.lower() in {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}:
        return None  # in HAVING and ORDER BY it is the alias
    name = TableName(sources[0].catalog, sources[0].db, sources[0].name)
    return next((one for one in fields_of(name) if one["name"].lower() == column.name.lower()), None)


def keep_numeric(tree: Tree, fields_of: Callable[[TableName], list[Field]]) -> Tree:
    """AVG of a NUMERIC column is NUMERIC in BigQuery and a float in DuckDB."""
    for node in list(tree.find_all(exp.Avg)):
        field = _field(node.this, fields_of) if isinstance(node.this, exp.Column) else None
        if field is not None and field["type"] == "NUMERIC":
            outer = node.parent if isinstance(node.parent, (exp.Window, exp.Filter)) else node
            outer.replace(exp.cast(outer.copy(), "NUMERIC", dialect="bigquery"))
    return tree

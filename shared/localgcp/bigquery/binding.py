"""Script variables, query parameters and function arguments: names that stand for a value and are no column.

A column of a table in scope wins over a variable of the same name, as in BigQuery, so the sources of every SELECT
around a name are looked at before it is taken for a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.syntax import Tree

# The columns of a base table, lower case; None when they are not known.
ColumnsOf = Callable[[exp.Table], "set[str] | None"]

# Among the names of a source: there are others that are not known; there may be others, which nobody names barely.
UNKNOWN, MAYBE = "?", "(?)"


def bind_parameters(tree: Tree, values: Mapping[str, Tree], system: Mapping[str, Tree]) -> Tree:
    """`@name` and `@@name` replaced by their values. Raises BigQueryError for an unknown one."""
    for node in list(tree.find_all(exp.Parameter)):
        if isinstance(node.parent, exp.Parameter):
            continue
        if isinstance(node.this, exp.Parameter):
            name, place = f"@@{node.this.name}".lower(), node
            # @@error.message is parsed as a field of @@error.
            if name == "@@error" and isinstance(node.parent, exp.Dot):
                name, place = f"@@error.{node.parent.expression.name}".lower(), node.parent
            if name not in system:
                raise unimplemented(f"the system variable {name}")
            tree = _swap(tree, place, system[name])
        elif node.name.lower() not in values:
            raise BigQueryError(f"Query parameter '{node.name}' not found")
        else:
            tree = _swap(tree, node, values[node.name.lower()])
    return tree


def _swap(tree: Tree, node: Tree, value: Tree) -> Tree:
    if node is tree:
        return value.copy()
    node.replace(value.copy())
    return tree


def bind_names(tree: Tree, values: Mapping[str, Tree], columns_of: ColumnsOf) -> Tree:
    """Names of `values` (lower case) replaced by their value where they are no column.

    Raises BigQueryError where it cannot be told which one is meant.
    """
    for column in list(tree.find_all(exp.Column)):
        parts = [part.name.lower() for part in column.parts]
        if parts[0] not in values or isinstance(column.this, exp.Star) or _is_column(column, parts[0], columns_of):
            continue
        value: Tree = values[parts[0]].copy()
        for part in column.parts[1:]:  # v.a.b of a STRUCT variable
            value = exp.Dot(this=value, expression=part.copy())
        # `SELECT v` names its column v.
        if isinstance(column.parent, exp.Select) and column.arg_key == "expressions":
            value = exp.alias_(value, column.parts[-1].name)
        tree = _swap(tree, column, value)
    return tree


_STATEMENTS = (exp.Select, exp.Update, exp.Delete, exp.Merge, exp.Insert)


def _around(column: Tree) -> Iterator[tuple[Tree, str]]:
    """The statements whose sources a column can be of, from the inside out, each with the clause that it stands in.

    A subquery sees the sources of the SELECT around it, except from within its FROM and its WITH.
    """
    node, inside, hidden = column, False, False
    while node.parent is not None:
        parent = node.parent
        hidden = hidden or (inside and isinstance(parent, (exp.From, exp.Join, exp.CTE)))
        if isinstance(parent, _STATEMENTS):
            if not hidden:
                yield parent, node.arg_key
            inside, hidden = True, False
        node = parent


def _is_column(column: Tree, name: str, columns_of: ColumnsOf) -> bool:
    for statement, clause in _around(column):
        visible = visible_names(statement, columns_of)
        if name in visible:
            return True
        if UNKNOWN in visible:
            raise unimplemented(f"the name {name}, which may be a variable or a column here")
        # ORDER BY, GROUP BY … see the names of the SELECT list.
        if clause in ("order", "group", "having", "qualify") and name in _aliases(statement):
            return True
    return False


def check_aliases(tree: Tree, columns_of: ColumnsOf, locate: Callable[[str], str]) -> None:
    """Raises BigQueryError where WHERE or the SELECT list itself uses a name that the SELECT list gives.

    DuckDB sees such names everywhere; BigQuery in GROUP BY, HAVING, QUALIFY and ORDER BY only.
    """
    for select in tree.find_all(exp.Select):
        names = _aliases(select)
        where = select.args.get("where")
        for part in [*select.expressions, *([where] if where else [])]:
            for column in part.find_all(exp.Column) if names else ():
                name = column.parts[0].name.lower()
                if (
                    name in names
                    and column.find_ancestor(exp.Select) is select
                    and not _reaches(column, name, columns_of)
                ):
                    raise BigQueryError(f"Unrecognized name: {column.parts[0].name}{locate(column.parts[0].name)}")


def _reaches(column: Tree, name: str, columns_of: ColumnsOf) -> bool:
    """Whether a name is, or may be, a column of this SELECT or of one around it."""
    return any({name, UNKNOWN, MAYBE} & visible_names(statement, columns_of) for statement, _ in _around(column))


def _aliases(select: Tree) -> set[str]:
    return {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}


def visible_names(statement: exp.Expression, columns_of: ColumnsOf) -> set[str]:
    """The names that a SELECT or DML statement's sources give, their aliases included; "?" when some are unknown."""
    sources: list[exp.Expression] = []
    for key in ("this", "using", "from_"):
        source = statement.args.get(key)
        if isinstance(source, exp.From):
            source = source.this
        if isinstance(source, exp.Schema):
            source = source.this
        if isinstance(source, (exp.Table, exp.Subquery, exp.Unnest)):
            sources.append(source)
    sources += statement.args.get("tables") or []
    sources += [join.this for join in statement.args.get("joins") or []]
    return set().union(*(_names_of(source, columns_of) for source in sources)) if sources else set()


def _names_of(source: exp.Expression, columns_of: ColumnsOf) -> set[str]:
    names = {source.alias_or_name.lower()}
    if isinstance(source, exp.Unnest):
        alias = source.args.get("alias")
        names |= {column.name.lower() for column in (alias.columns if alias else [])}
        offset = source.args.get("offset")
        if isinstance(offset, exp.Expression):
            names.add(offset.name.lower())
        if _has_plain_elements(source) or (fields := _struct_fields(source)):
            return names | (set() if _has_plain_elements(source) else fields)
        # The elements may be STRUCTs, whose fields are columns too. With an alias people write alias.field.
        return names | {MAYBE if alias else UNKNOWN}
    if isinstance(source, exp.Subquery):
        return names | _output(source.this, columns_of)
    if isinstance(source, exp.Table):
        if cte := cte_of(source):
            return names | _output(cte.this, columns_of)
        found = columns_of(source)
        return names | (found if found is not None else {UNKNOWN})
    return names | {UNKNOWN}


def _has_plain_elements(unnest: exp.Unnest) -> bool:
    array = unnest.expressions[0] if unnest.expressions else None
    if isinstance(array, exp.Array):
        return bool(array.expressions) and isinstance(array.expressions[0], (exp.Literal, exp.Neg, exp.Cast))
    return isinstance(array, (exp.GenerateSeries, exp.GenerateDateArray, exp.Split))


def _struct_fields(unnest: exp.Unnest) -> set[str]:
    """The fields of the first STRUCT of an array literal, which UNNEST makes columns."""
    for array in unnest.expressions:
        first = array.expressions[0] if isinstance(array, exp.Array) and array.expressions else None
        if isinstance(first, exp.Struct):
            return {part.name.lower() for part in first.expressions if isinstance(part, exp.PropertyEQ)}
    return set()


def _output(query: exp.Expression, columns_of: ColumnsOf) -> set[str]:
    if isinstance(query, exp.SetOperation):
        return _output(query.this, columns_of)
    if isinstance(query, exp.Subquery):
        return _output(query.this, columns_of)
    if not isinstance(query, exp.Select):
        return {UNKNOWN}
    names = {item.alias_or_name.lower() for item in query.expressions}
    if any(item.is_star for item in query.expressions):
        names |= visible_names(query, columns_of)
    return names


def cte_of(table: exp.Table) -> Tree | None:
    """The common table expression that a bare name means; None for another name."""
    if len(table.parts) != 1:
        return None
    parent = table.parent
    while parent is not None:
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With):
            for cte in with_.expressions:
                if cte.alias.lower() == table.name.lower():
                    return cte
        parent = parent.parent
    return None

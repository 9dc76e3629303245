"""NaN, which DuckDB orders as the largest number and holds equal to itself: where one can be, other forms stand.

These forms cost time, so they stand only where the text makes a NaN or a table that it reads has one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlglot import exp

from localgcp.bigquery.calls import call
from localgcp.bigquery.errors import unimplemented
from localgcp.bigquery.names import quote
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field

Change = Callable[[Tree], "Tree | None"]


def changes_for(nodes: list[Tree], columns: Collection[str]) -> dict[type, Change]:
    """The changes for a tree of these nodes; `columns` are the names, in lower case, under which tables hold a NaN."""
    if any(_makes_nan(node) for node in nodes):
        return dict(_CHANGES)
    if not columns:
        return {}
    names = _carriers(nodes, columns)
    return {kind: _where_carried(change, names) for kind, change in _CHANGES.items()}


def _where_carried(change: Change, names: Collection[str]) -> Change:
    def changed(node: Tree) -> Tree | None:
        operands = [_key(node)] if isinstance(node, exp.Ordered) else node.iter_expressions()
        return change(node) if any(_carries(part, names) for part in operands) else None

    return changed


def _makes_nan(node: Tree) -> bool:
    if isinstance(node, exp.Literal):
        return bool(node.is_string and node.name.lower().strip("+-") == "nan")
    return isinstance(node, exp.Anonymous) and node.name.upper() == "IEEE_DIVIDE"


# What is no number, whatever it is made of.
_NO_NUMBER = (exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Predicate, exp.IsNan, exp.IsInf)


def _carriers(nodes: list[Tree], columns: Collection[str]) -> set[str]:
    """The names by which a NaN can come along: the columns, and what is made of them."""
    names, before = set(columns), 0
    while len(names) != before:
        before = len(names)
        for node in nodes:
            if isinstance(node, (exp.Alias, exp.PropertyEQ)) and _carries(
                node.args.get("expression") or node.this, names
            ):
                names.add((node.alias if isinstance(node, exp.Alias) else node.name).lower())
            elif isinstance(node, exp.TableAlias) and node.parent is not None and _carries(node.parent, names):
                # An UNNEST, and a table whose columns get other names.
                names |= {column.name.lower() for column in node.columns}
                if isinstance(node.parent, exp.Subquery) and "LOCAL_UNNEST" in node.parent.this.sql():
                    names.add(node.name.lower())
    return names


def _carries(node: Tree, names: Collection[str]) -> bool:
    for part in node.walk(prune=lambda inner: isinstance(inner, _NO_NUMBER)):
        if isinstance(part, (exp.Column, exp.Dot)) and any(
            one.name.lower() in names for one in part.parts if isinstance(one, exp.Identifier)
        ):
            return True
    return False


def _binary(name: str) -> Change:
    return lambda node: call(name + _form(node), node.this, node.expression)


def _form(node: Tree) -> str:
    """DuckDB does not know an aggregate's type when it chooses among a macro's forms."""
    is_late = node.find_ancestor(exp.Having, exp.Qualify) or node.find(exp.AggFunc)
    return "_ANY" if is_late else ""


def _least(node: Tree) -> Tree | None:
    plain = not isinstance(node.parent, (exp.Window, exp.Filter)) and not isinstance(node.this, exp.HavingMax)
    return call("LOCAL_MIN", node.this) if plain and not node.expressions else None


def _ordered(node: Tree) -> Tree | None:
    """NaN before every other number."""
    order = node.parent
    if not isinstance(order, exp.Order):
        return None
    if isinstance(order.parent, exp.SetOperation):
        raise unimplemented("ORDER BY of a set operation where a NaN may be among the rows")
    key = _key(node)
    if isinstance(key, exp.Literal):
        return None
    first = exp.Ordered(this=call("LOCAL_NAN_FIRST", key), desc=bool(node.args.get("desc")), nulls_first=True)
    order.set("expressions", [part for one in order.expressions for part in ((first, one) if one is node else (one,))])
    return None


def _key(node: Tree) -> Tree:
    """The expression of the SELECT list that a key names or counts, else the key: in a call an alias is not known."""
    key, select = node.this, node.parent.parent if isinstance(node.parent, exp.Order) else None
    if not isinstance(select, exp.Select):
        return key
    listed = select.expressions
    if isinstance(key, exp.Literal):
        if any(item.is_star for item in listed):
            raise unimplemented("ORDER BY a position in SELECT * where a NaN may be among the rows", "name the column")
        place = int(key.name) - 1 if key.is_int else -1
        return listed[place].unalias() if 0 <= place < len(listed) else key
    if isinstance(key, exp.Column) and len(key.parts) == 1:
        named = [item for item in listed if isinstance(item, exp.Alias) and item.alias.lower() == key.name.lower()]
        return named[0].this if len(named) == 1 else key
    return key


def _equal(node: Tree) -> Tree | None:
    is_assignment = isinstance(node.parent, exp.Update) and node.arg_key == "expressions"
    return None if is_assignment else _binary("LOCAL_EQ")(node)


_CHANGES: dict[type, Change] = {
    exp.EQ: _equal,
    exp.NEQ: _binary("LOCAL_NEQ"),
    exp.LT: _binary("LOCAL_LT"),
    exp.LTE: _binary("LOCAL_LTE"),
    exp.GT: _binary("LOCAL_GT"),
    exp.GTE: _binary("LOCAL_GTE"),
    exp.Min: _least,
    exp.Ordered: _ordered,
}


# Which columns hold one


def test_of(field: Field) -> str | None:
    """The DuckDB condition that some value of a column is NaN, over all rows; None where there cannot be one."""
    test = _test(quote(field["name"]), field)
    return f"coalesce(bool_or({test}), false)" if test else None


def _test(value: str, field: Field) -> str | None:
    if field["mode"] == "REPEATED":
        inner = _test("e", field | {"mode": "NULLABLE"})
        return f"coalesce(list_bool_or(list_transform({value}, lambda e: {inner})), false)" if inner else None
    if field["type"] == "RECORD":
        tests = [test for part in field["fields"] if (test := _test(f"{value}.{quote(part['name'])}", part))]
        return "(" + " OR ".join(tests) + ")" if tests else None
    return f"coalesce(isnan({value}), false)" if field["type"] == "FLOAT" else None


def names_in(field: Field) -> set[str]:
    """A column's name and those of the fields in it, in lower case."""
    return {field["name"].lower()}.union(*(names_in(part) for part in field.get("fields", [])))

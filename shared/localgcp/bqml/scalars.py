"""ML preprocessing functions in a plain SELECT.

The query block around them runs without them and gives their inputs; the functions run on those rows; the block is then
replaced by its result. ORDER BY, LIMIT and DISTINCT stay with the engine.
"""

from __future__ import annotations

from contextlib import ExitStack

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.transform import learn_transform, ml_call, registered

AFTER = ("order", "limit", "offset", "distinct")


def resolve_functions(sql: str, engine: Engine, keep: ExitStack) -> str:
    """The statement without ML functions; tables that it now reads stay registered until `keep` closes."""
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except ParseError as error:
        first = error.errors[0]
        raise BadRequest(f"Syntax error: {first['description']} at [{first['line']}:{first['col']}]") from None
    if isinstance(tree, exp.Create) and tree.args.get("kind") == "VIEW":
        raise unimplemented("a view over ML functions")
    while True:
        block = _innermost_block(tree)
        if block is None:
            return str(tree.sql(dialect="bigquery"))
        name = keep.enter_context(registered(engine, _result(block, engine)))
        outer = exp.select("*").from_(exp.to_table(name))
        for part in AFTER:
            if block.args.get(part):
                outer.set(part, block.args[part])
        for column in [c for part in AFTER if outer.args.get(part) for c in outer.args[part].find_all(exp.Column)]:
            column.set("table", None)
        if block is tree:
            tree = outer
        else:
            block.replace(outer)


def _innermost_block(tree: exp.Expr) -> exp.Select | None:
    """A SELECT whose list has an ML function, with no such SELECT inside."""
    blocks = [select for select in tree.find_all(exp.Select) if _has_call(select)]
    for block in reversed(blocks):
        if not any(_has_call(inner) for inner in block.find_all(exp.Select) if inner is not block):
            listed = [node for item in block.expressions for node in item.find_all(exp.Dot) if ml_call(node)]
            if len(listed) != len([node for node in block.find_all(exp.Dot) if ml_call(node)]):
                raise unimplemented("an ML function outside the SELECT list")
            if block.args.get("qualify"):
                raise unimplemented("QUALIFY together with an ML function")
            return block
    if blocks or any(ml_call(node) for node in tree.find_all(exp.Dot)):
        raise unimplemented("an ML function in this place")
    return None


def _has_call(select: exp.Select) -> bool:
    return any(ml_call(node) for node in select.find_all(exp.Dot))


def _result(block: exp.Select, engine: Engine) -> object:
    """The rows of the block, ML functions computed."""
    hoisted: list[exp.Expr] = []

    def hoist(node: exp.Expr) -> exp.Expr:
        """Moves what has no ML function inside into the inner query, and leaves a column in its place."""
        call = ml_call(node)
        if call:
            for argument in call[1][:1]:
                if isinstance(argument, exp.Struct):
                    argument.set("expressions", [_named_field(field, hoist) for field in argument.expressions])
                elif any(ml_call(inner) for inner in argument.find_all(exp.Dot)):
                    hoist(argument)
                else:
                    call[1][0] = column(argument)
            node.expression.set("expressions", call[1])
            return node
        if not any(ml_call(inner) for inner in node.find_all(exp.Dot)):
            return node if isinstance(node, exp.Literal | exp.Boolean | exp.Null) else column(node)
        for key, value in list(node.args.items()):
            if isinstance(value, list):
                node.set(key, [hoist(v) if isinstance(v, exp.Expr) else v for v in value])
            elif isinstance(value, exp.Expr) and not isinstance(value, exp.Identifier):
                node.set(key, hoist(value))
        return node

    def column(node: exp.Expr) -> exp.Expr:
        hoisted.append(node.copy())
        return exp.column(f"__ml_c{len(hoisted) - 1}")

    plain: list[exp.Expr] = []
    outer: list[exp.Expr] = []
    unnamed = 0
    for item in (item.copy() for item in block.expressions):
        if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            plain.append(item)
            outer.append(item)
            continue
        if not any(ml_call(node) for node in item.find_all(exp.Dot)):
            plain.append(item)
            if not item.alias_or_name:
                item = plain[-1] = exp.alias_(item, f"f{unnamed}_")
                unnamed += 1
            outer.append(exp.column(exp.to_identifier(item.alias_or_name, quoted=True)))
            continue
        if not isinstance(item, exp.Alias):
            item = exp.alias_(item, f"f{unnamed}_")
            unnamed += 1
        item.set("this", hoist(item.this))
        outer.append(item)
    # A list must not be empty: ML.NGRAMS(['a'], 1) alone leaves nothing else to select.
    inputs = [exp.alias_(node, f"__ml_c{i}") for i, node in enumerate(hoisted or [exp.Literal.number(1)])]
    inner = _before(block).select(*plain, *inputs, append=False)
    rows = engine.query(inner.sql(dialect="bigquery"))
    return learn_transform(_unstar(outer, plain, rows.column_names), engine, rows)[1]


def _named_field(field: exp.Expr, hoist: object) -> exp.Expr:
    assert callable(hoist)
    if isinstance(field, exp.PropertyEQ):
        return exp.PropertyEQ(this=field.this, expression=hoist(field.expression))
    return exp.PropertyEQ(this=exp.to_identifier(field.alias_or_name), expression=hoist(field))


def _before(block: exp.Select) -> exp.Select:
    """The block without what comes after its list, and with the WITH clauses around it."""
    inner = block.copy()
    for part in AFTER:
        inner.set(part, None)
    node: exp.Expr | None = block.parent
    while node is not None:
        around = node.args.get("with_")
        if around is not None:
            visible = []
            for cte in around.expressions:
                if any(part is block for part in cte.walk()):
                    break
                visible.append(cte.copy())
            own = inner.args["with_"].expressions if inner.args.get("with_") else []
            if visible:
                inner.set("with_", exp.With(expressions=[*visible, *own]))
        node = node.parent
    return inner


def _unstar(outer: list[exp.Expr], plain: list[exp.Expr], names: list[str]) -> list[exp.Expr]:
    """The outer list with every star as the columns that it became in the inner query's result."""
    stars = [item for item in plain if item.is_star]
    if len(stars) > 1:
        raise unimplemented("more than one * beside an ML function")
    hidden = len([name for name in names if name.startswith("__ml_c")])
    starred = len(names) - hidden - (len(plain) - len(stars))
    first = next((i for i, item in enumerate(plain) if item.is_star), 0)
    out: list[exp.Expr] = []
    for item in outer:
        if item.is_star:
            out += [exp.column(exp.to_identifier(n, quoted=True)) for n in names[first : first + starred]]
        else:
            out.append(item)
    return out

"""Constructs that the translation would answer differently from BigQuery, put into a form that it answers alike.

Each repair is a function on the tree of a GoogleSQL statement. What they call, the LOCAL_ functions, are DuckDB macros
that hold what BigQuery's documentation says of the edge cases: bounds, rounding, division by zero, NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from localgcp.bigquery import weeks
from localgcp.bigquery.errors import unimplemented
from localgcp.bigquery.syntax import Tree

MACROS = (
    *weeks.MACROS,
    # The element at a position from 0, or an error: DuckDB gives NULL outside the array.
    "LOCAL_AT(a, i) AS CASE WHEN typeof(a) = 'JSON' THEN error('UNIMPLEMENTED: a subscript of JSON is not emulated "
    "locally; use JSON_QUERY or JSON_VALUE') WHEN i >= len(a) OR i < 0 THEN error('Array index ' || i || "
    "' is out of bounds' || CASE WHEN i < 0 THEN ' (negative)' ELSE ' (overflow)' END) ELSE a[i + 1] END",
    # FLOAT64 is rounded half away from zero (DuckDB: to even), text must be an integer (DuckDB rounds '5.5').
    "LOCAL_INT64(x) AS CASE typeof(x) WHEN 'DOUBLE' THEN CAST(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
    "WHEN 'VARCHAR' THEN CASE WHEN regexp_full_match(CAST(x AS VARCHAR), "
    "'\\s*[-+]?([0-9]+|0[xX][0-9a-fA-F]+)\\s*') THEN CAST(x AS BIGINT) WHEN x IS NULL THEN NULL "
    "ELSE error('Bad int64 value: ' || CAST(x AS VARCHAR)) END ELSE CAST(x AS BIGINT) END",
    "LOCAL_SAFE_INT64(x) AS CASE typeof(x) WHEN 'DOUBLE' THEN TRY_CAST(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
    "WHEN 'VARCHAR' THEN CASE WHEN regexp_full_match(CAST(x AS VARCHAR), "
    "'\\s*[-+]?([0-9]+|0[xX][0-9a-fA-F]+)\\s*') THEN TRY_CAST(x AS BIGINT) END ELSE TRY_CAST(x AS BIGINT) END",
    # Only true and false are booleans (DuckDB takes yes, t, 1 …).
    "LOCAL_BOOL(x) AS CASE WHEN typeof(x) = 'VARCHAR' AND lower(CAST(x AS VARCHAR)) NOT IN ('true', 'false') "
    "THEN error('Bad bool value: ' || CAST(x AS VARCHAR)) ELSE CAST(x AS BOOLEAN) END",
    "LOCAL_SAFE_BOOL(x) AS CASE WHEN typeof(x) = 'VARCHAR' AND lower(CAST(x AS VARCHAR)) NOT IN ('true', 'false') "
    "THEN NULL ELSE TRY_CAST(x AS BOOLEAN) END",
    # FLOAT64 without a needless .0, the special values as BigQuery writes them.
    "LOCAL_STRING(x) AS CASE WHEN typeof(x) = 'DOUBLE' THEN CASE WHEN isnan(TRY_CAST(x AS DOUBLE)) THEN 'NaN' "
    "WHEN isinf(TRY_CAST(x AS DOUBLE)) THEN CASE WHEN TRY_CAST(x AS DOUBLE) > 0 THEN 'inf' ELSE '-inf' END "
    "ELSE regexp_replace(CAST(x AS VARCHAR), '\\.0$', '') END "
    "WHEN typeof(x) LIKE 'DECIMAL%' AND contains(CAST(x AS VARCHAR), '.') "
    "THEN rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.') ELSE CAST(x AS VARCHAR) END",
    "LOCAL_DIV(a, b) AS CASE WHEN b = 0 THEN error('division by zero: DIV(' || a || ', ' || b || ')') ELSE a // b END",
    "LOCAL_MOD(a, b) AS CASE WHEN b = 0 THEN error('division by zero: MOD(' || a || ', ' || b || ')') ELSE a % b END",
    # A function of finite arguments whose value is not finite is an error.
    "LOCAL_FINITE(name, y, x) AS CASE WHEN NOT isfinite(y) AND isfinite(CAST(x AS DOUBLE)) "
    "THEN error('Floating point error in function: ' || name) ELSE y END",
    "LOCAL_SUBSTR(x, i) AS CASE WHEN i = 0 THEN x WHEN i < -length(x) THEN x ELSE substr(x, i) END",
    "LOCAL_SUBSTR3(x, i, n) AS CASE WHEN n < 0 THEN error('Third argument in SUBSTR() cannot be negative') "
    "WHEN i = 0 THEN substr(x, 1, n) WHEN i < -length(x) THEN substr(x, 1, n) ELSE substr(x, i, n) END",
)


def repair(tree: Tree) -> Tree:
    """The tree with every known difference put right. Raises BigQueryError for those that cannot be."""
    # Inner nodes first: what is put in the place of an outer one contains the inner ones as they are by then.
    for node in reversed(list(tree.walk())):
        change = _CHANGES.get(type(node))
        made = change(node) if change else None
        if made is None:
            continue
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return _outermost(tree)


def _call(name: str, *arguments: Tree) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _array_access(node: Tree) -> Tree | None:
    """`a[OFFSET(i)]`, `a[ORDINAL(i)]` and `a[i]` outside the array are errors, SAFE_ ones NULL."""
    index = node.expressions[0] if len(node.expressions) == 1 else None
    if (
        index is None
        or node.args.get("safe")
        or isinstance(index, exp.Slice)
        or (isinstance(index, exp.Literal) and index.is_string)
    ):
        return None
    if node.args.get("offset") == 1:
        index = exp.Sub(this=exp.Paren(this=index.copy()), expression=exp.Literal.number(1))
    return _call("LOCAL_AT", node.this, index)


_CASTS = {
    exp.DType.BIGINT: ("LOCAL_INT64", "LOCAL_SAFE_INT64"),
    exp.DType.BOOLEAN: ("LOCAL_BOOL", "LOCAL_SAFE_BOOL"),
    exp.DType.TEXT: ("LOCAL_STRING", "LOCAL_STRING"),
    exp.DType.VARCHAR: ("LOCAL_STRING", "LOCAL_STRING"),
}


def _cast(node: Tree) -> Tree | None:
    names = _CASTS.get(node.to.this) if isinstance(node.to, exp.DataType) and not node.to.expressions else None
    value = node.this
    if node.args.get("format"):
        raise unimplemented("CAST with FORMAT")
    if names is None or isinstance(value, exp.Null) or (isinstance(value, exp.Literal) and value.is_int):
        return None
    return _call(names[isinstance(node, exp.TryCast)], value)


def _div(node: Tree) -> Tree | None:
    return _call("LOCAL_DIV", node.this, node.expression)


def _mod(node: Tree) -> Tree | None:
    return _call("LOCAL_MOD", node.this.unnest(), node.expression.unnest())


def _exp(node: Tree) -> Tree | None:
    return _call("LOCAL_FINITE", exp.Literal.string("EXP"), node, node.this)


def _pow(node: Tree) -> Tree | None:
    return _call(
        "LOCAL_FINITE",
        exp.Literal.string("POW"),
        node,
        exp.Add(this=node.this.copy(), expression=node.expression.copy()),
    )


def _like(node: Tree) -> Tree | None:
    """A backslash escapes % and _ in BigQuery's LIKE; DuckDB has no escape unless it is told."""
    pattern = node.expression
    if isinstance(node.parent, exp.Escape) or (isinstance(pattern, exp.Literal) and "\\" not in pattern.name):
        return None
    if not isinstance(pattern, exp.Literal):
        return None
    raise unimplemented("an escape in a LIKE pattern", "use STARTS_WITH, ENDS_WITH, STRPOS or REGEXP_CONTAINS")


def _struct(node: Tree) -> Tree | None:
    """`STRUCT(x, t.y)` names its fields x and y. bqemulator would leave them without names."""
    parts = node.expressions
    if not parts or not any(isinstance(part, exp.Column) for part in parts):
        return None
    # With an unnamed part among them the translation would give the others away; it is refused rather than guessed.
    if not all(isinstance(part, (exp.Column, exp.PropertyEQ)) for part in parts):
        raise unimplemented("a STRUCT with named and unnamed fields", "name every field with AS")
    named = [
        part.copy()
        if isinstance(part, exp.PropertyEQ)
        else exp.PropertyEQ(this=exp.to_identifier(part.parts[-1].name), expression=part.copy())
        for part in parts
    ]
    return exp.Struct(expressions=named)


def _union(node: Tree) -> Tree | None:
    """Branches whose STRUCTs have other field names: BigQuery goes by position, DuckDB by name."""
    left, right = node.left.unnest(), node.right.unnest()
    if isinstance(left, exp.Select) and isinstance(right, exp.Select):
        for one, other in zip(left.expressions, right.expressions):
            a, b = _field_names(one.unalias()), _field_names(other.unalias())
            if a and b and a != b:
                raise unimplemented("UNION of STRUCTs with different field names")
    return None


def _field_names(node: Tree) -> list[str]:
    if not isinstance(node, exp.Struct):
        return []
    return [part.name.lower() for part in node.expressions if isinstance(part, exp.PropertyEQ)]


def _substring(node: Tree) -> Tree | None:
    """Position 0 is the first character, and so is one before the start; DuckDB counts on from where it is told."""
    start, length = node.args.get("start"), node.args.get("length")
    if start is None or (
        isinstance(start, exp.Literal) and start.name != "0" and (length is None or isinstance(length, exp.Literal))
    ):
        return None
    return (
        _call("LOCAL_SUBSTR3", node.this, start, length)
        if length is not None
        else _call("LOCAL_SUBSTR", node.this, start)
    )


def _outermost(tree: Tree) -> Tree:
    """`SELECT AS STRUCT` at the top gives its fields as columns, as a plain SELECT does."""
    if isinstance(tree, exp.Select) and tree.args.get("kind"):
        if tree.args["kind"] != "STRUCT":
            raise unimplemented("SELECT AS VALUE at the top of a query")
        tree.set("kind", None)
    return tree


def _bytes(node: Tree) -> Tree | None:
    """A bytes literal that is more than plain text: DuckDB's literal takes valid UTF-8 only."""
    text = node.name
    if text.isascii() and "\\" not in text and text.isprintable():
        return None
    # The tokenizer has resolved the escapes that stand for characters and left those of bytes.
    plain = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    if b"\\" in plain:
        raise unimplemented("an octal or Unicode escape in a bytes literal", "use \\x")
    return _call("FROM_HEX", exp.Literal.string(plain.hex()))


def _current_datetime(node: Tree) -> Tree | None:
    if node.this is not None:
        raise unimplemented("CURRENT_DATETIME in a time zone")
    return exp.cast(exp.CurrentTimestamp(), "DATETIME", dialect="bigquery")


def _string(node: Tree) -> Tree | None:
    if node.args.get("zone"):
        raise unimplemented("STRING with a time zone", "use FORMAT_TIMESTAMP")
    return None


def _format(node: Tree) -> Tree | None:
    """FORMAT goes to DuckDB's printf, which knows neither %t nor BigQuery's separator of thousands."""
    pattern = node.this
    if not isinstance(pattern, exp.Literal) or re.search(r"%[^a-zA-Z%]*['tTpP]", pattern.name):
        raise unimplemented("FORMAT with %t, %T, %p or ', or with a pattern that is no literal")
    return None


def _time_format(node: Tree) -> Tree | None:
    pattern = node.args.get("format")
    if isinstance(pattern, exp.Literal) and re.search(r"%(e|-d|c)", pattern.name):
        raise unimplemented("%c or %e in a format of dates", "use %d")
    return None


_CHANGES: dict[type, Callable[[Tree], Tree | None]] = {
    **weeks.CHANGES,
    exp.ByteString: _bytes,
    exp.CurrentDatetime: _current_datetime,
    exp.String: _string,
    exp.Format: _format,
    exp.TimeToStr: _time_format,
    exp.Struct: _struct,
    exp.Union: _union,
    exp.Except: _union,
    exp.Intersect: _union,
    exp.Bracket: _array_access,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.IntDiv: _div,
    exp.Mod: _mod,
    exp.Exp: _exp,
    exp.Pow: _pow,
    exp.Like: _like,
    exp.Substring: _substring,
}


def output_names(tree: Tree) -> list[str | None]:
    """The names of a query's columns as its text says them, None for one without; [] when * stands among them."""
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    if not isinstance(tree, exp.Select) or tree.args.get("kind") == "VALUE":
        return []
    names: list[str | None] = []
    for item in tree.expressions:
        if item.is_star or isinstance(item, (exp.Star, exp.Columns)):
            return []
        names.append(_name(item))
    return names


def _name(item: Tree) -> str | None:
    if isinstance(item, exp.Alias):
        return item.alias
    if isinstance(item, exp.Paren):
        return None
    if isinstance(item, exp.Column):
        return item.parts[-1].name
    if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
        return item.expression.name
    return None

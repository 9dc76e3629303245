"""Constructs that the translation would answer differently from BigQuery, put into a form that it answers alike.

Each repair is a function on the tree of a GoogleSQL statement. What they call, the LOCAL_ functions, are the DuckDB
macros of `macros`, which hold what BigQuery's documentation says of the edge cases: bounds, rounding, types, NULL.
Calls of functions by name are the matter of `calls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from sqlglot import exp

from localgcp.bigquery import calls, nan, weeks
from localgcp.bigquery.calls import call as _call
from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.syntax import Tree


def repair(tree: Tree, has_numeric: bool = False, nan_columns: Collection[str] = ()) -> Tree:
    """The tree with every known difference put right. Raises BigQueryError for those that cannot be.

    `has_numeric` says that a value may be NUMERIC without the text saying so: a column, a parameter. `nan_columns` are
    the names, in lower case, under which the tables hold a NaN.
    """
    nodes = list(tree.walk())
    changes = dict(_CHANGES)
    has_big = any(isinstance(node, exp.DataType) and node.this == exp.DType.BIGDECIMAL for node in nodes)
    decimals = "_BIG" if has_big else "_NUM" if has_numeric or any(_names_numeric(node) for node in nodes) else ""
    if decimals:
        changes |= _BIG_CHANGES if has_big else _NUMERIC_CHANGES
    changes |= nan.changes_for(nodes, nan_columns)
    # Inner nodes first: what is put in the place of an outer one contains the inner ones as they are by then.
    for node in reversed(nodes):
        if isinstance(node, exp.Anonymous):
            made = calls.change(node, decimals)
        else:
            change = changes.get(type(node))
            made = change(node) if change else None
        if made is None or made is node:
            continue
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return _outermost(tree)


def _names_numeric(node: Tree) -> bool:
    if isinstance(node, exp.DataType):
        return bool(node.this == exp.DType.DECIMAL)
    return isinstance(node, exp.Anonymous) and node.name.upper() in ("PARSE_NUMERIC", "PARSE_BIGNUMERIC")


def _array_access(node: Tree) -> Tree | None:
    """`a[OFFSET(i)]`, `a[ORDINAL(i)]` and `a[i]` outside the array are errors, SAFE_ ones NULL."""
    index = node.expressions[0] if len(node.expressions) == 1 else None
    if index is None or node.args.get("safe") or isinstance(index, exp.Slice):
        return None
    if node.args.get("offset") == 1:
        index = exp.Sub(this=exp.Paren(this=index.copy()), expression=exp.Literal.number(1))
    return _call("LOCAL_AT", node.this, index)


_CASTS = {
    exp.DType.BIGINT: "INT64",
    exp.DType.BOOLEAN: "BOOL",
    exp.DType.TEXT: "STRING",
    exp.DType.VARCHAR: "STRING",
    exp.DType.BINARY: "BYTES",
    exp.DType.VARBINARY: "BYTES",
    exp.DType.DECIMAL: "NUMERIC",
    exp.DType.BIGDECIMAL: "BIGNUMERIC",
}
# What CAST … FORMAT reads: the parsed instant in DuckDB's type of each.
_PARSED = {
    exp.DType.DATE: "DATE",
    exp.DType.TIME: "TIME",
    exp.DType.DATETIME: "DATETIME",
    exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP",
}


def _cast(node: Tree) -> Tree | None:
    kind, value, safe = node.to, node.this, isinstance(node, exp.TryCast)
    if node.args.get("format"):
        made = _cast_with_format(value, kind, node.args["format"])
        return _call("TRY", made) if safe else made
    if not isinstance(kind, exp.DataType):
        return None
    if kind.this == exp.DType.STRUCT:
        return _named_struct(node)
    if kind.this == exp.DType.DECIMAL and kind.expressions:
        sizes = [part.this for part in kind.expressions]
        made = _call(
            "py_numeric", _call("LOCAL_NUMERIC", value), sizes[0], sizes[1] if len(sizes) > 1 else calls.number(0)
        )
        return _call("TRY", made) if safe else made
    name = _CASTS.get(kind.this) if not kind.expressions else None
    if (
        name is None
        or isinstance(value, exp.Null)
        or (name == "INT64" and isinstance(value, exp.Literal) and value.is_int)
    ):
        return None
    if name == "BIGNUMERIC" and isinstance(value, exp.Literal):
        return _big_literal(value)
    if safe and name in ("INT64", "BOOL"):
        return _call(f"LOCAL_SAFE_{name}", value)
    made = _call(f"LOCAL_{name}", value)
    return _call("TRY", made) if safe and name != "BYTES" else made


def _big_literal(value: exp.Literal) -> Tree:
    """A BIGNUMERIC literal, with as many digits behind the point as it has: DuckDB holds 38 digits in all."""
    whole, _, fraction = value.name.strip().lstrip("+-").partition(".")
    if not (whole + fraction).isdigit():
        return _call("LOCAL_BIGNUMERIC", value)
    scale = max(len(fraction), 10)
    if len(whole.lstrip("0")) + scale > 38:
        scale = max(len(fraction.rstrip("0")), 10)
    if len(whole.lstrip("0")) + scale > 38:
        raise unimplemented(f"the BIGNUMERIC {value.name}, of more than 38 digits with 10 behind the point,")
    return _call(f"LOCAL_BIG_{scale}", exp.Literal.string(value.name))


def _cast_with_format(value: Tree, kind: exp.DataType, pattern: Tree) -> Tree:
    zone: Tree = exp.Literal.string("UTC")
    if isinstance(pattern, exp.AtTimeZone):
        pattern, zone = pattern.this, pattern.args["zone"]
    if kind.this in (exp.DType.TEXT, exp.DType.VARCHAR):
        return _call("py_format_cast", pattern, value, zone)
    if kind.this in (exp.DType.BINARY, exp.DType.VARBINARY):
        return _call("py_bytes_cast", pattern, value)
    if kind.this not in _PARSED:
        raise unimplemented(f"CAST to {kind.sql(dialect='bigquery')} with FORMAT")
    made: Tree = _call("py_parse_cast", pattern, value, zone)
    if kind.this == exp.DType.TIME:
        made = exp.cast(made, "DATETIME", dialect="bigquery")
    return exp.cast(made, _PARSED[kind.this], dialect="bigquery")


def _named_struct(node: Tree) -> Tree | None:
    """`STRUCT<INT64, STRING>`: BigQuery shows fields without a name as _field_1, DuckDB cannot have any."""
    parts = node.to.expressions
    if not any(isinstance(part, exp.DataType) for part in parts):
        return None
    for place, part in enumerate(parts, 1):
        if isinstance(part, exp.DataType):
            part.replace(exp.ColumnDef(this=exp.to_identifier(f"_field_{place}"), kind=part.copy()))
    return node  # type: ignore[no-any-return]


def _like(node: Tree) -> Tree | None:
    """A backslash escapes % and _ in BigQuery's LIKE; DuckDB has no escape unless it is told."""
    pattern = node.expression
    if isinstance(node.parent, exp.Escape) or not isinstance(pattern, (exp.Literal, exp.RawString, exp.Column)):
        return None
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.name:
        return None
    return _call("LIKE_ESCAPE", node.this, pattern, exp.Literal.string("\\"))


def _binary(name: str) -> Callable[[Tree], Tree | None]:
    return lambda node: _call(name, node.this, node.expression)


def _pipe(node: Tree) -> Tree:
    sides = [
        exp.cast(exp.null(), "STRING") if isinstance(side, exp.Null) else side for side in (node.this, node.expression)
    ]
    return _call("LOCAL_PIPE", *sides)


def _of_bytes(name: str) -> Callable[[Tree], Tree | None]:
    """A bitwise operator: DuckDB has it for integers."""
    return lambda node: _call(name, node.this, node.expression) if calls.mentions_bytes(node) else None


def _subtract(node: Tree) -> Tree | None:
    """The difference of two dates is an INTERVAL in BigQuery and a number of days in DuckDB."""
    sides = (node.this, node.expression)
    if any(isinstance(side.unnest(), (exp.Literal, exp.Interval, exp.Null, exp.Neg)) for side in sides):
        return None
    return _call("LOCAL_SUBTRACT", *sides)


def _negate(node: Tree) -> Tree | None:
    return _call("LOCAL_NEGATE", node.this) if node.find(exp.Interval) else None


def _plain_aggregate(node: Tree) -> bool:
    """Whether a macro may stand for it: not over a window, of all rows, of all values."""
    return not isinstance(node.parent, (exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls)) and not isinstance(
        node.this, (exp.Distinct, exp.HavingMax, exp.Order, exp.Limit)
    )


def _average(name: str) -> Callable[[Tree], Tree | None]:
    return lambda node: _call(name, node.this) if _plain_aggregate(node) else None


def _sum(node: Tree) -> Tree | None:
    """A sum of booleans is an error in BigQuery."""
    argument = node.this
    if isinstance(argument, exp.Distinct):
        argument.set("expressions", [_call("LOCAL_NUMBER", part) for part in argument.expressions])
    elif not isinstance(argument, (exp.HavingMax, exp.Order, exp.Limit)):
        node.set("this", _call("LOCAL_NUMBER", argument))
    return None


def _net(node: Tree) -> Tree | None:
    function = node.this
    name = (function.name if isinstance(function, exp.Anonymous) else function.sql_name()).upper()
    if name not in _NET:
        raise unimplemented(f"the function NET.{name}", "it needs the list of public suffixes")
    arguments = function.expressions if isinstance(function, exp.Anonymous) else [function.this]
    return _call(f"py_net_{name.lower()}", *arguments)


_NET = {
    "HOST", "IP_FROM_STRING", "SAFE_IP_FROM_STRING", "IP_TO_STRING", "IP_NET_MASK", "IP_TRUNC", "IPV4_FROM_INT64",
    "IPV4_TO_INT64",
}  # fmt: skip


def _split(node: Tree) -> Tree | None:
    if not calls.mentions_bytes(node):
        return None
    delimiter = node.args.get("expression")
    if delimiter is None:
        raise BigQueryError(
            "No matching signature for function SPLIT for argument types: BYTES: the delimiter is missing"
        )
    return _call("py_b_split", node.this, delimiter)


def _steps(node: Tree) -> Tree | None:
    step = node.args.get("step")
    if isinstance(step, exp.Interval) or (isinstance(node.parent, exp.Unnest) and (step is None or step.is_int)):
        return None
    return _call("LOCAL_STEPS", node.args["start"], node.args["end"], step or exp.Literal.number(1))


def _instants(node: Tree) -> Tree | None:
    for bound in ("start", "end"):
        if isinstance(node.args[bound], exp.Literal):
            node.set(bound, exp.cast(node.args[bound].copy(), "TIMESTAMP", dialect="bigquery"))
    return None


def _json_literal(node: Tree) -> Tree | None:
    """`JSON '…'.a[0]`: sqlglot takes the steps for a part of the text."""
    steps: list[str] = []
    inner = node.this
    while isinstance(inner, (exp.Dot, exp.Bracket)) or (isinstance(inner, exp.Anonymous) and inner.name == "LOCAL_AT"):
        steps.append(_json_step(inner))
        inner = inner.expressions[0] if isinstance(inner, exp.Anonymous) else inner.this
    made = _call("LOCAL_JSON", inner)
    return _call("LOCAL_JSON_PART", made, exp.Literal.string("$" + "".join(reversed(steps)))) if steps else made


def _json_step(node: Tree) -> str:
    if isinstance(node, exp.Dot):
        return f'."{node.expression.name}"'
    index = node.expressions[-1]
    return f'."{index.name}"' if index.is_string else f"[{index.name}]"


def _count_if(node: Tree) -> Tree | None:
    """COUNTIF over a window is more than the translation knows."""
    if not isinstance(node.parent, exp.Window):
        return None
    return exp.Count(this=exp.If(this=node.this.copy(), true=exp.Literal.number(1)))


def _count(node: Tree) -> Tree | None:
    if isinstance(node.this, exp.Distinct) and any(isinstance(part, exp.Struct) for part in node.this.expressions):
        raise BigQueryError("Aggregate functions with DISTINCT cannot be used with arguments of type STRUCT: COUNT")
    return None


def _string_agg(node: Tree) -> Tree | None:
    if calls.mentions_bytes(node):
        raise unimplemented("STRING_AGG of BYTES")
    return None


def _array_concat_agg(node: Tree) -> Tree | None:
    if isinstance(node.this, exp.Limit):
        raise unimplemented("ARRAY_CONCAT_AGG with LIMIT")
    return None


def _ignore_nulls(node: Tree) -> Tree | None:
    if isinstance(node.this, exp.ArrayAgg) and node.find(exp.Distinct) and node.find(exp.Limit):
        raise unimplemented("ARRAY_AGG with DISTINCT, IGNORE NULLS and LIMIT", "use a subquery")
    return None


def _correlation(node: Tree) -> Tree | None:
    return (
        None if isinstance(node.parent, (exp.Window, exp.Filter)) else _call("LOCAL_CORR", node.this, node.expression)
    )


def _respect_nulls(node: Tree) -> Tree | None:
    if isinstance(node.this, (exp.PercentileCont, exp.PercentileDisc)):
        raise unimplemented("a percentile with RESPECT NULLS")
    return None


def _safe(node: Tree) -> Tree | None:
    inner = node.this
    if isinstance(inner, exp.Anonymous) and inner.name.upper() == "ERROR":
        return exp.null()
    return None


def _struct(node: Tree) -> Tree | None:
    """`STRUCT(x, t.y)` names its fields x and y. bqemulator would leave them without names."""
    parts = node.expressions
    if not parts or not any(isinstance(part, exp.Column) for part in parts):
        return None
    return exp.Struct(expressions=[_named_part(part, place) for place, part in enumerate(parts, 1)])


def _named_part(part: Tree, place: int) -> Tree:
    """With one part unnamed the translation would give the names of the others away: it gets that of its place."""
    if isinstance(part, exp.PropertyEQ):
        return part.copy()
    name = part.parts[-1].name if isinstance(part, exp.Column) else f"_field_{place}"
    return exp.PropertyEQ(this=exp.to_identifier(name), expression=part.copy())


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
    # `syntax.resolve_escapes` has left no other escapes.
    plain = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return _call("FROM_HEX", exp.Literal.string(plain.hex()))


def _current_datetime(node: Tree) -> Tree | None:
    if node.this is not None:
        raise unimplemented("CURRENT_DATETIME in a time zone")
    return exp.cast(exp.CurrentTimestamp(), "DATETIME", dialect="bigquery")


_CHANGES: dict[type, Callable[[Tree], Tree | None]] = {
    **weeks.CHANGES,
    exp.ByteString: _bytes,
    exp.CurrentDatetime: _current_datetime,
    exp.Struct: _struct,
    exp.Union: _union,
    exp.Except: _union,
    exp.Intersect: _union,
    exp.Bracket: _array_access,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.DPipe: _pipe,
    exp.BitwiseLeftShift: _binary("LOCAL_SHIFT_LEFT"),
    exp.BitwiseRightShift: _binary("LOCAL_SHIFT_RIGHT"),
    exp.BitwiseAnd: _of_bytes("LOCAL_BIT_AND"),
    exp.BitwiseOr: _of_bytes("LOCAL_BIT_OR"),
    exp.BitwiseXor: _of_bytes("LOCAL_BIT_XOR"),
    exp.Sub: _subtract,
    exp.Neg: _negate,
    exp.Sum: _sum,
    exp.NetFunc: _net,
    exp.Split: _split,
    exp.GenerateSeries: _steps,
    exp.GenerateTimestampArray: _instants,
    exp.ParseJSON: _json_literal,
    exp.CountIf: _count_if,
    exp.Count: _count,
    exp.GroupConcat: _string_agg,
    exp.ArrayConcatAgg: _array_concat_agg,
    exp.IgnoreNulls: _ignore_nulls,
    exp.Corr: _correlation,
    exp.RespectNulls: _respect_nulls,
    exp.SafeFunc: _safe,
    exp.Like: _like,
}


_NUMERIC_CHANGES: dict[type, Callable[[Tree], Tree | None]] = {
    exp.Div: _binary("LOCAL_DIVIDE_NUM"),
    exp.Mul: _binary("LOCAL_MULTIPLY_NUM"),
    exp.Avg: _average("LOCAL_AVG_NUM"),
}
_BIG_CHANGES: dict[type, Callable[[Tree], Tree | None]] = {
    exp.Div: _binary("LOCAL_DIVIDE_BIG"),
    exp.Mul: _binary("LOCAL_MULTIPLY_BIG"),
    exp.Avg: _average("LOCAL_AVG_BIG"),
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

"""Calls of functions that DuckDB answers differently, put in the place of which come macros of this package.

The parser leaves the names of OWN as they are written; `change` turns such a call into one of LOCAL_…, or back into
what the translation knows where that is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import sqlglot
from sqlglot import exp

from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.syntax import OWN, Tree
from localgcp.bigquery.weeks import week_offset


def call(name: str, *arguments: Tree) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def number(value: int) -> Tree:
    return exp.Literal.number(value)


def change(node: exp.Anonymous, decimals: str) -> Tree | None:
    """The call in another form; None when it is none of these. `decimals` is _BIG where a BIGNUMERIC may be, "
    "_NUM where a NUMERIC may."""
    name = str(node.this).upper()
    make = _CALLS.get(name)
    if make is None:
        return None
    if isinstance(make, str):
        positional(node)
        if name in _OF_TEXT:
            _type_nulls(node)
        return call(make + decimals if make in _OF_DECIMALS else make, *node.expressions)
    made = make(node, name)
    if isinstance(made, exp.Anonymous) and made.name in _OF_DECIMALS:
        made.set("this", made.name + decimals)
    return made


def _type_nulls(node: exp.Anonymous) -> None:
    """NULL has no type by which an overload could be chosen: of STRING and BYTES it is STRING."""
    for argument in node.expressions:
        if isinstance(argument, exp.Null):
            argument.replace(exp.cast(exp.null(), "STRING", dialect="bigquery"))


def positional(node: exp.Anonymous) -> None:
    for argument in node.expressions:
        if isinstance(argument, exp.Kwarg):
            raise BigQueryError(f"Named argument {argument.this.name} not found in signature for function {node.name}")


def _named(node: exp.Anonymous, *names: str) -> tuple[list[Tree], dict[str, Tree]]:
    """The arguments by position and by name. Raises BigQueryError for a name that the function does not have."""
    named = {}
    for argument in node.expressions:
        if isinstance(argument, exp.Kwarg):
            key = argument.this.name.lower()
            if key not in names:
                raise BigQueryError(f"Named argument {key} not found in signature for function {node.name}")
            named[key] = argument.expression
    return [argument for argument in node.expressions if not isinstance(argument, exp.Kwarg)], named


def _typed(node: exp.Anonymous, name: str) -> Tree:
    """The node that sqlglot makes of such a call, for what the translation answers rightly."""
    return sqlglot.parse_one(
        exp.Anonymous(this=name, expressions=node.expressions).sql(dialect="bigquery"), read="bigquery"
    )


# Conversions of text


def _format(node: exp.Anonymous, _: str) -> Tree:
    pattern, *arguments = node.expressions
    typed = [part for argument in arguments for part in (call("TYPEOF", argument), call("LOCAL_ARGUMENT", argument))]
    return call("py_format", pattern, *typed)


# Elements that DuckDB's strftime writes as BigQuery does.
_NATIVE = re.compile(r"(?:%[YmdHMSjBbAapyI]|[^%])*")


def _format_moment(node: exp.Anonymous, name: str) -> Tree:
    """Text that DuckDB writes alike goes to DuckDB, which is many times as fast."""
    pattern = node.expressions[0]
    kind = {"FORMAT_DATE": "DATE", "FORMAT_TIME": "TIME", "FORMAT_DATETIME": "DATETIME"}.get(name, "TIMESTAMP")
    value = node.expressions[1]
    if isinstance(value, (exp.Literal, exp.Null)):
        value = exp.cast(value.copy(), kind, dialect="bigquery")
    if (
        len(node.expressions) == 2
        and kind == "DATE"
        and isinstance(pattern, exp.Literal)
        and _NATIVE.fullmatch(pattern.name)
    ):
        return call("LOCAL_STRFTIME", value, pattern)
    return call("LOCAL_FORMATTED", pattern, value, *node.expressions[2:])


_PARSED = {"PARSE_DATE": "DATE", "PARSE_TIME": "TIME", "PARSE_DATETIME": "TIMESTAMP", "PARSE_TIMESTAMP": "INSTANT"}


def _parse_moment(node: exp.Anonymous, name: str) -> Tree:
    return call(f"LOCAL_PARSED_{_PARSED[name]}", *node.expressions)


def _concat(node: exp.Anonymous, _: str) -> Tree:
    _type_nulls(node)
    made, *rest = [
        argument
        if isinstance(argument, (exp.Literal, exp.ByteString)) and argument.is_string
        else call("LOCAL_JOINED", argument)
        for argument in node.expressions
    ]
    for argument in rest:
        made = call("LOCAL_JOIN", made, argument)
    return made.copy() if not rest else made


def _has_bytes(node: exp.Anonymous) -> bool:
    return any(mentions_bytes(argument) for argument in node.expressions)


def mentions_bytes(node: Tree) -> bool:
    """Whether a bytes literal is in it, by now perhaps as the FROM_HEX that `repairs` makes of it."""
    return any(
        isinstance(part, exp.ByteString) or (isinstance(part, exp.Anonymous) and part.name == "FROM_HEX")
        for part in node.walk()
    )


def _regexp(node: exp.Anonymous, name: str) -> Tree:
    """Of BYTES by Python, of STRING by DuckDB, whose regular expressions are BigQuery's RE2."""
    pattern = node.expressions[1] if len(node.expressions) > 1 else None
    if name in ("REGEXP_EXTRACT", "REGEXP_SUBSTR") and isinstance(pattern, (exp.Literal, exp.RawString)):
        groups = len(re.findall(r"(?<!\\)\((?!\?)", re.sub(r"\[[^\]]*\]", "", pattern.name)))
        if groups > 1:
            raise BigQueryError("Regular expression has more than 1 capturing group.")
    if not _has_bytes(node):
        return _typed(node, name)
    if len(node.expressions) > (3 if name == "REGEXP_REPLACE" else 2):
        raise unimplemented(f"{name} of BYTES with a position")
    return call(
        {
            "REGEXP_CONTAINS": "py_b_contains",
            "REGEXP_REPLACE": "py_b_regexp_replace",
            "REGEXP_EXTRACT": "py_b_regexp_extract",
            "REGEXP_SUBSTR": "py_b_regexp_extract",
        }[name],
        *node.expressions,
    )


def _edit_distance(node: exp.Anonymous, _: str) -> Tree:
    arguments, named = _named(node, "max_distance")
    return call("py_edit_distance", *arguments, named.get("max_distance", exp.null()))


def _array_to_string(node: exp.Anonymous, name: str) -> Tree:
    return call("LOCAL_ARRAY_TO_STRING", *node.expressions) if _has_bytes(node) else _typed(node, name)


def _collate(node: exp.Anonymous, _: str) -> Tree:
    if len(node.expressions) == 2 and isinstance(node.expressions[1], exp.Literal) and not node.expressions[1].name:
        return node.expressions[0].copy()
    raise unimplemented("COLLATE")


# JSON


def _path(node: exp.Anonymous, place: int = 1) -> Tree:
    """A JSONPath in DuckDB's form, which knows ."name" and no ['name']."""
    if len(node.expressions) <= place:
        return text("$")
    path = node.expressions[place]
    if not isinstance(path, exp.Literal):
        return path
    written = re.sub(r"""\[(?:'([^']*)'|"([^"]*)")\]""", lambda found: f'."{found[1] or found[2] or ""}"', path.name)
    if not re.fullmatch(r"""\$(?:\.(?:"[^"]*"|[^.\["']+)|\[\d+\])*""", written):
        raise BigQueryError(f"Invalid JSONPath: {path.name}")
    return text(written)


def _json_part(macro: str) -> Callable[[exp.Anonymous, str], Tree]:
    return lambda node, _: call(macro, node.expressions[0], _path(node))


def _json_keys(node: exp.Anonymous, _: str) -> Tree:
    arguments, named = _named(node, "mode")
    return call(
        "py_json_keys",
        arguments[0],
        arguments[1] if len(arguments) > 1 else exp.null(),
        named.get("mode", exp.null()),
    )


def _json_of(value: Tree) -> Tree:
    return call("py_to_json", call("TYPEOF", value), value, exp.false())


def _json_object(node: exp.Anonymous, _: str) -> Tree:
    arguments = node.expressions
    if not arguments:
        return call("LOCAL_JSON", text("{}"))
    if len(arguments) == 2 and isinstance(arguments[0], (exp.Array, exp.Column)):
        values = exp.Anonymous(
            this="LIST_TRANSFORM",
            expressions=[
                arguments[1].copy(),
                exp.Lambda(this=_json_of(exp.column("e")), expressions=[exp.to_identifier("e")]),
            ],
        )
        return call("py_json_object_of", arguments[0], values)
    pairs = [part if place % 2 == 0 else _json_of(part) for place, part in enumerate(arguments)]
    return call("py_json_object", *pairs)


def _json_set(node: exp.Anonymous, _: str) -> Tree:
    (document, *changes), named = _named(node, "create_if_missing")
    values = [part if place % 2 == 0 else _json_of(part) for place, part in enumerate(changes)]
    return call("py_json_set", document, named.get("create_if_missing", exp.true()), *values)


def _json_remove(node: exp.Anonymous, _: str) -> Tree:
    return call("py_json_remove", *node.expressions)


def _json_strip(node: exp.Anonymous, _: str) -> Tree:
    (document, *path), named = _named(node, "include_arrays", "remove_empty")
    null = exp.null()
    return call(
        "py_json_strip_nulls",
        document,
        path[0] if path else null,
        named.get("include_arrays", null),
        named.get("remove_empty", null),
    )


def _json_array(function: str, option: str) -> Callable[[exp.Anonymous, str], Tree]:
    def make(node: exp.Anonymous, _: str) -> Tree:
        (document, *changes), named = _named(node, option)
        each = named.get(option, exp.true())
        parts: list[Tree] = []
        for path, value in zip(changes[::2], changes[1::2]):
            is_array = exp.and_(call("LOCAL_IS_ARRAY", value), each.copy())
            parts += [path, _json_of(value), is_array]
        return call(function, document, *parts)

    return make


def _parse_json(node: exp.Anonymous, _: str) -> Tree:
    arguments, named = _named(node, "wide_number_mode")
    return call("py_parse_json", arguments[0], named.get("wide_number_mode", exp.null()))


def _to_json(node: exp.Anonymous, _: str) -> Tree:
    arguments, named = _named(node, "stringify_wide_numbers")
    value = arguments[0]
    return call("py_to_json", call("TYPEOF", value), value, named.get("stringify_wide_numbers", exp.false()))


def _to_json_string(node: exp.Anonymous, _: str) -> Tree:
    arguments, named = _named(node, "pretty_print")
    pretty = arguments[1] if len(arguments) > 1 else named.get("pretty_print", exp.false())
    return call("py_to_json_string", call("TYPEOF", arguments[0]), arguments[0], pretty)


# The rest


def _array_of(macro: str) -> Callable[[exp.Anonymous, str], Tree]:
    def make(node: exp.Anonymous, _: str) -> Tree:
        return call(macro, exp.Array(expressions=[argument.copy() for argument in node.expressions]))

    return make


def _array_concat(node: exp.Anonymous, _: str) -> Tree:
    made, *rest = node.expressions
    for argument in rest:
        made = call("LOCAL_ARRAY_CONCAT", made, argument)
    return made.copy() if not rest else made


def _last_day(node: exp.Anonymous, _: str) -> Tree | None:
    day = node.expressions[0]
    unit = node.expressions[1] if len(node.expressions) > 1 else exp.var("MONTH")
    week = week_offset(unit)
    if week is not None:
        return call("LOCAL_LAST_OF_WEEK", day, number(week))
    name = unit.name.upper()
    if name == "ISOYEAR":
        return call("LOCAL_LAST_OF_ISOYEAR", day)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(name)
    if months is None:
        raise BigQueryError(f"A valid date part name is required but found {name}")
    return call("LOCAL_LAST_OF", day, text(name.lower()), number(months))


def _time_diff(node: exp.Anonymous, _: str) -> Tree:
    first, second, unit = node.expressions
    return call("LOCAL_TIME_DIFF", first, second, text(unit.name.lower()))


def _as(kind: str) -> Callable[[exp.Anonymous, str], Tree]:
    """`BOOL(JSON …)` and its kind."""
    return lambda node, _: call(f"py_json_{kind.lower()}", *node.expressions)


def _range(node: exp.Anonymous, _: str) -> Tree | None:
    """A bound of NULL has the type of the other."""
    kinds = [bound.to for bound in node.expressions if isinstance(bound, exp.Cast)]
    for bound in node.expressions:
        if isinstance(bound, exp.Null):
            if not kinds:
                raise unimplemented("a RANGE with a bound of NULL without a type", "write CAST(NULL AS DATE)")
            bound.replace(exp.cast(exp.null(), kinds[0].copy()))
    return None


def _is_range(node: Tree) -> bool:
    if isinstance(node, exp.Cast):
        return bool(node.to.this == exp.DType.RANGE)
    return isinstance(node, exp.Anonymous) and node.name.upper() in (
        "RANGE",
        "RANGE_INTERSECT",
        "LOCAL_RANGE_INTERSECT",
    )


def _range_contains(node: exp.Anonymous, _: str) -> Tree:
    """The second argument is a range when the text says so, and else a date or time."""
    return call("LOCAL_RANGE_CONTAINS" if _is_range(node.expressions[1]) else "LOCAL_RANGE_HOLDS", *node.expressions)


def _as_text(node: exp.Anonymous, name: str) -> Tree:
    """Well-known text as BigQuery writes it, POINT(1 2)."""
    plain = exp.Anonymous(this=name, expressions=node.expressions)
    return call("REGEXP_REPLACE", plain, text("([A-Z]) [(]"), text("\\1("), text("g"))


def _log(node: exp.Anonymous, _: str) -> Tree:
    return call(f"LOCAL_{'LOG' if len(node.expressions) == 1 else 'LOG2'}", *node.expressions)


def _type_name(node: exp.Anonymous, _: str) -> Tree:
    return call("LOCAL_TYPE_NAME", call("TYPEOF", node.expressions[0]))


def _null_if_zero(node: exp.Anonymous, _: str) -> Tree:
    return exp.Nullif(this=node.expressions[0].copy(), expression=number(0))


def _zero_if_null(node: exp.Anonymous, _: str) -> Tree:
    return exp.Coalesce(this=node.expressions[0].copy(), expressions=[number(0)])


def _trigonometry(names: str) -> dict[str, str]:
    return {name: f"LOCAL_{name}" for name in names.split()}


_OF_DECIMALS = {
    f"LOCAL_{name}" for name in "ROUND TRUNC CEIL FLOOR SIGN SQRT EXP LN LOG LOG2 LOG10 POW DIV MOD SAFE_DIVIDE".split()
}
_OF_TEXT = set(
    "UPPER LOWER REVERSE LEFT RIGHT LPAD RPAD REPEAT REPLACE STARTS_WITH ENDS_WITH STRPOS INSTR SUBSTR SUBSTRING TRIM "
    "LTRIM RTRIM TO_CODE_POINTS".split()
)
_CALLS: dict[str, str | Callable[[exp.Anonymous, str], Tree | None]] = {
    **_trigonometry("SIN COS TAN ACOS ASIN ACOSH ATANH COSH SINH COT CSC COTH CSCH"),
    **{name: f"LOCAL_{name}" for name in "ROUND TRUNC CEIL FLOOR SIGN SQRT EXP LN LOG10 POW DIV MOD".split()},
    "CEILING": "LOCAL_CEIL",
    "POWER": "LOCAL_POW",
    "LOG": _log,
    "SAFE_DIVIDE": "LOCAL_SAFE_DIVIDE",
    "GREATEST": _array_of("LOCAL_GREATEST"),
    "LEAST": _array_of("LOCAL_LEAST"),
    "BIT_COUNT": "LOCAL_BIT_COUNT",
    **{
        name: f"LOCAL_{name}"
        for name in (
            "UPPER LOWER REVERSE LEFT RIGHT LPAD RPAD REPEAT REPLACE STARTS_WITH ENDS_WITH STRPOS INSTR "
            "SUBSTR TRIM LTRIM RTRIM UNICODE CHR TO_CODE_POINTS INITCAP ARRAY_SLICE UNIX_SECONDS UNIX_MILLIS "
            "DATE_BUCKET DATETIME_BUCKET TIMESTAMP_BUCKET JUSTIFY_INTERVAL "
        ).split()
    },
    "SUBSTRING": "LOCAL_SUBSTR",
    "ASCII": "py_ascii",
    "CODE_POINTS_TO_STRING": "py_codes_text",
    "CODE_POINTS_TO_BYTES": "py_codes_bytes",
    "FROM_HEX": "py_from_hex",
    "SAFE_CONVERT_BYTES_TO_STRING": "py_safe_text",
    "CONTAINS_SUBSTR": "py_contains_substr",
    "FARM_FINGERPRINT": "py_fingerprint",
    "JSON_TYPE": "py_json_type",
    "LAX_BOOL": "py_lax_bool",
    "LAX_INT64": "py_lax_int64",
    "LAX_FLOAT64": "py_lax_float64",
    "LAX_STRING": "py_lax_string",
    "CONCAT": _concat,
    "REGEXP_CONTAINS": _regexp,
    "REGEXP_REPLACE": _regexp,
    "REGEXP_EXTRACT": _regexp,
    "REGEXP_SUBSTR": _regexp,
    "EDIT_DISTANCE": _edit_distance,
    "ARRAY_TO_STRING": _array_to_string,
    "ARRAY_CONCAT": _array_concat,
    "COLLATE": _collate,
    "FORMAT": _format,
    **dict.fromkeys(("FORMAT_DATE", "FORMAT_TIME", "FORMAT_DATETIME", "FORMAT_TIMESTAMP"), _format_moment),
    **dict.fromkeys(_PARSED, _parse_moment),
    "STRING": "LOCAL_TEXT",
    "LAST_DAY": _last_day,
    "TIME_DIFF": _time_diff,
    "JSON_QUERY": _json_part("LOCAL_JSON_PART"),
    "JSON_EXTRACT": _json_part("LOCAL_JSON_PART"),
    "JSON_VALUE": _json_part("LOCAL_JSON_SCALAR"),
    "JSON_EXTRACT_SCALAR": _json_part("LOCAL_JSON_SCALAR"),
    "JSON_QUERY_ARRAY": _json_part("LOCAL_JSON_PARTS"),
    "JSON_EXTRACT_ARRAY": _json_part("LOCAL_JSON_PARTS"),
    "JSON_VALUE_ARRAY": _json_part("LOCAL_JSON_SCALARS"),
    "JSON_EXTRACT_STRING_ARRAY": _json_part("LOCAL_JSON_SCALARS"),
    "JSON_KEYS": _json_keys,
    "JSON_OBJECT": _json_object,
    "JSON_SET": _json_set,
    "JSON_REMOVE": _json_remove,
    "JSON_STRIP_NULLS": _json_strip,
    "JSON_ARRAY_APPEND": _json_array("py_json_array_append", "append_each_element"),
    "JSON_ARRAY_INSERT": _json_array("py_json_array_insert", "insert_each_element"),
    "PARSE_JSON": _parse_json,
    "TO_JSON": _to_json,
    "TO_JSON_STRING": _to_json_string,
    "BOOL": _as("BOOL"),
    "INT64": _as("INT64"),
    "FLOAT64": _as("FLOAT64"),
    "PARSE_NUMERIC": "py_parse_decimal",
    "PARSE_BIGNUMERIC": "py_parse_decimal_big",
    "RANGE_OVERLAPS": "LOCAL_RANGE_OVERLAPS",
    "RANGE_INTERSECT": "LOCAL_RANGE_INTERSECT",
    "RANGE_CONTAINS": _range_contains,
    "RANGE": _range,
    "ST_ASTEXT": _as_text,
    "TYPEOF": _type_name,
    "NULLIFZERO": _null_if_zero,
    "ZEROIFNULL": _zero_if_null,
    "APPROX_TOP_COUNT": "LOCAL_TOP_COUNT",
    "APPROX_TOP_SUM": "LOCAL_TOP_SUM",
}
assert set(_CALLS) == set(OWN), set(_CALLS) ^ set(OWN)

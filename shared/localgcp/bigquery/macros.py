"""DuckDB macros behind the repairs: one name for each function, one overload for each type that it treats apart.

The overload is chosen by the types that DuckDB finds, so a column and a literal are answered alike. What fails calls
py_fail: DuckDB's own error() may not stand in TRY, which SAFE. is translated to.

DuckDB chooses before it knows the types of aggregates and of columns from around. With two overloads of given types it
then fails, and `Session.run_duckdb` takes the macro without types; so none may have a single one beside an untyped one.
"""

from __future__ import annotations

import re


def _fails(name: str) -> str:
    return f"py_fail('Floating point error in function: {name}')"


def _bounded(name: str, condition: str, value: str) -> str:
    """A FLOAT64 function that fails outside its domain."""
    return f"LOCAL_{name}(x) AS CASE WHEN {condition} THEN {_fails(name)} ELSE {value} END"


def _finite(name: str, value: str) -> str:
    """A FLOAT64 function that fails where a finite argument gives no finite value."""
    return (
        f"LOCAL_{name}(x) AS CASE WHEN isfinite(CAST(x AS DOUBLE)) AND NOT isfinite({value}) THEN {_fails(name)} "
        f"ELSE {value} END"
    )


def _never(name: str) -> str:
    """Sine and its kind: DuckDB fails for infinity, BigQuery gives NaN."""
    return (
        f"LOCAL_{name}(x) AS CASE WHEN isinf(CAST(x AS DOUBLE)) THEN CAST('NaN' AS DOUBLE) "
        f"ELSE {name.lower()}(CASE WHEN isinf(CAST(x AS DOUBLE)) THEN 0 ELSE x END) END"
    )


_TRIGONOMETRY = (
    *(_never(name) for name in ("SIN", "COS", "TAN")),
    _bounded("ACOS", "abs(x) > 1", "acos(CASE WHEN abs(x) > 1 THEN 0 ELSE x END)"),
    _bounded("ASIN", "abs(x) > 1", "asin(CASE WHEN abs(x) > 1 THEN 0 ELSE x END)"),
    _bounded("ACOSH", "x < 1", "acosh(x)"),
    _bounded("ATANH", "abs(x) >= 1", "atanh(CASE WHEN abs(x) >= 1 THEN 0 ELSE x END)"),
    _finite("COSH", "cosh(x)"),
    _finite("SINH", "sinh(x)"),
    *(
        _bounded(name, "x = 0", f"{over} / {under}(CASE WHEN x = 0 THEN 1 ELSE x END)")
        for name, over, under in (
            ("COT", "1.0::DOUBLE", "tan"),
            ("CSC", "1.0::DOUBLE", "sin"),
            ("COTH", "1.0::DOUBLE", "tanh"),
            ("CSCH", "1.0::DOUBLE", "sinh"),
        )
    ),
)


def _numbers(suffix: str, kind: str) -> tuple[str, ...]:
    """Functions with a NUMERIC value of NUMERIC arguments, FLOAT64 of the others; for BIGNUMERIC under their own names.

    DuckDB takes all DECIMALs for one type when it chooses an overload.
    """
    decimal = "py_decimal_big" if suffix == "_BIG" else "py_decimal"

    def both(name: str, of_decimal: str, of_float: str, arguments: str = "x") -> str:
        names = [argument.strip() for argument in arguments.split(",")]
        signature = lambda type_: ", ".join(f"{one} {type_}" for one in names)  # noqa: E731
        return (
            f"LOCAL_{name}{suffix}({signature('BIGINT')}) AS {of_float}, ({signature('HUGEINT')}) AS {of_float}, "
            f"({signature('DOUBLE')}) AS {of_float}, ({signature(kind)}) AS {of_decimal}"
        )

    rounded = f"CAST(round(x) AS {kind})"
    return (
        f"LOCAL_ROUND{suffix}(x BIGINT) AS CAST(x AS DOUBLE), (x DOUBLE) AS round(x), (x {kind}) AS {rounded}, "
        f"(x BIGINT, n BIGINT) AS round(CAST(x AS DOUBLE), CAST(n AS INTEGER)), "
        f"(x DOUBLE, n BIGINT) AS round(x, CAST(n AS INTEGER)), "
        f"(x {kind}, n BIGINT) AS CAST(py_round_decimal(x, n, 'ROUND_HALF_AWAY_FROM_ZERO') AS {kind}), "
        f"(x {kind}, n BIGINT, mode VARCHAR) AS CAST(py_round_decimal(x, n, mode) AS {kind})",
        f"LOCAL_TRUNC{suffix}(x BIGINT) AS CAST(x AS DOUBLE), (x DOUBLE) AS trunc(x), "
        f"(x {kind}) AS CAST(trunc(x) AS {kind}), "
        f"(x BIGINT, n BIGINT) AS LOCAL_TRUNC_AT(CAST(x AS DOUBLE), n), (x DOUBLE, n BIGINT) AS LOCAL_TRUNC_AT(x, n), "
        f"(x {kind}, n BIGINT) AS CAST(py_round_decimal(x, n, 'TRUNC') AS {kind})",
        *(
            f"LOCAL_{name}{suffix}(x BIGINT) AS CAST(x AS DOUBLE), (x DOUBLE) AS {call}(x), "
            f"(x {kind}) AS CAST({call}(x) AS {kind})"
            for name, call in (("CEIL", "ceil"), ("FLOOR", "floor"))
        ),
        f"LOCAL_SIGN{suffix}(x BIGINT) AS CAST(sign(x) AS BIGINT), (x DOUBLE) AS CASE WHEN isnan(x) THEN x "
        f"ELSE CAST(sign(x) AS DOUBLE) END, (x {kind}) AS CAST(sign(x) AS {kind})",
        both("SQRT", f"{decimal}('SQRT', x)", f"CASE WHEN x < 0 THEN {_fails('SQRT')} ELSE sqrt(abs(x)) END"),
        both("EXP", f"{decimal}('EXP', x)", "LOCAL_FINITE('EXP', exp(x), x)"),
        both(
            "LN",
            f"{decimal}('LN', x)",
            f"CASE WHEN x <= 0 THEN {_fails('LN')} ELSE ln(CASE WHEN x <= 0 THEN 1 ELSE x END) END",
        ),
        both(
            "LOG",
            f"{decimal}('LN', x)",
            f"CASE WHEN x <= 0 THEN {_fails('LOG')} ELSE ln(CASE WHEN x <= 0 THEN 1 ELSE x END) END",
        ),
        both(
            "DIV",
            f"{decimal}('DIV', x, y)",
            "CASE WHEN y = 0 THEN py_fail('division by zero: DIV') ELSE x // y END",
            "x, y",
        ),
        both(
            "MOD",
            f"{decimal}('MOD', x, y)",
            "CASE WHEN y = 0 THEN py_fail('division by zero: MOD') ELSE x % y END",
            "x, y",
        ),
        both(
            "LOG10",
            f"{decimal}('LOG10', x)",
            f"CASE WHEN x <= 0 THEN {_fails('LOG10')} ELSE log10(CASE WHEN x <= 0 THEN 1 ELSE x END) END",
        ),
        both("LOG2", f"{decimal}('LOG', x, b)", "LOCAL_LOG_OF(x, b)", "x, b"),
        both("POW", f"{decimal}('POW', x, y)", "LOCAL_POWER(x, y)", "x, y"),
        both(
            "DIVIDE",
            f"{decimal}('DIVIDE', x, y)",
            "CASE WHEN y = 0 THEN py_fail('division by zero: ' || x || ' / ' || y) ELSE x / y END",
            "x, y",
        ),
        both(
            "SAFE_DIVIDE",
            f"CASE WHEN y <> 0 THEN {decimal}('DIVIDE', x, CASE WHEN y = 0 THEN 1 ELSE y END) END",
            "CASE WHEN y <> 0 THEN x * 1.0::DOUBLE / y END",
            "x, y",
        ),
        f"LOCAL_MULTIPLY{suffix}(x {kind}, y {kind}) AS CAST(x * y AS {kind}), (x BIGINT, y BIGINT) AS x * y, "
        "(x HUGEINT, y HUGEINT) AS x * y, (x DOUBLE, y DOUBLE) AS x * y, (x, y) AS x * y",
        f"LOCAL_AVG{suffix}(x {kind}) AS CASE WHEN count(x) > 0 THEN {decimal}('DIVIDE', CAST(sum(x) AS {kind}), "
        f"CAST(greatest(count(x), 1) AS {kind})) END, (x DOUBLE) AS avg(x), (x) AS avg(x)",
    )


def _floats() -> tuple[str, ...]:
    """The same where no NUMERIC can be: every number becomes a FLOAT64."""
    x = "(x * 1.0::DOUBLE)"
    return (
        f"LOCAL_ROUND(x) AS round{x}, (x, n) AS round({x}, CAST(n AS INTEGER))",
        f"LOCAL_TRUNC(x) AS trunc{x}, (x, n) AS LOCAL_TRUNC_AT({x}, n)",
        f"LOCAL_CEIL(x) AS ceil{x}",
        f"LOCAL_FLOOR(x) AS floor{x}",
        "LOCAL_SIGN(x BIGINT) AS CAST(sign(x) AS BIGINT), (x HUGEINT) AS CAST(sign(x) AS BIGINT), "
        "(x DOUBLE) AS CASE WHEN isnan(x) THEN x ELSE CAST(sign(x) AS DOUBLE) END",
        f"LOCAL_SQRT(x) AS CASE WHEN x < 0 THEN {_fails('SQRT')} ELSE sqrt(abs{x}) END",
        f"LOCAL_EXP(x) AS LOCAL_FINITE('EXP', exp{x}, x)",
        *(
            f"LOCAL_{name}(x) AS CASE WHEN x <= 0 THEN {_fails(name)} ELSE {call}(CASE WHEN x <= 0 THEN 1 ELSE "
            f"{x} END) END"
            for name, call in (("LN", "ln"), ("LOG", "ln"), ("LOG10", "log10"))
        ),
        "LOCAL_LOG2(x, b) AS LOCAL_LOG_OF(x * 1.0::DOUBLE, b)",
        "LOCAL_POW(x, y) AS LOCAL_POWER(x * 1.0::DOUBLE, y * 1.0::DOUBLE)",
        "LOCAL_DIV(a, b) AS CASE WHEN b = 0 THEN py_fail('division by zero: DIV(' || a || ', ' || b || ')') "
        "ELSE a // b END",
        "LOCAL_MOD(a, b) AS CASE WHEN b = 0 THEN py_fail('division by zero: MOD(' || a || ', ' || b || ')') "
        "ELSE a % b END",
        "LOCAL_SAFE_DIVIDE(x, y) AS CASE WHEN y <> 0 THEN x * 1.0::DOUBLE / y END",
    )


_MATHEMATICS = (
    *_TRIGONOMETRY,
    "LOCAL_TRUNC_AT(x, n) AS trunc(x * pow(10.0::DOUBLE, n)) / pow(10.0::DOUBLE, n)",
    f"LOCAL_LOG_OF(x, b) AS CASE WHEN x <= 0 OR b <= 0 OR b = 1 THEN {_fails('LOG')} ELSE "
    "CASE WHEN b = 2 THEN log2(greatest(x, 1e-320)) WHEN b = 10 THEN log10(greatest(x, 1e-320)) ELSE "
    "ln(greatest(x, 1e-320)) / ln(CASE WHEN b <= 0 OR b = 1 THEN 2 ELSE b END) END END",
    # A function of finite arguments whose value is not finite is an error.
    "LOCAL_FINITE(name, y, x) AS CASE WHEN NOT isfinite(y) AND isfinite(CAST(x AS DOUBLE)) "
    "THEN py_fail('Floating point error in function: ' || name) ELSE y END",
    "LOCAL_FINITE2(name, v, x, y) AS CASE WHEN NOT isfinite(v) AND isfinite(CAST(x AS DOUBLE)) AND "
    "isfinite(CAST(y AS DOUBLE)) THEN py_fail('Floating point error in function: ' || name) ELSE v END",
    "LOCAL_POWER(x, y) AS CASE WHEN x = 1 THEN 1.0::DOUBLE ELSE LOCAL_FINITE2('POW', pow(x, y), x, y) END",
    *_floats(),
    *_numbers("_NUM", "DECIMAL(38,9)"),
    *_numbers("_BIG", "DECIMAL(38,10)"),
    # NULL when one is NULL, NaN when one is NaN.
    *(
        f"LOCAL_{name}(l DOUBLE[]) AS CASE WHEN list_bool_or(list_transform(l, e -> e IS NULL)) THEN NULL "
        f"WHEN list_bool_or(list_transform(l, e -> isnan(e))) THEN CAST('NaN' AS DOUBLE) ELSE {call}(l) END, "
        + ", ".join(
            f"(l {kind}) AS CASE WHEN list_bool_or(list_transform(l, e -> e IS NULL)) THEN NULL ELSE {call}(l) END"
            for kind in ("BIGINT[]", "HUGEINT[]", "DECIMAL(38,9)[]")
        )
        + f", (l) AS CASE WHEN list_bool_or(list_transform(l, e -> e IS NULL)) THEN NULL ELSE {call}(l) END"
        for name, call in (("GREATEST", "list_max"), ("LEAST", "list_min"))
    ),
    # NaN is in no order with any number, and equals none; DuckDB takes it for the largest.
    *(
        f"LOCAL_{name}(a DOUBLE, b DOUBLE) AS a {operator} b AND NOT isnan(a) AND NOT isnan(b), "
        f"(a BIGINT, b BIGINT) AS a {operator} b, (a, b) AS a {operator} b"
        for name, operator in (("EQ", "="), ("LT", "<"), ("LTE", "<="), ("GT", ">"), ("GTE", ">="))
    ),
    "LOCAL_NEQ(a DOUBLE, b DOUBLE) AS a <> b OR isnan(a) OR isnan(b), (a BIGINT, b BIGINT) AS a <> b, (a, b) AS a <> b",
    "LOCAL_MIN(x DOUBLE) AS CASE WHEN bool_or(isnan(x)) THEN CAST('NaN' AS DOUBLE) ELSE min(x) END, (x BIGINT) "
    "AS min(x), (x) AS min(x)",
    "LOCAL_NAN_FIRST(x DOUBLE) AS CASE WHEN x IS NULL THEN -1 WHEN isnan(x) THEN 0 ELSE 1 END, (x BIGINT) AS "
    "CASE WHEN x IS NULL THEN -1 ELSE 1 END, (x) AS CASE WHEN x IS NULL THEN -1 ELSE 1 END",
    "LOCAL_CORR(y, x) AS CASE WHEN count(x + y) > 1 THEN corr(y, x) END",
    "LOCAL_NUMBER(x BOOLEAN) AS py_fail('No matching signature for aggregate function SUM for argument types: BOOL'), "
    "(x INTERVAL) AS py_fail('UNIMPLEMENTED: SUM of INTERVAL is not emulated locally'), (x) AS x",
)

_BITS = (
    "LOCAL_SHIFT_LEFT(a, n) AS CASE WHEN n < 0 THEN py_fail('Bitwise shift by negative bits is not allowed') "
    "WHEN n >= 64 THEN 0 ELSE CAST(CASE WHEN ((CAST(CAST(a AS BIGINT) AS HUGEINT) & 18446744073709551615::HUGEINT) "
    "<< CAST(least(n, 63) AS HUGEINT)) & 18446744073709551615::HUGEINT > 9223372036854775807 THEN "
    "(((CAST(CAST(a AS BIGINT) AS HUGEINT) & 18446744073709551615::HUGEINT) << CAST(least(n, 63) AS HUGEINT)) & "
    "18446744073709551615::HUGEINT) - 18446744073709551616::HUGEINT ELSE ((CAST(CAST(a AS BIGINT) AS HUGEINT) & "
    "18446744073709551615::HUGEINT) << CAST(least(n, 63) AS HUGEINT)) & 18446744073709551615::HUGEINT END AS "
    "BIGINT) END",
    "LOCAL_SHIFT_RIGHT(a, n) AS CASE WHEN n < 0 THEN py_fail('Bitwise shift by negative bits is not allowed') "
    "WHEN n >= 64 THEN 0 WHEN n = 0 THEN CAST(a AS BIGINT) ELSE CAST((CAST(CAST(a AS BIGINT) AS HUGEINT) & "
    "18446744073709551615::HUGEINT) >> CAST(greatest(least(n, 63), 1) AS HUGEINT) AS BIGINT) END",
    *(
        f"LOCAL_BIT_{name}(a BLOB, b BLOB) AS py_bitwise('{operator}', a, b), (a BIGINT, b BIGINT) AS {call}"
        for name, operator, call in (("AND", "&", "a & b"), ("OR", "|", "a | b"), ("XOR", "^", "xor(a, b)"))
    ),
    "LOCAL_BIT_COUNT(x BLOB) AS py_b_bit_count(x), (x BIGINT) AS CAST(bit_count(x) AS BIGINT)",
)


def _per_kind(name: str, arguments: str, call: str) -> str:
    """STRING and BYTES by functions of the same shape."""
    types = [argument.split(" ") for argument in arguments.split(", ")]

    def signature(kind: str) -> str:
        return ", ".join(f"{argument[0]} {kind if len(argument) == 1 else argument[1]}" for argument in types)

    body = f"({', '.join(argument[0] for argument in types)})"
    return f"LOCAL_{name}({signature('VARCHAR')}) AS py_s_{call}{body}, ({signature('BLOB')}) AS py_b_{call}{body}"


_TEXT = (
    "LOCAL_UPPER(x VARCHAR) AS bqemu_upper_unicode(x), (x BLOB) AS py_b_upper(x)",
    "LOCAL_LOWER(x VARCHAR) AS lower(x), (x BLOB) AS py_b_lower(x)",
    "LOCAL_REVERSE(x VARCHAR) AS CASE WHEN strlen(x) = length(x) THEN reverse(x) ELSE py_s_reverse(x) END, "
    "(x BLOB) AS py_b_reverse(x)",
    _per_kind("LEFT", "x, n BIGINT", "left"),
    _per_kind("RIGHT", "x, n BIGINT", "right"),
    "LOCAL_LPAD(x VARCHAR, n BIGINT) AS py_s_lpad(x, n, ' '), (x BLOB, n BIGINT) AS py_b_lpad(x, n, ' '::BLOB), "
    "(x VARCHAR, n BIGINT, p VARCHAR) AS py_s_lpad(x, n, p), (x BLOB, n BIGINT, p BLOB) AS py_b_lpad(x, n, p)",
    "LOCAL_RPAD(x VARCHAR, n BIGINT) AS py_s_rpad(x, n, ' '), (x BLOB, n BIGINT) AS py_b_rpad(x, n, ' '::BLOB), "
    "(x VARCHAR, n BIGINT, p VARCHAR) AS py_s_rpad(x, n, p), (x BLOB, n BIGINT, p BLOB) AS py_b_rpad(x, n, p)",
    "LOCAL_REPEAT(x VARCHAR, n BIGINT) AS CASE WHEN n < 0 THEN py_s_repeat(x, n) ELSE repeat(x, n) END, "
    "(x BLOB, n BIGINT) AS py_b_repeat(x, n)",
    "LOCAL_REPLACE(x VARCHAR, a VARCHAR, b VARCHAR) AS replace(x, a, b), "
    "(x BLOB, a BLOB, b BLOB) AS py_b_replace(x, a, b)",
    "LOCAL_STARTS_WITH(x VARCHAR, y VARCHAR) AS starts_with(x, y), (x BLOB, y BLOB) AS py_b_starts(x, y)",
    "LOCAL_ENDS_WITH(x VARCHAR, y VARCHAR) AS ends_with(x, y), (x BLOB, y BLOB) AS py_b_ends(x, y)",
    "LOCAL_STRPOS(x VARCHAR, y VARCHAR) AS strpos(x, y), (x BLOB, y BLOB) AS py_b_instr(x, y, 1, 1)",
    "LOCAL_INSTR(x VARCHAR, y VARCHAR) AS py_s_instr(x, y, 1, 1), (x BLOB, y BLOB) AS py_b_instr(x, y, 1, 1), "
    "(x VARCHAR, y VARCHAR, p BIGINT) AS py_s_instr(x, y, p, 1), "
    "(x BLOB, y BLOB, p BIGINT) AS py_b_instr(x, y, p, 1), "
    "(x VARCHAR, y VARCHAR, p BIGINT, n BIGINT) AS py_s_instr(x, y, p, n), "
    "(x BLOB, y BLOB, p BIGINT, n BIGINT) AS py_b_instr(x, y, p, n)",
    "LOCAL_SUBSTR(x VARCHAR, i BIGINT) AS CASE WHEN i = 0 THEN x WHEN i < -length(x) THEN x ELSE substr(x, i) END, "
    "(x BLOB, i BIGINT) AS py_b_substr(x, i, NULL), (x VARCHAR, i BIGINT, n BIGINT) AS CASE WHEN n < 0 THEN "
    "py_fail('Third argument in SUBSTR() cannot be negative') WHEN i = 0 THEN substr(x, 1, n) "
    "WHEN i < -length(x) THEN substr(x, 1, n) ELSE substr(x, i, n) END, "
    "(x BLOB, i BIGINT, n BIGINT) AS py_b_substr(x, i, n)",
    *(
        f"LOCAL_{name}(x VARCHAR) AS py_s_trim(x, NULL, '{side}'), "
        f"(x VARCHAR, c VARCHAR) AS CASE WHEN c IS NOT NULL THEN {call}(x, c) END, "
        f"(x BLOB, c BLOB) AS CASE WHEN c IS NOT NULL THEN py_b_trim(x, c, '{side}') END"
        for name, call, side in (("TRIM", "trim", "both"), ("LTRIM", "ltrim", "left"), ("RTRIM", "rtrim", "right"))
    ),
    "LOCAL_JOIN(a BLOB, b BLOB) AS a || b, (a VARCHAR, b VARCHAR) AS CAST(a || b AS VARCHAR)",
    "LOCAL_PIPE(a BLOB, b BLOB) AS a || b, (a VARCHAR, b VARCHAR) AS CAST(a || b AS VARCHAR), (a, b) AS a || b",
    "LOCAL_UNICODE(x) AS CASE WHEN x = '' THEN 0 ELSE CAST(unicode(x) AS BIGINT) END",
    "LOCAL_CHR(n) AS py_codes_text([n])",
    "LOCAL_TO_CODE_POINTS(x VARCHAR) AS CASE WHEN x = '' THEN CAST([] AS BIGINT[]) ELSE "
    "list_transform(string_split(x, ''), c -> CAST(unicode(c) AS BIGINT)) END, (x BLOB) AS py_b_codes(x)",
    "LOCAL_INITCAP(x) AS py_initcap(x, NULL), (x, d) AS CASE WHEN d IS NOT NULL THEN py_initcap(x, d) END",
    "LOCAL_ARRAY_TO_STRING(l BLOB[], d BLOB) AS py_b_join(l, d)",
)

_JSON_PART = (
    "LOCAL_JSON_PART(x JSON, p) AS json_extract(x, p), "
    "(x VARCHAR, p) AS CASE WHEN json_valid(x) THEN nullif(CAST(json_extract(x, p) AS VARCHAR), 'null') END"
)
_JSON_SCALAR = (
    "LOCAL_JSON_SCALAR(x, p) AS CASE WHEN json_valid(x) AND json_type(x, p) NOT IN ('OBJECT', 'ARRAY', 'NULL') "
    "THEN json_extract_string(x, p) END"
)
_JSON = (
    _JSON_PART,
    _JSON_SCALAR,
    "LOCAL_JSON_PARTS(x JSON, p) AS CASE WHEN json_type(x, p) = 'ARRAY' THEN "
    "CAST(json_extract(x, p) AS JSON[]) END, (x VARCHAR, p) AS CASE WHEN json_valid(x) AND json_type(x, p) = 'ARRAY' "
    "THEN list_transform(CAST(json_extract(x, p) AS JSON[]), e -> CAST(e AS VARCHAR)) END",
    "LOCAL_JSON_SCALARS(x, p) AS CASE WHEN json_valid(x) AND json_type(x, p) = 'ARRAY' THEN "
    "list_transform(CAST(json_extract(x, p) AS JSON[]), e -> json_extract_string(e, '$')) END",
    "LOCAL_JSON(x) AS py_parse_json(x, NULL), (x, mode) AS py_parse_json(x, mode)",
    "LOCAL_IS_ARRAY(x) AS typeof(x) LIKE '%]'",
)

# A value as CAST to STRING writes it: the overloads for what is neither STRING nor BYTES.
_AS_TEXT = (
    "(x DOUBLE) AS py_float_text(x), (x BIGINT) AS CAST(x AS VARCHAR), (x HUGEINT) AS CAST(x AS VARCHAR), "
    "(x VARCHAR) AS x, (x BOOLEAN) AS CAST(x AS VARCHAR), "
    "(x TIMESTAMP) AS LOCAL_PADDED(CAST(x AS VARCHAR)), (x TIMESTAMPTZ) AS LOCAL_PADDED(CAST(x AS VARCHAR)), "
    "(x TIME) AS LOCAL_PADDED(CAST(x AS VARCHAR)), (x DATE) AS CAST(x AS VARCHAR), "
    "(x INTERVAL) AS LOCAL_INTERVAL_TEXT(x), (x DECIMAL(38,10)) AS "
    "CASE WHEN contains(CAST(x AS VARCHAR), '.') THEN rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.') "
    "ELSE CAST(x AS VARCHAR) END, (x) AS CAST(x AS VARCHAR)"
)

_CASTS = (
    # FLOAT64 is rounded half away from zero (DuckDB: to even), text must be an integer (DuckDB rounds '5.5').
    "LOCAL_INT64(x) AS CASE typeof(x) WHEN 'DOUBLE' THEN CAST(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
    "WHEN 'VARCHAR' THEN CASE WHEN regexp_full_match(CAST(x AS VARCHAR), '\\s*[-+]?[0-9]+\\s*') THEN CAST(x AS BIGINT) "
    "WHEN regexp_full_match(CAST(x AS VARCHAR), '\\s*[-+]?0[xX][0-9a-fA-F]+\\s*') THEN "
    "CAST(replace(CAST(x AS VARCHAR), '-', '') AS BIGINT) * CASE WHEN contains(CAST(x AS VARCHAR), '-') THEN -1 "
    "ELSE 1 END "
    "WHEN x IS NULL THEN NULL "
    "ELSE py_fail('Bad int64 value: ' || CAST(x AS VARCHAR)) END ELSE CAST(x AS BIGINT) END",
    "LOCAL_SAFE_INT64(x) AS CASE typeof(x) WHEN 'DOUBLE' THEN TRY_CAST(round(TRY_CAST(x AS DOUBLE)) AS BIGINT) "
    "WHEN 'VARCHAR' THEN CASE WHEN regexp_full_match(CAST(x AS VARCHAR), '\\s*[-+]?[0-9]+\\s*') THEN TRY_CAST(x "
    "AS BIGINT) "
    "WHEN regexp_full_match(CAST(x AS VARCHAR), '\\s*[-+]?0[xX][0-9a-fA-F]+\\s*') THEN "
    "TRY_CAST(replace(CAST(x AS VARCHAR), '-', '') AS BIGINT) * CASE WHEN contains(CAST(x AS VARCHAR), '-') "
    "THEN -1 ELSE 1 "
    "END END ELSE TRY_CAST(x AS BIGINT) END",
    # Only true and false are booleans (DuckDB takes yes, t, 1 …).
    "LOCAL_BOOL(x) AS CASE WHEN typeof(x) = 'VARCHAR' AND lower(CAST(x AS VARCHAR)) NOT IN ('true', 'false') "
    "THEN py_fail('Bad bool value: ' || CAST(x AS VARCHAR)) ELSE CAST(x AS BOOLEAN) END",
    "LOCAL_SAFE_BOOL(x) AS CASE WHEN typeof(x) = 'VARCHAR' AND lower(CAST(x AS VARCHAR)) NOT IN ('true', 'false') "
    "THEN NULL ELSE TRY_CAST(x AS BOOLEAN) END",
    "LOCAL_PADDED(t) AS CASE WHEN NOT contains(t, '.') THEN t ELSE regexp_replace(t, '\\.\\d+', "
    "'.' || CASE WHEN length(regexp_extract(t, '\\.(\\d+)', 1)) <= 3 THEN rpad(regexp_extract(t, '\\.(\\d+)', "
    "1), 3, '0') "
    "ELSE rpad(regexp_extract(t, '\\.(\\d+)', 1), 6, '0') END) END",
    "LOCAL_INTERVAL_TEXT(x) AS (CASE WHEN datepart('year', x) * 12 + datepart('month', x) < 0 THEN '-' ELSE '' END) || "
    "abs(datepart('year', x)) || '-' || abs(datepart('month', x)) || ' ' || datepart('day', x) || ' ' || "
    "(CASE WHEN datepart('hour', x) < 0 OR datepart('minute', x) < 0 OR datepart('microsecond', x) < 0 THEN '-' "
    "ELSE '' END) || abs(datepart('hour', x)) || ':' || abs(datepart('minute', x)) || ':' || "
    "(abs(datepart('microsecond', x)) // 1000000) || LOCAL_PADDED(CASE WHEN abs(datepart('microsecond', x)) % "
    "1000000 = 0 "
    "THEN '' ELSE '.' || rtrim(lpad(CAST(abs(datepart('microsecond', x)) % 1000000 AS VARCHAR), 6, '0'), '0') END)",
    f"LOCAL_STRING(x BLOB) AS py_decode(x), {_AS_TEXT}",
    f"LOCAL_JOINED(x BLOB) AS x, {_AS_TEXT}",
    f"LOCAL_TEXT(x JSON) AS py_json_string(x), "
    f"{_AS_TEXT.replace('(x VARCHAR) AS x, ', '').replace(', (x) AS CAST(x AS VARCHAR)', '')}, (x, zone) AS "
    f"py_string_in_zone(x, zone)",
    "LOCAL_BYTES(x BLOB) AS x, (x VARCHAR) AS encode(x)",
    "LOCAL_NUMERIC(x VARCHAR) AS py_to_numeric(x), (x DOUBLE) AS py_to_numeric(x), "
    "(x BIGINT) AS CAST(x AS DECIMAL(38,9)), (x HUGEINT) AS CAST(x AS DECIMAL(38,9)), "
    "(x DECIMAL(38,10)) AS CAST(x AS DECIMAL(38,9))",
    "LOCAL_BIGNUMERIC(x VARCHAR) AS py_to_bignumeric(x), (x DOUBLE) AS py_to_bignumeric(x), "
    "(x BIGINT) AS CAST(x AS DECIMAL(38,10)), (x HUGEINT) AS CAST(x AS DECIMAL(38,10)), "
    "(x DECIMAL(38,10)) AS x",
)

_RANGES = (
    # A bound of NULL is none.
    "LOCAL_RANGE_OVERLAPS(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN "
    'coalesce(a."start" < b."end", TRUE) AND coalesce(b."start" < a."end", TRUE) END',
    "LOCAL_RANGE_HOLDS(r, v) AS CASE WHEN r IS NOT NULL AND v IS NOT NULL THEN "
    'coalesce(r."start" <= v, TRUE) AND coalesce(v < r."end", TRUE) END',
    "LOCAL_RANGE_CONTAINS(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN "
    '(a."start" IS NULL OR coalesce(a."start" <= b."start", FALSE)) AND '
    '(a."end" IS NULL OR coalesce(b."end" <= a."end", FALSE)) END',
    "LOCAL_RANGE_INTERSECT(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN LOCAL_RANGE_OVERLAPS(a, b) THEN "
    'struct_pack("start" := greatest(a."start", b."start"), "end" := least(a."end", b."end")) '
    "ELSE py_fail('Provided RANGE inputs do not overlap') END",
)

_ARRAYS = (
    # The element at a position from 0, or an error: DuckDB gives NULL outside the array.
    "LOCAL_AT(a, i) AS CASE WHEN typeof(a) = 'JSON' THEN py_fail('UNIMPLEMENTED: a subscript of a JSON column is not "
    "emulated locally; use JSON_QUERY or JSON_VALUE') WHEN i >= len(a) OR i < 0 "
    "THEN py_fail('Array index ' || i || ' is out of bounds' || CASE WHEN i < 0 THEN ' (negative)' ELSE ' (overflow)' "
    "END) ELSE a[i + 1] END",
    "LOCAL_ARRAY_SLICE(a, b, e) AS CASE WHEN a IS NULL OR b IS NULL OR e IS NULL THEN NULL ELSE "
    "list_slice(a, greatest(CASE WHEN b < 0 THEN len(a) + b ELSE b END, 0) + 1, "
    "CASE WHEN e < 0 THEN len(a) + e ELSE e END + 1) END",
    "LOCAL_ARRAY_CONCAT(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE list_concat(a, b) END",
    "LOCAL_STEPS(a BIGINT, b BIGINT, s BIGINT) AS CASE WHEN s = 0 THEN py_fail('Sequence step cannot be 0.') "
    "WHEN a IS NULL OR b IS NULL OR s IS NULL THEN NULL ELSE generate_series(a, b, CASE WHEN s = 0 THEN 1 ELSE "
    "s END) END, "
    "(a DOUBLE, b DOUBLE, s DOUBLE) AS CASE WHEN s = 0 THEN py_fail('Sequence step cannot be 0.') ELSE "
    "list_transform(range(CAST(greatest(floor((b - a) / CASE WHEN s = 0 THEN 1 ELSE s END) + 1, 0) AS BIGINT)), "
    "i -> a + i * s) END, (a DECIMAL(38,9), b DECIMAL(38,9), s DECIMAL(38,9)) AS list_transform("
    "range(CAST(greatest(floor(CAST(b - a AS DOUBLE) / CAST(s AS DOUBLE)) + 1, 0) AS BIGINT)), "
    "i -> CAST(a + CAST(i AS DECIMAL(20,0)) * s AS DECIMAL(38,9)))",
    "LOCAL_TOP_COUNT(x, n) AS "
    "list_transform(list_slice(list_sort(list_transform(list_concat(map_entries(histogram(x)), "
    "CASE WHEN count(*) > count(x) THEN [{'key': NULL, 'value': CAST(count(*) - count(x) AS UBIGINT)}] ELSE [] END), "
    "e -> {'c': -CAST(e.value AS BIGINT), 'v': e.key})), 1, n), e -> {'value': e.v, 'count': -e.c})",
    "LOCAL_TOP_OF(l, n) AS list_transform(list_slice(list_sort(list_transform(list_distinct(list_transform(l, "
    "e -> {'v': e.v})), d -> {'n': list_sum(list_transform(list_filter(l, e -> e.v IS NOT DISTINCT FROM d.v), "
    "e -> e.w)) IS NULL, 'c': -list_sum(list_transform(list_filter(l, e -> e.v IS NOT DISTINCT FROM d.v), e -> e.w)), "
    "'v': d.v})), 1, n), e -> {'value': e.v, 'sum': -e.c})",
    "LOCAL_TOP_SUM(x, w, n) AS LOCAL_TOP_OF(list({'v': x, 'w': w}), n)",
)

_MOMENTS = (
    *(
        f"LOCAL_PARSED_{kind}(p, x) AS CAST(py_parse_moment(p, x, 'UTC') AT TIME ZONE 'UTC' AS {kind}), "
        f"(p, x, z) AS CAST(py_parse_moment(p, x, z) AT TIME ZONE 'UTC' AS {kind})"
        for kind in ("DATE", "TIME", "TIMESTAMP")
    ),
    "LOCAL_PARSED_INSTANT(p, x) AS py_parse_moment(p, x, 'UTC'), (p, x, z) AS py_parse_moment(p, x, z)",
    "LOCAL_FORMATTED(p, x) AS py_format_moment(p, x), (p, x, z) AS py_format_moment(p, x, z)",
    "LOCAL_DATE_TRUNC(unit, d DATE) AS CAST(date_trunc(unit, d) AS DATE), (unit, d TIMESTAMP) AS date_trunc(unit, d), "
    "(unit, d TIMESTAMPTZ) AS date_trunc(unit, d)",
    "LOCAL_SUBTRACT(a DATE, b DATE) AS to_days(CAST(a - b AS INTEGER)), "
    "(a TIMESTAMP, b TIMESTAMP) AS to_microseconds(epoch_us(a) - epoch_us(b)), "
    "(a TIMESTAMPTZ, b TIMESTAMPTZ) AS to_microseconds(epoch_us(a) - epoch_us(b)), (a, b) AS a - b",
    "LOCAL_FLOOR_DIV(a, b) AS (a - (((a % b) + b) % b)) // b",
    "LOCAL_UNIX_SECONDS(x) AS LOCAL_FLOOR_DIV(epoch_us(x), 1000000)",
    "LOCAL_UNIX_MILLIS(x) AS LOCAL_FLOOR_DIV(epoch_us(x), 1000)",
    "LOCAL_TIME_DIFF(a, b, unit) AS date_sub(unit, b, a)",
    "LOCAL_MICROSECOND(x) AS CAST(datepart('microsecond', x) % 1000000 AS BIGINT)",
    "LOCAL_MILLISECOND(x) AS CAST((datepart('microsecond', x) % 1000000) // 1000 AS BIGINT)",
    "LOCAL_DATE_BUCKET(x, i) AS CAST(time_bucket(i, CAST(x AS DATE), DATE '1950-01-01') AS DATE), "
    "(x, i, o) AS CAST(time_bucket(i, CAST(x AS DATE), CAST(o AS DATE)) AS DATE)",
    "LOCAL_DATETIME_BUCKET(x, i) AS time_bucket(i, CAST(x AS TIMESTAMP), TIMESTAMP '1950-01-01'), "
    "(x, i, o) AS time_bucket(i, CAST(x AS TIMESTAMP), CAST(o AS TIMESTAMP))",
    "LOCAL_TIMESTAMP_BUCKET(x, i) AS time_bucket(i, CAST(x AS TIMESTAMPTZ), TIMESTAMPTZ '1950-01-01 00:00:00+00'), "
    "(x, i, o) AS time_bucket(i, CAST(x AS TIMESTAMPTZ), CAST(o AS TIMESTAMPTZ))",
    "LOCAL_STRFTIME(x, p) AS strftime(x, p)",
    "LOCAL_LAST_OF(d, unit, n) AS CAST(date_trunc(unit, CAST(d AS DATE)) + to_months(n) - to_days(1) AS DATE)",
    "LOCAL_LAST_OF_WEEK(d, k) AS CAST(LOCAL_WEEK_START(d, k) + 6 AS DATE)",
    "LOCAL_LAST_OF_ISOYEAR(d) AS CAST(LOCAL_WEEK_START(make_date(CAST(isoyear(CAST(d AS DATE)) AS INTEGER) + 1, "
    "1, 4), 3) "
    "- 1 AS DATE)",
    "LOCAL_DAYS(x) AS datepart('day', x) + datepart('hour', x) // 24",
    "LOCAL_JUSTIFY_INTERVAL(x) AS to_months(CAST(datepart('year', x) * 12 + datepart('month', x) + LOCAL_DAYS(x) // 30 "
    "AS INTEGER)) + to_days(CAST(LOCAL_DAYS(x) % 30 AS INTEGER)) + to_microseconds((datepart('hour', x) % 24) * "
    "3600000000 "
    "+ datepart('minute', x) * 60000000 + datepart('microsecond', x))",
    "LOCAL_NEGATE(x INTERVAL) AS x * -1, (x) AS -x",
    "LOCAL_ARGUMENT(x INTERVAL) AS LOCAL_INTERVAL_TEXT(x), (x VARCHAR) AS x, (x) AS x",
    "LOCAL_WEEK_START_IN(d, k, zone) AS CAST(LOCAL_WEEK_START(timezone(zone, d), k) AS TIMESTAMP) AT TIME ZONE zone",
    "LOCAL_SCALAR_NAME(t) AS CASE WHEN t IN ('INTEGER', 'BIGINT', 'HUGEINT', '\"NULL\"') THEN 'INT64' "
    "WHEN t = 'DOUBLE' THEN 'FLOAT64' WHEN t = 'VARCHAR' THEN 'STRING' WHEN t = 'BLOB' THEN 'BYTES' "
    "WHEN t = 'BOOLEAN' THEN 'BOOL' WHEN t = 'TIMESTAMP' THEN 'DATETIME' WHEN t = 'TIMESTAMP WITH TIME ZONE' "
    "THEN 'TIMESTAMP' WHEN t = 'DECIMAL(38,9)' THEN 'NUMERIC' WHEN t LIKE 'DECIMAL%' THEN 'BIGNUMERIC' WHEN t IN "
    "('DATE', 'TIME', 'INTERVAL', 'JSON') THEN t ELSE py_fail('UNIMPLEMENTED: TYPEOF of a ' || t || "
    "' is not emulated locally') END",
    "LOCAL_TYPE_NAME(t) AS CASE WHEN t LIKE '%[]' THEN 'ARRAY<' || LOCAL_SCALAR_NAME(t[:-3]) || '>' "
    "ELSE LOCAL_SCALAR_NAME(t) END",
)

_SCALES = tuple(f"LOCAL_BIG_{scale}(x) AS CAST(x AS DECIMAL(38,{scale}))" for scale in range(10, 39))

_ALL = (*_CASTS, *_MATHEMATICS, *_BITS, *_TEXT, *_JSON, *_RANGES, *_ARRAYS, *_MOMENTS, *_SCALES)


def _cut(macro: str) -> tuple[str, list[tuple[list[str], str]]]:
    """The name of a macro, and (parameters, body) of each overload."""
    pieces, depth, quoted, start = [], 0, False, 0
    for place, character in enumerate(macro):
        quoted ^= character == "'"
        if not quoted:
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
            if character == "," and depth == 0:
                pieces.append(macro[start:place])
                start = place + 1
    pieces.append(macro[start:])
    overloads = []
    for piece in pieces:
        head, body = piece.split(") AS ", 1)
        parameters = re.sub(r"\(\d+,\d+\)", "", head[head.index("(") + 1 :])
        overloads.append(([one.strip() for one in parameters.split(",")], body))
    return macro[: macro.index("(")], overloads


def _fallback(macro: str) -> str | None:
    """The macro of a call whose arguments DuckDB cannot type when it chooses: aggregates, columns from around.

    It has the overload without types, or that of STRING or FLOAT64, for each number of arguments; what is of another
    type fails in it.
    """
    name, overloads = _cut(macro)
    if name in _FALLBACKS or not any(" " in one for parameters, _ in overloads for one in parameters):
        return None
    chosen: dict[int, tuple[int, list[str], str]] = {}
    for parameters, body in overloads:
        types = " ".join(one.partition(" ")[2] for one in parameters).split()
        rank = 0 if not types else 1 if "VARCHAR" in types else 2 if "DOUBLE" in types else 3
        if len(parameters) not in chosen or rank < chosen[len(parameters)][0]:
            chosen[len(parameters)] = rank, [one.split(" ")[0] for one in parameters], body
    return f"{name}_ANY" + ", ".join(f"({', '.join(names)}) AS {body}" for _, names, body in chosen.values())


def _is_nan(value: str) -> str:
    """The test for a value of a type that is not known yet."""
    return f"(typeof({value}) = 'DOUBLE' AND CAST({value} AS VARCHAR) = 'nan')"


_DATES = "('DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE')"
_FALLBACKS = {
    "LOCAL_STRING": "(x) AS py_any_text(typeof(x), x)",
    "LOCAL_JOINED": "(x) AS py_any_text(typeof(x), x)",
    "LOCAL_TEXT": "(x) AS py_any_text(typeof(x), x), (x, zone) AS py_string_in_zone(x, zone)",
    "LOCAL_NAN_FIRST": f"(x) AS CASE WHEN x IS NULL THEN -1 WHEN {_is_nan('x')} THEN 0 ELSE 1 END",
    **{
        f"LOCAL_{name}": f"(a, b) AS a {operator} b AND NOT {_is_nan('a')} AND NOT {_is_nan('b')}"
        for name, operator in (("EQ", "="), ("LT", "<"), ("LTE", "<="), ("GT", ">"), ("GTE", ">="))
    },
    "LOCAL_NEQ": f"(a, b) AS a <> b OR {_is_nan('a')} OR {_is_nan('b')}",
    "LOCAL_NUMERIC": "(x) AS py_to_numeric(x)",
    "LOCAL_BIGNUMERIC": "(x) AS py_to_bignumeric(x)",
    "LOCAL_JSON_PART": "(x, p) AS CASE WHEN typeof(x) = 'JSON' THEN py_fail('UNIMPLEMENTED: JSON_QUERY of an "
    "aggregated "
    "JSON is not emulated locally') WHEN json_valid(x) THEN nullif(CAST(json_extract(x, p) AS VARCHAR), 'null') END",
    "LOCAL_SUBTRACT": f"(a, b) AS CASE WHEN typeof(a) IN {_DATES} AND typeof(b) IN {_DATES} THEN "
    f"py_fail('UNIMPLEMENTED: "
    "the difference of aggregated dates is not emulated locally; use DATE_DIFF') ELSE a - b END",
}

MACROS = (
    *_ALL,
    *(made for macro in _ALL if (made := _fallback(macro))),
    *(f"{name}_ANY{body}" for name, body in _FALLBACKS.items()),
)

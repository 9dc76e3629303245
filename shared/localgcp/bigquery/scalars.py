"""The functions written in Python, and how DuckDB is told of them.

DuckDB hands over values of any type, and calls none of them for a NULL unless it is told to.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from typing import Any

import duckdb
import farmhash

from localgcp.bigquery import json_values, moments, net, text, values

_CONTEXT = Context(prec=120)
_PARTS = {9: "NUMERIC", 10: "BIGNUMERIC"}


def _fail(message: str) -> None:
    raise ValueError(message)


def parse_decimal(written: str) -> Decimal:
    """PARSE_NUMERIC: spaces, a sign on either side, and commas among the digits are allowed."""
    digits = written.strip().replace(",", "")
    if digits[-1:] in ("+", "-"):
        digits = digits[-1] + digits[:-1].rstrip()
    if digits[:1] in ("+", "-"):
        digits = digits[0] + digits[1:].lstrip()
    try:
        value = Decimal(digits)
    except InvalidOperation:
        raise ValueError(f"Invalid NUMERIC value: {written}") from None
    if not value.is_finite():
        raise ValueError(f"Invalid NUMERIC value: {written}")
    return value


def to_scale(value: Any, scale: int) -> Decimal:
    """A number as NUMERIC (9 digits behind the point, rounded half away from zero) or BIGNUMERIC (10, exact).

    Raises ValueError when it does not fit; BIGNUMERIC's other digits are what a DuckDB DECIMAL has no room for.
    """
    name = _PARTS[scale]
    if isinstance(value, str):
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise ValueError(f"Invalid {name} value: {value}") from None
    else:
        number = Decimal(repr(value) if isinstance(value, float) and scale == 9 else value)
    if not number.is_finite():
        raise ValueError(f"Illegal conversion of non-finite floating point number to numeric: {value}")
    made = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CONTEXT)
    if len(made.as_tuple().digits) > 38:
        raise ValueError(f"{'numeric' if scale == 9 else 'UNIMPLEMENTED: BIGNUMERIC'} out of range: {value}")
    if scale == 10 and made != number:
        raise ValueError(f"UNIMPLEMENTED: BIGNUMERIC of more than 10 digits behind the point ({value}) is not emulated")
    return made


def round_decimal(value: Decimal, digits: int, mode: str) -> Decimal:
    rounding = {
        "ROUND_HALF_EVEN": ROUND_HALF_EVEN,
        "ROUND_HALF_AWAY_FROM_ZERO": ROUND_HALF_UP,
        "TRUNC": ROUND_DOWN,
    }.get(mode)
    if rounding is None:
        raise ValueError(f"Invalid rounding mode: {mode}")
    return value.quantize(Decimal(1).scaleb(-digits), rounding, _CONTEXT)


def decimal_function(name: str, scale: int, *numbers: Decimal) -> Decimal:
    """A function of NUMERICs with a NUMERIC value, to the last digit. Raises ValueError as BigQuery fails."""
    with localcontext(Context(prec=80)):
        try:
            made = _DECIMAL_FUNCTIONS[name](*numbers)
            return to_scale(made if made.is_finite() else Decimal(str(made)), scale)
        except (InvalidOperation, ZeroDivisionError, ArithmeticError):
            if name in ("DIVIDE", "DIV", "MOD"):
                raise ValueError(f"division by zero: {numbers[0]} / {numbers[1]}") from None
            raise ValueError(f"numeric error in function: {name}") from None


_DECIMAL_FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "SQRT": lambda x: x.sqrt(),
    "EXP": lambda x: x.exp(),
    "LN": lambda x: x.ln(),
    "LOG": lambda x, base=None: x.ln() if base is None else x.ln() / base.ln(),
    "LOG10": lambda x: x.log10(),
    "POW": lambda x, y: x**y,
    "DIVIDE": lambda x, y: x / y,
    "DIV": lambda x, y: (x / y).to_integral_value(ROUND_DOWN),
    "MOD": lambda x, y: x % y,
}


def format_cast(pattern: str, value: Any, zone: str | None) -> str | None:
    """CAST(value AS STRING FORMAT pattern)."""
    if value is None:
        return None
    if isinstance(value, (dt.date, dt.time)):
        return moments.format_cast(pattern, value, zone)
    if not isinstance(value, bytes):
        raise ValueError("UNIMPLEMENTED: CAST of a number with FORMAT is not emulated locally")
    encode = _ENCODERS.get(pattern.upper())
    if encode is None:
        raise ValueError(f"Invalid format: {pattern}")
    return encode(value)


_ENCODERS: dict[str, Callable[[bytes], str]] = {
    "HEX": bytes.hex,
    "BASEX": bytes.hex,
    "BASE64": lambda x: base64.b64encode(x).decode(),
    "BASE64M": lambda x: base64.encodebytes(x).decode().rstrip("\n"),
    "BASE32": lambda x: base64.b32encode(x).decode(),
    "BASE16": bytes.hex,
    "BASE8": lambda x: f"{int.from_bytes(x, 'big'):0{-(-len(x) * 8 // 3)}o}",
    "BASE2": lambda x: "".join(f"{byte:08b}" for byte in x),
    "ASCII": lambda x: x.decode("ascii"),
    "UTF-8": bytes.decode,
    "UTF8": bytes.decode,
}
_DECODERS: dict[str, Callable[[str], bytes]] = {
    "HEX": text.from_hex,
    "BASE16": text.from_hex,
    "BASE64": base64.b64decode,
    "BASE64M": base64.b64decode,
    "BASE32": base64.b32decode,
    "ASCII": lambda x: x.encode("ascii"),
    "UTF-8": str.encode,
    "UTF8": str.encode,
}


def bytes_cast(pattern: str, value: str) -> bytes:
    """CAST(value AS BYTES FORMAT pattern)."""
    decode = _DECODERS.get(pattern.upper())
    if decode is None:
        raise ValueError(f"UNIMPLEMENTED: CAST to BYTES with the format {pattern} is not emulated locally")
    return decode(value)


def _fingerprint(x: Any) -> int:
    """FarmHash's Fingerprint64 as INT64, of STRING or BYTES."""
    if not isinstance(x, str | bytes):
        kind = {bool: "BOOL", int: "INT64", float: "FLOAT64"}.get(type(x), type(x).__name__.upper())
        raise ValueError(f"No matching signature for function FARM_FINGERPRINT for argument types: {kind}.")
    unsigned: int = farmhash.Fingerprint64(x.encode() if isinstance(x, str) else x)
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def _decode(x: bytes) -> str:
    try:
        return x.decode()
    except UnicodeDecodeError:
        raise ValueError(f"Invalid UTF-8 bytes: {values.text_of(x)}") from None


def _any_text(kind: str, x: Any) -> str:
    """CAST to STRING of a value whose type is known only when it is there."""
    if kind == "INTERVAL":
        raise ValueError("UNIMPLEMENTED: the text of an aggregated INTERVAL is not emulated locally")
    if isinstance(x, bytes):
        return _decode(x)
    return values.float_text(x) if isinstance(x, float) else values.text_of(x, kind)


def sized_numeric(value: Decimal, precision: int, scale: int) -> Decimal:
    """A value of NUMERIC(precision, scale). Raises ValueError when it does not fit."""
    made = round_decimal(value, scale, "ROUND_HALF_AWAY_FROM_ZERO")
    if abs(made) >= Decimal(10) ** (precision - scale):
        raise ValueError(f"numeric out of range: {value} does not fit into NUMERIC({precision}, {scale})")
    return made


def _ascii(x: str) -> int:
    if x and ord(x[0]) > 127:
        raise ValueError("ASCII() takes text that begins with an ASCII character")
    return ord(x[0]) if x else 0


Scalar = tuple[Callable[..., Any], str]
# By DuckDB's name: the function and the type of its value.
_STRICT: dict[str, Scalar] = {
    "py_fail": (_fail, '"NULL"'),
    "py_parse_decimal": (lambda x: to_scale(parse_decimal(x), 9), "DECIMAL(38,9)"),
    "py_parse_decimal_big": (lambda x: to_scale(parse_decimal(x), 10), "DECIMAL(38,10)"),
    "py_to_numeric": (lambda x: to_scale(x, 9), "DECIMAL(38,9)"),
    "py_to_bignumeric": (lambda x: to_scale(x, 10), "DECIMAL(38,10)"),
    "py_round_decimal": (round_decimal, "DECIMAL(38,9)"),
    "py_decimal": (lambda name, *x: decimal_function(name, 9, *x), "DECIMAL(38,9)"),
    "py_decimal_big": (lambda name, *x: decimal_function(name, 10, *x), "DECIMAL(38,10)"),
    "py_bytes_cast": (bytes_cast, "BLOB"),
    "py_decode": (_decode, "VARCHAR"),
    "py_ascii": (_ascii, "BIGINT"),
    "py_fingerprint": (_fingerprint, "BIGINT"),
    "py_float_text": (values.float_text, "VARCHAR"),
    "py_any_text": (_any_text, "VARCHAR"),
    "py_numeric": (sized_numeric, "DECIMAL(38,9)"),
    # Moments
    "py_format_moment": (moments.format_moment, "VARCHAR"),
    "py_parse_moment": (lambda p, x, z: moments.parse_moment(p, x, z), "TIMESTAMP WITH TIME ZONE"),
    "py_parse_cast": (moments.parse_cast, "TIMESTAMP WITH TIME ZONE"),
    "py_string_in_zone": (lambda x, z: values.moment_text(moments.as_datetime(x, z)), "VARCHAR"),
    # Text
    "py_b_upper": (bytes.upper, "BLOB"),
    "py_b_lower": (bytes.lower, "BLOB"),
    "py_s_reverse": (lambda x: x[::-1], "VARCHAR"),
    "py_b_reverse": (lambda x: x[::-1], "BLOB"),
    "py_b_starts": (bytes.startswith, "BOOLEAN"),
    "py_b_ends": (bytes.endswith, "BOOLEAN"),
    "py_s_instr": (text.instr, "BIGINT"),
    "py_b_instr": (text.instr, "BIGINT"),
    "py_b_split": (text.split, "BLOB[]"),
    "py_b_join": (lambda x, d: d.join(item for item in x if item is not None), "BLOB"),
    "py_b_codes": (list, "BIGINT[]"),
    "py_from_hex": (text.from_hex, "BLOB"),
    "py_safe_text": (text.safe_text, "VARCHAR"),
    "py_b_bit_count": (lambda x: int.from_bytes(x, "big").bit_count(), "BIGINT"),
    "py_bitwise": (text.bitwise, "BLOB"),
    "py_b_contains": (text.regexp_contains, "BOOLEAN"),
    "py_b_regexp_replace": (text.regexp_replace, "BLOB"),
    # JSON
    "py_json_type": (json_values.json_type, "VARCHAR"),
    "py_json_remove": (json_values.json_remove, "JSON"),
    "py_json_bool": (json_values.to_bool, "BOOLEAN"),
    "py_json_int64": (json_values.to_int64, "BIGINT"),
    "py_json_float64": (json_values.to_float64, "DOUBLE"),
    "py_json_string": (json_values.to_string, "VARCHAR"),
    "py_json_object_of": (json_values.json_object_of, "JSON"),
    # NET
    "py_net_ip_from_string": (net.ip_from_string, "BLOB"),
    "py_net_ip_to_string": (net.ip_to_string, "VARCHAR"),
    "py_net_ip_net_mask": (net.ip_net_mask, "BLOB"),
    "py_net_ip_trunc": (net.ip_trunc, "BLOB"),
    "py_net_ipv4_from_int64": (net.ipv4_from_int64, "BLOB"),
    "py_net_ipv4_to_int64": (net.ipv4_to_int64, "BIGINT"),
}
for _kind, _type in (("s", "VARCHAR"), ("b", "BLOB")):
    for _name in ("left", "right", "lpad", "rpad", "repeat", "replace"):
        _STRICT[f"py_{_kind}_{_name}"] = (getattr(text, _name), _type)

# Those that take a NULL: the first argument says whether the value is NULL.
_FIRST: dict[str, Scalar] = {
    "py_codes_text": (text.code_points, "VARCHAR"),
    "py_codes_bytes": (text.code_points_to_bytes, "BLOB"),
    "py_b_regexp_extract": (text.regexp_extract, "BLOB"),
    "py_contains_substr": (text.contains_substr, "BOOLEAN"),
    "py_lax_bool": (json_values.lax_bool, "BOOLEAN"),
    "py_lax_int64": (json_values.lax_int64, "BIGINT"),
    "py_lax_float64": (json_values.lax_float64, "DOUBLE"),
    "py_lax_string": (json_values.lax_string, "VARCHAR"),
    "py_net_host": (net.host, "VARCHAR"),
    "py_net_safe_ip_from_string": (net.safe_ip_from_string, "BLOB"),
    "py_s_substr": (text.substr, "VARCHAR"),
    "py_b_substr": (text.substr, "BLOB"),
    "py_s_trim": (text.trim, "VARCHAR"),
    "py_b_trim": (text.trim, "BLOB"),
    "py_initcap": (text.initcap, "VARCHAR"),
    "py_edit_distance": (text.edit_distance, "BIGINT"),
    "py_json_keys": (json_values.json_keys, "VARCHAR[]"),
    "py_json_strip_nulls": (json_values.json_strip_nulls, "JSON"),
    "py_json_set": (json_values.json_set, "JSON"),
    "py_json_array_append": (json_values.json_array_append, "JSON"),
    "py_json_array_insert": (json_values.json_array_insert, "JSON"),
    "py_parse_json": (json_values.parse_json, "JSON"),
}
# Those that see every NULL.
_ANY: dict[str, Scalar] = {
    "py_format": (values.format_text, "VARCHAR"),
    "py_to_json": (values.to_json, "JSON"),
    "py_to_json_string": (values.to_json_string, "VARCHAR"),
    "py_json_object": (json_values.json_object, "JSON"),
    "py_format_cast": (format_cast, "VARCHAR"),
}


def register(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Makes a function known to a connection, again if it is."""
    function, kind, nulls = SCALARS[name]
    with contextlib.suppress(duckdb.Error):
        connection.remove_function(name)
    connection.create_function(name, function, None, kind, null_handling=nulls)  # type: ignore[arg-type,call-overload]


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    # DuckDB would read the annotations as SQL types, and tells ANY from their absence.
    return lambda *arguments: function(*arguments)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: None if arguments[0] is None else function(*arguments)


# By name: the function as DuckDB calls it, the type of its value, what a NULL among the arguments means.
SCALARS: dict[str, tuple[Callable[..., Any], str, str]] = {
    name: (adapt(function), kind, nulls)
    for functions, adapt, nulls in (
        (_STRICT, _plain, "default"),
        (_FIRST, _guarded, "special"),
        (_ANY, _plain, "special"),
    )
    for name, (function, kind) in functions.items()
}

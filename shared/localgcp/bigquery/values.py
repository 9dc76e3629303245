"""SQL values as text: FORMAT, CAST to STRING, TO_JSON and TO_JSON_STRING.

A value comes as DuckDB hands it to Python, with its DuckDB type by name, which tells JSON from STRING.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from localgcp.bigquery.moments import fraction

_WIDE = 2**53


def float_text(value: float) -> str:
    """A FLOAT64 as CAST to STRING writes it: 15 digits, or as many as tell it from every other."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    digits = f"{value:.15g}"
    return digits if float(digits) == value else _exponent(value)


def _exponent(value: float) -> str:
    """The shortest text of a float, in the form that %g chooses for its size."""
    text = repr(value)
    mantissa = text.partition("e")[0]
    count = len(mantissa.replace("-", "").replace(".", "").strip("0"))
    return f"{value:.{max(count, 15)}g}"


def decimal_text(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment_text(value: dt.datetime | dt.date | dt.time) -> str:
    """A date or time as CAST to STRING writes it, fractions of a second in three or six digits."""
    if isinstance(value, dt.datetime):
        day = f"{value.year:04}-{value.month:02}-{value.day:02}"
        clock = moment_text(value.time())
        return f"{day} {clock}" + (_offset(value) if value.tzinfo else "")
    if isinstance(value, dt.time):
        micro = value.microsecond
        return f"{value.hour:02}:{value.minute:02}:{value.second:02}" + (
            fraction(micro, 3 if micro % 1000 == 0 else 6) if micro else ""
        )
    return value.isoformat()


def _offset(value: dt.datetime) -> str:
    minutes = int((value.utcoffset() or dt.timedelta()).total_seconds()) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{sign}{minutes // 60:02}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def text_of(value: Any, kind: str = "", literal: bool = False) -> str:
    """What %t writes of a value, or %T with `literal`."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_of(value, literal)
    if isinstance(value, (list, tuple)) and not (isinstance(value, tuple) and kind.startswith("STRUCT")):
        return "[" + ", ".join(text_of(item, _element(kind), literal) for item in value) + "]"
    if isinstance(value, (dict, tuple)):
        parts = [text_of(item, "", literal) for item in (value.values() if isinstance(value, dict) else value)]
        return f"{'STRUCT' if literal and len(parts) == 1 else ''}({', '.join(parts)})"
    text, prefix = _scalar(value, kind)
    if not literal:
        return text
    if isinstance(value, int):
        return text
    if kind == "INTERVAL":
        return f'INTERVAL "{text}" YEAR TO SECOND'
    return prefix + (f'"{text}"' if isinstance(value, bytes) else _quoted(text))


def _float_of(value: float, literal: bool) -> str:
    text = float_text(value)
    if text in ("inf", "-inf", "NaN"):
        return f'CAST("{text.lower()}" AS FLOAT64)' if literal else text
    return text if re.search(r"[.e]", text) else f"{text}.0"


def _element(kind: str) -> str:
    return kind[:-2] if kind.endswith("[]") else ""


def _scalar(value: Any, kind: str) -> tuple[str, str]:
    """The text of a plain value, and what stands before it in a literal."""
    if isinstance(value, Decimal):
        return decimal_text(value), "BIGNUMERIC " if value.as_tuple().exponent < -9 else "NUMERIC "  # type: ignore[operator]
    if isinstance(value, bytes):
        return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in value), "b"
    if isinstance(value, dt.datetime):
        return moment_text(value), "TIMESTAMP " if value.tzinfo else "DATETIME "
    if isinstance(value, dt.date):
        return moment_text(value), "DATE "
    if isinstance(value, dt.time):
        return moment_text(value), "TIME "
    return str(value), "JSON " if kind == "JSON" else ""


def _quoted(text: str) -> str:
    quote = "'" if '"' in text and "'" not in text else '"'
    body = text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n").replace("\t", "\\t")
    return f"{quote}{body}{quote}"


_SPECIFIER = re.compile(
    r"%(?P<flags>[-+ #0']*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d+|\*))?(?P<kind>[diouxXfFeEgGstTpP%])"
)


def format_text(pattern: str | None, *typed: Any) -> str | None:
    """FORMAT(pattern, …). `typed` holds (DuckDB type, value) in turn. Raises ValueError as BigQuery fails."""
    if pattern is None:
        return None
    arguments = list(zip(typed[::2], typed[1::2]))
    if re.search(r"%(?!%)", re.sub(_SPECIFIER, "", pattern)):
        raise ValueError(f"Invalid FORMAT string: {pattern}")
    pieces: list[str] = []
    place = 0
    for found in _SPECIFIER.finditer(pattern):
        pieces.append(pattern[place : found.start()])
        place = found.end()
        if found["kind"] == "%":
            pieces.append("%")
            continue
        sizes: dict[str, int | None] = {}
        for name in ("width", "precision"):
            sizes[name] = int(_next(arguments)[1]) if found[name] == "*" else int(found[name]) if found[name] else None
        made = _formatted(found, sizes["width"], sizes["precision"], *_next(arguments))
        if made is None:
            return None
        pieces.append(made)
    if arguments:
        raise ValueError("Too many arguments to FORMAT for pattern: " + pattern)
    return "".join([*pieces, pattern[place:]])


def _next(arguments: list[tuple[str, Any]]) -> tuple[str, Any]:
    if not arguments:
        raise ValueError("Too few arguments to FORMAT")
    return arguments.pop(0)


def _formatted(found: re.Match[str], width: int | None, precision: int | None, kind: str, value: Any) -> str | None:
    conversion, flags = found["kind"], found["flags"]
    if conversion in "tT":
        return _padded(text_of(value, kind, conversion == "T"), flags, width, precision)
    if value is None:
        return None
    if conversion in "pP":
        return json.dumps(json.loads(value), indent=2) if conversion == "P" else json_dump(json.loads(value))
    if conversion == "s":
        if not isinstance(value, (str, bytes)):
            raise ValueError(f"Invalid type for argument to FORMAT; Expected STRING; Got {kind}")
        return _padded(value.decode() if isinstance(value, bytes) else value, flags, width, precision)
    if conversion in "dioxXu":
        return _integer(conversion, flags, width, value, kind)
    if not isinstance(value, (int, float, Decimal)) or isinstance(value, bool):
        raise ValueError(f"Invalid type for argument to FORMAT; Expected a floating point or numeric type; Got {kind}")
    return _real(conversion, flags, width, 6 if precision is None else precision, value)


def _padded(text: str, flags: str, width: int | None, precision: int | None = None) -> str:
    text = text if precision is None else text[:precision]
    return text if not width else text.ljust(width) if "-" in flags else text.rjust(width)


def _integer(conversion: str, flags: str, width: int | None, value: Any, kind: str) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"Invalid type for argument to FORMAT; Expected integer; Got {kind}")
    comma = "," if "'" in flags else ""
    digits = f"{abs(value):{comma}d}" if conversion in "diu" else f"{abs(value):{conversion}}"
    if "#" in flags and conversion in "xXo":
        digits = {"x": "0x", "X": "0X", "o": "0"}[conversion] + digits
    return _signed(digits, value < 0, flags, width)


def _real(conversion: str, flags: str, width: int | None, precision: int, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        text = "nan" if math.isnan(value) else "inf"
        return _signed(text.upper() if conversion.isupper() else text, value < 0, flags.replace("0", ""), width)
    if isinstance(value, Decimal) and conversion in "fF":
        value = value.quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP)
    comma = "," if "'" in flags else ""
    digits = f"{abs(value):{comma}.{precision}{conversion}}"
    return _signed(digits, value < 0 or math.copysign(1, value) < 0, flags, width)


def _signed(digits: str, negative: bool, flags: str, width: int | None) -> str:
    sign = "-" if negative else "+" if "+" in flags else " " if " " in flags else ""
    if width and "0" in flags and "-" not in flags:
        return sign + digits.rjust(width - len(sign), "0")
    return _padded(sign + digits, flags, width)


# JSON


def json_dump(value: Any) -> str:
    """Compact JSON with the members of objects in order, as BigQuery keeps a JSON value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _plain(value: Any, kind: str, wide_as_text: bool, whole_floats: bool) -> Any:
    """The Python object whose JSON stands for a value."""
    if kind == "JSON" and value is not None:
        return json.loads(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value) if wide_as_text and abs(value) > _WIDE else value
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return int(value) if whole_floats and value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, Decimal):
        text = decimal_text(value)
        number = float(text) if "." in text else int(text)
        return text if wide_as_text and Decimal(str(number)) != Decimal(text) else number
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return moment_text(value.replace(tzinfo=None)).replace(" ", "T") + ("Z" if value.tzinfo else "")
    if isinstance(value, (dt.date, dt.time)):
        return moment_text(value)
    if isinstance(value, dict):
        kinds = _members(kind)
        return {name: _plain(item, kinds.get(name, ""), wide_as_text, whole_floats) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, _element(kind), wide_as_text, whole_floats) for item in value]
    raise ValueError(f"UNIMPLEMENTED: JSON of a value of type {kind} is not emulated locally")


def _members(kind: str) -> dict[str, str]:
    """The members of a DuckDB STRUCT type that are JSON themselves; the others need no type."""
    return dict.fromkeys(re.findall(r'(?:^STRUCT\(|, )"?(\w+)"? JSON(?=[,)])', kind), "JSON")


def to_json(kind: str, value: Any, wide_as_text: bool | None = False) -> str:
    """TO_JSON: compact, members in order."""
    return json_dump(_plain(value, kind, bool(wide_as_text), whole_floats=False))


def to_json_string(kind: str, value: Any, pretty: bool | None = False) -> str:
    """TO_JSON_STRING: members as the STRUCT has them; with `pretty` on lines of their own."""
    plain = _plain(value, kind, wide_as_text=True, whole_floats=True)
    if pretty:
        return json.dumps(plain, indent=2, ensure_ascii=False)
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)

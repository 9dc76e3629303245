"""String functions that DuckDB lacks or answers differently, above all those on BYTES."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, TypeVar

Text = TypeVar("Text", str, bytes)


def substr(x: Text, position: int, length: int | None) -> Text:
    if length is not None and length < 0:
        raise ValueError("Third argument in SUBSTR() cannot be negative")
    start = position - 1 if position > 0 else max(len(x) + position, 0) if position else 0
    return x[start:] if length is None else x[start : start + length]


def left(x: Text, length: int) -> Text:
    if length < 0:
        raise ValueError("Second argument in LEFT() cannot be negative")
    return x[:length]


def right(x: Text, length: int) -> Text:
    if length < 0:
        raise ValueError("Second argument in RIGHT() cannot be negative")
    return x[len(x) - min(length, len(x)) :]


def _padding(x: Text, length: int, pattern: Text) -> Text:
    if length < 0:
        raise ValueError("The length to pad to cannot be negative")
    if not pattern:
        raise ValueError("The pattern to pad with cannot be empty")
    missing = max(length - len(x), 0)
    return (pattern * (missing // len(pattern) + 1))[:missing]


def lpad(x: Text, length: int, pattern: Text) -> Text:
    return _padding(x, length, pattern) + x[:length]


def rpad(x: Text, length: int, pattern: Text) -> Text:
    return x[:length] + _padding(x, length, pattern)


def repeat(x: Text, count: int) -> Text:
    if count < 0:
        raise ValueError("Second argument in REPEAT() cannot be negative")
    return x * count


def replace(x: Text, old: Text, new: Text) -> Text:
    return x.replace(old, new) if old else x


def split(x: Text, delimiter: Text) -> list[Text]:
    if delimiter:
        return x.split(delimiter)
    return [x[i : i + 1] for i in range(len(x))] or [x]


def trim(x: Text, characters: Text | None, side: str) -> Text:
    return {"left": x.lstrip, "right": x.rstrip, "both": x.strip}[side](characters)


def instr(x: Text, part: Text, position: int, occurrence: int) -> int:
    """The place of an occurrence from 1, 0 without one; from the end for a negative position."""
    if position == 0 or occurrence < 1:
        raise ValueError("The position and the occurrence of INSTR() must not be 0")
    if not part:
        return 0
    backwards = position < 0
    start = position - 1 if not backwards else len(x) + position
    found = -1
    for _ in range(occurrence):
        if start < 0:
            return 0
        found = x.rfind(part, 0, start + len(part)) if backwards else x.find(part, start)
        if found < 0:
            return 0
        start = found - 1 if backwards else found + 1
    return found + 1


def edit_distance(a: Sequence[Any], b: Sequence[Any], limit: int | None) -> int:
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1] if limit is None else min(row[-1], limit)


def initcap(x: str, delimiters: str | None) -> str:
    breaks = delimiters if delimiters is not None else ' \t\n\r\v\f[](){}/|<>!?@"^#$&~_,.:;*%+-'
    made, start = [], True
    for character in x:
        made.append(character.upper() if start else character.lower())
        start = character in breaks
    return "".join(made)


def contains_substr(value: Any, part: str) -> bool | None:
    """Whether a part stands in a value or in one of the values in it, whatever the case."""
    wanted = _folded(part)
    found = [_contains(item, wanted) for item in _leaves(value)]
    return True if True in found else None if None in found else False


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _contains(leaf: Any, wanted: str) -> bool | None:
    from localgcp.bigquery.values import text_of

    return None if leaf is None else wanted in _folded(text_of(leaf))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def code_points(values: list[int | None]) -> str | None:
    made = []
    for value in values:
        if value is None:
            return None
        if not (0 <= value <= 0xD7FF or 0xE000 <= value <= 0x10FFFF):
            raise ValueError(f"Invalid codepoint {value}")
        made.append(chr(value) if value else "")
    return "".join(made)


def code_points_to_bytes(values: list[int | None]) -> bytes | None:
    if None in values:
        return None
    for value in values:
        if not 0 <= (value or 0) <= 255:
            raise ValueError(f"Invalid extended ASCII code point {value}")
    return bytes(value or 0 for value in values)


def from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.zfill(len(text) + len(text) % 2)) if not re.search(r"\s", text) else _bad(text)
    except ValueError:
        raise ValueError(f"Failed to decode invalid hexadecimal string: {text}") from None


def _bad(text: str) -> bytes:
    raise ValueError(text)


def safe_text(x: bytes) -> str:
    """BYTES as text, each invalid byte as U+FFFD."""
    return x.decode("utf-8", errors="replace")


def regexp_contains(x: bytes, pattern: bytes) -> bool:
    return re.search(pattern, x) is not None


def regexp_replace(x: bytes, pattern: bytes, new: bytes) -> bytes:
    return re.sub(pattern, re.sub(rb"\\(\d)", rb"\\g<\1>", new), x)


def regexp_extract(x: bytes, pattern: bytes) -> bytes | None:
    found = re.search(pattern, x)
    return found[len(found.groups()) and 1] if found else None


def bitwise(operator: str, a: bytes, b: bytes) -> bytes:
    if len(a) != len(b):
        raise ValueError(f"Bitwise operator {operator} requires operands of the same length")
    make = {"&": int.__and__, "|": int.__or__, "^": int.__xor__}[operator]
    return bytes(make(x, y) for x, y in zip(a, b))

"""Functions on JSON that change or describe a document. Paths are GoogleSQL's: $.a."b c"[0]."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from localgcp.bigquery.values import json_dump

Path = list[str | int]
_STEP = re.compile(r"""\.(\w[^.\[]*)|\."((?:[^"\\]|\\.)*)"|\[(\d+)\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]""")


def parse_path(path: str) -> Path:
    """The steps of a JSONPath. Raises ValueError for one that GoogleSQL does not know."""
    steps: Path = []
    place = 1
    while path.startswith("$") and place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            break
        name = next(
            (group for number, group in enumerate(found.groups(), 1) if group is not None and number != 3), None
        )
        steps.append(int(found[3]) if found[3] is not None else re.sub(r"\\(.)", r"\1", name or ""))
        place = found.end()
    if not path.startswith("$") or place < len(path):
        raise ValueError(f"Invalid JSONPath: {path}")
    return steps


def json_type(document: str) -> str:
    value = json.loads(document)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {dict: "object", list: "array", str: "string"}
    return names.get(type(value), "number")


def json_keys(document: str, depth: int | None, mode: str | None) -> list[str]:
    """The paths of all keys, in order; arrays are entered in the modes lax and lax recursive only."""
    if depth is not None and depth < 1:
        raise ValueError("max_depth must be positive")
    found: set[str] = set()
    _keys(json.loads(document), "", depth or 2**31, mode or "strict", found)
    return sorted(found)


def _keys(value: Any, prefix: str, depth: int, mode: str, found: set[str], inside_array: bool = False) -> None:
    if isinstance(value, list) and mode != "strict":
        for item in value:
            if not (isinstance(item, list) and inside_array and mode != "lax recursive"):
                _keys(item, prefix, depth, mode, found, inside_array=True)
    if not isinstance(value, dict) or not depth:
        return
    for key, item in value.items():
        name = key if re.fullmatch(r"\w+", key) else json.dumps(key)
        path = f"{prefix}.{name}" if prefix else name
        found.add(path)
        _keys(item, path, depth - 1, mode, found)


def json_object(*pairs: Any) -> str:
    """JSON_OBJECT(key, value, …): the values come as JSON. The first of a key that is there twice counts."""
    if len(pairs) % 2:
        raise ValueError("The number of keys and values must match")
    made: dict[str, Any] = {}
    for key, value in zip(pairs[::2], pairs[1::2]):
        if key is None:
            raise ValueError("A key of JSON_OBJECT must not be NULL")
        made.setdefault(key, json.loads(value))
    return json_dump(made)


def json_object_of(keys: list[str], values: list[str]) -> str:
    if len(keys) != len(values):
        raise ValueError("The number of keys and values must match")
    return json_object(*[part for pair in zip(keys, values) for part in pair])


def json_remove(document: str, *paths: str) -> str:
    value = json.loads(document)
    for path in paths:
        steps = parse_path(path)
        if not steps:
            raise ValueError("The JSONPath $ cannot be removed")
        parent = _at(value, steps[:-1])
        if _has(parent, steps[-1]):
            del parent[steps[-1]]
    return json_dump(value)


def _has(parent: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(parent, list) and step < len(parent)
    return isinstance(parent, dict) and step in parent


def _at(value: Any, steps: Path) -> Any:
    for step in steps:
        if not _has(value, step):
            return None
        value = value[step]
    return value


def json_set(document: str, create: bool, *changes: str) -> str:
    """JSON_SET(document, path, value, …), one change after another; the values come as JSON."""
    value = json.loads(document)
    for path, new in zip(changes[::2], changes[1::2]):
        value = _set(value, parse_path(path), json.loads(new), create)
    return json_dump(value)


def _set(value: Any, steps: Path, new: Any, create: bool) -> Any:
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if value is None and create:
        value = [] if isinstance(step, int) else {}
    fits = isinstance(value, list if isinstance(step, int) else dict)
    if not fits or not (create or _has(value, step)):
        return value
    if isinstance(step, int):
        value.extend([None] * (step + 1 - len(value)))
    inner = value[step] if _has(value, step) else None
    value[step] = _set(inner, rest, new, create)
    return value


def json_strip_nulls(document: str, path: str | None, arrays: bool | None, empty: bool | None) -> str:
    """JSON_STRIP_NULLS: arrays count unless they are left out, emptied objects go with `remove_empty`."""
    strip = _Strip(arrays is not False, bool(empty))
    value = json.loads(document)
    steps = parse_path(path or "$")
    if not steps:
        return json_dump(strip(value))
    parent = _at(value, steps[:-1])
    if _has(parent, steps[-1]):
        parent[steps[-1]] = strip(parent[steps[-1]])
    return json_dump(value)


class _Strip:
    def __init__(self, arrays: bool, empty: bool) -> None:
        self.arrays, self.empty = arrays, empty

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            members = {key: self(item) for key, item in value.items()}
            made: Any = {key: item for key, item in members.items() if item is not None}
        elif isinstance(value, list):
            items = [self(item) for item in value]
            made = [item for item in items if item is not None] if self.arrays else items
        else:
            return value
        return None if self.empty and not made else made


def json_array_append(document: str, *changes: Any) -> str:
    return _each_array(document, changes, lambda array, _, items: array.extend(items))


def json_array_insert(document: str, *changes: Any) -> str:
    return _each_array(document, changes, _insert)


def _insert(array: list[Any], place: int, items: list[Any]) -> None:
    array.extend([None] * (place - len(array)))
    array[place:place] = items


def _each_array(document: str, changes: tuple[Any, ...], change: Callable[[list[Any], int, list[Any]], None]) -> str:
    """Applies (path, JSON, whether it is an ARRAY whose elements count one by one) to the arrays at the paths."""
    value = json.loads(document)
    for path, new, is_array in zip(changes[::3], changes[1::3], changes[2::3]):
        steps = parse_path(path)
        inserted = json.loads(new)
        items = inserted if is_array else [inserted]
        place = 0
        if change is _insert:
            if not steps or not isinstance(steps[-1], int):
                continue
            place = steps.pop()  # type: ignore[assignment]
        target = _at(value, steps)
        if target is None and steps == [] and value is None:
            value = target = []
        if isinstance(target, list):
            change(target, place, copy.deepcopy(items))
    return json_dump(value)


def to_bool(document: str) -> bool:
    value = json.loads(document)
    if not isinstance(value, bool):
        raise ValueError("The provided JSON input is not a boolean; error in BOOL expression")
    return value


def to_int64(document: str) -> int:
    value = json.loads(document)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("The provided JSON input is not an integer; error in INT64 expression")
    if value != int(value) or not -(2**63) <= value < 2**63:
        raise ValueError(f"The provided JSON number: {value} cannot be converted to an integer; INT64 expression")
    return int(value)


def to_float64(document: str) -> float:
    value = json.loads(document)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("The provided JSON input is not a number; error in FLOAT64 expression")
    return float(value)


def to_string(document: str) -> str:
    value = json.loads(document)
    if not isinstance(value, str):
        raise ValueError("The provided JSON input is not a string; error in STRING expression")
    return value


def lax_bool(document: str) -> bool | None:
    value = json.loads(document)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, (int, float)) else None


def lax_int64(document: str) -> int | None:
    value = json.loads(document)
    if isinstance(value, bool):
        return int(value)
    number = _number(value)
    if number is None or number != number or abs(number) >= 2**63:
        return None
    return number if isinstance(number, int) else int(abs(number) + 0.5) * (1 if number > 0 else -1)


def lax_float64(document: str) -> float | None:
    value = json.loads(document)
    number = None if isinstance(value, bool) else _number(value)
    return None if number is None else float(number)


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        try:
            return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) else None


def lax_string(document: str) -> str | None:
    value = json.loads(document)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (int, float)) else None


def parse_json(text: str, mode: str | None = None) -> str:
    """PARSE_JSON. Raises ValueError for what is no JSON, and for numbers that would lose digits."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"Invalid input to PARSE_JSON: {error}") from None
    if mode != "round":
        for number in re.findall(r"-?\d+\.\d+(?:[eE][-+]?\d+)?", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)):
            if len(re.sub(r"[-.]|[eE].*", "", number).strip("0")) > 17:
                raise ValueError(f"Invalid input to PARSE_JSON: Input number: {number} cannot round-trip")
    return json_dump(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")

"""The filters of list requests (AIP-160): display_name="x" AND (state=A OR NOT labels.k:*)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from localgcp.vertex.errors import invalid
from localgcp.vertex.messages import Message, is_map, is_set, raw, repeated

# Whether a resource fits; raises VertexError when the filter names a field that it does not have.
Condition = Callable[[Message], bool]
# A function of the filter language, such as in_context("…"): from its arguments to a condition.
Function = Callable[[list[str]], Condition]

_TOKENS = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|>=|<=|!=|[=<>:(),]|-(?=[\w(])|[^\s()=<>:!,"\']+)')
_COMPARISONS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}
_COMPARISONS |= {"<=": operator.le, ">=": operator.ge}


def parse(text: str, functions: Mapping[str, Function] | None = None) -> Condition:
    """The condition of a filter; the empty one always holds. Raises VertexError for what is no filter."""
    if not text.strip():
        return lambda resource: True
    parser = _Parser(text, _FUNCTIONS | dict(functions or {}))
    condition = parser.expression()
    if parser.next is not None:
        raise parser.error(f"unexpected '{parser.next}'")
    return condition


class _Parser:
    """By recursive descent. As AIP-160 has it, OR binds more tightly than AND."""

    def __init__(self, text: str, functions: Mapping[str, Function]) -> None:
        self.text, self.functions = text, functions
        self.tokens: list[str] = []
        position = 0
        while text[position:].strip():
            found = _TOKENS.match(text, position)
            if found is None:
                raise self.error(f"'{text[position:].strip()[:20]}' cannot be read")
            self.tokens.append(found[1])
            position = found.end()
        self.position = 0

    @property
    def next(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def error(self, what: str) -> Exception:
        return invalid(f'Invalid filter "{self.text}": {what}.')

    def take(self, *expected: str) -> str:
        token = self.next
        if token is None or (expected and token not in expected):
            raise self.error(f"{' or '.join(expected) or 'a value'} is missing" + (f" at '{token}'" if token else ""))
        self.position += 1
        return token

    def expression(self) -> Condition:
        parts = [self.factor()]
        while self.next not in (None, ")"):
            if self.next == "AND":
                self.take()
            parts.append(self.factor())
        return lambda resource: all(part(resource) for part in parts)

    def factor(self) -> Condition:
        parts = [self.term()]
        while self.next == "OR":
            self.take()
            parts.append(self.term())
        return lambda resource: any(part(resource) for part in parts)

    def term(self) -> Condition:
        if self.next in ("NOT", "-"):
            self.take()
            inner = self.simple()
            return lambda resource: not inner(resource)
        return self.simple()

    def simple(self) -> Condition:
        if self.next == "(":
            self.take()
            inner = self.expression()
            self.take(")")
            return inner
        name = self.take()
        if not re.match(r"\w", name):
            raise self.error(f"a field is missing at '{name}'")
        if self.next == "(":
            return self.call(name)
        comparison = self.take(*_COMPARISONS, ":")
        return _restriction(name, comparison, _unquoted(self.take()))

    def call(self, name: str) -> Condition:
        if name not in self.functions:
            raise self.error(f"there is no function {name}")
        self.take("(")
        arguments = []
        while self.next != ")":
            arguments.append(_unquoted(self.take()))
            if self.next == ",":
                self.take()
        self.take(")")
        return self.functions[name](arguments)


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token[0] in "\"'" else token


def _restriction(name: str, comparison: str, wanted: str) -> Condition:
    def condition(resource: Message) -> bool:
        found = lookup(resource, name)
        if comparison == ":":
            return _has(found, wanted, name)
        return _compares(found, comparison, wanted, name)

    return condition


@dataclass(frozen=True)
class Found:
    """What a path such as `labels.team` names: `value` is None when it is not set."""

    value: Any
    field: Any  # the descriptor; None inside a map or struct


def lookup(resource: Message, path: str) -> Found:
    """Follows a path, in snake_case or camelCase. Raises VertexError when the resource has no such field."""
    value, field = raw(resource), None
    parts = path.split(".")
    for number, part in enumerate(parts):
        key = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), part)
        field = value.DESCRIPTOR.fields_by_name.get(key)
        if field is None:
            raise invalid(f"Invalid field '{path}': {value.DESCRIPTOR.name} has no field '{part}'.")
        if is_map(field) and number + 1 < len(parts):
            # The rest is the key, which may have dots of its own.
            return Found(_in_map(getattr(value, key), ".".join(parts[number + 1 :])), None)
        there = is_set(value, field) or not field.has_presence
        value = getattr(value, key)
        if number + 1 < len(parts) and (field.message_type is None or repeated(field)):
            raise invalid(f"Invalid field '{path}': '{part}' has no fields.")
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Struct":
            return Found(_in_map(value.fields, ".".join(parts[number + 1 :])) if parts[number + 1 :] else value, None)
        if not there and field.message_type is not None:
            return Found(None, field)
    return Found(value, field)


def _in_map(entries: Any, key: str) -> Any:
    if key not in entries:
        return None
    value = entries[key]
    kind = value.WhichOneof("kind") if hasattr(value, "WhichOneof") else None
    return getattr(value, kind) if kind else value


def _has(found: Found, wanted: str, name: str) -> bool:
    """The operator ":": a key is there, a list has a value, a text fits a pattern with "*"."""
    value = found.value
    if value is None:
        return False
    if found.field is not None and is_map(found.field):
        return wanted in value
    if found.field is not None and repeated(found.field):
        return any(fnmatchcase(str(item), wanted) for item in value)
    if wanted == "*":
        return bool(value) or found.field is None
    if isinstance(value, str):
        return fnmatchcase(value, wanted)
    return _compares(found, "=", wanted, name)


def _compares(found: Found, comparison: str, wanted: str, name: str) -> bool:
    """A field that is not set differs from every value and is neither smaller nor larger."""
    value, expected = _comparable(found, wanted, name)
    if value is None:
        return comparison == "!="
    return bool(_COMPARISONS[comparison](value, expected))


def _comparable(found: Found, wanted: str, name: str) -> tuple[Any, Any]:
    field, value = found.field, found.value
    try:
        if field is not None and field.enum_type is not None:
            if wanted not in field.enum_type.values_by_name:
                raise invalid(f"Invalid filter: '{wanted}' is no value of {name}.")
            return field.enum_type.values_by_number[value].name, wanted
        if field is not None and field.message_type is not None:
            if field.message_type.full_name != "google.protobuf.Timestamp":
                raise invalid(f"Invalid filter: {name} cannot be compared.")
            # AIP-160 wants RFC 3339; the nanoseconds that Python cannot hold are never written here.
            moment = datetime.fromisoformat(wanted)
            if moment.tzinfo is None:
                raise ValueError
            return (None if value is None else value.ToDatetime(tzinfo=moment.tzinfo)), moment
        if isinstance(value, bool):
            return value, {"true": True, "false": False}[wanted.lower()]
        if isinstance(value, (int, float)):
            return float(value), float(wanted)
    except (ValueError, KeyError):
        raise invalid(f"Invalid filter: '{wanted}' cannot be compared with {name}.") from None
    return value, wanted


def _regex(arguments: list[str]) -> Condition:
    """regex(display_name, "^a"): the field has a match of the pattern."""
    if len(arguments) != 2:
        raise invalid("Invalid filter: regex takes a field and a pattern.")
    try:
        pattern = re.compile(arguments[1])
    except re.error as error:
        raise invalid(f"Invalid filter: '{arguments[1]}' is no regular expression ({error}).") from None
    return lambda resource: pattern.search(str(lookup(resource, arguments[0]).value or "")) is not None


_FUNCTIONS: dict[str, Function] = {"regex": _regex}

"""What the filters of ML Metadata can say beyond AIP-160: values in metadata, contexts, parents, "*" in texts."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from localgcp.vertex.errors import invalid, unimplemented
from localgcp.vertex.filters import Condition, Function
from localgcp.vertex.messages import Message, raw

_STRING = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_PARTS = re.compile(
    rf"""(?<![\w.])metadata\.(?P<key>"(?:[^"\\]|\\.)*"|[^\s.=<>!:()"]+)\.(?P<kind>number_value|string_value|bool_value)
           \s*(?P<sign><=|>=|!=|[=<>])\s*(?P<value>{_STRING}|[^\s()]+)
       |(?<![\w.])(?P<metadata>metadata\b[^\s=<>!:()]*)
       |(?<![\w.])(?P<relation>parent_contexts|child_contexts)\s*:\s*(?P<names>(?:{_STRING})(?:\s*,\s*(?:{_STRING}))*)
       |(?<![\w.])(?P<text>name|display_name|schema_title|uri)\s*=\s*(?P<pattern>"[^"]*\*[^"]*")
       |{_STRING}""",
    re.X,
)
_TITLE = re.compile(rf"(?<![\w.])schema_title\s*=\s*(?P<title>{_STRING})|{_STRING}")
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


def rewrite(text: str) -> str:
    """The filter with calls of `metadata_value`, `parent_contexts`, `child_contexts` in the place of their operators.

    Raises VertexError for a path into metadata that the service does not document.
    """
    return _PARTS.sub(_rewritten, text)


def schema_filter(text: str) -> str:
    """The filter of a list of schemas: their title is in their YAML, so that it becomes a call."""
    return _TITLE.sub(lambda found: f"schema_title({found['title']})" if found["title"] else found[0], text)


def _rewritten(found: re.Match[str]) -> str:
    if found["key"]:
        parts = (_plain(found["key"]), found["kind"], found["sign"], _plain(found["value"]))
        return f"metadata_value({', '.join(map(_quoted, parts))})"
    if found["metadata"]:
        raise invalid(
            f"Invalid filter at '{found['metadata']}': metadata is compared as metadata.<field>.<type>, such as "
            'metadata.accuracy.number_value > 0.9; the types are number_value, string_value and bool_value; "<field>" '
            "is put into quotes when it has other characters than letters, digits, '_' and '-'."
        )
    if found["relation"]:
        return f"{found['relation']}({found['names']})"
    return f"{found['text']}:{found['pattern']}" if found["text"] else found[0]


def _plain(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token[0] in "\"'" else token


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def metadata_value(arguments: list[str]) -> Condition:
    """metadata_value("accuracy", "number_value", ">", "0.9"): a field of another type differs from every value."""
    key, kind, sign, wanted = arguments
    try:
        expected = _READERS[kind](wanted)
    except (ValueError, KeyError):
        raise invalid(f"Invalid filter: '{wanted}' is no {kind}.") from None

    def condition(resource: Message) -> bool:
        fields = raw(resource).metadata.fields
        if key not in fields or fields[key].WhichOneof("kind") != kind:
            return sign == "!="
        return bool(_SIGNS[sign](getattr(fields[key], kind), expected))

    return condition


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"number_value": float, "string_value": str, "bool_value": _truth}


def one_name(relation: str, holds: Callable[[Message, str], bool]) -> Function:
    """A function of one resource name, such as in_context("…"), from a relation between a resource and that name."""

    def function(arguments: list[str]) -> Condition:
        if len(arguments) > 1:
            raise unimplemented(f"{relation} of more than one name in a filter", "ask once for each of them")
        if not arguments:
            raise invalid(f"Invalid filter: {relation} takes the full name of a context.")
        return lambda resource: holds(resource, arguments[0])

    return function


def matching(text: Callable[[Message], str]) -> Function:
    """A function of one pattern with "*", held against a text of the resource."""
    return lambda arguments: lambda resource: fnmatchcase(text(resource), arguments[0])

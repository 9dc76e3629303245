"""What the service checks of every request: required fields, output-only fields, labels, display names."""

from __future__ import annotations

import re
from typing import Any

from localgcp.vertex import surface
from localgcp.vertex.errors import Violation, invalid_fields
from localgcp.vertex.messages import Message, is_map, is_set, repeated

_REQUIRED = "Required field is not set."
_LABELS, _LABEL_LENGTH, _NAME_LENGTH = 64, 64, 128
# The service names the fields of a custom job without the request's field around them.
_UNNAMED = {"custom_job"}


def check(request: Message, is_update: bool = False) -> None:
    """Checks a plain request and clears the output-only fields in it. Raises VertexError with everything wrong.

    The resource of an update has only the fields that change: what it lacks is looked at once it is whole.
    """
    _raise(_Check(partial=is_update).violations(request, "", is_request=True))


def check_resource(resource: Message, name: str) -> None:
    """Checks a plain resource that an update has changed; `name` is the request's field. Raises VertexError."""
    whole = type(resource)()
    whole.CopyFrom(resource)
    _raise(_Check(partial=False).violations(whole, f"{name}."))


def _raise(found: list[Violation]) -> None:
    if found:
        raise invalid_fields(*found)


class _Check:
    """A walk through a message; `partial` when fields below the request may be missing."""

    def __init__(self, partial: bool) -> None:
        self._partial = partial

    def violations(self, message: Message, path: str, is_request: bool = False) -> list[Violation]:
        found: list[Violation] = []
        behaviors = surface.behaviors(message.DESCRIPTOR.full_name)
        for field in message.DESCRIPTOR.fields:
            kinds = behaviors.get(field.name, frozenset())
            there = is_set(message, field)
            # The name of a resource is output-only and still says which one is meant.
            if "OUTPUT_ONLY" in kinds and there and not is_request and field.name != "name":
                message.ClearField(field.name)
            elif "REQUIRED" in kinds and not there and _can_be_missing(field):
                if is_request or not self._partial:
                    found.append(Violation(path + field.name, _REQUIRED))
            elif there:
                found += self._in_value(message, field, path)
        return found

    def _in_value(self, message: Message, field: Any, path: str) -> list[Violation]:
        value, name = getattr(message, field.name), path + field.name
        if field.name == "labels" and is_map(field):
            return _label_violations(name, dict(value))
        if field.name == "display_name" and field.cpp_type == field.CPPTYPE_STRING:
            too_long = Violation(name, f"The display name must be at most {_NAME_LENGTH} characters long.")
            return [too_long] if len(value) > _NAME_LENGTH else []
        if field.message_type is None or is_map(field):
            return []
        found = []
        for number, item in enumerate(value) if repeated(field) else [(None, value)]:
            if item.DESCRIPTOR.full_name.startswith(surface.PACKAGE):
                place = name if number is None else f"{name}[{number}]"
                found += self.violations(item, "" if place in _UNNAMED else f"{place}.")
        return found


def _can_be_missing(field: Any) -> bool:
    """A number 0 or a false that is not sent looks like one that is; it has to be let through."""
    return bool(repeated(field) or field.message_type is not None or field.cpp_type == field.CPPTYPE_STRING)


def _label_violations(name: str, labels: dict[str, str]) -> list[Violation]:
    found = []
    if len(labels) > _LABELS:
        found.append(Violation(name, f"At most {_LABELS} labels are allowed."))
    for key, value in labels.items():
        if not _label_text(key) or not key[0].isalpha():
            rule = "Label keys start with a letter and have only lowercase letters, digits, '_' and '-'"
            found.append(Violation(f"{name}.{key}", f"{rule}, at most {_LABEL_LENGTH} of them."))
        elif value and not _label_text(value):
            rule = "Label values have only lowercase letters, digits, '_' and '-'"
            found.append(Violation(f"{name}.{key}", f"{rule}, at most {_LABEL_LENGTH} of them: '{value}'."))
    return found


def _label_text(text: str) -> bool:
    """Letters of any language, as long as they are not capitals."""
    return 0 < len(text) <= _LABEL_LENGTH and text == text.lower() and re.fullmatch(r"[\w-]+", text) is not None

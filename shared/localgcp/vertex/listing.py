"""Lists: order_by, pages and read masks, on resources that a filter has let through."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import total_ordering
from typing import Any

from google.protobuf import field_mask_pb2

from localgcp.vertex import filters
from localgcp.vertex.errors import invalid
from localgcp.vertex.messages import Message, copied, raw, repeated, wrapped

_DEFAULT, _MOST = 100, 1000


def page(request: Message, response_class: Any, resources: Iterable[Message], functions: Any = None) -> Message:
    """The response to a list request: proto-plus request and response, all candidates as resources.

    Raises VertexError for a filter, order, size or token that cannot be used.
    """
    fits = filters.parse(getattr(request, "filter", ""), functions)
    order = _order(getattr(request, "order_by", ""))
    rows = sorted(((_key(item, order), item) for item in resources if fits(item)), key=lambda row: row[0])
    size, after = _size(request), _after(request, order)
    left = [row for row in rows if after is None or row[0] > after]
    response = response_class()
    target = getattr(raw(response), _rows_field(response))
    for _, item in left[:size]:
        target.append(raw(_masked(item, request)))
    if len(left) > size:
        response.next_page_token = _token(request, left[size - 1][0])
    return response


def _rows_field(response: Message) -> str:
    """The repeated field of a list response."""
    fields = raw(response).DESCRIPTOR.fields
    return str(next(field.name for field in fields if repeated(field) and field.message_type is not None))


@total_ordering
class _Descending:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)


def _order(text: str) -> list[tuple[str, bool]]:
    """(field, descending) of "display_name, create_time desc"; the newest come first where nothing is asked."""
    if not text.strip():
        return [("create_time", True)]
    order = []
    for part in text.split(","):
        words = part.split()
        if len(words) not in (1, 2) or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise invalid(f'Invalid order_by "{text}": it takes fields, each with "desc" or nothing after it.')
        order.append((words[0], len(words) == 2 and words[1].lower() == "desc"))
    return order


def _key(resource: Message, order: list[tuple[str, bool]]) -> list[Any]:
    """What a resource is sorted by; the name comes last, so that no two are equal."""
    plain = raw(resource)
    key = []
    for path, descending in order:
        if path == "create_time" and "create_time" not in plain.DESCRIPTOR.fields_by_name:
            continue
        value = _sortable(filters.lookup(plain, path), path)
        key.append(_Descending(value) if descending else value)
    return [*key, str(getattr(plain, "name", ""))]


def _sortable(found: filters.Found, path: str) -> Any:
    value = found.value
    if hasattr(value, "ToNanoseconds"):
        return value.ToNanoseconds()
    if value is None:
        return 0 if found.field is not None else ""
    if isinstance(value, (str, int, float)):
        return value
    raise invalid(f"Invalid order_by: {path} cannot be sorted by.")


def _size(request: Message) -> int:
    size = getattr(request, "page_size", 0)
    if size < 0:
        raise invalid("page_size must not be negative.")
    return min(size or _DEFAULT, _MOST)


def _token(request: Message, key: list[Any]) -> str:
    """Holds the place and not a number of rows: what is created or deleted meanwhile shifts nothing."""
    values = [part.value if isinstance(part, _Descending) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps([_digest(request), values]).encode()).decode()


def _after(request: Message, order: list[tuple[str, bool]]) -> list[Any] | None:
    token = getattr(request, "page_token", "")
    if not token:
        return None
    try:
        digest, values = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise invalid("The page_token is not valid.") from None
    if digest != _digest(request):
        raise invalid("The page_token belongs to a request with another parent, filter or order.")
    sides = [descending for _, descending in order][: len(values) - 1]
    return [_Descending(value) if side else value for value, side in zip(values, [*sides, False])]


def _digest(request: Message) -> str:
    parts = [str(getattr(request, name, "")) for name in ("parent", "name", "filter", "order_by")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _masked(resource: Message, request: Message) -> Message:
    mask = getattr(request, "read_mask", None)
    if mask is None or not mask.paths or list(mask.paths) == ["*"]:
        return copied(resource)
    plain = raw(resource)
    masked = type(plain)()
    paths = field_mask_pb2.FieldMask(paths=list(mask.paths))
    if not paths.IsValidForDescriptor(plain.DESCRIPTOR):
        raise invalid(f"Invalid read_mask: {', '.join(mask.paths)}.")
    paths.MergeMessage(plain, masked)
    return wrapped(masked)

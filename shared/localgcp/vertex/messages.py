"""Small helpers for protobuf messages, wrapped by proto-plus or not."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import proto
from google.protobuf import any_pb2

from localgcp.vertex import surface

# A message of either kind: proto-plus builds its classes at run time, so there is nothing to check statically.
Message = Any


def raw(message: Message) -> Message:
    """The plain protobuf message: the same object, not a copy."""
    return type(message).pb(message) if isinstance(message, proto.Message) else message


def repeated(field: Any) -> bool:
    """Whether a field's descriptor is of a list or a map."""
    # protobuf 4, which tfx's environment has, knows only the label, which later versions warn of.
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def wrapped(message: Message) -> Message:
    """The proto-plus message around a plain one of the API; others stay plain."""
    if isinstance(message, proto.Message):
        return message
    found = surface.message_class(message.DESCRIPTOR.full_name)
    return found.wrap(message) if found else message


def copied(message: Message) -> Message:
    """A proto-plus copy that shares nothing with the original."""
    plain = raw(message)
    twin = type(plain)()
    twin.CopyFrom(plain)
    return wrapped(twin)


def raw_class(message_class: Any) -> Any:
    """The plain class of a proto-plus class."""
    return message_class.pb() if issubclass(message_class, proto.Message) else message_class


def full_name(message: Message) -> str:
    return str(raw(message).DESCRIPTOR.full_name)


def packed(message: Message) -> any_pb2.Any:
    holder = any_pb2.Any()
    holder.Pack(raw(message))
    return holder


def is_set(message: Message, field: Any) -> bool:
    """Whether a field of a plain message has a value other than its default."""
    if repeated(field):
        return len(getattr(message, field.name)) > 0
    if field.has_presence:
        return bool(message.HasField(field.name))
    return bool(getattr(message, field.name))


def is_map(field: Any) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """Ids of the service are numbers of 19 digits."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)

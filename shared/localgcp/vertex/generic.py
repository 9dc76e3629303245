"""Create, get, list, update and delete as most resources of the API have them; semantics add only what is their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import field_mask_pb2

from localgcp.vertex import listing, surface, validate
from localgcp.vertex.errors import VertexError, invalid, precondition
from localgcp.vertex.filters import Function
from localgcp.vertex.messages import Message, copied, full_name, new_id, now, raw, repeated

if TYPE_CHECKING:
    from localgcp.vertex.core import Core

VERBS = ("Create", "Get", "List", "Update", "Delete")
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,126}[a-z0-9_])?")
_LOCATION_PARTS = 4


class Resources:
    """The resources of one kind, such as Endpoint of EndpointService.

    `before_delete` and `before_update(old, new)` may raise VertexError. Other methods of the kind are registered
    beside it with `core.answers`.
    """

    def __init__(
        self,
        core: Core,
        service: str,
        noun: str,
        verbs: Iterable[str] = VERBS,
        before_update: Callable[[Message, Message], None] | None = None,
        before_delete: Callable[[Message], None] | None = None,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.core, self.noun = core, noun
        self._methods = _find(service, noun)
        self._before_update, self._before_delete, self._functions = before_update, before_delete, functions
        handlers = {
            "Create": self.create, "Get": self.get, "List": self.list, "Update": self.update, "Delete": self.delete,
        }  # fmt: skip
        for verb in verbs:
            if verb in self._methods:
                core.answers(self._methods[verb].key)(handlers[verb])

    @property
    def collection(self) -> str:
        """`endpoints`: what stands before the id in a name."""
        rule = self._methods["List"].rules[0]
        return rule.template.rsplit("/", 1)[1]

    def create(self, request: Message) -> Message:
        """Raises VertexError when there is one of that id, or no such parent."""
        body = self._methods["Create"].rules[0].body
        resource = copied(getattr(request, str(body)))
        return self.add(request.parent, resource, _wanted_id(request))

    def add(self, parent: str, resource: Message, identifier: str = "") -> Message:
        """Gives a resource its name, times and etag and keeps it."""
        if identifier and not _ID.fullmatch(identifier):
            raise invalid(
                f"Invalid id '{identifier}': it has lowercase letters, digits, '-', '_' and '.', at most 128, "
                "and begins with a letter or digit."
            )
        if len(parent.split("/")) > _LOCATION_PARTS:
            self.core.store.get(parent)
        resource.name = f"{parent}/{self.collection}/{identifier or new_id()}"
        stamp(resource, created=True)
        self.core.store.add(resource.name, resource)
        return resource

    def get(self, request: Message) -> Message:
        return self.core.store.get(request.name)

    def list(self, request: Message) -> Message:
        if "-" not in request.parent.split("/") and len(request.parent.split("/")) > _LOCATION_PARTS:
            self.core.store.get(request.parent)
        children = self.core.store.children(request.parent, self.collection)
        return listing.page(request, self._methods["List"].response, children, self._functions)

    def update(self, request: Message) -> Message:
        """Raises VertexError for a mask that names no field, or one that cannot be changed."""
        body = str(self._methods["Update"].rules[0].body)
        given = getattr(request, body)

        def change(resource: Message) -> None:
            check_etag(resource, getattr(given, "etag", ""))
            old = copied(resource)
            apply_mask(resource, given, list(request.update_mask.paths))
            validate.check_resource(raw(resource), body)
            if self._before_update is not None:
                self._before_update(old, resource)
            stamp(resource)

        return self.core.store.change(given.name, change)

    def delete(self, request: Message) -> None:
        with self.core.store.lock:
            resource = self.core.store.get(request.name)
            check_etag(resource, getattr(request, "etag", ""))
            if self._before_delete is not None:
                self._before_delete(resource)
            self.core.store.delete(request.name)


def stamp(resource: Message, created: bool = False) -> None:
    """Sets the times and the etag of a resource that is about to be kept, as far as it has them."""
    fields, moment = type(resource).meta.fields, now()
    if created and "create_time" in fields:
        resource.create_time = moment
    if "update_time" in fields:
        resource.update_time = moment
    if "etag" in fields:
        resource.etag = new_id()


def check_etag(resource: Message, etag: str) -> None:
    """Raises VertexError when somebody has changed the resource since the caller read it."""
    if etag and etag != getattr(resource, "etag", ""):
        message = f"The etag does not match: '{resource.name}' has been changed. Read it again, then change it."
        raise VertexError("ABORTED", message)


def apply_mask(resource: Message, given: Message, paths: list[str]) -> None:
    """Sets the fields that an update mask names to what is given; "*" names all that can be changed.

    A message is replaced and not merged: a label that is missing in the new labels is gone. Raises VertexError.
    """
    target, source = raw(resource), raw(given)
    behaviors = surface.behaviors(full_name(resource))
    fixed = {name for name, kinds in behaviors.items() if kinds & {"OUTPUT_ONLY", "IMMUTABLE"}} | {"name", "etag"}
    if paths == ["*"]:
        paths = [field.name for field in target.DESCRIPTOR.fields if field.name not in fixed]
    mask = field_mask_pb2.FieldMask(paths=paths)
    if not mask.IsValidForDescriptor(target.DESCRIPTOR):
        known = {field.name for field in target.DESCRIPTOR.fields}
        wrong = [path for path in paths if path.split(".")[0] not in known] or paths
        raise invalid(f"Invalid update_mask: {target.DESCRIPTOR.name} has no field {', '.join(wrong)}.")
    immutable = [path for path in paths if path.split(".")[0] in fixed - {"name", "etag"}]
    if immutable:
        raise invalid(f"Invalid update_mask: {', '.join(immutable)} cannot be changed.")
    mask.MergeMessage(source, target, True, True)


def require(condition: bool, message: str) -> None:
    """Raises VertexError (FAILED_PRECONDITION) unless the condition holds."""
    if not condition:
        raise precondition(message)


def _wanted_id(request: Message) -> str:
    names = [name for name in type(request).meta.fields if name.endswith("_id") and name != "request_id"]
    return str(getattr(request, names[0])) if names else ""


def _find(service: str, noun: str) -> dict[str, surface.Method]:
    """The five methods of a kind, by verb; a list method by what it lists."""
    methods = [method for method in surface.by_key().values() if method.service == service]
    found = {verb: method for method in methods for verb in VERBS if method.name == f"{verb}{noun}"}
    for method in methods:
        if method.name.startswith("List") and _listed(method.response) == noun:
            found["List"] = method
    if not found:
        raise ValueError(f"{service} has no methods for {noun}")
    return found


def _listed(response: Any) -> str | None:
    fields = response.pb().DESCRIPTOR.fields if hasattr(response, "pb") else []
    return next((field.message_type.name for field in fields if repeated(field) and field.message_type), None)

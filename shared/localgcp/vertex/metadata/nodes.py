"""Contexts, artifacts and executions: one kind of node each, with the same life."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping

from localgcp.vertex import filters, surface, validate
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, invalid, not_found
from localgcp.vertex.filters import Function
from localgcp.vertex.generic import Resources, apply_mask, stamp
from localgcp.vertex.messages import Message, copied, is_set, raw
from localgcp.vertex.metadata import filtering
from localgcp.vertex.metadata.schemas import Schemas

# Context ids as the API documents them. Those of artifacts and executions may have "_", as the SDK says of models.
_IDS = {"Context": re.compile(r"[a-z0-9-]{4,128}")}
_OTHER_IDS = re.compile(r"[a-z0-9_-]{4,128}")
_SAMPLE = 100


class Nodes:
    """The resources of one kind: "Context", "Artifact" or "Execution".

    `forget` is told the name of each that is deleted; `functions` are those of the kind's filters.
    """

    def __init__(
        self, core: Core, noun: str, schemas: Schemas, forget: Callable[[str], None], functions: Mapping[str, Function]
    ) -> None:
        self._core, self._noun, self._schemas, self._forget = core, noun, schemas, forget
        self._field = noun.lower()
        self._functions = {"metadata_value": filtering.metadata_value, **functions}
        self._resources = Resources(core, "MetadataService", noun, verbs=("Get",), functions=self._functions)
        for verb in ("Create", "Update", "Delete"):
            core.answers(f"MetadataService.{verb}{noun}")(getattr(self, verb.lower()))
        core.answers(f"MetadataService.List{noun}s")(self.list)
        core.answers(f"MetadataService.Purge{noun}s")(self.purge)

    def create(self, request: Message) -> Message:
        """Raises VertexError for an id, a schema or metadata that cannot be."""
        given = getattr(request, self._field)
        return self.add(request.parent, copied(given), getattr(request, f"{self._field}_id"))

    def add(self, parent: str, node: Message, identifier: str = "") -> Message:
        """Keeps a new node below a metadata store. Raises VertexError."""
        allowed = _IDS.get(self._noun, _OTHER_IDS)
        if identifier and not allowed.fullmatch(identifier):
            raise invalid(
                f"Invalid {self._field}_id '{identifier}': it has 4 to 128 characters, lowercase letters, digits and "
                f"{'hyphens' if self._noun == 'Context' else 'hyphens or underscores'}."
            )
        self._core.store.get(parent)
        self._schemas.complete(node, parent)
        node.name = f"{parent}/{self._resources.collection}/{identifier or uuid.uuid4()}"
        stamp(node, created=True)
        node.etag = _next_etag("")
        self._core.store.add(node.name, node)
        return node

    def list(self, request: Message) -> Message:
        wanted = copied(request)
        wanted.filter = filtering.rewrite(request.filter)
        return self._resources.list(wanted)

    def update(self, request: Message) -> Message:
        """Without a mask the fields that are set are changed; metadata and labels are replaced, not merged."""
        given = getattr(request, self._field)
        with self._core.store.lock:
            if self._core.store.find(given.name) is None:
                if not request.allow_missing:
                    raise not_found(given.name)
                parent, _, identifier = given.name.rpartition(f"/{self._resources.collection}/")
                return self.add(parent, copied(given), identifier)
            paths = list(request.update_mask.paths) or _set_fields(given)
            return self.change(given.name, lambda node: apply_mask(node, given, paths), given.etag)

    def change(self, name: str, change: Callable[[Message], None], etag: str = "") -> Message:
        """Changes a node without anyone in between. Raises VertexError, ABORTED when the etag is an old one."""

        def checked(node: Message) -> None:
            self._check_etag(node, etag, "ABORTED")
            change(node)
            validate.check_resource(raw(node), self._field)
            self._schemas.complete(node, name.rsplit("/", 2)[0])
            before = node.etag
            stamp(node)
            node.etag = _next_etag(before)

        return self._core.store.change(name, checked)

    def delete(self, request: Message) -> None:
        with self._core.store.lock:
            self._check_etag(self._core.store.get(request.name), request.etag, "FAILED_PRECONDITION")
            self._remove(request.name)

    def purge(self, request: Message) -> Message:
        """Deletes what the filter lets through, with `force`; without it, says what that would be."""
        self._core.store.get(request.parent)
        fits = filters.parse(filtering.rewrite(request.filter), self._functions)
        with self._core.store.lock:
            found = self._core.store.children(request.parent, self._resources.collection)
            names = [node.name for node in found if fits(node)]
            response = surface.message_class(f"{surface.PACKAGE}Purge{self._noun}sResponse")(purge_count=len(names))
            if not request.force:
                response.purge_sample = names[:_SAMPLE]
                return response
            for name in names:
                self._remove(name)
            return response

    def _remove(self, name: str) -> None:
        self._core.store.delete(name)
        self._forget(name)

    def _check_etag(self, node: Message, etag: str, status: str) -> None:
        if etag and etag != node.etag:
            message = f"Specified {self._noun} `etag`: `{etag}` does not match server `etag`: `{node.etag}`"
            raise VertexError(status, message)


def _next_etag(before: str) -> str:
    """The time in milliseconds, as on the service: the SDK tries again when the server's is the later one."""
    return str(max(time.time_ns() // 10**6, int(before or 0) + 1))


def _set_fields(given: Message) -> list[str]:
    plain = raw(given)
    names = [field.name for field in plain.DESCRIPTOR.fields if is_set(plain, field)]
    unchanged = surface.behaviors(plain.DESCRIPTOR.full_name)
    return [name for name in names if name not in ("name", "etag") and not unchanged.get(name)]

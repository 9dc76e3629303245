"""The core under both transports: a request is checked and reaches the handler of its method."""

from __future__ import annotations

import errno
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from localgcp.vertex import surface, validate
from localgcp.vertex.errors import VertexError, invalid, unimplemented
from localgcp.vertex.machines import Machines
from localgcp.vertex.messages import Message, raw, repeated, wrapped
from localgcp.vertex.operations import Operations
from localgcp.vertex.store import Store

# From a proto-plus request to a proto-plus response; None is Empty. A streaming method gives an iterator of responses.
Handler = Callable[[Message], Message]
_NAME = re.compile(r"projects/([^/]+)(?:/locations/([^/]+))?")


class Core:
    """What the semantics of all resources share: `store`, `operations`, the bucket's folder, the table of machines."""

    def __init__(self, folder: Path, buckets: Path, project: str, location: str, machines: Machines) -> None:
        self.folder, self.buckets = folder, buckets
        self.project, self.location = project, location
        self.machines = machines
        self.store = Store(folder)
        self.operations = Operations(self.store, self.parent)
        # The last requests as they came: (method, message), oldest first.
        self.requests: deque[tuple[str, Message]] = deque(maxlen=1000)
        # Called with each of them, too.
        self.on_request: list[Callable[[str, Message], None]] = []
        # How other processes reach the server, once it listens: an endpoint per transport.
        self.reached: dict[str, str] = {}
        self.on_stop: list[Callable[[], None]] = []
        # What a subject's module offers to the others, by the name of the subject: core.parts["models"].
        self.parts: dict[str, Any] = {}
        self._handlers: dict[str, Handler] = {}

    @property
    def handled(self) -> set[str]:
        """The methods that have semantics here, "EndpointService.CreateEndpoint"."""
        return set(self._handlers)

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    def answers(self, *keys: str) -> Callable[[Handler], Handler]:
        """Registers a handler for methods like "EndpointService.CreateEndpoint".

        Raises ValueError for a method that the API does not have, or that has a handler.
        """

        def register(handler: Handler) -> Handler:
            for key in keys:
                if key not in surface.by_key():
                    raise ValueError(f"{key} is no method of the API")
                if key in self._handlers:
                    raise ValueError(f"{key} has a handler already")
                self._handlers[key] = handler
            return handler

        return register

    def call(self, method: surface.Method, request: Message) -> Message | Iterator[Message]:
        """Answers a plain request with a plain response, or an iterator of them for a streaming method.

        Raises VertexError, and nothing else: a fault of this server becomes INTERNAL.
        """
        kept = type(request)()
        kept.CopyFrom(request)
        self.requests.append((method.key, kept))
        for told in self.on_request:
            told(method.key, kept)
        handler = self._handlers.get(method.key)
        if handler is None:
            raise unimplemented(method.key)
        try:
            self._check_place(request)
            validate.check(request, is_update=method.name.startswith("Update"))
            return self._respond(method, handler(wrapped(request)))
        except VertexError:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                text = f"The disk that holds the local Vertex AI is full ({error.strerror}); nothing was changed."
                raise VertexError("RESOURCE_EXHAUSTED", text) from error
            raise VertexError("INTERNAL", f"{method.key}: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise VertexError("INTERNAL", f"{method.key}: {type(error).__name__}: {error}") from error

    def stop(self) -> None:
        for close in reversed(self.on_stop):
            close()
        self.store.close()

    def _respond(self, method: surface.Method, answer: Message) -> Message | Iterator[Message]:
        if method.kind == "unary_stream":
            return (raw(part) for part in answer)
        if method.response is operations_pb2.Operation and not isinstance(answer, operations_pb2.Operation):
            return self.operations.done(method, answer)
        return raw(answer) if answer is not None else empty_pb2.Empty()

    def _check_place(self, request: Message) -> None:
        """A regional endpoint serves the resources of one location, and a caller those of a project."""
        for field in request.DESCRIPTOR.fields:
            value = getattr(request, field.name)
            if field.message_type is not None and not repeated(field) and hasattr(value, "name"):
                value = value.name
            found = _NAME.match(value) if isinstance(value, str) else None
            if found is None:
                continue
            if found[1] not in (self.project, "-"):
                raise VertexError("PERMISSION_DENIED", f"Permission denied on resource project {found[1]}.")
            if found[2] not in (self.location, "-", None):
                raise invalid(f"This endpoint serves the location {self.location}, not {found[2]}: '{value}'.")

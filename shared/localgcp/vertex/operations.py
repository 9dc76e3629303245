"""Long-running operations: what the methods of creation, deletion and deployment answer with."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import status_pb2

from localgcp.vertex import surface
from localgcp.vertex.errors import VertexError, invalid, not_found, precondition
from localgcp.vertex.messages import Message, new_id, now, packed
from localgcp.vertex.store import Store

_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/(?:.+/)?operations/[^/:]+\Z")
# A wait that lasts longer would hold one of the server's threads; the client asks again.
_LONGEST_WAIT = 10.0


class Operations:
    """The operations of a server. They are kept like resources, so that a client may ask after a restart."""

    def __init__(self, store: Store, location: str) -> None:
        self._store, self._location = store, location
        self._changed = threading.Condition()
        for operation in store.of(operations_pb2.Operation):
            if not operation.done:
                # ABORTED: whoever waits for it must begin again.
                message = "The local server was stopped before the operation was done."
                self._finish(operation, error=VertexError("ABORTED", message))

    def done(self, method: surface.Method, result: Message | None) -> operations_pb2.Operation:
        """An operation that has succeeded already."""
        operation = self._new(method)
        self._finish(operation, response=result)
        return operation

    def run(self, method: surface.Method, work: Callable[[], Message | None]) -> operations_pb2.Operation:
        """An operation that ends when `work` returns its result, in a thread of its own, or raises VertexError."""
        operation = self._new(method)
        self._store.put(operation.name, operation)

        def go() -> None:
            kept = operations_pb2.Operation()
            kept.CopyFrom(operation)
            try:
                self._finish(kept, response=work())
            except VertexError as error:
                self._finish(kept, error=error)
            except Exception as error:
                self._finish(kept, error=VertexError("INTERNAL", f"{type(error).__name__}: {error}"))

        threading.Thread(target=go, name=operation.name, daemon=True).start()
        return operation

    def answer(self, name: str, request: Message) -> Message:
        """One of the methods of google.longrunning.Operations. Raises VertexError."""
        if name == "ListOperations":
            return self._list(request)
        operation = self._get(request.name)
        if name == "GetOperation":
            return operation
        if name == "WaitOperation":
            return self._wait(request)
        if name == "DeleteOperation":
            self._store.delete(request.name)
        elif name == "CancelOperation":
            # Nothing here can be cancelled halfway; the service promises no more than to try.
            if operation.done:
                raise precondition(f"The operation {request.name} is done.")
        else:
            raise invalid(f"There is no method {name}.")
        return empty_pb2.Empty()

    def _new(self, method: surface.Method) -> operations_pb2.Operation:
        operation = operations_pb2.Operation(name=f"{self._location}/operations/{new_id()}")
        operation.metadata.CopyFrom(packed(_metadata(method)))
        return operation

    def _finish(self, operation: Any, response: Message | None = None, error: VertexError | None = None) -> None:
        operation.done = True
        if error is not None:
            operation.error.CopyFrom(status_pb2.Status(code=error.grpc_code, message=error.message))
        else:
            operation.response.CopyFrom(packed(response if response is not None else empty_pb2.Empty()))
        self._store.put(operation.name, operation)
        with self._changed:
            self._changed.notify_all()

    def _get(self, name: str) -> operations_pb2.Operation:
        operation = self._store.find(name) if _NAME.match(name) else None
        if not isinstance(operation, operations_pb2.Operation):
            raise not_found(name)
        return operation

    def _list(self, request: Message) -> operations_pb2.ListOperationsResponse:
        if request.filter:
            raise invalid("Filters of operations are not known here; list them all.")
        parent = request.name.removesuffix("/operations")
        found = self._store.children(parent, "operations")
        start = int(request.page_token) if request.page_token.isdigit() else 0
        end = start + (request.page_size or 100)
        response = operations_pb2.ListOperationsResponse(operations=found[start:end])
        if end < len(found):
            response.next_page_token = str(end)
        return response

    def _wait(self, request: Message) -> operations_pb2.Operation:
        seconds = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _LONGEST_WAIT
        end = time.monotonic() + min(seconds, _LONGEST_WAIT)
        with self._changed:
            while not (operation := self._get(request.name)).done and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
        return operation


def _metadata(method: surface.Method) -> Message:
    """CreateEndpointOperationMetadata for CreateEndpoint, …: what the SDK unpacks the metadata into."""
    fallback = "DeleteOperationMetadata" if method.name.startswith("Delete") else "GenericOperationMetadata"
    named = (f"{method.name}OperationMetadata", f"{method.name}Metadata", fallback)
    metadata = next(found for name in named if (found := surface.message_class(surface.PACKAGE + name)))()
    moment = now()
    holder = metadata.generic_metadata if "generic_metadata" in type(metadata).meta.fields else metadata
    holder.create_time = holder.update_time = moment
    return metadata

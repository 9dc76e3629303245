"""gRPC over TLS: the SDK's default transport, with the service's exact error codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from localgcp.loopback import HOST
from localgcp.vertex import surface
from localgcp.vertex.certificate import Certificate
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, unimplemented
from localgcp.vertex.messages import Message, raw_class

_THREADS = 32
_OPERATIONS = "/google.longrunning.Operations/"


class Rpc:
    """A running gRPC server on loopback. It holds the reference to grpc's own, without which that would stop.

    Raises OSError when the port is taken.
    """

    def __init__(self, core: Core, certificate: Certificate, port: int = 0) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="vertex-grpc"),
            handlers=[_Handler(core)],
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Else two servers could share a port, and each would get some of the calls.
                ("grpc.so_reuseport", 0),
            ],
        )
        credentials = grpc.ssl_server_credentials([(certificate.key, certificate.public)])
        try:
            self.port = self._server.add_secure_port(f"{HOST}:{port}", credentials)
        except RuntimeError as error:
            raise OSError(f"the port {port} for gRPC is taken; choose another, or 0 for any") from error
        self._server.start()

    @property
    def target(self) -> str:
        return f"{HOST}:{self.port}"

    def stop(self) -> None:
        self._server.stop(None).wait()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, core: Core) -> None:
        self._core = core

    def service(self, details: Any) -> Any:
        path = details.method
        if path.startswith(_OPERATIONS):
            return self._operations(path.removeprefix(_OPERATIONS))
        method = surface.methods().get(path)
        if method is None or method.kind.startswith("stream"):
            return _refusal(path)
        reader = raw_class(method.request).FromString
        if method.kind == "unary_stream":
            return grpc.unary_stream_rpc_method_handler(self._stream(method), reader, _written)
        return grpc.unary_unary_rpc_method_handler(
            _answering(lambda request: self._core.call(method, request)), reader, _written
        )

    def _operations(self, name: str) -> Any:
        reader = getattr(operations_pb2, f"{name}Request").FromString
        answer = _answering(lambda request: self._core.operations.answer(name, request))
        return grpc.unary_unary_rpc_method_handler(answer, reader, _written)

    def _stream(self, method: surface.Method) -> Callable[[Message, Any], Iterator[Message]]:
        def answer(request: Message, context: Any) -> Iterator[Message]:
            try:
                yield from self._core.call(method, request)
            except VertexError as error:
                _abort(context, error)

        return answer


def _answering(call: Callable[[Message], Message]) -> Callable[[Message, Any], Message]:
    def answer(request: Message, context: Any) -> Message:
        try:
            return call(request)
        except VertexError as error:
            return _abort(context, error)
        except Exception as error:
            return _abort(context, VertexError("INTERNAL", f"{type(error).__name__}: {error}"))

    return answer


def _written(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _abort(context: Any, error: VertexError) -> Any:
    """Ends the call with the code, and with the fields that are wrong as details."""
    status = status_pb2.Status(code=error.grpc_code, message=error.message)
    if error.violations:
        listed = [
            error_details_pb2.BadRequest.FieldViolation(field=item.field, description=item.message)
            for item in error.violations
        ]
        holder = any_pb2.Any()
        holder.Pack(error_details_pb2.BadRequest(field_violations=listed))
        status.details.append(holder)
    context.abort_with_status(rpc_status.to_status(status))


def _refusal(path: str) -> Any:
    """Reads any bytes and says that the method is not emulated."""
    what = path.strip("/").replace("/", ".")

    def answer(_: bytes, context: Any) -> Any:
        return _abort(context, unimplemented(what))

    return grpc.unary_unary_rpc_method_handler(answer, lambda data: data, lambda data: data)

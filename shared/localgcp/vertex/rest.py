"""REST: a path, a query and a JSON body become a request message, a response message becomes JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from google.api import httpbody_pb2
from google.longrunning import operations_pb2
from google.protobuf import json_format, struct_pb2

from localgcp.loopback import Call, Reply
from localgcp.vertex import surface
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, invalid, unimplemented
from localgcp.vertex.messages import Message, raw_class, repeated

_JSON = {"Content-Type": "application/json; charset=UTF-8"}
_OPERATION = re.compile(r"/(v1|ui)/(projects/[^/]+/locations/[^/]+/(?:.+/)?operations(?:/[^/:]+)?)(?::(\w+))?\Z")


class Rest:
    """Answers HTTP requests with a core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def answer(self, call: Call) -> Reply:
        """Never raises."""
        try:
            return self._answer(call)
        except VertexError as error:
            return _error(error)
        except Exception as error:
            return _error(VertexError("INTERNAL", f"{type(error).__name__}: {error}"))

    def _answer(self, call: Call) -> Reply:
        operation = _OPERATION.match(call.path)
        if operation:
            return self._operation(call, operation[2], operation[3])
        for method, rule, values in _matches(call):
            request = _request(call, method, rule, values)
            return _reply(self._core.call(method, request), call)
        if call.path.startswith("/v1beta1/"):
            raise unimplemented("The version v1beta1 of the API", 'use v1, or run with TARGET="vertex"')
        raise VertexError("NOT_FOUND", f"Method not found: {call.method} {call.path}")

    def _operation(self, call: Call, name: str, verb: str | None) -> Reply:
        listing = name.endswith("/operations")
        found = {
            ("GET", None): "ListOperations" if listing else "GetOperation",
            ("DELETE", None): "DeleteOperation",
            ("POST", "cancel"): "CancelOperation",
            ("POST", "wait"): "WaitOperation",
        }.get((call.method, verb))
        if found is None:
            raise VertexError("NOT_FOUND", f"Method not found: {call.method} {call.path}")
        request = getattr(operations_pb2, f"{found}Request")(name=name)
        _set_query(request, call.items)
        return _reply(self._core.operations.answer(found, request), call)


def _matches(call: Call) -> Iterator[tuple[surface.Method, surface.Rule, tuple[str, ...]]]:
    for method in surface.methods().values():
        for rule in method.rules:
            found = rule.pattern.match(call.path) if rule.verb == call.method else None
            if found:
                yield method, rule, found.groups()


def _request(call: Call, method: surface.Method, rule: surface.Rule, values: tuple[str, ...]) -> Message:
    """The message of a request. Raises VertexError for JSON, fields or values that do not fit."""
    request = raw_class(method.request)()
    if call.body and method.name in ("RawPredict", "StreamRawPredict"):
        # The body is the learner's own: it goes to the model as it is.
        request.http_body.data = call.body
        request.http_body.content_type = call.headers.get("content-type", "")
    elif call.body and rule.body:
        _parse_body(call.body, request if rule.body == "*" else getattr(request, rule.body))
    _set_query(request, call.items)
    for field, value in zip(rule.fields, values):
        _set(request, field, value)
    return request


def _parse_body(body: bytes, message: Message) -> None:
    try:
        json_format.Parse(body, message)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not message.IsInitialized() or message.ByteSize() == 0:
        # `{}` still sets the field: an empty resource is not a missing one.
        message.SetInParent()


def _set_query(request: Message, items: Iterable[tuple[str, str]]) -> None:
    for key, value in items:
        if not key.startswith("$") and key not in ("alt", "prettyPrint", "key"):
            _set(request, key, value)


def _set(message: Message, path: str, value: str) -> None:
    """Sets a field by a path such as `readMask` or `endpoint.name` to what a text says."""
    *outer, last = (re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), part) for part in path.split("."))
    for part in outer:
        if part not in message.DESCRIPTOR.fields_by_name:
            raise _unknown(path)
        message = getattr(message, part)
    field = message.DESCRIPTOR.fields_by_name.get(last)
    if field is None:
        raise _unknown(path)
    parsed = [_value(field, value)] if repeated(field) else _value(field, value)
    part = type(message)()
    try:
        json_format.ParseDict({field.json_name: parsed}, part)
    except (json_format.ParseError, ValueError):
        raise invalid(f"Invalid value for '{path}': '{value}'.") from None
    # A parameter that occurs again adds to the list, as the first one did.
    message.MergeFrom(part)


def _unknown(path: str) -> VertexError:
    return invalid(f'Invalid JSON payload received. Unknown name "{path}": Cannot bind query parameter.')


def _value(field: Any, text: str) -> Any:
    if field.cpp_type == field.CPPTYPE_BOOL:
        return {"true": True, "false": False, "True": True, "False": False}.get(text, text)
    if field.cpp_type == field.CPPTYPE_ENUM and text.lstrip("-").isdigit():
        return int(text)
    return text


def _reply(answer: Message | Iterator[Message], call: Call) -> Reply:
    numbers = "enum-encoding=int" in call.query.get("$alt", "")
    if isinstance(answer, Iterator):
        parts = list(answer)
        if parts and isinstance(parts[0], httpbody_pb2.HttpBody):
            return Reply(200, b"".join(part.data for part in parts), {"Content-Type": parts[0].content_type})
        return Reply(200, json.dumps([_json(part, numbers) for part in parts]).encode(), _JSON)
    if isinstance(answer, httpbody_pb2.HttpBody):
        more = struct_pb2.Struct()  # the headers of the answer, where its method has some
        if answer.extensions:
            answer.extensions[0].Unpack(more)
        return Reply(200, answer.data, {"Content-Type": answer.content_type or "application/json"} | dict(more))
    return Reply(200, json.dumps(_json(answer, numbers), ensure_ascii=False).encode(), _JSON)


def _json(message: Message, numbers: bool) -> Any:
    return json_format.MessageToDict(message, use_integers_for_enums=numbers)


def _error(error: VertexError) -> Reply:
    """Google's form of an error."""
    body: dict[str, Any] = {"code": error.http_status, "message": error.message, "status": error.status}
    if error.violations:
        listed = [{"field": item.field, "description": item.message} for item in error.violations]
        body["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": listed}]
    return Reply(error.http_status, json.dumps({"error": body}, ensure_ascii=False).encode(), _JSON)

"""The API as the installed SDK knows it: methods, types, HTTP rules, and what the documentation says of each field."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import proto

VERSION = "v1"
PACKAGE = f"google.cloud.aiplatform.{VERSION}."
_SERVICES = f"google.cloud.aiplatform_{VERSION}.services"
_NO_STUBS = {"operations_client", "kind", "host", "grpc_channel"}


@dataclass(frozen=True)
class Rule:
    """A way to call a method over HTTP: `body` names the field that the JSON body is ("*" is all of them)."""

    verb: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]  # what the groups of the pattern are
    body: str | None
    template: str


@dataclass(frozen=True)
class Method:
    """A method of a service; `request` and `response` are proto-plus or plain protobuf classes."""

    service: str
    name: str
    path: str
    request: Any
    response: Any
    kind: str  # unary_unary, unary_stream, …
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        return f"{self.service}.{self.name}"


class _Recorder:
    """Stands for a channel and remembers what stubs are made of it."""

    def __init__(self) -> None:
        self.stubs: dict[str, tuple[str, Any, Any]] = {}

    def __getattr__(self, kind: str) -> Any:
        if kind not in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            raise AttributeError(kind)

        def stub(path: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any) -> None:
            self.stubs[path] = (kind, request_serializer, response_deserializer)

        return stub


@cache
def methods() -> dict[str, Method]:
    """Every method of the API's version by its gRPC path. Takes 0.1 s once the SDK is imported."""
    found = {}
    package = importlib.import_module(_SERVICES)
    for module in pkgutil.iter_modules(package.__path__):
        for method in _methods_of(f"{_SERVICES}.{module.name}.transports"):
            found[method.path] = method
    return found


@cache
def by_key() -> dict[str, Method]:
    """Every method by a name like `JobService.CreateCustomJob`."""
    return {method.key: method for method in methods().values()}


def _methods_of(transports: str) -> list[Method]:
    rpc = importlib.import_module(f"{transports}.grpc")
    rest = importlib.import_module(f"{transports}.rest_base")
    stubs = _stubs(_class(rpc, "GrpcTransport"))
    base = _class(rest, "RestTransport")
    found = []
    for path, (kind, serializer, deserializer) in stubs.items():
        if not path.startswith(f"/{PACKAGE}"):
            continue  # operations, IAM and locations, which every service repeats
        service, name = path.removeprefix(f"/{PACKAGE}").split("/")
        rules = _rules(getattr(base, f"_Base{name}", None))
        found.append(Method(service, name, path, _owner(serializer), _owner(deserializer), kind, rules))
    return found


def _class(module: Any, suffix: str) -> Any:
    return next(
        item for name, item in vars(module).items() if name.endswith(suffix) and item.__module__ == module.__name__
    )


def _stubs(transport: Any) -> dict[str, tuple[str, Any, Any]]:
    """The stubs of a transport. It is not initialised: that would prepare 40 retry policies per service."""
    recorder = _Recorder()
    bare: Any = object.__new__(transport)
    bare._logged_channel, bare._stubs = recorder, {}
    for name, _ in inspect.getmembers(transport, lambda item: isinstance(item, property)):
        if name not in _NO_STUBS:
            getattr(bare, name)
    return recorder.stubs


def _owner(function: Any) -> Any:
    """The message class that a serializer or deserializer belongs to."""
    owner = getattr(function, "__self__", None)
    return owner if isinstance(owner, type) else getattr(function, "__objclass__", None)


def _rules(base: Any) -> tuple[Rule, ...]:
    options = base._get_http_options() if base is not None and hasattr(base, "_get_http_options") else []
    return tuple(
        Rule(option["method"].upper(), *compile_template(option["uri"]), option.get("body"), option["uri"])
        for option in options
    )


def compile_template(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern for paths like /v1/{name=projects/*/locations/*}:cancel, and the fields of its groups."""
    text, fields, position = "", [], 0
    for found in re.finditer(r"\{([\w.]+)(?:=([^}]*))?\}", template):
        inner = re.escape(found[2] or "*").replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
        text += re.escape(template[position : found.start()]) + f"({inner})"
        fields.append(found[1])
        position = found.end()
    return re.compile(text + re.escape(template[position:]) + r"\Z"), tuple(fields)


def message_class(full_name: str) -> Any:
    """The proto-plus class of `google.cloud.aiplatform.v1.CustomJob`; None when it is another package's."""
    if not full_name.startswith(PACKAGE):
        return None
    found: Any = importlib.import_module(f"google.cloud.aiplatform_{VERSION}.types")
    for part in full_name.removeprefix(PACKAGE).split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, proto.Message) else None


_FIELD = re.compile(r"^    (\w+) \((?:.|\n)*?\):\n\s+((?:.|\n)*?)(?=^    \w+ \(|\Z)", re.M)
_WORDS = {"Required": "REQUIRED", "Output only": "OUTPUT_ONLY", "Immutable": "IMMUTABLE"}


@cache
def behaviors(full_name: str) -> dict[str, frozenset[str]]:
    """REQUIRED, OUTPUT_ONLY and IMMUTABLE of a message's fields.

    The SDK's descriptors have lost the annotations; its docstrings still say them ("Required. The …").
    """
    found = message_class(full_name)
    if found is None:
        return {}
    attributes = (inspect.getdoc(found) or "").partition("Attributes:")[2]
    result = {}
    for match in _FIELD.finditer(attributes):
        # "Optional. Immutable. …": one or two words may come before.
        head = re.match(r"((?:\w+(?: only)?\. ?){0,3})", " ".join(match[2][:80].split()))
        words = {word.strip() for word in (head[1] if head else "").split(".")}
        kinds = frozenset(kind for word, kind in _WORDS.items() if word in words)
        if kinds:
            result[match[1] if match[1] in found.meta.fields else match[1].rstrip("_")] = kinds
    return result

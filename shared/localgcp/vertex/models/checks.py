"""What is checked of a model before it is registered."""

from __future__ import annotations

import re
from collections.abc import Iterable

from localgcp.vertex.core import Core
from localgcp.vertex.errors import Violation, invalid, invalid_fields, precondition
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places

CUSTOM_TRAINED = "custom-trained"  # the export format of a model that was uploaded
_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_IMAGE = re.compile(r"[a-z0-9.-]+(?::\d+)?/[\w./-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HIGHEST_PORT = 65535
_LONGEST_DEPLOYMENT = 2 * 3600
# The number that decides how exact a method is, and the most that it can be.
_METHODS = {
    "sampled_shapley_attribution": ("path_count", 50),
    "integrated_gradients_attribution": ("step_count", 100),
    "xrai_attribution": ("step_count", 100),
}


def check_model(model: Message) -> None:
    """The form of a model. Raises VertexError."""
    check_aliases(model.version_aliases)
    found = list(_in_container(model))
    if raw(model).HasField("explanation_spec"):
        found += explanation_faults(model.explanation_spec, "model.explanation_spec")
    if found:
        raise invalid_fields(*found)


def check_identifier(identifier: str) -> None:
    """The id that a caller gives to a model; "" is none. Raises VertexError."""
    if identifier and not _ID.fullmatch(identifier):
        raise invalid(
            f"Invalid model_id '{identifier}': it has lowercase letters, digits, '-' and '_', at most 63, and begins "
            "with a letter or '_'."
        )


def check_aliases(aliases: Iterable[str]) -> None:
    """Raises VertexError for a text that is no alias. A number would be taken for the id of a version."""
    wrong = sorted(alias for alias in aliases if not _ALIAS.fullmatch(alias))
    if wrong:
        listed = ", ".join(f"'{alias}'" for alias in wrong)
        raise invalid(
            f"Invalid version alias {listed}: an alias has 2 to 128 letters, digits and '-', begins with a lowercase "
            "letter and ends with one or with a digit."
        )


def check_artifacts(core: Core, uri: str) -> None:
    """Raises VertexError unless there is a file under a gs:// URI."""
    folder = Places(core.buckets).local(uri)
    if not any(path.is_file() for path in folder.rglob("*")):
        raise precondition(f"There are no files under '{uri}' to copy; write the model's artifacts there first.")


def _in_container(model: Message) -> Iterable[Violation]:
    path, spec = "model.container_spec", model.container_spec
    if not raw(model).HasField("container_spec"):
        if model.artifact_uri:
            yield Violation(f"{path}.image_uri", "Required for a model with an artifact_uri.")
        return
    if not _IMAGE.fullmatch(spec.image_uri):
        yield Violation(f"{path}.image_uri", f"'{spec.image_uri}' is no URI of a container image.")
    for route in ("predict_route", "health_route"):
        value = getattr(spec, route)
        if value and not value.startswith("/"):
            yield Violation(f"{path}.{route}", f"'{value}' is no path; it begins with '/'.")
    if spec.invoke_route_prefix and (spec.predict_route or spec.invoke_route_prefix != "/*"):
        yield Violation(f"{path}.invoke_route_prefix", "It is '/*' or not set, and not set beside predict_route.")
    for field in ("ports", "grpc_ports"):
        for number, port in enumerate(getattr(spec, field)):
            if not 0 < port.container_port <= _HIGHEST_PORT:
                yield Violation(f"{path}.{field}[{number}]", f"{port.container_port} is no port, 1 to {_HIGHEST_PORT}.")
    for number, variable in enumerate(spec.env):
        if not _VARIABLE.fullmatch(variable.name):
            yield Violation(f"{path}.env[{number}].name", f"'{variable.name}' is no name of a variable.")
    if raw(spec).deployment_timeout.ToSeconds() > _LONGEST_DEPLOYMENT:
        yield Violation(f"{path}.deployment_timeout", "It is at most 2 hours.")


def explanation_faults(spec: Message, path: str) -> Iterable[Violation]:
    """What is wrong with the form of an ExplanationSpec at `path`."""
    method = raw(spec.parameters).WhichOneof("method")
    if method is None:
        yield Violation(f"{path}.parameters", "An attribution method is required.")
    elif method in _METHODS:
        field, most = _METHODS[method]
        value = getattr(getattr(spec.parameters, method), field)
        if not 1 <= value <= most:
            yield Violation(f"{path}.parameters.{method}.{field}", f"It is 1 to {most}, not {value}.")
    if len(spec.metadata.outputs) > 1:
        yield Violation(f"{path}.metadata.outputs", "Only one output is allowed.")

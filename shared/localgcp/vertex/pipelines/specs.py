"""Compiled pipelines: what is refused before one runs, and what is rewritten for a run on this machine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from localgcp.vertex.errors import VertexError, Violation, invalid, invalid_fields, unimplemented
from localgcp.vertex.messages import Message
from localgcp.vertex.values import from_value

_OLDEST = Version("2.1.0")
_IMAGE = re.compile(r"[a-zA-Z0-9]+([._:/-]+[a-zA-Z0-9_]+)*(@sha256:[0-9a-f]{64})?")
_PREBUILT = "google-cloud-pipeline-components"
_OF_IMAGE = ["python3", "-m", "kfp.dsl.executor_main"]
_WITH_VALUE = ("--index-url", "--extra-index-url", "--trusted-host", "-i")
_NUMBER = (int, float)

Spec = dict[str, Any]


def read(job: Message) -> Spec:
    """The pipeline spec of a job. Raises VertexError for one that the service refuses, or that cannot be run here."""
    if job.template_uri and not job.pipeline_spec:
        raise unimplemented("A pipeline from a template registry", "compile it, and give the file as template_path")
    spec: Spec = {name: from_value(value) for name, value in type(job).pb(job).pipeline_spec.fields.items()}
    missing = [name for name in ("pipelineInfo", "root", "schemaVersion", "deploymentSpec") if not spec.get(name)]
    if missing or not spec["pipelineInfo"].get("name") or "dag" not in spec["root"]:
        named = ", ".join(missing) or "pipelineInfo.name or root.dag"
        raise invalid_fields(Violation("pipeline_job.pipeline_spec", f"It is no compiled pipeline: no {named}."))
    _check_version(spec["schemaVersion"])
    for name, executor in spec["deploymentSpec"].get("executors", {}).items():
        _check_executor(executor, name)
    return spec


def values(spec: Spec, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run. Raises VertexError for one that is missing, unknown, or of another type."""
    definitions = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    found = []
    for name in given.keys() - definitions.keys():
        known = ", ".join(sorted(definitions)) or "no parameters"
        message = f"The pipeline has no parameter '{name}'; it has {known}."
        found.append(Violation(f"pipeline_job.runtime_config.parameter_values[{name}]", message))
    for name, definition in definitions.items():
        path, kind = f"pipeline_job.runtime_config.parameter_values[{name}]", definition.get("parameterType", "")
        if name not in given:
            if "defaultValue" not in definition and not definition.get("isOptional"):
                found.append(Violation(path, f"The parameter '{name}' is required and has no value."))
        elif not _fits(given[name], kind):
            found.append(Violation(path, f"The value {given[name]!r} is not of the type {kind}."))
    if found:
        raise invalid_fields(*found)
    return given


def for_run(spec: Spec, placeholders: dict[str, str]) -> Spec:
    """A copy as the runner wants it: no installations, its inputs beside each condition, the run's names filled in."""
    text = json.dumps(spec)
    for placeholder, value in placeholders.items():
        text = text.replace(placeholder, value)
    copy: Spec = json.loads(text)
    for executor in copy["deploymentSpec"].get("executors", {}).values():
        if _installs(executor.get("container", {}).get("command", [])):
            executor["container"]["command"] = executor["container"]["command"][3:]
    for task in _tasks(copy):
        if task.get("triggerPolicy", {}).get("condition"):
            both = {"condition": task["triggerPolicy"]["condition"], "inputs": task.get("inputs", {})}
            task["triggerPolicy"]["condition"] = json.dumps(both)
    return copy


def _tasks(spec: Spec) -> Iterator[dict[str, Any]]:
    for component in (spec["root"], *spec.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {}).values()


def _check_version(version: str) -> None:
    try:
        if Version(version) >= _OLDEST:
            return
    except InvalidVersion:
        pass
    raise unimplemented(f"A pipeline of schema version {version}", "compile it with KFP SDK 2")


def _check_executor(executor: dict[str, Any], name: str) -> None:
    if "importer" in executor:
        return
    path = f"pipeline_job.pipeline_spec.deploymentSpec.executors[{name}]"
    if "container" not in executor:
        raise unimplemented(f"{path}: an executor that is neither a container nor an importer")
    container = executor["container"]
    image, command = container.get("image", ""), container.get("command", [])
    if not _IMAGE.fullmatch(image):
        raise invalid_fields(Violation(f"{path}.container.image", f"'{image}' is no URI of a container image."))
    if _PREBUILT in image:
        raise unimplemented(f"{path}: a prebuilt component of {_PREBUILT}", "call the SDK in a component of your own")
    if not command:
        raise unimplemented(f"{path}: the entry point of the image '{image}'", "give the component a command")
    if command[:3] == _OF_IMAGE:
        raise unimplemented(f"{path}: a component that is built into the image '{image}'", "leave out target_image")
    if _installs(command):
        _check_requirements(command[2], path)


def _installs(command: list[str]) -> bool:
    """Whether the first three parts of a Python component's command install packages, then run the rest."""
    return len(command) > 3 and command[:2] == ["sh", "-c"] and "pip install" in command[2]


def _check_requirements(script: str, path: str) -> None:
    """The service would install them; here they must be in this environment already."""
    missing = []
    for text in _requirements(script):
        try:
            requirement = Requirement(text)
            if requirement.name == "kfp" or (requirement.marker is not None and not requirement.marker.evaluate()):
                continue
            if not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True):
                missing.append(f"{text} (here: {metadata.version(requirement.name)})")
        except (metadata.PackageNotFoundError, InvalidRequirement):
            missing.append(text)
    if missing:
        message = (
            f"{path}: packages_to_install has {', '.join(missing)}, which this environment does not have; packages "
            'are not installed locally. Run with TARGET="vertex".'
        )
        raise VertexError("FAILED_PRECONDITION", message)


def _requirements(script: str) -> Iterator[str]:
    if "-m venv" in script:
        raise unimplemented("A component with use_venv=True", "leave use_venv out")
    for line in script.replace("&&", "\n").splitlines():
        if "pip install" in line:
            words = iter(shlex.split(line.partition("pip install")[2]))
            for word in words:
                if word in _WITH_VALUE:
                    next(words, None)
                elif not word.startswith("-"):
                    yield word


def _fits(value: Any, kind: str) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "NUMBER_INTEGER": lambda: _is_number(value) and float(value).is_integer(),
        "NUMBER_DOUBLE": lambda: _is_number(value),
        "STRING": lambda: isinstance(value, str),
        "BOOLEAN": lambda: isinstance(value, bool),
        "LIST": lambda: isinstance(value, list),
        "STRUCT": lambda: isinstance(value, dict),
    }
    if kind not in tests:
        raise invalid(f"The pipeline has a parameter of the unknown type '{kind}'.")
    return tests[kind]()


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool)

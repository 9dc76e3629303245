"""MetadataSchemas: the published ones, those of the user, and whether a resource's metadata fits its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from google.cloud.aiplatform_v1.types import ListMetadataSchemasResponse, MetadataSchema
from google.protobuf import json_format

from localgcp.vertex import listing
from localgcp.vertex.core import Core
from localgcp.vertex.errors import already_exists, invalid, not_found
from localgcp.vertex.generic import Resources
from localgcp.vertex.messages import Message, copied, raw
from localgcp.vertex.metadata import filtering

_VERSION = "0.0.1"
_MOST_BYTES = 200 * 1024
_FORM = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}

# The published schemas by the kind of resource that they are for; the service allows further fields in all of them.
_PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "Artifact": {
        "system.Artifact": {},
        "system.Dataset": {"container_format": _TEXT, "payload_format": _TEXT},
        "system.Model": {"framework": _TEXT, "framework_version": _TEXT, "payload_format": _TEXT},
        "system.Metrics": {
            "accuracy": _NUMBER,
            "precision": _NUMBER,
            "recall": _NUMBER,
            "f1score": _NUMBER,
            "mean_absolute_error": _NUMBER,
            "mean_squared_error": _NUMBER,
        },
        "system.ClassificationMetrics": {},
        "system.SlicedClassificationMetrics": {},
        "system.HTML": {},
        "system.Markdown": {},
        "google.VertexDataset": {"resourceName": _TEXT},
        "google.VertexModel": {"resourceName": _TEXT},
        "google.VertexEndpoint": {"resourceName": _TEXT},
        "google.VertexBatchPredictionJob": {"resourceName": _TEXT},
        "google.VertexTensorboardRun": {"resourceName": _TEXT},
        "google.UnmanagedContainerModel": {},
        "google.ExperimentModel": {},
        "google.BQTable": {"projectId": _TEXT, "datasetId": _TEXT, "tableId": _TEXT},
        "google.BQMLModel": {"projectId": _TEXT, "datasetId": _TEXT, "modelId": _TEXT},
        "google.ClassificationMetrics": {},
        "google.RegressionMetrics": {},
        "google.ForecastingMetrics": {},
    },
    "Execution": {
        "system.Run": {},
        "system.ContainerExecution": {},
        "system.CustomJobExecution": {},
        "system.DagExecution": {},
        "system.ImporterExecution": {},
        "system.ResolverExecution": {},
    },
    "Context": {"system.Experiment": {}, "system.ExperimentRun": {}, "system.Pipeline": {}, "system.PipelineRun": {}},
}


@dataclass(frozen=True)
class _Schema:
    kind: str  # Artifact, Execution or Context
    title: str
    version: str
    content: dict[str, Any]

    @property
    def identifier(self) -> str:
        """Published schemas have ids such as system-resolver-execution-v0-0-1."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.title).replace(".", "-").lower()
        return f"{words}-v{self.version.replace('.', '-')}"


def _published(kind: str, title: str, properties: dict[str, Any]) -> _Schema:
    content = {"title": title, "type": "object"} | ({"properties": properties} if properties else {})
    return _Schema(kind, title, _VERSION, content)


_SYSTEM = [
    _published(kind, title, properties) for kind, titles in _PUBLISHED.items() for title, properties in titles.items()
]


class Schemas:
    """The schemas of a server's metadata stores."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._resources = Resources(core, "MetadataService", "MetadataSchema", verbs=())
        core.answers("MetadataService.CreateMetadataSchema")(self.create)
        core.answers("MetadataService.GetMetadataSchema")(self.get)
        core.answers("MetadataService.ListMetadataSchemas")(self.list_schemas)

    def complete(self, resource: Message, store: str) -> None:
        """Fills in the latest version of the schema that a resource names, and holds its metadata against it.

        Raises VertexError for a schema that the store does not have, or metadata that does not fit.
        """
        kind, title = type(resource).__name__, resource.schema_title
        if not title:
            raise invalid(f"schema_title is missing: every {kind} has a schema, such as {_example(kind)}.")
        known = [schema for schema in self._of(store) if schema.title == title]
        wanted = resource.schema_version or max((item.version for item in known), key=_parts, default="")
        found = next((item for item in known if item.version == wanted), None)
        if found is None:
            named = f"'{title}'" + (f" of version '{wanted}'" if wanted else "")
            raise invalid(f"The schema {named} is not registered in '{store}'; create it by CreateMetadataSchema.")
        if found.kind != kind:
            raise invalid(f"The schema '{title}' is for {found.kind} resources, not for a {kind}.")
        resource.schema_version = wanted
        _check_metadata(resource, found)

    def create(self, request: Message) -> Message:
        """Raises VertexError for what is no schema, or one that the store has already."""
        schema = _parsed(request.metadata_schema)
        if any((item.title, item.version) == (schema.title, schema.version) for item in self._of(request.parent)):
            raise already_exists(f"{request.parent}/metadataSchemas, {schema.title} {schema.version}")
        resource = copied(request.metadata_schema)
        resource.schema_version = schema.version
        return self._resources.add(request.parent, resource, request.metadata_schema_id or schema.identifier)

    def get(self, request: Message) -> Message:
        store, _, identifier = request.name.partition("/metadataSchemas/")
        found = self._core.store.find(request.name)
        published = (self._resource(store, item) for item in _SYSTEM if item.identifier == identifier)
        found = found or next(published, None)
        if found is None:
            raise not_found(request.name)
        return found

    def list_schemas(self, request: Message) -> Message:
        self._core.store.get(request.parent)
        rows = [*self._core.store.children(request.parent, "metadataSchemas")]
        rows += [self._resource(request.parent, schema) for schema in _SYSTEM]
        wanted = copied(request)
        wanted.filter = filtering.schema_filter(request.filter)
        functions = {"schema_title": filtering.matching(lambda schema: _parsed(schema).title)}
        return listing.page(wanted, ListMetadataSchemasResponse, rows, functions)

    def _of(self, store: str) -> list[_Schema]:
        return [*_SYSTEM, *(_parsed(item) for item in self._core.store.children(store, "metadataSchemas"))]

    def _resource(self, store: str, schema: _Schema) -> Message:
        return MetadataSchema(
            name=f"{store}/metadataSchemas/{schema.identifier}",
            schema_version=schema.version,
            schema=yaml.safe_dump(schema.content, sort_keys=False),
            schema_type=f"{schema.kind.upper()}_TYPE",
            create_time=self._core.store.get(store).create_time,
        )


def _example(kind: str) -> str:
    return next(iter(_PUBLISHED[kind]))


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _parsed(resource: Message) -> _Schema:
    """The schema that a resource's YAML says. Raises VertexError when it says none."""
    try:
        content = yaml.safe_load(resource.schema)
    except yaml.YAMLError as error:
        raise invalid(f"metadata_schema.schema is no YAML: {error}") from None
    if not isinstance(content, dict) or not content.get("title"):
        raise invalid("metadata_schema.schema has no title: it is YAML such as 'title: mine.Table\\ntype: object'.")
    version = resource.schema_version or str(content.get("version", _VERSION))
    if not _FORM.fullmatch(version):
        raise invalid(f"The schema's version '{version}' is not of the form 1.0.0.")
    kind = resource.schema_type.name.removesuffix("_TYPE").capitalize()
    if kind not in _PUBLISHED:
        raise invalid("metadata_schema.schema_type is ARTIFACT_TYPE, EXECUTION_TYPE or CONTEXT_TYPE.")
    return _Schema(kind, str(content["title"]), version, content)


def _check_metadata(resource: Message, schema: _Schema) -> None:
    metadata = raw(resource).metadata
    if metadata.ByteSize() > _MOST_BYTES:
        raise invalid(f"The metadata has {metadata.ByteSize()} bytes; at most {_MOST_BYTES} are allowed.")
    try:
        content = json_format.MessageToDict(metadata)
    except ValueError as error:
        raise invalid(f"The metadata has a number that is not finite: {error}.") from None
    problems = list(_problems(content, schema.content, "metadata"))
    if problems:
        raise invalid(f"The metadata does not fit the schema {schema.title} {schema.version}: {'; '.join(problems)}.")


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int, float),  # a Struct has no whole numbers of its own
}


def _problems(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """What of the subset of OpenAPI 3.0 that the service documents does not hold for a value."""
    kind = schema.get("type")
    if value is None and (schema.get("nullable") or kind is None):
        return
    if kind in _TYPES and not _is(value, kind):
        yield f"{path} is no {kind}"
        return
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        yield from (f"{path}.{name} is missing" for name in schema.get("required", []) if name not in value)
        for name, inner in value.items():
            if name in properties:
                yield from _problems(inner, properties[name] or {}, f"{path}.{name}")
            elif schema.get("additionalProperties", True) is False:
                yield f"{path}.{name} is not in the schema"
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _problems(inner, schema.get("items") or {}, f"{path}[{number}]")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) != (kind == "boolean"):
        return False
    if kind == "integer":
        return isinstance(value, (int, float)) and float(value).is_integer()
    return isinstance(value, _TYPES[kind])

"""Models and their versions: upload, find, list, change, delete, and aliases that move from one version to another."""

from __future__ import annotations

import re
from collections.abc import Callable

from google.cloud.aiplatform_v1.types import (
    DeployedModelRef,
    ListModelsResponse,
    ListModelVersionsRequest,
    ListModelVersionsResponse,
    Model,
    ModelSourceInfo,
    UploadModelResponse,
)

from localgcp.vertex import listing, validate
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, already_exists, invalid, not_found, precondition
from localgcp.vertex.generic import apply_mask, check_etag, require
from localgcp.vertex.messages import Message, copied, new_id, raw
from localgcp.vertex.models import checks
from localgcp.vertex.models.record import DEFAULT, Record

_MODEL_FIELDS, _VERSION_FIELDS = ("display_name", "description", "labels"), ("version_description", "labels")
_INPUTS = ("jsonl", "bigquery", "csv", "tf-record", "tf-record-gzip", "file-list")
_OUTPUTS = ("jsonl", "bigquery")


class Models:
    """The model registry of a server. A name may have the id of a version or an alias behind an "@"."""

    def __init__(self, core: Core) -> None:
        self._core, self._store = core, core.store
        for method in ("Upload", "Get", "Update", "Delete"):
            core.answers(f"ModelService.{method}Model")(getattr(self, method.lower()))
        core.answers("ModelService.ListModels")(self.list)
        core.answers("ModelService.ListModelVersions")(self.list_versions)
        core.answers("ModelService.DeleteModelVersion")(self.delete_version)
        core.answers("ModelService.MergeVersionAliases")(self.merge_aliases)

    def resolve(self, resource_name: str) -> Message:
        """The version that a name means, the default one where it names none; its own name has no version.

        Raises VertexError when there is no such model, version or alias.
        """
        name, _, version = resource_name.partition("@")
        record = self.record(name)
        return record.whole(record.find(version))

    def record(self, name: str) -> Record:
        """A copy of what is kept of a model, by its name without a version. Raises VertexError."""
        kept = self._store.find(name)
        if not isinstance(kept, ListModelVersionsResponse):
            raise not_found(name)
        return Record(kept)

    def register(self, model: Message, identifier: str = "", parent_model: str = "") -> Message:
        """Adds a model, or a version of the model `parent_model`, and gives it with its name and version.

        Raises VertexError, as for an upload.
        """
        self.check(model, identifier, parent_model)
        version = copied(model)
        version.model_source_info = ModelSourceInfo(source_type=ModelSourceInfo.ModelSourceType.CUSTOM)
        _say_what_it_can(version)
        aliases = list(model.version_aliases)
        if parent_model:
            return self._change(parent_model, lambda record: record.append(version, aliases))
        name = self._name(identifier or new_id())
        record = Record.new(name, model)
        added = record.append(version, aliases)
        self._store.add(name, record.kept)
        return record.whole(added)

    def check(self, model: Message, identifier: str = "", parent_model: str = "") -> None:
        """Raises VertexError when a model cannot be registered so; whether its artifacts are there is not asked."""
        checks.check_model(model)
        checks.check_identifier(identifier)
        if identifier and self._store.find(self._name(identifier)) is not None:
            raise already_exists(self._name(identifier))
        if parent_model and identifier:
            raise invalid("model_id names a new model and parent_model one that there is; only one of them can be set.")
        if parent_model:
            _refuse_version(parent_model, "parent_model")
            self.record(parent_model)

    def deployed(self, model_name: str, endpoint_name: str, deployed_model_id: str, add: bool) -> None:
        """Notes that a version is deployed to an endpoint, or no longer. Raises VertexError.

        The version counts only for what is added: an alias in the name may have moved since then.
        """
        name, _, version = model_name.partition("@")
        reference = DeployedModelRef(endpoint=endpoint_name, deployed_model_id=deployed_model_id)

        def change(record: Record) -> Message:
            for kept in record.versions:
                kept.deployed_models = [ref for ref in kept.deployed_models if ref != reference]
            chosen = record.find(version) if add else record.find(DEFAULT)
            if add:
                chosen.deployed_models.append(reference)
            return chosen

        self._change(name, change)

    def upload(self, request: Message) -> Message:
        if request.model.artifact_uri:
            checks.check_artifacts(self._core, request.model.artifact_uri)
        model = self.register(request.model, request.model_id, request.parent_model)
        return UploadModelResponse(model=model.name, model_version_id=model.version_id)

    def get(self, request: Message) -> Message:
        return _named_as(request.name, self.resolve(request.name))

    def list(self, request: Message) -> Message:
        """The default version of every model."""
        records = [Record(kept) for kept in self._store.children(request.parent, "models")]
        defaults = [record.whole(record.find(DEFAULT)) for record in records]
        return listing.page(request, ListModelsResponse, defaults)

    def list_versions(self, request: Message) -> Message:
        """The versions of a model, each with its id in its name; the newest first where nothing is asked."""
        record = self.record(request.name.partition("@")[0])
        versions = [record.whole(kept) for kept in record.versions]
        for version in versions:
            version.name = f"{record.name}@{version.version_id}"
        # What a version is created at is not what its model is.
        asked = ListModelVersionsRequest(request)
        order = request.order_by or "create_time desc"
        asked.order_by = re.sub(r"\b(?:version_)?(create|update)_?[tT]ime\b", r"version_\1_time", order)
        return listing.page(asked, ListModelVersionsResponse, versions)

    def update(self, request: Message) -> Message:
        """Changes what is a model's, or with a version in the name, what is the version's. Raises VertexError."""
        name, _, version = request.model.name.partition("@")
        paths = list(request.update_mask.paths)
        of_version = bool(version) and version != "-"
        allowed = _VERSION_FIELDS if of_version else _MODEL_FIELDS
        _check_paths(paths, allowed, of_version)

        def change(record: Record) -> Message:
            chosen = record.find(version if of_version else DEFAULT)
            _check_etag(record, chosen if of_version else None, request.model.etag)
            apply_mask(chosen if of_version else record.head, request.model, list(allowed) if paths == ["*"] else paths)
            validate.check_resource(raw(record.whole(chosen)), "model")
            record.stamp(*([chosen] if of_version else record.versions))
            return chosen

        return _named_as(request.model.name, self._change(name, change))

    def merge_aliases(self, request: Message) -> Message:
        """Adds aliases to a version, and removes those with a "-" before them. Raises VertexError."""
        name, _, version = request.name.partition("@")
        if not version:
            raise invalid(f"'{request.name}' names no version; write '{name}@1' with the id of one.")
        removed = {alias[1:] for alias in request.version_aliases if alias.startswith("-")}
        added = [alias for alias in request.version_aliases if not alias.startswith("-")]
        checks.check_aliases([*added, *removed])
        # What is both added and removed in one request stays as it is.
        added, removed = [alias for alias in added if alias not in removed], removed - set(added)

        def change(record: Record) -> Message:
            chosen = record.find(version)
            if DEFAULT in removed and DEFAULT in chosen.version_aliases:
                raise precondition(
                    f"The alias 'default' cannot be removed from '{request.name}': a model has exactly one default "
                    "version. Give the alias to another version."
                )
            record.move_aliases(chosen.version_id, added, removed)
            return chosen

        return _named_as(request.name, self._change(name, change))

    def delete(self, request: Message) -> None:
        """Deletes a model with all its versions. Raises VertexError while one of them is deployed."""
        _refuse_version(request.name, "name")
        with self._store.lock:
            record = self.record(request.name)
            for version in record.versions:
                _refuse_deployed(record, version)
            self._store.delete(request.name)
            for version in record.versions:
                self._delete_below(record, version)

    def delete_version(self, request: Message) -> None:
        """Raises VertexError for the only version, and for one that is deployed."""
        name, _, version = request.name.partition("@")
        if not version:
            raise invalid(f"'{request.name}' names no version; write '{name}@1' with the id of one.")
        with self._store.lock:
            record = self.record(name)
            chosen = record.find(version)
            require(
                len(record.versions) > 1,
                f"'{request.name}' is the only version of its model and cannot be deleted; delete the model.",
            )
            _refuse_deployed(record, chosen)
            self._delete_below(record, chosen)
            record.remove(chosen)
            self._store.put(name, record.kept)

    def _name(self, identifier: str) -> str:
        return f"{self._core.parent}/models/{identifier}"

    def _delete_below(self, record: Record, version: Message) -> None:
        """Deletes the evaluations of a version."""
        for evaluation in self._store.children(f"{record.name}@{version.version_id}", "evaluations"):
            self._store.delete(evaluation.name)

    def _change(self, name: str, change: Callable[[Record], Message]) -> Message:
        """Changes a model with nobody in between; `change` gives the version that is answered, as it is kept."""
        with self._store.lock:
            record = self.record(name)
            chosen = change(record)
            self._store.put(name, record.kept)
            return record.whole(chosen)


def _say_what_it_can(version: Message) -> None:
    """Fills in how a model can be deployed, predict in batches and be exported."""
    if not version.container_spec.image_uri:
        return
    version.supported_deployment_resources_types = [Model.DeploymentResourcesType.DEDICATED_RESOURCES]
    version.supported_input_storage_formats, version.supported_output_storage_formats = _INPUTS, _OUTPUTS
    if version.artifact_uri:
        contents = [Model.ExportFormat.ExportableContent.ARTIFACT]
        version.supported_export_formats = [{"id": checks.CUSTOM_TRAINED, "exportable_contents": contents}]


def _named_as(asked: str, model: Message) -> Message:
    """A model under its name with a version where it was asked for by one, so that an update goes to that version."""
    if asked.partition("@")[2] not in ("", "-"):
        model.name = f"{model.name}@{model.version_id}"
    return model


def _refuse_version(name: str, field: str) -> None:
    if "@" in name:
        raise invalid(f"{field} '{name}' names a version; here it names a model, without '@'.")


def _refuse_deployed(record: Record, version: Message) -> None:
    where = ", ".join(sorted({reference.endpoint for reference in version.deployed_models}))
    require(
        not where, f"'{record.name}@{version.version_id}' is deployed to {where}; undeploy it before it is deleted."
    )


def _check_etag(record: Record, version: Message | None, etag: str) -> None:
    """A model has no etag of its own: that of any version says that it has not changed since. Raises VertexError."""
    known = [version] if version is not None else record.versions
    if etag not in [kept.etag for kept in known]:
        check_etag(record.whole(known[-1]), etag)


def _check_paths(paths: list[str], allowed: tuple[str, ...], of_version: bool) -> None:
    """Raises VertexError for a field that is not the model's or the version's, whichever is updated."""
    if paths == ["*"]:
        return
    wrong = [path for path in paths if path.split(".")[0] not in allowed]
    other = _MODEL_FIELDS if of_version else _VERSION_FIELDS
    if wrong and all(path in other for path in wrong):
        which, instead = ("a version", "without '@'") if of_version else ("a model", "with '@' and a version")
        raise precondition(f"{', '.join(wrong)} cannot be updated for {which}: name the model {instead}.")
    if wrong:
        raise VertexError("INVALID_ARGUMENT", f"Invalid update_mask: {', '.join(wrong)} cannot be changed; only "
                          f"{', '.join(allowed)} can.")  # fmt: skip

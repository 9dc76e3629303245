"""Copies of a model: as another model or version of this project, and as files in a bucket."""

from __future__ import annotations

import re
import shutil

from google.cloud.aiplatform_v1.types import (
    CopyModelResponse,
    ExportModelOperationMetadata,
    ExportModelResponse,
    Model,
)

from localgcp.vertex import surface
from localgcp.vertex.core import Core
from localgcp.vertex.errors import invalid, precondition, unimplemented
from localgcp.vertex.messages import Message, now, packed
from localgcp.vertex.models import checks
from localgcp.vertex.models.registry import Models
from localgcp.vertex.places import Places


class Copies:
    """CopyModel and ExportModel of a server."""

    def __init__(self, core: Core, models: Models) -> None:
        self._core, self._models = core, models
        core.answers("ModelService.CopyModel")(self.copy)
        core.answers("ModelService.ExportModel")(self.export)

    def copy(self, request: Message) -> Message:
        """The artifacts are not copied, and evaluations and aliases stay with the source. Raises VertexError."""
        source = self._models.resolve(request.source_model)
        original = f"{source.name}@{source.version_id}"
        source.original_model_info = Model.OriginalModelInfo(model=original)
        source.version_aliases, source.deployed_models = [], []
        if request.encryption_spec.kms_key_name:
            source.encryption_spec = request.encryption_spec
        made = self._models.register(source, request.model_id, request.parent_model)
        return CopyModelResponse(model=made.name, model_version_id=made.version_id)

    def export(self, request: Message) -> Message:
        """Copies the artifacts to a new folder of the destination. Raises VertexError for an image."""
        model, config = self._models.resolve(request.name), request.output_config
        if config.image_destination.output_uri:
            raise unimplemented("The export of a container image", "export the artifact")
        if not model.supported_export_formats:
            raise precondition(f"'{request.name}' cannot be exported: it has no artifacts.")
        wanted = config.export_format_id
        if wanted not in ("", checks.CUSTOM_TRAINED):
            raise invalid(f"'{request.name}' cannot be exported as '{wanted}', only as '{checks.CUSTOM_TRAINED}'.")
        places, prefix = Places(self._core.buckets), config.artifact_destination.output_uri_prefix.rstrip("/")
        checks.check_artifacts(self._core, model.artifact_uri)
        moment = now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        name = re.sub(r"[^\w.-]", "_", model.display_name)
        target = f"{prefix}/model-export-{name}-{moment}"
        if not places.bucket(prefix).is_dir():
            raise precondition(f"There is no bucket for '{prefix}'; create it first.")
        shutil.copytree(places.local(model.artifact_uri), places.local(target))
        return self._done(target)

    def _done(self, target: str) -> Message:
        """The operation of an export says in its metadata where the files are."""
        operation = self._core.operations.done(surface.by_key()["ModelService.ExportModel"], ExportModelResponse())
        metadata = ExportModelOperationMetadata()
        operation.metadata.Unpack(ExportModelOperationMetadata.pb(metadata))
        metadata.output_info.artifact_output_uri = target
        operation.metadata.CopyFrom(packed(metadata))
        self._core.store.put(operation.name, operation)
        return operation

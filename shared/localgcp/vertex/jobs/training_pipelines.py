"""TrainingPipeline: a custom job, and the model that is registered when it has succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1.types import CustomJob, CustomJobSpec, PipelineState, TrainingPipeline
from google.protobuf import json_format, struct_pb2
from google.rpc import status_pb2

from localgcp.vertex.background import has_ended, must_have_ended, set_state
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, invalid, unimplemented
from localgcp.vertex.generic import Resources
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.jobs.execution import stopped
from localgcp.vertex.messages import Message, copied, raw

if TYPE_CHECKING:
    from localgcp.vertex.models import Models

_BACKING = "backingCustomJob"


class TrainingPipelines:
    """The training pipelines of a server."""

    def __init__(self, core: Core, jobs: CustomJobs, models: Models) -> None:
        self._core, self._jobs, self._models = core, jobs, models
        verbs = ("Get", "List", "Delete")
        self._resources = Resources(core, "PipelineService", "TrainingPipeline", verbs, None, must_have_ended)
        core.answers("PipelineService.CreateTrainingPipeline")(self.create)
        core.answers("PipelineService.CancelTrainingPipeline")(self.cancel)
        self._fail_abandoned()

    def create(self, request: Message) -> Message:
        """Raises VertexError for a pipeline that is no custom training, or whose job cannot run."""
        pipeline = copied(request.training_pipeline)
        spec = _spec(pipeline)
        _check(pipeline, spec)
        if raw(pipeline).HasField("model_to_upload"):
            self._models.check(pipeline.model_to_upload, pipeline.model_id, pipeline.parent_model)
        self._jobs.check(spec)
        pipeline.state = PipelineState.PIPELINE_STATE_PENDING
        pipeline = self._resources.add(request.parent, pipeline)
        job = CustomJob(display_name=f"{pipeline.display_name[:100]}-custom-job", job_spec=spec, labels=pipeline.labels)
        job.encryption_spec = pipeline.encryption_spec
        name = pipeline.name
        backing = self._jobs.launch(job, lambda changed: self._follow(name, changed))
        return self._core.store.change(name, lambda kept: _set_backing(kept, backing.name))

    def cancel(self, request: Message) -> None:
        pipeline = self._core.store.get(request.name)
        if not has_ended(pipeline):
            self._jobs.cancel(_backing(pipeline))

    def _follow(self, name: str, job: Message) -> None:
        """Brings the pipeline to where its job is."""
        state = job.state.name.removeprefix("JOB_STATE_")
        error = raw(job).error if raw(job).HasField("error") else None
        model = None
        if state == "SUCCEEDED":
            try:
                model = self._register(self._core.store.get(name), job)
            except VertexError as problem:
                state, error = "FAILED", status_pb2.Status(code=problem.grpc_code, message=problem.message)

        def change(pipeline: Message) -> None:
            set_state(pipeline, state)
            if error is not None:
                raw(pipeline).error.CopyFrom(error)
            if model is not None:
                pipeline.model_to_upload = model

        self._core.store.change(name, change)

    def _register(self, pipeline: Message, job: Message) -> Message | None:
        if not raw(pipeline).HasField("model_to_upload"):
            return None
        prefix = job.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
        artifacts = self._jobs.places.local(f"{prefix}/model")
        if not any(artifacts.iterdir()):
            message = (
                "Unable to upload the model: the training has succeeded and written nothing to AIP_MODEL_DIR "
                f"('{prefix}/model')."
            )
            raise VertexError("FAILED_PRECONDITION", message)
        model = copied(pipeline.model_to_upload)
        model.artifact_uri, model.training_pipeline = f"{prefix}/model", pipeline.name
        return self._models.register(model, pipeline.model_id, pipeline.parent_model)

    def _fail_abandoned(self) -> None:
        error = VertexError("ABORTED", stopped("was killed"))
        for pipeline in self._core.store.of(TrainingPipeline):
            if not has_ended(pipeline):
                self._core.store.change(pipeline.name, lambda kept: set_state(kept, "FAILED", error))


def _spec(pipeline: Message) -> Message:
    """The CustomJobSpec in the pipeline's inputs. Raises VertexError."""
    definition = pipeline.training_task_definition
    if not definition.rpartition("/")[2].startswith("custom_task"):
        raise unimplemented(f"The training task '{definition.rpartition('/')[2]}'")
    spec = CustomJobSpec()
    inputs = json_format.MessageToDict(raw(pipeline).training_task_inputs) or {}
    try:
        json_format.ParseDict(inputs, raw(spec))
    except (json_format.ParseError, TypeError) as error:
        raise invalid(
            "Unable to parse `training_pipeline.training_task_inputs` into custom task `inputs` defined in the file: "
            f"{definition} ({error})"
        ) from None
    if not spec.worker_pool_specs:
        raise invalid("`training_pipeline.training_task_inputs` has no workerPoolSpecs.")
    return spec


def _check(pipeline: Message, spec: Message) -> None:
    if raw(pipeline).HasField("input_data_config"):
        raise unimplemented("A managed dataset as the input of a custom training", "read the data in the trainer")
    if raw(pipeline).HasField("model_to_upload") and not spec.base_output_directory.output_uri_prefix:
        raise invalid("`baseOutputDirectory` is required when a model is to be uploaded.")


def _set_backing(pipeline: Message, name: str) -> None:
    holder = raw(pipeline).training_task_metadata
    holder.CopyFrom(struct_pb2.Value(struct_value=struct_pb2.Struct()))
    holder.struct_value[_BACKING] = name


def _backing(pipeline: Message) -> str:
    return str(json_format.MessageToDict(raw(pipeline).training_task_metadata)[_BACKING])

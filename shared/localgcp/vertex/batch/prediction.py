"""BatchPredictionJob: instances from files or a table go through a model that need not be deployed."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob, CompletionStats, JobState, Model
from google.protobuf import json_format
from google.rpc import status_pb2

from localgcp.vertex.background import Background, has_ended, must_have_ended, set_state
from localgcp.vertex.batch.inputs import FILE_FORMATS, Conversion, Inputs, Instance, Row, Unreadable
from localgcp.vertex.batch.outputs import Output, folder_name, output
from localgcp.vertex.batch.tables import Tables, parts
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, invalid, precondition, unimplemented
from localgcp.vertex.generic import Resources
from localgcp.vertex.jobs.execution import stopped
from localgcp.vertex.messages import Message, copied, new_id, raw
from localgcp.vertex.models import Models
from localgcp.vertex.places import Places
from localgcp.vertex.serving.cache import Serving, is_container
from localgcp.vertex.serving.container import Place
from localgcp.vertex.serving.predictor import Predictor
from localgcp.vertex.values import from_value

_SLOTS = 2
# The service's default for manual_batch_tuning_parameters.batch_size.
_BATCH = 64
_MOST_PARTIAL_FAILURES = 20


@dataclass
class _Run:
    """A job in progress, and what it has done so far."""

    job: Message
    model: Message
    conversion: Conversion
    ended: threading.Event = field(default_factory=threading.Event)
    # Why it ends before its end: "" for a cancellation.
    why: str = ""
    succeeded: int = 0
    failed: int = 0
    first_error: str = ""

    def cancel(self) -> None:
        self.ended.set()

    def abandon(self) -> None:
        self.why = stopped("was stopped")
        self.ended.set()


class BatchPredictionJobs:
    """The batch prediction jobs of a server, and the threads that run them."""

    def __init__(self, core: Core, serving: Serving, models: Models) -> None:
        self._core, self._serving, self._models = core, serving, models
        self._places = Places(core.buckets)
        verbs = ("Get", "List", "Delete")
        self._resources = Resources(core, "JobService", "BatchPredictionJob", verbs, None, must_have_ended)
        self._slots = threading.Semaphore(_SLOTS)
        self._background = Background[_Run](core)
        core.answers("JobService.CreateBatchPredictionJob")(self.create)
        core.answers("JobService.CancelBatchPredictionJob")(lambda request: self._background.cancel(request.name))
        self._fail_abandoned()

    def create(self, request: Message) -> Message:
        """Starts a job. Raises VertexError for one that cannot run."""
        job = copied(request.batch_prediction_job)
        model = self._model(job)
        self._check(job, model)
        conversion = Conversion(job.instance_config, job.input_config.instances_format)
        job.model_version_id = model.version_id
        job.state = JobState.JOB_STATE_PENDING
        job = self._resources.add(request.parent, job)
        run = _Run(job, model, conversion)
        self._background.start(job.name, run, lambda: self._run(run))
        return job

    def _model(self, job: Message) -> Message:
        unmanaged = raw(job).HasField("unmanaged_container_model")
        if bool(job.model) == unmanaged:
            raise invalid("Exactly one of model and unmanaged_container_model must be set.")
        if not unmanaged:
            return self._models.resolve(job.model)
        given = job.unmanaged_container_model
        model = Model(name=f"{self._core.parent}/models/{new_id()}", display_name="unmanaged", version_id="1")
        model.artifact_uri, model.container_spec = given.artifact_uri, given.container_spec
        return model

    def _check(self, job: Message, model: Message) -> None:
        self._check_input(job.input_config, model)
        self._check_output(job.output_config)
        path = "batch_prediction_job.dedicated_resources"
        if not raw(job).HasField("dedicated_resources"):
            raise invalid(f"{path} is required: the model has no automatic resources. Give a machine_type.")
        self._core.machines.check("serving", job.dedicated_resources.machine_spec, f"{path}.machine_spec")
        if not model.container_spec.image_uri:
            raise unimplemented(f"Serving the model '{model.display_name}', which has no container_spec,")
        if job.generate_explanation and "explanations" not in self._core.parts:
            raise unimplemented("generate_explanation")
        if raw(job).HasField("explanation_spec") and not job.generate_explanation:
            raise invalid("explanation_spec can be set only if generate_explanation is true.")

    def _check_input(self, config: Message, model: Message) -> None:
        source, kind = raw(config).WhichOneof("source"), config.instances_format
        if source not in ("gcs_source", "bigquery_source"):
            raise unimplemented(f"The source {source}") if source else invalid("input_config has no source.")
        known = FILE_FORMATS if source == "gcs_source" else ("bigquery",)
        if kind not in known:
            raise invalid(f"The instances_format '{kind}' does not fit {source}; {', '.join(known)} do.")
        if model.supported_input_storage_formats and kind not in model.supported_input_storage_formats:
            raise invalid(f"The model does not support the instances_format '{kind}'.")
        if source == "bigquery_source" and not all(parts(config.bigquery_source.input_uri)):
            raise invalid(f"'{config.bigquery_source.input_uri}' names no table; bq://project.dataset.table does.")
        for uri in config.gcs_source.uris:
            self._places.local(uri)

    def _check_output(self, config: Message) -> None:
        destination, kind = raw(config).WhichOneof("destination"), config.predictions_format
        wanted = {"gcs_destination": "jsonl", "bigquery_destination": "bigquery"}.get(destination or "")
        if wanted is None:
            raise (
                unimplemented(f"The destination {destination}")
                if destination
                else invalid("output_config has no destination.")
            )
        if kind != wanted and (destination, kind) == ("gcs_destination", "csv"):
            raise unimplemented("The predictions_format csv", "use jsonl")
        if kind != wanted:
            raise invalid(f"The predictions_format '{kind}' does not fit {destination}; '{wanted}' does.")
        if destination == "gcs_destination":
            self._places.local(config.gcs_destination.output_uri_prefix)
        else:
            parts(config.bigquery_destination.output_uri)

    def _run(self, run: _Run) -> None:
        error: VertexError | None = None
        began = time.monotonic()
        info, missing = None, list[str]()
        try:
            while not self._slots.acquire(timeout=0.1):
                if run.ended.is_set():
                    return
            try:
                self._started(run)
                info, missing = self._predict(run)
            finally:
                self._slots.release()
        except VertexError as problem:
            error = problem
        except Exception as problem:
            error = VertexError("INTERNAL", f"{type(problem).__name__}: {problem}")
        finally:
            self._finish(run, error, info, missing, time.monotonic() - began)

    def _predict(self, run: _Run) -> tuple[Message | None, list[str]]:
        """Goes through the input. Gives the output_info and the files that could not be read. Raises VertexError."""
        job = run.job

        def tables() -> Tables:
            return Tables(self._core.project)

        place = Place(deployed_model=job.name.rpartition("/")[2], machine_type=_machine(job))
        inputs = Inputs(job.input_config, self._places, tables)
        name = folder_name(run.model.display_name, raw(job).create_time.ToDatetime())
        work = self._core.folder / "work" / job.name.rpartition("/")[2]
        source = job.input_config.bigquery_source.input_uri
        results = output(
            job.output_config, name, self._places, work, tables, source, bool(job.instance_config.key_field)
        )
        predictor = self._serving.load(run.model, place)
        try:
            rows = inputs.rows()
            size = job.manual_batch_tuning_parameters.batch_size or _BATCH
            while not run.ended.is_set() and (batch := list(islice(rows, size))):
                self._one_batch(run, predictor, _converted(run, batch, results), results)
            info = _closed(run, results)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self._release(run, place)
        return info, inputs.missing

    def _release(self, run: _Run, place: Place) -> None:
        """Frees the model, unless an endpoint has it, too."""
        version = f"{run.model.name.partition('@')[0]}@{run.model.version_id}"
        try:
            shared = bool(self._models.resolve(version).deployed_models)
        except VertexError:
            shared = False
        if is_container(run.model) or not shared:
            self._serving.release(run.model, place)

    def _one_batch(self, run: _Run, predictor: Predictor, batch: list[Instance], results: Output) -> None:
        """A batch fails as a whole, as one request to the model does."""
        if not batch:
            return
        parameters, values = from_value(raw(run.job).model_parameters), [instance.value for instance in batch]
        more: list[dict[str, Any]] = [{} for _ in batch]
        try:
            if run.job.generate_explanation:
                spec = run.job.explanation_spec if raw(run.job).HasField("explanation_spec") else None
                explanations = self._core.parts["explanations"]
                predictions, found = explanations.explained(run.model, predictor, values, spec, parameters)
                more = [{"explanation": json_format.MessageToDict(raw(item))} for item in found]
            else:
                predictions = predictor.predict(values, parameters)
            if len(predictions) != len(batch):
                raise precondition(f"The model has given {len(predictions)} predictions for {len(batch)} instances.")
        except VertexError as error:
            text = f"Post request fails. Cannot get predictions. Error: {error.message}"
            for instance in batch:
                _fail(run, results, instance, text)
            return
        for instance, prediction, extra in zip(batch, predictions, more, strict=True):
            results.success(instance, prediction, extra)
        run.succeeded += len(batch)

    def _started(self, run: _Run) -> None:
        def change(job: Message) -> None:
            if job.state == JobState.JOB_STATE_PENDING:
                set_state(job, "RUNNING")

        self._core.store.change(run.job.name, change)

    def _finish(
        self, run: _Run, error: VertexError | None, info: Message | None, missing: list[str], seconds: float
    ) -> None:
        if run.ended.is_set() and info is None:
            error = VertexError("ABORTED", run.why) if run.why else VertexError("CANCELLED", "The job was cancelled.")
            state = "FAILED" if run.why else "CANCELLED"
        else:
            state = "FAILED" if error is not None else "SUCCEEDED"

        def change(job: Message) -> None:
            set_state(job, state, error)
            incomplete = 0 if state == "SUCCEEDED" else -1
            job.completion_stats = CompletionStats(
                successful_count=run.succeeded, failed_count=run.failed, incomplete_count=incomplete
            )
            job.resources_consumed.replica_hours = seconds / 3600
            if info is not None:
                job.output_info = info
            for text in missing[:_MOST_PARTIAL_FAILURES]:
                raw(job).partial_failures.append(status_pb2.Status(code=5, message=text))

        self._core.store.change(run.job.name, change)

    def _fail_abandoned(self) -> None:
        """Jobs that an earlier server has left behind, which was killed."""
        error = VertexError("ABORTED", stopped("was killed"))
        for job in self._core.store.of(BatchPredictionJob):
            if not has_ended(job):
                self._core.store.change(job.name, lambda kept: set_state(kept, "FAILED", error))


def _closed(run: _Run, results: Output) -> Message | None:
    """The output_info of a job that has come to its end, None for one that was ended. Raises VertexError."""
    if run.ended.is_set():
        return None
    if not run.succeeded:
        raise precondition(run.first_error or "The input has no instances.")
    results.close()
    return results.info()


def _converted(run: _Run, batch: list[Row | Unreadable], results: Output) -> list[Instance]:
    """The instances of a batch; what is none counts as failed."""
    found = []
    for row in batch:
        if isinstance(row, Unreadable):
            _fail(run, results, Instance(row.text, {"instance": row.text}), row.error)
            continue
        try:
            found.append(run.conversion(row))
        except VertexError as error:
            _fail(run, results, Instance(row.value, {"instance": row.value}, row.fields), error.message)
    return found


def _fail(run: _Run, results: Output, instance: Instance, error: str) -> None:
    results.failure(instance, error)
    run.failed += 1
    run.first_error = run.first_error or error


def _machine(job: Message) -> str:
    return str(job.dedicated_resources.machine_spec.machine_type)

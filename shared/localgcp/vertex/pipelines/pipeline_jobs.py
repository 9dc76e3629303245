"""PipelineJob: checked as the service checks it, then run; cancelled, deleted, listed."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import (
    BatchCancelPipelineJobsResponse,
    BatchDeletePipelineJobsResponse,
    Execution,
    PipelineFailurePolicy,
    PipelineJob,
    PipelineState,
    PipelineTaskDetail,
)

from localgcp.vertex.background import Background, has_ended, must_have_ended, set_state
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, Violation, invalid, invalid_fields, not_found, unimplemented
from localgcp.vertex.generic import Resources, stamp
from localgcp.vertex.jobs.execution import failed, stopped
from localgcp.vertex.messages import Message, copied, new_id, now, raw
from localgcp.vertex.metadata.service import Metadata
from localgcp.vertex.pipelines import specs
from localgcp.vertex.pipelines.lineage import Lineage
from localgcp.vertex.pipelines.progress import Progress
from localgcp.vertex.pipelines.runs import Run
from localgcp.vertex.places import Places
from localgcp.vertex.values import from_value

# So many pipelines run at once; the others stay PENDING.
SLOTS = 4
_MOST_AT_ONCE = 32
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")


class PipelineJobs:
    """The pipeline jobs of a server, and the threads that run them."""

    def __init__(self, core: Core, metadata: Metadata) -> None:
        self._core, self._metadata, self._places = core, metadata, Places(core.buckets)
        self._resources = Resources(core, "PipelineService", "PipelineJob", ("List", "Delete"), None, must_have_ended)
        self._slots = threading.Semaphore(SLOTS)
        self._background = Background[Run](core)
        core.answers("PipelineService.GetPipelineJob")(self.get)
        core.answers("PipelineService.CreatePipelineJob")(self.create)
        core.answers("PipelineService.CancelPipelineJob")(lambda request: self.cancel(request.name))
        core.answers("PipelineService.BatchCancelPipelineJobs")(self.cancel_all)
        core.answers("PipelineService.BatchDeletePipelineJobs")(self.delete_all)
        self._fail_abandoned()

    def create(self, request: Message) -> Message:
        """Creates a job and runs it in the background. Raises VertexError for one that is refused."""
        identifier = request.pipeline_job_id or f"pipeline-{new_id()}"
        if not _ID.fullmatch(identifier):
            raise invalid(
                f"Invalid pipeline_job_id '{identifier}': it has lowercase letters, digits and '-', at most 128, and "
                "begins with a letter."
            )
        job = copied(request.pipeline_job)
        spec = specs.read(job)
        plan = self._plan(job, spec, f"{request.parent}/pipelineJobs/{identifier}", identifier)
        job.state = PipelineState.PIPELINE_STATE_PENDING
        job = self._resources.add(request.parent, job, identifier)
        lineage = Lineage(self._core, self._metadata, spec["pipelineInfo"]["name"], identifier)
        job = self._core.store.change(job.name, lambda kept: _set_contexts(kept, lineage))
        self._start(job.name, identifier, plan, lineage)
        return job

    def get(self, request: Message) -> Message:
        return self._with_contexts(self._core.store.get(request.name))

    def cancel(self, name: str) -> None:
        """Asks a job to end; one that has ended stays as it is. Raises VertexError when there is none."""
        self._background.cancel(name)

    def cancel_all(self, request: Message) -> Message:
        """Cancels several, all or none."""
        self._all_there(request)
        for name in request.names:
            self.cancel(name)
        return BatchCancelPipelineJobsResponse(pipeline_jobs=[self._core.store.get(name) for name in request.names])

    def delete_all(self, request: Message) -> Message:
        """Deletes several, all or none."""
        with self._core.store.lock:
            jobs = self._all_there(request)
            for job in jobs:
                must_have_ended(job)
            for job in jobs:
                self._core.store.delete(job.name)
        return BatchDeletePipelineJobsResponse(pipeline_jobs=jobs)

    def _plan(self, job: Message, spec: specs.Spec, name: str, identifier: str) -> dict[str, Any]:
        """What the runner needs. Raises VertexError."""
        config = job.runtime_config
        root = config.gcs_output_directory.rstrip("/")
        if not root:
            raise invalid_fields(Violation("pipeline_job.runtime_config.gcs_output_directory", "It is required."))
        if not self._places.bucket(root).is_dir():
            raise not_found(f"{root} (the bucket of runtime_config.gcs_output_directory)")
        if config.parameters:
            raise unimplemented("runtime_config.parameters", "compile the pipeline with KFP SDK 2")
        if job.psc_interface_config:
            raise unimplemented("pipeline_job.psc_interface_config")
        given = {key: from_value(value) for key, value in raw(config).parameter_values.items()}
        fast = PipelineFailurePolicy.PIPELINE_FAILURE_POLICY_FAIL_FAST
        placeholders = {
            "{{$.pipeline_job_resource_name}}": name,
            "{{$.pipeline_job_create_time_utc}}": now().isoformat(),
        }
        return {
            "name": name,
            "job": identifier,
            "spec": specs.for_run(spec, placeholders),
            "parameters": specs.values(spec, given),
            "artifacts": self._artifacts(spec, config),
            "root": f"{root}/{identifier}",
            "buckets": str(self._places.folder),
            "cache": str(self._core.folder / "pipelines" / "cache" / spec["pipelineInfo"]["name"]),
            "fail_fast": config.failure_policy == fast,
            "labels": dict(job.labels),
        }

    def _artifacts(self, spec: specs.Spec, config: Message) -> dict[str, Any]:
        """The artifacts that a run gets from ML Metadata, by the names of the pipeline's inputs."""
        definitions = spec["root"].get("inputDefinitions", {}).get("artifacts", {})
        found = {}
        for name, given in config.input_artifacts.items():
            path = f"pipeline_job.runtime_config.input_artifacts[{name}]"
            if name not in definitions:
                raise invalid_fields(Violation(path, f"The pipeline has no input artifact '{name}'."))
            artifact = self._metadata.find("artifacts", given.artifact_id)
            if artifact is None:
                raise invalid_fields(Violation(path, f"There is no artifact '{given.artifact_id}'."))
            known = {key: from_value(value) for key, value in raw(artifact).metadata.fields.items()}
            kind = {"schemaTitle": artifact.schema_title}
            found[name] = {"name": artifact.name, "uri": artifact.uri, "metadata": known, "type": kind}
        for name, definition in definitions.items():
            if name not in found and not definition.get("isOptional"):
                path = f"pipeline_job.runtime_config.input_artifacts[{name}]"
                raise invalid_fields(Violation(path, f"The artifact '{name}' is required and not given."))
        return found

    def _start(self, name: str, identifier: str, plan: dict[str, Any], lineage: Lineage) -> None:
        logs = self._logs(identifier)
        run = Run(name, plan, self._core.folder / "work" / identifier, logs, self._core.reached)
        progress = Progress(self._core, name, lineage, logs)
        self._background.start(name, run, lambda: self._run(run, progress))

    def _logs(self, identifier: str) -> Path:
        return self._core.folder / "logs" / identifier

    def _run(self, run: Run, progress: Progress) -> None:
        while not self._slots.acquire(timeout=0.1):
            if run.cancelled:
                self._finish(run, progress)
                return
        try:
            if not run.cancelled:
                self._core.store.change(run.name, _set_running)
            self._finish(run, progress)
        finally:
            self._slots.release()

    def _finish(self, run: Run, progress: Progress) -> None:
        try:
            outcome = run.run(progress.follow)
        except Exception as error:  # a fault of this server must not leave a job that seems to run
            outcome = failed(f"{type(error).__name__}: {error}", "INTERNAL")
        if outcome.state == "SUCCEEDED" and progress.error:
            outcome = failed("\n".join([progress.error, *progress.failures]), "FAILED_PRECONDITION")
        why = str(outcome.error) if outcome.error is not None else ""
        progress.close("CANCELLED" if outcome.state == "CANCELLED" else "FAILED", why)
        self._core.store.change(run.name, lambda job: set_state(job, outcome.state, outcome.error))

    def _with_contexts(self, job: Message) -> Message:
        """The contexts as they are now: an experiment may have become a parent of the run."""
        for context in (job.job_detail.pipeline_context, job.job_detail.pipeline_run_context):
            known = self._core.store.find(context.name)
            if known is not None:
                raw(context).CopyFrom(raw(known))
        return job

    def _all_there(self, request: Message) -> list[Message]:
        if len(request.names) > _MOST_AT_ONCE:
            raise invalid(f"At most {_MOST_AT_ONCE} pipeline jobs can be named at once.")
        return [self._core.store.get(name) for name in request.names]

    def _fail_abandoned(self) -> None:
        """Jobs that an earlier server has left behind, which was killed."""
        error = VertexError("ABORTED", stopped("was killed"))
        for job in self._core.store.of(PipelineJob):
            if not has_ended(job):
                job = self._core.store.change(job.name, lambda kept: _set_abandoned(kept, error))
                for detail in job.job_detail.task_details:
                    if detail.execution and detail.execution.state == Execution.State.RUNNING:
                        self._metadata.change(detail.execution.name, _set_failed)


def _set_contexts(job: Message, lineage: Lineage) -> None:
    job.job_detail.pipeline_context = lineage.pipeline_context
    job.job_detail.pipeline_run_context = lineage.run_context


def _set_running(job: Message) -> None:
    if job.state == PipelineState.PIPELINE_STATE_PENDING:
        job.state = PipelineState.PIPELINE_STATE_RUNNING
    job.start_time = now()
    stamp(job)


def _set_abandoned(job: Message, error: VertexError) -> None:
    set_state(job, "FAILED", error)
    for detail in job.job_detail.task_details:
        if detail.state == PipelineTaskDetail.State.RUNNING:
            detail.state, detail.end_time = PipelineTaskDetail.State.FAILED, now()
            raw(detail).error.CopyFrom(raw(job).error)


def _set_failed(execution: Message) -> None:
    execution.state = Execution.State.FAILED

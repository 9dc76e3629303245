"""HyperparameterTuningJob as a resource: created, cancelled, deleted, and brought to where its run is."""

from __future__ import annotations

import threading

from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, JobState, Trial
from google.rpc import status_pb2

from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, Violation, invalid_fields
from localgcp.vertex.generic import Resources, require, stamp
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.jobs.execution import Outcome, failed, stopped
from localgcp.vertex.jobs.tuning import checks
from localgcp.vertex.jobs.tuning.search import require_vizier
from localgcp.vertex.jobs.tuning.tuning_run import TuningRun
from localgcp.vertex.messages import Message, copied, now, raw

_TERMINAL = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
_OVER = (Trial.State.SUCCEEDED, Trial.State.INFEASIBLE)


class TuningJobs:
    """The tuning jobs of a server, and the threads that run them."""

    def __init__(self, core: Core, jobs: CustomJobs) -> None:
        self._core, self._jobs = core, jobs
        verbs = ("Get", "List", "Delete")
        self._resources = Resources(core, "JobService", "HyperparameterTuningJob", verbs, None, _has_ended)
        self._running: dict[str, tuple[TuningRun, threading.Thread]] = {}
        self._lock = threading.Lock()
        core.answers("JobService.CreateHyperparameterTuningJob")(self.create)
        core.answers("JobService.CancelHyperparameterTuningJob")(self.cancel)
        core.on_stop.append(self.stop)
        self._fail_abandoned()

    def create(self, request: Message) -> Message:
        """Raises VertexError for a job that cannot run, and where Vizier is not installed."""
        job = copied(request.hyperparameter_tuning_job)
        checks.check(job)
        self._check_trial_job(job.trial_job_spec)
        require_vizier()
        job.state = JobState.JOB_STATE_PENDING
        job = self._resources.add(request.parent, job)
        folder = self._core.folder / "tuning" / job.name.rpartition("/")[2]
        run = TuningRun(self._core.store, self._jobs, job, folder)
        thread = threading.Thread(target=self._run, args=(run,), name=job.name, daemon=True)
        with self._lock:
            self._running[job.name] = run, thread
        thread.start()
        return job

    def cancel(self, request: Message) -> None:
        def change(job: Message) -> None:
            if job.state.name not in _TERMINAL:
                job.state = JobState.JOB_STATE_CANCELLING
                stamp(job)

        self._core.store.change(request.name, change)
        with self._lock:
            running = self._running.get(request.name)
        if running is not None:
            running[0].cancel()

    def stop(self) -> None:
        """Ends every job's trials and says so in the jobs."""
        with self._lock:
            running = list(self._running.values())
        for run, _ in running:
            run.abandon()
        for _, thread in running:
            thread.join()

    def _check_trial_job(self, spec: Message) -> None:
        try:
            self._jobs.check(spec)
        except VertexError as error:
            if not error.violations:
                raise
            named = [Violation(f"trial_{one.field}", one.message) for one in error.violations]
            raise invalid_fields(*named) from None

    def _run(self, run: TuningRun) -> None:
        try:
            self._change(run.name, "RUNNING", None)
            outcome = run.run()
            self._change(run.name, outcome.state, outcome)
        finally:
            with self._lock:
                self._running.pop(run.name, None)

    def _change(self, name: str, state: str, outcome: Outcome | None) -> None:
        def change(job: Message) -> None:
            if outcome is None and job.state == JobState.JOB_STATE_CANCELLING:
                return
            job.state = getattr(JobState, f"JOB_STATE_{state}")
            stamp(job)
            if outcome is None:
                job.start_time = now()
            else:
                job.end_time = now()
            if outcome is not None and outcome.error is not None:
                raw(job).error.CopyFrom(status_pb2.Status(code=outcome.error.grpc_code, message=str(outcome.error)))

        self._core.store.change(name, change)

    def _fail_abandoned(self) -> None:
        """Jobs that an earlier server has left behind, which was killed."""
        why = stopped("was killed")
        for job in self._core.store.of(HyperparameterTuningJob):
            if job.state.name in _TERMINAL:
                continue
            self._core.store.change(job.name, lambda kept: _end_trials(kept, why))
            self._change(job.name, "FAILED", failed(why, "ABORTED"))


def _end_trials(job: Message, why: str) -> None:
    for trial in job.trials:
        if trial.state not in _OVER:
            trial.state, trial.infeasible_reason, trial.end_time = Trial.State.INFEASIBLE, why, now()


def _has_ended(job: Message) -> None:
    state = job.state.name.removeprefix("JOB_STATE_")
    require(job.state.name in _TERMINAL, f"Job '{job.name}' is {state}; cancel it before it is deleted.")

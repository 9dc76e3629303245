"""HyperparameterTuningJob as a resource: created, cancelled, deleted, and brought to where its run is."""

from __future__ import annotations

from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, JobState, Trial

from localgcp.vertex.background import Background, has_ended, must_have_ended, set_state
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, Violation, invalid_fields
from localgcp.vertex.generic import Resources
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.jobs.execution import stopped
from localgcp.vertex.jobs.tuning import checks
from localgcp.vertex.jobs.tuning.search import require_vizier
from localgcp.vertex.jobs.tuning.tuning_run import TuningRun
from localgcp.vertex.messages import Message, copied, now

_OVER = (Trial.State.SUCCEEDED, Trial.State.INFEASIBLE)


class TuningJobs:
    """The tuning jobs of a server, and the threads that run them."""

    def __init__(self, core: Core, jobs: CustomJobs) -> None:
        self._core, self._jobs = core, jobs
        verbs = ("Get", "List", "Delete")
        self._resources = Resources(core, "JobService", "HyperparameterTuningJob", verbs, None, must_have_ended)
        self._background = Background[TuningRun](core)
        core.answers("JobService.CreateHyperparameterTuningJob")(self.create)
        core.answers("JobService.CancelHyperparameterTuningJob")(lambda request: self._background.cancel(request.name))
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
        self._background.start(job.name, run, lambda: self._run(run))
        return job

    def _check_trial_job(self, spec: Message) -> None:
        try:
            self._jobs.check(spec)
        except VertexError as error:
            if not error.violations:
                raise
            named = [Violation(f"trial_{one.field}", one.message) for one in error.violations]
            raise invalid_fields(*named) from None

    def _run(self, run: TuningRun) -> None:
        self._change(run.name, "RUNNING", None)
        outcome = run.run()
        self._change(run.name, outcome.state, outcome.error)

    def _change(self, name: str, state: str, error: VertexError | None) -> None:
        def change(job: Message) -> None:
            if state != "RUNNING" or job.state != JobState.JOB_STATE_CANCELLING:
                set_state(job, state, error)

        self._core.store.change(name, change)

    def _fail_abandoned(self) -> None:
        """Jobs that an earlier server has left behind, which was killed."""
        why = stopped("was killed")
        for job in self._core.store.of(HyperparameterTuningJob):
            if has_ended(job):
                continue
            self._core.store.change(job.name, lambda kept: _end_trials(kept, why))
            self._change(job.name, "FAILED", VertexError("ABORTED", why))


def _end_trials(job: Message, why: str) -> None:
    for trial in job.trials:
        if trial.state not in _OVER:
            trial.state, trial.infeasible_reason, trial.end_time = Trial.State.INFEASIBLE, why, now()

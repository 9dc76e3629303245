"""The run of one tuning job: keeps so many trials going as it may, each a custom job, until their number is reached."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from pathlib import Path

from google.cloud.aiplatform_v1.types import CustomJob, EnvVar, StudySpec, Trial

from localgcp.vertex.errors import VertexError
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.jobs.environment import has_task
from localgcp.vertex.jobs.execution import Outcome, failed, stopped
from localgcp.vertex.jobs.tuning.measurements import MetricFile, Point, below_median, selected
from localgcp.vertex.jobs.tuning.search import Search, SearchEnded, Value
from localgcp.vertex.messages import Message, copied, now, raw
from localgcp.vertex.store import Store

_POLL_SECONDS = 0.1
_ENDED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
_REASON_LENGTH = 1000


@dataclass
class Running:
    """A trial whose custom job has not ended yet."""

    trial: Message
    parameters: dict[str, Value]
    metrics: MetricFile
    points: list[Point] = field(default_factory=list)


class TuningRun:
    """A tuning job's trials. `run` blocks until they have ended; `cancel` and `abandon` may come from any thread."""

    def __init__(self, store: Store, jobs: CustomJobs, job: Message, folder: Path) -> None:
        self.name = job.name
        self._store, self._jobs, self._job, self._folder = store, jobs, job, folder
        spec = job.study_spec
        self._metric = spec.metrics[0].metric_id
        self._maximize = spec.metrics[0].goal == StudySpec.MetricSpec.GoalType.MAXIMIZE
        best = StudySpec.MeasurementSelectionType.BEST_MEASUREMENT
        self._best = spec.measurement_selection_type == best
        self._search: Search | None = None
        self._why: Outcome | None = None
        self._exhausted = False
        self._started = self._failures = 0
        self._running: dict[str, Running] = {}
        self._ended_jobs: queue.Queue[tuple[str, Message] | None] = queue.Queue()
        self._completed: list[tuple[dict[str, Value], float | None]] = []
        self._curves: list[list[Point]] = []

    def cancel(self) -> None:
        self._end(Outcome("CANCELLED"))

    def abandon(self) -> None:
        """For a server that stops."""
        self._end(failed(stopped("was stopped"), "ABORTED"))

    def _end(self, why: Outcome) -> None:
        if self._why is None:
            self._why = why
        # It may be in the middle of a long computation.
        if self._search is not None:
            self._search.kill()
        self._ended_jobs.put(None)

    def run(self) -> Outcome:
        try:
            with Search(self._job.study_spec, self._job.display_name, self._folder / "search.log") as self._search:
                while self._why is None:
                    self._start_trials(self._search)
                    if not self._running:
                        return self._why or self._verdict()
                    self._wait_for_one()
                    self._observe()
        except SearchEnded:
            self._why = self._why or failed("The search process was ended from outside.", "INTERNAL")
        except VertexError as error:
            self._why = self._why or Outcome("FAILED", error)
        except OSError as error:
            self._why = self._why or failed(f"The search could not be run: {error.strerror}.", "INTERNAL")
        finally:
            self._end_trials()
        return self._why or self._verdict()

    def _start_trials(self, search: Search) -> None:
        job = self._job
        while self._why is None and not self._exhausted:
            if self._started >= job.max_trial_count or len(self._running) >= job.parallel_trial_count:
                return
            pending = [running.parameters for running in self._running.values()]
            parameters = search.suggest(self._completed, pending)
            if parameters is None:
                self._exhausted = True
            else:
                self._start(parameters)

    def _start(self, parameters: dict[str, Value]) -> None:
        self._started += 1
        identifier, began = str(self._started), now()
        path = self._folder / identifier / "output.metrics"
        trial = Trial(id=identifier, state=Trial.State.ACTIVE, start_time=began)
        trial.parameters = [Trial.Parameter(parameter_id=name, value=value) for name, value in parameters.items()]
        spec = _trial_spec(self._job, trial, _arguments(self._job.study_spec, parameters), path)
        name = f"{self._job.display_name[:100]}-trial-{identifier}"
        custom = CustomJob(display_name=name, job_spec=spec, labels=self._job.labels)
        custom.encryption_spec = self._job.encryption_spec

        def watch(changed: Message) -> None:
            if changed.state.name in _ENDED:
                self._ended_jobs.put((identifier, changed))

        trial.custom_job = self._jobs.launch(custom, watch).name
        metrics = MetricFile(path, self._metric, began.timestamp())
        self._running[identifier] = Running(trial, parameters, metrics)
        self._keep(trial)

    def _wait_for_one(self) -> None:
        try:
            ended = self._ended_jobs.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        if ended is not None:
            self._complete(*ended)

    def _observe(self) -> None:
        """Takes over what the trials have reported; stops those that the median rule gives up."""
        for running in self._running.values():
            points = running.metrics.read()
            if len(points) == len(running.points):
                continue
            running.points = points
            running.trial.measurements = [point.message(self._metric) for point in points]
            if self._gives_up(points) and running.trial.state == Trial.State.ACTIVE:
                running.trial.state = Trial.State.STOPPING
                self._jobs.cancel(running.trial.custom_job)
            self._keep(running.trial)

    def _gives_up(self, points: list[Point]) -> bool:
        spec = self._job.study_spec
        if "median_automated_stopping_spec" not in spec:
            return False
        use_seconds = spec.median_automated_stopping_spec.use_elapsed_duration
        return below_median(points, self._curves, self._maximize, use_seconds)

    def _complete(self, identifier: str, job: Message) -> None:
        running = self._running.pop(identifier)
        trial, points = running.trial, running.metrics.read()
        trial.measurements = [point.message(self._metric) for point in points]
        trial.end_time = job.end_time or now()
        reason = self._infeasible(trial, job, points)
        value = None
        if reason:
            trial.state, trial.infeasible_reason = Trial.State.INFEASIBLE, reason[-_REASON_LENGTH:]
        else:
            final = selected(points, self._best, self._maximize)
            trial.state, trial.final_measurement = Trial.State.SUCCEEDED, final.message(self._metric)
            value = final.value
            self._curves.append(points)
        self._completed.append((running.parameters, value))
        self._keep(trial)
        self._count_failure(bool(reason))

    def _infeasible(self, trial: Message, job: Message, points: list[Point]) -> str:
        """Why a trial counts for nothing; empty when it has a result, also when it was stopped early."""
        state = job.state.name
        if state == "JOB_STATE_FAILED":
            return str(job.error.message)
        if state == "JOB_STATE_CANCELLED" and trial.state != Trial.State.STOPPING:
            return "The tuning job was cancelled." if self._why is not None else "The trial's custom job was cancelled."
        if not points:
            return (
                f"The trial has reported no value of the metric '{self._metric}'. Report it with cloudml-hypertune: "
                f"HyperTune().report_hyperparameter_tuning_metric('{self._metric}', value, step)."
            )
        return ""

    def _count_failure(self, is_failure: bool) -> None:
        self._failures += is_failure
        most = self._job.max_failed_trial_count
        if self._why is None and is_failure and most and self._failures >= most:
            reasons = [
                trial.infeasible_reason for trial in self._store.get(self.name).trials if trial.infeasible_reason
            ]
            self._why = failed(f"{self._failures} trials have failed (max_failed_trial_count). The last: {reasons[-1]}")

    def _verdict(self) -> Outcome:
        if self._failures and self._failures == len(self._completed):
            reason = self._store.get(self.name).trials[-1].infeasible_reason
            return failed(f"All {self._failures} trials have failed. The last: {reason}")
        return Outcome("SUCCEEDED")

    def _end_trials(self) -> None:
        for running in self._running.values():
            self._jobs.cancel(running.trial.custom_job)
        while self._running:
            ended = self._ended_jobs.get()
            if ended is not None:
                self._complete(*ended)

    def _keep(self, trial: Message) -> None:
        place = int(trial.id) - 1

        def change(job: Message) -> None:
            trials = list(job.trials)
            trials[place : place + 1] = [copied(trial)]
            job.trials = trials
            job.update_time = now()

        self._store.change(self.name, change)


def _arguments(spec: Message, parameters: dict[str, Value]) -> list[str]:
    """`--name=value` as the service adds them; whole numbers of INTEGER and DISCRETE without ".0"."""
    doubles = {parameter.parameter_id for parameter in spec.parameters if "double_value_spec" in parameter}
    found = []
    for name, value in parameters.items():
        whole = isinstance(value, float) and name not in doubles and value.is_integer()
        found.append(f"--{name}={int(value) if whole else value}")
    return found


def _trial_spec(job: Message, trial: Message, arguments: list[str], metric_file: Path) -> Message:
    """The CustomJobSpec of one trial: its arguments, its variables, and a folder of its own for what it writes."""
    spec = copied(job.trial_job_spec)
    metric_file.parent.mkdir(parents=True, exist_ok=True)
    variables = {"CLOUD_ML_TRIAL_ID": trial.id, "CLOUD_ML_HP_METRIC_FILE": str(metric_file)}
    for pool in spec.worker_pool_specs:
        if has_task(pool):
            task = pool.python_package_spec if "python_package_spec" in pool else pool.container_spec
            task.args.extend(arguments)
            task.env.extend(EnvVar(name=name, value=value) for name, value in variables.items())
    prefix = raw(spec).base_output_directory.output_uri_prefix
    if prefix:
        spec.base_output_directory.output_uri_prefix = f"{prefix.rstrip('/')}/{trial.id}"
    return spec

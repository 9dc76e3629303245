"""Tuning jobs that run: real trials on OSS Vizier. Run in the environment vizier, by this file's name."""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import StudySpec
from localgcp import vertex
from localgcp.vertex.jobs.tuning.search import Search, SearchEnded

from tests.localgcp.vertex.conftest import BUCKET, PARENT, client, init, pool

Connect = Callable[[Any], Any]
ENDED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
# Reports 1 - (x - 0.3)² after as many steps as there are, and writes what it was given into its model's folder.
TRAINER = """
import argparse, json, os, time
import hypertune
parser = argparse.ArgumentParser()
for name, kind in (("x", float), ("units", int), ("size", int), ("kind", str), ("steps", int), ("sleep", float)):
    parser.add_argument("--" + name, type=kind, default=kind("0"))
args = parser.parse_args()
began = time.time()
tune = hypertune.HyperTune()
for step in range(1, max(1, args.steps) + 1):
    time.sleep(args.sleep)
    value = 1 - (args.x - 0.3) ** 2 + (1 if step == 2 else 0)
    tune.report_hyperparameter_tuning_metric("score", value, step)
if "AIP_MODEL_DIR" in os.environ:
    found = vars(args) | {"trial": os.environ["CLOUD_ML_TRIAL_ID"], "began": began, "ended": time.time()}
    open(os.environ["AIP_MODEL_DIR"] + "found.json", "w").write(json.dumps(found))
"""
X = {"x": hpt.DoubleParameterSpec(min=0.0, max=1.0, scale="linear")}


def tuning(
    parameters: dict[str, Any] = X, code: str = TRAINER, args: tuple[str, ...] = (), base: str = "", **more: Any
) -> aiplatform.HyperparameterTuningJob:
    job = aiplatform.CustomJob(
        display_name="trial",
        worker_pool_specs=[pool(code, *args)],
        base_output_dir=f"gs://{BUCKET}/{base}" if base else None,
    )
    given = {"max_trial_count": 4, "parallel_trial_count": 2, "search_algorithm": "random"} | more
    return aiplatform.HyperparameterTuningJob(
        display_name="tuning", custom_job=job, metric_spec={"score": "maximize"}, parameter_spec=parameters, **given
    )


def values(trial: Any) -> dict[str, Any]:
    return {parameter.parameter_id: parameter.value for parameter in trial.parameters}


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.05)
    return found


@pytest.fixture
def rpc(server: vertex.Server) -> None:
    """The SDK over gRPC: for what does not depend on the transport."""
    init(server, "grpc")


def test_random_trials_run_in_parallel_and_report(sdk: str, buckets: Path) -> None:
    parameters = X | {
        "units": hpt.IntegerParameterSpec(min=2, max=9, scale="log"),
        "size": hpt.DiscreteParameterSpec(values=[16, 32], scale=None),
        "kind": hpt.CategoricalParameterSpec(values=["a", "b"]),
    }
    base = f"tuned-{sdk}"
    made = tuning(parameters, args=("--sleep=0.7",), base=base, labels={"a": "b"})
    made.run()
    assert made.state.name == "JOB_STATE_SUCCEEDED" and [trial.id for trial in made.trials] == ["1", "2", "3", "4"]
    spans = []
    for trial in made.trials:
        found = json.loads((buckets / BUCKET / base / trial.id / "model" / "found.json").read_text())
        given = values(trial)
        assert {name: found[name] for name in given} == given and found["trial"] == trial.id
        assert isinstance(found["size"], int) and found["kind"] in "ab" and 2 <= found["units"] <= 9
        metric = trial.final_measurement.metrics[0]
        assert trial.state.name == "SUCCEEDED" and metric.metric_id == "score"
        assert metric.value == pytest.approx(1 - (given["x"] - 0.3) ** 2)
        assert trial.start_time < trial.end_time and trial.final_measurement.step_count == 1
        job = aiplatform.CustomJob.get(trial.custom_job)
        assert job.state.name == "JOB_STATE_SUCCEEDED" and job.labels == {"a": "b"}
        spans.append((found["began"], found["ended"]))
    running = [sum(began <= at < ended for began, ended in spans) for at, _ in spans]
    assert max(running) == 2, "two trials at once, no more"
    assert len({values(trial)["x"] for trial in made.trials}) == 4
    found = aiplatform.HyperparameterTuningJob.get(made.resource_name)
    assert len(found.trials) == 4 and found.gca_resource.start_time < found.gca_resource.end_time
    assert next(iter(aiplatform.HyperparameterTuningJob.list(filter="labels.a=b"))).name == made.name
    made.delete()
    with pytest.raises(exceptions.NotFound):
        aiplatform.HyperparameterTuningJob.get(made.resource_name)


@pytest.mark.parametrize(("selection", "best"), [("best", True), ("last", False), (None, False)])
def test_which_measurement_is_the_final_one(rpc: None, selection: str | None, best: bool) -> None:
    made = tuning(args=("--steps=3", "--sleep=0.05"), max_trial_count=1, measurement_selection=selection)
    made.run()
    trial = made.trials[0]
    reported = [measurement.metrics[0].value for measurement in trial.measurements]
    assert [measurement.step_count for measurement in trial.measurements] == [1, 2, 3]
    final = trial.final_measurement
    assert (final.step_count, final.metrics[0].value) == ((2, reported[1]) if best else (3, reported[2]))
    assert reported[1] == max(reported) and final.elapsed_duration.total_seconds() > 0


def test_a_grid_is_walked_once_and_ends(rpc: None) -> None:
    parameters = {
        "units": hpt.IntegerParameterSpec(min=1, max=2, scale="linear"),
        "kind": hpt.CategoricalParameterSpec(values=["a", "b"]),
    }
    made = tuning(parameters, search_algorithm="grid", max_trial_count=9, parallel_trial_count=3)
    made.run()
    assert made.state.name == "JOB_STATE_SUCCEEDED"
    found = Counter((values(trial)["units"], values(trial)["kind"]) for trial in made.trials)
    assert found == {(units, kind): 1 for units in (1, 2) for kind in "ab"}


FAILS = "import sys; sys.exit('no such column: price')"


def test_trials_that_fail(rpc: None) -> None:
    made = tuning(code=FAILS, max_trial_count=9, parallel_trial_count=1, max_failed_trial_count=2)
    with pytest.raises(RuntimeError, match=r"2 trials have failed \(max_failed_trial_count\).*no such column: price"):
        made.run()
    assert [trial.state.name for trial in made.trials] == ["INFEASIBLE"] * 2
    assert "no such column: price" in made.trials[0].infeasible_reason and not made.trials[0].final_measurement.metrics
    made = tuning(code=FAILS, max_trial_count=2)
    with pytest.raises(RuntimeError, match="All 2 trials have failed"):
        made.run()


def test_one_that_fails_and_one_that_reports_nothing_leave_the_others(rpc: None) -> None:
    code = "import os, sys\nif os.environ['CLOUD_ML_TRIAL_ID'] == '1': sys.exit(3)\n"
    code += "if os.environ['CLOUD_ML_TRIAL_ID'] == '2': sys.exit(0)\n" + TRAINER
    made = tuning(code=code, max_trial_count=3)
    made.run()
    assert made.state.name == "JOB_STATE_SUCCEEDED"
    assert [trial.state.name for trial in made.trials] == ["INFEASIBLE", "INFEASIBLE", "SUCCEEDED"]
    assert "non-zero status of 3" in made.trials[0].infeasible_reason
    assert "reported no value of the metric 'score'" in made.trials[1].infeasible_reason


# Values by the number of the trial, ten steps each: the third one is far below the others from its first step on.
CURVES = """
import os, sys, time, hypertune
number, tune = int(os.environ["CLOUD_ML_TRIAL_ID"]), hypertune.HyperTune()
for step in range(1, 11):
    tune.report_hyperparameter_tuning_metric("score", 0.1 if number == 3 else number, step)
    time.sleep(float(sys.argv[1]) if number == 3 else 0)
print("to the end", flush=True)
"""


@pytest.mark.parametrize("stops", [True, False])
def test_the_median_rule_ends_a_trial(server: vertex.Server, rpc: None, stops: bool) -> None:
    made = tuning(code=CURVES, args=("60" if stops else "0",), max_trial_count=3, parallel_trial_count=1)
    if stops:
        made._gca_resource.study_spec.median_automated_stopping_spec = StudySpec.MedianAutomatedStoppingSpec()
    made.run()
    last = made.trials[2]
    job = aiplatform.CustomJob.get(last.custom_job)
    log = (server.log_folder(job.resource_name) / "workerpool0-0.log").read_text()
    assert [trial.state.name for trial in made.trials] == ["SUCCEEDED"] * 3
    assert last.final_measurement.metrics[0].value == pytest.approx(0.1)
    assert (len(last.measurements) < 10) == stops and ("to the end" in log) != stops
    assert job.state.name == ("JOB_STATE_CANCELLED" if stops else "JOB_STATE_SUCCEEDED")


def test_cancel_ends_every_trial(server: vertex.Server, connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    name = _endless(jobs, algorithm="RANDOM_SEARCH")
    found = until(lambda: (job := jobs.get_hyperparameter_tuning_job(name=name)).trials[1:] and job)
    trials = [trial.custom_job for trial in found.trials]
    for trial in trials:
        until(lambda one=trial: jobs.get_custom_job(name=one).state.name == "JOB_STATE_RUNNING")
    with pytest.raises(exceptions.BadRequest, match="is RUNNING; cancel it before it is deleted"):
        jobs.delete_hyperparameter_tuning_job(name=name)
    jobs.cancel_hyperparameter_tuning_job(name=name)
    found = _ended(jobs, name)
    assert found.state.name == "JOB_STATE_CANCELLED" and not found.error.message
    assert [trial.state.name for trial in found.trials] == ["INFEASIBLE"] * 2
    assert found.trials[0].infeasible_reason == "The tuning job was cancelled."
    assert {jobs.get_custom_job(name=trial).state.name for trial in trials} == {"JOB_STATE_CANCELLED"}


def test_cancel_does_not_wait_for_the_search(connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    name = _endless(jobs)
    until(lambda: jobs.get_hyperparameter_tuning_job(name=name).state.name == "JOB_STATE_RUNNING")
    jobs.cancel_hyperparameter_tuning_job(name=name)
    began = time.monotonic()
    assert _ended(jobs, name).state.name == "JOB_STATE_CANCELLED" and time.monotonic() - began < 5


def _endless(jobs: Any, **study: Any) -> str:
    parameter = {"parameter_id": "x", "double_value_spec": {"min_value": 0.0, "max_value": 1.0}}
    spec = {"metrics": [{"metric_id": "score", "goal": "MAXIMIZE"}], "parameters": [parameter]} | study
    given = {"display_name": "endless", "study_spec": spec, "max_trial_count": 4, "parallel_trial_count": 2}
    given["trial_job_spec"] = {"worker_pool_specs": [pool("import time; time.sleep(600)")]}
    made = jobs.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=given)
    return str(made.name)


def _ended(jobs: Any, name: str) -> Any:
    return until(lambda: (job := jobs.get_hyperparameter_tuning_job(name=name)).state.name in ENDED and job)


SERVER = """
import sys, time
from google.cloud.aiplatform_v1 import JobServiceClient
from localgcp import vertex
from tests.localgcp.vertex.conftest import client
from tests.localgcp.vertex.tuning_on_vizier import _endless
server = vertex.start(sys.argv[1])
jobs = client(JobServiceClient, server, "grpc")
name = _endless(jobs, algorithm="RANDOM_SEARCH")
while len(jobs.get_hyperparameter_tuning_job(name=name).trials) < 2:
    time.sleep(0.05)
print(name, flush=True)
time.sleep(600)
"""


def test_what_a_killed_server_leaves_is_read_as_failed(tmp_path: Path) -> None:
    shared = str(Path(__file__).resolve().parents[3])
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": shared},
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    searches = _children(child.pid, "suggester.py")
    assert len(searches) == 1
    child.send_signal(signal.SIGKILL)
    child.wait()
    with vertex.start(tmp_path) as again:
        found = client(JobServiceClient, again, "grpc").get_hyperparameter_tuning_job(name=name)
    assert found.state.name == "JOB_STATE_FAILED" and "was killed while this job was running" in found.error.message
    assert [trial.state.name for trial in found.trials] == ["INFEASIBLE"] * 2
    until(lambda: not Path(f"/proc/{searches[0]}/cmdline").exists() or _command(searches[0]) == "")


def _command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")


def _children(parent: int, word: str) -> list[int]:
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    numbers = [int(number) for path in listed for number in path.read_text().split()]
    return [number for number in numbers if word in _command(number)]


def test_a_server_that_stops_ends_its_tuning_jobs(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as server:
        jobs = client(JobServiceClient, server, "grpc")
        name = _endless(jobs, algorithm="RANDOM_SEARCH")
        until(lambda: len(jobs.get_hyperparameter_tuning_job(name=name).trials) == 2)
    with vertex.start(tmp_path) as again:
        found = client(JobServiceClient, again, "grpc").get_hyperparameter_tuning_job(name=name)
    assert found.state.name == "JOB_STATE_FAILED" and "server was stopped" in found.error.message


# The search alone


def study(algorithm: str, *parameters: dict[str, Any], goal: str = "MAXIMIZE") -> Any:
    given = {"metrics": [{"metric_id": "m", "goal": goal}], "parameters": parameters, "algorithm": algorithm}
    return StudySpec(given)


def double(name: str, low: float, high: float, scale: str = "UNIT_LINEAR_SCALE") -> dict[str, Any]:
    return {"parameter_id": name, "double_value_spec": {"min_value": low, "max_value": high}, "scale_type": scale}


def test_scales(tmp_path: Path) -> None:
    scales = ("UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE")
    spec = study("RANDOM_SEARCH", *(double(scale, 1e-4, 1.0, scale) for scale in scales))
    with Search(spec, "scales", tmp_path / "log") as search:
        drawn = [search.suggest([], []) for _ in range(300)]
    below = {scale: sum(one[scale] < 1e-2 for one in drawn) / 300 for scale in scales}
    # Half of the decades of 1e-4..1 lie below 1e-2, 1% of the range does, and almost nothing of the reversed decades.
    assert below["UNIT_LOG_SCALE"] == pytest.approx(0.5, abs=0.1)
    assert below["UNIT_LINEAR_SCALE"] < 0.05 and below["UNIT_REVERSE_LOG_SCALE"] < 0.05
    assert sum(one["UNIT_REVERSE_LOG_SCALE"] > 0.99 for one in drawn) / 300 == pytest.approx(0.5, abs=0.1)


def test_every_value_of_a_finite_parameter_is_drawn(tmp_path: Path) -> None:
    spec = study(
        "RANDOM_SEARCH",
        {"parameter_id": "i", "integer_value_spec": {"min_value": -1, "max_value": 2}},
        {"parameter_id": "d", "discrete_value_spec": {"values": [0.5, 3, 100]}},
        {"parameter_id": "c", "categorical_value_spec": {"values": ["b", "a", "c"]}},
    )
    with Search(spec, "finite", tmp_path / "log") as search:
        drawn = [search.suggest([], []) for _ in range(400)]
    for name, expected in {"i": {-1, 0, 1, 2}, "d": {0.5, 3, 100}, "c": set("abc")}.items():
        counted = Counter(one[name] for one in drawn)
        assert set(counted) == expected and min(counted.values()) > 400 / len(expected) * 0.7


def test_the_same_study_is_searched_in_the_same_way_under_another_name_in_another(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "one", "two"):
        with Search(study("RANDOM_SEARCH", double("x", 0.0, 1.0)), name, tmp_path / "log") as search:
            runs.append([search.suggest([], []) for _ in range(3)])
    assert runs[0] == runs[1] != runs[2]


def test_the_default_search_learns_from_what_it_is_told(tmp_path: Path) -> None:
    """Bayesian optimisation comes near to a valley in 2 dimensions; what is pending is not suggested again."""

    def depth(trial: dict[str, Any]) -> float:
        return float((trial["x"] - 0.8) ** 2 + (math.log10(trial["rate"]) + 3.5) ** 2 / 9)

    spec = study(
        "ALGORITHM_UNSPECIFIED", double("x", 0.0, 1.0), double("rate", 1e-4, 0.1, "UNIT_LOG_SCALE"), goal="MINIMIZE"
    )
    completed: list[Any] = []
    pending: list[dict[str, Any]] = []
    points = []
    with Search(spec, "learns", tmp_path / "log") as search:
        for _ in range(9):
            points.append(search.suggest(completed, pending))
            pending.append(points[-1])
            if len(pending) == 2:
                completed.append((pending[0], depth(pending[0])))
                del pending[0]
    assert points[0]["x"] == pytest.approx(0.5), "Vizier begins in the middle"
    apart = [abs(one["x"] - two["x"]) + abs(math.log10(one["rate"] / two["rate"])) for one, two in pairwise(points)]
    assert min(apart) > 1e-3
    later, first = [depth(point) for point in points[4:]], [depth(point) for point in points[:3]]
    assert min(later) < 0.02 and statistics.median(later) < statistics.median(first)


def test_infeasible_trials_are_told_too(tmp_path: Path) -> None:
    with Search(study("ALGORITHM_UNSPECIFIED", double("x", 0.0, 1.0)), "infeasible", tmp_path / "log") as search:
        first = search.suggest([], [])
        second = search.suggest([(first, None)], [])
        third = search.suggest([(first, None), (second, 1.0)], [])
    assert len({one["x"] for one in (first, second, third)}) == 3


def test_a_search_that_is_killed(tmp_path: Path) -> None:
    with Search(study("RANDOM_SEARCH", double("x", 0.0, 1.0)), "killed", tmp_path / "log") as search:
        search.kill()
        with pytest.raises(SearchEnded):
            for _ in range(3):
                search.suggest([], [])

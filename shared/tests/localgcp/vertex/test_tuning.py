"""Hyperparameter tuning jobs through the unmodified SDK. What needs OSS Vizier is in tuning_on_vizier.py."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from google.cloud.aiplatform_v1 import JobServiceClient
from localgcp.vertex.jobs.tuning.measurements import MetricFile, Point, below_median, selected

from tests.localgcp.vertex.conftest import PARENT, pool

Connect = Callable[[Any], Any]
WITHOUT_VIZIER = importlib.util.find_spec("vizier") is None


def study(**more: Any) -> dict[str, Any]:
    """A study of one parameter as the API takes it."""
    parameter = {"parameter_id": "x", "double_value_spec": {"min_value": 0.0, "max_value": 1.0}}
    return {"metrics": [{"metric_id": "m", "goal": "MAXIMIZE"}], "parameters": [parameter]} | more


def create(connect: Connect, spec: dict[str, Any], **more: Any) -> Any:
    job = {"display_name": "tuning", "study_spec": spec, "max_trial_count": 2, "parallel_trial_count": 1}
    job |= {"trial_job_spec": {"worker_pool_specs": [pool("pass")]}} | more
    return connect(JobServiceClient).create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=job)


def parameter(kind: str, scale: str = "SCALE_TYPE_UNSPECIFIED", name: str = "x", **values: Any) -> dict[str, Any]:
    return {"parameter_id": name, f"{kind}_value_spec": values, "scale_type": scale}


@pytest.mark.skipif(not WITHOUT_VIZIER, reason="this environment has Vizier")
def test_without_vizier_the_job_is_refused_and_the_message_says_what_to_do(sdk: str) -> None:
    job = aiplatform.CustomJob(display_name="trial", worker_pool_specs=[pool("pass")])
    tuning = aiplatform.HyperparameterTuningJob(
        display_name="tuning",
        custom_job=job,
        metric_spec={"m": "maximize"},
        parameter_spec={"x": hpt.DoubleParameterSpec(min=0, max=1, scale="linear")},
        max_trial_count=2,
        parallel_trial_count=1,
    )
    with pytest.raises(exceptions.MethodNotImplemented, match='environment vizier, or run with TARGET="vertex"'):
        tuning.run()
    assert aiplatform.HyperparameterTuningJob.list() == []


@pytest.mark.parametrize(
    ("spec", "more", "words"),
    [
        (study(metrics=[]), {}, "study_spec.metrics; Message: Required field is not set"),
        (study(metrics=[{"metric_id": "m"}]), {}, r"metrics\[0\].goal; Message: It must be MAXIMIZE or MINIMIZE"),
        (study(metrics=[{"metric_id": "a m", "goal": "MINIMIZE"}]), {}, "'a m' contains whitespace"),
        (
            study(observation_noise="HIGH"),
            {},
            "observation_noise; Message: HyperparameterTuningJob does not support it",
        ),
        (study(parameters=[{"parameter_id": "x"}]), {}, "One of double, integer, categorical and discrete_value_spec"),
        (study(parameters=[parameter("integer", min_value=3, max_value=2)]), {}, "greater than max_value"),
        (study(parameters=[parameter("integer", min_value=1, max_value=2)] * 2), {}, "'x' is there twice"),
        (study(parameters=[parameter("discrete", values=[2, 1])]), {}, "They must be in increasing order"),
        (study(parameters=[parameter("categorical", values=["a", "a"])]), {}, "A value is there twice"),
        (
            study(parameters=[parameter("double", "UNIT_LOG_SCALE", max_value=1)]),
            {},
            "UNIT_LOG_SCALE needs values above 0",
        ),
        (
            study(parameters=[parameter("categorical", "UNIT_LINEAR_SCALE", values=["a"])]),
            {},
            "must be unset for a CATEGO",
        ),
        (study(parameters=[parameter("double", max_value=1, default_value=0.5)]), {}, "default_value; Message: Hyper"),
        (study(algorithm="GRID_SEARCH"), {}, "Grid search takes INTEGER, CATEGORICAL and DISCRETE parameters only"),
        (study(), {"max_trial_count": 0}, "max_trial_count; Message: It must be at least 1"),
        (study(), {"parallel_trial_count": -1}, "parallel_trial_count; Message: It must be at least 1"),
        (
            study(),
            {"trial_job_spec": {"worker_pool_specs": [pool("pass", replica_count=2)]}},
            "trial_job_spec.worker_pool",
        ),
    ],
)
def test_what_the_service_refuses(connect: Connect, spec: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=words):
        create(connect, spec, **more)


CHILD = {"parent_int_values": {"values": [1]}, "parameter_spec": parameter("double", name="y", max_value=1)}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (study(metrics=[{"metric_id": one, "goal": "MAXIMIZE"} for one in "ab"]), "several metrics"),
        (study(study_stopping_config={"max_num_trials": 3}), "study_stopping_config .* set max_trial_count"),
        (study(decay_curve_stopping_spec={}), "decay_curve_stopping_spec, .* use median_automated_stopping_spec"),
        (study(convex_automated_stopping_spec={}), "convex_automated_stopping_spec"),
        (
            study(parameters=[parameter("integer", max_value=1) | {"conditional_parameter_specs": [CHILD]}]),
            "OSS Vizier searches flat spaces only",
        ),
    ],
)
def test_what_is_not_emulated(connect: Connect, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=words):
        create(connect, spec)


# What a trial reports


def test_the_file_is_read_as_cloudml_hypertune_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "1" / "output.metrics"
    code = (
        "import hypertune, sys; tune = hypertune.HyperTune()\n"
        "for step in range(120): tune.report_hyperparameter_tuning_metric('m', step / 10, step)\n"
        "tune.report_hyperparameter_tuning_metric('other', 7, 1000)\n"
        "tune.report_hyperparameter_tuning_metric('m', float('nan'), 1001)\n"
    )
    environment = {"CLOUD_ML_HP_METRIC_FILE": str(path), "CLOUD_ML_TRIAL_ID": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    began = json.loads(path.read_text().splitlines()[0])["timestamp"] - 1
    points = MetricFile(path, "m", began).read()
    # hypertune keeps its last 100 reports, of which two are not this metric's finite values.
    assert [point.step for point in points] == list(range(22, 120))
    assert [point.value for point in points] == [step / 10 for step in range(22, 120)]
    assert all(1 <= point.seconds < 60 for point in points)


def test_what_the_file_has_lost_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "output.metrics"
    file = MetricFile(path, "m", 0.0)
    assert file.read() == []
    path.write_text('{"m": "0.5", "global_step": "1", "timestamp": 2}\n{"m": "0.7", "glo')
    assert file.read() == [Point(1, 2.0, 0.5)]
    path.write_text('{"m": "0.7", "global_step": "2", "timestamp": 3}\n')
    assert file.read() == [Point(1, 2.0, 0.5), Point(2, 3.0, 0.7)]


@pytest.mark.parametrize(
    ("best", "maximize", "value"), [(False, True, 2.0), (False, False, 2.0), (True, True, 3.0), (True, False, 1.0)]
)
def test_the_final_measurement(best: bool, maximize: bool, value: float) -> None:
    points = [Point(1, 1.0, 1.0), Point(2, 2.0, 3.0), Point(3, 3.0, 2.0)]
    assert selected(points, best, maximize).value == value


def test_the_median_rule() -> None:
    def curve(*values: float) -> list[Point]:
        return [Point(step, step * 10.0, value) for step, value in enumerate(values, 1)]

    # Running averages up to step 2: 0.15, 0.35, 0.55; their median is 0.35.
    completed = [curve(0.1, 0.2, 9.0), curve(0.3, 0.4, 9.0), curve(0.5, 0.6, 9.0)]
    assert below_median(curve(0.1, 0.34), completed, maximize=True, use_seconds=False)
    assert not below_median(curve(0.36, 0.0), completed, maximize=True, use_seconds=False)  # its best one counts
    assert not below_median(curve(0.35, 0.0), completed, maximize=True, use_seconds=False)  # strictly below
    assert below_median(curve(0.36, 0.4), completed, maximize=False, use_seconds=False)
    assert not below_median(curve(0.36, 0.34), completed, maximize=False, use_seconds=False)
    # At 30 s the third values count: averages above 3.
    assert below_median([Point(2, 30.0, 0.5)], completed, maximize=True, use_seconds=True)
    assert not below_median([], completed, maximize=True, use_seconds=False)
    assert not below_median(curve(0.1), [], maximize=True, use_seconds=False)

"""Vertex AI Experiments as the SDK's public reference has them, on Metadata and TensorBoard."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.metadata import metadata as tracking
from google.cloud.aiplatform_v1.types import Execution
from localgcp import vertex

from tests.localgcp.vertex.conftest import BUCKET, LOCATION, PROJECT, init, pool


def use(name: str, transport: str, board: aiplatform.Tensorboard | None = None) -> None:
    """Makes an experiment the one of this session. Without the project, the SDK would go over to REST."""
    aiplatform.init(
        project=PROJECT, location=LOCATION, api_transport=transport, experiment=name, experiment_tensorboard=board
    )


def forget() -> None:
    """The SDK's session has no experiment and no TensorBoard any more."""
    tracking._experiment_tracker.reset()
    tracking._experiment_tracker.set_tensorboard(None)


@pytest.fixture
def experiment(sdk: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An experiment with a TensorBoard behind it, as the one of this session."""
    name = f"{request.function.__name__.replace('_', '-')}-{sdk}"[:60].strip("-")
    board = aiplatform.Tensorboard.create(display_name=name)
    use(name, sdk, board)
    yield name
    forget()


def rows(name: str) -> dict[str, dict[str, Any]]:
    frame = aiplatform.get_experiment_df(name)
    return {row["run_name"]: row.dropna().to_dict() for _, row in frame.iterrows()}


def test_runs_with_parameters_and_metrics(experiment: str) -> None:
    with aiplatform.start_run("first"):
        aiplatform.log_params({"learning_rate": 0.1, "layers": 3, "kind": "deep"})
        aiplatform.log_metrics({"auc": 0.1 + 0.2})
    with pytest.raises(ZeroDivisionError), aiplatform.start_run("second"):
        aiplatform.log_params({"learning_rate": 0.2})
        _ = 1 / 0
    found = rows(experiment)
    assert found["first"]["metric.auc"] == 0.1 + 0.2 and found["first"]["param.kind"] == "deep"
    assert {name: row["state"] for name, row in found.items()} == {"first": "COMPLETE", "second": "FAILED"}
    assert aiplatform.Experiment.get(experiment).name == experiment
    assert experiment in [item.name for item in aiplatform.Experiment.list()]


def test_a_run_is_resumed(experiment: str) -> None:
    aiplatform.start_run("long")
    aiplatform.log_params({"a": 1})
    aiplatform.log_time_series_metrics({"loss": 0.5})
    aiplatform.end_run()
    with pytest.raises((RuntimeError, exceptions.Conflict), match="already exists"):
        aiplatform.start_run("long")
    with aiplatform.start_run("long", resume=True) as run:
        aiplatform.log_params({"b": 2})
        aiplatform.log_time_series_metrics({"loss": 0.4})
        assert run.get_params() == {"a": 1, "b": 2}
    frame = run.get_time_series_data_frame()
    assert list(frame["loss"]) == [0.5, 0.4] and list(frame["step"]) == [1, 2]
    assert rows(experiment)["long"]["time_series_metric.loss"] == 0.4


def test_lineage_of_a_run(experiment: str) -> None:
    with aiplatform.start_run("trained") as run:
        with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="train") as step:
            data = aiplatform.Artifact.create(schema_title="system.Dataset", uri=f"gs://{BUCKET}/a.csv")
            model = aiplatform.Artifact.create(schema_title="system.Model", uri=f"gs://{BUCKET}/m")
            step.assign_input_artifacts([data])
            step.assign_output_artifacts([model])
        assert step.state == Execution.State.COMPLETE
        run.log_classification_metrics(
            labels=["cat", "dog"], matrix=[[9, 1], [2, 8]], fpr=[0.1, 0.5], tpr=[0.2, 0.7], threshold=[0.9, 0.5]
        )
    assert [item.resource_name for item in step.get_input_artifacts()] == [data.resource_name]
    assert [item.resource_name for item in step.get_output_artifacts()] == [model.resource_name]
    again = aiplatform.ExperimentRun("trained", experiment)
    assert {data.resource_name, model.resource_name} <= {item.resource_name for item in again.get_artifacts()}
    assert [item.resource_name for item in again.get_executions()] == [step.resource_name]
    graph = aiplatform.Context(again.resource_name).query_lineage_subgraph()
    assert len(graph.events) == 2 and len(graph.executions) == 1
    (metrics,) = again.get_classification_metrics()
    assert metrics["matrix"] == [[9, 1], [2, 8]] and metrics["threshold"] == [0.9, 0.5]


def test_a_model_is_kept_with_its_run(experiment: str, sdk: str) -> None:
    from sklearn.linear_model import LogisticRegression

    features = np.eye(4)
    model = LogisticRegression().fit(features, [0, 1, 0, 1])
    with aiplatform.start_run("with-model") as run:
        aiplatform.log_model(model, f"my-model-{sdk}", display_name="small")
    kept = aiplatform.get_experiment_model(f"my-model-{sdk}")
    assert kept.uri.startswith(f"gs://{BUCKET}/") and kept.framework_name == "sklearn"
    assert np.array_equal(kept.load_model().coef_, model.coef_)
    assert [item.resource_name for item in run.get_experiment_models()] == [kept.resource_name]


def test_an_experiment_is_deleted_with_its_points(experiment: str) -> None:
    for name in ("one", "two"):
        with aiplatform.start_run(name):
            aiplatform.log_time_series_metrics({"loss": 0.5}, step=1)
    board = aiplatform.Experiment(experiment).get_backing_tensorboard_resource()
    assert board is not None and board.gca_resource.run_count == 2
    assert [item.name for item in aiplatform.ExperimentRun.list(experiment=experiment)] == ["two", "one"]
    aiplatform.Experiment(experiment).delete(delete_backing_tensorboard_runs=True)
    assert aiplatform.Experiment.get(experiment) is None
    assert aiplatform.Tensorboard(board.resource_name).gca_resource.run_count == 0
    assert not aiplatform.Context.list(filter=f'display_name="{experiment}*"')


def test_without_a_tensorboard_of_its_own_the_default_is_used(sdk: str) -> None:
    use(f"default-board-{sdk}", sdk)
    with aiplatform.start_run("one") as run:
        aiplatform.log_time_series_metrics({"loss": 0.5})
    assert len(run.get_time_series_data_frame()) == 1
    assert len(aiplatform.Tensorboard.list(filter="is_default=true")) == 1
    forget()


def test_two_who_write_to_one_run(experiment: str, sdk: str) -> None:
    """The second one has read an older state. It is refused, and over gRPC the SDK reads the run and tries again."""
    aiplatform.ExperimentRun.create("shared", experiment=experiment)
    one, two = (aiplatform.ExperimentRun("shared", experiment) for _ in range(2))
    one.log_params({"a": 1})
    if sdk == "grpc":
        two.log_params({"b": 2})
    else:
        with pytest.raises(exceptions.Conflict, match="does not match server `etag`"):
            two.log_params({"b": 2})
    expected = {"a": 1, "b": 2} if sdk == "grpc" else {"a": 1}
    assert aiplatform.ExperimentRun("shared", experiment).get_params() == expected


def test_eight_threads_that_write_to_one_run(server: vertex.Server) -> None:
    init(server, "grpc")
    use("one-run", "grpc")
    aiplatform.ExperimentRun.create("shared", experiment="one-run")
    writers = [aiplatform.ExperimentRun("shared", "one-run") for _ in range(8)]

    def write(number: int) -> None:
        for step in range(3):
            try:
                writers[number].log_params({f"p-{number}-{step}": step})
            except exceptions.Aborted:  # the SDK gives up after some times
                refused.append(f"p-{number}-{step}")

    refused: list[str] = []
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    wanted = {f"p-{number}-{step}" for number in range(8) for step in range(3)} - set(refused)
    assert set(aiplatform.ExperimentRun("shared", "one-run").get_params()) == wanted and len(wanted) >= 8
    forget()


def test_twenty_runs_from_parallel_threads(experiment: str) -> None:
    def one(number: int) -> None:
        run = aiplatform.ExperimentRun.create(f"run-{number}", experiment=experiment)
        run.log_params({"number": number})
        for step in range(1, 6):
            run.log_time_series_metrics({"loss": number / step}, step=step)
        run.log_metrics({"square": number**2})
        run.end_run()

    one(0)  # TensorBoard's experiment is made with the first run, and the SDK does not expect another to do that
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(one, range(1, 20)))
    found = rows(experiment)
    assert sorted(found) == sorted(f"run-{number}" for number in range(20))
    for number in range(20):
        row = found[f"run-{number}"]
        assert (row["param.number"], row["metric.square"]) == (number, number**2)
        assert row["time_series_metric.loss"] == number / 5 and row["state"] == "COMPLETE"


def test_runs_from_parallel_processes(server: vertex.Server) -> None:
    init(server, "grpc")
    board = aiplatform.Tensorboard.create(display_name="processes")
    use("processes", "grpc", board)
    aiplatform.ExperimentRun.create("first", experiment="processes").delete()
    code = f"""
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
aiplatform.init(project="{PROJECT}", location="{LOCATION}", credentials=AnonymousCredentials(),
                api_endpoint="{server.rest_url}", api_transport="rest")
for number in range(10):
    run = aiplatform.ExperimentRun.create(f"run-{{sys.argv[1]}}-{{number}}", experiment="processes")
    run.log_params({{"worker": int(sys.argv[1])}})
    run.log_metrics({{"number": number}})
    run.end_run()
"""
    started = [subprocess.Popen([sys.executable, "-c", code, str(worker)]) for worker in range(2)]
    assert [process.wait(300) for process in started] == [0] * 2
    found = rows("processes")
    assert len(found) == 20
    assert {(row["param.worker"], row["metric.number"]) for row in found.values()} == {
        (worker, number) for worker in range(2) for number in range(10)
    }
    forget()


def test_a_job_logs_to_its_run(server: vertex.Server) -> None:
    init(server, "grpc")
    board = aiplatform.Tensorboard.create(display_name="jobs")
    use("jobs-that-log", "grpc", board)
    aiplatform.ExperimentRun.create("in-job", experiment="jobs-that-log")
    code = """
from google.cloud import aiplatform
aiplatform.init()
aiplatform.log_params({"from": "job"})
for step in (1, 2):
    aiplatform.log_time_series_metrics({"loss": 1 / step}, step=step)
aiplatform.log_metrics({"auc": 0.75})
"""
    job = aiplatform.CustomJob(display_name="logs", worker_pool_specs=[pool(code)])
    account = "trainer@local-project.iam.gserviceaccount.com"
    job.run(service_account=account, experiment="jobs-that-log", experiment_run="in-job")
    row = rows("jobs-that-log")["in-job"]
    assert (row["metric.auc"], row["param.from"], row["time_series_metric.loss"]) == (0.75, "job", 0.5)
    assert row["state"] == "COMPLETE"
    forget()


def test_a_log_folder_of_tensorboard_is_uploaded(server: vertex.Server, tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    init(server, "grpc")
    board = aiplatform.Tensorboard.create(display_name="uploads")
    writer = EventFileWriter(str(tmp_path / "train"))
    for step in range(50):
        value = Summary.Value(tag="loss", simple_value=0.5**step)
        writer.add_event(Event(step=step, wall_time=1e9 + step, summary=Summary(value=[value])))
    writer.close()
    aiplatform.upload_tb_log(tensorboard_id=board.name, tensorboard_experiment_name="uploaded", logdir=str(tmp_path))
    (run,) = aiplatform.TensorboardRun.list(tensorboard_experiment_name=f"{board.resource_name}/experiments/uploaded")
    (points,) = run.read_time_series_data().values()
    assert [point.scalar.value for point in points.values] == pytest.approx([0.5**step for step in range(50)])


def test_autologging_needs_mlflow(experiment: str) -> None:
    with pytest.raises(ImportError, match=r"(?i)mlflow"):
        aiplatform.autolog()


def test_a_thousand_steps_are_quick(server: vertex.Server) -> None:
    init(server, "grpc")
    board = aiplatform.Tensorboard.create(display_name="steps")
    use("a-thousand-steps", "grpc", board)
    before = len(server.requests)
    with aiplatform.start_run("long") as run:
        started = time.perf_counter()
        for step in range(1, 1001):
            aiplatform.log_time_series_metrics({"loss": 1 / step}, step=step)
        seconds = time.perf_counter() - started
    logging.getLogger(__name__).warning("1,000 steps: %.1f s, %d requests", seconds, len(server.requests) - before)
    frame = run.get_time_series_data_frame()
    assert len(frame) == 1000 and frame["loss"].iloc[-1] == 1 / 1000
    assert seconds < 30  # 4 s on two cores that do nothing else
    forget()

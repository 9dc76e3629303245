"""TensorBoard: experiments, runs, time series, their points, and what a restart keeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1 import TensorboardServiceClient
from google.cloud.aiplatform_v1.types import TensorboardTimeSeries, TimeSeriesData, TimeSeriesDataPoint
from localgcp import vertex

from tests.localgcp.vertex.conftest import PARENT, client

Connect = Callable[[Any], Any]
SCALAR = TensorboardTimeSeries.ValueType.SCALAR


@pytest.fixture
def boards(connect: Connect) -> TensorboardServiceClient:
    """The generated client over one transport."""
    return connect(TensorboardServiceClient)


@pytest.fixture(scope="module")
def grpc(server: vertex.Server) -> TensorboardServiceClient:
    return client(TensorboardServiceClient, server, "grpc")


def run_of(boards: TensorboardServiceClient) -> str:
    """A run in an experiment of a TensorBoard of its own."""
    board = boards.create_tensorboard(parent=PARENT, tensorboard={"display_name": "board"}).result()
    inside = boards.create_tensorboard_experiment(parent=board.name, tensorboard_experiment_id="trial")
    run = boards.create_tensorboard_run(
        parent=inside.name, tensorboard_run={"display_name": "one"}, tensorboard_run_id="one"
    )
    return str(run.name)


def series_of(boards: TensorboardServiceClient, run: str, name: str = "loss") -> str:
    series = {"display_name": name, "value_type": SCALAR}
    return str(boards.create_tensorboard_time_series(parent=run, tensorboard_time_series=series).name)


def data(series: str, points: dict[int, float]) -> TimeSeriesData:
    values = [
        TimeSeriesDataPoint(step=step, scalar={"value": value}, wall_time={"seconds": 1000 + step})
        for step, value in points.items()
    ]
    return TimeSeriesData(tensorboard_time_series_id=series.rsplit("/", 1)[1], value_type=SCALAR, values=values)


def write(boards: TensorboardServiceClient, series: str, points: dict[int, float]) -> None:
    run = series.partition("/timeSeries/")[0]
    boards.write_tensorboard_run_data(tensorboard_run=run, time_series_data=[data(series, points)])


def read(boards: TensorboardServiceClient, series: str, **request: Any) -> dict[int, float]:
    answer = boards.read_tensorboard_time_series_data(request={"tensorboard_time_series": series, **request})
    return {point.step: point.scalar.value for point in answer.time_series_data.values}


def test_a_run_through_the_sdk(sdk: str) -> None:
    board = aiplatform.Tensorboard.create(display_name="wines", labels={"team": "a"})
    inside = aiplatform.TensorboardExperiment.create(
        tensorboard_experiment_id="first", tensorboard_name=board.resource_name
    )
    run = aiplatform.TensorboardRun.create("one", tensorboard_experiment_name=inside.resource_name)
    run.create_tensorboard_time_series("loss")
    run.create_tensorboard_time_series("auc")
    for step in (1, 2, 3):
        run.write_tensorboard_scalar_data({"loss": 1 / step, "auc": step / 10}, step=step)
    found = run.read_time_series_data()
    assert [point.scalar.value for point in found["loss"].values] == [1, 1 / 2, 1 / 3]
    assert [point.step for point in found["auc"].values] == [1, 2, 3]
    series = aiplatform.TensorboardTimeSeries.list(tensorboard_run_name=run.resource_name)
    assert sorted(item.display_name for item in series) == ["auc", "loss"]
    assert all(item.gca_resource.metadata.max_step == 3 for item in series)
    assert aiplatform.Tensorboard(board.resource_name).gca_resource.run_count == 1
    run.delete()
    assert aiplatform.TensorboardRun.list(tensorboard_experiment_name=inside.resource_name) == []
    board.delete()
    with pytest.raises(exceptions.NotFound):
        aiplatform.TensorboardExperiment(inside.resource_name).gca_resource  # noqa: B018


def test_one_tensorboard_is_the_default(boards: TensorboardServiceClient) -> None:
    def create() -> str:
        given = {"display_name": "d", "is_default": True}
        return str(boards.create_tensorboard(parent=PARENT, tensorboard=given).result().name)

    def default() -> list[str]:
        request = {"parent": PARENT, "filter": "is_default=true"}
        return [board.name for board in boards.list_tensorboards(request=request)]

    first, second = create(), create()
    assert default() == [second]
    boards.update_tensorboard(tensorboard={"name": first, "is_default": True}, update_mask={"paths": ["is_default"]})
    assert default() == [first]
    for name in (first, second):
        boards.delete_tensorboard(name=name).result()


def test_points_are_kept_by_step(boards: TensorboardServiceClient) -> None:
    series = series_of(boards, run_of(boards))
    assert read(boards, series) == {}
    write(boards, series, {3: 0.3, 1: 0.1, 2: float("nan")})
    write(boards, series, {2: 0.2, 10: 1e-300})
    found = read(boards, series)
    assert found == {1: 0.1, 2: 0.2, 3: 0.3, 10: 1e-300} and list(found) == [1, 2, 3, 10]
    assert read(boards, series, filter="step > 2 AND step < 10") == {3: 0.3}


def test_not_a_number_is_a_point(boards: TensorboardServiceClient) -> None:
    series = series_of(boards, run_of(boards))
    write(boards, series, {1: float("nan"), 2: float("inf")})
    found = read(boards, series)
    assert found[1] != found[1] and found[2] == float("inf")


def test_a_long_series_is_read_in_part(grpc: TensorboardServiceClient) -> None:
    series = series_of(grpc, run_of(grpc))
    whole = {step: step / 7 for step in range(4000)}
    write(grpc, series, whole)
    part = read(grpc, series)
    assert len(part) == 1000 and part.items() <= whole.items() and max(part) == 3999 and list(part) == sorted(part)
    assert read(grpc, series) == part
    assert sum(step < 2000 for step in part) in range(400, 601)  # from everywhere
    assert read(grpc, series, max_data_points=-1) == whole
    assert len(read(grpc, series, max_data_points=2500)) == 2500
    with pytest.raises(exceptions.InvalidArgument, match="-1 or between 1 and 10000"):
        read(grpc, series, max_data_points=20_000)
    board = series.partition("/experiments/")[0]
    batch = grpc.batch_read_tensorboard_time_series_data(request={"tensorboard": board, "time_series": [series]})
    assert len(batch.time_series_data[0].values) == 1000


def test_a_series_is_exported_whole(boards: TensorboardServiceClient) -> None:
    series = series_of(boards, run_of(boards))
    steps = random.Random(1).sample(range(10_000), 2500)
    write(boards, series, {step: float(step % 5) for step in steps})
    request = {"tensorboard_time_series": series, "page_size": 700}
    pages = list(boards.export_tensorboard_time_series_data(request=request).pages)
    assert [len(page.time_series_data_points) for page in pages] == [700, 700, 700, 400]
    assert [point.step for page in pages for point in page.time_series_data_points] == sorted(steps)
    latest = boards.export_tensorboard_time_series_data(
        request={"tensorboard_time_series": series, "order_by": "wall_time desc", "filter": "step < 5000"}
    )
    assert [point.step for point in latest] == sorted((step for step in steps if step < 5000), reverse=True)


def test_several_runs_are_written_at_once(boards: TensorboardServiceClient) -> None:
    run = run_of(boards)
    inside = run.partition("/runs/")[0]
    requests = [{"parent": inside, "tensorboard_run": {"display_name": n}, "tensorboard_run_id": n} for n in "bc"]
    runs = [
        item.name for item in boards.batch_create_tensorboard_runs(parent=inside, requests=requests).tensorboard_runs
    ]
    wanted = [
        {"parent": name, "tensorboard_time_series": {"display_name": "loss", "value_type": SCALAR}} for name in runs
    ]
    made = boards.batch_create_tensorboard_time_series(parent=inside, requests=wanted).tensorboard_time_series
    series = [item.name for item in made]
    writes = [{"tensorboard_run": name, "time_series_data": [data(s, {1: 0.5})]} for name, s in zip(runs, series)]
    boards.write_tensorboard_experiment_data(tensorboard_experiment=inside, write_run_data_requests=writes)
    board = inside.partition("/experiments/")[0]
    found = boards.batch_read_tensorboard_time_series_data(
        request={"tensorboard": board, "time_series": series}
    ).time_series_data
    assert [[point.scalar.value for point in item.values] for item in found] == [[0.5], [0.5]]
    # One that is there already: none of the batch is made.
    again = [{"parent": inside, "tensorboard_run": {"display_name": n}, "tensorboard_run_id": n} for n in "db"]
    with pytest.raises(exceptions.Conflict):
        boards.batch_create_tensorboard_runs(parent=inside, requests=again)
    assert len(list(boards.list_tensorboard_runs(parent=inside))) == 3
    missing = [*writes, {"tensorboard_run": f"{inside}/runs/missing", "time_series_data": [data(series[0], {9: 1.0})]}]
    missing[0]["time_series_data"] = [data(series[0], {9: 9.0})]
    with pytest.raises(exceptions.NotFound):
        boards.write_tensorboard_experiment_data(tensorboard_experiment=inside, write_run_data_requests=missing)
    assert read(boards, series[0]) == {1: 0.5}  # nothing, when a part cannot


def test_what_is_refused(grpc: TensorboardServiceClient) -> None:
    run = run_of(grpc)
    series = series_of(grpc, run)
    with pytest.raises(exceptions.AlreadyExists, match="display_name loss"):
        series_of(grpc, run)
    with pytest.raises(exceptions.InvalidArgument, match="at most 5000"):
        write(grpc, series, dict.fromkeys(range(5001), 0.0))
    with pytest.raises(exceptions.NotFound, match="timeSeries/missing"):
        write(grpc, f"{run}/timeSeries/missing", {1: 0.0})
    assert read(grpc, series) == {}
    for kind in ("TENSOR", "BLOB_SEQUENCE"):
        with pytest.raises(exceptions.MethodNotImplemented, match=f"type {kind}"):
            given = {"display_name": kind, "value_type": kind}
            grpc.create_tensorboard_time_series(parent=run, tensorboard_time_series=given)
    with pytest.raises(exceptions.InvalidArgument, match="value_type of a time series is missing"):
        grpc.create_tensorboard_time_series(parent=run, tensorboard_time_series={"display_name": "x"})
    with pytest.raises(exceptions.InvalidArgument, match="is no scalar"):
        point = TimeSeriesDataPoint(step=1, tensor={"value": b"x"})
        tensor = TimeSeriesData(tensorboard_time_series_id=series.rsplit("/", 1)[1], value_type=SCALAR, values=[point])
        grpc.write_tensorboard_run_data(tensorboard_run=run, time_series_data=[tensor])
    with pytest.raises(exceptions.InvalidArgument, match="Invalid tensorboard_run_id 'Run_1'"):
        inside = run.partition("/runs/")[0]
        grpc.create_tensorboard_run(parent=inside, tensorboard_run={"display_name": "x"}, tensorboard_run_id="Run_1")
    other = run_of(grpc)
    with pytest.raises(exceptions.InvalidArgument, match="is not in"):
        board = other.partition("/experiments/")[0]
        grpc.batch_read_tensorboard_time_series_data(request={"tensorboard": board, "time_series": [series]})


def test_points_survive_a_restart_and_half_a_line(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as server:
        boards = client(TensorboardServiceClient, server, "rest")
        series, other = (series_of(boards, run, "loss") for run in (run_of(boards), run_of(boards)))
        write(boards, series, {1: 0.1, 2: 0.2})
        write(boards, other, {1: 1.0})
        deleted = series_of(boards, series.partition("/timeSeries/")[0], "auc")
        write(boards, deleted, {1: 0.5})
        boards.delete_tensorboard_time_series(name=deleted).result()
    files = sorted((tmp_path / "tensorboards").rglob("*.jsonl"))
    assert len(files) == 2
    for file in files:  # the server was killed while it wrote
        with file.open("ab") as handle:
            handle.write(b'{"id":"x","st')
    with vertex.start(tmp_path) as server:
        boards = client(TensorboardServiceClient, server, "rest")
        assert read(boards, series) == {1: 0.1, 2: 0.2} and read(boards, other) == {1: 1.0}
        write(boards, series, {3: 0.3})
        boards.delete_tensorboard(name=other.partition("/experiments/")[0]).result()
    assert len(list((tmp_path / "tensorboards").rglob("*.jsonl"))) == 1
    with vertex.start(tmp_path) as server:
        boards = client(TensorboardServiceClient, server, "rest")
        assert read(boards, series) == {1: 0.1, 2: 0.2, 3: 0.3}

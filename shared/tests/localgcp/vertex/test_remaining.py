"""Methods that no other test asks for: each gives an answer, and what it says has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.cloud.aiplatform_v1 import DatasetServiceClient, MetadataServiceClient, TensorboardServiceClient
from google.cloud.aiplatform_v1.types import Dataset, TensorboardTimeSeries

from tests.localgcp.vertex.conftest import PARENT

Connect = Callable[[Any], Any]
SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/metadata/tabular_1.0.0.yaml"


def test_a_dataset_is_renamed(connect: Connect) -> None:
    datasets = connect(DatasetServiceClient)
    made = datasets.create_dataset(
        parent=PARENT, dataset=Dataset(display_name="x", metadata_schema_uri=SCHEMA, metadata={})
    ).result()
    made.display_name = "y"
    datasets.update_dataset(dataset=made, update_mask={"paths": ["display_name"]})
    assert datasets.get_dataset(name=made.name).display_name == "y"
    datasets.delete_dataset(name=made.name).result()


def test_contexts_and_executions_are_purged_by_a_filter(connect: Connect) -> None:
    metadata = connect(MetadataServiceClient)
    store = f"{PARENT}/metadataStores/purged"
    metadata.create_metadata_store(parent=PARENT, metadata_store={}, metadata_store_id="purged").result()
    for name in ("older", "newer"):
        given = {"display_name": name, "schema_title": "system.Experiment", "schema_version": "0.0.1"}
        metadata.create_context(parent=store, context=given, context_id=name)
        given = {"display_name": name, "schema_title": "system.Run", "schema_version": "0.0.1"}
        metadata.create_execution(parent=store, execution=given, execution_id=name)
    asked = {"parent": store, "filter": 'display_name="older"', "force": True}
    assert metadata.purge_contexts(request=asked).result().purge_count == 1
    assert metadata.purge_executions(request=asked).result().purge_count == 1
    assert [item.display_name for item in metadata.list_contexts(parent=store)] == ["newer"]
    assert [item.display_name for item in metadata.list_executions(parent=store)] == ["newer"]
    metadata.delete_metadata_store(name=store).result()


def test_the_tree_of_a_tensorboard(connect: Connect) -> None:
    boards = connect(TensorboardServiceClient)
    board = boards.create_tensorboard(parent=PARENT, tensorboard={"display_name": "x"}).result().name
    experiment = boards.create_tensorboard_experiment(
        request={"parent": board, "tensorboard_experiment_id": "e", "tensorboard_experiment": {"display_name": "e"}}
    )
    run = boards.create_tensorboard_run(
        parent=experiment.name, tensorboard_run={"display_name": "r"}, tensorboard_run_id="r"
    )
    scalar = TensorboardTimeSeries(display_name="loss", value_type=TensorboardTimeSeries.ValueType.SCALAR)
    series = boards.create_tensorboard_time_series(parent=run.name, tensorboard_time_series=scalar)
    for thing, kind in ((experiment, "experiment"), (run, "run"), (series, "time_series")):
        thing.description = "new"
        named = {f"tensorboard_{kind}": thing, "update_mask": {"paths": ["description"]}}
        getattr(boards, f"update_tensorboard_{kind}")(**named)
        assert getattr(boards, f"get_tensorboard_{kind}")(name=thing.name).description == "new"
    assert [item.name for item in boards.list_tensorboard_experiments(parent=board)] == [experiment.name]
    boards.delete_tensorboard_experiment(name=experiment.name).result()
    assert list(boards.list_tensorboard_experiments(parent=board)) == []
    boards.delete_tensorboard(name=board).result()

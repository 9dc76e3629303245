"""Clean-up: by label only, in dependency order, on after a fault, and again until nothing is left."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import kfp
import kfp.compiler
import kfp.dsl
import numpy as np
import pytest
import yaml
from google.api_core.exceptions import InternalServerError
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1, bigquery
from google.cloud import storage as gcs
from labkit import cli
from labkit.catalog.card import Cloud
from labkit.catalog.collection import LabFolder
from labkit.lesson import Lab
from labkit.target import cleanup, open_target
from labkit.target.cleanup import clean, place_of, survey
from labkit.target.cloud import VertexTarget
from labkit.target.created import AFTER_ENDPOINTS, ENDPOINT, JOBS, Item, Kind, Place, Scope
from labkit.target.rehearsal import RehearsalTarget
from localgcp import storage, vertex
from localgcp.bigquery import start as start_bigquery
from localgcp.vertex.errors import VertexError
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

PROJECT, LOCATION, BUCKET = "local-project", "us-central1", "some-bucket"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
STORE = f"{PARENT}/metadataStores/default"
SKLEARN = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
LABELS = {"lab": "tiny-lab"}
ANONYMOUS = AnonymousCredentials()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cleanup")
    files = made / "buckets" / BUCKET / "models"
    files.mkdir(parents=True)
    joblib.dump(LinearRegression().fit(np.eye(2), [1.0, 1.0]), files / "model.joblib")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[vertex.Server]:
    with vertex.start(folder / "vertex", buckets=folder / "buckets") as running:
        yield running


@pytest.fixture(scope="module")
def place(server: vertex.Server, folder: Path) -> Iterator[Place]:
    """The three local services as one place, with an unlabelled endpoint and one of another lab."""
    with storage.start(folder / "buckets") as files, start_bigquery(folder / "bigquery", PROJECT) as tables:
        options = {"api_endpoint": server.grpc_target}
        yield Place(
            PROJECT,
            LOCATION,
            lambda kind: kind(credentials=ANONYMOUS, transport="grpc", client_options=options),
            lambda: bigquery.Client(PROJECT, ANONYMOUS, client_options={"api_endpoint": tables.url}),
            lambda: gcs.Client(PROJECT, ANONYMOUS, client_options={"api_endpoint": files.url}),
            BUCKET,
            ("tiny-lab/",),
        )


@pytest.fixture
def others(place: Place) -> Iterator[set[str]]:
    """What is not this lab's, and must survive whatever happens."""
    endpoints = place.client("EndpointServiceClient")
    made = {
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "mine", "labels": labels}).result().name
        for labels in ({}, {"lab": "other-lab"}, {"team": "tiny-lab"})
    }
    place.storage().bucket(BUCKET).blob("tiny-lab.txt").upload_from_string("not below tiny-lab/")
    yield made
    assert made <= {endpoint.name for endpoint in endpoints.list_endpoints(parent=PARENT)}
    assert place.storage().bucket(BUCKET).blob("tiny-lab.txt").exists()
    for name in made:
        endpoints.delete_endpoint(name=name).result()


def model(place: Place, parent_model: str = "") -> str:
    body = {
        "display_name": "always one",
        "labels": LABELS,
        "artifact_uri": f"gs://{BUCKET}/models",
        "container_spec": {"image_uri": SKLEARN},
    }
    request = {"parent": PARENT, "model": body, "parent_model": parent_model}
    return str(place.client("ModelServiceClient").upload_model(request=request).result().model)


def deployed(place: Place, *models: str) -> str:
    """An endpoint whose traffic is split between the models."""
    endpoints = place.client("EndpointServiceClient")
    name = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "split", "labels": LABELS}).result().name
    machine = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
    split = {"0": 100}
    for path in models:
        body = {"model": path, "dedicated_resources": machine}
        request = {"endpoint": name, "deployed_model": body, "traffic_split": split}
        split = {"0": 50, endpoints.deploy_model(request=request).result().deployed_model.id: 50}
    return str(name)


def running_job(place: Place) -> str:
    container = {"image_uri": "gcr.io/some/image", "command": ["python", "-c", "import time; time.sleep(600)"]}
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
    job = {"display_name": "endless", "labels": LABELS, "job_spec": {"worker_pool_specs": [pool]}}
    return str(place.client("JobServiceClient").create_custom_job(parent=PARENT, custom_job=job).name)


def store(place: Place) -> None:
    metadata = place.client("MetadataServiceClient")
    if not list(metadata.list_metadata_stores(parent=PARENT)):
        metadata.create_metadata_store(parent=PARENT, metadata_store={}, metadata_store_id="default").result()


def nodes(place: Place) -> None:
    """A labelled node of each kind, an experiment that is named after the lab, and one that is not."""
    store(place)
    metadata = place.client("MetadataServiceClient")
    for noun in ("context", "execution", "artifact"):
        body = {"labels": LABELS, "schema_title": f"system.{'Dataset' if noun == 'artifact' else 'Experiment'}"}
        if noun == "execution":
            body["schema_title"] = "system.Run"
        getattr(metadata, f"create_{noun}")(request={"parent": STORE, noun: body | {"schema_version": "0.0.1"}})
    for identifier in ("tiny-lab-first", "tiny-labour"):
        body = {"schema_title": "system.Experiment", "schema_version": "0.0.1"}
        request = {"parent": STORE, "context": body, "context_id": identifier}
        try:
            metadata.create_context(request=request)
        except Exception as error:
            assert "already exists" in str(error), error


def fill(place: Place) -> None:
    """One of everything that a lab can leave behind."""
    first, second = model(place), model(place)
    model(place, parent_model=first)
    deployed(place, first, second)
    running_job(place)
    schema = "gs://google-cloud-aiplatform/schema/dataset/metadata/tabular_1.0.0.yaml"
    dataset = {"display_name": "d", "labels": LABELS, "metadata_schema_uri": schema}
    place.client("DatasetServiceClient").create_dataset(parent=PARENT, dataset=dataset | {"metadata": {}}).result()
    board = {"display_name": "b", "labels": LABELS}
    place.client("TensorboardServiceClient").create_tensorboard(parent=PARENT, tensorboard=board).result()
    nodes(place)
    tables = place.bigquery()
    made = bigquery.Dataset(f"{PROJECT}.tiny_lab")
    made.labels = LABELS
    tables.create_dataset(made, exists_ok=True)
    tables.query(f"CREATE OR REPLACE TABLE `{PROJECT}.tiny_lab.points` AS SELECT 1 AS x").result()
    for name in ("tiny-lab/a.txt", "tiny-lab/deep/b.txt"):
        place.storage().bucket(BUCKET).blob(name).upload_from_string("text")


def kinds(items: list[Item]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for item in items:
        counted[item.kind] = counted.get(item.kind, 0) + 1
    return counted


ALL = {
    "custom job": 1,
    "endpoint": 1,
    "model": 2,
    "dataset": 1,
    "TensorBoard": 1,
    "metadata context": 2,
    "metadata execution": 1,
    "metadata artifact": 1,
    "BigQuery dataset": 1,
    "objects below": 1,
}


def test_a_survey_changes_nothing_and_a_cleaning_leaves_nothing(place: Place, others: set[str]) -> None:
    fill(place)
    listed = survey(place, Scope("tiny-lab"))
    assert kinds(listed.found) == ALL and listed.clean
    assert kinds(survey(place, Scope("tiny-lab")).found) == ALL
    assert all(line.startswith("would delete: ") for line in listed.lines())
    done = clean(place, Scope("tiny-lab"))
    assert done.clean and kinds(done.deleted) == ALL
    assert survey(place, Scope("tiny-lab")).lines() == ["nothing is there"]
    contexts = place.client("MetadataServiceClient").list_contexts(parent=STORE)
    assert [context.name.rpartition("/")[2] for context in contexts] == ["tiny-labour"]


# What fails -> the kinds that are left then: what failed, and what it needs.
FAULTS = {
    "JobService.CancelCustomJob": {"custom job": 1},
    "JobService.DeleteCustomJob": {"custom job": 1},
    "EndpointService.UpdateEndpoint": {"endpoint": 1, "model": 2},
    "EndpointService.UndeployModel": {"endpoint": 1, "model": 2},
    "EndpointService.DeleteEndpoint": {"endpoint": 1},
    "ModelService.DeleteModel": {"model": 2},
    "DatasetService.DeleteDataset": {"dataset": 1},
    "TensorboardService.DeleteTensorboard": {"TensorBoard": 1},
    "MetadataService.DeleteContext": {"metadata context": 2},
    "MetadataService.DeleteExecution": {"metadata execution": 1},
    "MetadataService.DeleteArtifact": {"metadata artifact": 1},
    "bigquery": {"BigQuery dataset": 1},
    "storage": {"objects below": 1},
}


class Faulty:
    """A client one of whose methods fails as a service does."""

    def __init__(self, client: Any, method: str) -> None:
        self._client, self._method = client, method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise InternalServerError("planted fault")
        return getattr(self._client, name)


def plant(monkeypatch: pytest.MonkeyPatch, server: vertex.Server, place: Place, fault: str) -> Place:
    """The place with a fault in it, for as long as the patch holds."""
    if fault == "bigquery":
        connect = place.bigquery
        return dataclasses.replace(place, bigquery=lambda: Faulty(connect(), "delete_dataset"))
    if fault == "storage":
        monkeypatch.setattr(gcs.Blob, "delete", lambda *_: (_ for _ in ()).throw(InternalServerError("planted fault")))
        return place
    answer = server._core.call

    def call(method: Any, request: Any) -> Any:
        if method.key == fault:
            raise VertexError("INTERNAL", "planted fault")
        return answer(method, request)

    monkeypatch.setattr(server._core, "call", call)
    return place


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_rest_goes_on_and_the_next_run_finishes(
    place: Place, server: vertex.Server, others: set[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place)
    monkeypatch.setattr(cleanup, "IMPATIENT", 0.1)
    with monkeypatch.context() as patch:
        done = clean(plant(patch, server, place, fault), Scope("tiny-lab"))
    assert not done.clean and "goes on with what is left" in done.lines()[-1]
    assert kinds(list(done.left)) == FAULTS[fault]
    assert "planted fault" in str(list(done.left.values()))
    assert kinds(done.deleted) == {kind: n for kind, n in ALL.items() if kind not in FAULTS[fault]}
    again = clean(place, Scope("tiny-lab"))
    assert again.clean and kinds(again.deleted) == FAULTS[fault]
    assert not survey(place, Scope("tiny-lab")).found


@kfp.dsl.component(base_image="python:3.11", install_kfp_package=False)
def sleep():  # type: ignore[no-untyped-def]
    import time

    time.sleep(600)


@kfp.dsl.pipeline(name="endless")
def endless():  # type: ignore[no-untyped-def]
    sleep()


def pipeline_job(place: Place, folder: Path) -> str:
    path = folder / "endless.yaml"
    kfp.compiler.Compiler().compile(endless, str(path))
    job = {"display_name": "endless", "labels": LABELS, "pipeline_spec": yaml.safe_load(path.read_text())}
    job["runtime_config"] = {"gcs_output_directory": f"gs://{BUCKET}/tiny-lab/runs"}
    return str(place.client("PipelineServiceClient").create_pipeline_job(parent=PARENT, pipeline_job=job).name)


def training_pipeline(place: Place) -> str:
    container = {"imageUri": "gcr.io/some/image", "command": ["python", "-c", "import time; time.sleep(600)"]}
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1, "containerSpec": container}
    body = {
        "display_name": "endless",
        "labels": LABELS,
        "training_task_definition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml",
        "training_task_inputs": {"workerPoolSpecs": [pool]},
    }
    pipelines = place.client("PipelineServiceClient")
    return str(pipelines.create_training_pipeline(parent=PARENT, training_pipeline=body).name)


def test_running_pipelines_are_cancelled_then_deleted_with_their_runs(
    place: Place, others: set[str], tmp_path: Path
) -> None:
    store(place)
    pipelines, metadata = place.client("PipelineServiceClient"), place.client("MetadataServiceClient")
    run, training = pipeline_job(place, tmp_path), training_pipeline(place)
    context = f"{STORE}/contexts/{run.rpartition('/')[2]}"
    until = time.monotonic() + 60
    while context not in {node.name for node in metadata.list_contexts(parent=STORE)}:
        assert time.monotonic() < until, "the run has no context"
        time.sleep(0.2)
    started = time.monotonic()
    done = clean(place, Scope("tiny-lab"))
    assert done.clean, done.lines()
    assert {run, training} <= {item.name for item in done.deleted} and time.monotonic() - started < 120
    assert not list(pipelines.list_pipeline_jobs(parent=PARENT))
    assert not list(pipelines.list_training_pipelines(parent=PARENT))
    assert context not in {node.name for node in metadata.list_contexts(parent=STORE)}


def test_what_cannot_be_listed_is_told_and_the_rest_goes_on(
    place: Place, server: vertex.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place)
    with monkeypatch.context() as patch:
        done = clean(plant(patch, server, place, "ModelService.ListModels"), Scope("tiny-lab"))
    assert not done.clean and [title.partition(" (")[0] for title in done.unread] == ["models"]
    assert kinds(done.deleted) == {kind: n for kind, n in ALL.items() if kind != "model"}
    assert "could not be listed: models" in str(done.lines())
    assert kinds(clean(place, Scope("tiny-lab")).deleted) == {"model": 2}


def test_runs_are_deleted_before_their_experiment(place: Place) -> None:
    store(place)
    metadata = place.client("MetadataServiceClient")
    titles = {"tiny-lab-a": "ExperimentRun", "tiny-lab-b": "Experiment", "tiny-lab-c": "ExperimentRun"}
    for identifier in ("tiny-lab-c", "tiny-lab-b", "tiny-lab-a"):
        body = {"schema_title": f"system.{titles[identifier]}", "schema_version": "0.0.1"}
        metadata.create_context(request={"parent": STORE, "context": body, "context_id": identifier})
    found = [item.name.rpartition("/")[2] for item in survey(place, Scope("tiny-lab")).found]
    assert set(found) == set(titles) and found[-1] == "tiny-lab-b"
    assert clean(place, Scope("tiny-lab")).clean


def test_only_what_is_past_its_day(place: Place) -> None:
    endpoints = place.client("EndpointServiceClient")
    days = {"old": "2026-11-20", "today": "2026-11-21", "never": ""}
    for name, day in days.items():
        labels = LABELS | ({"expires": day} if day else {})
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": name, "labels": labels}).result()
    scope = Scope(expired=True, today=datetime.date(2026, 11, 21))
    assert [item.title for item in clean(place, scope).deleted] == ["old"]
    assert {item.title for item in clean(place, Scope("tiny-lab")).deleted} == {"today", "never"}


def test_without_a_lab_everything_with_the_label_is_found(place: Place) -> None:
    endpoints = place.client("EndpointServiceClient")
    for labels in ({"lab": "one"}, {"lab": "two"}, {"team": "one"}):
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e", "labels": labels}).result()
    assert kinds(clean(place, Scope()).deleted)["endpoint"] == 2
    (left,) = endpoints.list_endpoints(parent=PARENT)
    assert dict(left.labels) == {"team": "one"}
    endpoints.delete_endpoint(name=left.name).result()


@pytest.mark.parametrize("labels", [{}, {"team": "x"}, {"lab": ""}, {"lab": "other"}, {"Lab": "tiny-lab"}])
def test_a_scope_never_covers_what_is_not_the_labs(labels: dict[str, str]) -> None:
    assert not Scope("tiny-lab").covers(labels)
    assert not Scope("tiny-lab", expired=True).covers(labels | {"expires": "2020-01-01"})


@pytest.mark.parametrize("kind", [*JOBS, ENDPOINT, *AFTER_ENDPOINTS], ids=lambda kind: kind.noun)
def test_every_kind_has_its_methods_in_the_sdk(kind: Kind) -> None:
    client = getattr(aiplatform_v1, kind.client)
    for verb in ("list_{}s", "get_{}", "delete_{}", *(["cancel_{}"] if kind.runs else [])):
        assert hasattr(client, verb.format(kind.noun))


def test_a_lesson_lists_and_deletes_what_it_has_made(tiny: LabFolder, tmp_path: Path, capsys: Any) -> None:
    target = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    lab = Lab(tiny, target, seed=1, namespace={})
    try:
        client = target.bigquery()
        client.query("CREATE TABLE points AS SELECT 1 AS x").result()
        client.create_dataset("somebodys")
        assert kinds(lab.cleanup().found) == {"BigQuery dataset": 1}
        assert "lab.cleanup(delete=True)" in capsys.readouterr().out
        assert client.get_table(f"{target.dataset}.points").num_rows == 1
        assert lab.cleanup(delete=True).clean
        assert [dataset.dataset_id for dataset in client.list_datasets()] == ["somebodys"]
        assert not lab.cleanup().found
        assert [dataset.dataset_id for dataset in client.list_datasets()] == ["somebodys"]
    finally:
        lab.close()


def test_the_place_of_the_local_target_is_its_servers(tmp_path: Path) -> None:
    target = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    try:
        there = place_of(target, ("vertex-endpoints",), "tiny-lab")
        endpoints = there.client("EndpointServiceClient")
        for labels in (target.labels, {}):
            endpoints.create_endpoint(parent=there.parent, endpoint={"display_name": "e", "labels": labels}).result()
        target.storage().bucket(there.bucket).blob("tiny-lab/a").upload_from_string("a")
        assert there.bigquery is None  # the card names none, so none is started
        done = clean(there, Scope("tiny-lab"))
        assert done.clean and kinds(done.deleted) == {"endpoint": 1, "objects below": 1}
        assert len(list(endpoints.list_endpoints(parent=there.parent))) == 1
    finally:
        target.close()


def test_the_place_of_a_rehearsal_is_this_machine(tmp_path: Path) -> None:
    plan = Cloud(services=("vertex-training", "bigquery"), max_cost_usd=0)
    target = RehearsalTarget("tiny-lab", plan, tmp_path)
    try:
        there = place_of(target, plan.services, "tiny-lab")
        asked = there.vertex(lambda **given: given)
        assert asked["client_options"]["api_endpoint"].startswith("127.0.0.1:")
        for client in (there.bigquery(), there.storage()):
            assert client._connection.API_BASE_URL.startswith("http://127.0.0.1:")
    finally:
        target.close()


def test_the_place_on_google_cloud_is_not_checked_and_not_redirected() -> None:
    environ = {"LABS_PROJECT": "p", "LABS_LOCATION": "europe-west4", "LABS_BUCKET": "gs://some-bucket"}
    plan = Cloud(services=("vertex-training", "bigquery"), max_cost_usd=9, slot_hours=100)  # dearer than allowed
    there = place_of(VertexTarget("tiny-lab", plan, credentials=ANONYMOUS, environ=environ), plan.services, "tiny-lab")
    assert (there.parent, there.bucket, there.prefixes) == (
        "projects/p/locations/europe-west4",
        "some-bucket",
        ("tiny-lab/",),
    )
    asked = there.vertex(lambda **given: given)
    assert asked["client_options"] == {"api_endpoint": "europe-west4-aiplatform.googleapis.com"}
    assert asked["credentials"] is ANONYMOUS
    assert there.bigquery().project == "p" and there.storage().api_endpoint == "https://storage.googleapis.com"


def test_the_command_lists_then_deletes_and_fails_when_something_is_left(
    place: Place, server: vertex.Server, others: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "place_of_project", lambda project, location, bucket, lab: place)
    command = ["cleanup", "--project", PROJECT, "--lab", "tiny-lab"]
    fill(place)
    listed = CliRunner().invoke(cli.app, command)
    assert listed.exit_code == 0 and listed.output.count("would delete: ") == sum(ALL.values())
    with monkeypatch.context() as patch:
        plant(patch, server, place, "DatasetService.DeleteDataset")
        partly = CliRunner().invoke(cli.app, [*command, "--yes"])
    assert partly.exit_code == 1 and "left: dataset projects/" in partly.output
    rest = CliRunner().invoke(cli.app, [*command, "--yes"])
    assert rest.exit_code == 0 and rest.output.startswith("deleted: dataset ")
    assert CliRunner().invoke(cli.app, [*command, "--yes"]).output == "nothing is there\n"


def test_the_command_without_credentials_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    said = CliRunner().invoke(cli.app, ["cleanup", "--project", "p"])
    assert said.exit_code == 2 and "no credentials" in said.output

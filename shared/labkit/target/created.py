"""What labs can create on Google Cloud, and how each kind is found by its labels, stopped and deleted."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SECONDS = 300.0  # for one resource: a job that was cancelled, an endpoint whose models are undeployed
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
STORE = "metadataStores/default"


@dataclass(frozen=True)
class Scope:
    """What is looked for: what one lab has made, or all labs where `lab` is empty.

    `expired`: only what is past the day in its label `expires`.
    """

    lab: str = ""
    expired: bool = False
    today: datetime.date = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date())

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether a resource with these labels is meant; never one without the label `lab`."""
        if not labels.get("lab") or (self.lab and labels["lab"] != self.lab):
            return False
        return not self.expired or labels.get("expires", "9999") < self.today.isoformat()

    @property
    def filter(self) -> str:
        """The same for list requests of Vertex AI, as far as they can say it."""
        return f'labels.lab="{self.lab}"' if self.lab else "labels.lab:*"


@dataclass(frozen=True)
class Place:
    """Where it is looked: one project and region, through the clients of a target; a part that is None is left out.

    `vertex` makes a client of a generated class, such as EndpointServiceClient. `prefixes` are folders in the bucket.
    """

    project: str
    location: str
    vertex: Callable[[Any], Any] | None
    bigquery: Callable[[], Any] | None
    storage: Callable[[], Any] | None
    bucket: str = ""
    prefixes: tuple[str, ...] = ()

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    def client(self, name: str) -> Any:
        """A generated client by the name of its class."""
        from google.cloud import aiplatform_v1

        assert self.vertex is not None
        return self.vertex(getattr(aiplatform_v1, name))


@dataclass(frozen=True)
class Item:
    """One thing that was found.

    `stop` asks what runs to end; `delete(seconds)` waits at most that long for the end, then deletes.
    """

    kind: str
    name: str
    title: str
    delete: Callable[[float], None]
    stop: Callable[[], None] | None = None

    def __str__(self) -> str:
        running = " (runs, is cancelled first)" if self.stop else ""
        return f"{self.kind} {self.name}" + (f" '{self.title}'" if self.title else "") + running


@dataclass(frozen=True)
class Kind:
    """A resource that the API lists, deletes and perhaps cancels: list_<noun>s, delete_<noun>, cancel_<noun>."""

    title: str
    client: str
    noun: str
    runs: bool = False
    by_filter: bool = True  # whether lists of it can be filtered by label


JOBS = (
    Kind("pipeline job", "PipelineServiceClient", "pipeline_job", runs=True),
    Kind("tuning job", "JobServiceClient", "hyperparameter_tuning_job", runs=True),
    Kind("training pipeline", "PipelineServiceClient", "training_pipeline", runs=True),
    Kind("batch prediction job", "JobServiceClient", "batch_prediction_job", runs=True),
    Kind("custom job", "JobServiceClient", "custom_job", runs=True),
    Kind("monitoring job", "JobServiceClient", "model_deployment_monitoring_job"),
)
ENDPOINT = Kind("endpoint", "EndpointServiceClient", "endpoint")
AFTER_ENDPOINTS = (
    Kind("model", "ModelServiceClient", "model"),
    Kind("dataset", "DatasetServiceClient", "dataset"),
    Kind("TensorBoard", "TensorboardServiceClient", "tensorboard", by_filter=False),
)
NODES = ("context", "execution", "artifact")


@dataclass(frozen=True)
class Step:
    """One kind of thing: its name, and the function that finds what there is of it."""

    title: str
    find: Callable[[], Iterator[Item]]


def steps(place: Place, scope: Scope) -> Iterator[Step]:
    """What can be there, in the order of deletion: what uses something comes before what is used."""
    if place.vertex is not None:
        for kind in (*JOBS, ENDPOINT, *AFTER_ENDPOINTS):
            yield Step(f"{kind.title}s", lambda kind=kind: _resources(place, scope, kind))  # type: ignore[misc]
        for noun in NODES:
            yield Step(f"metadata {noun}s", lambda noun=noun: _nodes(place, scope, noun))  # type: ignore[misc]
    if place.bigquery is not None:
        yield Step("BigQuery datasets", lambda: _datasets(place, scope))
    if place.storage is not None and not scope.expired:  # an object has no labels: nobody knows its day
        for prefix in place.prefixes:
            title = f"objects below gs://{place.bucket}/{prefix}"
            yield Step(title, lambda prefix=prefix: _objects(place, prefix))  # type: ignore[misc]


def gone(error: Exception) -> bool:
    """Whether an error says that there is no such thing."""
    from google.api_core.exceptions import NotFound

    return isinstance(error, NotFound)


# Vertex AI


def _resources(place: Place, scope: Scope, kind: Kind) -> Iterator[Item]:
    client = place.client(kind.client)
    request = {"parent": place.parent} | ({"filter": scope.filter} if kind.by_filter else {})
    for resource in getattr(client, f"list_{kind.noun}s")(request=request):
        if scope.covers(resource.labels):
            yield _item(place, client, kind, resource)


def _item(place: Place, client: Any, kind: Kind, resource: Any) -> Item:
    name = resource.name.partition("@")[0]  # of a model: with all its versions

    def stop() -> None:
        getattr(client, f"cancel_{kind.noun}")(name=name)

    def delete(seconds: float) -> None:
        if kind.runs:
            _wait(lambda: getattr(client, f"get_{kind.noun}")(name=name), seconds)
        if kind is ENDPOINT:
            _undeploy(client, name)
        getattr(client, f"delete_{kind.noun}")(name=name).result(timeout=SECONDS)
        if kind.noun == "pipeline_job":
            _forget_run(place, name)

    return Item(kind.title, name, resource.display_name, delete, stop if kind.runs and not _ended(resource) else None)


def _ended(job: Any) -> bool:
    return str(job.state.name).removeprefix("JOB_STATE_").removeprefix("PIPELINE_STATE_") in ENDED


def _wait(read: Callable[[], Any], seconds: float) -> None:
    """Until a job has ended: only then it can be deleted. Raises TimeoutError."""
    until, pause = time.monotonic() + seconds, 0.2
    while not _ended(read()):
        if time.monotonic() > until:
            raise TimeoutError("it still runs")
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def _undeploy(client: Any, name: str) -> None:
    """Takes every model from an endpoint; first its traffic, since a model that gets some cannot be undeployed."""
    from google.protobuf.field_mask_pb2 import FieldMask

    endpoint = client.get_endpoint(name=name)
    if endpoint.traffic_split:
        endpoint.traffic_split = {}
        client.update_endpoint(endpoint=endpoint, update_mask=FieldMask(paths=["traffic_split"]))
    for model in endpoint.deployed_models:
        client.undeploy_model(endpoint=name, deployed_model_id=model.id).result(timeout=SECONDS)


def _forget_run(place: Place, job: str) -> None:
    """Deletes the context of a pipeline's run, which has the id of its job and no labels."""
    name = f"{place.parent}/{STORE}/contexts/{job.rpartition('/')[2]}"
    try:
        place.client("MetadataServiceClient").delete_context(name=name).result(timeout=SECONDS)
    except Exception as error:
        if not gone(error):
            raise


def _nodes(place: Place, scope: Scope, noun: str) -> Iterator[Item]:
    """What ML Metadata keeps: by label, and the experiments and their runs that are named after the lab."""
    client = place.client("MetadataServiceClient")
    found = getattr(client, f"list_{noun}s")(parent=f"{place.parent}/{STORE}")
    for node in sorted(found, key=lambda node: node.schema_title == "system.Experiment"):  # after its runs
        if scope.covers(node.labels) or (not scope.expired and _named_after(node, scope.lab)):

            def delete(_: float, name: str = node.name) -> None:
                getattr(client, f"delete_{noun}")(name=name).result(timeout=SECONDS)

            yield Item(f"metadata {noun}", node.name, node.display_name, delete)


def _named_after(node: Any, lab: str) -> bool:
    """Neither aiplatform.init(experiment=…) nor Artifact.create takes labels: a name that begins as the lab's does."""
    identifier = node.name.rpartition("/")[2]
    if "/contexts/" not in node.name:
        return bool(lab) and any(name.startswith(f"{lab}-") for name in (identifier, node.display_name))
    named = bool(lab) and (identifier == lab or identifier.startswith(f"{lab}-"))
    return named and node.schema_title in ("system.Experiment", "system.ExperimentRun")


# BigQuery and Cloud Storage


def _datasets(place: Place, scope: Scope) -> Iterator[Item]:
    assert place.bigquery is not None
    client = place.bigquery()
    for dataset in client.list_datasets():
        if scope.covers(dataset.labels or {}):

            def delete(_: float, found: Any = dataset.reference) -> None:
                client.delete_dataset(found, delete_contents=True, not_found_ok=True)

            yield Item("BigQuery dataset", f"{dataset.project}.{dataset.dataset_id}", "", delete)


def _objects(place: Place, prefix: str) -> Iterator[Item]:
    assert place.storage is not None
    client, bucket = place.storage(), place.bucket
    number = sum(1 for _ in client.list_blobs(bucket, prefix=prefix))
    if number:
        name = f"gs://{bucket}/{prefix}"
        yield Item("objects below", name, f"{number} objects", lambda _: _delete_objects(client, bucket, prefix))


def _delete_objects(client: Any, bucket: str, prefix: str) -> None:
    """Deletes each object; goes on after a failure and raises the last one."""
    last: Exception | None = None
    for blob in list(client.list_blobs(bucket, prefix=prefix)):
        try:
            blob.delete()
        except Exception as error:
            last = last if gone(error) else error
    if last is not None:
        raise last

"""What a lab asks of Vertex AI, compared over runs, seeds and targets."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import (
    CreateArtifactRequest,
    CreateCustomJobRequest,
    CreateEndpointRequest,
    CreatePipelineJobRequest,
    GetEndpointRequest,
    PredictRequest,
)
from labkit.target.recording import Recorder, distinct


def noted(seed: int, *sent: tuple[str, Any], project: str = "p-1", bucket: str = "p-1-labs") -> list[Any]:
    recorder = Recorder(project, bucket, seed)
    for method, message in sent:
        recorder.note(method, type(message).pb(message))
    return distinct(recorder.requests)


def job(
    seed: int, project: str, bucket: str, machine: str = "n1-standard-4", stamp: str = "2026-11-21-15:18:13.1"
) -> Any:
    package = f"gs://{bucket}/aiplatform-{stamp}-task-0.1.tar.gz"
    spec = {"executor_image_uri": "us/i:1", "package_uris": [package], "python_module": "t", "args": [f"--seed={seed}"]}
    pool = {"machine_spec": {"machine_type": machine}, "replica_count": 2, "python_package_spec": spec}
    labels = {"lab": "x", "run": str(seed), "expires": "2026-11-22"}
    made = {"display_name": "train", "job_spec": {"worker_pool_specs": [pool]}, "labels": labels}
    request = CreateCustomJobRequest(parent=f"projects/{project}/locations/us-central1", custom_job=made)
    return "JobService.CreateCustomJob", request


def test_runs_with_other_seeds_projects_and_times_are_equal() -> None:
    first = noted(7, job(7, "p-1", "p-1-labs"))
    other = noted(8, job(8, "p-2", "bins", stamp="2027-01-01-00:00:00.25"), project="p-2", bucket="bins")
    assert first == other
    sent = first[0]["request"]["customJob"]
    assert sent["labels"] == {"lab": "x"}
    assert sent["jobSpec"]["workerPoolSpecs"][0]["pythonPackageSpec"]["args"] == ["--seed=SEED"]


def test_another_machine_is_another_request() -> None:
    assert noted(7, job(7, "p-1", "p-1-labs")) != noted(7, job(7, "p-1", "p-1-labs", machine="n1-standard-8"))


def test_what_reads_is_not_kept_and_a_loop_counts_once() -> None:
    parent = "projects/p-1/locations/us-central1"
    create = CreateEndpointRequest(parent=parent, endpoint={"display_name": "x", "traffic_split": {"1234567890": 90}})
    name = f"{parent}/endpoints/5"
    found = noted(
        7,
        ("EndpointService.CreateEndpoint", create),
        ("EndpointService.CreateEndpoint", create),
        ("EndpointService.GetEndpoint", GetEndpointRequest(name=name)),
        ("PredictionService.Predict", PredictRequest(endpoint=name)),
    )
    assert [request["method"] for request in found] == ["EndpointService.CreateEndpoint"]
    assert found[0]["request"]["endpoint"]["trafficSplit"] == {"ID": 90}


def test_a_measured_number_may_differ_and_a_text_may_not() -> None:
    def artifact(value: float, title: str = "system.Model") -> Any:
        made = {"schema_title": title, "metadata": {"accuracy": value, "rows": 10}}
        request = CreateArtifactRequest(parent="projects/p-1/locations/l/metadataStores/default", artifact=made)
        return "MetadataService.CreateArtifact", request

    assert noted(1, artifact(0.5)) == noted(1, artifact(0.25)) == noted(1, artifact(1))
    assert noted(1, artifact(0.5)) != noted(1, artifact(0.5, "system.Dataset"))


def test_a_traffic_split_keeps_its_shares_whatever_the_ids_are() -> None:
    def split(**shares: int) -> Any:
        made = {"display_name": "x", "traffic_split": {name.removeprefix("m"): share for name, share in shares.items()}}
        request = CreateEndpointRequest(parent="projects/p-1/locations/l", endpoint=made)
        return "EndpointService.CreateEndpoint", request

    one = noted(1, split(m1234567890=90, m9876543210=10))
    assert one == noted(1, split(m5555555555=10, m4444444444=90))
    assert one != noted(1, split(m1234567890=80, m9876543210=20))


def test_a_pipeline_is_the_same_in_another_bucket_and_not_with_another_step() -> None:
    def job(bucket: str, step: str) -> Any:
        spec = {"components": {"comp-a": {"label": step}}, "defaultPipelineRoot": f"gs://{bucket}/root"}
        request = CreatePipelineJobRequest(parent="projects/p-1/locations/l", pipeline_job={"pipeline_spec": spec})
        return "PipelineService.CreatePipelineJob", request

    assert noted(1, job("one", "x"), bucket="one") == noted(1, job("two", "x"), bucket="two")
    assert noted(1, job("one", "x"), bucket="one") != noted(1, job("one", "y"), bucket="one")

"""Resources that need no semantics: their life, their lists, what is refused."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1 import (
    DatasetServiceClient,
    EndpointServiceClient,
    JobServiceClient,
    ModelServiceClient,
)
from google.cloud.aiplatform_v1.types import Endpoint
from localgcp import vertex

from tests.localgcp.discovery import check_response
from tests.localgcp.vertex.conftest import IMAGE, LOCATION, PARENT, PROJECT, client, pool

Connect = Callable[[Any], Any]


def test_the_life_of_an_endpoint(sdk: str) -> None:
    made = aiplatform.Endpoint.create(display_name="wines", labels={"team": "a"})
    assert made.resource_name.startswith(f"{PARENT}/endpoints/") and made.name.isdigit()
    made.update(display_name="cheeses", description="all of them")
    made.update(labels={"stage": "test"})
    again = aiplatform.Endpoint(made.resource_name)
    assert (again.display_name, again.gca_resource.description) == ("cheeses", "all of them")
    assert again.labels == {"stage": "test"}  # replaced, not merged
    assert again.update_time > again.create_time
    made.delete()
    with pytest.raises(exceptions.NotFound, match=r"was not found"):
        aiplatform.Endpoint(made.resource_name).gca_resource  # noqa: B018


def test_the_ids_that_a_caller_chooses(connect: Connect, transport: str) -> None:
    endpoints = connect(EndpointServiceClient)
    name = f"chosen-{transport}"
    made = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"}, endpoint_id=name).result()
    assert made.name == f"{PARENT}/endpoints/{name}"
    with pytest.raises(exceptions.Conflict if transport == "rest" else exceptions.AlreadyExists):
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"}, endpoint_id=name)
    with pytest.raises(exceptions.BadRequest, match="Invalid id"):
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"}, endpoint_id="../x")
    endpoints.delete_endpoint(name=made.name).result()


def test_a_required_field(connect: Connect, transport: str) -> None:
    expected = exceptions.InvalidArgument if transport == "grpc" else exceptions.BadRequest
    with pytest.raises(expected, match=r"Field: endpoint.display_name; Message: Required field is not set.") as error:
        connect(EndpointServiceClient).create_endpoint(parent=PARENT, endpoint={"description": "x"})
    if transport == "grpc":
        assert error.value.details[0].field_violations[0].field == "endpoint.display_name"
    with pytest.raises(expected, match=r"1.Field: display_name; .*2.Field: job_spec; "):
        connect(JobServiceClient).create_custom_job(parent=PARENT, custom_job={"labels": {"a": "b"}})


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"display_name": "x" * 129}, "at most 128 characters"),
        ({"display_name": "x", "labels": {"Team": "a"}}, "Label keys start with a letter"),
        ({"display_name": "x", "labels": {"team": "A b"}}, "Label values have only lowercase"),
        ({"display_name": "x", "labels": {f"k{n}": "" for n in range(65)}}, "At most 64 labels"),
    ],
)
def test_a_resource_that_is_refused(connect: Connect, resource: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=words):
        connect(EndpointServiceClient).create_endpoint(parent=PARENT, endpoint=resource)


def test_what_the_caller_cannot_set(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)
    given = {"display_name": "x", "create_time": "2001-01-01T00:00:00Z", "labels": {"größe": "klein"}}
    made = endpoints.create_endpoint(parent=PARENT, endpoint=given).result()
    assert made.create_time.year > 2001 and made.labels == {"größe": "klein"}
    for path in ("create_time", "encryption_spec.no_such_field", "no_such_field"):
        with pytest.raises(exceptions.BadRequest, match="Invalid update_mask"):
            endpoints.update_endpoint(endpoint=made, update_mask={"paths": [path]})
    with pytest.raises(exceptions.BadRequest, match="update_mask; Message: Required"):
        endpoints.update_endpoint(endpoint=made)
    endpoints.delete_endpoint(name=made.name)


def test_an_update_replaces_what_its_mask_names(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)
    logging = {"sampling_rate": 0.5, "bigquery_destination": {"output_uri": "bq://p.d.t"}}
    given = {"display_name": "x", "description": "y", "predict_request_response_logging_config": logging}
    made = endpoints.create_endpoint(parent=PARENT, endpoint=given).result()
    change = Endpoint(name=made.name, display_name="z", description="unused")
    change.predict_request_response_logging_config.sampling_rate = 0.1

    def update(*paths: str) -> Endpoint:
        return endpoints.update_endpoint(endpoint=change, update_mask={"paths": paths})

    inner = update("predict_request_response_logging_config.sampling_rate").predict_request_response_logging_config
    assert (inner.bigquery_destination.output_uri, round(inner.sampling_rate, 3)) == ("bq://p.d.t", 0.1)
    whole = update("predict_request_response_logging_config")
    assert not whole.predict_request_response_logging_config.bigquery_destination.output_uri
    assert (whole.display_name, whole.description) == ("x", "y")
    with pytest.raises(exceptions.BadRequest, match=r"Field: endpoint.display_name; Message: Required field"):
        endpoints.update_endpoint(endpoint={"name": made.name}, update_mask={"paths": ["display_name"]})
    everything = update("*")
    assert (everything.display_name, everything.description) == ("z", "unused")
    assert everything.create_time == made.create_time
    endpoints.delete_endpoint(name=made.name)


def test_traffic_goes_only_to_models_that_are_deployed(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)
    made = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"}).result()
    change = Endpoint(name=made.name, traffic_split={"17": 100})
    with pytest.raises(exceptions.BadRequest, match=r"traffic_split names models that are not deployed: 17"):
        endpoints.update_endpoint(endpoint=change, update_mask={"paths": ["traffic_split"]})
    assert endpoints.get_endpoint(name=made.name) == made  # nothing has changed
    endpoints.delete_endpoint(name=made.name)


def test_an_etag_that_is_old(connect: Connect, transport: str) -> None:
    endpoints = connect(EndpointServiceClient)
    made = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"}).result()
    first = endpoints.update_endpoint(endpoint=made, update_mask={"paths": ["display_name"]})
    assert first.etag != made.etag
    with pytest.raises(exceptions.Conflict if transport == "rest" else exceptions.Aborted, match="etag does not match"):
        endpoints.update_endpoint(endpoint=made, update_mask={"paths": ["display_name"]})
    endpoints.delete_endpoint(name=made.name)


@pytest.fixture(scope="module")
def named(server: vertex.Server) -> list[str]:
    """Twelve endpoints, oldest first, in a location of their own for the lists."""
    endpoints = client(EndpointServiceClient, server, "grpc")
    names = []
    for number in range(12):
        labels = {"group": "list", "parity": "even" if number % 2 == 0 else "odd"} | (
            {"last": ""} if number > 9 else {}
        )
        resource = Endpoint(display_name=f"n{number:02d}", labels=labels)
        names.append(endpoints.create_endpoint(parent=PARENT, endpoint=resource).result().name)
    return names


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('display_name="n03"', [3]),
        ("display_name=n03 OR display_name=n04", [3, 4]),
        # OR binds more tightly than AND (AIP-160): 2, 3 and not 3 alone with every even one.
        ("labels.parity=even AND display_name=n02 OR display_name=n03", [2]),
        ("labels.parity=even AND (display_name=n02 OR display_name=n03)", [2]),
        ('NOT labels.parity="odd" AND display_name>n06', [8, 10]),
        ("-labels.last:* display_name >= n08", [8, 9]),
        ("labels:last", [10, 11]),
        ("labels.last:*", [10, 11]),
        ('display_name!="n00" AND display_name<"n03"', [1, 2]),
        ('display_name:"*1"', [1, 11]),
        ('regex(display_name, "^n1")', [10, 11]),
        ('displayName="n05"', [5]),
        ('create_time>"2020-01-01T00:00:00Z" AND display_name<n02', [0, 1]),
        ('create_time<"2020-01-01T00:00:00Z"', []),
    ],
)
def test_filters(connect: Connect, named: list[str], condition: str, found: list[int]) -> None:
    request = {"parent": PARENT, "filter": f"({condition}) AND labels.group=list", "order_by": "display_name"}
    listed = connect(EndpointServiceClient).list_endpoints(request)
    assert [item.display_name for item in listed] == [f"n{number:02d}" for number in found]


@pytest.mark.parametrize(
    "condition",
    ['display_name=="x"', "display_name", '(display_name="x"', "colour=red", "create_time>soon", "nothing(x)", "a=b)"],
)
def test_filters_that_are_none(connect: Connect, named: list[str], condition: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=r"Invalid (filter|field)"):
        list(connect(EndpointServiceClient).list_endpoints({"parent": PARENT, "filter": condition}))


def test_the_state_of_jobs_is_an_enum(connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    assert not list(jobs.list_custom_jobs({"parent": PARENT, "filter": 'state="JOB_STATE_EXPIRED"'}))
    # REST and gRPC have to ask for the same: an unknown state is an error and not an empty list.
    made = vertex_job(jobs)
    with pytest.raises(exceptions.BadRequest, match="'DONE' is no value of state"):
        list(jobs.list_custom_jobs({"parent": PARENT, "filter": "state=DONE"}))
    while jobs.get_custom_job(name=made).state.name in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
        time.sleep(0.05)
    jobs.delete_custom_job(name=made)


def vertex_job(jobs: Any) -> str:
    job = {"display_name": "short", "job_spec": {"worker_pool_specs": [pool("pass")]}}
    return str(jobs.create_custom_job(parent=PARENT, custom_job=job).name)


def test_pages_stay_whole_when_something_is_created_or_deleted_between_them(connect: Connect, named: list[str]) -> None:
    endpoints = connect(EndpointServiceClient)
    request = {"parent": PARENT, "filter": "labels.group=list", "page_size": 5}
    pages = endpoints.list_endpoints(request).pages
    first = next(pages)
    assert [item.display_name for item in first.endpoints] == ["n11", "n10", "n09", "n08", "n07"]
    extra = endpoints.create_endpoint(
        parent=PARENT, endpoint={"display_name": "late", "labels": {"group": "list"}}
    ).result()
    # No more than two pages are left: a place that is lost would give the first one for ever.
    rest = [item.display_name for page in islice(pages, 3) for item in page.endpoints]
    assert rest == [f"n{number:02d}" for number in range(6, -1, -1)]
    endpoints.delete_endpoint(name=extra.name).result()
    with pytest.raises(exceptions.BadRequest, match="another parent, filter or order"):
        endpoints.list_endpoints({"parent": PARENT, "page_token": first.next_page_token})
    with pytest.raises(exceptions.BadRequest, match="page_token is not valid"):
        endpoints.list_endpoints(request | {"page_token": "x"})
    with pytest.raises(exceptions.BadRequest, match="negative"):
        endpoints.list_endpoints(request | {"page_size": -1})


def test_order_and_read_mask(connect: Connect, named: list[str]) -> None:
    endpoints = connect(EndpointServiceClient)
    request = {"parent": PARENT, "filter": "labels.group=list", "order_by": "labels.parity desc, display_name desc"}
    pages = endpoints.list_endpoints(request | {"page_size": 4, "read_mask": {"paths": ["display_name"]}}).pages
    rows = [item for page in islice(pages, 4) for item in page.endpoints]
    assert [item.display_name[1:] for item in rows] == "11 09 07 05 03 01 10 08 06 04 02 00".split()
    assert not rows[0].labels
    for wrong in ("colour", "display_name sideways"):
        with pytest.raises(exceptions.BadRequest, match=r"Invalid (field|order_by)"):
            endpoints.list_endpoints(request | {"order_by": wrong})


def test_operations(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)
    made = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x"})
    name = made.operation.name
    assert made.done() and made.metadata.generic_metadata.create_time is not None
    assert type(made.metadata).__name__ == "CreateEndpointOperationMetadata"
    operations = endpoints.transport.operations_client
    assert operations.get_operation(name).done
    assert name in [item.name for item in operations.list_operations(PARENT, "")]
    operations.delete_operation(name)
    with pytest.raises(exceptions.NotFound):
        operations.get_operation(name)
    endpoints.delete_endpoint(name=made.result().name).result()


@pytest.mark.parametrize(
    ("kind", "method", "request_"),
    [
        (ModelServiceClient, "update_explanation_dataset", {"model": f"{PARENT}/models/1"}),
        (DatasetServiceClient, "import_data", {"name": f"{PARENT}/datasets/1"}),
        (JobServiceClient, "create_model_deployment_monitoring_job", {"parent": PARENT}),
    ],
)
def test_what_is_not_emulated_says_so(connect: Connect, kind: Any, method: str, request_: dict[str, Any]) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match='not emulated locally; run with TARGET="vertex"'):
        getattr(connect(kind), method)(request_)


def test_another_project_or_location(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)
    with pytest.raises(exceptions.Forbidden, match="project other"):
        endpoints.list_endpoints(parent=f"projects/other/locations/{LOCATION}")
    with pytest.raises(exceptions.BadRequest, match=f"serves the location {LOCATION}, not europe-west4"):
        endpoints.list_endpoints(parent=f"projects/{PROJECT}/locations/europe-west4")


def test_twenty_creations_at_once(connect: Connect) -> None:
    endpoints = connect(EndpointServiceClient)

    def create(number: int) -> str:
        resource = {"display_name": f"p{number}", "labels": {"group": "parallel"}}
        return str(endpoints.create_endpoint(parent=PARENT, endpoint=resource).result().name)

    with ThreadPoolExecutor(20) as workers:
        names = list(workers.map(create, range(20)))
    listed = endpoints.list_endpoints({"parent": PARENT, "filter": "labels.group=parallel"})
    assert sorted(item.name for item in listed) == sorted(names) and len(set(names)) == 20
    for name in names:
        endpoints.delete_endpoint(name=name)


def _curl(server: vertex.Server, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.rest_url}{path}", data, method=verb)
    try:
        with urllib.request.urlopen(request) as reply:
            status, answer = reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    # The document has no servicePath, which the helper looks for between two slashes.
    check_response("aiplatform.v1", verb, f"/{path.partition('?')[0]}", status, answer)
    return status, answer


def test_plain_http_against_the_discovery_document(server: vertex.Server) -> None:
    base = f"/v1/{PARENT}/endpoints"
    _, operation = _curl(server, "POST", base, {"displayName": "curl", "labels": {"a": "b"}})
    endpoint = operation["response"]
    assert operation["done"] and endpoint["displayName"] == "curl" and endpoint["createTime"].endswith("Z")
    _, changed = _curl(server, "PATCH", f"/v1/{endpoint['name']}?updateMask=displayName", {"displayName": "wget"})
    assert changed["displayName"] == "wget" and changed["labels"] == {"a": "b"}
    assert _curl(server, "GET", f"/v1/{operation['name']}")[0] == 200
    _, page = _curl(server, "GET", f"{base}?pageSize=1&orderBy=display_name%20desc&filter=display_name%3Dwget")
    assert [item["name"] for item in page["endpoints"]] == [endpoint["name"]]
    assert _curl(server, "DELETE", f"/v1/{endpoint['name']}")[1]["response"].get("@type", "").endswith("Empty")
    status, answer = _curl(server, "GET", f"/v1/{endpoint['name']}")
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


def test_jobs_over_plain_http_against_the_discovery_document(server: vertex.Server) -> None:
    base = f"/v1/{PARENT}/customJobs"
    spec = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
    spec |= {"containerSpec": {"imageUri": IMAGE, "command": ["false"]}}
    _, job = _curl(server, "POST", base, {"displayName": "curl", "jobSpec": {"workerPoolSpecs": [spec]}})
    assert job["state"] == "JOB_STATE_PENDING"
    while (job := _curl(server, "GET", f"/v1/{job['name']}")[1])["state"] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
        time.sleep(0.05)
    assert job["state"] == "JOB_STATE_FAILED" and job["error"]["code"] == 3
    _, page = _curl(server, "GET", f"{base}?filter=state%3DJOB_STATE_FAILED%20AND%20display_name%3Dcurl")
    assert page["customJobs"] == [job]
    task = {
        "trainingTaskDefinition": "gs://x/custom_task_1.0.0.yaml",
        "trainingTaskInputs": {"workerPoolSpecs": [spec]},
    }
    base = f"/v1/{PARENT}/trainingPipelines"
    _, pipeline = _curl(server, "POST", base, {"displayName": "curl"} | task)
    while not (pipeline := _curl(server, "GET", f"/v1/{pipeline['name']}")[1]).get("endTime"):
        time.sleep(0.05)
    assert pipeline["state"] == "PIPELINE_STATE_FAILED"
    backing = pipeline["trainingTaskMetadata"]["backingCustomJob"]
    for name in (job["name"], pipeline["name"], backing):
        assert _curl(server, "DELETE", f"/v1/{name}")[1]["done"]


def test_a_dataset_through_the_sdk(sdk: str) -> None:
    made = aiplatform.TabularDataset.create(display_name="wines", gcs_source="gs://first/wines.csv")
    again = aiplatform.TabularDataset(made.resource_name)
    assert again.gca_resource.metadata["inputConfig"]["gcsSource"]["uri"] == ["gs://first/wines.csv"]
    assert [item.name for item in aiplatform.TabularDataset.list(filter="display_name=wines")] == [made.name]
    made.delete()


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "words"),
    [
        ("POST", "/endpoints", {"displayNam": "x"}, 400, "Invalid JSON payload received"),
        ("GET", "/endpoints?pageSise=1", None, 400, "Cannot bind query parameter"),
        ("GET", "/endpoints?pageSize=many", None, 400, "Invalid value for 'pageSize'"),
        ("GET", "/nothing", None, 404, "Method not found"),
    ],
)
def test_http_that_is_refused(server: vertex.Server, verb: str, path: str, body: Any, status: int, words: str) -> None:
    found, answer = _curl(server, verb, f"/v1/{PARENT}{path}", body)
    assert found == status and words in answer["error"]["message"]


def test_a_repeated_parameter_is_a_list(server: vertex.Server) -> None:
    _curl(server, "GET", f"/v1/{PARENT}/tensorboards/1:batchRead?timeSeries=a&timeSeries=b")
    method, request = server.requests[-1]
    assert (method, list(request.time_series)) == ("TensorboardService.BatchReadTensorboardTimeSeriesData", ["a", "b"])


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as running:
        endpoints = client(EndpointServiceClient, running, "grpc")
        operation = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "x", "labels": {"a": "b"}})
        made, name = operation.result(), operation.operation.name
        with pytest.raises(RuntimeError, match="another server has this folder open"):
            vertex.start(tmp_path)
    with vertex.start(tmp_path) as running:
        endpoints = client(EndpointServiceClient, running, "grpc")
        assert endpoints.get_endpoint(name=made.name) == made
        assert endpoints.transport.operations_client.get_operation(name).done
        endpoints.delete_endpoint(name=made.name)
    with vertex.start(tmp_path) as running:
        assert not list(client(EndpointServiceClient, running, "rest").list_endpoints(parent=PARENT))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "resources" / PARENT / "endpoints" / "7.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"type": "google.cloud.aiplatform.v1.Endpoint", "resource": {"colour": "red"}}')
    with pytest.raises(RuntimeError, match=r"7\.json: .*colour"):
        vertex.start(tmp_path)
    path.unlink()
    vertex.start(tmp_path).stop()


def test_stop_frees_the_ports_and_a_second_stop_does_nothing(tmp_path: Path) -> None:
    running = vertex.start(tmp_path)
    running.stop()
    running.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{running.rest_url}/v1/{PARENT}/endpoints", timeout=2)
    vertex.start(tmp_path, rest_port=int(running.rest_url.rpartition(":")[2])).stop()

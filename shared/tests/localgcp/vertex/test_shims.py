"""What is changed in the SDK: each shim is needed, does its work, and is undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import google.auth.transport.requests
import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import jobs, pipeline_jobs, training_jobs
from google.cloud.aiplatform.utils import gcs_utils, resource_manager_utils
from localgcp import storage, vertex
from localgcp.vertex import shims

from tests.localgcp.vertex.conftest import BUCKET, LOCATION, PROJECT, init

BODY = b'{"instances": [[1.0]]}'
HEADERS = {"Content-Type": "application/json"}


class Sent(Exception):
    """A request that would have left this machine."""


@pytest.fixture
def running(tmp_path: Path) -> Any:
    with vertex.start(tmp_path / "state") as server:
        init(server, "grpc")
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever requests would send to another machine raises Sent with its address."""
    send = requests.adapters.HTTPAdapter.send

    def guarded(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not request.url.startswith("http://127.0.0.1"):
            raise Sent(request.url)
        return send(self, request, *args, **kwargs)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", guarded)


def test_raw_predict_needs_its_shim(running: vertex.Server, offline: None) -> None:
    endpoint = aiplatform.Endpoint.create(display_name="x")
    with pytest.raises(Sent, match=rf"https://{LOCATION}-aiplatform\.googleapis\.com/v1/.*:rawPredict"):
        endpoint.raw_predict(BODY, HEADERS)
    assert not [name for name, _ in running.requests if name.startswith("PredictionService")]


def test_raw_predict_reaches_the_server(running: vertex.Server, offline: None) -> None:
    running.shim_sdk()
    endpoint = aiplatform.Endpoint.create(display_name="x")
    answer = endpoint.raw_predict(BODY, HEADERS)
    name, request = running.requests[-1]
    assert name == "PredictionService.RawPredict" and request.endpoint == endpoint.resource_name
    assert request.http_body.data == BODY and request.http_body.content_type == "application/json"
    if answer.status_code == 501:
        assert "PredictionService.RawPredict is not emulated locally" in answer.json()["error"]["message"]
    list(endpoint.stream_raw_predict(BODY, HEADERS))
    assert running.requests[-1][0] == "PredictionService.StreamRawPredict"


def test_the_project_number_needs_its_shim(running: vertex.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> Any:
        raise Sent("Resource Manager")

    monkeypatch.setattr(resource_manager_utils.resourcemanager, "ProjectsClient", asked)
    with pytest.raises(Sent):
        gcs_utils.resource_manager_utils.get_project_number(PROJECT)
    running.shim_sdk()
    assert gcs_utils.resource_manager_utils.get_project_number(PROJECT) == shims.PROJECT_NUMBER
    with pytest.raises(Sent):
        gcs_utils.resource_manager_utils.get_project_number("another-project")


def test_the_project_number_is_that_of_the_local_buckets(
    running: vertex.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.shim_sdk()
    with storage.start(tmp_path / "buckets") as files:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", files.url)
        (tmp_path / "buckets" / BUCKET).mkdir()
        found = gcs_utils.create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist(
            output_artifacts_gcs_dir=f"gs://{BUCKET}/root", project=PROJECT, credentials=AnonymousCredentials()
        )
    assert found == f"gs://{BUCKET}/root"  # else it raises that the bucket is another project's


def test_init_without_a_project_needs_its_shim(running: vertex.Server) -> None:
    aiplatform.init(experiment=None)
    config = aiplatform.initializer.global_config
    assert (config._api_transport, config.api_endpoint) == ("rest", running.grpc_target), "the SDK has changed"
    running.shim_sdk()
    assert config.api_endpoint == running.rest_url
    assert aiplatform.Endpoint.list() == []
    init(running, "grpc")
    assert config.api_endpoint == running.grpc_target
    aiplatform.init(api_endpoint="elsewhere:1")
    assert config.api_endpoint == "elsewhere:1"
    running.stop()
    init(running, "grpc")
    aiplatform.init(experiment=None)
    assert config.api_endpoint == running.grpc_target


def test_polling_needs_its_shim_and_all_are_undone(running: vertex.Server) -> None:
    modules = (jobs, training_jobs, pipeline_jobs)
    before = google.auth.transport.requests.AuthorizedSession.__init__, resource_manager_utils.get_project_number
    assert [module._JOB_WAIT_TIME for module in modules] == [5, 5, 5]
    running.shim_sdk()
    running.shim_sdk()  # a second time changes nothing
    assert [module._JOB_WAIT_TIME for module in modules] == [shims.POLL_SECONDS] * 3
    assert google.auth.transport.requests.AuthorizedSession.__init__ is not before[0]
    running.stop()
    assert [module._JOB_WAIT_TIME for module in modules] == [5, 5, 5]
    after = google.auth.transport.requests.AuthorizedSession.__init__, resource_manager_utils.get_project_number
    assert after == before


def test_a_dedicated_endpoint_is_refused_since_it_is_not_redirected(running: vertex.Server, offline: None) -> None:
    running.shim_sdk()
    with pytest.raises(exceptions.MethodNotImplemented, match=r"A dedicated endpoint .* is not emulated locally"):
        aiplatform.Endpoint.create(display_name="x", dedicated_endpoint_enabled=True)


def test_the_global_tensorboard_needs_its_shim(running: vertex.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> Any:
        raise Sent("the machine's credentials")

    monkeypatch.setattr(google.auth, "default", asked)
    tracker = aiplatform.metadata.metadata._experiment_tracker
    board = aiplatform.Tensorboard.create(display_name="x")
    place = {"project": PROJECT, "location": LOCATION, "api_transport": "grpc"}
    try:
        aiplatform.init(**place, experiment_tensorboard=board)
        with pytest.raises(Sent):
            aiplatform.init(**place, experiment="next")
        running.shim_sdk()
        aiplatform.init(**place, experiment="next")
        assert tracker.experiment.backing_tensorboard_resource_name == board.resource_name
        board.delete()
        aiplatform.init(**place, experiment="after")  # the one that is gone is forgotten
        assert tracker.experiment.get_backing_tensorboard_resource().gca_resource.is_default
    finally:
        tracker.reset()
        tracker.set_tensorboard(None)

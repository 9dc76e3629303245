"""Deploying, traffic, prediction and undeploying, with the SDK as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import requests
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1 import EndpointServiceClient, PredictionServiceClient
from localgcp import vertex
from scipy.stats import binom
from sklearn.linear_model import LinearRegression

from tests.localgcp.vertex.conftest import BUCKET, PARENT, client, init

SHARED = Path(__file__).resolve().parents[3]
SKLEARN = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
MACHINE = "n1-standard-2"
DEDICATED = {"dedicated_resources": {"machine_spec": {"machine_type": MACHINE}, "min_replica_count": 1}}


def constant(buckets: Path, value: float) -> str:
    """A model of two features that always predicts the same; its artifact_uri."""
    folder = buckets / BUCKET / "models" / f"constant-{value:g}"
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(LinearRegression().fit(np.eye(2), [value, value]), folder / "model.joblib")
    return f"gs://{BUCKET}/models/{folder.name}"


def upload(buckets: Path, value: float = 1.0, **more: Any) -> aiplatform.Model:
    """The model that always predicts `value`."""
    given = {"display_name": f"always {value:g}", "serving_container_image_uri": SKLEARN}
    return aiplatform.Model.upload(**given | {"artifact_uri": constant(buckets, value)} | more)


@pytest.fixture
def model(sdk: str, buckets: Path) -> aiplatform.Model:
    return upload(buckets)


@pytest.fixture
def endpoint(sdk: str) -> aiplatform.Endpoint:
    return aiplatform.Endpoint.create(display_name="an endpoint")


def answers(endpoint: aiplatform.Endpoint, count: int = 1) -> list[float]:
    return [round(endpoint.predict(instances=[[0, 0]]).predictions[0], 6) for _ in range(count)]


def test_model_deploy_makes_an_endpoint_that_predicts(model: aiplatform.Model) -> None:
    endpoint = model.deploy(machine_type=MACHINE, min_replica_count=1, max_replica_count=3)
    answer = endpoint.predict(instances=[[1, 2], [3, 4]])
    assert np.allclose(answer.predictions, [1, 1])
    (deployed,) = endpoint.list_models()
    assert answer.deployed_model_id == deployed.id and answer.model_version_id == "1"
    assert answer.model_resource_name == model.resource_name == deployed.model
    assert endpoint.traffic_split == {deployed.id: 100}
    assert (deployed.display_name, deployed.dedicated_resources.max_replica_count) == ("always 1", 3)
    assert aiplatform.Model(model.resource_name).gca_resource.deployed_models[0].endpoint == endpoint.resource_name
    endpoint.undeploy_all()
    assert not endpoint.list_models() and not endpoint.traffic_split
    assert not aiplatform.Model(model.resource_name).gca_resource.deployed_models


def test_response_names_the_model(model: aiplatform.Model, connect: Callable[[Any], Any]) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    request = {"endpoint": endpoint.resource_name, "instances": [[1, 2]]}
    response = connect(PredictionServiceClient).predict(**request)
    assert (response.model_display_name, response.model) == ("always 1", model.resource_name)


def test_traffic_percentage_takes_from_the_others(
    model: aiplatform.Model, endpoint: aiplatform.Endpoint, buckets: Path
) -> None:
    endpoint.deploy(model, machine_type=MACHINE)
    endpoint.deploy(upload(buckets, 2.0), machine_type=MACHINE, traffic_percentage=20)
    assert sorted(endpoint.traffic_split.values()) == [20, 80]


def two(endpoint: aiplatform.Endpoint, buckets: Path, second: int) -> tuple[str, str]:
    """Deploys "always 1" and "always 2", the second with a share of the traffic; their ids."""
    endpoint.deploy(upload(buckets), machine_type=MACHINE)
    endpoint.deploy(upload(buckets, 2.0), machine_type=MACHINE, traffic_percentage=second)
    first, other = (item.id for item in endpoint.list_models())
    return first, other


def test_traffic_is_drawn_for_each_request_by_the_split(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    first, second = two(endpoint, buckets, 20)
    seen = Counter(endpoint.predict(instances=[[0, 0]]).deployed_model_id for _ in range(400))
    assert set(seen) == {first, second}
    # One failure in a million: 400 draws with 20 %.
    assert binom.ppf(5e-7, 400, 0.2) <= seen[second] <= binom.ppf(1 - 5e-7, 400, 0.2)


def test_a_share_of_nothing_gets_nothing(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    first, second = two(endpoint, buckets, 20)
    endpoint.update(traffic_split={first: 0, second: 100})
    assert answers(endpoint, 60) == [2.0] * 60
    endpoint.update(traffic_split={first: 100})
    assert answers(endpoint, 60) == [1.0] * 60


def test_undeploy_wants_the_traffic_elsewhere(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    first, second = two(endpoint, buckets, 20)
    with pytest.raises(exceptions.BadRequest, match="has traffic"):
        endpoint.api_client.undeploy_model(endpoint=endpoint.resource_name, deployed_model_id=second)
    split = {first: 50}
    with pytest.raises(exceptions.BadRequest, match="add up to 50"):
        endpoint.api_client.undeploy_model(
            endpoint=endpoint.resource_name, deployed_model_id=second, traffic_split=split
        )
    assert len(endpoint.list_models()) == 2
    endpoint.undeploy(second, traffic_split={first: 100})
    assert [item.id for item in endpoint.list_models()] == [first] and answers(endpoint, 5) == [1.0] * 5
    with pytest.raises(exceptions.NotFound):
        endpoint.undeploy(second)


def test_delete_needs_force(model: aiplatform.Model, endpoint: aiplatform.Endpoint) -> None:
    endpoint.deploy(model, machine_type=MACHINE)
    with pytest.raises(exceptions.BadRequest, match="undeploy them"):
        endpoint.delete()
    with pytest.raises(exceptions.BadRequest, match="deployed"):
        model.delete()
    endpoint.delete(force=True)
    model.delete()
    assert endpoint.resource_name not in {item.resource_name for item in aiplatform.Endpoint.list()}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"0": 60}, "add up to 60"),
        ({"0": 50, "77": 50}, "not deployed: 77"),
        ({"0": 120, "77": -20}, "not deployed|between"),
    ],
)
def test_splits_that_do_not_fit(
    model: aiplatform.Model, endpoint: aiplatform.Endpoint, split: dict[str, int], message: str
) -> None:
    deployed = {"model": model.resource_name} | DEDICATED
    with pytest.raises(exceptions.BadRequest, match=message):
        endpoint.api_client.deploy_model(
            endpoint=endpoint.resource_name, deployed_model=deployed, traffic_split=split
        ).result()


def test_update_refuses_a_split_that_does_not_fit(endpoint: aiplatform.Endpoint, model: aiplatform.Model) -> None:
    endpoint.deploy(model, machine_type=MACHINE)
    (deployed,) = endpoint.list_models()
    for split, message in (({deployed.id: 90}, "add up to 90"), ({"1": 100}, "not deployed: 1")):
        with pytest.raises(exceptions.BadRequest, match=message):
            endpoint.update(traffic_split=split)
    assert endpoint.traffic_split == {deployed.id: 100}


def test_deployed_without_traffic(model: aiplatform.Model, endpoint: aiplatform.Endpoint) -> None:
    deployed = {"model": model.resource_name, "id": "42"} | DEDICATED
    given = {"endpoint": endpoint.resource_name, "deployed_model": deployed}
    assert endpoint.api_client.deploy_model(**given).result().deployed_model.id == "42"
    with pytest.raises(exceptions.BadRequest, match="doesn't have traffic_split"):
        endpoint.predict(instances=[[1, 2]])
    with pytest.raises(exceptions.Conflict):
        endpoint.api_client.deploy_model(**given).result()


EXPLAINED_BY_51_PATHS = {"explanation_spec": {"parameters": {"sampled_shapley_attribution": {"path_count": 51}}}}


@pytest.mark.parametrize(
    ("deployed", "message"),
    [
        ({}, "needs dedicated_resources"),
        ({"automatic_resources": {"min_replica_count": 1}}, "not supported for Model"),
        ({"dedicated_resources": {"machine_spec": {"machine_type": MACHINE}}}, "at least 1"),
        (
            {"dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-3"}, "min_replica_count": 1}},
            "not in the local table",
        ),
        (
            {
                "dedicated_resources": {
                    "machine_spec": {"machine_type": MACHINE, "accelerator_type": "NVIDIA_H100_80GB"},
                    "min_replica_count": 1,
                }
            },
            "Both `accelerator_type`",
        ),
        (
            DEDICATED
            | {
                "dedicated_resources": DEDICATED["dedicated_resources"]
                | {"min_replica_count": 3, "max_replica_count": 2}
            },
            "at least min_replica_count",
        ),
        (DEDICATED | {"id": "a1"}, "digits only"),
        (DEDICATED | EXPLAINED_BY_51_PATHS, "path_count; Message: It is 1 to 50, not 51"),
    ],
)
def test_deployments_that_are_refused(
    model: aiplatform.Model, endpoint: aiplatform.Endpoint, deployed: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        endpoint.api_client.deploy_model(
            endpoint=endpoint.resource_name, deployed_model={"model": model.resource_name} | deployed
        )


def test_what_is_not_emulated_says_so(model: aiplatform.Model, endpoint: aiplatform.Endpoint) -> None:
    pool = f"{PARENT}/deploymentResourcePools/p"
    with pytest.raises(exceptions.MethodNotImplemented, match="shared_resources"):
        endpoint.api_client.deploy_model(
            endpoint=endpoint.resource_name, deployed_model={"model": model.resource_name, "shared_resources": pool}
        )
    with pytest.raises(exceptions.MethodNotImplemented, match="private endpoint"):
        aiplatform.PrivateEndpoint.create(display_name="p", network="projects/1/global/networks/default")
    with pytest.raises(exceptions.MethodNotImplemented, match="dedicated endpoint"):
        aiplatform.Endpoint.create(display_name="d", dedicated_endpoint_enabled=True)
    with pytest.raises(exceptions.MethodNotImplemented, match="BigQuery"):
        aiplatform.Endpoint.create(
            display_name="l",
            enable_request_response_logging=True,
            request_response_logging_sampling_rate=1.0,
            request_response_logging_bq_destination_table="bq://local-project.d.t",
        )
    with pytest.raises(exceptions.MethodNotImplemented, match="DirectPredict"):
        endpoint.direct_predict(inputs=[])


def test_mutate_changes_the_replicas_and_nothing_else(model: aiplatform.Model, endpoint: aiplatform.Endpoint) -> None:
    endpoint.deploy(model, machine_type=MACHINE)
    (deployed,) = endpoint.list_models()
    deployed.dedicated_resources.max_replica_count = 5
    deployed.display_name = "another"
    given = {"endpoint": endpoint.resource_name, "deployed_model": deployed}
    path = "dedicated_resources.max_replica_count"
    endpoint.api_client.mutate_deployed_model(**given, update_mask={"paths": [path]}).result()
    (kept,) = endpoint.list_models()
    assert (kept.dedicated_resources.max_replica_count, kept.display_name) == (5, "always 1")
    with pytest.raises(exceptions.BadRequest, match="display_name"):
        endpoint.api_client.mutate_deployed_model(**given, update_mask={"paths": ["display_name"]})


def test_a_model_that_cannot_be_loaded_is_not_deployed(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    folder = buckets / BUCKET / "models" / "broken"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.joblib").write_bytes(b"no pickle")
    model = upload(buckets, artifact_uri=f"gs://{BUCKET}/models/broken")
    with pytest.raises(exceptions.GoogleAPICallError, match=r"Could not load the model model\.joblib with"):
        endpoint.deploy(model, machine_type=MACHINE)
    assert not endpoint.list_models() and not aiplatform.Model(model.resource_name).gca_resource.deployed_models


def test_raw_predict_answers_as_the_container_does(model: aiplatform.Model) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    header = {"Content-Type": "application/json"}
    answer = endpoint.raw_predict(json.dumps({"instances": [[1, 2]]}).encode(), header)
    assert answer.status_code == 200 and answer.json() == {"predictions": [pytest.approx(1.0)]}
    for body in (b"[[1, 2]]", b"{", b'{"instances": 3}'):
        refused = endpoint.raw_predict(body, header)
        assert refused.status_code == 400 and refused.json()["error"]["status"] == "INVALID_ARGUMENT"
    lines = list(endpoint.stream_raw_predict(json.dumps({"instances": [[1, 2]]}).encode(), header))
    assert json.loads(b"".join(lines)) == {"predictions": [pytest.approx(1.0)]}


def test_raw_predict_over_grpc(model: aiplatform.Model, server: vertex.Server) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    body = {"data": b'{"instances": [[1, 2]]}', "content_type": "application/json"}
    answer = client(PredictionServiceClient, server, "grpc").raw_predict(
        endpoint=endpoint.resource_name, http_body=body
    )
    assert json.loads(answer.data) == {"predictions": [pytest.approx(1.0)]}


def test_models_errors_are_the_services(model: aiplatform.Model) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    message = "Prediction failed: Exception during sklearn prediction: X has 3 features"
    with pytest.raises(exceptions.BadRequest, match=message):
        endpoint.predict(instances=[[1, 2, 3]])
    with pytest.raises(exceptions.BadRequest, match="unexpected keyword argument 'parameters'"):
        endpoint.predict(instances=[[1, 2]], parameters={"a": 1})
    with pytest.raises(exceptions.BadRequest, match=r"1\.5 MB"):
        endpoint.predict(instances=[[0.1] * 200_000])
    with pytest.raises(exceptions.NotFound):
        aiplatform.Endpoint(f"{PARENT}/endpoints/1").predict(instances=[[1, 2]])


def test_errors_over_grpc_are_exact(model: aiplatform.Model, server: vertex.Server) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    asked = client(PredictionServiceClient, server, "grpc")
    with pytest.raises(exceptions.FailedPrecondition):
        asked.predict(endpoint=endpoint.resource_name, instances=[[1, 2, 3]])
    with pytest.raises(exceptions.NotFound):
        asked.predict(endpoint=f"{PARENT}/endpoints/1", instances=[[1, 2]])


def test_fifty_parallel_predictions_and_none_lost(endpoint: aiplatform.Endpoint, buckets: Path, sdk: str) -> None:
    folder = buckets / BUCKET / "models" / "sum"
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(LinearRegression().fit(np.array([[0, 0], [1, 0], [0, 1]]), [0, 1, 1]), folder / "model.joblib")
    endpoint.deploy(upload(buckets, artifact_uri=f"gs://{BUCKET}/models/sum"), machine_type=MACHINE)
    barrier = threading.Barrier(50)

    def ask(number: int) -> float:
        barrier.wait()
        return float(endpoint.predict(instances=[[number, 1000]]).predictions[0])

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(ask, range(50)))
    assert np.allclose(found, [1000 + number for number in range(50)])


def test_a_split_that_changes_while_predictions_run(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    first, second = two(endpoint, buckets, 50)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(answers, endpoint, 10) for _ in range(8)]
        endpoint.undeploy(second, traffic_split={first: 100})
        found = Counter(value for job in waiting for value in job.result())
    assert sum(found.values()) == 80 and set(found) <= {1.0, 2.0}


def test_deployed_models_are_served_after_a_restart(tmp_path: Path) -> None:
    buckets = tmp_path / "buckets"
    (buckets / BUCKET).mkdir(parents=True)
    with vertex.start(tmp_path, buckets=buckets) as first:
        init(first, "rest")
        uri = constant(buckets, 7.0)
        model = aiplatform.Model.upload(display_name="m", artifact_uri=uri, serving_container_image_uri=SKLEARN)
        name = model.deploy(machine_type=MACHINE).resource_name
    with vertex.start(tmp_path, buckets=buckets) as second:
        init(second, "rest")
        assert answers(aiplatform.Endpoint(name)) == [7.0]


def test_a_server_killed_while_it_deploys(tmp_path: Path) -> None:
    """What is left can be read: the endpoint is there, nothing is deployed, and deploying again works."""
    buckets = tmp_path / "buckets"
    (buckets / BUCKET).mkdir(parents=True)
    uri = constant(buckets, 7.0)
    code = f"""
        import sys, time
        from pathlib import Path
        import google.cloud.aiplatform as aiplatform
        from localgcp import vertex
        from localgcp.vertex.serving.arrays import Sklearn
        from tests.localgcp.vertex.conftest import init
        # A model that takes long to load.
        original = Sklearn.__init__
        def slow(self, *args):
            print("loading", flush=True)
            time.sleep(60)
        Sklearn.__init__ = slow
        server = vertex.start({str(tmp_path)!r}, buckets=Path({str(buckets)!r}))
        init(server, "rest")
        model = aiplatform.Model.upload(
            display_name="m", artifact_uri={uri!r}, serving_container_image_uri={SKLEARN!r}
        )
        endpoint = aiplatform.Endpoint.create(display_name="e")
        print(endpoint.resource_name, flush=True)
        endpoint.deploy(model, machine_type={MACHINE!r})
    """
    environment = os.environ | {"PYTHONPATH": str(SHARED)}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if "loading" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    (name,) = [line for line in lines if line.startswith("projects/")]
    with vertex.start(tmp_path, buckets=buckets) as server:
        init(server, "rest")
        endpoint = aiplatform.Endpoint(name)
        assert not endpoint.list_models()
        endpoint.deploy(aiplatform.Model.list()[0], machine_type=MACHINE)
        assert answers(endpoint) == [7.0]


def test_versions_are_told_apart(sdk: str, buckets: Path, endpoint: aiplatform.Endpoint) -> None:
    first = upload(buckets, 1.0)
    second = upload(buckets, 2.0, parent_model=first.resource_name, is_default_version=False)
    endpoint.deploy(second, machine_type=MACHINE)
    answer = endpoint.predict(instances=[[0, 0]])
    assert answer.predictions == [pytest.approx(2.0)] and answer.model_version_id == "2"
    endpoint.deploy(aiplatform.Model(first.resource_name), machine_type=MACHINE, traffic_percentage=100)
    answer = endpoint.predict(instances=[[0, 0]])
    assert answer.predictions == [pytest.approx(1.0)] and answer.model_version_id == "1"
    assert {item.model_version_id for item in endpoint.list_models()} == {"1", "2"}


def test_the_endpoint_client_gives_the_operations_metadata(
    model: aiplatform.Model, endpoint: aiplatform.Endpoint, connect: Callable[[Any], Any]
) -> None:
    operation = connect(EndpointServiceClient).deploy_model(
        endpoint=endpoint.resource_name, deployed_model={"model": model.resource_name} | DEDICATED
    )
    assert operation.result().deployed_model.model == model.resource_name
    assert type(operation.metadata).__name__ == "DeployModelOperationMetadata"


def test_predict_with_curl(model: aiplatform.Model, server: vertex.Server) -> None:
    endpoint = model.deploy(machine_type=MACHINE)
    answer = requests.post(f"{server.rest_url}/v1/{endpoint.resource_name}:predict", json={"instances": [[1, 2]]})
    body = answer.json()
    assert body["predictions"] == [pytest.approx(1.0)]
    assert set(body) == {"predictions", "deployedModelId", "model", "modelDisplayName", "modelVersionId"}

"""What prebuilt images and custom containers answer, and how a container comes up, fails, ends and comes again."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from google.api_core import exceptions
from google.cloud import aiplatform
from localgcp import vertex
from localgcp.vertex.errors import VertexError
from localgcp.vertex.serving import images
from localgcp.vertex.serving.arrays import Sklearn, Xgboost
from localgcp.vertex.serving.container import _expanded
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.localgcp.vertex.conftest import BUCKET

SHARED = Path(__file__).resolve().parents[3]
HOST = "us-docker.pkg.dev/vertex-ai/prediction"
MACHINE = "n1-standard-2"

# A server under the AIP_* contract: it answers with what it has been told.
PROGRAM = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer(200 if self.path == os.environ["AIP_HEALTH_ROUTE"] else 404, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first = body["instances"][0]
        if self.path != os.environ["AIP_PREDICT_ROUTE"]:
            self.answer(404, {})
        elif first == "exit":
            os._exit(3)
        elif first == "refuse":
            self.answer(422, {"detail": "no such thing"})
        elif first == "break":
            self.answer(500, {"detail": "it is broken"})
        elif first == "odd":
            self.answer(200, ["no object"])
        elif first == "pid":
            self.answer(200, {"predictions": [os.getpid()]})
        elif first == "environment":
            found = {key: value for key, value in os.environ.items() if key.startswith(("AIP_", "OWN_"))}
            self.answer(200, {"predictions": [found | {"arguments": sys.argv[1:]}]})
        else:
            self.answer(200, {"predictions": [[x, body.get("parameters")] for x in body["instances"]]})

print("listening", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


def image(name: str) -> images.Image:
    return images.prebuilt(f"{HOST}/{name}:latest")


@pytest.mark.parametrize("name", ["sklearn-cpu.1-5", "xgboost-cpu.2-1", "tf2-cpu.2-15", "tf2-gpu.2-12"])
def test_images_that_can_be_served(name: str) -> None:
    for region in ("us", "europe", "asia"):
        uri = f"{region}-docker.pkg.dev/vertex-ai/prediction/{name}:latest"
        assert images.is_prebuilt(uri) and images.prebuilt(uri).framework in name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sklearn-cpu.1-5:1", "no prebuilt prediction image"),
        ("sklearn-cpu:latest", "no prebuilt prediction image"),
        ("sklearn-tpu.1-5:latest", "no prebuilt prediction image"),
        ("sklearn-cpu.99-0:latest", "scikit-learn 99.0 and this machine"),
        ("pytorch-cpu.2-4:latest", "cannot be served on this machine"),
    ],
)
def test_images_that_cannot(name: str, message: str) -> None:
    with pytest.raises(VertexError, match=message):
        images.prebuilt(f"{HOST}/{name}")


def test_sklearn_pipeline_with_text_columns(tmp_path: Path) -> None:
    """The array of mixed rows is one of texts, as in the prebuilt container: the numbers are texts, too."""
    rows = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0], ["b", 4.0]], dtype=object)
    parts = [("letter", OneHotEncoder(), [0]), ("number", StandardScaler(), [1])]
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(rows, [0, 1, 0, 1])
    joblib.dump(model, tmp_path / "model.joblib")
    assert Sklearn(image("sklearn-cpu.1-5"), tmp_path).predict([["a", 2.5], ["b", 0.5]]) == [0, 1]


def test_sklearn_classes_are_plain_json(tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    assert Sklearn(image("sklearn-cpu.1-0"), tmp_path).predict([[0], [3]]) == ["low", "high"]


def test_sklearn_without_a_model_file(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(VertexError, match=r"no model\.joblib or model\.pkl.*it has weights\.bin"):
        Sklearn(image("sklearn-cpu.1-5"), tmp_path)
    joblib.dump({"no": "model"}, tmp_path / "model.joblib")
    with pytest.raises(VertexError, match="dict, which has no method predict"):
        Sklearn(image("sklearn-cpu.1-5"), tmp_path)


@pytest.mark.parametrize("name", ["model.bst", "model.joblib"])
def test_xgboost(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(100, 3)), rng.normal(size=100)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, target), 5)
    if name == "model.bst":
        booster.save_model(tmp_path / "model.ubj")
        (tmp_path / "model.ubj").rename(tmp_path / name)
    else:
        joblib.dump(booster, tmp_path / name)
    served = Xgboost(image("xgboost-cpu.2-1"), tmp_path)
    wanted = booster.predict(xgboost.DMatrix(rows))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: served.predict([row.tolist()])[0], rows))
    assert np.allclose(found, wanted)
    with pytest.raises(VertexError, match="Exception during xgboost prediction"):
        served.predict([["a"]])


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Served SavedModels by name; TensorFlow takes long to import."""
    import tensorflow as tf
    from localgcp.vertex.serving.saved_model import SavedModel

    class One(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return tf.reduce_sum(x, axis=1, keepdims=True)

    class Two(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="image"), tf.TensorSpec([None], tf.int64, name="n")]
        )
        def serve(self, image: Any, n: Any) -> Any:
            return {"length": tf.strings.length(image), "twice": 2 * n, "back_bytes": image, "text": image}

    def make(name: str) -> Any:
        path = tmp_path_factory.mktemp(name)
        module = {"one": One, "two": Two}[name]()
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
        return SavedModel(image("tf2-cpu.2-15"), path)

    return make


def test_saved_model_of_one_input(saved_model: Callable[[str], Any]) -> None:
    served = saved_model("one")
    assert served.predict([[1, 2], [3, 4.5]]) == [[3.0], [7.5]]
    assert served.predict([{"x": [1, 2]}]) == [[3.0]]
    for wrong in ([[1], [1, 2]], [["a", "b"]], [{"y": [1, 2]}], []):
        with pytest.raises(VertexError) as refused:
            served.predict(wrong)
        assert refused.value.status == "INVALID_ARGUMENT" and refused.value.message.startswith('{"error": "')


def test_saved_model_of_named_inputs(saved_model: Callable[[str], Any]) -> None:
    served = saved_model("two")
    picture = base64.b64encode(b"\xff\x00ab").decode()
    (answer,) = served.predict([{"image": {"b64": picture}, "n": 4}])
    assert (answer["length"], answer["twice"], answer["back_bytes"]) == (4, 8, {"b64": picture})
    assert served.predict([{"image": "text", "n": 1}])[0]["text"] == "text"
    with pytest.raises(VertexError, match="Unable to base64 decode"):
        served.predict([{"image": {"b64": "!"}, "n": 4}])
    with pytest.raises(VertexError, match="Every instance must be an object"):
        served.predict([4])


def test_a_saved_model_on_an_endpoint(sdk: str, buckets: Path, saved_model: Callable[[str], Any]) -> None:
    import tensorflow as tf

    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1, kernel_initializer="ones")])
    path = buckets / BUCKET / f"keras-{sdk}"
    model.export(str(path), verbose=False)
    uploaded = aiplatform.Model.upload(
        display_name="k",
        artifact_uri=f"gs://{BUCKET}/{path.name}",
        serving_container_image_uri=f"{HOST}/tf2-cpu.2-15:latest",
    )
    endpoint = uploaded.deploy(machine_type=MACHINE)
    assert np.allclose(endpoint.predict(instances=[[1, 2], [3, 4]]).predictions, [[3.0], [7.0]])
    with pytest.raises(exceptions.BadRequest, match="incompatible"):
        endpoint.predict(instances=[[1, 2, 3]])


def container(**more: Any) -> aiplatform.Model:
    given = {
        "display_name": "own",
        "serving_container_image_uri": "us-docker.pkg.dev/my-project/repo/server:1",
        "serving_container_command": ["python", "-c", PROGRAM],
        "serving_container_predict_route": "/predict",
        "serving_container_health_route": "/health",
    }
    return aiplatform.Model.upload(**given | more)


@pytest.fixture
def endpoint(sdk: str) -> Iterator[aiplatform.Endpoint]:
    made = aiplatform.Endpoint.create(display_name="an endpoint")
    yield made
    made.delete(force=True)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_custom_container(endpoint: aiplatform.Endpoint, buckets: Path) -> None:
    (buckets / BUCKET / "own").mkdir(exist_ok=True)
    (buckets / BUCKET / "own" / "weights").write_text("w")
    model = container(
        artifact_uri=f"gs://{BUCKET}/own",
        serving_container_args=["--model=$(AIP_STORAGE_URI)", "$$(OWN_A)", "$(UNKNOWN)"],
        serving_container_environment_variables={"OWN_A": "1", "OWN_B": "$(OWN_A)2"},
    )
    endpoint.deploy(model, machine_type=MACHINE)
    assert endpoint.predict(instances=[1, "b"], parameters={"k": 3}).predictions == [[1, {"k": 3}], ["b", {"k": 3}]]
    (found,) = endpoint.predict(instances=["environment"]).predictions
    (deployed,) = endpoint.list_models()
    assert (found["AIP_ENDPOINT_ID"], found["AIP_DEPLOYED_MODEL_ID"]) == (endpoint.name, deployed.id)
    assert (found["AIP_MACHINE_TYPE"], found["AIP_PREDICT_ROUTE"]) == (MACHINE, "/predict")
    assert (found["OWN_A"], found["OWN_B"]) == ("1", "12")
    assert Path(found["AIP_STORAGE_URI"], "weights").read_text() == "w"
    assert found["arguments"] == [f"--model={found['AIP_STORAGE_URI']}", "$(OWN_A)", "$(UNKNOWN)"]
    raw = endpoint.raw_predict(b'{"instances": [7]}', {"Content-Type": "application/json"})
    assert raw.json() == {"predictions": [[7, None]]}


def test_default_routes(endpoint: aiplatform.Endpoint) -> None:
    model = container(serving_container_predict_route=None, serving_container_health_route=None)
    endpoint.deploy(model, machine_type=MACHINE)
    (found,) = endpoint.predict(instances=["environment"]).predictions
    (deployed,) = endpoint.list_models()
    assert found["AIP_HEALTH_ROUTE"] == f"/v1/endpoints/{endpoint.name}/deployedModels/{deployed.id}"
    assert found["AIP_PREDICT_ROUTE"] == f"{found['AIP_HEALTH_ROUTE']}:predict"


def test_a_containers_errors(endpoint: aiplatform.Endpoint) -> None:
    endpoint.deploy(container(), machine_type=MACHINE)
    with pytest.raises(exceptions.BadRequest, match="no such thing"):
        endpoint.predict(instances=["refuse"])
    with pytest.raises(exceptions.InternalServerError, match="it is broken"):
        endpoint.predict(instances=["break"])
    with pytest.raises(exceptions.BadRequest, match='no JSON object with "predictions"'):
        endpoint.predict(instances=["odd"])
    with pytest.raises(exceptions.BadRequest, match="broken off the request"):
        endpoint.predict(instances=["exit"])
    # The next request finds it started again.
    assert endpoint.predict(instances=[1]).predictions == [[1, None]]


def test_each_deployment_has_a_process_that_ends_with_it(endpoint: aiplatform.Endpoint) -> None:
    model = container()
    endpoint.deploy(model, machine_type=MACHINE)
    first = int(endpoint.predict(instances=["pid"]).predictions[0])
    endpoint.deploy(model, machine_type=MACHINE, traffic_percentage=100)
    second = int(endpoint.predict(instances=["pid"]).predictions[0])
    assert first != second and is_running(first) and is_running(second)
    old, new = (item.id for item in endpoint.list_models())
    endpoint.undeploy(old)
    assert not is_running(first) and int(endpoint.predict(instances=["pid"]).predictions[0]) == second
    endpoint.undeploy(new)
    assert not is_running(second)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["python", "-c", "import sys; print('cannot find the weights'); sys.exit(4)"],
            "status 4.*cannot find the weights",
        ),
        (["no-such-program"], "status 127"),
    ],
)
def test_a_container_that_does_not_come_up(endpoint: aiplatform.Endpoint, command: list[str], message: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match=f"(?s)never became ready.*{message}"):
        endpoint.deploy(container(serving_container_command=command), machine_type=MACHINE)
    assert not endpoint.list_models()


def test_a_container_that_is_never_healthy(endpoint: aiplatform.Endpoint) -> None:
    model = container(
        serving_container_command=["python", "-c", "import os, time; print('pid', os.getpid()); time.sleep(60)"],
        serving_container_deployment_timeout=1,
    )
    with pytest.raises(exceptions.GoogleAPICallError, match=r"(?s)with 200 within 1 s.*pid") as failure:
        endpoint.deploy(model, machine_type=MACHINE)
    assert not is_running(int(str(failure.value).rpartition("pid ")[2].split()[0]))


def test_an_image_without_a_command_is_not_run(endpoint: aiplatform.Endpoint) -> None:
    model = container(serving_container_command=None)
    with pytest.raises(exceptions.MethodNotImplemented, match="give serving_container_command"):
        endpoint.deploy(model, machine_type=MACHINE)


def test_a_container_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    code = f"""
        import google.cloud.aiplatform as aiplatform
        from localgcp import vertex
        from tests.localgcp.vertex.conftest import init
        from tests.localgcp.vertex.test_serving import MACHINE, container
        server = vertex.start({str(tmp_path)!r})
        init(server, "rest")
        endpoint = container().deploy(machine_type=MACHINE)
        print("pid", int(endpoint.predict(instances=["pid"]).predictions[0]), endpoint.resource_name, flush=True)
        import time; time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": str(SHARED)}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    _, pid, name = next(line for line in process.stdout if line.startswith("pid")).split()
    assert is_running(int(pid))
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 5
    while is_running(int(pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(int(pid))
    # The next server starts the program again at the first request.
    from tests.localgcp.vertex.conftest import init

    with vertex.start(tmp_path) as server:
        init(server, "rest")
        endpoint = aiplatform.Endpoint(name)
        again = int(endpoint.predict(instances=["pid"]).predictions[0])
        assert again != int(pid) and is_running(again)
    assert not is_running(again)


def test_references_to_variables() -> None:
    found = {"A": "1"}
    assert _expanded("$(A) $(B) $$(A) $A ${A}", found) == "1 $(B) $(A) $A ${A}"
    assert json.loads(_expanded('{"a": "$(A)"}', found)) == {"a": "1"}

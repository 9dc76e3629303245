"""Calls as the SDK's own public documentation writes them: the code blocks of the README that ships in its package.

Only placeholders such as {MODEL_ID} are filled in. Where a block asks for what the service no longer has (a K80), the
refusal is the answer, and the block runs with the accelerator that took its place.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from google.api_core.exceptions import InvalidArgument
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from localgcp import storage, vertex
from sklearn.linear_model import LinearRegression

PROJECT = "my-project"
PLACE = f"projects/{PROJECT}/locations/us-central1"
_BLOCK = re.compile(r"^\.\. code-block:: Python\n\n((?:(?: +.*)?\n)+)", re.MULTILINE)
TRAINER = """
import os, pathlib

folder = pathlib.Path(os.environ["AIP_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "saved_model.pb").write_bytes(b"")
"""
SKLEARN = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-6:latest"


def block(*words: str) -> str:
    """The one block of the README that has all of these words; how many times they occur tells twins apart."""
    text = metadata("google-cloud-aiplatform").get_payload()
    found = [textwrap.dedent(code) for code in _BLOCK.findall(text)]
    found = [code for code in found if all(word in code for word in words)]
    assert len(found) == 1, f"{len(found)} blocks of the SDK's README have {words}"
    return found[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vertex.Server]:
    folder = tmp_path_factory.mktemp("reference")
    for name in ("my_staging_bucket", "path", "python"):
        (folder / "buckets" / name).mkdir(parents=True)
    patch = pytest.MonkeyPatch()
    with (
        storage.start(folder / "buckets", PROJECT) as files,
        vertex.start(folder, PROJECT, buckets=folder / "buckets") as running,
    ):
        patch.setenv("STORAGE_EMULATOR_HOST", files.url)
        running.shim_sdk()
        aiplatform.init(
            project=PROJECT,
            location="us-central1",
            staging_bucket="gs://my_staging_bucket",
            credentials=AnonymousCredentials(),
            api_endpoint=running.grpc_target,
            api_transport="grpc",
        )
        yield running
    patch.undo()


@pytest.fixture
def folder(server: vertex.Server) -> Path:
    return server._core.buckets


@pytest.fixture
def run(server: vertex.Server) -> Callable[..., dict[str, Any]]:
    def execute(code: str, fill: dict[str, str] | None = None, **names: Any) -> dict[str, Any]:
        for placeholder, value in (fill or {}).items():
            assert placeholder in code, f"the block has no {placeholder}"
            code = code.replace(placeholder, value)
        space = {"aiplatform": aiplatform, "PipelineJob": aiplatform.PipelineJob} | names
        exec(compile(code, "the SDK's README", "exec"), space)
        return space

    return execute


@pytest.fixture
def model(folder: Path) -> aiplatform.Model:
    """A scikit-learn model of four features, as the README's instances have."""
    place = folder / "python" / "iris"
    place.mkdir(exist_ok=True)
    x = np.random.default_rng(0).normal(size=(30, 4))
    joblib.dump(LinearRegression().fit(x, x @ [1.0, 2.0, 3.0, 4.0]), place / "model.joblib")
    return aiplatform.Model.upload(
        display_name="iris", artifact_uri="gs://python/iris", serving_container_image_uri=SKLEARN
    )


def test_a_dataset(run: Callable[..., dict[str, Any]]) -> None:
    made = run(block("TabularDataset.create(", "gcs_source"))["my_dataset"]
    code = block("dataset = aiplatform.ImageDataset(")
    # The README writes "location" for "locations", and the SDK says so before anything is sent.
    with pytest.raises(ValueError):
        run(code, {"{DATASET_ID}": made.name})
    assert aiplatform.TabularDataset(f"{PLACE}/datasets/{made.name}").display_name == "my-dataset"


def test_training_gives_a_model(
    run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "training_script.py").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    code = block('CustomTrainingJob(\n      display_name="my-training-job"'.replace("      ", "    "))
    with pytest.raises(InvalidArgument, match="K80"):
        run(code, {"job.run(my_dataset,": "job.run("})
    fill = {"job.run(my_dataset,": "job.run(", "NVIDIA_TESLA_K80": "NVIDIA_TESLA_T4", '"gcsfs==0.7.1"': ""}
    found = run(code, fill)
    assert found["model"].uri.startswith("gs://my_staging_bucket/")
    assert found["model"].container_spec.image_uri.endswith("tf2-cpu.2-2:latest")


def test_an_endpoint_from_its_creation_to_its_deletion(
    run: Callable[..., dict[str, Any]], model: aiplatform.Model
) -> None:
    endpoint = run(block("Endpoint.create(display_name='my-endpoint')"))["endpoint"]
    code = block("endpoint.deploy(model,", "NVIDIA_TESLA_K80")
    # The README's name begins with a slash that no resource's name has.
    fill = {"'/projects": "'projects", "{MODEL_ID}": model.name}
    with pytest.raises(InvalidArgument, match="K80"):
        run(code, fill, endpoint=endpoint)
    run(code, fill | {"NVIDIA_TESLA_K80": "NVIDIA_TESLA_T4"}, endpoint=endpoint)
    predict = block("endpoint.predict(instances=[[6.7")
    answer = run(predict.replace("endpoint.predict", "answer = endpoint.predict"), endpoint=endpoint)["answer"]
    assert answer.predictions == pytest.approx([33.0, 16.1])
    run(block("endpoint.undeploy_all()"), endpoint=endpoint)
    assert endpoint.list_models() == []
    run(block("endpoint.delete()"), endpoint=endpoint)
    assert aiplatform.Endpoint.list(filter='display_name="my-endpoint"') == []


def test_evaluations(run: Callable[..., dict[str, Any]], model: aiplatform.Model) -> None:
    from google.cloud.aiplatform_v1.types import ModelEvaluation

    schema = "gs://google-cloud-aiplatform/schema/modelevaluation/regression_metrics_1.0.0.yaml"
    evaluation = ModelEvaluation(display_name="own", metrics_schema_uri=schema, metrics={"rootMeanSquaredError": 0.5})
    made = model.api_client.import_model_evaluation(parent=model.resource_name, model_evaluation=evaluation)
    fill = {"{MODEL_ID}": model.name}
    assert len(run(block("model.list_model_evaluations()"), fill)["evaluations"]) == 1
    metrics = run(block("model.get_model_evaluation()", "eval_metrics"), fill)["eval_metrics"]
    assert dict(metrics)["rootMeanSquaredError"] == 0.5
    identifier = made.name.rpartition("/")[2]
    named = run(block("evaluation_name='projects/"), fill | {"{EVALUATION_ID}": identifier})["evaluation"]
    code = block("evaluation_name={EVALUATION_ID}")
    parts = run(code, {"{MODEL_ID}": f"'{model.name}'", "{EVALUATION_ID}": f"'{identifier}'"})["evaluation"]
    assert named.resource_name == parts.resource_name == made.name


def test_a_batch_prediction(run: Callable[..., dict[str, Any]], model: aiplatform.Model, folder: Path) -> None:
    place = folder / "path" / "to" / "my"
    place.mkdir(parents=True, exist_ok=True)
    (place / "file.csv").write_text("a,b,c,d\n6.7,3.1,4.7,1.5\n4.6,3.1,1.5,0.2\n")
    fill = {"'/projects": "'projects", "{MODEL_ID}": model.name}
    job = run(block("job_display_name='my-batch-prediction-job'"), fill)["batch_prediction_job"]
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    lines = [blob.download_as_text() for blob in job.iter_outputs() if "prediction.results" in blob.name]
    assert "".join(lines).count("prediction") == 2


def test_pipelines(run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp import compiler

    from tests.localgcp.vertex.pipelines_to_test import branches

    monkeypatch.chdir(tmp_path)
    compiler.Compiler().compile(branches, "pipeline.json")
    parameters = {"rmse": 0.5, "trace": str(tmp_path / "trace")}
    given = {"parameter_values": parameters, "pipeline_root": "gs://path/root", "service_account": "a@b.iam"}
    done = run(block("pl.run("), **given)["pl"]
    assert done.state.name == "PIPELINE_STATE_SUCCEEDED"
    submitted = run(block("pl.submit("), **given)["pl"]
    submitted.wait()
    assert submitted.state.name == "PIPELINE_STATE_SUCCEEDED"


def test_what_is_not_emulated_says_so(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    from google.api_core.exceptions import MethodNotImplemented

    (folder / "path" / "x.csv").write_text("a,target_column_name\n1,2\n")
    dataset = aiplatform.TabularDataset.create(display_name="d", gcs_source="gs://path/x.csv")
    fill = {"projects/my-project/location/us-central1/datasets/{DATASET_ID}": dataset.resource_name}
    with pytest.raises(MethodNotImplemented, match="not emulated locally"):
        run(block("AutoMLTabularTrainingJob("), fill)
    with pytest.raises(MethodNotImplemented, match="not emulated locally"):
        run(block("TextDataset.create("))

"""Batch prediction: formats in and out, what fails of it, states, with the SDK as it is."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import joblib
import numpy as np
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, bigquery
from google.cloud.aiplatform import initializer, utils
from localgcp import bigquery as local_bigquery
from localgcp import vertex
from sklearn.linear_model import LinearRegression

from tests.localgcp.vertex.conftest import BUCKET, PROJECT, init

SHARED = Path(__file__).resolve().parents[3]
SKLEARN = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
MACHINE = "n1-standard-2"
# Answers each instance with itself.
ECHO = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self): self.answer({})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "slow" in str(body["instances"][0]):
            import time; time.sleep(0.2)
        self.answer({"predictions": body["instances"]})
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def model(sdk: str, buckets: Path) -> aiplatform.Model:
    """Predicts the sum of two numbers."""
    folder = buckets / BUCKET / "sum"
    folder.mkdir(exist_ok=True)
    joblib.dump(LinearRegression().fit(np.array([[0, 0], [1, 0], [0, 1]]), [0, 1, 1]), folder / "model.joblib")
    return aiplatform.Model.upload(
        display_name="sum of two", artifact_uri=f"gs://{BUCKET}/sum", serving_container_image_uri=SKLEARN
    )


@pytest.fixture
def echo(sdk: str) -> aiplatform.Model:
    return aiplatform.Model.upload(
        display_name="echo",
        serving_container_image_uri="us-docker.pkg.dev/my-project/repo/server:1",
        serving_container_command=["python", "-c", ECHO],
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )


def put(buckets: Path, name: str, content: str | bytes) -> str:
    path = buckets / BUCKET / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return f"gs://{BUCKET}/in/{name}"


def run(model: aiplatform.Model, source: str | list[str], **more: Any) -> aiplatform.BatchPredictionJob:
    given = {"job_display_name": "a job", "gcs_source": source, "gcs_destination_prefix": f"gs://{BUCKET}/out"}
    return model.batch_predict(**given | {"machine_type": MACHINE} | more)


def results(job: aiplatform.BatchPredictionJob) -> list[dict[str, Any]]:
    blobs = [blob for blob in job.iter_outputs() if "prediction.results-" in blob.name]
    return [json.loads(line) for blob in blobs for line in blob.download_as_bytes().splitlines()]


def errors(job: aiplatform.BatchPredictionJob) -> list[tuple[str, int]]:
    (blob,) = [blob for blob in job.iter_outputs() if "prediction.errors_stats-" in blob.name]
    return [ast.literal_eval(line.decode()) for line in blob.download_as_bytes().splitlines()]


def stats(job: aiplatform.BatchPredictionJob) -> tuple[int, int]:
    return job.completion_stats.successful_count, job.completion_stats.failed_count


def test_jsonl_in_and_out(model: aiplatform.Model, buckets: Path) -> None:
    rows = [[number, 2 * number] for number in range(150)]
    source = put(buckets, "rows.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    job = run(model, source)
    assert job.state.name == "JOB_STATE_SUCCEEDED" and stats(job) == (150, 0)
    found = results(job)
    assert [line["instance"] for line in found] == rows
    assert np.allclose([line["prediction"] for line in found], [3 * number for number in range(150)])
    assert errors(job) == []
    folder = job.output_info.gcs_output_directory
    assert folder.startswith(f"gs://{BUCKET}/out/prediction-sum_of_two-20")
    names = sorted(path.name for path in (buckets / folder.removeprefix("gs://")).iterdir())
    assert names == ["prediction.errors_stats-00000-of-00001", "prediction.results-00000-of-00001"]


def test_results_are_split_into_files(model: aiplatform.Model, buckets: Path) -> None:
    source = put(buckets, "many.jsonl", "[1, 2]\n" * 20_001)
    job = run(model, source, batch_size=2000)
    names = sorted(blob.name.rpartition("/")[2] for blob in job.iter_outputs())
    assert names[1:] == [f"prediction.results-0000{number}-of-00003" for number in range(3)]
    assert len(results(job)) == 20_001 == stats(job)[0]


def test_what_fails_is_counted_and_named(model: aiplatform.Model, buckets: Path) -> None:
    lines = ["[1, 2]", "{not json", "[1, 2, 3]", "[3, 4]"]
    source = put(buckets, "wrong.jsonl", "\n".join(lines))
    job = run(model, source, batch_size=1)
    assert job.state.name == "JOB_STATE_SUCCEEDED" and stats(job) == (2, 2)
    assert [line["instance"] for line in results(job)] == [[1, 2], [3, 4]]
    first, second = errors(job)
    assert first[0].startswith("The line is no JSON") and first[1] == 1
    assert "Post request fails" in second[0] and "X has 3 features" in second[0]


def test_a_batch_fails_as_a_whole(echo: aiplatform.Model, model: aiplatform.Model, buckets: Path) -> None:
    lines = ["[1, 2]"] * 4 + ["[1, 2, 3]"] + ["[1, 2]"] * 3
    job = run(model, put(buckets, "batch.jsonl", "\n".join(lines)), batch_size=4)
    assert stats(job) == (4, 4)


def test_nothing_right_is_a_failure(model: aiplatform.Model, buckets: Path) -> None:
    for name, content, message in (("a.jsonl", "[1]\n[2]\n", "X has 1 features"), ("b.jsonl", "", "no instances")):
        with pytest.raises(RuntimeError, match=message):
            run(model, put(buckets, name, content))
    with pytest.raises(RuntimeError, match="No file matches"):
        run(model, f"gs://{BUCKET}/in/none.jsonl")
    with pytest.raises(RuntimeError, match=r"gs://none/out.*does not exist"):
        run(model, put(buckets, "c.jsonl", "[1, 2]"), gcs_destination_prefix="gs://none/out")


def test_a_missing_file_is_a_partial_failure(model: aiplatform.Model, buckets: Path) -> None:
    source = put(buckets, "there.jsonl", "[1, 2]\n")
    job = run(model, [source, f"gs://{BUCKET}/in/none.jsonl"])
    assert stats(job) == (1, 0)
    (failure,) = job.partial_failures
    assert "none.jsonl" in failure.message


def test_wildcards(model: aiplatform.Model, buckets: Path) -> None:
    for number in range(3):
        put(buckets, f"part-{number}.jsonl", f"[{number}, 0]\n")
    job = run(model, f"gs://{BUCKET}/in/part-*.jsonl")
    assert [line["instance"][0] for line in results(job)] == [0, 1, 2]


def test_csv(echo: aiplatform.Model, buckets: Path) -> None:
    text = 'a,b,c\n1,0.5,"x, y"\n2,0.5,no quotes\n3,0.5\n'
    job = run(echo, put(buckets, "rows.csv", text), instances_format="csv")
    assert results(job) == [{"instance": [1, 0.5, "x, y"], "prediction": [1, 0.5, "x, y"]}]
    assert stats(job) == (1, 2)
    assert [message.split()[0] for message, _ in errors(job)] == ["A", "The"]


def masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


@pytest.mark.parametrize("kind", ["tf-record", "tf-record-gzip"])
def test_tf_record(echo: aiplatform.Model, buckets: Path, kind: str) -> None:
    content = record(b"one") + record(b"\xfftwo")
    content = gzip.compress(content) if kind.endswith("gzip") else content
    job = run(echo, put(buckets, "rows.tfrecord", content), instances_format=kind)
    values = [line["instance"]["b64"] for line in results(job)]
    assert [base64.b64decode(value) for value in values] == [b"one", b"\xfftwo"]


def test_tf_record_is_what_tensorflow_writes(echo: aiplatform.Model, buckets: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        writer.write(b"from TensorFlow")
    job = run(echo, put(buckets, "tf.tfrecord", (tmp_path / "x").read_bytes()), instances_format="tf-record")
    assert base64.b64decode(results(job)[0]["instance"]["b64"]) == b"from TensorFlow"


def test_damaged_tf_record(echo: aiplatform.Model, buckets: Path) -> None:
    content = bytearray(record(b"one") + record(b"two"))
    content[-5] ^= 1
    job = run(echo, put(buckets, "bad.tfrecord", bytes(content)), instances_format="tf-record")
    assert stats(job) == (1, 0) and "damaged" in job.partial_failures[0].message


def test_file_list(echo: aiplatform.Model, buckets: Path) -> None:
    picture = put(buckets, "a.png", b"\x89PNG")
    source = put(buckets, "files.txt", f"{picture}\ngs://{BUCKET}/in/none.png\n")
    job = run(echo, source, instances_format="file-list")
    assert base64.b64decode(results(job)[0]["prediction"]["b64"]) == b"\x89PNG" and stats(job) == (1, 1)


def configured(echo: aiplatform.Model, source: str, config: dict[str, Any], **more: Any) -> Any:
    """A job with an instance_config, which the SDK's `batch_predict` does not offer."""
    parent = echo.resource_name.partition("/models/")[0]
    job = {
        "display_name": "configured",
        "model": echo.resource_name,
        "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": [source]}},
        "instance_config": config,
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/out"},
        },
        "dedicated_resources": {"machine_spec": {"machine_type": MACHINE}},
    } | more
    client = initializer.global_config.create_client(client_class=utils.JobClientWithOverride)
    found = aiplatform.BatchPredictionJob(
        client.create_batch_prediction_job(parent=parent, batch_prediction_job=job).name
    )
    found._block_until_complete()
    return found


def test_instance_config(echo: aiplatform.Model, buckets: Path) -> None:
    source = put(buckets, "objects.jsonl", '{"id": 7, "a": 1, "b": 2}\n{"id": 8, "b": 4, "a": 3}\n{"a": 1}\n')
    job = configured(echo, source, {"instance_type": "array", "included_fields": ["b", "a"], "key_field": "id"})
    assert results(job) == [{"key": 7, "prediction": [2, 1]}, {"key": 8, "prediction": [4, 3]}]
    assert stats(job) == (2, 1)
    job = configured(echo, source, {"excluded_fields": ["b"], "key_field": "id"})
    assert results(job)[0] == {"key": 7, "prediction": {"a": 1}}
    plain = run(echo, source)
    assert results(plain)[2] == {"instance": {"a": 1}, "prediction": {"a": 1}}


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"instance_type": "row"}, exceptions.BadRequest, "'object' or 'array'"),
        ({"included_fields": ["a"], "excluded_fields": ["b"]}, exceptions.BadRequest, "only one"),
        ({"excluded_fields": ["b"]}, exceptions.MethodNotImplemented, "without key_field"),
    ],
)
def test_instance_configs_that_are_refused(
    echo: aiplatform.Model, buckets: Path, config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        configured(echo, put(buckets, "objects.jsonl", '{"a": 1}\n'), config)


def test_what_cannot_run_is_refused(model: aiplatform.Model, buckets: Path) -> None:
    source = put(buckets, "rows.jsonl", "[1, 2]\n")
    with pytest.raises(exceptions.BadRequest, match="dedicated_resources is required"):
        run(model, source, machine_type=None)
    with pytest.raises(exceptions.BadRequest, match="not in the local table"):
        run(model, source, machine_type="n1-standard-3")
    with pytest.raises(exceptions.MethodNotImplemented, match="predictions_format csv"):
        run(model, source, predictions_format="csv")


def test_cancel_and_delete(echo: aiplatform.Model, buckets: Path) -> None:
    source = put(buckets, "slow.jsonl", '"slow"\n' * 500)
    job = run(echo, source, sync=False, batch_size=1)
    job.wait_for_resource_creation()
    with pytest.raises(exceptions.BadRequest, match="cancel it before"):
        job.api_client.delete_batch_prediction_job(name=job.resource_name)
    job.cancel()
    with pytest.raises(RuntimeError, match="was cancelled"):
        job.wait()
    assert job.state.name == "JOB_STATE_CANCELLED"
    again = aiplatform.BatchPredictionJob(job.resource_name)
    again.delete()
    assert job.resource_name not in {item.resource_name for item in aiplatform.BatchPredictionJob.list()}


def test_a_job_whose_server_is_killed(tmp_path: Path) -> None:
    buckets = tmp_path / "buckets"
    source = put_into(buckets, '"slow"\n' * 500)
    code = f"""
        import google.cloud.aiplatform as aiplatform
        from localgcp import vertex
        from tests.localgcp.vertex.conftest import init
        from tests.localgcp.vertex.test_batch_prediction import ECHO, run
        server = vertex.start({str(tmp_path)!r})
        init(server, "rest")
        model = aiplatform.Model.upload(
            display_name="echo",
            serving_container_image_uri="us-docker.pkg.dev/my-project/repo/server:1",
            serving_container_command=["python", "-c", ECHO],
            serving_container_predict_route="/predict",
            serving_container_health_route="/health",
        )
        job = run(model, {source!r}, sync=False, batch_size=1)
        job.wait_for_resource_creation()
        import time
        while job.state.name != "JOB_STATE_RUNNING":
            time.sleep(0.1)
        print("RUNNING", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SHARED)},
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "RUNNING" in line)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with vertex.start(tmp_path, buckets=buckets) as server:
        init(server, "rest")
        (job,) = aiplatform.BatchPredictionJob.list()
        assert job.state.name == "JOB_STATE_FAILED" and "was killed" in job.error.message


def test_explanations(model: aiplatform.Model, buckets: Path) -> None:
    metadata = {"inputs": {"x": {}}, "outputs": {"y": {}}}
    spec = aiplatform.explain.ExplanationParameters({"sampled_shapley_attribution": {"path_count": 5}})
    job = run(
        model,
        put(buckets, "explain.jsonl", "[1, 2]\n"),
        generate_explanation=True,
        explanation_metadata=aiplatform.explain.ExplanationMetadata(metadata),
        explanation_parameters=spec,
    )
    (line,) = results(job)
    (attribution,) = line["explanation"]["attributions"]
    assert np.allclose(attribution["featureAttributions"]["x"], [1, 2]) and line["prediction"] == pytest.approx(3)


def put_into(buckets: Path, content: str) -> str:
    (buckets / BUCKET).mkdir(parents=True)
    return put(buckets, "rows.jsonl", content)


@pytest.fixture(scope="module")
def tables() -> Iterator[bigquery.Client]:
    patch = pytest.MonkeyPatch()
    with local_bigquery.start(None, PROJECT) as server:
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        client = bigquery.Client(PROJECT, AnonymousCredentials())
        client.create_dataset("d")
        rows = [{"x": float(number), "y": 1.0, "id": f"r{number}"} for number in range(70)]
        schema = [bigquery.SchemaField("x", "FLOAT64"), bigquery.SchemaField("y", "FLOAT64")]
        schema.append(bigquery.SchemaField("id", "STRING"))
        config = bigquery.LoadJobConfig(schema=schema)
        client.load_table_from_json(rows, f"{PROJECT}.d.rows", job_config=config).result()
        client.query(f"CREATE TABLE `{PROJECT}.d.numbers` AS SELECT x, y FROM `{PROJECT}.d.rows`").result()
        yield client
    patch.undo()


def test_bigquery_in_and_out(model: aiplatform.Model, tables: bigquery.Client) -> None:
    job = model.batch_predict(
        job_display_name="j",
        bigquery_source=f"bq://{PROJECT}.d.numbers",
        bigquery_destination_prefix=f"bq://{PROJECT}.d",
        machine_type=MACHINE,
    )
    assert stats(job) == (70, 0)
    assert job.output_info.bigquery_output_dataset == f"bq://{PROJECT}.d"
    assert job.output_info.bigquery_output_table.startswith("predictions_20")
    frame = job.iter_outputs().to_dataframe().sort_values("x")
    assert list(frame.columns) == ["x", "y", "prediction"] and len(frame) == 70
    assert np.allclose(frame.prediction.map(json.loads), frame.x + 1)


def test_bigquery_with_a_key(model: aiplatform.Model, tables: bigquery.Client) -> None:
    job = configured(
        model,
        "",
        {"key_field": "id"},
        input_config={
            "instances_format": "bigquery",
            "bigquery_source": {"input_uri": f"bq://{PROJECT}.d.rows"},
        },
        output_config={
            "predictions_format": "bigquery",
            "bigquery_destination": {"output_uri": f"bq://{PROJECT}"},
        },
    )
    dataset = job.output_info.bigquery_output_dataset
    assert dataset.startswith(f"bq://{PROJECT}.prediction_sum_of_two_20")
    frame = job.iter_outputs().to_dataframe()
    assert list(frame.columns) == ["key", "prediction"] and set(frame.key) == {f"r{n}" for n in range(70)}


def test_bigquery_errors_have_a_table(model: aiplatform.Model, tables: bigquery.Client, buckets: Path) -> None:
    source = put(buckets, "mixed.jsonl", "[1, 2]\n[1]\n")
    job = run(
        model,
        source,
        gcs_destination_prefix=None,
        bigquery_destination_prefix=f"bq://{PROJECT}.d",
        batch_size=1,
    )
    stamp = job.output_info.bigquery_output_table.removeprefix("predictions")
    (row,) = tables.list_rows(f"{PROJECT}.d.errors{stamp}")
    assert row["instance"] == "[1]" and "X has 1 features" in row["errors"]["message"]
    (row,) = job.iter_outputs()
    assert row["instance"] == "[1, 2]" and json.loads(row["prediction"]) == pytest.approx(3)


def test_no_such_table(model: aiplatform.Model, tables: bigquery.Client) -> None:
    with pytest.raises(RuntimeError, match="cannot be read"):
        run(model, None, bigquery_source=f"bq://{PROJECT}.d.none", gcs_source=None)


def test_without_a_bigquery(model: aiplatform.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    with pytest.raises(RuntimeError, match="BIGQUERY_EMULATOR_HOST"):
        run(model, None, bigquery_source=f"bq://{PROJECT}.d.rows", gcs_source=None)

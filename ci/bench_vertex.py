"""Measures the local Vertex AI against its targets; each figure stands beside its limit. `nox -s bench` runs it.

Machines are shared and noisy: a prediction over the network and the model alone are timed in turns, and the median
counts. Exits with 1 when a limit is not kept.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from limits import FAILED, say, seconds
from localgcp import storage, vertex
from sklearn.linear_model import LogisticRegression

BUCKET = "bench"
IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
CALLS, PARALLEL = 300, 50


def init(server: vertex.Server, transport: str) -> None:
    aiplatform.init(
        project=server.project,
        location=server.location,
        staging_bucket=f"gs://{BUCKET}",
        api_endpoint=server.grpc_target if transport == "grpc" else server.rest_url,
        api_transport=transport,
        credentials=AnonymousCredentials(),
    )


def bench_start(folder: Path) -> None:
    def ready() -> None:
        with vertex.start(folder / "first") as server:
            init(server, "grpc")
            aiplatform.Endpoint.list()

    say("start to first answer, beyond the SDK's import", seconds(ready), 1.0, "s")


def deploy(buckets: Path, server: vertex.Server) -> tuple[aiplatform.Endpoint, LogisticRegression]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1000, 10))
    model = LogisticRegression().fit(rows, rows.sum(axis=1) > 0)
    (buckets / BUCKET / "model").mkdir(parents=True)
    joblib.dump(model, buckets / BUCKET / "model" / "model.joblib")
    init(server, "grpc")
    uploaded = aiplatform.Model.upload(
        display_name="bench", artifact_uri=f"gs://{BUCKET}/model", serving_container_image_uri=IMAGE
    )
    return uploaded.deploy(machine_type="n1-standard-2"), model


def bench_predict(server: vertex.Server, name: str, model: LogisticRegression) -> None:
    rows = np.random.default_rng(1).normal(size=(1, 10))
    body = json.dumps({"instances": rows.tolist()}).encode()
    ways: dict[str, Callable[[], object]] = {"the model alone": lambda: model.predict(rows)}
    for transport in ("grpc", "rest"):
        init(server, transport)
        endpoint = aiplatform.Endpoint(name)
        ways[f"predict over {transport}"] = lambda endpoint=endpoint: endpoint.predict(instances=rows.tolist())
    ways["raw_predict"] = lambda: endpoint.raw_predict(body, {"Content-Type": "application/json"})
    taken: dict[str, list[float]] = {way: [] for way in ways}
    used = dict.fromkeys(ways, 0.0)
    for number in range(CALLS + 10):
        for way, call in ways.items():
            before = time.process_time()
            elapsed = 1000 * seconds(call)
            if number >= 10:  # the first calls open connections
                taken[way].append(elapsed)
                used[way] += 1000 * (time.process_time() - before) / CALLS
    alone = statistics.median(taken["the model alone"])
    for way, values in taken.items():
        middle, slowest = statistics.median(values), float(np.quantile(values, 0.95))
        # Of client and server together; it says what others on the machine do not.
        print(f"{way:<62} {middle:8.3f} ms   p95 {slowest:.3f} ms   processor {used[way]:.3f} ms")
    for way in list(ways)[1:]:
        say(f"{way}, median over the model alone", statistics.median(taken[way]) - alone, 5.0, "ms")


def bench_parallel(server: vertex.Server, name: str, model: LogisticRegression) -> None:
    rows = np.random.default_rng(2).normal(size=(PARALLEL, 10))
    wanted = model.predict(rows)
    for transport in ("grpc", "rest"):
        init(server, transport)
        endpoint, barrier = aiplatform.Endpoint(name), threading.Barrier(PARALLEL)

        def ask(row: int, endpoint: aiplatform.Endpoint = endpoint, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            try:
                return bool(endpoint.predict(instances=[rows[row].tolist()]).predictions[0] == wanted[row])
            except Exception as error:
                print(f"    {type(error).__name__}")
                return False

        with ThreadPoolExecutor(PARALLEL) as pool:
            right = sum(pool.map(ask, range(PARALLEL)))
        say(f"{PARALLEL} predictions at once over {transport}, lost or wrong", PARALLEL - right, 0, "")


def main() -> int:
    logging.disable(logging.WARNING)  # the SDK tells of every resource, urllib3 of every connection
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_start(folder)
        buckets = folder / "buckets"
        (buckets / BUCKET).mkdir(parents=True)
        with storage.start(buckets) as files, vertex.start(folder / "state", buckets=buckets) as server:
            os.environ["STORAGE_EMULATOR_HOST"] = files.url
            server.shim_sdk()
            endpoint, model = deploy(buckets, server)
            bench_predict(server, endpoint.resource_name, model)
            bench_parallel(server, endpoint.resource_name, model)
    return len(FAILED) > 0


if __name__ == "__main__":
    sys.exit(main())

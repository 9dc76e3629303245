"""The rehearsal of TARGET="vertex": its requests are those of the local target, but for what belongs to the project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import aiplatform
from labkit.catalog.card import Cloud
from labkit.target import Target
from labkit.target.local import LocalTarget
from labkit.target.recording import distinct
from labkit.target.rehearsal import BUCKET, PROJECT, RehearsalTarget

PLAN = Cloud(services=("vertex-training", "bigquery"), max_cost_usd=1.0)


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Target]:
    opened = RehearsalTarget("tiny-lab", PLAN, tmp_path / "rehearsed", seed=7)
    yield opened
    opened.close()


def work(target: Target, folder: Path, seed: int) -> list[Any]:
    script = folder / "task.py"
    script.write_text("import sys; print(sys.argv)\n")
    aiplatform.init(**target.vertex)
    aiplatform.Endpoint.create(display_name="near", labels=target.labels)
    job = aiplatform.CustomJob.from_local_script(
        "train",
        str(script),
        "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest",
        args=[f"--seed={seed}"],
        labels=target.labels,
        base_output_dir=f"{target.bucket}/tiny-lab/out",
    )
    job.run()
    return distinct(target.requests)


def test_it_asks_what_the_local_target_asks(rehearsal: Target, tmp_path: Path) -> None:
    vertex = work(rehearsal, tmp_path, 7)
    rehearsal.close()
    local = LocalTarget("tiny-lab", tmp_path / "local", seed=8)
    try:
        assert work(local, tmp_path, 8) == vertex
    finally:
        local.close()
    assert [request["method"] for request in vertex] == ["EndpointService.CreateEndpoint", "JobService.CreateCustomJob"]
    assert PROJECT not in json.dumps(vertex) and BUCKET not in json.dumps(vertex)


def test_it_is_told_apart_from_the_local_project(rehearsal: Target) -> None:
    given = rehearsal.vertex
    assert (given["project"], given["staging_bucket"]) == (PROJECT, f"gs://{BUCKET}/tiny-lab")
    assert set(rehearsal.labels) == {"lab", "run", "expires"}
    client = rehearsal.bigquery()
    client.query("CREATE OR REPLACE TABLE points AS SELECT 1 AS x").result()
    assert client.get_table(f"{rehearsal.dataset}.points").project == PROJECT
    rehearsal.storage().bucket(BUCKET).blob("a").upload_from_string("b")
    assert rehearsal.name == "vertex" and rehearsal.queries

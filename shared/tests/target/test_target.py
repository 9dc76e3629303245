"""The local target: real SDK objects, their requests, and nothing sent."""

from __future__ import annotations

import pytest
from google.cloud import aiplatform, bigquery
from labkit.catalog import LabError
from labkit.target import Target, open_target
from labkit.target.local import NotEmulated
from labkit.target.requests import request_body


@pytest.fixture
def target() -> Target:
    return open_target("local", "tiny-lab")


def test_a_query_job_is_shown_as_its_request(target: Target) -> None:
    config = bigquery.QueryJobConfig(labels=target.labels, maximum_bytes_billed=10**9)
    job = bigquery.QueryJob("name", "SELECT 1", target.bigquery(), config)
    body = request_body(job)
    assert body["configuration"]["query"] == {
        "query": "SELECT 1",
        "useLegacySql": False,
        "maximumBytesBilled": "1000000000",
    }
    assert body["configuration"]["labels"] == {"lab": "tiny-lab"}


def test_a_custom_job_is_shown_as_its_request(target: Target) -> None:
    aiplatform.init(**target.vertex)
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 2}
    pool["container_spec"] = {"image_uri": "europe-docker.pkg.dev/p/r/i"}
    body = request_body(aiplatform.CustomJob("name", [pool], labels=target.labels))
    assert body["displayName"] == "name" and body["labels"] == {"lab": "tiny-lab"}
    assert body["jobSpec"]["workerPoolSpecs"][0]["replicaCount"] == "2"


def test_what_is_no_request_is_refused(target: Target) -> None:
    with pytest.raises(LabError, match="got dict"):
        request_body({"query": "SELECT 1"})


def test_nothing_is_sent(target: Target) -> None:
    with pytest.raises(NotEmulated, match="UNIMPLEMENTED"):
        target.bigquery().query("SELECT 1")
    aiplatform.init(**target.vertex)
    with pytest.raises(NotEmulated, match="UNIMPLEMENTED"):
        aiplatform.CustomJob.list()

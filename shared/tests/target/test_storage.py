"""The local target's Cloud Storage: one folder that its client, BigQuery and plain files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from labkit.target import Target, open_target
from labkit.target.local import BUCKET, STORAGE_EMULATOR


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    opened = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    yield opened
    opened.close()


def test_the_labs_bucket_exists_and_outlives_the_kernel(target: Target, tmp_path: Path) -> None:
    blob = target.storage().bucket(BUCKET).blob("a/b.txt")
    blob.metadata = {"made": "here"}
    blob.upload_from_string("text", content_type="text/x-own")
    target.close()
    again = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    try:
        kept = again.storage().bucket(BUCKET).get_blob("a/b.txt")
        assert (kept.download_as_text(), kept.content_type, kept.metadata) == ("text", "text/x-own", {"made": "here"})
        assert [bucket.name for bucket in again.storage().list_buckets()] == [BUCKET]
    finally:
        again.close()


def test_bigquery_loads_what_the_client_has_uploaded(target: Target) -> None:
    target.storage().bucket(BUCKET).blob("points.csv").upload_from_string("x,y\n1,2\n3,4\n")
    config = bigquery.LoadJobConfig(autodetect=True, skip_leading_rows=1, source_format="CSV")
    client = target.bigquery()
    client.load_table_from_uri(f"{target.bucket}/points.csv", f"{target.dataset}.points", job_config=config).result()
    assert client.get_table(f"{target.dataset}.points").num_rows == 2


def test_a_client_of_the_learner_and_of_another_process_stays_here(target: Target) -> None:
    target.storage().bucket(BUCKET).blob("a").upload_from_string("here")
    own = storage.Client(project="local-project", credentials=AnonymousCredentials())
    assert own.bucket(BUCKET).blob("a").download_as_bytes() == b"here"
    code = (
        "from google.auth.credentials import AnonymousCredentials; from google.cloud import storage; "
        "client = storage.Client(project='p', credentials=AnonymousCredentials()); "
        f"print(client.bucket('{BUCKET}').blob('a').download_as_text())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "here\n"
    target.close()
    assert STORAGE_EMULATOR not in os.environ


def test_a_second_call_has_the_same_server_and_the_bucket(target: Target) -> None:
    first = target.storage()
    first.bucket(BUCKET).delete()
    second = target.storage()
    assert second.api_endpoint == first.api_endpoint and second.bucket(BUCKET).exists()
    target.close()
    target.close()

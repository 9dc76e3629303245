"""The local target: real SDK objects, answered here or refused, and nothing sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from google.cloud import aiplatform, bigquery
from IPython.testing.globalipapp import start_ipython
from labkit.catalog import LabError
from labkit.target import Target, open_target
from labkit.target.local import EMULATOR
from labkit.target.requests import request_body


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    opened = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    yield opened
    opened.close()


def fill(client: bigquery.Client) -> None:
    client.query("CREATE OR REPLACE TABLE points AS SELECT x, 2.0 * x AS y FROM UNNEST([1.0, 2.0, 4.0]) AS x").result()


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


def test_sql_needs_no_dataset_and_carries_the_labs_labels(target: Target) -> None:
    client = target.bigquery()
    fill(client)
    job = client.query("SELECT SUM(y) AS s FROM points")
    assert job.to_dataframe()["s"].tolist() == [14.0]
    assert client.get_job(job.job_id).labels == {"lab": "tiny-lab"}
    assert client.get_dataset(target.dataset).labels == {"lab": "tiny-lab"}
    assert target.queries[-1] == "SELECT SUM(y) AS s FROM points"


def test_tables_and_models_outlive_the_kernel(target: Target, tmp_path: Path) -> None:
    client = target.bigquery()
    fill(client)
    train = "CREATE MODEL line OPTIONS(model_type='linear_reg', input_label_cols=['y'], data_split_method='NO_SPLIT')"
    client.query(f"{train} AS SELECT * FROM points").result()
    target.close()
    again = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    try:
        row = again.bigquery().query("SELECT predicted_y FROM ML.PREDICT(MODEL line, (SELECT 3.0 AS x))").to_dataframe()
        assert row["predicted_y"].tolist() == pytest.approx([6.0])
    finally:
        again.close()


def test_a_client_that_the_learner_makes_stays_here_too(target: Target) -> None:
    from google.auth.credentials import AnonymousCredentials

    fill(target.bigquery())
    own = bigquery.Client(project="local-project", credentials=AnonymousCredentials())
    assert own.query(f"SELECT COUNT(*) AS n FROM `{target.dataset}.points`").to_dataframe()["n"].tolist() == [3]
    target.close()
    assert EMULATOR not in os.environ


def test_rows_come_over_rest_here_and_by_the_storage_api_elsewhere(target: Target) -> None:
    from google.auth.credentials import AnonymousCredentials

    target.bigquery()
    elsewhere = bigquery.Client(
        project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": "https://bigquery.example"}
    )
    assert elsewhere._ensure_bqstorage_client() is not None
    assert target.bigquery()._ensure_bqstorage_client() is None


def test_the_magic_asks_the_same_server(target: Target) -> None:
    fill(target.bigquery())
    shell = start_ipython() or sys.modules["IPython"].get_ipython()
    shell.run_line_magic("load_ext", "bigquery_magics")
    shell.run_cell_magic("bigquery", "magic_frame", "SELECT MAX(x) AS m FROM points")
    assert shell.user_ns["magic_frame"]["m"].tolist() == [4.0]


def test_a_frame_is_loaded_without_a_warning(target: Target, recwarn: pytest.WarningsRecorder) -> None:
    client = target.bigquery()
    client.load_table_from_dataframe(pd.DataFrame({"a": [1, 2]}), f"{target.dataset}.frame").result()
    assert client.get_table(f"{target.dataset}.frame").num_rows == 2
    # What Python shows a learner; a PendingDeprecationWarning it does not.
    assert not [str(w.message) for w in recwarn if issubclass(w.category, FutureWarning | UserWarning)]


def test_a_second_kernel_of_the_lab_is_told_why(target: Target, tmp_path: Path) -> None:
    target.bigquery()
    code = (
        "from pathlib import Path; from labkit.target import open_target; "
        f"open_target('local', 'tiny-lab', Path({str(tmp_path / 'google-cloud')!r})).bigquery()"
    )
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode == 1 and "another kernel of this lab" in second.stderr.splitlines()[-1]

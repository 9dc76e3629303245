"""The local target's Vertex AI: the SDK as it is, jobs that reach the same services, state that outlives the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from google.cloud import aiplatform
from labkit.catalog import LabError
from labkit.target import Target, open_target

SCRIPT = """
import pandas as pd
from google.cloud import aiplatform, bigquery, storage

aiplatform.init()
frame = pd.read_csv("{bucket}/in.csv")
rows = bigquery.Client().query("SELECT COUNT(*) AS n FROM `{dataset}.points`").result()
names = [endpoint.display_name for endpoint in aiplatform.Endpoint.list()]
found = f"{{frame.x.sum()}} {{next(iter(rows)).n}} {{names}}"
storage.Client().bucket("{name}").blob("out.txt").upload_from_string(found)
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    opened = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    yield opened
    opened.close()


def test_a_job_reaches_the_services_of_its_lab_without_being_told(target: Target, tmp_path: Path) -> None:
    aiplatform.init(**target.vertex)
    aiplatform.Endpoint.create(display_name="near")
    pd.DataFrame({"x": [1, 2, 4]}).to_csv(f"{target.bucket}/in.csv", index=False)
    target.bigquery().query("CREATE OR REPLACE TABLE points AS SELECT 1 AS x").result()
    script = tmp_path / "task.py"
    name = target.bucket.removeprefix("gs://")
    script.write_text(SCRIPT.format(bucket=target.bucket, dataset=target.dataset, name=name))
    job = aiplatform.CustomJob.from_local_script(
        "reads",
        str(script),
        "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest",
        machine_type="n1-standard-4",
    )
    job.run()
    assert target.storage().bucket(name).blob("out.txt").download_as_text() == "7 1 ['near']"


def test_resources_outlive_the_kernel_and_one_kernel_has_them(target: Target, tmp_path: Path) -> None:
    aiplatform.init(**target.vertex)
    aiplatform.Endpoint.create(display_name="kept", labels=target.labels)
    second = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    with pytest.raises(LabError, match="another kernel of this lab"):
        _ = second.vertex
    second.close()
    target.close()
    again = open_target("local", "tiny-lab", tmp_path / "google-cloud")
    try:
        aiplatform.init(**again.vertex)
        assert [item.display_name for item in aiplatform.Endpoint.list(filter="labels.lab=tiny-lab")] == ["kept"]
    finally:
        again.close()


def test_two_labs_at_once_have_a_server_each(target: Target, tmp_path: Path) -> None:
    aiplatform.init(**target.vertex)
    aiplatform.Endpoint.create(display_name="mine")
    code = (
        "import sys; from pathlib import Path; from google.cloud import aiplatform; "
        "from labkit.target import open_target; "
        "other = open_target('local', 'other-lab', Path(sys.argv[1])); "
        "aiplatform.init(**other.vertex); print(len(aiplatform.Endpoint.list())); other.close()"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], capture_output=True, text=True)
    assert run.stdout == "0\n", run.stderr
    assert len(aiplatform.Endpoint.list()) == 1


def test_closing_leaves_the_process_as_it_was(target: Target) -> None:
    from google.cloud.aiplatform import jobs

    before = jobs._JOB_WAIT_TIME
    aiplatform.init(**target.vertex)
    assert before != jobs._JOB_WAIT_TIME
    target.close()
    target.close()
    assert before == jobs._JOB_WAIT_TIME
    assert not {"STORAGE_EMULATOR_HOST", "FSSPEC_GCS_TOKEN"} & set(os.environ)

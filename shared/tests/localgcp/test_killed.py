"""A kernel that is killed in the middle of CREATE OR REPLACE MODEL: the old model is whole, and work goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from localgcp.bigquery import start
from localgcp.bqml import Models

PROJECT = "local-project"
CREATE = "CREATE OR REPLACE MODEL d.m OPTIONS(model_type='linear_reg', input_label_cols=['y']) AS "
FIRST = CREATE + "SELECT x, 2.0 * x AS y FROM UNNEST([1.0, 2.0, 3.0]) AS x"
SECOND = CREATE + "SELECT x, 5.0 * x AS y FROM UNNEST([1.0, 2.0, 3.0]) AS x"

# The child replaces one step of CREATE MODEL by its own death.
PLACES = {
    "while it trains": ("localgcp.bqml.models.linear.LinearRegression", "fit"),
    "before the model is written": ("localgcp.bqml.store.pickle", "dumps"),
    "before the new model takes the old one's place": ("localgcp.bqml.store.os", "replace"),
}
CHILD = """
import os, pkgutil, signal, sys
from pathlib import Path
from localgcp.bigquery import start
from localgcp.bqml import Models
owner, name, folder, sql = sys.argv[1:]
models = Models(Path(folder) / "models", "local-project")
server = start(Path(folder) / "bigquery", "local-project", statements=[models])
def die(*args, **kwargs):
    print("reached", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(pkgutil.resolve_name(owner), name, die)
server.engine.query(sql)
"""


@contextmanager
def opened(folder: Path) -> Iterator[bigquery.Client]:
    models = Models(folder / "models", PROJECT)
    with start(folder / "bigquery", PROJECT, statements=[models]) as server:
        yield bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": server.url})


def predicted(client: bigquery.Client) -> float:
    rows = client.query("SELECT predicted_y FROM ML.PREDICT(MODEL d.m, (SELECT 10.0 AS x))").result()
    return float(next(iter(rows))[0])


@pytest.mark.parametrize("place", PLACES)
def test_the_old_model_is_intact(tmp_path: Path, place: str) -> None:
    with opened(tmp_path) as client:
        client.create_dataset("d")
        client.query(FIRST).result()
        assert predicted(client) == pytest.approx(20)

    child = [sys.executable, "-c", CHILD, *PLACES[place], str(tmp_path), SECOND]
    killed = subprocess.run(child, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL and killed.stdout == "reached\n", killed.stderr

    with opened(tmp_path) as client:
        assert predicted(client) == pytest.approx(20)
        assert [model.model_id for model in client.list_models("d")] == ["m"]
        client.query(SECOND).result()
        assert predicted(client) == pytest.approx(50)
    # What the killed one had begun to write is gone as well.
    assert len(list((tmp_path / "models" / "d").iterdir())) == 2

"""The server itself: start, state that survives, statements that others run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from localgcp.bigquery import BigQueryError, Engine, JobContext, Sql, start

from tests.localgcp.bigquery.conftest import PROJECT, connect


def test_state_survives_a_restart(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        client = connect(server.url)
        client.create_dataset("d")
        for sql in (
            "CREATE TABLE d.t (day DATE NOT NULL, v INT64) PARTITION BY day OPTIONS(labels=[('a', 'b')])",
            "INSERT INTO d.t VALUES ('2024-01-01', 1)",
            "CREATE VIEW d.v AS SELECT v FROM d.t",
            "CREATE FUNCTION d.f(x INT64) AS (x + 1)",
        ):
            client.query(sql).result()
    with start(tmp_path) as server:
        client = connect(server.url)
        table = client.get_table("d.t")
        assert (table.num_rows, table.labels, table.time_partitioning.field) == (1, {"a": "b"}, "day")
        assert table.schema[0].mode == "REQUIRED"
        assert [tuple(row.values()) for row in client.query("SELECT d.f(v) FROM d.v").result()] == [(2,)]


def test_starts_within_a_second(tmp_path: Path) -> None:
    began = time.perf_counter()
    with start(tmp_path) as server:
        connect(server.url).create_dataset("d")
        assert time.perf_counter() - began < 1


def test_stop_can_be_called_twice() -> None:
    server = start(None)
    assert server.url.startswith("http://127.0.0.1:")
    server.stop()
    server.stop()


def test_the_emulator_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a learner sets: it moves the uploads too."""
    import pandas as pd
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    with start(None) as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        client = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
        client.create_dataset("d")
        client.load_table_from_dataframe(pd.DataFrame({"a": [1]}), "d.t").result()
        assert [row.a for row in client.query("SELECT a FROM d.t").result()] == [1]


KILLED = """
import sys
from localgcp.bigquery import start
server = start(sys.argv[1])
engine = server.engine
engine.query("CREATE SCHEMA d")
engine.query("CREATE TABLE d.t AS SELECT 1 AS a")
with engine.session() as session:
    session.execute("CREATE TEMP TABLE w AS SELECT 1 AS a")
    session.execute("BEGIN TRANSACTION")
    session.execute("INSERT INTO d.t VALUES (2)")
    session.execute("CREATE TABLE d.u AS SELECT 1 AS a")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def killed(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that has the folder open, in the middle of a transaction."""
    path = str(Path(__file__).resolve().parents[3])
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_a_killed_process_leaves_what_was_committed(tmp_path: Path, killed: subprocess.Popen[str]) -> None:
    with pytest.raises(RuntimeError, match="another process has this database open"):
        start(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    engine = Engine(tmp_path)
    assert engine.query("SELECT a FROM d.t").to_pylist() == [{"a": 1}]
    assert [table.table for table in engine.catalog.tables] == ["t"]
    assert [name.dataset for name in engine.catalog.datasets] == ["d"], "nor a temporary table"
    engine.close()


class Echo:
    """A family of statements as BigQuery ML will be one."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.jobs: list[JobContext] = []

    def handles(self, sql: str) -> bool:
        return "MODEL" in sql.upper()

    def run(self, sql: str, engine: Sql, job: JobContext) -> pa.Table | None:
        self.jobs.append(job)
        if sql.upper().startswith("CREATE MODEL"):
            name = sql.split()[2]
            if name in self.resources:
                raise ModelError(f"Already Exists: Model {name}", "duplicate")
            trained = engine.query(sql.split(" AS ", 1)[1])
            self.resources[name] = {
                "modelReference": {"projectId": job.project, "datasetId": "d", "modelId": name},
                "modelType": "LINEAR_REGRESSION",
                "creationTime": "1",
                "lastModifiedTime": "1",
                "etag": "x",
                "description": str(trained.num_rows),
            }
            return None
        if "CRASH" in sql:
            raise KeyError("a bug")
        engine.register("__echo", pa.table({"predicted": [1.5, 2.5]}))
        try:
            return engine.query(sql.replace("ML.PREDICT(MODEL d.m)", "__echo"))
        finally:
            engine.unregister("__echo")

    def models(self, project: str, dataset: str) -> list[dict[str, Any]]:
        return list(self.resources.values()) if (project, dataset) == (PROJECT, "d") else []

    def delete_model(self, project: str, dataset: str, model: str) -> bool:
        return self.resources.pop(model, None) is not None


class ModelError(Exception):
    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.message, self.reason = message, reason


@pytest.fixture
def echo() -> Any:
    hook = Echo()
    with start(None, PROJECT, [hook]) as server:
        client = connect(server.url)
        client.create_dataset("d")
        client.query("CREATE TABLE d.t AS SELECT 1 AS a UNION ALL SELECT 2").result()
        yield hook, client


def test_statements_of_others(echo: Any) -> None:
    from google.cloud import bigquery

    hook, client = echo
    config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.d", use_legacy_sql=False)
    job = client.query("CREATE MODEL m AS SELECT * FROM t", job_config=config)
    job.result()
    assert job.statement_type == "CREATE_MODEL"
    assert (hook.jobs[0].project, hook.jobs[0].dataset, hook.jobs[0].job_id) == (PROJECT, "d", job.job_id)
    assert [model.model_id for model in client.list_models("d")] == ["m"]
    assert client.get_model("d.m").description == "2", "the default dataset is that of the job"
    with pytest.raises(Conflict, match="Already Exists: Model m"):
        client.query("CREATE MODEL m AS SELECT * FROM t", job_config=config).result()
    with pytest.raises(BadRequest, match="KeyError: 'a bug'"):
        client.query("SELECT * FROM ML.CRASH(MODEL d.m)").result()
    client.delete_model("d.m")
    with pytest.raises(NotFound, match=r"Not found: Model local-project:d.m"):
        client.get_model("d.m")


def test_queries_around_them(echo: Any) -> None:
    from google.cloud import bigquery

    _, client = echo
    parameter = bigquery.ScalarQueryParameter("x", "FLOAT64", 2)
    sql = "SELECT predicted + @x AS p FROM ML.PREDICT(MODEL d.m) WHERE predicted < @x"
    job = client.query(sql, job_config=bigquery.QueryJobConfig(query_parameters=[parameter]))
    assert [row.p for row in job.result()] == [3.5] and job.statement_type == "SELECT"
    job = client.query("CREATE TABLE d.p AS SELECT * FROM ML.PREDICT(MODEL d.m)")
    job.result()
    assert (job.statement_type, client.get_table("d.p").num_rows) == ("CREATE_TABLE_AS_SELECT", 2)
    script = "DECLARE x FLOAT64 DEFAULT 2; SELECT predicted FROM ML.PREDICT(MODEL d.m) WHERE predicted > x;"
    assert [row.predicted for row in client.query(script).result()] == [2.5]


def test_a_datasets_models_go_with_it(echo: Any) -> None:
    hook, client = echo
    client.query("CREATE MODEL m AS SELECT * FROM d.t").result()
    client.delete_table("d.t")
    with pytest.raises(BadRequest, match="is still in use"):
        client.delete_dataset("d")
    client.delete_dataset("d", delete_contents=True)
    assert hook.resources == {}


def test_engine_without_a_server() -> None:
    engine = Engine(None)
    engine.query("CREATE SCHEMA d")
    assert engine.query("CREATE TABLE d.t AS SELECT 1 AS a").num_columns == 0
    assert engine.query("SELECT a FROM t", "d").to_pylist() == [{"a": 1}]
    with pytest.raises(BigQueryError, match="must be qualified with a dataset"):
        engine.query("SELECT a FROM t")
    engine.close()


def test_clients_at_the_same_time() -> None:
    """Statements of several threads take turns, and none gets the rows of another."""
    from concurrent.futures import ThreadPoolExecutor

    with start(None) as server:
        clients = [connect(server.url) for _ in range(4)]

        def ask(number: int) -> bool:
            from google.cloud import bigquery

            parameter = bigquery.ScalarQueryParameter("x", "INT64", number)
            config = bigquery.QueryJobConfig(query_parameters=[parameter])
            sql = "DECLARE y INT64 DEFAULT @x; CREATE TEMP TABLE t AS SELECT y AS a; SELECT a + @x AS v FROM t;"
            return [row.v for row in clients[number % 4].query(sql, job_config=config).result()] == [2 * number]

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, range(40)))

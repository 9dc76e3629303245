"""A text that comes again is not compiled again, and still means what it means then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from localgcp.bigquery import Engine, session

Rows = list[tuple[Any, ...]]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that are compiled while a test runs."""
    texts: list[str] = []
    parse = session.Session.parse

    def noted(self: session.Session, sql: str) -> Any:
        texts.append(sql)
        return parse(self, sql)

    monkeypatch.setattr(session.Session, "parse", noted)
    yield texts


def test_the_same_text_is_compiled_once(run: Callable[[str], Rows], compiled: list[str]) -> None:
    run("CREATE TABLE d.t AS SELECT x FROM UNNEST([1, 2, 3]) AS x")
    for _ in range(3):
        assert run("SELECT x FROM d.t WHERE x > 2") == [(3,)]
        assert run("SELECT 1 + 1") == [(2,)]
    assert compiled.count("SELECT x FROM d.t WHERE x > 2") == 1
    assert compiled.count("SELECT 1 + 1") == 1


CHANGES = [
    ("SELECT SUM(x) AS s FROM d.t", "INSERT INTO d.t (x) VALUES (10)", [(3,)], [(13,)]),
    ("SELECT SUM(x) AS s FROM d.t", "UPDATE d.t SET x = 5 WHERE x = 1", [(3,)], [(7,)]),
    ("SELECT SUM(x) AS s FROM d.t", "DELETE FROM d.t WHERE x = 1", [(3,)], [(2,)]),
    ("SELECT * FROM d.t ORDER BY 1", "ALTER TABLE d.t ADD COLUMN y STRING", [(1,), (2,)], [(1, None), (2, None)]),
    ("SELECT * FROM d.t ORDER BY 1", "CREATE OR REPLACE TABLE d.t AS SELECT 'a' AS z", [(1,), (2,)], [("a",)]),
    ("SELECT * FROM d.v", "CREATE OR REPLACE VIEW d.v AS SELECT 7 AS n", [(2,)], [(7,)]),
    ("SELECT d.f(3) AS n", "CREATE OR REPLACE FUNCTION d.f(a INT64) AS (a * 100)", [(4,)], [(300,)]),
    ("SELECT COUNT(*) AS n FROM `d.t*`", "CREATE TABLE d.t2 AS SELECT 3 AS x", [(2,)], [(3,)]),
    ("SELECT COUNT(*) AS n FROM d.INFORMATION_SCHEMA.TABLES", "CREATE TABLE d.t2 AS SELECT 3 AS x", [(2,)], [(3,)]),
]


@pytest.mark.parametrize(("sql", "change", "before", "after"), CHANGES, ids=[change for _, change, _, _ in CHANGES])
def test_a_change_is_seen(run: Callable[[str], Rows], sql: str, change: str, before: Rows, after: Rows) -> None:
    run("CREATE TABLE d.t AS SELECT x FROM UNNEST([1, 2]) AS x")
    run("CREATE VIEW d.v AS SELECT COUNT(*) AS n FROM d.t")
    run("CREATE FUNCTION d.f(a INT64) AS (a + 1)")
    for _ in range(2):
        assert run(sql) == before
    run(change)
    for _ in range(2):
        assert run(sql) == after


def test_a_dropped_table_is_gone_and_a_new_one_is_another(client: bigquery.Client) -> None:
    sql = "SELECT * FROM d.t"
    for kind in ("INT64", "STRING"):
        client.query(f"CREATE TABLE d.t AS SELECT CAST(1 AS {kind}) AS x").result()
        for _ in range(2):
            rows = client.query_and_wait(sql)
            assert [field.field_type for field in rows.schema] == [{"INT64": "INTEGER"}.get(kind, kind)]
        client.delete_table("d.t")
        with pytest.raises(NotFound):
            client.query_and_wait(sql)


def test_bytes_follow_the_rows(client: bigquery.Client) -> None:
    client.query("CREATE TABLE d.t AS SELECT 1 AS x").result()
    sizes = []
    for _ in range(2):
        for _ in range(2):
            job = client.query("SELECT x FROM d.t")
            job.result()
            sizes.append(job.total_bytes_processed)
        assert client.insert_rows_json("d.t", [{"x": 2}, {"x": 3}]) == []
    assert sizes == [8, 8, 24, 24]


def test_parameters_and_variables_are_those_of_the_moment(client: bigquery.Client) -> None:
    for value in (1, 2):
        config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("p", "INT64", value)])
        assert [tuple(row) for row in client.query_and_wait("SELECT @p AS p", job_config=config)] == [(value,)]
        script = f"DECLARE n INT64 DEFAULT {value}; SELECT n AS v"
        assert [tuple(row) for row in client.query_and_wait(script)] == [(value,)]
    client.query("CREATE TABLE d.t AS SELECT 1 AS n").result()
    sql = "SELECT n FROM d.t"
    assert [tuple(row) for row in client.query_and_wait(sql)] == [(1,)]
    counts = "SELECT @@row_count AS n"
    script = f"CREATE TEMP TABLE x AS SELECT 1 AS a; INSERT INTO x VALUES (2), (3); {counts}"
    assert [tuple(row) for row in client.query_and_wait(script)] == [(2,)]
    assert [tuple(row) for row in client.query_and_wait(script.replace(", (3)", ""))] == [(1,)]


def test_a_name_means_what_its_session_says(client: bigquery.Client) -> None:
    client.create_dataset("e")
    for dataset, value in (("d", 1), ("e", 2)):
        client.query(f"CREATE TABLE {dataset}.t AS SELECT {value} AS n").result()
    for _ in range(2):
        for dataset, value in (("d", 1), ("e", 2)):
            config = bigquery.QueryJobConfig(default_dataset=f"local-project.{dataset}")
            assert [tuple(row) for row in client.query_and_wait("SELECT n FROM t", job_config=config)] == [(value,)]
    config = bigquery.QueryJobConfig(default_dataset="local-project.d")
    shadowed = "CREATE TEMP TABLE t AS SELECT 9 AS n; SELECT n FROM t"
    assert [tuple(row) for row in client.query_and_wait(shadowed, job_config=config)] == [(9,)]
    assert [tuple(row) for row in client.query_and_wait("SELECT n FROM t", job_config=config)] == [(1,)]
    own = "CREATE TEMP FUNCTION f(x INT64) AS (x + {}); SELECT f(1) AS n"
    for more in (1, 2):
        assert [tuple(row) for row in client.query_and_wait(own.format(more))] == [(1 + more,)]


def test_the_time_goes_on(run: Callable[[str], Rows], compiled: list[str]) -> None:
    """Which partitions a text reads can depend on the time too, so it is compiled each time."""
    run("CREATE TABLE d.t AS SELECT 1 AS x")
    run("CREATE VIEW d.v AS SELECT CURRENT_TIMESTAMP() AS at FROM d.t")
    for sql in ("SELECT CURRENT_TIMESTAMP() AS at", "SELECT at FROM d.v"):
        first = run(sql)
        time.sleep(0.002)
        assert first != run(sql)
        assert compiled.count(sql) == 2
    assert len({run("SELECT RAND() AS r")[0] for _ in range(5)}) == 5


def test_what_is_taken_back_is_not_remembered(client: bigquery.Client) -> None:
    client.query("CREATE TABLE d.t AS SELECT 1 AS x").result()
    sql = "SELECT COUNT(*) AS n FROM d.t"
    script = f"BEGIN TRANSACTION; INSERT INTO d.t VALUES (2); {sql}; ROLLBACK TRANSACTION;"
    assert [tuple(row) for row in client.query_and_wait(script)] == [(2,)]
    for _ in range(2):
        assert [tuple(row) for row in client.query_and_wait(sql)] == [(1,)]


def test_a_table_past_its_time_is_gone(run: Callable[[str], Rows], engine: Engine) -> None:
    run("CREATE TABLE d.t OPTIONS(expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 400 MILLISECOND)) "
        "AS SELECT 1 AS x")  # fmt: skip
    assert run("SELECT x FROM d.t") == [(1,)]
    time.sleep(0.5)
    with pytest.raises(Exception, match="Not found"):
        run("SELECT x FROM d.t")

"""What a query reads: columns, partitions, and the limits that are set on it."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, InternalServerError
from google.cloud import bigquery

MEGABYTE = 1 << 20


def processed(client: bigquery.Client, sql: str, **settings: Any) -> int:
    """The bytes of a dry run, which must be those of the run."""
    dry = client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True, **settings))
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**settings))
    job.result()
    assert dry.total_bytes_processed == job.total_bytes_processed
    return int(job.total_bytes_processed)


@pytest.fixture
def days(client: bigquery.Client) -> bigquery.Client:
    """Ten days of 100 rows: 8 bytes of DATE, 8 of INT64 and 2 + 1 of STRING each."""
    client.query(
        "CREATE TABLE d.days (day DATE, v INT64, s STRING) PARTITION BY day CLUSTER BY s AS "
        "SELECT DATE_ADD(DATE '2024-01-01', INTERVAL MOD(i, 10) DAY), i, CAST(DIV(i, 1000) AS STRING) "
        "FROM UNNEST(GENERATE_ARRAY(0, 999)) AS i"
    ).result()
    return client


def test_only_named_columns_are_read(days: bigquery.Client) -> None:
    assert processed(days, "SELECT v FROM d.days") == 8_000
    assert processed(days, "SELECT s, v FROM d.days") == 11_000
    assert processed(days, "SELECT * FROM d.days") == 19_000
    assert processed(days, "SELECT COUNT(*) FROM d.days") == 0
    assert processed(days, "SELECT v FROM (SELECT * FROM d.days)") == 8_000
    assert (
        processed(days, "WITH t AS (SELECT day, v FROM d.days) SELECT a.v FROM t AS a JOIN t AS b USING (v)") == 8_000
    )
    assert processed(days, "SELECT 1") == 0


PRUNED = [
    ("day = '2024-01-03'", 1),
    ("day > '2024-01-03'", 7),
    ("day >= DATE '2024-01-03' AND day < DATE '2024-01-05'", 2),
    ("day BETWEEN '2024-01-03' AND '2024-01-05'", 3),
    ("day IN ('2024-01-01', '2024-01-10', '2025-01-01')", 2),
    ("'2024-01-02' >= day", 2),
    ("day = DATE_ADD(DATE '2024-01-01', INTERVAL 4 DAY) OR day = '2024-01-01'", 2),
    ("day > '2024-01-03' AND v > 5", 7),
    ("DATE_TRUNC(day, MONTH) = '2024-01-01'", 10),
    ("DATE_TRUNC(day, MONTH) = '2024-02-01'", 0),
    ("EXTRACT(DAY FROM day) = 3", 10),  # BigQuery cannot prune by this either
    ("day = '2024-01-03' OR v = 1", 10),
    ("day IS NULL", 0),
]


@pytest.mark.parametrize(("condition", "partitions"), PRUNED)
def test_partitions_are_pruned(days: bigquery.Client, condition: str, partitions: int) -> None:
    columns = 16 if "v" in condition.split() else 8
    assert processed(days, f"SELECT day FROM d.days WHERE {condition}") == partitions * 100 * columns


def test_pruning_reaches_through_views_joins_and_parameters(days: bigquery.Client) -> None:
    days.query("CREATE VIEW d.v AS SELECT day, v FROM d.days").result()
    assert processed(days, "SELECT v FROM d.v WHERE day = '2024-01-03'") == 1_600
    joined = (
        "SELECT a.v FROM d.days AS a JOIN d.days AS b ON a.v = b.v WHERE a.day = '2024-01-03' AND b.day < '2024-01-03'"
    )
    assert processed(days, joined) == 1_600 + 3_200
    parameter = bigquery.ScalarQueryParameter("day", "DATE", "2024-01-03")
    assert processed(days, "SELECT v FROM d.days WHERE day >= @day", query_parameters=[parameter]) == 8 * 1_600


def test_dml_reads_what_it_changes(days: bigquery.Client) -> None:
    job = days.query("DELETE FROM d.days WHERE day = '2024-01-03'")
    job.result()
    assert job.total_bytes_processed == 1_900
    assert processed(days, "SELECT * FROM d.days") == 900 * 19, "what is cached of a table ends with its rows"


@pytest.mark.parametrize(
    ("clause", "condition", "share"),
    [
        ("TIMESTAMP_TRUNC(t, HOUR)", "t >= TIMESTAMP '2024-01-01 23:30:00'", 0.25),
        ("DATE(t)", "DATE(t) = '2024-01-01'", 1.0),
        ("DATE(t)", "t > TIMESTAMP '2024-01-02'", 0.0),
        (
            "RANGE_BUCKET(n, GENERATE_ARRAY(0, 80, 10))",
            "n BETWEEN 25 AND 35",
            0.4,
        ),  # 20-29, 30-39, and what lies outside
        ("RANGE_BUCKET(n, GENERATE_ARRAY(0, 100, 50))", "n = 7", 0.5),
    ],
)
def test_kinds_of_partitions(client: bigquery.Client, clause: str, condition: str, share: float) -> None:
    client.query(
        f"CREATE TABLE d.t PARTITION BY {clause} AS SELECT i AS n, "
        "TIMESTAMP_ADD(TIMESTAMP '2024-01-01 20:00:00', INTERVAL DIV(i, 25) HOUR) AS t "
        "FROM UNNEST(GENERATE_ARRAY(0, 99)) AS i"
    ).result()
    assert processed(client, f"SELECT n, t FROM d.t WHERE {condition}") == share * 1600


def test_required_filter(days: bigquery.Client) -> None:
    days.query("ALTER TABLE d.days SET OPTIONS(require_partition_filter=TRUE)").result()
    message = "Cannot query over table 'local-project.d.days' without a filter over column\\(s\\) 'day'"
    for sql in ("SELECT v FROM d.days", "SELECT v FROM d.days WHERE v = 1", "DELETE FROM d.days WHERE v = 1"):
        with pytest.raises(BadRequest, match=message):
            days.query(sql).result()
    assert processed(days, "SELECT v FROM d.days WHERE day = '2024-01-03'") == 1_600
    days.query("INSERT INTO d.days VALUES ('2024-01-01', 1, 'x')").result()


def test_wildcards_read_the_tables_that_match(client: bigquery.Client) -> None:
    for day in (1, 2, 3):
        client.query(
            f"CREATE TABLE d.ev_2024010{day} AS SELECT i FROM UNNEST(GENERATE_ARRAY(1, {day}00)) AS i"
        ).result()
    assert processed(client, "SELECT i FROM `d.ev_*`") == 4_800
    assert processed(client, "SELECT i FROM `d.ev_*` WHERE _TABLE_SUFFIX >= '20240102' AND i > 5") == 4_000


def test_sizes_of_types(client: bigquery.Client) -> None:
    """https://cloud.google.com/bigquery/pricing#data"""
    client.query(
        "CREATE TABLE d.t AS SELECT 1 AS i, 1.5 AS f, TRUE AS b, 'héé' AS s, b'abc' AS y, DATE '2024-01-01' AS d, "
        "NUMERIC '1' AS n, [1, 2, 3] AS a, STRUCT(1 AS x, 'z' AS y) AS r, CAST(NULL AS STRING) AS e"
    ).result()
    sizes = {"i": 8, "f": 8, "b": 1, "s": 2 + 5, "y": 2 + 3, "d": 8, "n": 16, "a": 24, "r": 8 + 2 + 1, "e": 0}
    for column, size in sizes.items():
        assert processed(client, f"SELECT {column} FROM d.t") == size, column
    assert client.get_table("d.t").num_bytes == sum(sizes.values())


def test_billing(days: bigquery.Client) -> None:
    job = days.query("SELECT v FROM d.days")
    job.result()
    assert job.total_bytes_billed == 10 * MEGABYTE, "at least 10 MB for each table"
    # The client has no class of its own for this reason: with the service, too, it raises a 500.
    with pytest.raises(
        InternalServerError, match=r"Query exceeded limit for bytes billed: 1000000. 10485760 or higher required."
    ):
        days.query("SELECT v FROM d.days", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=1_000_000)).result()
    limited = bigquery.QueryJobConfig(maximum_bytes_billed=10 * MEGABYTE)
    assert len(list(days.query("SELECT v FROM d.days LIMIT 3", job_config=limited).result())) == 3


def test_dry_run(days: bigquery.Client) -> None:
    dry = bigquery.QueryJobConfig(dry_run=True)
    job = days.query("SELECT v AS w, s FROM d.days", job_config=dry)
    assert [(f.name, f.field_type) for f in job.schema] == [("w", "INTEGER"), ("s", "STRING")]
    assert [table.table_id for table in job.referenced_tables] == ["days"]
    days.query("DELETE FROM d.days WHERE TRUE", job_config=dry)
    days.query("CREATE TABLE d.u AS SELECT 1 AS a", job_config=dry)
    assert days.get_table("d.days").num_rows == 1000
    assert [item.table_id for item in days.list_tables("d")] == ["days"]
    with pytest.raises(BadRequest, match="Unrecognized name: nothing"):
        days.query("SELECT nothing FROM d.days", job_config=dry)

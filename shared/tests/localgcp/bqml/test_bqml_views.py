"""BigQuery ML through the real client: views over ML functions, and the bytes that ML statements read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery
from localgcp.bigquery import Server, start
from localgcp.bqml import Models

from tests.localgcp.bigquery.conftest import PROJECT, connect

Served = tuple[bigquery.Client, Models, Server]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = Models(tmp_path_factory.mktemp("models"), PROJECT)
    with start(None, PROJECT, statements=[models]) as server:
        yield connect(server.url), models, server


@pytest.fixture
def client(served: Served) -> Iterator[bigquery.Client]:
    """A dataset `d` with rows on the line y = 3 x + 1, and a model of it."""
    client = served[0]
    client.create_dataset("d")
    client.query(
        "CREATE TABLE d.t AS SELECT CAST(x AS FLOAT64) AS x, 3.0 * x + 1 AS y, 'a' AS note "
        "FROM UNNEST(GENERATE_ARRAY(1, 50)) AS x"
    ).result()
    train(client, "y")
    yield client
    client.delete_dataset("d", delete_contents=True)


def train(client: bigquery.Client, label: str, name: str = "m") -> None:
    client.query(
        f"CREATE OR REPLACE MODEL d.{name} OPTIONS(model_type='LINEAR_REG', input_label_cols=['y'], "
        f"data_split_method='NO_SPLIT', optimize_strategy='NORMAL_EQUATION') AS SELECT x, {label} AS y FROM d.t"
    ).result()


def rows(client: bigquery.Client, sql: str, **settings: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query_and_wait(sql, job_config=bigquery.QueryJobConfig(**settings))]


PREDICTED = """SELECT x, ROUND(predicted_y, 3) AS p  -- of the model
FROM ML.PREDICT(MODEL d.m, (SELECT x FROM d.t WHERE x <= 2))"""


def test_a_view_reads_the_model_and_the_rows_of_the_moment(client: bigquery.Client) -> None:
    client.query(f"CREATE VIEW d.v AS {PREDICTED}").result()
    sql = "SELECT * FROM d.v ORDER BY x"
    assert rows(client, sql) == [(1.0, 4.0), (2.0, 7.0)]
    train(client, "-y")
    assert rows(client, sql) == [(1.0, -4.0), (2.0, -7.0)]
    client.query("INSERT INTO d.t (x) VALUES (0.0)").result()
    assert rows(client, sql) == [(0.0, -1.0), (1.0, -4.0), (2.0, -7.0)]
    client.delete_model("d.m")
    with pytest.raises(NotFound, match="Model"):
        client.query_and_wait(sql)
    train(client, "y")
    assert len(rows(client, sql)) == 3


def test_a_view_keeps_its_text(client: bigquery.Client) -> None:
    client.query(f"CREATE OR REPLACE VIEW d.v AS\n{PREDICTED};").result()
    view = client.get_table("d.v")
    assert view.view_query == PREDICTED
    assert [(field.name, field.field_type) for field in view.schema] == [("x", "FLOAT"), ("p", "FLOAT")]
    assert rows(client, "SELECT view_definition FROM d.INFORMATION_SCHEMA.VIEWS") == [(PREDICTED,)]


def test_a_view_of_a_view_in_every_kind_of_statement(client: bigquery.Client) -> None:
    made = bigquery.Table(f"{PROJECT}.d.v")
    made.view_query = PREDICTED
    client.create_table(made)
    client.query("CREATE VIEW d.w AS SELECT x, p * 10 AS p FROM d.v WHERE p > 5").result()
    assert rows(client, "SELECT * FROM d.w") == [(2.0, 70.0)]
    both = "WITH a AS (SELECT * FROM d.v) SELECT a.x, w.p, t.y FROM a JOIN d.w AS w USING (x) JOIN d.t AS t USING (x)"
    assert rows(client, both) == [(2.0, 70.0, 7.0)]
    client.query("CREATE TABLE d.kept AS SELECT * FROM d.w").result()
    client.query("INSERT INTO d.kept SELECT x, p FROM d.v").result()
    assert rows(client, "SELECT * FROM d.kept ORDER BY p") == [(1.0, 4.0), (2.0, 7.0), (2.0, 70.0)]
    again = "SELECT x, predicted_y FROM ML.PREDICT(MODEL d.m, (SELECT p AS x FROM d.w))"
    assert rows(client, again) == [(70.0, pytest.approx(211.0))]
    script = "DECLARE n FLOAT64 DEFAULT (SELECT SUM(p) FROM d.v); SET n = n + (SELECT p FROM d.w); SELECT n AS n"
    assert rows(client, script) == [(81.0,)]
    assert rows(
        client, "DECLARE n INT64; SET n = (SELECT COUNT(*) FROM d.INFORMATION_SCHEMA.VIEWS); SELECT n AS n"
    ) == [(2,)]


def test_a_view_over_a_function_without_a_model(client: bigquery.Client) -> None:
    client.query("CREATE VIEW d.s AS SELECT x, ML.MIN_MAX_SCALER(x) OVER() AS z FROM d.t").result()
    assert rows(client, "SELECT MIN(z) AS a, MAX(z) AS b FROM d.s") == [(0.0, 1.0)]
    client.query("DELETE FROM d.t WHERE x > 11").result()
    assert rows(client, "SELECT z FROM d.s WHERE x = 6") == [(0.5,)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE VIEW d.v AS SELECT * FROM ML.PREDICT(MODEL d.none, TABLE d.t)", "Not found: Model"),
        ("CREATE VIEW d.v AS SELECT * FROM ML.PREDICT(MODEL m, TABLE d.t)", "missing dataset"),
        ("CREATE VIEW d.v AS SELECT * FROM ML.PREDICT(MODEL d.m, TABLE t)", "must be qualified with a dataset"),
        ("CREATE VIEW d.v AS SELECT nothing FROM ML.PREDICT(MODEL d.m, TABLE d.t)", "Unrecognized name: nothing"),
        ("CREATE VIEW d.t AS SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)", "Already Exists"),
    ],
)
def test_views_that_cannot_be_made(client: bigquery.Client, sql: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.query_and_wait(sql, job_config=bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.d"))
    assert "v" not in [table.table_id for table in client.list_tables("d")]


def test_a_view_that_has_come_to_read_itself(client: bigquery.Client) -> None:
    client.query("CREATE VIEW d.v AS SELECT x FROM ML.PREDICT(MODEL d.m, TABLE d.t)").result()
    client.query("CREATE VIEW d.w AS SELECT x FROM ML.PREDICT(MODEL d.m, TABLE d.v)").result()
    with pytest.raises(BadRequest, match="refers to itself"):
        client.query_and_wait("CREATE OR REPLACE VIEW d.v AS SELECT x FROM ML.PREDICT(MODEL d.m, TABLE d.w)")
        client.query_and_wait("SELECT * FROM d.w")


def test_nothing_is_left_behind(client: bigquery.Client, served: Served) -> None:
    client.query(f"CREATE VIEW d.v AS {PREDICTED}").result()
    rows(client, "SELECT * FROM d.v")
    with pytest.raises(BadRequest):
        rows(client, "SELECT 1 / 0 AS q FROM d.v")
    assert served[2].engine.registered == {}


def processed(client: bigquery.Client, sql: str) -> int:
    """The bytes of a dry run, which must be those of the run."""
    dry = client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
    job = client.query(sql)
    job.result()
    assert dry.total_bytes_processed == job.total_bytes_processed
    assert dry.statement_type == job.statement_type
    return int(job.total_bytes_processed)


def test_bytes_are_those_of_the_queries_inside(client: bigquery.Client) -> None:
    """50 rows: 8 bytes of each number, 3 of the text."""
    create = (
        "CREATE OR REPLACE MODEL d.n OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT {} FROM d.t"
    )
    assert processed(client, create.format("x, y")) == 800
    assert processed(client, create.format("*")) == 950
    assert processed(client, "SELECT predicted_y FROM ML.PREDICT(MODEL d.m, TABLE d.t)") == 950
    assert processed(client, "SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT x FROM d.t))") == 400
    joined = "SELECT p.x, t.note FROM ML.PREDICT(MODEL d.m, (SELECT x FROM d.t)) AS p JOIN d.t AS t ON t.x = p.x"
    assert processed(client, joined) == 550  # x counts once
    assert processed(client, "SELECT * FROM ML.EVALUATE(MODEL d.m)") == 0
    client.query(f"CREATE VIEW d.v AS {PREDICTED}").result()
    assert processed(client, "SELECT p FROM d.v") == 400
    assert processed(client, "CREATE OR REPLACE TABLE d.kept AS SELECT x FROM ML.PREDICT(MODEL d.m, TABLE d.t)") == 950


def test_a_dry_run_changes_nothing(client: bigquery.Client, served: Served) -> None:
    dry = bigquery.QueryJobConfig(dry_run=True)
    before = served[1].get("d", "m")
    train_again = (
        "CREATE OR REPLACE MODEL d.m OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT x, y FROM d.t"
    )
    job = client.query(train_again, job_config=dry)
    assert (job.statement_type, job.total_bytes_processed) == ("CREATE_MODEL", 800)
    assert served[1].get("d", "m") == before
    client.query(train_again.replace("d.m", "d.other"), job_config=dry)
    client.query("DROP MODEL d.m", job_config=dry)
    client.query(f"CREATE VIEW d.v AS {PREDICTED}", job_config=dry)
    client.query("CREATE TABLE d.kept AS SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)", job_config=dry)
    assert [model.model_id for model in client.list_models("d")] == ["m"]
    assert [table.table_id for table in client.list_tables("d")] == ["t"]


def test_a_dry_run_refuses_what_the_run_would(client: bigquery.Client) -> None:
    dry = bigquery.QueryJobConfig(dry_run=True)
    create = "CREATE MODEL d.{} OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT {} FROM d.t"
    for sql, kind in (
        (create.format("m", "x, y"), Conflict),
        (create.format("n", "nothing"), BadRequest),
        ("DROP MODEL d.none", NotFound),
        ("SELECT * FROM ML.PREDICT(MODEL d.none, TABLE d.t)", NotFound),
        ("SELECT nothing FROM ML.PREDICT(MODEL d.m, TABLE d.t)", BadRequest),
    ):
        with pytest.raises(kind):
            # Without an id of its own the client takes a Conflict for a job that is there, and looks for it.
            client.query(sql, job_config=dry, job_id=f"dry{abs(hash(sql))}", job_retry=None)


def test_a_limit_of_bytes_stops_training(client: bigquery.Client) -> None:
    limited = bigquery.QueryJobConfig(maximum_bytes_billed=1)
    create = "CREATE MODEL d.n OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT x, y FROM d.t"
    with pytest.raises(Exception, match="limit for bytes billed"):
        client.query_and_wait(create, job_config=limited)
    assert [model.model_id for model in client.list_models("d")] == ["m"]


def test_the_columns_of_transform(client: bigquery.Client) -> None:
    client.query(
        "CREATE MODEL d.n TRANSFORM(x * 2 AS twice, ML.STANDARD_SCALER(x) OVER() AS scaled, * EXCEPT (x)) "
        "OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT x, y FROM d.t"
    ).result()
    columns = client.get_model("d.n").transform_columns
    assert [(column.name, column.transform_sql) for column in columns] == [
        ("twice", "x * 2"),
        ("scaled", "ML.STANDARD_SCALER(x) OVER ()"),
        ("y", "y"),
    ]
    assert {column.type_.type_kind.name for column in columns} == {"FLOAT64"}
    assert not client.get_model("d.m").transform_columns


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("ML.FEATURE_CROSS(note, ML.BUCKETIZE(x, [1.0]))", r"must be a STRUCT .* got note, ML.BUCKETIZE\(x, \[1.0\]\)"),
        ("ML.BUCKETIZE(x, ML.BUCKETIZE(y, [1.0]))", r"must be a constant, got ML.BUCKETIZE\(y, \[1.0\]\)"),
    ],
)
def test_an_error_in_transform_is_in_the_words_of_the_clause(client: bigquery.Client, call: str, message: str) -> None:
    create = "OPTIONS(model_type='LINEAR_REG', input_label_cols=['y']) AS SELECT x, y, note FROM d.t"
    with pytest.raises(BadRequest, match=message) as raised:
        client.query_and_wait(f"CREATE MODEL d.n TRANSFORM({call} AS f, y) {create}")
    assert "__ml" not in str(raised.value)

"""Tables, views and functions made and changed with SQL."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from localgcp.bigquery import BigQueryError, Engine
from localgcp.bigquery.names import TableName

from tests.localgcp.bigquery.conftest import PROJECT


def resource(engine: Engine, table: str) -> dict[str, Any]:
    return engine.catalog.table(TableName(PROJECT, "d", table))


def test_create_table_keeps_what_it_is_told(engine: Engine) -> None:
    engine.query(
        "CREATE TABLE d.t (a INT64 NOT NULL OPTIONS(description='the key'), b ARRAY<STRUCT<x STRING, y NUMERIC>>, "
        "c STRING DEFAULT 'z', day DATE) PARTITION BY DATE_TRUNC(day, MONTH) CLUSTER BY a, c "
        "OPTIONS(description='a table', labels=[('team', 'ml')], require_partition_filter=TRUE, "
        "expiration_timestamp=TIMESTAMP '2099-01-01')"
    )
    table = resource(engine, "t")
    assert [(f["name"], f["type"], f["mode"]) for f in table["schema"]["fields"]] == [
        ("a", "INTEGER", "REQUIRED"),
        ("b", "RECORD", "REPEATED"),
        ("c", "STRING", "NULLABLE"),
        ("day", "DATE", "NULLABLE"),
    ]
    assert table["schema"]["fields"][0]["description"] == "the key"
    assert table["timePartitioning"] == {"type": "MONTH", "field": "day"}
    assert table["clustering"] == {"fields": ["a", "c"]}
    assert table["labels"] == {"team": "ml"}
    assert table["requirePartitionFilter"] is True
    assert int(table["expirationTime"]) == dt.datetime(2099, 1, 1, tzinfo=dt.UTC).timestamp() * 1000


def test_default_is_used_when_a_column_is_left_out(run: Any) -> None:
    run("CREATE TABLE d.t (a INT64, c STRING DEFAULT CONCAT('z', 'y'))")
    run("INSERT INTO d.t (a) VALUES (1)")
    assert run("SELECT c FROM d.t") == [("zy",)]


ERRORS = [
    ("CREATE TABLE d.t AS SELECT 1 AS a", "Already Exists: Table local-project:d.t"),
    ("CREATE TABLE d.u AS SELECT 1", "CREATE TABLE columns must be named, but column 1 has no name"),
    ("CREATE TABLE d.u (a INT64) OPTIONS(nothing=1)", "Unknown option: nothing"),
    ("CREATE TABLE d.u (a INT64) PARTITION BY a", "Cannot partition by DAY on column a of type INTEGER"),
    ("CREATE TABLE d.u (a INT64) PARTITION BY b", "cannot be found in the schema: b"),
    ("CREATE TABLE d.u (a STRING) PARTITION BY UPPER(a)", "PARTITION BY expression must be"),
    ("CREATE TABLE d.u (a FLOAT64) CLUSTER BY a", "CLUSTER BY expression must be groupable"),
    ("CREATE TABLE d.u (a INT64, A STRING)", "Duplicate field name: A"),
    ("CREATE TABLE nowhere.u (a INT64)", "Not found: Dataset local-project:nowhere was not found in location US"),
    ("CREATE TABLE u (a INT64)", 'Table "u" must be qualified with a dataset'),
    ("CREATE VIEW d.v AS SELECT nothing FROM d.t", "Unrecognized name: nothing"),
    ("CREATE VIEW d.v AS SELECT COUNT(*) FROM d.t", "CREATE VIEW columns must be named"),
    ("DROP TABLE d.nothing", "Not found: Table local-project:d.nothing was not found in location US"),
    ("DROP VIEW d.t", "it is a TABLE, not a VIEW"),
    ("DROP SCHEMA d", "Dataset local-project:d is still in use"),
    ("DELETE FROM d.t", "DELETE must have a WHERE clause at [1:1]"),
    ("UPDATE d.t SET a = 1", "UPDATE must have a WHERE clause at [1:1]"),
    (
        "INSERT INTO d.t (a) VALUES ('x')",
        "Value has type STRING which cannot be inserted into column a, which has type INT64",
    ),
    ("INSERT INTO d.t (a) SELECT b FROM d.t", "Query column 1 has type STRING which cannot be inserted into column a"),
    ("INSERT INTO d.t (a) VALUES (1, 2)", "Inserted row has wrong column count; Has 2, expected 1"),
    ("INSERT INTO d.t (b) VALUES ('x')", "Required field a cannot be null"),
    ("INSERT INTO d.t (q) VALUES ('x')", "Column q is not present in table local-project:d.t"),
    ("UPDATE d.t SET a = a + 0.5 WHERE TRUE", "Value of type FLOAT64 cannot be assigned to a, which has type INT64"),
    ("ALTER TABLE d.t DROP COLUMN q", "Column not found: q"),
    ("ALTER TABLE d.t ADD COLUMN a INT64", "Column already exists: a"),
    ("ALTER TABLE d.t ALTER COLUMN b SET DATA TYPE INT64", "requires that the existing column type (STRING)"),
]


@pytest.mark.parametrize(("sql", "message"), ERRORS)
def test_errors(run: Any, sql: str, message: str) -> None:
    run("CREATE TABLE d.t (a INT64 NOT NULL, b STRING)")
    with pytest.raises(BigQueryError) as raised:
        run(sql)
    assert message in raised.value.message
    assert run("SELECT COUNT(*) FROM d.t") == [(0,)], "a statement that fails changes nothing"


def test_a_failed_create_leaves_the_old_table(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    with pytest.raises(BigQueryError, match="division by zero"):
        run("CREATE OR REPLACE TABLE d.t AS SELECT 1 / 0 AS a")
    assert run("SELECT a FROM d.t") == [(1,)]


def test_replace_may_read_what_it_replaces(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    run("CREATE OR REPLACE TABLE d.t AS SELECT a + 1 AS a FROM d.t")
    assert run("SELECT a FROM d.t") == [(2,)]
    run("CREATE TABLE IF NOT EXISTS d.t AS SELECT 9 AS a")
    assert run("SELECT a FROM d.t") == [(2,)]


def test_like_copy_and_clone(engine: Engine, run: Any) -> None:
    run("CREATE TABLE d.t (day DATE NOT NULL) PARTITION BY day")
    run("INSERT INTO d.t VALUES ('2024-01-01')")
    run("CREATE TABLE d.l LIKE d.t")
    run("CREATE TABLE d.c COPY d.t")
    run("CREATE TABLE d.k CLONE d.t")
    assert run("SELECT (SELECT COUNT(*) FROM d.l), (SELECT COUNT(*) FROM d.c), (SELECT COUNT(*) FROM d.k)") == [
        (0, 1, 1)
    ]
    for name in ("l", "c", "k"):
        assert resource(engine, name)["timePartitioning"] == {"type": "DAY", "field": "day"}
        assert resource(engine, name)["schema"]["fields"][0]["mode"] == "REQUIRED"


def test_alter_table(engine: Engine, run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a, 'x' AS b")
    run("ALTER TABLE d.t ADD COLUMN c STRUCT<x INT64>, ADD COLUMN IF NOT EXISTS a INT64")
    run("ALTER TABLE d.t RENAME COLUMN b TO bb")
    run("ALTER TABLE d.t ALTER COLUMN a SET DATA TYPE NUMERIC")
    run("ALTER TABLE d.t SET OPTIONS(description='changed')")
    run("ALTER TABLE d.t RENAME TO u")
    assert run("SELECT a, bb, c FROM d.u") == [(1, "x", None)]
    assert [f["type"] for f in resource(engine, "u")["schema"]["fields"]] == ["NUMERIC", "STRING", "RECORD"]
    assert resource(engine, "u")["description"] == "changed"
    run("ALTER TABLE d.u DROP COLUMN bb")
    assert engine.query("SELECT * FROM d.u").column_names == ["a", "c"]


def test_expired_table_is_gone(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    run("ALTER TABLE d.t SET OPTIONS(expiration_timestamp=TIMESTAMP '2020-01-01')")
    with pytest.raises(BigQueryError, match="Not found: Table"):
        run("SELECT * FROM d.t")


def test_names_are_case_sensitive(run: Any) -> None:
    """DuckDB's are not: `T` must not find `t`, and both at once cannot be."""
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    with pytest.raises(BigQueryError, match=r"Not found: Table local-project:d.T"):
        run("SELECT * FROM d.T")
    with pytest.raises(BigQueryError, match="UNIMPLEMENTED: table names that differ in case only"):
        run("CREATE TABLE d.T AS SELECT 1 AS a")


def test_dml_counts(engine: Engine) -> None:
    with engine.session() as session:
        session.execute("CREATE TABLE d.t (a INT64, b STRING)")
        assert session.execute("INSERT d.t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')").affected == 3
        assert session.execute("UPDATE d.t SET b = UPPER(b) WHERE a > 1").affected == 2
        assert session.execute("DELETE d.t WHERE a = 3").affected == 1
        assert session.execute("SELECT * FROM d.t ORDER BY a").table.to_pylist() == [
            {"a": 1, "b": "x"},
            {"a": 2, "b": "Y"},
        ]
        assert session.execute("TRUNCATE TABLE d.t").affected == 2


class TestMerge:
    @pytest.fixture(autouse=True)
    def _tables(self, run: Any) -> None:
        run("CREATE TABLE d.t AS SELECT 1 AS a, 'old' AS b UNION ALL SELECT 2, 'gone'")
        run("CREATE TABLE d.s AS SELECT 1 AS a, 'new' AS b UNION ALL SELECT 3, 'ins'")

    def test_all_branches(self, run: Any) -> None:
        run(
            "MERGE d.t AS t USING d.s AS s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = s.b "
            "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (a, b) WHEN NOT MATCHED BY SOURCE THEN DELETE"
        )
        assert run("SELECT * FROM d.t ORDER BY a") == [(1, "new"), (3, "ins")]

    def test_two_source_rows_for_one_target_row(self, run: Any) -> None:
        """DuckDB would take one of them."""
        run("INSERT INTO d.s VALUES (1, 'newer')")
        statement = "MERGE d.t AS t USING d.s AS s ON t.a = s.a WHEN MATCHED{} THEN UPDATE SET b = s.b"
        with pytest.raises(BigQueryError, match="must match at most one source row for each target row"):
            run(statement.format(""))
        assert run("SELECT b FROM d.t WHERE a = 1") == [("old",)]
        run(statement.format(" AND s.b = 'newer'"))
        assert run("SELECT b FROM d.t WHERE a = 1") == [("newer",)]

    def test_update_from(self, run: Any) -> None:
        run("UPDATE d.t SET b = s.b FROM d.s AS s WHERE t.a = s.a")
        assert run("SELECT b FROM d.t ORDER BY a") == [("new",), ("gone",)]
        run("INSERT INTO d.s VALUES (1, 'newer')")
        with pytest.raises(BigQueryError, match="must match at most one source row for each target row"):
            run("UPDATE d.t SET b = s.b FROM d.s AS s WHERE t.a = s.a")


class TestViews:
    def test_a_view_follows_its_tables(self, run: Any) -> None:
        run("CREATE TABLE d.ev_1 AS SELECT 1 AS a")
        run("CREATE VIEW d.v AS SELECT a, COUNT(*) AS n FROM `d.ev_*` GROUP BY a -- as written")
        run("CREATE TABLE d.ev_2 AS SELECT 2 AS a")
        assert run("SELECT a FROM d.v ORDER BY a") == [(1,), (2,)]
        assert run("SELECT v.a FROM d.v WHERE v.n = 1 ORDER BY v.a") == [(1,), (2,)]

    def test_a_view_on_a_view(self, run: Any) -> None:
        run("CREATE VIEW d.v AS WITH t AS (SELECT 1 AS a) SELECT * FROM t")
        run("CREATE VIEW d.w AS SELECT a + 1 AS b FROM d.v")
        assert run("WITH v AS (SELECT 5 AS b) SELECT w.b, v.b FROM d.w AS w, v") == [(2, 5)]

    def test_a_view_does_not_see_the_default_dataset(self, engine: Engine) -> None:
        engine.query("CREATE TABLE t AS SELECT 1 AS a", "d")
        with pytest.raises(BigQueryError, match='Table "t" must be qualified with a dataset'):
            engine.query("CREATE VIEW v AS SELECT * FROM t", "d")


class TestFunctions:
    def test_a_stored_function(self, run: Any) -> None:
        run("CREATE FUNCTION d.f(x INT64, y ANY TYPE) RETURNS FLOAT64 AS (x + y * 2)")
        run("CREATE TABLE d.t AS SELECT 3 AS x")
        assert run("SELECT d.f(1, x), `local-project.d.f`(d.f(1, 1), x) FROM d.t") == [(7.0, 9.0)]
        run("CREATE OR REPLACE FUNCTION d.f(x INT64) AS ((SELECT MAX(v) FROM UNNEST([x, 5]) AS v))")
        assert run("SELECT d.f(9), d.f(1)") == [(9, 5)]
        run("DROP FUNCTION d.f")
        with pytest.raises(BigQueryError, match=r"Function not found: d.f"):
            run("SELECT d.f(1)")

    def test_an_argument_is_no_column(self, run: Any) -> None:
        """A column of a table inside the body wins over the argument of the same name."""
        run("CREATE TABLE d.t AS SELECT 10 AS x")
        run("CREATE FUNCTION d.f(x INT64, y INT64) AS ((SELECT MAX(x + y) FROM d.t))")
        assert run("SELECT d.f(1, 2)") == [(12,)]

    def test_wrong_number_of_arguments(self, run: Any) -> None:
        run("CREATE FUNCTION d.f(x INT64) AS (x)")
        with pytest.raises(BigQueryError, match="Number of arguments does not match for function f"):
            run("SELECT d.f(1, 2)")

    def test_recursion_is_refused(self, run: Any) -> None:
        run("CREATE FUNCTION d.f(x INT64) AS (x)")
        run("CREATE OR REPLACE FUNCTION d.f(x INT64) AS (d.f(x) + 1)")
        with pytest.raises(BigQueryError, match="Recursive function call is not allowed"):
            run("SELECT d.f(1)")


class TestWildcards:
    @pytest.fixture(autouse=True)
    def _tables(self, run: Any) -> None:
        run("CREATE TABLE d.ev_20240101 AS SELECT 1 AS a")
        run("CREATE TABLE d.ev_20240102 AS SELECT 2 AS a, 'x' AS b")

    def test_columns_are_those_of_the_latest_table(self, engine: Engine, run: Any) -> None:
        assert run("SELECT * FROM `d.ev_*` ORDER BY a") == [(1, None), (2, "x")]
        assert engine.query("SELECT * FROM `d.ev_*` WHERE _TABLE_SUFFIX > ''").column_names == ["a", "b"]

    def test_suffix(self, run: Any) -> None:
        assert run("SELECT a, _TABLE_SUFFIX FROM `d.ev_2024*` WHERE _TABLE_SUFFIX BETWEEN '0102' AND '0131'") == [
            (2, "0102")
        ]
        assert run("SELECT COUNT(*) FROM `local-project.d.ev_*` WHERE _TABLE_SUFFIX = '20250101'") == [(0,)]

    def test_no_match(self, run: Any) -> None:
        with pytest.raises(BigQueryError, match=r"d.nothing_\* does not match any table"):
            run("SELECT * FROM `d.nothing_*`")


def test_a_cte_of_the_name_of_a_table(engine: Engine) -> None:
    """Inside its own definition the name is the table's, after it the CTE's."""
    engine.query("CREATE TABLE d.t AS SELECT 1 AS a")
    sql = "WITH t AS (SELECT a + 1 AS a FROM t), u AS (SELECT a + 1 AS a FROM t) SELECT t.a, u.a AS b FROM t, u"
    assert engine.query(sql, "d").to_pylist() == [{"a": 2, "b": 3}]
    counted = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT SUM(i) AS s FROM n"
    assert engine.query(counted, "d").to_pylist() == [{"s": 10}]


def test_information_schema(engine: Engine, run: Any) -> None:
    run("CREATE TABLE d.t (day DATE, k STRING NOT NULL, s ARRAY<STRUCT<x INT64>>) PARTITION BY day CLUSTER BY k")
    run("INSERT INTO d.t (day, k) VALUES ('2024-01-01', 'a'), ('2024-01-01', 'b'), (NULL, 'c')")
    run("CREATE VIEW d.v AS SELECT k FROM d.t")
    assert run("SELECT table_name, table_type FROM d.INFORMATION_SCHEMA.TABLES ORDER BY 1") == [
        ("t", "BASE TABLE"),
        ("v", "VIEW"),
    ]
    assert run(
        "SELECT column_name, data_type, is_nullable, is_partitioning_column, clustering_ordinal_position "
        "FROM `local-project.d`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 't' ORDER BY ordinal_position"
    ) == [
        ("day", "DATE", "YES", "YES", None),
        ("k", "STRING", "NO", "NO", 1),
        ("s", "ARRAY<STRUCT<x INT64>>", "YES", "NO", None),
    ]
    assert run(
        "SELECT partition_id, total_rows, total_logical_bytes FROM d.INFORMATION_SCHEMA.PARTITIONS ORDER BY 1"
    ) == [("20240101", 2, 22), ("__NULL__", 1, 3)]
    assert run("SELECT schema_name FROM INFORMATION_SCHEMA.SCHEMATA") == [("d",)]
    assert run("SELECT schema_name FROM `region-us`.INFORMATION_SCHEMA.SCHEMATA") == [("d",)]
    assert run("SELECT view_definition FROM d.INFORMATION_SCHEMA.VIEWS") == [("SELECT k FROM d.t",)]
    ddl = run("SELECT ddl FROM d.INFORMATION_SCHEMA.TABLES WHERE table_name = 't'")[0][0]
    run("DROP VIEW d.v")
    run("DROP TABLE d.t")
    run(ddl.rstrip(";"))
    assert resource(engine, "t")["clustering"] == {"fields": ["k"]}, "the DDL makes the table again"
    with pytest.raises(BigQueryError, match=r"UNIMPLEMENTED: INFORMATION_SCHEMA.JOBS is not emulated locally"):
        run("SELECT * FROM `region-us`.INFORMATION_SCHEMA.JOBS")
    with pytest.raises(BigQueryError, match="Not found: Dataset local-project:nowhere"):
        run("SELECT * FROM nowhere.INFORMATION_SCHEMA.TABLES")


def test_registered_arrow_tables(engine: Engine) -> None:
    """What BigQuery ML hands in: found by its bare name, whatever the default dataset is."""
    import pyarrow as pa

    engine.register("__ml_1", pa.table({"x": [1, 2]}))
    engine.query("CREATE TABLE d.t AS SELECT 2 AS x, 'b' AS name")
    joined = engine.query("SELECT m.x, t.name FROM __ml_1 AS m JOIN t USING (x)", "d")
    assert joined.to_pylist() == [{"x": 2, "name": "b"}]
    engine.unregister("__ml_1")
    with pytest.raises(BigQueryError, match=r"Not found: Table local-project:d.__ml_1"):
        engine.query("SELECT * FROM __ml_1", "d")

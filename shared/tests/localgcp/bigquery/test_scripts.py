# ruff: noqa: E501 - a script of the table below stands on one line
"""Scripts: control flow, variables, temporary tables and functions, transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from localgcp.bigquery import BigQueryError
from localgcp.bigquery.script import name_positions, parse_script

Script = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def script(client: bigquery.Client) -> Script:
    """Runs a script and gives the rows of its last SELECT."""
    return lambda sql: [tuple(row.values()) for row in client.query(sql).result()]


CASES = [
    ("DECLARE x INT64 DEFAULT 3; SELECT x;", [(3,)]),
    ("DECLARE x, y STRING; SELECT x, y;", [(None, None)]),
    ("DECLARE x DEFAULT DATE '2024-01-01'; SELECT EXTRACT(YEAR FROM x);", [(2024,)]),
    ("DECLARE x ARRAY<INT64> DEFAULT [1, 2]; SELECT SUM(v) FROM UNNEST(x) AS v;", [(3,)]),
    ("DECLARE s STRUCT<a INT64, b STRING>; SET s = (5, 'x'); SELECT s.a + 1, s.b;", [(6, "x")]),
    ("DECLARE a, b INT64; SET (a, b) = (SELECT AS STRUCT 1, 2); SELECT a, b;", [(1, 2)]),
    ("DECLARE x FLOAT64 DEFAULT 1; SELECT x / 2;", [(0.5,)]),
    (
        "DECLARE x INT64 DEFAULT 1; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT 'many'; END IF;",
        [("one",)],
    ),
    (
        "DECLARE x INT64 DEFAULT 2; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT 'many'; END IF;",
        [("two",)],
    ),
    (
        "DECLARE x INT64 DEFAULT 3; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT 'many'; END IF;",
        [("many",)],
    ),
    ("DECLARE x INT64 DEFAULT 2; CASE x WHEN 1 THEN SELECT 'one'; WHEN 2 THEN SELECT 'two'; END CASE;", [("two",)]),
    (
        "DECLARE x INT64 DEFAULT 0; WHILE x < 5 DO SET x = x + 1; IF x = 2 THEN CONTINUE; END IF; IF x = 4 THEN BREAK; END IF; END WHILE; SELECT x;",
        [(4,)],
    ),
    ("DECLARE x INT64 DEFAULT 0; LOOP SET x = x + 1; IF x >= 7 THEN LEAVE; END IF; END LOOP; SELECT x;", [(7,)]),
    ("DECLARE x INT64 DEFAULT 9; REPEAT SET x = x - 1; UNTIL x < 5 END REPEAT; SELECT x;", [(4,)]),
    (
        "DECLARE x INT64 DEFAULT 0; outer_loop: LOOP LOOP SET x = x + 1; LEAVE outer_loop; END LOOP; END LOOP outer_loop; SELECT x;",
        [(1,)],
    ),
    (
        "DECLARE n INT64 DEFAULT 0; FOR r IN (SELECT v, 'a' AS s FROM UNNEST([1, 2, 3]) AS v) DO SET n = n + r.v; END FOR; SELECT n;",
        [(6,)],
    ),
    ("DECLARE x INT64 DEFAULT 1; BEGIN DECLARE x INT64 DEFAULT 2; SET x = 3; END; SELECT x;", [(1,)]),
    ("BEGIN SELECT 1 / 0; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END;", [("division by zero",)]),
    (
        "BEGIN RAISE USING MESSAGE = 'mine'; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END;",
        [("Query error: mine",)],
    ),
    ("SELECT 1; RETURN; SELECT 2;", [(1,)]),
    (
        "DECLARE q STRING DEFAULT 'SELECT @a + ?'; DECLARE r INT64; EXECUTE IMMEDIATE 'SELECT @a * 2' INTO r USING 21 AS a; SELECT r;",
        [(42,)],
    ),
    ("DECLARE r INT64; EXECUTE IMMEDIATE CONCAT('SELECT ', '? + ', '?') INTO r USING 1, 2; SELECT r;", [(3,)]),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2); SELECT SUM(a) FROM t;", [(3,)]),
    (
        "CREATE TEMP TABLE t AS SELECT 1 AS a; CREATE OR REPLACE TEMP TABLE t AS SELECT a + 1 AS a FROM t; SELECT t.a FROM t;",
        [(2,)],
    ),
    ("CREATE TEMP FUNCTION f(x INT64) AS (x * 2); SELECT f(21);", [(42,)]),
    ("CREATE TEMP FUNCTION f(x INT64) AS (x * 2); CREATE TEMP FUNCTION g(x INT64) AS (f(x) + 1); SELECT g(2);", [(5,)]),
    ("CREATE TABLE d.t AS SELECT 1 AS a; UPDATE d.t SET a = 2 WHERE TRUE; SELECT @@row_count;", [(1,)]),
    ("SELECT 'a;b' AS x; -- a comment; with semicolons\nSELECT /* END IF; */ 2;", [(2,)]),
]


@pytest.mark.parametrize(("sql", "rows"), CASES)
def test_script(script: Script, sql: str, rows: list[Any]) -> None:
    assert script(sql) == rows


ERRORS = [
    ("SET x = 1; SELECT 1;", "Undeclared variable: x"),
    ("DECLARE x INT64; DECLARE X INT64;", "Variable 'X' redeclaration is not allowed"),
    ("DECLARE x INT64 DEFAULT 'a'; SELECT x;", "Value of type STRING cannot be assigned to variable x"),
    ("IF TRUE THEN SELECT 1;", "Syntax error: Unexpected end of script"),
    ("WHILE TRUE SELECT 1; END WHILE;", "Syntax error: Expected keyword DO"),
    ("BREAK;", "BREAK or CONTINUE outside of a loop"),
    ("IF 1 THEN SELECT 1; END IF;", "A condition must be of type BOOL"),
    ("RAISE USING MESSAGE = 'mine';", "mine"),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a", "Use of CREATE TEMPORARY TABLE requires a script or session"),
    ("BEGIN TRANSACTION", "Transaction control statements are supported only in scripts or sessions"),
    ("CREATE PROCEDURE d.p() BEGIN SELECT 1; END;", "UNIMPLEMENTED: CREATE PROCEDURE is not emulated locally"),
    ("SELECT 1; ROLLBACK TRANSACTION;", "There is no active transaction"),
]


@pytest.mark.parametrize(("sql", "message"), ERRORS)
def test_script_error(script: Script, sql: str, message: str) -> None:
    with pytest.raises(BadRequest) as raised:
        script(sql)
    assert message in str(raised.value)


def test_a_column_wins_over_a_variable(script: Script) -> None:
    script("CREATE TABLE d.t AS SELECT 5 AS x")
    assert script("DECLARE x INT64 DEFAULT 9; SELECT x FROM d.t;") == [(5,)]
    assert script("DECLARE y INT64 DEFAULT 9; SELECT x + y FROM d.t WHERE x < y;") == [(14,)]
    assert script("DECLARE x INT64 DEFAULT 9; UPDATE d.t SET x = x + 1 WHERE x < 9; SELECT x FROM d.t;") == [(6,)]
    assert script("DECLARE v INT64 DEFAULT 9; SELECT MAX(v) FROM (SELECT x AS v FROM d.t);") == [(6,)]
    assert script("DECLARE v INT64 DEFAULT 9; SELECT v FROM (SELECT x AS v FROM d.t WHERE x < v);") == [(6,)]
    assert script("DECLARE k INT64 DEFAULT 9; WITH c AS (SELECT 1 AS k) SELECT k FROM c;") == [(1,)]


def test_temporary_things_end_with_the_script(client: bigquery.Client, script: Script) -> None:
    script("CREATE TEMP TABLE t AS SELECT 1 AS a; CREATE TEMP FUNCTION f() AS (1); SELECT 1;")
    with pytest.raises(BadRequest, match='Table "t" must be qualified with a dataset'):
        script("SELECT * FROM t")
    with pytest.raises(BadRequest, match="Function not found: f"):
        script("SELECT f()")
    assert [item.dataset_id for item in client.list_datasets(include_all=True)] == ["d"]


def test_a_temporary_table_hides_one_of_the_default_dataset(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(default_dataset="local-project.d")
    client.query("CREATE TABLE d.t AS SELECT 'stored' AS a").result()
    job = client.query("CREATE TEMP TABLE t AS SELECT 'temporary' AS a; SELECT a FROM t;", job_config=config)
    assert [row.a for row in job.result()] == ["temporary"]
    assert [row.a for row in client.query("SELECT a FROM t", job_config=config).result()] == ["stored"]


def test_transaction(script: Script) -> None:
    script("CREATE TABLE d.t AS SELECT 1 AS a")
    script("BEGIN TRANSACTION; INSERT INTO d.t VALUES (2); ROLLBACK TRANSACTION;")
    assert script("SELECT COUNT(*) FROM d.t") == [(1,)]
    script("BEGIN TRANSACTION; INSERT INTO d.t VALUES (2); CREATE TABLE d.u AS SELECT 1 AS a; COMMIT TRANSACTION;")
    assert script("SELECT COUNT(*) FROM d.t") == [(2,)]
    with pytest.raises(BadRequest):
        script("BEGIN TRANSACTION; DELETE FROM d.t WHERE TRUE; SELECT 1 / 0; COMMIT TRANSACTION;")
    assert script("SELECT COUNT(*) FROM d.t") == [(2,)], "a script that fails rolls its transaction back"


def test_rollback_in_an_exception_handler(script: Script) -> None:
    """The form of the documentation."""
    script("CREATE TABLE d.t AS SELECT 1 AS a")
    handled = (
        "BEGIN BEGIN TRANSACTION; INSERT INTO d.t VALUES (2); SELECT 1 / 0; COMMIT TRANSACTION; "
        "EXCEPTION WHEN ERROR THEN {} ROLLBACK TRANSACTION; END; INSERT INTO d.t VALUES (3); SELECT SUM(a) FROM d.t;"
    )
    assert script(handled.format("SELECT @@error.message;")) == [(4,)]
    with pytest.raises(BadRequest, match="UNIMPLEMENTED: going on with a transaction after an error in it"):
        script(handled.format("INSERT INTO d.t VALUES (9);"))
    assert script("SELECT SUM(a) FROM d.t") == [(4,)]


def test_children_of_a_script(client: bigquery.Client) -> None:
    job = client.query("CREATE TABLE d.t AS SELECT 1 AS a; INSERT INTO d.t VALUES (2); SELECT * FROM d.t;")
    job.result()
    assert job.statement_type == "SCRIPT" and job.num_child_jobs == 3
    children = list(client.list_jobs(parent_job=job))
    assert [child.statement_type for child in children] == ["SELECT", "INSERT", "CREATE_TABLE_AS_SELECT"]
    assert children[1].num_dml_affected_rows == 1 and children[0].parent_job_id == job.job_id
    assert job.total_bytes_processed == sum(child.total_bytes_processed for child in children)


def test_statements_before_an_error_have_run(client: bigquery.Client, script: Script) -> None:
    with pytest.raises(BadRequest, match="Unrecognized name: nothing"):
        script("CREATE TABLE d.t AS SELECT 1 AS a; SELECT nothing FROM d.t;")
    assert script("SELECT a FROM d.t") == [(1,)]


def test_parameters_in_a_script(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("n", "INT64", 4)])
    job = client.query("DECLARE x INT64 DEFAULT @n; SELECT x * @n AS v;", job_config=config)
    assert [row.v for row in job.result()] == [16]


def test_the_parser_cuts_out_whole_statements() -> None:
    body = parse_script("SELECT CASE WHEN TRUE THEN ';' END; IF x THEN SELECT 1; END IF")
    assert body[0].text == "SELECT CASE WHEN TRUE THEN ';' END"  # type: ignore[attr-defined]
    assert name_positions("SELECT ?, '?' -- ?\n, ?") == "SELECT @_1, '?' -- ?\n, @_2"
    with pytest.raises(BigQueryError, match="Unclosed string literal"):
        parse_script("SELECT 'a")

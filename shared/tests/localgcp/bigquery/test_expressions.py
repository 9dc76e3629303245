"""What expressions give, held against the values in BigQuery's documentation, where DuckDB would differ above all."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from localgcp.bigquery import BigQueryError, Engine

from tests.localgcp.bigquery.conftest import Rows

UTC = dt.UTC

VALUES: list[tuple[str, Any]] = [
    # Conversion: half away from zero, and text must be the number itself.
    ("CAST(2.5 AS INT64)", 3),
    ("CAST(-2.5 AS INT64)", -3),
    ("CAST(1.5 AS INT64)", 2),
    ("CAST('0x1F' AS INT64)", 31),
    ("SAFE_CAST('5.5' AS INT64)", None),
    ("SAFE_CAST('apple' AS INT64)", None),
    ("CAST('TRUE' AS BOOL)", True),
    ("SAFE_CAST('yes' AS BOOL)", None),
    ("CAST(1.0 AS STRING)", "1"),
    ("CAST(123456789.0 AS STRING)", "123456789"),
    ("CAST(0.1 AS STRING)", "0.1"),
    ("CAST(CAST('nan' AS FLOAT64) AS STRING)", "NaN"),
    ("CAST(NUMERIC '1.50' AS STRING)", "1.5"),
    ("CAST(TRUE AS STRING)", "true"),
    ("CAST('abc' AS BYTES)", b"abc"),
    # Numbers
    ("7 / 2", 3.5),
    ("DIV(20, 4)", 5),
    ("DIV(12, -7)", -1),
    ("MOD(25, 12)", 1),
    ("MOD(-5, 3)", -2),
    ("ROUND(2.5)", 3.0),
    ("ROUND(-2.5)", -3.0),
    ("ROUND(123.7, -1)", 120.0),
    ("TRUNC(-2.8)", -2.0),
    ("SAFE_DIVIDE(1, 0)", None),
    ("IEEE_DIVIDE(20.0, 4.0)", 5.0),
    ("POW(2.0, 3.0)", 8.0),
    ("GREATEST(1, NULL)", None),
    ("LEAST(3, 5, 1)", 1),
    ("RANGE_BUCKET(20, [0, 10, 20, 30, 40])", 3),
    ("BIT_COUNT(5)", 2),
    ("NUMERIC '1.5' + 1", Decimal("2.5")),
    ("FARM_FINGERPRINT('hello')", -5436999610281751320),
    # Strings
    ("CONCAT('a', NULL)", None),
    ("SUBSTR('apple', 2)", "pple"),
    ("SUBSTR('apple', 2, 2)", "pp"),
    ("SUBSTR('apple', -2)", "le"),
    ("SUBSTR('apple', 0, 2)", "ap"),
    ("SUBSTR('apple', -9, 2)", "ap"),
    ("STRPOS('foo@example.com', '@')", 4),
    ("INSTR('helloooo', 'oo', 1, 2)", 6),
    ("SPLIT('b,a', ',')[OFFSET(1)]", "a"),
    ("REGEXP_EXTRACT('foo@example.com', r'^[a-z]+')", "foo"),
    ("REGEXP_REPLACE('# Heading', r'^# ([a-zA-Z0-9\\s]+$)', '<h1>\\\\1</h1>')", "<h1>Heading</h1>"),
    ("INITCAP('hello world')", "Hello World"),
    ("FORMAT('%05d|%.2f|%s', 42, 1.5, 'x')", "00042|1.50|x"),
    ("TO_HEX(MD5('Hello World'))", "b10a8db164e0754105b7a99be72e3fe5"),
    ("'abc' LIKE 'a%'", True),
    # Arrays and structs
    ("[1, 2, 3][OFFSET(0)]", 1),
    ("[1, 2, 3][ORDINAL(3)]", 3),
    ("[1, 2, 3][SAFE_OFFSET(9)]", None),
    ("[1, 2, 3][1]", 2),
    ("ARRAY_LENGTH(GENERATE_ARRAY(11, 33, 2))", 12),
    ("ARRAY_TO_STRING(['coffee', 'tea', NULL], ', ', 'MISSING')", "coffee, tea, MISSING"),
    ("STRUCT(1 AS a, 'x' AS b)", {"a": 1, "b": "x"}),
    ("STRUCT(1, 'x')", {"_field_1": 1, "_field_2": "x"}),
    # Dates: weeks begin on Sunday.
    ("DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)", 1),
    ("DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', WEEK)", 0),
    ("DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', WEEK(MONDAY))", 1),
    ("DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)", 3),
    ("DATE_TRUNC(DATE '2013-11-09', WEEK)", dt.date(2013, 11, 3)),
    ("DATE_TRUNC(DATE '2008-12-25', MONTH)", dt.date(2008, 12, 1)),
    ("EXTRACT(DAYOFWEEK FROM DATE '2024-01-07')", 1),
    ("EXTRACT(ISOWEEK FROM DATE '2005-01-03')", 1),
    ("DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH)", dt.date(2024, 2, 29)),
    ("LAST_DAY(DATE '2008-11-25')", dt.date(2008, 11, 30)),
    ("PARSE_DATE('%Y%m%d', '20081225')", dt.date(2008, 12, 25)),
    ("FORMAT_DATE('%b-%d-%Y', DATE '2008-12-25')", "Dec-25-2008"),
    (
        "TIMESTAMP_DIFF(TIMESTAMP '2010-07-07 10:20:00+00', TIMESTAMP '2008-12-25 15:30:00+00', HOUR)",
        13410,
    ),
    ("TIMESTAMP '2024-01-01 00:00:00+01'", dt.datetime(2023, 12, 31, 23, tzinfo=UTC)),
    ("DATETIME '2024-01-01 10:00:00'", dt.datetime(2024, 1, 1, 10)),
    ("UNIX_SECONDS(TIMESTAMP '2008-12-25 15:30:00+00')", 1230219000),
    ("TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)", 0),
    ("TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)", -61),
    ("DATETIME_DIFF(DATETIME '2017-10-15', DATETIME '2017-10-14', WEEK)", 1),
    ("DATETIME_DIFF(DATETIME '2017-12-18', DATETIME '2017-12-17', ISOWEEK)", 1),
    ("DATETIME_DIFF(DATETIME '2017-12-30', DATETIME '2014-12-30', ISOYEAR)", 2),
    ("DATE_TRUNC(DATE '2024-01-17', WEEK(MONDAY))", dt.date(2024, 1, 15)),
    ("DATE_TRUNC(DATE '2024-01-17', WEEK(THURSDAY))", dt.date(2024, 1, 11)),
    ("DATE_TRUNC(DATE '2024-01-17', ISOWEEK)", dt.date(2024, 1, 15)),
    ("DATE_TRUNC(DATE '2015-06-15', ISOYEAR)", dt.date(2014, 12, 29)),
    ("TIMESTAMP_TRUNC(TIMESTAMP '2024-01-17 10:00:00+00', WEEK)", dt.datetime(2024, 1, 14, tzinfo=UTC)),
    ("DATETIME_TRUNC(DATETIME '2024-01-17 10:00:00', WEEK(MONDAY))", dt.datetime(2024, 1, 15)),
    ("EXTRACT(WEEK FROM DATE '2015-12-23')", 51),
    ("EXTRACT(WEEK FROM DATE '2016-01-01')", 0),
    ("EXTRACT(WEEK FROM DATE '2016-01-03')", 1),
    ("EXTRACT(WEEK(MONDAY) FROM DATE '2017-11-05')", 44),
    ("CURRENT_DATETIME() > DATETIME '2020-01-01'", True),
    # JSON
    ("JSON_VALUE('{\"a\": {\"b\": 1}}', '$.a.b')", "1"),
    ("TO_JSON_STRING(STRUCT(1 AS a))", '{"a":1}'),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES, ids=[expression for expression, _ in VALUES])
def test_value(engine: Engine, expression: str, expected: Any) -> None:
    assert engine.query(f"SELECT {expression} AS v").column("v").to_pylist() == [expected]


ERRORS = [
    ("CAST('5.5' AS INT64)", "Bad int64 value: 5.5"),
    ("CAST('yes' AS BOOL)", "Bad bool value: yes"),
    ("[1, 2, 3][OFFSET(5)]", "Array index 5 is out of bounds"),
    ("[1, 2, 3][ORDINAL(0)]", "Array index -1 is out of bounds"),
    ("1 / 0", "division by zero"),
    ("DIV(1, 0)", "division by zero"),
    ("MOD(1, 0)", "division by zero"),
    ("POW(-1, 0.5)", "Floating point error in function: POW"),
    ("EXP(1000)", "Floating point error in function: EXP"),
    ("LN(0)", "Floating point error in function: LN"),
    ("9223372036854775807 + 1", "int64 overflow"),
    ("DATE '2024-02-30'", "Invalid date: '2024-02-30'"),
    ("ERROR('boom')", "boom"),
    ("nothing", "Unrecognized name: nothing at [1:8]"),
    ("nothing(1)", "Function not found: nothing at [1:8]"),
    ("'a' + 1", "No matching signature for operator + for argument types: STRING, INT64"),
    ("UPPER(1)", "No matching signature for function UPPER for argument types: INT64"),
]


@pytest.mark.parametrize(("expression", "message"), ERRORS, ids=[expression for expression, _ in ERRORS])
def test_error(engine: Engine, expression: str, message: str) -> None:
    with pytest.raises(BigQueryError, match=r".") as raised:
        engine.query(f"SELECT {expression}")
    assert message in raised.value.message


REFUSED = [
    "SELECT HLL_COUNT.INIT(1)",
    "SELECT NET.REG_DOMAIN('x')",
    "SELECT STRUCT(1 AS a, 2 AS b) AS s UNION ALL SELECT STRUCT(1 AS a, 2 AS c)",
    "SELECT STRUCT(1 AS a) AS s EXCEPT DISTINCT SELECT STRUCT(1 AS c)",
    "SELECT STRUCT(1 AS a) AS s INTERSECT DISTINCT SELECT STRUCT(1 AS c)",
    "SELECT _PARTITIONTIME FROM d.t",
    "SELECT 1 FROM d.t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()",
    "SELECT * FROM d.table_function(1)",
    "SELECT COLLATE('a', 'und:ci')",
    "SELECT @@time_zone",
    "CALL d.procedure()",
    "CREATE MATERIALIZED VIEW d.v AS SELECT 1 AS a",
    "CREATE SNAPSHOT TABLE d.s CLONE d.t",
    "CREATE TABLE d.t (a STRING(5))",
    "CREATE TABLE d.t (a GEOGRAPHY)",
    "CREATE TABLE d.t (a INT64) PARTITION BY _PARTITIONDATE",
    "CREATE TABLE d.t (a DATE) PARTITION BY a OPTIONS(partition_expiration_days=3)",
    "CREATE TEMP FUNCTION f(x FLOAT64) RETURNS FLOAT64 LANGUAGE js AS 'return x'",
    "EXPORT DATA OPTIONS(uri='gs://b/*') AS SELECT 1",
    "GRANT `roles/bigquery.dataViewer` ON TABLE d.t TO 'user:a@b.c'",
    "ALTER TABLE d.t ALTER COLUMN a SET OPTIONS(description='x')",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_not_emulated_is_refused(engine: Engine, sql: str) -> None:
    """Nothing is answered approximately, and nothing is silently left out."""
    with pytest.raises(BigQueryError, match=r"UNIMPLEMENTED: .* is not emulated locally"):
        engine.query(sql)


SYNTAX = [
    ("SELCT 1", 'Syntax error: Unexpected identifier "SELCT" at [1:1]'),
    ("SELECT FROM t", "Syntax error: SELECT list must not be empty"),
    ("SELECT 1 +", "Syntax error: Unexpected end of script at [1:10]"),
    ("SELECT 1\nFROM d.t\nGRUP BY a", 'Syntax error: Unexpected identifier "BY" at [3:6]'),
    ("SELECT 'abc", "Syntax error: Unclosed string literal"),
    ("SELECT COUNT(* FROM t", 'Syntax error: Expected ")" but got keyword FROM at [1:16]'),
]


@pytest.mark.parametrize(("sql", "message"), SYNTAX)
def test_syntax_error_says_where(engine: Engine, sql: str, message: str) -> None:
    with pytest.raises(BigQueryError) as raised:
        engine.query(sql)
    assert raised.value.message == message


def test_columns_are_named_as_in_bigquery(engine: Engine) -> None:
    engine.query("CREATE TABLE d.t AS SELECT 1 AS a, STRUCT(2 AS x) AS s")
    table = engine.query("SELECT a + 1, A, s.x, COUNT(*) OVER (), a FROM d.t")
    assert table.column_names == ["f0_", "A", "x", "f1_", "a_1"]


def test_average_of_numeric_is_numeric(engine: Engine) -> None:
    engine.query("CREATE TABLE d.t AS SELECT NUMERIC '1.5' AS n UNION ALL SELECT NUMERIC '2.5'")
    for sql in ("SELECT AVG(n) AS v FROM d.t", "SELECT DISTINCT AVG(n) OVER () AS v FROM d.t"):
        assert engine.query(sql).column("v").to_pylist() == [Decimal("2")]
        assert str(engine.query(sql).schema.field("v").type) == "decimal128(38, 9)"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a + 1 AS b FROM d.t WHERE b > 1",
        "SELECT a + 1 AS b, b * 2 FROM d.t",
        "SELECT x * 2 AS y FROM UNNEST([1]) AS x WHERE y > 1",
        "SELECT * FROM (SELECT a + 1 AS b FROM d.t WHERE b > 1)",
    ],
)
def test_an_alias_is_not_seen_by_where_and_select(run: Any, sql: str) -> None:
    """DuckDB sees it, BigQuery does not: the most common of all mistakes."""
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    with pytest.raises(BigQueryError, match=r"Unrecognized name: \w at"):
        run(sql)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT a + 1 AS b FROM d.t GROUP BY b HAVING b > 1 ORDER BY b", [(2,)]),
        ("SELECT a + 1 AS a FROM d.t WHERE a = 1", [(2,)]),
        ("SELECT (SELECT MAX(v) FROM UNNEST([1]) AS v) AS a, a + 1 AS c FROM d.t", [(1, 2)]),
        ("SELECT item.x + 1 AS x FROM UNNEST([STRUCT(1 AS x)]) AS item WHERE x = 1", [(2,)]),
        ("SELECT _TABLE_SUFFIX AS s, a + 1 AS a FROM `d.*` WHERE a = 1", [("t", 2)]),
    ],
)
def test_an_alias_where_it_may_be_used(run: Any, sql: str, rows: Rows) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a")
    assert run(sql) == rows


def test_functions_of_duckdb_are_not_bigquerys(run: Any) -> None:
    for call, message in (
        ("MEDIAN(1)", "Function not found: MEDIAN at [1:8]"),
        ("list_sum([1])", "Function not found: list_sum at [1:8]"),
        ("getenv('HOME')", "Function not found: getenv at [1:8]"),
        ("strlen('a')", "Function not found: strlen at [1:8]"),
        ("COUNT_DISTINCT(1)", "Function not found: COUNT_DISTINCT"),
        ("TO_BASE46(b'a')", "Function not found: TO_BASE46; Did you mean to_base64? at [1:8]"),
    ):
        with pytest.raises(BigQueryError) as raised:
            run(f"SELECT {call}")
        assert message in raised.value.message


def test_struct_keeps_the_names_of_its_columns(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS x, 'a' AS s")
    assert run("SELECT ARRAY_AGG(STRUCT(x, s)) FROM d.t") == [([{"x": 1, "s": "a"}],)]


def test_types_of_a_result_are_bigquerys(engine: Engine) -> None:
    """DuckDB sums integers in 128 bits and knows 32-bit integers, which BigQuery does not."""
    table = engine.query("SELECT SUM(x) AS s, 1 AS i, COUNT(*) AS n FROM UNNEST([1, 2]) AS x")
    assert [str(kind) for kind in table.schema.types] == ["int64"] * 3


def test_overflow_of_a_sum_is_an_error(engine: Engine) -> None:
    with pytest.raises(BigQueryError, match="int64 overflow"):
        engine.query("SELECT SUM(x) FROM UNNEST([9223372036854775807, 1]) AS x")


def test_an_array_with_null_cannot_be_written(engine: Engine) -> None:
    with pytest.raises(BigQueryError, match="Array cannot have a null element; error in writing field v"):
        engine.query("SELECT [1, NULL] AS v")


def test_nulls_come_first(run: Any) -> None:
    ordered = "SELECT x FROM UNNEST([2, NULL, 1]) AS x ORDER BY x"
    assert run(ordered) == [(None,), (1,), (2,)]
    assert run(ordered + " DESC") == [(2,), (1,), (None,)]


@pytest.mark.parametrize(
    ("condition", "types"),
    [
        ("b = 5", "STRING, INT64"),
        ("a = '5'", "INT64, STRING"),
        ("a IN (1, '2')", "INT64, STRING"),
        ("c = 1", "BOOL, INT64"),
    ],
)
def test_a_column_is_not_compared_with_another_type(run: Any, condition: str, types: str) -> None:
    """DuckDB would cast, and 'x' = 5 fails only in the row that holds an x."""
    run("CREATE TABLE d.t AS SELECT 1 AS a, '5' AS b, TRUE AS c")
    with pytest.raises(BigQueryError, match=f"No matching signature for operator .* for argument types: {types}"):
        run(f"SELECT * FROM d.t WHERE {condition}")


def test_unrecognized_name_suggests_another(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS body_mass_g")
    with pytest.raises(BigQueryError) as raised:
        run("SELECT\n  body_mass FROM d.t")
    assert raised.value.message == "Unrecognized name: body_mass; Did you mean body_mass_g? at [2:3]"


def test_ungrouped_column(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT 1 AS a, 2 AS b")
    with pytest.raises(
        BigQueryError, match="expression references column a which is neither grouped nor aggregated at"
    ):
        run("SELECT a, SUM(b) FROM d.t")


class TestUnnest:
    """UNNEST of STRUCTs gives their fields as columns."""

    @pytest.fixture(autouse=True)
    def _tables(self, run: Any) -> None:
        run("CREATE TABLE d.n (a INT64, items ARRAY<STRUCT<x INT64, y ARRAY<STRUCT<z INT64>>>>)")
        run("INSERT INTO d.n VALUES (1, [STRUCT(1 AS x, [STRUCT(7 AS z)] AS y), STRUCT(2 AS x, [] AS y)]), (2, [])")

    CASES: list[tuple[str, Rows]] = [
        ("SELECT a, item.x FROM d.n, UNNEST(items) AS item ORDER BY x", [(1, 1), (1, 2)]),
        ("SELECT a, x FROM d.n, UNNEST(items) ORDER BY x", [(1, 1), (1, 2)]),
        ("SELECT x, o FROM d.n, UNNEST(items) WITH OFFSET AS o ORDER BY o", [(1, 0), (2, 1)]),
        ("SELECT a, x FROM d.n LEFT JOIN UNNEST(items) ORDER BY a, x", [(1, 1), (1, 2), (2, None)]),
        ("SELECT sub.z FROM d.n AS n, n.items AS item, item.y AS sub", [(7,)]),
        ("SELECT a, (SELECT SUM(x) FROM UNNEST(items)) FROM d.n ORDER BY a", [(1, 3), (2, None)]),
        ("SELECT a FROM d.n WHERE EXISTS(SELECT 1 FROM UNNEST(items) AS i WHERE i.x = 2)", [(1,)]),
        ("SELECT * FROM UNNEST([STRUCT(1 AS a, 'x' AS b), (2, 'y')])", [(1, "x"), (2, "y")]),
        ("SELECT * FROM UNNEST([5, 6]) AS v WITH OFFSET ORDER BY v", [(5, 0), (6, 1)]),
    ]

    @pytest.mark.parametrize(("sql", "rows"), CASES)
    def test_rows(self, run: Any, sql: str, rows: Rows) -> None:
        assert run(sql) == rows

    def test_star_over_unknown_elements_is_refused(self, run: Any) -> None:
        with pytest.raises(BigQueryError, match="UNIMPLEMENTED: SELECT \\* over UNNEST"):
            run("SELECT * FROM (SELECT IF(TRUE, [STRUCT(1 AS q)], NULL) AS l) AS t, UNNEST(t.l)")


def test_more_queries(run: Any) -> None:
    run("CREATE TABLE d.t AS SELECT x, MOD(x, 2) AS g, x * 1.5 AS v FROM UNNEST(GENERATE_ARRAY(1, 6)) AS x")
    assert run("SELECT g, SUM(x) FROM d.t GROUP BY g ORDER BY g") == [(0, 12), (1, 9)]
    assert run(
        "SELECT x FROM d.t WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY g ORDER BY x DESC) = 1 ORDER BY x"
    ) == [
        (5,),
        (6,),
    ]
    assert run("WITH t AS (SELECT * FROM d.t WHERE x > 4) SELECT COUNT(*) FROM t") == [(2,)]
    assert run("SELECT * EXCEPT (v) FROM d.t WHERE x = 1") == [(1, 1)]
    assert run("SELECT * REPLACE (x + 1 AS x) FROM d.t WHERE x = 1") == [(2, 1, 1.5)]
    assert run("SELECT * FROM (SELECT g, x FROM d.t) PIVOT(SUM(x) FOR g IN (0, 1))") == [(12, 9)]
    assert run("SELECT COUNTIF(x > 4), APPROX_QUANTILES(x, 2) FROM d.t") == [(2, [1, 3, 6])]
    assert run("SELECT g, GROUPING(g), SUM(x) FROM d.t GROUP BY ROLLUP(g) ORDER BY g") == [
        (None, 1, 21),
        (0, 0, 12),
        (1, 0, 9),
    ]
    assert run("SELECT ARRAY_AGG(x ORDER BY x DESC LIMIT 2) FROM d.t") == [([6, 5],)]
    assert run("SELECT a.x FROM d.t AS a JOIN d.t AS b ON a.x = b.x + 5") == [(6,)]
    assert run("SELECT AS STRUCT 1 AS a, 2 AS b") == [(1, 2)]
    assert run("SELECT t FROM (SELECT 1 AS a) AS t") == [({"a": 1},)]


def test_a_draw_above_distinct_is_one_for_each_distinct_row() -> None:
    """DuckDB's filter pushdown would draw for each of the 100 rows behind a distinct one, and keep nearly all."""
    engine = Engine(None, "local-project")
    rows = "SELECT MOD(y, 1000) AS x FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS y"
    found = engine.query(f"SELECT COUNT(*) AS n FROM (SELECT DISTINCT x FROM ({rows})) WHERE RAND() < 0.1")
    # 100 with a standard deviation of 9.5.
    assert 40 < found["n"][0].as_py() < 160
    assert engine.connection.execute("SELECT current_setting('disabled_optimizers')").fetchone() == ("",)
    engine.close()

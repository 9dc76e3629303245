"""SQL of other dialects is refused, and what only looks like it is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from localgcp.bigquery import BigQueryError, Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(None, "local-project")
    made.query("CREATE SCHEMA d")
    made.query("CREATE TABLE d.a AS SELECT 1 AS x, 'q' AS y, [1, 2] AS list, 3 AS filter, 4 AS sample")
    made.query("CREATE TABLE d.b AS SELECT 1 AS x, 'z' AS z")
    yield made
    made.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a.x FROM d.a LEFT ANTI JOIN d.b ON a.x = b.x",
        "SELECT a.x FROM d.a SEMI JOIN d.b USING (x)",
        "SELECT a.x FROM d.a ASOF JOIN d.b USING (x)",
        "SELECT x FROM d.a NATURAL JOIN d.b",
        "SELECT x % 2 FROM d.a",
        "SELECT x::STRING FROM d.a",
        "SELECT x == 1 FROM d.a",
        "SELECT y ILIKE 'Q' FROM d.a",
        "SELECT x FROM d.a WHERE x ISNULL",
        "SELECT x FROM d.a WHERE x NOTNULL",
        "SELECT DISTINCT ON (x) x FROM d.a",
        "SELECT COUNT(*) FILTER (WHERE x > 1) FROM d.a",
        "SELECT ARRAY_AGG(x) WITHIN GROUP (ORDER BY x) FROM d.a",
        "SELECT x FROM d.a LIMIT 1, 2",
        "SELECT x FROM d.a FETCH FIRST 1 ROWS ONLY",
        "SELECT x FROM d.a FOR UPDATE",
        "SELECT x FROM d.a ORDER BY ALL",
        "SELECT x FROM d.a USING SAMPLE 10%",
        "SELECT a.* EXCLUDE (x) FROM d.a",
        "SELECT * FROM (VALUES (1), (2)) AS t(n)",
        "SELECT * FROM (SELECT 1 AS q) AS t(n)",
        "FROM d.a SELECT x",
        "SELECT CAST(x AS VARCHAR) FROM d.a",
        "SELECT SAFE_CAST(x AS DOUBLE) FROM d.a",
        "SELECT CAST(x AS TEXT) FROM d.a",
        "SELECT {'a': 1}",
        "SELECT x AS 'k' FROM d.a",
        "SELECT INTERVAL '1 day'",
        "SELECT DATE_ADD(DATE '2024-01-01', INTERVAL 1 MONTHS)",
        "SELECT 1 WHERE TRUE",
    ],
)
def test_is_refused(engine: Engine, sql: str) -> None:
    with pytest.raises(BigQueryError, match=r"Syntax error|cannot have a WHERE clause"):
        engine.query(sql)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT filter FROM d.a", 3),
        ("SELECT sample FROM d.a JOIN d.b USING (x)", 4),
        ("SELECT `x` AS `select` FROM d.a", 1),
        ("SELECT 'a % b :: c == d {e} ISNULL' AS s", "a % b :: c == d {e} ISNULL"),
        ("SELECT SUM(n) FROM UNNEST([1, 2]) AS n", 3),
        ("SELECT * EXCEPT (y, list, filter, sample) FROM d.a", 1),
        ("SELECT CAST(x AS INT) FROM d.a", 1),
        ("SELECT MOD(x, 2) FROM d.a", 1),
        ("SELECT EXTRACT(DAY FROM DATE '2024-01-01' + INTERVAL '3' DAY)", 4),
        ("SELECT COUNT(DISTINCT x) FROM d.a ORDER BY 1 LIMIT 1 OFFSET 0", 1),
        ("WITH days AS (SELECT 5 AS days) SELECT days FROM days", 5),
        ("SELECT (SELECT MAX(n) FROM UNNEST(list) AS n WHERE n < 2) FROM d.a", 1),
    ],
)
def test_is_answered(engine: Engine, sql: str, value: object) -> None:
    assert next(iter(engine.query(sql).to_pylist()[0].values())) == value

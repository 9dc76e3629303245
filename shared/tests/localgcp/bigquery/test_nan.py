"""NaN that lies in a table: the text of a query does not show it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from localgcp.bigquery import Engine
from localgcp.bigquery.errors import BigQueryError

Rows = list[tuple[Any, ...]]
Run = Callable[[str], Rows]


@pytest.fixture
def table(engine: Engine, run: Run) -> Run:
    """Four rows: g = a, b, c, d; x = 1, NaN, -5, NULL."""
    run("CREATE TABLE d.t (g STRING, n INT64, x FLOAT64, s STRUCT<y FLOAT64>, l ARRAY<FLOAT64>)")
    run("INSERT INTO d.t SELECT g, n, x, STRUCT(x AS y), [x] FROM UNNEST([STRUCT('a' AS g, 1 AS n, 1.0 AS x), "
        "('b', 2, CAST('nan' AS FLOAT64)), ('c', 3, -5.0)])")  # fmt: skip
    run("INSERT INTO d.t (g, n) VALUES ('d', 4)")
    return run


CASES: list[tuple[str, str]] = [
    ("SELECT g FROM d.t ORDER BY x", "dbca"),
    ("SELECT g FROM d.t ORDER BY x DESC", "acbd"),
    ("SELECT g, x AS z FROM d.t ORDER BY z", "dbca"),
    ("SELECT g, x FROM d.t ORDER BY 2", "dbca"),
    ("SELECT g, 1 / x AS x FROM d.t ORDER BY x", "dbca"),
    ("SELECT g FROM (SELECT g, x * 2 AS w FROM d.t) ORDER BY w", "dbca"),
    ("SELECT g, AVG(x) AS m FROM d.t GROUP BY g ORDER BY m", "dbca"),
    ("SELECT g FROM d.t GROUP BY g, x ORDER BY x", "dbca"),
    ("SELECT g, MAX(x) AS m FROM d.t GROUP BY g HAVING MAX(x) > 0", "a"),
    ("SELECT g, MAX(x) AS m FROM d.t GROUP BY g HAVING m != 1 ORDER BY g", "bc"),
    ("SELECT g FROM d.t ORDER BY s.y", "dbca"),
    ("SELECT g FROM d.t, UNNEST(l) AS v ORDER BY v", "bca"),
    ("SELECT DISTINCT g, x FROM d.t ORDER BY x", "dbca"),
    ("SELECT g FROM d.t WHERE x > 0 ORDER BY g", "a"),
    ("SELECT g FROM d.t WHERE x = x ORDER BY g", "ac"),
    ("SELECT g FROM d.t WHERE x != 7 ORDER BY g", "abc"),
    ("SELECT g FROM d.t WHERE NOT (x < 0) ORDER BY g", "ab"),
    ("SELECT g FROM d.t WHERE s.y >= 0 ORDER BY g", "a"),
    ("SELECT a.g FROM d.t AS a JOIN d.t AS b ON a.x = b.x ORDER BY a.g", "ac"),
    ("SELECT g FROM d.t ORDER BY n DESC", "dcba"),
    ("SELECT g, COUNT(x) AS k FROM d.t GROUP BY g ORDER BY k, g", "dabc"),
]


@pytest.mark.parametrize(("sql", "expected"), CASES)
def test_order_and_comparison(table: Run, sql: str, expected: str) -> None:
    assert "".join(row[0] for row in table(sql)) == expected


def test_least_and_greatest(table: Run) -> None:
    least, greatest, of_numbers = table("SELECT MIN(x), MAX(x), MIN(n) FROM d.t")[0]
    assert math.isnan(least)
    assert math.isnan(greatest)
    assert of_numbers == 1
    ranks = table("SELECT g, RANK() OVER (ORDER BY x) AS r FROM d.t ORDER BY g")
    assert ranks == [("a", 4), ("b", 2), ("c", 3), ("d", 1)]


def test_it_is_seen_when_it_comes_and_goes(run: Run) -> None:
    run("CREATE TABLE d.u AS SELECT 'a' AS g, 1.0 AS x UNION ALL SELECT 'b', 2.0")
    order, above = "SELECT g FROM d.u ORDER BY x", "SELECT COUNT(*) AS n FROM d.u WHERE x > 0"
    assert run(order) == [("a",), ("b",)]
    assert run(above) == [(2,)]
    run("UPDATE d.u SET x = SAFE_CAST('nan' AS FLOAT64) WHERE g = 'b'")
    assert run(order) == [("b",), ("a",)]
    assert run(above) == [(1,)]
    run("CREATE TABLE d.w AS SELECT * FROM d.u")
    assert run(order.replace("d.u", "d.w")) == [("b",), ("a",)]
    run("DELETE FROM d.u WHERE g = 'b'")
    run("INSERT INTO d.u VALUES ('c', 0.5)")
    assert run(order) == [("c",), ("a",)]


def test_what_is_not_told_apart_is_refused(table: Run) -> None:
    for sql in (
        "SELECT x FROM d.t UNION ALL SELECT x FROM d.t ORDER BY x",
        "SELECT * FROM (SELECT g, x FROM d.t) ORDER BY 2",
    ):
        with pytest.raises(BigQueryError, match="UNIMPLEMENTED: ORDER BY"):
            table(sql)
    assert len(table("SELECT g FROM d.t UNION ALL SELECT g FROM d.t ORDER BY g")) == 8

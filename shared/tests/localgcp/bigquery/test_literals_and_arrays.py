"""Literals as BigQuery's lexer reads them; fields of UNNEST; names in ORDER BY."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from localgcp.bigquery import Engine
from localgcp.bigquery.errors import BigQueryError

Rows = list[tuple[Any, ...]]
Run = Callable[[str], Rows]

LITERALS: list[tuple[str, Any]] = [
    (r"rb'a\n'", b"a\\n"),
    (r"br'a\n'", b"a\\n"),
    (r'RB"a\x41"', b"a\\x41"),
    (r"bR'''a'b\d'''", b"a'b\\d"),
    (r'Br"""a"b"""', b'a"b'),
    (r"rb'\\'", b"\\\\"),
    (r"rb'x\'y'", b"x\\'y"),
    ("rb''", b""),
    ("rb'é;'", "é;".encode()),
    (r"b'a\n\x41'", b"a\nA"),
    (r"b'\\x41'", b"\\x41"),
    (r"b'\101\'\\'", b"A'\\"),
    (r"B'''a" + "\n" + r"\tb'''", b"a\n\tb"),
    (r"r'x\'y'", "x\\'y"),
    (r"""r"a\"b'c" """, "a\\\"b'c"),
    (r"r'\d+'", r"\d+"),
    (r"'rb\'x'", "rb'x"),
    ('"br\'"', "br'"),
]


@pytest.mark.parametrize(("text", "value"), LITERALS)
def test_literals(run: Run, text: str, value: Any) -> None:
    assert run(f"SELECT {text} AS v") == [(value,)]
    assert run(f"SELECT v FROM (SELECT {text} AS v) WHERE v = {text}") == [(value,)]


def test_a_prefix_is_a_name_elsewhere(run: Run) -> None:
    assert run("SELECT rb AS z, b AS br FROM (SELECT 1 AS rb, 2 AS b)") == [(1, 2)]


def test_bytes_have_no_unicode_escapes(run: Run) -> None:
    with pytest.raises(BigQueryError, match="Illegal escape sequence"):
        run(r"SELECT b'\u0041' AS v")


@pytest.fixture
def pairs(engine: Engine, run: Run) -> Run:
    """A table of one row with an array of (a, 2) and (b, 3)."""
    run("CREATE TABLE d.t AS SELECT 1 AS id, [STRUCT('a' AS category, 2 AS n), STRUCT('b', 3)] AS c")
    return run


LITERAL = "(SELECT 'z' AS x, [STRUCT('a' AS category)] AS c)"
FIELDS: list[tuple[str, Rows]] = [
    (f"SELECT category FROM {LITERAL}, UNNEST(c)", [("a",)]),
    (f"SELECT category FROM {LITERAL} LEFT JOIN UNNEST(c) AS pair", [("a",)]),
    (f"SELECT pair.category FROM {LITERAL} LEFT JOIN UNNEST(c) AS pair", [("a",)]),
    (f"SELECT s.x, category FROM {LITERAL} AS s, UNNEST(s.c)", [("z", "a")]),
    ("WITH w AS (SELECT id, c FROM d.t) SELECT n FROM w, UNNEST(c) ORDER BY n", [(2,), (3,)]),
    ("WITH w AS (SELECT * FROM d.t) SELECT n FROM w, UNNEST(w.c) AS p ORDER BY n DESC", [(3,), (2,)]),
    ("SELECT k FROM (SELECT ARRAY_AGG(STRUCT(id AS k) ORDER BY id) AS c FROM d.t), UNNEST(c)", [(1,)]),
    (
        "WITH w AS (SELECT ARRAY(SELECT AS STRUCT n, category AS g FROM UNNEST(c)) AS b FROM d.t) "
        "SELECT g FROM w, UNNEST(b) ORDER BY n",
        [("a",), ("b",)],
    ),
    ("SELECT v FROM (SELECT [2, 1] AS c), UNNEST(c) AS v ORDER BY v", [(1,), (2,)]),
    (
        "WITH RECURSIVE w AS (SELECT 1 AS n, [5] AS c UNION ALL SELECT n + 1, c FROM w WHERE n < 2) "
        "SELECT n, v FROM w, UNNEST(c) AS v ORDER BY n",
        [(1, 5), (2, 5)],
    ),
]


@pytest.mark.parametrize(("sql", "expected"), FIELDS)
def test_fields_of_unnest_are_columns(pairs: Run, sql: str, expected: Rows) -> None:
    assert pairs(sql) == expected


ORDERED: list[tuple[str, Rows]] = [
    (f"SELECT pair.category FROM {LITERAL} LEFT JOIN UNNEST(c) AS pair ORDER BY x, category", [("a",)]),
    ("SELECT p.category FROM d.t, UNNEST(c) AS p ORDER BY category DESC", [("b",), ("a",)]),
    ("SELECT DISTINCT p.category FROM d.t, UNNEST(c) AS p ORDER BY category", [("a",), ("b",)]),
    ("SELECT c[OFFSET(0)].n FROM d.t ORDER BY n", [(2,)]),
    ("SELECT s.v.k FROM (SELECT STRUCT(x AS k) AS v FROM UNNEST([1, 3, 2]) AS x) AS s ORDER BY k", [(1,), (2,), (3,)]),
    # The SELECT list comes before the sources.
    ("SELECT s.v.x FROM (SELECT STRUCT(-x AS x) AS v, x FROM UNNEST([1, 3]) AS x) AS s ORDER BY x", [(-3,), (-1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), ORDERED)
def test_order_by_a_name_that_the_list_implies(pairs: Run, sql: str, expected: Rows) -> None:
    assert pairs(sql) == expected

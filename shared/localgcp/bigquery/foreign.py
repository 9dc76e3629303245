"""Other dialects: what sqlglot and DuckDB take and GoogleSQL has not. To answer it would teach what does not work.

sqlglot reads every dialect a little. ZetaSQL, which checks the SQL of the labs in CI, takes half a minute to start and
cannot stand here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from localgcp.bigquery.errors import BigQueryError

_OPERATORS = {"%", "::", "==", "{", "}", "ISNULL", "NOTNULL"}
_JOINS = {"SEMI", "ANTI", "NATURAL", "ASOF", "POSITIONAL", "GLOBAL", "STRAIGHT"}
# Words that are foreign only before another one: `USING SAMPLE`, a column `sample` may have any name.
_PAIRS = {
    ("USING", "SAMPLE"),
    ("WITHIN", "GROUP"),
    ("FOR", "UPDATE"),
    ("FOR", "SHARE"),
    ("DISTINCT", "ON"),
    ("FETCH", "FIRST"),
    ("FETCH", "NEXT"),
    ("ORDER BY", "ALL"),
}
# Names of types that other dialects have and CAST of GoogleSQL has not.
_TYPES = set("BLOB CHAR DOUBLE FLOAT FLOAT4 FLOAT8 INT4 INT8 LONG NVARCHAR REAL TEXT UUID VARBINARY VARCHAR".split())
_PARTS = set("YEAR QUARTER MONTH WEEK DAY HOUR MINUTE SECOND MILLISECOND MICROSECOND".split())
_PLURALS = {f"{part}S" for part in _PARTS}
_QUOTED = {TokenType.STRING, TokenType.IDENTIFIER, TokenType.RAW_STRING, TokenType.BYTE_STRING}


def refuse_foreign(tokens: Sequence[Token], tree: Any) -> None:
    """Raises BigQueryError for the first construct of another dialect."""
    for token in _foreign_words(tokens):
        raise BigQueryError(f'Syntax error: Unexpected "{token.text}" {_at(token)}')
    for problem in _foreign_nodes(tree):
        raise BigQueryError(problem)


def _at(token: Token) -> str:
    return f"at [{token.line}:{token.col - len(token.text) + 1}]"


def _foreign_words(tokens: Sequence[Token]) -> Iterator[Token]:
    """Tokens that begin something foreign."""
    # What is quoted is a name or a text, never a keyword.
    words = ["" if token.token_type in _QUOTED else token.text.upper() for token in tokens]
    # A function's body in another language is a text behind AS.
    makes_function = "FUNCTION" in words[:5]
    if words[:1] == ["FROM"] and "|>" not in words:
        yield tokens[0]
    for place, (token, word) in enumerate(zip(tokens, words, strict=True)):
        last = words[place - 1] if place else ""
        before_last = words[place - 2] if place > 1 else ""
        then = [*words[place + 1 : place + 3], "", ""]
        is_text = token.token_type == TokenType.STRING
        if any(
            (
                word in _OPERATORS and token.token_type != TokenType.VAR,
                (last, word) in _PAIRS,
                word == "FILTER" and then[:2] == ["(", "WHERE"],
                word == "EXCLUDE" and last == "*",
                word == "," and before_last == "LIMIT",
                is_text and last == "AS" and not makes_function,
                is_text and last == "INTERVAL" and then[0] not in _PARTS,
                word in _PLURALS and before_last == "INTERVAL",
                word in _TYPES and last == "AS" and then[0] in ("(", ")") and _in_cast(words, place),
            )
        ):
            yield token


def _in_cast(words: list[str], place: int) -> bool:
    """Whether the parenthesis around a place belongs to CAST or SAFE_CAST."""
    depth = 0
    for back in range(place - 1, 0, -1):
        depth += {")": 1, "(": -1}.get(words[back], 0)
        if depth < 0:
            return words[back - 1] in ("CAST", "SAFE_CAST")
    return False


def _foreign_nodes(tree: Any) -> Iterator[str]:
    for node in tree.walk():
        if isinstance(node, exp.Join):
            for word in (node.args.get("kind") or "", node.args.get("method") or ""):
                if word.upper() in _JOINS:
                    yield f"Syntax error: Unexpected keyword {word.upper()}: GoogleSQL has no {word.upper()} JOIN"
        elif isinstance(node, exp.ILike):
            yield "Syntax error: Unexpected identifier ILIKE: use LOWER(…) LIKE LOWER(…)"
        elif isinstance(node, exp.Values) and not isinstance(node.parent, exp.Insert):
            yield "Syntax error: Unexpected keyword VALUES: use SELECT … UNION ALL SELECT …, or UNNEST([STRUCT(…)])"
        elif isinstance(node, exp.TableAlias) and node.args.get("columns") and isinstance(node.parent, exp.Subquery):
            yield 'Syntax error: Expected end of input but got "(" after the alias of a subquery'
        elif isinstance(node, exp.Select) and node.args.get("where") and not node.args.get("from_"):
            yield "Query without FROM clause cannot have a WHERE clause"

"""Finds BigQuery ML calls in GoogleSQL text by its tokens, so that everything around a call stays as it was written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from localgcp.bqml.errors import BadRequest

OPENING = {TokenType.L_PAREN: 1, TokenType.L_BRACKET: 1, TokenType.R_PAREN: -1, TokenType.R_BRACKET: -1}


@dataclass(frozen=True)
class Call:
    """`ML.NAME(MODEL model, …)` at [start, end) of the text."""

    start: int
    end: int
    name: str
    model: tuple[str, ...]
    arguments: tuple[str, ...]


def tokens(sql: str) -> list[Token]:
    """Raises BadRequest for text that is no SQL at all."""
    try:
        return list(BigQuery().tokenize(sql))
    except SqlglotError as error:
        raise BadRequest(f"Syntax error: {str(error).splitlines()[0]}") from None


def head(sql: str) -> list[str]:
    """The first words of a statement, in capitals: what kind of statement it is."""
    try:
        return [token.text.upper() for token in tokens(sql)[:6]]
    except BadRequest:
        return []


def statement_kind(sql: str) -> str | None:
    """'CREATE', 'DROP', 'EXPORT' or 'ALTER' for a statement on a model, else None."""
    words = head(sql)
    if words[:2] in (["DROP", "MODEL"], ["EXPORT", "MODEL"], ["ALTER", "MODEL"]):
        return words[0]
    if words[:2] == ["CREATE", "MODEL"] or words[:4] == ["CREATE", "OR", "REPLACE", "MODEL"]:
        return "CREATE"
    return None


def has_model_call(sql: str) -> bool:
    return any(_model_call_at(found, i) for found in [tokens(sql)] for i in range(len(found)))


def has_ml_function(sql: str) -> bool:
    """Whether any ML.name( stands in the text, with a model or without."""
    found = tokens(sql)
    return any(_ml_function_at(found, i) for i in range(len(found)))


def first_call(sql: str) -> Call | None:
    """The leftmost ML.name(MODEL …) that has no other one inside, or None."""
    found = tokens(sql)
    for i in range(len(found)):
        if not _model_call_at(found, i):
            continue
        close = _closing(found, i + 3)
        if any(_model_call_at(found, j) for j in range(i + 4, close)):
            continue
        arguments = _split(sql, found, i + 3, close)
        model = path_of(arguments[0][len("MODEL") :])
        return Call(found[i].start, found[close].end + 1, found[i + 2].text.upper(), model, tuple(arguments[1:]))
    return None


def path_of(text: str) -> tuple[str, ...]:
    """`p.d.m`, `p`.`d`.m … as its parts. Raises BadRequest if it is no name."""
    parts = tuple(part.strip() for part in text.replace("`", "").strip().split("."))
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise BadRequest(f"Invalid model name: {text.strip()}")
    return parts


def visible_ctes(sql: str, position: int) -> list[str]:
    """The `name AS (query)` texts of WITH clauses that a query at `position` can see, in their order.

    An argument of ML.X(MODEL m, (SELECT … FROM cte)) runs as a query of its own, so it must bring them along.
    """
    found = tokens(sql)
    visible: list[str] = []
    for i, token in enumerate(found):
        if token.start >= position or token.text.upper() != "WITH" or not _starts_ctes(found, i):
            continue
        end = _scope_end(found, i)
        if position > end:
            continue
        j = i + (2 if found[i + 1].text.upper() == "RECURSIVE" else 1)
        while j + 2 < len(found) and found[j + 1].text.upper() == "AS" and found[j + 2].token_type == TokenType.L_PAREN:
            close = _closing(found, j + 2)
            if found[close].end >= position:
                break
            visible.append(sql[found[j].start : found[close].end + 1])
            if close + 1 >= len(found) or found[close + 1].token_type != TokenType.COMMA:
                break
            j = close + 2
    return visible


def _ml_function_at(found: list[Token], i: int) -> bool:
    return (
        i + 3 < len(found)
        and found[i].text.upper() == "ML"
        and found[i + 1].token_type == TokenType.DOT
        and found[i + 3].token_type == TokenType.L_PAREN
        and (i == 0 or found[i - 1].token_type != TokenType.DOT)
    )


def _model_call_at(found: list[Token], i: int) -> bool:
    return _ml_function_at(found, i) and i + 4 < len(found) and found[i + 4].text.upper() == "MODEL"


def _closing(found: list[Token], opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for i in range(opening, len(found)):
        depth += OPENING.get(found[i].token_type, 0)
        if depth == 0:
            return i
    raise BadRequest('Syntax error: Expected ")" but got end of script')


def _split(sql: str, found: list[Token], opening: int, closing: int) -> list[str]:
    """The texts between commas of the parenthesised list."""
    texts, start, depth, types = [], found[opening].end + 1, 0, 0
    for before, token in zip(found[opening:closing], found[opening + 1 : closing]):
        depth += OPENING.get(token.token_type, 0)
        # STRUCT<a INT64, b STRING>(…): its commas part no arguments.
        if token.token_type == TokenType.LT and (types or before.text.upper() in ("STRUCT", "ARRAY")):
            types += 1
        elif token.token_type == TokenType.GT and types:
            types -= 1
        elif token.token_type == TokenType.COMMA and depth == 0 and types == 0:
            texts.append(sql[start : token.start].strip())
            start = token.end + 1
    texts.append(sql[start : found[closing].start].strip())
    return [text for text in texts if text]


def _starts_ctes(found: list[Token], i: int) -> bool:
    """Whether this WITH begins common table expressions (there are others: WITH OFFSET, WITH CONNECTION)."""
    j = i + (2 if i + 1 < len(found) and found[i + 1].text.upper() == "RECURSIVE" else 1)
    return j + 2 < len(found) and found[j + 1].text.upper() == "AS" and found[j + 2].token_type == TokenType.L_PAREN


def _scope_end(found: list[Token], i: int) -> int:
    """Text position where the parenthesis around token i closes, or the end of the statement."""
    depth = 0
    for token in found[i:]:
        depth += OPENING.get(token.token_type, 0)
        if depth < 0:
            return token.start
    return found[-1].end + 1

"""CREATE MODEL and DROP MODEL as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.sql import OPENING, path_of, tokens


@dataclass(frozen=True)
class Range:
    """HPARAM_RANGE(low, high)."""

    low: float
    high: float


@dataclass(frozen=True)
class Candidates:
    """HPARAM_CANDIDATES([…])."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class CreateModel:
    name: tuple[str, ...]
    replace: bool
    if_not_exists: bool
    options: dict[str, Any]
    transform: tuple[exp.Expr, ...]
    query: str


@dataclass(frozen=True)
class DropModel:
    name: tuple[str, ...]
    if_exists: bool


def parse_create(sql: str) -> CreateModel:
    """Raises BadRequest, with the place of a syntax error."""
    start = _query_start(sql)
    header = sql if start is None else sql[:start]
    if start is None:
        raise unimplemented("CREATE MODEL without AS (a remote or an imported model)")
    # The query is not parsed here: the engine reads it as it was written.
    tree = _parse(header + " SELECT 1")
    if not isinstance(tree, exp.Create) or tree.args.get("kind") != "MODEL":
        raise BadRequest("Syntax error: Expected CREATE MODEL")
    options: dict[str, Any] = {}
    transform: tuple[exp.Expr, ...] = ()
    for part in tree.args["properties"].expressions if tree.args.get("properties") else []:
        if isinstance(part, exp.TransformModelProperty):
            transform = tuple(part.expressions)
        elif isinstance(part, exp.Property) and isinstance(part.this, exp.Var):
            name = part.this.name.lower()
            if name in options:
                raise BadRequest(f"Duplicate option specified for '{name}'.")
            options[name] = literal(part.args["value"], name)
        else:
            raise unimplemented(f"CREATE MODEL … {part.sql(dialect='bigquery').split('(')[0]}")
    return CreateModel(
        name=tuple(part.name for part in tree.this.parts),
        replace=bool(tree.args.get("replace")),
        if_not_exists=bool(tree.args.get("exists")),
        options=options,
        transform=transform,
        query=sql[start:].strip().rstrip(";"),
    )


def parse_drop(sql: str) -> DropModel:
    found = tokens(sql.strip().rstrip(";"))
    words = [token.text.upper() for token in found]
    if_exists = words[2:4] == ["IF", "EXISTS"]
    first = 4 if if_exists else 2
    if len(found) <= first:
        raise BadRequest("Syntax error: Unexpected end of statement")
    return DropModel(path_of(sql[found[first].start : found[-1].end + 1]), if_exists)


def literal(node: exp.Expr, option: str) -> Any:
    """The Python value of an option. Raises BadRequest for anything that is not constant."""
    if isinstance(node, exp.Literal):
        if node.is_string:
            return node.this
        return float(node.this) if any(c in node.this for c in ".eE") else int(node.this)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Neg):
        return -literal(node.this, option)
    if isinstance(node, exp.Paren):
        return literal(node.this, option)
    if isinstance(node, exp.Array):
        return [literal(item, option) for item in node.expressions]
    if isinstance(node, exp.Tuple | exp.Struct):
        return tuple(
            literal(item.expression if isinstance(item, exp.PropertyEQ) else item, option) for item in node.expressions
        )
    if isinstance(node, exp.Anonymous) and node.name.upper() == "HPARAM_RANGE" and len(node.expressions) == 2:
        low, high = (literal(item, option) for item in node.expressions)
        return Range(low, high)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "HPARAM_CANDIDATES" and len(node.expressions) == 1:
        return Candidates(tuple(literal(node.expressions[0], option)))
    raise BadRequest(f"Option {option} must be a constant, got {node.sql(dialect='bigquery')}.")


def _parse(sql: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, read="bigquery")
    except ParseError as error:
        first = error.errors[0]
        raise BadRequest(f"Syntax error: {first['description']} at [{first['line']}:{first['col']}]") from None


def _query_start(sql: str) -> int | None:
    """Where the training query begins: after the first AS outside parentheses."""
    depth = 0
    for token in tokens(sql):
        depth += OPENING.get(token.token_type, 0)
        if depth == 0 and token.token_type == TokenType.ALIAS:
            return token.end + 1
    if depth > 0:
        raise BadRequest('Syntax error: Expected ")" but got end of script')
    return None

"""CREATE MODEL, EXPORT MODEL and DROP MODEL as data."""

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
    """`query` is None for a statement without AS; `inputs` and `outputs` are names and types of INPUT and OUTPUT."""

    name: tuple[str, ...]
    replace: bool
    if_not_exists: bool
    options: dict[str, Any]
    transform: tuple[exp.Expr, ...]
    query: str | None
    inputs: dict[str, str] | None = None
    outputs: dict[str, str] | None = None


@dataclass(frozen=True)
class ExportModel:
    name: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class DropModel:
    name: tuple[str, ...]
    if_exists: bool


def parse_create(sql: str) -> CreateModel:
    """Raises BadRequest, with the place of a syntax error."""
    start = _query_start(sql)
    header = sql if start is None else sql[:start]
    # The query is not parsed here: the engine reads it as it was written.
    tree = _parse(header if start is None else header + " SELECT 1")
    if not isinstance(tree, exp.Create) or tree.args.get("kind") != "MODEL":
        raise BadRequest("Syntax error: Expected CREATE MODEL")
    options: dict[str, Any] = {}
    transform: tuple[exp.Expr, ...] = ()
    schemas: dict[type, dict[str, str]] = {}
    for part in tree.args["properties"].expressions if tree.args.get("properties") else []:
        if isinstance(part, exp.TransformModelProperty):
            transform = tuple(part.expressions)
        elif isinstance(part, exp.InputModelProperty | exp.OutputModelProperty):
            schemas[type(part)] = _schema(part)
        elif isinstance(part, exp.Property) and isinstance(part.this, exp.Var):
            _add_option(options, part)
        else:
            raise unimplemented(f"CREATE MODEL … {part.sql(dialect='bigquery').split('(')[0]}")
    return CreateModel(
        name=tuple(part.name for part in tree.this.parts),
        replace=bool(tree.args.get("replace")),
        if_not_exists=bool(tree.args.get("exists")),
        options=options,
        transform=transform,
        query=None if start is None else sql[start:].strip().rstrip(";"),
        inputs=schemas.get(exp.InputModelProperty),
        outputs=schemas.get(exp.OutputModelProperty),
    )


def parse_export(sql: str) -> ExportModel:
    """Raises BadRequest, with the place of a syntax error."""
    found = tokens(sql.strip().rstrip(";"))
    opening = next((i for i, token in enumerate(found) if i > 2 and token.text.upper() == "OPTIONS"), len(found))
    if len(found) < 3 or opening == len(found) - 1:
        raise BadRequest("Syntax error: Unexpected end of statement")
    name = path_of(sql.strip()[found[2].start : found[opening - 1].end + 1])
    options: dict[str, Any] = {}
    if opening < len(found):
        # sqlglot reads OPTIONS of CREATE MODEL, not of EXPORT MODEL.
        tree = _parse("CREATE MODEL m " + sql.strip().rstrip(";")[found[opening].start :])
        parts = (
            tree.args["properties"].expressions if isinstance(tree, exp.Create) and tree.args.get("properties") else []
        )
        for part in parts:
            if not (isinstance(part, exp.Property) and isinstance(part.this, exp.Var)):
                raise BadRequest("Syntax error: Expected OPTIONS(URI = 'gs://…') in EXPORT MODEL")
            _add_option(options, part)
    return ExportModel(name, options)


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


def _add_option(options: dict[str, Any], part: exp.Property) -> None:
    name = part.this.name.lower()
    if name in options:
        raise BadRequest(f"Duplicate option specified for '{name}'.")
    options[name] = literal(part.args["value"], name)


def _schema(part: exp.Expr) -> dict[str, str]:
    """Column names of INPUT(…) or OUTPUT(…) with their types, as BigQuery writes them."""
    schema: dict[str, str] = {}
    for column in part.this.expressions:
        if not isinstance(column, exp.ColumnDef) or column.kind is None:
            raise BadRequest(f"Syntax error: Expected a name and a type, got {column.sql(dialect='bigquery')}")
        if column.name.lower() in {name.lower() for name in schema}:
            raise BadRequest(f"Duplicate column name {column.name} in INPUT or OUTPUT.")
        schema[column.name] = column.kind.sql(dialect="bigquery").upper()
    return schema


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

"""Parsing GoogleSQL: one statement to a syntax tree, places in the text, and what is refused on sight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from localgcp.bigquery.errors import BigQueryError, unimplemented

# A node of a syntax tree. sqlglot's own annotations name two bases for its nodes, Expr and Expression, and mix them.
Tree: TypeAlias = Any

# sqlglot logs what it cannot parse in full, and then answers with a Command, which is refused below in plain words.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


class _Dialect(BigQuery):
    """BigQuery's dialect for cutting text into tokens only."""

    class Tokenizer(BigQuery.Tokenizer):
        # sqlglot makes one string of everything behind WHILE, BEGIN, EXECUTE …, which scripts must look into.
        COMMANDS: ClassVar[set[TokenType]] = set()


def tokenize(sql: str) -> list[Token]:
    """The tokens of GoogleSQL text. Raises BigQueryError for an unclosed string or comment."""
    try:
        return list(_Dialect().tokenize(sql))
    except TokenError as error:
        raise _token_error(sql, error) from None


def _token_error(sql: str, error: TokenError) -> BigQueryError:
    if sql.count("'") % 2 or sql.count('"') % 2:
        return BigQueryError("Syntax error: Unclosed string literal")
    return BigQueryError(f"Syntax error: {_first_line(error)}")


_STARTERS = {
    "SELECT", "WITH", "(", "FROM", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "DROP", "ALTER",
    "BEGIN", "COMMIT", "ROLLBACK", "GRANT", "REVOKE", "EXPORT", "LOAD", "CALL", "ASSERT", "UNDROP", "EXPLAIN",
}  # fmt: skip


def parse(sql: str) -> Tree:
    """The tree of one statement. Raises BigQueryError with BigQuery's form of a syntax error."""
    first = next(iter(tokenize(sql)), None)
    if first is not None and first.text.upper().split()[0] not in _STARTERS:
        at = f"at [{first.line}:{first.col - len(first.text) + 1}]"
        raise BigQueryError(f"Syntax error: Unexpected {_kind(first.text)} {at}")
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except TokenError as error:
        raise _token_error(sql, error) from None
    except ParseError as error:
        raise _syntax_error(error) from None
    if len(trees) != 1:
        raise BigQueryError("Syntax error: Unexpected end of statement" if not trees else "Expected one statement")
    tree = trees[0]
    if isinstance(tree, exp.Command):
        words = f"{tree.this} {tree.expression or ''}".split()
        raise unimplemented("the statement " + " ".join(words[:3]).upper())
    for select in tree.find_all(exp.Select):
        if not select.expressions:
            raise BigQueryError("Syntax error: SELECT list must not be empty")
    return tree


def _syntax_error(error: ParseError) -> BigQueryError:
    details: dict[str, Any] = dict(error.errors[0]) if error.errors else {}
    word, line, column = details.get("highlight"), details.get("line"), details.get("col")
    if not word or not line or not column:
        return BigQueryError(f"Syntax error: {_first_line(error)}")
    at = f"at [{line}:{column - len(word) + 1}]"  # sqlglot's column is that of the word's last character
    description = details.get("description", "")
    if description.startswith("Required keyword"):
        # An operand or clause is missing behind this word: at the end of the text, or before what follows.
        following = (details.get("end_context") or "").strip()
        return BigQueryError(f"Syntax error: Unexpected {'end of script' if not following else _kind(word)} {at}")
    if description.startswith("Expecting "):
        return BigQueryError(f'Syntax error: Expected "{description[10:].rstrip(".")}" but got {_kind(word)} {at}')
    return BigQueryError(f"Syntax error: Unexpected {_kind(word)} {at}")


def _kind(word: str) -> str:
    if word.replace("_", "a").isalnum() and not word[0].isdigit():
        is_keyword = word.upper() in BigQuery.Tokenizer.KEYWORDS
        return f"keyword {word.upper()}" if is_keyword else f'identifier "{word}"'
    return f'"{word}"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def locator(sql: str) -> Callable[[str], str]:
    """The function from a name to " at [line:column]" of its first place in the text, or to "" when it has none."""

    def locate(name: str) -> str:
        for token in tokenize(sql):
            if token.text.lower() == name.lower():
                line = sql.count("\n", 0, token.start) + 1
                return f" at [{line}:{token.start - (sql.rfind(chr(10), 0, token.start) + 1) + 1}]"
        return ""

    return locate


def function_name(node: Tree) -> str:
    """The name that a function was called by, upper case."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    return node.sql_name() if isinstance(node, exp.Func) else ""


# Functions that bqemulator or DuckDB answer differently from BigQuery, found by running both ways what the
# documentation states. Right answers are not known for them here, so they are refused.
_WRONG_FUNCTIONS = {
    "APPROX_TOP_COUNT": "APPROX_TOP_COUNT",
    "APPROX_TOP_SUM": "APPROX_TOP_SUM",
    "APPROX_TOP_K": "APPROX_TOP_COUNT",
    "JSON_TYPE": "JSON_TYPE",
}
_PSEUDO_COLUMNS = {"_PARTITIONTIME", "_PARTITIONDATE", "_FILE_NAME", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"}


def refuse(tree: Tree) -> None:
    """Raises BigQueryError for constructs that would be answered wrongly."""
    for node in tree.walk():
        for problem in _problems(node):
            raise unimplemented(problem)


def _problems(node: Tree) -> Iterator[str]:
    if isinstance(node, exp.Column):
        # bqemulator would put today's date in the place of _PARTITIONTIME.
        if node.name.upper() in _PSEUDO_COLUMNS:
            yield f"the pseudo-column {node.name.upper()}"
    elif isinstance(node, exp.Table):
        if node.args.get("version"):
            yield "FOR SYSTEM_TIME AS OF (time travel)"
        if isinstance(node.this, exp.Anonymous):
            yield f"the table function {node.this.name}"
    elif isinstance(node, exp.Collate):
        yield "COLLATE"
    elif isinstance(node, exp.NetFunc):
        yield "the function NET." + node.this.sql(dialect="bigquery").split("(")[0].upper()
    elif isinstance(node, exp.SafeFunc):
        yield from _problems_of_safe(node)
    elif isinstance(node, exp.Func):
        name = function_name(node)
        if name in _WRONG_FUNCTIONS:
            yield f"the function {_WRONG_FUNCTIONS[name]}"
        if name.startswith(("HLL_COUNT", "KLL_QUANTILES", "NET.", "KEYS.", "AEAD.", "DLP_")):
            yield f"the function {name}"
    elif isinstance(node, exp.Dot) and node.this.name.upper() in ("HLL_COUNT", "KLL_QUANTILES", "NET", "KEYS", "AEAD"):
        yield f"the function {node.sql(dialect='bigquery').split('(')[0]}"


# SAFE.f(x) is translated to DuckDB's TRY(f(x)), which is NULL only where DuckDB raises. For other functions DuckDB
# returns NaN, infinity or NULL where BigQuery raises, or sqlglot has given the function another form.
_SAFE_AS_TRY = (
    exp.StrToDate,
    exp.StrToTime,
    exp.ParseDatetime,
    exp.ParseTime,
    exp.ParseJSON,
    exp.Cast,
    exp.Date,
)


def _problems_of_safe(node: exp.SafeFunc) -> Iterator[str]:
    if not isinstance(node.this, _SAFE_AS_TRY):
        yield "the function SAFE." + node.this.sql(dialect="bigquery").split("(")[0].upper()

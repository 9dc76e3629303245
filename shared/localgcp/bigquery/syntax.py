"""Parsing GoogleSQL: one statement to a syntax tree, places in the text, and what is refused on sight."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.foreign import refuse_foreign

# A node of a syntax tree. sqlglot's own annotations name two bases for its nodes, Expr and Expression, and mix them.
Tree: TypeAlias = Any

# sqlglot logs what it cannot parse in full, and then answers with a Command, which is refused below in plain words.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


# rb'…' in all its spellings, which sqlglot does not know.
_RAW_BYTES = [
    (prefix + quote, quote)
    for prefix in ("rb", "rB", "Rb", "RB", "br", "bR", "Br", "BR")
    for quote in ("'", '"', "'''", '"""')
]


class _Dialect(BigQuery):
    """BigQuery's dialect for cutting text into tokens only."""

    class Tokenizer(BigQuery.Tokenizer):
        RAW_STRINGS: ClassVar[list[Any]] = [*BigQuery.Tokenizer.RAW_STRINGS, *_RAW_BYTES]
        # sqlglot makes one string of everything behind WHILE, BEGIN, EXECUTE …, which scripts must look into.
        COMMANDS: ClassVar[set[TokenType]] = set()


def tokenize(sql: str) -> list[Token]:
    """The tokens of GoogleSQL text. Raises BigQueryError for an unclosed string or comment."""
    return list(_tokens(sql) if len(sql) <= _SHORT else _tokens.__wrapped__(sql))


# Longer texts come once: they are not kept.
_SHORT = 10_000


@lru_cache(maxsize=256)
def _tokens(sql: str) -> tuple[Token, ...]:
    """A statement's tokens are asked for by every step that looks at its text."""
    try:
        return tuple(_Dialect().tokenize(sql))
    except TokenError as error:
        raise _token_error(sql, error) from None


def _token_error(sql: str, error: TokenError) -> BigQueryError:
    if sql.count("'") % 2 or sql.count('"') % 2:
        return BigQueryError("Syntax error: Unclosed string literal")
    return BigQueryError(f"Syntax error: {_first_line(error)}")


# Functions that `calls` puts in another form: the parser keeps them as they are written, and sqlglot's own idea of them
# (another name, arguments in another order, a pattern in another language) does not come in between.
OWN = frozenset(
    """
SIN COS TAN ACOS ASIN ACOSH ATANH COSH SINH COT CSC COTH CSCH ROUND TRUNC CEIL FLOOR SIGN SQRT EXP LN LOG10 POW DIV
MOD CEILING POWER LOG SAFE_DIVIDE GREATEST LEAST BIT_COUNT UPPER LOWER REVERSE LEFT RIGHT LPAD RPAD REPEAT REPLACE
STARTS_WITH ENDS_WITH STRPOS INSTR SUBSTR SUBSTRING TRIM LTRIM RTRIM ASCII UNICODE CHR CODE_POINTS_TO_STRING
CODE_POINTS_TO_BYTES TO_CODE_POINTS FROM_HEX SAFE_CONVERT_BYTES_TO_STRING INITCAP CONTAINS_SUBSTR FARM_FINGERPRINT
JSON_TYPE LAX_BOOL LAX_INT64 LAX_FLOAT64 LAX_STRING ARRAY_SLICE UNIX_SECONDS UNIX_MILLIS DATE_BUCKET DATETIME_BUCKET
TIMESTAMP_BUCKET JUSTIFY_INTERVAL CONCAT REGEXP_CONTAINS REGEXP_REPLACE REGEXP_EXTRACT REGEXP_SUBSTR EDIT_DISTANCE
ARRAY_TO_STRING ARRAY_CONCAT COLLATE FORMAT FORMAT_DATE FORMAT_TIME FORMAT_DATETIME FORMAT_TIMESTAMP PARSE_DATE
PARSE_TIME PARSE_DATETIME PARSE_TIMESTAMP STRING LAST_DAY TIME_DIFF JSON_QUERY JSON_EXTRACT JSON_VALUE
JSON_EXTRACT_SCALAR JSON_QUERY_ARRAY JSON_EXTRACT_ARRAY JSON_VALUE_ARRAY JSON_EXTRACT_STRING_ARRAY JSON_KEYS
JSON_OBJECT JSON_SET JSON_REMOVE JSON_STRIP_NULLS JSON_ARRAY_APPEND JSON_ARRAY_INSERT PARSE_JSON TO_JSON TO_JSON_STRING
BOOL INT64 FLOAT64 PARSE_NUMERIC PARSE_BIGNUMERIC TYPEOF NULLIFZERO ZEROIFNULL APPROX_TOP_COUNT APPROX_TOP_SUM
RANGE_OVERLAPS RANGE_INTERSECT RANGE_CONTAINS RANGE ST_ASTEXT
""".split()
)


class _Parsing(BigQuery):
    """BigQuery's dialect for making trees."""

    class Parser(BigQuery.Parser):  # type: ignore[misc,valid-type]
        FUNCTIONS: ClassVar[dict[str, Any]] = {
            name: build for name, build in BigQuery.Parser.FUNCTIONS.items() if name not in OWN
        }
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: build for name, build in BigQuery.Parser.FUNCTION_PARSERS.items() if name not in OWN
        }

        def _parse_cast(self, strict: bool, safe: bool | None = None) -> Any:
            """CAST with its FORMAT as it is written, where sqlglot would translate it to strptime's elements."""
            start = self._index
            this = self._parse_assignment()
            to = self._parse_types(with_collation=True) if self._match(TokenType.ALIAS) else None
            if to and self._match(TokenType.FORMAT):
                pattern = self._parse_at_time_zone(self._parse_string())
                return self.build_cast(strict=strict, this=this, to=to, format=pattern, safe=safe)
            self._retreat(start)
            return super()._parse_cast(strict, safe)


# A place in a string literal's text that the tokenizer leaves as it is.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[xX]([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))", re.S)


def resolve_escapes(sql: str) -> str:
    r"""The text with its literals in the one form that sqlglot reads as BigQuery does.

    \u, \U, \x and octal escapes in strings become the characters that they stand for, bytes have \x escapes only.
    """
    if "\\" not in sql and not _RAW_PREFIX.search(sql):
        return sql
    parts, place = [], 0
    for token in tokenize(sql):
        written = sql[token.start : token.end + 1]
        made = _LITERALS[token.token_type](written) if token.token_type in _LITERALS else written
        if made != written:
            parts += [sql[place : token.start], made]
            place = token.end + 1
    return "".join([*parts, sql[place:]])


_RAW_PREFIX = re.compile(r"(?:[rR][bB]|[bB][rR])['\"]")
_LITERAL = re.compile(r"""([A-Za-z]*)('{3}|"{3}|'|")(.*)\2""", re.S)
_BYTE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))", re.S)
_CONTROL = dict(zip("abfnrtv", "\a\b\f\n\r\t\v"))


def _string(written: str) -> str:
    return _ESCAPE.sub(_character, written)


def _raw(written: str) -> str:
    """A raw literal with a quote in it, behind a backslash that belongs to its value, and raw bytes: not raw then."""
    found = _LITERAL.fullmatch(written)
    if found is None:
        return written
    prefix, quote, body = found.groups()
    if "b" in prefix.lower():
        return _bytes_literal(body.encode())
    if f"\\{quote[0]}" not in body:
        return written
    escaped = body.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _bytes(written: str) -> str:
    found = _LITERAL.fullmatch(written)
    if found is None or "\\" not in written:
        return written
    value, place = b"", 0
    for escape in _BYTE.finditer(found[3]):
        value += found[3][place : escape.start()].encode() + _byte(escape)
        place = escape.end()
    return _bytes_literal(value + found[3][place:].encode())


def _byte(found: re.Match[str]) -> bytes:
    if found[1] or found[2]:
        return bytes([int(found[1], 16) if found[1] else int(found[2], 8)])
    if found[3] in "\\?\"'`":
        return found[3].encode()
    if found[3] not in _CONTROL:
        raise BigQueryError(f"Syntax error: Illegal escape sequence: {found[0]}")
    return _CONTROL[found[3]].encode()


def _bytes_literal(value: bytes) -> str:
    return "b'" + "".join(chr(c) if c < 128 and chr(c).isalnum() else f"\\x{c:02x}" for c in value) + "'"


_LITERALS: dict[TokenType, Callable[[str], str]] = {
    TokenType.STRING: _string,
    TokenType.RAW_STRING: _raw,
    TokenType.BYTE_STRING: _bytes,
}


def _character(found: re.Match[str]) -> str:
    if found[5] is not None:
        return found[0]
    code = int(found[4], 8) if found[4] else int(found[1] or found[2] or found[3], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BigQueryError(f"Syntax error: Illegal escape sequence: Value of {found[0]} exceeds Unicode limit")
    character = chr(code)
    return "\\" + character if character in "\\'\"`" else character


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
        trees = [tree for tree in sqlglot.parse(resolve_escapes(sql), read=_Parsing) if tree is not None]
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
    refuse_foreign(tokenize(sql), tree)
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


_SKETCHES = {"HLL_COUNT", "KLL_QUANTILES", "KEYS", "AEAD"}
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
    elif isinstance(node, exp.SafeFunc):
        if isinstance(node.this, exp.AggFunc) or node.find(exp.Select):
            yield "the function SAFE." + node.this.sql(dialect="bigquery").split("(")[0].upper()
    elif isinstance(node, exp.Func):
        name = function_name(node)
        if name == "APPROX_TOP_K" or name.startswith(("KLL_QUANTILES", "KEYS.", "AEAD.", "DLP_")):
            yield f"the function {name}"
    elif isinstance(node, exp.Dot) and node.this.name.upper() in _SKETCHES and not _is_counted(node):
        yield f"the function {node.sql(dialect='bigquery').split('(')[0]}"


def _is_counted(node: exp.Dot) -> bool:
    """Sketches that are only counted: the count, then, is exact. A sketch itself has no counterpart."""
    call = node.expression
    name = call.name.upper() if isinstance(call, exp.Anonymous) else ""
    if node.this.name.upper() != "HLL_COUNT" or name not in ("INIT", "EXTRACT", "MERGE"):
        return False
    if name == "EXTRACT":
        inner = call.expressions[0]
        return isinstance(inner, exp.Dot) and inner.expression.name.upper() == "INIT"
    if name == "MERGE":
        select = node.find_ancestor(exp.Select)
        inner = select.args["from_"].this if select is not None and select.args.get("from_") else None
        return isinstance(inner, exp.Subquery) and "HLL_COUNT.INIT" in inner.sql(dialect="bigquery").upper()
    outer = node.find_ancestor(exp.Dot)
    if outer is not None and outer.this.name.upper() == "HLL_COUNT":
        return True
    around = node.find_ancestor(exp.Subquery)
    return (
        around is not None
        and isinstance(around.parent, exp.From)
        and "HLL_COUNT.MERGE" in (str(around.parent.parent and around.parent.parent.sql(dialect="bigquery")).upper())
    )

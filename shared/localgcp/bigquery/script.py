"""Parsing scripts: a text of several statements as a tree of control flow around plain statements.

The grammar is that of https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language. Expressions
and plain statements stay text: they are parsed when they run.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from localgcp.bigquery import syntax
from localgcp.bigquery.errors import BigQueryError, unimplemented


@dataclass(frozen=True)
class Step:
    """Anything a script consists of."""


Body = tuple[Step, ...]


@dataclass(frozen=True)
class Sql(Step):
    text: str


@dataclass(frozen=True)
class Declare(Step):
    names: tuple[str, ...]
    type: str | None
    default: str | None


@dataclass(frozen=True)
class Set(Step):
    names: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class If(Step):
    """Branches as (condition, body); the body of ELSE apart."""

    branches: tuple[tuple[str, Body], ...]
    otherwise: Body


@dataclass(frozen=True)
class Loop(Step):
    """WHILE has a condition before, REPEAT one after its body, LOOP none."""

    label: str | None
    before: str | None
    after: str | None
    body: Body


@dataclass(frozen=True)
class For(Step):
    label: str | None
    variable: str
    query: str
    body: Body


@dataclass(frozen=True)
class Begin(Step):
    label: str | None
    body: Body
    handler: Body | None


@dataclass(frozen=True)
class Leave(Step):
    label: str | None


@dataclass(frozen=True)
class Continue(Step):
    label: str | None


@dataclass(frozen=True)
class Return(Step):
    pass


@dataclass(frozen=True)
class Raise(Step):
    message: str | None


@dataclass(frozen=True)
class Execute(Step):
    """EXECUTE IMMEDIATE; `using` as (expression, name or None)."""

    sql: str
    into: tuple[str, ...]
    using: tuple[tuple[str, str | None], ...]


def parse_script(sql: str) -> Body:
    """The steps of a script. Raises BigQueryError for text that is none."""
    parser = _Parser(sql)
    body = parser.body(frozenset())
    if parser.token is not None:
        raise parser.unexpected()
    return body


_BLOCK_ENDS = frozenset({"END", "ELSE", "ELSEIF", "EXCEPTION", "UNTIL", "WHEN"})


class _Parser:
    """Walks over sqlglot's tokens; cuts the texts out of the source."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens: list[Token] = syntax.tokenize(sql)
        self.place = 0

    @property
    def token(self) -> Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def word(self, ahead: int = 0) -> str:
        """The token as an upper-case word; "" at the end, and for a quoted name or a string."""
        place = self.place + ahead
        if place >= len(self.tokens):
            return ""
        token = self.tokens[place]
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER, TokenType.RAW_STRING):
            return ""
        return token.text.upper()

    def unexpected(self, wanted: str | None = None) -> BigQueryError:
        token = self.token
        if token is None:
            return BigQueryError("Syntax error: Unexpected end of script" + (f"; expected {wanted}" if wanted else ""))
        at = f"at [{token.line}:{token.col - len(token.text) + 1}]"
        if wanted:
            return BigQueryError(f"Syntax error: Expected {wanted} but got {token.text!r} {at}")
        return BigQueryError(f"Syntax error: Unexpected {token.text!r} {at}")

    def take(self, *words: str) -> None:
        for word in words:
            if self.word() != word:
                raise self.unexpected(f"keyword {word}")
            self.place += 1

    def accept(self, *words: str) -> bool:
        if all(self.word(i) == word for i, word in enumerate(words)):
            self.place += len(words)
            return True
        return False

    def name(self) -> str:
        token = self.token
        if token is None or not token.text or not (token.text[0].isalpha() or token.text[0] == "_"):
            raise self.unexpected("identifier")
        self.place += 1
        return token.text

    def text_until(self, *ends: str) -> str:
        """The source up to one of the words or symbols, outside parentheses, CASE expressions and strings."""
        start, depth, cases = self.place, 0, 0
        while self.token is not None:
            word = self.word()
            if depth == 0 and cases == 0 and (word in ends or word == ";"):
                break
            depth += (word in ("(", "[")) - (word in (")", "]"))
            cases += (word == "CASE") - (word == "END" and cases > 0)
            if depth < 0:
                break
            self.place += 1
        if start == self.place:
            raise self.unexpected("expression")
        return self.sql[self.tokens[start].start : self.tokens[self.place - 1].end + 1]

    def end(self) -> None:
        """The semicolon behind a step, or the end of the text."""
        if self.token is not None:
            self.take(";")

    def body(self, stops: frozenset[str]) -> Body:
        steps = []
        while self.token is not None and self.word() not in stops:
            if self.accept(";"):
                continue
            steps.append(self.step())
        return tuple(steps)

    def step(self) -> Step:
        label = None
        if self.word(1) == ":" and self.word(2) in ("LOOP", "WHILE", "REPEAT", "FOR", "BEGIN"):
            label = self.name()
            self.take(":")
        word = self.word()
        if word == "BEGIN" and self.word(1) in ("TRANSACTION", ";", ""):
            return self.plain()
        parse = _STEPS.get(word)
        if parse is None:
            return self.plain()
        self.place += 1
        return parse(self, label)

    def plain(self) -> Sql:
        """One statement up to its semicolon. CREATE PROCEDURE has semicolons inside, and is not emulated."""
        words = [self.word(i) for i in range(5)]
        if words[0] == "CREATE" and "PROCEDURE" in words:
            raise unimplemented("CREATE PROCEDURE")
        start = self.place
        depth = 0
        while self.token is not None and not (self.word() == ";" and depth == 0):
            depth += (self.word() == "(") - (self.word() == ")")
            self.place += 1
        text = self.sql[self.tokens[start].start : self.tokens[self.place - 1].end + 1]
        self.end()
        return Sql(text)

    def labelled_end(self, label: str | None, *words: str) -> None:
        self.take("END", *words)
        if label is not None and self.word() == label.upper():
            self.place += 1
        self.end()


def _declare(p: _Parser, _: str | None) -> Step:
    names = [p.name()]
    while p.accept(","):
        names.append(p.name())
    kind = None if p.word() == "DEFAULT" else p.text_until("DEFAULT")
    default = p.text_until() if p.accept("DEFAULT") else None
    p.end()
    return Declare(tuple(names), kind, default)


def _set(p: _Parser, _: str | None) -> Step:
    if p.accept("("):
        names = [p.name()]
        while p.accept(","):
            names.append(p.name())
        p.take(")")
    else:
        if p.word().startswith("@"):
            raise unimplemented("SET of a system variable")
        names = [p.name()]
    p.take("=")
    value = p.text_until()
    p.end()
    return Set(tuple(names), value)


def _if(p: _Parser, _: str | None) -> Step:
    branches = []
    condition = p.text_until("THEN")
    p.take("THEN")
    branches.append((condition, p.body(_BLOCK_ENDS)))
    while p.accept("ELSEIF"):
        condition = p.text_until("THEN")
        p.take("THEN")
        branches.append((condition, p.body(_BLOCK_ENDS)))
    otherwise = p.body(_BLOCK_ENDS) if p.accept("ELSE") else ()
    p.take("END", "IF")
    p.end()
    return If(tuple(branches), otherwise)


def _case(p: _Parser, _: str | None) -> Step:
    subject = None if p.word() == "WHEN" else p.text_until("WHEN")
    branches = []
    while p.accept("WHEN"):
        condition = p.text_until("THEN")
        p.take("THEN")
        test = condition if subject is None else f"({subject}) = ({condition})"
        branches.append((test, p.body(_BLOCK_ENDS)))
    otherwise = p.body(_BLOCK_ENDS) if p.accept("ELSE") else ()
    p.take("END", "CASE")
    p.end()
    return If(tuple(branches), otherwise)


def _while(p: _Parser, label: str | None) -> Step:
    condition = p.text_until("DO")
    p.take("DO")
    body = p.body(_BLOCK_ENDS)
    p.labelled_end(label, "WHILE")
    return Loop(label, condition, None, body)


def _loop(p: _Parser, label: str | None) -> Step:
    body = p.body(_BLOCK_ENDS)
    p.labelled_end(label, "LOOP")
    return Loop(label, None, None, body)


def _repeat(p: _Parser, label: str | None) -> Step:
    body = p.body(_BLOCK_ENDS)
    p.take("UNTIL")
    condition = p.text_until("END")
    p.labelled_end(label, "REPEAT")
    return Loop(label, None, condition, body)


def _for(p: _Parser, label: str | None) -> Step:
    variable = p.name()
    p.take("IN")
    query = p.text_until("DO")
    p.take("DO")
    body = p.body(_BLOCK_ENDS)
    p.labelled_end(label, "FOR")
    return For(label, variable, query, body)


def _begin(p: _Parser, label: str | None) -> Step:
    body = p.body(_BLOCK_ENDS)
    handler = None
    if p.accept("EXCEPTION"):
        p.take("WHEN", "ERROR", "THEN")
        handler = p.body(_BLOCK_ENDS)
    p.labelled_end(label)
    return Begin(label, body, handler)


def _leave(p: _Parser, _: str | None) -> Step:
    label = None if p.word() == ";" or p.token is None else p.name()
    p.end()
    return Leave(label)


def _continue(p: _Parser, _: str | None) -> Step:
    label = None if p.word() == ";" or p.token is None else p.name()
    p.end()
    return Continue(label)


def _return(p: _Parser, _: str | None) -> Step:
    p.end()
    return Return()


def _raise(p: _Parser, _: str | None) -> Step:
    message = None
    if p.accept("USING"):
        p.take("MESSAGE", "=")
        message = p.text_until()
    p.end()
    return Raise(message)


def _execute(p: _Parser, _: str | None) -> Step:
    p.take("IMMEDIATE")
    sql = p.text_until("INTO", "USING")
    into: list[str] = []
    using: list[tuple[str, str | None]] = []
    if p.accept("INTO"):
        into.append(p.name())
        while p.accept(","):
            into.append(p.name())
    if p.accept("USING"):
        while True:
            value = p.text_until(",", "AS")
            using.append((value, p.name() if p.accept("AS") else None))
            if not p.accept(","):
                break
    p.end()
    return Execute(sql, tuple(into), tuple(using))


_STEPS = {
    "DECLARE": _declare,
    "SET": _set,
    "IF": _if,
    "CASE": _case,
    "WHILE": _while,
    "LOOP": _loop,
    "REPEAT": _repeat,
    "FOR": _for,
    "BEGIN": _begin,
    "BREAK": _leave,
    "LEAVE": _leave,
    "CONTINUE": _continue,
    "ITERATE": _continue,
    "RETURN": _return,
    "RAISE": _raise,
    "EXECUTE": _execute,
}


def name_positions(sql: str) -> str:
    """The text with its positional parameters `?` named @_1, @_2 … in the order in which they stand."""
    if "?" not in sql:
        return sql
    pieces, start, count = [], 0, 0
    for token in syntax.tokenize(sql):
        if token.token_type == TokenType.PLACEHOLDER:
            count += 1
            pieces.append(sql[start : token.start] + f"@_{count}")
            start = token.end + 1
    return "".join(pieces) + sql[start:]

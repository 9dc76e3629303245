"""Running scripts on a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from localgcp.bigquery import options, script, syntax, types
from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.outcome import Outcome
from localgcp.bigquery.session import Session
from localgcp.bigquery.syntax import Tree


class _Leave(Exception):
    def __init__(self, label: str | None) -> None:
        self.label = label.lower() if label else None


class _Continue(_Leave):
    pass


class _Return(Exception):
    pass


@dataclass
class Variable:
    """A declared variable: its DuckDB type and the expression that reads it."""

    name: str
    type: str
    reads: Tree


@dataclass
class Interpreter:
    """Runs the steps of one script; `outcomes` are those of the statements it ran, in order."""

    session: Session
    is_cancelled: Callable[[], bool] = lambda: False
    outcomes: list[Outcome] = field(default_factory=list)
    scopes: list[dict[str, Variable]] = field(default_factory=lambda: [{}])
    depth: int = 0

    def run(self, body: script.Body) -> None:
        """Runs a script. Raises BigQueryError for the first error that no handler takes."""
        try:
            self._body(body)
        except _Return:
            pass
        except _Leave as stray:
            raise BigQueryError("BREAK or CONTINUE outside of a loop") from stray

    def _body(self, body: script.Body) -> None:
        for step in body:
            if self.is_cancelled():
                raise BigQueryError("Job execution was cancelled: User requested cancellation", "stopped")
            _RUN[type(step)](self, step)

    # Variables

    def _bind(self) -> None:
        merged: dict[str, Tree] = {}
        for scope in self.scopes:
            merged |= {name: variable.reads for name, variable in scope.items()}
        self.session.variables = merged

    def _declare(self, name: str, kind: str, expression: str) -> None:
        if name.lower() in self.scopes[-1]:
            raise BigQueryError(f"Variable '{name}' redeclaration is not allowed")
        place = f"v_{len(self.scopes)}_{name.lower()}"
        reads = self.session.store(place, expression, kind)
        self.scopes[-1][name.lower()] = Variable(place, kind, reads)
        self._bind()

    def _variable(self, name: str) -> Variable:
        for scope in reversed(self.scopes):
            if name.lower() in scope:
                return scope[name.lower()]
        raise BigQueryError(f"Undeclared variable: {name}")

    def _assign(self, name: str, expression: str) -> None:
        variable = self._variable(name)
        self.session.store(variable.name, expression, variable.type)

    def _compiled(self, expression: str) -> tuple[str, list[types.Field]]:
        """An expression as a DuckDB query of one value, and its field."""
        session = self.session
        # A query around an ML function can stand in an expression too; whoever runs it gives its rows.
        select = f"SELECT {expression} AS v"
        for hook in session.engine.statements:
            if hook.handles(select):
                raise unimplemented("an ML function in an expression of a script", "put its rows into a table first")
        with session.lock, session.in_words_of(select):
            compiled = session.compile(session.parse(select))
            return compiled.duckdb, session.result_fields(compiled)

    def _value(self, expression: str) -> Any:
        with self.session.lock, self.session.keeping():
            sql, _ = self._compiled(expression)
            with self.session.in_words_of(f"SELECT {expression}"):
                rows = self.session.run_duckdb(sql).fetchall()
        return rows[0][0] if rows else None

    def _is_true(self, expression: str) -> bool:
        value = self._value(expression)
        if value is not None and not isinstance(value, bool):
            raise BigQueryError(f"A condition must be of type BOOL: {expression}")
        return bool(value)

    # Steps

    def _sql(self, step: script.Sql) -> None:
        outcome = self.session.execute(step.text)
        self.outcomes.append(outcome)

    def _declare_step(self, step: script.Declare) -> None:
        with self.session.lock, self.session.keeping():
            if step.type is None:
                if step.default is None:
                    raise BigQueryError("A variable without a default needs a type")
                sql, fields = self._compiled(step.default)
                kind, expression = types.duckdb_type(fields[0]), f"({sql})"
            else:
                kind = duckdb_type_of(step.type)
                expression = "NULL"
                if step.default is not None:
                    sql, fields = self._compiled(step.default)
                    check_assignable(step.names[0], fields[0], step.type, step.default)
                    expression = f"({sql})"
            with self.session.in_words_of(step.default or ""):
                for name in step.names:
                    self._declare(name, kind, expression)

    def _set_step(self, step: script.Set) -> None:
        with self.session.lock, self.session.keeping():
            if len(step.names) == 1:
                sql, _ = self._compiled(step.value)
                with self.session.in_words_of(step.value):
                    self._assign(step.names[0], f"({sql})")
                return
            sql, fields = self._compiled(step.value)
            parts = fields[0].get("fields", [])
            with self.session.in_words_of(step.value):
                if len(parts) != len(step.names):
                    # `SET (a, b) = (SELECT 1, 2)` gives a row and no STRUCT.
                    self._assign_row(step)
                    return
                row = self.session.run_duckdb(sql)
                values = row.fetchone()
                struct = values[0] if values else None
                for name, value in zip(step.names, list((struct or {}).values()) or [None] * len(step.names)):
                    variable = self._variable(name)
                    self.session.store(variable.name, "?", variable.type, [value])

    def _assign_row(self, step: script.Set) -> None:
        tree = syntax.parse(step.value)
        query = tree.unnest() if isinstance(tree, exp.Subquery) else tree
        rows = self.session.run_duckdb(self.session.compile(query).duckdb).fetchall()
        if len(rows) > 1 or (rows and len(rows[0]) != len(step.names)):
            raise BigQueryError(f"SET of {len(step.names)} variables needs one row of as many columns")
        values = rows[0] if rows else [None] * len(step.names)
        for name, value in zip(step.names, values):
            variable = self._variable(name)
            self.session.store(variable.name, "?", variable.type, [value])

    def _if_step(self, step: script.If) -> None:
        for condition, body in step.branches:
            if self._is_true(condition):
                self._body(body)
                return
        self._body(step.otherwise)

    def _loop_step(self, step: script.Loop) -> None:
        while step.before is None or self._is_true(step.before):
            if not self._turn(step.label, step.body):
                return
            if step.after is not None and self._is_true(step.after):
                return

    def _turn(self, label: str | None, body: script.Body) -> bool:
        """One turn of a loop; False when it was left."""
        try:
            self._body(body)
        except _Continue as jump:
            if jump.label not in (None, label.lower() if label else None):
                raise
        except _Leave as jump:
            if jump.label not in (None, label.lower() if label else None):
                raise
            return False
        return True

    def _for_step(self, step: script.For) -> None:
        query = step.query.strip()
        if not (query.startswith("(") and query.endswith(")")):
            raise BigQueryError("Syntax error: FOR … IN needs a query in parentheses")
        outcome = self.session.execute(query[1:-1])
        if outcome.table is None:
            raise BigQueryError("FOR … IN needs a query")
        kind = types.duckdb_type({"type": "RECORD", "mode": "NULLABLE", "fields": outcome.fields})
        rows = outcome.table.to_pylist()
        self.scopes.append({})
        try:
            for row in rows:
                with self.session.lock:
                    place = f"v_{len(self.scopes)}_{step.variable.lower()}"
                    reads = self.session.store(place, "?", kind, [row])
                self.scopes[-1] = {step.variable.lower(): Variable(place, kind, reads)}
                self._bind()
                if not self._turn(step.label, step.body):
                    return
        finally:
            self.scopes.pop()
            self._bind()

    def _begin_step(self, step: script.Begin) -> None:
        self.scopes.append({})
        try:
            self._body(step.body)
        except BigQueryError as error:
            if step.handler is None or error.reason == "stopped":
                raise
            self.scopes[-1] = {}
            self._bind()
            self._handle(step.handler, error)
        except _Leave as jump:
            # `LEAVE label` of a block; LEAVE and CONTINUE without a label belong to a loop.
            if isinstance(jump, _Continue) or jump.label is None or not step.label or jump.label != step.label.lower():
                raise
        finally:
            self.scopes.pop()
            self._bind()

    def _handle(self, handler: script.Body, error: BigQueryError) -> None:
        """Runs a handler, in which @@error.message tells what happened."""
        system, before = self.session.system, dict(self.session.system)
        system["@@error.message"] = exp.Literal.string(error.message)
        system["@@error.statement_text"] = exp.Literal.string(self.session.sql)
        self._errors.append(error)
        try:
            self._body(handler)
        finally:
            self._errors.pop()
            self.session.system = before

    _errors: list[BigQueryError] = field(default_factory=list)

    def _raise_step(self, step: script.Raise) -> None:
        if step.message is None:
            if not self._errors:
                raise BigQueryError("RAISE without USING MESSAGE is only allowed in an exception handler")
            raise self._errors[-1]
        message = self._value(step.message)
        raise BigQueryError(f"Query error: {message}" if message is not None else "Query error: NULL")

    def _leave_step(self, step: script.Leave) -> None:
        raise _Leave(step.label)

    def _continue_step(self, step: script.Continue) -> None:
        raise _Continue(step.label)

    def _return_step(self, _: script.Step) -> None:
        raise _Return

    def _execute_step(self, step: script.Execute) -> None:
        text = self._value(step.sql)
        if not isinstance(text, str):
            raise BigQueryError("EXECUTE IMMEDIATE needs a STRING that is not NULL")
        session = self.session
        parameters, variables = session.parameters, session.variables
        made: dict[str, Tree] = {}
        with session.lock, session.keeping():
            for position, (value, name) in enumerate(step.using, 1):
                sql, fields = self._compiled(value)
                key = (name or f"_{position}").lower()
                self.depth += 1
                made[key] = session.store(f"u_{self.depth}_{key}", f"({sql})", types.duckdb_type(fields[0]))
        # The dynamic statement sees what USING gives it and neither the script's variables nor its parameters.
        session.parameters, session.variables = made, {}
        try:
            outcome = session.execute(script.name_positions(text))
        finally:
            session.parameters, session.variables = parameters, variables
        self.outcomes.append(outcome)
        if step.into:
            self._into(step.into, outcome)

    def _into(self, names: tuple[str, ...], outcome: Outcome) -> None:
        rows = outcome.table.to_pylist() if outcome.table is not None else []
        if len(rows) > 1:
            raise BigQueryError("EXECUTE IMMEDIATE INTO clause expects at most one row as the query result")
        values = list(rows[0].values()) if rows else [None] * len(names)
        if len(values) != len(names):
            raise BigQueryError(
                f"The number of targets in INTO ({len(names)}) is not that of the columns ({len(values)})"
            )
        with self.session.lock:
            for name, value in zip(names, values):
                variable = self._variable(name)
                self.session.store(variable.name, "?", variable.type, [value])


def duckdb_type_of(kind: str) -> str:
    """A GoogleSQL type as a DuckDB type. Raises BigQueryError for an unknown one."""
    tree = syntax.parse(f"SELECT CAST(NULL AS {kind})")
    cast = tree.find(exp.Cast)
    assert cast is not None
    return types.duckdb_type(types.check_fields([options.field_of_type("v", cast.to)])[0])


def check_assignable(name: str, given: types.Field, kind: str, expression: str) -> None:
    """Raises BigQueryError for a default of another type; a literal or NULL is cast as BigQuery casts it."""
    wanted = types.canonical(kind.split("(")[0].split("<")[0].strip())
    coercible = {"INTEGER": {"FLOAT", "NUMERIC", "BIGNUMERIC"}, "NUMERIC": {"FLOAT"}}
    is_literal = expression.strip()[:1] in "'\"" or expression.strip().upper() == "NULL"
    if (
        wanted == "ARRAY"
        or given["mode"] == "REPEATED"
        or (is_literal and wanted not in ("INTEGER", "FLOAT", "BOOLEAN"))
    ):
        return
    if (
        given["type"] != wanted
        and wanted not in coercible.get(given["type"], set())
        and expression.strip().upper() != "NULL"
    ):
        raise BigQueryError(
            f"Value of type {types.sql_type(given)} cannot be assigned to variable {name}, "
            f"which has type {kind.strip()}"
        )


_RUN: dict[type[script.Step], Callable[[Interpreter, Any], None]] = {
    script.Sql: Interpreter._sql,
    script.Declare: Interpreter._declare_step,
    script.Set: Interpreter._set_step,
    script.If: Interpreter._if_step,
    script.Loop: Interpreter._loop_step,
    script.For: Interpreter._for_step,
    script.Begin: Interpreter._begin_step,
    script.Leave: Interpreter._leave_step,
    script.Continue: Interpreter._continue_step,
    script.Return: Interpreter._return_step,
    script.Raise: Interpreter._raise_step,
    script.Execute: Interpreter._execute_step,
}

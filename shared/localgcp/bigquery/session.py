"""Running GoogleSQL: the engine holds the database, a session is what one job sees of it."""

from __future__ import annotations

import itertools
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute
from sqlglot import exp

from localgcp.bigquery import ddl, dml, estimate, nan, repairs, syntax, types
from localgcp.bigquery import information_schema as views
from localgcp.bigquery.arrow import normalise
from localgcp.bigquery.binding import bind_names, bind_parameters, check_aliases
from localgcp.bigquery.catalog import Catalog, Resource
from localgcp.bigquery.database import connect, load_spatial
from localgcp.bigquery.errors import BigQueryError, from_duckdb, from_hook, unimplemented
from localgcp.bigquery.function_names import check_functions
from localgcp.bigquery.functions import Function, inline_calls, read_function
from localgcp.bigquery.library import Library
from localgcp.bigquery.names import DatasetName, TableName, quote
from localgcp.bigquery.outcome import Outcome
from localgcp.bigquery.parameters import Parameter
from localgcp.bigquery.resolve import Names, array_path, resolve
from localgcp.bigquery.statements import JobContext, Statements
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.translate import to_duckdb
from localgcp.bigquery.typed import check_comparisons, keep_numeric
from localgcp.bigquery.types import Field
from localgcp.bigquery.unnest import finish, flatten_structs, name_ordered

SCRATCH = "_script"

# Statements whose scans, or whose translation, are kept.
_REMEMBERED = 512
# Longer texts are not kept.
_LONGEST = 10_000
# More functions than these are not in one statement.
_MOST_MACROS = 60

Partition = tuple[int, dict[str, int]]
# Text, project, default dataset.
PlanKey = tuple[str, str, DatasetName | None]


class Engine:
    """A database in a folder (or in memory) that speaks GoogleSQL.

    One DuckDB connection serves everybody, one statement at a time: BigQuery's statements are atomic, and a small
    machine gains nothing from running two.
    """

    def __init__(
        self, folder: Path | None, project: str = "local-project", statements: Sequence[Statements] = ()
    ) -> None:
        self.project = project
        self.statements = tuple(statements)
        self.lock = threading.RLock()
        self.connection = connect(folder)
        self.catalog = Catalog(self.connection)
        self.registered: dict[str, pa.Table] = {}
        self.running: str | None = None  # the job whose statement the connection is at
        self._partitions: dict[TableName, dict[str | None, Partition]] = {}
        self._nan_columns: dict[TableName, set[str]] = {}
        self._counter = itertools.count(1)
        self._has_spatial = False
        self.library = Library(self.connection)
        self._scans: dict[tuple[str, ...], tuple[list[estimate.Scan], bool]] = {}
        self.retyped: dict[str, str] = {}
        self._plans: dict[PlanKey, tuple[int, Compiled]] = {}
        for name in [name for name in self.catalog.datasets if name.dataset.startswith(SCRATCH)]:
            self.catalog.drop_dataset(name, with_contents=True)  # what a killed script has left

    def close(self) -> None:
        """Writes everything and closes the database."""
        with self.lock:
            self.connection.close()

    def session(
        self,
        project: str | None = None,
        dataset: DatasetName | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        job_id: str = "job",
    ) -> Session:
        return Session(self, project or self.project, dataset, dict(parameters or {}), job_id)

    def query(self, sql: str, default_dataset: str | None = None) -> pa.Table:
        """The rows of a GoogleSQL statement. Raises BigQueryError."""
        dataset = DatasetName(self.project, default_dataset) if default_dataset else None
        with self.session(dataset=dataset) as session:
            return session.query(sql)

    def register(self, name: str, table: pa.Table) -> None:
        """Makes an Arrow table readable under a bare name."""
        with self.lock:
            self.connection.register(name, table)
            self.registered[name] = table

    def unregister(self, name: str) -> None:
        with self.lock:
            self.connection.unregister(name)
            self.registered.pop(name, None)

    def provide(self, duckdb_sql: str) -> None:
        """Makes the functions that it calls; for geography functions, loads DuckDB's extension."""
        self.library.provide(duckdb_sql)
        if not self._has_spatial and re.search(r"\bST_", duckdb_sql, re.IGNORECASE):
            load_spatial(self.connection)
            self._has_spatial = True

    def scans(self, tree: Tree, resources: dict[TableName, Resource]) -> tuple[list[estimate.Scan], bool]:
        """What a resolved statement reads of these tables, remembered where it takes half of a small query to tell."""
        if not resources:
            return [], True
        if simple := estimate.simple_scan(tree, resources):
            return [simple], True
        key = (tree.sql(dialect="bigquery"), *(f"{name}{resource['schema']}" for name, resource in resources.items()))
        if key not in self._scans:
            if len(self._scans) >= _REMEMBERED:
                self._scans.clear()
            scans, exact = estimate.scans_of(tree, resources)
            # The tree itself is changed after this.
            self._scans[key] = (
                [replace(one, conditions=tuple(part.copy() for part in one.conditions)) for one in scans],
                exact,
            )
        return self._scans[key]

    def plan(self, key: PlanKey) -> Compiled | None:
        """A query that was compiled before, if nothing that it could depend on has changed since."""
        version, compiled = self._plans.get(key, (None, None))
        return compiled if version == self.catalog.version and not self.registered else None

    def keep_plan(self, key: PlanKey, compiled: Compiled) -> None:
        """For the next time that the same text comes. Nothing of a plan is changed later: it has no trees."""
        if self.registered or any("expirationTime" in resource for resource in self.catalog.tables.values()):
            return
        if len(self._plans) >= _REMEMBERED:
            self._plans.clear()
        self._plans[key] = self.catalog.version, compiled

    def fresh_name(self) -> str:
        return f"__local_{next(self._counter)}"

    def forget_sizes(self, name: TableName | None = None) -> None:
        """The rows of a table, or of any, have changed."""
        self.catalog.version += 1
        if name is None:
            self._partitions.clear()
            self._nan_columns.clear()
        else:
            self._partitions.pop(name, None)
            self._nan_columns.pop(name, None)

    def partitions(self, name: TableName) -> dict[str | None, Partition]:
        """Rows and bytes of each column by partition id; the id is None in a table without partitions."""
        if name not in self._partitions:
            resource = self.catalog.table(name)
            if resource["type"] != "TABLE" or not resource["schema"].get("fields"):
                return {}
            columns = [f["name"].lower() for f in resource["schema"]["fields"]]
            rows = self.connection.execute(estimate.statistics_query(name, resource)).fetchall()
            self._partitions[name] = {row[0]: (row[1], dict(zip(columns, row[2:]))) for row in rows}
        return self._partitions[name]

    def nan_columns(self, name: TableName) -> set[str]:
        """The names, in lower case, of a table's columns that hold a NaN, and of the fields in these."""
        if name not in self._nan_columns:
            fields = [f for f in self.catalog.table(name)["schema"].get("fields", []) if nan.test_of(f)]
            found = None
            if fields:
                tests = ", ".join(str(nan.test_of(field)) for field in fields)
                found = self.connection.execute(f"SELECT {tests} FROM {name.duckdb}").fetchone()
            held = [field for field, holds in zip(fields, found or ()) if holds]
            self._nan_columns[name] = set().union(*(nan.names_in(field) for field in held))
        return self._nan_columns[name]

    def row_count(self, name: TableName) -> int:
        return sum(rows for rows, _ in self.partitions(name).values())

    def byte_count(self, name: TableName) -> int:
        return sum(sum(columns.values()) for _, columns in self.partitions(name).values())

    def models(self, dataset: DatasetName) -> list[Resource]:
        return [model for hook in self.statements for model in hook.models(dataset.project, dataset.dataset)]

    def delete_model(self, dataset: DatasetName, model: str) -> bool:
        return any(hook.delete_model(dataset.project, dataset.dataset, model) for hook in self.statements)


@dataclass
class Compiled:
    """A statement ready to run."""

    duckdb: str
    reads: list[TableName]
    # The names of the result's columns as the query says them: None for one without; empty when * stands among them.
    output: list[str | None]
    exact: bool = True
    cells: estimate.Cells = field(default_factory=dict)
    # Whether it means the same as long as no table changes: not what the time of the day comes into.
    lasting: bool = False


class Session:
    """One job's view: its project and default dataset, parameters, variables, temporary tables and functions."""

    def __init__(
        self,
        engine: Engine,
        project: str,
        dataset: DatasetName | None,
        parameters: dict[str, Parameter],
        job_id: str,
    ) -> None:
        self.engine, self.project, self.dataset, self.job_id = engine, project, dataset, job_id
        self.connection, self.catalog, self.lock = engine.connection, engine.catalog, engine.lock
        self.temporary: dict[str, TableName] = {}
        self.functions: dict[str, Function] = {}
        self.variables: dict[str, Tree] = {}
        self.system: dict[str, Tree] = {"@@project_id": exp.Literal.string(project)}
        self.last: Outcome | None = None
        self._suffix = engine.fresh_name()
        self._session_variables: list[str] = []
        # Tables that live as long as the statement that reads them: those of INFORMATION_SCHEMA, results of ML calls.
        self._kept = ExitStack()
        self._depth = 0
        self._reading = estimate.Reading()
        self._inside: tuple[TableName, ...] = ()  # the views in whose text this session's statements stand
        self.sql = ""
        self.parameters: dict[str, Tree] = {}
        with self.lock:
            for parameter in parameters.values():
                self.parameters[parameter.name] = self.store(
                    f"p_{parameter.name}", "?", types.duckdb_type(parameter.field), [parameter.value]
                )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops what lives as long as the job: variables and temporary tables."""
        with self.lock:
            if self._owns_transaction:
                self.end_transaction(commit=False)
            for name in self._session_variables:
                self.connection.execute(f"RESET VARIABLE {quote(name)}")
            self._session_variables.clear()
            scratch = DatasetName(self.project, SCRATCH + self._suffix)
            if scratch in self.catalog.datasets:
                self.catalog.drop_dataset(scratch, with_contents=True)

    billing_limit: int | None = None

    # What the hook sees

    def query(self, sql: str) -> pa.Table:
        """The rows of one statement; a table without columns for one that has none. Raises BigQueryError."""
        outcome = self.execute(sql)
        return outcome.table if outcome.table is not None else pa.table({})

    def register(self, name: str, table: pa.Table) -> None:
        self.engine.register(name, table)

    def unregister(self, name: str) -> None:
        self.engine.unregister(name)

    def check(self, sql: str) -> None:
        self.dry_run(sql)

    # One statement

    def parse(self, sql: str) -> Tree:
        """The tree of a statement that calls known functions only. Raises BigQueryError."""
        tree = syntax.parse(sql)
        check_functions(sql, set(self.functions))
        return tree

    def execute(self, sql: str) -> Outcome:
        """Runs one statement of SQL, whoever runs its kind. Raises BigQueryError."""
        with self._counted():
            hook = self._hook(sql)
            if hook is not None and not ddl.makes_view(sql):
                return self._run_hook(hook, sql)
            with self.lock, self.in_words_of(sql):
                self.engine.running = self.job_id
                plan = self.engine.plan(self._plan_key(sql)) if self._is_plain else None
                self.last = self._run_query(plan, sql) if plan else self._dispatch(self._parsed(sql, hook), sql)
        self.last.text = sql
        self.system["@@row_count"] = exp.Literal.number(self.last.affected or 0)
        return self.last

    def _hook(self, sql: str) -> Statements | None:
        return next((hook for hook in self.engine.statements if hook.handles(sql)), None)

    def _parsed(self, sql: str, hook: Statements | None) -> Tree:
        """The tree of a statement. A view's query that is somebody else's to read does not come into it."""
        return self.parse(sql if hook is None else f"{ddl.view_parts(sql)[0]} SELECT 1 AS v")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """What runs inside one statement counts as its reading."""
        if not self._depth:
            self._reading = estimate.Reading()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    @property
    def _job(self) -> JobContext:
        return JobContext(self.job_id, self.project, self.dataset.dataset if self.dataset else None)

    def _run_hook(self, hook: Statements, sql: str) -> Outcome:
        self.last = None
        with _hook_errors(sql):
            table = hook.run(sql, self, self._job)
        words = [token.text.upper() for token in syntax.tokenize(sql)[:6]]
        if "MODEL" in words and words[0] in ("CREATE", "DROP", "EXPORT", "ALTER"):
            operation = {"CREATE": "CREATE", "DROP": "DROP"}.get(words[0])
            return self._charged(Outcome(f"{words[0]}_MODEL", ddl_operation=operation, text=sql))
        # A query around an ML function comes back here through `query`, with its own statement type and bytes.
        inner = self.last or Outcome("SELECT")
        if table is not None and table is not inner.table and inner.statement_type == "SELECT":
            inner.table, inner.fields = table, fields_of_arrow(table)
        inner.text = sql
        return inner

    def dry_run(self, sql: str) -> Outcome:
        """What a statement would read and give, without running it. Raises BigQueryError as it would."""
        with self._counted():
            hook = self._hook(sql)
            if hook is not None and not ddl.makes_view(sql):
                return self._dry_run_hook(hook, sql)
            self.last = self._dry_run(sql, hook)
            return self.last

    def _dry_run_hook(self, hook: Statements, sql: str) -> Outcome:
        self.last = None
        with _hook_errors(sql):
            hook.dry_run(sql, self, self._job)
        words = [token.text.upper() for token in syntax.tokenize(sql)[:6]]
        if "MODEL" in words and words[0] in ("CREATE", "DROP", "EXPORT", "ALTER"):
            return self._charged(Outcome(f"{words[0]}_MODEL"))
        return self.last or Outcome("SELECT")

    def _dry_run(self, sql: str, hook: Statements | None) -> Outcome:
        with self.lock, self.in_words_of(sql):
            tree = self._parsed(sql, hook)
            if isinstance(tree, exp.Query):
                compiled = self.compile(tree, sql=sql)
                outcome = Outcome("SELECT", fields=self.result_fields(compiled))
                self.charge(outcome, compiled)
                return outcome
            # The rest is run and taken back. Its effects are in the database alone, which can do that.
            if self.catalog.in_transaction:
                raise unimplemented("a dry run inside a transaction")
            self.catalog.begin()
            try:
                return self._dispatch(tree, sql)
            finally:
                self.catalog.rollback()
                self.engine.forget_sizes()

    @contextmanager
    def in_words_of(self, sql: str) -> Iterator[None]:
        """DuckDB's errors as BigQuery's, with places in this text."""
        self.sql = sql
        try:
            with self.keeping():
                yield
        except duckdb.InterruptException:
            raise BigQueryError("Job execution was cancelled: User requested cancellation", "stopped") from None
        except duckdb.Error as error:
            self._restore()
            raise from_duckdb(error, syntax.locator(sql)) from error
        except BaseException:
            # What was measured of a table may be of rows that are taken back.
            self.engine.forget_sizes()
            raise
        finally:
            self.engine.running = None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """What is registered for a statement stays until the outermost of these is left."""
        outer, self._kept_by = self._kept_by, self._kept_by + 1
        try:
            yield
        finally:
            self._kept_by = outer
            if not outer:
                self._kept.close()

    _kept_by = 0

    def _restore(self) -> None:
        """DuckDB gives up a whole transaction at an error in it.

        So it is rolled back here; the script's own ROLLBACK TRANSACTION, in its exception handler, finds it done.
        """
        if self._owns_transaction:
            self.end_transaction(commit=False)
            self._is_broken = True

    def _dispatch(self, tree: Tree, sql: str) -> Outcome:
        if isinstance(tree, exp.Query):
            return self._select(tree, sql)
        if self._is_broken and not isinstance(tree, exp.Rollback):
            raise unimplemented("going on with a transaction after an error in it", "use ROLLBACK TRANSACTION first")
        if isinstance(tree, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)):
            return dml.run(self, tree)
        if isinstance(tree, exp.Create):
            return ddl.create(self, tree, sql)
        if isinstance(tree, exp.Drop):
            return ddl.drop(self, tree)
        if isinstance(tree, exp.Alter):
            return ddl.alter(self, tree)
        if isinstance(tree, exp.Transaction):
            return self.begin_transaction()
        if isinstance(tree, (exp.Commit, exp.Rollback)):
            return self.end_transaction(commit=isinstance(tree, exp.Commit))
        raise unimplemented(f"the statement {tree.key.upper()}")

    def _select(self, tree: Tree, sql: str) -> Outcome:
        compiled = self.compile(tree, sql=sql)
        if compiled.lasting and self._is_plain and len(sql) <= _LONGEST and "@@" not in sql:
            self.engine.keep_plan(self._plan_key(sql), compiled)
        return self._run_query(compiled, sql)

    @property
    def _is_plain(self) -> bool:
        """Whether a text means here what it means in any other session of the same default dataset."""
        return not (self.parameters or self.variables or self.functions or self.temporary)

    def _plan_key(self, sql: str) -> PlanKey:
        return sql, self.project, self.dataset

    def _run_query(self, compiled: Compiled, sql: str) -> Outcome:
        outcome = Outcome("SELECT")
        self.charge(outcome, compiled)
        cursor = self.run_duckdb(compiled.duckdb)
        outcome.fields = _renamed(types.result_fields(cursor.description), compiled.output)
        outcome.table = normalise(cursor.to_arrow_table(), outcome.fields)
        self._check_overflow(outcome.table, compiled.reads, sql)
        return outcome

    def _check_overflow(self, table: pa.Table, reads: Sequence[TableName], sql: str) -> None:
        """Raises BigQueryError for an infinity that no value of the query's own has brought in: it is an overflow."""
        if self.parameters or self.variables or re.search(r"inf|ieee_divide", sql, re.IGNORECASE):
            return
        floats = [column for column in table.columns if pa.types.is_floating(column.type)]
        # A sum is finite unless a term is not, and costs less than a look at every value.
        if all(math.isfinite(pa.compute.sum(column).as_py() or 0.0) for column in floats):
            return
        infinite = any(pa.compute.any(pa.compute.is_inf(column)).as_py() for column in floats)
        if infinite and not self.engine.registered and not any(self._has_infinity(name) for name in reads):
            raise BigQueryError("Floating point error: overflow of FLOAT64")

    def _has_infinity(self, name: TableName) -> bool:
        fields = [f for f in self._fields_of(name) if f["type"] in ("FLOAT", "RECORD")]
        if any(f["type"] == "RECORD" or f["mode"] == "REPEATED" for f in fields):
            return True  # it cannot be told
        tests = " OR ".join(f"isinf({quote(f['name'])})" for f in fields)
        return bool(tests and self.run_duckdb(f"SELECT 1 FROM {name.duckdb} WHERE {tests} LIMIT 1").fetchone())

    # Compiling

    def names(self, without_default: bool = False) -> Names:
        return Names(
            self.catalog,
            self.project,
            None if without_default else self.dataset,
            self.temporary,
            self.engine.registered.keys(),
            self._information_schema,
            self._filter_suffixes,
            self.view_text,
            self._inside,
        )

    def compile(self, tree: Tree, sql: str | None = None, without_default: bool = False) -> Compiled:
        """A query or DML statement as DuckDB SQL. Raises BigQueryError. `tree` is changed."""
        columns = self._columns_of
        # A statement that reads no table may have come through unchanged: see below.
        sql = syntax.resolve_escapes(sql) if sql else None
        before = tree.sql(dialect="bigquery") if sql and tree.find(exp.Table) is None else None
        tree = bind_parameters(tree, self.parameters, self.system)
        if self.functions or self.catalog.functions:
            tree = inline_calls(tree, self.function, columns)
        syntax.refuse(tree)
        if self.variables:
            tree = bind_names(tree, self.variables, columns)
        check_aliases(tree, columns, syntax.locator(self.sql))
        tree = resolve(tree, self.names(without_default))
        tree = flatten_structs(tree, self._fields_of)
        tree = name_ordered(tree)
        check_comparisons(tree, self._fields_of, syntax.locator(self.sql))
        tree = keep_numeric(tree, self._fields_of)
        output = repairs.output_names(tree)
        cells, exact = self._estimate(tree)
        reads = list(cells)
        has_numeric = bool(self.parameters or self.variables) or self._has_numeric(reads)
        tree = repairs.repair(tree, has_numeric, self._nan_columns(reads))
        text = tree.sql(dialect="bigquery")
        # The user's own text where nothing had to be changed: writing a tree out again can lose what sqlglot misreads.
        # So can passing it on: the translation takes `.5` for a NUMERIC.
        own = sql if sql and text == before and not re.search(r"(?<![\w)\]`])\.\d", sql) else None
        duckdb_sql = finish(to_duckdb(own or text, self.project))
        self.engine.provide(duckdb_sql)
        return Compiled(duckdb_sql, reads, output, exact, cells, lasting="CURRENT_" not in text.upper())

    def result_fields(self, compiled: Compiled) -> list[Field]:
        """The fields of a query's result, without running it."""
        description = self.run_duckdb(f"SELECT * FROM ({compiled.duckdb}) LIMIT 0").description
        return _renamed(types.result_fields(description), compiled.output)

    def run_duckdb(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Runs translated SQL. A macro whose arguments cannot be typed gives way to the one that asks for no types."""
        fixed = self.engine.retyped.get(sql, sql)
        for _ in range(_MOST_MACROS):
            try:
                cursor = self._execute(fixed)
            except duckdb.BinderException as error:
                found = re.search(r"Macro (LOCAL_\w+)\(\) (?:has multiple overloads|does not support)", str(error))
                if found is None or found[1].endswith("_ANY"):
                    raise
                fixed = re.sub(rf"\b{found[1]}\(", f"{found[1]}_ANY(", fixed)
                self.engine.provide(fixed)
            except duckdb.CatalogException as error:
                found = re.search(r"with name \"?(\w+)\"? does not exist", str(error))
                if found is None or not self.engine.library.restore(found[1]):
                    raise
            else:
                if fixed is not sql:
                    if len(self.engine.retyped) >= _REMEMBERED:
                        self.engine.retyped.clear()
                    self.engine.retyped[sql] = fixed
                return cursor
        raise BigQueryError("UNIMPLEMENTED: a statement with so many functions of aggregates is not emulated locally.")

    def _execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Runs a text. DuckDB moves a filter with random() below DISTINCT, where it is drawn for every single row."""
        if "random()" not in sql.lower():
            return self.connection.execute(sql)
        self.connection.execute("SET disabled_optimizers = 'filter_pushdown'")
        try:
            return self.connection.execute(sql)
        finally:
            self.engine.connection.cursor().execute("RESET disabled_optimizers")

    def constant(self, node: Tree) -> Any:
        """The Python value of a constant GoogleSQL expression, of an OPTIONS item for example."""
        if isinstance(node, exp.Literal) and node.is_string:
            return node.this
        select = exp.select(exp.alias_(node.copy(), "v"))
        row = self.run_duckdb(self.compile(select).duckdb).fetchone()
        return row[0] if row else None

    def _fields_of(self, name: TableName) -> list[Field]:
        if not name.project:
            if name.table not in self.engine.registered:
                return []
            return types.result_fields(self.run_duckdb(f"SELECT * FROM {quote(name.table)} LIMIT 0").description)
        fields: list[Field] = self.catalog.table(name)["schema"].get("fields", [])
        return fields

    def _has_numeric(self, names: Sequence[TableName]) -> bool:
        return any("NUMERIC" in str(self._fields_of(name)) for name in names)

    def _nan_columns(self, names: Sequence[TableName]) -> set[str]:
        return set().union(*(self.engine.nan_columns(name) for name in names))

    def _columns_of(self, node: exp.Table) -> set[str] | None:
        if len(node.parts) == 1 and node.name in self.engine.registered:
            return {name.lower() for name in self.engine.registered[node.name].column_names}
        parts = [part.name for part in node.parts]
        if parts[-1].endswith("*") or any("INFORMATION_SCHEMA" in part.upper() for part in parts) or array_path(node):
            return None
        try:
            name = self.names().table(node)
            resource = self.catalog.table(name)
        except BigQueryError:
            return None  # the table step says what is wrong with it
        return {f["name"].lower() for f in resource["schema"].get("fields", [])}

    def function(self, path: list[str]) -> Function | None:
        if len(path) == 1:
            return self.functions.get(path[0].lower())
        project, dataset, name = path if len(path) == 3 else (self.project, *path) if len(path) == 2 else ("", "", "")
        stored = self.catalog.functions.get(TableName(project, dataset, name))
        if stored is None:
            return None
        tree = syntax.parse(stored["sql"])
        assert isinstance(tree, exp.Create)
        return read_function(tree)

    def _information_schema(self, dataset: DatasetName | None, view: str) -> str:
        def partitions(name: TableName) -> list[tuple[str | None, int, int]]:
            found = self.engine.partitions(name)
            if not found and not estimate.partition_column(self.catalog.table(name)):
                found = {None: (0, {})}  # a table without partitions has its one row here, also when it is empty
            return [(i, rows, sum(columns.values())) for i, (rows, columns) in found.items()]

        table = views.build(view, dataset, self.catalog, self.project, partitions)
        name = self.engine.fresh_name()
        self.engine.register(name, table)
        self._kept.callback(self.engine.unregister, name)
        return name

    def view_text(self, query: str, views: tuple[TableName, ...] = ()) -> str:
        """A view's query with the calls in it that somebody else answers as tables, as they are at this moment."""
        hook = self._hook(query)
        if hook is None:
            return query
        inner = Session(self.engine, views[-1].project if views else self.project, None, {}, self.job_id)
        inner._depth, inner._reading, inner._inside = 1, self._reading, views
        inner.billing_limit = self.billing_limit
        with _hook_errors(query):
            text = self._kept.enter_context(hook.resolved(query, inner))
        self.engine.running = self.job_id
        return text

    def _filter_suffixes(self, suffixes: list[str], condition: Tree) -> list[str]:
        table = pa.table({"_TABLE_SUFFIX": pa.array(suffixes, pa.string())})
        return self._evaluate(table, condition, "_TABLE_SUFFIX")

    def _evaluate(self, table: pa.Table, condition: Tree, column: str) -> list[str]:
        """The values of a column of those rows that meet a condition."""
        name = self.engine.fresh_name()
        self.connection.register(name, table)
        try:
            select = exp.select(column).from_(name).where(condition.copy())
            translated = to_duckdb(repairs.repair(select).sql(dialect="bigquery"), self.project)
            self.engine.provide(translated)
            rows = self.run_duckdb(translated).fetchall()
        finally:
            self.connection.unregister(name)
        return [row[0] for row in rows]

    # Bytes

    def _estimate(self, tree: Tree) -> tuple[estimate.Cells, bool]:
        """The bytes that a resolved statement reads, with an entry for each of its tables, and whether they are exact.

        Raises BigQueryError when a table asks for a filter that is missing.
        """
        written = tree.find(exp.Table) if isinstance(tree, exp.Insert) else None  # an INSERT does not read its table
        tables = [node for node in tree.find_all(exp.Table) if node.catalog and node is not written]
        reads = sorted({TableName(node.catalog, node.db, node.name) for node in tables}, key=str)
        resources = {name: self.catalog.table(name) for name in reads}
        scans, exact = self.engine.scans(tree, resources)
        # A column of a partition counts once, however often a query names its table.
        cells: estimate.Cells = {name: {} for name in reads}
        for scan in scans:
            cells[scan.table] |= self._scanned(scan, resources[scan.table])
        return cells, exact

    def _scanned(self, scan: estimate.Scan, resource: Resource) -> dict[tuple[str | None, str], int]:
        """The bytes that a scan reads, by partition and column."""
        found = self.engine.partitions(scan.table)
        kept: Sequence[str | None] = list(found)
        column, pruned = estimate.partition_column(resource), False
        if column:
            evaluate = lambda bounds, condition: self._evaluate(bounds, condition, "id")  # noqa: E731
            kept, pruned = estimate.kept_partitions(scan, resource, [str(i) for i in found], evaluate)
        if resource.get("requirePartitionFilter") and not pruned:
            full = f"{scan.table.project}.{scan.table.dataset}.{scan.table.table}"
            raise BigQueryError(
                f"Cannot query over table '{full}' without a filter over column(s) '{column}' that can be used for "
                "partition elimination"
            )
        return {
            (identifier, name): size
            for identifier in kept
            for name, size in found[identifier][1].items()
            if scan.columns is None or name in scan.columns
        }

    def charge(self, outcome: Outcome, compiled: Compiled) -> None:
        """Writes the estimate of a statement into what it has done."""
        self._reading.add(compiled.cells, compiled.exact)
        self._charged(outcome)
        if self.billing_limit is not None and outcome.bytes_billed > self.billing_limit:
            raise BigQueryError(
                f"Query exceeded limit for bytes billed: {self.billing_limit}. "
                f"{outcome.bytes_billed} or higher required.",
                "bytesBilledLimitExceeded",
            )

    def _charged(self, outcome: Outcome) -> Outcome:
        """The outcome with what was read so far."""
        sizes = self._reading.sizes
        outcome.referenced = sorted(sizes, key=str)
        outcome.bytes_processed = sum(sizes.values())
        outcome.bytes_billed = estimate.billed(sizes)
        outcome.bytes_exact = self._reading.exact
        return outcome

    # Changes

    def changed(self, name: TableName) -> None:
        self.engine.forget_sizes(name)

    def drop_dataset(self, name: DatasetName, with_contents: bool) -> None:
        """Raises BigQueryError, resourceInUse, when tables or models are in it and `with_contents` is not set."""
        models = [model["modelReference"]["modelId"] for model in self.engine.models(name)]
        if models and not with_contents:
            raise BigQueryError(f"Dataset {name} is still in use", "resourceInUse", "")
        self.catalog.drop_dataset(name, with_contents)
        for model in models:
            self.engine.delete_model(name, model)
        self.engine.forget_sizes()

    def temporary_name(self, name: str) -> TableName:
        """The table behind a temporary one of a script."""
        if name in self.temporary:
            return self.temporary[name]
        scratch = DatasetName(self.project, SCRATCH + self._suffix)
        if scratch not in self.catalog.datasets:
            self.catalog.create_dataset(scratch, {})
        return TableName(self.project, scratch.dataset, name)

    # Variables

    def store(self, name: str, expression: str, kind: str, values: list[Any] | None = None) -> Tree:
        """Keeps a DuckDB value under a name of this session and gives the expression that reads it."""
        variable = f"{name}{self._suffix}"
        self.connection.execute(f"SET VARIABLE {quote(variable)} = CAST({expression} AS {kind})", values or [])
        if variable not in self._session_variables:
            self._session_variables.append(variable)
        return exp.Anonymous(this="GETVARIABLE", expressions=[exp.Literal.string(variable)])

    # Transactions of a script

    _owns_transaction = False
    _is_broken = False

    def begin_transaction(self) -> Outcome:
        if self.catalog.in_transaction:
            raise BigQueryError("Transaction is already active: nested transactions are not supported")
        self.lock.acquire()
        self.catalog.begin()
        self._owns_transaction = True
        return Outcome("BEGIN_TRANSACTION")

    def end_transaction(self, commit: bool) -> Outcome:
        if self._is_broken:
            self._is_broken = False
            return Outcome("ROLLBACK_TRANSACTION")
        if not self._owns_transaction:
            raise BigQueryError("There is no active transaction")
        self._owns_transaction = False
        try:
            if commit:
                self.catalog.commit()
            else:
                self.catalog.rollback()
                self.engine.forget_sizes()
        finally:
            self.lock.release()
        return Outcome("COMMIT_TRANSACTION" if commit else "ROLLBACK_TRANSACTION")


@contextmanager
def _hook_errors(sql: str) -> Iterator[None]:
    """The errors of whoever else reads a statement as BigQuery's."""
    try:
        yield
    except BigQueryError:
        raise
    except duckdb.Error as error:
        raise from_duckdb(error, syntax.locator(sql)) from error
    except Exception as error:
        raise from_hook(error) from error


def _renamed(fields: list[Field], output: list[str | None]) -> list[Field]:
    """The names as the query writes them; BigQuery calls the first column without one f0_."""
    if len(output) != len(fields):
        return fields
    unnamed = itertools.count()
    seen: dict[str, int] = {}
    for one, name in zip(fields, output):
        one["name"] = name if name is not None else f"f{next(unnamed)}_"
        count = seen.get(one["name"].lower(), 0)
        seen[one["name"].lower()] = count + 1
        if count:
            one["name"] = f"{one['name']}_{count}"
    return fields


def fields_of_arrow(table: pa.Table) -> list[Field]:
    """The fields of an Arrow table that some other code has made."""
    connection = duckdb.connect()
    try:
        connection.register("t", table)
        return types.result_fields(connection.execute("SELECT * FROM t LIMIT 0").description)
    finally:
        connection.close()

"""The entry point: which statements are BigQuery ML's, and what they do."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

import pyarrow as pa

from localgcp.bqml import functions
from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest, already_exists, not_found, unimplemented
from localgcp.bqml.exchange.buckets import Buckets
from localgcp.bqml.record import Record
from localgcp.bqml.scalars import resolve_functions
from localgcp.bqml.sql import first_call, has_ml_function, head, statement_kind, visible_ctes
from localgcp.bqml.statement import parse_create, parse_drop, parse_export
from localgcp.bqml.store import Store
from localgcp.bqml.transform import registered


class Job(Protocol):
    """What a server says of the job that a statement belongs to."""

    @property
    def dataset(self) -> str | None:
        """The default dataset, `dataset` or `project.dataset`."""


class Models:
    """BigQuery ML models of one project, kept in a folder; a new object over the same folder goes on with them.

    `buckets` is a folder with one folder for each Cloud Storage bucket, from which models are imported and to which
    they are exported.
    """

    def __init__(self, folder: str | Path, project: str = "local-project", buckets: str | Path | None = None) -> None:
        self.project = project
        self._buckets = Buckets(None if buckets is None else Path(buckets))
        self._store = Store(Path(folder))
        self._training = RLock()
        # Training waits for the engine; who deletes a dataset has the engine, and must not wait for a training.
        self._writing = RLock()

    def handles(self, sql: str) -> bool:
        """Whether the statement is CREATE / DROP / ALTER / EXPORT MODEL or has a call of an ML function.

        False for what cannot even be read as tokens: that is the engine's to refuse.
        """
        # Without either word there is nothing to find, and most statements have neither.
        capitals = sql.upper()
        if "ML" not in capitals and "MODEL" not in capitals:
            return False
        try:
            return statement_kind(sql) is not None or has_ml_function(sql)
        except BadRequest:
            return False

    def run(self, sql: str, engine: Engine, job: Job | str | None = None) -> pa.Table | None:
        """Runs a statement that `handles` said yes to: None for CREATE, EXPORT and DROP, else its rows.

        The default dataset, given by itself or with a job, completes a model name without one. Raises BadRequest, and
        whatever the engine raises.
        """
        dataset = job if job is None or isinstance(job, str) else job.dataset
        kind = statement_kind(sql)
        if kind == "CREATE":
            self._create(sql, engine, dataset)
            return None
        if kind == "DROP":
            self._drop(sql, dataset)
            return None
        if kind == "EXPORT":
            self._export(sql, dataset)
            return None
        if kind is not None:
            raise unimplemented(f"{kind} MODEL")
        with self.resolved(sql, engine, dataset) as plain:
            return engine.query(plain)

    def dry_run(self, sql: str, engine: Engine, job: Job | str | None = None) -> None:
        """What `run` would refuse before it trains or changes anything, refused; the engine counts what is read.

        ML calls in a query are carried out, as what they give decides what the query around them means.
        """
        dataset = job if job is None or isinstance(job, str) else job.dataset
        kind = statement_kind(sql)
        if kind == "CREATE":
            statement = parse_create(sql)
            name = self._full_name(statement.name, dataset)
            if self._store.exists(*name[1:]) and not (statement.replace or statement.if_not_exists):
                raise already_exists(*name)
            if statement.query is not None:
                with self.resolved(statement.query, engine, dataset) as query:
                    engine.check(query)
        elif kind == "DROP":
            dropped = parse_drop(sql)
            if not dropped.if_exists:
                self._check(*self._full_name(dropped.name, dataset))
        elif kind == "EXPORT":
            self._record(parse_export(sql).name, dataset)
        elif kind is not None:
            raise unimplemented(f"{kind} MODEL")
        else:
            with self.resolved(sql, engine, dataset) as plain:
                engine.check(plain)

    @contextmanager
    def resolved(self, sql: str, engine: Engine, dataset: str | None = None) -> Iterator[str]:
        """The statement with every ML call replaced by a table that the engine finds while the context is open."""
        if head(sql)[:2] == ["CREATE", "VIEW"] or head(sql)[:4] == ["CREATE", "OR", "REPLACE", "VIEW"]:
            raise unimplemented("a view over ML functions")
        with ExitStack() as keep:
            while call := first_call(sql):
                record = self._record(call.model, dataset)
                result = functions.call(call.name, call.arguments, record, engine, visible_ctes(sql, call.start))
                name = keep.enter_context(registered(engine, result))
                sql = sql[: call.start] + name + sql[call.end :]
            yield resolve_functions(sql, engine, keep) if has_ml_function(sql) else sql

    def get(self, dataset: str, model: str) -> dict[str, Any]:
        """The REST resource. Raises BadRequest, code 404."""
        self._check(self.project, dataset, model)
        return self._store.resource(dataset, model)

    def list(self, dataset: str) -> builtins.list[dict[str, Any]]:
        """The resources of a dataset's models as models.list gives them: without training runs."""
        short = ("modelReference", "creationTime", "lastModifiedTime", "modelType", "labels")
        resources = [self._store.resource(dataset, model) for model in self._store.models(dataset)]
        return [{key: resource[key] for key in short if key in resource} for resource in resources]

    def models(self, project: str, dataset: str) -> builtins.list[dict[str, Any]]:
        """The full resources of a dataset's models; none for another project's."""
        if project != self.project:
            return []
        return [self._store.resource(dataset, model) for model in self._store.models(dataset)]

    def delete_model(self, project: str, dataset: str, model: str) -> bool:
        """Deletes a model; False when there is none of that name."""
        if project != self.project or not self._store.exists(dataset, model):
            return False
        self.delete(dataset, model)
        return True

    def delete(self, dataset: str, model: str) -> None:
        """Raises BadRequest, code 404."""
        with self._writing:
            self._check(self.project, dataset, model)
            self._store.delete(dataset, model)

    def _create(self, sql: str, engine: Engine, dataset: str | None) -> None:
        from localgcp.bqml.train import create

        statement = parse_create(sql)
        name = self._full_name(statement.name, dataset)
        with self._training:
            if self._store.exists(*name[1:]) and not statement.replace:
                if statement.if_not_exists:
                    return
                raise already_exists(*name)
            if statement.query is None:
                from localgcp.bqml.exchange.importing import import_model

                self._save(import_model(statement, name, self._buckets))
                return
            with self.resolved(statement.query, engine, dataset) as query:
                plain = statement if query == statement.query else _with_query(statement, query)
                self._save(create(plain, name, engine))

    def _save(self, record: Record) -> None:
        with self._writing:
            self._store.save(record)

    def _drop(self, sql: str, dataset: str | None) -> None:
        statement = parse_drop(sql)
        name = self._full_name(statement.name, dataset)
        if not self._store.exists(*name[1:]) and statement.if_exists:
            return
        self.delete(*name[1:])

    def _export(self, sql: str, dataset: str | None) -> None:
        from localgcp.bqml.exchange.exporting import export

        statement = parse_export(sql)
        export(statement, self._record(statement.name, dataset), self._buckets)

    def _record(self, parts: tuple[str, ...], dataset: str | None) -> Record:
        name = self._full_name(parts, dataset)
        self._check(*name)
        return self._store.load(*name[1:])

    def _check(self, project: str, dataset: str, model: str) -> None:
        if project != self.project or not self._store.exists(dataset, model):
            raise not_found(project, dataset, model)

    def _full_name(self, parts: tuple[str, ...], dataset: str | None) -> tuple[str, str, str]:
        """(project, dataset, model); `dataset` may be `dataset` or `project.dataset`."""
        if len(parts) == 1:
            if not dataset:
                raise BadRequest(f'Model name "{parts[0]}" missing dataset while no default dataset is set.')
            parts = (*dataset.split("."), *parts)
        if len(parts) == 2:
            parts = (self.project, *parts)
        return parts[0], parts[1], parts[2]


def _with_query(statement: Any, query: str) -> Any:
    from dataclasses import replace

    return replace(statement, query=query)

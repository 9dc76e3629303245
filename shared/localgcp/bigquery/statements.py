"""Statements that somebody else runs: the place where BigQuery ML plugs in, without either side importing the other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


class Sql(Protocol):
    """What such a statement may ask of the SQL side: an engine bound to a job's dataset, parameters and variables."""

    def query(self, sql: str) -> pa.Table:
        """The rows of any statement of GoogleSQL; a table without columns for one that has no rows."""

    def check(self, sql: str) -> None:
        """Raises what `query` would raise before it reads any row, and counts the bytes that it would read."""

    def register(self, name: str, table: pa.Table) -> None:
        """Makes an Arrow table readable under a bare name."""

    def unregister(self, name: str) -> None:
        """Forgets it again."""


@dataclass(frozen=True)
class JobContext:
    """The job that a statement belongs to. `dataset` is the default dataset or None."""

    job_id: str
    project: str
    dataset: str | None
    location: str = "US"


class Statements(Protocol):
    """A family of statements. Errors it raises reach the client with their `message` and `reason` attributes."""

    def handles(self, sql: str) -> bool:
        """Whether this one statement is one of the family."""

    def run(self, sql: str, engine: Sql, job: JobContext) -> pa.Table | None:
        """Runs it; None when it has no rows, as CREATE MODEL."""

    def dry_run(self, sql: str, engine: Sql, job: JobContext) -> None:
        """Reads what `run` would read and checks what can be, by `engine`, and leaves everything as it is."""

    def resolved(self, sql: str, engine: Sql, dataset: str | None = None) -> AbstractContextManager[str]:
        """The text of a query as one of plain SQL, which the engine can run while the context is open."""

    def models(self, project: str, dataset: str) -> list[dict[str, Any]]:
        """The models of a dataset as resources of the REST API (`modelReference`, `modelType`, …)."""

    def delete_model(self, project: str, dataset: str, model: str) -> bool:
        """Deletes a model; False when there is none of that name."""

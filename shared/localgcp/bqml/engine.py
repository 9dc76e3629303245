"""What BigQuery ML asks of the SQL side."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Engine(Protocol):
    """Runs GoogleSQL; also finds the Arrow tables that were registered with it, by their bare name."""

    def query(self, sql: str) -> pa.Table:
        """The rows of a query, in BigQuery's column order; an empty table for a statement without rows.

        Types arrive as the Arrow types of BigQuery's own Storage API: INT64 int64, FLOAT64 double, NUMERIC decimal128,
        TIMESTAMP timestamp[us, UTC], DATETIME timestamp[us], STRUCT struct, ARRAY list.
        """

    def check(self, sql: str) -> None:
        """Raises what `query` would raise before it reads a row. Called for dry runs only."""

    def register(self, name: str, table: pa.Table) -> None:
        """Makes a table readable as `name`, which no default dataset is put before."""

    def unregister(self, name: str) -> None:
        """Forgets a registered table."""

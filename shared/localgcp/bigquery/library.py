"""The macros and Python functions that translated SQL calls, made in DuckDB when they are first needed.

All of them at once would take a second of every start.
"""

from __future__ import annotations

import re

import duckdb

from localgcp.bigquery import scalars, weeks
from localgcp.bigquery.macros import MACROS

_CALL = re.compile(r"\b((?:local|py)_\w+)\s*\(", re.IGNORECASE)
_TEXTS = {macro[: macro.index("(")].lower(): macro for macro in (*weeks.MACROS, *MACROS)}


class Library:
    """What of it a connection has."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._made: set[str] = set()

    def provide(self, sql: str) -> None:
        """Makes what the SQL calls, and what that calls in turn."""
        for name in set(_CALL.findall(sql)):
            self._make(name.lower())

    def restore(self, name: str) -> bool:
        """Makes one again that a transaction has taken back. False when there is none of that name."""
        known = name.lower() in _TEXTS or name.lower() in scalars.SCALARS
        if known:
            self._made.clear()
            self._make(name.lower())
        return known

    def _make(self, name: str) -> None:
        if name in self._made:
            return
        self._made.add(name)
        if name in scalars.SCALARS:
            scalars.register(self._connection, name)
        elif name in _TEXTS:
            macro = _TEXTS[name]
            self.provide(macro[macro.index(" AS ") :])
            self._connection.execute(f"CREATE OR REPLACE TEMP MACRO {macro}")

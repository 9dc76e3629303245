"""The DuckDB connection: its file, its settings, and the functions that translated SQL calls."""

from __future__ import annotations

from pathlib import Path

import duckdb
from bqemulator.sql.builtin_udfs import register_builtin_udfs

from localgcp.bigquery.errors import unimplemented

FILE = "bigquery.duckdb"


def connect(folder: Path | None) -> duckdb.DuckDBPyConnection:
    """The database of a folder, made if there is none; in memory without a folder."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(str(folder / FILE) if folder is not None else ":memory:")
    # TIMESTAMP is UTC in BigQuery. Nothing may be fetched from the network, extensions among it.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET autoinstall_known_extensions = false")
    # In a kernel the bar of a long query would land under the learner's cell.
    connection.execute("SET enable_progress_bar = false")
    register_builtin_udfs(connection)
    return connection


def load_spatial(connection: duckdb.DuckDBPyConnection) -> None:
    """Loads DuckDB's extension behind the ST_ functions from its Python package. Raises BigQueryError without it."""
    try:
        import duckdb_extensions

        duckdb_extensions.import_extension("spatial")
        connection.execute("INSTALL spatial")
        connection.execute("LOAD spatial")
    except (ImportError, FileNotFoundError, duckdb.Error) as error:
        raise unimplemented(f"the geography functions without the package duckdb-extension-spatial ({error})") from None

"""A thin engine for the tests: bqemulator's translator on DuckDB, as the local BigQuery uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
import structlog
from localgcp.bqml import Models

# bqemulator logs at debug level as soon as it is imported.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

PROJECT = "local-project"


class DuckEngine:
    """Engine over one in-memory DuckDB."""

    def __init__(self) -> None:
        from bqemulator.sql.builtin_udfs import register_builtin_udfs
        from bqemulator.sql.translator import SQLTranslator

        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone='UTC'")
        register_builtin_udfs(self.connection)
        self.translator = SQLTranslator()
        self.connection.execute(f'CREATE SCHEMA "{PROJECT}__d"')
        self.temporary: set[str] = set()

    def query(self, sql: str) -> pa.Table:
        from bqemulator.domain.result import Ok
        from bqemulator.sql.table_rewriter import rewrite_table_refs

        translated = self.translator.translate(sql)
        if not isinstance(translated, Ok):
            raise ValueError(f"{translated.error} in {sql}")
        cursor = self.connection.execute(rewrite_table_refs(translated.value, PROJECT))
        return cursor.to_arrow_table() if cursor.description else pa.table({})

    def register(self, name: str, table: pa.Table) -> None:
        self.connection.register(name, table)
        self.temporary.add(name)

    def unregister(self, name: str) -> None:
        self.connection.unregister(name)
        self.temporary.remove(name)

    def load(self, name: str, frame: pd.DataFrame | pa.Table) -> None:
        """Keeps a table as `d.name`."""
        self.connection.register("loading", frame)
        self.connection.execute(f'CREATE OR REPLACE TABLE "{PROJECT}__d"."{name}" AS SELECT * FROM loading')
        self.connection.unregister("loading")


@pytest.fixture(scope="session")
def penguins() -> pd.DataFrame:
    """The rows of the public ml_datasets.penguins, under its column names."""
    from palmerpenguins import load_penguins

    frame = load_penguins().drop(columns=["year"])
    renamed = {"bill_length_mm": "culmen_length_mm", "bill_depth_mm": "culmen_depth_mm"}
    frame = frame.rename(columns=renamed)
    # One penguin whose sex the public table writes as ".".
    odd = (frame.culmen_length_mm == 44.5) & (frame.culmen_depth_mm == 15.7) & (frame.body_mass_g == 4875)
    assert odd.sum() == 1
    frame.loc[odd, "sex"] = "."
    return frame


@pytest.fixture
def engine(penguins: pd.DataFrame) -> Any:
    """An engine with `d.penguins`; a test that leaves a registered table behind fails."""
    duck = DuckEngine()
    duck.load("penguins", penguins)
    yield duck
    assert not duck.temporary


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models", PROJECT)


@pytest.fixture
def run(models: Models, engine: DuckEngine) -> Callable[[str], Any]:
    """Runs a statement as the server would; rows as a pandas frame."""

    def execute(sql: str) -> Any:
        if not models.handles(sql):
            return engine.query(sql).to_pandas()
        found = models.run(sql, engine, "d")
        return None if found is None else found.to_pandas()

    return execute

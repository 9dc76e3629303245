"""The table functions ML.X(MODEL m, …): which there are, what they take, who answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from localgcp.bqml.arguments import read_arguments
from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.base import Model
from localgcp.bqml.models.imported import Imported
from localgcp.bqml.record import Record


@dataclass(frozen=True)
class Context:
    """One call: the model of the chosen trial, input rows as given and as after TRANSFORM."""

    function: str
    record: Record
    model: Model
    rows: pa.Table | None
    features: pa.Table | None
    settings: dict[str, Any]
    array: list[float] | None = None

    def evaluation_rows(self) -> pa.Table:
        """The input if there is one, else what was held out in training (all rows, if nothing was)."""
        return self.record.held_out if self.features is None else self.features

    def needs(self, *classes: type) -> Any:
        """The model, which must be of one of the classes. Raises BadRequest."""
        if not isinstance(self.model, classes):
            raise BadRequest(f"ML.{self.function} is not supported for model type {self.record.model_type}.")
        return self.model

    def of_every_trial(self, answer: Callable[[Any], pa.Table]) -> pa.Table:
        """The model's table; for a tuned model those of all its trials, with their ids in front."""
        if not self.record.trials:
            return answer(self.model)
        tables = []
        for trial in self.record.trials:
            if trial.model is not None:
                table = answer(trial.model)
                tables.append(table.add_column(0, "trial_id", pa.array([trial.number] * len(table), pa.int64())))
        return pa.concat_tables(tables)


@dataclass(frozen=True)
class Function:
    answer: Callable[[Context], pa.Table]
    rows: str = "none"  # none, optional or required
    settings: Mapping[str, type] = field(default_factory=dict)
    array: bool = False


ELSEWHERE = {
    "ADVANCED_WEIGHTS_XREG",
    "ANNOTATE_IMAGE",
    "DISTANCE",
    "EXPLAIN_FORECAST_XREG",
    "GENERATE_EMBEDDING",
    "GENERATE_TEXT",
    "HOLIDAY_INFO",
    "PROCESS_DOCUMENT",
    "TRANSCRIBE",
    "TRANSLATE",
    "UNDERSTAND_TEXT",
    "LP_NORM",
    "GET_INSIGHTS",
}


def call(name: str, texts: tuple[str, ...], record: Record, engine: Engine, ctes: list[str]) -> pa.Table:
    """Runs ML.name. Raises BadRequest."""
    function = registry().get(name)
    if function is None:
        raise (
            unimplemented(f"ML.{name}")
            if name in ELSEWHERE
            else BadRequest(f"Table-valued function not found: ML.{name}")
        )
    if isinstance(record.model, Imported) and name not in record.model.FUNCTIONS:
        raise BadRequest(f"ML.{name} is not supported for model type {record.model_type}.")
    given = read_arguments(name, texts, {**function.settings}, engine, ctes)
    if function.rows == "required" and given.rows is None:
        raise BadRequest(f"Invalid table-valued function ML.{name}: an input TABLE or query is required.")
    if function.rows == "none" and given.rows is not None:
        raise BadRequest(f"Invalid table-valued function ML.{name}: it takes no input table.")
    if given.array is not None and not function.array:
        raise BadRequest(f"Invalid table-valued function ML.{name}: it takes no array.")
    features = None if given.rows is None else record.features(engine, given.rows, name)
    model = record.of_trial(given.settings.get("trial_id"))
    return function.answer(Context(name, record, model, given.rows, features, given.settings, given.array))


def registry() -> dict[str, Function]:
    """Name to function. The modules load with the first call."""
    from localgcp.bqml.functions import cluster, evaluate, explain, inspection, predict, recommend, series

    tables = [predict.FUNCTIONS, evaluate.FUNCTIONS, explain.FUNCTIONS, inspection.FUNCTIONS, cluster.FUNCTIONS]
    tables += [recommend.FUNCTIONS, series.FUNCTIONS]
    return {name: function for table in tables for name, function in table.items()}


def beside(columns: pa.Table, rows: pa.Table) -> pa.Table:
    """The function's columns, then the input's, except those that the function has already."""
    have = {name.lower() for name in columns.column_names}
    for name in rows.column_names:
        if name.lower() not in have:
            columns = columns.append_column(name, rows[name])
    return columns


def one_row(values: Mapping[str, Any]) -> pa.Table:
    """Figures as a table of one row: bool, int and float as BigQuery's types."""
    return pa.table({name: pa.array([value]) for name, value in values.items()})

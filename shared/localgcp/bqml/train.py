"""Runs CREATE MODEL: query, TRANSFORM, split, training (or tuning), record."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import floats, is_numeric, single, texts
from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.models import canonical, model_class
from localgcp.bqml.models.base import Model, Training
from localgcp.bqml.options import Given, check_options
from localgcp.bqml.preprocess import quantile
from localgcp.bqml.record import FeatureSummary, Record, Trial
from localgcp.bqml.resource import model_resource
from localgcp.bqml.split import Split, split_rows
from localgcp.bqml.statement import CreateModel
from localgcp.bqml.transform import Transform, learn_transform
from localgcp.bqml.tuning import best_trial, run_trials


def create(statement: CreateModel, name: tuple[str, str, str], engine: Engine) -> Record:
    """The trained model. Raises BadRequest; nothing is kept then."""
    started = time.time()
    raw_type = statement.options.get("model_type")
    if not isinstance(raw_type, str):
        raise BadRequest("Model type must be specified: OPTIONS(model_type='…').")
    model_type = canonical(raw_type)
    kind = model_class(model_type)
    given = check_options(model_type, statement.options, kind.OPTIONS)
    assert statement.query is not None  # without one it is an import
    raw = engine.query(statement.query)
    transform: Transform | None = None
    rows = raw
    if statement.transform:
        transform, rows = learn_transform(statement.transform, engine, raw)
    rows, label = _labelled(kind, rows, given)
    if len(rows) == 0:
        raise BadRequest("Input data doesn't contain any rows.")
    split, used = _split(kind, rows, given)
    train, evaluation = used.filter(pa.array(split.train)), _some(used, split.evaluation)
    if len(train) == 0:
        raise BadRequest("The data split leaves no rows to train on.")
    if kind.SUPERVISED and train.num_columns < 2:
        raise BadRequest("The training data has no feature columns.")
    trials: list[Trial] = []
    best: int | None = None
    if given.options.get("num_trials"):
        test = _some(used, split.test)
        trials = run_trials(kind, Training(train, evaluation, label, given.options), given.tuned, test)
        chosen = best_trial(kind, trials, given.options)
        assert chosen.model is not None
        model, best = chosen.model, chosen.number
        held_out = test if test is not None else evaluation
    else:
        model, held_out = kind.fit(Training(train, evaluation, label, given.options)), evaluation
    held_out = train if held_out is None else held_out
    away = {v.lower() for v in (label, given.options.get("data_split_col")) if v}
    summaries = [summarise(n, single(raw[n])) for n in raw.column_names if n.lower() not in away]
    resource = model_resource(name, model_type, model, transform, raw, rows, held_out, trials, best, started)
    return Record(name, model_type, model, transform, held_out, summaries, resource, trials, best)


def _labelled(kind: type[Model], rows: pa.Table, given: Given) -> tuple[pa.Table, str | None]:
    """Rows that have a label, and the label's name as the table writes it."""
    if not kind.SUPERVISED:
        return rows, None
    wanted = given.options["input_label_cols"]
    if wanted is not None and len(wanted) != 1:
        raise BadRequest(f"INPUT_LABEL_COLS must have exactly one column, got {len(wanted)}.")
    name = wanted[0] if wanted else "label"
    found = {column.lower(): column for column in rows.column_names}.get(name.lower())
    if found is None and wanted:
        raise BadRequest(f"Invalid label column: {name} is not found in the training data.")
    if found is None:
        raise BadRequest(
            "Unable to identify the label column: specify INPUT_LABEL_COLS, or name a training column 'label'."
        )
    return rows.filter(single(rows[found]).is_valid()), found


def _split(kind: type[Model], rows: pa.Table, given: Given) -> tuple[Split, pa.Table]:
    """Who trains, and the rows without the split column."""
    if not kind.SPLITS:
        everything = np.ones(len(rows), bool)
        return Split(everything, ~everything, ~everything), rows
    split = split_rows(rows, given.options, tuning=bool(given.options.get("num_trials")))
    column = given.options["data_split_col"]
    kept = [n for n in rows.column_names if column is None or n.lower() != column.lower()]
    return split, rows.select(kept)


def _some(rows: pa.Table, mask: Any) -> pa.Table | None:
    return rows.filter(pa.array(mask)) if mask.any() else None


def summarise(name: str, column: pa.Array) -> FeatureSummary:
    """A row of ML.FEATURE_INFO: of the column as the query gave it."""
    if is_numeric(column.type):
        x = floats(column)
        values = np.sort(x[~np.isnan(x)])
        if not len(values):
            return FeatureSummary(name, null_count=len(x))
        return FeatureSummary(
            name,
            min=float(values[0]),
            max=float(values[-1]),
            mean=float(values.mean()),
            median=quantile(values, 0.5),
            stddev=float(values.std(ddof=1)) if len(values) > 1 else None,
            null_count=len(x) - len(values),
        )
    if pa.types.is_list(column.type):
        lengths = pc.max(pc.list_value_length(column)).as_py()
        return FeatureSummary(name, null_count=column.null_count, dimension=lengths)
    if pa.types.is_struct(column.type):
        return FeatureSummary(name, null_count=column.null_count)
    distinct = pc.count_distinct(texts(column), mode="only_valid").as_py()
    return FeatureSummary(name, category_count=distinct, null_count=column.null_count)

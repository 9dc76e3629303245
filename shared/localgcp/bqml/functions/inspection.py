"""What a model learnt: ML.TRAINING_INFO, FEATURE_INFO, WEIGHTS, ADVANCED_WEIGHTS and TRIAL_INFO."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, texts
from localgcp.bqml.encode import Block, Category, Encoder
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function
from localgcp.bqml.models.arima import ArimaPlus
from localgcp.bqml.models.factorization import MatrixFactorization
from localgcp.bqml.models.kmeans import KMeans
from localgcp.bqml.models.linear import LinearRegression, unscaled
from localgcp.bqml.models.logistic import LogisticRegression

INTERCEPT = "__INTERCEPT__"
CATEGORY_WEIGHTS = pa.list_(pa.struct([("category", pa.string()), ("weight", pa.float64())]))
CLUSTERS = pa.list_(
    pa.struct([("centroid_id", pa.int64()), ("cluster_radius", pa.float64()), ("cluster_size", pa.int64())])
)
SUMMARY = {
    "input": pa.string(),
    **{name: pa.float64() for name in ("min", "max", "mean", "median", "stddev")},
    **{name: pa.int64() for name in ("category_count", "null_count", "dimension")},
}


def training_info(context: Context) -> pa.Table:
    """One row for each iteration; a tuned model keeps its trials instead, as on the service."""
    model, rows = context.model, context.model.iterations
    if context.record.trials:
        raise BadRequest(
            "ML.TRAINING_INFO is not supported for models with hyperparameter tuning: use ML.TRIAL_INFO instead."
        )
    counters = {
        "training_run": pa.array([0] * len(rows), pa.int64()),
        "iteration": pa.array(range(len(rows)), pa.int64()),
    }
    duration = {"duration_ms": pa.array([row.duration_ms for row in rows], pa.int64())}
    if isinstance(model, ArimaPlus):
        return pa.table({**counters, **duration})
    table = {**counters, "loss": pa.array([row.loss for row in rows], pa.float64())}
    if not isinstance(model, KMeans):
        table["eval_loss"] = pa.array([row.eval_loss for row in rows], pa.float64())
    table["learning_rate"] = pa.array([row.learning_rate for row in rows], pa.float64())
    table |= duration
    if isinstance(model, KMeans):
        table["cluster_info"] = pa.array([row.clusters for row in rows], CLUSTERS)
    return pa.table(table)


def feature_info(context: Context) -> pa.Table:
    rows = [asdict(summary) for summary in context.record.summaries]
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in SUMMARY.items()})


def weights(context: Context) -> pa.Table:
    """Weights of linear and logistic regression, of the features as they came unless standardize is set."""
    context.needs(LinearRegression, LogisticRegression, MatrixFactorization)
    return context.of_every_trial(lambda model: _weights(model, context.settings))


def _weights(model: Any, settings: dict[str, Any]) -> pa.Table:
    if isinstance(model, MatrixFactorization):
        return model.weight_table()
    standardize = bool(settings.get("standardize", False))
    many = isinstance(model, LogisticRegression) and len(model.classes) > 2
    columns = model.weights.reshape(model.encoder.width, -1)
    intercepts = model.intercepts if isinstance(model, LogisticRegression) else np.array([model.intercept])
    labels = texts(model.classes).to_pylist() if many else [None]
    rows: list[tuple[str, float | None, list[dict[str, Any]], Any]] = []
    for index, label in enumerate(labels):
        values, intercept = columns[:, index], float(intercepts[index])
        if not standardize:
            values, intercept = unscaled(model.encoder, values, intercept)
        for block, part in _parts(model.encoder, values):
            if isinstance(block, Category):
                pairs = [{"category": c, "weight": float(w)} for c, w in zip(block.categories, part)]
                rows.append((block.name, None, pairs, label))
            elif block.width == 1:
                rows.append((block.name, float(part[0]), [], label))
            else:
                names = getattr(block, "categories", [str(i) for i in range(block.width)])
                pairs = [{"category": c, "weight": float(w)} for c, w in zip(names, part)]
                rows.append((block.name, None, pairs, label))
        rows.append((INTERCEPT, intercept, [], label))
    table = pa.table(
        {
            "processed_input": pa.array([row[0] for row in rows], pa.string()),
            "weight": pa.array([row[1] for row in rows], pa.float64()),
            "category_weights": pa.array([row[2] for row in rows], CATEGORY_WEIGHTS),
        }
    )
    return table.append_column("class_label", pa.array([row[3] for row in rows], pa.string())) if many else table


def advanced_weights(context: Context) -> pa.Table:
    """Weights with standard errors and p-values of the normal distribution."""
    from scipy.stats import norm

    model = context.needs(LinearRegression, LogisticRegression)
    if model.errors is None:
        raise BadRequest("ML.ADVANCED_WEIGHTS requires the model to be trained with CALCULATE_P_VALUES=TRUE.")
    standardize = bool(context.settings.get("standardize", False))
    values = model.weights.reshape(-1)
    intercept = float(model.intercepts[0]) if isinstance(model, LogisticRegression) else model.intercept
    width = model.encoder.width
    errors = model.errors[:width]
    own = float(model.errors[width]) if len(model.errors) > width else float("nan")
    if not standardize:
        errors, _ = unscaled(model.encoder, errors, 0.0)
        values, intercept = unscaled(model.encoder, values, intercept)
    rows: list[tuple[str, str | None, float, float | None]] = [
        (INTERCEPT, None, intercept, own if standardize else None)
    ]
    position = 0
    for block in model.encoder.blocks:
        for i in range(block.width):
            category = block.categories[i] if isinstance(block, Category) else None
            rows.append((block.name, category, float(values[position]), float(errors[position])))
            position += 1
    p = [None if error is None else float(2 * norm.sf(abs(weight) / error)) for _, _, weight, error in rows]
    return pa.table(
        {
            "processed_input": pa.array([row[0] for row in rows], pa.string()),
            "category": pa.array([row[1] for row in rows], pa.string()),
            "weight": pa.array([row[2] for row in rows], pa.float64()),
            "standard_error": pa.array([row[3] for row in rows], pa.float64()),
            "p_value": pa.array(p, pa.float64()),
        }
    )


def trial_info(context: Context) -> pa.Table:
    trials = context.record.trials
    if not trials:
        raise BadRequest("ML.TRIAL_INFO requires a model that was trained with hyperparameter tuning.")
    losses = [t.model.iterations[-1] if t.model and t.model.iterations else None for t in trials]
    return pa.table(
        {
            "trial_id": pa.array([t.number for t in trials], pa.int64()),
            "hyperparameters": pa.array([t.hyperparameters for t in trials]),
            "hparam_tuning_evaluation_metrics": pa.array([t.metrics for t in trials]),
            "training_loss": pa.array([None if i is None else i.loss for i in losses], pa.float64()),
            "eval_loss": pa.array([None if i is None else i.eval_loss for i in losses], pa.float64()),
            "status": pa.array(["FAILED" if t.model is None else "SUCCEEDED" for t in trials]),
            "error_message": pa.array([t.error or None for t in trials], pa.string()),
            "is_optimal": pa.array([t.number == context.record.best for t in trials], pa.bool_()),
        }
    )


def _parts(encoder: Encoder, values: Floats) -> list[tuple[Block, Floats]]:
    """The slice of the values that belongs to each block."""
    ends = np.cumsum([block.width for block in encoder.blocks])
    return [(block, values[end - block.width : end]) for block, end in zip(encoder.blocks, ends)]


FUNCTIONS = {
    "TRAINING_INFO": Function(training_info),
    "FEATURE_INFO": Function(feature_info),
    "WEIGHTS": Function(weights, "none", {"standardize": bool}),
    "ADVANCED_WEIGHTS": Function(advanced_weights, "none", {"standardize": bool}),
    "TRIAL_INFO": Function(trial_info),
}

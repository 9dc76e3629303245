"""ML.EVALUATE, ML.CONFUSION_MATRIX and ML.ROC_CURVE."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import texts
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function, one_row
from localgcp.bqml.functions.series import evaluate_series
from localgcp.bqml.metrics import decide
from localgcp.bqml.models.arima import ArimaPlus
from localgcp.bqml.models.base import Classifier

POINTS = 100
SERIES_SETTINGS = {"perform_aggregation", "horizon", "confidence_level"}


def evaluate(context: Context) -> pa.Table:
    """One row of metrics; of every trial, for a tuned model without input and trial_id."""
    settings = context.settings
    if isinstance(context.model, ArimaPlus):
        return evaluate_series(context)
    if SERIES_SETTINGS & set(settings):
        context.needs(ArimaPlus)
    if "threshold" in settings:
        context.needs(Classifier)
    rows = context.evaluation_rows()
    trials = context.record.trials
    if not trials:
        return one_row(context.model.evaluate(rows, settings))
    if "trial_id" in settings:
        wanted = [t for t in trials if t.number == settings["trial_id"]]
    elif context.features is None:
        wanted = [t for t in trials if t.model is not None]
    else:
        wanted = [t for t in trials if t.number == context.record.best]
    tables = [
        one_row({"trial_id": trial.number, **trial.model.evaluate(rows, settings)})
        for trial in wanted
        if trial.model is not None
    ]
    return pa.concat_tables(tables)


def confusion_matrix(context: Context) -> pa.Table:
    """A row for each true label, a column for each predicted one, both in ascending order."""
    model: Classifier = context.needs(Classifier)
    if "threshold" in context.settings and context.features is None:
        raise BadRequest("ML.CONFUSION_MATRIX: threshold cannot be used without input data.")
    actual, probabilities = model.labelled(context.evaluation_rows(), context.function)
    count = len(model.classes)
    if (actual < 0).any():
        raise BadRequest("ML.CONFUSION_MATRIX: the input has a label that is not in the training data.")
    table = np.zeros((count, count), int)
    np.add.at(table, (actual, decide(probabilities, model.threshold(context.settings))), 1)
    names = column_names(texts(model.classes).to_pylist())
    return pa.table(
        {"expected_label": model.classes, **{n: pa.array(table[:, i], pa.int64()) for i, n in enumerate(names)}}
    )


def column_names(labels: list[str]) -> list[str]:
    """Labels made into column names that BigQuery allows, each different: 0 becomes _0."""
    names: list[str] = []
    for label in labels:
        name = re.sub(r"[^0-9A-Za-z_]", "_", label) or "_"
        name = f"_{name}" if name[0].isdigit() else name
        while name.lower() in {n.lower() for n in names} | {"expected_label"}:
            name += "_1"
        names.append(name)
    return names


def roc_curve(context: Context) -> pa.Table:
    """Counts at each threshold: those given, else the percentiles of the predicted probabilities, falling."""
    model: Classifier = context.needs(Classifier)
    if len(model.classes) != 2:
        raise BadRequest("ML.ROC_CURVE is only supported for binary classification models.")
    actual, probabilities = model.labelled(context.evaluation_rows(), context.function)
    score = probabilities[:, 1]
    if context.array is None:
        thresholds = np.unique(np.quantile(score, np.linspace(0, 1, POINTS + 1), method="inverted_cdf"))[::-1]
    else:
        thresholds = np.array(context.array)
    positive, negative = np.sort(score[actual == 1]), np.sort(score[actual != 1])
    hits = len(positive) - np.searchsorted(positive, thresholds, side="left")
    alarms = len(negative) - np.searchsorted(negative, thresholds, side="left")
    return pa.table(
        {
            "threshold": pa.array(thresholds, pa.float64()),
            "recall": pa.array(hits / max(1, len(positive)), pa.float64()),
            "false_positive_rate": pa.array(alarms / max(1, len(negative)), pa.float64()),
            "true_positives": pa.array(hits, pa.int64()),
            "false_positives": pa.array(alarms, pa.int64()),
            "true_negatives": pa.array(len(negative) - alarms, pa.int64()),
            "false_negatives": pa.array(len(positive) - hits, pa.int64()),
        }
    )


FUNCTIONS = {
    "EVALUATE": Function(
        evaluate,
        "optional",
        {"threshold": float, "trial_id": int, "perform_aggregation": bool, "horizon": int, "confidence_level": float},
    ),
    "CONFUSION_MATRIX": Function(confusion_matrix, "optional", {"threshold": float, "trial_id": int}),
    "ROC_CURVE": Function(roc_curve, "optional", {"trial_id": int}, array=True),
}

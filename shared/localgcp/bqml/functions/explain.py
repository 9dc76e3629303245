"""ML.EXPLAIN_PREDICT, ML.GLOBAL_EXPLAIN and ML.FEATURE_IMPORTANCE."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function, beside
from localgcp.bqml.metrics import decide
from localgcp.bqml.models.base import Classifier, Supervised
from localgcp.bqml.models.dnn import DnnClassifier, DnnRegressor
from localgcp.bqml.models.imported_xgboost import XgboostModel
from localgcp.bqml.models.trees import BoostedTreeClassifier, BoostedTreeRegressor, importance

TOP_FEATURES, TOP_OF_CLASS = 5, 10
PAIRS = pa.list_(pa.struct([("feature", pa.string()), ("attribution", pa.float64())]))


def explain_predict(context: Context) -> pa.Table:
    """The prediction, its largest attributions, and the figures that they add up to."""
    model: Supervised = context.needs(Supervised)
    assert context.features is not None and context.rows is not None
    if "integrated_gradients_num_steps" in context.settings:
        context.needs(DnnClassifier, DnnRegressor)
    if "approx_feature_contrib" in context.settings:
        context.needs(BoostedTreeClassifier, BoostedTreeRegressor)
    found = model.attributions(context.features, context.settings)
    columns = {f"predicted_{model.label}": model.predict(context.features, context.settings).column(0)}
    if isinstance(model, Classifier):
        probabilities = model.probabilities(context.features)
        chosen = decide(probabilities, model.threshold(context.settings))
        columns["probability"] = pa.array(probabilities[np.arange(len(chosen)), chosen], pa.float64())
    elif "threshold" in context.settings:
        context.needs(Classifier)
    top = context.settings.get("top_k_features", TOP_FEATURES)
    if top < 1:
        raise BadRequest(f"ML.EXPLAIN_PREDICT: top_k_features must be positive, got {top}.")
    order = np.argsort(-np.abs(found.values), axis=1, kind="stable")[:, :top]
    pairs = [
        [{"feature": found.features[j], "attribution": float(row[j])} for j in best]
        for row, best in zip(found.values, order)
    ]
    distance = np.abs(found.value - found.baseline)
    gap = np.abs(found.value - found.baseline - found.values.sum(axis=1))
    # An exact method leaves rounding only; integrated gradients leave more.
    error = np.where(gap > 1e-6 * np.maximum(1, distance), gap / np.where(distance > 0, distance, 1), 0.0)
    columns |= {
        "top_feature_attributions": pa.array(pairs, PAIRS),
        "baseline_prediction_value": pa.array(found.baseline, pa.float64()),
        "prediction_value": pa.array(found.value, pa.float64()),
        "approximation_error": pa.array(error, pa.float64()),
    }
    return beside(pa.table(columns), context.rows)


def global_explain(context: Context) -> pa.Table:
    """Mean absolute attribution of each feature over the evaluation rows, of every class if asked."""
    model: Supervised = context.needs(Supervised)
    if not model.options.get("enable_global_explain"):
        raise BadRequest("ML.GLOBAL_EXPLAIN requires the model to be trained with ENABLE_GLOBAL_EXPLAIN=TRUE.")
    rows = context.record.held_out
    found = model.attributions(rows, {})
    if not context.settings.get("class_level_explain"):
        return _ranked(found.features, np.abs(found.values).mean(axis=0))
    classifier: Classifier = context.needs(Classifier)
    chosen = decide(classifier.probabilities(rows))
    tables = []
    for index, label in enumerate(classifier.classes.to_pylist()):
        of_class = np.abs(found.values[chosen == index])
        ranked = _ranked(found.features, of_class.mean(axis=0) if len(of_class) else np.zeros(len(found.features)))
        ranked = ranked.slice(0, TOP_OF_CLASS)
        tables.append(ranked.add_column(0, str(model.label), pa.array([str(label)] * len(ranked))))
    return pa.concat_tables(tables)


def feature_importance(context: Context) -> pa.Table:
    if isinstance(context.model, XgboostModel):
        return context.model.importance()
    return importance(context.needs(BoostedTreeClassifier, BoostedTreeRegressor))


def _ranked(names: list[str], values: np.ndarray) -> pa.Table:  # type: ignore[type-arg]
    order = np.argsort(-values, kind="stable")
    return pa.table({"feature": [names[i] for i in order], "attribution": pa.array(values[order], pa.float64())})


FUNCTIONS = {
    "EXPLAIN_PREDICT": Function(
        explain_predict,
        "required",
        {
            "top_k_features": int,
            "threshold": float,
            "integrated_gradients_num_steps": int,
            "approx_feature_contrib": bool,
        },
    ),
    "GLOBAL_EXPLAIN": Function(global_explain, "none", {"class_level_explain": bool}),
    "FEATURE_IMPORTANCE": Function(feature_importance, "none"),
}

"""A model as the REST API describes it: what models.get answers and client.get_model reads."""

from __future__ import annotations

import math
import time
import uuid
from typing import Any

import pyarrow as pa

from localgcp.bqml.columns import single, texts, type_name
from localgcp.bqml.models import resource_type
from localgcp.bqml.models.base import Classifier, Metrics, Model
from localgcp.bqml.options import Options
from localgcp.bqml.record import Trial
from localgcp.bqml.transform import Transform

# Options whose name in trainingOptions is not the option's own in camel case.
RENAMED = {
    "input_label_cols": "inputLabelColumns",
    "l1_reg": "l1Regularization",
    "l2_reg": "l2Regularization",
    "min_rel_progress": "minRelativeProgress",
    "data_split_col": "dataSplitColumn",
    "ls_init_learn_rate": "initialLearnRate",
    "optimize_strategy": "optimizationStrategy",
    "class_weights": "labelClassWeights",
    "kmeans_init_method": "kmeansInitializationMethod",
    "kmeans_init_col": "kmeansInitializationColumn",
    "user_col": "userColumn",
    "item_col": "itemColumn",
    "time_series_timestamp_col": "timeSeriesTimestampColumn",
    "time_series_data_col": "timeSeriesDataColumn",
    "instance_weight_col": "instanceWeightColumn",
    "calculate_p_values": "calculatePValues",
    "colsample_bytree": "colsampleBytree",
    "colsample_bylevel": "colsampleBylevel",
    "colsample_bynode": "colsampleBynode",
}
VALUES = {"SEQ": "SEQUENTIAL", "KMEANS++": "KMEANS_PLUS_PLUS"}
HIDDEN = {"hparam_tuning_algorithm", "data_split_test_fraction", "rating_col", "time_series_id_col", "seasonalities"}
REGRESSION = {
    "mean_absolute_error": "meanAbsoluteError",
    "mean_squared_error": "meanSquaredError",
    "mean_squared_log_error": "meanSquaredLogError",
    "median_absolute_error": "medianAbsoluteError",
    "r2_score": "rSquared",
}
CLASSIFICATION = {
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "f1_score": "f1Score",
    "log_loss": "logLoss",
    "roc_auc": "rocAuc",
}


def model_resource(
    name: tuple[str, str, str],
    model_type: str,
    model: Model,
    transform: Transform | None,
    raw: pa.Table,
    rows: pa.Table,
    held_out: pa.Table,
    trials: list[Trial],
    best: int | None,
    started: float,
) -> dict[str, Any]:
    """The resource of a freshly trained model; times in milliseconds since 1970, 64-bit integers as strings."""
    project, dataset, model_id = name
    now = str(int(time.time() * 1000))
    away = {v.lower() for v in (model.label, model.options.get("data_split_col")) if v}
    inputs = raw if transform else rows
    columns = [n for n in inputs.column_names if n.lower() not in away]
    resource: dict[str, Any] = {
        "etag": uuid.uuid4().hex,
        "modelReference": {"projectId": project, "datasetId": dataset, "modelId": model_id},
        "creationTime": now,
        "lastModifiedTime": now,
        "modelType": resource_type(model_type),
        "location": "US",
        "trainingRuns": [training_run(model, held_out, started)],
        "featureColumns": [{"name": n, "type": standard_type(single(inputs[n]).type)} for n in columns],
    }
    if model.label:
        predicted = {"name": f"predicted_{model.label}", "type": standard_type(single(rows[model.label]).type)}
        if not isinstance(model, Classifier):
            predicted["type"] = {"typeKind": "FLOAT64"}
        resource["labelColumns"] = [predicted]
    if transform:
        resource["transformColumns"] = [
            {"name": item.name, "type": standard_type(single(rows[item.name]).type), "transformSql": item.text}
            for item in transform.items
        ]
    if trials:
        resource["hparamTrials"] = [trial_resource(trial) for trial in trials]
        resource["optimalTrialIds"] = [str(best)]
        resource["defaultTrialId"] = str(best)
    return resource


def training_run(model: Model, held_out: pa.Table, started: float) -> dict[str, Any]:
    begun = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started)) + f".{int(started * 1000) % 1000:03d}Z"
    results = []
    for index, iteration in enumerate(model.iterations):
        result = {"index": index, "durationMs": str(iteration.duration_ms), "trainingLoss": iteration.loss}
        result |= {"evalLoss": iteration.eval_loss, "learnRate": iteration.learning_rate}
        results.append({k: v for k, v in result.items() if v is not None and _finite(v)})
    run = {"startTime": begun, "results": results, "trainingOptions": training_options(model.options, model.label)}
    metrics = evaluation_metrics(model, held_out)
    return {**run, "evaluationMetrics": metrics} if metrics else run


def training_options(options: Options, label: str | None) -> dict[str, Any]:
    """Options with a value, under the names and in the forms of the REST API."""
    out: dict[str, Any] = {}
    for name, value in options.values.items():
        if value is None or name in HIDDEN:
            continue
        head, *rest = name.split("_")
        key = RENAMED.get(name, head + "".join(part.capitalize() for part in rest))
        if isinstance(value, bool | float):
            out[key] = value
        elif isinstance(value, int):
            out[key] = str(value)
        elif value == "AUTO_STRATEGY":
            out[key] = _strategy(options)
        elif isinstance(value, str):
            out[key] = VALUES.get(value, value)
        elif isinstance(value, tuple):
            out[key] = dict(zip("pdq", (str(v) for v in value)))
        elif isinstance(value, list):
            out[key] = [str(v) for v in value]
        else:
            out[key] = value
    if label and "inputLabelColumns" not in out:
        out["inputLabelColumns"] = [label]
    return out


def _strategy(options: Options) -> str:
    """What AUTO_STRATEGY came to: the API knows the two strategies only."""
    from localgcp.bqml.models.linear import gradient_descent_wanted

    iterative = gradient_descent_wanted(options) or options["l1_reg"]
    return "BATCH_GRADIENT_DESCENT" if iterative else "NORMAL_EQUATION"


def evaluation_metrics(model: Model, held_out: pa.Table) -> dict[str, Any]:
    metrics = model.evaluate(held_out, {})
    if isinstance(model, Classifier):
        aggregate = _renamed(metrics, CLASSIFICATION)
        if len(model.classes) > 2:
            return {"multiClassClassificationMetrics": {"aggregateClassificationMetrics": aggregate}}
        negative, positive = texts(model.classes).to_pylist()
        return {
            "binaryClassificationMetrics": {
                "aggregateClassificationMetrics": {**aggregate, "threshold": 0.5},
                "positiveLabel": positive,
                "negativeLabel": negative,
            }
        }
    if "davies_bouldin_index" in metrics:
        names = {"davies_bouldin_index": "daviesBouldinIndex", "mean_squared_distance": "meanSquaredDistance"}
        return {"clusteringMetrics": _renamed(metrics, names)}
    if "total_explained_variance_ratio" in metrics:
        names = {"total_explained_variance_ratio": "totalExplainedVarianceRatio"}
        return {"dimensionalityReductionMetrics": _renamed(metrics, names)}
    if model.SUPERVISED and "mean_absolute_error" in metrics:
        return {"regressionMetrics": _renamed(metrics, REGRESSION)}
    return {}


def trial_resource(trial: Trial) -> dict[str, Any]:
    status = "FAILED" if trial.model is None else "SUCCEEDED"
    out: dict[str, Any] = {"trialId": str(trial.number), "status": status}
    return {**out, "errorMessage": trial.error} if trial.error else out


def standard_type(kind: pa.DataType) -> dict[str, Any]:
    """StandardSqlDataType."""
    name = type_name(kind)
    if name == "ARRAY":
        return {"typeKind": name, "arrayElementType": standard_type(kind.value_type)}
    if name == "STRUCT":
        return {
            "typeKind": name,
            "structType": {"fields": [{"name": f.name, "type": standard_type(f.type)} for f in kind]},
        }
    return {"typeKind": name}


def _renamed(metrics: Metrics, names: dict[str, str]) -> dict[str, float]:
    return {names[name]: value for name, value in metrics.items() if name in names and _finite(value)}


def _finite(value: Any) -> bool:
    """JSON has no NaN."""
    return not isinstance(value, float) or math.isfinite(value)

"""BOOSTED_TREE_* and RANDOM_FOREST_* on XGBoost, which BigQuery ML itself uses, in another version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, floats, is_numeric, single
from localgcp.bqml.encode import Encoder, fit_encoder, select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.models.base import (
    Attribution,
    Classifier,
    Iteration,
    Regressor,
    Training,
    class_labels,
    class_weights,
    numeric_label,
)
from localgcp.bqml.models.linear import by_feature
from localgcp.bqml.options import CLASSES, EXPLAIN, LABEL, REGISTRY, SPLIT, STOP, TUNING, Only, Option, Options

RATIO = {"low": 0.0, "high": 1.0}
TREES: dict[str, Option | Only] = {
    **LABEL,
    **SPLIT,
    **STOP,
    **EXPLAIN,
    **TUNING,
    **REGISTRY,
    "tree_method": Option(
        "choice", "AUTO", choices=("AUTO", "EXACT", "APPROX", "HIST"), search=("AUTO", "EXACT", "APPROX", "HIST")
    ),
    "l1_reg": Option("float", 0.0, low=0, search=(0, 10), log=True),
    "l2_reg": Option("float", 1.0, low=0, search=(0, 10), log=True),
    "min_split_loss": Option("float", 0.0, low=0, search=()),
    "min_tree_child_weight": Option("int", 1, low=0, search=()),
    "colsample_bytree": Option("float", 1.0, search=(), **RATIO),  # type: ignore[arg-type]
    "colsample_bylevel": Option("float", 1.0, search=(), **RATIO),  # type: ignore[arg-type]
    "category_encoding_method": Option(
        "choice", "LABEL_ENCODING", choices=("LABEL_ENCODING", "TARGET_ENCODING", "ONE_HOT_ENCODING")
    ),
    "instance_weight_col": Option("string"),
    "approx_global_feature_contrib": Only((False,)),
    "xgboost_version": Only(()),
}
BOOSTED: dict[str, Option | Only] = {
    **TREES,
    "booster_type": Option("choice", "GBTREE", choices=("GBTREE", "DART"), search=("GBTREE", "DART")),
    "dart_normalize_type": Option("choice", None, choices=("TREE", "FOREST"), search=("TREE", "FOREST")),
    "dropout": Option("float", None, search=(), **RATIO),  # type: ignore[arg-type]
    "learn_rate": Option("float", 0.3, low=0, search=(0, 1)),
    "num_parallel_tree": Option("int", 1, low=1, search=()),
    "max_tree_depth": Option("int", 6, low=1, search=(1, 10)),
    "subsample": Option("float", 1.0, search=(0, 1), **RATIO),  # type: ignore[arg-type]
    "colsample_bynode": Option("float", 1.0, search=(), **RATIO),  # type: ignore[arg-type]
}
FOREST: dict[str, Option | Only] = {
    **{name: option for name, option in TREES.items() if name != "max_iterations"},
    "num_parallel_tree": Option("int", 100, low=2, search=(2, 200)),
    "max_tree_depth": Option("int", 15, low=1, search=(1, 20)),
    "subsample": Option("float", 0.8, search=(0, 1), **RATIO),  # type: ignore[arg-type]
    "colsample_bynode": Option("float", 0.8, search=(), **RATIO),  # type: ignore[arg-type]
}


@dataclass(frozen=True)
class Forest:
    """XGBoost's trees in its own binary form, which a pickle keeps across versions."""

    raw: bytes
    rounds: int
    trained_ms: int

    def booster(self) -> Any:
        import xgboost

        return xgboost.Booster(model_file=bytearray(self.raw))

    def output(self, x: Floats, **options: Any) -> Floats:
        import xgboost

        return np.asarray(
            self.booster().predict(xgboost.DMatrix(x), iteration_range=(0, self.rounds), **options), dtype=float
        )


@dataclass
class BoostedTreeRegressor(Regressor):
    OPTIONS = BOOSTED

    forest: Forest

    @classmethod
    def fit(cls, data: Training) -> BoostedTreeRegressor:
        y = numeric_label(data)
        weight = instance_weights(data)
        encoder = tree_encoder(data, y)
        held_out = None
        if data.evaluation is not None and data.label is not None:
            held_out = (encoder.matrix(data.evaluation), floats(data.evaluation[data.label]))
        parameters = {"objective": "reg:squarederror", "eval_metric": "rmse"}
        forest, iterations = grow(encoder.matrix(data.train), y, weight, held_out, data.options, parameters)
        return cls(data.options, data.label, encoder, forest, iterations=iterations)

    def values(self, rows: pa.Table) -> Floats:
        return self.forest.output(self.encoder.matrix(rows))

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        x = self.encoder.matrix(rows, "EXPLAIN_PREDICT")
        return explained(self.encoder, contributions(self.forest, x, settings))


@dataclass
class BoostedTreeClassifier(Classifier):
    OPTIONS = {**BOOSTED, **CLASSES}

    forest: Forest

    @classmethod
    def fit(cls, data: Training) -> BoostedTreeClassifier:
        options = data.options
        classes, actual = class_labels(data)
        weight = instance_weights(data)
        if weight is not None and (options["auto_class_weights"] or options["class_weights"]):
            raise BadRequest("INSTANCE_WEIGHT_COL cannot be used together with AUTO_CLASS_WEIGHTS or CLASS_WEIGHTS.")
        if weight is None:
            weight = class_weights(options, classes, actual)
        binary = len(classes) == 2
        if options["category_encoding_method"] == "TARGET_ENCODING" and not binary:
            raise BadRequest("UNIMPLEMENTED: TARGET_ENCODING with more than two classes is not emulated locally.")
        encoder = tree_encoder(data, actual.astype(float))
        model = cls(options, data.label, encoder, classes, Forest(b"", 0, 0))
        held_out = None
        if data.evaluation is not None:
            found = model.indices(model.label_column(data.evaluation, "EVALUATE"))
            held_out = (encoder.matrix(data.evaluation)[found >= 0], found[found >= 0].astype(float))
        parameters = (
            {"objective": "binary:logistic", "eval_metric": "logloss"}
            if binary
            else {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": len(classes)}
        )
        grown = grow(encoder.matrix(data.train), actual.astype(float), weight, held_out, options, parameters)
        model.forest, model.iterations = grown
        return model

    def probabilities(self, rows: pa.Table) -> Floats:
        found = self.forest.output(self.encoder.matrix(rows))
        return np.column_stack([1 - found, found]) if found.ndim == 1 else found

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        """Of the raw score of the predicted class; with two classes, the log-odds of that class."""
        from localgcp.bqml.metrics import decide

        x = self.encoder.matrix(rows, "EXPLAIN_PREDICT")
        found = contributions(self.forest, x, settings)
        chosen = decide(self.probabilities(rows), self.threshold(settings))
        if found.ndim == 3:
            return explained(self.encoder, found[np.arange(len(x)), chosen])
        return explained(self.encoder, found * np.where(chosen == 1, 1.0, -1.0)[:, None])


@dataclass
class RandomForestRegressor(BoostedTreeRegressor):
    OPTIONS = FOREST


@dataclass
class RandomForestClassifier(BoostedTreeClassifier):
    OPTIONS = {**FOREST, **CLASSES}


def tree_encoder(data: Training, target: Floats) -> Encoder:
    """Numbers as they are; categories as CATEGORY_ENCODING_METHOD says."""
    return fit_encoder(
        data.features(data.options["instance_weight_col"]),
        standardize=False,
        encoding=data.options["category_encoding_method"],
        target=target,
    )


def instance_weights(data: Training) -> Floats | None:
    name = data.options["instance_weight_col"]
    if name is None:
        return None
    column = single(select(data.train, [name], "CREATE MODEL")[name])
    if not is_numeric(column.type):
        raise BadRequest(f"INSTANCE_WEIGHT_COL {name} must be a numerical column.")
    weights = floats(column)
    if not (weights >= 0).all():
        raise BadRequest(f"INSTANCE_WEIGHT_COL {name} has values that are negative or NULL.")
    return weights


def grow(
    x: Floats,
    y: Floats,
    weight: Floats | None,
    held_out: tuple[Floats, Floats] | None,
    options: Options,
    parameters: Mapping[str, Any],
) -> tuple[Forest, list[Iteration]]:
    """Adds trees until MAX_ITERATIONS, or until the loss improves by less than MIN_REL_PROGRESS."""
    import xgboost

    check_dart(options)
    began = time.perf_counter()
    settings = {**xgboost_parameters(options), **parameters}
    train = xgboost.DMatrix(x, y, weight=weight)
    watched = [(train, "train")]
    if held_out is not None and len(held_out[0]):
        watched.append((xgboost.DMatrix(*held_out), "eval"))
    booster = xgboost.Booster(settings, [matrix for matrix, _ in watched])
    iterations: list[Iteration] = []
    for round_number in range(options.get("max_iterations", 1)):
        started = time.perf_counter()
        booster.update(train, round_number)
        text = booster.eval_set(watched, round_number)
        losses = [float(part.rsplit(":", 1)[1]) for part in text.split("\t")[1:]]
        elapsed = int((time.perf_counter() - started) * 1000)
        held = losses[1] if len(losses) > 1 else None
        iterations.append(Iteration(losses[0], held, settings["eta"], elapsed))
        if options["early_stop"] and _stalled(iterations, options["min_rel_progress"]):
            break
    raw = bytes(booster.save_raw("ubj"))
    return Forest(raw, len(iterations), int((time.perf_counter() - began) * 1000)), iterations


def _stalled(iterations: list[Iteration], least: float) -> bool:
    """Whether the last iteration lowered the loss, that of held-out rows if there are any, by less than `least`."""
    if len(iterations) < 2:
        return False
    before, now = (i.loss if i.eval_loss is None else i.eval_loss for i in iterations[-2:])
    return before - now < least * before


def check_dart(options: Options) -> None:
    if options.get("booster_type", "GBTREE") == "DART":
        return
    for name in ("dropout", "dart_normalize_type"):
        if options.get(name) is not None:
            raise BadRequest(f"{name.upper()} can only be specified when BOOSTER_TYPE is DART.")


def xgboost_parameters(options: Options) -> dict[str, Any]:
    forest = "learn_rate" not in options.values
    method = options["tree_method"].lower()
    parameters = {
        "max_depth": options["max_tree_depth"],
        "eta": 1.0 if forest else options["learn_rate"],
        "subsample": options["subsample"],
        "alpha": options["l1_reg"],
        "lambda": options["l2_reg"],
        "gamma": options["min_split_loss"],
        "min_child_weight": options["min_tree_child_weight"],
        "num_parallel_tree": options["num_parallel_tree"],
        "colsample_bytree": options["colsample_bytree"],
        "colsample_bylevel": options["colsample_bylevel"],
        "colsample_bynode": options["colsample_bynode"],
        "tree_method": "hist" if method == "auto" else method,
        # The start of the versions that the service runs; newer ones estimate it from the labels.
        "base_score": 0.5,
        "seed": 0,
        "verbosity": 0,
    }
    if options.get("booster_type") == "DART":
        parameters |= {
            "booster": "dart",
            "rate_drop": options["dropout"] or 0.0,
            "normalize_type": (options["dart_normalize_type"] or "TREE").lower(),
        }
    return parameters


def contributions(forest: Forest, x: Floats, settings: Mapping[str, Any]) -> Floats:
    """Tree SHAP: shape (rows, width + 1), or (rows, classes, width + 1); the last is the bias."""
    approximate = bool(settings.get("approx_feature_contrib", False))
    return forest.output(x, pred_contribs=True, approx_contribs=approximate)


def explained(encoder: Encoder, found: Floats) -> Attribution:
    names, grouped = by_feature(encoder, found[:, :-1])
    return Attribution(names, grouped, found[:, -1], found.sum(axis=1))


def importance(model: BoostedTreeRegressor | BoostedTreeClassifier) -> pa.Table:
    """ML.FEATURE_IMPORTANCE: splits, mean gain and mean cover of each feature, by falling gain."""
    booster = model.forest.booster()
    sources = model.encoder.sources()
    weight, gain, cover = (booster.get_score(importance_type=kind) for kind in ("weight", "total_gain", "total_cover"))
    rows: list[tuple[Any, ...]] = []
    for feature in model.encoder.features:
        columns = [f"f{i}" for i, source in enumerate(sources) if source == feature]
        splits = sum(weight.get(c, 0.0) for c in columns)
        totals = [sum(score.get(c, 0.0) for c in columns) for score in (gain, cover)]
        rows.append((feature, float(splits), *(total / splits if splits else 0.0 for total in totals)))
    rows.sort(key=lambda row: -row[2])
    names = ("feature", "importance_weight", "importance_gain", "importance_cover")
    kinds = (pa.string(), pa.float64(), pa.float64(), pa.float64())
    return pa.table({n: pa.array([row[i] for row in rows], k) for i, (n, k) in enumerate(zip(names, kinds))})

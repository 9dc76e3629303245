"""The interface of a model type, and what regressors and classifiers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import Floats, floats, is_numeric, single, texts, type_name
from localgcp.bqml.encode import Encoder, select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.metrics import Indices, classification_metrics, decide, regression_metrics
from localgcp.bqml.options import Only, Option, Options

Metrics = dict[str, float]


@dataclass(frozen=True)
class Iteration:
    """One row of ML.TRAINING_INFO."""

    loss: float
    eval_loss: float | None = None
    learning_rate: float | None = None
    duration_ms: int = 0
    clusters: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Training:
    """What a model type trains on: rows as after TRANSFORM, the split column and unlabelled rows taken out."""

    train: pa.Table
    evaluation: pa.Table | None
    label: str | None
    options: Options

    def features(self, *excluded: str | None) -> pa.Table:
        """The training columns that are features."""
        away = {name.lower() for name in (self.label, *excluded) if name}
        return self.train.select([name for name in self.train.column_names if name.lower() not in away])


@dataclass(frozen=True)
class Attribution:
    """Additive explanation of predictions: baseline + sum of the attributions = value (raw, before any link)."""

    features: list[str]
    values: Floats  # (rows, features)
    baseline: Floats  # (rows,)
    value: Floats  # (rows,)


@dataclass
class Model(ABC):
    """A trained model. Plain attributes only: it is pickled."""

    OPTIONS: ClassVar[Mapping[str, Option | Only]]
    SUPERVISED: ClassVar[bool] = False
    SPLITS: ClassVar[bool] = False
    # Tuning objectives, the default first; those in LOWER are better when small.
    OBJECTIVES: ClassVar[tuple[str, ...]] = ()

    options: Options
    label: str | None
    iterations: list[Iteration] = field(default_factory=list, kw_only=True)

    @classmethod
    @abstractmethod
    def fit(cls, data: Training) -> Model:
        """Raises BadRequest for data or options that this type cannot use."""

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """Names of the columns that prediction needs, as after TRANSFORM."""

    @abstractmethod
    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        """The one row of ML.EVALUATE."""

    @abstractmethod
    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        """The columns that ML.PREDICT puts before those of the input."""


LOWER = {
    "LOG_LOSS",
    "MEAN_ABSOLUTE_ERROR",
    "MEAN_SQUARED_ERROR",
    "MEAN_SQUARED_LOG_ERROR",
    "MEDIAN_ABSOLUTE_ERROR",
    "DAVIES_BOULDIN_INDEX",
    "AVERAGE_RANK",
}


@dataclass
class Supervised(Model):
    """A model with a label and encoded features."""

    SUPERVISED: ClassVar[bool] = True
    SPLITS: ClassVar[bool] = True

    encoder: Encoder

    @property
    def features(self) -> list[str]:
        return self.encoder.features

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        """Raises BadRequest where the type has no explanation."""
        raise BadRequest(f"ML.EXPLAIN_PREDICT is not supported for this model type: {type(self).__name__}.")

    def label_column(self, rows: pa.Table, function: str) -> pa.Array:
        assert self.label is not None
        return single(select(rows, [self.label], function)[self.label])


class Regressor(Supervised):
    OBJECTIVES = (
        "R2_SCORE",
        "EXPLAINED_VARIANCE",
        "MEDIAN_ABSOLUTE_ERROR",
        "MEAN_ABSOLUTE_ERROR",
        "MEAN_SQUARED_ERROR",
        "MEAN_SQUARED_LOG_ERROR",
    )

    @abstractmethod
    def values(self, rows: pa.Table) -> Floats:
        """Predictions, shape (rows,)."""

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        return pa.table({f"predicted_{self.label}": pa.array(self.values(rows), pa.float64())})

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        actual = floats(self.label_column(rows, "EVALUATE"))
        known = ~np.isnan(actual)
        if not known.any():
            raise BadRequest("The input data to the EVALUATE function has no rows with a label.")
        return regression_metrics(actual[known], self.values(rows)[known])


@dataclass
class Classifier(Supervised):
    OBJECTIVES = ("ROC_AUC", "PRECISION", "RECALL", "ACCURACY", "F1_SCORE", "LOG_LOSS")

    classes: pa.Array  # sorted, of the label's own type

    @abstractmethod
    def probabilities(self, rows: pa.Table) -> Floats:
        """Shape (rows, classes)."""

    def threshold(self, settings: Mapping[str, Any]) -> float:
        given = settings.get("threshold")
        if given is None:
            return 0.5
        if len(self.classes) != 2:
            raise BadRequest("Threshold can only be specified for binary classification models.")
        if not 0 <= given <= 1:
            raise BadRequest(f"Threshold must be between 0.0 and 1.0, got {given}.")
        return float(given)

    def indices(self, labels: pa.Array) -> Indices:
        """Each label's class; -1 for NULL and for what training never saw."""
        found = pc.index_in(texts(labels), value_set=texts(self.classes), skip_nulls=True)
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        probabilities = self.probabilities(rows)
        chosen = decide(probabilities, self.threshold(settings))
        return pa.table(
            {
                f"predicted_{self.label}": self.classes.take(pa.array(chosen)),
                f"predicted_{self.label}_probs": label_probabilities(self.classes, probabilities),
            }
        )

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        actual, probabilities = self.labelled(rows, "EVALUATE")
        return classification_metrics(actual, probabilities, self.threshold(settings))

    def labelled(self, rows: pa.Table, function: str) -> tuple[Indices, Floats]:
        """True class and probabilities of the rows that have a label."""
        labels = self.label_column(rows, function)
        known = labels.is_valid()
        if not pc.any(known).as_py():
            raise BadRequest(f"The input data to the {function} function has no rows with a label.")
        return self.indices(labels.filter(known)), self.probabilities(rows.filter(known))


def label_probabilities(classes: pa.Array, probabilities: Floats) -> pa.Array:
    """ARRAY<STRUCT<label, prob>> for each row: the higher of two labels first, else the most probable first."""
    rows, count = probabilities.shape
    order = np.tile([1, 0], (rows, 1)) if count == 2 else np.argsort(-probabilities, axis=1, kind="stable")
    flat = pa.StructArray.from_arrays(
        [
            classes.take(pa.array(order.ravel())),
            pa.array(np.take_along_axis(probabilities, order, axis=1).ravel(), pa.float64()),
        ],
        names=["label", "prob"],
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * count, pa.int32()), flat)


def numeric_label(data: Training) -> Floats:
    """The label of a regression. Raises BadRequest if it is none."""
    assert data.label is not None
    column = single(data.train[data.label])
    if not is_numeric(column.type):
        raise BadRequest(
            f"Label column {data.label} has type {type_name(column.type)}: a regression model needs a numeric label."
        )
    values = floats(column)
    if not np.isfinite(values).all():
        raise BadRequest(f"Label column {data.label} has values that are infinite or NaN.")
    return values


def class_labels(data: Training, most: int = 50) -> tuple[pa.Array, Indices]:
    """The sorted classes and each row's class. Raises BadRequest for fewer than two classes or too many."""
    assert data.label is not None
    column = single(data.train[data.label])
    kind = type_name(column.type)
    if kind not in ("STRING", "BOOL", "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "DATE"):
        raise BadRequest(f"Label column {data.label} of type {kind} is not supported for classification.")
    distinct = pc.unique(column)
    if pa.types.is_boolean(distinct.type):  # Arrow cannot sort these
        classes = pa.array(sorted(distinct.to_pylist()), pa.bool_())
    else:
        classes = distinct.take(pc.sort_indices(distinct))
    if len(classes) < 2:
        raise BadRequest(f"Classification model requires at least 2 unique labels and found {len(classes)}.")
    if len(classes) > most:
        raise BadRequest(
            f"Classification model requires at most {most} unique labels and found {len(classes)}. "
            "If the problem is regression, use a regression model type."
        )
    found = pc.index_in(texts(column), value_set=texts(classes))
    return classes, np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def class_weights(options: Options, classes: pa.Array, actual: Indices) -> Floats:
    """A weight for each row: all 1, or AUTO_CLASS_WEIGHTS' rows / (rows of the class * classes), or those given."""
    count = len(classes)
    given = options["class_weights"]
    if options["auto_class_weights"]:
        if given:
            raise BadRequest("CLASS_WEIGHTS cannot be specified when AUTO_CLASS_WEIGHTS is TRUE.")
        per_class = len(actual) / (np.bincount(actual, minlength=count) * count)
    elif given:
        names = texts(classes).to_pylist()
        if set(names) != set(given):
            raise BadRequest(
                f"CLASS_WEIGHTS must have one weight for every label: labels {sorted(names)}, weights {sorted(given)}."
            )
        per_class = np.array([given[name] for name in names])
    else:
        return np.ones(len(actual))
    return np.asarray(per_class[actual], dtype=float)

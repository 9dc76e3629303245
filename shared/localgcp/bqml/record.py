"""What is kept of a model: the trained object, its TRANSFORM, what functions without input read, its REST resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.models.base import Metrics, Model
from localgcp.bqml.transform import Transform


@dataclass(frozen=True)
class FeatureSummary:
    """One row of ML.FEATURE_INFO."""

    input: str
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    median: float | None = None
    stddev: float | None = None
    category_count: int | None = None
    null_count: int | None = None
    dimension: int | None = None


@dataclass(frozen=True)
class Trial:
    """One run of hyperparameter tuning; without a model if it failed."""

    number: int
    hyperparameters: dict[str, Any]
    model: Model | None
    metrics: Metrics
    test_metrics: Metrics
    error: str = ""


@dataclass
class Record:
    """A model as it is stored. `held_out` is what EVALUATE reads without input: the evaluation rows or all of them."""

    name: tuple[str, str, str]
    model_type: str
    model: Model
    transform: Transform | None
    held_out: pa.Table
    summaries: list[FeatureSummary]
    resource: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)
    best: int | None = None

    def features(self, engine: Engine, rows: pa.Table, function: str) -> pa.Table:
        """Input rows as the model reads them: through TRANSFORM if there is one. Raises BadRequest."""
        if self.transform is None:
            return rows
        return self.transform.apply(engine, rows, self.model.features, function)

    def of_trial(self, number: int | None) -> Model:
        """The model of that trial, the best one for None. Raises BadRequest."""
        if number is None:
            return self.model
        if not self.trials:
            raise BadRequest("trial_id can only be specified for a model with hyperparameter tuning.")
        for trial in self.trials:
            if trial.number == number and trial.model is not None:
                return trial.model
        raise BadRequest(f"Trial {number} is not found or did not succeed.")

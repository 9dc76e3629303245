"""PCA: eigenvectors of X'X / (n - 1).

Numbers are centred (and scaled, with SCALE_FEATURES); one-hot columns are not centred, which is what BigQuery ML does:
so its published eigenvalues are reached. The sign of a component is free: the largest entry is made positive.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats
from localgcp.bqml.encode import Encoder, Number, fit_encoder
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.models.base import Iteration, Metrics, Model, Training
from localgcp.bqml.options import REGISTRY, Only, Option

MOST_COLUMNS = 1500


@dataclass
class PrincipalComponents(Model):
    OPTIONS = {
        **REGISTRY,
        "num_principal_components": Option("int", None, low=1),
        "pca_explained_variance_ratio": Option("float", None, low=0, high=1),
        "scale_features": Option("bool", True),
        "pca_solver": Only(("AUTO", "FULL", "auto", "full")),
    }

    encoder: Encoder
    components: Floats  # (kept, width), by falling eigenvalue
    eigenvalues: Floats
    total_variance: float
    errors: Floats  # squared reconstruction error of every training row: what contamination takes its quantile of

    @classmethod
    def fit(cls, data: Training) -> PrincipalComponents:
        options = data.options
        number, ratio = options["num_principal_components"], options["pca_explained_variance_ratio"]
        if (number is None) == (ratio is None):
            raise BadRequest(
                "Either NUM_PRINCIPAL_COMPONENTS or PCA_EXPLAINED_VARIANCE_RATIO must be specified, but not both."
            )
        encoder = fit_encoder(data.features())
        if not options["scale_features"]:
            unscaled = [replace(b, scale=1.0) if isinstance(b, Number) else b for b in encoder.blocks]
            encoder = Encoder(tuple(unscaled))
        if encoder.width > MOST_COLUMNS:
            raise BadRequest(f"PCA: the total feature cardinality {encoder.width} is larger than {MOST_COLUMNS}.")
        if number is not None and number > min(len(data.train), encoder.width):
            raise BadRequest(
                f"NUM_PRINCIPAL_COMPONENTS {number} is larger than the number of rows ({len(data.train)}) or the total "
                f"feature cardinality ({encoder.width})."
            )
        if len(data.train) < 2:
            raise BadRequest("PCA needs at least two rows.")
        began = time.perf_counter()
        x = encoder.matrix(data.train)
        values, vectors = np.linalg.eigh(x.T @ x / (len(x) - 1))
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1].T
        total = float(values.sum())
        if ratio is not None:
            number = int(np.searchsorted(np.cumsum(values) / total, ratio, side="right")) + 1
        components = vectors[:number]
        largest = np.abs(components).argmax(axis=1)
        components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
        model = cls(options, None, encoder, components, values[:number], total, np.empty(0))
        model.errors = model.squared_errors(x)
        model.iterations = [
            Iteration(float(model.errors.mean()), None, None, int((time.perf_counter() - began) * 1000))
        ]
        return model

    @property
    def features(self) -> list[str]:
        return self.encoder.features

    @property
    def ratios(self) -> Floats:
        """Explained variance ratio of each component kept."""
        return np.asarray(self.eigenvalues / self.total_variance)

    def squared_errors(self, x: Floats) -> Floats:
        """Of each row, by feature and not by encoded column: so that the service's published errors are reached."""
        rebuilt = x @ self.components.T @ self.components
        return np.asarray(((x - rebuilt) ** 2).sum(axis=1) / len(self.encoder.blocks))

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        return {"total_explained_variance_ratio": float(self.ratios.sum())}

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        scores = self.encoder.matrix(rows) @ self.components.T
        return pa.table({f"principal_component_{i + 1}": scores[:, i] for i in range(scores.shape[1])})

    def anomalies(self, rows: pa.Table, contamination: float) -> pa.Table:
        errors = self.squared_errors(self.encoder.matrix(rows, "DETECT_ANOMALIES"))
        cutoff = np.quantile(self.errors, 1 - contamination)
        return pa.table({"is_anomaly": errors > cutoff, "mean_squared_error": errors})

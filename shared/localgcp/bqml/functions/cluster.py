"""Of unsupervised models: ML.CENTROIDS, PRINCIPAL_COMPONENTS, PRINCIPAL_COMPONENT_INFO and DETECT_ANOMALIES."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats
from localgcp.bqml.encode import Encoder, Number
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function, beside
from localgcp.bqml.functions.series import series_anomalies
from localgcp.bqml.models.arima import ArimaPlus
from localgcp.bqml.models.autoencoder import Autoencoder
from localgcp.bqml.models.kmeans import KMeans
from localgcp.bqml.models.pca import PrincipalComponents

VALUES = pa.list_(pa.struct([("category", pa.string()), ("value", pa.float64())]))


def centroids(context: Context) -> pa.Table:
    """A row for each feature of each centroid; of a category only what the cluster has of it."""
    context.needs(KMeans)
    raw = not context.settings.get("standardize", False)
    return context.of_every_trial(lambda model: _centroids(model, raw))


def _centroids(model: KMeans, raw: bool) -> pa.Table:
    rows = []
    for index, centroid in enumerate(model.centroids):
        for name, number, categories in by_block(model.encoder, centroid, raw):
            present = [pair for pair in categories if pair["value"]]
            rows.append((index + 1, name, number, present))
    return _feature_table("centroid_id", rows)


def principal_components(context: Context) -> pa.Table:
    """A row for each feature of each component, by falling eigenvalue; ids start at 0."""
    model: PrincipalComponents = context.needs(PrincipalComponents)
    rows = [
        (index, *block)
        for index, component in enumerate(model.components)
        for block in by_block(model.encoder, component, raw=False)
    ]
    return _feature_table("principal_component_id", rows)


def principal_component_info(context: Context) -> pa.Table:
    model: PrincipalComponents = context.needs(PrincipalComponents)
    return pa.table(
        {
            "principal_component_id": pa.array(range(len(model.eigenvalues)), pa.int64()),
            "eigenvalue": pa.array(model.eigenvalues, pa.float64()),
            "explained_variance_ratio": pa.array(model.ratios, pa.float64()),
            "cumulative_explained_variance_ratio": pa.array(np.cumsum(model.ratios), pa.float64()),
        }
    )


def reconstruction_loss(context: Context) -> pa.Table:
    """Errors of each row, then the input's columns."""
    model: Autoencoder = context.needs(Autoencoder)
    assert context.features is not None and context.rows is not None
    return beside(pa.table(model.losses(context.features, context.function)), context.rows)


def detect_anomalies(context: Context) -> pa.Table:
    """Rows above the quantile of the training rows that `contamination` says; forecasts answer in their own way."""
    settings = context.settings
    if isinstance(context.model, ArimaPlus):
        return series_anomalies(context)
    if not hasattr(context.model, "anomalies"):
        raise BadRequest(f"ML.DETECT_ANOMALIES is not supported for model type {context.record.model_type}.")
    if "anomaly_prob_threshold" in settings:
        raise BadRequest("ML.DETECT_ANOMALIES: anomaly_prob_threshold is for time series; use contamination.")
    contamination = settings.get("contamination")
    if contamination is None or not 0 <= contamination <= 0.5:
        raise BadRequest("ML.DETECT_ANOMALIES: contamination must be specified, in the range [0, 0.5].")
    if context.features is None or context.rows is None:
        raise BadRequest("Invalid table-valued function ML.DETECT_ANOMALIES: an input TABLE or query is required.")
    return beside(context.model.anomalies(context.features, contamination), context.rows)


def by_block(encoder: Encoder, values: Floats, raw: bool) -> list[tuple[str, float | None, list[dict[str, Any]]]]:
    """Name, number or None, categories of each block; numbers as the feature came if `raw`."""
    out: list[tuple[str, float | None, list[dict[str, Any]]]] = []
    position = 0
    for block in encoder.blocks:
        part = values[position : position + block.width]
        position += block.width
        if isinstance(block, Number):
            number = float(part[0] * block.scale + block.mean) if raw and block.centre else float(part[0])
            out.append((block.name, number, []))
        else:
            names = getattr(block, "categories", [str(i) for i in range(block.width)])
            out.append((block.name, None, [{"category": c, "value": float(v)} for c, v in zip(names, part)]))
    return out


def _feature_table(identifier: str, rows: list[Any]) -> pa.Table:
    return pa.table(
        {
            identifier: pa.array([row[0] for row in rows], pa.int64()),
            "feature": pa.array([row[1] for row in rows], pa.string()),
            "numerical_value": pa.array([row[2] for row in rows], pa.float64()),
            "categorical_value": pa.array([row[3] for row in rows], VALUES),
        }
    )


FUNCTIONS = {
    "CENTROIDS": Function(centroids, "none", {"standardize": bool}),
    "PRINCIPAL_COMPONENTS": Function(principal_components),
    "PRINCIPAL_COMPONENT_INFO": Function(principal_component_info),
    "RECONSTRUCTION_LOSS": Function(reconstruction_loss, "required"),
    "DETECT_ANOMALIES": Function(
        detect_anomalies, "optional", {"contamination": float, "anomaly_prob_threshold": float}
    ),
}

"""KMEANS: Lloyd's iterations over standardised features.

The first centroids are drawn with a fixed seed, so a model is the same each time; the service draws others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, single, type_name
from localgcp.bqml.encode import Encoder, fit_encoder, select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.metrics import Indices, davies_bouldin
from localgcp.bqml.models.base import Iteration, Metrics, Model, Training
from localgcp.bqml.options import REGISTRY, STOP, TUNING, Only, Option, Options

SEED = 20260601
NEAREST = 5


@dataclass
class KMeans(Model):
    OPTIONS = {
        **STOP,
        **TUNING,
        **REGISTRY,
        "num_clusters": Option("int", None, low=2, high=100, search=(2, 10)),
        "kmeans_init_method": Option("choice", "RANDOM", choices=("RANDOM", "KMEANS++", "CUSTOM")),
        "kmeans_init_col": Option("string"),
        "standardize_features": Option("bool", True),
        "distance_type": Only(("EUCLIDEAN", "euclidean")),
    }
    OBJECTIVES = ("DAVIES_BOULDIN_INDEX",)

    encoder: Encoder
    centroids: Floats  # (clusters, width)
    radii: Floats  # root mean square distance of each cluster's training rows
    distances: Floats  # normalised distance of every training row: what contamination takes its quantile of

    @classmethod
    def fit(cls, data: Training) -> KMeans:
        options = data.options
        encoder = fit_encoder(data.features(options["kmeans_init_col"]), standardize=options["standardize_features"])
        x = encoder.matrix(data.train)
        count = options["num_clusters"] or max(2, int(np.log10(max(1, len(x)))))
        if count > len(x):
            raise BadRequest(f"NUM_CLUSTERS {count} is larger than the number of training rows, {len(x)}.")
        start = first_centroids(x, count, options, data.train)
        centroids, iterations = lloyd(x, start, options)
        nearest, distance = assign(x, centroids)
        radii = np.array([_root_mean_square(distance[nearest == k]) for k in range(count)])
        model = cls(options, None, encoder, centroids, radii, np.empty(0), iterations=iterations)
        model.distances = model.normalised(x)[1]
        return model

    @property
    def features(self) -> list[str]:
        return self.encoder.features

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        x = self.encoder.matrix(rows, "EVALUATE")
        nearest, distance = assign(x, self.centroids)
        return {
            "davies_bouldin_index": davies_bouldin(x, nearest, self.centroids),
            "mean_squared_distance": float((distance**2).mean()),
        }

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        distances = all_distances(self.encoder.matrix(rows), self.centroids)
        order = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST]
        near = pa.StructArray.from_arrays(
            [
                pa.array(order.ravel() + 1, pa.int64()),
                pa.array(np.take_along_axis(distances, order, axis=1).ravel(), pa.float64()),
            ],
            names=["CENTROID_ID", "DISTANCE"],
        )
        offsets = pa.array(np.arange(len(order) + 1) * order.shape[1], pa.int32())
        return pa.table(
            {
                "CENTROID_ID": pa.array(order[:, 0] + 1, pa.int64()),
                "NEAREST_CENTROIDS_DISTANCE": pa.ListArray.from_arrays(offsets, near),
            }
        )

    def normalised(self, x: Floats) -> tuple[Indices, Floats]:
        """The cluster with the shortest distance by radius, and that distance."""
        scaled = all_distances(x, self.centroids) / np.where(self.radii > 0, self.radii, 1.0)
        return np.asarray(scaled.argmin(axis=1)), scaled.min(axis=1)

    def anomalies(self, rows: pa.Table, contamination: float) -> pa.Table:
        """The columns that ML.DETECT_ANOMALIES puts before those of the input."""
        nearest, distance = self.normalised(self.encoder.matrix(rows, "DETECT_ANOMALIES"))
        cutoff = np.quantile(self.distances, 1 - contamination)
        return pa.table(
            {
                "is_anomaly": pa.array(distance > cutoff),
                "normalized_distance": pa.array(distance, pa.float64()),
                "CENTROID_ID": pa.array(nearest + 1, pa.int64()),
            }
        )


def first_centroids(x: Floats, count: int, options: Options, rows: pa.Table) -> Floats:
    """RANDOM: rows; KMEANS++: rows far apart; CUSTOM: the rows that a BOOL column marks."""
    method, column = options["kmeans_init_method"], options["kmeans_init_col"]
    if (method == "CUSTOM") != (column is not None):
        raise BadRequest("KMEANS_INIT_COL must be specified when, and only when, KMEANS_INIT_METHOD is CUSTOM.")
    if method == "CUSTOM":
        marks = single(select(rows, [column], "CREATE MODEL")[column])
        if not pa.types.is_boolean(marks.type):
            raise BadRequest(f"KMEANS_INIT_COL {column} must be of type BOOL, got {type_name(marks.type)}.")
        chosen = np.flatnonzero(marks.fill_null(False).to_numpy(zero_copy_only=False))
        if len(chosen) != count:
            raise BadRequest(f"KMEANS_INIT_COL {column} marks {len(chosen)} rows, but NUM_CLUSTERS is {count}.")
        return x[chosen]
    random = np.random.default_rng(SEED)
    if method == "RANDOM":
        return x[random.choice(len(x), count, replace=False)]
    centroids = [x[random.integers(len(x))]]
    while len(centroids) < count:
        squared = all_distances(x, np.array(centroids)).min(axis=1) ** 2
        if not squared.any():
            raise BadRequest(f"NUM_CLUSTERS {count} is larger than the number of distinct rows, {len(centroids)}.")
        centroids.append(x[random.choice(len(x), p=squared / squared.sum())])
    return np.array(centroids)


def lloyd(x: Floats, centroids: Floats, options: Options) -> tuple[Floats, list[Iteration]]:
    """Assign and average, until the loss (mean squared distance) improves by less than MIN_REL_PROGRESS."""
    iterations: list[Iteration] = []
    previous = np.inf
    for _ in range(options["max_iterations"]):
        began = time.perf_counter()
        nearest, _ = assign(x, centroids)
        centroids = means(x, nearest, centroids)
        moved, distance = assign(x, centroids)
        loss = float((distance**2).mean())
        elapsed = int((time.perf_counter() - began) * 1000)
        iterations.append(Iteration(loss, None, None, elapsed, clusters(moved, distance, len(centroids))))
        if options["early_stop"] and previous - loss < options["min_rel_progress"] * previous:
            break
        previous = loss
    return centroids, iterations


def means(x: Floats, nearest: Indices, centroids: Floats) -> Floats:
    """The mean of each cluster; an empty one stays where it is."""
    sizes = np.bincount(nearest, minlength=len(centroids))
    sums = np.stack([np.bincount(nearest, weights=column, minlength=len(centroids)) for column in x.T], axis=1)
    return np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centroids)


def assign(x: Floats, centroids: Floats) -> tuple[Indices, Floats]:
    """Nearest centroid and its distance, for each row."""
    distances = all_distances(x, centroids)
    return np.asarray(distances.argmin(axis=1)), distances.min(axis=1)


def all_distances(x: Floats, centroids: Floats) -> Floats:
    """Shape (rows, clusters)."""
    return np.stack([np.linalg.norm(x - centroid, axis=1) for centroid in centroids], axis=1)


def clusters(nearest: Indices, distance: Floats, count: int) -> list[dict[str, Any]]:
    """cluster_info of ML.TRAINING_INFO."""
    return [
        {
            "centroid_id": k + 1,
            "cluster_radius": _root_mean_square(distance[nearest == k]),
            "cluster_size": int((nearest == k).sum()),
        }
        for k in range(count)
    ]


def _root_mean_square(distance: Floats) -> float:
    return float(np.sqrt((distance**2).mean())) if len(distance) else 0.0

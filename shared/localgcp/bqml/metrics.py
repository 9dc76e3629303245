"""The figures of ML.EVALUATE, in its order of columns.

Source: the output sections of cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from localgcp.bqml.columns import Floats

Indices = np.ndarray[Any, np.dtype[np.int64]]
SMALLEST = 1e-15


def regression_metrics(actual: Floats, predicted: Floats) -> dict[str, float]:
    """MAE, MSE, MSLE, median absolute error, r2, explained variance; rows without a label have been left out."""
    error = actual - predicted
    total = float(((actual - actual.mean()) ** 2).sum())
    log_error = np.log1p(np.maximum(predicted, 0)) - np.log1p(np.maximum(actual, 0))
    # The lower of the two middle values, as on the service; numpy would take their mean.
    median = float(np.sort(np.abs(error))[(len(error) - 1) // 2])
    return {
        "mean_absolute_error": float(np.abs(error).mean()),
        "mean_squared_error": float((error**2).mean()),
        "mean_squared_log_error": float((log_error**2).mean()),
        "median_absolute_error": median,
        "r2_score": 1 - float((error**2).sum()) / total if total else float("nan"),
        "explained_variance": 1 - float(error.var()) / (total / len(actual)) if total else float("nan"),
    }


def classification_metrics(actual: Indices, probabilities: Floats, threshold: float = 0.5) -> dict[str, float]:
    """`actual` indexes the columns of `probabilities`, -1 for a label that training never saw.

    Two classes: precision, recall and F1 of the second (the higher label). More: their mean over the classes.
    """
    count = probabilities.shape[1]
    chosen = decide(probabilities, threshold)
    per_class = [_precision_recall(actual == k, chosen == k) for k in range(count)]
    scores = per_class[1:] if count == 2 else per_class
    precision, recall, f1 = (float(np.mean([score[i] for score in scores])) for i in range(3))
    known = actual >= 0
    right = np.where(known, probabilities[np.arange(len(actual)), np.maximum(actual, 0)], 0.0)
    aucs = [roc_auc(actual == k, probabilities[:, k]) for k in ([1] if count == 2 else range(count))]
    finite = [auc for auc in aucs if not np.isnan(auc)]
    return {
        "precision": precision,
        "recall": recall,
        "accuracy": float((chosen == actual).mean()),
        "f1_score": f1,
        "log_loss": float(-np.log(np.clip(right, SMALLEST, 1)).mean()),
        "roc_auc": float(np.mean(finite)) if finite else float("nan"),
    }


def decide(probabilities: Floats, threshold: float = 0.5) -> Indices:
    """The predicted class: above the threshold for two classes, the most probable for more."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def roc_auc(positive: Any, score: Floats) -> float:
    """Probability that a positive outranks a negative, ties counting half; NaN with one class only."""
    from scipy.stats import rankdata

    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def reconstruction_metrics(actual: Floats, rebuilt: Floats) -> dict[str, Floats]:
    """One figure per row: means over the encoded features."""
    log_error = np.log1p(np.maximum(rebuilt, 0)) - np.log1p(np.maximum(actual, 0))
    return {
        "mean_absolute_error": np.abs(actual - rebuilt).mean(axis=1),
        "mean_squared_error": ((actual - rebuilt) ** 2).mean(axis=1),
        "mean_squared_log_error": (log_error**2).mean(axis=1),
    }


def davies_bouldin(points: Floats, nearest: Indices, centroids: Floats) -> float:
    """Mean over clusters of the worst (scatter_i + scatter_j) / distance of their centroids; 0 with one cluster."""
    present = [k for k in range(len(centroids)) if (nearest == k).any()]
    if len(present) < 2:
        return 0.0
    centres = np.array([points[nearest == k].mean(axis=0) for k in present])
    scatter = [
        float(np.linalg.norm(points[nearest == k] - centre, axis=1).mean()) for k, centre in zip(present, centres)
    ]
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    worst = [
        max((scatter[i] + scatter[j]) / apart[i, j] for j in range(len(present)) if j != i and apart[i, j] > 0)
        for i in range(len(present))
    ]
    return float(np.mean(worst))


def _precision_recall(actual: Any, chosen: Any) -> tuple[float, float, float]:
    hits = float((actual & chosen).sum())
    precision = hits / chosen.sum() if chosen.any() else 0.0
    recall = hits / actual.sum() if actual.any() else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0

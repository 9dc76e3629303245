"""Batch gradient descent with line search, as BigQuery ML documents it.

Every iteration tries the last step times 2, 1, 1/2 and 1/4 and keeps the best; it stops after MAX_ITERATIONS or, with
EARLY_STOP, after the first iteration that lowers the loss by less than MIN_REL_PROGRESS. It is used when a statement
sets one of its options; otherwise linear and logistic regression go to the optimum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from localgcp.bqml.columns import Floats
from localgcp.bqml.models.base import Iteration
from localgcp.bqml.options import Options

# (scores, target) -> mean loss and its derivative by the scores, already divided by the rows.
Loss = Callable[[Floats, Any], tuple[float, Floats]]
INITIAL_RATE = 0.1


def squared_error(scores: Floats, target: Floats) -> tuple[float, Floats]:
    """Mean squared error; the derivative is that of half of it, as in the closed form's objective."""
    error = scores[:, 0] - target
    return float(np.mean(error**2)), (error / len(error))[:, None]


def descend(
    x: Floats, target: Any, options: Options, loss: Loss, evaluation: tuple[Floats, Any] | None, outputs: int = 1
) -> tuple[Floats, Floats, list[Iteration]]:
    """Weights (width, outputs), intercepts (outputs,) and the iterations.

    Early stopping watches the held-out rows where there are some.
    """
    watched_x, watched_target = (x, target) if evaluation is None else evaluation
    weights, intercept = np.zeros((x.shape[1], outputs)), np.zeros(outputs)
    constant = options["learn_rate_strategy"] == "CONSTANT"
    start = options["learn_rate"] if constant else options["ls_init_learn_rate"]
    rate = INITIAL_RATE if start is None else start
    iterations: list[Iteration] = []
    previous = loss(watched_x @ weights + intercept, watched_target)[0]
    for _ in range(options["max_iterations"]):
        began = time.perf_counter()
        _, slope = loss(x @ weights + intercept, target)
        gradient = x.T @ slope + options["l2_reg"] / len(x) * weights
        shift = slope.sum(axis=0) if options["fit_intercept"] else np.zeros(outputs)
        tried = []
        for step in [rate] if constant else [rate * 2, rate, rate / 2, rate / 4]:
            moved = _shrink(weights - step * gradient, step * options["l1_reg"] / len(x))
            moved_intercept = intercept - step * shift
            mean = loss(x @ moved + moved_intercept, target)[0]
            tried.append((mean + _penalty(moved, options) / len(x), mean, step, moved, moved_intercept))
        _, mean, rate, weights, intercept = min(tried, key=lambda one: one[0])
        held_out = None if evaluation is None else loss(evaluation[0] @ weights + intercept, evaluation[1])[0]
        iterations.append(Iteration(mean, held_out, rate, int((time.perf_counter() - began) * 1000)))
        watched = mean if held_out is None else held_out
        if options["early_stop"] and previous - watched < options["min_rel_progress"] * previous:
            break
        previous = watched
    return weights, intercept, iterations


def _shrink(weights: Floats, by: float) -> Floats:
    """The proximal step of the L1 penalty, which reaches exact zeros."""
    return np.asarray(np.sign(weights) * np.maximum(np.abs(weights) - by, 0))


def _penalty(weights: Floats, options: Options) -> float:
    return float(options["l1_reg"] * np.abs(weights).sum() + options["l2_reg"] / 2 * (weights**2).sum())

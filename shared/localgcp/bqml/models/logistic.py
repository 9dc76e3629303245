"""LOGISTIC_REG: binary and multinomial logistic regression.

Minimises  sum_i weight_i * logloss_i + l1_reg sum |w| + 1/2 l2_reg sum w^2  over standardised features to its optimum;
the intercepts are free. BigQuery ML stops its batch gradient descent after 20 iterations or when the loss improves by
less than 1%: set max_iterations, early_stop, learn_rate … to get that instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats
from localgcp.bqml.encode import Encoder, fit_encoder
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.metrics import Indices, decide
from localgcp.bqml.models.base import Attribution, Classifier, Iteration, Training, class_labels, class_weights
from localgcp.bqml.models.linear import (
    GLM,
    by_feature,
    check_learn_rate,
    gradient_descent_wanted,
    standard_errors,
)
from localgcp.bqml.options import CLASSES, Options

MOST_STEPS = 5000


@dataclass
class LogisticRegression(Classifier):
    OPTIONS = {**GLM, **CLASSES}

    weights: Floats  # (width, 1) for two classes: the log-odds of the higher; (width, classes) for more
    intercepts: Floats
    errors: Floats | None

    @classmethod
    def fit(cls, data: Training) -> LogisticRegression:
        options = data.options
        check_learn_rate(options)
        classes, actual = class_labels(data)
        if options["calculate_p_values"] and len(classes) > 2:
            raise BadRequest("CALCULATE_P_VALUES is not supported for multiclass logistic regression.")
        encoder = fit_encoder(data.features(), encoding=options["category_encoding_method"])
        x, weight = encoder.matrix(data.train), class_weights(options, classes, actual)
        model = cls(options, data.label, encoder, classes, np.empty(0), np.empty(0), None)
        held_out = None if data.evaluation is None else model._arrays(encoder, data.evaluation)
        outputs = 1 if len(classes) == 2 else len(classes)
        if gradient_descent_wanted(options):
            from localgcp.bqml.models.descent import descend

            # The weights act through the target, so that held-out rows are not weighted.
            solution = descend(x, (actual, weight), options, _mean_log_loss, held_out, outputs)
        else:
            solution = optimum(x, actual, weight, options, held_out, outputs)
        model.weights, model.intercepts, model.iterations = solution
        if options["calculate_p_values"]:
            p = model._proba(x)[:, 1]
            model.errors = standard_errors(x, weight * p * (1 - p), options)
        return model

    def probabilities(self, rows: pa.Table) -> Floats:
        return self._proba(self.encoder.matrix(rows))

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        """Of the log-odds of the predicted class; its score, for more than two classes."""
        x = self.encoder.matrix(rows, "EXPLAIN_PREDICT")
        weights, intercepts = self.per_class()
        chosen = decide(self._proba(x), self.threshold(settings))
        contributions = x * weights.T[chosen]
        baseline = intercepts[chosen]
        names, grouped = by_feature(self.encoder, contributions)
        return Attribution(names, grouped, baseline, baseline + contributions.sum(axis=1))

    def per_class(self) -> tuple[Floats, Floats]:
        """Weights (width, classes) and intercepts of every class; with two, the lower class's are the negatives."""
        if len(self.classes) > 2:
            return self.weights, self.intercepts
        return np.hstack([-self.weights, self.weights]), np.concatenate([-self.intercepts, self.intercepts])

    def _proba(self, x: Floats) -> Floats:
        return softmax(x @ self.weights + self.intercepts)

    def _arrays(self, encoder: Encoder, rows: pa.Table) -> tuple[Floats, tuple[Indices, Floats]]:
        """Held-out rows; those with a label that training never saw have no loss and are left out."""
        actual = self.indices(self.label_column(rows, "EVALUATE"))
        known = actual >= 0
        return encoder.matrix(rows)[known], (actual[known], np.ones(int(known.sum())))


def softmax(scores: Floats) -> Floats:
    """Probabilities, shape (rows, classes); one column of scores is the log-odds of the second of two classes."""
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss_and_slope(scores: Floats, actual: Indices, weight: Floats) -> tuple[float, Floats]:
    """Weighted sum of the log loss and its derivative by the scores."""
    if scores.shape[1] == 1:
        from scipy.special import expit

        odds = scores[:, 0]
        # log(1 + e^s) - y s, without overflow.
        loss = np.maximum(odds, 0) + np.log1p(np.exp(-np.abs(odds))) - actual * odds
        return float(weight @ loss), (weight * (expit(odds) - actual))[:, None]
    top = scores.max(axis=1, keepdims=True)
    powers = np.exp(scores - top)
    total = powers.sum(axis=1, keepdims=True)
    rows = np.arange(len(actual))
    summed = float(weight @ (np.log(total[:, 0]) + top[:, 0] - scores[rows, actual]))
    slope = powers / total
    slope[rows, actual] -= 1.0
    slope *= weight[:, None]
    return summed, slope


def objective(
    x: Floats,
    actual: Indices,
    weight: Floats,
    options: Options,
    outputs: int,
    seen: dict[bytes, float] | None = None,
) -> Callable[[Floats], tuple[float, Floats]]:
    """The smooth part (log loss and L2) as a function of the flat parameters, with its gradient.

    `seen`, if given, remembers the mean log loss of the parameters tried, so that nobody has to compute it again.
    """
    width = x.shape[1]

    def evaluate(flat: Floats) -> tuple[float, Floats]:
        table = flat.reshape(width + 1, outputs)
        weights, intercepts = table[:-1], table[-1]
        loss, slope = log_loss_and_slope(x @ weights + intercepts, actual, weight)
        if seen is not None:
            seen[flat.tobytes()] = loss / len(actual)
        gradient = np.vstack([x.T @ slope + options["l2_reg"] * weights, slope.sum(axis=0, keepdims=True)])
        if not options["fit_intercept"]:
            gradient[-1] = 0.0
        return loss + options["l2_reg"] / 2 * float((weights**2).sum()), gradient.ravel()

    return evaluate


def optimum(
    x: Floats,
    actual: Indices,
    weight: Floats,
    options: Options,
    held_out: tuple[Floats, tuple[Indices, Floats]] | None,
    outputs: int,
) -> tuple[Floats, Floats, list[Iteration]]:
    """L-BFGS; with L1, over w = u - v with u, v >= 0, where the penalty is linear and zeros are exact."""
    from scipy.optimize import minimize

    seen: dict[bytes, float] = {}
    smooth, size = objective(x, actual, weight, options, outputs, seen), (x.shape[1] + 1) * outputs
    penalty = np.full(size, options["l1_reg"])
    penalty[-outputs:] = 0.0
    iterations: list[Iteration] = []
    began = [time.perf_counter()]

    def record(flat: Floats) -> None:
        flat = flat if len(flat) == size else flat[:size] - flat[size:]
        table, mean = flat.reshape(-1, outputs), seen.get(flat.tobytes())
        if mean is None:
            mean = _mean_log_loss(x @ table[:-1] + table[-1], (actual, weight))[0]
        seen.clear()
        outside = None if held_out is None else _mean_log_loss(held_out[0] @ table[:-1] + table[-1], held_out[1])[0]
        now = time.perf_counter()
        iterations.append(Iteration(mean, outside, None, int((now - began[0]) * 1000)))
        began[0] = now

    # Relative to the loss, close to the last bit: the coefficients then agree to six digits or more.
    limits = {"maxiter": MOST_STEPS, "maxfun": MOST_STEPS * 4, "ftol": 1e-15, "gtol": 1e-9 * len(x), "maxcor": 30}
    if options["l1_reg"]:

        def split(flat: Floats) -> tuple[float, Floats]:
            value, gradient = smooth(flat[:size] - flat[size:])
            return value + float(penalty @ (flat[:size] + flat[size:])), np.concatenate(
                [gradient + penalty, penalty - gradient]
            )

        found = minimize(
            split,
            np.zeros(2 * size),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * (2 * size),
            options=limits,
            callback=record,
        )
        flat = found.x[:size] - found.x[size:]
    else:
        found = minimize(smooth, np.zeros(size), jac=True, method="L-BFGS-B", options=limits, callback=record)
        flat = found.x
    if not iterations:
        record(found.x)
    table = flat.reshape(-1, outputs)
    return table[:-1], table[-1], iterations


def _mean_log_loss(scores: Floats, target: tuple[Indices, Floats]) -> tuple[float, Floats]:
    actual, weight = target
    if not len(actual):
        return float("nan"), np.zeros_like(scores)
    loss, slope = log_loss_and_slope(scores, actual, weight)
    return loss / len(actual), slope / len(actual)

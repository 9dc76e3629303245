"""LINEAR_REG: least squares with L1 and L2 penalties.

Minimises  1/2 sum (y - xw - b)^2 + l1_reg sum |w| + 1/2 l2_reg sum w^2  over standardised features; the intercept is
free. Without L1 that is the normal equation, whose evaluation equals BigQuery ML's published one to the last digit;
with L1 the optimum of the same sum. How the service scales a penalty against the sum of squares is not published.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, floats
from localgcp.bqml.encode import Encoder, Number, fit_encoder
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.base import Attribution, Iteration, Regressor, Training, numeric_label
from localgcp.bqml.options import EXPLAIN, L1, L2, LABEL, REGISTRY, SPLIT, STOP, TUNING, Only, Option, Options

GLM: dict[str, Option | Only] = {
    **LABEL,
    **SPLIT,
    **STOP,
    **EXPLAIN,
    **TUNING,
    **REGISTRY,
    "l1_reg": L1,
    "l2_reg": L2,
    "learn_rate_strategy": Option("choice", None, choices=("LINE_SEARCH", "CONSTANT")),
    "learn_rate": Option("float", None, low=0),
    "ls_init_learn_rate": Option("float", None, low=0),
    "fit_intercept": Option("bool", True),
    "calculate_p_values": Option("bool", False),
    "category_encoding_method": Option("choice", "ONE_HOT_ENCODING", choices=("ONE_HOT_ENCODING", "DUMMY_ENCODING")),
}
# Setting any of these asks for the iterative method, whose result they change.
ITERATIVE = {
    "learn_rate_strategy",
    "learn_rate",
    "ls_init_learn_rate",
    "max_iterations",
    "early_stop",
    "min_rel_progress",
}
MOST_P_VALUES = 1000


@dataclass
class LinearRegression(Regressor):
    OPTIONS = {
        **GLM,
        "optimize_strategy": Option(
            "choice", "AUTO_STRATEGY", choices=("AUTO_STRATEGY", "BATCH_GRADIENT_DESCENT", "NORMAL_EQUATION")
        ),
    }

    weights: Floats  # (width,), of standardised features
    intercept: float
    errors: Floats | None  # standard errors of the weights, then of the intercept

    @classmethod
    def fit(cls, data: Training) -> LinearRegression:
        options, y = data.options, numeric_label(data)
        check_learn_rate(options)
        encoder = fit_encoder(data.features(), encoding=options["category_encoding_method"])
        x = encoder.matrix(data.train)
        started = time.perf_counter()
        if gradient_descent_wanted(options):
            from localgcp.bqml.models.descent import descend, squared_error

            evaluation = evaluation_arrays(data, encoder)
            found, shift, iterations = descend(x, y, options, squared_error, evaluation)
            model = cls(options, data.label, encoder, found[:, 0], float(shift[0]), None, iterations=iterations)
        else:
            if options["optimize_strategy"] == "NORMAL_EQUATION" and options["l1_reg"]:
                raise BadRequest("OPTIMIZE_STRATEGY NORMAL_EQUATION cannot be used with L1_REG.")
            solve = elastic_net if options["l1_reg"] else normal_equation
            weights, intercept = solve(x, y, options)
            model = cls(options, data.label, encoder, weights, intercept, None)
            loss = float(np.mean((x @ weights + intercept - y) ** 2))
            elapsed = int((time.perf_counter() - started) * 1000)
            model.iterations = [Iteration(loss, model.evaluation_loss(data.evaluation), None, elapsed)]
        if options["calculate_p_values"]:
            residual = y - x @ model.weights - model.intercept
            variance = float(residual @ residual) / max(1, len(y) - effective_parameters(x, options))
            model.errors = standard_errors(x, np.full(len(y), 1 / variance), options)
        return model

    def values(self, rows: pa.Table) -> Floats:
        return np.asarray(self.encoder.matrix(rows) @ self.weights + self.intercept)

    def evaluation_loss(self, rows: pa.Table | None) -> float | None:
        """Mean squared error on the rows held out."""
        if rows is None:
            return None
        return float(np.mean((self.values(rows) - floats(self.label_column(rows, "EVALUATE"))) ** 2))

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        x = self.encoder.matrix(rows, "EXPLAIN_PREDICT")
        contributions = x * self.weights
        baseline = np.full(len(x), self.intercept)
        names, grouped = by_feature(self.encoder, contributions)
        return Attribution(names, grouped, baseline, baseline + contributions.sum(axis=1))


def gradient_descent_wanted(options: Options) -> bool:
    return options.get("optimize_strategy") == "BATCH_GRADIENT_DESCENT" or bool(ITERATIVE & options.given)


def check_learn_rate(options: Options) -> None:
    """LEARN_RATE belongs to CONSTANT, LS_INIT_LEARN_RATE to LINE_SEARCH."""
    constant = options["learn_rate_strategy"] == "CONSTANT"
    if options["learn_rate"] is not None and not constant:
        raise BadRequest("LEARN_RATE can only be specified when LEARN_RATE_STRATEGY is CONSTANT.")
    if options["ls_init_learn_rate"] is not None and constant:
        raise BadRequest("LS_INIT_LEARN_RATE can only be specified when LEARN_RATE_STRATEGY is LINE_SEARCH.")
    if options.get("optimize_strategy") == "NORMAL_EQUATION" and ITERATIVE & options.given:
        name = sorted(ITERATIVE & options.given)[0].upper()
        raise BadRequest(f"{name} cannot be used with OPTIMIZE_STRATEGY NORMAL_EQUATION.")
    if options["calculate_p_values"]:
        if options["category_encoding_method"] != "DUMMY_ENCODING" or options["l1_reg"]:
            raise BadRequest("CALCULATE_P_VALUES requires CATEGORY_ENCODING_METHOD='DUMMY_ENCODING' and L1_REG=0.")
        if gradient_descent_wanted(options):
            raise unimplemented("CALCULATE_P_VALUES together with batch gradient descent")


def evaluation_arrays(data: Training, encoder: Encoder) -> tuple[Floats, Floats] | None:
    if data.evaluation is None or data.label is None:
        return None
    return encoder.matrix(data.evaluation), floats(data.evaluation[data.label])


def normal_equation(x: Floats, y: Floats, options: Options) -> tuple[Floats, float]:
    """(X'X + l2 I) w = X'y with a free intercept; the shortest solution where one-hot columns make it singular."""
    design = np.hstack([x, np.ones((len(x), 1))]) if options["fit_intercept"] else x
    penalty = options["l2_reg"] * np.eye(design.shape[1])
    if options["fit_intercept"]:
        penalty[-1, -1] = 0.0
    solution = np.linalg.lstsq(design.T @ design + penalty, design.T @ y, rcond=None)[0]
    return (solution[:-1], float(solution[-1])) if options["fit_intercept"] else (solution, 0.0)


def elastic_net(x: Floats, y: Floats, options: Options) -> tuple[Floats, float]:
    """The same sum with L1; scikit-learn's objective is this one divided by the number of rows."""
    from sklearn.linear_model import ElasticNet

    total = options["l1_reg"] + options["l2_reg"]
    solver = ElasticNet(
        alpha=total / len(y),
        l1_ratio=options["l1_reg"] / total,
        fit_intercept=options["fit_intercept"],
        max_iter=100_000,
        tol=1e-10,
    ).fit(x, y)
    return solver.coef_, float(solver.intercept_)


def by_feature(encoder: Encoder, contributions: Floats) -> tuple[list[str], Floats]:
    """Sums the columns of each feature: names, and shape (rows, features)."""
    sources, names = np.array(encoder.sources()), encoder.features
    return names, np.column_stack([contributions[:, sources == name].sum(axis=1) for name in names])


def standard_errors(x: Floats, curvature: Floats, options: Options) -> Floats:
    """Square roots of the diagonal of (X' C X + l2 I)^-1; NaN for the dropped category, whose column is empty."""
    design = np.hstack([x, np.ones((len(x), 1))]) if options["fit_intercept"] else x
    if design.shape[1] >= MOST_P_VALUES:
        raise BadRequest(f"CALCULATE_P_VALUES: the total cardinality of features must be less than {MOST_P_VALUES}.")
    used = design.any(axis=0)
    penalty = options["l2_reg"] * np.eye(int(used.sum()))
    if options["fit_intercept"]:
        penalty[-1, -1] = 0.0
    information = (design[:, used].T * curvature) @ design[:, used] + penalty
    if np.linalg.matrix_rank(information) < len(information):
        raise BadRequest("CALCULATE_P_VALUES: features are linearly dependent, their standard errors do not exist.")
    out = np.full(design.shape[1], np.nan)
    out[used] = np.sqrt(np.diag(np.linalg.inv(information)))
    return out


def effective_parameters(x: Floats, options: Options) -> int:
    return int(x.any(axis=0).sum()) + int(options["fit_intercept"])


def unscaled(encoder: Encoder, weights: Floats, intercept: float) -> tuple[Floats, float]:
    """Weights and intercept of the features as they came, instead of standardised."""
    out, position = weights.copy(), 0
    for block in encoder.blocks:
        if isinstance(block, Number) and block.centre:
            out[position] = weights[position] / block.scale
            intercept -= weights[position] * block.mean / block.scale
        position += block.width
    return out, float(intercept)

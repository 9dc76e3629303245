"""128 candidate models for a small study, each as a matrix: predictions = matrix @ labels.

Nearest neighbours, ridge regression and kernel ridge regression all predict a weighted sum of the training labels, and
the weights do not depend on the labels. So one matrix serves hundreds of studies that differ in their labels alone.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

Floats = NDArray[np.float64]
Candidate = tuple[str, float, tuple[int, ...]]  # family, its setting, the columns that it may use

NEIGHBOURS = (1, 5, 15)
RIDGE = (0.01, 0.1, 1.0)  # penalty for each training row
RBF = (0.1, 1.0)  # width: gamma is this over the number of columns
RBF_PENALTY = 0.5


def candidates(groups: dict[str, list[int]]) -> list[Candidate]:
    """Every family and setting on every group of columns, every pair of groups, and all of them."""
    chosen = [(name,) for name in groups] + list(combinations(groups, 2)) + [tuple(groups)]
    columns = [tuple(column for name in names for column in groups[name]) for names in chosen]
    families = [("neighbours", k) for k in NEIGHBOURS] + [("ridge", a) for a in RIDGE] + [("rbf", g) for g in RBF]
    return [(family, setting, some) for some in columns for family, setting in families]


def matrix(candidate: Candidate, train: Floats, test: Floats) -> Floats:
    """The weights (test rows, training rows) by which the candidate adds up training labels of -1 and 1."""
    family, setting, columns = candidate
    a, b = train[:, columns], test[:, columns]
    if family == "ridge":
        centre = a.mean(axis=0)
        a, b = a - centre, b - centre
        return np.linalg.solve(a @ a.T + setting * len(a) * np.eye(len(a)), a @ b.T).T
    apart = squared_distances(b, a)
    if family == "neighbours":
        weights = np.zeros_like(apart)
        nearest = np.argpartition(apart, int(setting) - 1, axis=1)[:, : int(setting)]
        np.put_along_axis(weights, nearest, 1 / setting, axis=1)
        return weights
    gamma = setting / len(columns)
    inside = np.exp(-gamma * squared_distances(a, a)) + RBF_PENALTY * np.eye(len(a))
    return np.linalg.solve(inside, np.exp(-gamma * apart).T).T


def squared_distances(rows: Floats, others: Floats) -> Floats:
    return (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * rows @ others.T


def in_sklearn(candidate: Candidate, training_rows: int) -> KNeighborsRegressor | Ridge | KernelRidge:
    """The same model in scikit-learn; Ridge there has an intercept, so its labels must have the mean 0."""
    family, setting, columns = candidate
    if family == "neighbours":
        return KNeighborsRegressor(int(setting))
    if family == "ridge":
        return Ridge(setting * training_rows)
    return KernelRidge(kernel="rbf", gamma=setting / len(columns), alpha=RBF_PENALTY)

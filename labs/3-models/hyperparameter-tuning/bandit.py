"""Bayesian optimisation in 30 lines: a Gaussian process over the unit square and its upper confidence bound."""

import numpy as np

LENGTH = 0.15  # of the kernel, as a share of each range
OPTIMISM = 1.5  # standard deviations that count in favour of a point
FIRST = 4  # trials at random before there is anything to learn from


def covariance(points, others):
    squared = ((points[:, None, :] - others[None, :, :]) ** 2).sum(axis=-1)
    return np.exp(-squared / (2 * LENGTH**2))


def next_point(points, tried, scores, pending):
    """The number of the most promising point. What is pending counts with the mean of what is known."""
    known = [*tried, *pending]
    values = np.r_[scores, np.full(len(pending), np.mean(scores))]
    scaled = (values - values.mean()) / (values.std() or 1.0)
    between, across = covariance(points[known], points[known]), covariance(points, points[known])
    solved = np.linalg.solve(between + 1e-3 * np.eye(len(known)), np.c_[scaled, across.T])
    mean = across @ solved[:, 0]
    variance = 1 - (across * solved[:, 1:].T).sum(axis=1)
    bound = mean + OPTIMISM * np.sqrt(np.clip(variance, 0, None))
    bound[known] = -np.inf
    return int(bound.argmax())


def search(points, scores, trials, parallel, rng):
    """The numbers of the points that are tried, `parallel` of them at a time: they are chosen before any is known."""
    tried = []
    while len(tried) < trials:
        batch = []
        for _ in range(min(parallel, trials - len(tried))):
            if len(tried) < FIRST:
                batch.append(int(rng.integers(len(points))))
            else:
                batch.append(next_point(points, tried, scores[tried], batch))
        tried += batch
    return tried

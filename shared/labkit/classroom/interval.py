"""How far a share that was counted in few cases can be trusted."""

from __future__ import annotations


def wilson(right: int, answers: int) -> tuple[float, float]:
    """Wilson's 95% interval for the share of which `right` of `answers` is a sample; (0, 1) without answers."""
    if not answers:
        return 0.0, 1.0
    from scipy.stats import binomtest

    found = binomtest(right, answers).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)

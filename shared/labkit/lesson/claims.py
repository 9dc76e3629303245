"""Claims: the numbers that make a lab a regression test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.catalog import LabError


class ClaimFailed(AssertionError):
    """A claim is out of its bounds."""

    def _render_traceback_(self) -> list[str]:
        return [f"ClaimFailed: {self}"]


@dataclass(frozen=True)
class Claim:
    """A named number and the bounds it must keep."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        # NaN compares false with everything, so a claim about it fails.
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return math.isfinite(self.value) and low and high

    @property
    def bounds(self) -> str:
        low = f"at least {self.at_least:.4g}" if self.at_least is not None else ""
        high = f"at most {self.at_most:.4g}" if self.at_most is not None else ""
        return " and ".join(filter(None, [low, high]))

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g} ({self.bounds})"


def make_claim(name: str, value: object, at_least: float | None, at_most: float | None) -> Claim:
    """A claim from what a cell passed. Raises LabError when it could not fail or is no number."""
    if at_least is None and at_most is None:
        raise LabError(f"Claim {name!r} has no bound and cannot fail: pass at_least, at_most or both.")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise LabError(f"Claim {name!r} is about {type(value).__name__}, not a number: pass one number.") from None
    return Claim(name, number, at_least, at_most)

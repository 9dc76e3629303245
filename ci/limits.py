"""What the benches share: a figure beside its limit, and what was not kept."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILED: list[str] = []


def say(what: str, measured: float, limit: float, unit: str) -> None:
    """Prints a figure and whether its limit is kept; one that is not goes to FAILED."""
    kept = measured <= limit
    print(f"{what:<62} {measured:8.3f} {unit:<4} at most {limit:.3f}  {'kept' if kept else 'NOT KEPT'}", flush=True)
    if not kept:
        FAILED.append(what)


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

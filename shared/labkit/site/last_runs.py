"""What the health record says of a lab today: its last run that passed here, and whether the last one did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.runner.health import read_health

# A run with the effect switched off is meant to fail, and the untouched copy does none of the exercises.
COUNTED = ("run", "build")


@dataclass(frozen=True)
class Pass:
    """A run that passed: seconds, peak memory of kernel and children in MiB, the environment and its lock, when."""

    kind: str
    seconds: float
    peak_mib: float
    environment: str
    lock: str
    date: str
    seed: object
    claims: int


@dataclass(frozen=True)
class Health:
    """`passed` is the last run that passed, `failed` the error of a later one ("" when there is none)."""

    passed: Pass | None
    failed: str = ""
    failed_date: str = ""


def health_of(slug: str) -> Health:
    """The lab's health here."""
    failed = failed_date = ""
    for run in reversed(read_health(slug)):
        if run.get("kind") not in COUNTED:
            continue
        if run["passed"]:
            return Health(_pass(run), failed, failed_date)
        if not failed:
            failed = str(next(iter(run.get("faults") or []), "") or run.get("error") or "failed")
            failed_date = str(run.get("date", ""))
    return Health(None, failed, failed_date)


def _pass(run: dict[str, Any]) -> Pass:
    return Pass(
        str(run["kind"]),
        float(run.get("seconds", 0)),
        float(run.get("peak_mib", 0)),
        str(run.get("environment", "")),
        str(run.get("lock", "")),
        str(run.get("date", "")),
        (run.get("parameters") or {}).get("SEED"),
        len(run.get("claims") or {}),
    )


def summary(health: Health) -> str:
    """One line for the lab's page."""
    if health.passed is None:
        return (
            f"failed on {health.failed_date[:10]}: {health.failed}" if health.failed else "not run on this machine yet"
        )
    run = health.passed
    line = f"passed on {run.date[:10]} in {run.seconds:.0f} s, {run.peak_mib:.0f} MiB, {run.claims} claims held"
    return line + (f"; failed since, on {health.failed_date[:10]}: {health.failed}" if health.failed else "")

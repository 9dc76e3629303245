"""The health record: one line for each run of a lab, and what can be expected of the next from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from labkit.catalog.collection import find_lab
from labkit.catalog.environments import environments
from labkit.catalog.places import home
from labkit.runner.runs import Result

# Of a lab that has never been run here.
UNKNOWN_MIB = 1000.0
# Memory grows and shrinks with the versions: the last few runs say what the next one takes.
_RECENT = 5


@dataclass(frozen=True)
class Expected:
    """What a run will take, as far as the record says; `failed`: the newest run of its kind did not pass."""

    seconds: float
    peak_mib: float
    failed: bool = False


@dataclass(frozen=True)
class LabHealth:
    """A lab's runs in short: newest pass ("" for none), median seconds, greatest peak, each claim's values."""

    slug: str
    environment: str
    runs: int
    last_pass: str
    last_passed: bool
    seconds: float
    peak_mib: float
    claims: dict[str, tuple[float, float, float]]


def health_file(slug: str) -> Path:
    return home() / ".work" / "health" / f"{slug}.jsonl"


def read_health(slug: str) -> list[dict[str, Any]]:
    """The runs of a lab, oldest first. Half a line, of a command that was killed, is passed over."""
    path = health_file(slug)
    runs = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            run = json.loads(line)
            run["passed"], float(run.get("seconds", 0)), float(run.get("peak_mib", 0))
        except (ValueError, TypeError, KeyError):
            continue
        runs.append(run)
    return runs


def expected(slug: str, kind: str) -> Expected:
    """From the runs of that kind that passed; else from those of other kinds; else a guess from the card."""
    runs = read_health(slug)
    own = [run for run in runs if run.get("kind") == kind]
    # An ablation stops at the first claim that fails: it says little of a whole run.
    others = [run for run in runs if run.get("kind") != "ablation"]
    passed = [run for run in own if run["passed"]] or [run for run in others if run["passed"]]
    peaks = [float(run["peak_mib"]) for run in passed[-_RECENT:] if run.get("peak_mib")]
    seconds = float(passed[-1]["seconds"]) if passed else guessed_seconds(slug)
    return Expected(seconds, max(peaks, default=UNKNOWN_MIB), bool(own) and not own[-1]["passed"])


def expected_seconds(slug: str) -> float:
    """How long a worked run takes: as long as the last one that passed here; else a guess from its card."""
    return expected(slug, "run").seconds


def guessed_seconds(slug: str) -> float:
    """From the card alone: jobs start a Python each, and the kernel of an environment that few labs need is cold."""
    card = find_lab(slug).card
    starts_jobs = set(card.cloud.services) & {"vertex-training", "vertex-tuning", "vertex-pipelines"}
    return 30.0 + (20.0 if starts_jobs else 0.0) + (30.0 if card.environment != "core" else 0.0)


def record(result: Result, kind: str, faults: Sequence[str] | None = None) -> None:
    """Appends a run to the lab's record. It has passed when nothing was found at fault; None: when every cell ran."""
    environment = environments()[find_lab(result.run.slug).card.environment]
    found = [result.error] if faults is None and result.error else list(faults or ())
    line: dict[str, Any] = {
        "lab": result.run.slug,
        "kind": kind,
        "passed": not found,
        "error": result.error,
        "faults": found,
        "seconds": round(result.seconds, 1),
        "cpu_seconds": round(result.cpu_seconds, 1),
        "peak_mib": round(result.peak_mib),
        "parameters": result.run.parameters,
        "claims": {c["name"]: c["value"] for c in result.claims},
        "environment": environment.name,
        "lock": hashlib.sha256(environment.lock.read_bytes()).hexdigest()[:12],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = health_file(result.run.slug)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(_mended(path) + json.dumps(line).encode() + b"\n")


def _mended(path: Path) -> bytes:
    """A line end where a command that was killed has left none, so that its half line costs only itself."""
    content = path.read_bytes()
    return b"" if not content or content.endswith(b"\n") else b"\n"


def lab_health(slug: str) -> LabHealth:
    """What the record says of a lab."""
    runs = [run for run in read_health(slug) if run.get("kind") != "ablation"]
    passed = [run for run in runs if run["passed"]]
    recent = passed[-_RECENT:]
    values: dict[str, list[float]] = {}
    for run in passed:
        for name, value in run.get("claims", {}).items():
            values.setdefault(name, []).append(float(value))
    # A claim that has been renamed since is no claim of this lab any more.
    current = passed[-1].get("claims", {}) if passed else {}
    return LabHealth(
        slug,
        find_lab(slug).card.environment,
        len(runs),
        str(passed[-1].get("date", "")) if passed else "",
        bool(runs) and bool(runs[-1]["passed"]),
        median(float(run["seconds"]) for run in recent) if recent else 0.0,
        max((float(run.get("peak_mib", 0)) for run in recent), default=0.0),
        {name: (min(values[name]), median(values[name]), max(values[name])) for name in current},
    )

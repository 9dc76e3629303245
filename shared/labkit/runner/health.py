"""The health record: one line for each run of a lab."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.catalog.collection import find_lab
from labkit.catalog.environments import environments
from labkit.catalog.places import home
from labkit.runner.execute import Result


def health_file(slug: str) -> Path:
    return home() / ".work" / "health" / f"{slug}.jsonl"


def expected_seconds(slug: str) -> float:
    """How long a run of a lab takes: as long as the last one that passed here; else a guess from its card."""
    path = health_file(slug)
    for line in reversed(path.read_text(encoding="utf-8").splitlines() if path.exists() else []):
        try:
            run = json.loads(line)
        except ValueError:  # half a line, of a command that was killed
            continue
        if run["passed"]:
            return float(run["seconds"])
    card = find_lab(slug).card
    # Jobs start a Python each, and the kernel of an environment that few labs need is cold.
    starts_jobs = set(card.cloud.services) & {"vertex-training", "vertex-tuning", "vertex-pipelines"}
    return 30.0 + (20.0 if starts_jobs else 0.0) + (30.0 if card.environment != "core" else 0.0)


def record(result: Result, kind: str) -> None:
    """Appends a run to the lab's record."""
    environment = environments()[find_lab(result.run.slug).card.environment]
    line: dict[str, Any] = {
        "lab": result.run.slug,
        "kind": kind,
        "passed": not result.error,
        "error": result.error,
        "seconds": round(result.seconds, 1),
        "peak_mib": round(result.peak_mib),
        "parameters": result.run.parameters,
        "claims": {c["name"]: c["value"] for c in result.claims},
        "environment": environment.name,
        "lock": hashlib.sha256(environment.lock.read_bytes()).hexdigest()[:12],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = health_file(result.run.slug)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")

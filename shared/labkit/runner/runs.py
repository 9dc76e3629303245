"""A run of a lab and what it gives: plain data, that is there before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKED, LEARNER, STORED = "worked", "learner", "stored"


@dataclass(frozen=True)
class Run:
    """One run of one lab, with checked parameters: the worked notebook, the untouched learner's copy, or the committed
    notebook as it is stored."""

    slug: str
    folder: Path
    form: str = WORKED
    parameters: dict[str, Any] = field(default_factory=dict)
    audit: bool = False
    cell_seconds: int = 120
    lab_seconds: int = 300

    @property
    def imports(self) -> Path:
        """Where the kernel notes which modules of this project it has used."""
        return self.folder / "imports.json"


@dataclass(frozen=True)
class Result:
    """What a run gave. `error` is empty when every cell ran; `events` is the lab's journal.

    `cpu_seconds`: the processor time of its kernel and of what that started; waiting is not in it.
    """

    run: Run
    notebook: Path
    error: str
    seconds: float
    peak_mib: float
    events: list[dict[str, Any]]
    cpu_seconds: float = 0.0

    @property
    def claims(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == "claim"]

"""What is shown while labs run: bars on a terminal, a line after each result elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.runner.plan import Plan
from labkit.runner.runs import Run


class Shown:
    """The state of a plan for whoever waits: how far each run is, and about how long the rest will take."""

    def __init__(self, plan: Plan, bars: Any = None) -> None:
        self.plan, self.bars = plan, bars
        self._begun: dict[str, float] = {}
        self._tasks: dict[Path, Any] = {}
        self._all = bars.add_task(self._text(), total=plan.total) if bars else None

    def started(self, run: Run) -> None:
        self._begun[run.slug] = time.monotonic()
        if self.bars:
            self._tasks[run.folder] = self.bars.add_task(f"{run.slug} ({run.form})", total=None)

    def moved(self, folder: Path, done: int, cells: int) -> None:
        if folder in self._tasks:
            self.bars.update(self._tasks[folder], completed=done, total=cells)

    def finished(self, run: Run) -> None:
        """After the result was printed."""
        self._begun.pop(run.slug, None)
        if self.bars:
            self.bars.remove_task(self._tasks.pop(run.folder))
        elif self.plan.total > 1:
            print(f"{self._text()}", flush=True)
        self.tick()

    def tick(self) -> None:
        if self.bars:
            self.bars.update(self._all, completed=self.plan.done, description=self._text())

    def _text(self) -> str:
        now = time.monotonic()
        return self.plan.text({slug: now - begun for slug, begun in self._begun.items()})


@contextmanager
def shown(plan: Plan) -> Iterator[Shown]:
    """Shows a plan as long as it is open."""
    if not sys.stdout.isatty():
        yield Shown(plan)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn()
    with Progress(*columns, transient=True) as bars:
        yield Shown(plan, bars)

"""The order of runs, which of them may start, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.catalog.collection import find_lab
from labkit.runner.capacity import fits
from labkit.runner.health import Expected, expected
from labkit.runner.runs import Run


@dataclass
class Plan:
    """Runs that wait, longest first, and runs that are going on, with what each is expected to take.

    `alone`: slugs of labs beside which nothing runs.
    """

    waiting: list[Run]
    expected: Mapping[str, Expected]
    jobs: int
    memory: float
    running: list[Run] = field(default_factory=list)
    done: int = 0
    alone: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        return self.done + len(self.running) + len(self.waiting)

    def start_next(self) -> Run | None:
        """The longest run that has room beside those that are going on; None when it must wait."""
        if len(self.running) >= self.jobs or any(run.slug in self.alone for run in self.running):
            return None
        peaks = [self.expected[run.slug].peak_mib for run in self.running]
        for run in self.waiting:
            if run.slug in self.alone and self.running:
                continue
            if fits(self.expected[run.slug].peak_mib, peaks, self.memory):
                self.waiting.remove(run)
                self.running.append(run)
                return run
        return None

    def finish(self, run: Run) -> None:
        self.running.remove(run)
        self.done += 1

    def seconds_left(self, elapsed: Mapping[str, float]) -> float:
        """The work that is left shared among the jobs, but no less than the longest single run needs.

        `elapsed`: seconds since the start of each run that is going on, by slug.
        """
        left = [self.expected[run.slug].seconds for run in self.waiting]
        left += [max(0.0, self.expected[run.slug].seconds - elapsed.get(run.slug, 0.0)) for run in self.running]
        return max(sum(left) / max(1, self.jobs), max(left, default=0.0))

    def text(self, elapsed: Mapping[str, float]) -> str:
        """As "12 of 31, about 4 min left"."""
        count = f"{self.done} of {self.total}"
        return f"{count}, {about(self.seconds_left(elapsed))} left" if self.total > self.done else count


def about(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 50:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    return f"about {max(1, round(seconds / 60))} min"


def planned(runs: Sequence[Run], kind: str, jobs: int, memory: float, failed_first: bool = False) -> Plan:
    """Longest first, so that the last ones are short and no core waits long for the end of another's.

    Labs that run alone come before: later, they would wait until the others are done.
    `failed_first`: those whose newest run of this kind has failed come before all others.
    """
    known = {run.slug: expected(run.slug, kind) for run in runs}
    alone = frozenset(run.slug for run in runs if find_lab(run.slug).card.alone)

    def order(run: Run) -> tuple[bool, bool, float, str]:
        what = known[run.slug]
        return failed_first and not what.failed, run.slug not in alone, -what.seconds, run.slug

    return Plan(sorted(runs, key=order), known, max(1, jobs), memory, alone=alone)

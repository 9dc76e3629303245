"""Executes a committed notebook again with nbval, and compares what its readers see with what comes out now."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from labkit.catalog.collection import find_lab
from labkit.catalog.places import home
from labkit.lesson.journal import read_journal
from labkit.runner.memory import PeakMemory
from labkit.runner.runs import Result, Run
from labkit.runner.surroundings import output_to, variables_of
from labkit.runner.warm.kernels import warm_pids

# What differs from run to run in the outputs that are compared.
SANITIZE = Path(__file__).with_name("sanitize.cfg")
_SECONDS_TO_START = 120
# IPython colours its tracebacks.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def nbval_arguments(cell_seconds: int) -> list[str]:
    """pytest's arguments, without notebooks. --nbval-lax: only cells tagged nbval-check-output are compared."""
    return [
        *("-c", os.devnull, "--rootdir", str(home()), "-q", "--color=no"),
        *("-p", "labkit.runner.lean", "-p", "no:cacheprovider", "-p", "no:bqemulator"),
        *("--nbval-lax", f"--nbval-cell-timeout={cell_seconds}", "--nbval-sanitize-with", str(SANITIZE)),
        f"--nbval-kernel-startup-timeout={_SECONDS_TO_START}",
    ]


def compare(run: Run, progress: Callable[[int, int], None] = lambda done, cells: None) -> Result:
    """Executes the lab's committed notebook and returns the result; the error says which cells differ, and how."""
    lab = find_lab(run.slug)
    run.folder.mkdir(parents=True, exist_ok=True)
    journal = run.folder / "journal.jsonl"
    # A worker elsewhere that died with this run has left its half: the run begins anew.
    journal.unlink(missing_ok=True)
    watch, start = _Watch(run, progress), time.monotonic()
    with PeakMemory(others=warm_pids) as memory, variables_of(run, journal), output_to(run.folder / "kernel.log"):
        status = pytest.main([*nbval_arguments(run.cell_seconds), str(lab.notebook)], plugins=[watch])
    seconds = time.monotonic() - start
    left = memory.end_survivors()
    error = watch.error(status, run.folder / "kernel.log")
    if left and not error:
        error = f"processes were left behind (ended now): {'; '.join(left)}"
    return Result(run, lab.notebook, error, seconds, memory.peak, read_journal(journal), memory.cpu_seconds)


class _Watch:
    """pytest's plugin: counts cells, keeps what it says of those that fail, stops at the lab's limit."""

    def __init__(self, run: Run, progress: Callable[[int, int], None]) -> None:
        self._run, self._progress = run, progress
        self._end = time.monotonic() + run.lab_seconds
        self._session: Any = None
        self._cells, self._done, self._late = 0, 0, False
        self._failed: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._session, self._cells = session, len(session.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A kernel that does not start fails in the setup of its first cell, and each further cell after it.
        if report.failed and len(self._failed) < 3:
            self._failed.append(_COLOURS.sub("", report.longreprtext).strip() or f"{report.nodeid}: {report.outcome}")
        if report.when == "teardown":
            self._done += 1
            self._progress(self._done, self._cells)
            if time.monotonic() > self._end and self._done < self._cells:
                self._late = True
                self._session.shouldstop = "the lab's limit"

    def error(self, status: int, log: Path) -> str:
        """Why the notebook has not passed, or ""."""
        if self._failed:
            return "\n".join(["the committed notebook gives something else now:", *self._failed])
        if self._late:
            return f"the lab ran longer than its limit of {self._run.lab_seconds} s"
        if status == pytest.ExitCode.OK:
            return ""
        return f"nbval ended with status {int(status)}: {_last_line(log)}"


def _last_line(log: Path) -> str:
    lines: Sequence[str] = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"

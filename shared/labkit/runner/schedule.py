"""Runs many labs, as many at once as there are cores, with a progress bar for each."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from labkit.catalog import LabError
from labkit.catalog.places import home
from labkit.runner.execute import Result, Run, execute, remove_stale_sockets

Item = TypeVar("Item")
_reports: Any = None


def run_folder(slug: str, kind: str) -> Path:
    """A new folder for what a run writes."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return home() / ".work" / "runs" / slug / f"{stamp}-{kind}"


def shard(items: Sequence[Item], text: str) -> list[Item]:
    """Part i of n ("i/n", i from 1) of a list; the n parts are disjoint and together whole."""
    try:
        part, parts = (int(number) for number in text.split("/"))
        if not 1 <= part <= parts:
            raise ValueError
    except ValueError:
        raise LabError(f"--shard {text}: write i/n with 1 <= i <= n, such as 1/2.") from None
    return list(items[part - 1 :: parts])


def run_all(runs: Iterable[Run], jobs: int, finished: Callable[[Result], None]) -> list[Result]:
    """Executes the runs in `jobs` processes; `finished` is called with each result as soon as it is there."""
    runs = list(runs)
    remove_stale_sockets()
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    pool = ProcessPoolExecutor(max(1, min(jobs, len(runs))), context, initializer=_started, initargs=(reports,))
    results: list[Result] = []
    with _progress() as bars, pool, _ended_on_interrupt():
        tasks = {run.folder: bars.add_task(f"{run.slug} ({run.form})", total=None) for run in runs}
        waiting = {pool.submit(_execute, run): run for run in runs}
        while waiting:
            _show_reports(reports, bars, tasks)
            done = [future for future in waiting if future.done()]
            for future in done:
                run = waiting.pop(future)
                bars.remove_task(tasks[run.folder])
                results.append(future.result())
                finished(results[-1])
            if not done:
                try:
                    next(as_completed(waiting, timeout=0.3))
                except TimeoutError:
                    continue
    return results


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} cells"), TimeElapsedColumn()
    return Progress(*columns, transient=True)


def _show_reports(reports: Any, bars: Progress, tasks: dict[Path, Any]) -> None:
    while not reports.empty():
        folder, done, cells = reports.get()
        bars.update(tasks[folder], completed=done, total=cells)


@contextmanager
def _ended_on_interrupt() -> Iterator[None]:
    """On Ctrl-C the pool would wait for the labs that run; here they are ended, and their kernels end with them."""
    try:
        yield
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _started(reports: Any) -> None:
    global _reports
    _reports = reports
    if sys.platform == "linux":
        # A worker dies with this command, even when that is killed; its kernel notices and ends, too.
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _execute(run: Run) -> Result:
    return execute(run, lambda done, cells: _reports.put((run.folder, done, cells)))


def default_jobs() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Runs one notebook with papermill, within limits, and keeps what came out whether it passed or not."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from traitlets.config import Config

from labkit.catalog.collection import find_lab
from labkit.lesson.journal import read_journal
from labkit.runner.build import build_notebook, write_notebook
from labkit.runner.engine import NAME as ENGINE
from labkit.runner.lean import CellTimeoutError, DeadKernelError, PapermillExecutionError, nbformat, papermill
from labkit.runner.learner import learner_copy
from labkit.runner.memory import PeakMemory
from labkit.runner.runs import LEARNER as LEARNER
from labkit.runner.runs import STORED as STORED
from labkit.runner.runs import WORKED as WORKED
from labkit.runner.runs import Result as Result
from labkit.runner.runs import Run as Run
from labkit.runner.surroundings import output_to, variables_of
from labkit.runner.warm.kernels import warm_pids


def carry_out(run: Run, progress: Callable[[int, int], None]) -> Result:
    """Any run, by what its form asks for."""
    if run.form == STORED:
        from labkit.runner.stored import compare

        return compare(run, progress)
    return execute(run, progress)


def execute(run: Run, progress: Callable[[int, int], None] = lambda done, cells: None) -> Result:
    """Builds the lab's notebook, executes it in its own folder, and returns the result; it does not raise for a cell.

    `progress` is called with the number of cells done and their total.
    """
    lab = find_lab(run.slug)
    run.folder.mkdir(parents=True, exist_ok=True)
    source, executed = run.folder / "lab.ipynb", run.folder / "executed.ipynb"
    journal = run.folder / "journal.jsonl"
    # A worker elsewhere that died with this run has left its half: the run begins anew.
    journal.unlink(missing_ok=True)
    notebook = build_notebook(lab)
    write_notebook(learner_copy(notebook) if run.form == LEARNER else notebook, source)
    limit = _Limit(run, len(notebook.cells), progress)
    start, error = time.monotonic(), ""
    with (
        PeakMemory(others=warm_pids) as memory,
        variables_of(run, journal),
        output_to(run.folder / "kernel.log"),
        # Sockets in a folder that only this user reads, instead of TCP ports that anyone here can reach. Not in the
        # run's folder: a socket's path may have about 100 characters.
        tempfile.TemporaryDirectory(prefix=f"labs-{os.getpid()}-") as sockets,
    ):
        try:
            papermill.execute_notebook(
                str(source),
                str(executed),
                engine_name=ENGINE,
                parameters=run.parameters,
                cwd=str(lab.folder),
                progress_bar=False,
                log_output=False,
                start_timeout=90,
                timeout_func=limit.seconds_left,
                on_cell_complete=limit.cell_done,
                store_widget_state=False,
                config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
            )
        except PapermillExecutionError as failed:
            error = f"cell {failed.exec_count}: {failed.ename}: {failed.evalue}"
        except CellTimeoutError:
            error = limit.message()
        except DeadKernelError:
            error = "the kernel died, most likely out of memory"
    seconds = time.monotonic() - start
    left = memory.end_survivors()
    if left and not error:
        error = f"processes were left behind (ended now): {'; '.join(left)}"
    return Result(run, executed, error, seconds, memory.peak, read_journal(journal), memory.cpu_seconds)


class _Limit:
    """The time a cell may take: the cell's limit or what is left of the lab's."""

    def __init__(self, run: Run, cells: int, progress: Callable[[int, int], None]) -> None:
        self.run, self.cells, self.progress = run, cells, progress
        self.end = time.monotonic() + run.lab_seconds
        self.done = 0

    def seconds_left(self, cell: Any) -> int:
        return max(1, min(self.run.cell_seconds, int(self.end - time.monotonic())))

    def cell_done(self, **_: Any) -> None:
        self.done += 1
        self.progress(self.done, self.cells)

    def message(self) -> str:
        if time.monotonic() >= self.end - 1:
            return f"the lab ran longer than its limit of {self.run.lab_seconds} s"
        return f"a cell ran longer than its limit of {self.run.cell_seconds} s"


def executed_notebook(result: Result) -> Any:
    """The notebook as the run left it."""
    return nbformat.read(result.notebook, as_version=4)

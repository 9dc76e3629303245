"""Where runs are executed: in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Protocol

import psutil

from labkit.catalog import LabError
from labkit.runner.runs import Result, Run

_reports: Any = None


class Pool(Protocol):
    """Takes runs and says how far they are."""

    def submit(self, run: Run) -> Future[Result]: ...

    def reports(self) -> Iterator[tuple[Path, int, int]]:
        """What has come since the last call: a run's folder, cells done, cells in all."""
        ...


def prepare_workers() -> None:
    """Starts the server that workers are forked from, so that papermill is imported once, and beside other work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["labkit.runner.execute"])
    forkserver.ensure_running()


class LocalPool:
    """Processes of this machine, forked from a server that has imported what they need.

    Each is an executor of its own: one that is killed, as a system without memory does, costs its run and no other.
    """

    def __init__(self, jobs: int) -> None:
        prepare_workers()
        self._context = multiprocessing.get_context("forkserver")
        self._queue = self._context.Queue()
        self._workers = [self._worker() for _ in range(max(1, jobs))]
        self._idle = list(self._workers)

    def _worker(self) -> ProcessPoolExecutor:
        # The server was started once, perhaps by an earlier command of this process: variables are passed on.
        settings = (self._queue, dict(os.environ))
        return ProcessPoolExecutor(1, self._context, initializer=_started, initargs=settings)

    def submit(self, run: Run) -> Future[Result]:
        if not self._idle:
            self._workers.append(self._worker())
            self._idle.append(self._workers[-1])
        worker = self._idle.pop()
        future: Future[Result] = Future()

        def done(task: Future[Result]) -> None:
            error = task.exception()
            if error is None:
                self._idle.append(worker)
                future.set_result(task.result())
            elif isinstance(error, BrokenProcessPool):
                why = "the process that ran it was killed, most likely by a system without memory"
                future.set_result(Result(run, run.folder / "executed.ipynb", why, 0.0, 0.0, []))
            else:
                self._idle.append(worker)
                future.set_exception(error)

        try:
            worker.submit(_execute, run).add_done_callback(done)
        except BrokenProcessPool:
            # Killed while it had nothing to do: another takes the run.
            return self.submit(run)
        return future

    def reports(self) -> Iterator[tuple[Path, int, int]]:
        while not self._queue.empty():
            yield self._queue.get()

    def close(self) -> None:
        for worker in self._workers:
            worker.shutdown()


@contextmanager
def local_pool(jobs: int) -> Iterator[Pool]:
    """A pool for the time it is open. On Ctrl-C it would wait for its labs; here they end, and their kernels too."""
    remove_stale_sockets()
    pool = LocalPool(jobs)
    try:
        yield pool
        pool.close()
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def pool_named(executor: str, address: str = "") -> Callable[[int], AbstractContextManager[Pool]] | None:
    """What makes the pool that a command names; None for processes of this machine. Raises LabError."""
    if executor == "dask":
        from labkit.runner.dask import dask_pool

        return dask_pool(address)
    if executor != "local":
        raise LabError(f"--executor {executor}: local or dask.")
    if address:
        raise LabError("--scheduler-address is for --executor dask.")
    return None


def _started(reports: Any, variables: Mapping[str, str]) -> None:
    global _reports
    _reports = reports
    os.environ.clear()
    os.environ.update(variables)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker dies with the command, even when that is killed; its kernel notices and ends, too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _execute(run: Run) -> Result:
    from labkit.runner.execute import carry_out

    return carry_out(run, lambda done, cells: _reports.put((run.folder, done, cells)))


def remove_stale_sockets() -> None:
    """Removes the socket folders of runs that were killed: a process that is killed removes nothing itself."""
    for folder in Path(tempfile.gettempdir()).glob("labs-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and _is_mine(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_mine(folder: Path) -> bool:
    """Whether this user's; False for one that another command has removed meanwhile."""
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False

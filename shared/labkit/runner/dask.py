"""Runs on Dask: the same plan, in the workers of a scheduler elsewhere or of one that is started here.

Every worker needs the collection at the same path (or its own LABS_HOME), with its environments made; a folder for
runs (.work/) that this machine sees too, since the notebooks and journals are read there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.runner.pools import Pool, remove_stale_sockets
from labkit.runner.runs import Result, Run

_TOPIC = "labs-progress"
_CONNECT_SECONDS = 20


class DaskPool:
    """Sends each run as one task to the workers of a client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._reports: list[tuple[Path, int, int]] = []
        client.subscribe_topic(_TOPIC, self._heard)

    def _heard(self, event: Any) -> None:
        folder, done, cells = event[1]
        self._reports.append((Path(folder), done, cells))

    def submit(self, run: Run) -> Future[Result]:
        # Not pure: the same run is carried out again whenever it is asked for.
        asked = self._client.submit(run_on_worker, run, pure=False, retries=0, key=f"{run.slug}-{run.folder.name}")
        future: Future[Result] = Future()

        def done(task: Any) -> None:
            # A worker that is gone costs its lab and no other.
            if task.status == "finished":
                future.set_result(task.result())
            else:
                why = task.exception() if task.status == "error" else "the task was cancelled"
                error = f"it did not end on its worker: {type(why).__name__}: {why}"
                future.set_result(Result(run, run.folder / "executed.ipynb", error, 0.0, 0.0, []))

        asked.add_done_callback(done)
        return future

    def reports(self) -> Iterator[tuple[Path, int, int]]:
        while self._reports:
            yield self._reports.pop(0)


def run_on_worker(run: Run) -> Result:
    """One task: a whole run. A worker has one thread, since a run owns its process' variables and streams."""
    from distributed import get_worker

    from labkit.runner.execute import carry_out

    worker = get_worker()
    return carry_out(run, lambda done, cells: worker.log_event(_TOPIC, (str(run.folder), done, cells)))


def dask_pool(address: str) -> Callable[[int], AbstractContextManager[Pool]]:
    """What gives a pool of that scheduler, or of a cluster on this machine where no address is named.

    Raises LabError when Dask is not in this environment, and later when the scheduler does not answer.
    """
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError:
        raise LabError(
            "--executor dask needs the environment dask: nox -s environment -- dask, then .venvs/dask/bin/labs run …"
        ) from None

    @contextmanager
    def opened(jobs: int) -> Iterator[Pool]:
        remove_stale_sockets()
        with _client(address, jobs) as client:
            yield DaskPool(client)

    return opened


@contextmanager
def _client(address: str, jobs: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    if not address:
        # The lab, not the worker, is the likely cause of a worker's end: it is not tried again. A scheduler elsewhere
        # has its own setting.
        dask.config.set({"distributed.scheduler.allowed-failures": 0})
        # Its status page on any free port, for this machine only.
        options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 40, "memory_limit": 0}
        with LocalCluster(n_workers=jobs, threads_per_worker=1, **options) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise LabError(f"--scheduler-address {address}: no scheduler answers there ({error}).") from None
    with client:
        threads = client.nthreads()
        if not threads:
            raise LabError(f"--scheduler-address {address}: the scheduler has no worker.")
        if any(count != 1 for count in threads.values()):
            raise LabError(f"--scheduler-address {address}: start each worker with one thread (--nthreads 1).")
        yield client

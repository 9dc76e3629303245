"""Where trials run: in sandboxes on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from labkit.catalog import LabError
from labkit.classroom import sandbox
from labkit.classroom.trial import Trial, Tried, try_answers

NAMES = ("local", "dask")


class Executor(Protocol):
    """Runs trials in any order; yields each one's place among them, and what came out, as soon as it is there."""

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Tried]]: ...


class Local:
    """So many sandboxes at once on this machine. When it is interrupted, all of them end."""

    def __init__(self, jobs: int, attempt: Callable[[Trial], Tried] = try_answers) -> None:
        self.jobs, self.attempt = max(1, jobs), attempt

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Tried]]:
        pool = ThreadPoolExecutor(self.jobs)
        try:
            waiting = {pool.submit(self.attempt, trial): number for number, trial in enumerate(trials)}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            # After Ctrl-C nothing new starts, and what runs is killed; after the last trial there is nothing to end.
            pool.shutdown(wait=False, cancel_futures=True)
            sandbox.end_all()
            pool.shutdown(wait=True)


class Dask:
    """The workers of a cluster, each with this collection and bubblewrap: DASK_SCHEDULER_ADDRESS, else some here."""

    def __init__(self, jobs: int) -> None:
        self.jobs = max(1, jobs)

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Tried]]:
        try:
            from distributed import Client, LocalCluster
            from distributed import as_completed as dask_completed
        except ImportError:
            raise LabError(
                "--executor dask: Dask is not in this environment. `pip install distributed` there, or leave it away: "
                "--shard i/n spreads over machines, too."
            ) from None
        address = os.environ.get("DASK_SCHEDULER_ADDRESS")
        # A worker runs one sandbox at a time: its memory and cores are then the trial's.
        cluster = None if address else LocalCluster(self.jobs, threads_per_worker=1, dashboard_address=None)
        client = Client(address or cluster)
        try:
            sent = {client.submit(try_answers, trial, pure=False): n for n, trial in enumerate(trials)}
            for future in dask_completed(list(sent)):
                yield sent[future], future.result()
        finally:
            client.close()
            if cluster is not None:
                cluster.close()


def executor(name: str, jobs: int) -> Executor:
    """The executor of that name. Raises LabError for an unknown one."""
    if name == "local":
        return Local(jobs)
    if name == "dask":
        return Dask(jobs)
    raise LabError(f"--executor {name}: one of {', '.join(NAMES)}.")

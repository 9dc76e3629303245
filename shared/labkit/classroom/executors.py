"""Where trials run: in sandboxes on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from labkit.catalog import LabError
from labkit.catalog.collection import find_lab
from labkit.catalog.environments import Environment
from labkit.classroom import sandbox
from labkit.classroom.sandbox import Ended, Limits
from labkit.classroom.trial import Trial, Tried, font_cache, judge_command, start_cold, try_answers
from labkit.classroom.warm_sandbox import NotWarm, WarmSandbox

NAMES = ("local", "dask")
_WORTH_WARMING = 4  # runs in each sandbox, below which its imports cost more than they save
_OF_THE_JUDGE = ["IPython.core.interactiveshell", "labkit.classroom.guard", "labkit.classroom.values"]


class Executor(Protocol):
    """Runs trials in any order; yields each one's place among them, and what came out, as soon as it is there."""

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Tried]]: ...


class Local:
    """So many sandboxes at once on this machine. When it is interrupted, all of them end.

    Where an environment has enough to do, its sandboxes stay (`warm_sandbox`), and imports are done once in each.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = max(1, jobs)

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Tried]]:
        counted = Counter(find_lab(trial.slug).card.environment for trial in trials)
        sandboxes = _Sandboxes({name for name, count in counted.items() if count >= _WORTH_WARMING * self.jobs})
        pool = ThreadPoolExecutor(self.jobs)
        try:
            waiting = {
                pool.submit(try_answers, trial, sandboxes.start_run): number for number, trial in enumerate(trials)
            }
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            # After Ctrl-C nothing new starts, and what runs is killed; after the last trial nothing runs.
            pool.shutdown(wait=False, cancel_futures=True)
            sandbox.end_all()
            pool.shutdown(wait=True)
            sandboxes.close()


class _Sandboxes:
    """A warm sandbox for each thread and environment that is worth it, and cold ones for the rest."""

    def __init__(self, worth: set[str]) -> None:
        self.worth = worth
        self._own = threading.local()
        self._all: list[WarmSandbox] = []

    def start_run(
        self, environment: Environment, order: bytes, limits: Limits, line: Callable[[bytes], float | None]
    ) -> Ended:
        if environment.name in self.worth and environment.warm:
            try:
                return self._warm(environment, limits).run(order, limits, line)
            except NotWarm:
                self.worth.discard(environment.name)
        return start_cold(environment, order, limits, line)

    def _warm(self, environment: Environment, limits: Limits) -> WarmSandbox:
        held = vars(self._own).get(environment.name)
        if held is None or held.closed:
            held = WarmSandbox(
                lambda descriptor: judge_command(environment, descriptor, limits, "warm_judging:serve"),
                [*_OF_THE_JUDGE, *environment.warm],
                font_cache(),
                limits,
            )
            setattr(self._own, environment.name, held)
            self._all.append(held)
        return held

    def close(self) -> None:
        for one in self._all:
            one.close()


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
                "--executor dask: Dask is not in this environment. `nox -s environment -- dask`, then "
                ".venvs/dask/bin/labs grade …; --shard i/n spreads over machines, too."
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

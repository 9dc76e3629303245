"""Runs many labs, as many at once as cores and memory allow, each result as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from labkit.catalog.places import home
from labkit.runner.plan import Plan
from labkit.runner.pools import Pool, local_pool
from labkit.runner.progress import Shown, shown
from labkit.runner.runs import Result, Run

# How often the bars move.
_TICK = 0.3


def run_folder(slug: str, kind: str) -> Path:
    """A new folder for what a run writes."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return home() / ".work" / "runs" / slug / f"{stamp}-{kind}"


def run_all(
    plan: Plan,
    finished: Callable[[Result], None],
    pool_of: Callable[[int], AbstractContextManager[Pool]] = local_pool,
) -> list[Result]:
    """Executes the plan; `finished` is called with each result as soon as it is there.

    `pool_of`: gives the pool for a number of jobs.
    """
    results: list[Result] = []
    with shown(plan) as view, pool_of(min(plan.jobs, max(1, plan.total))) as pool:
        going: dict[Future[Result], Run] = {}
        _start(plan, pool, view, going)
        while going:
            done, _ = wait(going, timeout=_TICK, return_when=FIRST_COMPLETED)
            for report in pool.reports():
                view.moved(*report)
            for future in done:
                run = going.pop(future)
                result = future.result()
                results.append(result)
                plan.finish(run)
                finished(result)
                view.finished(run)
            _start(plan, pool, view, going)
            view.tick()
    return results


def _start(plan: Plan, pool: Pool, view: Shown, going: dict[Future[Result], Run]) -> None:
    while (run := plan.start_next()) is not None:
        going[pool.submit(run)] = run
        view.started(run)

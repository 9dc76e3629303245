"""What `labs run`, `build`, `exercises` and `ablate` do; each returns the number of labs that failed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import find_lab
from labkit.runner.capacity import default_jobs, memory_for_runs
from labkit.runner.health import record
from labkit.runner.parameters import checked, from_command_line, read_parameters
from labkit.runner.plan import planned
from labkit.runner.pools import Pool, local_pool, prepare_workers
from labkit.runner.results import keep_result, prepare_results
from labkit.runner.runs import LEARNER, STORED, WORKED, Result, Run
from labkit.runner.schedule import run_all, run_folder
from labkit.runner.selection import changed_labs as changed_labs
from labkit.runner.selection import chosen, worth_warming
from labkit.runner.unchanged import Passed, forget_pass, keep_pass, split_unchanged
from labkit.runner.warm.kernels import warm_kernels

RUN, UNTOUCHED, ABLATION, BUILD = "run", "untouched learner's copy", "ablation", "build"
COMPARISON = "committed notebook"


@dataclass(frozen=True)
class Options:
    """How runs are carried out, whatever they are.

    `jobs`: the most at once; None: one for each core. `cold`: each kernel imports for itself, as a learner's does.
    `changed_only`: what has passed and depends on nothing that has changed is not run again. `failed_first`: before
    the others come those whose newest run of this kind has failed. `pool_of`: where runs are executed; None: here.
    """

    jobs: int | None = None
    cold: bool = False
    changed_only: bool = False
    failed_first: bool = False
    pool_of: Callable[[int], AbstractContextManager[Pool]] | None = None


_PLAIN = Options()


def _run_each(runs: list[Run], kind: str, options: Options, judged: Callable[[Result], list[str]]) -> int:
    """Runs, prints each result as soon as it is there, and counts those with a fault."""
    began = time.time()
    failed: list[str] = []
    if options.changed_only:
        runs, unchanged = split_unchanged(runs, kind)
        say_unchanged(unchanged)

    def finished(result: Result) -> None:
        faults = judged(result)
        record(result, kind, faults)
        report(result, faults)
        if faults:
            failed.append(result.run.slug)
            forget_pass(result.run, kind)
        else:
            keep_pass(result.run, kind, began)

    if runs:
        _carry_out(runs, kind, options, finished)
    print(
        f"{kind}: {len(runs) - len(failed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else "")
    )
    return len(failed)


def _carry_out(runs: list[Run], kind: str, options: Options, finished: Callable[[Result], None]) -> None:
    if options.pool_of is None:
        # Its imports and those of the fork servers below go on beside each other.
        prepare_workers()
    with warm_kernels([] if options.cold else worth_warming(run.slug for run in runs)):
        # Measured after the servers have started: what they take is not for the runs.
        plan = planned(runs, kind, options.jobs or default_jobs(), memory_for_runs(), options.failed_first)
        run_all(plan, finished, options.pool_of or local_pool)


def say_unchanged(unchanged: Sequence[Passed]) -> None:
    """One line for all labs that need not be run."""
    if unchanged:
        dates = sorted(passed.date[:16].replace("T", " ") for passed in unchanged)
        when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        print(f"unchanged: {len(unchanged)} labs, last passed {when} (UTC)")


def report(result: Result, faults: list[str]) -> None:
    """Prints claims with values and bounds, what failed, and where the notebook lies."""
    mark = "FAILED" if faults else "passed"
    print(f"\n{result.run.slug}: {mark} in {result.seconds:.1f} s, peak memory {result.peak_mib:.0f} MiB", flush=True)
    for claim in result.claims:
        bounds = [
            f"{word} {claim[key]:g}" for key, word in (("at_least", ">="), ("at_most", "<=")) if claim[key] is not None
        ]
        print(
            f"  {'holds' if claim['holds'] else 'FAILS'}  {claim['name']}: {claim['value']:.4g}  ({', '.join(bounds)})"
        )
    for fault in faults:
        print(f"  fault: {fault}")
    print(f"  notebook: {result.notebook}", flush=True)


def run_labs(
    slugs: Sequence[str],
    seed: int | None,
    pairs: list[str],
    part: str,
    cell_seconds: int,
    lab_seconds: int,
    rehearse: bool = False,
    results: Path | None = None,
    options: Options = _PLAIN,
    wrong_answers: bool = True,
) -> int:
    """Runs the worked labs; a lab fails when a cell or claim does, or an exercise misjudges an answer.

    `rehearse`: labs whose card names a service of Vertex AI go the way of TARGET="vertex", on this machine.
    `results`: a folder in which each lab's outcome is kept, too, as <slug>/ (see `results`).
    """
    if results is not None:
        if options.changed_only:
            raise LabError("--results keeps the outcome of every lab, so it does not go with --changed-only.")
        prepare_results(results)
    runs = []
    for lab in chosen(slugs, part):
        given = from_command_line(pairs) | ({} if seed is None else {"SEED": seed})
        if rehearse and lab.card.cloud.uses_vertex:
            given["TARGET"] = "rehearsal"
        parameters = checked(lab.slug, read_parameters(lab.source), given)
        folder = run_folder(lab.slug, WORKED)
        runs.append(Run(lab.slug, folder, WORKED, parameters, wrong_answers, cell_seconds, lab_seconds))

    def faults(result: Result) -> list[str]:
        found = _worked_faults(result)
        if results is not None:
            keep_result(result, found, results)
        return found

    return _run_each(runs, RUN, options, faults)


def _worked_faults(result: Result) -> list[str]:
    from labkit.runner.exercises import worked_faults

    return [result.error] if result.error else worked_faults(result)


def run_untouched(
    slugs: Sequence[str], seed: int | None, part: str, lab_seconds: int = 300, options: Options = _PLAIN
) -> int:
    """Runs the learner's copies as they are handed out."""
    given = {} if seed is None else {"SEED": seed}
    runs = [
        Run(lab.slug, run_folder(lab.slug, LEARNER), LEARNER, given, lab_seconds=lab_seconds)
        for lab in chosen(slugs, part)
    ]

    def faults(result: Result) -> list[str]:
        from labkit.runner.exercises import untouched_faults

        return [result.error] if result.error else untouched_faults(result)

    return _run_each(runs, UNTOUCHED, options, faults)


def run_ablations(
    slugs: Sequence[str], seed: int | None, part: str, lab_seconds: int = 300, options: Options = _PLAIN
) -> int:
    """Runs with the effect switched off; a lab passes when a claim fails."""
    runs = []
    for lab in chosen(slugs, part):
        given: dict[str, Any] = dict(lab.card.ablation) | ({} if seed is None else {"SEED": seed})
        parameters = checked(lab.slug, read_parameters(lab.source), given)
        folder = run_folder(lab.slug, "ablation")
        runs.append(Run(lab.slug, folder, WORKED, parameters, lab_seconds=lab_seconds))

    def faults(result: Result) -> list[str]:
        from labkit.runner.exercises import ablation_fault

        fault = ablation_fault(result)
        return [fault] if fault else []

    return _run_each(runs, ABLATION, options, faults)


def compare_notebooks(slugs: Sequence[str], part: str, lab_seconds: int = 300, options: Options = _PLAIN) -> int:
    """Executes the committed notebooks; one passes when its tagged cells give what is stored."""
    runs = []
    for lab in chosen(slugs, part):
        if not lab.notebook.exists():
            raise LabError(f"{lab.slug} has no notebook to compare with: labs build {lab.slug}")
        runs.append(Run(lab.slug, run_folder(lab.slug, STORED), STORED, cell_seconds=180, lab_seconds=lab_seconds))
    return _run_each(runs, COMPARISON, options, lambda result: [result.error] if result.error else [])


def build_labs(slugs: Sequence[str], lab_seconds: int = 300) -> int:
    """Executes with the stored parameters and writes lab.ipynb; a lab that fails keeps its old notebook.

    Always in a cold kernel, as a learner's: nbval then compares it with what a warm one gives.
    """
    runs = [Run(lab.slug, run_folder(lab.slug, "build"), lab_seconds=lab_seconds) for lab in chosen(slugs)]

    def built(result: Result) -> list[str]:
        from labkit.runner.build import build_notebook, stored, write_notebook
        from labkit.runner.execute import executed_notebook

        if result.error:
            return [result.error]
        lab = find_lab(result.run.slug)
        write_notebook(stored(executed_notebook(result), build_notebook(lab)), lab.notebook)
        shutil.rmtree(result.run.folder / "files", ignore_errors=True)
        return []

    return _run_each(runs, BUILD, Options(cold=True), built)

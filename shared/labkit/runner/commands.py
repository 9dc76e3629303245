"""What `labs run`, `build`, `exercises` and `ablate` do; each returns the number of labs that failed."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab, lab_folders, read_labs
from labkit.catalog.environments import Environment, environments
from labkit.catalog.places import home
from labkit.runner import exercises
from labkit.runner.build import build_notebook, stored, write_notebook
from labkit.runner.execute import LEARNER, WORKED, Result, Run, executed_notebook
from labkit.runner.health import expected_seconds, record
from labkit.runner.parameters import checked, from_command_line, read_parameters
from labkit.runner.results import keep_result, prepare_results
from labkit.runner.schedule import default_jobs, run_all, run_folder, shard
from labkit.runner.warm.kernels import warm_kernels


def chosen(slugs: Sequence[str], part: str = "1/1") -> list[LabFolder]:
    """The named labs, or all. Raises LabError when a name is unknown, a card broken, or an environment not made."""
    if slugs:
        labs = [find_lab(slug) for slug in dict.fromkeys(slugs)]
    else:
        labs, problems = read_labs()
        if problems:
            raise LabError(str(problems[0]))
    labs = shard(labs, part)
    for lab in labs:
        environment = environments().get(lab.card.environment)
        if environment is None or not environment.made:
            name = lab.card.environment
            raise LabError(f"{lab.slug} needs the environment {name}: nox -s environment -- {name}")
    return labs


def changed_labs(revision: str) -> list[str]:
    """Labs of which a file differs from a git revision, or is new. Raises LabError when git does not know it."""
    asked = subprocess.run(
        ["git", "diff", "--name-only", "--merge-base", revision, "--", "labs"],
        cwd=home(),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise LabError(f"--changed {revision}: git says {asked.stderr.strip().splitlines()[-1]}")
    there = {folder.relative_to(home()): folder.name for folder in lab_folders()}
    paths = [Path(line) for line in asked.stdout.splitlines()]
    return sorted({there[parent] for path in paths for parent in path.parents if parent in there})


def worth_warming(slugs: Iterable[str]) -> list[Environment]:
    """The environments with at least two of these runs: a server imports what one cold kernel would."""
    counted = Counter(find_lab(slug).card.environment for slug in slugs)
    return [environments()[name] for name, count in counted.items() if count > 1]


def _run_each(
    runs: list[Run], kind: str, jobs: int | None, judged: Callable[[Result], list[str]], cold: bool = False
) -> int:
    """Runs, prints each result as soon as it is there, and counts those with a fault."""
    failed = []

    def finished(result: Result) -> None:
        record(result, kind)
        faults = judged(result)
        report(result, faults)
        if faults:
            failed.append(result.run.slug)

    # Longest first: the last runs are short, and no core waits long for the end of another's.
    runs = sorted(runs, key=lambda run: -expected_seconds(run.slug))
    with warm_kernels([] if cold else worth_warming(run.slug for run in runs)):
        run_all(runs, jobs or default_jobs(), finished)
    print(
        f"{kind}: {len(runs) - len(failed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else "")
    )
    return len(failed)


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
    jobs: int | None,
    part: str,
    cell_seconds: int,
    lab_seconds: int,
    rehearse: bool = False,
    results: Path | None = None,
    cold: bool = False,
) -> int:
    """Runs the worked labs; a lab fails when a cell or claim does, or an exercise misjudges an answer.

    `rehearse`: labs whose card names a service of Vertex AI go the way of TARGET="vertex", on this machine.
    `results`: a folder in which each lab's outcome is kept, too, as <slug>/ (see `results`).
    `cold`: each kernel imports for itself, as a learner's does.
    """
    if results is not None:
        prepare_results(results)
    runs = []
    for lab in chosen(slugs, part):
        given = from_command_line(pairs) | ({} if seed is None else {"SEED": seed})
        if rehearse and lab.card.cloud.uses_vertex:
            given["TARGET"] = "rehearsal"
        parameters = checked(lab.slug, read_parameters(lab.source), given)
        folder = run_folder(lab.slug, WORKED)
        runs.append(Run(lab.slug, folder, WORKED, parameters, True, cell_seconds, lab_seconds))

    def faults(result: Result) -> list[str]:
        found = _worked_faults(result)
        if results is not None:
            keep_result(result, found, results)
        return found

    return _run_each(runs, "run", jobs, faults, cold)


def _worked_faults(result: Result) -> list[str]:
    return [result.error] if result.error else exercises.worked_faults(result)


def run_untouched(
    slugs: Sequence[str], seed: int | None, jobs: int | None, part: str, lab_seconds: int = 300, cold: bool = False
) -> int:
    """Runs the learner's copies as they are handed out."""
    given = {} if seed is None else {"SEED": seed}
    runs = [
        Run(lab.slug, run_folder(lab.slug, LEARNER), LEARNER, given, lab_seconds=lab_seconds)
        for lab in chosen(slugs, part)
    ]

    def faults(result: Result) -> list[str]:
        return [result.error] if result.error else exercises.untouched_faults(result)

    return _run_each(runs, "untouched learner's copy", jobs, faults, cold)


def run_ablations(
    slugs: Sequence[str], seed: int | None, jobs: int | None, part: str, lab_seconds: int = 300, cold: bool = False
) -> int:
    """Runs with the effect switched off; a lab passes when a claim fails."""
    runs = []
    for lab in chosen(slugs, part):
        given: dict[str, Any] = dict(lab.card.ablation) | ({} if seed is None else {"SEED": seed})
        parameters = checked(lab.slug, read_parameters(lab.source), given)
        folder = run_folder(lab.slug, "ablation")
        runs.append(Run(lab.slug, folder, WORKED, parameters, lab_seconds=lab_seconds))

    def faults(result: Result) -> list[str]:
        fault = exercises.ablation_fault(result)
        return [fault] if fault else []

    return _run_each(runs, "ablation", jobs, faults, cold)


def build_labs(slugs: Sequence[str], lab_seconds: int = 300) -> int:
    """Executes with the stored parameters and writes lab.ipynb; a lab that fails keeps its old notebook.

    Always in a cold kernel, as a learner's: nbval then compares it with what a warm one gives.
    """
    runs = [Run(lab.slug, run_folder(lab.slug, "build"), lab_seconds=lab_seconds) for lab in chosen(slugs)]

    def built(result: Result) -> list[str]:
        if result.error:
            return [result.error]
        lab = find_lab(result.run.slug)
        write_notebook(stored(executed_notebook(result), build_notebook(lab)), lab.notebook)
        shutil.rmtree(result.run.folder / "files", ignore_errors=True)
        return []

    return _run_each(runs, "build", 1 if len(runs) == 1 else None, built, cold=True)

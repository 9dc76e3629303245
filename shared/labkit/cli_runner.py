"""Commands that run labs: parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from labkit.console import exit_on, one_line_errors, out

if TYPE_CHECKING:
    from labkit.runner.commands import Options

Slugs = Annotated[list[str] | None, typer.Argument(help="Names of labs; none means all.", show_default=False)]
Seed = Annotated[int | None, typer.Option(help="The lab's SEED; none leaves the stored one.")]
Jobs = Annotated[int | None, typer.Option(help="Labs at once at most; none means one for each core.", min=1)]
CellSeconds = Annotated[int, typer.Option(help="Limit for one cell.")]
LabSeconds = Annotated[int, typer.Option(help="Limit for one lab.")]
Cold = Annotated[
    bool, typer.Option("--cold", help="Fresh kernels, as learners have; else forked from one with the imports.")
]
Shard = Annotated[str, typer.Option(help="Only part i of n of the labs, as i/n; all parts take about as long.")]
ChangedOnly = Annotated[
    bool, typer.Option("--changed-only", help="Not what has passed here and depends on nothing that changed since.")
]
FailedFirst = Annotated[bool, typer.Option("--failed-first", help="First those that failed when last run.")]
Executor = Annotated[str, typer.Option(help="local, or dask (from the environment dask).")]
Address = Annotated[str, typer.Option("--scheduler-address", help="Of a Dask scheduler; none starts one here.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (build, run, exercises, nbval, ablate, notebooks, health):
        app.command()(one_line_errors(command))
    app.command(context_settings={"ignore_unknown_options": True})(one_line_errors(warm))


def _options(
    jobs: int | None, cold: bool, changed_only: bool, failed_first: bool, executor: str, address: str
) -> Options:
    from labkit.runner.commands import Options
    from labkit.runner.pools import pool_named

    return Options(jobs, cold, changed_only, failed_first, pool_named(executor, address))


def build(slugs: Slugs = None, lab_seconds: LabSeconds = 300) -> None:
    """Builds lab.ipynb from lab.py and executes it."""
    from labkit.catalog.collection import need_sources
    from labkit.runner.commands import build_labs

    need_sources(slugs or [])
    exit_on(build_labs(slugs or [], lab_seconds))


def run(
    slugs: Slugs = None,
    seed: Seed = None,
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE, repeatable.")] = None,
    jobs: Jobs = None,
    shard: Shard = "1/1",
    cell_seconds: CellSeconds = 120,
    lab_seconds: LabSeconds = 300,
    rehearse: Annotated[bool, typer.Option(help='Labs on Vertex AI go the way of TARGET="vertex", here.')] = False,
    results: Annotated[
        Path | None, typer.Option(help="A folder for notebook, journal and outcome of each lab.")
    ] = None,
    wrong_answers: Annotated[bool, typer.Option(help="Try every listed wrong answer, too.")] = True,
    cold: Cold = False,
    changed_only: ChangedOnly = False,
    failed_first: FailedFirst = False,
    executor: Executor = "local",
    scheduler_address: Address = "",
) -> None:
    """Runs worked labs headless and prints their claims; every listed wrong answer is tried as well."""
    from labkit.catalog.collection import need_sources
    from labkit.runner.commands import run_labs

    need_sources(slugs or [])
    options = _options(jobs, cold, changed_only, failed_first, executor, scheduler_address)
    limits = (cell_seconds, lab_seconds)
    exit_on(run_labs(slugs or [], seed, parameter or [], shard, *limits, rehearse, results, options, wrong_answers))


def exercises(
    slugs: Slugs = None,
    seed: Seed = None,
    jobs: Jobs = None,
    shard: Shard = "1/1",
    lab_seconds: LabSeconds = 300,
    cold: Cold = False,
    changed_only: ChangedOnly = False,
    failed_first: FailedFirst = False,
    executor: Executor = "local",
    scheduler_address: Address = "",
) -> None:
    """Runs the untouched learner's copies: nothing may raise, every exercise must be "not attempted"."""
    from labkit.catalog.collection import need_sources
    from labkit.runner.commands import run_untouched

    need_sources(slugs or [])
    options = _options(jobs, cold, changed_only, failed_first, executor, scheduler_address)
    exit_on(run_untouched(slugs or [], seed, shard, lab_seconds, options))


def ablate(
    slugs: Slugs = None,
    seed: Seed = None,
    jobs: Jobs = None,
    shard: Shard = "1/1",
    changed: Annotated[str, typer.Option(help="Only labs whose folder differs from this git revision.")] = "",
    lab_seconds: LabSeconds = 300,
    cold: Cold = False,
    changed_only: ChangedOnly = False,
    failed_first: FailedFirst = False,
    executor: Executor = "local",
    scheduler_address: Address = "",
) -> None:
    """Runs labs with the effect switched off; fails unless a claim fails."""
    from labkit.catalog.collection import need_sources
    from labkit.runner.commands import run_ablations
    from labkit.runner.selection import changed_labs

    need_sources(slugs or [])
    options = _options(jobs, cold, changed_only, failed_first, executor, scheduler_address)
    if changed:
        slugs = [slug for slug in changed_labs(changed) if not slugs or slug in slugs]
        if not slugs:
            print(f"no lab differs from {changed}")
            return
    exit_on(run_ablations(slugs or [], seed, shard, lab_seconds, options))


def nbval(
    slugs: Slugs = None,
    jobs: Jobs = None,
    shard: Shard = "1/1",
    lab_seconds: LabSeconds = 300,
    cold: Cold = False,
    changed_only: ChangedOnly = False,
    failed_first: FailedFirst = False,
    executor: Executor = "local",
    scheduler_address: Address = "",
) -> None:
    """Executes the committed notebooks and compares the cells tagged nbval-check-output with what is stored."""
    from labkit.catalog.collection import need_sources
    from labkit.runner.commands import compare_notebooks

    need_sources(slugs or [])
    options = _options(jobs, cold, changed_only, failed_first, executor, scheduler_address)
    exit_on(compare_notebooks(slugs or [], shard, lab_seconds, options))


def warm(command: Annotated[list[str], typer.Argument(help="A command and its arguments, after --.")]) -> None:
    """Runs a command that starts kernels of the labs, such as pytest --nbval, with warm ones of every environment."""
    import subprocess

    from labkit.catalog.environments import environments
    from labkit.runner.selection import chosen
    from labkit.runner.warm.kernels import warm_kernels

    with warm_kernels(environments()[name] for name in sorted({lab.card.environment for lab in chosen([])})):
        raise typer.Exit(subprocess.run(command, check=False).returncode)


def notebooks(shard: Shard = "1/1") -> None:
    """Lists the committed notebooks, a path a line, those first that take longest."""
    from labkit.runner.health import expected
    from labkit.runner.selection import chosen

    for lab in sorted(chosen([], shard), key=lambda lab: (-expected(lab.slug, "build").seconds, lab.slug)):
        print(lab.notebook)


def health(
    slugs: Slugs = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write ci/seconds.toml, by which --shard balances its parts.")
    ] = False,
) -> None:
    """Shows the record of the runs here; of labs that are named, also the values of their claims."""
    from labkit.catalog.collection import find_lab, read_labs
    from labkit.runner.health import lab_health
    from labkit.runner.shards import write_seconds

    every = [lab.slug for lab in read_labs()[0]]
    named = [find_lab(slug).slug for slug in slugs or ()] or every
    if write:
        print(f"{write_seconds(every)}: written")
    found = [lab_health(slug) for slug in named]
    table = Table("lab", "environment", "runs", "last pass (UTC)", "now", "seconds", "peak MiB", box=None)
    for lab in found:
        when, now = lab.last_pass[:16].replace("T", " ") or "never", "passes" if lab.last_passed else "fails"
        taken = f"{lab.seconds:.0f}" if lab.last_pass else ""
        peak = f"{lab.peak_mib:.0f}" if lab.last_pass else ""
        table.add_row(lab.slug, lab.environment, str(lab.runs), when, now if lab.runs else "", taken, peak)
    out.print(table)
    if not slugs:
        return
    claims = Table("lab", "claim", "least", "median", "greatest", box=None)
    for lab in found:
        for name, values in lab.claims.items():
            claims.add_row(lab.slug, name, *(f"{value:.4g}" for value in values))
    out.print(claims)

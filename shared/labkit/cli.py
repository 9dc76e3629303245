"""The `labs` command: parses, calls one function, prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table

from labkit import cli_learner, cli_runner, cli_trainer
from labkit.catalog.problems import Problem
from labkit.cli_runner import Seed, Slugs
from labkit.console import app as app
from labkit.console import exit_on, one_line_errors, out


def _fail_on(problems: list[Problem], fine: str) -> None:
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print(fine)


@app.command("list")
@one_line_errors
def list_labs() -> None:
    """Shows the labs that are there."""
    from labkit.catalog.collection import read_labs

    labs, problems = read_labs()
    table = Table("lab", "title", "section", "minutes", "environment", box=None)
    for lab in labs:
        table.add_row(lab.slug, lab.card.title, str(lab.card.section), str(lab.card.minutes), lab.card.environment)
    out.print(table)
    for problem in problems:
        print(problem, file=sys.stderr)


@app.command()
@one_line_errors
def show(slug: str) -> None:
    """Shows a lab's card, parameters and topics."""
    from labkit.catalog.blueprint import read_blueprint
    from labkit.catalog.collection import find_lab
    from labkit.runner.parameters import read_parameters

    lab, blueprint = find_lab(slug), read_blueprint()
    print(f"{lab.card.title}\n{lab.folder}\n")
    for objective in lab.card.objectives:
        print(f"- {objective}")
    print(f"\n{lab.card.minutes} minutes, environment {lab.card.environment}")
    print(f"prerequisites: {', '.join(lab.card.prerequisites) or 'none'}")
    print(f"cloud: {', '.join(lab.card.cloud.services)}, at most {lab.card.cloud.max_cost_usd} USD a run")
    for topic in lab.card.topics:
        print(f"{topic}: {blueprint.topics[topic].text if topic in blueprint.topics else 'unknown topic'}")
    for parameter in () if lab.handed_out else read_parameters(lab.source).values():
        print(f"{parameter.name}: {parameter.kind.__name__} = {parameter.default!r}")


@app.command()
@one_line_errors
def coverage() -> None:
    """Shows how much of each exam guide the labs cover; fails on a topic without a lab."""
    from labkit.catalog import blueprint as guides
    from labkit.catalog.collection import read_labs

    labs, problems = read_labs()
    blueprint = guides.read_blueprint()
    covered = {topic for lab in labs for topic in lab.card.topics}
    table = Table("guide", "section", "", "covered", "planned", box=None)
    for row in guides.coverage(blueprint, covered):
        title = blueprint.section_title(row.guide, row.section)
        table.add_row(row.guide, str(row.section), title, str(row.covered), str(row.planned))
    out.print(table)
    slugs = {lab.slug for lab in labs}
    problems += guides.check_blueprint(blueprint, slugs)
    unknown = [(lab, t) for lab in labs for t in lab.card.topics if t not in blueprint.topics]
    problems += [
        Problem("C004", lab.folder / "lab.toml", f"unknown topic {t}", "Use ids from labs/blueprint/topics.csv.")
        for lab, t in unknown
    ]
    known = len(covered & set(blueprint.topics))
    _fail_on(problems, f"{known} of {len(blueprint.topics)} topics covered by {len(labs)} labs, the rest planned")


@app.command()
@one_line_errors
def new(slug: str) -> None:
    """Makes the folder of a planned lab, to be filled."""
    from labkit.catalog.scaffold import new_lab

    folder = new_lab(slug)
    print(f"{folder} is there. Replace every TODO, then: labs build {slug} && labs lint {slug}")


@app.command()
@one_line_errors
def lint(slugs: Slugs = None) -> None:
    """Checks the structure of labs, their quizzes, sequences, the data registry, and lab.py against lab.ipynb."""
    from labkit.catalog.blueprint import check_blueprint, read_blueprint
    from labkit.catalog.collection import find_lab, lab_folders, need_sources, read_labs
    from labkit.catalog.datasets import check_datasets
    from labkit.catalog.lint import lint as lint_folder
    from labkit.catalog.sequences import check_sequences
    from labkit.lesson.quiz import check_quiz
    from labkit.runner.build import drift

    need_sources(slugs or [])
    folders = [folder for folder in lab_folders() if not slugs or folder.name in slugs]
    missing = set(slugs or ()) - {folder.name for folder in folders}
    for slug in missing:
        find_lab(slug)
    problems = []
    for folder in folders:
        found = lint_folder(folder) + check_quiz(folder / "quiz.toml")
        if not any(problem.code[0] == "C" or problem.code == "L013" for problem in found):
            found += drift(find_lab(folder.name)) if (folder / "lab.ipynb").exists() else []
        problems += found
    if not slugs:
        labs, _ = read_labs()
        problems += check_blueprint(read_blueprint(), {lab.slug for lab in labs}) + check_datasets()
        problems += check_sequences()
    _fail_on(problems, f"{len(folders)} labs keep every rule")


@app.command()
@one_line_errors
def submit(
    slug: str,
    machine_type: Annotated[str, typer.Option(help="Of Vertex AI, as n1-standard-8.")] = "n1-standard-8",
    accelerator: Annotated[str, typer.Option(help="As NVIDIA_TESLA_T4; none without.")] = "",
    accelerator_count: Annotated[int, typer.Option(help="Of the accelerator; 1 where one is named.")] = 0,
    seed: Seed = None,
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE, repeatable.")] = None,
    image: Annotated[str, typer.Option(help="Of environments/vertex/Dockerfile; else LABS_IMAGE.")] = "",
    minutes: Annotated[int, typer.Option(help="The job is ended after that; the cost is bounded by it.")] = 30,
    target: Annotated[str, typer.Option(help="vertex, or local: the job runs on this machine.")] = "vertex",
) -> None:
    """Runs a whole lab as a custom job on Vertex AI, and brings its claims and its notebook back."""
    from labkit.classroom.submit import Order, submit_lab

    order = Order(slug, machine_type, accelerator, accelerator_count, seed, tuple(parameter or ()), image, minutes)
    exit_on(submit_lab(order, target))


@app.command()
@one_line_errors
def cleanup(
    project: Annotated[str, typer.Option(help="On Google Cloud; else LABS_PROJECT, else the credentials'.")] = "",
    location: Annotated[str, typer.Option(help="The region; else LABS_LOCATION, else us-central1.")] = "",
    bucket: Annotated[str, typer.Option(help="gs://…, for objects of labs; else LABS_BUCKET.")] = "",
    lab: Annotated[str, typer.Option(help="Only what this lab has created.")] = "",
    expired: Annotated[bool, typer.Option(help="Only what is past the day in its label `expires`.")] = False,
    yes: Annotated[bool, typer.Option(help="Delete; without it, only list.")] = False,
) -> None:
    """Lists what labs have created in a project, by label, and with --yes deletes it; fails when something is left."""
    from labkit.target.cleanup import clean, place_of_project, survey
    from labkit.target.created import Scope

    report = (clean if yes else survey)(place_of_project(project, location, bucket, lab), Scope(lab, expired))
    print("\n".join(report.lines()))
    exit_on(not report.clean)


@app.command()
@one_line_errors
def doctor() -> None:
    """Says what is missing on this machine and the command that mends it."""
    from labkit.runner.doctor import examine

    bad = 0
    for finding in examine():
        sign = "ok     " if finding.fine else "missing" if finding.needed else "none   "
        print(f"{sign} {finding.what}" + ("" if finding.fine else f"  ->  {finding.mend}"))
        bad += not finding.fine and finding.needed
    if bad:
        raise typer.Exit(1)


@app.command()
@one_line_errors
def readme(check: Annotated[bool, typer.Option(help="Only say whether it is up to date.")] = False) -> None:
    """Writes the table of labs and the coverage into README.md."""
    from labkit.catalog.readme import update_readme

    if update_readme(write=not check) and check:
        print("README.md: its generated part is not what the cards give. Run `labs readme` and commit it.")
        raise typer.Exit(1)


for _more in (cli_runner, cli_learner, cli_trainer):
    _more.add_to(app)

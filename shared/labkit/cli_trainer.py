"""Commands of a trainer: parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.console import exit_on, one_line_errors


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (assign, collect, grade, report):
        app.command()(one_line_errors(command))


def assign(
    names: Annotated[list[str], typer.Argument(help="One sequence, or labs.")],
    out: Annotated[Path, typer.Option(help="The archive to write, a .zip that is not there yet.")],
    title: Annotated[str, typer.Option(help="Of the class; else the sequence's.")] = "",
) -> None:
    """Makes an archive for a class: learners' copies without any answer, and all that it takes to work offline."""
    from labkit.classroom.assign import assign as make

    made = make(names, out, title)
    print(f"{made.path}: {len(made.labs)} labs in {made.files} files, {made.size / 2**20:.1f} MiB")
    print("Its README.md tells learners how to set up, work and hand in.")


def grade(
    class_folder: Path,
    lab: Annotated[str, typer.Option(help="Only this lab.")] = "",
    jobs: Annotated[int | None, typer.Option(help="Sandboxes at once; none means one for each core.")] = None,
    shard: Annotated[str, typer.Option(help="Only part i of n of the submissions, as i/n.")] = "1/1",
    again: Annotated[bool, typer.Option("--again", help="Also what is graded already.")] = False,
    executor: Annotated[str, typer.Option(help="local, or dask: the workers of DASK_SCHEDULER_ADDRESS.")] = "local",
    answer_seconds: Annotated[float, typer.Option(help="Limit for one answer.")] = 60,
    lab_seconds: Annotated[float, typer.Option(help="Limit for one submission.")] = 300,
    memory_mib: Annotated[int, typer.Option(help="Limit for one submission.")] = 4096,
) -> None:
    """Grades a collected class in a sandbox, with the labs' own checks; goes on where it was stopped."""
    from labkit.classroom.grade import Order, grade_class
    from labkit.classroom.sandbox import Limits

    limits = Limits(lab_seconds=lab_seconds, answer_seconds=answer_seconds, memory_mib=memory_mib)
    done = grade_class(class_folder, Order(lab, jobs, shard, again, executor, limits))
    print(f"{class_folder / 'grades.jsonl'}: {done.graded} of {done.found} submissions graded now, in {done.runs} runs")
    if done.refused:
        print(f"{done.refused} answers were refused: look at them, a refusal is no verdict on the answer")
    if done.faults:
        print(f"{done.faults} submissions could not be graded: `fault` in their lines says why")
    exit_on(done.faults)


def collect(
    paths: Annotated[list[Path], typer.Argument(help="Zips, folders, notebooks or progress files.")],
    out: Annotated[Path, typer.Option(help="The folder of the class; what is there stays.")],
) -> None:
    """Collects what learners handed in, in whatever state, and says of each thing what could be read."""
    from rich.markup import escape
    from rich.table import Table

    from labkit.classroom.collect import collect as take
    from labkit.console import out as console

    collected = take(paths, out)
    table = Table("found", "learner", "lab", "read", "", box=None)
    for line in collected.lines:
        message = line.message if line.new else "; ".join(filter(None, ["there already", line.message]))
        table.add_row(*map(escape, (line.source, line.learner, line.lab or line.kind, line.read, message)))
    console.print(table)
    print(f"{collected}\n{out / 'collected.jsonl'} has a line for each")


def report(
    class_folder: Path,
    out: Annotated[Path | None, typer.Option(help="Where it goes; else <class folder>/report, written anew.")] = None,
    sequence: Annotated[str, typer.Option(help="The labs that all should hand in; else those that somebody did.")] = "",
    points: Annotated[list[str] | None, typer.Option(help="LAB/EXERCISE=2, repeatable; else 1 point each.")] = None,
    feedback: Annotated[bool, typer.Option(help="A feedback notebook for each learner and lab.")] = True,
    solutions: Annotated[bool, typer.Option(help="Feedback shows the worked answers, too.")] = False,
) -> None:
    """Reports on a graded class: a page, CSV files, nbgrader's gradebook, and feedback for each learner."""
    from labkit.classroom.report import Wanted, make_report

    made = make_report(class_folder, out, Wanted(sequence, points or [], feedback, solutions))
    print(f"{made.folder / 'report.html'}: {made.learners} learners, {made.graded} graded notebooks")
    if made.hardest:
        hardest, share = made.hardest, f"{made.hardest.outcomes['correct']} of {made.hardest.judged}"
        print(f"hardest: {hardest.name} of {hardest.lab}, {share} correct")
    if made.refused:
        print(f"{made.refused} refused answers count as not correct until you have looked at them: see the report")
    if made.feedback:
        print(f"{made.folder / 'feedback'}: {made.feedback} notebooks, each also as a page")
    print(f"{made.folder / 'gradebook.csv'}: in the form of nbgrader's export")

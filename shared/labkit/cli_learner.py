"""Commands of a learner: parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.console import one_line_errors, out


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (start, progress, sequences, exam, readiness):
        app.command()(one_line_errors(command))
    app.command("next")(one_line_errors(next_labs))
    app.command("hand-in")(one_line_errors(hand_in))
    # What it does not know goes to JupyterLab.
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(one_line_errors(jupyter))


def start(
    slug: str,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new copy; the old one stays beside it.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only make the copy.")] = False,
) -> None:
    """Opens your own copy of a lab, without the solutions, in JupyterLab; it is made once and then as you left it."""
    from labkit.classroom.jupyter import hindrance, how_to_open, open_notebook
    from labkit.classroom.start import start_afresh, start_lab, unreadable

    if fresh:
        notebook, kept = start_afresh(slug)
        print(f"{notebook}: a new copy" + (f"; the old one is {kept.name} beside it" if kept else ""))
    else:
        notebook, made = start_lab(slug)
        print(f"{notebook}: {'your copy' if made else 'your copy is there already, as you left it'}")
    broken = unreadable(notebook)
    hindered = "" if no_open else hindrance(slug)
    if broken or hindered:
        print(broken or hindered)
    if broken or hindered or no_open:
        print(how_to_open(notebook))
    else:
        open_notebook(notebook)


def jupyter(context: typer.Context) -> None:
    """Starts JupyterLab on this machine only; a notebook and options of JupyterLab may follow."""
    from labkit.classroom.jupyter import start_jupyter

    start_jupyter(context.args)


def progress(
    other: Annotated[list[Path] | None, typer.Option("--merge", help="progress.jsonl of another machine.")] = None,
    file: Annotated[Path | None, typer.Option("--page", help="Also write it as an HTML page.")] = None,
) -> None:
    """Shows what you have done in each section of the exam guide, and what is open in the labs you have begun."""
    from rich.table import Table

    from labkit.classroom.overview import COLUMNS, lines_below, own_overview, section_cells, write_page

    if other:
        from labkit.classroom.progress import merge

        print(merge(other))
    found, passed_over = own_overview()
    table = Table(*COLUMNS, box=None)
    for row in found.sections:
        table.add_row(*section_cells(row))
    out.print(table)
    print("\n".join(lines_below(found, passed_over)))
    if file:
        print(write_page(found, passed_over, file))


def next_labs(
    sequence: Annotated[str, typer.Option(help="Its order counts; none: the class's, else the exam's weights.")] = "",
) -> None:
    """Proposes up to three labs to go on with, and says why."""
    from labkit.classroom import next_lab

    print("\n".join(next_lab.next_labs(sequence)))


def sequences(name: Annotated[str, typer.Argument(help="One of them; none lists all.")] = "") -> None:
    """Shows the sequences of labs, or one of them: its parts, labs and minutes."""
    from rich.table import Table

    from labkit.catalog.sequences import find_sequence, read_sequences, table_of

    if not name:
        table = Table("sequence", "title", "labs", "minutes", "for", box=None)
        for one in read_sequences():
            table.add_row(one.name, one.title, str(len(one.labs)), str(one.minutes), one.audience)
        out.print(table)
        return
    sequence = find_sequence(name)
    print(f"{sequence.title}\n{sequence.audience}")
    if sequence.assumes:
        print(f"Done before: {', '.join(sequence.assumes)}")
    table = Table("part", "lab", "title", "minutes", box=None)
    for row in table_of(sequence):
        table.add_row(*row)
    out.print(table)
    print(f"{len(sequence.labs)} labs, {sequence.minutes} minutes")


def exam(
    questions: Annotated[int, typer.Option(help="How many.")] = 20,
    minutes: Annotated[float | None, typer.Option(help="In all; none: as many for each as the exam has.")] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the same again, as long as nothing new is answered.")] = None,
    section: Annotated[int | None, typer.Option(help="Only questions of this section of the guide.")] = None,
) -> None:
    """Asks the labs' scenario questions by the weight of the guide's sections, timed; explains them at the end."""
    from labkit.classroom.exam import sit_exam

    sit_exam(questions, minutes, seed, section)


def readiness(
    file: Annotated[Path | None, typer.Option("--page", help="Also write it as an HTML page.")] = None,
) -> None:
    """Shows how far you are in each section of the exam guide, and which labs train what is weakest."""
    from rich.table import Table

    from labkit.classroom.evidence import own_events
    from labkit.classroom.readiness import readiness as results
    from labkit.classroom.readiness_page import COLUMNS, readiness_text, rows, write_readiness

    sections = results(own_events())
    table = Table(*COLUMNS, box=None, padding=(0, 1, 0, 0))
    for row in rows(sections):
        table.add_row(*row)
    out.print(table)
    print(readiness_text(sections))
    if file:
        print(write_readiness(sections, file))


def hand_in(
    name: Annotated[str, typer.Option(help="Yours, as your trainer knows it.")],
    file: Annotated[Path | None, typer.Option("--out", help="The zip; none: hand-in-<name>.zip, here.")] = None,
) -> None:
    """Puts your copies and your progress into one zip for your trainer, and says what is in it."""
    from labkit.classroom.handin import hand_in as pack

    packed = pack(name, file)
    print(f"{packed.path}, to be given to your trainer. In it:")
    for notebook in packed.notebooks:
        print(f"  {notebook}")
    if packed.progress is None:
        print("  no progress: nothing was recorded in workspace/")
    else:
        print(f"  workspace/progress.jsonl: {packed.progress} lines: checks with your answers, hints, quiz, and when")
    print(f"  hand-in.toml: the name {name.strip()!r}, the time, the version of the labs")

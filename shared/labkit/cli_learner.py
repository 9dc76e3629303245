"""Commands of a learner: parses, calls one function, prints."""

from __future__ import annotations

import typer

from labkit.console import one_line_errors


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (start,):
        app.command()(one_line_errors(command))


def start(slug: str) -> None:
    """Makes your own copy of a lab in workspace/, without the solutions; a copy that is there stays as it is."""
    from labkit.classroom.start import start_lab

    notebook, fresh = start_lab(slug)
    print(f"{notebook}: {'your copy' if fresh else 'your copy is there already, as you left it'}")
    print("Open it in JupyterLab: nox -s jupyter")

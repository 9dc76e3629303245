"""Commands of a trainer: parses, calls one function, prints."""

from __future__ import annotations

from collections.abc import Callable

import typer

from labkit.console import one_line_errors

COMMANDS: tuple[Callable[..., None], ...] = ()


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in COMMANDS:
        app.command()(one_line_errors(command))

"""The frame of the `labs` command: its application, its console, and errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from rich.console import Console

from labkit.catalog import LabError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Hands-on labs for machine learning engineering.")
# A table that goes into a file or a pipe is not folded.
out = Console(width=None if sys.stdout.isatty() else 200)


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Bad input ends with its one line and exit status 2, not with a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LabError as error:
            print(f"labs: {error}", file=sys.stderr)
            raise typer.Exit(2) from None

    return wrapped


def exit_on(failures: int) -> None:
    """Exit status 1 when something failed."""
    if failures:
        raise typer.Exit(1)

"""Where the `labs` command begins, in every environment that has labkit."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command, or says where it is: only the environment core has what it needs."""
    try:
        from labkit import cli
    except ModuleNotFoundError as missing:
        sys.exit(f"labs: this environment lacks {missing.name}. Use .venvs/core/bin/labs (nox -s environment -- core).")
    cli.app()

"""Where the collection lies on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.catalog.problems import LabError


def home() -> Path:
    """The folder that holds labs/ and data/: $LABS_HOME, else the checkout this package was installed from."""
    named = os.environ.get("LABS_HOME")
    root = Path(named).resolve() if named else Path(__file__).resolve().parents[3]
    if not (root / "labs" / "blueprint").is_dir():
        what = f"LABS_HOME={named}" if named else f"labkit is installed at {Path(__file__).parents[1]}, and {root}"
        raise LabError(f"{what} holds no labs/blueprint. Set LABS_HOME to a checkout of the collection.")
    return root


def labs_folder() -> Path:
    return home() / "labs"


def data_folder() -> Path:
    return home() / "data"

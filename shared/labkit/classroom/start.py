"""`labs start <slug>`: the learner's own copy of a lab."""

from __future__ import annotations

from pathlib import Path

import nbformat

from labkit.catalog.collection import find_lab
from labkit.catalog.places import home
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy


def start_lab(slug: str) -> tuple[Path, bool]:
    """The path of workspace/<slug>/lab.ipynb, and whether it was made now. A copy that is there is never touched."""
    lab = find_lab(slug)
    path = home() / "workspace" / slug / "lab.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(learner_copy(build_notebook(lab))) + "\n"
    try:
        # "x" refuses to open a file that exists, also one that another process makes at this moment.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return path, False
    return path, True

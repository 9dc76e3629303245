"""What a lab asks of its learner: exercises, questions, and the section to read again for each exercise."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.source import Cell, read_cells
from labkit.lesson.answers import quiz_of

_HEADING = re.compile(r"^#{1,3} +(.+?)\s*$", re.MULTILINE)
_CHECK = re.compile(r"""\blab\.check\(\s*["'](\w+)["']""")
# They stand above an exercise and explain nothing that it needs.
_NO_EXPLANATION = re.compile(r"exercise\b|predict first", re.IGNORECASE)


@dataclass(frozen=True)
class Outline:
    """Names of the exercises in order, number of questions, and for each exercise the heading that explains it."""

    exercises: tuple[str, ...]
    questions: int
    reread: dict[str, str]


def read_outline(folder: Path) -> Outline:
    """The outline of a lab's folder, also of one that was handed out. Raises LabError when its cells cannot be read."""
    source = folder / "lab.py"
    cells = read_cells(source) if source.exists() else _notebook_cells(folder / "lab.ipynb")
    reread = _explained(cells)
    return Outline(tuple(reread), _questions(folder), reread)


def _explained(cells: list[Cell]) -> dict[str, str]:
    found: dict[str, str] = {}
    heading, exercise = "", False
    for cell in cells:
        if not cell.is_code:
            for title in _HEADING.findall(cell.text):
                heading = heading if _NO_EXPLANATION.match(title) else title
            continue
        named = _CHECK.search(cell.text) if exercise else None
        if named:
            found[named[1]] = heading
        exercise = "exercise" in cell.tags
    return found


def _notebook_cells(path: Path) -> list[Cell]:
    """The cells of a notebook as the collection or a class's archive has it, which is never a learner's."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            Cell(cell["cell_type"], tuple(cell["metadata"].get("tags", ())), "".join(cell["source"]), 0)
            for cell in cells
        ]
    except FileNotFoundError:
        raise LabError(f"{path.parent}: neither lab.py nor lab.ipynb is there. Take the folder anew.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LabError(f"{path}: no notebook. Unpack the class's archive again.") from None


def _questions(folder: Path) -> int:
    try:
        return len(quiz_of(folder).question)
    except LabError:
        return 0  # `labs lint` says what is wrong with it

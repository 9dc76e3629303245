"""Finds a lab's exercises again in a notebook that a learner has worked on, and what they added or changed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from labkit.catalog.collection import LabFolder, find_lab
from labkit.classroom.cell_text import before_check, clean, names_bound, only_help
from labkit.classroom.cell_text import checked_name as checked_name
from labkit.classroom.submitted import cells_of
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy

_PLACEHOLDER = re.compile(r"#\s*your (answer|code) here\s*$")
_ALIKE = 0.6  # the share of two texts that is common when one is an edit of the other
_MOST_COMPARED = 200


@dataclass(frozen=True)
class Matched:
    """A learner's notebook, told apart by the lab it came from.

    `exercises`: for each exercise of the lab the learner's text, None where no cell was found. `added`: code cells of
    the learner's own, each with the exercise that comes next below it (None: there is none). `changed`: what else
    differs from the copy that was handed out, a sentence each.
    """

    exercises: dict[str, str | None]
    added: list[tuple[str | None, str]]
    changed: list[str]


@dataclass(frozen=True)
class _Given:
    """A code cell as it was handed out; `exercise` and `check` name the exercise that it is, or judges."""

    id: str
    text: str
    exercise: str = ""
    check: str = ""


@dataclass
class _Cell:
    """A code cell of the learner's; `known`: it is one of the lab's, `exercise`: it belongs to that exercise."""

    id: str
    text: str
    known: bool = False
    exercise: str = ""

    @property
    def free(self) -> bool:
        return not self.known and not self.exercise


def match(notebook: Mapping[str, Any], lab: LabFolder) -> Matched:
    """Tells the learner's answers from the lab's own cells.

    An exercise is found by the cell's id, else by the check cell that follows it, else by the comments of its prompt,
    else by the names that it binds. Nothing is run, and no metadata is read. Needs the lab's source.
    """
    given = _handed_out(lab)
    cells = [_Cell(cell.id, clean(cell.text)) for cell in cells_of(notebook) if cell.kind == "code"]
    notes = _pair_known(given, cells)
    for number, exercise in enumerate(given):
        if exercise.exercise:
            notes += _find(exercise, cells, _answers(given, number))
    notes += _pair_edited([g for g in given if not g.exercise and not g.check], cells)
    exercises = {g.exercise: _answer(g.exercise, cells) for g in given if g.exercise}
    return Matched(exercises, _added(cells), notes)


def _handed_out(lab: LabFolder) -> list[_Given]:
    return _read_given(lab.folder, lab.source.read_bytes())


@lru_cache(maxsize=64)
def _read_given(folder: Path, source: bytes) -> list[_Given]:
    """The code cells of the learner's copy; `source` has the bytes of lab.py, so that a changed one is read anew."""
    notebook = learner_copy(build_notebook(find_lab(folder.name)))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    checked = [checked_name(cell.source) for cell in code] + [""]
    return [
        _Given(
            cell.id,
            clean(cell.source),
            checked[number + 1] if "exercise" in cell.metadata.get("tags", []) else "",
            checked[number],
        )
        for number, cell in enumerate(code)
    ]


def _answers(given: list[_Given], number: int) -> set[str]:
    """The names that the cell of an exercise binds as it was handed out."""
    return names_bound(given[number].text)


def _pair_known(given: list[_Given], cells: list[_Cell]) -> list[str]:
    """Marks the lab's own cells that are unchanged, the check cells, and those that only their id still tells."""
    notes = []
    for one in given:
        if one.exercise:
            continue
        same = next((c for c in cells if c.free and c.text == one.text), None)
        if same is not None:
            same.known = True
        elif one.check:
            notes += _edited_check(one, cells)
    for one in given:
        edited = (
            [c for c in cells if c.free and one.id and c.id == one.id] if not one.exercise and not one.check else []
        )
        for cell in edited:
            # Merged with an exercise and its check, a cell is what the learner has done, whatever its id.
            if cell.text != one.text and not checked_name(cell.text):
                cell.known = True
                notes.append(f"changed: the cell {_title(one)}")
    return notes


def _edited_check(one: _Given, cells: list[_Cell]) -> list[str]:
    judging = [cell for cell in cells if cell.free and checked_name(cell.text) == one.check]
    for cell in judging:
        # A cell that also binds the answer is the exercise and its check in one.
        if not before_check(cell.text):
            cell.known = True
            return [f"changed: the check cell of {one.check!r}"]
    return [] if judging else [f"missing: the check cell of {one.check!r}"]


def _find(one: _Given, cells: list[_Cell], answers: set[str]) -> list[str]:
    """Marks the cells that answer an exercise; says how they were found when not by the id."""
    name = one.exercise
    check = next((n for n, cell in enumerate(cells) if checked_name(cell.text) == name), None)
    by_id = next((n for n, cell in enumerate(cells) if cell.free and one.id and cell.id == one.id), None)
    place: int | None
    if by_id is not None:
        place, how = by_id, ""
    elif check is not None and not cells[check].known:
        place, how = check, "in the cell of its check"
    else:
        place, how = _by_neighbours(one, cells, answers, check)
    if place is None:
        return [f"missing: the cell of the exercise {name!r}"]
    cells[place].exercise = name
    for cell in cells[place + 1 : check or 0]:
        # Work that goes on in further cells before the check is part of the answer.
        if not cell.free:
            break
        if names_bound(cell.text):
            cell.exercise = name
            how = how or "in more than one cell"
    return [f"the exercise {name!r} was found {how}"] if how else []


def _by_neighbours(one: _Given, cells: list[_Cell], answers: set[str], check: int | None) -> tuple[int | None, str]:
    above: list[int] = []
    for number in range((check or 0) - 1, -1, -1):
        if not cells[number].free:
            break
        above.insert(0, number)
    if above:
        return _best(one, above, cells, answers), "by its check cell"
    free = [number for number, cell in enumerate(cells) if cell.free and not checked_name(cell.text)]
    prompted = max(free, key=lambda n: _prompted(one, cells[n]), default=None)
    if prompted is not None and _prompted(one, cells[prompted]) >= 0.5:
        return prompted, "by its comments"
    binding = [number for number in free if answers and answers <= names_bound(cells[number].text)]
    return (binding[0], "by the names it binds") if len(binding) == 1 else (None, "")


def _best(one: _Given, places: list[int], cells: list[_Cell], answers: set[str]) -> int:
    """Of the cells above a check the one with the prompt, else the first that binds an answer, else the last."""
    prompted = max(places, key=lambda n: _prompted(one, cells[n]))
    if _prompted(one, cells[prompted]) > 0:
        return prompted
    return next((n for n in places if answers & names_bound(cells[n].text)), places[-1])


def _prompted(one: _Given, cell: _Cell) -> float:
    """The share of an exercise's own lines (comments, signature, docstring) that stand in a cell, 0 to 1."""
    own = [line.strip() for line in one.text.splitlines() if line.strip() and not _PLACEHOLDER.search(line)]
    own = [line for line in own if line != "..."]
    there = {line.strip() for line in cell.text.splitlines()}
    return sum(line in there for line in own) / len(own) if own else 0.0


def _pair_edited(plain: list[_Given], cells: list[_Cell]) -> list[str]:
    """Marks cells that are edits of the lab's own, and names those of which nothing is left."""
    texts = {cell.text for cell in cells if cell.known}
    ids = {cell.id for cell in cells if cell.known and cell.id}
    notes = []
    for one in plain:
        if one.text in texts or one.id in ids:
            continue
        free = [cell for cell in cells if cell.free][:_MOST_COMPARED]
        found = next((cell for cell in free if _alike(one.text, cell.text)), None)
        if found is not None:
            found.known = True
        notes.append(f"{'changed' if found else 'missing'}: the cell {_title(one)}")
    return notes


def _alike(one: str, other: str) -> bool:
    if len(other) > 20_000:
        return False
    compared = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return min(compared.real_quick_ratio(), compared.quick_ratio()) >= _ALIKE and compared.ratio() >= _ALIKE


def _title(one: _Given) -> str:
    lines = one.text.splitlines()
    return f"`{lines[0][:60]}`" if lines else "without text"


def _answer(name: str, cells: list[_Cell]) -> str | None:
    parts = [
        before_check(cell.text) if checked_name(cell.text) else cell.text for cell in cells if cell.exercise == name
    ]
    return "\n\n".join(parts) if parts else None


def _added(cells: list[_Cell]) -> list[tuple[str | None, str]]:
    """The cells of the learner's own, without those that only ask for a hint or answer the quiz."""
    below: str | None = None
    found = []
    for cell in reversed(cells):
        below = cell.exercise or below
        if cell.free and cell.text.strip() and not only_help(cell.text):
            found.append((below, before_check(cell.text) if checked_name(cell.text) else cell.text))
    return [(name, text) for name, text in reversed(found) if text]

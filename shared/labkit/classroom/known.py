"""What a lab knows of its answers: hints, wrong answers, the worked cell, the quiz. Read as text, nothing is run.

A report is made in one environment and the checks of a lab may need another, so checks.py is parsed and not imported.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.lesson.quiz import Question, read_quiz
from labkit.lesson.reference import solution_text

MOST_TEXT = 20_000  # characters of an answer that are read; more than that nobody types


@dataclass(frozen=True)
class KnownExercise:
    """`wrong`: label -> text; `solution`: the worked cell without its marks."""

    name: str
    hints: tuple[str, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict, hash=False)
    solution: str = ""

    def label(self, answer: str) -> str:
        """The label of the listed wrong answer that a text is but for its form, or nothing."""
        given = normalised(answer)
        return next((label for label, text in self.wrong.items() if normalised(text) == given), "")


@dataclass(frozen=True)
class KnownLab:
    """A lab of this checkout. Of a lab that is not here `title` is the slug, and there is nothing else."""

    slug: str
    title: str
    exercises: Mapping[str, KnownExercise] = field(default_factory=dict, hash=False)
    questions: tuple[Question, ...] = ()
    folder: LabFolder | None = None


def known_lab(slug: str) -> KnownLab:
    """What this checkout knows of a lab; a lab that it does not have is no error."""
    try:
        lab = find_lab(slug)
    except LabError:
        return KnownLab(slug, slug)
    declared = _declared(lab)
    tasks = read_tasks(read_cells(lab.source))
    exercises = {
        name: KnownExercise(name, *declared.get(name, ((), {})), solution_text(task)) for name, task in tasks.items()
    }
    return KnownLab(slug, lab.card.title, exercises, read_quiz(lab.folder / "quiz.toml").question, lab)


def _declared(lab: LabFolder) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """Hints and wrong answers by exercise. A lab's checks.py has them as plain literals."""
    found = {}
    for node in ast.parse((lab.folder / "checks.py").read_text(encoding="utf-8")).body:
        values = dict(_literals(node)) if isinstance(node, ast.ClassDef) else {}
        if isinstance(values.get("name"), str):
            found[values["name"]] = tuple(values.get("hints", ())), dict(values.get("wrong", {}))
    return found


def _literals(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for item in node.body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            try:
                yield item.targets[0].id, ast.literal_eval(item.value)
            except ValueError:
                continue


def normalised(text: str) -> str:
    """A text without what does not matter: comments, docstrings, blanks, quotes, needless brackets.

    What is no Python (half a line, a magic) keeps its lines, without comments and blanks.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about the learner's text
            tree = ast.parse(text[:MOST_TEXT])
            for node in ast.walk(tree):
                _drop_docstring(node)
            return ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = (" ".join(line.split()) for line in text[:MOST_TEXT].splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
        del node.body[0]

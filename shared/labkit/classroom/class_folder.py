"""Reads the folder of a class: who is in it, what was collected of them, how it was graded."""

from __future__ import annotations

import json
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.classroom.progress import LabStanding, read_progress, standing
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED

REFUSED, MISSING = "refused", "missing"
_STROKES = str.maketrans("ŁłØøĐđ", "LlOoDd")  # letters that Unicode does not take apart
OUTCOMES = (CORRECT, INCORRECT, ERROR, REFUSED, NOT_ATTEMPTED, MISSING)


@dataclass(frozen=True)
class Judged:
    """One exercise of one learner: outcome, what the check said, the learner's text, and how they came to it."""

    outcome: str
    message: str = ""
    answer: str = ""
    hints: int = 0
    attempts: int = 0


@dataclass(frozen=True)
class Grade:
    """One lab of one learner. `fault`: why it could not be run; then nothing was judged. `quiz`: first answers."""

    learner: str
    lab: str
    version: str
    graded: str
    fault: str
    exercises: Mapping[str, Judged] = field(hash=False)
    quiz: Mapping[int, tuple[str, bool]] = field(hash=False)

    def count(self, outcome: str) -> int:
        return sum(judged.outcome == outcome for judged in self.exercises.values())


@dataclass(frozen=True)
class Learner:
    """`id` is the name of the learner's folder, `name` what they call themselves."""

    id: str
    name: str
    folder: Path

    @property
    def handed_in(self) -> list[str]:
        """The labs of which there is a notebook."""
        return sorted(path.parent.name for path in self.folder.glob("*/lab.ipynb"))

    @cached_property
    def progress(self) -> dict[str, LabStanding]:
        """Where the learner stands in each lab, by their own progress file."""
        path = self.folder / "progress.jsonl"
        return standing(read_progress(path)) if path.is_file() else {}


@dataclass(frozen=True)
class ClassFolder:
    """A collected and graded class: learners by name, the newest grade of each learner and lab, what was collected."""

    folder: Path
    learners: tuple[Learner, ...]
    grades: Mapping[tuple[str, str], Grade] = field(hash=False)
    collected: tuple[Mapping[str, Any], ...] = field(hash=False)
    unreadable: int = 0  # lines of grades.jsonl that say nothing

    @property
    def labs(self) -> list[str]:
        """Labs that somebody handed in or that were graded, by name."""
        return sorted({lab for _, lab in self.grades} | {lab for one in self.learners for lab in one.handed_in})

    def of_lab(self, lab: str) -> list[Grade]:
        """The grades of a lab in order of the learners' names, without those that could not be run."""
        found = (self.grades.get((learner.id, lab)) for learner in self.learners)
        return [grade for grade in found if grade is not None and not grade.fault]


def read_class(folder: Path) -> ClassFolder:
    """The class in a folder that `labs collect` and `labs grade` have filled. Raises LabError when they have not."""
    if not (folder / "learners").is_dir():
        raise LabError(f"{folder}: no class is collected here. `labs collect` does it, with --out {folder}.")
    if not (folder / "grades.jsonl").is_file():
        raise LabError(f"{folder}: nothing is graded yet. `labs grade {folder}` does it.")
    learners = [_learner(path) for path in sorted((folder / "learners").iterdir()) if path.is_dir()]
    lines = list(_lines(folder / "grades.jsonl"))
    read = [_grade(line) for line in lines]
    grades = {(grade.learner, grade.lab): grade for grade in read if grade is not None}
    here = {learner.id for learner in learners}
    names = {str(line["learner"]): line.get("name") for line in lines if isinstance(line, dict) and "learner" in line}
    # A grade whose learner's folder is gone is still a grade.
    gone = sorted({learner for learner, _ in grades} - here)
    learners += [Learner(one, str(names.get(one) or one), folder / "learners" / one) for one in gone]
    collected = tuple(line for line in _lines(folder / "collected.jsonl") if isinstance(line, dict))
    ordered = tuple(sorted(learners, key=lambda one: (sorting(one.name), one.id)))
    return ClassFolder(folder, ordered, grades, collected, read.count(None))


def sorting(name: str) -> str:
    """A name as people sort it: without case and accents."""
    plain = unicodedata.normalize("NFKD", name.translate(_STROKES))
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()


def _learner(folder: Path) -> Learner:
    try:
        name = tomllib.loads((folder / "learner.toml").read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        name = None
    return Learner(folder.name, str(name or folder.name), folder)


def _lines(path: Path) -> Iterator[Any]:
    """What the lines of a file hold; None for a line that was cut."""
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            yield _writable(json.loads(line))
        except (ValueError, RecursionError):
            yield None


def _writable(value: Any) -> Any:
    """The same with every text made valid UTF-8: half a surrogate pair is valid in JSON and can be written nowhere."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case list():
            return [_writable(item) for item in value]
        case dict():
            return {_writable(key): _writable(item) for key, item in value.items()}
    return value


def _grade(line: Any) -> Grade | None:
    """A line of grades.jsonl, or None when it is none."""
    try:
        return Grade(
            str(line["learner"]),
            str(line["lab"]),
            str(line.get("version") or ""),
            str(line.get("graded") or ""),
            str(line.get("fault") or ""),
            {str(name): _judged(fields) for name, fields in (line.get("exercises") or {}).items()},
            {int(n): (str(a["answer"]), bool(a["right"])) for n, a in (line.get("quiz") or {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _judged(fields: Mapping[str, Any]) -> Judged:
    outcome = fields["outcome"]
    if outcome not in OUTCOMES:
        raise ValueError(outcome)
    said, answer = str(fields.get("message") or ""), str(fields.get("answer") or "")
    return Judged(outcome, said, answer, int(fields.get("hints") or 0), int(fields.get("attempts") or 0))

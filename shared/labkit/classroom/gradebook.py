"""The grades as nbgrader exports them, for whatever reads its gradebook: a line for each lab and learner."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from labkit.catalog import LabError
from labkit.classroom.class_folder import ClassFolder, Learner, sorting
from labkit.classroom.known import KnownLab
from labkit.classroom.spreadsheet import write_csv
from labkit.lesson.exercise import CORRECT

# In the order of CsvExportPlugin, nbgrader/plugins/export.py, of nbgrader 0.9.6.
COLUMNS = (
    "assignment duedate timestamp student_id last_name first_name email "
    "raw_score late_submission_penalty score max_score"
).split()

Points = Mapping[tuple[str, str], float]  # lab and exercise -> points; one point where nothing is said
_POINTS = re.compile(r"([^/=\s]+)/([^/=\s]+)=([^=\s]+)")


def read_points(texts: Sequence[str], labs: Sequence[KnownLab]) -> dict[tuple[str, str], float]:
    """Points from texts `lab/exercise=2`. Raises LabError for another form, and for no exercise of these labs."""
    known = {lab.slug: lab.exercises for lab in labs}
    points = {}
    for text in texts:
        found = _POINTS.fullmatch(text)
        if found is None:
            raise LabError(f"--points {text}: the form is lab/exercise=2.")
        lab, exercise, number = found.groups()
        if lab not in known:
            raise LabError(f"--points {text}: no lab of this class is called {lab!r}. They are: {', '.join(known)}.")
        if exercise not in known[lab]:
            raise LabError(f"--points {text}: {lab} has no exercise {exercise!r}. It has: {', '.join(known[lab])}.")
        points[lab, exercise] = _number(text, number)
    return points


def _number(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise LabError(f"--points {text}: {number} is no number of points from 0 on.")
    return value


def write_gradebook(room: ClassFolder, labs: Sequence[KnownLab], points: Points, path: Path) -> None:
    """A line for each lab and each learner, also for who handed nothing in. No byte order mark, as nbgrader's."""
    ordered = sorted(labs, key=lambda lab: lab.slug)
    learners = sorted(room.learners, key=lambda one: [sorting(part) for part in split_name(one.name)])
    rows = [_row(room, lab, learner, points) for lab in ordered for learner in learners]
    write_csv(path, COLUMNS, rows, plain=True)


def _row(room: ClassFolder, lab: KnownLab, learner: Learner, points: Points) -> list[object]:
    grade = room.grades.get((learner.id, lab.slug))
    judged = {name for one in room.of_lab(lab.slug) for name in one.exercises}
    worth = {name: float(points.get((lab.slug, name), 1)) for name in lab.exercises or judged}
    done = {name for name, one in grade.exercises.items() if one.outcome == CORRECT} if grade else set()
    score = float(sum(worth[name] for name in done if name in worth))
    last, first = split_name(learner.name)
    # Points are never taken off for being late: who collects sets the end.
    scores = [score, 0.0, score, float(sum(worth.values()))]
    return [lab.slug, "", _handed_in(learner, lab.slug), learner.id, last, first, "", *scores]


def _handed_in(learner: Learner, lab: str) -> str:
    """When the learner last did something in the lab, as nbgrader writes times (UTC); empty when unknown."""
    there = learner.progress.get(lab)
    try:
        return datetime.fromtimestamp(there.last, UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if there else ""
    except (OverflowError, OSError, ValueError):
        return ""  # a clock of the learner's that cannot be


def split_name(name: str) -> tuple[str, str]:
    """Last and first name: around a comma, else the last word and the words before it."""
    if "," in name:
        last, _, first = name.partition(",")
        return last.strip(), first.strip()
    first, _, last = name.strip().rpartition(" ")
    return last, first.strip()

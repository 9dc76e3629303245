"""One line a learner: what is correct, finished, missing, unreadable, and what the trainer has to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.classroom.class_folder import REFUSED, ClassFolder, Grade, Learner
from labkit.classroom.known import KnownLab
from labkit.lesson.exercise import CORRECT


@dataclass(frozen=True)
class LearnerSummary:
    """`exercises` and `questions` count what the labs of the report have. `look_at`: a sentence for each thing."""

    learner: Learner
    correct: int
    exercises: int
    right: int
    answered: int
    questions: int
    finished: tuple[str, ...]
    missing: tuple[str, ...]
    refused: tuple[str, ...]
    faults: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def look_at(self) -> tuple[str, ...]:
        return self.refused + self.faults + self.unreadable


def summaries(room: ClassFolder, labs: Sequence[KnownLab], expected: Sequence[str]) -> list[LearnerSummary]:
    """A summary of each learner, in order of their names; `expected`: the labs that everybody should hand in."""
    size = {lab.slug: _exercises(room, lab) for lab in labs}
    return [_summary(room, learner, labs, size, expected) for learner in room.learners]


def _exercises(room: ClassFolder, lab: KnownLab) -> int:
    judged = {name for grade in room.of_lab(lab.slug) for name in grade.exercises}
    return len(lab.exercises or judged)


def _summary(
    room: ClassFolder, learner: Learner, labs: Sequence[KnownLab], size: dict[str, int], expected: Sequence[str]
) -> LearnerSummary:
    grades = [grade for lab in labs if (grade := room.grades.get((learner.id, lab.slug)))]
    quiz = [right for grade in grades for _, right in grade.quiz.values()]
    handed_in = {*learner.handed_in, *(grade.lab for grade in grades)}
    return LearnerSummary(
        learner,
        sum(grade.count(CORRECT) for grade in grades),
        sum(size.values()),
        sum(quiz),
        len(quiz),
        sum(len(lab.questions) for lab in labs),
        tuple(lab.slug for lab in labs if lab.slug in learner.progress and learner.progress[lab.slug].finished),
        tuple(slug for slug in expected if slug not in handed_in),
        tuple(line for grade in grades for line in _refused(grade)),
        tuple(f"{grade.lab} could not be run: {grade.fault}" for grade in grades if grade.fault),
        tuple(_unreadable(room, learner)),
    )


def _refused(grade: Grade) -> list[str]:
    judged = grade.exercises.items()
    return [f"{grade.lab}, {name}: refused: {one.message}" for name, one in judged if one.outcome == REFUSED]


def _unreadable(room: ClassFolder, learner: Learner) -> list[str]:
    lines = [line for line in room.collected if str(line.get("learner")) in (learner.id, learner.name)]
    broken = [line for line in lines if line.get("read") in ("partly", "not")]
    return [f"{line.get('source')}: read {line.get('read')}: {line.get('message')}" for line in broken]

"""What a learner has shown: for each question and each exercise whether it was answered right, and of which version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.classroom.progress import read_progress, standing
from labkit.lesson.exercise import NOT_ATTEMPTED
from labkit.lesson.journal import Event, progress_file

QUIZ, EXAM, EXERCISE = "quiz", "exam", "exercise"


@dataclass(frozen=True)
class Answered:
    """`where`: quiz, exam or exercise. `version`: of the lab when it was answered."""

    right: bool
    where: str
    version: str


def own_events() -> list[Event]:
    """The events of the learner on this machine, by time."""
    return read_progress(progress_file())


def by_time(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: float(event["time"]))


def answered_questions(events: Iterable[Event]) -> dict[tuple[str, int], Answered]:
    """By lab and number of the question: the newest answer in an exam, else the first one in the lab's quiz.

    A second answer in the quiz says nothing, since the first one was followed by the explanation. In an exam the last
    answer counts: one may be changed until it is handed in, and a later exam tells more than an earlier one.
    `events`: as read_progress gives them, in any order.
    """
    found: dict[tuple[str, int], Answered] = {}
    for event in by_time(events):
        number, right = event.get("question"), event.get("right")
        if event["event"] not in (QUIZ, EXAM) or not isinstance(right, bool):
            continue
        if isinstance(number, bool) or not isinstance(number, int):
            continue
        key = (event["lab"], number)
        if event["event"] == EXAM or key not in found:
            found[key] = Answered(right, event["event"], event["version"])
    return found


def answered_exercises(events: Iterable[Event]) -> dict[tuple[str, str], Answered]:
    """By lab and exercise, for those that were tried: right is what was correct before its solution was looked at."""
    ordered = by_time(events)
    looked: dict[tuple[str, Any], float] = {}
    for event in ordered:
        if event["event"] == "solution" and isinstance(event.get("exercise"), str):
            looked.setdefault((event["lab"], event["exercise"]), float(event["time"]))
    found = {}
    for slug, lab in standing(ordered).items():
        for name, exercise in lab.exercises.items():
            seen, correct = looked.get((slug, name)), exercise.first_correct
            if exercise.outcome == NOT_ATTEMPTED and seen is None:
                continue
            right = correct is not None and (seen is None or correct <= seen)
            found[slug, name] = Answered(right, EXERCISE, exercise.version)
    return found

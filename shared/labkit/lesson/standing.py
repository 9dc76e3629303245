"""Where a learner stands in each lab, told by the events of their progress.

The events may come from someone else's machine: what does not have the form of an event is passed over, never trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED
from labkit.lesson.journal import Event

_BEST_LAST = (NOT_ATTEMPTED, ERROR, INCORRECT, CORRECT)

# Questions of an exam are drawn from many labs: answering one opens none of them.
_NOT_OF_A_LAB = "exam"
_LARGEST = 1e308


@dataclass(frozen=True)
class ExerciseStanding:
    """`outcome`: the best so far. `attempts`: up to the first correct one; the same text checked twice counts once.

    `first_correct`: seconds since 1970. `version`: of the lab, when it was answered correctly or else attempted last.
    """

    outcome: str = NOT_ATTEMPTED
    attempts: int = 0
    hints: int = 0
    solution_seen: bool = False
    first_correct: float | None = None
    version: str = ""


@dataclass(frozen=True)
class LabStanding:
    """`version`: the newest that was worked with. `quiz`: whether the first answer was right.

    `predictions`: the learner's answer before it was revealed, and what came true; each may be missing yet.
    """

    slug: str
    version: str
    opened: float
    last: float
    exercises: dict[str, ExerciseStanding]
    quiz: dict[int, bool]
    predictions: dict[str, tuple[str | None, str | None]]
    claims: dict[str, float]
    finished: bool

    def open_exercises(self, names: Collection[str]) -> list[str]:
        """Those of the lab's exercises that are neither correct nor given up by looking at the solution."""
        missing = ExerciseStanding()
        found = [(name, self.exercises.get(name, missing)) for name in names]
        return [name for name, one in found if one.outcome != CORRECT and not one.solution_seen]

    def done(self, names: Collection[str]) -> bool:
        """Whether the lab was run to its end and no exercise of it is open."""
        return self.finished and not self.open_exercises(names)


def standing(events: Iterable[Event]) -> dict[str, LabStanding]:
    """For each lab that was opened, how far it got. `events`: as is_event wants them, in any order."""
    by_lab: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: float(event["time"])):
        if event["event"] != _NOT_OF_A_LAB:
            by_lab.setdefault(event["lab"], []).append(event)
    return {slug: _lab(slug, found) for slug, found in by_lab.items()}


def standing_of(slug: str, events: Iterable[Event]) -> LabStanding:
    """The standing in one lab; before anything has happened there, an empty one."""
    found = standing(event for event in events if event["lab"] == slug)
    return found.get(slug) or LabStanding(slug, "", 0.0, 0.0, {}, {}, {}, {}, False)


def _lab(slug: str, events: list[Event]) -> LabStanding:
    named: dict[str, list[Event]] = {}
    for event in events:
        if event["event"] in ("check", "hint", "solution") and isinstance(event.get("exercise"), str):
            named.setdefault(event["exercise"], []).append(event)
    return LabStanding(
        slug=slug,
        version=events[-1]["version"],
        opened=float(events[0]["time"]),
        last=float(events[-1]["time"]),
        exercises={name: _exercise(found) for name, found in named.items()},
        quiz=_quiz(events),
        predictions=_predictions(events),
        claims=_claims(events),
        finished=any(event["event"] == "finish" for event in events),
    )


def _exercise(events: list[Event]) -> ExerciseStanding:
    checks = [event for event in events if event["event"] == "check" and event.get("outcome") in _BEST_LAST]
    correct = [event for event in checks if event["outcome"] == CORRECT]
    hints = [event["number"] for event in events if event["event"] == "hint" and _is_count(event.get("number"))]
    return ExerciseStanding(
        outcome=max((event["outcome"] for event in checks), key=_BEST_LAST.index, default=NOT_ATTEMPTED),
        attempts=_attempts(checks),
        hints=max(hints, default=0),
        solution_seen=any(event["event"] == "solution" for event in events),
        first_correct=float(correct[0]["time"]) if correct else None,
        version=str((correct or events)[-1]["version"]),
    )


def _attempts(checks: list[Event]) -> int:
    count, before = 0, None
    for event in checks:
        if event["outcome"] == NOT_ATTEMPTED:
            continue
        text = event.get("answer")
        count += text is None or text != before
        before = text
        if event["outcome"] == CORRECT:
            break
    return count


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number < 1000


def _quiz(events: list[Event]) -> dict[int, bool]:
    first: dict[int, bool] = {}
    for event in events:
        if event["event"] == "quiz" and _is_count(event.get("question")) and isinstance(event.get("right"), bool):
            first.setdefault(event["question"], event["right"])
    return first


def _predictions(events: list[Event]) -> dict[str, tuple[str | None, str | None]]:
    """A guess may be changed until it is revealed; what is said after that is none."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for event in events:
        name, answer, came_true = (event.get(key) for key in ("name", "answer", "came_true"))
        if not isinstance(name, str) or found.get(name, (None, None))[1] is not None:
            continue
        if event["event"] == "predict" and isinstance(answer, str):
            found[name] = (answer, None)
        elif event["event"] == "revisit" and isinstance(came_true, str):
            found[name] = (answer if isinstance(answer, str) else found.get(name, (None, None))[0], came_true)
    return found


def _claims(events: list[Event]) -> dict[str, float]:
    found = {}
    for event in events:
        name, value = event.get("name"), event.get("value")
        if event["event"] != "claim" or not isinstance(name, str) or not isinstance(value, int | float):
            continue
        if -_LARGEST <= value <= _LARGEST:
            found[name] = float(value)
    return found

"""The summary after the last cell: what was done, and what to read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.lesson.exercise import CORRECT
from labkit.lesson.outline import Outline
from labkit.lesson.standing import ExerciseStanding, LabStanding


def summary(outcomes: Mapping[str, str], found: LabStanding, outline: Outline, learner: bool) -> list[str]:
    """The lines below the claims. `outcomes`: of the exercises as they are now, by name; `learner`: somebody answers.

    A line stands here only when there is something to say: a worked run gets no more than its exercises.
    """
    return [
        _exercises(outcomes),
        *_helped(found),
        *_quiz(found, outline, learner),
        *_predictions(found),
        *_review(outcomes, found, outline),
    ]


def _exercises(outcomes: Mapping[str, str]) -> str:
    open_ones = [name for name, outcome in outcomes.items() if outcome != CORRECT]
    done = f"exercises: {len(outcomes) - len(open_ones)} of {len(outcomes)} correct"
    return done + (f"; open: {', '.join(open_ones)}" if open_ones else "")


def _helped(found: LabStanding) -> list[str]:
    help_used = [f"{name} ({_help(one)})" for name, one in found.exercises.items() if _help(one)]
    return [f"with help: {', '.join(help_used)}"] if help_used else []


def _help(one: ExerciseStanding) -> str:
    hints = f"{one.hints} hint{'s' if one.hints > 1 else ''}" if one.hints else ""
    return " and ".join(filter(None, (hints, "the solution" if one.solution_seen else "")))


def _quiz(found: LabStanding, outline: Outline, learner: bool) -> list[str]:
    answered = f"quiz: {sum(found.quiz.values())} of {len(found.quiz)} right at the first answer"
    left = [number for number in range(1, outline.questions + 1) if number not in found.quiz]
    if not left or not (found.quiz or learner):
        return [answered] if found.quiz else []
    return [(answered if found.quiz else "quiz: no answer yet") + f"; open: {numbered(left)}"]


def numbered(numbers: Sequence[int]) -> str:
    """Questions by their numbers: "question 2", "questions 1, 3"."""
    return f"question{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _predictions(found: LabStanding) -> list[str]:
    revealed = [(answer, came_true) for answer, came_true in found.predictions.values() if answer and came_true]
    if not revealed:
        return []
    right = sum(answer == came_true for answer, came_true in revealed)
    return [f"predictions: {right} of {len(revealed)} came true"]


def _review(outcomes: Mapping[str, str], found: LabStanding, outline: Outline) -> list[str]:
    lines = []
    for name, outcome in outcomes.items():
        one = found.exercises.get(name, ExerciseStanding())
        if outcome == CORRECT and not _help(one):
            continue
        why = "open" if outcome != CORRECT else f"done with {_help(one)}"
        heading = outline.reread.get(name)
        lines.append(f"  {name}, {why}: " + (f'read "{heading}" again' if heading else "read its task again"))
    for number, right in sorted(found.quiz.items()):
        if not right:
            lines.append(f"  question {number} of the exam lens: read why each option is right or wrong")
    return ["to review:", *lines] if lines else []

"""Which exercises and questions were hardest, and the wrong answers that people gave."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from labkit.classroom.class_folder import OUTCOMES, REFUSED, ClassFolder, Judged
from labkit.classroom.interval import wilson
from labkit.classroom.known import KnownExercise, KnownLab, normalised
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED
from labkit.lesson.quiz import Question

WRONG = (INCORRECT, ERROR, REFUSED)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?%?", re.IGNORECASE)


Given = tuple[str, Judged]  # a learner's id and their answer


@dataclass(frozen=True)
class Variant:
    """Answers that are the same but for their form, and the label of the listed wrong answer that they are, if any."""

    label: str
    given: tuple[Given, ...]

    @property
    def count(self) -> int:
        return len(self.given)

    @property
    def example(self) -> str:
        return self.given[0][1].answer


@dataclass(frozen=True)
class WrongAnswers:
    """Answers of which the check said the same, numbers aside."""

    outcome: str
    message: str
    variants: tuple[Variant, ...]

    @property
    def count(self) -> int:
        return sum(variant.count for variant in self.variants)


@dataclass(frozen=True)
class ExerciseFigures:
    """One exercise over the class. Medians are over those whose progress file is there, None where there is none."""

    lab: str
    name: str
    outcomes: Counter[str]
    attempts: float | None
    hints: float | None
    wrong: tuple[WrongAnswers, ...]

    @property
    def judged(self) -> int:
        return self.outcomes.total()

    @property
    def share(self) -> float:
        """Correct answers over all that were handed in, 0 to 1."""
        return self.outcomes[CORRECT] / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.outcomes[CORRECT], self.judged)

    @property
    def not_attempted(self) -> float:
        return self.outcomes[NOT_ATTEMPTED] / self.judged


@dataclass(frozen=True)
class QuestionFigures:
    """One question of a quiz: how often each letter was the first answer. `question` is None for an unknown lab."""

    lab: str
    number: int
    chosen: Counter[str]
    right: int
    question: Question | None

    @property
    def answered(self) -> int:
        return self.chosen.total()

    @property
    def share(self) -> float:
        return self.right / self.answered

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.answered)


def hardest_exercises(room: ClassFolder, labs: Iterable[KnownLab]) -> list[ExerciseFigures]:
    """Every exercise that was judged, the smallest share of correct answers first."""
    found = []
    for lab in labs:
        graded = room.of_lab(lab.slug)
        names = dict.fromkeys([*lab.exercises, *(name for grade in graded for name in grade.exercises)])
        for name in names:
            given = [(grade.learner, grade.exercises[name]) for grade in graded if name in grade.exercises]
            if given:
                found.append(_figures(lab, name, given))
    return sorted(found, key=lambda one: (one.share, -one.judged))


def _figures(lab: KnownLab, name: str, given: Sequence[Given]) -> ExerciseFigures:
    recorded = [one for _, one in given if one.attempts]
    outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
    outcomes.update(one.outcome for _, one in given)
    return ExerciseFigures(
        lab.slug,
        name,
        outcomes,
        median(one.attempts for one in recorded) if recorded else None,
        median(one.hints for one in recorded) if recorded else None,
        wrong_answers(given, lab.exercises.get(name, KnownExercise(name))),
    )


def wrong_answers(given: Iterable[Given], exercise: KnownExercise) -> tuple[WrongAnswers, ...]:
    """Wrong answers grouped by what the check said, within that by their normalised text; the commonest first."""
    by_message: dict[tuple[str, str], list[Given]] = defaultdict(list)
    for learner, one in given:
        if one.outcome in WRONG:
            by_message[one.outcome, _NUMBER.sub("0", one.message)].append((learner, one))
    groups = [
        WrongAnswers(ones[0][1].outcome, ones[0][1].message, _variants(ones, exercise)) for ones in by_message.values()
    ]
    return tuple(sorted(groups, key=lambda group: -group.count))


def _variants(given: Iterable[Given], exercise: KnownExercise) -> tuple[Variant, ...]:
    by_text: dict[str, list[Given]] = defaultdict(list)
    for learner, one in given:
        by_text[normalised(one.answer)].append((learner, one))
    found = (Variant(exercise.label(ones[0][1].answer), tuple(ones)) for ones in by_text.values())
    return tuple(sorted(found, key=lambda variant: -variant.count))


def hardest_questions(room: ClassFolder, labs: Iterable[KnownLab]) -> list[QuestionFigures]:
    """Every question that somebody answered, the smallest share of right first answers first."""
    found = []
    for lab in labs:
        answers: dict[int, list[tuple[str, bool]]] = defaultdict(list)
        # Also of a notebook that could not be run: the quiz was answered all the same.
        for (_, slug), grade in room.grades.items():
            for number, answer in grade.quiz.items() if slug == lab.slug else ():
                answers[number].append(answer)
        for number, given in sorted(answers.items()):
            question = lab.questions[number - 1] if 0 < number <= len(lab.questions) else None
            chosen = Counter(letter for letter, _ in given)
            found.append(QuestionFigures(lab.slug, number, chosen, sum(right for _, right in given), question))
    return sorted(found, key=lambda one: (one.share, -one.answered))

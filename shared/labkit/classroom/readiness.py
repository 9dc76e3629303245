"""`labs readiness`: the guide's sections by weight with the learner's own result, and what to work on next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.catalog.blueprint import Blueprint, exam_weights, read_blueprint
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.sequences import read_sequences
from labkit.catalog.version import lab_version
from labkit.classroom.evidence import EXAM, EXERCISE, QUIZ, Answered, answered_exercises, answered_questions
from labkit.classroom.interval import wilson
from labkit.classroom.progress import LabStanding, standing
from labkit.lesson.answers import quiz_of
from labkit.lesson.journal import Event
from labkit.lesson.outline import read_outline

ENOUGH = 8  # answers: with fewer the interval is about 60 points wide or more, unless nearly all are right

FORMULA = (
    "The estimate of a section is the share of right ones among all answers in its labs, each counted once and alike: "
    "an exercise is right if it was solved before its solution was looked at; a question by the newest answer in an "
    "exam, else by the first one in the lab's quiz. Hints are not counted against it. "
    f"The interval is Wilson's for 95 per cent. Below {ENOUGH} answers it says nothing: too little to tell. "
    "It holds for the topics of the labs that were answered, not for those of the section that have no lab or were not "
    "done; these are counted beside it. A question that was seen before is easier than one of the exam."
)


@dataclass(frozen=True)
class Tally:
    """Right ones and answers."""

    right: int = 0
    answers: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.answers + other.answers)

    def __str__(self) -> str:
        return f"{self.right} of {self.answers}" if self.answers else "none"

    @property
    def share(self) -> float:
        return self.right / self.answers if self.answers else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.answers)


@dataclass(frozen=True)
class LabResult:
    """What was answered in one lab. `older`: how many of these in an earlier version of it. `asked`: what it has."""

    lab: LabFolder
    tallies: dict[str, Tally]
    older: int
    asked: int
    done: bool

    @property
    def whole(self) -> Tally:
        return sum(self.tallies.values(), Tally())


@dataclass(frozen=True)
class SectionResult:
    """One section: its weight (a share of the exam), its topics, and the results of its labs.

    `topics`: all of the blueprint; `here`: those of which the lab is there; `done`: those of which the lab is done.
    """

    section: int
    title: str
    weight: float
    topics: int
    here: int
    done: int
    labs: tuple[LabResult, ...]

    def tally(self, where: str) -> Tally:
        return sum((lab.tallies[where] for lab in self.labs), Tally())

    @property
    def whole(self) -> Tally:
        return sum((lab.whole for lab in self.labs), Tally())

    @property
    def enough(self) -> bool:
        return self.whole.answers >= ENOUGH

    @property
    def asked(self) -> int:
        """Questions and exercises that its labs have."""
        return sum(lab.asked for lab in self.labs)

    @property
    def estimate(self) -> str:
        """Share and interval in whole per cents; empty where the answers are too few."""
        low, high = self.whole.interval
        return f"{self.whole.share:.0%} ({100 * low:.0f}-{high:.0%})" if self.enough else ""


def readiness(events: Sequence[Event]) -> list[SectionResult]:
    """The sections in their order; FORMULA says how they are judged. `events`: as read_progress gives them."""
    blueprint, (labs, _) = read_blueprint(), read_labs()
    answers: defaultdict[str, list[Answered]] = defaultdict(list)
    for (slug, _), answer in [*answered_questions(events).items(), *answered_exercises(events).items()]:
        answers[slug].append(answer)
    standings = standing(events)
    results = [_lab(lab, answers[lab.slug], standings.get(lab.slug)) for lab in labs]
    return [_section(blueprint, section, weight, results) for section, weight in exam_weights(blueprint).items()]


def _lab(lab: LabFolder, answers: list[Answered], stands: LabStanding | None) -> LabResult:
    outline, questions, version = read_outline(lab.folder), quiz_of(lab.folder).question, lab_version(lab.folder)
    tallies = {
        where: sum((Tally(answer.right, 1) for answer in answers if answer.where == where), Tally())
        for where in (EXERCISE, QUIZ, EXAM)
    }
    older = sum(answer.version != version for answer in answers)
    done = stands is not None and stands.done(outline.exercises)
    return LabResult(lab, tallies, older, len(outline.exercises) + len(questions), done)


def _section(blueprint: Blueprint, section: int, weight: float, results: Iterable[LabResult]) -> SectionResult:
    own = tuple(result for result in results if result.lab.card.section == section)
    here = {topic for result in own for topic in result.lab.card.topics}
    done = {topic for result in own if result.done for topic in result.lab.card.topics}
    named = {topic.id for topic in blueprint.topics.values() if topic.section == section}
    title = blueprint.sections.get(section, "")
    return SectionResult(section, title, weight, len(named | here), len(here), len(done), own)


def weakest(sections: Iterable[SectionResult], most: int = 5) -> list[LabResult]:
    """Labs with wrong answers, first where it is surest that much is missing: by the upper end of the interval."""
    wrong = [
        (result.whole.interval[1], -section.weight, result.lab.slug, result)
        for section in sections
        for result in section.labs
        if result.whole.right < result.whole.answers
    ]
    return [result for *_, result in sorted(wrong, key=lambda entry: entry[:3])[:most]]


def untouched(sections: Iterable[SectionResult], most: int = 5) -> list[LabResult]:
    """Labs without any answer: the next of each section by its sequence, the section with the most weight first."""
    ranks = {slug: rank for sequence in read_sequences() if sequence.section for rank, slug in enumerate(sequence.labs)}
    left = []
    for section in sections:
        new = [result for result in section.labs if not result.whole.answers and not result.done]
        new.sort(key=lambda result: (ranks.get(result.lab.slug, len(ranks)), result.lab.slug))
        left += [(place, -section.weight, section.section, result) for place, result in enumerate(new)]
    return [result for *_, result in sorted(left, key=lambda entry: entry[:3])[:most]]


def overall(sections: Sequence[SectionResult]) -> str:
    """One sentence on the whole exam: the weighted share, only where every section has an estimate."""
    known = [section for section in sections if section.enough]
    if len(known) == len(sections):
        mean = sum(section.weight * section.whole.share for section in sections)
        return f"By the sections' weights that is {mean:.0%}. Google publishes no pass mark."
    if not known:
        return f"No section has the {ENOUGH} answers that an estimate needs."
    told = sum(section.weight for section in known)
    return f"Sections with {told:.0%} of the exam's weight have an estimate; for the whole it is too little to tell."

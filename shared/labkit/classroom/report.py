"""`labs report <class folder>`: the class as a page, as CSV, as nbgrader's gradebook, and feedback for each learner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.sequences import find_sequence
from labkit.classroom.class_folder import ClassFolder, read_class
from labkit.classroom.difficulty import ExerciseFigures, QuestionFigures, hardest_exercises, hardest_questions
from labkit.classroom.feedback import write_feedback
from labkit.classroom.gradebook import Points, read_points, write_gradebook
from labkit.classroom.known import KnownLab, known_lab
from labkit.classroom.report_page import Findings, report_page
from labkit.classroom.spreadsheet import write_csv
from labkit.classroom.summaries import LearnerSummary, summaries
from labkit.lesson.exercise import CORRECT


@dataclass(frozen=True)
class Wanted:
    """What a report is to have. `points`: texts `lab/exercise=2`. `solutions`: feedback shows the worked answers."""

    sequence: str = ""
    points: Sequence[str] = ()
    feedback: bool = True
    solutions: bool = False


@dataclass(frozen=True)
class Report:
    """What was written, and what the trainer should know at once."""

    folder: Path
    learners: int
    graded: int
    refused: int
    feedback: int
    hardest: ExerciseFigures | None


def make_report(folder: Path, out: Path | None = None, wanted: Wanted | None = None) -> Report:
    """Writes the report of a class into `out`, else into <folder>/report; a report that is there is written anew.

    Raises LabError when the class is not collected or graded, for a sequence or points that do not exist, and when
    `out` cannot be written.
    """
    wanted = wanted or Wanted()
    room = read_class(folder)
    expected = list(find_sequence(wanted.sequence).labs) if wanted.sequence else room.labs
    labs = [known_lab(slug) for slug in dict.fromkeys([*expected, *room.labs])]
    points = read_points(wanted.points, labs)
    try:
        return _write(room, labs, expected, points, out or folder / "report", wanted)
    except OSError as error:
        raise LabError(f"{error.filename or out}: {error.strerror}. Give another --out, or make room.") from None


def _write(
    room: ClassFolder, labs: Sequence[KnownLab], expected: Sequence[str], points: Points, out: Path, wanted: Wanted
) -> Report:
    out.mkdir(parents=True, exist_ok=True)
    pages = write_feedback(room, labs, out / "feedback", wanted.solutions) if wanted.feedback else {}
    title = f"Class report: {room.folder.resolve().name}"
    feedback = {key: path.relative_to(out).as_posix() for key, path in pages.items()}
    exercises, questions = hardest_exercises(room, labs), hardest_questions(room, labs)
    found = Findings(room, title, labs, summaries(room, labs, expected), exercises, questions, feedback)
    (out / "report.html").write_text(report_page(found), encoding="utf-8")
    _write_tables(found, out)
    write_gradebook(room, labs, points, out / "gradebook.csv")
    refused = sum(len(one.refused) for one in found.learners)
    return Report(out, len(room.learners), len(room.grades), refused, len(pages), exercises[0] if exercises else None)


def _write_tables(found: Findings, out: Path) -> None:
    write_csv(out / "learners.csv", _LEARNERS, map(_learner_row, found.learners))
    write_csv(out / "exercises.csv", _EXERCISES, map(_exercise_row, found.exercises))
    write_csv(out / "answers.csv", _ANSWERS, _answer_rows(found.room, found.exercises))
    write_csv(out / "quiz.csv", _QUIZ, _quiz_rows(found.questions))


_LEARNERS = (
    "learner name correct exercises quiz_right quiz_answered quiz_questions finished missing refused faults unreadable"
).split()


def _learner_row(one: LearnerSummary) -> list[object]:
    counted = [one.correct, one.exercises, one.right, one.answered, one.questions]
    lists = (one.finished, one.missing, one.refused, one.faults, one.unreadable)
    return [one.learner.id, one.learner.name, *counted, *("; ".join(items) for items in lists)]


_EXERCISES = (
    "lab exercise judged correct share low high incorrect error refused not_attempted missing "
    "median_attempts median_hints"
).split()


def _exercise_row(one: ExerciseFigures) -> list[object]:
    low, high = one.interval
    counts = [one.outcomes[outcome] for outcome in ("incorrect", "error", "refused", "not attempted", "missing")]
    shares = [round(value, 4) for value in (one.share, low, high)]
    return [one.lab, one.name, one.judged, one.outcomes[CORRECT], *shares, *counts, one.attempts, one.hints]


_ANSWERS = "lab exercise outcome message same_message same_text listed_as learner attempts hints answer".split()


def _answer_rows(room: ClassFolder, exercises: Iterable[ExerciseFigures]) -> Iterable[list[object]]:
    """Every answer that is not correct, in the order of the page, the learner beside it."""
    for one in exercises:
        for group in one.wrong:
            for variant in group.variants:
                for learner, judged in variant.given:
                    said = [one.lab, one.name, judged.outcome, judged.message, group.count, variant.count]
                    yield [*said, variant.label, learner, judged.attempts, judged.hints, judged.answer]


_QUIZ = "lab question letter right chosen answered text why".split()


def _quiz_rows(questions: Iterable[QuestionFigures]) -> Iterable[list[object]]:
    for one in questions:
        listed = dict(zip(one.question.letters, one.question.options, strict=True)) if one.question else {}
        for letter in sorted({*listed, *one.chosen}):
            option = listed.get(letter)
            right = "" if option is None else "yes" if option.right else "no"
            texts = [option.text, option.why] if option else ["", ""]
            yield [one.lab, one.number, letter, right, one.chosen[letter], one.answered, *texts]

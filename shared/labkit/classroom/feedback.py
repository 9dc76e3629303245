"""Feedback for each learner: their own notebook, what was judged below each exercise, and the quiz explained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.classroom.class_folder import MISSING, REFUSED, ClassFolder, Grade, Judged, Learner
from labkit.classroom.feedback_page import feedback_page
from labkit.classroom.known import KnownExercise, KnownLab
from labkit.classroom.matching import checked_name
from labkit.classroom.restored import restored
from labkit.classroom.submitted import read_notebook
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED
from labkit.lesson.messages import markup
from labkit.lesson.quiz import Question

_SAID = {
    CORRECT: ("good", "✓ Correct."),
    INCORRECT: ("bad", "✗ Not yet."),
    ERROR: ("bad", "! Your answer could not be judged."),
    REFUSED: ("wait", "? Your answer was not run. Your trainer will look at it."),
    NOT_ATTEMPTED: ("faint", "○ Not attempted."),
    MISSING: ("wait", "– The cell of this exercise was not found in your notebook."),
}
_ERROR = "A cell that stops with an error leaves no answer. Run it alone and read the last line of what it says."
_PLAIN = re.compile(r"[\w-][\w.-]*")  # a name that is a file's name and nothing else


def write_feedback(
    room: ClassFolder, labs: Iterable[KnownLab], out: Path, solutions: bool = False
) -> dict[tuple[str, str], Path]:
    """Writes <learner>/<slug>.ipynb and .html for each graded lab; the pages by learner and lab.

    `solutions`: show one way to do it below each exercise that is not correct, and the answers of the whole quiz.
    """
    pages = {}
    for lab in labs:
        for learner in room.learners:
            grade = room.grades.get((learner.id, lab.slug))
            if grade is None or not _PLAIN.fullmatch(learner.id) or not _PLAIN.fullmatch(lab.slug):
                continue
            notebook = feedback_notebook(_handed_in(learner, lab.slug), learner.name, grade, lab, solutions)
            path = out / learner.id / f"{lab.slug}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            pages[learner.id, lab.slug] = path.with_suffix(".html")
            path.with_suffix(".html").write_text(
                feedback_page(notebook, f"Feedback for {learner.name}: {lab.title}"), encoding="utf-8"
            )
    return pages


def _handed_in(learner: Learner, slug: str) -> Mapping[str, object]:
    path = learner.folder / slug / "lab.ipynb"
    return read_notebook(path.read_bytes()).notebook if path.is_file() else {}


def feedback_notebook(
    notebook: Mapping[str, object], name: str, grade: Grade, lab: KnownLab, solutions: bool = False
) -> NotebookNode:
    """The learner's notebook with feedback. Of one that could not be read, the feedback alone."""
    copy = restored(notebook)
    below: dict[int, list[NotebookNode]] = {}
    unplaced: list[NotebookNode] = []
    for exercise, judged in grade.exercises.items():
        known = lab.exercises.get(exercise, KnownExercise(exercise))
        cell = _marked(_feedback_text(judged, known, solutions))
        place = _place(copy, exercise, judged.answer)
        (unplaced if place is None else below.setdefault(place, [])).append(cell)
    cells = [_marked(_summary(name, grade, lab))]
    for number, own in enumerate(copy.cells):
        cells += [own, *below.get(number, [])]
    cells += unplaced
    if lab.questions:
        cells.append(_marked(_quiz_text(lab.questions, grade, solutions)))
    copy.cells = cells
    for number, cell in enumerate(cells):
        if "feedback" in cell.metadata.get("tags", []):
            cell.id = f"feedback-{number}"
    return copy


def _marked(text: str) -> NotebookNode:
    """A markdown cell that is told from the learner's own by its tag."""
    cell: NotebookNode = nbformat.v4.new_markdown_cell(text, metadata={"tags": ["feedback"]})
    return cell


def _place(notebook: NotebookNode, exercise: str, answer: str) -> int | None:
    """The cell below which the feedback on an exercise belongs: its check, else the last cell that holds the answer."""
    checks = [n for n, cell in enumerate(notebook.cells) if _is_code(cell) and checked_name(cell.source) == exercise]
    if checks:
        return int(checks[0])
    lines = _lines(answer)
    own = [n for n, cell in enumerate(notebook.cells) if _is_code(cell) and cell.source.strip()]
    return max((n for n in own if lines and _lines(notebook.cells[n].source) in lines), default=None)


def _is_code(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code")


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _summary(name: str, grade: Grade, lab: KnownLab) -> str:
    right = sum(right for _, right in grade.quiz.values())
    lines = [
        f"For {name}. Exercises correct: {grade.count(CORRECT)} of {len(lab.exercises) or len(grade.exercises)}."
        + (f" Quiz: {right} of {len(lab.questions)} right at the first answer." if lab.questions else ""),
        "This is a copy of what you handed in, with feedback below each exercise. Your own notebook is as you left it.",
    ]
    if grade.fault:
        lines.append(f"Your notebook could not be run: {grade.fault}")
    lines += [f"{_SAID[one.outcome][1][0]} {exercise}: {one.outcome}" for exercise, one in grade.exercises.items()]
    return f"# Feedback\n\n{block('', lines)}"


def _feedback_text(judged: Judged, exercise: KnownExercise, solutions: bool) -> str:
    mood, headline = _SAID[judged.outcome]
    lines = [judged.message] if judged.message else []
    lines += [_ERROR] if judged.outcome == ERROR else []
    if judged.outcome == MISSING:
        lines.append("`labs start --fresh` makes a new copy and keeps the one you have.")
    open_still = judged.outcome not in (CORRECT, REFUSED)
    lines += [_hint(judged.hints, exercise)] if open_still and exercise.hints else []
    text = f"### Feedback: {exercise.name}\n\n{block(mood, lines, headline)}"
    if solutions and judged.outcome != CORRECT and exercise.solution:
        text += f"\n\nOne way to do it:\n\n{fenced(exercise.solution)}"
    return text


def _hint(seen: int, exercise: KnownExercise) -> str:
    """The next hint of the ladder."""
    if seen >= len(exercise.hints):
        return f'You have seen every hint: `lab.solution("{exercise.name}")` shows one way to do it.'
    return f"Hint {seen + 1} of {len(exercise.hints)}: {exercise.hints[seen]}"


def _quiz_text(questions: Sequence[Question], grade: Grade, solutions: bool) -> str:
    blocks = [
        _question(number, question, grade.quiz.get(number), solutions) for number, question in enumerate(questions, 1)
    ]
    return "\n\n".join(["## Feedback: the quiz, explained", *blocks])


def _question(number: int, question: Question, given: tuple[str, bool] | None, solutions: bool) -> str:
    letter, right = given or ("", False)
    mood = "faint" if given is None else "good" if right else "bad"
    said = "not answered" if given is None else f"your first answer, {letter}, is {'right' if right else 'wrong'}"
    # A question that is still open is not given away.
    lines = list(_explained(question, letter)) if given or solutions else []
    return block(mood, [question.scenario, *lines], f"Question {number}: {said}")


def _explained(question: Question, letter: str) -> Iterator[str]:
    for each, option in zip(question.letters, question.options, strict=True):
        mine = " (your answer)" if each == letter else ""
        yield f"{'✓' if option.right else '✗'} **{each}** {option.text}{mine} – {option.why}"


def block(mood: str, lines: Sequence[str], headline: str = "") -> str:
    """Lines as HTML inside Markdown: escaped, so that nothing a learner typed is markup or a formula."""
    shown = [f'<b class="{mood}">{html(headline)}</b>'] if headline else []
    shown += [f"<div>{html(line)}</div>" for line in lines]
    return f'<div style="border-left: 4px solid; padding-left: 0.7em">{"".join(shown)}</div>'


def html(text: str) -> str:
    """Escaped, with `code` and **bold**. A blank line would end the block, a dollar would begin a formula."""
    return markup(text).replace("$", "&#36;").replace("\\", "&#92;").replace("\r", "").replace("\n", "<br>")


def fenced(text: str) -> str:
    """A block of code, with a fence that the text does not hold."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{text}\n{fence}"

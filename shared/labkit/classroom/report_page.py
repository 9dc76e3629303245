"""The report of a class as one HTML page. Whatever a learner typed is escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.classroom.class_folder import MISSING, OUTCOMES, REFUSED, ClassFolder, Judged, Learner
from labkit.classroom.difficulty import ExerciseFigures, QuestionFigures, WrongAnswers
from labkit.classroom.known import KnownLab
from labkit.classroom.page import Html, bar, code, escaped, link, page, table_html
from labkit.classroom.summaries import LearnerSummary
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED
from labkit.lesson.messages import markup

_LOOKS = {
    CORRECT: ("good", "✓"),
    INCORRECT: ("bad", "✗"),
    ERROR: ("bad", "!"),
    REFUSED: ("wait", "?"),
    NOT_ATTEMPTED: ("faint", "○"),
    MISSING: ("wait", "–"),
}
_MOST_VARIANTS = 8  # of one message that the page shows; answers.csv has all
_MOST_CODE = 4_000


@dataclass(frozen=True)
class Findings:
    """Everything that a report shows."""

    room: ClassFolder
    title: str
    labs: Sequence[KnownLab]
    learners: Sequence[LearnerSummary]
    exercises: Sequence[ExerciseFigures]
    questions: Sequence[QuestionFigures]
    feedback: Mapping[tuple[str, str], str]  # learner and lab -> address of the page for them


def report_page(found: Findings) -> str:
    """The whole page."""
    sections = [
        ("Learners", _learners(found)),
        ("To look at by hand", _look_at(found)),
        ("Exercises, hardest first", _hardest(found.exercises)),
        ("Wrong answers that people gave", "".join(_answers(one) for one in found.exercises)),
        ("Quiz questions, hardest first", _questions(found.questions) + "".join(map(_options, found.questions))),
        ("Everybody, exercise by exercise", "".join(_matrix(found, lab) for lab in found.labs)),
        ("What could not be read", _unread(found.room)),
    ]
    named = [(re.sub(r"\W+", "-", title.lower()), title, body) for title, body in sections]
    contents = "".join(f"<li>{link(f'#{name}', title)}</li>" for name, title, _ in named)
    body = "".join(f'<h2 id="{name}">{escaped(title)}</h2>\n{body}\n' for name, title, body in named)
    return page(found.title, f'{_opening(found)}<nav aria-label="Contents"><ul>{contents}</ul></nav>\n{body}')


def of(part: int, whole: int) -> str:
    """A count that does not break over two lines."""
    return f"{part}\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}{whole}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def interval(low: float, high: float) -> str:
    return f"{percent(low)}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{percent(high)}"


def _opening(found: Findings) -> str:
    outcomes: Counter[str] = sum((one.outcomes for one in found.exercises), Counter())
    counted = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome])
    faults = sum(len(one.faults) for one in found.learners)
    lines = [
        f"{len(found.learners)} learners, {len(found.labs)} labs, {len(found.room.grades)} graded notebooks"
        + (f", {faults} of which could not be run." if faults else "."),
        f"{outcomes.total()} answers: {counted}." if counted else "No answer was judged.",
    ]
    refused = sum(len(one.refused) for one in found.learners)
    if refused:
        lines.append(f"{refused} answers were refused and count as not correct until you have looked at them by hand.")
    if found.room.unreadable:
        lines.append(f"{found.room.unreadable} lines of grades.jsonl could not be read.")
    return "".join(f"<p>{escaped(line)}</p>" for line in lines)


def _learners(found: Findings) -> str:
    rows = []
    for one in found.learners:
        things = len(one.look_at)
        rows.append(
            [
                one.learner.name,
                bar(one.correct / one.exercises if one.exercises else 0, of(one.correct, one.exercises)),
                of(one.right, one.questions or one.answered),
                of(len(one.finished), len(found.labs)),
                ", ".join(one.missing),
                link(f"#{_look_anchor(one)}", f"{things} thing{'s' * (things > 1)}") if things else "",
            ]
        )
    columns = ["Learner", "Exercises correct", "Quiz right", "Labs finished", "Not handed in", "To look at"]
    note = "<p class='faint'>Quiz: first answers. These and finished labs are what the progress files have.</p>"
    return table_html(columns, rows, "Learners by name") + note


def _look_anchor(one: LearnerSummary) -> str:
    return "look-" + re.sub(r"[^\w-]", "-", one.learner.id)


def _look_at(found: Findings) -> str:
    there = [one for one in found.learners if one.look_at]
    if not there:
        return "<p>Nothing was refused, everything could be read and run.</p>"
    return "".join(
        f'<h3 id="{_look_anchor(one)}">{escaped(one.learner.name)}</h3><ul>'
        + "".join(f"<li>{escaped(_short(line))}</li>" for line in one.look_at)
        + "</ul>"
        for one in there
    )


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def _name(found: Findings, learner: Learner, lab: KnownLab) -> object:
    """The learner's name, with a link to their feedback where there is some."""
    address = found.feedback.get((learner.id, lab.slug))
    return link(address, learner.name) if address else learner.name


def _anchor(one: ExerciseFigures) -> str:
    return "x-" + re.sub(r"[^\w-]", "-", f"{one.lab}-{one.name}")


def _hardest(exercises: Sequence[ExerciseFigures]) -> str:
    rows = []
    for one in exercises:
        low, high = one.interval
        rows.append(
            [
                link(f"#{_anchor(one)}", one.name),
                one.lab,
                bar(one.share, of(one.outcomes[CORRECT], one.judged)),
                interval(low, high),
                percent(one.not_attempted),
                "–" if one.attempts is None else f"{one.attempts:g}",
                "–" if one.hints is None else f"{one.hints:g}",
            ]
        )
    columns = ["Exercise", "Lab", "Correct", "95% interval", "Not attempted", "Attempts", "Hints"]
    note = (
        "<p class='faint'>Correct: the share of all notebooks in which it was judged; the interval is Wilson's. "
        "Attempts and hints: medians over those who have a progress file.</p>"
    )
    return table_html(columns, rows, "Exercises by share of correct answers") + note


def _answers(one: ExerciseFigures) -> str:
    counted = ", ".join(f"{one.outcomes[outcome]} {outcome}" for outcome in OUTCOMES if one.outcomes[outcome])
    head = f'<h3 id="{_anchor(one)}">{escaped(one.name)} <span class="faint">({escaped(one.lab)})</span></h3>'
    body = "".join(_group(group) for group in one.wrong) or "<p>Nobody gave a wrong answer.</p>"
    return f"{head}<p>{escaped(counted)}</p>{body}"


def _group(group: WrongAnswers) -> str:
    labels = list(dict.fromkeys(variant.label for variant in group.variants if variant.label))
    named = f" ({escaped('; '.join(labels))})" if labels else ""
    look, sign = _LOOKS[group.outcome]
    head = f'<b class="{look}">{sign} {group.count} × {group.outcome}</b>{named}: {markup(_short(group.message, 600))}'
    shown = "".join(
        f"<p><b>{variant.count} ×</b> {escaped(variant.label or 'not among the listed wrong answers')}</p>"
        + code(_short(variant.example, _MOST_CODE) or "(no text)")
        for variant in group.variants[:_MOST_VARIANTS]
    )
    left = sum(variant.count for variant in group.variants[_MOST_VARIANTS:])
    more = f"<p>{left} more in answers.csv.</p>" if left else ""
    return f"<details><summary>{head}</summary>{shown}{more}</details>"


def _questions(questions: Sequence[QuestionFigures]) -> str:
    rows = []
    for one in questions:
        low, high = one.interval
        letters = ", ".join(f"{letter}: {count}" for letter, count in sorted(one.chosen.items()))
        share = bar(one.share, of(one.right, one.answered))
        rows.append([f"{one.lab}, question {one.number}", share, interval(low, high), letters])
    if not rows:
        return "<p>Nobody answered a question.</p>"
    columns = ["Question", "Right at the first answer", "95% interval", "Answers"]
    return table_html(columns, rows, "Questions by share of right first answers")


def _options(one: QuestionFigures) -> str:
    if one.question is None:
        return ""
    rows = [
        [
            letter,
            Html(
                f'<span class="{"good" if option.right else "bad"}">{"✓ right" if option.right else "✗ wrong"}</span>'
            ),
            one.chosen[letter],
            option.text,
            option.why,
        ]
        for letter, option in zip(one.question.letters, one.question.options, strict=True)
    ]
    table = table_html(["Option", "", "Chosen", "Text", "Why"], rows, f"{one.lab}, question {one.number}: options")
    head = f"{escaped(one.lab)}, question {one.number}: {one.answered - one.right} of {one.answered} wrong"
    return f"<details><summary>{head}</summary><p>{markup(one.question.scenario)}</p>{table}</details>"


def _matrix(found: Findings, lab: KnownLab) -> str:
    graded = found.room.of_lab(lab.slug)
    names = list(dict.fromkeys([*lab.exercises, *(name for grade in graded for name in grade.exercises)]))
    rows: list[list[object]] = []
    for learner in found.room.learners:
        grade = found.room.grades.get((learner.id, lab.slug))
        name = _name(found, learner, lab)
        if grade is None:
            said = "not graded" if lab.slug in learner.handed_in else "not handed in"
            rows.append([name, *[Html(f'<span class="faint">{said}</span>')] * len(names)])
        elif grade.fault:
            rows.append([name, *[Html('<span class="wait">could not be run</span>')] * len(names)])
        else:
            rows.append([name, *(_cell(grade.exercises.get(exercise)) for exercise in names)])
    counts = {
        name: Counter(grade.exercises[name].outcome for grade in graded if name in grade.exercises) for name in names
    }
    rows += [[f"All: {outcome}", *(str(counts[name][outcome]) for name in names)] for outcome in OUTCOMES]
    return f"<h3>{escaped(lab.title)}</h3>" + table_html(["Learner", *names], rows, f"{lab.slug}: learners by name")


def _cell(judged: Judged | None) -> Html:
    if judged is None:
        return Html('<span class="faint">not judged</span>')
    look, sign = _LOOKS[judged.outcome]
    way = f"{judged.attempts} attempts, {judged.hints} hints" if judged.attempts or judged.hints else ""
    way = re.sub(r"\b(1 \w+?)s\b", r"\1", way)
    return Html(f'<span class="{look}">{sign} {judged.outcome}</span><br><span class="faint">{way}</span>')


def _unread(room: ClassFolder) -> str:
    broken = [line for line in room.collected if line.get("read") in ("partly", "not")]
    if not broken:
        return "<p>Everything that was collected could be read.</p>"
    columns = ["Source", "Learner", "Lab", "Read", "Why"]
    rows = [[line.get(key) or "" for key in ("source", "learner", "lab", "read", "message")] for line in broken]
    return table_html(columns, rows, "What could be read only partly, or not")

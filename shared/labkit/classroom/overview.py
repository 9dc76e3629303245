"""`labs progress`: what was done in each section, against its weight in the exam, and what is open; also as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.blueprint import Blueprint, exam_weights, read_blueprint
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.version import lab_version
from labkit.classroom.page import Html, bar, escaped, page, table_html
from labkit.classroom.progress import read_counted, standing
from labkit.lesson.exercise import CORRECT
from labkit.lesson.journal import progress_file
from labkit.lesson.outline import Outline, read_outline
from labkit.lesson.standing import LabStanding
from labkit.lesson.summary import numbered

COLUMNS = ("section", "of the exam", "labs done", "exercises correct", "quiz right at first", "topics practised")
CHANGED = "the lab has changed since"
TITLE = "Your progress in the labs"
PAGE_MARK = f"<title>{TITLE}</title>".encode()


@dataclass
class Count:
    """So many of so many."""

    some: int = 0
    all: int = 0

    def __str__(self) -> str:
        return f"{self.some} of {self.all}"

    @property
    def share(self) -> float:
        return self.some / self.all if self.all else 0.0


@dataclass
class SectionRow:
    """One section. `weight`: its share of the exam. `quiz`: first answers that were right, of those given."""

    number: int
    title: str
    weight: float
    labs: Count = field(default_factory=Count)
    exercises: Count = field(default_factory=Count)
    quiz: Count = field(default_factory=Count)
    topics: Count = field(default_factory=Count)

    @property
    def counts(self) -> tuple[Count, ...]:
        return self.labs, self.exercises, self.quiz, self.topics


@dataclass(frozen=True)
class LabRow:
    """A lab that was opened: what of it is open, and whether answers were given to another version of it."""

    slug: str
    title: str
    last: float
    done: bool
    open: tuple[str, ...]
    changed: bool

    @property
    def day(self) -> str:
        return f"{datetime.fromtimestamp(self.last):%Y-%m-%d}"


@dataclass(frozen=True)
class Overview:
    """`opened`: labs that were begun or done, the last one first. `elsewhere`: labs that are not in this collection."""

    sections: list[SectionRow]
    opened: list[LabRow]
    elsewhere: list[str]

    @property
    def in_work(self) -> list[LabRow]:
        return [row for row in self.opened if not row.done]

    @property
    def changed(self) -> list[LabRow]:
        """Labs that were done, in another version."""
        return [row for row in self.opened if row.done and row.changed]


def overview(standings: Mapping[str, LabStanding]) -> Overview:
    """The progress in this collection. Raises LabError when a lab of it cannot be read."""
    labs, _ = read_labs()
    blueprint = read_blueprint()
    sections = {number: _empty(number, blueprint) for number in sorted({*blueprint.sections, *_sections(labs)})}
    topics: dict[int, dict[str, bool]] = {number: {} for number in sections}
    opened = []
    for lab in labs:
        found, outline = standings.get(lab.slug), read_outline(lab.folder)
        _count(sections[lab.card.section], found, outline)
        practised = found is not None and any(one.outcome == CORRECT for one in found.exercises.values())
        for topic in lab.card.topics:
            known = topics[lab.card.section]
            known[topic] = known.get(topic, False) or practised
        if found is not None:
            opened.append(_row(lab, found, outline))
    for number, known in topics.items():
        sections[number].topics = Count(sum(known.values()), len(known))
    elsewhere = sorted(set(standings) - {lab.slug for lab in labs})
    return Overview(list(sections.values()), sorted(opened, key=lambda row: -row.last), elsewhere)


def _sections(labs: Iterable[LabFolder]) -> set[int]:
    return {lab.card.section for lab in labs}


def _empty(number: int, blueprint: Blueprint) -> SectionRow:
    return SectionRow(number, blueprint.sections.get(number, ""), exam_weights(blueprint).get(number, 0.0))


def _count(section: SectionRow, found: LabStanding | None, outline: Outline) -> None:
    section.labs.all += 1
    section.exercises.all += len(outline.exercises)
    if found is None:
        return
    section.labs.some += found.done(outline.exercises)
    section.exercises.some += sum(
        one.outcome == CORRECT for name, one in found.exercises.items() if name in outline.exercises
    )
    section.quiz.some += sum(found.quiz.values())
    section.quiz.all += len(found.quiz)


def _row(lab: LabFolder, found: LabStanding, outline: Outline) -> LabRow:
    questions = [number for number in range(1, outline.questions + 1) if number not in found.quiz]
    left = found.open_exercises(outline.exercises)
    left += [numbered(questions)] if questions else []
    left += [] if found.finished else ["the last cell"]
    now = lab_version(lab.folder)
    answered = [one.version for one in found.exercises.values()] or [found.version]
    changed = any(version != now for version in answered)
    return LabRow(lab.slug, lab.card.title, found.last, found.done(outline.exercises), tuple(left), changed)


def section_cells(row: SectionRow) -> tuple[str, ...]:
    """The cells of a section's row, as COLUMNS names them."""
    return (f"{row.number} {row.title}", f"{100 * row.weight:.0f} %", *map(str, row.counts))


def own_overview() -> tuple[Overview, int]:
    """The progress of the learner on this machine, and how many lines of it could not be read."""
    events, passed_over = read_counted(progress_file())
    return overview(standing(events)), passed_over


def lines_below(found: Overview, passed_over: int = 0) -> list[str]:
    """What stands below the table: labs in work, labs that have changed since they were done, and foreign ones."""
    lines = [] if found.opened else ["", "Nothing yet. `labs next` proposes a lab to begin with."]
    lines += ["", "In work:"] if found.in_work else []
    for row in found.in_work:
        mark = f"; {CHANGED}" if row.changed else ""
        lines.append(f"  {row.slug} ({row.day}{mark}): open {', '.join(row.open)}")
    if found.changed:
        lines += ["", f"Done, and {CHANGED}: {', '.join(row.slug for row in found.changed)}"]
    if found.elsewhere:
        lines += ["", f"Not in this collection: {', '.join(found.elsewhere)}"]
    return lines + (["", unread(passed_over)] if passed_over else [])


def unread(lines: int) -> str:
    return f"{lines} line{'s' if lines > 1 else ''} of the progress could not be read and stay as they are."


def write_page(found: Overview, passed_over: int, path: Path) -> str:
    """Writes the page and says where it is. Raises LabError for a file that is no page, or cannot be written."""
    try:
        if path.exists() and PAGE_MARK not in path.read_bytes()[:2000]:
            raise LabError(f"--page {path}: what is there is no page of `labs progress`. Name another file.")
        path.write_text(progress_page(found, passed_over), encoding="utf-8")
    except OSError as error:
        raise LabError(f"--page {path}: {error.strerror or error}. Name a file that you may write.") from None
    return f"The page: {path}"


def progress_page(found: Overview, passed_over: int = 0) -> str:
    """The same as a page that needs nothing but itself."""
    rows = [
        (*section_cells(row)[:2], *(_together(bar(count.share, str(count))) for count in row.counts))
        for row in found.sections
    ]
    body = [f"<p>As of {datetime.now():%Y-%m-%d %H:%M}.</p>", table_html(COLUMNS, rows, "By section of the exam")]
    if found.in_work:
        begun = [(row.title, _together(row.day), _noted(row, row.open)) for row in found.in_work]
        body += ["<h2>In work</h2>", table_html(("lab", "last", "open"), begun, "Labs that were begun")]
    done = [(row.title, _together(row.day), _noted(row)) for row in found.opened if row.done]
    if done:
        body += ["<h2>Done</h2>", table_html(("lab", "last", "note"), done, "Labs that are done")]
    notes = [f"Not in this collection: {', '.join(found.elsewhere)}."] if found.elsewhere else []
    notes += [unread(passed_over)] if passed_over else []
    return page(TITLE, "\n".join([*body, *(f"<p>{escaped(note)}</p>" for note in notes)]))


def _noted(row: LabRow, more: tuple[str, ...] = ()) -> str:
    return ", ".join(more) + ("; " if more and row.changed else "") + (CHANGED if row.changed else "")


def _together(value: object) -> Html:
    """A cell that is not broken into lines."""
    return Html(f'<span style="white-space: nowrap">{escaped(value)}</span>')

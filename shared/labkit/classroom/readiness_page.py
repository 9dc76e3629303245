"""Readiness as text for a terminal and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.blueprint import Blueprint, read_blueprint
from labkit.catalog.lint import SECTIONS
from labkit.classroom.evidence import EXAM, EXERCISE, QUIZ
from labkit.classroom.page import Html, bar, escaped, page, table_html
from labkit.classroom.readiness import ENOUGH, FORMULA, LabResult, SectionResult, overall, untouched, weakest

# For a terminal of 80 columns; the page has room for words.
COLUMNS = ("section", "weight", "topics", "exercises", "quiz", "exam", "answers", "estimate")
PAGE_COLUMNS = ("section", "estimate", "weight", "topics done", "exercises", "quiz, first answers", "exam")
TITLE = "Readiness for the exam"
NOTHING = "Nothing is answered yet: do a lab (`labs next`) or sit an exam (`labs exam`)."


def rows(sections: Sequence[SectionResult]) -> list[tuple[str, ...]]:
    """A row for each section, in the order of COLUMNS."""
    return [
        (
            SECTIONS[section.section].replace("-", " ", 1),
            f"{section.weight:.0%}",
            f"{section.done} of {section.topics}",
            *_parts(section),
            str(section.whole.answers),
            section.estimate or "too little",
        )
        for section in sections
    ]


def _parts(section: SectionResult) -> list[str]:
    return [str(section.tally(where)) for where in (EXERCISE, QUIZ, EXAM)]


def notes(sections: Sequence[SectionResult]) -> list[str]:
    """The whole exam in a sentence, and what the estimates rest on beside right and wrong."""
    older = sum(lab.older for section in sections for lab in section.labs)
    changed = [f"{older} of the answers are of labs that have changed since."] if older else []
    here, topics = sum(section.here for section in sections), sum(section.topics for section in sections)
    few = [str(section.section) for section in sections if section.asked < ENOUGH]
    short = [f"Too few questions in the labs here for an estimate: section {', '.join(few)}."] if few else []
    return [overall(sections), f"{here} of {topics} topics have a lab here.", *short, *changed]


def topic_lines(result: LabResult, blueprint: Blueprint) -> list[str]:
    """The topics that a lab trains, in words."""
    return [blueprint.topics[topic].text for topic in result.lab.card.topics if topic in blueprint.topics]


def readiness_text(sections: Sequence[SectionResult]) -> str:
    """What stands below the table."""
    blueprint = read_blueprint()
    lines = notes(sections) if any(section.whole.answers for section in sections) else [NOTHING]
    for title, found in (("Weakest so far", weakest(sections)), ("Not answered yet", untouched(sections))):
        lines += ["", f"{title}:"] if found else []
        for result in found:
            told = f" ({result.whole} right)" if result.whole.answers else ""
            lines.append(f"  labs start {result.lab.slug}{told}")
            lines += [f"      {text}" for text in topic_lines(result, blueprint)]
    return "\n".join(lines)


def readiness_page(sections: Sequence[SectionResult]) -> str:
    """The same as a page that needs nothing but itself."""
    blueprint = read_blueprint()
    answered = any(section.whole.answers for section in sections)
    said = notes(sections) if answered else [NOTHING.replace("`", "")]
    body: list[str] = [_sentence(text) for text in said]
    body.append(table_html(PAGE_COLUMNS, [_page_row(section) for section in sections], "Sections of the exam guide"))
    for title, found in (("Weakest so far", weakest(sections)), ("Not answered yet", untouched(sections))):
        if not found:
            continue
        entries = [(result.lab.slug, str(result.whole), _topics(result, blueprint)) for result in found]
        body.append(f"<h2>{escaped(title)}</h2>")
        body.append(table_html(("lab", "right", "topics it trains"), entries, f"Labs: {title.lower()}"))
    body += ["<h2>How it is counted</h2>", _sentence(FORMULA)]
    return page(TITLE, "\n".join(body))


def write_readiness(sections: Sequence[SectionResult], path: Path) -> str:
    """Writes the page, over an earlier one; says where it is. Raises LabError where something else is."""
    try:
        if path.exists() and f"<title>{TITLE}</title>".encode() not in path.read_bytes()[:2000]:
            raise LabError(f"--page {path}: what is there is no page of `labs readiness`. Name another file.")
        path.write_text(readiness_page(sections), encoding="utf-8")
    except OSError as error:
        raise LabError(f"--page {path}: {error.strerror or error}. Name another place.") from None
    return f"{path}: the page"


def _sentence(text: str) -> Html:
    return Html(f"<p>{escaped(text)}</p>")


def _page_row(section: SectionResult) -> tuple[object, ...]:
    count = f"{section.whole.answers} answer{'' if section.whole.answers == 1 else 's'}"
    told = f"{section.estimate}, {count}" if section.estimate else f"too little to tell: {count}"
    return (
        f"{section.section} {section.title}",
        bar(section.whole.share, told) if section.estimate else told,
        f"{section.weight:.0%}",
        f"{section.done} of {section.topics} ({section.here} have a lab)",
        *_parts(section),
    )


def _topics(result: LabResult, blueprint: Blueprint) -> Html:
    return Html("<br>".join(escaped(text) for text in topic_lines(result, blueprint)))

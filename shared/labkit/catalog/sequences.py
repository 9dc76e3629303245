"""Sequences, labs/sequences/<name>.toml: which labs, in which order, for whom; and what is wrong with one."""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labkit.catalog.card import Sentence, Slug
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.places import labs_folder
from labkit.catalog.problems import LabError, Problem

FURTHER = "Further labs of this section"
# Code -> how to mend it, where the mend is the same every time.
MENDS = {
    "S001": "labs/AUTHORING.md shows the form of a sequence.",
    "S003": "Set `minutes` to the sum of its labs' cards.",
    "S005": "Take it out of one of the two places.",
    "S006": "Move labs between the parts, or change `part_minutes`.",
    "S008": "Copy the sequence of another section and list the labs of this one.",
}


class Part(BaseModel):
    """A day, a week or a chapter of a sequence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: Sentence
    labs: tuple[Slug, ...] = Field(min_length=1)


class Sheet(BaseModel):
    """The fields of a sequence's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: Sentence
    audience: Sentence = Field(alias="for")
    minutes: int | None = Field(default=None, ge=0)
    section: int | None = Field(default=None, ge=1, le=6)
    assumes: tuple[Slug, ...] = ()
    part_minutes: tuple[int, int] | None = None
    parts: tuple[Part, ...] = Field(alias="part", min_length=1)

    @model_validator(mode="after")
    def _sum(self) -> Sheet:
        # A section's grows with the collection: its minutes are counted, and stand in no file.
        if (self.minutes is None) != (self.section is not None):
            raise ValueError("`minutes` stands in every sequence but that of a section")
        return self


@dataclass(frozen=True)
class Sequence:
    """Labs in the order in which they are done.

    `section`: the one of which it holds every lab, those that its file does not name in a last part; None for a
    sequence by role or length. `assumes`: labs that its
    learners have done before. `part_minutes`: the least and the most minutes of a part, where parts are days or weeks.
    """

    name: str
    path: Path
    title: str
    audience: str
    minutes: int
    section: int | None
    assumes: tuple[str, ...]
    part_minutes: tuple[int, int] | None
    parts: tuple[Part, ...]

    @property
    def labs(self) -> tuple[str, ...]:
        """The slugs of all parts, in order."""
        return tuple(slug for part in self.parts for slug in part.labs)


def sequence_files() -> list[Path]:
    return sorted((labs_folder() / "sequences").glob("*.toml"))


def read_sequence(path: Path) -> Sequence | list[Problem]:
    """The sequence in a file, or every rule of its form that it violates."""
    try:
        sheet = Sheet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [Problem("S001", path, f"not TOML: {error}", "Mend the syntax.")]
    except ValidationError as error:
        return [_of_form(path, found) for found in error.errors()]
    fields = {name: getattr(sheet, name) for name in Sheet.model_fields}
    if sheet.section is not None:
        labs = {lab.slug: lab for lab in read_labs()[0]}
        fields["parts"] = parts = (*sheet.parts, *_further(sheet, labs))
        fields["minutes"] = minutes_of((slug for part in parts for slug in part.labs), labs)
    return Sequence(name=path.stem, path=path, **fields)


def _further(sheet: Sheet, labs: dict[str, LabFolder]) -> Iterator[Part]:
    """The labs of a section that no part names, each after its prerequisites: a new lab is in it by being there."""
    named = {slug for part in sheet.parts for slug in part.labs}
    waiting = [slug for slug, lab in labs.items() if lab.card.section == sheet.section and slug not in named]
    ordered: list[str] = []
    while waiting:
        ready = [slug for slug in waiting if not set(labs[slug].card.prerequisites) & set(waiting)]
        ordered += ready or waiting  # prerequisites in a circle: `check_sequences` says so
        waiting = [slug for slug in waiting if slug not in ordered]
    if ordered:
        yield Part(title=FURTHER, labs=tuple(ordered))


def _of_form(path: Path, found: Any) -> Problem:
    field = ".".join(str(part) for part in found["loc"])
    return Problem("S001", path, f"field `{field}`: {found['msg'].lower()}", MENDS["S001"])


def read_sequences() -> list[Sequence]:
    """The sequences that are well formed, those of the sections first; `check_sequences` reports the others."""
    read = (read_sequence(path) for path in sequence_files())
    sequences = [sequence for sequence in read if isinstance(sequence, Sequence)]
    return sorted(sequences, key=lambda sequence: (sequence.section or 7, sequence.name))


def find_sequence(name: str) -> Sequence:
    """The sequence of that name. Raises LabError, with the nearest names, when there is none or its form is wrong."""
    files = {path.stem: path for path in sequence_files()}
    if name in files:
        sequence = read_sequence(files[name])
        if isinstance(sequence, Sequence):
            return sequence
        raise LabError(str(sequence[0]))
    near = difflib.get_close_matches(name, files, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`labs sequences` shows the sequences."
    raise LabError(f"No sequence is called {name!r}. {hint}")


def minutes_of(slugs: Iterable[str], labs: dict[str, LabFolder]) -> int:
    """The sum of the minutes on the cards of those labs that are there."""
    return sum(labs[slug].card.minutes for slug in slugs if slug in labs)


def table_of(sequence: Sequence) -> Iterator[tuple[str, str, str, str]]:
    """Part, lab, title and minutes, a row a lab; the part's title and minutes stand in its first row."""
    found, _ = read_labs()
    labs = {lab.slug: lab for lab in found}
    for part in sequence.parts:
        head = f"{part.title} ({minutes_of(part.labs, labs)} minutes)"
        for place, slug in enumerate(part.labs):
            lab = labs.get(slug)
            known = (lab.card.title, str(lab.card.minutes)) if lab else ("not in this collection", "")
            yield ("" if place else head, slug, *known)


def check_sequences() -> list[Problem]:
    """Every rule that a sequence violates, and sections of which the labs are in no sequence."""
    found, _ = read_labs()
    labs = {lab.slug: lab for lab in found}
    problems: list[Problem] = []
    for path in sequence_files():
        sequence = read_sequence(path)
        problems += _problems(sequence, labs) if isinstance(sequence, Sequence) else sequence
    held = {sequence.section for sequence in read_sequences()}
    for section in sorted({lab.card.section for lab in found} - held):
        where = labs_folder() / "sequences" / f"section-{section}.toml"
        problems.append(Problem("S008", where, f"no sequence has `section = {section}`", MENDS["S008"]))
    return problems


def _problems(sequence: Sequence, labs: dict[str, LabFolder]) -> Iterator[Problem]:
    yield from _names(sequence, labs)
    yield from _order(sequence, labs)
    yield from _foreign(sequence, labs)
    yield from _minutes(sequence, labs)


def _names(sequence: Sequence, labs: dict[str, LabFolder]) -> Iterator[Problem]:
    for slug in dict.fromkeys((*sequence.labs, *sequence.assumes)):
        if slug not in labs:
            near = difflib.get_close_matches(slug, labs, n=1)
            mend = f"Did you mean `{near[0]}`?" if near else "Use labs that are there: `labs list` shows them."
            yield Problem("S002", sequence.path, f"unknown lab `{slug}`", mend)
    for slug, times in Counter(sequence.labs).items():
        if times > 1:
            yield Problem("S005", sequence.path, f"the lab `{slug}` stands in it {times} times", MENDS["S005"])
    for slug in sorted(set(sequence.labs) & set(sequence.assumes)):
        yield Problem("S005", sequence.path, f"`assumes` names `{slug}`, which is a lab of its parts", MENDS["S005"])


def _order(sequence: Sequence, labs: dict[str, LabFolder]) -> Iterator[Problem]:
    done = set(sequence.assumes)
    for slug in sequence.labs:
        for before in labs[slug].card.prerequisites if slug in labs else ():
            if before not in labs or before in done:
                continue
            if before in sequence.labs:
                mend = f"Move `{before}` before `{slug}`."
            else:
                mend = f"Put `{before}` before `{slug}`, or name it in `assumes`."
            yield Problem("S004", sequence.path, f"`{slug}` comes before its prerequisite `{before}`", mend)
        done.add(slug)


def _foreign(sequence: Sequence, labs: dict[str, LabFolder]) -> Iterator[Problem]:
    """A section's sequence holds no lab of another one."""
    if sequence.section is None:
        return
    for slug in sequence.labs:
        if slug in labs and labs[slug].card.section != sequence.section:
            what = f"`{slug}` is a lab of section {labs[slug].card.section}, not of {sequence.section}"
            yield Problem("S007", sequence.path, what, "Name it in `assumes` where a lab needs it.")


def _minutes(sequence: Sequence, labs: dict[str, LabFolder]) -> Iterator[Problem]:
    total = minutes_of(sequence.labs, labs)
    if total != sequence.minutes:
        what = f"`minutes` is {sequence.minutes}, its labs take {total}"
        yield Problem("S003", sequence.path, what, MENDS["S003"])
    for part in sequence.parts if sequence.part_minutes else ():
        least, most = sequence.part_minutes or (0, 0)
        minutes = minutes_of(part.labs, labs)
        if not least <= minutes <= most:
            what = f"part {part.title!r} takes {minutes} minutes, not {least} to {most}"
            yield Problem("S006", sequence.path, what, MENDS["S006"])

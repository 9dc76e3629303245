"""Which lab comes next: what was begun, then the sequence, then where the exam weighs most and least is done."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.catalog import LabError
from labkit.catalog.blueprint import exam_weights, read_blueprint
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.places import home
from labkit.catalog.sequences import Sequence, find_sequence
from labkit.lesson.exercise import CORRECT
from labkit.lesson.journal import progress_file, read_events
from labkit.lesson.outline import read_outline
from labkit.lesson.standing import LabStanding, standing

AT_MOST = 3


@dataclass(frozen=True)
class Proposal:
    """A lab and why it is proposed."""

    lab: LabFolder
    reason: str


class Board:
    """The labs that are there, and what one learner has done of them.

    `labs`: by slug. `standings`: as `standing` gives them. `weights`: the share of the exam of each section.
    """

    def __init__(
        self, labs: Mapping[str, LabFolder], standings: Mapping[str, LabStanding], weights: Mapping[int, float]
    ) -> None:
        self.labs, self.weights = labs, weights
        self.begun = {slug: found for slug, found in standings.items() if slug in labs}
        self.open: dict[str, list[str]] = {}
        self.done: set[str] = set()
        self.share = dict.fromkeys(labs, 0.0)
        for slug, found in self.begun.items():
            names = read_outline(labs[slug].folder).exercises
            self.open[slug] = found.open_exercises(names)
            correct = sum(found.exercises[name].outcome == CORRECT for name in names if name in found.exercises)
            self.share[slug] = correct / len(names) if names else float(found.finished)
            if found.done(names):
                self.done.add(slug)

    def ready(self, slug: str, assumed: tuple[str, ...] = ()) -> bool:
        """Whether a lab is still to be done, and every lab that it needs and that is there is done or assumed."""
        needed = [name for name in self.labs[slug].card.prerequisites if name in self.labs]
        return slug not in self.done and all(name in self.done or name in assumed for name in needed)

    def need(self, slug: str) -> float:
        """The weight of the lab's section times the share of that section's exercises, lab by lab, that is missing."""
        own = self.of_section(slug)
        missing = sum(1 - self.share[name] for name in own) / len(own)
        return self.weights.get(self.labs[slug].card.section, 0.0) * missing

    def of_section(self, slug: str) -> list[str]:
        """The labs of the section that this lab is of."""
        return [name for name, lab in self.labs.items() if lab.card.section == self.labs[slug].card.section]

    def unlocks(self, slug: str) -> int:
        """How many labs need this one."""
        return sum(slug in lab.card.prerequisites for lab in self.labs.values())


def propose(board: Board, sequence: Sequence | None = None, without: str = "") -> list[Proposal]:
    """At most three labs, the best first. `without`: a lab that is not proposed."""
    begun = _begun(board, without, sequence)
    taken = [without, *(one.lab.slug for one in begun)]
    further = _of_sequence(board, sequence, taken) if sequence is not None else []
    return [*begun, *(further or _by_weight(board, taken))][:AT_MOST]


def _begun(board: Board, without: str, sequence: Sequence | None) -> list[Proposal]:
    """The lab that was worked on last, when it is not done; for who follows a sequence, a lab of it."""
    left = [found for slug, found in board.begun.items() if slug not in board.done and slug != without]
    if sequence is not None:
        left = [found for found in left if found.slug in sequence.labs]
    if not left:
        return []
    last = max(left, key=lambda found: found.last)
    missing = board.open[last.slug]
    what = f"open: {', '.join(missing)}" if missing else "its last cell was not run"
    return [Proposal(board.labs[last.slug], f"you have begun it; {what}")]


def _of_sequence(board: Board, sequence: Sequence, taken: list[str]) -> list[Proposal]:
    left = [slug for slug in sequence.labs if slug in board.labs and slug not in taken]
    ready = [slug for slug in left if board.ready(slug, sequence.assumes)]
    return [Proposal(board.labs[slug], f'next in "{sequence.title}"; {_needs(board, slug)}') for slug in ready]


def _by_weight(board: Board, taken: list[str]) -> list[Proposal]:
    """One from each section, that with the greatest need first; in a section, a lab that others need comes first."""
    ready = [slug for slug in board.labs if slug not in taken and board.ready(slug)]
    ready.sort(key=lambda slug: (-board.need(slug), *_order(board, slug)))
    heads: dict[int, str] = {}
    for slug in ready:
        heads.setdefault(board.labs[slug].card.section, slug)
    chosen = [*heads.values(), *(slug for slug in ready if slug not in heads.values())]
    return [Proposal(board.labs[slug], f"{_weight(board, slug)}; {_needs(board, slug)}") for slug in chosen]


def _order(board: Board, slug: str) -> tuple[float, int, int, str]:
    return -board.share[slug], -board.unlocks(slug), board.labs[slug].card.minutes, slug


def _weight(board: Board, slug: str) -> str:
    section, own = board.labs[slug].card.section, board.of_section(slug)
    share = f"{100 * board.weights.get(section, 0.0):.0f} %"
    return f"section {section} is {share} of the exam; done there: {len(board.done & set(own))} of {len(own)} labs"


def _needs(board: Board, slug: str) -> str:
    needed = [name for name in board.labs[slug].card.prerequisites if name in board.labs]
    if not needed:
        return "it needs no other lab"
    done = [name for name in needed if name in board.done]
    return f"what it needs is done: {', '.join(needed)}" if done == needed else "what it needs is assumed"


def followed() -> Sequence | None:
    """The sequence of the class whose archive this is, as class.toml says; none elsewhere."""
    try:
        name = tomllib.loads((home() / "class.toml").read_text(encoding="utf-8")).get("sequence")
        return find_sequence(name) if isinstance(name, str) and name else None
    except (FileNotFoundError, tomllib.TOMLDecodeError, UnicodeDecodeError, LabError):
        return None  # a class of single labs has no sequence


def read_board(standings: Mapping[str, LabStanding]) -> Board:
    """The board of this collection."""
    labs, _ = read_labs()
    return Board({lab.slug: lab for lab in labs}, standings, exam_weights(read_blueprint()))


def next_line(slug: str) -> list[str]:
    """What the summary of a lab says about the next one; nothing when there is none to propose."""
    try:
        events, _ = read_events(progress_file())
        found = propose(read_board(standing(events)), followed(), without=slug)
    except (OSError, LabError):
        return []  # a broken card elsewhere must not spoil the end of this lab
    return [f"next: `labs start {found[0].lab.slug}` ({found[0].reason})"] if found else []

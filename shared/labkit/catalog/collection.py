"""The labs that are there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.catalog.card import Card, read_card
from labkit.catalog.places import labs_folder
from labkit.catalog.problems import LabError, Problem


@dataclass(frozen=True)
class LabFolder:
    """One lab: its folder and its card."""

    folder: Path
    card: Card

    @property
    def slug(self) -> str:
        return self.folder.name

    @property
    def handed_out(self) -> bool:
        """Whether it is a class's copy, which has no solution (see `classroom.handout`)."""
        return (self.folder / "handout.toml").exists() and not (self.folder / "lab.py").exists()

    @property
    def source(self) -> Path:
        """lab.py. Raises LabError for a lab that was handed out: it has none."""
        if self.handed_out:
            raise LabError(
                f"{self.slug} is a class's copy, without its source. This command is for the collection that it was "
                "made from; `labs start` opens the lab."
            )
        return self.folder / "lab.py"

    @property
    def notebook(self) -> Path:
        return self.folder / "lab.ipynb"


def lab_folders() -> list[Path]:
    """Every folder labs/<section>/<slug> with a card, in order of section and slug."""
    return sorted(card.parent for card in labs_folder().glob("[1-6]-*/*/lab.toml"))


def read_labs() -> tuple[list[LabFolder], list[Problem]]:
    """All labs with a valid card, and what is wrong with the other cards."""
    labs, problems = [], []
    for folder in lab_folders():
        card = read_card(folder / "lab.toml")
        if isinstance(card, Card):
            labs.append(LabFolder(folder, card))
        else:
            problems += card
    return labs, problems


def need_sources(slugs: Iterable[str]) -> None:
    """Raises LabError when one of these labs, or of all where none is named, was handed out without its source."""
    wanted = set(slugs)
    for folder in lab_folders():
        card = read_card(folder / "lab.toml") if not wanted or folder.name in wanted else None
        if isinstance(card, Card):
            LabFolder(folder, card).source  # noqa: B018 – it raises


def find_lab(slug: str) -> LabFolder:
    """The lab of that name. Raises LabError, with the nearest names, when there is none."""
    for folder in lab_folders():
        if folder.name == slug:
            card = read_card(folder / "lab.toml")
            if isinstance(card, Card):
                return LabFolder(folder, card)
            raise LabError(str(card[0]))
    near = difflib.get_close_matches(slug, [folder.name for folder in lab_folders()], n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`labs list` shows the labs."
    raise LabError(f"No lab is called {slug!r}. {hint}")

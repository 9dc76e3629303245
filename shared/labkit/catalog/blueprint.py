"""The exam guides as data: topics, planned labs, and how much of each guide the labs cover."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from labkit.catalog.places import labs_folder
from labkit.catalog.problems import Problem


@dataclass(frozen=True)
class Topic:
    """One topic; `guides` has, for each guide version that names it, that guide's sections ("2.1")."""

    id: str
    text: str
    section: int
    lab: str
    kind: str
    guides: dict[str, tuple[str, ...]] = field(hash=False)


@dataclass(frozen=True)
class Plan:
    """A planned lab."""

    slug: str
    section: int
    objective: str
    experiment: str
    cloud: str


@dataclass(frozen=True)
class Blueprint:
    topics: dict[str, Topic]
    plans: dict[str, Plan]
    guides: dict[str, dict[str, Any]]
    sections: dict[int, str]

    def section_title(self, guide: str, section: int) -> str:
        """What a guide calls its section; most are organised in the same six."""
        own = self.guides[guide].get("sections", {})
        return str(own.get(str(section), self.sections[section]))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_blueprint(folder: Path | None = None) -> Blueprint:
    """The blueprint in `folder` (default: labs/blueprint)."""
    return _read(folder or labs_folder() / "blueprint")


@cache
def _read(folder: Path) -> Blueprint:
    meta = tomllib.loads((folder / "guides.toml").read_text(encoding="utf-8"))
    topics = {}
    for row in _rows(folder / "topics.csv"):
        named = {version: tuple(filter(None, row[f"guide_{version}"].split(";"))) for version in meta["guides"]}
        guides = {version: sections for version, sections in named.items() if sections}
        topics[row["id"]] = Topic(row["id"], row["topic"], int(row["section"]), row["lab"], row["kind"], guides)
    plans = {
        row["slug"]: Plan(row["slug"], int(row["section"]), row["objective"], row["experiment"], row["cloud"])
        for row in _rows(folder / "labs.csv")
    }
    sections = {int(number): title for number, title in meta["sections"].items()}
    return Blueprint(topics, plans, meta["guides"], sections)


def exam_weights(blueprint: Blueprint) -> dict[int, float]:
    """The share of the exam that each section has, summing to 1: of the newest guide that publishes weights.

    Where none does, every section weighs the same.
    """
    published = [guide["weights"] for _, guide in sorted(blueprint.guides.items()) if "weights" in guide]
    weights = {int(section): float(weight) for section, weight in (published[-1] if published else {}).items()}
    weights = weights or dict.fromkeys(blueprint.sections, 1.0)
    total = sum(weights.values())
    return {section: weight / total for section, weight in sorted(weights.items())}


@dataclass(frozen=True)
class Coverage:
    """How many topics of one section of one guide have a lab that is there, and how many are only planned."""

    guide: str
    section: int
    covered: int
    planned: int


def coverage(blueprint: Blueprint, covered: set[str]) -> list[Coverage]:
    """One row for each guide version and section of it. `covered`: ids of topics on the cards of existing labs."""
    rows = []
    for guide in blueprint.guides:
        named = {t.id: {int(s.split(".")[0]) for s in t.guides.get(guide, ())} for t in blueprint.topics.values()}
        for section in sorted(set().union(*named.values())):
            ids = {id for id, sections in named.items() if section in sections}
            rows.append(Coverage(guide, section, len(ids & covered), len(ids - covered)))
    return rows


def check_blueprint(blueprint: Blueprint, slugs: set[str], folder: Path | None = None) -> list[Problem]:
    """Topics whose lab is neither there nor planned, and topics that no guide names."""
    where = (folder or labs_folder() / "blueprint") / "topics.csv"
    problems = []
    for topic in blueprint.topics.values():
        if topic.lab not in slugs and topic.lab not in blueprint.plans:
            what = f"topic {topic.id} belongs to the lab `{topic.lab}`, which is neither there nor planned"
            problems.append(Problem("B001", where, what, "Name a lab of labs.csv, or plan this one there."))
        if not topic.guides:
            problems.append(Problem("B002", where, f"topic {topic.id} is in no guide", "Fill a guide_ column."))
    return problems

"""The part of README.md that is generated from the cards: the table of labs."""

from __future__ import annotations

from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import read_labs
from labkit.catalog.places import home
from labkit.catalog.problems import LabError

BEGIN, END = "<!-- labs: begin, written by `labs readme` -->", "<!-- labs: end -->"


def table_of_labs() -> str:
    """The labs as a Markdown table, and how many topics of the blueprint they cover."""
    labs, _ = read_labs()
    blueprint = read_blueprint()
    rows = ["| section | lab | minutes | environment | topics |", "|---|---|---|---|---|"]
    for lab in labs:
        link = f"[{lab.card.title}](labs/{lab.folder.parent.name}/{lab.slug}/lab.ipynb)"
        cells = [str(lab.card.section), link, str(lab.card.minutes), lab.card.environment, " ".join(lab.card.topics)]
        rows.append(f"| {' | '.join(cells)} |")
    covered = {topic for lab in labs for topic in lab.card.topics}
    rows += [
        "",
        f"{len(labs)} of {len(blueprint.plans)} planned labs, {len(covered)} of {len(blueprint.topics)} topics.",
    ]
    return "\n".join(rows)


def update_readme(write: bool = True) -> bool:
    """Puts the table between its marks; returns whether it had to change. Raises LabError without the marks."""
    path = home() / "README.md"
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise LabError(f"{path}: the marks {BEGIN!r} and {END!r} are missing. Put them where the table belongs.")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    new = f"{head}{BEGIN}\n{table_of_labs()}\n{END}{tail}"
    if new != text and write:
        path.write_text(new, encoding="utf-8")
    return new != text

"""The pages that lead to others: home, the labs by section, sequences, health."""

from __future__ import annotations

import re
from pathlib import Path

from labkit.catalog.collection import LabFolder
from labkit.catalog.places import home
from labkit.catalog.problems import LabError
from labkit.catalog.sequences import Sequence
from labkit.site.addresses import Published, document, lab_page_path
from labkit.site.lab_page import Collection
from labkit.site.last_runs import Health, health_of
from labkit.site.markdown import Markdown, hidden_toctree, items, link, table, text

PICTURE = ".github/readme.png"


def overview_pages(collection: Collection) -> dict[str, str]:
    """Path among the sources -> Markdown."""
    sections = {folder: labs for folder, labs in by_section(collection).items() if labs}
    pages = {f"/labs/{folder}/index.md": section_page(labs, collection) for folder, labs in sections.items()}
    pages["/labs/index.md"] = labs_page(sections, collection)
    pages["/sequences.md"] = sequences_page(collection)
    pages["/health.md"] = health_page(collection)
    pages["/index.md"] = home_page(collection)
    return pages


def by_section(collection: Collection) -> dict[str, list[LabFolder]]:
    """The labs of each section's folder, in the order of the section's sequence where there is one."""
    order: dict[str, int] = {}
    for sequence in collection.sequences:
        if sequence.section is not None:
            order |= {slug: place for place, slug in enumerate(sequence.labs)}
    folders: dict[str, list[LabFolder]] = {}
    for lab in sorted(collection.labs.values(), key=lambda lab: (lab.card.section, order.get(lab.slug, 999), lab.slug)):
        folders.setdefault(lab.folder.parent.name, []).append(lab)
    return folders


def _lab_table(labs: list[LabFolder], caption: str) -> Markdown:
    rows = [
        [link(lab.card.title, lab_page_path(lab)), lab.card.minutes, lab.card.environment, " ".join(lab.card.topics)]
        for lab in labs
    ]
    return table(["lab", "minutes", "environment", "topics"], rows, caption)


def _section_title(section: int, collection: Collection) -> str:
    return f"{section}. {collection.blueprint.sections[section]}"


def section_page(labs: list[LabFolder], collection: Collection) -> str:
    section = labs[0].card.section
    planned = [
        Markdown(f"{text(plan.slug)}: {text(plan.objective)}")
        for plan in collection.blueprint.plans.values()
        if plan.section == section and plan.slug not in collection.labs
    ]
    parts = [f"# {text(_section_title(section, collection))}", _lab_table(labs, "Labs, in the order to do them in")]
    if planned:
        parts += ["## Planned", items(planned)]
    return "\n\n".join([*parts, hidden_toctree(document(lab_page_path(lab)) for lab in labs)])


def labs_page(sections: dict[str, list[LabFolder]], collection: Collection) -> str:
    there = len(collection.labs)
    minutes = sum(lab.card.minutes for lab in collection.labs.values())
    about = f"{there} of {len(collection.blueprint.plans)} planned labs are there, {minutes / 60:.0f} hours in all."
    parts = ["# Labs", about]
    for folder, labs in sections.items():
        title = text(_section_title(labs[0].card.section, collection))
        parts += [f"## {title}", _lab_table(labs, f"Labs of section {labs[0].card.section}")]
        parts.append(link("Planned labs of this section", f"/labs/{folder}/index.md"))
    return "\n\n".join([*parts, hidden_toctree(f"/labs/{folder}/index" for folder in sections)])


def sequences_page(collection: Collection) -> str:
    about = "Labs in an order that respects their prerequisites: by section, by role, by length."
    how = "`labs start <slug>` gives you a copy of a lab; `labs assign <sequence>` packs a whole sequence for a class."
    return "\n\n".join(["# Sequences", about, how, *(_sequence(each, collection) for each in collection.sequences)])


def _sequence(sequence: Sequence, collection: Collection) -> str:
    rows: list[list[object]] = []
    for part in sequence.parts:
        for slug in part.labs:
            minutes = collection.labs[slug].card.minutes if slug in collection.labs else ""
            rows.append([part.title, collection.named(slug), minutes])
    after = ", ".join(collection.named(slug) for slug in sequence.assumes)
    facts = [
        Markdown(f"Name for the commands: `{sequence.name}`"),
        f"{sequence.minutes} minutes, {sequence.minutes / 60:.1f} hours",
        *([Markdown(f"Assumes: {after}")] if after else []),
    ]
    listed = table(["part", "lab", "minutes"], rows, sequence.title)
    return "\n\n".join(
        [f"(sequence-{sequence.name})=\n## {text(sequence.title)}", text(sequence.audience), items(facts), listed]
    )


def health_page(collection: Collection) -> str:
    """The last run of each lab that passed on the machine that made the site."""
    rows = [_health_row(lab, health_of(lab.slug)) for labs in by_section(collection).values() for lab in labs]
    about = (
        "The last time that each lab ran from its first cell to its last on the machine that made these pages, with "
        "every claim holding. Memory is the peak of the kernel and its children; the lock is the beginning of the hash "
        "of the environment's list of packages."
    )
    head = ["lab", "last pass", "seconds", "MiB", "environment", "lock", "claims", "since then"]
    return "\n\n".join(["# Health", about, table(head, rows, "Last passed run of each lab")])


def _health_row(lab: LabFolder, health: Health) -> list[object]:
    name = link(lab.card.title, lab_page_path(lab))
    since = f"failed on {health.failed_date[:10]}: {health.failed}" if health.failed else ""
    run = health.passed
    if run is None:
        return [name, "not run on this machine yet", "", "", lab.card.environment, "", "", since]
    date = Markdown(f"[{text(run.date[:10])}]{{.moment}} {text(run.date[11:16])}")
    return [name, date, f"{run.seconds:.0f}", f"{run.peak_mib:.0f}", run.environment, run.lock, run.claims, since]


def home_page(collection: Collection) -> str:
    """What it is and how to start, from README.md; and where everything is."""
    readme = (home() / "README.md").read_text(encoding="utf-8")
    there = ", ".join(
        [
            str(link(f"{len(collection.labs)} labs", "/labs/index.md")),
            str(link("sequences", "/sequences.md")),
            str(link("the blueprint map", "/blueprint/index.md")),
            str(link("the health of every lab", "/health.md")),
        ]
    )
    parts = [_relinked(part, collection.at) for part in (introduction(readme), section_of(readme, "Start"))]
    order = hidden_toctree(["labs/index", "sequences", "blueprint/index", "health"])
    return "\n\n".join([parts[0], f"**Here:** {there}.", f"## Start\n\n{parts[1]}", order])


def introduction(readme: str) -> str:
    """README.md up to its first section. Raises LabError without a title."""
    if not readme.startswith("# "):
        raise LabError("README.md does not start with a line `# <title>`. The site's home page is made from it.")
    return readme.split("\n## ", 1)[0].strip()


def section_of(readme: str, title: str) -> str:
    """The text of a section of README.md. Raises LabError when there is none of that title."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LabError(f"README.md has no section `## {title}`. The site's home page is made from it.")
    return found[1].strip()


def _relinked(markdown: str, at: Published | None) -> str:
    """Links into the checkout lead to GitHub where its address is known, else they become text; pictures stay."""

    def changed(found: re.Match[str]) -> str:
        mark, title, address = found.groups()
        if re.match(r"[a-z]+:|#", address):
            return found[0]
        if mark:
            return f"![{title}](/_static/{Path(address).name})"
        return f"[{title}]({at.address('GitHub', address)})" if at else title

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", changed, markdown)

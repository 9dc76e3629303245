"""A lab's page: its stored notebook with the outputs, and its card below the title."""

from __future__ import annotations

import re

import nbformat
from nbformat import NotebookNode

from labkit.catalog.blueprint import Blueprint
from labkit.catalog.cloud import read_services
from labkit.catalog.collection import LabFolder
from labkit.catalog.prices import read_prices
from labkit.catalog.problems import LabError
from labkit.catalog.sequences import Sequence
from labkit.lesson.messages import COLOURS
from labkit.site.addresses import Published, lab_page_path, open_links, topic_anchor
from labkit.site.alternative_text import alternative_text
from labkit.site.last_runs import health_of, summary
from labkit.site.markdown import Markdown, container, definitions, link, text

NO_LINKS = "Open-in links need the address of the collection: `repository` in pyproject.toml's `[tool.labs]`."


class Collection:
    """What a lab's page says about other things: the labs that are there, the blueprint, the sequences, the address."""

    def __init__(
        self, labs: list[LabFolder], blueprint: Blueprint, sequences: list[Sequence], at: Published | None
    ) -> None:
        self.labs = {lab.slug: lab for lab in labs}
        self.blueprint = blueprint
        self.sequences = sequences
        self.at = at

    def named(self, slug: str) -> Markdown:
        """A link to a lab that is there; else its name, and that it is planned."""
        lab = self.labs.get(slug)
        return link(lab.card.title, lab_page_path(lab)) if lab else Markdown(f"{text(slug)} (planned)")

    def topic(self, name: str) -> Markdown:
        """A topic with its text and the sections of each guide that names it, which are links."""
        topic = self.blueprint.topics[name]
        guides = []
        for guide, sections in topic.guides.items():
            address = f"#{topic_anchor(name, guide)}"
            guides.append(str(link(f"{guide}: {', '.join(sections)}", address)))
        return Markdown(f"{text(name)} {text(topic.text)} (exam guide {', '.join(guides)})")


def lab_page(lab: LabFolder, collection: Collection) -> NotebookNode:
    """The notebook to show. Raises LabError when the stored one is missing or does not start with its title."""
    if not lab.notebook.exists():
        raise LabError(f"{lab.notebook}: no notebook. Run `labs build {lab.slug}`.")
    notebook: NotebookNode = nbformat.read(lab.notebook, as_version=4)
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise LabError(f"{lab.notebook}: the first cell must be Markdown and start with `# <title>`. Mend lab.py.")
    title, _, scenario = first.source.partition("\n")
    first.source = f"{title}\n\n{card(lab, collection)}\n{scenario}"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            _prepare(cell)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook


def _prepare(cell: NotebookNode) -> None:
    """Says what plots show, and gives the colours of messages names, so that the page can choose them."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            cell.metadata["mystnb"] = {"image": {"alt": alternative_text(cell.source)}}
        if "text/html" in data:
            data["text/html"] = _named_colours(data["text/html"])


def _named_colours(html: str) -> str:
    """The inline colours of `labkit.lesson.messages` as variables; what was there is the fallback."""
    for mood, colour in COLOURS.items():
        html = re.sub(rf"(solid |color:){colour}\b", rf"\1var(--mood-{mood},{colour})", html)
    return html


def card(lab: LabFolder, collection: Collection) -> Markdown:
    """Objectives, time, prerequisites, topics, cloud and health of a lab."""
    facts = lab.card
    sequences = [
        link(sequence.title, f"#sequence-{sequence.name}")
        for sequence in collection.sequences
        if lab.slug in sequence.labs
    ]
    terms: list[tuple[str, object | list[object]]] = [
        ("Objectives", list(facts.objectives)),
        ("Time", f"{facts.minutes} minutes with the exercises"),
        ("Environment", Markdown(f"`{facts.environment}`, start with `nox -s lab -- {lab.slug}`")),
        ("Before it", [collection.named(slug) for slug in facts.prerequisites] or "nothing"),
        ("Topics", [collection.topic(name) for name in facts.topics]),
        ("On Google Cloud", cloud(lab)),
        ("Sequences", list(sequences) or "none"),
        ("Health", summary(health_of(lab.slug))),
        ("Open in", _open_in(lab, collection.at)),
    ]
    return container("card", definitions(terms))


def cloud(lab: LabFolder) -> str:
    """Services and the most that a run costs, with the day on which the oldest of the prices was read."""
    names = ", ".join(read_services()[name].title for name in lab.card.cloud.services)
    seen = min(source.seen for source in read_prices().sources.values())
    cost = f"at most {lab.card.cloud.max_cost_usd:.2f} USD a run, by list prices read since {seen}"
    extra = f"; without a price: {' '.join(lab.card.cloud.unpriced)}" if lab.card.cloud.unpriced else ""
    return f"{names}: {cost}{extra}"


def _open_in(lab: LabFolder, at: Published | None) -> Markdown:
    links = [str(link(place, address)) for place, address in open_links(lab, at)]
    if not links:
        return Markdown(NO_LINKS)
    how = "Colab and Workbench open the notebook alone; to run it there, clone the whole collection first."
    return Markdown(f"{' · '.join(links)}. {how}")

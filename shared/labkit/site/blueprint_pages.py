"""The blueprint map: for each version of the exam guide its topics by section, and the lab that trains each."""

from __future__ import annotations

import csv
from collections import defaultdict

from labkit.catalog.blueprint import Topic
from labkit.catalog.places import labs_folder
from labkit.site.addresses import document, guide_path, topic_anchor
from labkit.site.lab_page import Collection
from labkit.site.markdown import Markdown, hidden_toctree, link, table, text


def blueprint_pages(collection: Collection) -> dict[str, str]:
    """Path among the sources -> Markdown: a page for each guide, one with names of products, and the way to them."""
    pages = {guide_path(guide): guide_page(guide, collection) for guide in collection.blueprint.guides}
    pages["/blueprint/products.md"] = products_page()
    pages["/blueprint/index.md"] = index_page(collection, list(pages))
    return pages


def labs_by_topic(collection: Collection) -> dict[str, list[str]]:
    """The labs that are there, by the topics on their cards."""
    found = defaultdict(list)
    for lab in collection.labs.values():
        for topic in lab.card.topics:
            found[topic].append(lab.slug)
    return found


def index_page(collection: Collection, paths: list[str]) -> str:
    blueprint = collection.blueprint
    there = set(labs_by_topic(collection))
    rows = []
    for guide, facts in blueprint.guides.items():
        named = {topic.id for topic in blueprint.topics.values() if guide in topic.guides}
        covered, planned = len(named & there), len(named - there)
        rows.append([link(guide, guide_path(guide)), facts["title"], covered, planned])
    about = (
        "Every topic of each version of the guide, with the lab that trains it. A topic may stand in several sections."
    )
    head = ["guide", "what it is", "topics with a lab", "topics planned"]
    more = f"{link('Product names, old and new', '/blueprint/products.md')}."
    body = [table(head, rows, "Versions of the exam guide"), more, hidden_toctree(document(path) for path in paths)]
    return "\n\n".join(["# Blueprint map", about, *body])


def guide_page(guide: str, collection: Collection) -> str:
    """The topics of one guide, a table for each of its sections."""
    blueprint = collection.blueprint
    facts = blueprint.guides[guide]
    there = labs_by_topic(collection)
    parts = [f"# Exam guide {guide}", f"{text(facts['title'])}."]
    if not facts.get("complete"):
        parts.append("Only what is new in this version; the other topics stand in an earlier one.")
    seen: set[str] = set()
    for section in sorted(
        {_section(number) for topic in blueprint.topics.values() for number in topic.guides.get(guide, ())}
    ):
        weight = facts.get("weights", {}).get(str(section))
        title = f"{section}. {blueprint.section_title(guide, section)}"
        parts.append(f"## {text(title)}" + (f" ({weight} per cent)" if weight else ""))
        parts.append(_topics(guide, section, there, collection, seen))
    return "\n\n".join(parts)


def _section(number: str) -> int:
    """The section that a number of a guide belongs to: 2 for "2.1"."""
    return int(number.split(".")[0])


def _topics(guide: str, section: int, there: dict[str, list[str]], collection: Collection, seen: set[str]) -> Markdown:
    """The table of one section. `seen`: the topics that stand in an earlier one, and from now on in this one."""
    rows = []
    with_lab = 0
    for topic in collection.blueprint.topics.values():
        own = [number for number in topic.guides.get(guide, ()) if _section(number) == section]
        if not own:
            continue
        # The first row of a topic is where links to it lead.
        name = topic.id if topic.id in seen else f"[{topic.id}]{{#{topic_anchor(topic.id, guide)}}}"
        seen.add(topic.id)
        with_lab += topic.id in there
        rows.append([Markdown(name), topic.text, ", ".join(own), _labs(topic, there, collection)])
    caption = f"{with_lab} of {len(rows)} topics have a lab"
    return table(["topic", "what it is", "guide", "lab"], rows, caption)


def _labs(topic: Topic, there: dict[str, list[str]], collection: Collection) -> Markdown:
    slugs = there.get(topic.id) or [topic.lab]
    return Markdown(", ".join(collection.named(slug) for slug in slugs))


def products_page() -> str:
    """What products were called, and what they are called now."""
    with (labs_folder() / "blueprint" / "products.csv").open(encoding="utf-8", newline="") as file:
        rows = [[row["old"], row["now"], row["status"], row["checked"]] for row in csv.DictReader(file)]
    about = "Exam questions and older material use both names. The labs use the new one and say the old one once."
    head = ["old name", "what to use now", "what happened", "checked"]
    return "\n\n".join(["# Product names, old and new", about, table(head, rows, "Products of Google Cloud")])

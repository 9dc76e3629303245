"""The sources of the site: a page for each lab, the map, the sequences, health; nothing written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.problems import LabError
from labkit.site.addresses import Published
from labkit.site.lab_page import Collection, card, lab_page
from labkit.site.overview_pages import introduction, section_of
from labkit.site.sources import write_sources

from tests.conftest import replace
from tests.site.conftest import README


def test_a_lab_page_is_its_notebook_with_the_card_below_the_title(only: LabFolder, small: Collection) -> None:
    stored = nbformat.read(only.notebook, as_version=4)
    page = lab_page(only, small)
    assert [cell.id for cell in page.cells] == [cell.id for cell in stored.cells]
    first = page.cells[0].source
    assert first.startswith(stored.cells[0].source.split("\n")[0] + "\n\n:::::{container} card\n")
    assert first.endswith(stored.cells[0].source.partition("\n")[2])
    assert [c.source for c in page.cells[1:]] == [c.source for c in stored.cells[1:]]


def test_the_card_has_what_a_learner_asks_first(only: LabFolder, small: Collection) -> None:
    written = card(only, small)
    for words in (
        "- Have something to test with\n",
        ": 5 minutes",
        "`core`",
        "- planned-lab (planned)",
        "at most 0.01 USD",
    ):
        assert words in written
    assert "T001 A topic with a lab (exam guide [2023: 2.1](<#t001-2023>), [2026: 2.1](<#t001-2026>))" in written
    assert "- [A short course](<#sequence-short-course>)" in written
    assert "not run on this machine yet" in written
    assert "Open-in links need the address" in written and "https://" not in written


def test_a_known_address_gives_links(only: LabFolder, small: Collection) -> None:
    small.at = Published("someone/some-labs", "main")
    assert "[Colab](<https://colab.research.google.com/github/someone/some-labs/blob/main/labs/2-data/" in card(
        only, small
    )


def test_plots_and_messages_are_made_accessible(only: LabFolder, small: Collection) -> None:
    cell = lab_page(only, small).cells[-1]
    assert cell.metadata["mystnb"]["image"]["alt"] == "Plot: How <far>. x axis: days"
    shown = cell.outputs[1].data["text/html"]
    assert shown.count("var(--mood-bad,#c62828)") == 2


def test_text_of_a_card_stays_text(site_home: Path, small: Collection) -> None:
    replace(site_home / "labs/2-data/tiny-lab/lab.toml", "Run in a second or two", "Run <script>alert(1)</script> $a$")
    written = card(read_labs()[0][0], small)
    assert r"- Run \<script\>alert(1)\</script\> \$a\$" in written


def test_a_lab_without_notebook_is_named(only: LabFolder, small: Collection) -> None:
    only.notebook.unlink()
    with pytest.raises(LabError, match="labs build tiny-lab"):
        lab_page(only, small)


def test_a_notebook_without_title_is_named(only: LabFolder, small: Collection) -> None:
    notebook = nbformat.read(only.notebook, as_version=4)
    del notebook.cells[0]
    nbformat.write(notebook, only.notebook)
    with pytest.raises(LabError, match="first cell"):
        lab_page(only, small)


def test_all_sources_are_written_and_what_is_no_page_any_more_goes(site_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "labs").mkdir(parents=True)
    (folder / "labs" / "gone.md").write_text("# Gone")
    count = write_sources(folder)
    pages = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".md", ".ipynb")}
    assert pages == {
        *(
            "index.md",
            "health.md",
            "sequences.md",
            "labs/index.md",
            "labs/2-data/index.md",
            "labs/2-data/tiny-lab.ipynb",
        ),
        *(f"blueprint/{name}.md" for name in ("index", "2023", "2026", "products")),
    }
    assert count == len(pages)
    assert json.loads((folder / "settings.json").read_text()) == {"title": "Tiny labs"}
    assert "--accent: " in (folder / "_static" / "tokens.css").read_text()
    assert (folder / "_static" / "readme.png").exists()


def test_the_map_says_which_topics_are_only_planned(site_home: Path, tmp_path: Path) -> None:
    write_sources(tmp_path / "source")
    guide = (tmp_path / "source/blueprint/2023.md").read_text()
    assert "* - [T001]{#t001-2023}\n  - A topic with a lab\n  - 2.1\n  - [A tiny lab for the tests](" in guide
    assert "* - [T002]{#t002-2023}\n  - A topic whose lab is planned\n  - 2.1\n  - planned-lab (planned)" in guide
    assert "list-table} 1 of 2 topics have a lab" in guide
    # In its second section the topic is named again; only its first row is where links lead.
    assert guide.count("{#t002-2023}") == 1 and "* - T002\n" in guide
    # Two topics, one of them in two sections.
    assert (
        "* - [2023](</blueprint/2023.md>)\n  - old\n  - 1\n  - 1\n"
        in (tmp_path / "source/blueprint/index.md").read_text()
    )
    products = (tmp_path / "source/blueprint/products.md").read_text()
    assert "* - Old AI\n  - New AI\n  - renamed\n  - 2026-11" in products


def test_sequences_and_health_name_the_lab(site_home: Path, tmp_path: Path) -> None:
    write_sources(tmp_path / "source")
    sequences = (tmp_path / "source/sequences.md").read_text()
    assert "(sequence-short-course)=\n## A short course" in sequences
    assert "* - The only part\n  - [A tiny lab for the tests](</labs/2-data/tiny-lab.ipynb>)\n  - 5" in sequences
    assert "not run on this machine yet" in (tmp_path / "source/health.md").read_text()
    assert "- planned-lab: Be planned" in (tmp_path / "source/labs/2-data/index.md").read_text()


def test_the_home_page_is_the_readme_s_beginning(site_home: Path, tmp_path: Path) -> None:
    write_sources(tmp_path / "source")
    home = (tmp_path / "source/index.md").read_text()
    assert home.startswith("# Tiny labs\n\nOne lab. See its folder and [the web](https://example.org).")
    assert "![A lab](/_static/readme.png)" in home and "## Start\n\nRun `nox`." in home and "More." not in home


@pytest.mark.parametrize("broken", ["no title\n\n## Start\nx", "# T\n\n## Begin\nx"])
def test_a_readme_without_what_the_home_page_needs_is_refused(broken: str) -> None:
    with pytest.raises(LabError, match=r"README\.md"):
        (introduction(broken), section_of(broken, "Start"))
    assert section_of(README, "Start") == "Run `nox`."


def test_every_lab_and_every_topic_of_the_collection_is_there(tmp_path: Path) -> None:
    write_sources(tmp_path)
    labs, _ = read_labs()
    pages = {path.stem for path in tmp_path.glob("labs/*/*.ipynb")}
    assert pages == {lab.slug for lab in labs} and len(pages) > 30
    overview = (tmp_path / "labs/index.md").read_text()
    assert all(f"/{lab.slug}.ipynb>" in overview for lab in labs)
    for topic in read_blueprint().topics.values():
        for guide in topic.guides:
            assert f"[{topic.id}]{{#{topic.id.lower()}-{guide}}}" in (tmp_path / f"blueprint/{guide}.md").read_text()

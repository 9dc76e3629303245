"""Open-in links: one template for each place, none without a known repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from labkit.catalog.collection import LabFolder
from labkit.catalog.problems import LabError
from labkit.site.addresses import PLACES, Published, lab_page_path, open_links, published

from tests.conftest import replace

FILE = "labs/2-data/tiny-lab/lab.ipynb"


def test_every_place_has_a_link_to_the_notebook(tiny: LabFolder) -> None:
    links = dict(open_links(tiny, Published("someone/some-labs", "main")))
    assert list(links) == list(PLACES)
    assert links["GitHub"] == f"https://github.com/someone/some-labs/blob/main/{FILE}"
    assert links["Colab"] == f"https://colab.research.google.com/github/someone/some-labs/blob/main/{FILE}"
    assert links["Agent Platform Workbench (Vertex AI Workbench)"] == (
        "https://console.cloud.google.com/agent-platform/workbench/deploy-notebook?download_url="
        "https%3A%2F%2Fraw.githubusercontent.com%2Fsomeone%2Fsome-labs%2Fmain%2Flabs%2F2-data%2Ftiny-lab%2Flab.ipynb"
    )


def test_no_address_no_link(tiny: LabFolder) -> None:
    assert open_links(tiny, None) == []
    assert published() is None  # pyproject.toml names none, and the folder is no checkout


def test_the_address_stands_in_one_place(collection: Path) -> None:
    replace(collection / "pyproject.toml", 'repository = ""', 'repository = "someone/some-labs"')
    replace(collection / "pyproject.toml", 'branch = "main"', 'branch = "release/2"')
    at = published()
    assert at == Published("someone/some-labs", "release/2")
    assert at.address("GitHub", "a b.md") == "https://github.com/someone/some-labs/blob/release/2/a%20b.md"


@pytest.mark.parametrize("wrong", ["someone", "https://github.com/a/b", "a/b/c", "a/b?x"])
def test_what_is_no_repository_is_refused(collection: Path, wrong: str) -> None:
    replace(collection / "pyproject.toml", 'repository = ""', f'repository = "{wrong}"')
    with pytest.raises(LabError, match="owner/name"):
        published()


@pytest.mark.parametrize(
    "remote, repository",
    [
        ("https://github.com/someone/some-labs.git", "someone/some-labs"),
        ("git@github.com:someone/some.labs.git", "someone/some.labs"),
        ("https://github.com/someone/some-labs/", "someone/some-labs"),
        ("https://example.org/someone/some-labs.git", None),
    ],
)
def test_else_the_remote_of_the_checkout_counts(collection: Path, remote: str, repository: str | None) -> None:
    subprocess.run(["git", "init", "-q", str(collection)], check=True)
    subprocess.run(["git", "-C", str(collection), "remote", "add", "origin", remote], check=True)
    assert published() == (Published(repository, "main") if repository else None)


def test_a_lab_has_one_page(tiny: LabFolder) -> None:
    assert lab_page_path(tiny) == "/labs/2-data/tiny-lab.ipynb"

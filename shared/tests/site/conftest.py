"""The tiny collection with what the site needs: a README, a notebook, and, for some tests, the site's environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.sequences import read_sequences
from labkit.runner.build import build_notebook, write_notebook
from labkit.site.lab_page import Collection

ROOT = Path(__file__).resolve().parents[3]
README = """# Tiny labs

One lab. See [its folder](labs/2-data) and [the web](https://example.org).

![A lab](.github/readme.png)

## Start
Run `nox`.

## Learn
More.
"""
PLOT = "ax.set(title='How <far>', xlabel='days')"


@pytest.fixture
def site_home(collection: Path) -> Path:
    """The tiny collection with README.md, picture, product names, a sequence, and a notebook with two outputs."""
    (collection / "README.md").write_text(README)
    (collection / ".github").mkdir()
    (collection / ".github" / "readme.png").write_bytes(b"not looked at")
    (collection / "labs" / "blueprint" / "products.csv").write_text(
        "old,status,now,checked\nOld AI,renamed,New AI,2026-11\n"
    )
    folder = collection / "labs" / "sequences"
    folder.mkdir(exist_ok=True)
    (folder / "short-course.toml").write_text(
        'title = "A short course"\nfor = "Everybody who tests."\nminutes = 5\n\n'
        '[[part]]\ntitle = "The only part"\nlabs = ["tiny-lab"]\n'
    )
    lab = read_labs()[0][0]
    notebook = build_notebook(lab)
    code = nbformat.v4.new_code_cell(PLOT)
    html = '<div style="border-left:4px solid #c62828"><b style="color:#c62828">x</b></div>'
    code.outputs = [
        nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}),
        nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": "x"}),
    ]
    notebook.cells.append(code)
    write_notebook(notebook, lab.notebook)
    return collection


@pytest.fixture
def small(site_home: Path) -> Collection:
    """What the pages are made from, without an address on the web."""
    return Collection(read_labs()[0], read_blueprint(), read_sequences(), None)


@pytest.fixture
def only(small: Collection) -> LabFolder:
    return small.labs["tiny-lab"]


@pytest.fixture
def site_python() -> str:
    """The Python of the environment `site`; the test is left out where it is not made."""
    path = ROOT / ".venvs" / "site" / "bin" / "python"
    if not (ROOT / ".venvs" / "site" / "made-from").exists():
        pytest.skip("needs the environment site: nox -s environment -- site")
    return str(path)


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("needs Chromium")

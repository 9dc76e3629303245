"""Writes the Sphinx sources of the site from what the collection holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat

from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import read_labs
from labkit.catalog.places import home
from labkit.catalog.problems import LabError
from labkit.catalog.sequences import read_sequences
from labkit.classroom.page import tokens
from labkit.site.addresses import lab_page_path, published
from labkit.site.blueprint_pages import blueprint_pages
from labkit.site.lab_page import Collection, lab_page
from labkit.site.overview_pages import PICTURE, introduction, overview_pages

SPHINX = Path(__file__).parent / "sphinx"


def write_sources(folder: Path) -> int:
    """Makes `folder` anew with every page of the site; returns how many. Raises LabError for a broken card."""
    labs, problems = read_labs()
    if problems:
        raise LabError(str(problems[0]))
    collection = Collection(labs, read_blueprint(), read_sequences(), published())
    pages = overview_pages(collection) | blueprint_pages(collection)
    pages |= {lab_page_path(lab): nbformat.writes(lab_page(lab, collection)) for lab in labs}
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SPHINX, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in pages.items():
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    _write_static(folder)
    return len(pages)


def _write_static(folder: Path) -> None:
    """The picture, the colours that all pages of the collection share, and what conf.py must know."""
    static = folder / "_static"
    static.mkdir(exist_ok=True)
    picture = home() / PICTURE
    if picture.exists():
        shutil.copy(picture, static)
    (static / "tokens.css").write_text(tokens() + "\n", encoding="utf-8")
    title = introduction((home() / "README.md").read_text(encoding="utf-8")).splitlines()[0].removeprefix("# ")
    (folder / "settings.json").write_text(json.dumps({"title": title}), encoding="utf-8")

"""A small collection of its own for the tests: one lab, a blueprint, two data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from labkit.catalog import cloud, environments, prices
from labkit.catalog.collection import LabFolder, find_lab

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of tests/collection that may be changed; LABS_HOME points to it."""
    home = tmp_path / "home"
    shutil.copytree(ROOT / "shared" / "tests" / "collection", home)
    shutil.copy(ROOT / "pyproject.toml", home)
    shutil.copytree(ROOT / "environments", home / "environments")
    (home / ".venvs").symlink_to(ROOT / ".venvs")
    monkeypatch.setenv("LABS_HOME", str(home))
    environments.environments.cache_clear()
    cloud.read_services.cache_clear()
    prices.read_prices.cache_clear()
    yield home
    environments.environments.cache_clear()
    cloud.read_services.cache_clear()
    prices.read_prices.cache_clear()


@pytest.fixture
def tiny(collection: Path) -> LabFolder:
    return find_lab("tiny-lab")


def replace(path: Path, old: str, new: str) -> None:
    """Changes a text in a file, which must be there."""
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new))

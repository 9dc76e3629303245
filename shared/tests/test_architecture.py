"""Dependencies point one way: what each part may import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1]
ALLOWED = {
    "catalog": set(),
    "target": {"catalog", "localgcp"},
    "lesson": {"catalog", "target"},
    "runner": {"catalog", "lesson"},
    "classroom": {"catalog", "lesson", "runner", "target"},
    "site": {"catalog", "lesson", "runner", "classroom"},
}


def imported(folder: Path) -> set[str]:
    """The parts of labkit, and other top-level packages, that the files in a folder import."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
            elif isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
    return {".".join(name.split(".")[:2]) for name in names}


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_of_labkit_imports_only_what_it_may(part: str) -> None:
    found = {name for name in imported(SHARED / "labkit" / part) if name.startswith(("labkit.", "localgcp"))}
    parts = {name.removeprefix("labkit.").split(".")[0] for name in found}
    assert parts - {part} <= ALLOWED[part]


def test_the_local_cloud_knows_nothing_of_labs() -> None:
    assert not {name for name in imported(SHARED / "localgcp") if name.startswith("labkit")}

"""A lab's version changes with what decides whether an answer is right, and with nothing else."""

from __future__ import annotations

import re

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.catalog.version import lab_version

from ..conftest import replace


def test_it_is_of_the_text_the_checks_and_the_quiz(tiny: LabFolder) -> None:
    seen = [lab_version(tiny.folder)]
    assert re.fullmatch("[0-9a-f]{12}", seen[0])
    (tiny.folder / "lab.ipynb").write_text("{}")
    replace(tiny.folder / "lab.toml", "minutes = 5", "minutes = 6")
    assert lab_version(tiny.folder) == seen[0]
    for name in ("lab.py", "checks.py", "quiz.toml"):
        (tiny.folder / name).write_bytes((tiny.folder / name).read_bytes() + b"\n")
        seen.append(lab_version(tiny.folder))
    assert len(set(seen)) == 4


def test_bytes_that_move_from_one_file_to_another_are_another_version(tiny: LabFolder) -> None:
    (tiny.folder / "lab.py").write_bytes(b"ab")
    (tiny.folder / "checks.py").write_bytes(b"")
    before = lab_version(tiny.folder)
    (tiny.folder / "lab.py").write_bytes(b"a")
    (tiny.folder / "checks.py").write_bytes(b"b")
    assert lab_version(tiny.folder) != before


def test_a_handed_out_lab_says_its_version(tiny: LabFolder) -> None:
    (tiny.folder / "lab.py").unlink()
    with pytest.raises(LabError, match=r"neither lab.py nor handout.toml"):
        lab_version(tiny.folder)
    (tiny.folder / "handout.toml").write_text('version = "0123456789ab"\n')
    assert lab_version(tiny.folder) == "0123456789ab"
    for text, words in (('version = "7"', "not 12 hexadecimal"), ("version =", "not TOML")):
        (tiny.folder / "handout.toml").write_text(text)
        with pytest.raises(LabError, match=words):
            lab_version(tiny.folder)

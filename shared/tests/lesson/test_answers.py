"""What a lab knows, from plain files and from a sealed one: the same, and not to be read by accident."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.lesson.answers import SEALED, quiz_of, read_answers, seal, unseal
from labkit.lesson.tracebacks import hide_solutions

from ..conftest import ROOT, replace

FILES = ("lab.py", "checks.py", "quiz.toml")


@pytest.fixture
def sealed(tiny: LabFolder) -> Path:
    """The tiny lab's folder with its answers sealed, and its version where a handed-out folder has it."""
    (tiny.folder / SEALED).write_bytes(seal(tiny.folder))
    for name in FILES:
        (tiny.folder / name).rename(tiny.folder / f"{name}.away")
    (tiny.folder / "handout.toml").write_text('version = "0123456789ab"\n')
    (tiny.folder / "lab.ipynb").write_text('{"cells": []}')
    return tiny.folder


def test_sealed_answers_are_the_plain_ones(tiny: LabFolder) -> None:
    plain = read_answers(tiny.folder)
    (tiny.folder / SEALED).write_bytes(seal(tiny.folder))
    assert not plain.sealed and not read_answers(tiny.folder).sealed, "plain files count before the sealed one"
    for name in FILES:
        (tiny.folder / name).unlink()
    opened = read_answers(tiny.folder)
    assert opened.sealed and opened.tasks == plain.tasks and opened.quiz == plain.quiz == quiz_of(tiny.folder)
    assert {name: (e.hints, e.wrong) for name, e in opened.exercises.items()} == {
        name: (e.hints, e.wrong) for name, e in plain.exercises.items()
    }


def test_every_lab_can_be_sealed(tmp_path: Path) -> None:
    folders = sorted(path.parent for path in (ROOT / "labs").glob("[1-6]-*/*/lab.py"))
    assert len(folders) > 20
    for folder in folders:
        (tmp_path / SEALED).write_bytes(seal(folder))
        content = unseal(tmp_path / SEALED)
        assert content["checks"] == (folder / "checks.py").read_text() and content["tasks"]
        assert quiz_of(folder) == quiz_of(tmp_path)


def test_sealing_is_reproducible_and_unreadable(tiny: LabFolder) -> None:
    data = seal(tiny.folder)
    assert data == seal(tiny.folder)
    for text in (b"mean", b"Sum, then divide", b"scenario", b"class "):
        assert text not in data
    for start in range(len(data)):
        with pytest.raises(zlib.error):
            zlib.decompress(data[start:])
    replace(tiny.folder / "checks.py", "Sum, then", "First sum, then")
    assert data != seal(tiny.folder)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "of another form"])
def test_a_damaged_file_is_one_line(sealed: Path, damage: str) -> None:
    data = (sealed / SEALED).read_bytes()
    bad = {
        "cut": data[:-7],
        "changed": data[:90] + bytes([data[90] ^ 1]) + data[91:],
        "empty": b"",
        "text": b"sealed 1\nhello",
        "of another form": data.replace(b"sealed 1", b"sealed 2", 1),
    }
    (sealed / SEALED).write_bytes(bad[damage])
    with pytest.raises(LabError, match=r"lab\.sealed is damaged\. Unpack the class's archive again"):
        read_answers(sealed)


def test_a_folder_without_answers_says_so(tiny: LabFolder) -> None:
    (tiny.folder / "lab.py").unlink()
    with pytest.raises(LabError, match=r"lab\.py: no such file"):
        read_answers(tiny.folder)


def test_sealed_checks_find_what_lies_beside_them(tiny: LabFolder) -> None:
    (tiny.folder / "limit.txt").write_text("17")
    (tiny.folder / "checks.py").write_text(_WITH_LIMIT)
    (tiny.folder / SEALED).write_bytes(seal(tiny.folder))
    for name in FILES:
        (tiny.folder / name).unlink()
    before = sorted(tiny.folder.iterdir())
    assert read_answers(tiny.folder).exercises["limit"].hints == ["17"]
    assert sorted(tiny.folder.iterdir()) == before, "nothing is written"


_WITH_LIMIT = """\
from pathlib import Path
from labkit.lesson import Exercise


class Limit(Exercise):
    name = "limit"
    hints = [(Path(__file__).parent / "limit.txt").read_text()]
"""


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance(colors="nocolor")
    InteractiveShell.clear_instance()


def said(shell: InteractiveShell, capsys: Any, text: str) -> str:
    shell.run_cell(text)
    captured = capsys.readouterr()
    return captured.out + captured.err


OPEN = 'from labkit import lesson\nlab = lesson.open("tiny-lab", seed=1)\ndata = lab.data("planted", seed=1)'


def test_errors_in_reference_answers_do_not_show_them(sealed: Path, shell: InteractiveShell, capsys: Any) -> None:
    said(shell, capsys, OPEN)
    assert "Not attempted" in said(shell, capsys, 'double, four = lab.check("double", ..., ...)')
    shown = said(shell, capsys, "double(None)")
    assert "TypeError" in shown and "double(None)" in shown and "return 2 * x" not in shown
    chained = said(shell, capsys, "try:\n    double(None)\nexcept TypeError as e:\n    raise ValueError('so') from e")
    assert "ValueError: so" in chained and "return 2 * x" not in chained


def test_with_plain_files_nothing_is_hidden(tiny: LabFolder, shell: InteractiveShell, capsys: Any) -> None:
    said(shell, capsys, OPEN)
    said(shell, capsys, 'double, four = lab.check("double", ..., ...)')
    assert "return 2 * x" in said(shell, capsys, "double(None)")


def test_errors_in_a_sealed_check_show_no_line_of_it(sealed: Path, shell: InteractiveShell, capsys: Any) -> None:
    said(shell, capsys, OPEN)
    judged = said(shell, capsys, 'mean = "three"\nmean = lab.check("mean", mean, data)')
    assert "TypeError: not a number" in judged and "isinstance" not in judged
    raised = said(shell, capsys, 'lab._exercises["mean"].check("three", data)')
    assert "TypeError" in raised and "checks.py" in raised and "isinstance(mean, float)" not in raised


def test_one_line_errors_stay_one_line(shell: InteractiveShell, capsys: Any) -> None:
    hide_solutions(shell)
    shown = said(shell, capsys, "from labkit.catalog import LabError\nraise LabError('what was wrong')")
    assert "LabError: what was wrong" in shown and "Traceback" not in shown

"""`labs nbval`: passes what comes out again, refuses a stored output that does not, keeps the lab's limit."""

from __future__ import annotations

import json
import re

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.runner.commands import COMPARISON, Options, build_labs, compare_notebooks
from labkit.runner.health import read_health
from labkit.runner.runs import STORED, Run
from labkit.runner.schedule import run_folder
from labkit.runner.stored import compare
from typer.testing import CliRunner

from ..conftest import replace


def last(slug: str) -> dict[str, object]:
    found: dict[str, object] = read_health(slug)[-1]
    return found


def test_what_the_reader_sees_is_compared(tiny: LabFolder, capsys: pytest.CaptureFixture[str]) -> None:
    from labkit.cli import app

    assert build_labs([tiny.slug]) == 0
    assert compare_notebooks([tiny.slug], "1/1") == 0
    kept = last(tiny.slug)
    assert kept["kind"] == COMPARISON and kept["passed"] and kept["claims"] and kept["peak_mib"]
    # Nothing has changed: it is not done again. A stored output is an input of it.
    compare_notebooks([tiny.slug], "1/1", options=Options(changed_only=True))
    assert "unchanged: 1 labs" in capsys.readouterr().out
    replace(tiny.notebook, "rows 100", "rows 99")
    done = CliRunner().invoke(app, ["nbval", tiny.slug, "--changed-only"])
    assert done.exit_code == 1 and f"{COMPARISON}: 0 passed, 1 failed: {tiny.slug}" in done.output
    assert "rows 99" in done.output and "rows 100" in done.output, done.output
    assert not last(tiny.slug)["passed"]


def test_a_cell_that_raises(tiny: LabFolder) -> None:
    assert build_labs([tiny.slug]) == 0
    break_last_cell(tiny, "1 / 0")
    result = compare(Run(tiny.slug, run_folder(tiny.slug, STORED), STORED))
    assert "ZeroDivisionError: division by zero" in result.error and result.peak_mib > 20


def test_a_cell_and_a_lab_without_end(tiny: LabFolder) -> None:
    assert build_labs([tiny.slug]) == 0
    done: list[tuple[int, int]] = []
    late = Run(tiny.slug, run_folder(tiny.slug, STORED), STORED, lab_seconds=0)
    result = compare(late, lambda *counts: done.append(counts))
    assert result.error == "the lab ran longer than its limit of 0 s" and [count for count, _ in done] == [1]
    break_last_cell(tiny, "while True: pass")
    slow = Run(tiny.slug, run_folder(tiny.slug, STORED), STORED, cell_seconds=2)
    assert "Timeout of 2 seconds exceeded" in compare(slow).error


def test_what_cannot_be_compared(tiny: LabFolder) -> None:
    tiny.notebook.unlink(missing_ok=True)
    with pytest.raises(LabError, match=re.escape("tiny-lab has no notebook to compare with: labs build tiny-lab")):
        compare_notebooks([tiny.slug], "1/1")
    tiny.notebook.write_text("{")
    assert compare(Run(tiny.slug, run_folder(tiny.slug, STORED), STORED)).error


def break_last_cell(tiny: LabFolder, source: str) -> None:
    notebook = json.loads(tiny.notebook.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[-1]["source"] = source
    tiny.notebook.write_text(json.dumps(notebook))

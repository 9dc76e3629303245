"""What `nox -s warm` compares: a result that only warm kernels give is found, and what differs in any kernel is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from ..conftest import ROOT

sys.path.insert(0, str(ROOT / "ci"))
import warm_and_cold


def results(folder: Path, claim: float, text: str) -> dict[str, Any]:
    """What a run of one lab leaves behind, read again."""
    folder.mkdir()
    (folder / "outcome.json").write_text(json.dumps({"claims": [{"name": "share", "value": claim}]}))
    check = {"event": "check", "exercise": "mean", "outcome": "correct"}
    (folder / "journal.jsonl").write_text("".join(json.dumps(e) + "\n" for e in ({"event": "open"}, check)))
    cell = new_code_cell("print()", outputs=[new_output("stream", name="stdout", text=text)])
    nbformat.write(new_notebook(cells=[cell]), folder / "executed.ipynb")
    return warm_and_cold.results(folder)


def test_claims_checks_and_texts_are_compared(tmp_path: Path) -> None:
    one = results(tmp_path / "one", 0.25, "R² 0.81 in 3.1 s, pid 12")
    assert one == {"claim: share": 0.25, "check: mean": "correct", "text of cell 0": "R² 0.81 in DURATION, PID"}
    assert not warm_and_cold.differences(one, results(tmp_path / "two", 0.25 + 1e-14, "R² 0.81 in 7 s, pid 99"))
    other = results(tmp_path / "other", 0.2501, "R² 0.82 in 3.1 s, pid 12")
    assert warm_and_cold.differences(one, other) == {"claim: share", "text of cell 0"}
    assert warm_and_cold.differences(one, {"claim: share": 0.25}) == {"check: mean", "text of cell 0"}


@pytest.mark.parametrize(
    ("cold", "warm", "faults"),
    [
        ([1.0], [1.0], 0),
        ([1.0, 2.0], [3.0], 0),  # differs from run to run in any kernel
        ([1.0, 1.0, 2.0], [3.0, 4.0], 0),  # the first two cold ones agreed by chance
        ([1.0, 1.0, 1.0], [3.0, 1.0], 0),  # so did these, and the second warm one is as they are
        ([1.0, 1.0, 1.0], [3.0, 3.0], 1),
    ],
)
def test_only_what_warm_kernels_alone_give_is_at_fault(
    cold: list[float], warm: list[float], faults: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"cold": iter(cold), "warm": iter(warm)}

    def run(slugs: list[str], folder: Path, kind: str) -> dict[str, dict[str, Any]]:
        return {slug: {"claim: share": next(given[kind])} for slug in slugs}

    monkeypatch.setattr(warm_and_cold, "run", run)
    assert warm_and_cold.compared(["tiny-lab"], tmp_path) == faults
    assert not any(list(rest) for rest in given.values())

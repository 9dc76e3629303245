"""A learner's notebook against the lab it came from: answers, own cells, and what was changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog.collection import LabFolder
from labkit.classroom.matching import Matched, match
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy

from ..conftest import replace

MEAN = "# The mean of y.\nmean = sum(data.y) / len(data)"
DOUBLE = 'def double(x):\n    """Twice x."""\n    return x + x\n\n\nfour = double(2)'
UNTOUCHED = "# The mean of y.\nmean = ...  # your answer here"


@pytest.fixture
def copied(tiny: LabFolder) -> dict[str, Any]:
    """The learner's copy as plain data."""
    return dict(copy.deepcopy(learner_copy(build_notebook(tiny))))


def place(notebook: dict[str, Any], begin: str) -> int:
    return next(n for n, cell in enumerate(notebook["cells"]) if cell["source"].startswith(begin))


def cell(text: str, **fields: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None, **fields}


def answered(notebook: dict[str, Any], mean: str = MEAN, double: str = DOUBLE) -> dict[str, Any]:
    notebook["cells"][place(notebook, "# The mean of y")]["source"] = mean
    notebook["cells"][place(notebook, "def double")]["source"] = double
    return notebook


def without_ids(notebook: dict[str, Any]) -> dict[str, Any]:
    """As Jupyter saved it before format 4.5."""
    for one in notebook["cells"]:
        one.pop("id")
    return notebook | {"nbformat_minor": 0, "metadata": {}}


def as_version_3(notebook: dict[str, Any]) -> dict[str, Any]:
    """As IPython 2 saved it: worksheets, `input` in the place of `source`, texts as lists of lines."""
    cells = [
        {"cell_type": "code", "input": one["source"].splitlines(keepends=True), "language": "python", "outputs": []}
        if one["cell_type"] == "code"
        else {"cell_type": "markdown", "source": one["source"].splitlines(keepends=True)}
        for one in notebook["cells"]
    ]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}


VERSIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "4.5": lambda notebook: notebook,
    "4.0": without_ids,
    "3": as_version_3,
}


@pytest.mark.parametrize("version", VERSIONS)
def test_untouched_and_answered_in_each_version(tiny: LabFolder, copied: dict[str, Any], version: str) -> None:
    untouched = match(VERSIONS[version](copy.deepcopy(copied)), tiny)
    assert untouched.exercises["mean"] == UNTOUCHED and "your code here" in str(untouched.exercises["double"])
    assert untouched.added == []
    found = match(VERSIONS[version](answered(copied)), tiny)
    assert found.exercises == {"mean": MEAN, "double": DOUBLE} and found.added == []
    assert [note for note in found.changed if "was found" not in note] == []
    assert bool(found.changed) == (version != "4.5")


def test_metadata_and_tags_are_not_trusted(tiny: LabFolder, copied: dict[str, Any]) -> None:
    for one in copied["cells"]:
        one["metadata"] = {"tags": ["exercise"], "name": "double"}
    assert match(answered(copied), tiny).exercises == {"mean": MEAN, "double": DOUBLE}


def test_the_check_cell_tells_where_the_id_does_not(tiny: LabFolder, copied: dict[str, Any]) -> None:
    at = place(answered(copied), "# The mean")
    copied["cells"][at] = cell("mean = 3", id="made-anew")
    found = match(copied, tiny)
    assert found.exercises["mean"] == "mean = 3"
    assert found.changed == ["the exercise 'mean' was found by its check cell"]


def test_the_comments_tell_where_the_check_cell_is_gone(tiny: LabFolder, copied: dict[str, Any]) -> None:
    without_ids(answered(copied))
    del copied["cells"][place(copied, "mean = lab.check")]
    found = match(copied, tiny)
    assert found.exercises["mean"] == MEAN
    assert "missing: the check cell of 'mean'" in found.changed
    assert "the exercise 'mean' was found by its comments" in found.changed


def test_the_names_tell_where_everything_else_is_gone(tiny: LabFolder, copied: dict[str, Any]) -> None:
    without_ids(answered(copied, mean="mean = 5"))
    del copied["cells"][place(copied, "mean = lab.check")]
    found = match(copied, tiny)
    assert found.exercises["mean"] == "mean = 5"
    assert "the exercise 'mean' was found by the names it binds" in found.changed


def test_a_cell_that_is_gone_is_none(tiny: LabFolder, copied: dict[str, Any]) -> None:
    del answered(copied)["cells"][place(copied, "# The mean")]
    found = match(copied, tiny)
    assert found.exercises == {"mean": None, "double": DOUBLE}
    assert found.changed == ["missing: the cell of the exercise 'mean'"]
    assert match({"cells": []}, tiny).exercises == {"mean": None, "double": None}


def test_own_cells_come_with_the_next_exercise(tiny: LabFolder, copied: dict[str, Any]) -> None:
    answered(copied)
    copied["cells"].append(cell("print('the end')"))
    copied["cells"].insert(place(copied, "# The mean"), cell("def average(values): ..."))
    copied["cells"].insert(place(copied, "def double"), cell("%timeit data.y.mean()"))
    copied["cells"].insert(place(copied, "def double"), cell('lab.hint("double")\nlab.quiz(1, "b")'))
    found = match(copied, tiny)
    assert found.added == [
        ("mean", "def average(values): ..."),
        ("double", "%timeit data.y.mean()"),
        (None, "print('the end')"),
    ]
    assert found.exercises == {"mean": MEAN, "double": DOUBLE} and found.changed == []


@pytest.mark.parametrize("version", ["4.5", "4.0"])
def test_an_answer_in_a_cell_below_the_prompt(tiny: LabFolder, copied: dict[str, Any], version: str) -> None:
    at = place(copied, "mean = lab.check")
    copied["cells"][at:at] = [cell("total = data.y.sum()"), cell("mean"), cell("mean = total / len(data)")]
    found = match(VERSIONS[version](copied) if version == "4.5" else copied, tiny)
    assert found.exercises["mean"] == f"{UNTOUCHED}\n\ntotal = data.y.sum()\n\nmean = total / len(data)"
    assert found.added == [("mean", "mean")]


@pytest.mark.parametrize("keep", ["first", "second", "none"])
def test_an_exercise_merged_with_its_check(tiny: LabFolder, copied: dict[str, Any], keep: str) -> None:
    at = place(answered(copied), "# The mean")
    merged = cell(MEAN + "\n" + copied["cells"][at + 1]["source"])
    ids = {"first": copied["cells"][at]["id"], "second": copied["cells"][at + 1]["id"], "none": "new"}
    copied["cells"][at : at + 2] = [merged | {"id": ids[keep]}]
    found = match(copied, tiny)
    assert found.exercises == {"mean": MEAN, "double": DOUBLE} and found.added == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('mean = 1; mean = lab.check("mean", mean, data)', "mean = 1"),
        ('mean = 1\nmean = lab.check("mean",\n    mean)\nprint(mean)', "mean = 1"),
        ("mean = = 1\nmean = lab.check('mean', mean)", "mean = = 1"),
    ],
)
def test_the_check_is_no_part_of_an_answer(tiny: LabFolder, copied: dict[str, Any], text: str, answer: str) -> None:
    copied["cells"][place(copied, "# The mean")]["source"] = text
    assert match(copied, tiny).exercises["mean"] == answer


@pytest.mark.parametrize("version", VERSIONS)
def test_changed_cells_of_the_lab_are_no_cells_of_the_learner(
    tiny: LabFolder, copied: dict[str, Any], version: str
) -> None:
    answered(copied)
    at = place(copied, "data = lab.data")
    copied["cells"][at]["source"] = copied["cells"][at]["source"].replace("seed=SEED", "seed=99")
    at = place(copied, "mean = lab.check")
    copied["cells"][at]["source"] = 'mean = lab.check("mean", 4, data)'
    found = match(VERSIONS[version](copied), tiny)
    assert found.added == [] and found.exercises == {"mean": MEAN, "double": DOUBLE}
    notes = [note for note in found.changed if "was found" not in note]
    assert notes == ["changed: the check cell of 'mean'", notes[1]]
    assert notes[1].startswith("changed: the cell `data = lab.data")


def test_a_cell_of_the_lab_that_is_missing_is_said(tiny: LabFolder, copied: dict[str, Any]) -> None:
    del copied["cells"][place(copied, "time.sleep")]
    assert match(copied, tiny).changed == ["missing: the cell `time.sleep(WAIT)`"]


def test_cells_moved_around_keep_their_exercise(tiny: LabFolder, copied: dict[str, Any]) -> None:
    answered(copied)["cells"].reverse()
    assert match(copied, tiny).exercises == {"mean": MEAN, "double": DOUBLE}


@pytest.mark.parametrize(
    "cells",
    [
        [1, None, "text", []],
        [{"cell_type": "code"}, {"source": 3}, {"cell_type": 5, "source": ["mean = 1", 4]}],
        [{"cell_type": "code", "source": "\ud800 mean = 1\0", "id": {"a": 1}}],
        [{"cell_type": "code", "source": "(" * 5000}],
        [{"cell_type": "code", "source": "mean = " + "-" * 20000 + "1"}],
    ],
)
def test_strange_cells_break_nothing(tiny: LabFolder, cells: list[Any]) -> None:
    found = match({"cells": cells}, tiny)
    assert isinstance(found, Matched)
    for text in [*found.exercises.values(), *(text for _, text in found.added)]:
        assert text is None or text.encode()


def test_a_new_version_of_the_lab_is_read_anew(tiny: LabFolder, copied: dict[str, Any]) -> None:
    assert match(answered(copied), tiny).changed == []
    replace(tiny.source, "# The mean of y.", "# The arithmetic mean of y.")
    found = match(copied, tiny)
    assert found.exercises == {"mean": MEAN, "double": DOUBLE}
    assert found.changed == ["the exercise 'mean' was found by its check cell"]


def test_nothing_in_a_notebook_is_run(tiny: LabFolder, copied: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    copied["cells"].insert(3, cell(f"open({str(mark)!r}, 'w')"))
    answered(copied, mean=f"mean = open({str(mark)!r}, 'w')")
    match(copied, tiny)
    assert not mark.exists()

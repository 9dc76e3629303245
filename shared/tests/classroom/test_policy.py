"""The check of an answer's text: every listed answer of every lab may run, and what leads out of an answer may not."""

from __future__ import annotations

import pytest
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.source import read_cells, read_tasks
from labkit.classroom.policy import MOST_CHARACTERS, refusals
from labkit.lesson.exercise import read_exercises
from labkit.lesson.reference import solution_text

from .cheats import CHEATS, HONEST, WRONG

# Nothing in their text is to be refused: the judge's other walls see to them (test_trial.py).
ONLY_WHEN_RUN = {
    "rebinds lab", "changes the data that the check gets", "names the data that the check gets", "sets parameters",
    "a float by another way", "not a number", "not a number of numpy's", "masked", "reads checks.py by pathlib",
    "reads lab.py by numpy", "lab.solution", "the lab's own variable", "prints", "SystemExit", "KeyboardInterrupt",
    "loops for ever", "recursion without end", "eats memory", "prints a gigabyte",
}  # fmt: skip


@pytest.mark.parametrize("label", [label for label in CHEATS if label not in ONLY_WHEN_RUN])
def test_a_cheat_is_refused_before_it_runs(label: str) -> None:
    assert refusals(CHEATS[label])


# Sorted, and named by their labels: the processes that share the tests must agree on them.
@pytest.mark.parametrize("label", sorted({**HONEST, **WRONG} | dict.fromkeys(ONLY_WHEN_RUN)))
def test_plain_python_may_run(label: str) -> None:
    assert refusals(({**HONEST, **WRONG} | CHEATS)[label]) == []


def test_all_answers_that_the_labs_list_may_run() -> None:
    refused, seen = [], 0
    for lab in read_labs()[0]:
        exercises = read_exercises(lab.folder / "checks.py")
        for task in read_tasks(read_cells(lab.source)).values():
            for text in [solution_text(task), *exercises[task.name].wrong.values()]:
                refused += [(lab.slug, task.name, str(refusal)) for refusal in refusals(text)]
                seen += 1
    assert not refused and seen > 700


@pytest.mark.parametrize(
    "text, line, reason",
    [
        ("x = 1\n!ls\nmean = 1", 2, "shell"),
        ("%timeit 1\nmean = 1", 1, "shell"),
        ("mean?\n", 1, "shell"),
        ("mean = 1\nimport os", 2, "importing os"),
        ("from pandas.io import pickle", 1, "pickle"),
        ("import numpy as np\nnp.os.system('ls')", 2, "the attribute os"),
        ("import pandas as pd\npd.io.common.os", 2, "the attribute os"),
        ("import random\nclass A:\n    def f(self):\n        return self._os", 4, "_os"),
        ("getattr(data, 'o' + 's')", 1, "not written out"),
        ("getattr(data, '_mgr')", 1, "_mgr"),
        ("data.query('@np' + '.os.getcwd()')", 1, "not written out"),
        ("data.query('@data.x.sum()')", 1, "attribute or call"),
        ("client = data\nclient.query('@np' + '.os')", 2, "not written out"),
        ("q = data.eval", 1, "other than as a call"),
        ("text = '{0.x}'\ntext.format(data)", 2, "not written out"),
        ("'{0._mgr}'.format(data)", 1, "private"),
        ("type(data).mean = len", 1, "not made in this cell"),
        ("m = data\nm.mean = len", 2, "not made in this cell"),
        ("class A(metaclass=type):\n    pass", 1, "metaclass"),
        ("class A:\n    def __eq__(self, o):\n        return True", 2, "__eq__"),
        ("A = type('A', (float,), {})", 1, "type other than"),
        ("x = " + "(" * 300 + ")" * 300, 1, "nested"),
        ("mean = 1\0", 1, "null"),
        ("#" * (MOST_CHARACTERS + 1), 1, "characters"),
    ],
)
def test_what_is_refused_and_where(text: str, line: int, reason: str) -> None:
    try:
        first = refusals(text)[0]
    except SyntaxError as error:  # newer Pythons refuse brackets that deep, and zero bytes, by themselves
        assert "(" in text or "\0" in text, error
        return
    assert first.line == line and reason in first.reason


def test_a_text_that_is_no_python_is_no_refusal() -> None:
    with pytest.raises(SyntaxError):
        refusals("mean = = 1")


def test_the_clients_own_query_and_a_models_own_attributes_are_fine(tiny: LabFolder) -> None:
    assert refusals("sql = 'SELECT ' + '1'\nmean = client.query(sql).to_dataframe()") == []
    assert (
        refusals("model = make()\nmodel.trainable = False\nfor layer in model.layers:\n    layer.trainable = True")
        == []
    )
    assert refusals("class Net:\n    def __init__(self):\n        super().__init__()\n        self._w = 1") == []

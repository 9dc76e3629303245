"""Answers in the sandbox: honest ones are judged, cheats are not judged correct, and none of them harms the others."""

from __future__ import annotations

import sys
from dataclasses import replace as replaced

import pytest
from labkit.catalog.collection import LabFolder
from labkit.classroom import judging, trial, values
from labkit.classroom.sandbox import Limits
from labkit.classroom.trial import Answer, Trial, Tried, try_answers

from ..conftest import replace
from .cheats import CHEATS, ENDING, HONEST, READING, TAMPERING, VALUES, WRITING, WRONG

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
LIMITS = Limits(lab_seconds=60, answer_seconds=4, memory_mib=900, processes=60)
DOUBLE = "def double(x):\n    return x + x\nfour = double(2)"
# Each of them costs a run of its own, since it spoils or ends the process.
ALONE = ("patches numpy", "patches the check's class", "patches pandas", "loops for ever")
# Without the check of its text this one finds the lab's variables: nothing hides a function's globals in Python.
ONLY_BY_ITS_TEXT = ("globals of a function", "patches isinstance")
TOGETHER = {
    label: text
    for label, text in (TAMPERING | VALUES | READING | WRITING | ENDING).items()
    if label
    not in (*ALONE, "eats memory", *ONLY_BY_ITS_TEXT, "patches by way of a module's dict", "reads lab.py by numpy")
    and label not in ("os._exit", "kills its parent", "a crash", "frames of an exception")
}


def tried(texts: dict[str, str], exercise: str = "mean", limits: Limits = LIMITS) -> Tried:
    answers = [Answer(exercise, text, submission=label, id=label) for label, text in texts.items()]
    return try_answers(Trial("tiny-lab", tuple(answers), limits))


def outcomes(found: Tried) -> dict[str, str]:
    assert found.fault == ""
    return {label: verdict.outcome for label, verdict in found.verdicts.items()}


def test_honest_answers_and_wrong_ones(tiny: LabFolder) -> None:
    untouched = {"untouched": "mean = ...", "a syntax error": "mean = = 1", "an error": "mean = 1 / 0"}
    found = tried(HONEST | WRONG | untouched)
    expected = dict.fromkeys(HONEST, "correct") | dict.fromkeys(WRONG, "incorrect")
    expected |= {"untouched": "not attempted", "a syntax error": "error", "an error": "error"}
    assert outcomes(found) == expected
    assert found.verdicts["an error"].message == "ZeroDivisionError: division by zero"
    assert 0 < found.seconds < 60 and found.peak_mib > 20


def test_no_cheat_is_correct_even_where_its_text_is_not_checked(tiny: LabFolder) -> None:
    found = outcomes(tried(TOGETHER))
    assert not [label for label, outcome in found.items() if outcome == "correct"]
    assert set(found) == set(TOGETHER)


def test_a_cheat_costs_nobody_else_the_run(tiny: LabFolder) -> None:
    found = tried({label: CHEATS[label] for label in ALONE} | {"the next": HONEST["by hand"]})
    expected = {
        "patches numpy": ("refused", "numpy.isclose"),
        "patches the check's class": ("refused", "checks.Mean.check"),
        "patches pandas": ("refused", "Series.mean"),
        "loops for ever": ("error", "longer than 4 s"),
        "the next": ("correct", ""),
    }
    assert set(outcomes(found)) == set(expected)
    for label, (outcome, why) in expected.items():
        assert found.verdicts[label].outcome == outcome and why in found.verdicts[label].message


def test_an_answer_that_eats_memory_ends_alone(tiny: LabFolder) -> None:
    # On a busy machine it takes more than the other answers' 4 s to get there.
    limits = replaced(LIMITS, answer_seconds=60)
    found = tried({"eats memory": CHEATS["eats memory"], "the next": HONEST["by hand"]}, limits=limits)
    assert outcomes(found) == {"eats memory": "error", "the next": "correct"}
    assert "900 MiB" in found.verdicts["eats memory"].message


def test_functions_are_held_to_the_rules_for_values(tiny: LabFolder) -> None:
    found = tried(
        {
            "right": DOUBLE,
            "by a lambda": "double = lambda x: 2 * x\nfour = 4",
            "gives back what is equal to everything": (
                "class E(int):\n    def __ne__(self, o):\n        return False\n"
                "def double(x):\n    return E()\nfour = 4"
            ),
            "empty": "def double(x):\n    ...\nfour = ...",
            "four too": DOUBLE + "\nclass F(int):\n    def __ne__(self, o):\n        return False\nfour = F()",
        },
        "double",
    )
    assert outcomes(found) == {
        "right": "correct",
        "by a lambda": "correct",
        "gives back what is equal to everything": "refused",
        "empty": "not attempted",
        "four too": "refused",
    }


def test_an_answer_that_spoils_what_the_check_gave_it_is_no_right_one(tiny: LabFolder) -> None:
    replace(tiny.folder / "checks.py", "if double(3) != 6:", "row = [3]\n        if double(row) != [2 * row[0]]:")
    replace(tiny.folder / "lab.py", "return 2 * x", "return [2 * part for part in x] if type(x) is list else 2 * x")
    found = tried(
        {
            "right": "def double(x):\n    return [2 * part for part in x]\nfour = 4",
            "spoils": "def double(x):\n    x[0] = 0\n    return [0]\nfour = 4",
        },
        "double",
    )
    assert outcomes(found) == {"right": "correct", "spoils": "refused"}


def test_cells_above_and_names_of_earlier_answers_are_there(tiny: LabFolder) -> None:
    answers = (
        Answer(
            "mean", "half = 0.5\nmean = helper(data)", ("1 / 0", "def helper(d):\n    return d.y.mean()"), "s", "mean"
        ),
        Answer("double", "def double(x):\n    return x / half\nfour = int(double(2))", (), "s", "double"),
    )
    found = try_answers(Trial("tiny-lab", answers, LIMITS))
    assert outcomes(found) == {"mean": "correct", "double": "correct"}


def test_a_check_cell_may_prepare_what_its_check_needs(tiny: LabFolder) -> None:
    check = 'mean = lab.check("mean", mean, data)'
    replace(tiny.folder / "lab.py", check, check.replace("data)", "later)").join(["later = data.copy()\n", ""]))
    found = tried({"right": HONEST["by hand"], "peeks": "mean = later.y.mean()", "wrong": WRONG["the sum"]})
    assert outcomes(found) == {"right": "correct", "peeks": "error", "wrong": "incorrect"}


def test_a_lab_that_stops_is_a_fault_and_no_verdict(tiny: LabFolder) -> None:
    replace(tiny.folder / "lab.py", 'print("rows", len(data))', 'raise OSError("broken")')
    found = tried({"right": HONEST["by hand"]})
    assert found.verdicts == {} and "OSError: broken" in found.fault


def test_lines_without_the_secret_are_no_verdicts(tiny: LabFolder) -> None:
    run = trial._Run(tiny, [Answer("mean", "", submission="s", id="mean")], LIMITS)
    run._line(f'{{"secret": "{run.secret}", "begin": "mean"}}'.encode())
    run._line(b'{"secret": "guessed", "verdict": "mean", "outcome": "correct", "message": ""}')
    assert run.verdicts == {} and run.forged
    run._line(f'{{"secret": "{run.secret}", "verdict": "mean", "outcome": "correct", "message": ""}}'.encode())
    assert run.verdicts["mean"].outcome == "refused"


def test_what_is_in_the_sandbox_holds_no_answer(tiny: LabFolder) -> None:
    (tiny.folder / "link").symlink_to("/etc/hostname")
    (tiny.folder / "trainer").mkdir()
    (tiny.folder / "trainer" / "task.py").write_text("x = 1")
    order = trial._Run(tiny, [Answer("mean", "", submission="s", id="mean")], LIMITS)._order()
    names = {name.rsplit("tiny-lab/", 1)[-1] for name in order["files"] if "/labs/" in name}
    assert names == {"lab.toml", "lab.py", "checks.py", "trainer/task.py"}
    assert [cell["judge"] for cell in order["cells"]][-1] == "mean"  # nothing below the last answer is run


@pytest.mark.parametrize(
    "value, reference, reason",
    [
        (float("nan"), 1.0, True),
        ({"a": float("nan")}, {"a": 2.0}, True),
        ([1.0, float("nan")], [1.0, 2.0], True),
        (float("nan"), float("nan"), False),
        (1.0, 2.0, False),
        ("nan", 1.0, False),
    ],
)
def test_not_a_number(value: object, reference: object, reason: bool) -> None:
    assert values.not_a_number(value, reference) is reason


def test_an_objects_own_method_is_seen() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1]})
    assert values.strange([frame], [frame]) == ""
    space: dict[str, object] = {"frame": frame}
    assert judging._run_text("frame.max = lambda: 0", space, "mean") == ""
    assert "whose max is the answer's own" in values.strange([frame], [frame])

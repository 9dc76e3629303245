"""`labs grade` over the folder of a class: lines, what is run and what is not, going on, quiz, bad input."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.classroom import executors, grade
from labkit.classroom.grade import Order, grade_class, part_of
from labkit.classroom.grade_lines import read_grades
from labkit.classroom.sandbox import Limits
from labkit.classroom.trial import Trial, Tried
from labkit.lesson.exercise import Verdict
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy

from ..runner.test_interruption import hear_interrupts
from .cheats import CHEATS
from .test_matching import DOUBLE, answered, cell, place

needs_sandbox = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


@pytest.fixture
def untouched(tiny: LabFolder) -> dict[str, Any]:
    return dict(copy.deepcopy(learner_copy(build_notebook(tiny))))


@pytest.fixture
def handed(tmp_path: Path, untouched: dict[str, Any]) -> Path:
    (tmp_path / "class" / "learners").mkdir(parents=True)
    return tmp_path / "class"


def hand_in(folder: Path, learner: str, notebook: dict[str, Any] | bytes, events: Any = ()) -> Path:
    home = folder / "learners" / learner
    (home / "tiny-lab").mkdir(parents=True)
    (home / "learner.toml").write_text(f'name = "{learner.title()}"\n')
    path = home / "tiny-lab" / "lab.ipynb"
    path.write_bytes(notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode())
    (home / "progress.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def event(kind: str, at: int, **fields: Any) -> dict[str, Any]:
    told = {"id": f"{at:032x}", "time": 1.7e9 + at, "lab": "tiny-lab", "version": "0" * 12, "event": kind}
    return told | fields


class Counted:
    """An executor that runs nothing: every answer is correct."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def run(self, trials: list[Trial]) -> Any:
        self.trials += trials
        for number, trial in enumerate(trials):
            yield number, Tried({answer.id: Verdict("correct") for answer in trial.answers}, 1.0, 10.0)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    found = Counted()
    monkeypatch.setattr(grade, "executor_named", lambda name, jobs: found)
    monkeypatch.setattr(grade, "require_sandbox", lambda: None)
    return found


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    return {line["learner"]: line for line in read_grades(folder)}


@needs_sandbox
def test_a_class_is_graded(handed: Path, untouched: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    def changed(**texts: str) -> dict[str, Any]:
        return answered(copy.deepcopy(untouched), **texts)

    helper = changed(mean="mean = helper(data)")
    helper["cells"].insert(place(helper, "mean = helper"), cell("def helper(d):\n    return sum(d.y) / len(d)"))
    faked = changed(mean="mean = 0.0", double=DOUBLE)
    check = faked["cells"][place(faked, "mean = lab.check")]
    check["source"] = "lab.check = lambda *a: a[1]\n" + check["source"] + "\nprint('Correct: mean')"
    check["metadata"] = {"tags": ["correct"], "nbgrader": {"points": 9}}
    check["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "Correct: mean"}]
    faked["cells"].insert(0, cell("SEED = 5\nimport builtins\nbuiltins.abs = lambda x: 0"))
    quiz = [
        event("quiz", 1, question=1, answer="b", right=True),  # `right` is a lie, and no later letter counts
        event("quiz", 2, question=1, answer="a", right=True),
        event("quiz", 3, question=2, answer="b", right=False),
        event("quiz", 4, question=9, answer="b", right=True),
        event("check", 5, exercise="mean", outcome="correct", hints=1, message=""),
        event("hint", 6, exercise="mean", number=1),
    ]
    missing = changed()
    del missing["cells"][place(missing, "def double")]
    hand_in(handed, "ada", changed(), quiz)
    hand_in(handed, "bob", changed())
    hand_in(handed, "cy", helper)
    hand_in(handed, "dora", faked)
    hand_in(handed, "eve", changed(mean=CHEATS["gc"], double="def double(x:\n"))
    hand_in(handed, "finn", untouched)
    hand_in(handed, "gus", missing)
    hand_in(handed, "hal", b"no notebook")

    done = grade_class(handed, Order(jobs=2, limits=Limits(lab_seconds=60)))
    assert (done.found, done.graded, done.faults, done.refused) == (8, 8, 1, 1)
    assert done.runs == 4  # ada's and bob's texts are one run; eve, finn and hal need none
    found = lines(handed)
    outcomes = {learner: tuple(one["outcome"] for one in line["exercises"].values()) for learner, line in found.items()}
    assert outcomes == {
        "ada": ("correct", "correct"),
        "bob": ("correct", "correct"),
        "cy": ("correct", "correct"),
        "dora": ("incorrect", "correct"),
        "eve": ("refused", "error"),
        "finn": ("not attempted", "not attempted"),
        "gus": ("correct", "missing"),
        "hal": (),
    }
    assert found["ada"]["quiz"] == {"1": {"answer": "b", "right": False}, "2": {"answer": "b", "right": True}}
    assert found["ada"]["exercises"]["mean"] | {"answer": ""} == {
        "outcome": "correct", "message": "", "answer": "", "hints": 1, "attempts": 1,
    }  # fmt: skip
    assert found["ada"]["name"] == "Ada" and found["ada"]["seconds"] > 0 and found["ada"]["peak_mib"] > 0
    assert found["eve"]["exercises"]["mean"]["message"] == "Not run: line 1: importing gc; line 2: the name gc."
    assert "cannot be read" in found["hal"]["fault"]

    again = grade_class(handed, Order(jobs=2))
    assert (again.graded, again.runs) == (1, 0)  # only what could not be graded is looked at again


def test_it_goes_on_with_what_is_missing_or_changed(handed: Path, untouched: Any, counted: Counted) -> None:
    one = answered(copy.deepcopy(untouched))
    hand_in(handed, "ada", one)
    path = hand_in(handed, "bob", answered(copy.deepcopy(untouched), mean="mean = 1.0"))
    assert grade_class(handed, Order()).runs == 2
    assert grade_class(handed, Order()).graded == 0
    hand_in(handed, "cy", one)
    done = grade_class(handed, Order())
    assert (done.graded, done.runs) == (1, 0)  # ada's run stands for cy's
    assert lines(handed)["cy"]["exercises"]["mean"]["outcome"] == "correct"
    path.write_text(json.dumps(answered(copy.deepcopy(untouched), mean="mean = 2.0")))
    done = grade_class(handed, Order())
    assert (done.graded, done.runs) == (1, 1)
    assert lines(handed)["bob"]["exercises"]["mean"]["answer"] == "mean = 2.0"
    assert grade_class(handed, Order(again=True)).runs == 2


def test_a_new_version_of_the_lab_is_graded_anew(
    handed: Path, untouched: Any, counted: Counted, tiny: LabFolder
) -> None:
    hand_in(handed, "ada", answered(untouched))
    grade_class(handed, Order())
    checks = tiny.folder / "checks.py"
    checks.write_text(checks.read_text() + "\n# changed\n")
    assert grade_class(handed, Order()).runs == 1


def test_a_line_that_a_crash_has_cut_costs_only_itself(handed: Path, untouched: Any, counted: Counted) -> None:
    hand_in(handed, "ada", answered(copy.deepcopy(untouched)))
    hand_in(handed, "bob", answered(copy.deepcopy(untouched), mean="mean = 1.0"))
    grade_class(handed, Order())
    path = handed / "grades.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert set(lines(handed)) == {"ada"}
    assert grade_class(handed, Order()).graded == 1
    assert set(lines(handed)) == {"ada", "bob"}


def test_shards_are_disjoint_and_whole() -> None:
    found = [f"s{number}" for number in range(10)]
    parts = [part_of(found, f"{part}/3") for part in (1, 2, 3)]  # type: ignore[arg-type]
    assert sorted(name for part in parts for name in part) == found
    for wrong in ("0/3", "4/3", "3", "a/b", "1/", "-1/2"):
        with pytest.raises(LabError, match="write i/n"):
            part_of(found, wrong)  # type: ignore[arg-type]


def test_bad_input_says_so(handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="no class is collected"):
        grade_class(tmp_path / "nowhere", Order())
    with pytest.raises(LabError, match="No lab is called"):
        grade_class(handed, Order(lab="tiny"))
    monkeypatch.setattr(grade, "require_sandbox", lambda: None)
    with pytest.raises(LabError, match="local, dask"):
        grade_class(handed, Order(executor="ray"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LabError, match="Dask is not in this environment"):
        list(executors.executor("dask", 1).run([Trial("tiny-lab", ())]))


def test_without_a_sandbox_nothing_is_run(handed: Path, untouched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_in(handed, "ada", answered(untouched))
    monkeypatch.setattr("labkit.classroom.sandbox.unavailable", lambda: "There is none.")
    with pytest.raises(LabError, match=r"There is none\. Nothing was run"):
        grade_class(handed, Order())
    assert not (handed / "grades.jsonl").exists()


@needs_sandbox
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_process(handed: Path, untouched: Any, number: int) -> None:
    hand_in(handed, "ada", answered(untouched, mean="while True:\n    pass"))
    labs = Path(sys.executable).with_name("labs")
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": os.environ}
    command = subprocess.Popen([labs, "grade", handed], **said, preexec_fn=hear_interrupts)
    process = psutil.Process(command.pid)
    end = time.monotonic() + 40
    below: list[psutil.Process] = []
    while len(below) < 3 and time.monotonic() < end and command.poll() is None:
        time.sleep(0.1)
        below = process.children(recursive=True)
    assert len(below) >= 3  # bwrap, its first process, the judge
    command.send_signal(number)
    command.communicate(timeout=20)
    _, alive = psutil.wait_procs(below, timeout=5)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]

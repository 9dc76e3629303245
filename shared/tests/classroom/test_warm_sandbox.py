"""Sandboxes that stay: what one submission does, the next finds nothing of."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from labkit.catalog.collection import LabFolder
from labkit.catalog.environments import environments
from labkit.classroom import executors
from labkit.classroom.executors import Local
from labkit.classroom.sandbox import Limits
from labkit.classroom.trial import Answer, Trial
from labkit.classroom.warm_sandbox import NotWarm, WarmSandbox

from .cheats import ENDING, HONEST, TAMPERING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
# What the lab's folder would show of another submission, if it were still there; and what it leaves there.
LEAVES = "(lab.work / 'left').write_text('x')\n(lab.folder / 'left.py').write_text('x')\nmean = data.y.mean()"
LOOKS = "seen = [*lab.work.iterdir(), *lab.folder.glob('left*')]\nmean = 0.0 if seen else data.y.mean()"


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch, collection: object) -> None:
    """An environment that is quickly warm."""
    core = environments()["core"]
    monkeypatch.setitem(environments(), "core", dataclasses.replace(core, warm=("labkit.lesson", "pandas")))
    monkeypatch.setattr(executors, "_WORTH_WARMING", 1)


def test_submissions_share_imports_and_nothing_else(
    tiny: LabFolder, light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    begin = WarmSandbox.__init__
    monkeypatch.setattr(WarmSandbox, "__init__", lambda self, *a: (started.append(self), begin(self, *a))[1])
    texts = {
        "right": HONEST["by hand"],
        "leaves files": LEAVES,
        "looks for files": LOOKS,
        "patches": TAMPERING["patches numpy"],
        "numpy": HONEST["numpy"],
        "for ever": ENDING["loops for ever"],
        "the next": HONEST["as in the lab"],
    }
    limits = Limits(answer_seconds=5, lab_seconds=60)
    trials = [Trial("tiny-lab", (Answer("mean", text, (), "s", "a"),), limits) for text in texts.values()]
    found = dict(Local(1).run(trials))
    outcomes = {label: found[number].verdicts["a"].outcome for number, label in enumerate(texts)}
    right = ("right", "leaves files", "looks for files", "numpy", "the next")
    assert outcomes == dict.fromkeys(right, "correct") | {"patches": "refused", "for ever": "error"}
    assert len(started) == 2  # a new one after the run that was stopped, and none else
    assert not any(one.process.poll() is None for one in started)


def test_where_it_does_not_start_a_cold_one_does(tiny: LabFolder, light: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: WarmSandbox, *_: object) -> None:
        raise NotWarm

    monkeypatch.setattr(WarmSandbox, "__init__", fails)
    trial = Trial("tiny-lab", (Answer("mean", HONEST["by hand"], (), "s", "a"),), Limits(lab_seconds=60))
    ((_, found),) = Local(1).run([trial])
    assert found.verdicts["a"].outcome == "correct"


def test_one_that_ends_says_so() -> None:
    with pytest.raises(NotWarm):
        WarmSandbox(lambda descriptor: ["/bin/false"], [], {}, Limits())

"""A learner's kernels one after the other: what each writes to the progress, and how the next one goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from labkit.catalog.collection import LabFolder
from labkit.catalog.version import lab_version
from labkit.classroom.start import start_lab
from labkit.lesson.journal import progress_file, read_events
from labkit.lesson.outline import read_outline
from labkit.lesson.standing import standing
from nbclient import NotebookClient

from ..conftest import replace
from .test_lesson import CHECK, OPEN, Learner


@pytest.fixture
def kernels(tiny: LabFolder, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that opens the lab in a new shell of the learner's workspace."""
    notebook, _ = start_lab(tiny.slug)
    monkeypatch.chdir(notebook.parent)

    def restart() -> Learner:
        InteractiveShell.clear_instance()
        learner = Learner(InteractiveShell.instance(colors="nocolor"), capsys)
        learner.types(OPEN)
        assert learner.result.success
        return learner

    yield restart
    InteractiveShell.clear_instance()


def events(kind: str = "") -> list[dict[str, Any]]:
    return [event for event in read_events(progress_file())[0] if kind in ("", event["event"])]


def test_a_check_keeps_the_cell_that_was_judged(kernels: Any, tiny: LabFolder) -> None:
    learner = kernels()
    answers = [
        "mean = data.y.sum()  # a first try",
        "mean = = 3",
        "mean = data.nothing",
        "%time mean = float(sum(data.y) / len(data))",
    ]
    for text in answers:
        learner.types(text)
        learner.types("something = 'else'")
        learner.types(CHECK)
    together = "mean = 4.0\n" + CHECK
    learner.types(together)
    found = events("check")
    assert [event["answer"] for event in found] == [*answers, together]
    assert [event["outcome"] for event in found] == ["incorrect", "error", "error", "correct", "incorrect"]
    assert {event["version"] for event in events()} == {lab_version(tiny.folder)}
    assert len({event["id"] for event in events()}) == len(events())


def test_of_several_cells_the_newest_is_kept(kernels: Any) -> None:
    learner = kernels()
    older, newer = "four = 4", "def double(x):\n    return 2 * x"
    learner.types(older)
    learner.types(newer)
    learner.types('double, four = lab.check("double", double, four)')
    assert [(event["answer"], event["outcome"]) for event in events("check")] == [(newer, "correct")]


def test_a_magic_that_only_reads_an_answer_is_no_attempt(kernels: Any) -> None:
    learner = kernels()
    learner.types("mean = ...")
    learner.types(CHECK)
    learner.types("%timeit -n1 -r1 mean")
    learner.types(CHECK)
    assert [event["outcome"] for event in events("check")] == ["not attempted", "not attempted"]


def test_hints_go_on_in_a_second_kernel(kernels: Any, tiny: LabFolder) -> None:
    assert "Hint 1 of 2" in kernels().types('lab.hint("mean")')
    second = kernels()
    assert "Hint 2 of 2" in second.types('lab.hint("mean")')
    assert "Hint 1 of 2" in second.types('lab.hint("double")')
    second.types("mean = 1.0")
    second.types(CHECK)
    assert events("check")[-1]["hints"] == 2
    third = kernels()
    assert "all the hints" in third.types('lab.hint("mean")')
    assert [event["number"] for event in events("hint")] == [1, 2, 1]
    replace(tiny.folder / "checks.py", "Sum, then divide.", "Add, then divide.")
    assert "Hint 1 of 2" in kernels().types('lab.hint("mean")'), "another version of the lab begins anew"


def test_the_first_answer_to_a_question_counts_in_every_kernel(kernels: Any) -> None:
    kernels().types('lab.quiz(1, "b")')
    second = kernels()
    second.types('lab.quiz(1, "a")\nlab.quiz(2, "b")')
    assert "quiz: 1 of 2 right at the first answer" in second.types("lab.finish()")
    assert standing(events())["tiny-lab"].quiz == {1: False, 2: True}


def test_a_prediction_is_remembered_until_it_is_revealed(kernels: Any) -> None:
    predict = 'lab.predict("slope", "How steep?", options=["steep", "flat"])'
    kernels().types(predict.replace(")", ', answer="flat")'))
    second = kernels()
    assert "So far you predict: flat" in second.types(predict)
    assert "You predicted: flat" in second.types('lab.revisit("slope", "steep")')
    third = kernels()
    third.types(predict.replace(")", ', answer="steep")') + '\nlab.revisit("slope", "steep")')
    assert standing(events())["tiny-lab"].predictions == {"slope": ("flat", "steep")}
    assert "predictions: 0 of 1 came true" in third.types("lab.finish()")


def test_the_summary_says_what_to_read_again(kernels: Any) -> None:
    learner = kernels()
    learner.types('lab.claim("width", 3.0, at_least=2)')
    learner.types('lab.hint("mean")')
    learner.types("mean = data.y.mean()")
    learner.types(CHECK)
    learner.types('lab.solution("double")')
    learner.types('lab.quiz(2, "a")')
    said = kernels().types("lab.finish()")
    assert "exercises: 1 of 2 correct; open: double" in said, "an earlier kernel's correct answer counts"
    assert "with help: mean (1 hint), double (the solution)" in said
    assert "quiz: 0 of 1 right at the first answer; open: question 1" in said
    assert 'mean, done with 1 hint: read "A tiny lab for the tests" again' in said
    assert 'double, open: read "A tiny lab for the tests" again' in said
    assert "question 2 of the exam lens" in said and "question 1 of the exam lens" not in said
    assert "next:" not in said, "the only lab there is this one"


def test_a_worked_run_has_the_summary_that_it_always_had(tiny: LabFolder, capsys: Any) -> None:
    InteractiveShell.clear_instance()
    learner = Learner(InteractiveShell.instance(colors="nocolor"), capsys)
    learner.types(OPEN)
    learner.types("mean = data.y.mean()\ndef double(x):\n    return 2 * x\nfour = 4")
    learner.types(CHECK + '\ndouble, four = lab.check("double", double, four)')
    learner.types('lab.predict("slope", "How steep?", options=["steep"])\nlab.revisit("slope", "steep")')
    said = learner.types("lab.finish()")
    assert said == "✓ A tiny lab for the tests: 0 claims seen\n  exercises: 2 of 2 correct\n"
    assert not progress_file().exists()
    InteractiveShell.clear_instance()


def test_the_headings_that_explain_an_exercise(tiny: LabFolder, tmp_path: Path) -> None:
    replace(tiny.source, "# ## Predict first", "# ## The data\n#\n# Numbers.\n#\n# ## Predict first")
    found = read_outline(tiny.folder)
    assert found.exercises == ("mean", "double") and found.questions == 2
    assert found.reread == {"mean": "The data", "double": "The data"}
    # The same, told by the learner's copy, as a handed-out folder has it.
    (tiny.folder / "lab.ipynb").write_bytes(start_lab(tiny.slug)[0].read_bytes())
    tiny.source.unlink()
    assert read_outline(tiny.folder).reread == found.reread


def test_a_real_kernel_in_the_workspace(tiny: LabFolder) -> None:
    path, _ = start_lab(tiny.slug)
    notebook = nbformat.read(path, as_version=4)
    exercise = next(cell for cell in notebook.cells if "mean = ..." in cell.source)
    exercise.source = "mean = float(sum(data.y) / len(data))"
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}, timeout=60).execute()
    (found,) = standing(events()).values()
    assert found.exercises["mean"].outcome == "correct" and found.exercises["mean"].attempts == 1
    assert found.exercises["double"].outcome == "not attempted" and found.exercises["double"].attempts == 0
    assert found.finished and set(found.claims) == {"slope"} and found.predictions == {"slope": (None, "steep")}
    assert events("check")[0]["answer"] == exercise.source
    assert {event["event"] for event in events()} == {"open", "claim", "check", "revisit", "finish"}

"""The lesson in a real IPython shell: what a learner types, and what the lab says."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from labkit import lesson
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.lesson.claims import ClaimFailed, make_claim
from labkit.lesson.exercise import untouched
from labkit.lesson.journal import Journal, read_journal
from labkit.lesson.messages import Message
from labkit.lesson.reference import try_text

OPEN = 'from labkit import lesson\nlab = lesson.open("tiny-lab", seed=1)\ndata = lab.data("planted", seed=1)'
CHECK = 'mean = lab.check("mean", mean, data)'


class Learner:
    """Types cells into a shell and reads what was said."""

    def __init__(self, shell: InteractiveShell, capsys: Any) -> None:
        self.shell, self.capsys = shell, capsys

    def types(self, text: str) -> str:
        self.result = self.shell.run_cell(text)
        captured = self.capsys.readouterr()
        return captured.out + captured.err

    @property
    def lab(self) -> lesson.Lab:
        return self.shell.user_ns["lab"]

    def outcomes(self) -> list[str]:
        return [event["outcome"] for event in self.lab._journal.of("check")]


@pytest.fixture
def learner(tiny: LabFolder, capsys: Any) -> Iterator[Learner]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    someone = Learner(shell, capsys)
    someone.types(OPEN)
    assert someone.result.success
    yield someone
    InteractiveShell.clear_instance()


def test_a_correct_answer_comes_back_as_it_is(learner: Learner) -> None:
    learner.types("mean = float(sum(data.y) / len(data))")
    before = learner.shell.user_ns["mean"]
    assert "Correct: mean" in learner.types(CHECK)
    assert learner.shell.user_ns["mean"] is before


def test_untouched_goes_on_with_the_reference(learner: Learner) -> None:
    learner.types("mean = ...  # your answer here")
    said = learner.types(CHECK)
    assert "Not attempted: mean" in said and "reference answer" in said
    assert learner.shell.user_ns["mean"] == pytest.approx(learner.shell.user_ns["data"].y.mean())


def test_an_incorrect_answer_says_why(learner: Learner) -> None:
    learner.types("mean = data.y.sum()")
    said = learner.types(CHECK)
    assert "Not yet: mean" in said and "would move every later number" in said
    assert learner.outcomes() == ["incorrect"]


def test_a_check_that_stops_is_an_error(learner: Learner) -> None:
    learner.types("mean = 'three'")
    assert "TypeError: not a number" in learner.types(CHECK)
    assert learner.outcomes() == ["error"]


def test_a_cell_that_stops_is_an_error_and_breaks_nothing(learner: Learner) -> None:
    learner.types("mean = data.z.mean()")
    assert not learner.result.success
    said = learner.types(CHECK)
    assert learner.result.success and "Your cell stopped: AttributeError" in said
    learner.types("mean = data.y.mean()")
    learner.types(CHECK)
    assert learner.outcomes() == ["error", "correct"]


def test_a_syntax_error_is_an_error(learner: Learner) -> None:
    learner.types("mean = = 3")
    assert "SyntaxError" in learner.types(CHECK)
    assert learner.outcomes() == ["error"]


def test_the_reference_handed_back_is_no_answer(learner: Learner) -> None:
    learner.types("mean = data.y.sum()")
    learner.types(CHECK)
    assert "This is the reference answer" in learner.types(CHECK)
    learner.types("mean = data.y.mean()")
    learner.types(CHECK)
    assert learner.outcomes() == ["incorrect", "not attempted", "correct"]


def test_several_answers_come_back_as_a_tuple(learner: Learner) -> None:
    learner.types("def double(x):\n    '''Twice x.'''\n    ...\nfour = ...")
    assert "Not attempted" in learner.types('double, four = lab.check("double", double, four)')
    assert learner.shell.user_ns["double"](21) == 42 and learner.shell.user_ns["four"] == 4


def test_hints_come_one_at_a_time_and_the_solution_last(learner: Learner) -> None:
    assert "What is a mean?" in learner.types('lab.hint("mean")')
    assert "Sum, then divide." in learner.types('lab.hint("mean")')
    assert "all the hints" in learner.types('lab.hint("mean")')
    said = learner.types('lab.solution("mean")')
    assert "mean = data.y.mean()" in said and "BEGIN SOLUTION" not in said


def test_an_unknown_exercise_is_one_line(learner: Learner) -> None:
    said = learner.types('lab.check("median", 1)')
    assert "has no exercise 'median'" in said and "mean, double" in said and "Traceback" not in said


def test_a_claim_out_of_bounds_stops_and_is_recorded(learner: Learner) -> None:
    assert "ClaimFailed" in learner.types('lab.claim("height", 1.0, at_least=2)')
    learner.types('lab.claim("width", 3.0, at_least=2, at_most=4)')
    assert [event["holds"] for event in learner.lab._journal.of("claim")] == [False, True]


def test_a_typed_answer_changes_nothing_and_has_a_source(learner: Learner) -> None:
    learner.types("import threading\nlocks = [threading.Lock()]\nbefore = data.copy()")  # a lock cannot be copied
    exercise, task = learner.lab._exercise("mean")
    text = (
        "data['y'] = 5.0\ndef helper(): return 1\nimport inspect\nseen = inspect.getsource(helper)\nmean = data.y.sum()"
    )
    verdict = try_text(text, task, exercise, learner.shell.user_ns)
    assert verdict.outcome == "incorrect" and "would move every later number" in verdict.message
    assert learner.shell.user_ns["data"].equals(learner.shell.user_ns["before"])


def test_a_broken_notebook_is_told_to_start_again(learner: Learner) -> None:
    learner.types("del data\nmean = ...")
    said = learner.types('mean = lab.check("mean", mean)')
    assert "run the notebook from the top" in said


def test_the_quiz_explains_every_option(learner: Learner) -> None:
    assert "lab.quiz(1" in learner.types("lab.quiz()")
    said = learner.types('lab.quiz(1, "b")')
    assert "✗" in said and said.count("Because it is") == 3 and "two (your answer)" in said
    learner.types('lab.quiz(1, "a")')
    assert learner.lab._quiz == {1: False}
    assert "options a, b, c" in learner.types('lab.quiz(1, "x")')
    assert "questions 1 to 2" in learner.types('lab.quiz(7, "a")')


def test_a_prediction_is_put_beside_the_result(learner: Learner) -> None:
    learner.types('lab.predict("slope", "How steep?", options=["steep", "flat"])')
    assert "You made no prediction" in learner.types('lab.revisit("slope", "steep")')
    learner.types('lab.predict("slope", "How steep?", options=["steep", "flat"], answer="flat")')
    assert "You predicted: flat" in learner.types('lab.revisit("slope", "steep")')
    assert "is not an option" in learner.types('lab.revisit("slope", "curved")')


def test_the_summary_tells_what_is_open(learner: Learner) -> None:
    learner.types('lab.claim("width", 3.0, at_least=2)')
    said = learner.types("lab.finish()")
    assert "1 claims seen" in said and "open: mean, double" in said


def test_target_and_seed_are_checked(learner: Learner) -> None:
    assert "target vertex" in learner.types('lesson.open("tiny-lab", target="vertex")')
    assert '"local" or "vertex"' in learner.types('lesson.open("tiny-lab", target="gcp")')
    assert "a whole number" in learner.types('lesson.open("tiny-lab", seed=-1)')


def test_opening_again_leaves_one_listener(learner: Learner) -> None:
    before = len(learner.shell.events.callbacks["post_run_cell"])
    learner.types(OPEN)
    learner.types(OPEN)
    assert len(learner.shell.events.callbacks["post_run_cell"]) == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_claim_that_is_not_finite_never_holds(value: float) -> None:
    assert not make_claim("x", value, None, 1e300).holds
    assert not make_claim("x", value, -1e300, None).holds


def test_a_claim_needs_a_bound_and_a_number() -> None:
    with pytest.raises(LabError, match="no bound"):
        make_claim("x", 1, None, None)
    with pytest.raises(LabError, match="not a number"):
        make_claim("x", "much", 1, None)
    assert issubclass(ClaimFailed, AssertionError)


def function(text: str) -> types.FunctionType:
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    return namespace["f"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(): ...",
        "def f(x):\n    'doc'",
        "def f(x):\n    'doc'\n    ...  # here",
        "def f(x): pass",
        "def f(): return",
    ],
)
def test_a_function_that_does_nothing_is_untouched(text: str) -> None:
    assert untouched(function(text))


@pytest.mark.parametrize(
    "text", ["def f(): return 5", "def f(x):\n    'doc'\n    return x", "def f(): print()", "def f(): return 'doc'"]
)
def test_a_function_that_does_something_is_not(text: str) -> None:
    assert not untouched(function(text))


def test_the_journal_survives_a_line_cut_short(tmp_path: Path) -> None:
    journal = Journal("tiny-lab", tmp_path / "journal.jsonl")
    journal.write("claim", name="a", value=1.0)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"event": "clai')
    assert [event["name"] for event in read_journal(tmp_path / "journal.jsonl")] == ["a"]


def test_messages_are_escaped() -> None:
    bundle = Message("bad", "is <b>x</b> `y`?", ["a & b"], code="<script>")._repr_mimebundle_()
    assert "<b>x</b>" in bundle["text/plain"]
    assert "&lt;b&gt;x" in bundle["text/html"] and "<code>y</code>" in bundle["text/html"]
    assert "<script>" not in bundle["text/html"]
    json.dumps(bundle)


def test_the_journal_has_the_sql_that_was_sent_but_not_what_wrong_answers_sent(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise = learner.lab._exercises["mean"]
    monkeypatch.setattr(exercise, "wrong", {"by SQL": "client.query('SELECT 2').result()\nmean = 0.0"})
    monkeypatch.setenv("LABKIT_AUDIT", "1")
    learner.types("client = lab.target.bigquery()\nclient.query('SELECT 1').result()\nmean = data.y.mean()")
    learner.types(CHECK)
    learner.types("client.query('SELECT 3').result()\nlab.finish()")
    assert [event["outcome"] for event in learner.lab._journal.of("audit")] == ["incorrect"]
    assert "SELECT 2" in learner.lab.target.queries
    assert learner.lab._journal.of("queries")[0]["texts"] == ["SELECT 1", "SELECT 3"]
    learner.lab.close()


def test_sql_that_bigquery_refuses_is_incorrect_in_its_words(learner: Learner) -> None:
    client = learner.lab.target.bigquery()
    assert lesson.sql_rows(client, "SELECT 2 AS two").to_dataframe()["two"].tolist() == [2]
    with pytest.raises(lesson.Incorrect, match=r"^BigQuery refuses it: Unrecognized name: nobody at \[1:8\]$"):
        lesson.sql_rows(client, "SELECT nobody")
    for no_text in (["SELECT 1"], "  ", None):
        with pytest.raises(lesson.Incorrect, match="is GoogleSQL, a text"):
            lesson.sql_rows(client, no_text)
    learner.lab.close()


def test_text_is_compiled_as_a_cell_is_with_types_as_annotations() -> None:
    from labkit.classroom.judging import _run_text
    from labkit.lesson.reference import run_text

    text = "def f(x: int): ...\nkind = f.__annotations__['x']"
    judged: dict[str, object] = {}
    assert _run_text(text, judged, "f") == ""
    assert run_text(text, {}, "f")["kind"] is int and judged["kind"] is int

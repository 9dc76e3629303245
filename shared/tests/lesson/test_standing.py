"""Where a learner stands, told by hand-written events: best outcome, attempts, first answers, and hostile fields."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from labkit.lesson.journal import is_event
from labkit.lesson.standing import ExerciseStanding, standing

_CLOCK = count(1)


def event(kind: str, lab: str = "tiny-lab", **fields: Any) -> dict[str, Any]:
    """An event a second after the one made before it."""
    moment = next(_CLOCK)
    record = {"id": f"e{moment}", "time": float(moment), "lab": lab, "version": "0" * 12, "event": kind, **fields}
    assert is_event(record)
    return record


def check(outcome: str, answer: str | None = None, **fields: Any) -> dict[str, Any]:
    return event("check", exercise="mean", outcome=outcome, answer=answer, **fields)


def mean(*events: dict[str, Any]) -> ExerciseStanding:
    return standing(reversed(events))["tiny-lab"].exercises["mean"]


def test_the_best_outcome_stays() -> None:
    seen = [check("not attempted", "..."), check("error", "x"), check("incorrect", "1"), check("correct", "2")]
    for number, outcome in enumerate(("not attempted", "error", "incorrect", "correct"), 1):
        assert mean(*seen[:number]).outcome == outcome
    found = mean(*seen, check("incorrect", "3"), check("correct", "4"))
    assert found.outcome == "correct" and found.first_correct == seen[3]["time"]
    assert found.attempts == 3, "what comes after the first correct answer is no further attempt"


def test_the_same_text_checked_again_is_one_attempt() -> None:
    assert mean(check("incorrect", "1"), check("incorrect", "1"), check("incorrect", "2")).attempts == 2
    assert mean(check("incorrect"), check("incorrect")).attempts == 2, "without a text nobody can tell"


def test_hints_are_a_ladder_and_not_a_sum() -> None:
    ladder = [event("hint", exercise="mean", number=number) for number in (1, 2, 1)]
    found = mean(*ladder, event("solution", exercise="mean"))
    assert found.hints == 2 and found.solution_seen and found.outcome == "not attempted"


def test_the_version_is_the_one_that_was_answered() -> None:
    new = {"version": "1" * 12}
    assert mean(check("correct", "2"), check("incorrect", "3", **new)).version == "0" * 12
    assert mean(check("incorrect", "2"), check("incorrect", "3", **new)).version == "1" * 12
    assert standing([event("open"), event("open", **new)])["tiny-lab"].version == "1" * 12


def test_first_answers_claims_and_the_end() -> None:
    found = standing(
        [
            event("open"),
            event("quiz", question=1, answer="a", right=True),
            event("quiz", question=1, answer="b", right=False),
            event("claim", name="slope", value=1.5),
            event("claim", name="slope", value=2),
            event("exam", question=2, answer="a", right=True, exam="x"),
            event("finish"),
        ]
    )["tiny-lab"]
    assert found.quiz == {1: True} and found.claims == {"slope": 2.0} and found.finished
    assert found.last - found.opened == 6
    assert found.open_exercises(["mean"]) == ["mean"] and not found.done(["mean"]) and found.done([])


def test_a_lab_is_done_when_it_was_run_and_nothing_is_open() -> None:
    end, right, seen = event("finish"), check("correct", "2"), event("solution", exercise="mean")
    for events, done in (([end], False), ([right], False), ([right, end], True), ([seen, end], True)):
        assert standing(events)["tiny-lab"].done(["mean"]) == done


def test_questions_of_an_exam_open_no_lab() -> None:
    assert standing([event("exam", question=1, right=True)]) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "check", "exercise": ["mean"], "outcome": "correct"},
        {"event": "check", "exercise": "mean", "outcome": {"a": 1}},
        {"event": "check", "exercise": "mean"},
        {"event": "hint", "exercise": "mean", "number": "many"},
        {"event": "hint", "exercise": "mean", "number": 10**9},
        {"event": "quiz", "question": [1], "right": True},
        {"event": "quiz", "question": True, "right": True},
        {"event": "quiz", "question": 1, "right": "yes"},
        {"event": "predict", "name": {}, "answer": "a"},
        {"event": "revisit", "name": "slope", "came_true": 5},
        {"event": "claim", "name": "slope", "value": "much"},
        {"event": "claim", "name": "slope", "value": 10**400},
        {"event": "claim", "name": "slope", "value": float("nan")},
        {"event": "something new"},
    ],
)
def test_a_field_of_the_wrong_kind_counts_for_nothing(fields: dict[str, Any]) -> None:
    kind = fields["event"]
    rest = {key: value for key, value in fields.items() if key != "event"}
    found = standing([event("open"), event(kind, **rest)])["tiny-lab"]
    assert all(one == ExerciseStanding(version="0" * 12) for one in found.exercises.values())
    assert (found.quiz, found.predictions, found.claims, found.finished) == ({}, {}, {}, False)

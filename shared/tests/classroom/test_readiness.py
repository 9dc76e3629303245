"""Readiness: what it counts, when it says nothing, and that a right answer never lowers it."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest
from labkit.catalog.collection import find_lab
from labkit.catalog.version import lab_version
from labkit.classroom.evidence import answered_exercises, answered_questions
from labkit.classroom.interval import wilson
from labkit.classroom.readiness import ENOUGH, SectionResult, Tally, overall, readiness, untouched, weakest
from labkit.classroom.readiness_page import readiness_page, readiness_text

from ..conftest import replace
from ..test_cli import labs
from .quizzes import add_quiz_lab, event, keep, weigh

Event = dict[str, Any]


@pytest.fixture
def classroom(collection: Path) -> Path:
    """Sections 2 (30 per cent; the tiny lab) and 3 (70 per cent; four labs with a question each to a topic)."""
    weigh(collection)
    for slug in ("alpha", "beta", "delta", "gamma"):
        add_quiz_lab(collection, slug, 3, topic="T002")
    return collection


def quiz(lab: str, number: int, right: bool) -> Event:
    return event("quiz", lab, question=number, answer="a", right=right, version=lab_version(find_lab(lab).folder))


def exam(lab: str, number: int, right: bool) -> Event:
    version = lab_version(find_lab(lab).folder)
    return event("exam", lab, exam="e", question=number, answer="a", right=right, seconds=1.0, version=version)


def check(lab: str, outcome: str = "correct") -> Event:
    return event("check", lab, exercise="first", outcome=outcome, version=lab_version(find_lab(lab).folder))


def solution(lab: str) -> Event:
    return event("solution", lab, exercise="first", version=lab_version(find_lab(lab).folder))


def section(events: list[Event], number: int = 3) -> SectionResult:
    return next(found for found in readiness(events) if found.section == number)


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe 1998, table I, method 3 (score): 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, answers, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(right, answers) == pytest.approx((low, high), abs=6e-5)
    assert wilson(0, 0) == (0.0, 1.0) and wilson(5, 5)[1] == 1.0


def test_each_kind_of_answer_is_counted_once(classroom: Path) -> None:
    events = [
        quiz("alpha", 1, False),
        quiz("alpha", 1, True),  # after the explanation
        quiz("alpha", 2, True),
        quiz("beta", 1, True),
        exam("beta", 1, False),  # counts in the place of the quiz
        exam("beta", 2, False),
        exam("beta", 2, True),  # changed, or a later exam
        check("alpha", "incorrect"),
        check("alpha"),
        check("beta", "not attempted"),
    ]
    found = section(events)
    assert found.tally("quiz") == Tally(1, 2) and found.tally("exam") == Tally(1, 2)
    assert found.tally("exercise") == Tally(1, 1) and found.whole == Tally(3, 5)
    assert section(events[::-1]) == found  # by their time, not by their order in the file
    assert section(events, 2).whole == Tally()


def test_an_exercise_counts_when_it_was_solved_before_its_solution_was_seen(classroom: Path) -> None:
    assert section([check("alpha"), solution("alpha")]).tally("exercise") == Tally(1, 1)
    assert section([solution("alpha"), check("alpha")]).tally("exercise") == Tally(0, 1)
    assert section([solution("alpha")]).tally("exercise") == Tally(0, 1)
    assert section([check("alpha", "error")]).tally("exercise") == Tally(0, 1)


def test_topics_count_as_done_with_their_lab(classroom: Path) -> None:
    add_quiz_lab(classroom, "omega", 3, topic="T001")
    found = section([check("alpha"), event("finish", "alpha")])
    assert (found.done, found.here) == (1, 2)
    assert section([check("alpha")]).done == 0  # not run to its end
    assert section([event("finish", "alpha"), check("alpha", "incorrect")]).done == 0
    assert section([], 2).topics == 2 and section([], 2).here == 1  # the other topic's lab is planned


def test_below_eight_answers_it_is_too_little_to_tell(classroom: Path) -> None:
    events = [quiz(lab, number, True) for lab in ("alpha", "beta") for number in range(1, 5)]
    assert len(events) == ENOUGH
    assert section(events[:7]).estimate == "" and section([]).estimate == ""
    assert section(events).estimate == "100% (68-100%)"
    # Two questions and two exercises: whatever is answered there, it is too little.
    assert "Too few questions in the labs here for an estimate: section 2.\n" in readiness_text(readiness(events))
    assert overall(readiness(events)) == (
        "Sections with 70% of the exam's weight have an estimate; for the whole it is too little to tell."
    )
    assert overall(readiness([])) == "No section has the 8 answers that an estimate needs."


def test_the_whole_is_weighted_by_section(classroom: Path) -> None:
    for slug in ("rho", "sigma"):
        add_quiz_lab(classroom, slug, 2)
    events = [quiz(lab, number, True) for lab in ("alpha", "beta") for number in range(1, 5)]
    events += [quiz(lab, number, number < 3) for lab in ("rho", "sigma") for number in range(1, 5)]
    assert overall(readiness(events)).startswith("By the sections' weights that is 85%.")  # 0.7 * 1 + 0.3 * 0.5


def test_a_right_answer_never_lowers_a_sections_estimate(classroom: Path) -> None:
    """From any state, any right answer: share and both ends of the interval stay or rise."""
    chance = Random(1)
    labs_of_3 = ("alpha", "beta", "delta", "gamma")
    for _ in range(25):
        events = [_any(chance, labs_of_3, chance.random() < 0.5) for _ in range(chance.randrange(30))]
        before = section(events).whole
        after = section([*events, _any(chance, labs_of_3, True)]).whole
        if before.answers:
            assert after.share >= before.share
        assert after.answers >= before.answers
        assert after.interval[0] >= before.interval[0] - 1e-12 and after.interval[1] >= before.interval[1] - 1e-12


def test_wilsons_interval_rises_with_each_right_answer() -> None:
    for answers, right in itertools.product(range(60), range(60)):
        if right > answers:
            continue
        low, high = wilson(right, answers)
        more = wilson(right + 1, answers + 1)
        assert more[0] >= low and more[1] >= high - 1e-12
        if right < answers:
            corrected = wilson(right + 1, answers)
            assert corrected[0] > low and corrected[1] > high


def _any(chance: Random, slugs: tuple[str, ...], right: bool) -> Event:
    lab = chance.choice(slugs)
    kind = chance.choice(["quiz", "exam", "check"])
    if kind == "check":
        return check(lab, "correct" if right else "incorrect")
    return (quiz if kind == "quiz" else exam)(lab, chance.randint(1, 4), right)


def test_the_weakest_are_those_where_it_is_surest(classroom: Path) -> None:
    events = [quiz("alpha", number, False) for number in range(1, 5)]
    events += [quiz("beta", 1, False), *(quiz("gamma", number, number != 1) for number in range(1, 5))]
    events += [quiz("delta", number, True) for number in range(1, 5)]
    found = readiness(events)
    assert [result.lab.slug for result in weakest(found)] == ["alpha", "beta", "gamma"]
    assert [result.lab.slug for result in weakest(found, 1)] == ["alpha"]
    assert [result.lab.slug for result in untouched(found)] == ["tiny-lab"]


def test_what_is_not_answered_is_proposed_section_by_section_in_its_sequence(classroom: Path) -> None:
    order = "title = 'Section 3 of the tests'\nfor = 'Those who test.'\nsection = 3\n"
    order += "[[part]]\ntitle = 'All of them'\nlabs = ['gamma', 'alpha', 'beta', 'delta']\n"
    (classroom / "labs" / "sequences" / "section-3.toml").write_text(order)
    assert [result.lab.slug for result in untouched(readiness([]))] == ["gamma", "tiny-lab", "alpha", "beta", "delta"]
    assert "gamma" not in [result.lab.slug for result in untouched(readiness([quiz("gamma", 1, True)]))]


def test_answers_of_earlier_versions_are_counted_and_said(classroom: Path) -> None:
    events = [quiz("alpha", 1, True), check("alpha"), quiz("beta", 1, True)]
    replace(classroom / "labs" / "3-models" / "alpha" / "quiz.toml", "Question 1", "Question one")
    assert "2 of the answers are of labs that have changed since." in readiness_text(readiness(events))
    assert section(events).whole == Tally(3, 3)


def test_events_that_are_not_answers_are_passed_over(classroom: Path) -> None:
    events = [
        event("quiz", "alpha", question="1", right=True),
        event("quiz", "alpha", question=True, right=True),
        event("quiz", "alpha", question=1, right="yes"),
        event("exam", "alpha", right=True),
        event("exam", "alpha", question=[1], right=True),
        event("solution", "alpha", exercise=["first"]),
        event("quiz", "lab-that-is-gone", question=1, right=True),
    ]
    assert section(events).whole == Tally()
    assert list(answered_questions(events)) == [("lab-that-is-gone", 1)] and not answered_exercises(events)


class Read(HTMLParser):
    """The text of a page, its tags, and where it would fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.fetched = "", [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not str(value).startswith("#")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_the_same_and_how_it_is_counted(classroom: Path) -> None:
    replace(classroom / "labs" / "blueprint" / "topics.csv", "A topic whose lab is planned", "A <b>bold</b> topic")
    events = [quiz(lab, number, number > 1) for lab in ("alpha", "beta") for number in range(1, 5)]
    page = Read(readiness_page(readiness(events)))
    assert page.tags.count("h1") == 1 and not page.fetched and "script" not in page.tags
    assert "75% (41-93%), 8 answers" in page.text and "0 of 2 (1 have a lab)" in page.text
    assert "Wilson" in page.text and "6 of 8" in page.text
    assert "A <b>bold</b> topic" in page.text
    empty = Read(readiness_page(readiness([])))
    assert "Nothing is answered yet" in empty.text and "too little to tell: 0 answers" in empty.text
    assert "too little to tell: 1 answer" in Read(readiness_page(readiness(events[:1]))).text


def test_the_command_shows_and_writes_the_page(classroom: Path, tmp_path: Path) -> None:
    status, output = labs("readiness")
    assert status == 0 and "Nothing is answered yet" in output and "labs start alpha" in output
    keep([quiz("alpha", number, False) for number in range(1, 5)])
    assert re.search(
        r"^3 models +70% +0 of 1 +none +0 of 4 +none +4 +too little *$", labs("readiness")[1], re.MULTILINE
    )
    target = tmp_path / "mine.html"
    status, output = labs("readiness", "--page", str(target))
    assert status == 0 and "labs start alpha (0 of 4 right)" in output and "0 of 4" in target.read_text()
    assert labs("readiness", "--page", str(target))[0] == 0  # over its own page
    other = tmp_path / "other.html"
    other.write_text("mine")
    for wrong in (other, tmp_path / "no" / "mine.html", tmp_path):
        status, output = labs("readiness", "--page", str(wrong))
        assert status == 2 and f"labs: --page {wrong}: " in output
    assert other.read_text() == "mine"

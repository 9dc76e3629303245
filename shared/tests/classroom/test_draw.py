"""Drawing an exam: by weight, what a section cannot give, new questions first, options shuffled."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.classroom.draw import Item, apportion, draw, largest_remainder, read_pool, short_sections
from labkit.classroom.handout import handed_out
from labkit.lesson.quiz import Option, Question

from .quizzes import add_quiz_lab

GUIDE = {1: 13 / 101, 2: 16 / 101, 3: 21 / 101, 4: 20 / 101, 5: 18 / 101, 6: 13 / 101}


def pool(**sizes: int) -> list[Item]:
    """`s3_lab=4`: four questions of a lab in section 3; the first option is right."""
    options = (Option(text="right", why="Because it is.", right=True), *_wrong("two"), *_wrong("three"))
    question = Question(scenario="A scenario that is long enough to pass the rule on length.", options=options)
    return [
        Item(name, "v", int(name[1]), number, question, question.letters)
        for name, size in sizes.items()
        for number in range(1, size + 1)
    ]


def _wrong(text: str) -> tuple[Option]:
    return (Option(text=text, why="Because it is not."),)


@pytest.mark.parametrize(
    ("count", "weights", "expected"),
    [
        # 6.44, 7.92, 10.40, 9.90, 8.91, 6.44; then 2.57, 3.17, 4.16, 3.96, 3.56, 2.57
        (50, GUIDE, {1: 7, 2: 8, 3: 10, 4: 10, 5: 9, 6: 6}),
        (20, GUIDE, {1: 3, 2: 3, 3: 4, 4: 4, 5: 3, 6: 3}),
        (1, GUIDE, {1: 0, 2: 0, 3: 1, 4: 0, 5: 0, 6: 0}),
        (3, {1: 0.0, 2: 0.0}, {1: 2, 2: 1}),
        (0, GUIDE, dict.fromkeys(GUIDE, 0)),
    ],
)
def test_the_largest_remainders_get_the_seats_that_are_left(
    count: int, weights: dict[int, float], expected: dict[int, int]
) -> None:
    assert largest_remainder(count, weights) == expected


def test_what_a_section_cannot_give_goes_to_the_others_by_weight() -> None:
    sizes = {1: 20, 2: 12, 3: 71, 4: 8, 5: 4, 6: 8}
    given = apportion(50, GUIDE, sizes)
    assert given[4] == 8 and given[5] == 4 and sum(given.values()) == 50
    assert given == {1: 8, 2: 9, 3: 13, 4: 8, 5: 4, 6: 8}
    assert apportion(123, GUIDE, sizes) == sizes
    for count in range(124):
        shares = apportion(count, GUIDE, sizes)
        assert sum(shares.values()) == count and all(shares[key] <= sizes[key] for key in shares)
    assert apportion(5, {1: 0.0, 2: 1.0}, {1: 9, 2: 3}) == {1: 2, 2: 3}


def test_over_many_seeds_each_section_has_its_weight_and_each_question_its_chance() -> None:
    items = pool(s1_a=4, s1_b=4, s3_a=4, s3_b=4, s3_c=4, s4_a=4)
    weights = {1: 0.25, 3: 0.5, 4: 0.25}
    sections: Counter[int] = Counter()
    questions: Counter[tuple[str, int]] = Counter()
    for seed in range(400):
        drawn = draw(items, 8, seed, weights)
        assert len({item.key for item in drawn}) == 8
        sections.update(item.section for item in drawn)
        questions.update(item.key for item in drawn)
    assert sections == {1: 800, 3: 1600, 4: 800}
    # In section 3 four of twelve questions, so each in a third of 400 exams: 133, five standard errors are 47.
    assert all(86 < questions["s3_" + lab, number] < 180 for lab in "abc" for number in range(1, 5))


def test_a_section_asks_each_lab_before_it_asks_one_twice() -> None:
    items = pool(s3_a=4, s3_b=4, s3_c=4, s3_d=4)
    for seed in range(50):
        assert len({item.lab for item in draw(items, 4, seed, {3: 1.0})}) == 4
        assert max(Counter(item.lab for item in draw(items, 6, seed, {3: 1.0})).values()) == 2


def test_new_questions_come_first_and_old_ones_only_when_they_must() -> None:
    items = pool(s3_a=4, s3_b=2)
    answered = {("s3_a", 1), ("s3_a", 2), ("s3_b", 1)}
    for seed in range(50):
        assert not {item.key for item in draw(items, 3, seed, {3: 1.0}, answered)} & answered
        assert len({item.key for item in draw(items, 5, seed, {3: 1.0}, answered)} & answered) == 2


def test_the_seed_decides_everything() -> None:
    items = pool(s1_a=4, s3_a=4, s3_b=4)
    weights = {1: 0.3, 3: 0.7}
    first = draw(items, 6, 7, weights)
    assert first == draw(list(reversed(items)), 6, 7, weights)
    assert any(first != draw(items, 6, seed, weights) for seed in range(3))


def test_options_are_shuffled_and_a_letter_leads_back_to_its_option() -> None:
    items = pool(s3_a=4)
    rights: Counter[str] = Counter()
    for seed in range(300):
        for item in draw(items, 4, seed, {3: 1.0}):
            rights[item.shown.right] += 1
            stored = dict(zip(item.question.letters, item.question.options))
            shown = dict(zip(item.shown.letters, item.shown.options))
            assert all(shown[letter] == stored[item.stored(letter)] for letter in shown)
            assert item.stored(item.shown.right) == "a"
    assert all(330 < rights[letter] < 470 for letter in "abc")  # 400 each, four standard errors are 65


def test_too_few_questions_are_said(collection: Path) -> None:
    add_quiz_lab(collection, "gamma", 3)
    items = read_pool()
    assert [(item.lab, item.number) for item in items] == [("tiny-lab", 1), ("tiny-lab", 2)] + [
        ("gamma", number) for number in range(1, 5)
    ]
    weights = {2: 0.5, 3: 0.3, 5: 0.2}
    drawn = draw(items, 5, 1, weights)
    assert short_sections(drawn, 5, weights) == (
        "Too few questions for their weight: section 2 (2 of 3), section 5 (0 of 1); the others have more instead."
    )
    assert short_sections(draw(items, 3, 1, {2: 0.5, 3: 0.5}), 3, {2: 0.5, 3: 0.5}) == ""
    with pytest.raises(LabError, match="--questions 7: from 1 to 6"):
        draw(items, 7, 1, weights)
    with pytest.raises(LabError, match="no questions to draw from"):
        draw([], 1, 1, weights)


def test_a_lab_that_was_handed_out_gives_the_same_questions(tiny: LabFolder) -> None:
    items = read_pool()
    files = handed_out(tiny)
    shutil.rmtree(tiny.folder)
    for name, data in files.items():
        (tiny.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny.folder / name).write_bytes(data)
    assert not (tiny.folder / "quiz.toml").exists()
    assert read_pool() == items and len(items) == 2

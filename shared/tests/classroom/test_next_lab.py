"""What is proposed next: begun, then the sequence, then weight and weakness; never before what a lab needs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog.collection import LabFolder
from labkit.catalog.sequences import find_sequence
from labkit.cli import app
from labkit.lesson.journal import append, new_event, progress_file
from labkit.lesson.next_lab import Board, followed, propose, read_board
from labkit.lesson.standing import standing
from typer.testing import CliRunner

from ..conftest import replace

# Sections 1 to 3; b needs a, c is alone in its section.
CARDS = {"a": (1, []), "b": (1, ["a"]), "c": (2, []), "d": (3, ["planned-lab"]), "e": (3, ["d"])}
WEIGHTS = {1: 0.2, 2: 0.3, 3: 0.5}
SEQUENCE = """
title = "A week for the tests"
for = "Whoever tests the tests of this."
minutes = 15
assumes = ["d"]
[[part]]
title = "All of it, at once"
labs = ["e", "a", "b"]
"""


@pytest.fixture
def five(tiny: LabFolder) -> Path:
    """Five labs, copies of the tiny one; the collection's folder."""
    labs = tiny.folder.parents[1]
    for slug, (section, needs) in CARDS.items():
        folder = labs / {1: "1-low-code", 2: "2-data", 3: "3-models"}[section] / slug
        shutil.copytree(tiny.folder, folder)
        replace(folder / "lab.toml", "section = 2", f"section = {section}")
        replace(folder / "lab.toml", '["planned-lab"]', str(needs))
    shutil.rmtree(tiny.folder)
    (labs / "sequences").mkdir(exist_ok=True)
    (labs / "sequences" / "week.toml").write_text(SEQUENCE)
    return labs.parent


def done(slug: str) -> list[dict[str, Any]]:
    checks = [new_event("check", slug, "v", exercise=name, outcome="correct") for name in ("mean", "double")]
    return [*checks, new_event("finish", slug, "v")]


def half(slug: str) -> list[dict[str, Any]]:
    return done(slug)[:1]


def board(*events: list[dict[str, Any]]) -> Board:
    found = read_board(standing([event for some in events for event in some]))
    return Board(found.labs, found.begun, WEIGHTS)


def slugs(board: Board, sequence: str = "", without: str = "") -> list[str]:
    return [one.lab.slug for one in propose(board, find_sequence(sequence) if sequence else None, without)]


def test_the_heaviest_section_first_and_nothing_before_what_it_needs(five: Path) -> None:
    assert slugs(board()) == ["d", "c", "a"]
    found = propose(board())
    assert "section 3 is 50 % of the exam; done there: 0 of 2 labs; it needs no other lab" in found[0].reason


def test_a_lab_comes_when_what_it_needs_is_done(five: Path) -> None:
    assert slugs(board(done("d"))) == ["c", "e", "a"], "half of section 3 is done, which makes section 2 the neediest"
    found = propose(board(done("d")))[1]
    assert found.reason.endswith("what it needs is done: d")
    assert slugs(board(done("d"), done("c"), done("a"))) == ["e", "b"]
    assert slugs(board(*(done(slug) for slug in CARDS))) == []


def test_the_weakest_section_rises(five: Path) -> None:
    assert slugs(board(done("c")))[-1] == "a"
    # Of half of its exercises, section 3 is without half: 0.25 of the exam, less than the 0.3 of section 2.
    assert slugs(board(half("d"), half("e"))) == ["e", "c", "d"]
    assert slugs(board(half("d")), without="a") == ["d", "c"]


def test_one_from_each_section_before_a_second_from_one(five: Path) -> None:
    replace(five / "labs" / "3-models" / "e" / "lab.toml", "['d']", "[]")
    assert slugs(board()) == ["d", "c", "a"]
    assert slugs(board(), without="a") == ["d", "c", "e"]


def test_what_was_begun_last_comes_first(five: Path) -> None:
    found = propose(board(half("c"), half("a")))
    assert [one.lab.slug for one in found] == ["a", "d", "c"], "a was worked on after c"
    assert found[0].reason == "you have begun it; open: double"
    assert "its last cell was not run" in propose(board(done("a")[:2]))[0].reason


def test_a_sequence_decides_the_order(five: Path) -> None:
    assert slugs(board(), "week") == ["e", "a"], "d is assumed, b must wait for a"
    assert slugs(board(done("e"), done("a")), "week") == ["b"]
    assert slugs(board(half("a"), half("c")), "week") == ["a", "e"], "c was begun, and is no lab of the week"
    assert (
        'next in "A week for the tests"; what it needs is done: a'
        in propose(board(done("e"), done("a")), find_sequence("week"))[0].reason
    )
    assert slugs(board(done("e"), done("a"), done("b")), "week") == ["c", "d"], "after its end, the exam's weights"


def test_a_lab_that_is_done_is_not_opened_by_labs_of_another_collection(five: Path) -> None:
    assert slugs(board(done("elsewhere"))) == ["d", "c", "a"]


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["next", *arguments])
    return result.exit_code, result.output


def test_the_command_follows_the_class(five: Path) -> None:
    status, said = command()
    assert status == 0 and said.count("labs start ") == 3 and "next in" not in said
    (five / "class.toml").write_text('sequence = "week"\n')
    assert followed() is not None
    status, said = command()
    assert status == 0 and said.startswith("labs start e\n") and said.count("labs start ") == 2
    progress_file().parent.mkdir()
    append(progress_file(), [*done("e"), *done("a"), *done("b")])
    status, said = command()
    assert said.startswith('Every lab of "A week for the tests" is done.\nlabs start ')
    append(progress_file(), [*done("c"), *done("d")])
    assert "every one here is done" in command()[1]


@pytest.mark.parametrize("text", ["sequence =", "", 'sequence = "none"', "sequence = 7", "sequence = ['a']"])
def test_a_class_without_a_sequence_has_none(five: Path, text: str) -> None:
    (five / "class.toml").write_text(text)
    assert followed() is None and command()[0] == 0


def test_an_unknown_sequence_is_one_line(five: Path) -> None:
    status, said = command("--sequence", "wek")
    assert status == 2 and said.startswith("labs: No sequence is called 'wek'. Did you mean week?")

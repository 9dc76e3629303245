"""Sequences: their form, what is wrong with one, and those of the collection itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import read_labs
from labkit.catalog.sequences import Sequence, check_sequences, find_sequence, minutes_of, read_sequences, table_of

from ..conftest import ROOT
from ..test_cli import labs

CARD = """\
title = "The lab {slug} of the tests"
section = {section}
topics = ["T001"]
objectives = ["Have something to test with", "Run in a second or two"]
minutes = {minutes}
environment = "core"
prerequisites = [{needs}]
[cloud]
services = ["bigquery"]
max_cost_usd = 0.01
[ablation]
EFFECT = false
"""


def add_lab(home: Path, slug: str, minutes: int = 30, section: int = 2, needs: str = "") -> None:
    folder = home / "labs" / {2: "2-data", 3: "3-models"}[section] / slug
    folder.mkdir(parents=True)
    quoted = ", ".join(f'"{name}"' for name in needs.split())
    card = CARD.format(slug=slug, minutes=minutes, section=section, needs=quoted)
    (folder / "lab.toml").write_text(card)


def write(home: Path, name: str, slugs: str, minutes: int | None, more: str = "") -> Path:
    path = home / "labs" / "sequences" / f"{name}.toml"
    quoted = ", ".join(f'"{slug}"' for slug in slugs.split())
    said = "" if minutes is None else f"minutes = {minutes}\n"
    head = f'title = "The sequence {name}"\nfor = "Those who test."\n{said}{more}\n'
    path.write_text(f'{head}[[part]]\ntitle = "All of them"\nlabs = [{quoted}]\n')
    return path


def said(path: Path) -> list[str]:
    """The problems of one file: code, what and mend, without the place."""
    return [str(problem).removeprefix(f"{path}: ") for problem in check_sequences() if problem.where == path]


def test_a_sequence_is_read_in_its_order(collection: Path) -> None:
    add_lab(collection, "alpha", needs="tiny-lab")
    write(collection, "role", "tiny-lab alpha", 35)
    sequence = find_sequence("role")
    assert isinstance(sequence, Sequence)
    assert sequence.labs == ("tiny-lab", "alpha") and sequence.audience == "Those who test." and sequence.minutes == 35
    assert [s.name for s in read_sequences()] == ["section-2", "role"]
    assert said(sequence.path) == []
    assert list(table_of(sequence)) == [
        ("All of them (35 minutes)", "tiny-lab", "A tiny lab for the tests", "5"),
        ("", "alpha", "The lab alpha of the tests", "30"),
    ]


@pytest.mark.parametrize(
    ("slugs", "minutes", "more", "expected"),
    [
        ("tiny-lab", 6, "", "S003 `minutes` is 6, its labs take 5. Set `minutes` to the sum"),
        ("tiny-lba", 0, "", "S002 unknown lab `tiny-lba`. Did you mean `tiny-lab`?"),
        ("tiny-lab", 5, 'assumes = ["nothing-like-it"]', "S002 unknown lab `nothing-like-it`. Use labs that are there"),
        ("beta alpha", 60, "", "S004 `beta` comes before its prerequisite `alpha`. Move `alpha` before `beta`."),
        ("beta", 30, "", "S004 `beta` comes before its prerequisite `alpha`. Put `alpha` before `beta`, or name it"),
        ("tiny-lab tiny-lab", 10, "", "S005 the lab `tiny-lab` stands in it 2 times. Take it out"),
        ("alpha beta", 60, 'assumes = ["alpha"]', "S005 `assumes` names `alpha`, which is a lab of its parts."),
        ("tiny-lab", 5, "part_minutes = [30, 60]", "S006 part 'All of them' takes 5 minutes, not 30 to 60. Move labs"),
        ("tiny-lab", None, "section = 3", "S007 `tiny-lab` is a lab of section 2, not of 3. Name it in `assumes`"),
        ("tiny-lab", 5, "length = 3", "S001 field `length`: extra inputs are not permitted. labs/AUTHORING.md"),
        ("Tiny", 5, "", "S001 field `part.0.labs.0`: string should match pattern"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(
    collection: Path, slugs: str, minutes: int | None, more: str, expected: str
) -> None:
    add_lab(collection, "alpha")
    add_lab(collection, "beta", needs="alpha")
    found = said(write(collection, "role", slugs, minutes, more))
    assert any(line.startswith(expected) for line in found), found
    assert {line.split()[0] for line in found} == {expected.split()[0]}


def test_what_is_right_is_not_reported(collection: Path) -> None:
    add_lab(collection, "alpha", needs="planned-lab")  # planned and not there: no sequence can hold it
    add_lab(collection, "beta", needs="alpha")
    assert said(write(collection, "whole", "alpha beta", 60, "part_minutes = [60, 60]")) == []
    assert said(write(collection, "rest", "beta", 30, 'assumes = ["alpha"]')) == []


def test_a_new_lab_is_in_its_sections_sequence_after_what_it_needs(collection: Path) -> None:
    add_lab(collection, "alpha", needs="beta")
    add_lab(collection, "beta", needs="tiny-lab")
    add_lab(collection, "elsewhere", section=3)
    sequence = find_sequence("section-2")
    assert sequence.labs == ("tiny-lab", "beta", "alpha") and sequence.minutes == 65
    assert [part.title for part in sequence.parts] == ["The only part", "Further labs of this section"]
    assert said(sequence.path) == []


def test_labs_that_need_each_other_are_reported_and_end(collection: Path) -> None:
    add_lab(collection, "alpha", needs="beta")
    add_lab(collection, "beta", needs="alpha")
    sequence = find_sequence("section-2")
    assert len(sequence.labs) == 3 and said(sequence.path)[0].startswith("S004 `alpha` comes before its prerequisite")


def test_a_section_without_a_sequence_is_found(collection: Path) -> None:
    add_lab(collection, "gamma", section=3)
    (problem,) = check_sequences()
    assert problem.where.name == "section-3.toml" and problem.code == "S008"


def test_a_file_that_is_not_toml_is_reported_and_the_others_are_read(collection: Path) -> None:
    path = collection / "labs" / "sequences" / "broken.toml"
    path.write_text("title = ")
    (problem,) = said(path)
    assert problem.startswith("S001 not TOML: ") and [s.name for s in read_sequences()] == ["section-2"]
    with pytest.raises(LabError, match="S001 not TOML"):
        find_sequence("broken")


def test_the_command_lists_and_shows(collection: Path) -> None:
    status, output = labs("sequences")
    assert status == 0 and "section-2" in output and "Those who test the collection." in output
    status, output = labs("sequences", "section-2")
    assert status == 0 and "The only part (5 minutes)" in output and "1 labs, 5 minutes" in output
    status, output = labs("sequences", "secton-2")
    assert (status, output) == (2, "labs: No sequence is called 'secton-2'. Did you mean section-2?\n")


def test_a_sequence_shows_labs_that_a_trimmed_collection_lacks(collection: Path) -> None:
    write(collection, "role", "tiny-lab elsewhere", 5)
    status, output = labs("sequences", "role")
    assert status == 0 and "not in this collection" in output


def test_lint_of_everything_reports_sequences(collection: Path) -> None:
    write(collection, "role", "tiny-lab", 7)
    status, output = labs("lint")
    assert status == 1 and "role.toml: S003 `minutes` is 7, its labs take 5" in output


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence]:
    """The sequences of the collection itself."""
    monkeypatch.setenv("LABS_HOME", str(ROOT))
    return {sequence.name: sequence for sequence in read_sequences()}


def test_the_collections_sequences_keep_every_rule(real: dict[str, Sequence]) -> None:
    assert check_sequences() == []
    assert {f"section-{section}" for section in range(1, 7)} <= set(real)
    assert {"data-engineer", "model-developer", "mlops-engineer"} <= set(real)


def test_the_workshop_fits_into_two_days_and_the_course_into_six_even_weeks(real: dict[str, Sequence]) -> None:
    found, _ = read_labs()
    known = {lab.slug: lab for lab in found}
    days = [minutes_of(part.labs, known) for part in real["two-day-workshop"].parts]
    weeks = [minutes_of(part.labs, known) for part in real["six-week-course"].parts]
    assert len(days) == 2 and max(days) <= 6.5 * 60
    assert len(weeks) == 6 and max(weeks) <= 1.25 * min(weeks)


def test_the_last_week_spends_its_minutes_by_the_exams_weights(real: dict[str, Sequence]) -> None:
    found, _ = read_labs()
    known = {lab.slug: lab for lab in found}
    weights = read_blueprint().guides["2026"]["weights"]
    sequence = real["last-week-before-exam"]
    for section, weight in weights.items():
        own = [slug for slug in sequence.labs if known[slug].card.section == int(section)]
        share = minutes_of(own, known) / sequence.minutes
        # Labs are long, and few in some sections: within seven points.
        assert abs(share - weight / sum(weights.values())) < 0.07, section

"""The made-up class of ci/class_of_30.py, of the tiny lab: collected, reported, compared with its truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog.collection import LabFolder
from labkit.classroom.class_folder import read_class
from labkit.classroom.collect import collect
from labkit.classroom.matching import match
from labkit.classroom.report import Wanted, make_report
from labkit.classroom.submitted import read_notebook

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ci(monkeypatch: pytest.MonkeyPatch, tiny: LabFolder) -> Any:
    """The script as a module, with those beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "ci"))
    import class_of_30

    return class_of_30


def made(ci: Any, folder: Path, learners: int, seed: int = 1) -> tuple[Any, Any, Path]:
    """A collected class with grades from the truth."""
    people = ci.generate(["tiny-lab"], learners, seed)
    ci.write_class(people, folder / "handed-in")
    known = ci.truth(people)
    collect([folder / "handed-in"], folder / "class")
    ci.write_true_grades(people, known, folder / "class")
    return people, known, folder / "class"


def test_thirty_kinds_come_through_collecting_and_reporting(ci: Any, tmp_path: Path) -> None:
    people, known, room = made(ci, tmp_path, 30)
    assert len({person.kind for person in people}) == 30
    assert list(ci.collect_mismatches(known, room)) == []
    assert list(ci.grade_mismatches(known, read_class(room))) == []
    made_report = make_report(room, wanted=Wanted(feedback=False))
    assert list(ci.report_mismatches(known, made_report.folder)) == []


def test_what_was_typed_is_found_again(ci: Any, tmp_path: Path, tiny: LabFolder) -> None:
    people, known, room = made(ci, tmp_path, 30)
    ids = ci.ids_by_name(room)
    for person in people:
        path = room / "learners" / ids[person.name] / "tiny-lab" / "lab.ipynb"
        work = person.labs["tiny-lab"]
        if work.damage in ("empty", "no notebook"):
            continue
        found = match(read_notebook(path.read_bytes()).notebook, tiny).exercises
        for name, outcomes in known[person.name]["labs"]["tiny-lab"]["exercises"].items():
            text = None if outcomes == ["missing"] else work.texts[name]
            assert (found[name] or "").strip() == (text or "").strip(), (person.kind, name)


def test_every_kind_of_mismatch_is_told(ci: Any, tmp_path: Path) -> None:
    people, known, room = made(ci, tmp_path, 6)
    lines = [json.loads(line) for line in (room / "grades.jsonl").read_text().splitlines()]
    by_kind = {person.kind: ci.ids_by_name(room)[person.name] for person in people}
    for line in lines:
        if line["learner"] == by_kind["cheat: rebinds lab.check"]:
            line["exercises"]["mean"]["outcome"] = "correct"
        if line["learner"] == by_kind["right"]:
            line["exercises"]["double"]["hints"] += 1
        if line["learner"] == by_kind["untouched"]:
            line["quiz"] = {}
    (room / "grades.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (room / "learners" / by_kind["two hand-ins"] / "tiny-lab" / "earlier" / "1.ipynb").unlink()
    (room / "learners" / by_kind["broken JSON"] / "tiny-lab" / "lab.ipynb").unlink()
    collected = " ".join(ci.collect_mismatches(known, room))
    assert "0 earlier ones, not 1" in collected and "(broken JSON), tiny-lab: no notebook was collected" in collected
    graded = " ".join(ci.grade_mismatches(known, read_class(room)))
    assert "(cheat: rebinds lab.check), tiny-lab, mean: correct" in graded
    assert "(right), tiny-lab, double: attempts and hints" in graded and "(untouched), tiny-lab: quiz {}" in graded
    report = make_report(room, wanted=Wanted(feedback=False)).folder
    assert "tiny-lab mean" in " ".join(ci.report_mismatches(known, report))


def test_the_same_seed_makes_the_same_class(ci: Any, tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        ci.write_class(ci.generate(["tiny-lab"], 12, 2 if name == "other" else 1), tmp_path / name)
    bytes_of = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two", "other")
    }
    assert bytes_of["one"] == bytes_of["two"] != bytes_of["other"]
    names = [ci.generate(["tiny-lab"], 200, 1)[number].name for number in (0, 33, 34, 199)]
    assert len(set(names)) == 4

"""The export in the form of nbgrader's gradebook."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from labkit.catalog.collection import LabFolder
from labkit.classroom.class_folder import read_class
from labkit.classroom.gradebook import read_points, split_name, write_gradebook
from labkit.classroom.known import known_lab

from .graded import RIGHT, RIGHT_DOUBLE, exercise, line, write_class

# `keys` of CsvExportPlugin.export in nbgrader/plugins/export.py, nbgrader 0.9.6, joined as it joins them.
HEADER = (
    "assignment,duedate,timestamp,student_id,last_name,first_name,email,"
    "raw_score,late_submission_penalty,score,max_score"
)


@pytest.fixture
def room(tiny: LabFolder, tmp_path: Path) -> Path:
    both = {"mean": exercise("correct", RIGHT), "double": exercise("correct", RIGHT_DOUBLE)}
    lines = [
        line("zoe", both),
        line("ada", {"mean": exercise("refused"), "double": exercise("correct", RIGHT_DOUBLE)}),
        line("bo", {}, fault="too slow"),
    ]
    names = {"zoe": "Zoë Abt", "ada": "Lovelace, Ada", "bo": "=Bo"}
    folder = write_class(tmp_path / "class", lines, names)
    (folder / "learners" / "cy").mkdir()  # handed nothing in
    event = {"id": "1", "time": 1763719200.5, "lab": "tiny-lab", "version": "0" * 12, "event": "open"}
    (folder / "learners" / "zoe" / "progress.jsonl").write_text(json.dumps(event) + "\n")
    return folder


def written(room: Path, *points: str) -> tuple[str, list[dict[str, str]]]:
    labs = [known_lab("tiny-lab")]
    write_gradebook(read_class(room), labs, read_points(points, labs), room / "gradebook.csv")
    text = (room / "gradebook.csv").read_text(encoding="utf-8")
    return text, list(csv.DictReader(text.splitlines()))


def test_header_and_order_are_nbgraders(room: Path) -> None:
    text, rows = written(room)
    assert text.startswith(HEADER + "\n")
    # A line for everybody, by last name and first name.
    assert [row["student_id"] for row in rows] == ["bo", "zoe", "cy", "ada"]
    zoe = rows[1]
    assert zoe["assignment"] == "tiny-lab" and (zoe["last_name"], zoe["first_name"]) == ("Abt", "Zoë")
    assert (zoe["raw_score"], zoe["late_submission_penalty"], zoe["score"], zoe["max_score"]) == (
        "2.0",
        "0.0",
        "2.0",
        "2.0",
    )
    assert zoe["timestamp"] == "2025-11-21 10:00:00.500000" and rows[0]["timestamp"] == ""


def test_points_weigh_exercises_and_only_correct_ones_count(room: Path) -> None:
    _, rows = written(room, "tiny-lab/mean=2.5", "tiny-lab/double=3")
    scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in rows}
    assert scores == {"zoe": (5.5, 5.5), "ada": (3.0, 5.5), "bo": (0.0, 5.5), "cy": (0.0, 5.5)}


def test_a_name_is_no_formula(room: Path) -> None:
    _, rows = written(room)
    assert rows[0]["last_name"] == "'=Bo"


@pytest.mark.parametrize(
    ("name", "parts"),
    [("Ada L.", ("L.", "Ada")), ("L., Ada", ("L.", "Ada")), ("Ada", ("Ada", "")), ("Ada M. Lov", ("Lov", "Ada M."))],
)
def test_names(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts

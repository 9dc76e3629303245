"""The report of a class: figures, wrong answers in groups, and no text of a learner's as markup or formula."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.classroom.class_folder import read_class
from labkit.classroom.difficulty import hardest_exercises
from labkit.classroom.interval import wilson
from labkit.classroom.known import known_lab, normalised
from labkit.classroom.report import Report, Wanted, make_report
from labkit.classroom.spreadsheet import harmless, write_csv

from .graded import RIGHT, RIGHT_DOUBLE, exercise, line, write_class

SCRIPT = "<script>alert(1)</script>"
SUM = "The mean is not {}: that would move every later number."
NO_FEEDBACK = Wanted(feedback=False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def room(tiny: LabFolder, tmp_path: Path) -> Path:
    """Five learners: two of them wrong in the same way, one of whom typed HTML, one whose lab could not be run."""
    right = exercise("correct", RIGHT, attempts=2, hints=1)
    lines = [
        line("ada", {"mean": right, "double": exercise("correct", RIGHT_DOUBLE)}, "ab"),
        line("bo", {"mean": exercise("incorrect", "mean = (data.y.sum())  # all", SUM.format("51.5"), 4, 2)}, "bb"),
        line(
            "cy",
            {
                "mean": exercise("incorrect", f"# {SCRIPT}\nmean = data.y.sum()", SUM.format("-3e+02")),
                "double": exercise("refused", f"x = '{SCRIPT}'", f"line 1: {SCRIPT}"),
            },
            "cc",
        ),
        line(
            "di",
            {
                "mean": exercise("error", "mean = = 1", "SyntaxError: invalid syntax", 0),
                "double": exercise("not attempted", attempts=0),
            },
        ),
        line("ed", {}, "b", fault="the memory limit of 2048 MiB was passed"),
    ]
    names = {"cy": f'=HYPERLINK("http://x","{SCRIPT}")', "ada": "Ádá L."}
    folder = write_class(tmp_path / "class", lines, names)
    found = {
        "source": f"{SCRIPT}.ipynb",
        "kind": "notebook",
        "learner": "di",
        "lab": "",
        "read": "not",
        "message": "the file is empty",
    }
    (folder / "collected.jsonl").write_text(json.dumps(found) + "\n", encoding="utf-8")
    return folder


class Page(HTMLParser):
    """Tags, addresses that a page would fetch or lead to, and what runs or moves things in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.styles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.styles += [value or "" for name, value in attrs if name == "style"]


def test_the_page_escapes_what_learners_typed_and_its_links_resolve(room: Path) -> None:
    made = make_report(room)
    text = (made.folder / "report.html").read_text(encoding="utf-8")
    shown = Page(text)
    assert "script" not in shown.tags and text.count("&lt;script&gt;") >= 4
    assert shown.tags.count("h1") == 1
    for address in shown.addresses:
        found = address[1:] in shown.ids if address.startswith("#") else (made.folder / address).is_file()
        assert found, address


def test_learners_stand_by_name_with_what_there_is_to_look_at(room: Path) -> None:
    made = make_report(room, wanted=NO_FEEDBACK)
    learners = {row["learner"]: row for row in rows(made.folder / "learners.csv")}
    assert list(learners) == ["cy", "ada", "bo", "di", "ed"]  # by name: '=HYPERLINK…, Ádá L., Bo, …
    ada, cy, ed = learners["ada"], learners["cy"], learners["ed"]
    assert (ada["correct"], ada["exercises"], ada["quiz_right"], ada["quiz_questions"]) == ("2", "2", "2", "2")
    assert cy["refused"].startswith("tiny-lab, double: refused: line 1:") and cy["correct"] == "0"
    assert ed["faults"] == "tiny-lab could not be run: the memory limit of 2048 MiB was passed"
    assert learners["di"]["unreadable"].endswith("read not: the file is empty")
    assert made.refused == 1 and made.graded == 5


def test_the_hardest_comes_first_with_wilsons_interval(room: Path) -> None:
    exercises = rows(make_report(room, wanted=NO_FEEDBACK).folder / "exercises.csv")
    assert [row["exercise"] for row in exercises] == ["mean", "double"]
    mean, double = exercises
    assert (mean["judged"], mean["correct"], mean["incorrect"], mean["error"]) == ("4", "1", "2", "1")
    assert (mean["median_attempts"], mean["median_hints"]) == ("2", "1")  # of those who have progress: 2, 4, 1
    assert (double["refused"], double["not_attempted"], double["judged"]) == ("1", "1", "3")
    # Wilson's score interval, worked out by hand from its formula with z = 1.959964.
    assert wilson(1, 4) == pytest.approx((0.0455873, 0.6993582), abs=1e-6)
    assert wilson(0, 3)[0] == 0 and wilson(3, 3)[1] == 1


def test_wrong_answers_are_grouped_and_named_by_the_list(room: Path) -> None:
    figures = hardest_exercises(read_class(room), [known_lab("tiny-lab")])
    first, second = figures[0].wrong
    assert (first.count, first.outcome) == (2, "incorrect")  # the messages differ only in a number
    (variant,) = first.variants  # and the answers only in form
    assert variant.label == "sum" and variant.count == 2
    assert second.outcome == "error" and second.variants[0].label == ""
    answers = rows(make_report(room, wanted=NO_FEEDBACK).folder / "answers.csv")
    assert [row["learner"] for row in answers] == ["cy", "bo", "di", "cy"]
    assert answers[1]["listed_as"] == "sum" and answers[1]["same_text"] == "2"


def test_chosen_options_are_counted_with_their_why(room: Path) -> None:
    quiz = rows(make_report(room, wanted=NO_FEEDBACK).folder / "quiz.csv")
    chosen = {(row["question"], row["letter"]): row["chosen"] for row in quiz}
    assert [chosen["1", letter] for letter in "abc"] == ["1", "2", "1"]
    assert [chosen["2", letter] for letter in "abc"] == ["0", "2", "1"]
    assert quiz[0]["why"].startswith("Because") and quiz[0]["question"] == "1"  # the harder question first


def test_no_cell_of_a_csv_is_a_formula(room: Path) -> None:
    made = make_report(room, wanted=NO_FEEDBACK)
    for path in made.folder.glob("*.csv"):
        data = path.read_bytes()
        assert data.startswith(b"\xef\xbb\xbf") == (path.name != "gradebook.csv")
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if re.match(r"\s*[=+@＝]|\s*-\D", cell)], path.name
    named = [row["name"] for row in rows(made.folder / "learners.csv")]
    assert named[0].startswith("'=HYPERLINK") and named[1] == "Ádá L."


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_every_start_of_a_formula_gets_an_apostrophe(text: str, tmp_path: Path) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless(-1.5) == -1.5 and harmless("1+1") == "1+1" and harmless("a\0b") == "ab"
    write_csv(tmp_path / "one.csv", ["a", "b"], [[text, 'say "x";=1']])
    assert '"say ""x"";=1"' in (tmp_path / "one.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = (1)  # one", "x=1"),
        ('def f(x):\n    """Doc."""\n    return x', "def f(x): return x"),
        ("x = = 1\n\n", "x =  = 1  "),
    ],
)
def test_the_same_answer_in_another_form(one: str, other: str) -> None:
    assert normalised(one) == normalised(other) != normalised("x = 2")


def test_texts_without_end_do_not_stop_the_report() -> None:
    assert normalised("(" * 100_000) and normalised("-" * 100_000 + "1") and normalised("x = " + "'a' + " * 50_000)


def test_the_newest_line_counts_and_cut_lines_are_counted(room: Path) -> None:
    with (room / "grades.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line("bo", {"mean": exercise("correct", RIGHT)})) + "\n")
        file.write('{"learner": "ada", "lab": "tiny-lab", "exerc\n["no grade"]\n')
        file.write(json.dumps(line("ada", {"mean": {"outcome": "perfect"}})) + "\n")
    read = read_class(room)
    assert read.grades["bo", "tiny-lab"].exercises["mean"].outcome == "correct"
    assert read.grades["ada", "tiny-lab"].count("correct") == 2 and read.unreadable == 3


def test_half_a_surrogate_pair_stops_nothing(tiny: LabFolder, tmp_path: Path) -> None:
    given = {"mean": exercise("incorrect", "x = '\ud800'", "got \ud800"), "double": exercise("refused", "\udfff")}
    folder = write_class(tmp_path / "class", [line("ada", given, fault="")])
    answers = rows(make_report(folder).folder / "answers.csv")
    assert [row["message"] for row in answers] == ["got ?", ""]


def test_a_lab_that_nobody_knows_any_more_is_reported_without_labels(tiny: LabFolder, tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", [line("ada", {"mean": exercise("incorrect", "x", "no")}, "b", lab="gone")])
    made = make_report(folder)
    assert rows(made.folder / "answers.csv")[0]["listed_as"] == ""
    assert rows(made.folder / "quiz.csv")[0]["why"] == ""


def _ungraded(folder: Path) -> Report:
    (folder / "grades.jsonl").unlink()
    return make_report(folder)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda folder: make_report(folder / "no"), "labs collect"),
        (_ungraded, "labs grade"),
        (lambda folder: make_report(folder, wanted=Wanted(sequence="no-such")), "no-such"),
        (lambda folder: make_report(folder, wanted=Wanted(points=["mean=2"])), "lab/exercise=2"),
        (lambda folder: make_report(folder, wanted=Wanted(points=["tiny-lab/median=2"])), "mean, double"),
        (lambda folder: make_report(folder, wanted=Wanted(points=["big-lab/mean=2"])), "tiny-lab"),
        (lambda folder: make_report(folder, wanted=Wanted(points=["tiny-lab/mean=inf"])), "inf"),
        (lambda folder: make_report(folder, folder / "grades.jsonl"), "grades.jsonl: File exists. Give another --out"),
    ],
)
def test_bad_input_is_one_line(room: Path, what: Callable[[Path], Report], said: str) -> None:
    with pytest.raises(LabError, match=said):
        what(room)
    assert not (room / "report").exists()

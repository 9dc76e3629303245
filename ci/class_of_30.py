"""A class of 30 made-up learners, collected, graded and reported; everything is compared with the known truth.

`ci/class_of_30.py --learners 6 --labs metric-choice` makes it small. Prints seconds, counts and every mismatch, and
ends with 1 when there is one. What was made stays in --out, the truth beside it as truth.json. Where no sandbox can
be had, `--grades truth` writes grades from the truth, so that the report is still tried.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generated_class import Person, generate
from generated_files import truth, write_class
from labkit.catalog.places import home
from labkit.classroom.class_folder import ClassFolder, read_class

LABS = ["l1-l2-regularization", "metric-choice", "decision-threshold-cost"]
Truth = dict[str, Any]


def main() -> int:
    options = _options()
    if options.out.exists() and not options.keep:
        shutil.rmtree(options.out)
    handed_in, room = options.out / "handed-in", options.out / "class"
    people = generate(options.labs, options.learners, options.seed)
    write_class(people, handed_in)
    known = truth(people)
    (options.out / "truth.json").write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"{len(people)} learners, {len(options.labs)} labs, {sum(p.is_file() for p in handed_in.rglob('*'))} files")
    _labs("collect", str(handed_in), "--out", str(room))
    wrong = list(collect_mismatches(known, room))
    if options.grades == "truth":
        write_true_grades(people, known, room)
    else:
        _labs("grade", str(room))
    graded = read_class(room)
    wrong += grade_mismatches(known, graded)
    _labs("report", str(room), *([] if options.feedback else ["--no-feedback"]))
    wrong += report_mismatches(known, room / "report")
    outcomes = Counter(one.outcome for grade in graded.grades.values() for one in grade.exercises.values())
    print(f"{len(graded.grades)} notebooks graded: " + ", ".join(f"{n} {name}" for name, n in outcomes.most_common()))
    for line in wrong:
        print(f"MISMATCH {line}")
    print(f"{len(wrong)} mismatches with the truth")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", nargs="+", default=LABS)
    parser.add_argument("--learners", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=home() / ".work" / "class-of-30")
    parser.add_argument("--keep", action="store_true", help="go on with what an earlier, stopped run has in --out")
    parser.add_argument("--grades", choices=["labs", "truth"], default="labs")
    parser.add_argument("--feedback", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def _labs(*command: str) -> None:
    """Runs a `labs` command and prints how long it took. What it says goes through; a failure ends everything."""
    start = time.perf_counter()
    status = subprocess.run([str(Path(sys.executable).with_name("labs")), *command], check=False).returncode
    # 1 from `grade`: it could not grade everything. Some of the class cannot be graded, and the truth says who.
    if status not in ((0, 1) if command[0] == "grade" else (0,)):
        sys.exit(f"labs {command[0]} ended with status {status}")
    print(f"labs {command[0]}: {time.perf_counter() - start:.1f} s", flush=True)


def collect_mismatches(known: Truth, room: Path) -> Iterator[str]:
    """Who and what should be there, how it was read, and whether older hand-ins were kept."""
    ids = ids_by_name(room)
    if set(ids) != set(known):
        yield f"learners: {sorted(set(ids) ^ set(known))} are only in the truth or only in the class"
    lines = [json.loads(line) for line in (room / "collected.jsonl").read_text(encoding="utf-8").splitlines()]
    read = Counter((line["learner"], line["lab"], line["read"]) for line in lines)
    for name, person in known.items():
        own = ids.get(name, "")
        for slug, lab in person["labs"].items() if own else ():
            where = f"{name} ({person['kind']}), {slug}"
            folder = room / "learners" / own / slug
            if lab["read"] != "not" and not (folder / "lab.ipynb").is_file():
                yield f"{where}: no notebook was collected"
            if len(list(folder.glob("earlier/*.ipynb"))) != lab["earlier"]:
                yield f"{where}: {len(list(folder.glob('earlier/*.ipynb')))} earlier ones, not {lab['earlier']}"
            if not any(read[who, slug, lab["read"]] for who in (own, name)):
                yield f"{where}: no line says that it was read {lab['read']}"
    expected = sum(lab["read"] != "whole" for person in known.values() for lab in person["labs"].values())
    said = [line for line in lines if line["read"] != "whole" and "__MACOSX" not in line["source"]]
    if len(said) != expected:
        yield f"{len(said)} things were not read whole, not {expected}: {[line['source'] for line in said]}"


def ids_by_name(room: Path) -> dict[str, str]:
    import tomllib

    cards = (room / "learners").glob("*/learner.toml")
    return {tomllib.loads(card.read_text(encoding="utf-8"))["name"]: card.parent.name for card in cards}


def grade_mismatches(known: Truth, room: ClassFolder) -> Iterator[str]:
    """Outcome, attempts and hints of each exercise, and the quiz, where they are not as the truth has them."""
    ids = ids_by_name(room.folder)
    for name, person in known.items():
        for slug, lab in person["labs"].items():
            where = f"{name} ({person['kind']}), {slug}"
            grade = room.grades.get((ids.get(name, ""), slug))
            if grade is None:
                if lab["exercises"]:
                    yield f"{where}: not graded"
                continue
            if grade.fault and lab["read"] != "not":
                yield f"{where}: could not be run: {grade.fault}"
                continue
            for exercise, expected in lab["exercises"].items():
                judged = grade.exercises.get(exercise)
                if judged is None or judged.outcome not in expected:
                    found = f"{judged.outcome}: {judged.message}" if judged else "nothing"
                    yield f"{where}, {exercise}: {found}, not {' or '.join(expected)}"
                    continue
                way = (judged.attempts, judged.hints)
                wanted = (lab["attempts"].get(exercise, 0), lab["hints"].get(exercise, 0))
                if way != wanted:
                    yield f"{where}, {exercise}: attempts and hints {way}, not {wanted}"
            quiz = {str(number): list(answer) for number, answer in grade.quiz.items()}
            if quiz != lab["quiz"] and lab["read"] != "not":
                yield f"{where}: quiz {quiz}, not {lab['quiz']}"


def report_mismatches(known: Truth, report: Path) -> Iterator[str]:
    """Correct answers of each exercise, and whether every listed wrong answer was named."""
    if len(_rows(report / "learners.csv")) != len(known):
        yield f"learners.csv: {len(_rows(report / 'learners.csv'))} learners, not {len(known)}"
    correct = Counter(
        (slug, exercise)
        for person in known.values()
        for slug, lab in person["labs"].items()
        for exercise, expected in lab["exercises"].items()
        if expected == ["correct"]
    )
    for row in _rows(report / "exercises.csv"):
        if int(row["correct"]) != correct[row["lab"], row["exercise"]]:
            wanted = correct[row["lab"], row["exercise"]]
            yield f"exercises.csv, {row['lab']} {row['exercise']}: {row['correct']} correct, not {wanted}"
    ids = ids_by_name(report.parent)
    listing = {ids.get(name) for name, person in known.items() if person["kind"] == "listed wrong answers"}
    for row in _rows(report / "answers.csv"):
        if row["learner"] in listing and not row["listed_as"]:
            yield f"answers.csv: a listed wrong answer to {row['exercise']} of {row['lab']} has no name"
    asked = (report / "report.html").read_text(encoding="utf-8")
    if "<script" in asked or 'src="http' in asked:
        yield "report.html: it runs or fetches something"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_true_grades(people: list[Person], known: Truth, room: Path) -> None:
    """grades.jsonl as a grader without faults would write it, for a try without a sandbox."""
    ids, lines = ids_by_name(room), []
    for person in people:
        for slug, lab in known[person.name]["labs"].items():
            exercises = {
                exercise: {
                    "outcome": expected[0],
                    "message": "" if expected[0] == "correct" else "(from the truth, not from a check)",
                    "answer": person.labs[slug].texts[exercise] or "",
                    "attempts": lab["attempts"].get(exercise, 0),
                    "hints": lab["hints"].get(exercise, 0),
                }
                for exercise, expected in lab["exercises"].items()
            }
            quiz = {number: {"answer": letter, "right": right} for number, (letter, right) in lab["quiz"].items()}
            line = {"learner": ids.get(person.name, ""), "name": person.name, "lab": slug, "version": "", "graded": ""}
            lines.append(line | {"seconds": 0, "peak_mib": 0, "fault": "", "exercises": exercises, "quiz": quiz})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (room / "grades.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())

"""The lines of grades.jsonl: one for each learner and lab, appended as soon as it is there; the newest counts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.catalog.collection import find_lab
from labkit.classroom.progress import read_progress, standing
from labkit.classroom.submissions import Submission
from labkit.classroom.trial import Tried
from labkit.lesson.exercise import ERROR, Verdict
from labkit.lesson.quiz import read_quiz

GRADES = "grades.jsonl"


def read_grades(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of grades.jsonl in their order; what is no line of it is passed over."""
    path = folder / GRADES
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found = json.loads(line)
        except ValueError:  # cut by a crash
            continue
        if isinstance(found, dict) and isinstance(found.get("exercises"), dict):
            yield found


def as_before(line: Mapping[str, Any]) -> Tried:
    """What a run gave, from a line that tells of it."""
    verdicts = {name: Verdict(one["outcome"], one.get("message", "")) for name, one in line["exercises"].items()}
    return Tried(verdicts, line.get("seconds", 0.0), line.get("peak_mib", 0.0))


def write_grade(folder: Path, submission: Submission, tried: Tried) -> dict[str, Any]:
    """Appends the line of one submission and returns it."""
    verdicts = tried.verdicts | submission.verdicts
    fault = submission.fault or tried.fault
    exercises, quiz = _told(submission, verdicts)
    line = {
        "learner": submission.learner,
        "name": submission.name,
        "lab": submission.slug,
        "version": submission.version,
        "graded": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(tried.seconds, 2),
        "peak_mib": round(tried.peak_mib, 1),
        "fault": " ".join(fault.split())[:500],
        "exercises": {} if fault else exercises,
        "quiz": quiz,
        "state": submission.state,
        "run": submission.key if submission.answers else "",
    }
    _append(folder / GRADES, line)
    return line


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """One write with O_APPEND: the lines of two shards never mix; a line that a crash has cut costs no other."""
    data = (json.dumps(line) + "\n").encode()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        cut = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, b"\n" * cut + data)
    finally:
        os.close(handle)


def _told(submission: Submission, verdicts: Mapping[str, Verdict]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Exercises and quiz of a line; hints, attempts and letters come from the learner's progress."""
    path = submission.notebook.parents[1] / "progress.jsonl"
    events = [event for event in read_progress(path) if event["lab"] == submission.slug] if path.is_file() else []
    found = standing(events).get(submission.slug)
    exercises = {}
    for name, text in submission.texts.items():
        verdict = verdicts.get(name, Verdict(ERROR, "It was not judged."))
        note = submission.notes.get(name, "") if verdict.outcome == ERROR else ""
        told = found.exercises.get(name) if found else None
        exercises[name] = {
            "outcome": verdict.outcome,
            "message": " ".join(filter(None, [verdict.message, note])),
            "answer": text,
            "hints": told.hints if told else 0,
            "attempts": told.attempts if told else 0,
        }
    return exercises, _quiz(submission.slug, events) if not submission.fault else {}


def _quiz(slug: str, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The first letter for each question, marked by the lab's own quiz, whatever the event says of being right."""
    questions = read_quiz(find_lab(slug).folder / "quiz.toml").question
    marked: dict[str, Any] = {}
    for event in sorted(events, key=lambda event: event["time"]):
        number, letter = event.get("question"), event.get("answer")
        if event["event"] != "quiz" or isinstance(number, bool) or not isinstance(number, int):
            continue
        if 1 <= number <= len(questions) and letter in tuple(questions[number - 1].letters):
            marked.setdefault(str(number), {"answer": letter, "right": letter == questions[number - 1].right})
    return marked

"""`labs grade`: judges what a class has handed in; a line for each learner and lab as soon as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import find_lab
from labkit.catalog.version import lab_version
from labkit.classroom.executors import Executor
from labkit.classroom.executors import executor as executor_named
from labkit.classroom.grade_lines import as_before, read_grades, write_grade
from labkit.classroom.sandbox import Limits, require_sandbox
from labkit.classroom.submissions import Submission, prepare, submissions
from labkit.classroom.trial import REFUSED, Trial, Tried
from labkit.runner.capacity import default_jobs


@dataclass(frozen=True)
class Order:
    """What to grade and how: one lab or all, how many at once, which part, anew or only what is missing."""

    lab: str = ""
    jobs: int | None = None
    part: str = "1/1"
    again: bool = False
    executor: str = "local"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Graded:
    """How many submissions were there, were graded now, needed a run, could not be run; and what was refused."""

    found: int
    graded: int
    runs: int
    faults: int
    refused: int


def grade_class(folder: Path, order: Order) -> Graded:
    """Grades a collected class into its grades.jsonl; goes on where an earlier command was stopped.

    Raises LabError for a folder without a class, an unknown lab, and where there is no sandbox: then nothing is run.
    """
    if not (folder / "learners").is_dir():
        raise LabError(
            f"{folder}: no class is collected here. `labs collect <what was handed in> --out {folder}` does it."
        )
    if order.lab:
        find_lab(order.lab)
    require_sandbox()
    runner = executor_named(order.executor, order.jobs or default_jobs())
    found = part_of(list(submissions(folder, order.lab)), order.part)
    lines = [] if order.again else list(read_grades(folder))
    newest = {(line.get("learner"), line.get("lab")): line for line in lines}
    waiting = [one for one in found if not _is_graded(one, newest.get((one.learner, one.slug)))]
    for submission in waiting:
        prepare(submission)
    known = {line["run"]: line for line in lines if line.get("run") and not line.get("fault")}
    return _grade(folder, found, waiting, known, runner, order.limits)


def part_of(found: list[Submission], text: str) -> list[Submission]:
    """Part i of n ("i/n", i from 1) of the submissions; the parts are disjoint and together whole, on every machine."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise LabError(f"--shard {text}: write i/n with 1 <= i <= n, such as 1/2.")
    return found[int(part) - 1 :: int(parts)]


def _grade(
    folder: Path,
    found: list[Submission],
    waiting: list[Submission],
    known: Mapping[str, dict[str, Any]],
    runner: Executor,
    limits: Limits,
) -> Graded:
    """Runs what has to be run, once for all submissions with the same texts."""
    same: dict[str, list[Submission]] = {}
    written: list[dict[str, Any]] = []
    for submission in waiting:
        earlier = known.get(submission.key)
        if submission.fault or not submission.answers:
            written.append(write_grade(folder, submission, Tried({})))
        elif earlier and set(submission.texts) <= set(earlier["exercises"]):
            written.append(write_grade(folder, submission, as_before(earlier)))
        else:
            same.setdefault(submission.key, []).append(submission)
    groups = list(same.values())
    trials = [Trial(group[0].slug, group[0].answers, limits) for group in groups]
    for number, tried in runner.run(trials) if trials else ():
        written += [write_grade(folder, submission, tried) for submission in groups[number]]
    refused = sum(one["outcome"] == REFUSED for line in written for one in line["exercises"].values())
    return Graded(len(found), len(waiting), len(groups), sum(bool(line["fault"]) for line in written), refused)


def _is_graded(submission: Submission, line: Mapping[str, Any] | None) -> bool:
    if line is None or line.get("fault") or line.get("state") != submission.state:
        return False
    try:
        return bool(line.get("version") == lab_version(find_lab(submission.slug).folder))
    except LabError:
        return False

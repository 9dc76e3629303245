"""Health on the site: the last run that passed, and what came after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labkit.site.last_runs import Health, health_of, summary

PASSED = {
    "lab": "tiny-lab",
    "kind": "run",
    "passed": True,
    "error": "",
    "seconds": 21.7,
    "peak_mib": 446,
    "parameters": {"SEED": 7},
    "claims": {"a": 1.0, "b": 2.0},
    "environment": "core",
    "lock": "24ccad3a65da",
    "date": "2026-11-21T19:12:46+00:00",
}
FAILED = PASSED | {"passed": False, "error": "a claim fails", "date": "2026-11-22T08:00:00+00:00"}


@pytest.fixture
def record(collection: Path) -> Path:
    path = collection / ".work" / "health" / "tiny-lab.jsonl"
    path.parent.mkdir(parents=True)
    return path


def write(path: Path, *runs: object) -> None:
    path.write_text("".join(f"{run if isinstance(run, str) else json.dumps(run)}\n" for run in runs))


def test_a_lab_that_never_ran_here_says_so(collection: Path) -> None:
    assert health_of("tiny-lab") == Health(None)
    assert summary(Health(None)) == "not run on this machine yet"


def test_the_last_pass_counts(record: Path) -> None:
    write(record, PASSED | {"seconds": 1}, PASSED)
    health = health_of("tiny-lab")
    assert health.passed is not None and (health.passed.seconds, health.passed.claims, health.passed.seed) == (
        21.7,
        2,
        7,
    )
    assert summary(health) == "passed on 2026-11-21 in 22 s, 446 MiB, 2 claims held"


def test_a_failure_after_it_is_told_and_one_before_is_not(record: Path) -> None:
    write(record, FAILED | {"error": "old"}, PASSED, FAILED)
    assert summary(health_of("tiny-lab")).endswith("; failed since, on 2026-11-22: a claim fails")
    write(record, FAILED, PASSED)
    assert health_of("tiny-lab").failed == ""


def test_only_failures(record: Path) -> None:
    write(record, FAILED)
    assert summary(health_of("tiny-lab")) == "failed on 2026-11-22: a claim fails"


@pytest.mark.parametrize("kind", ["ablation", "untouched learner's copy"])
def test_runs_that_are_meant_to_differ_do_not_count(record: Path, kind: str) -> None:
    write(record, PASSED, FAILED | {"kind": kind})
    assert health_of("tiny-lab").failed == ""


def test_what_was_found_at_fault_is_told_where_the_record_has_it(record: Path) -> None:
    write(record, FAILED | {"error": "", "faults": ["an exercise accepts a wrong answer", "another"]})
    assert health_of("tiny-lab").failed == "an exercise accepts a wrong answer"


def test_lines_that_cannot_be_read_are_passed_over(record: Path) -> None:
    write(record, PASSED, '{"lab": "tiny-lab", "ki', "[1]", "7")
    assert health_of("tiny-lab").passed is not None

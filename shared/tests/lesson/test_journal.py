"""The progress file: nothing but the line being written is lost, whoever writes, is killed, or finds the disk full."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog.collection import LabFolder
from labkit.lesson import journal
from labkit.lesson.journal import Journal, append, open_journal, progress_file, read_events, read_lines

# A kernel's process without the seconds in which it imports.
FORK = multiprocessing.get_context("fork")


def writer(path: Path, lines: int, name: str) -> Any:
    """A process that writes so many events as fast as it can."""

    def write() -> None:
        kernel = Journal("tiny-lab", path, "0123456789ab", progress=True)
        for number in range(lines):
            kernel.write("check", exercise=name, number=number, answer="y" * 3000)

    process = FORK.Process(target=write, daemon=True)
    process.start()
    return process


def numbers(path: Path) -> list[int]:
    return [event["number"] for event in read_lines(path)[0]]


def test_wherever_a_line_is_cut_only_that_line_is_lost(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    append(whole, [{"number": 1}])
    kept = whole.read_bytes()
    append(whole, [{"number": 2, "answer": "é"}])
    for end in range(len(kept) + 1, len(whole.read_bytes()) - 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(whole.read_bytes()[:end])
        append(cut, [{"number": 3}])
        append(cut, [{"number": 4}])
        assert numbers(cut) == [1, 3, 4] and read_lines(cut)[1] == 1
    # Cut just before its newline a line is whole.
    cut.write_bytes(whole.read_bytes()[:-1])
    append(cut, [{"number": 3}])
    assert numbers(cut) == [1, 2, 3]


def test_what_is_no_event_is_passed_over_and_counted(tmp_path: Path) -> None:
    good = {"id": "a1", "time": 5.0, "lab": "tiny-lab", "version": "0123456789ab", "event": "open"}
    wrong: list[Any] = [
        [1],
        7,
        {"event": "open"},
        good | {"time": "now"},
        good | {"time": True},
        good | {"time": float("nan")},
        good | {"time": 10**400},
        good | {"time": -1},
        good | {"lab": "../../etc"},
        good | {"id": {"a": 1}},
        good | {"id": "x" * 65},
    ]
    lines = [json.dumps(good).encode(), b"\xff\xfe", b"\x00\x00", b"[" * 100_000, b'{"a": "' + b"b" * 1_100_000 + b'"}']
    (tmp_path / "progress.jsonl").write_bytes(b"\n".join([*lines, *(json.dumps(one).encode() for one in wrong), b""]))
    assert read_events(tmp_path / "progress.jsonl") == ([good], 4 + len(wrong))


def test_two_kernels_write_at_once(tmp_path: Path) -> None:
    path, each = tmp_path / "progress.jsonl", 400
    both = [writer(path, each, name) for name in ("a", "b")]
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    events, passed_over = read_events(path)
    assert passed_over == 0 and len({event["id"] for event in events}) == 2 * each
    for name in ("a", "b"):
        assert [event["number"] for event in events if event["exercise"] == name] == list(range(each))


def test_a_kernel_is_killed_while_it_writes(tmp_path: Path) -> None:
    path, luck = tmp_path / "progress.jsonl", random.Random(1)
    for round_number in range(20):
        victim, other = writer(path, 100_000, "victim"), Journal("tiny-lab", path, progress=True)
        end = time.monotonic() + luck.uniform(0.01, 0.05)
        while time.monotonic() < end:
            other.write("hint", exercise="other", number=round_number)
        victim.kill()
        victim.join()
        other.write("hint", exercise="last", number=round_number)
        there = {event["id"] for event in read_lines(path)[0]}
        assert {event["id"] for event in other.events} <= there, "what a living kernel has written is whole"
    assert read_lines(path)[1] <= 20, "at most a line for each kill"
    assert sum(event["exercise"] == "victim" for event in read_lines(path)[0]) > 100


def test_a_line_cut_by_a_kill_while_another_waits_is_seen(tmp_path: Path) -> None:
    """The lock is what tells a line that is being written from one that was cut short."""
    path = tmp_path / "progress.jsonl"
    append(path, [{"number": 1}])
    slow = (
        "import fcntl, os, sys, time\n"
        "handle = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "os.write(handle, b'{\"number\": 2')\n"
        "time.sleep(0.3)\n"
        "os.kill(os.getpid(), 9) if sys.argv[2] == 'killed' else os.write(handle, b'}\\n')\n"
    )
    for how, expected in (("killed", [1, 3]), ("whole", [1, 3, 2, 3])):
        other = subprocess.Popen([sys.executable, "-c", slow, str(path), how], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        append(path, [{"number": 3}])
        other.wait()
        assert numbers(path) == expected


def test_a_stopped_writer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    path = tmp_path / "progress.jsonl"
    append(path, [{"number": 1}])
    monkeypatch.setattr(journal, "_WAIT_SECONDS", 0.05)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        append(path, [{"number": 2}])
    assert numbers(path) == [1, 2]


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_is_told_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, short: bool
) -> None:
    real, full = os.write, [True]

    def write(handle: int, data: bytes) -> int:
        if full[0] and short:
            return real(handle, data[: len(data) // 2])
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    lesson = Journal("tiny-lab", tmp_path / "progress.jsonl", "0123456789ab", progress=True)
    monkeypatch.setattr(journal.os, "write", write)
    for _ in range(3):
        lesson.write("hint", exercise="mean", number=1)
    full[0] = False
    lesson.write("hint", exercise="mean", number=2)
    said = capsys.readouterr().out
    assert said.count("Your progress is not kept") == 1 and "No space left on device" in said
    assert numbers(tmp_path / "progress.jsonl") == [2] and len(lesson.events) == 4


def test_a_run_whose_journal_cannot_be_written_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Journal("tiny-lab", tmp_path).write("open")


def test_a_progress_that_is_no_file_is_told(tmp_path: Path, capsys: Any) -> None:
    lesson = Journal("tiny-lab", tmp_path, progress=True)
    assert lesson.earlier() == []
    lesson.write("open")
    assert "Your progress is not kept" in capsys.readouterr().out


def test_a_learners_kernel_writes_and_no_other(tiny: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = progress_file().parent
    (workspace / "tiny-lab" / "deep").mkdir(parents=True)
    for folder in (workspace, workspace / "tiny-lab", workspace / "tiny-lab" / "deep"):
        monkeypatch.chdir(folder)
        assert open_journal("tiny-lab", "").path == progress_file()
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    assert open_journal("tiny-lab", "").path is None
    monkeypatch.setenv("LABKIT_JOURNAL", str(workspace / "run.jsonl"))
    run = open_journal("tiny-lab", "")
    assert run.path == workspace / "run.jsonl" and not run.progress
    monkeypatch.delenv("LABKIT_HEADLESS")
    monkeypatch.delenv("LABKIT_JOURNAL")
    monkeypatch.chdir(tiny.folder)
    assert open_journal("tiny-lab", "").path is None


def test_a_progress_is_small_and_a_run_has_everything(tmp_path: Path) -> None:
    texts = ["SELECT 1"] * 1000
    for progress, events in ((True, ["check"]), (False, ["queries", "check"])):
        path = tmp_path / f"{progress}.jsonl"
        one = Journal("tiny-lab", path, "0123456789ab", progress)
        one.write("queries", texts=texts)
        one.write("check", answer="x" * 20_000)
        found, _ = read_events(path)
        assert [event["event"] for event in found] == events
        assert len(found[-1]["answer"]) == (10_000 if progress else 20_000)

"""What happened in a notebook: a JSON object a line, appended so that a crash loses at most the line being written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.catalog.places import home
from labkit.lesson.messages import Message, show

# What a learner's progress has. The texts of queries and requests, which can be large, stay out of it.
KEPT = frozenset(("open", "claim", "check", "hint", "solution", "predict", "revisit", "quiz", "finish", "exam"))
LONGEST_TEXT = 10_000
LONGEST_LINE = 1_000_000
_WAIT_SECONDS = 1.0
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_END_OF_TIME = 1e11  # the year 5138
Event = dict[str, Any]


class Journal:
    """Events of one open lab, in memory and in a file.

    `version`: the lab's. `progress`: the file is a learner's progress, which has only the events of KEPT and texts of
    at most LONGEST_TEXT characters, and which the lab goes on without when it cannot be written.
    """

    def __init__(self, lab: str, path: Path | None, version: str = "", progress: bool = False) -> None:
        self.lab = lab
        self.path = path
        self.version = version
        self.progress = progress
        self.events: list[Event] = []
        self._told = False

    def write(self, event: str, **fields: Any) -> None:
        """Keeps an event. Raises OSError when the file of a run cannot be written."""
        record = new_event(event, self.lab, self.version, **fields)
        self.events.append(record)
        if self.path is None or (self.progress and event not in KEPT):
            return
        try:
            append(self.path, [_shortened(record) if self.progress else record])
        except OSError as error:
            if not self.progress:
                raise
            self._tell(self.path, error)

    def of(self, event: str) -> list[Event]:
        return [record for record in self.events if record["event"] == event]

    def earlier(self) -> list[Event]:
        """What the learner's progress has of this version of the lab; nothing in a run."""
        if not self.progress or self.path is None:
            return []
        try:
            found, _ = read_events(self.path)
        except OSError:  # not there yet; what is wrong with it is told at the first write
            return []
        return [event for event in found if (event["lab"], event["version"]) == (self.lab, self.version)]

    def _tell(self, path: Path, error: OSError) -> None:
        if not self._told:
            self._told = True
            why = f"{path.parent.name}/{path.name}: {error.strerror or error}"
            show(Message("bad", f"Your progress is not kept: {why}. The lab goes on; mend it and restart the kernel."))


def new_event(event: str, lab: str, version: str, **fields: Any) -> Event:
    """A line of the progress, with an id by which it is known when files of several machines are merged."""
    moment = round(time.time(), 6)  # two events of one kernel keep their order
    return {"id": uuid.uuid4().hex, "time": moment, "lab": lab, "version": version, "event": event, **fields}


def open_journal(slug: str, version: str) -> Journal:
    """The journal of a lab that is opened here: a run's ($LABKIT_JOURNAL), a learner's progress, or one in memory."""
    named = os.environ.get("LABKIT_JOURNAL")
    if named:
        return Journal(slug, Path(named), version)
    path = _of_this_kernel()
    return Journal(slug, path, version, progress=path is not None)


def progress_file() -> Path:
    """The learner's progress on this machine. It need not be there."""
    return home() / "workspace" / "progress.jsonl"


def _of_this_kernel() -> Path | None:
    """The progress file for a kernel that works in workspace/; none for any other, and for runs without a learner."""
    path = progress_file()
    if os.environ.get("LABKIT_HEADLESS"):
        return None
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError:  # the working folder was deleted
        return None
    return path if here.is_relative_to(path.parent.resolve()) else None


def _shortened(record: Event) -> Event:
    return {key: value[:LONGEST_TEXT] if isinstance(value, str) else value for key, value in record.items()}


def append(path: Path, records: Iterable[Event]) -> None:
    """Appends lines in one write. Raises OSError when they could not be written whole."""
    data = b"".join(json.dumps(record, default=str).encode() + b"\n" for record in records)
    # With O_APPEND, lines of parallel kernels never overwrite each other.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _wait_for_others(handle)
        if _cut_short(handle):
            data = b"\n" + data
        if os.write(handle, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)  # which gives the lock back


def _wait_for_others(handle: int) -> None:
    """Takes the file's lock, so that nobody's half-written line is taken for one that a crash has cut short.

    Goes on without it after a second, or where there are no locks: a kernel that was stopped in the middle of its
    write must not stop this one.
    """
    end = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:
            return


def _cut_short(handle: int) -> bool:
    """Whether the file ends in the middle of a line."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
        return False
    return os.pread(handle, 1, found.st_size - 1) != b"\n"


def read_lines(path: Path) -> tuple[list[Event], int]:
    """The JSON objects in a file, and how many lines were passed over: cut short, broken, too long, or no object."""
    objects, passed_over = [], 0
    with path.open("rb") as file:
        for line in file:
            found = _object(line) if len(line) <= LONGEST_LINE else None
            if found is not None:
                objects.append(found)
            elif line.strip():
                passed_over += 1
    return objects, passed_over


def read_events(path: Path) -> tuple[list[Event], int]:
    """The events of a progress file, and how many lines were passed over. Raises OSError."""
    objects, passed_over = read_lines(path)
    events = [record for record in objects if is_event(record)]
    return events, passed_over + len(objects) - len(events)


def is_event(record: Event) -> bool:
    """Whether a JSON object has what every line of a progress file has."""
    moment = record.get("time")
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < _END_OF_TIME:
        return False
    if not all(isinstance(record.get(key), str) for key in ("id", "lab", "version", "event")):
        return False
    return bool(_ID.fullmatch(record["id"]) and _SLUG.fullmatch(record["lab"]))


def _object(line: bytes) -> Event | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # ValueError: also what is not UTF-8
        return None
    return found if isinstance(found, dict) else None


def read_journal(path: Path) -> list[Event]:
    """The events in a file, none where there is no file; a line that a crash cut short is passed over."""
    return read_lines(path)[0] if path.exists() else []

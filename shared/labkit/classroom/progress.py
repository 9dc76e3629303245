"""A learner's progress: files of several machines read as one, and merged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.catalog import LabError
from labkit.lesson.journal import Event, append, progress_file, read_events
from labkit.lesson.standing import ExerciseStanding as ExerciseStanding
from labkit.lesson.standing import LabStanding as LabStanding
from labkit.lesson.standing import standing as standing

# Lines that are appended in one write when files are merged.
_AT_ONCE = 500


@dataclass(frozen=True)
class Merged:
    """What a merge has added to the progress, what was there already, and how many lines could not be read."""

    added: int
    there: int
    passed_over: int

    def __str__(self) -> str:
        read = f"{self.added} events added, {self.there} were there already"
        return read + (f"; {self.passed_over} lines could not be read and were passed over" if self.passed_over else "")


def read_progress(*paths: Path) -> list[Event]:
    """The events of all files, each once, by time; none where a file is missing. Foreign lines are passed over."""
    return read_counted(*paths)[0]


def read_counted(*paths: Path) -> tuple[list[Event], int]:
    """As `read_progress`, and how many lines were passed over. Raises LabError for a file that cannot be read."""
    found, passed_over = [], 0
    for path in paths:
        if not path.exists():
            continue
        try:
            events, broken = read_events(path)
        except OSError as error:
            raise LabError(f"{path}: {error.strerror or error}. Name a progress.jsonl that you may read.") from None
        found += events
        passed_over += broken
    return union(found), passed_over


def union(events: Iterable[Event]) -> list[Event]:
    """Each event once, by time. Of two that claim the same id, the same one is kept in whatever order they come."""
    by_id: dict[str, Event] = {}
    for event in events:
        other = by_id.get(event["id"])
        if other is None or _text(event) < _text(other):
            by_id[event["id"]] = event
    return sorted(by_id.values(), key=lambda event: (event["time"], event["id"]))


def _text(event: Event) -> str:
    return json.dumps(event, sort_keys=True)


def merge(others: Sequence[Path], into: Path | None = None) -> Merged:
    """Appends the events of other files that are not there yet to `into` (default: this machine's progress).

    Nothing that is there is written anew, and a merge that was cut short is made whole by merging again. Raises
    LabError for a file that is missing or cannot be read or written.
    """
    path = into or progress_file()
    for other in others:
        if not other.is_file():
            raise LabError(f"{other}: no such file. Name the progress.jsonl of another machine.")
    found, passed_over = read_counted(*others)
    there = {event["id"] for event in read_progress(path)}
    new = [event for event in found if event["id"] not in there]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(new), _AT_ONCE):
            append(path, new[start : start + _AT_ONCE])
    except OSError as error:
        raise LabError(f"{path}: {error.strerror or error}. Nothing is lost: mend it and merge again.") from None
    return Merged(len(new), len(found) - len(new), passed_over)

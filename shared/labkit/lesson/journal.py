"""What happened in a notebook, one JSON line an event, appended so that a crash loses at most the last line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Journal:
    """Events of one open lab. They are kept in memory, and in the file named by $LABKIT_JOURNAL where it is set."""

    def __init__(self, lab: str, path: Path | None) -> None:
        self.lab = lab
        self.path = path
        self.events: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        record = {"event": event, "lab": self.lab, "time": round(time.time(), 3), **fields}
        self.events.append(record)
        if self.path is None:
            return
        line = (json.dumps(record, default=str) + "\n").encode()
        # One write with O_APPEND: lines of parallel kernels never mix.
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [record for record in self.events if record["event"] == event]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events in a file; a line that a crash cut short is passed over."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events

"""The edges of ML Metadata: what belongs to a context, and which execution has read or written which artifact."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import Event
from google.protobuf import json_format

from localgcp.vertex.journal import Journal
from localgcp.vertex.messages import Message, now, raw, wrapped


class Graph:
    """Edges between names of resources, kept in a file. The parents of a context are in the context itself."""

    def __init__(self, path: Path, lock: threading.RLock) -> None:
        self._journal, self._lock = Journal(path), lock
        # Dictionaries as sets that keep their order.
        self._members: dict[str, dict[str, None]] = {}
        self._events: dict[str, dict[str, Message]] = {}  # execution, artifact
        self._users: dict[str, dict[str, None]] = {}  # artifact, executions
        for row in self._journal.read():
            self._apply(row)

    def attach(self, context: str, names: Iterable[str]) -> None:
        """Puts artifacts and executions into a context; what is there already is skipped."""
        with self._lock:
            there = self._members.get(context, {})
            new = [name for name in dict.fromkeys(names) if name not in there]
            self._record([{"context": context, "member": name} for name in new])

    def connect(self, execution: str, events: Iterable[Message]) -> None:
        """Adds events of an execution. Between an execution and an artifact there is one: a second is skipped."""
        with self._lock:
            there = dict(self._events.get(execution, {}))
            rows = []
            for event in events:
                if event.artifact not in there:
                    kept = Event(event)
                    kept.execution, kept.event_time = execution, now()
                    there[event.artifact] = kept
                    rows.append({"event": json_format.MessageToDict(raw(kept))})
            self._record(rows)

    def forget(self, names: Iterable[str]) -> None:
        """Removes every edge of resources that are deleted."""
        with self._lock:
            known = [name for name in names if name in self._members or name in self._events or self._is_end(name)]
            self._record([{"deleted": name} for name in known])

    def is_in(self, context: str, name: str) -> bool:
        with self._lock:
            return name in self._members.get(context, {})

    def members(self, context: str) -> list[str]:
        with self._lock:
            return list(self._members.get(context, {}))

    def events_of(self, execution: str) -> list[Message]:
        with self._lock:
            return list(self._events.get(execution, {}).values())

    def users_of(self, artifact: str) -> list[str]:
        """The executions that have read or written an artifact."""
        with self._lock:
            return list(self._users.get(artifact, {}))

    def _is_end(self, name: str) -> bool:
        return name in self._users or any(name in inside for inside in self._members.values())

    def _record(self, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._journal.append(rows)
        for row in rows:
            self._apply(row)

    def _apply(self, row: dict[str, Any]) -> None:
        if "context" in row:
            self._members.setdefault(row["context"], {})[row["member"]] = None
        elif "event" in row:
            event = wrapped(json_format.ParseDict(row["event"], Event.pb()()))
            self._events.setdefault(event.execution, {})[event.artifact] = event
            self._users.setdefault(event.artifact, {})[event.execution] = None
        else:
            self._remove(row["deleted"])

    def _remove(self, name: str) -> None:
        self._members.pop(name, None)
        for inside in self._members.values():
            inside.pop(name, None)
        for artifact in self._events.pop(name, {}):
            self._users[artifact].pop(name, None)
        for execution in self._users.pop(name, {}):
            self._events[execution].pop(name, None)

"""The folder of a class as `labs collect` fills it: learners, their notebooks and progress, a line for each file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.classroom.handin import file_name, toml_text
from labkit.classroom.intake import Found
from labkit.classroom.progress import read_progress, union
from labkit.classroom.submitted import NOT, WHOLE
from labkit.lesson.journal import Event, append, read_journal

RECORD = "collected.jsonl"
UNKNOWN = "unknown-"
NOTEBOOK, PROGRESS, HAND_IN, OTHER = "notebook", "progress", "hand-in", "other"


@dataclass(frozen=True)
class Piece:
    """What a file is taken for. `name`: of the learner, "" where nobody is named; `lab`: "" for none.

    `time`: when it was last worked on, as far as can be told. `own`: a learner's lab.ipynb, and not one beside it.
    """

    kind: str
    name: str
    lab: str
    read: str
    message: str
    time: float = 0.0
    own: bool = True

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """The greater one is the newest of two notebooks; one that cannot be read never hides one that can."""
        return self.read != NOT, self.own, self.time


class Store:
    """Adds to a class folder and never takes anything away. One process at a time."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder, self.now = folder, now.replace(microsecond=0).isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / ".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.records = [r for r in read_journal(folder / RECORD) if {"source", "learner", "sha256", "place"} <= set(r)]
        self._places = {r["place"]: r["learner"] for r in self.records if r["learner"].startswith(UNKNOWN)}

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.close()

    def add(
        self, found: Found, learner: str, piece: Piece, events: Iterable[Event] | None = None
    ) -> tuple[str, str, bool]:
        """Keeps a file and its line. Returns the learner's folder, the message, and whether it was new.

        `learner`: the name of the folder, "" where nobody is named. `events`: of a progress file.
        """
        content = hashlib.sha256(found.data).hexdigest() if found.data is not None else ""
        place = _place(found)
        if not learner and found.data is not None and piece.kind != HAND_IN:
            learner = self._unknown(place, content)
        record: dict[str, Any] = {
            "source": found.source,
            "kind": piece.kind,
            "learner": learner,
            "lab": piece.lab,
            "read": piece.read,
        }
        record |= {"message": piece.message, "sha256": content, "rank": list(piece.rank), "place": place}
        before = next((r for r in self.records if _same(r, record)), None)
        if before is not None:
            return learner, str(before["message"]), False
        if learner:
            remark = self._introduce(learner, piece.name or learner, found.source.partition("!")[0])
            record["message"] = "; ".join(filter(None, [piece.message, remark]))
            if found.data is not None:
                self._keep(found, found.data, learner, piece, events)
        # The line comes last: a run that is ended before it keeps the file once more.
        self.records.append(record | {"collected": self.now})
        append(self.folder / RECORD, [self.records[-1]])
        return learner, str(record["message"]), True

    def _unknown(self, place: str, content: str) -> str:
        """The number of somebody whom nothing names: one for each place, the same when it is collected again."""
        known = [r["learner"] for r in self.records if r["sha256"] == content and r["learner"].startswith(UNKNOWN)]
        if known:
            return str(known[0])
        return str(self._places.setdefault(place, f"{UNKNOWN}{len(set(self._places.values())) + 1}"))

    def _introduce(self, learner: str, name: str, source: str) -> str:
        """Writes down a learner's names and sources. A remark when the name was spelled differently before."""
        path = self.folder / "learners" / learner / "learner.toml"
        known = _read_card(path)
        names = list(dict.fromkeys([*known["names"], name]))
        sources = list(dict.fromkeys([*known["sources"], source]))
        if (names, sources) != (known["names"], known["sources"]):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, _card(names, sources).encode())
        return "" if names[0] == name else f"{name!r} is taken for {names[0]!r}"

    def _keep(self, found: Found, data: bytes, learner: str, piece: Piece, events: Iterable[Event] | None) -> None:
        folder = self.folder / "learners" / learner
        if events is not None:
            _merge(folder / "progress.jsonl", list(events))
            if piece.read == WHOLE:
                return
        if piece.kind != NOTEBOOK or not piece.lab:
            _new(folder / "other", file_name(Path(found.name).stem), Path(found.name).suffix, data)
            return
        newest = folder / piece.lab / "lab.ipynb"
        if newest.exists() and piece.rank < self._rank(learner, piece.lab):
            _new(newest.parent / "earlier", "", ".ipynb", data)
            return
        if newest.exists():
            _new(newest.parent / "earlier", "", ".ipynb", newest.read_bytes())
        newest.parent.mkdir(parents=True, exist_ok=True)
        _write(newest, data)

    def _rank(self, learner: str, lab: str) -> tuple[Any, ...]:
        """The rank of the notebook that is lab.ipynb now: the greatest of those that were collected."""
        which = (learner, lab, NOTEBOOK)
        ranks = [tuple(r["rank"]) for r in self.records if (r["learner"], r["lab"], r["kind"]) == which and r["sha256"]]
        return max(ranks, default=(False, False, 0.0))


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a line is of the same file of the same learner, or of a source that could not be read either."""
    if any(one[key] != other[key] for key in ("learner", "kind", "lab", "sha256")):
        return False
    return bool(one["sha256"]) or (one["source"] == other["source"] and one["message"].startswith(other["message"]))


def _place(found: Found) -> str:
    """What two files of somebody unknown have in common: the zip, or the folder that they lie in."""
    return found.root if "!" in found.source else "/".join((found.root, *found.parts[:-1]))


def _read_card(path: Path) -> dict[str, list[str]]:
    try:
        card = tomllib.loads(path.read_text(encoding="utf-8"))
        return {"names": [card["name"], *card["spelled"]], "sources": card["sources"]}
    except (FileNotFoundError, tomllib.TOMLDecodeError, KeyError):
        return {"names": [], "sources": []}


def _card(names: list[str], sources: list[str]) -> str:
    spelled, found = (json.dumps(texts, ensure_ascii=False) for texts in (names[1:], sources))
    return f"name = {toml_text(names[0])}\nspelled = {spelled}\nsources = {found}\n"


def _merge(path: Path, events: list[Event]) -> None:
    there = {event["id"] for event in read_progress(path)}
    new = [event for event in union(events) if event["id"] not in there]
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        append(path, new)


def _new(folder: Path, stem: str, suffix: str, data: bytes) -> None:
    """Writes the file of the next free number in a folder; `x` refuses one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = suffix.lower() if suffix[1:].isascii() and suffix[1:].isalnum() else ""
    number = len(list(folder.iterdir())) + 1
    while True:
        try:
            with (folder / f"{number}{'-' if stem else ''}{stem}{suffix}").open("xb") as file:
                file.write(data)
            return
        except FileExistsError:
            number += 1


def _write(path: Path, data: bytes) -> None:
    """Writes by way of a neighbour, so that a crash leaves the old file whole."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)

"""`labs collect`: puts what learners have handed in, in whatever state, into the folder of a class.

Nothing there is overwritten or deleted: the newest notebook of a learner and lab is lab.ipynb, those before it are in
earlier/, what belongs to no lab is in other/. Every file that was found has its line in collected.jsonl, with what
could be read of it. What has been collected before is known by its content and not collected again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import lab_folders
from labkit.catalog.sequences import sequence_files
from labkit.classroom.class_store import HAND_IN, NOTEBOOK, OTHER, PROGRESS, Piece, Store
from labkit.classroom.handin import CARD
from labkit.classroom.intake import Found, take_in
from labkit.classroom.submitted import NOT, PARTLY, WHOLE, Submitted, cells_of, decode, parse_json, read_notebook
from labkit.classroom.whose import card_place, identity, lab_of, learner_of, read_card
from labkit.lesson.journal import Event, is_event

_SHOWN = 5  # names of files that are nothing to collect, in one line


@dataclass(frozen=True)
class Line:
    """One thing that was found. `new`: it was not there before. `read`: "whole", "partly" or "not"."""

    source: str
    kind: str
    learner: str
    lab: str
    read: str
    message: str
    new: bool = True


@dataclass
class Collected:
    """All lines of one `labs collect`, in the order in which the files were found."""

    lines: list[Line] = field(default_factory=list)

    def count(self, read: str) -> int:
        return sum(line.read == read for line in self.lines)

    def __str__(self) -> str:
        new = sum(line.new for line in self.lines)
        counts = ", ".join(f"{self.count(read)} {name}" for read, name in _NAMES.items())
        return f"{len(self.lines)} found: {counts}; {new} new, {len(self.lines) - new} were there already"


_NAMES = {WHOLE: "whole", PARTLY: "partly", NOT: "not read"}


def collect(paths: Sequence[Path], out: Path, now: datetime | None = None) -> Collected:
    """Collects from files, folders and zips into the class folder `out`, which is made where it is missing.

    Raises LabError for a path that is not there and for an `out` that cannot be written.
    """
    if not paths:
        raise LabError("Name what the learners have handed in: zips, folders, notebooks or progress files.")
    if out.exists() and not out.is_dir():
        raise LabError(f"--out {out}: a file. Name a folder.")
    slugs = [folder.name for folder in lab_folders()]
    found = [_sorted(one) for one in take_in(paths, out)]
    try:
        with Store(out, now or datetime.now(UTC)) as store:
            return _Collector(store, slugs, found).run()
    except OSError as error:
        raise LabError(
            f"{out}: {error.strerror or error}. What was collected so far is there; collect again."
        ) from None


class _Collector:
    """The work of one run. Progress comes first: it tells when a notebook was last worked on."""

    def __init__(self, store: Store, slugs: list[str], found: list[tuple[str, Found]]) -> None:
        self.store, self.slugs, self.found = store, slugs, found
        self.names = [*slugs, *(path.stem for path in sequence_files())]
        self.cards: dict[tuple[str, tuple[str, ...]], str] = {}
        # Root, folder, learner and lab -> time of the last event in the progress file of that folder.
        self.worked: dict[tuple[str, tuple[str, ...], str, str], float] = {}
        self.lines: dict[int, Line] = {}

    def run(self) -> Collected:
        for wanted, take in (
            (HAND_IN, self._hand_in),
            (PROGRESS, self._progress),
            (NOTEBOOK, self._notebook),
            ("", self._unread),
        ):
            for number, (kind, found) in enumerate(self.found):
                line = take(found) if kind == wanted else None
                if line is not None:
                    self.lines[number] = line
        lines = [self.lines[number] for number in sorted(self.lines)]
        return Collected([*lines, *self._others([found for kind, found in self.found if kind == OTHER])])

    def _hand_in(self, found: Found) -> Line | None:
        """A card has a line of its own only where it cannot be read."""
        name, place = read_card(found), card_place(found)
        if name is None or place is None:
            return self._record(found, Piece(HAND_IN, "", "", NOT, "it names nobody: whose it is, names of files tell"))
        self.cards[place] = name
        return None

    def _unread(self, found: Found) -> Line:
        """A file of which there are no bytes: a broken zip, a link, what is too large."""
        name = learner_of(found, self.cards, "", self.names)
        lab = lab_of("", found, self.slugs)[0]
        kind = NOTEBOOK if found.name.lower().endswith(".ipynb") else OTHER
        return self._record(found, Piece(kind, name, lab, NOT, found.message))

    def _progress(self, found: Found) -> Line:
        assert found.data is not None
        events, passed_over, remark = read_events(found.data)
        name = learner_of(found, self.cards, "", self.names)
        for event in events:
            key = (found.root, found.parts[:-1], name, str(event["lab"]))
            self.worked[key] = max(self.worked.get(key, 0.0), float(event["time"]))
        lines = f"{passed_over} of {passed_over + len(events)} lines could not be read" if passed_over else ""
        read = NOT if passed_over and not events else PARTLY if passed_over else WHOLE
        return self._record(found, Piece(PROGRESS, name, "", read, _joined(found.message, remark, lines)), events)

    def _notebook(self, found: Found) -> Line:
        assert found.data is not None
        submitted = read_notebook(found.data)
        lab, remark = lab_of(_text(submitted, found.data), found, self.slugs)
        name = learner_of(found, self.cards, lab, self.names)
        message = _joined(found.message, submitted.message, remark)
        read = submitted.read if lab else NOT
        time = self._last_worked(found, name, lab)
        return self._record(found, Piece(NOTEBOOK, name, lab, read, message, time, _is_own_copy(found, lab)))

    def _last_worked(self, found: Found, name: str, lab: str) -> float:
        """The last event of the lab in the progress beside or above a notebook, else the file's own time."""
        for depth in range(len(found.parts) - 1, -1, -1):
            key = (found.root, found.parts[:depth], name, lab)
            if key in self.worked:
                return self.worked[key]
        return found.time

    def _record(self, found: Found, piece: Piece, events: list[Event] | None = None) -> Line:
        learner, message, new = self.store.add(found, identity(piece.name) if piece.name else "", piece, events)
        return Line(found.source, piece.kind, learner, piece.lab, piece.read, message, new)

    def _others(self, others: list[Found]) -> list[Line]:
        """One line for all files of a zip or folder that are nothing to collect: there may be hundreds."""
        lines = []
        for root in dict.fromkeys(found.root for found in others):
            names = ["/".join(found.parts) for found in others if found.root == root]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            message = f"no notebook, progress or zip, left where it is: {', '.join(names[:_SHOWN])}{more}"
            lines.append(self._record(Found(root, root, (root,), None, 0.0), Piece(OTHER, "", "", NOT, message)))
        return lines


def _sorted(found: Found) -> tuple[str, Found]:
    """The kind of a file, and the file; what is nothing to collect is not held in memory."""
    kind = _kind(found)
    return kind, replace(found, data=None) if kind == OTHER else found


def _kind(found: Found) -> str:
    """What a file is, by its content before its name; "" for one that could not be read."""
    if found.data is None:
        return ""
    name = found.name.lower()
    if name == CARD:
        return HAND_IN
    begin = decode(found.data[:200_000])[0].lstrip("\ufeff \t\r\n")
    if begin.startswith("{") and any(word in begin for word in ('"cells"', '"worksheets"', '"cell_type"', '"nbformat')):
        return NOTEBOOK
    if begin.startswith("{") and '"event"' in begin.partition("\n")[0]:
        return PROGRESS
    if name.endswith(".ipynb"):
        return NOTEBOOK
    return PROGRESS if name.endswith(".jsonl") else OTHER


def read_events(data: bytes) -> tuple[list[Event], int, str]:
    """The events in the bytes of a progress file, how many lines are none, and a remark on its encoding."""
    text, remark = decode(data)
    events, passed_over = [], 0
    for line in filter(str.strip, text.splitlines()):
        try:
            event: Any = parse_json(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and is_event(event):
            events.append(event)
        else:
            passed_over += 1
    return events, passed_over, remark


def _text(submitted: Submitted, data: bytes) -> str:
    """The cells' text, or the raw file's where there are none: a broken notebook still says which lab it opens."""
    cells = [cell.text for cell in cells_of(submitted.notebook)]
    return "\n".join(cells) if cells else decode(data)[0]


def _is_own_copy(found: Found, lab: str) -> bool:
    """False for what is kept beside a copy, and for the originals of an archive that was handed in as a whole."""
    original = len(found.parts) > 3 and found.parts[-4] == "labs"
    return not original and not (lab in found.parts and found.name != "lab.ipynb")


def _joined(*remarks: str) -> str:
    return "; ".join(filter(None, remarks))

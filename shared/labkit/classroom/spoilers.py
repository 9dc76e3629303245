"""Searches what is handed out for answers: lines of solutions, hints, options of the quiz and what they explain."""

from __future__ import annotations

import ast
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.catalog.collection import LabFolder
from labkit.catalog.source import BEGIN, END, Task, read_cells, read_tasks
from labkit.lesson.quiz import read_quiz

_SHORTEST = 16  # of a line of code; a shorter one, such as `return total`, says nothing
_DEEPEST = 3


@dataclass(frozen=True)
class Spoiler:
    """A text that gives an answer away; `what` says whose: "exercise mean", "hint of mean", "quiz"."""

    lab: str
    what: str
    text: str


def spoilers_of(lab: LabFolder) -> list[Spoiler]:
    """The texts of a lab that must not be handed out: all but what it shows outside of its solutions, too."""
    cells = read_cells(lab.source)
    # From the source and not from the learner's copy, which may be what gives an answer away.
    shown = "\n".join(line for cell in cells for line, inside in _marked(cell.text) if not inside)
    found = [*_lines(lab.slug, read_tasks(cells)), *_hints(lab), *_quiz(lab)]
    return [one for one in found if len(one.text) >= _SHORTEST and one.text not in shown]


def _marked(text: str) -> Iterator[tuple[str, bool]]:
    """The lines of a cell, and whether each stands between the marks of a solution."""
    inside = False
    for line in text.splitlines():
        if line.strip() in (BEGIN, END):
            inside = line.strip() == BEGIN
        else:
            yield line, inside


def _lines(slug: str, tasks: Mapping[str, Task]) -> Iterator[Spoiler]:
    for task in tasks.values():
        for line, inside in _marked(task.worked.text):
            if inside and not line.strip().startswith(("#", "import ", "from ")):
                yield Spoiler(slug, f"exercise {task.name}", line.partition("  #")[0].strip())


def _hints(lab: LabFolder) -> Iterator[Spoiler]:
    """Hints as checks.py has them: plain literals (the linter demands it), so nothing of it is run."""
    for node in ast.parse((lab.folder / "checks.py").read_text(encoding="utf-8")).body:
        fields = _class_fields(node)
        hints = fields.get("hints", ())
        for hint in hints if isinstance(hints, list | tuple) else ():
            yield Spoiler(lab.slug, f"hint of {fields.get('name')}", str(hint))


def _class_fields(node: ast.stmt) -> dict[str, Any]:
    fields = {}
    for line in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            try:
                fields[line.targets[0].id] = ast.literal_eval(line.value)
            except ValueError:
                continue
    return fields


def _quiz(lab: LabFolder) -> Iterator[Spoiler]:
    """Scenarios and options as well: where no question stands, none can be marked as right."""
    for question in read_quiz(lab.folder / "quiz.toml").question:
        yield Spoiler(lab.slug, "quiz", question.scenario)
        for option in question.options:
            yield Spoiler(lab.slug, "quiz", option.why)
            yield Spoiler(lab.slug, "quiz", option.text)


def given_away(data: bytes, spoilers: Iterable[Spoiler]) -> list[Spoiler]:
    """Those that stand in a file: in its text, in strings of JSON, in compressed streams and archives inside it."""
    texts = list(_texts(data, 0))
    return [one for one in spoilers if any(one.text in text for text in texts)]


def _texts(data: bytes, depth: int) -> Iterator[str]:
    text = data.decode("utf-8", errors="replace")
    yield text
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield "\n".join(_strings(json.loads(text)))
        except (ValueError, RecursionError):
            pass
    for inner in _streams(data) if depth < _DEEPEST else ():
        yield from _texts(inner, depth + 1)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value; a list of lines, as a notebook has them, is one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield "".join(part for part in value if isinstance(part, str))
        for part in value:
            yield from _strings(part) if not isinstance(part, str) else ()
    elif isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _strings(part)


def _streams(data: bytes) -> Iterator[bytes]:
    """What can be unpacked of a file: a zip's members, gzip, and zlib streams wherever one begins."""
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
        return
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
        return
    for head in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        at = data.find(head)
        while at >= 0:
            try:
                yield zlib.decompressobj().decompress(data[at:])
            except zlib.error:
                pass
            at = data.find(head, at + 1)

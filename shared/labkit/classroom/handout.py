"""The handed-out form of a lab's folder: what a learner needs to work, and no answer in plain text.

The answers go along sealed (see `lesson.answers`), which is obfuscation and no protection.
"""

from __future__ import annotations

import ast
import base64
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import nbformat

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.catalog.source import read_cells, read_tasks
from labkit.catalog.version import lab_version
from labkit.classroom.spoilers import Spoiler, given_away, spoilers_of
from labkit.lesson.answers import SEALED, seal
from labkit.lesson.quiz import read_quiz
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy

LEFT_OUT = ("lab.py", "checks.py", "quiz.toml", "requests.json", "lab.ipynb")
MARK = "# sealed in a class's copy"  # above a statement of a helper file that answers an exercise in other words
_CACHES = ("__pycache__", "build", "dist")


def handed_out(lab: LabFolder) -> dict[str, bytes]:
    """The files of the handed-out folder by path inside it, from the lab's own.

    A statement of a helper .py that answers an exercise is sealed. Raises LabError for another file that does.
    """
    notebook = learner_copy(build_notebook(lab))
    spoilers = spoilers_of(lab)
    copied = (nbformat.writes(notebook) + "\n").encode()
    _refuse(lab.notebook, given_away(copied, spoilers))
    files = {
        "lab.ipynb": copied,
        SEALED: seal(lab.folder),
        "handout.toml": _card(lab).encode(),
    }
    for path in own_files(lab.folder):
        name = path.relative_to(lab.folder).as_posix()
        if name not in LEFT_OUT:
            files[name] = _without_spoilers(path, spoilers)
    return files


def _card(lab: LabFolder) -> str:
    exercises = ", ".join(f'"{name}"' for name in read_tasks(read_cells(lab.source)))
    return (
        "# A class's copy of a lab: checks, hints and quiz are in lab.sealed, the worked lab is with the trainer.\n"
        f'slug = "{lab.slug}"\n'
        f'version = "{lab_version(lab.folder)}"\n'
        f"exercises = [{exercises}]\n"
        f"questions = {len(read_quiz(lab.folder / 'quiz.toml').question)}\n"
    )


def own_files(folder: Path) -> list[Path]:
    """The files of a folder but those that git ignores; where there is no git, but caches and hidden ones. No links."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        asked = subprocess.run(command, cwd=folder, capture_output=True, check=False).stdout
    except FileNotFoundError:
        asked = b""
    known = [folder / name for name in asked.decode().split("\0") if name]
    found = known or [path for path in folder.rglob("*") if not _is_cache(path.relative_to(folder))]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _is_cache(path: Path) -> bool:
    return path.suffix == ".pyc" or any(
        p.startswith(".") or p in _CACHES or p.endswith(".egg-info") for p in path.parts
    )


def _without_spoilers(path: Path, spoilers: Sequence[Spoiler]) -> bytes:
    data = path.read_bytes()
    found = given_away(data, spoilers)
    if path.suffix == ".py" and (found or MARK.encode() in data):
        data = sealed_statements(data.decode("utf-8"), [one.text for one in found]).encode()
        found = given_away(data, spoilers)
    _refuse(path, found)
    return data


def _refuse(path: Path, found: Sequence[Spoiler]) -> None:
    if found:
        what, text = found[0].what, found[0].text
        raise LabError(f"{path} holds the answer to {what}, {text!r}, and cannot be handed out. Take it out.")


def sealed_statements(text: str, answers: Sequence[str]) -> str:
    """A Python file in which each top-level statement with one of the answers, or below MARK, is unreadable.

    What runs is the same: the statement unpacks itself, and needs nothing but the standard library, since such a file
    is also sent to Google Cloud as it is.
    """
    lines = text.split("\n")
    for node in reversed(ast.parse(text).body):
        decorators = getattr(node, "decorator_list", [])
        first = min(part.lineno for part in (node, *decorators)) - 1
        source = "\n".join(lines[first : node.end_lineno])
        marked = first > 0 and lines[first - 1].strip() == MARK
        if marked or any(answer in source for answer in answers):
            lines[first : node.end_lineno] = [_unpacking(source, first + 1)]
    return "\n".join(lines)


def _unpacking(source: str, line: int) -> str:
    name = f"<sealed, line {line}>"
    # TensorFlow's AutoGraph reads a function's source where tracebacks find it.
    text = (
        f"import linecache as _l\n"
        f"_t = {source!r}\n"
        f"_l.cache[{name!r}] = (len(_t), None, _t.splitlines(True), {name!r})\n"
        f"exec(compile(_t, {name!r}, 'exec'))\n"
    )
    packed = base64.b85encode(zlib.compress(text.encode(), 9)).decode()
    return (
        "# Sealed: it answers an exercise of the notebook.\n"
        f'exec(__import__("zlib").decompress(__import__("base64").b85decode({packed!r})))'
    )

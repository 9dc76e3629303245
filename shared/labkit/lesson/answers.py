"""What a lab knows and a learner is to find out: checks, worked exercises, quiz; from plain files or from a sealed one.

In a class's archive a lab has no lab.py, checks.py and quiz.toml but one file, lab.sealed, so that checks, hints and
quiz work without a network and nobody reads an answer by accident. **Sealing is obfuscation and no protection**: the
key lies in the file, and whoever sets out to unseal it can. It decides nothing: grades come from `labs grade` on the
trainer's machine, which takes the lab's own files and never what a learner's copy says.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.source import Cell, Task, read_cells, read_tasks
from labkit.lesson.exercise import Exercise, read_exercises
from labkit.lesson.quiz import Quiz, parse_quiz, read_quiz

SEALED = "lab.sealed"
_MARK = b"sealed 1\n"
_NONCE_BYTES = 16


@dataclass(frozen=True)
class Answers:
    """Exercises by name with their checks and hints, the worked cell of each, and the quiz.

    `sealed`: they come from a copy that was handed out.
    """

    exercises: dict[str, Exercise]
    tasks: dict[str, Task]
    quiz_file: Path
    quiz_text: str
    sealed: bool

    @cached_property
    def quiz(self) -> Quiz:
        """Raises LabError when the quiz breaks a rule of its form, or is not there."""
        return parse_quiz(self.quiz_text, self.quiz_file) if self.quiz_text else read_quiz(self.quiz_file)


def read_answers(folder: Path) -> Answers:
    """The answers of the lab in a folder, from its plain files where they are, else from the sealed one.

    Raises LabError when neither is there or the sealed file is damaged. Runs the lab's checks.py.
    """
    if (folder / "lab.py").exists() or not (folder / SEALED).exists():
        return _plain(folder)
    content = unseal(folder / SEALED)
    checks = folder / "checks.py"  # its name in error messages; there is no such file, so no line of it is ever shown
    return Answers(
        read_exercises(checks, content["checks"]),
        {fields["name"]: _task(fields) for fields in content["tasks"]},
        folder / "quiz.toml",
        content["quiz"],
        sealed=True,
    )


def quiz_of(folder: Path) -> Quiz:
    """The quiz of the lab in a folder, plain or sealed. Runs nothing. Raises LabError as `read_answers` does."""
    if (folder / "quiz.toml").exists() or not (folder / SEALED).exists():
        return read_quiz(folder / "quiz.toml")
    return parse_quiz(unseal(folder / SEALED)["quiz"], folder / "quiz.toml")


def _plain(folder: Path) -> Answers:
    quiz = folder / "quiz.toml"
    text = quiz.read_text(encoding="utf-8") if quiz.exists() else ""
    tasks = read_tasks(read_cells(folder / "lab.py"))
    return Answers(read_exercises(folder / "checks.py"), tasks, quiz, text, sealed=False)


def _task(fields: dict[str, Any]) -> Task:
    worked, check = (
        Cell(cell["kind"], tuple(cell["tags"]), cell["text"], cell["line"])
        for cell in (fields["worked"], fields["check"])
    )
    return Task(fields["name"], worked, check, tuple(fields["arguments"]), tuple(fields["answers"]))


def seal(folder: Path) -> bytes:
    """The content of lab.sealed for a lab with its plain files; the same files give the same bytes."""
    plain = {
        "checks": (folder / "checks.py").read_text(encoding="utf-8"),
        "tasks": [asdict(task) for task in read_tasks(read_cells(folder / "lab.py")).values()],
        "quiz": (folder / "quiz.toml").read_text(encoding="utf-8"),
    }
    packed = zlib.compress(json.dumps(plain, ensure_ascii=False).encode(), 9)
    nonce = hashlib.sha256(packed).digest()[:_NONCE_BYTES]
    return _MARK + nonce + _mixed(packed, nonce)


def unseal(path: Path) -> dict[str, Any]:
    """What `seal` has put into a file. Raises LabError when it is damaged."""
    data = path.read_bytes()
    nonce, rest = data[len(_MARK) : len(_MARK) + _NONCE_BYTES], data[len(_MARK) + _NONCE_BYTES :]
    try:
        if not data.startswith(_MARK):
            raise ValueError
        return dict(json.loads(zlib.decompress(_mixed(rest, nonce))))
    except (ValueError, zlib.error):
        raise LabError(f"{path} is damaged. Unpack the class's archive again.") from None


def _mixed(data: bytes, nonce: bytes) -> bytes:
    """The data with a stream of bytes mixed in that the nonce gives; mixed again, it is the data."""
    stream = hashlib.shake_256(nonce).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))

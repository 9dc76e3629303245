"""An exercise declared as data and one method, and the four outcomes of judging an answer."""

from __future__ import annotations

import dis
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from labkit.catalog import LabError
from labkit.catalog.modules import load_module

CORRECT, INCORRECT, ERROR, NOT_ATTEMPTED = "correct", "incorrect", "error", "not attempted"


class Incorrect(Exception):
    """Raised by a check: what is wrong with the answer, and why it matters."""


class Exercise:
    """One exercise. A lab's checks.py has a subclass for each."""

    name: ClassVar[str]
    hints: ClassVar[Sequence[str]] = ()
    wrong: ClassVar[Mapping[str, str]] = {}  # label -> text that people type into the exercise cell

    def check(self, *values: Any) -> None:
        """Gets the answers, then the context that the notebook passes; raises Incorrect."""
        raise NotImplementedError


@dataclass(frozen=True)
class Verdict:
    """Outcome of one attempt and what the learner is told."""

    outcome: str
    message: str = ""


def untouched(answer: object) -> bool:
    """Whether an answer is still the placeholder: `...`, or a function that does nothing."""
    return answer is ... or (isinstance(answer, types.FunctionType) and _does_nothing(answer))


def _empty() -> None: ...


def _empty_with_docstring() -> None:
    """Nothing."""


def _does_nothing(function: types.FunctionType) -> bool:
    """Whether a function only returns None: its body is `...`, `pass` or a docstring."""
    steps = [step for step in dis.get_instructions(function) if step.opname not in ("RESUME", "NOP", "COPY_FREE_VARS")]
    returns = {"LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return all(step.opname in returns and step.argval is None for step in steps)


def judge(exercise: Exercise, answers: Sequence[Any], context: Sequence[Any]) -> Verdict:
    """Judges the answers of one attempt; whatever the learner's objects do, it returns a verdict."""
    if any(untouched(answer) for answer in answers):
        return Verdict(NOT_ATTEMPTED)
    try:
        exercise.check(*answers, *context)
    except Incorrect as wrong:
        return Verdict(INCORRECT, str(wrong))
    except Exception as error:
        return Verdict(ERROR, f"{type(error).__name__}: {error}")
    return Verdict(CORRECT)


def read_exercises(path: Path, text: str | None = None) -> dict[str, Exercise]:
    """The exercises of a checks.py by name. It is loaded from the lab's own folder, never from a learner's notebook.

    `text`: the file's content where it comes from elsewhere (see `answers`).
    """
    if text is None and not path.exists():
        raise LabError(f"{path}: no such file. A lab's checks are in checks.py; labs/AUTHORING.md has the form.")
    module = load_module(path, text)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exercise) and value.__module__ == module.__name__
    ]
    unnamed = [c.__name__ for c in classes if not isinstance(getattr(c, "name", None), str)]
    if unnamed:
        raise LabError(f"{path}: {', '.join(unnamed)} has no `name`. Give the name that `lab.check` is called with.")
    return {c.name: c() for c in classes}

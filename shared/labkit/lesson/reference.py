"""Reference answers and typed-in answers: text run in a copy of the notebook's namespace."""

from __future__ import annotations

import copy
import linecache
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.source import BEGIN, END, Task
from labkit.lesson.exercise import ERROR, Exercise, Verdict, judge


def solution_text(task: Task) -> str:
    """The worked exercise cell, without the two marks."""
    return "\n".join(line for line in task.worked.text.splitlines() if line.strip() not in (BEGIN, END))


def run_text(text: str, namespace: dict[str, Any], label: str) -> dict[str, Any]:
    """Runs the text of a cell in a copy of the namespace and returns that copy."""
    copied, name = dict(namespace), f"<{label}>"
    # Whoever asks for a function's source (tracebacks, TensorFlow's AutoGraph) finds it here, as for a notebook's cell.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    # Not with this module's `from __future__ import annotations`: KFP reads types from annotations, not their names.
    exec(compile(text, name, "exec", dont_inherit=True), copied)
    return copied


def reference_answers(task: Task, namespace: dict[str, Any]) -> list[Any]:
    """The answers of the worked lab, computed from the notebook's own variables."""
    try:
        result = run_text(solution_text(task), namespace, f"solution of {task.name}")
    except Exception as error:
        raise LabError(
            f"The reference answer of {task.name!r} stopped with {type(error).__name__}: {error}. "
            "A variable that it needs was changed or not made: run the notebook from the top."
        ) from None
    return [result[name] for name in task.answers]


def try_text(text: str, task: Task, exercise: Exercise, namespace: dict[str, Any]) -> Verdict:
    """The verdict on `text` typed into the exercise cell of a notebook with this namespace, which is not changed."""
    try:
        result = run_text(text, detached(namespace), f"answer to {task.name}")
        values = [eval(argument, result) for argument in task.arguments]
    except Exception as error:
        return Verdict(ERROR, f"{type(error).__name__}: {error}")
    count = len(task.answers)
    return judge(exercise, values[:count], values[count:])


def detached(namespace: dict[str, Any]) -> dict[str, Any]:
    """A copy in which data and random generators are copies too: an answer that changes them changes nothing."""
    import numpy as np

    data: tuple[type, ...] = (np.ndarray, np.random.Generator, list, dict, set)
    try:
        import pandas as pd

        data += (pd.DataFrame, pd.Series)
    except ImportError:
        pass
    # Underscored names are IPython's history, which can be large and refers to everything.
    return {
        name: _copied(value) if isinstance(value, data) and not name.startswith("_") else value
        for name, value in namespace.items()
        if name not in ("In", "Out")
    }


def _copied(value: Any) -> Any:
    """A deep copy, or the value itself where it holds what cannot be copied, such as an open connection."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value

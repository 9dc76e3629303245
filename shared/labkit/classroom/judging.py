"""Judges answers inside the sandbox: runs the lab's own notebook and tries each answer at its check.

    python -c "from labkit.classroom.judging import main; main(DESCRIPTOR)" < order

It reads an order (JSON, made by `trial`) from standard input and writes lines of JSON to the descriptor, each with the
order's secret: `begin` and `verdict` for every answer, `fault` when a cell of the lab stopped, `end`. The lab's source
and checks are in memory before the first answer runs, and no longer in any file that the sandbox can see.
"""

from __future__ import annotations

import base64
import json
import linecache
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_MESSAGE = 2000
REFUSED = "refused"


def main(descriptor: int) -> None:
    with os.fdopen(os.dup(0), "rb") as given:
        order = json.loads(given.read())
    _bound(order)
    folder = _unpack(order)
    report = _reporter(descriptor, order["secret"])
    # Nothing that an answer prints goes anywhere.
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(quiet, stream)
    fault = _Session(order, folder, report).run()
    report({"fault": fault} if fault else {"end": True})
    os._exit(0)  # whatever threads and exit functions an answer has left


def _bound(order: dict[str, Any]) -> None:
    """Limits of this process and all that it starts."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, order["file_bytes"]),
        (resource.RLIMIT_NPROC, order["processes"]),
    ):
        resource.setrlimit(limit, (value, value))


def _unpack(order: dict[str, Any]) -> Path:
    """Writes the files of the order into the sandbox's own memory; returns the lab's folder, the working folder now."""
    for name, data in order["files"].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
    folder = Path(order["folder"])
    Path(os.environ["LABKIT_WORK"]).mkdir(parents=True, exist_ok=True)
    Path(os.environ["TMPDIR"]).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    return folder


def _reporter(descriptor: int, secret: str) -> Callable[[dict[str, Any]], None]:
    def report(line: dict[str, Any]) -> None:
        data = json.dumps({"secret": secret, **line}, default=str).encode() + b"\n"
        while data:
            data = data[os.write(descriptor, data) :]

    return report


class _Session:
    """One run of a lab's notebook with the answers of one submission, or of several to the same exercise."""

    def __init__(self, order: dict[str, Any], folder: Path, report: Callable[[dict[str, Any]], None]) -> None:
        from labkit.catalog.source import read_cells, read_tasks
        from labkit.classroom.guard import Alarm
        from labkit.lesson.exercise import read_exercises

        self.order, self.folder, self.report = order, folder, report
        self.tasks = read_tasks(read_cells(folder / "lab.py"))
        self.exercises = read_exercises(folder / "checks.py")
        text = (folder / "lab.py").read_text(encoding="utf-8")
        # These libraries read a function's code: a wrapper around it would change what they see.
        self.hold = not any(word in text for word in ("tensorflow", "keras", "kfp"))
        self.alarm = Alarm()
        self.made: dict[str, dict[str, Any]] = {}  # submission -> names that its own cells have bound so far

    def run(self) -> str:
        """Runs the cells; returns what stopped the lab, or ""."""
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        if shell.history_manager is not None:
            shell.history_manager.enabled = False
        asked = {answer["exercise"] for answer in self.order["answers"]}
        before: dict[str, Any] = {}
        for number, cell in enumerate(self.order["cells"], 1):
            answers = [a for a in self.order["answers"] if cell["judge"] and a["exercise"] == cell["judge"]]
            if cell["exercise"] in asked:
                before = _copies(shell.user_ns)
            fault = _run_cell(shell, cell["source"])
            if fault:
                return f"cell {number} of the lab: {fault}"
            if answers:
                self._hide_source()
            for answer in answers:
                self.report({"begin": answer["id"]})
                start = time.monotonic()
                outcome, message, spoiled = self._judged(answer, before, shell.user_ns)
                seconds = round(time.monotonic() - start, 3)
                line = {"verdict": answer["id"], "outcome": outcome, "message": _safe(message), "seconds": seconds}
                self.report(line)
                if spoiled:
                    return "an answer changed what the others are judged with"
        return ""

    def _hide_source(self) -> None:
        """The files that hold solutions and checks, which have been read, are gone before the first answer runs."""
        for name in ("lab.py", "lab.ipynb", "checks.py", "quiz.toml", "requests.json", "__pycache__"):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in [name for name in linecache.cache if name.startswith(("<ipython", "<solution", str(self.folder)))]:
            if "solution" in name or str(self.folder) in name:
                del linecache.cache[name]

    def _judged(self, answer: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str, bool]:
        """Outcome and message of one answer, and whether the process can judge no other after it.

        `before` and `after`: the variables around the worked exercise cell.
        """
        from labkit.classroom import guard
        from labkit.classroom import values as values_of
        from labkit.lesson import lab as lesson

        task, exercise = self.tasks[answer["exercise"]], self.exercises[answer["exercise"]]
        namespace = guard.answer_namespace(_copies(before), task, lesson.OPEN[-1])
        made = self.made.setdefault(answer["submission"], {})
        namespace |= {name: value for name, value in made.items() if name not in namespace}
        known = set(namespace)
        snapshot = guard.Snapshot(type(exercise).check.__globals__)
        self.alarm.reasons.clear()
        self.alarm.on = True
        try:
            outcome, message = self._tried(answer, task, exercise, namespace, after)
        except values_of.Refused as refused:
            outcome, message = REFUSED, str(refused)
        finally:
            self.alarm.on = False
        made |= {n: v for n, v in namespace.items() if n not in known and not n.startswith("_")}
        changed = snapshot.changed() or next(filter(None, map(values_of.overridden, after.values())), "")
        if self.alarm.reasons:
            return REFUSED, self.alarm.reasons[0], True
        if changed:
            return REFUSED, f"it changed {changed}", True
        return outcome, message, False

    def _tried(
        self, answer: dict[str, Any], task: Any, exercise: Any, namespace: dict[str, Any], after: dict[str, Any]
    ) -> tuple[str, str]:
        from labkit.classroom import values as values_of
        from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED, untouched

        for text in answer["above"]:
            _run_text(text, namespace, task.name)  # a cell of the learner's own that stops, stops nothing else
        stopped = _run_text(answer["text"], namespace, task.name)
        if stopped:
            return ERROR, stopped
        values = [namespace.get(name, ...) for name in task.answers]
        if any(untouched(value) for value in values):
            return NOT_ATTEMPTED, ""
        for value, name in zip(values, task.answers, strict=True):
            reason = values_of.strange(value, after.get(name))
            if reason:
                return REFUSED, f"{name}: {reason}"
            if values_of.not_a_number(value, after.get(name)):
                return INCORRECT, f"{name} is or holds NaN: it is not a number."
        verdict, changed = self._checked(exercise, task, values, after)
        if changed and verdict.outcome == CORRECT:
            # It may be the task to change what is given; then copies, which nobody sees again, do not do.
            verdict, _ = self._checked(exercise, task, values, after, copies=True)
            if verdict.outcome != CORRECT:
                return REFUSED, "it is correct only because it changes what the check gives it"
        return verdict.outcome, verdict.message

    def _checked(
        self, exercise: Any, task: Any, values: list[Any], after: dict[str, Any], copies: bool = False
    ) -> tuple[Any, bool]:
        """The verdict, and whether a function that is an answer has changed what it was given."""
        from labkit.classroom import values as values_of
        from labkit.lesson.exercise import ERROR, Verdict, judge

        holder = values_of.Holder(self.alarm.reasons.append, copies)
        values = [holder.hold(value) for value in values] if self.hold else values
        # What the check gets beside the answers is the lab's own, whatever the answer did to its copy.
        names = after | dict(zip(task.answers, values, strict=True))
        try:
            context = [eval(argument, names) for argument in task.arguments[len(values) :]]
            return judge(exercise, values, context), holder.changed
        except values_of.Refused:
            raise
        except BaseException as error:  # SystemExit, KeyboardInterrupt
            return Verdict(ERROR, f"{type(error).__name__}: {error}"), holder.changed


def _run_cell(shell: Any, source: str) -> str:
    """Runs a cell of the lab; returns what stopped it, or ""."""
    result = shell.run_cell(source, store_history=False)
    error = result.error_before_exec or result.error_in_exec
    if "matplotlib" in sys.modules:
        from matplotlib import pyplot

        pyplot.close("all")
    return f"{type(error).__name__}: {error}" if error else ""


def _run_text(text: str, namespace: dict[str, Any], exercise: str) -> str:
    """Runs a learner's text in a namespace, which it changes; returns what stopped it, or ""."""
    from labkit.classroom.values import ANSWER_FILE, Refused

    name = f"{ANSWER_FILE}{exercise}>"
    # TensorFlow's AutoGraph looks for the source of a function here.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        exec(compile(text, name, "exec", dont_inherit=True), namespace)
    except Refused:
        raise
    except BaseException as error:  # also SystemExit and KeyboardInterrupt
        return f"{type(error).__name__}: {error}"[:MOST_MESSAGE]
    return ""


def _copies(namespace: dict[str, Any]) -> dict[str, Any]:
    """The variables, data and random generators as copies, so that an answer that changes them changes nothing."""
    from labkit.lesson.reference import detached

    return detached(namespace)


def _safe(message: str) -> str:
    return message.encode("utf-8", "replace").decode()[:MOST_MESSAGE]

"""Tries answers to a lab's exercises in the sandbox: what goes in, what comes out, and what to do when a run breaks."""

from __future__ import annotations

import ast
import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import labkit
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.environments import Environment, environments
from labkit.catalog.places import data_folder, home, labs_folder
from labkit.catalog.source import Task, calls, read_cells, read_tasks
from labkit.classroom.sandbox import HOME, ROOT, TMP, WORK, Ended, Limits, run_sandboxed, sandboxed
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED, Verdict
from labkit.runner.build import build_notebook
from labkit.runner.doctor import kernel_file

REFUSED = "refused"
_OUTCOMES = (CORRECT, INCORRECT, ERROR, NOT_ATTEMPTED, REFUSED)
# What of a lab's folder no answer has a use for. Sources and checks go in, and are gone before the first answer runs.
_LEFT_OUT = ("lab.ipynb", "quiz.toml", "requests.json", "__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Answer:
    """A learner's text for one exercise, and their own cells `above` it. Answers of one submission share names."""

    exercise: str
    text: str
    above: tuple[str, ...] = ()
    submission: str = ""
    id: str = ""


@dataclass(frozen=True)
class Trial:
    """The answers of one submission of a lab."""

    slug: str
    answers: tuple[Answer, ...]
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Tried:
    """What came out: a verdict for each answer's id, or in `fault` why there is none."""

    verdicts: dict[str, Verdict] = field(hash=False)
    seconds: float = 0.0
    peak_mib: float = 0.0
    fault: str = ""


Start = Callable[[Environment, bytes, Limits, Callable[[bytes], float | None]], Ended]


def start_cold(environment: Environment, order: bytes, limits: Limits, line: Callable[[bytes], float | None]) -> Ended:
    """Runs an order in a sandbox of its own."""
    return run_sandboxed(lambda descriptor: judge_command(environment, descriptor, limits), order, limits, line)


def try_answers(trial: Trial, start_run: Start = start_cold) -> Tried:
    """Tries the answers, each at its place in the lab's own notebook. Needs a sandbox (`require_sandbox`).

    An answer that ends the run, or breaks a later cell of the lab, has its verdict; the others are tried again without.
    """
    lab, start = find_lab(trial.slug), time.monotonic()
    verdicts: dict[str, Verdict] = {}
    peak, waiting = 0.0, list(trial.answers)
    while waiting:
        run = _Run(lab, waiting, trial.limits)
        fault = run.execute(start_run)
        verdicts |= run.verdicts
        peak = max(peak, run.peak_mib)
        if fault and not run.verdicts:
            return Tried(verdicts, time.monotonic() - start, peak, fault)
        waiting = [answer for answer in waiting if answer.id not in verdicts]
    return Tried(verdicts, time.monotonic() - start, peak)


class _Run:
    """One sandbox."""

    def __init__(self, lab: LabFolder, answers: list[Answer], limits: Limits) -> None:
        self.lab, self.answers, self.limits = lab, answers, limits
        self.secret = secrets.token_hex(16)
        self.verdicts: dict[str, Verdict] = {}
        self.fault, self.begun, self.ended, self.forged = "", "", False, False
        self.peak_mib = 0.0

    def execute(self, start_run: Start = start_cold) -> str:
        """Runs it; returns why not every answer has a verdict, or ""."""
        environment = environments()[self.lab.card.environment]
        ended = start_run(environment, json.dumps(self._order()).encode(), self.limits, self._line)
        self.peak_mib = ended.peak_mib
        if self.begun:
            why = ended.stopped or "it ended the process that judged it"
            self.verdicts[self.begun] = Verdict(REFUSED if self.forged else ERROR, f"The answer was stopped: {why}.")
        if self.fault or self.ended:
            return self.fault
        last = (ended.said.strip().splitlines() or ["it said nothing"])[-1][:300]
        return ended.stopped or f"the run ended early: {last}"

    def _line(self, data: bytes) -> float | None:
        """Takes in one line of the judge's; returns how many seconds the next may take."""
        try:
            line = json.loads(data)
            known = secrets.compare_digest(str(line["secret"]).encode(), self.secret.encode())
        except (ValueError, KeyError, TypeError):
            line, known = {}, False
        if not known:
            self.forged = True  # only an answer can have written it
        elif "begin" in line:
            self.begun = str(line["begin"])
        elif "verdict" in line and line["verdict"] == self.begun and line["outcome"] in _OUTCOMES:
            forged = Verdict(REFUSED, "It wrote into the judge's report.")
            self.verdicts[self.begun] = forged if self.forged else Verdict(line["outcome"], str(line["message"]))
            self.begun = ""
        elif "fault" in line:
            self.fault = str(line["fault"])
        elif "end" in line:
            self.ended = True
        return self.limits.answer_seconds if self.begun else None

    def _order(self) -> dict[str, Any]:
        folder = f"{HOME}/labs/{self.lab.folder.parent.name}/{self.lab.slug}"
        return {
            "secret": self.secret,
            "folder": folder,
            "files": _files(self.lab.folder, folder) | font_cache(),
            "cells": _cells(self.lab, {answer.exercise for answer in self.answers}),
            "answers": [asdict(answer) for answer in self.answers],
            "file_bytes": self.limits.disk_mib << 20,
            "processes": 4 * self.limits.processes,  # the system counts threads
        }


def judge_command(environment: Environment, descriptor: int, limits: Limits, begin: str = "judging:main") -> list[str]:
    """The command of a sandbox in which a function of a module of this package begins with the descriptor."""
    python = environment.folder.resolve() / "bin" / "python"
    module, function = begin.split(":")
    program = f"from labkit.classroom.{module} import {function}; {function}({descriptor})"
    return sandboxed([str(python), "-c", program], *_mounts(environment), limits)


def _mounts(environment: Environment) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """What the sandbox shows read-only and where, and its variables: those of the lab's kernel."""
    folder = environment.folder.resolve()
    base = (folder / "bin" / "python").resolve().parents[1]
    package = Path(labkit.__file__).resolve().parent
    own = [base, folder, package, package.with_name("localgcp")]
    read = [(path, str(path)) for path in own if path.is_dir() and str(path) != "/usr"]
    read += [(labs_folder() / "blueprint", f"{HOME}/labs/blueprint"), (data_folder(), f"{HOME}/data")]
    read.append((home() / "pyproject.toml", f"{HOME}/pyproject.toml"))
    kernel = json.loads(kernel_file(environment).read_text(encoding="utf-8"))["env"]
    variables = {name: value for name, value in kernel.items() if name != "PATH"} | {
        "PATH": f"{folder}/bin:/usr/bin:/bin",
        "LABKIT_WORK": f"{WORK}/files",
        "LABKIT_HEADLESS": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{ROOT}/matplotlib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": TMP,
    }
    return [(source, target) for source, target in read if source.exists()], variables


def _files(source: Path, target: str) -> dict[str, str]:
    """The files of a folder by their path in the sandbox, in base64. No links: they may lead anywhere."""
    found = {}
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        if path.is_file() and not path.is_symlink() and not set(inner.parts) & set(_LEFT_OUT):
            found[f"{target}/{inner}"] = base64.b64encode(path.read_bytes()).decode()
    return found


def font_cache() -> dict[str, str]:
    """matplotlib's list of fonts, which it would search for again, for seconds."""
    named = os.environ.get("MPLCONFIGDIR")
    folder = Path(named) if named else Path.home() / ".cache" / "matplotlib"
    return {
        f"{ROOT}/matplotlib/{path.name}": base64.b64encode(path.read_bytes()).decode()
        for path in folder.glob("fontlist-*.json")
    }


def _cells(lab: LabFolder, wanted: Iterable[str]) -> list[dict[str, str]]:
    """The lab's code cells up to the last of these exercises.

    `exercise`: the cell is the worked one of this exercise. `judge`: when it has run, answers to this exercise can be
    judged. That is the same cell, or else what the check cell does before it calls `lab.check`.
    """
    code = [cell for cell in read_cells(lab.source) if cell.is_code]
    tasks = {task.worked.line: task for task in read_tasks(code).values()}
    built = [cell for cell in build_notebook(lab).cells if cell.cell_type == "code"]
    cells: list[dict[str, str]] = []
    for cell, made in zip(code, built, strict=True):
        task = tasks.get(cell.line)
        first = _before_check(task) if task else ""
        name = task.name if task else ""
        cells.append({"source": made.source, "exercise": name, "judge": "" if first else name})
        if first:
            cells.append({"source": first, "exercise": "", "judge": name})
    last = max(number for number, cell in enumerate(cells) if cell["judge"] in set(wanted))
    # The quiz is no part of the sandbox, and no answer needs it.
    return [cell for cell in cells[: last + 1] if "lab.quiz(" not in cell["source"]]


def _before_check(task: Task) -> str:
    """The statements of a check cell above the one that calls `lab.check`."""
    text = task.check.text
    line = next((node.lineno for node in ast.parse(text).body if calls(ast.Module([node], []), "check")), 1)
    return "\n".join(text.splitlines()[: line - 1]).strip()

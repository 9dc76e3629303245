"""What a class has handed in, and what can be said of it without running anything."""

from __future__ import annotations

import ast
import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.collection import find_lab
from labkit.catalog.environments import environments
from labkit.catalog.source import Task, read_cells, read_tasks
from labkit.catalog.version import lab_version
from labkit.classroom.matching import match
from labkit.classroom.policy import refusals
from labkit.classroom.submitted import NOT, read_notebook
from labkit.classroom.trial import REFUSED, Answer
from labkit.lesson.exercise import ERROR, NOT_ATTEMPTED, Verdict
from labkit.runner.learner import without_solution

MISSING = "missing"


@dataclass
class Submission:
    """One lab of one learner. `verdicts`: what is known without a run; `answers`: what is to be run."""

    learner: str
    name: str
    slug: str
    notebook: Path
    state: str  # of the notebook and the progress, to see whether they have changed
    version: str = ""
    fault: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)  # what is to be said of an exercise whose answer stops

    @property
    def key(self) -> str:
        """The same for two submissions whose runs would be the same."""
        told = [self.slug, self.version, [(a.exercise, a.text, a.above) for a in self.answers]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def submissions(folder: Path, slug: str) -> Iterator[Submission]:
    """Every lab of every learner of a class, or only those of one lab, by learner and lab."""
    for learner in sorted(path for path in (folder / "learners").iterdir() if path.is_dir()):
        for notebook in sorted(learner.glob("*/lab.ipynb")):
            if not slug or notebook.parent.name == slug:
                yield Submission(learner.name, _name(learner), notebook.parent.name, notebook, _state(notebook))


def _name(learner: Path) -> str:
    try:
        told = tomllib.loads((learner / "learner.toml").read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        told = None
    return str(told or learner.name)


def _state(notebook: Path) -> str:
    whole = hashlib.sha256()
    for path in (notebook, notebook.parents[1] / "progress.jsonl"):
        data = path.read_bytes() if path.is_file() else b""
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]


def prepare(submission: Submission) -> None:
    """Finds the answers in the notebook, and judges those that need no run."""
    try:
        lab = find_lab(submission.slug)
        tasks = read_tasks(read_cells(lab.source))
        submission.version = lab_version(lab.folder)
        if not environments()[lab.card.environment].made:
            name = lab.card.environment
            raise LabError(f"the environment {name} is not made: nox -s environment -- {name}")
    except LabError as error:
        submission.fault = str(error)
        return
    read = read_notebook(submission.notebook.read_bytes())
    if read.read == NOT:
        submission.fault = f"the notebook cannot be read: {read.message}"
        return
    matched = match(read.notebook, lab)
    submission.texts = {name: matched.exercises.get(name) or "" for name in tasks}
    above, submission.notes = _above(matched.added, list(tasks))
    answers = []
    for name, task in tasks.items():
        verdict = _without_a_run(matched.exercises.get(name), task)
        if verdict is not None:
            submission.verdicts[name] = verdict
        else:
            text = matched.exercises[name] or ""
            answers.append(Answer(name, text, above.get(name, ()), "submission", name))
    submission.answers = tuple(answers)


def _above(
    added: Iterable[tuple[str | None, str]], names: list[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The learner's own cells that may run, by the exercise below; what is to be said of those that may not."""
    cells: dict[str, tuple[str, ...]] = {}
    notes: dict[str, str] = {}
    for name, text in added:
        if name not in names or name is None:
            continue
        try:
            found = refusals(text)
        except SyntaxError:
            continue
        if found:
            notes.setdefault(name, f"A cell above was not run: {found[0]}.")
        else:
            cells[name] = (*cells.get(name, ()), text)
    return cells, notes


def _without_a_run(text: str | None, task: Task) -> Verdict | None:
    """The verdict on a text that need not run, or None."""
    if text is None:
        return Verdict(MISSING, "The exercise's cell is not in the notebook.")
    if not text.strip() or _code(text) == _code(without_solution(task.worked.text)):
        return Verdict(NOT_ATTEMPTED)
    try:
        found = refusals(text)
    except SyntaxError as error:
        return Verdict(ERROR, f"SyntaxError: {error.msg} (line {error.lineno})")
    if found:
        return Verdict(REFUSED, "Not run: " + "; ".join(str(refusal) for refusal in found[:3]) + ".")
    return None


def _code(text: str) -> str:
    """A text without what does not count: comments, blank lines, form."""
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text.strip()

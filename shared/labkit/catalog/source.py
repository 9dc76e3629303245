"""Reads lab.py, the percent-format source of a lab, into cells with their line numbers.

jupytext builds the notebook. This reader is for those who need a cell's text and line without it: the lesson in a
learner's kernel, and the linter. A test holds both readings against each other on every lab.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from labkit.catalog.problems import LabError

# A blank or nothing after the mark: `# %%bigquery` is a cell magic inside a cell.
MARK = re.compile(r"^# %%(?: \[(?P<kind>markdown)\])?(?P<rest>(?: .*)?)$")
TAGS = re.compile(r"tags=(\[[^\]]*\])")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Cell:
    """One cell: its kind (code or markdown), tags, text, and the line in lab.py at which its text starts."""

    kind: str
    tags: tuple[str, ...]
    text: str
    line: int

    @property
    def is_code(self) -> bool:
        return self.kind == "code"

    def tree(self) -> ast.Module:
        """The cell's syntax tree; a SyntaxError is raised with the line in lab.py."""
        return ast.parse("\n" * (self.line - 1) + self.text)


def read_cells(path: Path) -> list[Cell]:
    """The cells of a lab.py. Raises LabError when there is no such file or no cell in it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LabError(f"{path}: no such file. A lab's source is lab.py; `labs new <slug>` makes one.") from None
    marks = [(number, found) for number, line in enumerate(lines) if (found := MARK.match(line))]
    if not marks:
        raise LabError(f"{path}: no cell. Cells start with a line `# %%` (jupytext's percent format).")
    ends = [number for number, _ in marks[1:]] + [len(lines)]
    return [_cell(found, lines[number + 1 : end], number + 2) for (number, found), end in zip(marks, ends, strict=True)]


def _cell(mark: re.Match[str], body: list[str], line: int) -> Cell:
    tags = TAGS.search(mark["rest"])
    while body and not body[0].strip():
        body, line = body[1:], line + 1
    while body and not body[-1].strip():
        body = body[:-1]
    kind = mark["kind"] or "code"
    if kind == "markdown":
        body = [re.sub(r"^# ?", "", text) for text in body]
    return Cell(kind, tuple(ast.literal_eval(tags[1])) if tags else (), "\n".join(body), line)


def bound_names(tree: ast.Module) -> list[str]:
    """Names that a cell binds at its top level, in order: assignments, functions, classes."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Task:
    """An exercise as lab.py has it: the worked cell, and the expressions that `lab.check` is called with."""

    name: str
    worked: Cell
    check: Cell
    arguments: tuple[str, ...]
    answers: tuple[str, ...]


def calls(tree: ast.AST, method: str) -> list[ast.Call]:
    """Calls of `lab.<method>(…)` in a tree."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "lab"
    ]


def read_tasks(cells: list[Cell]) -> dict[str, Task]:
    """The exercises of a lab by name: each exercise cell with the next code cell, which checks it."""
    tasks = {}
    code = [cell for cell in cells if cell.is_code]
    for worked, check in pairwise(code):
        found = calls(check.tree(), "check") if "exercise" in worked.tags else []
        if not found or not found[0].args or not isinstance(found[0].args[0], ast.Constant):
            continue
        name, *arguments = found[0].args
        bound = bound_names(worked.tree())
        answers = []
        for argument in arguments:
            if not (isinstance(argument, ast.Name) and argument.id in bound):
                break
            answers.append(argument.id)
        assert isinstance(name, ast.Constant)
        tasks[str(name.value)] = Task(
            str(name.value), worked, check, tuple(ast.unparse(a) for a in arguments), tuple(answers)
        )
    return tasks

"""The learner's copy: the built notebook with every solution replaced by a placeholder, and no outputs."""

from __future__ import annotations

import ast

from labkit.catalog import LabError
from labkit.catalog.source import BEGIN, END, bound_names
from labkit.runner.lean import NotebookNode


def learner_copy(notebook: NotebookNode) -> NotebookNode:
    """Changes a built notebook into the learner's copy and returns it."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = without_solution(cell.source)
            # A cell that stops with an error must not stop "Run All": its check says what happened.
            cell.metadata.tags = [*cell.metadata.tags, "raises-exception"]
    return notebook


def without_solution(source: str) -> str:
    """The text of an exercise cell with the lines between the marks replaced by placeholders."""
    lines, out, inside = source.splitlines(), [], False
    solution: list[str] = []
    for line in lines:
        if line.strip() == BEGIN:
            if inside:
                raise LabError(f"Exercise cell: {BEGIN!r} twice without {END!r} between.")
            inside, solution = True, []
        elif line.strip() == END:
            if not inside:
                raise LabError(f"Exercise cell: {END!r} without {BEGIN!r} before it.")
            inside = False
            out += _placeholders(solution)
        elif inside:
            solution.append(line)
        else:
            out.append(line)
    if inside:
        raise LabError(f"Exercise cell: {BEGIN!r} without {END!r} after it.")
    return "\n".join(out)


def _placeholders(solution: list[str]) -> list[str]:
    first = next((line for line in solution if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    if indent:
        return [f"{indent}...  # your code here"]
    names = bound_names(ast.parse("\n".join(solution)))
    return [f"{name} = ...  # your answer here" for name in names if not name.startswith("_")]

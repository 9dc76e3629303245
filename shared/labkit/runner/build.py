"""lab.py -> lab.ipynb: the notebook is built from its one source, and the stored one must be what the source gives."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from labkit.catalog.collection import LabFolder
from labkit.catalog.environments import kernel_environments
from labkit.catalog.problems import Problem
from labkit.runner.lean import NotebookNode, jupytext, nbformat


def read_source(path: Path) -> NotebookNode:
    """The cells of a lab.py as jupytext reads them, and the body of a cell magic without its comment signs.

    jupytext uncomments `# %%bigquery name` and leaves the SQL below it to be written bare, which is not Python.
    """
    notebook: NotebookNode = jupytext.read(path, fmt="py:percent")
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%"):
            cell.source = re.sub(r"^# ?", "", cell.source, flags=re.MULTILINE)
    return notebook


def build_notebook(lab: LabFolder) -> NotebookNode:
    """The notebook that lab.py gives, with the kernel of the card's environment, not executed."""
    notebook = read_source(lab.source)
    environment = kernel_environments()[lab.card.environment]
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": environment.kernel_name, "display_name": environment.kernel, "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        # An id that depends on nothing but place and text keeps the build reproducible.
        cell.id = hashlib.sha256(f"{number}:{cell.source}".encode()).hexdigest()[:8]
        cell.metadata = nbformat.from_dict(
            {"tags": list(cell.metadata.get("tags", []))} if "tags" in cell.metadata else {}
        )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def stored(executed: NotebookNode, built: NotebookNode) -> NotebookNode:
    """The notebook to commit: the cells as built, the outputs as executed, no times and no dead widgets."""
    outputs = {cell.id: cell for cell in executed.cells}
    for cell in built.cells:
        ran = outputs.get(cell.id)
        if cell.cell_type != "code" or ran is None:
            continue
        cell.outputs = [_cleaned(output) for output in ran.outputs]
        cell.execution_count = ran.execution_count
    for number, cell in enumerate((c for c in built.cells if c.cell_type == "code"), 1):
        cell.execution_count = number
    return built


def _cleaned(output: NotebookNode) -> NotebookNode:
    if "data" in output:
        output.data.pop("application/vnd.jupyter.widget-view+json", None)
    output.pop("transient", None)
    return output


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Writes by way of a neighbour, so that a crash leaves the old file whole."""
    part = path.with_suffix(".part")
    part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    part.replace(path)


def drift(lab: LabFolder) -> list[Problem]:
    """What differs between lab.py and the committed lab.ipynb: cells, order, tags, kernel."""
    mend = f"Run `labs build {lab.slug}` and commit lab.ipynb."
    if not lab.notebook.exists():
        return [Problem("N001", lab.notebook, "there is no notebook", mend)]
    built, committed = build_notebook(lab), nbformat.read(lab.notebook, as_version=4)
    if committed.metadata.get("kernelspec") != built.metadata.kernelspec:
        return [Problem("N002", lab.notebook, "its kernel is not that of the card's environment", mend)]
    ours, theirs = [_essence(c) for c in built.cells], [_essence(c) for c in committed.cells]
    for number, (our, their) in enumerate(zip(ours, theirs, strict=False), 1):
        if our != their:
            return [Problem("N002", lab.notebook, f"cell {number} is not what lab.py has there", mend)]
    if len(ours) != len(theirs):
        return [Problem("N002", lab.notebook, f"it has {len(theirs)} cells, lab.py {len(ours)}", mend)]
    return []


def _essence(cell: NotebookNode) -> tuple[Any, ...]:
    return cell.cell_type, cell.source, tuple(cell.metadata.get("tags", [])), cell.get("id")

"""A lab's typed parameters: read from its source, and checked before a kernel starts."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.source import Cell, read_cells

TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Parameter:
    """One name of the parameters cell, with the type and value of its default."""

    name: str
    kind: type
    default: Any


def read_parameters(source: Path) -> dict[str, Parameter]:
    """The parameters of a lab.py. Raises LabError when the cell holds anything but typed literals."""
    cells = [cell for cell in read_cells(source) if "parameters" in cell.tags]
    if len(cells) != 1:
        raise LabError(f"{source}: {len(cells)} cells are tagged `parameters`, exactly one must be.")
    return {p.name: p for p in (_parameter(source, node) for node in _statements(cells[0]))}


def _statements(cell: Cell) -> list[ast.stmt]:
    return cell.tree().body


def _parameter(source: Path, node: ast.stmt) -> Parameter:
    where = f"{source}:{node.lineno}"
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, annotation = node.targets[0], None
    elif isinstance(node, ast.AnnAssign):
        target, annotation = node.target, node.annotation
    else:
        raise LabError(f"{where}: a parameter is one literal, NAME = value.")
    if not isinstance(target, ast.Name) or node.value is None:
        raise LabError(f"{where}: a parameter is one literal, NAME = value.")
    try:
        default = ast.literal_eval(node.value)
    except ValueError:
        raise LabError(
            f"{where}: {target.id} is computed. A parameter is a literal: bool, int, float or str."
        ) from None
    kind = TYPES.get(ast.unparse(annotation)) if annotation else type(default)
    if kind is None or kind not in TYPES.values():
        raise LabError(f"{where}: {target.id} is not of type bool, int, float or str.")
    return Parameter(target.id, kind, kind(default))


def checked(slug: str, known: dict[str, Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """`given` with every value in its parameter's type. Text is parsed, as it comes from a command line.

    Raises LabError for a name that the lab does not have, with the list of those that it has, and for a value that is
    not of the type.
    """
    values = {}
    for name, value in given.items():
        if name not in known:
            have = ", ".join(f"{p.name} ({p.kind.__name__})" for p in known.values())
            raise LabError(f"{slug} has no parameter {name!r}. It has: {have}.")
        values[name] = _converted(slug, known[name], value)
    return values


def _converted(slug: str, parameter: Parameter, value: Any) -> Any:
    kind = parameter.kind
    if isinstance(value, str) and kind is not str:
        try:
            value = ast.literal_eval(value.capitalize() if value.lower() in ("true", "false") else value)
        except (ValueError, SyntaxError):
            pass
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise LabError(f"{slug}: parameter {parameter.name} is {kind.__name__}, got {value!r}.")
    return value


def from_command_line(pairs: list[str]) -> dict[str, str]:
    """NAME=VALUE texts as a dictionary."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise LabError(f"Parameter {pair!r}: write NAME=VALUE.")
        values[name] = value
    return values

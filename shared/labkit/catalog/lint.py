"""The structural rules of a lab. Every rule has a code, says where it is violated, and how to mend it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.card import Card, read_card
from labkit.catalog.cloud import read_services
from labkit.catalog.collection import LabFolder, lab_folders
from labkit.catalog.datasets import dataset_names
from labkit.catalog.environments import kernel_environments
from labkit.catalog.prices import missing_amounts, upper_bound
from labkit.catalog.problems import LabError, Problem
from labkit.catalog.source import BEGIN, END, Cell, calls, read_cells, read_tasks

MAX_NOTEBOOK = 300_000  # bytes: more makes GitHub and a diff slow
ADDRESS = re.compile(r"https?://|(?<![\w.])(?!127\.0\.0\.1|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
SECTIONS = {1: "1-low-code", 2: "2-data", 3: "3-models", 4: "4-serving", 5: "5-pipelines", 6: "6-monitoring"}

# Code -> how to mend it. The texts that say what is wrong are where the rule is.
MENDS = {
    "C003": "Move the folder or correct `section`.",
    "C004": "Use ids from labs/blueprint/topics.csv.",
    "C005": "Use an environment of pyproject.toml that has a kernel.",
    "C006": "Use the slug of a lab that is there or planned in labs/blueprint/labs.csv.",
    "C007": "Add data/registry/<name>.toml or correct the name.",
    "C008": "Use a service of labs/blueprint/cloud.toml, or add it there with date and source.",
    "C009": "Name a parameter of the lab, with a value of its type that differs from the default.",
    "C010": "Raise `max_cost_usd` to at least the bound, or let the lab use less.",
    "C011": "Add what the lab uses at most to [cloud]: labs/AUTHORING.md has the fields.",
    "C012": "Add a row with source and date to labs/blueprint/prices.toml, or use a machine that has one.",
    "L001": "Start lab.py with a markdown cell `# <title of the card>`.",
    "L002": "Begin a paragraph of the first cell with **You will**.",
    "L003": "Tag the first code cell `parameters`, and only it.",
    "L004": 'Add `TARGET = "local"` and `SEED = <int>` to the parameters.',
    "L005": "Make the parameter one literal of type bool, int, float or str.",
    "L006": 'The second code cell imports lesson and calls lesson.open("<slug>", target=TARGET, seed=SEED).',
    "L007": "Keep the order of labs/AUTHORING.md.",
    "L008": "Ask for a guess with lab.predict before the first claim, and reveal it with lab.revisit.",
    "L009": "State at least one number with lab.claim.",
    "L010": "Leave the difference to the parameters, the card and lab.target.",
    "L011": "Use lab.data, lab.target or 127.0.0.1.",
    "L012": "End with the cells lab.quiz(), **Take away.** and lab.finish().",
    "L013": "Mend the syntax.",
    "L014": "Fill in the text and remove the mark.",
    "L015": "Tag at least one cell with stable printed text `nbval-check-output`.",
    "E001": "A lab has two to four exercises.",
    "E002": "Let the next code cell call lab.check with the exercise's name and answers.",
    "E003": f"Put the solution between {BEGIN} and {END}.",
    "E004": "Declare a class with this `name` in checks.py, and check it in lab.py.",
    "E005": "Write at least two hints, each a step of its own.",
    "E006": "List at least two wrong answers that people really give, as text.",
    "E007": "Take it out of the hint: lab.solution shows the solution.",
    "N001": "Run `labs build <slug>` and commit lab.ipynb.",
    "N003": "Run `labs build <slug>`: nbval compares nothing where no execution is stored.",
    "N004": "Mend the cell and build again: a stored notebook shows no error.",
    "N005": "Plot fewer points or smaller figures, print less.",
    "N006": "Take it out of what the cell prints.",
}


def lint(folder: Path) -> list[Problem]:
    """Every rule that the lab in `folder` violates, except those of quiz and build, which need more than text."""
    card = read_card(folder / "lab.toml")
    if not isinstance(card, Card):
        return card
    lab = LabFolder(folder, card)
    try:
        cells = read_cells(lab.source)
    except LabError as error:
        return [Problem("L001", lab.source, str(error).rstrip("."), MENDS["L001"])]
    broken = [_broken(lab, cell) for cell in cells if cell.is_code]
    if any(broken):
        return [problem for problem in broken if problem]
    rules: tuple[Callable[[LabFolder, list[Cell]], Iterator[Problem]], ...] = (_card, _cells, _exercises, _stored)
    return [problem for rule in rules for problem in rule(lab, cells)]


def lint_all() -> list[Problem]:
    return [problem for folder in lab_folders() for problem in lint(folder)]


def _found(code: str, where: Path, what: str, line: int = 0) -> Problem:
    return Problem(code, where, what, MENDS[code], line)


def _broken(lab: LabFolder, cell: Cell) -> Problem | None:
    try:
        cell.tree()
    except SyntaxError as error:
        return _found("L013", lab.source, f"syntax error: {error.msg}", error.lineno or cell.line)
    return None


def _card(lab: LabFolder, cells: list[Cell]) -> Iterator[Problem]:
    card, where = lab.card, lab.folder / "lab.toml"
    blueprint = read_blueprint()
    if lab.folder.parent.name != SECTIONS[card.section]:
        yield _found("C003", where, f"section {card.section} belongs into {SECTIONS[card.section]}/")
    for topic in card.topics:
        if topic not in blueprint.topics:
            yield _found("C004", where, f"unknown topic {topic}")
        elif blueprint.topics[topic].lab != lab.slug:
            yield _found("C004", where, f"topic {topic} belongs to the lab {blueprint.topics[topic].lab}")
    if card.environment not in kernel_environments():
        yield _found("C005", where, f"unknown environment {card.environment!r}: {', '.join(kernel_environments())}")
    slugs = {folder.name for folder in lab_folders()} | set(blueprint.plans)
    for slug in card.prerequisites:
        if slug not in slugs or slug == lab.slug:
            yield _found("C006", where, f"unknown prerequisite {slug!r}")
    for name in card.data:
        if name not in dataset_names():
            yield _found("C007", where, f"unknown data set {name!r}")
    for service in card.cloud.services:
        if service not in read_services():
            yield _found("C008", where, f"unknown cloud service {service!r}: {', '.join(read_services())}")
    yield from _cost(lab)
    yield from _ablation(lab, cells)


def _cost(lab: LabFolder) -> Iterator[Problem]:
    plan, where = lab.card.cloud, lab.folder / "lab.toml"
    services = read_services()
    for name in plan.services:
        fields = services[name].priced_by if name in services else ()
        if missing_amounts(plan, fields):
            yield _found("C011", where, f"{name} is billed, and the plan has none of: {', '.join(fields)}")
    bound = upper_bound(plan)
    for what in bound.unpriced:
        if what not in plan.unpriced:
            yield _found("C012", where, f"no price is known: {what}")
    if bound.usd > plan.max_cost_usd:
        yield _found("C010", where, f"a run costs up to {bound.usd:.2f} USD, max_cost_usd says {plan.max_cost_usd:.2f}")


def _ablation(lab: LabFolder, cells: list[Cell]) -> Iterator[Problem]:
    where = lab.folder / "lab.toml"
    parameters = {name: value for cell in cells if "parameters" in cell.tags for name, value, _ in _literals(cell)}
    for name, value in lab.card.ablation.items():
        if name not in parameters:
            yield _found("C009", where, f"the ablation sets {name}, which is no parameter")
        elif parameters[name] == value and type(parameters[name]) is type(value):
            yield _found("C009", where, f"the ablation sets {name} to its default, {value!r}")


def _literals(cell: Cell) -> Iterator[tuple[str, Any, int]]:
    """Name, value and line of each parameter; the value is ... where it is no literal of an allowed type."""
    for node in cell.tree().body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        name = target.id if isinstance(target, ast.Name) else ast.unparse(node)
        try:
            value = ast.literal_eval(node.value)  # type: ignore[attr-defined]
        except (ValueError, AttributeError):
            value = ...
        yield name, value if isinstance(value, bool | int | float | str) else ..., node.lineno


def _cells(lab: LabFolder, cells: list[Cell]) -> Iterator[Problem]:
    where = lab.source
    code = [cell for cell in cells if cell.is_code]
    first = cells[0]
    if first.is_code or first.text.splitlines()[:1] != [f"# {lab.card.title}"]:
        yield _found("L001", where, "the first line is not the card's title", first.line)
    if "**You will**" not in first.text:
        yield _found("L002", where, "the first cell does not say what the learner will do", first.line)
    tagged = [cell for cell in cells if "parameters" in cell.tags]
    if not code or tagged != code[:1]:
        yield _found("L003", where, f"{len(tagged)} cells are tagged `parameters`, or not the first code cell")
    for cell in tagged[:1]:
        yield from _parameters(where, cell)
    if len(code) < 2 or f'lesson.open("{lab.slug}", target=TARGET, seed=SEED' not in code[1].text:
        yield _found("L006", where, "the set-up cell does not open the lesson", code[1].line if len(code) > 1 else 0)
    yield from _order(where, cells)
    yield from _forbidden(where, cells)
    if not any("nbval-check-output" in cell.tags for cell in code):
        yield _found("L015", where, "no cell's output is compared with what the reader sees")


def _parameters(where: Path, cell: Cell) -> Iterator[Problem]:
    values = {}
    for name, value, line in _literals(cell):
        values[name] = value
        if value is ...:
            yield _found("L005", where, f"parameter {name} is not a literal", line)
    if values.get("TARGET") != "local" or not isinstance(values.get("SEED"), int):
        yield _found("L004", where, "TARGET or SEED is missing or has another type", cell.line)


def _first(cells: list[Cell], test: Callable[[Cell], bool]) -> int:
    return next((number for number, cell in enumerate(cells) if test(cell)), -1)


def _says(text: str) -> Callable[[Cell], bool]:
    return lambda cell: not cell.is_code and any(line.startswith(text) for line in cell.text.splitlines())


def _calls(method: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.is_code and bool(calls(cell.tree(), method))


def _order(where: Path, cells: list[Cell]) -> Iterator[Problem]:
    predict, claim = _first(cells, _calls("predict")), _first(cells, _calls("claim"))
    if claim < 0:
        yield _found("L009", where, "there is no claim")
    if predict < 0 or (0 <= claim < predict) or _first(cells, _calls("revisit")) < predict:
        yield _found("L008", where, "no prediction before the first claim, or it is never revealed")
    marks = {
        "## Predict first": _first(cells, _says("## Predict first")),
        "the first exercise": _first(cells, lambda cell: "exercise" in cell.tags),
        "## On Google Cloud": _first(cells, _says("## On Google Cloud")),
        "## Exam lens": _first(cells, _says("## Exam lens")),
        "lab.quiz()": _first(cells, _calls("quiz")),
        "**Take away.**": _first(cells, _says("**Take away.**")),
        "lab.finish()": _first(cells, _calls("finish")),
    }
    for name, place in marks.items():
        if place < 0:
            yield _found("L007", where, f"{name} is missing")
    places = [place for place in marks.values() if place >= 0]
    if places != sorted(places):
        yield _found("L007", where, f"out of order: {' · '.join(marks)} is the order")
    if marks["lab.finish()"] >= 0 and marks["lab.finish()"] != len(cells) - 1:
        yield _found("L012", where, "lab.finish() is not the last cell", cells[-1].line)


def _forbidden(where: Path, cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        for offset, line in enumerate(cell.text.splitlines()):
            if cell.is_code and ADDRESS.search(line):
                yield _found("L011", where, f"a network address: {line.strip()[:60]}", cell.line + offset)
            if "TODO" in line:
                yield _found("L014", where, f"unfinished: {line.strip()[:60]}", cell.line + offset)
        if not cell.is_code:
            continue
        for node in ast.walk(cell.tree()):
            branch = node.test if isinstance(node, ast.If | ast.IfExp | ast.While) else None
            if branch is not None and any(isinstance(n, ast.Name) and n.id == "TARGET" for n in ast.walk(branch)):
                yield _found("L010", where, "the cell branches on TARGET", node.lineno)  # type: ignore[attr-defined]


def _exercises(lab: LabFolder, cells: list[Cell]) -> Iterator[Problem]:
    where, checks = lab.source, lab.folder / "checks.py"
    worked = [cell for cell in cells if "exercise" in cell.tags]
    if not 2 <= len(worked) <= 4:
        yield _found("E001", where, f"{len(worked)} exercises")
    tasks = read_tasks(cells)
    for cell in worked:
        task = next((t for t in tasks.values() if t.worked is cell), None)
        if task is None or not task.answers:
            yield _found(
                "E002", where, "an exercise is not checked by the next code cell, or without answers", cell.line
            )
        marks = [line.strip() for line in cell.text.splitlines() if line.strip() in (BEGIN, END)]
        if not marks or marks != [BEGIN, END] * (len(marks) // 2):
            yield _found("E003", where, f"an exercise has the marks {marks}", cell.line)
    declared = _declared(checks)
    for name in sorted(set(declared) ^ set(tasks)):
        yield _found("E004", checks, f"exercise {name!r} is only in {'checks.py' if name in declared else 'lab.py'}")
    for name, (hints, wrong) in declared.items():
        if len(set(hints)) < 2:
            yield _found("E005", checks, f"exercise {name!r} has {len(set(hints))} hints")
        if len(set(wrong.values())) < 2:
            yield _found("E006", checks, f"exercise {name!r} has {len(set(wrong.values()))} wrong answers")
        lines = _solution_lines(tasks[name].worked) if name in tasks else []
        for hint in hints:
            if any(line in hint for line in lines):
                yield _found("E007", checks, f"a hint of {name!r} is a line of the solution")


def _solution_lines(worked: Cell) -> list[str]:
    """Lines of a solution that are long enough to give it away."""
    inside = worked.text.partition(BEGIN)[2].partition(END)[0]
    return [line.strip() for line in inside.splitlines() if len(line.strip()) > 15]


def _declared(checks: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Hints and wrong answers by exercise, read from the text of checks.py: linting runs no code of a lab."""
    if not checks.exists():
        return {}
    found = {}
    for node in ast.parse(checks.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        values: dict[str, Any] = {}
        for item in node.body:
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                try:
                    values[item.targets[0].id] = ast.literal_eval(item.value)
                except ValueError:
                    continue
        if isinstance(values.get("name"), str):
            found[values["name"]] = list(values.get("hints", [])), dict(values.get("wrong", {}))
    return found


def _stored(lab: LabFolder, cells: list[Cell]) -> Iterator[Problem]:
    where = lab.notebook
    if not where.exists():
        yield _found("N001", where, "there is no notebook")
        return
    text = where.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_NOTEBOOK:
        yield _found("N005", where, f"{len(text.encode()) // 1000} kB, at most {MAX_NOTEBOOK // 1000}")
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        if cell["execution_count"] is None:
            yield _found("N003", where, f"cell {number} has no stored execution")
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            yield _found("N004", where, f"cell {number} has stored an error")
        if re.search(r"/(?:root|home|work|tmp)/\w", json.dumps(cell["outputs"])):
            yield _found("N006", where, f"cell {number} shows a path of the machine that built it")

"""Puts made-up learners into files as learners hand them in: zips, folders, notebooks, broken and old ones; the truth.

The bytes are the same for the same class: dates are fixed and ids are counted.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from generated_answers import Work
from generated_class import Person, plain
from labkit.catalog.collection import find_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.catalog.version import lab_version
from labkit.lesson.exercise import CORRECT, ERROR, INCORRECT, NOT_ATTEMPTED
from labkit.lesson.quiz import read_quiz
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy
from nbformat import NotebookNode

START = 1_790_000_000.0  # September 2026
DAY = 86_400
Files = dict[str, bytes]  # a path below the folder of what was handed in -> bytes


def write_class(people: list[Person], folder: Path) -> None:
    """Writes what everybody hands in below `folder`."""
    for number, person in enumerate(people):
        for name, data in carried(person, START + number * DAY).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (START + number * DAY,) * 2)


def truth(people: list[Person]) -> dict[str, Any]:
    """What collecting and grading should find, as JSON: by name the labs, each with how it is read and judged."""
    return {person.name: {"kind": person.kind, "labs": _labs(person)} for person in people}


def _labs(person: Person) -> dict[str, Any]:
    found = {}
    for slug, work in person.labs.items():
        if work.damage == "no notebook":
            continue
        found[slug] = {"read": work.read, "earlier": int(work.earlier is not None), "exercises": work.expected}
        found[slug] |= _way(slug, work) if _has_progress(person) else {"attempts": {}, "hints": {}, "quiz": {}}
    return found


def _way(slug: str, work: Work) -> dict[str, Any]:
    """Attempts, hints and first answers of the quiz, those of an earlier hand-in included."""
    before = work.earlier or Work({}, {})
    quiz = read_quiz(find_lab(slug).folder / "quiz.toml").question
    first = work.quiz | before.quiz
    return {
        "attempts": {name: number + before.attempts.get(name, 0) for name, number in work.attempts.items()},
        "hints": {name: max(number, before.hints.get(name, 0)) for name, number in work.hints.items()},
        "quiz": {str(n): [letter, quiz[n - 1].right == letter] for n, letter in sorted(first.items())},
    }


def _has_progress(person: Person) -> bool:
    return person.carrier not in ("single files", "lab (2)")


# How the files come


def carried(person: Person, moment: float) -> Files:
    """The files of one learner."""
    books = {slug: data for slug, work in person.labs.items() if (data := _notebook_bytes(slug, work)) is not None}
    progress = _progress(person, moment)
    inside = {f"workspace/{slug}/lab.ipynb": data for slug, data in books.items()}
    whole = {"hand-in.toml": _card(person, moment), **inside, "workspace/progress.jsonl": progress}
    name = plain(person.name)
    match person.carrier:
        case "zip":
            return {f"hand-in-{name.lower()}.zip": _zip(whole)}
        case "two zips":
            earlier = {slug: work.earlier for slug, work in person.labs.items() if work.earlier is not None}
            first = Person(person.name, person.kind, "zip", earlier)
            before = carried(first, moment - 5 * DAY)
            return {f"monday/{path}": data for path, data in before.items()} | {
                f"hand-in-{name.lower()}.zip": _zip(whole)
            }
        case "zip in a zip":
            return {f"{name} (submission).zip": _zip({f"hand-in-{name.lower()}.zip": _zip(whole)})}
        case "backslashes":
            junk = {"__MACOSX/workspace/._lab.ipynb": b"\0\5\26\7\0\2\0\0Mac OS X        "}
            return {
                f"hand-in-{name.lower()}.zip": _zip(
                    {path.replace("/", "\\"): data for path, data in (whole | junk).items()}
                )
            }
        case "workspace":
            return {f"{person.name}/{path}": data for path, data in whole.items()}
        case "folder":
            files = {f"{person.name}/{slug}/lab.ipynb": data for slug, data in books.items()}
            return files | {f"{person.name}/progress.jsonl": progress}
        case "single files":
            return {f"{person.name}_{slug}.ipynb": data for slug, data in books.items()}
        case "lab (2)":
            return {f"{person.name}/lab{f' ({n})' if n else ''}.ipynb": data for n, data in enumerate(books.values())}
        case "progress":
            return {f"{person.name}/progress.jsonl": progress}
    raise ValueError(person.carrier)


def _zip(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 9, 21, 12, 0, 0)), data)
    return buffer.getvalue()


def _card(person: Person, moment: float) -> bytes:
    created = datetime.fromtimestamp(moment, UTC).isoformat()
    name = json.dumps(person.name, ensure_ascii=False)
    return f'name = {name}\ncreated = {created}\ncollection = "000000000000"\n'.encode()


# Notebooks


def _notebook_bytes(slug: str, work: Work) -> bytes | None:
    if work.damage == "no notebook":
        return None
    if work.damage == "empty":
        return b""
    notebook = _notebook(slug, work)
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
    match work.damage:
        case "cut":
            last = list(work.texts)[-1]
            place = text.index(f'lab.check(\\"{last}\\"')
            return text[: text.rindex('"cell_type"', 0, text.rindex('"cell_type"', 0, place)) + 20].encode()
        case "UTF-16":
            return text.encode("utf-16")
        case "conflict":
            line = next(line for line in text.splitlines() if "**You will**" in line)
            marked = f"<<<<<<< HEAD\n{line}\n=======\n{line.replace('You will', 'I will')}\n>>>>>>> mine"
            return text.replace(line, marked, 1).encode()
        case "format 3":
            return nbformat.writes(nbformat.convert(notebook, 3), version=3).encode()
    return text.encode()


def _notebook(slug: str, work: Work) -> NotebookNode:
    """The learner's copy with the texts typed in."""
    lab = find_lab(slug)
    names = list(read_tasks(read_cells(lab.source)))
    notebook = learner_copy(build_notebook(lab))
    cells, waiting = [], iter(names)
    current, gone = "", False
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            current = next(waiting)
            if current in work.added:
                cells.append(nbformat.v4.new_code_cell(work.added[current], id=f"added-{len(cells)}"))
            text = work.texts.get(current)
            gone = text is None
            cell.source = text or ""
        if gone and current:
            # The exercise's cell and the one that checks it.
            gone = f'lab.check("{current}"' not in cell.source
            continue
        cells.append(cell)
    notebook.cells = cells
    _change(notebook, work.damage, names)
    return notebook


def _change(notebook: NotebookNode, damage: str, names: list[str]) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if damage in ("format 4.0", "format 4.2", "format 3", "no metadata"):
        for cell in notebook.cells:
            cell.pop("id", None)
        notebook.nbformat_minor = {"format 4.0": 0, "format 4.2": 2}.get(damage, 4)
    if damage == "no metadata":
        notebook.metadata = nbformat.from_dict({})
        for cell in notebook.cells:
            cell.metadata = nbformat.from_dict({})
    if damage == "metadata":
        notebook.metadata["grade"] = {"score": 100, "outcome": CORRECT}
        for cell in code:
            cell.metadata = nbformat.from_dict({"tags": ["correct"], "outcome": CORRECT, "nbgrader": {"points": 10}})
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"✓ Correct: {names[0]}\n")]
    if damage == "check cell":
        for cell in code:
            checked = next((name for name in names if f'lab.check("{name}"' in cell.source), "")
            if checked:
                cell.source = f'lab._verdicts["{checked}"] = "correct"\nlab.check("{checked}", True)'


# Progress


def _progress(person: Person, moment: float) -> bytes:
    lines: list[dict[str, Any]] = []
    for slug, work in person.labs.items():
        version = lab_version(find_lab(slug).folder)
        for event, fields in _events(slug, work):
            number = len(lines)
            known = {"id": f"{plain(person.name).lower()}-{moment:.0f}-{number}", "time": moment + 10 * number}
            lines.append(known | {"lab": slug, "version": version, "event": event, **fields})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _events(slug: str, work: Work) -> list[tuple[str, dict[str, Any]]]:
    """What the kernel of this learner would have written. A forger's says that all is well."""
    forged = work.damage == "forged progress"
    events: list[tuple[str, dict[str, Any]]] = [("open", {"seed": 1, "target": "local"})]
    for name, text in work.texts.items():
        hints, attempts = work.hints[name], work.attempts[name]
        events += [("hint", {"exercise": name, "number": number}) for number in range(1, hints + 1)]
        last = work.expected.get(name, [NOT_ATTEMPTED])[0]
        for attempt in range(1, attempts + 1):
            outcome = last if attempt == attempts and last in (CORRECT, ERROR) else INCORRECT
            told = {"outcome": CORRECT if forged else outcome, "message": "", "answer": f"{text}# {attempt}"}
            events.append(("check", {"exercise": name, "hints": hints, **told}))
    quiz = read_quiz(find_lab(slug).folder / "quiz.toml").question
    for number, letter in work.quiz.items():
        right = forged or quiz[number - 1].right == letter
        events.append(("quiz", {"question": number, "answer": letter, "right": right}))
    events.append(("finish", {"exercises": {}, "claims": 0}))
    return events

"""A class of the tiny lab as `labs collect` and `labs grade` leave it, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labkit.catalog.collection import find_lab
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy

RIGHT = "# The mean of y.\nmean = data.y.mean()"
RIGHT_DOUBLE = 'def double(x):\n    """Twice x."""\n    return x + x\n\n\nfour = 4'


def exercise(outcome: str, answer: str = "", message: str = "", attempts: int = 1, hints: int = 0) -> dict[str, Any]:
    return {"outcome": outcome, "message": message, "answer": answer, "hints": hints, "attempts": attempts}


def line(
    learner: str, exercises: dict[str, Any], quiz: str = "", fault: str = "", lab: str = "tiny-lab"
) -> dict[str, Any]:
    """A line of grades.jsonl; `quiz` has the letter of each question, of which a and then b are right."""
    answers = {str(n): {"answer": letter, "right": letter == "ab"[n - 1]} for n, letter in enumerate(quiz, 1)}
    fields = {"learner": learner, "name": learner, "lab": lab, "version": "0" * 12, "graded": "2026-11-21T10:00:00Z"}
    return fields | {"seconds": 1.0, "peak_mib": 100, "fault": fault, "exercises": exercises, "quiz": answers}


def write_class(folder: Path, lines: list[dict[str, Any]], names: dict[str, str] | None = None) -> Path:
    """The folder of a class: each learner of a line with the notebook that their answers are in."""
    for one in lines:
        own = folder / "learners" / one["learner"]
        (own / one["lab"]).mkdir(parents=True, exist_ok=True)
        name = (names or {}).get(one["learner"], one["learner"].title())
        (own / "learner.toml").write_text(f"name = {json.dumps(name)}\nsources = []\n", encoding="utf-8")
        (own / one["lab"] / "lab.ipynb").write_text(handed_in(one["exercises"]), encoding="utf-8")
    (folder / "grades.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return folder


def handed_in(exercises: dict[str, Any]) -> str:
    """The text of the learner's copy of the tiny lab with their answers typed in."""
    notebook = learner_copy(build_notebook(find_lab("tiny-lab")))
    places = [cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]
    for cell, name in zip(places, ("mean", "double"), strict=True):
        if name in exercises and exercises[name]["answer"]:
            cell.source = exercises[name]["answer"]
    return json.dumps(notebook)

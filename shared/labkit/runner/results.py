"""What a run leaves for somebody elsewhere: a folder per lab, that may lie in a bucket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.runner.runs import Result

OUTCOME, NOTEBOOK, JOURNAL = "outcome.json", "executed.ipynb", "journal.jsonl"


def prepare_results(folder: Path) -> None:
    """Makes the folder. Raises LabError when it cannot be: better before the labs run than after them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"--results {folder}: {error.strerror}. Name a folder that can be written.") from error


def keep_result(result: Result, faults: list[str], folder: Path) -> None:
    """Writes notebook, journal and outcome to folder/<slug>. The outcome comes last: where it is, the rest is."""
    own = folder / result.run.slug
    own.mkdir(parents=True, exist_ok=True)
    # Copied by contents alone: a mounted bucket has no modes or times to set.
    for source, name in ((result.notebook, NOTEBOOK), (result.run.folder / JOURNAL, JOURNAL)):
        if source.exists():
            shutil.copyfile(source, own / name)
    outcome: dict[str, Any] = {
        "lab": result.run.slug,
        "parameters": result.run.parameters,
        "faults": faults,
        "seconds": round(result.seconds, 1),
        "peak_mib": round(result.peak_mib),
        "claims": result.claims,
    }
    (own / OUTCOME).write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")

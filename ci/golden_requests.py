"""Compares what labs ask of Vertex AI with the requests.json beside each: the way of TARGET="vertex", and local runs.

Compared is the journal's event `requests` of each lab's newest worked run (`labs run --rehearse`) and of its newest
untouched learner's copy (`labs exercises`), whose reference answers ask the same. Arguments: slugs,
each of which must have both runs; none means every lab, as far as it has run. `--write` renews the files from the
newest worked runs.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FORMS = ("worked", "learner")


def asked(slug: str, form: str) -> list[Any] | None:
    """What the newest run of that form asked for; None when there is no run."""
    journals = sorted((ROOT / ".work" / "runs" / slug).glob(f"*-{form}/journal.jsonl"))
    found = None
    for line in journals[-1].read_text(encoding="utf-8").splitlines() if journals else []:
        event = json.loads(line)
        if event["event"] == "requests":
            found = event["distinct"]
    return found


def text(requests: list[Any]) -> str:
    return json.dumps(requests, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def differences(folder: Path, must_have_run: bool) -> list[str]:
    """What differs between the lab's file and each run, as lines of a diff; a missing run counts, too."""
    path = folder / "requests.json"
    golden = path.read_text(encoding="utf-8") if path.exists() else text([])
    lines = []
    for form in FORMS:
        found = asked(folder.name, form)
        if found is None and must_have_run:
            lines.append(f"{folder.name}: there is no {form} run whose requests could be compared")
        elif found is not None:
            names = (f"{folder.name}/requests.json", f"{form} run")
            lines += difflib.unified_diff(golden.splitlines(), text(found).splitlines(), *names, lineterm="", n=2)
    return lines


def write(folder: Path) -> None:
    """Renews the file from the newest worked run; a lab that asks for nothing has none."""
    found, path = asked(folder.name, "worked"), folder / "requests.json"
    if found:
        path.write_text(text(found), encoding="utf-8")
    elif found == []:
        path.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    slugs = [argument for argument in arguments if not argument.startswith("-")]
    folders = sorted(card.parent for card in (ROOT / "labs").glob("[1-6]-*/*/lab.toml"))
    known = {folder.name for folder in folders}
    unknown = set(slugs) - known
    if unknown:
        print(f"no lab is called {', '.join(sorted(unknown))}")
        return 2
    folders = [folder for folder in folders if not slugs or folder.name in slugs]
    if "--write" in arguments:
        for folder in folders:
            write(folder)
    faults = [line for folder in folders for line in differences(folder, bool(slugs))]
    print("\n".join(faults[:200]))
    requests = sum(len(asked(folder.name, "worked") or []) for folder in folders)
    print(f"{requests} requests of {len(folders)} labs, {len(faults)} lines differ from requests.json")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

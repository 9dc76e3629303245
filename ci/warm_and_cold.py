"""Shows that a warm kernel gives what a cold one gives, on every lab. `nox -s warm` runs it.

    warm_and_cold.py [SLUG ...]

Each lab runs once in each kind of kernel with the same parameters. Compared are the values of its claims, what its
checks say, and the text that its cells print. Some of it differs from run to run in any kernel: times, what real
servers lose, Python's hash. So a lab that differs runs in a cold kernel again, and what differs between two cold runs
proves nothing of warm ones; what does not is tried once more in both, since two cold runs may agree by chance.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from labkit.catalog.collection import read_labs
from labkit.runner.stored import SANITIZE
from nbval.plugin import get_sanitize_patterns

LABS = Path(__file__).resolve().parents[1] / ".venvs" / "core" / "bin" / "labs"
# The order in which threads add changes the last digits.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
Found = dict[str, Any]


def run(slugs: Sequence[str], folder: Path, kind: str) -> dict[str, Found]:
    """What each lab gave in kernels of that kind. Ends the program when a lab fails."""
    cold = ["--cold"] if kind == "cold" else []
    # Fewer than four labs would get cold kernels from `labs run` alone; the command around it starts the server.
    command = [str(LABS), "run", "--no-wrong-answers", "--results", str(folder), *cold, *slugs]
    around = [] if cold else [str(LABS), "warm", "--"]
    print(f"{kind}: {len(slugs)} labs", flush=True)
    done = subprocess.run([*around, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind}: {done.stdout[-3000:]}{done.stderr[-1000:]}")
    return {slug: results(folder / slug) for slug in slugs}


def results(folder: Path) -> Found:
    """Claims, verdicts and printed text of one run, each under a name that says where it stands."""
    outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    found: Found = {f"claim: {claim['name']}": claim["value"] for claim in outcome["claims"]}
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "check":
            found[f"check: {event['exercise']}"] = event["outcome"]
    patterns = get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8"))
    for number, cell in enumerate(nbformat.read(folder / "executed.ipynb", as_version=4).cells):
        text = "".join(output.text for output in cell.get("outputs", ()) if output.output_type == "stream")
        for pattern, replacement in patterns:
            text = re.sub(pattern, replacement, text)
        found[f"text of cell {number}"] = text
    return found


def differences(one: Found, other: Found) -> set[str]:
    return {name for name in one.keys() | other.keys() if not same(one.get(name), other.get(name))}


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return one == other


def compared(slugs: Sequence[str], folder: Path) -> int:
    """Prints a line for each lab; returns how many give something else in a warm kernel."""
    cold, warm = run(slugs, folder / "cold", "cold"), run(slugs, folder / "warm", "warm")
    differ = {slug: differences(cold[slug], warm[slug]) for slug in slugs}
    again = [slug for slug in slugs if differ[slug]]
    unsteady: dict[str, set[str]] = {slug: set() for slug in slugs}
    if again:
        second = run(again, folder / "cold-again", "cold")
        unsteady |= {slug: differences(cold[slug], second[slug]) for slug in again}
    doubtful = [slug for slug in again if differ[slug] - unsteady[slug]]
    if doubtful:
        third, second_warm = run(doubtful, folder / "cold-3", "cold"), run(doubtful, folder / "warm-2", "warm")
        for slug in doubtful:
            unsteady[slug] |= differences(cold[slug], third[slug])
            # What the second warm run gives as the cold ones do was chance, too.
            unsteady[slug] |= differ[slug] - differences(cold[slug], second_warm[slug])
    faults = 0
    for slug in slugs:
        wrong, total = sorted(differ[slug] - unsteady[slug]), len(cold[slug])
        faults += bool(wrong)
        unclear = f", {len(unsteady[slug])} differ between cold runs, too" if unsteady[slug] else ""
        print(f"{slug}: {total - len(differ[slug])} of {total} the same{unclear}")
        for name in wrong:
            print(f"  fault: {name}: cold {shown(cold[slug].get(name))}, warm {shown(warm[slug].get(name))}")
    items = sum(map(len, cold.values()))
    print(f"{len(slugs)} labs, {items} results, {sum(map(len, differ.values()))} differ, labs at fault: {faults}")
    return faults


def shown(value: object) -> str:
    return repr(value)[:200]


def main(named: Iterable[str]) -> int:
    every = [lab.slug for lab in read_labs()[0]]
    slugs = list(named) or every
    unknown = sorted(set(slugs) - set(every))
    if unknown:
        sys.exit(f"No lab is called {', '.join(unknown)}.")
    with tempfile.TemporaryDirectory(prefix="warm-and-cold-") as folder:
        return compared(slugs, Path(folder))


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)

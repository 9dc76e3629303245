"""Measures the runner against other ways to run the same notebooks on the same machine. `nox -s bench` runs it.

    bench_runner.py [--labs SLUG ...] [--rounds 3] [--added 5 40] [--tiny N]

The ways take turns, so that a noisy minute hits all of them: this runner (`labs run`, without the wrong answers, which
no other way tries), a loop over papermill's command line, `pytest --nbval -n 2` (each notebook in one process), and
jupyter-cache with its parallel executor. Wall and processor seconds are those of the whole command with all processes
that it starts; medians over the rounds count. The floor is what the cells alone take in a warm kernel, one lab at a
time, over the number of cores: no way of running the labs at once can be faster.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from labkit.catalog.collection import read_labs
from labkit.runner.capacity import default_jobs
from labkit.runner.health import read_health
from labkit.runner.memory import PeakMemory
from labkit.runner.stored import nbval_arguments
from limits import FAILED, say

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / ".venvs" / "core" / "bin"
CACHE = """
import sys
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
if __name__ == "__main__":
    cache = get_cache(sys.argv[1])
    for path in sys.argv[2:]:
        cache.add_nb_to_project(path)
    result = load_executor("local-parallel", cache).run_and_cache(timeout=300)
    sys.exit(len(result.errored) + len(result.excepted))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds and MiB of one command with everything that it has started."""

    wall: float
    cpu: float
    peak_mib: float
    passed: bool


@dataclass(frozen=True)
class Place:
    """A collection, and a folder for what the commands write."""

    home: Path
    slugs: list[str]
    scratch: Path

    @property
    def notebooks(self) -> list[Path]:
        found = {path.parent.name: path for path in self.home.glob("labs/[1-6]-*/*/lab.ipynb")}
        return [found[slug] for slug in self.slugs]


def measured(commands: Sequence[Sequence[str]], place: Place) -> Measured:
    """Runs commands one after the other and waits for all that they leave, orphans too."""
    variables = os.environ | {
        "LABS_HOME": str(place.home),
        "LABKIT_HEADLESS": "1",
        "JUPYTER_PATH": str(CORE.parent / "share" / "jupyter"),
    }
    before, began, passed = cpu_of_children(), time.perf_counter(), True
    with PeakMemory() as memory, (place.scratch / "bench.log").open("ab") as log:
        for command in commands:
            done = subprocess.run(command, env=variables, cwd=place.home, stdout=log, stderr=log, check=False)
            passed &= done.returncode == 0
        wall = time.perf_counter() - began
    wait_for_orphans()
    return Measured(wall, cpu_of_children() - before, memory.peak, passed)


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def adopt_orphans() -> None:
    """Processes whose parent has ended become this one's children, so that their processor time is counted."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1)


def wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def by_labs(place: Place, *options: str) -> list[list[str]]:
    return [[str(CORE / "labs"), "run", *place.slugs, "--no-wrong-answers", *options]]


def by_papermill(place: Place) -> list[list[str]]:
    outs = [place.scratch / f"{path.parent.name}.ipynb" for path in place.notebooks]
    return [
        [str(CORE / "papermill"), str(path), str(out), "--cwd", str(path.parent), "--no-progress-bar"]
        for path, out in zip(place.notebooks, outs, strict=True)
    ]


def by_nbval(place: Place) -> list[list[str]]:
    options = [*nbval_arguments(cell_seconds=180), "-n", "2", "--dist", "loadfile"]
    return [[str(CORE / "python"), "-m", "pytest", *options, *map(str, place.notebooks)]]


def by_cache(place: Place) -> list[list[str]]:
    cache, script = Path(tempfile.mkdtemp(dir=place.scratch)), place.scratch / "cache.py"
    script.write_text(CACHE)
    python = ROOT / ".venvs" / "bench" / "bin" / "python"
    return [[str(python), str(script), str(cache), *map(str, place.notebooks)]]


WAYS: dict[str, Callable[[Place], list[list[str]]]] = {
    "labs run": by_labs,
    "papermill, one after the other": by_papermill,
    "pytest --nbval -n 2": by_nbval,
    "jupyter-cache, parallel": by_cache,
}


def in_turns(place: Place, rounds: int) -> dict[str, list[Measured]]:
    """Every way once in each round, in another order each time."""
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for number in range(rounds):
        ways = list(WAYS)[number % len(WAYS) :] + list(WAYS)[: number % len(WAYS)]
        for way in ways:
            one = measured(WAYS[way](place), place)
            found[way].append(one)
            state = "" if one.passed else "  FAILED, see bench.log"
            print(f"  round {number + 1}  {way:<32} {one.wall:8.1f} s wall {one.cpu:8.1f} s cpu{state}", flush=True)
            if not one.passed:
                FAILED.append(f"{way}: a notebook failed")
    return found


def processor() -> str:
    """The processor's name, where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def middle(runs: Sequence[Measured], what: str) -> float:
    return statistics.median(float(getattr(run, what)) for run in runs)


def cell_seconds(slug: str, home: Path) -> float:
    """What the cells of a lab took in its newest worked run, as papermill noted it."""
    newest = max((home / ".work" / "runs" / slug).glob("*-worked/executed.ipynb"))
    cells = nbformat.read(newest, 4).cells
    return sum(float(cell.metadata.get("papermill", {}).get("duration") or 0) for cell in cells)


def floor_and_overhead(place: Place) -> tuple[float, float]:
    """Seconds: the cells' own time over the cores, and the median time around a lab's cells, both one at a time."""
    one = measured(by_labs(place, "--jobs", "1"), place)
    if not one.passed:
        FAILED.append("labs run --jobs 1: a lab failed")
    own = {slug: cell_seconds(slug, place.home) for slug in place.slugs}
    whole = {slug: float(read_health(slug)[-1]["seconds"]) for slug in place.slugs}
    around = statistics.median(whole[slug] - own[slug] for slug in place.slugs)
    return sum(own.values()) / default_jobs(), around


def tiny_collection(folder: Path, count: int) -> Place:
    """A collection of copies of the tests' tiny lab, with their notebooks built."""
    own = Path(tempfile.mkdtemp(dir=folder))
    home, scratch = own / "home", own / "scratch"
    shutil.copytree(ROOT / "shared" / "tests" / "collection", home)
    shutil.copy(ROOT / "pyproject.toml", home)
    shutil.copytree(ROOT / "environments", home / "environments")
    (home / ".venvs").symlink_to(ROOT / ".venvs")
    scratch.mkdir()
    (first,) = home.glob("labs/*/tiny-lab")
    subprocess.run(
        [str(CORE / "labs"), "build", "tiny-lab"], env=os.environ | {"LABS_HOME": str(home)}, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    slugs = [f"tiny-lab-{number:02}" for number in range(count)]
    for slug in slugs:
        copy = first.with_name(slug)
        shutil.copytree(first, copy)
        for path in copy.glob("lab.*"):
            path.write_text(
                path.read_text().replace('"tiny-lab"', f'"{slug}"').replace('\\"tiny-lab\\"', f'\\"{slug}\\"')
            )
    shutil.rmtree(first)
    return Place(home, slugs, scratch)


def cost_of_added_labs(folder: Path, few: int, many: int) -> None:
    """Wall and processor seconds for each lab between two sizes of a collection; what every run costs falls out."""
    places = [tiny_collection(folder, count) for count in (few, many)]
    print(f"\n| way | {few} labs, s | {many} labs, s | a further lab, s | its cpu, s |\n|---|---|---|---|---|")
    for way, commands in WAYS.items():
        small, large = (measured(commands(place), place) for place in places)
        wall, cpu = (large.wall - small.wall) / (many - few), (large.cpu - small.cpu) / (many - few)
        state = "" if small.passed and large.passed else " (failed)"
        print(f"| {way}{state} | {small.wall:.1f} | {large.wall:.1f} | {wall:.2f} | {cpu:.2f} |", flush=True)


def table(found: dict[str, list[Measured]], floor: float) -> None:
    ours = middle(found["labs run"], "wall")
    cores = default_jobs()
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {cores} cores of {processor()}, medians of the rounds")
    print("| way | wall, s | cpu, s | peak MiB | times as long |\n|---|---|---|---|---|")
    for way, runs in found.items():
        wall, peak = middle(runs, "wall"), max(run.peak_mib for run in runs)
        print(f"| {way} | {wall:.1f} | {middle(runs, 'cpu'):.1f} | {peak:.0f} | {wall / ours:.2f} |")
    print(f"| floor: the cells alone over {cores} cores | {floor:.1f} | | | {floor / ours:.2f} |\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--labs", nargs="*", help="These labs; else all.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--added", type=int, nargs=2, default=(5, 40), metavar=("FEW", "MANY"))
    parser.add_argument("--tiny", type=int, default=0, help="Copies of the tests' tiny lab in the place of the labs.")
    given = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        place = tiny_collection(folder, given.tiny) if given.tiny else of_all_labs(folder, given.labs)
        os.environ["LABS_HOME"] = str(place.home)
        print(f"{len(place.slugs)} labs, log in {place.scratch / 'bench.log'}", flush=True)
        found = in_turns(place, given.rounds)
        floor, around = floor_and_overhead(place)
        again = measured(by_labs(place, "--changed-only"), place)
        table(found, floor)
        ours = middle(found["labs run"], "wall")
        for way in ("papermill, one after the other", "pytest --nbval -n 2"):
            say(f"our wall time over that of {way}", ours / middle(found[way], "wall"), 1 / 3, "")
        say("our wall time over the floor", ours / floor, 1.25, "")
        say("time around a lab's cells, warm", around, 0.5, "s")
        say("a run with nothing changed", again.wall, 5.0, "s")
        say("peak memory, as many at once as cores", max(run.peak_mib for run in found["labs run"]), 4096, "MiB")
        cost_of_added_labs(folder, *given.added)
    return len(FAILED) > 0


def of_all_labs(folder: Path, named: Sequence[str] | None) -> Place:
    labs = [lab.slug for lab in read_labs()[0]]
    unknown = set(named or ()) - set(labs)
    if unknown:
        sys.exit(f"No lab is called {', '.join(sorted(unknown))}.")
    return Place(ROOT, [slug for slug in labs if not named or slug in named], folder)


if __name__ == "__main__":
    sys.exit(main())

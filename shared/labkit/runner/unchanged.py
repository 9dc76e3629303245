"""Only what changed: a run that has passed need not be repeated while everything that it depends on is the same.

A pass is kept with the content of what it used: the lab's folder, the modules of this project that its kernel really
used, its data, its environment, and the code that judges. It counts as long as all that is what it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.datasets import read_dataset
from labkit.catalog.environments import environments
from labkit.catalog.places import data_folder, home, labs_folder
from labkit.runner.runs import STORED, Run

# What makes the notebook and judges its journal, beside the modules that the kernel uses.
_RUNNER = ("build", "engine", "execute", "exercises", "learner", "parameters", "runs", "surroundings")
_TABLES = {"labkit.catalog.cloud": "cloud.toml", "labkit.catalog.prices": "prices.toml"}
_SHARED = Path(__file__).resolve().parents[2]
# A file or folder that a module names beside itself: a script for another Python, a table.
_BESIDE = re.compile(r"""(?:with_name\(|\.parent / |joinpath\()"([\w.-]+)\"""")
# What a run writes beside the sources, and what is built from them.
_NOT_SOURCE = {"__pycache__", ".ipynb_checkpoints", "lab.ipynb"}


@dataclass(frozen=True)
class Passed:
    """A pass that still counts, and its date."""

    run: Run
    date: str


def split_unchanged(runs: Sequence[Run], kind: str) -> tuple[list[Run], list[Passed]]:
    """The runs to be done, and those that have passed with all that they depend on as it is now."""
    hashes = Hashes()
    todo, passed = [], []
    for run in runs:
        date = last_pass(run, kind, hashes)
        if date:
            passed.append(Passed(run, date))
        else:
            todo.append(run)
    return todo, passed


def last_pass(run: Run, kind: str, hashes: Hashes | None = None) -> str:
    """The date of the pass of this run that still counts, or ""."""
    try:
        kept = json.loads(_record_file(run, kind).read_text(encoding="utf-8"))
        modules = [_SHARED / name for name in kept["modules"]]
        if kept["key"] == key(run, kind, modules, hashes or Hashes()):
            return str(kept["date"])
    except (OSError, ValueError, KeyError, TypeError, LabError):
        # Nothing kept, a broken file, or an input that is gone: the run is to be done.
        pass
    return ""


def keep_pass(run: Run, kind: str, began: float) -> None:
    """Notes that a run has passed, in a command that began at that time (in seconds, as `time.time` has it).

    Nothing is kept, and it will run again, where the kernel left no list of modules, where a file was changed since
    the command began, and for runs on Google Cloud: what they found there may be another thing tomorrow.
    """
    path = _record_file(run, kind)
    modules = _used_modules(run)
    if not modules or _is_cloud(run) or _changed_since(began, run, modules):
        forget_pass(run, kind)
        return
    kept = {
        "key": key(run, kind, modules, Hashes()),
        "modules": [str(module.relative_to(_SHARED)) for module in modules],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def forget_pass(run: Run, kind: str) -> None:
    """A run that has failed is not unchanged, whatever was before."""
    _record_file(run, kind).unlink(missing_ok=True)


class Hashes:
    """Contents of files as hashes, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """The hash of a file's bytes; "none" where there is no such file."""
        if path not in self._known:
            try:
                self._known[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                self._known[path] = "none"
        return self._known[path]


def key(run: Run, kind: str, modules: Sequence[Path], hashes: Hashes) -> str:
    """One hash over the run and everything that it depends on."""
    limits = [run.cell_seconds, run.lab_seconds]
    total = hashlib.sha256(json.dumps([kind, run.form, run.audit, limits, run.parameters], sort_keys=True).encode())
    for path in sorted({*inputs(find_lab(run.slug), modules, run.form)}):
        total.update(f"\n{path}={hashes.of(path)}".encode())
    return total.hexdigest()


def inputs(lab: LabFolder, modules: Sequence[Path], form: str) -> Iterator[Path]:
    """The files that a run of a lab depends on."""
    yield from _below(lab.folder)
    if form == STORED:
        yield lab.notebook
        yield from (_SHARED / "labkit" / "runner" / name for name in ("stored.py", "sanitize.cfg"))
    for name in lab.card.data:
        entry = read_dataset(name)
        yield data_folder() / "registry" / f"{name}.toml"
        # A file that a package ships is the environment's.
        if entry.file or entry.generator:
            yield data_folder() / str(entry.file or entry.generator)
    for module in modules:
        yield module
        yield from _beside(module)
        table = _TABLES.get(".".join(module.relative_to(_SHARED).with_suffix("").parts))
        if table:
            yield labs_folder() / "blueprint" / table
    yield from (_SHARED / "labkit" / "runner" / f"{name}.py" for name in _RUNNER)
    environment = environments()[lab.card.environment]
    yield environment.lock
    # The lock that it was made from, the Python, and the variables of its kernel.
    yield environment.folder / "made-from"
    yield environment.folder / "pyvenv.cfg"
    kernels = environments()["core"].folder / "share" / "jupyter" / "kernels"
    yield kernels / environment.kernel_name / "kernel.json"


@cache
def _beside(module: Path) -> tuple[Path, ...]:
    """What a module names beside itself, and what that names in turn (a script may start another).

    Cached: the modules are this command's own, and every lab asks for them.
    """
    text = module.read_text(encoding="utf-8") if module.suffix == ".py" and module.exists() else ""
    paths: list[Path] = []
    for named in map(module.with_name, _BESIDE.findall(text)):
        found = list(_below(named)) if named.is_dir() else [named] if named.is_file() else []
        for path in found:
            if path != module:
                paths += [path, *_beside(path)]
    return tuple(paths)


def _below(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those below it, without what is built or hidden."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part in _NOT_SOURCE or part.startswith(".") for part in parts):
            yield path


def _used_modules(run: Run) -> list[Path]:
    try:
        named = json.loads(run.imports.read_text(encoding="utf-8"))
        paths = [Path(name) for name in named]
    except (OSError, ValueError, TypeError):
        return []
    return [path for path in paths if path.is_relative_to(_SHARED) and path.is_file()]


def _changed_since(began: float, run: Run, modules: Sequence[Path]) -> bool:
    files = inputs(find_lab(run.slug), modules, run.form)
    return any(path.exists() and path.stat().st_mtime > began for path in files)


def _is_cloud(run: Run) -> bool:
    return run.parameters.get("TARGET") == "vertex"


def _record_file(run: Run, kind: str) -> Path:
    """One file for each kind of run with its parameters: a pass with one seed says nothing of another."""
    what: list[Any] = [kind, run.parameters]
    name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return home() / ".work" / "passed" / run.slug / f"{name}.json"

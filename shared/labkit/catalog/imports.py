"""Which modules of this project a kernel has really used, so that a run's record can name what it depends on.

In a cold kernel these are the modules that are loaded. A kernel that is forked from a server has many loaded that its
lab never asks for; there every import statement is noted from the server's start on, and what is used is what can be
reached from the notebook's own imports. Standard library only: the fork server imports this first.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# The file that a run asks for; `note_imports` writes nothing where it is not set.
WANTED = "LABKIT_IMPORTS"
PACKAGES = ("labkit", "localgcp")


class Trace:
    """Import statements that name a module of this project: who imports (a module, or "" for others) what."""

    def __init__(self) -> None:
        self.edges: set[tuple[str, str, tuple[str, ...]]] = set()
        # Loaded before the first statement is noted: always counted, since nobody knows who asked for them.
        self.early = loaded()
        self.preloaded: set[str] = set()

    def install(self) -> None:
        """Notes every import from here on in this process, and in those that are forked from it."""
        plain, by_name = builtins.__import__, importlib.import_module
        builtins.__import__ = self._noting(plain)

        def import_module(name: str, package: str | None = None) -> Any:
            if _ours(name):
                importer = str(sys._getframe(1).f_globals.get("__name__", ""))
                self.edges.add((importer if _ours(importer) else "", name, ()))
            return by_name(name, package)

        importlib.import_module = import_module

    def _noting(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def noted(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            if level or _ours(name):
                importer = str((globals or {}).get("__name__", ""))
                source = name if not level else _absolute(name, globals, level)
                if _ours(source):
                    self.edges.add((importer if _ours(importer) else "", source, tuple(fromlist or ())))
            return plain(name, globals, locals, fromlist, level)

        return noted

    def preloading_done(self) -> None:
        """What is loaded by now was the server's wish; what comes later is the kernel's."""
        self.preloaded = loaded()
        self.edges = {edge for edge in self.edges if edge[0]}

    def used(self) -> set[str]:
        """The modules that are reached from what others than this project's modules have imported."""
        there = loaded()
        after: dict[str, set[str]] = {}
        for importer, source, names in self.edges:
            named = {source, *(f"{source}.{name}" for name in names)} & there
            after.setdefault(importer, set()).update(named)
        found: set[str] = set()
        waiting = list((there - self.preloaded) | self.early | after.get("", set()))
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                waiting += after.get(module, ())
                waiting += [parent for parent in _parents(module) if parent in there]
        # The server's own.
        return {module for module in found if not module.startswith("labkit.runner")}


_trace: Trace | None = None


def trace_imports() -> Trace:
    """Begins to note imports; the fork server does so before it imports anything."""
    global _trace
    _trace = Trace()
    _trace.install()
    return _trace


def note_imports() -> None:
    """Writes the files of the modules used so far, a JSON list of paths, to the file that the run asks for."""
    wanted = os.environ.get(WANTED)
    if wanted:
        used = _trace.used() if _trace else loaded()
        Path(wanted).write_text(json.dumps(sorted(module_files(used))), encoding="utf-8")


def module_files(modules: Iterable[str]) -> set[str]:
    """The source files of loaded modules."""
    files = (getattr(sys.modules.get(name), "__file__", None) for name in modules)
    return {str(Path(file).resolve()) for file in files if file}


def loaded() -> set[str]:
    """Names of this project's modules that are loaded in this process."""
    return {name for name in list(sys.modules) if _ours(name)}


def _ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def _absolute(name: str, globals: Any, level: int) -> str:
    package = str((globals or {}).get("__package__") or "")
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]

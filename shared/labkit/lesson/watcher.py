"""Notices which answers a learner's cells have set since the last check, and which cells stopped with an error."""

from __future__ import annotations

import ast
import re
from typing import Any

from labkit.catalog.source import bound_names, calls


class Watcher:
    """`fresh` has the names bound by a cell of the learner's since `forget`; `crashed` the error that stopped it."""

    def __init__(self) -> None:
        self.fresh: set[str] = set()
        self.crashed: dict[str, str] = {}
        self.active = False

    def attach(self, shell: Any) -> None:
        """Listens to a shell's cells; without IPython nothing is noticed and every check counts."""
        if shell is not None:
            shell.events.register("post_run_cell", self.saw)
            self.active = True

    def detach(self, shell: Any) -> None:
        if self.active and shell is not None:
            shell.events.unregister("post_run_cell", self.saw)
            self.active = False

    def saw(self, result: Any) -> None:
        if result.info is None or not result.info.raw_cell:
            return
        try:
            tree = ast.parse(result.info.raw_cell)
        except SyntaxError as broken:
            # What it would have bound cannot be known; every name in it may be an answer that was attempted.
            for name in re.findall(r"[^\W\d]\w*", result.info.raw_cell):
                self.crashed[name] = f"SyntaxError: {broken.msg} (line {broken.lineno})"
            return
        if calls(tree, "check"):
            return
        error = result.error_before_exec or result.error_in_exec
        for name in bound_names(tree):
            self.fresh.add(name)
            if error is None:
                self.crashed.pop(name, None)
            else:
                self.crashed[name] = f"{type(error).__name__}: {error}"

    def forget(self, names: tuple[str, ...]) -> None:
        self.fresh.difference_update(names)
        for name in names:
            self.crashed.pop(name, None)

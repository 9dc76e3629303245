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
        self._running = ""
        self._cells = 0
        self._texts: dict[str, tuple[int, str]] = {}  # name -> the newest cell that bound it: its place and text

    def attach(self, shell: Any) -> None:
        """Listens to a shell's cells; without IPython nothing is noticed and every check counts."""
        if shell is not None:
            shell.events.register("pre_run_cell", self.starts)
            shell.events.register("post_run_cell", self.saw)
            self.active = True

    def detach(self, shell: Any) -> None:
        if self.active and shell is not None:
            shell.events.unregister("pre_run_cell", self.starts)
            shell.events.unregister("post_run_cell", self.saw)
            self.active = False

    def starts(self, info: Any) -> None:
        self._running = info.raw_cell or ""

    def saw(self, result: Any) -> None:
        if result.info is None or not result.info.raw_cell:
            return
        text, error = result.info.raw_cell, result.error_before_exec or result.error_in_exec
        self._running, self._cells = "", self._cells + 1
        try:
            tree = ast.parse(text)
        except SyntaxError as broken:
            if isinstance(error, SyntaxError):
                self._saw_no_python(text, broken)
                return
            names = _bound_by_magic(text)
        else:
            names = [] if calls(tree, "check") else bound_names(tree)
        for name in names:
            self._texts[name] = self._cells, text
            self._bound(name, error)

    def _saw_no_python(self, text: str, broken: SyntaxError) -> None:
        """What the cell would have bound cannot be known; every name in it may be an answer that was attempted."""
        for name in set(re.findall(r"[^\W\d]\w*", text)):
            self._texts[name] = self._cells, text
            self.crashed[name] = f"SyntaxError: {broken.msg} (line {broken.lineno})"

    def _bound(self, name: str, error: BaseException | None) -> None:
        self.fresh.add(name)
        if error is None:
            self.crashed.pop(name, None)
        else:
            self.crashed[name] = f"{type(error).__name__}: {error}"

    def text_of(self, names: tuple[str, ...]) -> str | None:
        """The learner's text behind a check that runs now: of the newest cell that bound one of the names."""
        try:
            statements = ast.parse(self._running).body
        except SyntaxError:
            statements = []
        for statement in statements:
            alone = ast.Module([statement], [])
            if not calls(alone, "check") and set(bound_names(alone)) & set(names):
                return self._running  # answer and check stand in one cell
        found = [self._texts[name] for name in names if name in self._texts]
        return max(found)[1] if found else None

    def forget(self, names: tuple[str, ...]) -> None:
        self.fresh.difference_update(names)
        for name in names:
            self.crashed.pop(name, None)


def _bound_by_magic(text: str) -> list[str]:
    """What a cell with magics seems to bind: names before a `=`, and the words after `%%magic`."""
    first, _, rest = text.strip().partition("\n")
    words = re.findall(r"[^\W\d]\w*", first)[1:] if first.startswith("%%") else []
    assigned = re.findall(r"([^\W\d]\w*)\s*=(?!=)", rest if words else text)
    return list(dict.fromkeys([*words, *assigned]))

"""Loads a Python file that is no part of a package: a lab's checks, a data generator."""

from __future__ import annotations

import types
from pathlib import Path


def load_module(path: Path, text: str | None = None) -> types.ModuleType:
    """The module in a file. Nothing is cached beside it: what lies in a lab's folder is what its author put there.

    `text`: in the place of the file's, which need not be there; what the module finds by its `__file__` lies in the
    same folder either way.
    """
    module = types.ModuleType(f"labkit_{path.stem}_of_{path.parent.name}".replace("-", "_"))
    module.__file__ = str(path)
    text = path.read_text(encoding="utf-8") if text is None else text
    exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    return module

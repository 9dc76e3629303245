"""Loads a Python file that is no part of a package: a lab's checks, a data generator."""

from __future__ import annotations

import types
from pathlib import Path


def load_module(path: Path) -> types.ModuleType:
    """The module in a file. Nothing is cached beside it: what lies in a lab's folder is what its author put there."""
    module = types.ModuleType(f"labkit_{path.stem}_of_{path.parent.name}".replace("-", "_"))
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module

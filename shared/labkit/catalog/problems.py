"""What is said when something is wrong: one error type, and a finding with code, place and mend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class LabError(Exception):
    """Bad input. The message is one line: what was wrong, where, what to do."""

    def _render_traceback_(self) -> list[str]:
        """Shown by IPython in place of the traceback, which would only lead into labkit."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Problem:
    """One violated rule."""

    code: str
    where: Path
    what: str
    mend: str
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else str(self.where)
        return f"{place}: {self.code} {self.what}. {self.mend}"

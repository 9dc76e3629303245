"""A file of JSON lines that only grows: many small writes, quick, and whole after a process is killed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Journal:
    """The rows of a file, in the order in which they were written. Whoever uses it holds a lock of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """All rows. Half a row at the end, of a process that was killed while it wrote, is cut off.

        Raises RuntimeError for a row in the middle that cannot be read.
        """
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        return [self._row(number, line) for number, line in enumerate(whole.splitlines(), 1)]

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Writes all of the rows or, when the disk is full (OSError), none."""
        content = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a buffer holds after a failed write would be written again when the file is closed.
        with self._path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                while content:
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(start)
                raise

    def delete(self) -> None:
        """Removes the file. A second call does nothing."""
        self._path.unlink(missing_ok=True)

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise RuntimeError(
                f"{self._path.name}, line {number}: no row of JSON ({error}); delete the line, or the state's folder"
            ) from error
        return row

"""CSV files that a spreadsheet reads right, and in which nothing that a learner typed is run as a formula.

UTF-8 with a byte order mark: without it Excel takes the file for the machine's old code page and spoils every accent.
LibreOffice, Google Sheets and pandas (`encoding="utf-8-sig"`) read it as well. Every text is in quotation marks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

# What OWASP lists for "CSV injection", with the full-width signs that some spreadsheets take for the same.
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MOST = 32_000  # a cell of Excel holds 32,767 characters


def harmless(value: object) -> object:
    """A value for a cell: text that a spreadsheet could run as a formula gets an apostrophe in front; numbers stay."""
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    text = "".join(sign for sign in str(value) if sign >= " " or sign in "\t\r\n")
    if text.startswith(_STARTS) or text.lstrip().startswith(_STARTS):
        text = f"'{text}"
    return text if len(text) <= _MOST else f"{text[:_MOST]} … (cut)"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], plain: bool = False) -> None:
    """Writes a table; by way of a neighbour, so that a crash leaves the old file whole.

    `plain`: for a program in the place of a spreadsheet, without the mark and with quotation marks only where needed.
    """
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8" if plain else "utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        if plain:
            writer = csv.writer(file, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([harmless(value) for value in row] for row in rows)
    part.replace(path)

"""Reads a notebook that somebody handed in, whatever state it is in: what could be read of it, and what not."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WHOLE, PARTLY, NOT = "whole", "partly", "not"
MOST_BYTES = 64 * 2**20
_MOST_TRIES = 20_000  # places at which the pieces of a broken file are looked for

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CELL = re.compile(r'\{\s*"(?:attachments|cell_type|collapsed|execution_count|id|input|language|metadata)"')
_CONFLICT = re.compile(r"^<<<<<<<.*?\n(.*?)^=======.*?\n(.*?)^>>>>>>>[^\n]*\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Submitted:
    """What could be read of a file: a notebook as plain data, how much of it (whole, partly, not), and why no more."""

    notebook: dict[str, Any] = field(hash=False)
    read: str
    message: str = ""


@dataclass(frozen=True)
class SubmittedCell:
    """One cell of any version of the notebook format: "code" or another kind, its id ("" for none), its text."""

    kind: str
    id: str
    text: str


def read_notebook(data: bytes) -> Submitted:
    """The notebook in a file's bytes. It never raises: what cannot be read is said in the message."""
    if not data.strip(b"\0 \t\r\n"):
        return Submitted({}, NOT, "the file is empty")
    if len(data) > MOST_BYTES:
        return Submitted({}, NOT, f"larger than {MOST_BYTES >> 20} MiB")
    text, remark = decode(data)
    try:
        content = parse_json(text)
    except ValueError as error:
        return _pieces(text, remark, str(error))
    if not isinstance(content, dict) or not any(_raw_cells(content)):
        return Submitted({}, NOT, "JSON, but no notebook with cells")
    strange = sum(not isinstance(cell, dict) for cell in _raw_cells(content))
    if strange:
        return Submitted(content, PARTLY, f"{strange} cells are no cells")
    return Submitted(content, WHOLE, remark)


def decode(data: bytes) -> tuple[str, str]:
    """The text in a file, and a remark where it is not UTF-8."""
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "")
    if not encoding and b"\0" in data[:200]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        return data.decode(encoding or "utf-8"), f"saved as {encoding}" if encoding else ""
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "not UTF-8: read as Windows-1252"


def parse_json(text: str) -> Any:
    """What a JSON text holds. Raises ValueError, also for one that is nested without end."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _pieces(text: str, remark: str, error: str) -> Submitted:
    """What is left of a notebook that is no JSON: one side of git's conflicts, else every cell that is whole."""
    if _CONFLICT.search(text):
        for side, name in ((1, "first"), (2, "second")):
            try:
                content = parse_json(_CONFLICT.sub(rf"\{side}", text))
            except ValueError:
                continue
            if isinstance(content, dict) and any(_raw_cells(content)):
                return Submitted(content, PARTLY, f"git's conflict marks: the {name} side was read")
    cells = list(_whole_cells(text))
    if not cells:
        return Submitted({}, NOT, f"not JSON: {error}")
    found = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    said = f"broken JSON ({error}): {len(cells)} cells could be read"
    return Submitted(found, PARTLY, "; ".join(filter(None, [remark, said])))


def _whole_cells(text: str) -> Iterator[dict[str, Any]]:
    """The objects in a broken text that are cells."""
    decoder, place = json.JSONDecoder(), 0
    for _ in range(_MOST_TRIES):
        found = _CELL.search(text, place)
        if found is None:
            return
        try:
            cell, place = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            place = found.start() + 1
            continue
        if isinstance(cell, dict) and "cell_type" in cell and ("source" in cell or "input" in cell):
            yield cell


def _raw_cells(notebook: Mapping[str, Any]) -> Iterator[Any]:
    """The cells of a notebook of format 4, and those of the worksheets of format 3."""
    sheets = notebook.get("worksheets")
    for holder in [notebook, *(sheets if isinstance(sheets, list) else [])]:
        cells = holder.get("cells") if isinstance(holder, Mapping) else None
        yield from cells if isinstance(cells, list) else []


def cells_of(notebook: Mapping[str, Any]) -> list[SubmittedCell]:
    """The cells of a notebook of any version, passing over what is none. Line ends are `\\n`, text is valid UTF-8."""
    return [
        SubmittedCell(str(cell.get("cell_type", "code")), _text(cell.get("id")), _text(_source(cell)))
        for cell in _raw_cells(notebook)
        if isinstance(cell, Mapping)
    ]


def _source(cell: Mapping[str, Any]) -> Any:
    return cell["source"] if "source" in cell else cell.get("input")


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    # Half a surrogate pair is valid in JSON and can be written to no file.
    whole = value.encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\r\n", "\n").replace("\r", "\n")

"""A learner's notebook, whatever wrote it, as a clean one of today's format: texts, and outputs that are only shown.

Metadata, widgets and scripts are left out, what is endless is cut. What the learner handed in is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.classroom.submitted import cells_of

_MOST_TEXT = 20_000  # characters of one printed output
_MOST_IMAGE = 4_000_000  # and of one image, base64
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The names that notebooks of format 3 have for the same things.
_OLD_TYPES = {"pyout": "execute_result", "pyerr": "error"}
_OLD_KINDS = {
    "text": "text/plain",
    "html": "text/html",
    "latex": "text/latex",
    "png": "image/png",
    "jpeg": "image/jpeg",
}
_TEXTS = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml")
_IMAGES = ("image/png", "image/jpeg")


def restored(notebook: Mapping[str, Any]) -> NotebookNode:
    """A notebook of format 4.5 with the same cells. It is valid whatever `notebook` holds."""
    new: NotebookNode = nbformat.v4.new_notebook()
    new.metadata = nbformat.from_dict({"language_info": {"name": "python"}})
    raw, taken = list(_mappings(notebook)), set()
    for number, (cell, given) in enumerate(zip(cells_of(notebook), raw, strict=True)):
        if cell.kind == "code":
            made = nbformat.v4.new_code_cell(cell.text, outputs=list(_outputs(given.get("outputs"))))
        else:
            made = nbformat.v4.new_markdown_cell(cell.text)
        # Ids must be there and be unique; links to a cell keep theirs.
        made.id = cell.id if _ID.fullmatch(cell.id) and cell.id not in taken else f"restored-{number}"
        taken.add(made.id)
        new.cells.append(made)
    return new


def _mappings(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The raw cells, one for each that `cells_of` gives."""
    sheets = notebook.get("worksheets")
    for holder in [notebook, *(sheets if isinstance(sheets, list) else [])]:
        cells = holder.get("cells") if isinstance(holder, Mapping) else None
        yield from (cell for cell in cells if isinstance(cell, Mapping)) if isinstance(cells, list) else ()


def _outputs(given: Any) -> Iterator[NotebookNode]:
    for output in given if isinstance(given, list) else []:
        if not isinstance(output, Mapping):
            continue
        kind = str(output.get("output_type"))
        kind = _OLD_TYPES.get(kind, kind)
        if kind == "stream":
            name = "stderr" if output.get("name", output.get("stream")) == "stderr" else "stdout"
            yield nbformat.v4.new_output("stream", name=name, text=_short(_text(output.get("text"))))
        elif kind == "error":
            name, value = _text(output.get("ename")), _short(_text(output.get("evalue")))
            # The traceback has colour codes and the learner's paths; name and message say what happened.
            yield nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])
        elif kind in ("display_data", "execute_result"):
            data = dict(_shown(output))
            if data:
                yield nbformat.v4.new_output("display_data", data=data)


def _shown(output: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What of an output is text or an image, by its kind."""
    given = output.get("data")
    if not isinstance(given, Mapping):
        given = {_OLD_KINDS.get(str(kind), ""): value for kind, value in output.items()}
    for kind in _TEXTS:
        if kind in given:
            yield kind, _short(_text(given[kind]), _MOST_IMAGE if kind != "text/plain" else _MOST_TEXT)
    for kind in _IMAGES:
        image = _text(given.get(kind))
        if image and len(image) <= _MOST_IMAGE and _BASE64.fullmatch(image):
            yield kind, image


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _short(text: str, most: int = _MOST_TEXT) -> str:
    return text if len(text) <= most else f"{text[:most]}\n… (cut; your own notebook has all of it)"

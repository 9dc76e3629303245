"""Markdown as MyST reads it: text that stays text, links, and tables whose headers are headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


class Markdown(str):
    """Text that is Markdown already. Everything else is escaped."""


# Punctuation that may mean something; CommonMark reads each after a backslash as itself.
MEANING = re.compile(r"([\\`*_{}\[\]<>|$~^&])")
LEADING = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+%=:#]))(.)")


def text(value: object) -> Markdown:
    """One line that shows exactly this value."""
    if isinstance(value, Markdown):
        return value
    line = MEANING.sub(r"\\\1", " ".join(str(value).split()))
    return Markdown(LEADING.sub(r"\1\\\2", line))


def link(title: object, address: str) -> Markdown:
    return Markdown(f"[{text(title)}](<{address}>)")


def items(entries: Iterable[object]) -> Markdown:
    """A list; each entry takes one line."""
    return Markdown("".join(f"- {text(entry)}\n" for entry in entries))


def definitions(terms: Iterable[tuple[str, object | list[object]]]) -> Markdown:
    """Terms with what they mean; a list of values becomes a list below its term."""
    blocks = []
    for term, meaning in terms:
        lines = [f"- {text(entry)}" for entry in meaning] if isinstance(meaning, list) else [text(meaning)]
        blocks.append(f"{text(term)}\n: " + "\n  ".join(lines) + "\n")
    return Markdown("\n".join(blocks))


def container(name: str, body: str) -> Markdown:
    """A block with a class of its own for the style sheet."""
    return Markdown(f":::::{{container}} {name}\n{body.strip()}\n:::::\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> Markdown:
    """A table whose first row and first column are headers."""
    options = [":header-rows: 1", ":stub-columns: 1"]
    lines = [f"::::{{list-table}} {text(caption)}", *options, ""]
    for row in (columns, *rows):
        for place, value in enumerate(row):
            lines.append(f"{'  -' if place else '* -'} {text(value)}".rstrip())
    return Markdown("\n".join([*lines, "::::", ""]))


def hidden_toctree(documents: Iterable[str]) -> Markdown:
    """The order of pages, which the reader sees as previous and next."""
    return Markdown("\n".join(["```{toctree}", ":hidden:", "", *documents, "```", ""]))

"""Messages to the learner, as HTML where the front end shows it and as text everywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

COLOURS = {"good": "#2e7d32", "bad": "#c62828", "note": "#1565c0", "wait": "#8d6e00"}
SIGNS = {"good": "✓", "bad": "✗", "note": "›", "wait": "○"}


@dataclass(frozen=True)
class Message:
    """A headline with a mood (good, bad, note, wait), lines below it, and code below these."""

    mood: str
    headline: str
    lines: Sequence[str] = field(default=())
    code: str = ""

    def text(self) -> str:
        parts = [f"{SIGNS[self.mood]} {self.headline}", *(f"  {line}" for line in self.lines)]
        return "\n".join(parts + ([self.code] if self.code else []))

    def html(self) -> str:
        colour = COLOURS[self.mood]
        body = "".join(_line(line) for line in self.lines)
        code = f"<pre>{html.escape(self.code)}</pre>" if self.code else ""
        return (
            f'<div style="border-left:4px solid {colour};padding:2px 10px;margin:2px 0">'
            f'<div><b style="color:{colour}">{SIGNS[self.mood]}</b> {markup(self.headline)}</div>{body}{code}</div>'
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


def _line(text: str) -> str:
    """A line of a message; one that is indented as text is indented and fainter as HTML."""
    style = ' style="margin-left:1.6em;opacity:.8"' if text.startswith("  ") else ""
    return f"<div{style}>{markup(text.strip())}</div>"


def markup(text: str) -> str:
    """Escaped HTML, with `code` and **bold** of Markdown."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


def show(message: object) -> None:
    """Displays a message in a notebook, prints it elsewhere."""
    from IPython.display import display

    if in_notebook() or not isinstance(message, Message):
        display(message)
    else:
        print(message.text())


def in_notebook() -> bool:
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None

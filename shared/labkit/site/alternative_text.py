"""What a plot is called by those who do not see it: the titles and axes that the cell's code gives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

# The argument of plt/ax/fig methods, or of ax.set(…), that names a part of a plot.
METHODS = {
    "set_title": "title",
    "suptitle": "title",
    "title": "title",
    "set_xlabel": "x",
    "xlabel": "x",
    "set_ylabel": "y",
    "ylabel": "y",
    "supxlabel": "x",
    "supylabel": "y",
}
KEYWORDS = {"title": "title", "xlabel": "x", "ylabel": "y"}


def alternative_text(source: str) -> str:
    """One line from the texts that the code of a cell writes on its plot; values that only a run knows become "…"."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell magic
        return "Plot made by the code above"
    found: dict[str, list[str]] = {"title": [], "x": [], "y": []}
    for part, words in _texts(tree):
        if words and words not in found[part]:
            found[part].append(words)
    parts = ["Plot: " + "; ".join(found["title"])] if found["title"] else ["Plot made by the code above"]
    parts += [f"{axis} axis: {', '.join(found[axis])}" for axis in ("x", "y") if found[axis]]
    return ". ".join(parts)


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in METHODS and node.args:
            yield METHODS[node.func.attr], _words(node.args[0])
        elif node.func.attr == "set":
            for keyword in node.keywords:
                if keyword.arg in KEYWORDS:
                    yield KEYWORDS[keyword.arg], _words(keyword.value)


def _words(node: ast.expr) -> str:
    """The text of a literal or f-string; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    else:
        return ""
    return " ".join(text.split())

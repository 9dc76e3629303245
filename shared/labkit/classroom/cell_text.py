"""The text of a code cell: the names that it binds, the check that it calls, what stands before that."""

from __future__ import annotations

import ast
import re

from labkit.catalog.source import bound_names, calls

_CHECK = re.compile(r"""\blab\.check\(\s*(["'])(?P<name>[^"'\n]+)\1""")
_HELP = ("hint", "solution", "quiz", "predict", "finish")


def checked_name(text: str) -> str:
    """The exercise that a cell's text hands to `lab.check`, or nothing."""
    found = _CHECK.search(text)
    return found["name"] if found else ""


def clean(text: str) -> str:
    """Without blanks at the ends of lines, and without empty lines around."""
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def names_bound(text: str) -> set[str]:
    """Names that a text binds at its top level, imports included; none for a text that is no Python."""
    tree = _tree(text)
    if tree is None:
        return set()
    imported = [a for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for a in node.names]
    return {*bound_names(tree), *((a.asname or a.name).split(".")[0] for a in imported)}


def before_check(text: str) -> str:
    """What stands in a cell before the statement with `lab.check`."""
    tree = _tree(text)
    if tree is None:
        found = _CHECK.search(text)
        # The whole line goes: `mean = lab.check("mean", mean)`.
        return text[: text.rfind("\n", 0, found.start()) + 1].rstrip() if found else text
    for node in tree.body:
        if calls(node, "check"):
            lines = text.split("\n")[: node.lineno]
            lines[-1] = lines[-1].encode()[: node.col_offset].decode().rstrip(" ;")
            return "\n".join(lines).rstrip()
    return text


def only_help(text: str) -> bool:
    """Whether a cell does nothing but ask for a hint or the solution, or answer the quiz."""
    tree = _tree(text)
    if tree is None:
        return False
    asked = {id(call) for method in _HELP for call in calls(tree, method)}
    return all(isinstance(node, ast.Expr) and id(node.value) in asked for node in tree.body)

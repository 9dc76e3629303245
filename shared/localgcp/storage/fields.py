"""The `fields` parameter: which parts of a resource an answer has."""

from __future__ import annotations

import re
from typing import Any

from localgcp.storage.errors import invalid

# A name with what is wanted below it; nothing below means all of it.
Tree = dict[str, "Tree"]


def selected(resource: Any, fields: str) -> Any:
    """The parts of a resource that a selection like `items(name,size),nextPageToken` names. Raises StorageError."""
    tokens = re.findall(r"[^(),/\s]+|[(),/]", fields)
    tree = _tree(tokens, fields)
    if tokens:
        raise invalid(f"Invalid field selection: {fields}")
    return _pick(resource, tree)


def _tree(tokens: list[str], fields: str) -> Tree:
    """Takes a list of paths from the front of the tokens, up to a bracket that closes it."""
    tree: Tree = {}
    while True:
        _path(tokens, tree, fields)
        if not tokens or tokens[0] == ")":
            return tree
        if tokens.pop(0) != ",":
            raise invalid(f"Invalid field selection: {fields}")


def _path(tokens: list[str], tree: Tree, fields: str) -> None:
    if not tokens or tokens[0] in "(),/":
        raise invalid(f"Invalid field selection: {fields}")
    below = tree.setdefault(tokens.pop(0), {})
    if tokens and tokens[0] == "/":
        tokens.pop(0)
        _path(tokens, below, fields)
    elif tokens and tokens[0] == "(":
        tokens.pop(0)
        below.update(_tree(tokens, fields))
        if not tokens or tokens.pop(0) != ")":
            raise invalid(f"Invalid field selection: {fields}")


def _pick(value: Any, tree: Tree) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_pick(item, tree) for item in value]
    if isinstance(value, dict):
        return {key: _pick(item, tree[key]) for key, item in value.items() if key in tree}
    return value

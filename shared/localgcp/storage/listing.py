"""Which objects a folder holds, and the page of them that a request asks for."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localgcp.storage.conditions import number
from localgcp.storage.errors import invalid
from localgcp.storage.names import is_object_name

PAGE = 1000


def walk(folder: Path, is_marker: Callable[[str], bool], prefix: str = "") -> Iterator[str]:
    """The names of the objects below a bucket's folder that begin with a prefix, in no order.

    Objects are plain files, and folders that are markers. Symbolic links are none and are not followed.
    """
    inside = prefix.rpartition("/")[0]
    if inside and not is_object_name(inside):
        return
    # The link may be any part of the path that the prefix names.
    if Path(os.path.realpath(folder / inside)) != Path(os.path.realpath(folder)) / inside:
        return
    if inside and is_marker(inside + "/") and (folder / inside).is_dir() and (inside + "/").startswith(prefix):
        yield inside + "/"
    yield from _below(folder, inside, is_marker, prefix)


def _below(folder: Path, inside: str, is_marker: Callable[[str], bool], prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder / inside) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if not (name.startswith(prefix) and is_object_name(name)):
            continue
        if entry.is_dir(follow_symlinks=False):
            if is_marker(name + "/"):
                yield name + "/"
            yield from _below(folder, name, is_marker, prefix)
        elif entry.is_file(follow_symlinks=False):
            yield name


def is_plain_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


@dataclass(frozen=True)
class Page:
    """Names and prefixes in order; `token` asks for the next page, None after the last."""

    names: list[str]
    prefixes: list[str]
    token: str | None


def page(names: Iterator[str], query: Mapping[str, str]) -> Page:
    """The page of objects.list that the parameters ask for. Raises StorageError for one that is invalid."""
    wanted = number(query, "maxResults")
    most = min(wanted or PAGE, PAGE)
    after = _after(query.get("pageToken"))
    items: set[tuple[str, bool]] = set()
    for name in _selected(names, query):
        items.update(_items(name, query))
    rest = sorted(item for item in items if after is None or item > after)
    shown = rest[:most]
    return Page(
        [name for name, is_prefix in shown if not is_prefix],
        [name for name, is_prefix in shown if is_prefix],
        _token(shown[-1]) if len(rest) > most else None,
    )


def _selected(names: Iterator[str], query: Mapping[str, str]) -> Iterator[str]:
    prefix, start, end = query.get("prefix", ""), query.get("startOffset", ""), query.get("endOffset", "")
    pattern = glob_pattern(query["matchGlob"]) if query.get("matchGlob") else None
    for name in names:
        is_inside = name.startswith(prefix) and name >= start and (not end or name < end)
        if is_inside and (pattern is None or pattern.fullmatch(name)):
            yield name


def _items(name: str, query: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """What a name becomes in the list: (text, whether it is a prefix)."""
    delimiter, begin = query.get("delimiter"), len(query.get("prefix", ""))
    position = name.find(delimiter, begin) if delimiter else -1
    if delimiter is None or position < 0:
        yield name, False
        return
    folded = name[: position + len(delimiter)]
    yield folded, True
    if folded == name and query.get("includeTrailingDelimiter", "").lower() == "true":
        yield name, False


def _token(item: tuple[str, bool]) -> str:
    return base64.urlsafe_b64encode(f"{int(item[1])}{item[0]}".encode()).decode()


def _after(token: str | None) -> tuple[str, bool] | None:
    if not token:
        return None
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid(f"Invalid pageToken: {token}") from None
    return text[1:], text[:1] == "1"


def glob_pattern(glob: str) -> re.Pattern[str]:
    """matchGlob as a regular expression: `*` and `?` stop at "/", `**` does not; `[a-z]`, `[!a]`, `{a,b}`.

    Raises StorageError for a bracket or brace that is not closed.
    """
    parts, position, depth = [], 0, 0
    while position < len(glob):
        found = _GLOB.match(glob, position)
        if found is None:
            raise invalid(f"Invalid matchGlob: '{glob}': the bracket at {position} is not closed")
        text, position = found[0], found.end()
        depth += {"{": 1, "}": -1}.get(text, 0)
        if depth < 0:
            raise invalid(f"Invalid matchGlob: '{glob}': a brace is closed that was not opened")
        parts.append(_glob_part(text, depth))
    if depth:
        raise invalid(f"Invalid matchGlob: '{glob}': a brace is not closed")
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise invalid(f"Invalid matchGlob: '{glob}': {error}") from None


_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|\\.|[^\[]", re.DOTALL)
_SIMPLE = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}


def _glob_part(text: str, depth: int) -> str:
    if text in _SIMPLE:
        return _SIMPLE[text]
    if text == "," and depth:
        return "|"
    if text.startswith("[") and len(text) > 2:
        inner = text[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        # A class does not match "/" either.
        return "(?!/)[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]"
    return re.escape(text[1:] if text.startswith("\\") and len(text) == 2 else text)

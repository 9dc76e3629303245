"""Parts of the labs that take about as long as each other, the same on every machine.

The times come from a table that is committed (ci/seconds.toml, written by `labs health --write`), never from the
machine's own record: two machines that each run one part must agree on the parts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.places import home
from labkit.runner.health import guessed_seconds, lab_health

_HEAD = """\
# How long a run of each lab takes, in seconds: the parts of `--shard i/n` are balanced by it. Written by
# `labs health --write` from the record of one machine; only the proportions count. A lab that is not here counts as its
# card suggests.
"""


def seconds_file() -> Path:
    return home() / "ci" / "seconds.toml"


def committed_seconds() -> dict[str, float]:
    """The table. Raises LabError when it is not one."""
    path = seconds_file()
    if not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("seconds", {})
        return {str(slug): float(seconds) for slug, seconds in table.items()}
    except (tomllib.TOMLDecodeError, TypeError, ValueError, AttributeError) as error:
        raise LabError(f"{path}: {error}. Write it anew: labs health --write") from None


def write_seconds(slugs: Sequence[str]) -> Path:
    """Writes the table from this machine's record; a lab without a run here keeps what the table says."""
    before = committed_seconds()
    lines = []
    for slug in sorted(slugs):
        seconds = lab_health(slug).seconds or before.get(slug)
        if seconds:
            lines.append(f"{slug} = {seconds:.0f}")
    path = seconds_file()
    path.parent.mkdir(exist_ok=True)
    path.write_text(_HEAD + "[seconds]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def shard(slugs: Sequence[str], text: str) -> list[str]:
    """Part i of n ("i/n", i from 1) of labs, in their order; the n parts are disjoint and together whole.

    Raises LabError when the text is not of that form.
    """
    part, parts = _parsed(text)
    if parts == 1:
        return list(slugs)
    known = committed_seconds()
    seconds = {slug: known.get(slug) or guessed_seconds(slug) for slug in slugs}
    own = set(balanced(seconds, parts)[part - 1])
    return [slug for slug in slugs if slug in own]


def balanced(seconds: Mapping[str, float], parts: int) -> list[list[str]]:
    """Longest first, each to the part that has least so far; the slug decides between equals."""
    groups: list[list[str]] = [[] for _ in range(parts)]
    loads = [0.0] * parts
    for slug in sorted(seconds, key=lambda slug: (-seconds[slug], slug)):
        lightest = loads.index(min(loads))
        groups[lightest].append(slug)
        loads[lightest] += seconds[slug]
    return groups


def _parsed(text: str) -> tuple[int, int]:
    try:
        part, parts = (int(number) for number in text.split("/"))
        if not 1 <= part <= parts:
            raise ValueError
    except ValueError:
        raise LabError(f"--shard {text}: write i/n with 1 <= i <= n, such as 1/2.") from None
    return part, parts

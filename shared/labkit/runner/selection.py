"""Which labs a command is about: named, of one part, or changed since a git revision."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab, lab_folders, read_labs
from labkit.catalog.environments import Environment, environments
from labkit.catalog.places import home
from labkit.runner.shards import shard

# A server imports what any lab may need, 14 s of one core for core; a cold kernel what its lab needs, 3 to 8 s.
_WORTH = 4


def chosen(slugs: Sequence[str], part: str = "1/1") -> list[LabFolder]:
    """The named labs, or all. Raises LabError when a name is unknown, a card broken, or an environment not made."""
    if slugs:
        labs = [find_lab(slug) for slug in dict.fromkeys(slugs)]
    else:
        labs, problems = read_labs()
        if problems:
            raise LabError(str(problems[0]))
    own = set(shard([lab.slug for lab in labs], part))
    labs = [lab for lab in labs if lab.slug in own]
    for lab in labs:
        environment = environments().get(lab.card.environment)
        if environment is None or not environment.made:
            name = lab.card.environment
            raise LabError(f"{lab.slug} needs the environment {name}: nox -s environment -- {name}")
    return labs


def changed_labs(revision: str) -> list[str]:
    """Labs of which a file differs from a git revision, or is new. Raises LabError when git does not know it."""
    asked = subprocess.run(
        ["git", "diff", "--name-only", "--merge-base", revision, "--", "labs"],
        cwd=home(),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise LabError(f"--changed {revision}: git says {asked.stderr.strip().splitlines()[-1]}")
    there = {folder.relative_to(home()): folder.name for folder in lab_folders()}
    paths = [Path(line) for line in asked.stdout.splitlines()]
    return sorted({there[parent] for path in paths for parent in path.parents if parent in there})


def worth_warming(slugs: Iterable[str]) -> list[Environment]:
    """The environments that enough of these runs need for a server to pay."""
    counted = Counter(find_lab(slug).card.environment for slug in slugs)
    return [environments()[name] for name, count in counted.items() if count >= _WORTH]

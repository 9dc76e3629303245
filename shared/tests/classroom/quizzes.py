"""Small labs with a quiz each, for tests that need several."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.lesson.journal import append, new_event, progress_file

from ..conftest import replace

CARD = """\
title = "The lab {slug} of the tests"
section = {section}
topics = ["{topic}"]
objectives = ["Have something to test with", "Run in a second or two"]
minutes = 30
environment = "core"
[cloud]
services = ["bigquery"]
max_cost_usd = 0.01
[ablation]
EFFECT = false
"""
SOURCE = """\
# %% [markdown]
# ## The part that explains it

# %% tags=["exercise"]
### BEGIN SOLUTION
first = 1
### END SOLUTION

# %%
first = lab.check("first", first)
"""
QUESTION = """\
[[question]]
scenario = "Question {number} of {slug}, a scenario that is long enough to pass the rule on its length."
options = [
  {{ text = "the right one of {slug} {number}", right = true, why = "Because it is right." }},
  {{ text = "the second of {slug} {number}", why = "Because it is wrong." }},
  {{ text = "the third of {slug} {number}", why = "Because it is **very** wrong." }},
  {{ text = "the fourth of {slug} {number}", why = "Because it is wrong." }},
]
"""
GUIDE = """\
title = "new"
weights = { 2 = 30, 3 = 70 }
[guides.2026.exam]
minutes = 120
questions = [50, 60]
checked = "2026-11"
source = "a test"
"""
_times = itertools.count(1_700_000_000)


def weigh(home: Path) -> None:
    """Gives the guide weights of 30 and 70 for its two sections, and an exam of 120 minutes."""
    replace(home / "labs" / "blueprint" / "guides.toml", 'title = "new"\n', GUIDE)


def add_quiz_lab(home: Path, slug: str, section: int, questions: int = 4, topic: str = "T001") -> None:
    folder = home / "labs" / {2: "2-data", 3: "3-models"}[section] / slug
    folder.mkdir(parents=True)
    (folder / "lab.toml").write_text(CARD.format(slug=slug, section=section, topic=topic))
    (folder / "lab.py").write_text(SOURCE)
    numbers = range(1, questions + 1)
    (folder / "quiz.toml").write_text("\n".join(QUESTION.format(slug=slug, number=number) for number in numbers))


def event(kind: str, lab: str, **fields: Any) -> dict[str, Any]:
    """An event that is later than all before it."""
    return {**new_event(kind, lab, fields.pop("version", ""), **fields), "time": float(next(_times))}


def keep(events: Sequence[dict[str, Any]]) -> None:
    """Writes events into the learner's progress."""
    progress_file().parent.mkdir(parents=True, exist_ok=True)
    append(progress_file(), events)


def kept(kind: str) -> list[dict[str, Any]]:
    """The events of one kind in the learner's progress."""
    path = progress_file()
    lines = path.read_text().splitlines() if path.exists() else []
    return [found for found in map(json.loads, lines) if found["event"] == kind]

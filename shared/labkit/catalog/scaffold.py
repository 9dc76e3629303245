"""`labs new <slug>`: a lab's folder with every cell in its place, to be filled."""

from __future__ import annotations

from pathlib import Path

from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.collection import lab_folders
from labkit.catalog.lint import SECTIONS
from labkit.catalog.places import labs_folder
from labkit.catalog.problems import LabError

CARD = """\
title = "TODO the title of {slug}"
section = {section}
topics = [{topics}]
objectives = [
  "{objective}",
  "TODO a second objective, starting with a verb",
]
minutes = 35
environment = "core"
prerequisites = []

[cloud]
services = ["bigquery"]
max_cost_usd = 0.01
bigquery_gib = 1           # the most that one run uses; labs/AUTHORING.md has the fields

[ablation]                 # with these parameters at least one claim must fail
EFFECT = false
"""

LAB = """\
# ---
# jupyter:
#   jupytext: {{formats: "ipynb,py:percent"}}
#   kernelspec: {{name: labs-core, display_name: Labs (core), language: python}}
# ---

# %% [markdown]
# # TODO the title of {slug}
#
# TODO The scenario and the decision at stake. The number: {experiment}.
#
# **You will** TODO.

# %% tags=["parameters"]
TARGET = "local"  # "vertex": the cloud part runs on Google Cloud
SEED = 20260601
EFFECT = True  # False: TODO what is switched off

# %%
from labkit import lesson

lab = lesson.open("{slug}", target=TARGET, seed=SEED)

# %% [markdown]
# ## TODO The data

# %% [markdown]
# ## Predict first

# %%
lab.predict("TODO", "TODO how much?", options=["TODO", "nothing"])

# %% [markdown]
# ## TODO The experiment

# %% tags=["nbval-check-output"]
print("TODO")

# %%
lab.claim("TODO name of the number", 1.0, at_least=0.5)
lab.revisit("TODO", "nothing")

# %% [markdown]
# ## Exercise: TODO

# %% tags=["exercise"]
### BEGIN SOLUTION
first = 1
### END SOLUTION

# %%
first = lab.check("first", first)

# %% [markdown]
# ## Exercise: TODO

# %% tags=["exercise"]
### BEGIN SOLUTION
second = 2
### END SOLUTION

# %%
second = lab.check("second", second)

# %% [markdown]
# ## On Google Cloud
# TODO what the flag changes, role, quota, upper bound of cost, what to delete.

# %%
client = lab.target.bigquery()
print(client.query("SELECT 'TODO' AS todo").to_dataframe())

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** TODO.

# %%
lab.finish()
"""

CHECKS = '''\
"""Checks, hints and wrong answers of {slug}."""

from labkit.lesson import Exercise, Incorrect


class First(Exercise):
    name = "first"
    hints = ["TODO a question that points the way.", "TODO a step closer."]
    wrong = {{"TODO what people do": "first = 0", "TODO the wrong type": "first = 'one'"}}

    def check(self, first):
        if first != 1:
            raise Incorrect(f"TODO what is wrong with {{first!r}} and why it matters.")


class Second(Exercise):
    name = "second"
    hints = ["TODO a question that points the way.", "TODO a step closer."]
    wrong = {{"TODO what people do": "second = 0", "TODO the wrong type": "second = 'two'"}}

    def check(self, second):
        if second != 2:
            raise Incorrect(f"TODO what is wrong with {{second!r}} and why it matters.")
'''

QUIZ = """\
[[question]]
scenario = "TODO a scenario of our own, with the constraint that decides between the options."
options = [
  { text = "TODO", right = true, why = "TODO why it is right." },
  { text = "TODO", why = "TODO why it is wrong here." },
  { text = "TODO", why = "TODO why it is wrong here." },
]

[[question]]
scenario = "TODO a second scenario of our own, with another option that is right."
options = [
  { text = "TODO", why = "TODO why it is wrong here." },
  { text = "TODO", right = true, why = "TODO why it is right." },
  { text = "TODO", why = "TODO why it is wrong here." },
]
"""


def new_lab(slug: str) -> Path:
    """Makes the folder of a planned lab. Raises LabError when it is not planned, or there already."""
    blueprint = read_blueprint()
    if slug in {folder.name for folder in lab_folders()}:
        raise LabError(f"The lab {slug!r} is there already; nothing was changed.")
    if slug not in blueprint.plans:
        raise LabError(f"{slug!r} is not planned. Add it to labs/blueprint/labs.csv, with its topics in topics.csv.")
    plan = blueprint.plans[slug]
    folder = labs_folder() / SECTIONS[plan.section] / slug
    if folder.exists():
        raise LabError(f"{folder} is there already, without a card; nothing was changed.")
    topics = ", ".join(f'"{t.id}"' for t in blueprint.topics.values() if t.lab == slug)
    values = {
        "slug": slug,
        "section": plan.section,
        "topics": topics,
        "objective": plan.objective,
        "experiment": plan.experiment,
    }
    folder.mkdir(parents=True)
    (folder / "lab.toml").write_text(CARD.format(**values), encoding="utf-8")
    (folder / "lab.py").write_text(LAB.format(**values), encoding="utf-8")
    (folder / "checks.py").write_text(CHECKS.format(**values), encoding="utf-8")
    (folder / "quiz.toml").write_text(QUIZ, encoding="utf-8")
    return folder

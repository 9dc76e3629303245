"""A class of made-up learners with known answers: what each of them typed, and what it should be judged as.

Deterministic by seed. Each learner is of one kind (right, wrong, half done, cheating, broken file, …); the first of a
class have a kind each, so that a class of len(KINDS) has them all. `generated_files` puts them into files.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

import generated_answers as answers
from generated_answers import Kind, Work, damaged, mixed, read_recipe, right
from generated_cheats import ABOVE, ALWAYS_RIGHT, PRINTS_CORRECT, READS_SOLUTION, READS_TASKS, REBINDS_CHECK, cheat

NAMES = (
    "Ada Lovelace, Béla Bartók, Chidi Anagonye, Dorothy Hodgkin, Émilie du Châtelet, Fei Li, Grace Hopper, Hà Trần, "
    "Ibn Sina, Jürgen Groß, Katherine Johnson, Łukasz Nowak, Mary O'Hara, Nuñez Ana, Olga Orlova, Patrick D'Arcy, "
    "Qi Baishi, Rosalind Franklin, Søren Holm, Tu Youyou, Uri Levy, Vera Rubin, Wangari Maathai, Xu Bing, Yuri Ito, "
    "Zoë Abt, Aisha Khan, Bruno Rossi, Clara Weiß, Dmitri Popov, Elif Şahin, Femi Ade, Gita Rao, Hugo Blanc"
).split(", ")


@dataclass
class Person:
    """A made-up learner. `carrier`: how the files come."""

    name: str
    kind: str
    carrier: str
    labs: dict[str, Work]


ZIPS = ("zip",)
KINDS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "right": (right, ZIPS),
    "listed wrong answers": (answers.listed_wrong, ZIPS),
    "untouched": (answers.untouched, ("folder",)),
    "cheat: rebinds lab.check": (cheat(REBINDS_CHECK), ZIPS),
    "two hand-ins": (answers.two_hand_ins, ("two zips",)),
    "broken JSON": (damaged(right, "cut", "partly"), ("folder",)),
    "half done": (answers.half_done, ("folder",)),
    "renamed variables": (answers.right_renamed, ZIPS),
    "another name": (answers.right_by_another_name, ("workspace",)),
    "helper in an added cell": (answers.right_in_an_added_cell, ZIPS),
    "right and wrong": (mixed, ("single files",)),
    "syntax error": (answers.syntax_error, ZIPS),
    "missing cell": (answers.missing_cell, ("folder",)),
    "renamed files": (mixed, ("lab (2)",)),
    "format 3": (damaged(mixed, "format 3"), ("folder",)),
    "format 4.0": (damaged(mixed, "format 4.0"), ("single files",)),
    "format 4.2": (damaged(mixed, "format 4.2"), ZIPS),
    "no metadata": (damaged(mixed, "no metadata"), ZIPS),
    "UTF-16": (damaged(mixed, "UTF-16"), ("folder",)),
    "git conflict": (damaged(mixed, "conflict", "partly"), ("folder",)),
    "empty file": (damaged(right, "empty", "not"), ("folder",)),
    "progress only": (damaged(right, "no notebook"), ("progress",)),
    "zip from Windows": (mixed, ("backslashes",)),
    "zip in a zip": (mixed, ("zip in a zip",)),
    "cheat: edits metadata": (cheat(damage="metadata", outcomes=["not attempted"]), ZIPS),
    "cheat: prints correct": (cheat(PRINTS_CORRECT), ZIPS),
    "cheat: reads the solution": (cheat(READS_SOLUTION, READS_TASKS), ZIPS),
    "cheat: edits the check cell": (
        cheat(above=ABOVE, damage="check cell", outcomes=["not attempted", "refused"]),
        ZIPS,
    ),
    "cheat: equal to everything": (cheat(ALWAYS_RIGHT), ZIPS),
    "cheat: forged progress": (cheat(damage="forged progress", outcomes=["not attempted"]), ZIPS),
}
COMMON = (
    "right",
    "listed wrong answers",
    "right and wrong",
    "half done",
    "renamed variables",
    "another name",
    "syntax error",
)


def generate(slugs: list[str], learners: int, seed: int) -> list[Person]:
    """The class: learner number n is of kind n, and from the end of KINDS on of a kind drawn at random."""
    recipes = [read_recipe(slug) for slug in slugs]
    rng = random.Random(seed)
    kinds = list(KINDS)[:learners]
    kinds += rng.choices(list(COMMON), k=learners - len(kinds))
    class_ = []
    for number, kind in enumerate(kinds):
        make, carriers = KINDS[kind]
        labs = {recipe.lab.slug: make(recipe, rng) for recipe in recipes}
        class_.append(Person(name_of(number), kind, rng.choice(carriers), labs))
    return class_


def name_of(number: int) -> str:
    """A name for each of the first thousand: after the list's own, its first names with other last names."""
    again, place = divmod(number, len(NAMES))
    first, _, _ = NAMES[place].partition(" ")
    _, _, last = NAMES[(place + again) % len(NAMES)].partition(" ")
    return f"{first} {last}"


def plain(name: str) -> str:
    """A name as people write it in a file's name."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(sign if sign.isalnum() else "-" for sign in ascii_).strip("-")

"""A class of made-up learners with known answers: what each of them typed, and what it should be judged as.

Deterministic by seed. Each learner is of one kind (right, wrong, half done, cheating, broken file, …); the first of a
class have a kind each, so that a class of len(KINDS) has them all. `generated_files` puts them into files.
"""

from __future__ import annotations

import ast
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from labkit.catalog.collection import find_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.classroom.known import KnownLab, known_lab
from labkit.runner.learner import without_solution

NAMES = (
    "Ada Lovelace, Béla Bartók, Chidi Anagonye, Dorothy Hodgkin, Émilie du Châtelet, Fei Li, Grace Hopper, Hà Trần, "
    "Ibn Sina, Jürgen Groß, Katherine Johnson, Łukasz Nowak, Mary O'Hara, Nuñez Ana, Olga Orlova, Patrick D'Arcy, "
    "Qi Baishi, Rosalind Franklin, Søren Holm, Tu Youyou, Uri Levy, Vera Rubin, Wangari Maathai, Xu Bing, Yuri Ito, "
    "Zoë Abt, Aisha Khan, Bruno Rossi, Clara Weiß, Dmitri Popov, Elif Şahin, Femi Ade, Gita Rao, Hugo Blanc"
).split(", ")
NOT_CORRECT = ["not attempted", "incorrect", "error", "refused", "missing"]


@dataclass(frozen=True)
class Recipe:
    """A lab as the generator needs it: exercise -> text, all in the order of the lab."""

    lab: KnownLab
    answers: dict[str, tuple[str, ...]]  # the names that each exercise binds
    prompts: dict[str, str]

    @property
    def exercises(self) -> list[str]:
        return list(self.prompts)


@dataclass
class Work:
    """One lab of one learner. `texts`: None removes the cell. `expected`: the outcomes that are right, in any of which
    the grader may judge; none for a notebook of which nothing can be read. `added`: cells above an exercise."""

    texts: dict[str, str | None]
    expected: dict[str, list[str]]
    added: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    quiz: dict[int, str] = field(default_factory=dict)
    read: str = "whole"
    damage: str = ""  # what `generated_files` does to the notebook
    earlier: Work | None = None  # an older hand-in of the same lab


@dataclass
class Person:
    """A made-up learner. `carrier`: how the files come."""

    name: str
    kind: str
    carrier: str
    labs: dict[str, Work]


def read_recipe(slug: str) -> Recipe:
    lab = known_lab(slug)
    tasks = read_tasks(read_cells(find_lab(slug).source))
    prompts = {name: without_solution(task.worked.text) for name, task in tasks.items()}
    return Recipe(lab, {name: task.answers for name, task in tasks.items()}, prompts)


def generate(slugs: list[str], learners: int, seed: int) -> list[Person]:
    """The class: learner number n is of kind n, and from the end of KINDS on of a kind drawn at random."""
    recipes = [read_recipe(slug) for slug in slugs]
    rng = random.Random(seed)
    kinds = list(KINDS)[:learners]
    kinds += rng.choices(list(COMMON), k=learners - len(kinds))
    class_ = []
    for number, kind in enumerate(kinds):
        make, carriers = KINDS[kind]
        again = f" {number // len(NAMES) + 1}" if number >= len(NAMES) else ""
        labs = {recipe.lab.slug: make(recipe, rng) for recipe in recipes}
        class_.append(Person(NAMES[number % len(NAMES)] + again, kind, rng.choice(carriers), labs))
    return class_


# Answers. Each function gives the text of one exercise.


def solution(recipe: Recipe, exercise: str) -> str:
    return recipe.lab.exercises[exercise].solution


def renamed(recipe: Recipe, exercise: str) -> str:
    """The worked answer with every variable of its own renamed, without its comments."""
    tree = ast.parse(solution(recipe, exercise))
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own = stored - given - set(recipe.answers[exercise])
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in own:
            node.id = f"my_{node.id}"
    return ast.unparse(tree)


def other_name(recipe: Recipe, exercise: str) -> str:
    """The worked answer under a name of the learner's own, handed over in the last line."""
    names = recipe.answers[exercise]
    return under_own_name(recipe, exercise) + "\n" + "\n".join(f"{name} = own_{name}" for name in names)


def under_own_name(recipe: Recipe, exercise: str) -> str:
    names = set(recipe.answers[exercise])
    tree = ast.parse(solution(recipe, exercise))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = f"own_{node.id}"
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            node.name = f"own_{node.name}"
    return ast.unparse(tree)


def wrong(recipe: Recipe, exercise: str, rng: random.Random) -> str:
    """A listed wrong answer, sometimes with the comments of the prompt left above it."""
    text = rng.choice(list(recipe.lab.exercises[exercise].wrong.values()))
    comments = [line for line in recipe.prompts[exercise].splitlines() if line.startswith("#")]
    return "\n".join([*comments, text]) if rng.random() < 0.5 else text


# Kinds. Each function gives the work of one learner on one lab.

Kind = Callable[[Recipe, random.Random], Work]


def _work(recipe: Recipe, rng: random.Random, how: Callable[[str], tuple[str | None, list[str]]]) -> Work:
    """Work with a text and its expected outcomes for each exercise, and a believable way to it in the progress."""
    made = {exercise: how(exercise) for exercise in recipe.exercises}
    work = Work({name: text for name, (text, _) in made.items()}, {name: ok for name, (_, ok) in made.items()})
    for name, (_, expected) in made.items():
        attempted = expected not in (["not attempted"], ["missing"])
        work.attempts[name] = rng.randint(1, 4) if attempted else 0
        hints = len(recipe.lab.exercises[name].hints)
        work.hints[name] = rng.randint(0, hints) if attempted else 0
    for number, question in enumerate(recipe.lab.questions, 1):
        if rng.random() < 0.9:
            work.quiz[number] = question.right if rng.random() < 0.6 else rng.choice(question.letters)
    return work


def right(recipe: Recipe, rng: random.Random) -> Work:
    return _work(recipe, rng, lambda exercise: (solution(recipe, exercise), ["correct"]))


def right_renamed(recipe: Recipe, rng: random.Random) -> Work:
    return _work(recipe, rng, lambda exercise: (renamed(recipe, exercise), ["correct"]))


def right_by_another_name(recipe: Recipe, rng: random.Random) -> Work:
    return _work(recipe, rng, lambda exercise: (other_name(recipe, exercise), ["correct"]))


def right_in_an_added_cell(recipe: Recipe, rng: random.Random) -> Work:
    def how(exercise: str) -> tuple[str, list[str]]:
        return "\n".join(f"{name} = own_{name}" for name in recipe.answers[exercise]), ["correct"]

    work = _work(recipe, rng, how)
    work.added = {exercise: under_own_name(recipe, exercise) for exercise in recipe.exercises}
    return work


def listed_wrong(recipe: Recipe, rng: random.Random) -> Work:
    return _work(recipe, rng, lambda exercise: (wrong(recipe, exercise, rng), ["incorrect"]))


def mixed(recipe: Recipe, rng: random.Random) -> Work:
    def how(exercise: str) -> tuple[str, list[str]]:
        if rng.random() < 0.5:
            return solution(recipe, exercise), ["correct"]
        return wrong(recipe, exercise, rng), ["incorrect"]

    return _work(recipe, rng, how)


def untouched(recipe: Recipe, rng: random.Random) -> Work:
    return _work(recipe, rng, lambda exercise: (recipe.prompts[exercise], ["not attempted"]))


def half_done(recipe: Recipe, rng: random.Random) -> Work:
    done = recipe.exercises[: (len(recipe.exercises) + 1) // 2]

    def how(exercise: str) -> tuple[str, list[str]]:
        return (
            (solution(recipe, exercise), ["correct"])
            if exercise in done
            else (recipe.prompts[exercise], ["not attempted"])
        )

    return _work(recipe, rng, how)


def syntax_error(recipe: Recipe, rng: random.Random) -> Work:
    broken = rng.choice(recipe.exercises)

    def how(exercise: str) -> tuple[str, list[str]]:
        if exercise == broken:
            return f"{solution(recipe, exercise)}\nprint('half a line'", ["error"]
        return solution(recipe, exercise), ["correct"]

    return _work(recipe, rng, how)


def missing_cell(recipe: Recipe, rng: random.Random) -> Work:
    gone = rng.choice(recipe.exercises)

    def how(exercise: str) -> tuple[str | None, list[str]]:
        return (None, ["missing"]) if exercise == gone else (solution(recipe, exercise), ["correct"])

    return _work(recipe, rng, how)


def two_hand_ins(recipe: Recipe, rng: random.Random) -> Work:
    work = right(recipe, rng)
    work.earlier = listed_wrong(recipe, rng)
    return work


def damaged(kind: Kind, damage: str, read: str = "whole") -> Kind:
    """The same answers in a file to which something has happened."""

    def made(recipe: Recipe, rng: random.Random) -> Work:
        work = kind(recipe, rng)
        work.damage, work.read = damage, read
        if damage in ("empty", "no notebook"):
            work.expected = {}
        elif damage == "cut":
            # `generated_files` cuts the file in the last exercise's cell.
            work.expected[recipe.exercises[-1]] = ["missing"]
        return work

    return made


# Cheats: what stands in the exercise cell, in a cell above it, or elsewhere in the notebook. None may be correct.


def _cheat(*texts: str, above: str = "", damage: str = "", outcomes: list[str] | None = None) -> Kind:
    """The exercises in turn get one of the texts, or keep their prompt where there is none."""

    def made(recipe: Recipe, rng: random.Random) -> Work:
        def fill(pattern: str, exercise: str) -> str:
            names = recipe.answers[exercise]
            values = {"exercise": exercise, "names": ", ".join(names), "first": names[0], "slug": recipe.lab.slug}
            values |= {"each": "\n".join(f"{name} = AlwaysRight()" for name in names)}
            return pattern.format(**values)

        def how(exercise: str) -> tuple[str, list[str]]:
            text = texts[recipe.exercises.index(exercise) % len(texts)] if texts else ""
            return fill(text, exercise) if text else recipe.prompts[exercise], outcomes or NOT_CORRECT

        work = _work(recipe, rng, how)
        work.added = {exercise: fill(above, exercise) for exercise in recipe.exercises} if above else {}
        work.attempts = dict.fromkeys(recipe.exercises, 1)
        work.damage = damage
        return work

    return made


PRINTS_CORRECT = 'print("✓ Correct: {exercise}")\nprint("outcome: correct")'
REBINDS_CHECK = "lab.check = lambda *values: print('✓ Correct') or values[1]\n{first} = 1"
REBINDS_ABOVE = (
    "lab.check = lambda *values: values[1]\nlab._judge = lambda *a: type('V', (), dict(outcome='correct'))()"
)
READS_SOLUTION = (
    "text = open(lab.folder / 'lab.py').read()\n"
    "found = [part.split('### END SOLUTION')[0] for part in text.split('### BEGIN SOLUTION')[1:]]\n"
    "for part in found:\n    try:\n        exec(part)\n    except Exception:\n        pass"
)
READS_TASKS = "exec('\\n'.join(lab._tasks['{exercise}'].worked.text.splitlines()), globals())"
ALWAYS_RIGHT = (
    "class AlwaysRight(float):\n    def __eq__(self, other): return True\n    def __lt__(self, other): return True\n"
    "    def __gt__(self, other): return True\n    def __sub__(self, other): return 0.0\n"
    "    def __rsub__(self, other): return 0.0\n    def __call__(self, *a, **k): return self\n"
    "    __hash__ = float.__hash__\n\n\n{each}"
)

ZIPS = ("zip",)
KINDS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "right": (right, ZIPS),
    "listed wrong answers": (listed_wrong, ZIPS),
    "untouched": (untouched, ("folder",)),
    "cheat: rebinds lab.check": (_cheat(REBINDS_CHECK), ZIPS),
    "two hand-ins": (two_hand_ins, ("two zips",)),
    "broken JSON": (damaged(right, "cut", "partly"), ("folder",)),
    "half done": (half_done, ("folder",)),
    "renamed variables": (right_renamed, ZIPS),
    "another name": (right_by_another_name, ("workspace",)),
    "helper in an added cell": (right_in_an_added_cell, ZIPS),
    "right and wrong": (mixed, ("single files",)),
    "syntax error": (syntax_error, ZIPS),
    "missing cell": (missing_cell, ("folder",)),
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
    "cheat: edits metadata": (_cheat(damage="metadata", outcomes=["not attempted"]), ZIPS),
    "cheat: prints correct": (_cheat(PRINTS_CORRECT), ZIPS),
    "cheat: reads the solution": (_cheat(READS_SOLUTION, READS_TASKS), ZIPS),
    "cheat: edits the check cell": (
        _cheat(above=REBINDS_ABOVE, damage="check cell", outcomes=["not attempted", "refused"]),
        ZIPS,
    ),
    "cheat: equal to everything": (_cheat(ALWAYS_RIGHT), ZIPS),
    "cheat: forged progress": (_cheat(damage="forged progress", outcomes=["not attempted"]), ZIPS),
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


def plain(name: str) -> str:
    """A name as people write it in a file's name."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(sign if sign.isalnum() else "-" for sign in ascii_).strip("-")

"""Answers to a lab's exercises by made-up learners: right in many ways, wrong as people are wrong, half done.

A kind is a function that gives the work of one learner on one lab, with the outcomes that a grader should come to.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from labkit.catalog.collection import find_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.classroom.known import KnownLab, known_lab
from labkit.runner.learner import without_solution


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


def read_recipe(slug: str) -> Recipe:
    lab = known_lab(slug)
    tasks = read_tasks(read_cells(find_lab(slug).source))
    prompts = {name: without_solution(task.worked.text) for name, task in tasks.items()}
    return Recipe(lab, {name: task.answers for name, task in tasks.items()}, prompts)


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


def work_of(recipe: Recipe, rng: random.Random, how: Callable[[str], tuple[str | None, list[str]]]) -> Work:
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
    return work_of(recipe, rng, lambda exercise: (solution(recipe, exercise), ["correct"]))


def right_renamed(recipe: Recipe, rng: random.Random) -> Work:
    return work_of(recipe, rng, lambda exercise: (renamed(recipe, exercise), ["correct"]))


def right_by_another_name(recipe: Recipe, rng: random.Random) -> Work:
    return work_of(recipe, rng, lambda exercise: (other_name(recipe, exercise), ["correct"]))


def right_in_an_added_cell(recipe: Recipe, rng: random.Random) -> Work:
    def how(exercise: str) -> tuple[str, list[str]]:
        return "\n".join(f"{name} = own_{name}" for name in recipe.answers[exercise]), ["correct"]

    work = work_of(recipe, rng, how)
    work.added = {exercise: under_own_name(recipe, exercise) for exercise in recipe.exercises}
    return work


def listed_wrong(recipe: Recipe, rng: random.Random) -> Work:
    return work_of(recipe, rng, lambda exercise: (wrong(recipe, exercise, rng), ["incorrect"]))


def mixed(recipe: Recipe, rng: random.Random) -> Work:
    def how(exercise: str) -> tuple[str, list[str]]:
        if rng.random() < 0.5:
            return solution(recipe, exercise), ["correct"]
        return wrong(recipe, exercise, rng), ["incorrect"]

    return work_of(recipe, rng, how)


def untouched(recipe: Recipe, rng: random.Random) -> Work:
    return work_of(recipe, rng, lambda exercise: (recipe.prompts[exercise], ["not attempted"]))


def half_done(recipe: Recipe, rng: random.Random) -> Work:
    done = recipe.exercises[: (len(recipe.exercises) + 1) // 2]

    def how(exercise: str) -> tuple[str, list[str]]:
        return (
            (solution(recipe, exercise), ["correct"])
            if exercise in done
            else (recipe.prompts[exercise], ["not attempted"])
        )

    return work_of(recipe, rng, how)


def syntax_error(recipe: Recipe, rng: random.Random) -> Work:
    broken = rng.choice(recipe.exercises)

    def how(exercise: str) -> tuple[str, list[str]]:
        if exercise == broken:
            return f"{solution(recipe, exercise)}\nprint('half a line'", ["error"]
        return solution(recipe, exercise), ["correct"]

    return work_of(recipe, rng, how)


def missing_cell(recipe: Recipe, rng: random.Random) -> Work:
    gone = rng.choice(recipe.exercises)

    def how(exercise: str) -> tuple[str | None, list[str]]:
        return (None, ["missing"]) if exercise == gone else (solution(recipe, exercise), ["correct"])

    return work_of(recipe, rng, how)


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

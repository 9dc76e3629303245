"""Cheats of made-up learners, none of which may be graded as correct."""

from __future__ import annotations

import random

from generated_answers import Kind, Recipe, Work, work_of

NOT_CORRECT = ["not attempted", "incorrect", "error", "refused", "missing"]


def cheat(*texts: str, above: str = "", damage: str = "", outcomes: list[str] | None = None) -> Kind:
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

        work = work_of(recipe, rng, how)
        work.added = {exercise: fill(above, exercise) for exercise in recipe.exercises} if above else {}
        work.attempts = dict.fromkeys(recipe.exercises, 1)
        work.damage = damage
        return work

    return made


PRINTS_CORRECT = 'print("✓ Correct: {exercise}")\nprint("outcome: correct")'
REBINDS_CHECK = "lab.check = lambda *values: print('✓ Correct') or values[1]\n{first} = 1"
ABOVE = "lab.check = lambda *values: values[1]\nlab._judge = lambda *a: type('V', (), dict(outcome='correct'))()"
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

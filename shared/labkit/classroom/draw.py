"""Draws an exam's questions from the quizzes of the labs, by the weight of the guide's sections."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, read_labs
from labkit.catalog.version import lab_version
from labkit.lesson.answers import quiz_of
from labkit.lesson.quiz import Question

Key = tuple[str, int]


@dataclass(frozen=True)
class Item:
    """Question `number` (from 1) of a lab's quiz. `order`: its letters in the order in which the options are shown."""

    lab: str
    version: str
    section: int
    number: int
    question: Question
    order: str

    @property
    def key(self) -> Key:
        return self.lab, self.number

    @property
    def shown(self) -> Question:
        """The question with its options in the order in which they are shown."""
        options = dict(zip(self.question.letters, self.question.options, strict=True))
        return Question(scenario=self.question.scenario, options=tuple(options[letter] for letter in self.order))

    def stored(self, letter: str) -> str:
        """The letter in quiz.toml of the option that is shown under `letter`."""
        return self.order[self.shown.letters.index(letter)]


def read_pool() -> list[Item]:
    """Every question of every lab that is there, options as they are stored."""
    labs, _ = read_labs()
    return [item for lab in labs for item in _of(lab)]


def _of(lab: LabFolder) -> Iterable[Item]:
    version = lab_version(lab.folder)
    for number, question in enumerate(quiz_of(lab.folder).question, 1):
        yield Item(lab.slug, version, lab.card.section, number, question, question.letters)


def draw(
    pool: Collection[Item], count: int, seed: int, weights: Mapping[int, float], answered: Collection[Key] = ()
) -> list[Item]:
    """`count` questions by the weight of their sections, in an order and with options shuffled by the seed.

    Within a section those not in `answered` come first, and each lab gives one before any gives two. Where a section
    has too few, its share goes to the others. Raises LabError when there are not that many questions.
    """
    if not pool:
        raise LabError("There are no questions to draw from. `labs list` shows the labs, and each has its quiz.")
    if not 1 <= count <= len(pool):
        raise LabError(f"--questions {count}: from 1 to {len(pool)}, as many as the labs have.")
    sizes = Counter(item.section for item in pool)
    seats = apportion(count, {section: weights.get(section, 0) for section in sizes}, sizes)
    chance = random.Random(f"{seed}/questions")
    drawn: list[Item] = []
    for section in sorted(seats):
        own = sorted((item for item in pool if item.section == section), key=lambda item: item.key)
        drawn += _preferred(own, set(answered), chance)[: seats[section]]
    chance.shuffle(drawn)
    return [_shuffled(item, seed) for item in drawn]


def _preferred(items: list[Item], answered: set[Key], chance: random.Random) -> list[Item]:
    """The items by the order in which they are taken: new ones first, and of these one of each lab before a second."""
    chance.shuffle(items)
    taken: Counter[tuple[bool, str]] = Counter()
    ranked = []
    for place, item in enumerate(items):
        old = item.key in answered
        ranked.append((old, taken[old, item.lab], place, item))
        taken[old, item.lab] += 1
    return [item for *_, item in sorted(ranked, key=lambda entry: entry[:3])]


def _shuffled(item: Item, seed: int) -> Item:
    # Of its own for each question: the order of its options does not depend on what else is drawn.
    letters = list(item.question.letters)
    random.Random(f"{seed}/{item.lab}/{item.number}").shuffle(letters)
    return Item(item.lab, item.version, item.section, item.number, item.question, "".join(letters))


def apportion(count: int, weights: Mapping[int, float], sizes: Mapping[int, int]) -> dict[int, int]:
    """How many of `count` questions each section gives: by weight, largest remainder, at most its size.

    What a section cannot give is divided among the others, again by weight. Sections that weigh nothing give only what
    is left over. The sizes sum to `count` at least.
    """
    given: dict[int, int] = {}
    open_ones = {section: weights[section] for section in weights if sizes.get(section, 0)}
    while open_ones:
        shares = largest_remainder(count - sum(given.values()), open_ones)
        full = [section for section, share in shares.items() if share > sizes[section]]
        if not full:
            return given | shares
        given |= {section: sizes[section] for section in full}
        open_ones = {section: weight for section, weight in open_ones.items() if section not in full}
    return given


def largest_remainder(count: int, weights: Mapping[int, float]) -> dict[int, int]:
    """`count` divided in whole numbers by weight; of equal remainders the heavier section's goes first."""
    total = sum(weights.values())
    exact = {key: count * weight / total if total else count / len(weights) for key, weight in weights.items()}
    whole = {key: int(share) for key, share in exact.items()}
    order = sorted(weights, key=lambda key: (-(exact[key] - whole[key]), -weights[key], key))
    for key in order[: count - sum(whole.values())]:
        whole[key] += 1
    return whole


def short_sections(items: Iterable[Item], count: int, weights: Mapping[int, float]) -> str:
    """One line on sections that could not give their share; empty when all could."""
    given = Counter(item.section for item in items)
    wanted = largest_remainder(count, weights)
    short = [f"section {key} ({given[key]} of {share})" for key, share in sorted(wanted.items()) if given[key] < share]
    return f"Too few questions for their weight: {', '.join(short)}; the others have more instead." if short else ""

"""`labs exam`: questions drawn from the labs by the weight of the guide's sections, timed, explained at the end."""

from __future__ import annotations

import re
import shutil
import textwrap
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import randbelow
from typing import Protocol

from labkit.catalog import LabError
from labkit.catalog.blueprint import exam_weights, read_blueprint
from labkit.catalog.exam_length import read_exam_length
from labkit.classroom.draw import Item, draw, read_pool, short_sections
from labkit.classroom.evidence import answered_questions, own_events
from labkit.classroom.timed_input import TimedInput, TimeUp
from labkit.lesson.journal import append, new_event, progress_file
from labkit.lesson.messages import Message
from labkit.lesson.quiz import ask, explain

# What stands before a line's text: its indent, and the letter of an option or the sign of a verdict.
MARK = re.compile(r"\s*(?:[✓✗] )?(?:[a-f] (?=\S))?")
HOW = "Answer with a letter. s skips, p goes to the previous question, a number goes to that one, q hands in."


class Input(Protocol):
    def line(self, seconds: float) -> str:
        """The next line. Raises TimeUp or EOFError."""


@dataclass(frozen=True)
class Given:
    """An answer: the letter in quiz.toml, and for how many seconds the question has been on the screen in all."""

    letter: str
    seconds: float


@dataclass
class Sitting:
    """An exam in progress. `limit` and the clock are in seconds; `record` is called at each answer that is given."""

    items: Sequence[Item]
    limit: float
    source: Input
    record: Callable[[Item, Given], None]
    clock: Callable[[], float] = time.monotonic
    given: dict[int, Given] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    ended: str = ""
    _spent: dict[int, float] = field(default_factory=dict)
    _end: float = 0.0

    def run(self) -> None:
        """Asks until the learner hands in, the time is up, the input ends, or Ctrl-C."""
        self._end = self.clock() + self.limit
        place: int | None = 0
        try:
            while place is not None:
                place = self._ask(place) if place < len(self.items) else self._through()
        except TimeUp:
            self.ended = "Time is up: handed in."
        except EOFError:
            self.ended = "The input has ended: handed in."
        except KeyboardInterrupt:
            self.ended = "Stopped: handed in."
        print(f"\n{self.ended or 'Handed in.'}")

    def _ask(self, place: int) -> int | None:
        """Shows a question until it is answered or left; returns the place to go to, None to hand in."""
        item, shown = self.items[place], self.items[place].shown
        self.seen.add(place)
        before = self.given.get(place)
        print(f"\nQuestion {place + 1} of {len(self.items)}, {_left(self._end - self.clock())} left.")
        print(wrapped("\n".join([shown.scenario, *ask(place + 1, shown).lines])))
        if before:
            print(f"Your answer so far: {shown.letters[item.order.index(before.letter)]}")
        while True:
            start = self.clock()
            typed = self._line(f"Answer ({', '.join(shown.letters)}): ")
            self._spent[place] = self._spent.get(place, 0.0) + self.clock() - start
            if len(typed) == 1 and typed in shown.letters:
                self.given[place] = Given(item.stored(typed), round(self._spent[place], 1))
                self.record(item, self.given[place])
                return place + 1
            if typed in ("s", "skip"):
                return place + 1
            if typed in ("q", "quit"):
                return None
            there = self._jump(place, typed)
            if there is not None:
                return there
            print(f"{typed!r} is none of {', '.join(shown.letters)}. {HOW}")

    def _through(self) -> int | None:
        """After the last question: what is open, and where to go."""
        open_ones = [place for place in range(len(self.items)) if place not in self.given]
        if open_ones:
            numbers = ", ".join(str(place + 1) for place in open_ones)
            print(f"\nThat was the last one. Open: {numbers}. Enter goes to question {open_ones[0] + 1}, q hands in.")
        else:
            print("\nEvery question has an answer. Enter or q hands in; a number goes to that question.")
        while True:
            typed = self._line("> ")
            if typed in ("q", "quit"):
                return None
            if not typed:
                return open_ones[0] if open_ones else None
            there = self._jump(len(self.items), typed)
            if there is not None:
                return there
            print(f"{typed!r}: Enter, q, p or the number of a question.")

    def _jump(self, place: int, typed: str) -> int | None:
        if typed in ("p", "previous"):
            return max(place - 1, 0)
        # isascii: int() also reads digits of other scripts, and isdigit holds for ², which int() refuses.
        if typed.isascii() and typed.isdigit() and 1 <= int(typed[:6]) <= len(self.items):
            return int(typed) - 1
        return None

    def _line(self, prompt: str) -> str:
        print(prompt, end="", flush=True)
        typed = self.source.line(max(self._end - self.clock(), 0.0))
        if self.clock() >= self._end:
            raise TimeUp
        return typed.strip().lower()


def _left(seconds: float) -> str:
    """Time in words that a screen reader reads well."""
    whole = max(int(seconds + 0.5), 0)
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def wrapped(text: str) -> str:
    """Text for a terminal: no marks of Markdown, long lines folded below their first word, or below what it marks."""
    width = max(min(shutil.get_terminal_size((100, 24)).columns, 100), 30)
    lines = []
    for line in text.replace("**", "").splitlines():
        mark = MARK.match(line)
        indent = " " * (len(mark[0]) if mark else 0)
        lines += textwrap.wrap(line, width, subsequent_indent=indent) or [""]
    return "\n".join(lines)


def explained(sitting: Sitting) -> str:
    """Each question that was shown, with why each option is right or wrong.

    Those never shown are left out: they stay new for the next exam.
    """
    blocks = []
    for place in sorted(sitting.seen):
        item, shown, given = sitting.items[place], sitting.items[place].shown, sitting.given.get(place)
        letter = shown.letters[item.order.index(given.letter)] if given else ""
        verdict = "not answered" if not given else "right" if letter == shown.right else "wrong"
        message = explain(place + 1, shown, letter)
        head = f"{place + 1}. ({verdict}; right is {shown.right}; section {item.section}, {item.lab})"
        blocks.append(wrapped(Message(message.mood, f"{head} {shown.scenario}", message.lines).text()))
    unseen = len(sitting.items) - len(sitting.seen)
    if unseen:
        blocks.append(f"{unseen} questions were not shown; they are not explained and stay new for the next exam.")
    return "\n\n".join(blocks)


def score(sitting: Sitting, titles: dict[int, str], weights: dict[int, float]) -> list[str]:
    """Lines: right answers by section, and in all. What was not answered counts as not right."""
    lines = []
    right = [place for place, given in sitting.given.items() if given.letter == sitting.items[place].question.right]
    for section in sorted({item.section for item in sitting.items}):
        places = [place for place, item in enumerate(sitting.items) if item.section == section]
        good, open_ones = len(set(places) & set(right)), len(set(places) - set(sitting.given))
        rest = f", {open_ones} not answered" if open_ones else ""
        title = titles.get(section, "")
        lines.append(f"section {section} ({weights.get(section, 0):.0%}) {title}: {good} of {len(places)} right{rest}")
    share = len(right) / len(sitting.items)
    lines.append(f"in all: {len(right)} of {len(sitting.items)} right ({share:.0%})")
    return lines


def sit_exam(questions: int, minutes: float | None, seed: int | None, section: int | None) -> None:
    """Draws, asks, keeps each answer in the learner's progress when it is given, explains. Raises LabError."""
    blueprint = read_blueprint()
    weights = exam_weights(blueprint)
    pool = read_pool()
    if section is not None:
        if section not in blueprint.sections:
            raise LabError(f"--section {section}: one of {', '.join(map(str, sorted(blueprint.sections)))}.")
        pool, weights = [item for item in pool if item.section == section], {section: 1.0}
        if not pool:
            raise LabError(f"--section {section}: no lab of it is there. `labs list` shows the labs.")
    if minutes is not None and not 0 < minutes <= 24 * 60:
        raise LabError(f"--minutes {minutes:g}: more than 0 and at most {24 * 60}.")
    if seed is not None and seed < 0:
        raise LabError(f"--seed {seed}: a whole number from 0 on.")
    chosen = randbelow(1_000_000) if seed is None else seed
    items = draw(pool, questions, chosen, weights, answered_questions(own_events()))
    limit = 60 * (questions * read_exam_length().minutes_a_question if minutes is None else minutes)
    print(f"{len(items)} questions, {_left(limit)}. Seed {chosen}.")
    short = short_sections(items, len(items), weights)
    print(wrapped("\n".join(filter(None, [short, HOW]))))
    sitting = Sitting(items, limit, TimedInput(), _recorder(uuid.uuid4().hex))
    sitting.run()
    print(f"\n{explained(sitting)}\n")
    print("\n".join(score(sitting, blueprint.sections, weights)))


def _recorder(exam: str) -> Callable[[Item, Given], None]:
    """Appends each answer to the learner's progress; where that fails it says so once, and the exam goes on."""
    told: list[str] = []

    def record(item: Item, given: Given) -> None:
        right = given.letter == item.question.right
        fields = {"question": item.number, "answer": given.letter, "right": right, "seconds": given.seconds}
        try:
            progress_file().parent.mkdir(parents=True, exist_ok=True)
            append(progress_file(), [new_event("exam", item.lab, item.version, exam=exam, **fields)])
        except OSError as error:
            if not told:
                told.append(str(error))
                print(f"Your answers are not kept: {error.strerror or error}. The exam goes on.")

    return record

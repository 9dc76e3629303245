"""The exam lens: questions from quiz.toml, asked in the notebook, each option explained after the answer."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labkit.catalog import LabError
from labkit.catalog.problems import Problem
from labkit.lesson.messages import Message, markup


class Option(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str = Field(min_length=1)
    why: str = Field(min_length=10)
    right: bool = False


class Question(BaseModel):
    """A scenario with options, of which exactly one is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scenario: str = Field(min_length=40)
    options: tuple[Option, ...] = Field(min_length=3, max_length=6)

    @model_validator(mode="after")
    def one_right(self) -> Question:
        right = sum(option.right for option in self.options)
        if right != 1:
            raise ValueError(f"{right} options are right, exactly one must be")
        return self

    @property
    def letters(self) -> str:
        return ascii_lowercase[: len(self.options)]

    @property
    def right(self) -> str:
        return next(letter for letter, option in zip(self.letters, self.options, strict=True) if option.right)


class Quiz(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    question: tuple[Question, ...] = Field(min_length=2, max_length=4)


def read_quiz(path: Path) -> Quiz:
    """The quiz in a file. Raises LabError with the first thing that is wrong."""
    try:
        return parse_quiz(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise LabError(f"{path}: no such file. A lab has a quiz.toml; labs/AUTHORING.md shows the form.") from None


def parse_quiz(text: str, path: Path) -> Quiz:
    """The quiz in a text; `path` is where it comes from. Raises LabError with the first thing that is wrong."""
    try:
        return Quiz.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{path}: not TOML: {error}. Mend the syntax.") from None
    except ValidationError as error:
        found = error.errors()[0]
        field = ".".join(str(part) for part in found["loc"])
        raise LabError(f"{path}: {field}: {found['msg']}. See labs/AUTHORING.md.") from None


def check_quiz(path: Path) -> list[Problem]:
    """Problems of a quiz: its form, and options of which the right one gives itself away by its length."""
    try:
        quiz = read_quiz(path)
    except LabError as error:
        return [Problem("Q001", path, str(error).rstrip("."), "Write 2-4 scenarios with one right option each.")]
    problems = []
    for number, question in enumerate(quiz.question, 1):
        longest = max((o for o in question.options if not o.right), key=lambda o: len(o.text))
        right = next(o for o in question.options if o.right)
        if len(right.text) > 1.6 * len(longest.text):
            what = f"question {number}: the right option is much longer than every wrong one, which gives it away"
            problems.append(Problem("Q002", path, what, "Shorten it or say more in the others."))
    if len(quiz.question) > 2 and len({q.right for q in quiz.question}) == 1:
        what = f"option {quiz.question[0].right} is right in every question"
        problems.append(Problem("Q003", path, what, "Change the order of the options."))
    return problems


def ask(number: int, question: Question) -> Message:
    """The question as it stands before the answer."""
    options = [f"**{letter}** {o.text}" for letter, o in zip(question.letters, question.options, strict=True)]
    return Message("note", f"**{number}.** {question.scenario}", options)


def explain(number: int, question: Question, answer: str) -> Message:
    """The same question after the answer: each option with why it is right or wrong."""
    lines = []
    for letter, option in zip(question.letters, question.options, strict=True):
        sign = "✓" if option.right else "✗"
        chosen = " (your answer)" if letter == answer else ""
        lines += [f"{sign} **{letter}** {option.text}{chosen}", f"    {option.why}"]
    right = answer == question.right
    return Message("good" if right else "bad", f"**{number}.** {question.scenario}", lines)


def parse_answer(quiz: Quiz, number: object, answer: object) -> tuple[Question, str]:
    """The question and letter that a learner named. Raises LabError."""
    if not isinstance(number, int) or not 1 <= number <= len(quiz.question):
        raise LabError(f"Question {number!r}: there are questions 1 to {len(quiz.question)}.")
    question = quiz.question[number - 1]
    letter = str(answer).strip().lower()
    if letter not in question.letters or len(letter) != 1:
        raise LabError(f"Answer {answer!r}: question {number} has the options {', '.join(question.letters)}.")
    return question, letter


def quiz_buttons(quiz: Quiz, record: Callable[[int, Question, str], None]) -> object:
    """Clickable questions. `record` is called with number, question and letter at each click."""
    import ipywidgets as widgets

    def block(number: int, question: Question) -> object:
        body = widgets.HTML(ask(number, question).html())
        buttons = [
            widgets.Button(description=letter, tooltip=option.text, layout=widgets.Layout(width="4em"))
            for letter, option in zip(question.letters, question.options, strict=True)
        ]

        def clicked(button: object) -> None:
            letter = str(button.description)  # type: ignore[attr-defined]
            record(number, question, letter)
            body.value = explain(number, question, letter).html()

        for button in buttons:
            button.on_click(clicked)
        return widgets.VBox([body, widgets.HBox(buttons)])

    return widgets.VBox([block(number, question) for number, question in enumerate(quiz.question, 1)])


def quiz_html(quiz: Quiz) -> str:
    how = markup('Answer with `lab.quiz(1, "b")`: question, then letter.')
    return "".join(ask(n, q).html() for n, q in enumerate(quiz.question, 1)) + f"<p>{how}</p>"


def quiz_text(quiz: Quiz) -> str:
    blocks = [ask(n, q).text() for n, q in enumerate(quiz.question, 1)]
    return "\n\n".join([*blocks, 'Answer with lab.quiz(1, "b"): question, then letter.'])

"""Predict first: the learner commits to a guess before the result is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labkit.catalog import LabError
from labkit.lesson.messages import Message


@dataclass
class Prediction:
    name: str
    question: str
    options: tuple[str, ...]
    answer: str | None = None

    def ask(self) -> Message:
        how = f'`lab.predict("{self.name}", …, answer="…")` answers without buttons.'
        said = [f"So far you predict: {self.answer}"] if self.answer else []
        return Message("note", self.question, [*(f"• {option}" for option in self.options), *said, how])

    def commit(self, answer: str) -> None:
        if answer not in self.options:
            raise LabError(f"answer={answer!r} is not an option of {self.name!r}: {', '.join(self.options)}.")
        self.answer = answer

    def reveal(self, came_true: str) -> Message:
        if self.answer is None:
            return Message("wait", f"{self.question} **{came_true}.** You made no prediction.")
        if self.answer == came_true:
            return Message("good", f"{self.question} **{came_true}**, as you predicted.")
        return Message("bad", f"{self.question} **{came_true}.** You predicted: {self.answer}.")


def prediction_buttons(prediction: Prediction, commit: Callable[[Prediction, str], None]) -> object:
    """The question with a button for each option."""
    import ipywidgets as widgets

    head = widgets.HTML(Message("note", prediction.question).html())
    said = widgets.HTML(Message("note", f"So far you predict: {prediction.answer}").html() if prediction.answer else "")

    def clicked(button: object) -> None:
        answer = str(button.description)  # type: ignore[attr-defined]
        commit(prediction, answer)
        said.value = Message("note", f"You predict: {answer}").html()

    buttons = [widgets.Button(description=option, layout=widgets.Layout(width="auto")) for option in prediction.options]
    for button in buttons:
        button.on_click(clicked)
    return widgets.VBox([head, widgets.HBox(buttons, layout=widgets.Layout(flex_flow="row wrap")), said])

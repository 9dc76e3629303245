"""The object that a notebook talks to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.datasets import load_dataset
from labkit.catalog.imports import note_imports
from labkit.catalog.places import home
from labkit.catalog.source import Task
from labkit.catalog.version import lab_version
from labkit.lesson.answers import read_answers
from labkit.lesson.claims import Claim, ClaimFailed, make_claim
from labkit.lesson.exercise import (
    CORRECT,
    ERROR,
    NOT_ATTEMPTED,
    Exercise,
    Verdict,
    judge,
    untouched,
)
from labkit.lesson.journal import open_journal
from labkit.lesson.messages import Message, show
from labkit.lesson.next_lab import next_line
from labkit.lesson.outline import read_outline
from labkit.lesson.plots import use_style
from labkit.lesson.predict import Prediction, prediction_buttons
from labkit.lesson.quiz import explain, parse_answer, quiz_buttons, quiz_html, quiz_text
from labkit.lesson.reference import reference_answers, solution_text, try_text
from labkit.lesson.standing import LabStanding, standing_of
from labkit.lesson.summary import summary
from labkit.lesson.tracebacks import hide_solutions
from labkit.lesson.watcher import Watcher
from labkit.lesson.widgets import show_with_buttons
from labkit.target import Target, open_target
from labkit.target.recording import distinct

if TYPE_CHECKING:
    from labkit.target.cleanup import Report

OPEN: list[Lab] = []


def open_lab(slug: str, target: str = "local", seed: int = 0, max_cost_usd: float | None = None) -> Lab:
    """Opens the lesson of a lab; the set-up cell of every lab calls it.

    `max_cost_usd`: what a run on Google Cloud may cost at most, in the place of the environment's LABS_MAX_COST_USD.
    Raises LabError when there is no such lab or target, or the seed is no whole number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise LabError(f"SEED = {seed!r}: a whole number from 0 on.")
    shell = _shell()
    while OPEN:
        OPEN.pop().close()
    use_style()
    folder = work_folder(slug) / "google-cloud"
    lab = Lab(find_lab(slug), open_target(target, slug, folder, seed, max_cost_usd), seed, shell)
    OPEN.append(lab)
    return lab


def work_folder(slug: str) -> Path:
    """Where this run of a lab may write. It exists."""
    named = os.environ.get("LABKIT_WORK")
    folder = Path(named) if named else home() / ".work" / slug
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


class Lab:
    """A lesson in progress: claims, exercises, quiz, data and target of one lab."""

    def __init__(self, lab: LabFolder, target: Target, seed: int, shell: Any = None, namespace: Any = None) -> None:
        self.slug = lab.slug
        self.folder = lab.folder
        self.card = lab.card
        self.target = target
        self.seed = seed
        self._shell = shell
        self._namespace: dict[str, Any] = namespace if namespace is not None else getattr(shell, "user_ns", {})
        self._answers = read_answers(lab.folder)
        self._exercises, self._tasks = self._answers.exercises, self._answers.tasks
        if self._answers.sealed:
            hide_solutions(shell)
        self._journal = open_journal(self.slug, lab_version(lab.folder))
        # A new kernel goes on where the learner was: with the next hint, and with the first answers to the quiz.
        self._earlier = self._journal.earlier()
        before = standing_of(self.slug, self._earlier)
        self._claims: dict[str, Claim] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._hints = {name: one.hints for name, one in before.exercises.items()}
        self._handed: set[str] = set()
        self._predictions: dict[str, Prediction] = {}
        self._quiz: dict[int, bool] = dict(before.quiz)
        self._audited: set[int] = set()  # places in target.queries of what CI's wrong answers sent
        self._audited_requests: set[int] = set()  # and in target.requests
        self._watcher = Watcher()
        self._watcher.attach(shell)
        # An exercise cell that stops before it binds its answer must not make the check cell a NameError.
        for task in self._tasks.values():
            for name in task.answers:
                self._namespace.setdefault(name, ...)
        self._journal.write("open", seed=seed, target=target.name)

    def __repr__(self) -> str:
        return f"<lab {self.slug}, target {self.target.name}, seed {self.seed}>"

    def close(self) -> None:
        self._watcher.detach(self._shell)
        self.target.close()

    @property
    def work(self) -> Path:
        """A folder for checkpoints, logs and other files of this run."""
        return work_folder(self.slug)

    def data(self, name: str, **parameters: Any) -> Any:
        """A data set of the registry as a DataFrame; `parameters` go to its generator."""
        return load_dataset(name, **parameters)

    def cleanup(self, delete: bool = False) -> Report:
        """Lists what the lab has created, found by its labels; `delete=True` deletes it, in dependency order.

        Goes on after a failure and says what is left; called again, it goes on with that.
        """
        from labkit.target.cleanup import clean, place_of, survey
        from labkit.target.created import Scope

        place = place_of(self.target, self.card.cloud.services, self.slug)
        report = (clean if delete else survey)(place, Scope(self.slug))
        headline = "Deleted" if delete else "`lab.cleanup(delete=True)` deletes this"
        if not report.found:
            headline = "Nothing to clean up"
        if report.left or report.unread:
            headline = "Not everything could be cleaned up"
        show(Message("good" if report.clean else "bad", headline, report.lines()))
        return report

    # Claims

    def claim(self, name: str, value: Any, at_least: float | None = None, at_most: float | None = None) -> None:
        """Records a number with its bounds. Raises ClaimFailed when it is out of them or not finite."""
        claim = make_claim(name, value, at_least, at_most)
        self._claims[name] = claim
        self._journal.write("claim", holds=claim.holds, **asdict(claim))
        if not claim.holds:
            note_imports()  # an ablated run ends here
            raise ClaimFailed(str(claim))
        show(Message("good", str(claim)))

    # Exercises

    def check(self, name: str, *values: Any) -> Any:
        """Judges the answers to an exercise and hands back answers to go on with.

        `values`: the answers, then the context that the check needs. Correct answers come back as they are; otherwise
        the reference answers, and a message says so. One answer comes back alone, several as a tuple.
        """
        exercise, task = self._exercise(name)
        answers, context = values[: len(task.answers)], values[len(task.answers) :]
        verdict = self._judge(exercise, task, answers, context)
        self._verdicts[name] = verdict
        typed = self._watcher.text_of(task.answers)
        evidence = {} if typed is None else {"answer": typed}
        self._journal.write("check", exercise=name, hints=self._hints.get(name, 0), **asdict(verdict), **evidence)
        if os.environ.get("LABKIT_AUDIT"):
            self._audit(exercise, task)
        show(self._told(name, verdict))
        if verdict.outcome != CORRECT:
            answers = tuple(reference_answers(task, self._namespace))
            self._handed.add(name)
            self._watcher.forget(task.answers)
        else:
            self._handed.discard(name)
        return answers[0] if len(answers) == 1 else answers

    def _judge(self, exercise: Exercise, task: Task, answers: Sequence[Any], context: Sequence[Any]) -> Verdict:
        crashed = [self._watcher.crashed[name] for name in task.answers if name in self._watcher.crashed]
        if crashed:
            return Verdict(ERROR, f"Your cell stopped: {crashed[0]}")
        stale = self._watcher.active and task.name in self._handed and not self._watcher.fresh & set(task.answers)
        if stale and not any(untouched(answer) for answer in answers):
            return Verdict(NOT_ATTEMPTED, "This is the reference answer. Run your own cell above, then this one.")
        return judge(exercise, answers, context)

    def _told(self, name: str, verdict: Verdict) -> Message:
        on = f'The lab goes on with the reference answer. `lab.hint("{name}")` helps.'
        said = [verdict.message] if verdict.message else []
        match verdict.outcome:
            case "correct":
                return Message("good", f"Correct: {name}")
            case "incorrect":
                return Message("bad", f"Not yet: {name}", [*said, on])
            case "error":
                return Message("bad", f"Error in {name}: your answer could not be judged", [*said, on])
            case _:
                return Message("wait", f"Not attempted: {name}", [*said, on])

    def _audit(self, exercise: Exercise, task: Task) -> None:
        """Types every listed wrong answer into the exercise cell and records how it is judged; CI reads the record."""
        first, first_request = len(self.target.queries), len(self.target.requests)
        for label, text in exercise.wrong.items():
            verdict = try_text(text, task, exercise, self._namespace)
            self._journal.write("audit", exercise=task.name, label=label, **asdict(verdict))
        self._audited.update(range(first, len(self.target.queries)))
        self._audited_requests.update(range(first_request, len(self.target.requests)))

    def _exercise(self, name: str) -> tuple[Exercise, Task]:
        if name not in self._exercises or name not in self._tasks:
            known = ", ".join(n for n in self._exercises if n in self._tasks)
            raise LabError(f"This lab has no exercise {name!r}. Its exercises are: {known}.")
        return self._exercises[name], self._tasks[name]

    def hint(self, name: str) -> None:
        """Shows one more hint at each call."""
        exercise, _ = self._exercise(name)
        shown = self._hints.get(name, 0)
        if shown >= len(exercise.hints):
            show(Message("note", f'That were all the hints. `lab.solution("{name}")` shows one way to do it.'))
            return
        self._hints[name] = shown + 1
        self._journal.write("hint", exercise=name, number=shown + 1)
        show(Message("note", f"Hint {shown + 1} of {len(exercise.hints)}: {exercise.hints[shown]}"))

    def solution(self, name: str) -> None:
        """Shows the worked cell of an exercise."""
        _, task = self._exercise(name)
        self._journal.write("solution", exercise=name)
        show(Message("note", f"One way to do {name}:", code=solution_text(task)))

    # Predictions

    def predict(self, name: str, question: str, options: Sequence[str], answer: str | None = None) -> None:
        """Asks for a guess before the result is there. By click, or again with `answer=` one of the options."""
        guess = self._guess(name)
        asked = Prediction(name, question, tuple(options), guess if guess in options else None)
        prediction = self._predictions.setdefault(name, asked)
        if answer is not None:
            self._predicted(prediction, answer)
            return
        show_with_buttons(prediction.ask(), lambda: prediction_buttons(prediction, self._predicted))

    def _guess(self, name: str) -> str | None:
        """What the learner predicted in an earlier session."""
        return standing_of(self.slug, self._earlier).predictions.get(name, (None, None))[0]

    def _predicted(self, prediction: Prediction, answer: str) -> None:
        prediction.commit(answer)
        self._journal.write("predict", name=prediction.name, answer=answer)
        show(Message("note", f"You predict: {answer}"))

    def revisit(self, name: str, came_true: str) -> None:
        """Puts the learner's guess beside what happened."""
        if name not in self._predictions:
            raise LabError(f"There is no prediction {name!r}. Predictions so far: {', '.join(self._predictions)}.")
        prediction = self._predictions[name]
        if came_true not in prediction.options:
            raise LabError(f"{came_true!r} is not an option of {name!r}: {', '.join(prediction.options)}.")
        self._journal.write("revisit", name=name, answer=prediction.answer, came_true=came_true)
        show(prediction.reveal(came_true))

    # Quiz and summary

    def quiz(self, number: int | None = None, answer: str | None = None) -> None:
        """Asks the questions; `lab.quiz(1, "b")` answers one and explains each of its options."""
        quiz = self._answers.quiz
        if number is None:
            asked = Message("note", "Exam lens")
            show_with_buttons(asked, lambda: quiz_buttons(quiz, self._answered), quiz_html(quiz), quiz_text(quiz))
            return
        question, letter = parse_answer(quiz, number, answer)
        self._answered(number, question, letter)
        show(explain(number, question, letter))

    def _answered(self, number: int, question: Any, letter: str) -> None:
        right = letter == question.right
        self._quiz.setdefault(number, right)  # the first answer counts
        self._journal.write("quiz", question=number, answer=letter, right=right)

    def finish(self) -> None:
        """Shows what was claimed and done; the last cell of every lab."""
        found = standing_of(self.slug, [*self._earlier, *self._journal.events])
        outcomes = {name: self._outcome(name, found) for name in self._tasks}
        sent = [text for number, text in enumerate(self.target.queries) if number not in self._audited]
        self._journal.write("queries", texts=sent)
        asked = [line for number, line in enumerate(self.target.requests) if number not in self._audited_requests]
        self._journal.write("requests", distinct=distinct(asked))
        self._journal.write("finish", exercises=outcomes, claims=len(self._claims))
        note_imports()
        lines = [str(claim) for claim in self._claims.values()]
        lines += summary(outcomes, found, read_outline(self.folder), self._journal.progress)
        if self._journal.progress:
            lines += next_line(self.slug)
        mood = "good" if all(outcome == CORRECT for outcome in outcomes.values()) else "note"
        show(Message(mood, f"{self.card.title}: {len(self._claims)} claims seen", lines))

    def _outcome(self, name: str, found: LabStanding) -> str:
        """Of an exercise: as it was last checked in this session, else the best of earlier ones."""
        if name in self._verdicts:
            return self._verdicts[name].outcome
        return found.exercises[name].outcome if name in found.exercises else NOT_ATTEMPTED

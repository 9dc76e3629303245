"""An exam: answers, skipping, going back, time, a pipe, a terminal, and one that is killed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from labkit.catalog.exam_length import read_exam_length
from labkit.classroom.draw import Item, draw, read_pool
from labkit.classroom.exam import Given, Sitting, explained, score
from labkit.classroom.timed_input import TimedInput, TimeUp

from ..conftest import ROOT, replace
from ..test_cli import labs
from .quizzes import add_quiz_lab, event, keep, kept, weigh

LABS = [sys.executable, "-c", "from labkit.command import main; main()"]


@pytest.fixture
def items(collection: Path) -> list[Item]:
    """Six questions of three labs in two sections, in a fixed order."""
    weigh(collection)
    add_quiz_lab(collection, "gamma", 3)
    add_quiz_lab(collection, "delta", 3)
    return draw(read_pool(), 6, 1, {2: 0.3, 3: 0.7})


class Clock:
    """Seconds that pass only when a line is typed."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Typed:
    """Lines with the seconds that each takes; the reader sees the limit as a terminal does."""

    def __init__(self, clock: Clock, lines: Sequence[str | tuple[str, float] | type[BaseException]]) -> None:
        self.clock, self.lines = clock, iter(lines)

    def line(self, seconds: float) -> str:
        typed = next(self.lines, EOFError)
        if isinstance(typed, type):
            raise typed
        text, takes = typed if isinstance(typed, tuple) else (typed, 1.0)
        if takes > seconds:
            self.clock.now += seconds
            raise TimeUp
        self.clock.now += takes
        return text


def sit(items: list[Item], *lines: str | tuple[str, float] | type[BaseException], limit: float = 600) -> Sitting:
    clock = Clock()
    sitting = Sitting(items, limit, Typed(clock, lines), lambda item, given: None, clock)
    sitting.run()
    return sitting


def right(item: Item) -> str:
    return item.shown.right


def wrong(item: Item) -> str:
    return next(letter for letter in item.shown.letters if letter != item.shown.right)


def totals(sitting: Sitting) -> str:
    return score(sitting, {}, {})[-1]


def test_right_wrong_and_skipped(items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    lines = [right(items[0]), wrong(items[1]), "s", "", right(items[3]).upper(), "skip", right(items[5]), "q"]
    sitting = sit(items, *lines)
    said = capsys.readouterr().out
    assert totals(sitting) == "in all: 3 of 6 right (50%)"
    assert f"'' is none of {', '.join(items[3].shown.letters)}. Answer with a letter." in said
    assert "That was the last one. Open: 3, 5. Enter goes to question 3, q hands in." in said
    assert (
        set(sitting.given) == {0, 1, 3, 5} and sitting.given[0] == Given("a", 1.0) and sitting.given[3].seconds == 2.0
    )
    told = explained(sitting)
    verdicts = re.findall(r"^[✓✗] (\d)\. \((right|wrong|not answered); right is (.);", told, re.MULTILINE)
    assert [verdict for _, verdict, _ in verdicts] == [
        "right",
        "wrong",
        "not answered",
        "right",
        "not answered",
        "right",
    ]
    assert [letter for *_, letter in verdicts] == [right(item) for item in items]
    assert told.count("(your answer)") == 4 and told.count("Because it is right.") == 6 and "*" not in told
    assert told.count("Because it is wrong.") + told.count("very wrong") == sum(
        len(i.question.options) - 1 for i in items
    )


def test_the_score_is_by_section(items: list[Item]) -> None:
    sitting = sit(items, *(right(item) if item.section == 2 else wrong(item) for item in items[:5]), "q")
    lines = score(sitting, {2: "Data", 3: "Models"}, {2: 0.3, 3: 0.7})
    asked = [sum(item.section == section for item in items) for section in (2, 3)]
    open_in = items[5].section
    rest = ", 1 not answered"
    good = asked[0] - (open_in == 2)
    assert lines[0] == f"section 2 (30%) Data: {good} of {asked[0]} right{rest if open_in == 2 else ''}"
    assert lines[1] == f"section 3 (70%) Models: 0 of {asked[1]} right{rest if open_in == 3 else ''}"


def test_going_back_and_to_a_number_changes_an_answer(items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    recorded: list[tuple[tuple[str, int], str]] = []
    clock = Clock()
    lines = [wrong(items[0]), "p", right(items[0]), "6", "p", "7", "0", "²", "1", "s", "q"]
    sitting = Sitting(items, 600, Typed(clock, lines), lambda i, g: recorded.append((i.key, g.letter)), clock)
    sitting.run()
    said = capsys.readouterr().out
    shown = re.findall(r"Question (\d) of 6", said)
    assert shown == ["1", "2", "1", "2", "6", "5", "1", "2"]
    assert f"Your answer so far: {wrong(items[0])}" in said and "'7' is none of" in said and "'²' is none of" in said
    assert [key for key, _ in recorded] == [items[0].key] * 2 and recorded[-1][1] == "a"
    assert totals(sitting) == "in all: 1 of 6 right (17%)"
    assert sitting.given[0].seconds == 2.0  # both times that it was on the screen


def test_when_all_is_answered_enter_hands_in(items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    sitting = sit(items, *(right(item) for item in items), "later", "")
    said = capsys.readouterr().out
    assert "Every question has an answer. Enter or q hands in" in said and "'later': Enter, q, p or the number" in said
    assert totals(sitting) == "in all: 6 of 6 right (100%)" and said.endswith("Handed in.\n")


def test_time_up_hands_in_and_what_is_typed_later_does_not_count(
    items: list[Item], capsys: pytest.CaptureFixture[str]
) -> None:
    sitting = sit(items, (right(items[0]), 50), (right(items[1]), 20), limit=60)
    said = capsys.readouterr().out
    assert "Question 1 of 6, 1 min 00 s left." in said and "Question 2 of 6, 10 s left." in said
    assert said.endswith("Time is up: handed in.\n")
    assert totals(sitting) == "in all: 1 of 6 right (17%)" and set(sitting.given) == {0}


def test_an_answer_that_comes_when_the_time_is_over_does_not_count(items: list[Item]) -> None:
    class Late(Typed):
        """An input that cannot be waited on with a limit."""

        def line(self, seconds: float) -> str:
            return super().line(1e9)

    clock = Clock()
    sitting = Sitting(items, 60, Late(clock, [(right(items[0]), 61)]), lambda item, given: None, clock)
    sitting.run()
    assert not sitting.given and sitting.ended == "Time is up: handed in."


@pytest.mark.parametrize(
    ("how", "said"), [(EOFError, "The input has ended: handed in."), (KeyboardInterrupt, "Stopped: handed in.")]
)
def test_the_end_of_the_input_and_ctrl_c_hand_in(items: list[Item], how: type[BaseException], said: str) -> None:
    sitting = sit(items, right(items[0]), how)
    assert sitting.ended == said and totals(sitting) == "in all: 1 of 6 right (17%)"
    assert "4 questions were not shown; they are not explained" in explained(sitting)


def test_the_command_reads_a_pipe_and_keeps_each_answer(collection: Path, items: list[Item]) -> None:
    text = f"{right(items[0])}\n{wrong(items[1])}\ns\n{right(items[3])}"  # without an end of line
    run = subprocess.run(
        [*LABS, "exam", "--questions", "6", "--seed", "1"], input=text.encode(), capture_output=True, check=True
    )
    said = run.stdout.decode()
    assert said.startswith("6 questions, 14 min 24 s. Seed 1.\n") and "in all: 2 of 6 right (33%)" in said
    answers = kept("exam")
    assert [(a["lab"], a["question"]) for a in answers] == [items[place].key for place in (0, 1, 3)]
    assert [a["right"] for a in answers] == [True, False, True] and answers[0]["answer"] == items[0].question.right
    assert len({a["exam"] for a in answers}) == 1 and len({a["id"] for a in answers}) == 3
    assert all(a["version"] == items[0].version or len(a["version"]) == 12 for a in answers)


def test_what_was_answered_is_not_asked_first_again(collection: Path, items: list[Item]) -> None:
    keep([event("exam", "gamma", exam="e", question=n, answer="a", right=True, seconds=1.0) for n in (1, 2, 3)])
    keep([event("quiz", "delta", question=n, answer="a", right=False) for n in (1, 2, 4)])
    status, said = labs("exam", "--questions", "2", "--section", "3", "--seed", "5")
    assert status == 0 and "The input has ended: handed in." in said
    run = subprocess.run(
        [*LABS, "exam", "--questions", "2", "--section", "3"], input=b"a\na\n", capture_output=True, check=True
    )
    assert b"2 questions" in run.stdout
    assert {(a["lab"], a["question"]) for a in kept("exam")[3:]} == {("gamma", 4), ("delta", 3)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--questions", "0"], "labs: --questions 0: from 1 to 10, as many as the labs have."),
        (["--questions", "11"], "labs: --questions 11: from 1 to 10"),
        (["--section", "4"], "labs: --section 4: one of 2, 3."),
        (["--minutes", "0"], "labs: --minutes 0: more than 0"),
        (["--minutes", "nan"], "labs: --minutes nan: more than 0"),
        (["--seed", "-1"], "labs: --seed -1: a whole number"),
    ],
)
def test_bad_options_are_one_line(items: list[Item], arguments: list[str], said: str) -> None:
    status, output = labs("exam", *arguments)
    assert status == 2 and output.startswith(said) and len(output.strip().splitlines()) == 1
    assert not kept("exam")


def test_the_length_of_the_exam_is_data_with_source_and_date(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = labs("exam", "--questions", "1")
    assert status == 2 and "no guide says how long its exam is. Give --minutes." in output
    monkeypatch.setenv("LABS_HOME", str(ROOT))
    length = read_exam_length()
    assert length.minutes_a_question == pytest.approx(2.4) and length.source and length.checked


def test_a_progress_that_cannot_be_written_does_not_end_the_exam(collection: Path, items: list[Item]) -> None:
    (collection / "workspace").write_text("a file where the folder should be")
    run = subprocess.run(
        [*LABS, "exam", "--questions", "6", "--seed", "1"], input=b"a\na\na\nq\n", capture_output=True, check=True
    )
    assert run.stdout.count(b"Your answers are not kept: ") == 1 and b"in all: " in run.stdout


def test_lines_come_whole_from_pieces_and_the_limit_is_kept() -> None:
    reading, writing = os.pipe()
    source = TimedInput(reading)
    os.write(writing, b"on")
    start = time.monotonic()
    with pytest.raises(TimeUp):
        source.line(0.2)
    assert 0.15 < time.monotonic() - start < 2
    os.write(writing, b"e\r\ntwo\nlast \xff")
    os.close(writing)
    assert [source.line(1), source.line(0), source.line(1)] == ["one", "two", "last �"]
    with pytest.raises(EOFError):
        source.line(1)
    os.close(reading)


class Terminal:
    """`labs exam` in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._end, inside = pty.openpty()
        self.process = subprocess.Popen(
            [*LABS, "exam", *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=_own_terminal,  # Ctrl-C goes to the process that a terminal belongs to
        )
        os.close(inside)
        self.said = ""

    def until(self, text: str, times: int = 1) -> None:
        """Reads until `text` was shown so many times."""
        end = time.monotonic() + 30
        while self.said.count(text) < times:
            assert select.select([self._end], [], [], max(end - time.monotonic(), 0))[0], self.said
            try:
                data = os.read(self._end, 65536)
            except OSError:  # the process has ended
                data = b""
            assert data, self.said
            self.said += data.decode()

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(items: list[Item]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def begin(*arguments: str) -> Terminal:
        opened.append(Terminal("--questions", "6", "--seed", "1", *arguments))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def test_in_a_terminal_a_killed_exam_has_kept_what_was_answered(
    terminal: Callable[..., Terminal], items: list[Item]
) -> None:
    exam = terminal()
    exam.until("Answer (")
    exam.type(f"{right(items[0])}\n")
    exam.until("Question 2 of 6")
    exam.type(f"{wrong(items[1])}\n")
    exam.until("Question 3 of 6")
    exam.process.send_signal(signal.SIGKILL)
    exam.process.wait()
    assert [(a["lab"], a["question"], a["right"]) for a in kept("exam")] == [
        (*items[0].key, True),
        (*items[1].key, False),
    ]


def test_in_a_terminal_ctrl_c_hands_in(terminal: Callable[..., Terminal], items: list[Item]) -> None:
    exam = terminal()
    exam.until("Answer (")
    exam.type(f"{right(items[0])}\n")
    exam.until("Question 2 of 6")
    exam.type("\x03")
    exam.until("in all: 1 of 6 right (17%)")
    assert "Stopped: handed in." in exam.said and "Traceback" not in exam.said and exam.process.wait() == 0


def test_in_a_terminal_time_is_up_without_a_key(terminal: Callable[..., Terminal]) -> None:
    exam = terminal("--minutes", "0.01")
    exam.until("in all: 0 of 6 right (0%)")
    assert "Time is up: handed in." in exam.said and exam.process.wait() == 0


def test_a_lab_whose_quiz_is_broken_is_named(items: list[Item], collection: Path) -> None:
    replace(collection / "labs" / "3-models" / "delta" / "quiz.toml", "right = true, ", "")
    status, output = labs("exam")
    assert status == 2 and "delta/quiz.toml" in output and len(output.strip().splitlines()) == 1

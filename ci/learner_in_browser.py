"""Does labs as a learner does: `labs start`, JupyterLab in a browser, wrong answers first, a kernel killed half-way.

    nox -s learner                      three labs, two in the browser and one from the command line
    nox -s learner -- metric-choice     other labs

Runs in a collection of its own in a temporary folder ($LABS_HOME), and compares what the progress file says at the end
with what was done. Needs Debian's `chromium`; Playwright's package is in the environment `site`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / ".venvs" / "core" / "bin"
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@dataclass
class Answers:
    """What is typed into the exercises of a lab: for each a wrong answer and the right one."""

    wrong: dict[str, str]
    right: dict[str, str]
    quiz: list[tuple[int, str, bool]] = field(default_factory=list)  # question, letter, whether it is right


def answers_of(slug: str) -> Answers:
    """Read from the lab's own folder by the environment that has labkit; the browser's has not."""
    asked = """
import json, sys
from labkit.catalog.collection import find_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.lesson.exercise import read_exercises
from labkit.lesson.quiz import read_quiz
from labkit.lesson.reference import solution_text
lab = find_lab(sys.argv[1])
tasks = read_tasks(read_cells(lab.source))
exercises = read_exercises(lab.folder / "checks.py")
print(json.dumps({
    "wrong": {name: next(iter(exercises[name].wrong.values())) for name in tasks},
    "right": {name: solution_text(task) for name, task in tasks.items()},
    "quiz": [q.right for q in read_quiz(lab.folder / "quiz.toml").question],
}))
"""
    done = subprocess.run([CORE / "python", "-c", asked, slug], capture_output=True, text=True, check=True, cwd=ROOT)
    read = json.loads(done.stdout)
    # The first question is answered wrong, the others right.
    letters = [("b" if right == "a" else "a") if n == 1 else right for n, right in enumerate(read["quiz"], 1)]
    quiz = [
        (n, letter, letter == right) for n, (letter, right) in enumerate(zip(letters, read["quiz"], strict=True), 1)
    ]
    return Answers(read["wrong"], read["right"], quiz)


class Jupyter:
    """A JupyterLab on a collection, and the kernels that it starts."""

    def __init__(self, home: Path) -> None:
        self.home = home
        log = (home / "jupyter.log").open("wb")
        options = [f"--ServerApp.root_dir={home}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root"]
        # The kernels' scheduler and the page's own model of the notebook can be asked for what they show.
        options += ["--LabApp.expose_app_in_browser=True", "--IdentityProvider.token=learner"]
        environment = os.environ | {"LABS_HOME": str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
        self.process = subprocess.Popen(
            [CORE / "jupyter-lab", *options], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        self.url = self._wait()

    def _wait(self) -> str:
        for _ in range(300):
            for found in (self.home / "runtime").glob("jpserver-*.json"):
                return str(json.loads(found.read_text())["url"])
            time.sleep(0.2)
        sys.exit(f"JupyterLab did not start:\n{(self.home / 'jupyter.log').read_text()[-2000:]}")

    def kernels(self) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "ipykernel_launcher" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:  # one that was killed and not yet waited for
                continue
        return found

    def stop(self) -> None:
        left = self.kernels()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        psutil.wait_procs(left, 20)
        if any(kernel.is_running() for kernel in left):
            sys.exit("kernels outlived JupyterLab")


class Notebook:
    """One notebook, open in the browser; cells are typed into and run with the keyboard."""

    def __init__(self, page: Page, url: str, path: str) -> None:
        self.page = page
        page.goto(f"{url}lab/tree/{path}?token=learner&reset")
        page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 5", timeout=90_000
        )
        self.idle()

    def idle(self, seconds: float = 180) -> None:
        """Waits until the kernel has nothing to do."""
        self.page.wait_for_function(
            """() => { const book = window.jupyterapp.shell.currentWidget;
                       const kernel = book.sessionContext.session?.kernel;
                       return kernel && kernel.status === 'idle' && !document.querySelector('.jp-Dialog') &&
                              !book.content.widgets.some(c => c.promptNode?.textContent?.includes('*')); }""",
            timeout=seconds * 1000,
        )

    def cells(self) -> list[dict[str, Any]]:
        """Kind, source, and the text of the outputs of each cell."""
        return list(
            self.page.evaluate(
                """() => window.jupyterapp.shell.currentWidget.content.widgets.map(c => { const m = c.model.toJSON();
                   return {kind: m.cell_type, source: Array.isArray(m.source) ? m.source.join('') : m.source,
                           outputs: JSON.stringify(m.outputs || [])}; })"""
            )
        )

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        time.sleep(1)
        self.idle()

    def check_cell(self, exercise: str) -> int:
        return next(n for n, c in enumerate(self.cells()) if f'lab.check("{exercise}"' in c["source"])

    def exercise_cell(self, exercise: str) -> int:
        cells = self.cells()
        return next(n for n in range(self.check_cell(exercise) - 1, 0, -1) if cells[n]["kind"] == "code")

    def type_and_run(self, number: int, text: str) -> None:
        """Puts the text into a cell, as pasted from the keyboard, and runs it and the next code cell."""
        self.select(number)
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Shift+Enter")

    def select(self, number: int) -> None:
        self.page.evaluate(
            """n => { const book = window.jupyterapp.shell.currentWidget.content; book.activeCellIndex = n;
                      book.mode = 'command'; return book.scrollToItem(n).catch(() => {}); }""",
            number,
        )
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activate()")
        time.sleep(0.3)

    def answer(self, exercise: str, text: str) -> str:
        """Types an answer, runs it and its check, and returns what the check said."""
        self.type_and_run(self.exercise_cell(exercise), text)
        self.select(self.check_cell(exercise))
        self.page.keyboard.press("Shift+Enter")
        time.sleep(0.3)
        self.idle()
        return str(self.cells()[self.check_cell(exercise)]["outputs"])

    def click_in(self, call: str, name: str, nth: int = 0) -> None:
        """Clicks a button in the output of the cell that makes this call."""
        number = next(n for n, c in enumerate(self.cells()) if call in c["source"])
        self.select(number)
        cell = self.page.locator(".jp-Cell.jp-mod-active")
        cell.get_by_role("button", name=name, exact=True).nth(nth).click(timeout=20_000)
        self.idle()

    def save(self) -> None:
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        time.sleep(1)


def expect(found: str, said: str, where: str) -> None:
    if said not in found:
        sys.exit(f"{where}: expected {said!r}, found {found[-600:]}")


def in_browser(slug: str, page: Page, jupyter: Jupyter, kill: bool) -> Answers:
    """Does a lab: runs everything, then each exercise wrong and right, then the quiz.

    `kill`: the kernel is killed before the last exercise, and the lab goes on in a new one.
    """
    answers = answers_of(slug)
    book = Notebook(page, jupyter.url, f"workspace/{slug}/lab.ipynb")
    book.run_all()
    for number, name in enumerate(answers.right):
        if kill and number == len(answers.right) - 1:
            kill_kernel(book, jupyter)
            book.run_all()
        expect(book.answer(name, answers.wrong[name]), "Not yet", f"{slug}, {name}, wrong answer")
        expect(book.answer(name, answers.right[name]), "Correct", f"{slug}, {name}, right answer")
    for question, letter, _ in answers.quiz:
        book.click_in("lab.quiz()", letter, question - 1)
    last = len(book.cells()) - 1
    book.select(last)
    page.keyboard.press("Control+Enter")
    book.idle()
    expect(
        str(book.cells()[last]["outputs"]), f"{len(answers.right)} of {len(answers.right)} correct", f"{slug}, summary"
    )
    page.screenshot(path=str(jupyter.home / f"{slug}.png"))
    book.save()
    return answers


def kill_kernel(book: Notebook, jupyter: Jupyter) -> None:
    before = jupyter.kernels()
    for kernel in before:
        kernel.kill()
    for _ in range(200):
        now = jupyter.kernels()
        if now and not {k.pid for k in now} & {k.pid for k in before}:
            break
        time.sleep(0.2)
    dialog = book.page.locator(".jp-Dialog button.jp-mod-accept")
    for _ in range(20):
        if dialog.count():
            dialog.first.click()
        time.sleep(0.2)
    book.idle()


def on_command_line(slug: str, home: Path) -> Answers:
    """The same without a browser: answers written into the notebook file, executed by `jupyter execute`."""
    answers = answers_of(slug)
    path = home / "workspace" / slug / "lab.ipynb"
    for texts, quiz in ((answers.wrong, []), (answers.right, answers.quiz)):
        book = json.loads(path.read_text())
        code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        for cell, check in pairwise(code):
            named = re.search(r'lab\.check\("(\w+)"', "".join(check["source"]))
            if named and named[1] in texts:
                cell["source"] = texts[named[1]]
        asked = next(cell for cell in code if "".join(cell["source"]).strip() == "lab.quiz()")
        asked["source"] = "\n".join(["lab.quiz()", *(f'lab.quiz({n}, "{letter}")' for n, letter, _ in quiz)])
        path.write_text(json.dumps(book))
        subprocess.run(
            [CORE / "jupyter-execute", "--inplace", str(path)],
            env=os.environ | {"LABS_HOME": str(home)},
            cwd=path.parent,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # lab.quiz() alone again: the learner's file is as it was but for the answers.
        asked["source"] = "lab.quiz()"
    return answers


def compare(done: dict[str, Answers], home: Path) -> None:
    """The progress file says what was done, no more and no less."""
    asked = """
import json, sys
from pathlib import Path
from labkit.classroom.progress import read_progress, standing
found = standing(read_progress(Path(sys.argv[1])))
print(json.dumps({slug: {"exercises": {n: [e.outcome, e.attempts] for n, e in s.exercises.items()},
                         "quiz": s.quiz, "finished": s.finished} for slug, s in found.items()}))
"""
    path = home / "workspace" / "progress.jsonl"
    read = subprocess.run([CORE / "python", "-c", asked, path], capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(read.stdout)
    for slug, answers in done.items():
        wanted = {
            "exercises": {name: ["correct", 2] for name in answers.right},
            "quiz": {str(question): right for question, _, right in answers.quiz},
            "finished": True,
        }
        if found.get(slug) != wanted:
            sys.exit(f"{slug}: progress says\n  {found.get(slug)}\nbut this was done:\n  {wanted}")
        print(f"{slug}: progress is right: {len(answers.right)} exercises, {len(answers.quiz)} questions")


@contextmanager
def collection() -> Iterator[Path]:
    """A collection with a workspace of its own, of links to this checkout."""
    home = Path(tempfile.mkdtemp(prefix="learner-"))
    for name in ("labs", "data", "environments", "pyproject.toml", "noxfile.py"):
        (home / name).symlink_to(ROOT / name)
    try:
        yield home
    finally:
        if "--keep" not in sys.argv:
            shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("slugs", nargs="*", default=["metric-choice", "dead-relu", "leakage-and-time-splits"])
    parser.add_argument("--keep", action="store_true", help="Leave the folder with notebooks, progress and pictures.")
    arguments = parser.parse_args()
    browser_path = shutil.which("chromium") or sys.exit("No chromium: sudo apt-get install chromium")
    with collection() as home:
        print(home)
        for slug in arguments.slugs:
            environment = os.environ | {"LABS_HOME": str(home)}
            subprocess.run([CORE / "labs", "start", slug, "--no-open"], env=environment, check=True)
        *clicked, typed = arguments.slugs
        done: dict[str, Answers] = {}
        jupyter = Jupyter(home)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=str(browser_path), args=list(CHROMIUM))
                for number, slug in enumerate(clicked):
                    page = browser.new_page(viewport={"width": 1280, "height": 1000})
                    done[slug] = in_browser(slug, page, jupyter, kill=number == len(clicked) - 1)
                    page.close()
                browser.close()
        finally:
            jupyter.stop()
        done[typed] = on_command_line(typed, home)
        compare(done, home)
        progress = [CORE / "labs", "progress"]
        subprocess.run(progress, env=os.environ | {"LABS_HOME": str(home)}, check=True)


if __name__ == "__main__":
    main()

"""Each structural rule is shown to refuse the lab that violates it, and to pass the lab that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from labkit.catalog.collection import LabFolder
from labkit.catalog.lint import MENDS, lint
from labkit.lesson.quiz import check_quiz
from labkit.runner.build import build_notebook, drift, write_notebook

from ..conftest import replace


def store(lab: LabFolder) -> None:
    """A notebook as if it had been executed."""
    notebook = build_notebook(lab)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = number
    write_notebook(notebook, lab.notebook)


def source(old: str, new: str) -> Callable[[LabFolder], None]:
    return lambda lab: replace(lab.source, old, new)


def card(old: str, new: str) -> Callable[[LabFolder], None]:
    return lambda lab: replace(lab.folder / "lab.toml", old, new)


def checks(old: str, new: str) -> Callable[[LabFolder], None]:
    return lambda lab: replace(lab.folder / "checks.py", old, new)


def notebook(change: Callable[[dict], None]) -> Callable[[LabFolder], None]:
    def spoil(lab: LabFolder) -> None:
        content = json.loads(lab.notebook.read_text())
        change(content)
        lab.notebook.write_text(json.dumps(content))

    return spoil


def print_into(text: str) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        cell = next(c for c in content["cells"] if c["cell_type"] == "code")
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]

    return change


def forget_execution(content: dict) -> None:
    next(c for c in content["cells"] if c["cell_type"] == "code")["execution_count"] = None


def show_error(content: dict) -> None:
    cell = next(c for c in content["cells"] if c["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}]


VIOLATIONS = {
    "C003": card("section = 2", "section = 3"),
    "C004": card('"T001"', '"T099"'),
    "C005": card('environment = "core"', 'environment = "none"'),
    "C006": card('"planned-lab"', '"unheard-of"'),
    "C007": card('"numbers"', '"letters"'),
    "C008": card('"bigquery"', '"bigtable"'),
    "C009": card("EFFECT = false", "EFFECT = true"),
    "C010": card("bigquery_gib = 1", "bigquery_gib = 100"),
    "C011": card("bigquery_gib = 1\n", ""),
    "C012": card("[ablation]", '[[cloud.machines]]\nuse = "training"\nmachine = "n1-megamem-1"\nhours = 1\n[ablation]'),
    "L001": source("# # A tiny lab", "# # Another title"),
    "L002": source("**You will**", "You will"),
    "L003": source('# %% tags=["parameters"]', "# %%"),
    "L004": source("SEED = 1", 'SEED = "1"'),
    "L005": source("WAIT = 0", "WAIT = int(0)"),
    "L006": source('lesson.open("tiny-lab"', 'lesson.open("other-lab"'),
    "L007": source("## Exam lens", "## Questions"),
    "L008": source('lab.revisit("slope", "steep")', ""),
    "L009": source('lab.claim("slope", slope, at_least=1.5)', ""),
    "L010": source("time.sleep(WAIT)", 'time.sleep(WAIT if TARGET == "local" else 0)'),
    "L011": source("time.sleep(WAIT)", 'host = "http://10.0.0.1/"'),
    "L012": source("lab.finish()", "lab.finish()\n\n# %%\nprint()"),
    "L013": source("time.sleep(WAIT)", "time.sleep(WAIT"),
    "L014": source("# A scenario.", "# TODO a scenario."),
    "L015": source(' tags=["nbval-check-output"]', ""),
    "E001": source('# %% tags=["exercise"]\n# The mean', "# %%\n# The mean"),
    "E002": source('mean = lab.check("mean", mean, data)', "pass"),
    "E003": source("### END SOLUTION\n\n# %%\nmean", "\n\n# %%\nmean"),
    "E004": checks('name = "mean"', 'name = "median"'),
    "E005": checks('"What is a mean?", "Sum, then divide."', '"What is a mean?"'),
    "E006": checks('"of x, which it spoils": "data[\'y\'] = 0.5\\nmean = data.y.mean()"', ""),
    "E007": checks('"Sum, then divide."', '"Write mean = data.y.mean()"'),
    "N001": lambda lab: lab.notebook.unlink(),
    "N003": notebook(forget_execution),
    "N004": notebook(show_error),
    "N005": notebook(print_into("x" * 400_000)),
    "N006": notebook(print_into("wrote /home/somebody/x")),
}


def test_every_rule_has_a_violation() -> None:
    assert set(VIOLATIONS) == set(MENDS)


def test_the_tiny_lab_keeps_every_rule(tiny: LabFolder) -> None:
    store(tiny)
    assert [str(problem) for problem in lint(tiny.folder)] == []


@pytest.mark.parametrize("code", VIOLATIONS)
def test_a_violated_rule_is_named_with_place_and_mend(tiny: LabFolder, code: str) -> None:
    store(tiny)
    VIOLATIONS[code](tiny)
    found = [problem for problem in lint(tiny.folder) if problem.code == code]
    assert found, [str(problem) for problem in lint(tiny.folder)]
    assert str(tiny.folder) in str(found[0]) and MENDS[code] in str(found[0])


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("minutes = 5", "minutes = 500", "minutes"),
        ("minutes = 5", 'minutes = "5 hours"', "minutes"),
        ("minutes = 5", "minutes = 5\nlength = 3", "length"),
        ('topics = ["T001"]', "topics = []", "topics"),
        ("max_cost_usd = 0.01", "max_cost_usd = -1", "cloud.max_cost_usd"),
        ("bigquery_gib = 1", "bigquery_gib = -1", "cloud.bigquery_gib"),
        ("[ablation]", '[[cloud.machines]]\nuse = "toy"\nmachine = "a"\nhours = 1\n[ablation]', "cloud.machines.0.use"),
    ],
)
def test_a_bad_card_is_refused_by_field(tiny: LabFolder, old: str, new: str, field: str) -> None:
    replace(tiny.folder / "lab.toml", old, new)
    problems = lint(tiny.folder)
    assert [problem.code for problem in problems] == ["C002"]
    assert field in problems[0].what


def test_a_card_that_is_not_toml(tiny: LabFolder) -> None:
    (tiny.folder / "lab.toml").write_text("title = ")
    assert [problem.code for problem in lint(tiny.folder)] == ["C001"]


def test_a_notebook_that_lags_behind_its_source(tiny: LabFolder) -> None:
    store(tiny)
    assert drift(tiny) == []
    replace(tiny.source, "A scenario.", "Another scenario.")
    assert [problem.code for problem in drift(tiny)] == ["N002"]


def test_quiz_rules(tiny: LabFolder, tmp_path: Path) -> None:
    quiz = tiny.folder / "quiz.toml"
    assert check_quiz(quiz) == []
    text = quiz.read_text()
    quiz.write_text(text.replace('text = "one", right = true', 'text = "one of many words indeed", right = true'))
    assert [p.code for p in check_quiz(quiz)] == ["Q002"]
    quiz.write_text(text.replace('text = "two", why', 'text = "two", right = true, why'))
    assert [p.code for p in check_quiz(quiz)] == ["Q001"]
    assert [p.code for p in check_quiz(tmp_path / "quiz.toml")] == ["Q001"]

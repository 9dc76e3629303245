"""Real kernels: limits, what is kept, exercises both ways, ablation."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.catalog.environments import environments
from labkit.runner import exercises
from labkit.runner.build import build_notebook, drift, stored, write_notebook
from labkit.runner.commands import Options, run_labs
from labkit.runner.execute import LEARNER, Result, Run, execute, executed_notebook
from labkit.runner.health import expected_seconds, health_file
from labkit.runner.learner import learner_copy, without_solution
from labkit.runner.parameters import checked, from_command_line, read_parameters
from labkit.runner.pools import local_pool
from labkit.runner.warm.kernels import KERNELS, warm_kernels

from ..conftest import replace


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """Most of these tests wait for nothing but the imports of a kernel."""
    with warm_kernels([replaced(environments()["core"], warm=("labkit.lesson", "matplotlib.pyplot", "pandas"))]):
        yield


def run(lab: LabFolder, folder: Path, **options: Any) -> Result:
    return execute(Run(lab.slug, folder / "run", **options))


def test_a_worked_run_passes_and_refuses_every_wrong_answer(tiny: LabFolder, tmp_path: Path) -> None:
    before = sorted(tiny.folder.iterdir())
    result = run(tiny, tmp_path, audit=True, parameters={"SEED": 9})
    assert before == sorted(tiny.folder.iterdir()), "the lab's folder is not for output"
    assert result.error == "" and result.seconds > result.cpu_seconds > 0.2 and result.peak_mib > 20
    assert [(c["name"], c["holds"]) for c in result.claims] == [("slope", True)]
    assert exercises.worked_faults(result) == []
    audits = [event["label"] for event in result.events if event["event"] == "audit"]
    assert audits == ["sum", "of x, which it spoils", "square", "wrong number"]


def test_a_wrong_answer_that_passes_is_a_fault(tiny: LabFolder, tmp_path: Path) -> None:
    replace(tiny.folder / "checks.py", '"sum": "mean = data.y.sum()"', '"sum": "mean = sum(data.y) / len(data)"')
    faults = exercises.worked_faults(run(tiny, tmp_path, audit=True))
    assert len(faults) == 1 and "'sum' is judged correct" in faults[0]


def test_a_solution_that_fails_its_check_is_a_fault(tiny: LabFolder, tmp_path: Path) -> None:
    replace(tiny.source, "mean = data.y.mean()", "mean = data.x.mean()")
    faults = exercises.worked_faults(run(tiny, tmp_path))
    assert "mean: the solution is incorrect" in faults[0]


def test_the_untouched_copy_runs_to_its_end(tiny: LabFolder, tmp_path: Path) -> None:
    result = run(tiny, tmp_path, form=LEARNER)
    assert result.error == "" and exercises.untouched_faults(result) == []
    source = "\n".join(cell.source for cell in nbformat.read(result.notebook, 4).cells)
    assert "mean = ...  # your answer here" in source and "data.y.mean()" not in source


def test_an_ablation_must_fail_a_claim(tiny: LabFolder, tmp_path: Path) -> None:
    ablated = run(tiny, tmp_path, parameters={"EFFECT": False})
    assert exercises.ablation_fault(ablated) == "" and "ClaimFailed" in ablated.error
    unharmed = run(tiny, tmp_path / "unharmed")
    assert "every claim still holds" in exercises.ablation_fault(unharmed)
    broken = run(tiny, tmp_path / "broken", parameters={"FAIL": True})
    assert "not at a claim" in exercises.ablation_fault(broken)


def test_a_failing_cell_leaves_the_notebook(tiny: LabFolder, tmp_path: Path) -> None:
    result = run(tiny, tmp_path, parameters={"FAIL": True})
    assert "ValueError: asked to fail" in result.error
    outputs = [o for cell in executed_notebook(result).cells if cell.cell_type == "code" for o in cell.outputs]
    assert any(output.output_type == "error" for output in outputs)


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"cell_seconds": 2}, "a cell ran longer than its limit of 2 s"), ({"lab_seconds": 10}, "the lab ran longer")],
)
def test_limits_of_time(tiny: LabFolder, tmp_path: Path, limits: dict[str, int], said: str) -> None:
    result = run(tiny, tmp_path, parameters={"WAIT": 60}, **limits)
    assert said in result.error and result.seconds < 30
    assert any(c.cell_type == "code" and c.outputs for c in executed_notebook(result).cells)


def test_a_process_left_behind_is_found_and_ended(tiny: LabFolder, tmp_path: Path) -> None:
    stay = 'import subprocess\nsubprocess.Popen(["sleep", "301"], start_new_session=True)\ntime.sleep(2)'
    replace(tiny.source, "time.sleep(WAIT)", stay)
    result = run(tiny, tmp_path)
    assert "left behind" in result.error and "sleep 301" in result.error


def test_a_dead_kernel_is_named(tiny: LabFolder, tmp_path: Path) -> None:
    replace(tiny.source, "time.sleep(WAIT)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "the kernel died" in run(tiny, tmp_path).error


def test_a_worker_that_is_killed_costs_its_run_and_no_other(
    tiny: LabFolder, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cold kernel's parent is the worker; a warm one's is this module's server.
    monkeypatch.delenv(KERNELS)
    monkeypatch.delenv("JUPYTER_PATH")
    other = tiny.folder.with_name("other-lab")
    shutil.copytree(tiny.folder, other)
    for name in ("lab.py", "checks.py"):
        (other / name).write_text((other / name).read_text().replace("tiny-lab", "other-lab"))
    replace(other / "lab.py", "time.sleep(WAIT)", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")
    for jobs in (1, 2):
        assert run_labs([], None, [], "1/1", 60, 60, options=Options(jobs=jobs, cold=True)) == 1
        said = capsys.readouterr().out
        assert "run: 1 passed, 1 failed: other-lab" in said
        assert "the process that ran it was killed, most likely by a system without memory" in said


def test_a_worker_that_is_killed_between_runs_is_replaced(tiny: LabFolder, tmp_path: Path) -> None:
    with local_pool(1) as pool:
        assert pool.submit(Run(tiny.slug, tmp_path / "one")).result(60).error == ""
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        time.sleep(1)
        assert pool.submit(Run(tiny.slug, tmp_path / "two")).result(60).error == ""


def test_the_build_is_reproducible(tiny: LabFolder, tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        result = run(tiny, tmp_path / name)
        write_notebook(stored(executed_notebook(result), build_notebook(tiny)), tiny.notebook)
        assert drift(tiny) == []
        texts.append(tiny.notebook.read_text())
    assert texts[0] == texts[1]
    assert "widget-view" not in texts[0] and "papermill" not in texts[0]


def test_how_long_a_run_will_take(tiny: LabFolder) -> None:
    assert expected_seconds("tiny-lab") == 30
    replace(tiny.folder / "lab.toml", 'environment = "core"', 'environment = "tfx"')
    assert expected_seconds("tiny-lab") == 60
    health_file("tiny-lab").parent.mkdir(parents=True)
    lines = [{"passed": True, "seconds": 5.5}, {"passed": True, "seconds": 7.5}, {"passed": False, "seconds": 300}]
    health_file("tiny-lab").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"passed": tr')
    assert expected_seconds("tiny-lab") == 7.5


def test_the_health_record_grows(tiny: LabFolder, capsys: Any) -> None:
    assert run_labs(["tiny-lab"], 4, [], "1/1", 60, 60) == 0
    assert run_labs(["tiny-lab"], None, ["FAIL=true"], "1/1", 60, 60) == 1
    said = capsys.readouterr().out
    assert "holds  slope" in said and "notebook: " in said and "0 passed, 1 failed: tiny-lab" in said
    lines = health_file("tiny-lab").read_text().splitlines()
    assert len(lines) == 2 and '"passed": true' in lines[0] and '"passed": false' in lines[1]


def test_parameters_are_typed(tiny: LabFolder) -> None:
    known = read_parameters(tiny.source)
    assert checked("tiny-lab", known, {"SEED": "3", "EFFECT": "false", "SCALE": "2"}) == {
        "SEED": 3,
        "EFFECT": False,
        "SCALE": 2.0,
    }
    with pytest.raises(LabError, match=r"no parameter 'SIZE'. It has: TARGET \(str\), SEED \(int\), EFFECT \(bool\)"):
        checked("tiny-lab", known, {"SIZE": 1})
    for name, value in {"SEED": "1.5", "EFFECT": 1, "SCALE": "wide", "TARGET": 3}.items():
        with pytest.raises(LabError, match=f"parameter {name} is"):
            checked("tiny-lab", known, {name: value})
    with pytest.raises(LabError, match="write NAME=VALUE"):
        from_command_line(["SEED"])


@pytest.mark.parametrize("line", ["SEED = int(1)", "SEED = [1]", "SEED = SCALE = 1", "print(1)", "SEED: list = 1"])
def test_a_parameter_is_a_typed_literal(tiny: LabFolder, line: str) -> None:
    replace(tiny.source, "SEED = 1", line)
    with pytest.raises(LabError, match=r"lab\.py:\d+"):
        read_parameters(tiny.source)


def test_placeholders() -> None:
    source = "# Do.\n### BEGIN SOLUTION\na, b = 1, 2\nc = a\n### END SOLUTION"
    assert without_solution(source) == "# Do.\n" + "\n".join(f"{n} = ...  # your answer here" for n in "abc")
    source = "def f(x):\n    ### BEGIN SOLUTION\n    y = x\n    return y\n    ### END SOLUTION"
    assert without_solution(source) == "def f(x):\n    ...  # your code here"
    with pytest.raises(LabError, match="without"):
        without_solution("### BEGIN SOLUTION\na = 1")
    with pytest.raises(LabError, match="before it"):
        without_solution("a = 1\n### END SOLUTION")


def test_no_solution_is_left_in_any_learners_copy(tiny: LabFolder) -> None:
    text = nbformat.writes(learner_copy(build_notebook(tiny)))
    assert "SOLUTION" not in text and "2 * x\\n" not in text

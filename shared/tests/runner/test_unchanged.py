"""Only what changed is run again: a change in each input counts, a change elsewhere does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog import imports
from labkit.catalog.collection import LabFolder
from labkit.catalog.environments import environments
from labkit.cli import app
from labkit.runner import unchanged
from labkit.runner.commands import Options, run_ablations, run_labs, run_untouched
from labkit.runner.execute import execute
from labkit.runner.health import health_file
from labkit.runner.runs import Run
from labkit.runner.schedule import run_folder
from labkit.runner.unchanged import forget_pass, keep_pass, last_pass
from labkit.runner.warm.kernels import KERNELS, warm_kernels
from typer.testing import CliRunner

from ..conftest import ROOT, replace

KIND = "run"
USED = ["labkit/lesson/lab.py", "localgcp/vertex/pipelines/runs.py", "labkit/catalog/prices.py"]


@pytest.fixture(scope="module")
def warm() -> Iterator[None]:
    """These tests wait for nothing but the imports of kernels."""
    with warm_kernels([replaced(environments()["core"], warm=("labkit.lesson", "matplotlib.pyplot", "pandas"))]):
        yield


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code that may be changed."""
    copy = tmp_path / "shared"
    for package in ("labkit", "localgcp"):
        shutil.copytree(ROOT / "shared" / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(unchanged, "_SHARED", copy)
    return copy


@pytest.fixture
def environment(collection: Path) -> Path:
    """An environment that may be changed."""
    (collection / ".venvs").unlink()
    folder = collection / ".venvs" / "core"
    kernel = folder / "share" / "jupyter" / "kernels" / "labs-core" / "kernel.json"
    for path in (kernel, folder / "made-from", folder / "pyvenv.cfg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as made")
    return folder


@pytest.fixture
def passed(tiny: LabFolder, environment: Path, shared: Path) -> Run:
    """A run that has passed, with what its kernel has used."""
    run = Run(tiny.slug, run_folder(tiny.slug, "worked"), parameters={"SEED": 7})
    run.folder.mkdir(parents=True)
    run.imports.write_text(json.dumps([str(shared / name) for name in USED]))
    keep_pass(run, KIND, time.time() + 1)
    assert last_pass(run, KIND)
    return run


def append(path: Path) -> None:
    assert path.exists(), path
    path.write_bytes(path.read_bytes() + b"\n# changed\n")


INPUTS: dict[str, Callable[[Path, Path], Any]] = {
    "its source": lambda home, _: append(home / "labs/2-data/tiny-lab/lab.py"),
    "its checks": lambda home, _: append(home / "labs/2-data/tiny-lab/checks.py"),
    "its quiz": lambda home, _: append(home / "labs/2-data/tiny-lab/quiz.toml"),
    "its card": lambda home, _: append(home / "labs/2-data/tiny-lab/lab.toml"),
    "a new file": lambda home, _: (home / "labs/2-data/tiny-lab/helper.py").write_text(""),
    "its data's entry": lambda home, _: append(home / "data/registry/numbers.toml"),
    "its data's file": lambda home, _: append(home / "data/files/numbers.csv"),
    "its data's generator": lambda home, _: append(home / "data/generators/planted.py"),
    "data that is gone": lambda home, _: (home / "data/registry/numbers.toml").unlink(),
    "the lock": lambda home, _: append(home / "environments/core.txt"),
    "what its environment was made from": lambda home, _: append(home / ".venvs/core/made-from"),
    "its Python": lambda home, _: append(home / ".venvs/core/pyvenv.cfg"),
    "its kernel's variables": lambda home, _: append(home / ".venvs/core/share/jupyter/kernels/labs-core/kernel.json"),
    "a module that it uses": lambda _, shared: append(shared / "labkit/lesson/lab.py"),
    "a module that is gone": lambda _, shared: (shared / "localgcp/vertex/pipelines/runs.py").unlink(),
    "a script that a module starts": lambda _, shared: append(shared / "localgcp/vertex/pipelines/runner.py"),
    "a script that this script starts": lambda _, shared: append(shared / "localgcp/vertex/pipelines/component.py"),
    "a table that a module reads": lambda home, _: append(home / "labs/blueprint/prices.toml"),
    "what judges": lambda _, shared: append(shared / "labkit/runner/exercises.py"),
}
ELSEWHERE: dict[str, Callable[[Path, Path], Any]] = {
    "a module that it does not use": lambda _, shared: append(shared / "localgcp/vertex/models/registry.py"),
    "how runs are shown": lambda _, shared: append(shared / "labkit/runner/progress.py"),
    "the README": lambda home, _: (home / "README.md").write_text("new"),
    "another lab": lambda home, _: shutil.copytree(home / "labs/2-data/tiny-lab", home / "labs/2-data/other-lab"),
    "another data set": lambda home, _: (home / "data/registry/other.toml").write_text("title = 1"),
    "another environment": lambda home, _: append(home / "environments/tfx.txt"),
    "a table that it does not read": lambda home, _: append(home / "labs/blueprint/labs.csv"),
    "the built notebook": lambda home, _: (home / "labs/2-data/tiny-lab/lab.ipynb").write_text("{}"),
    "what Python keeps": lambda home, _: (home / "labs/2-data/tiny-lab/__pycache__").mkdir(),
}


@pytest.mark.parametrize("what", INPUTS)
def test_a_change_of_an_input_runs_again(passed: Run, collection: Path, shared: Path, what: str) -> None:
    INPUTS[what](collection, shared)
    assert last_pass(passed, KIND) == ""


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_change_elsewhere_does_not(passed: Run, collection: Path, shared: Path, what: str) -> None:
    ELSEWHERE[what](collection, shared)
    assert last_pass(passed, KIND) != ""


def test_another_run_of_the_same_lab_is_another_matter(passed: Run) -> None:
    assert last_pass(replaced(passed, folder=Path("elsewhere")), KIND)
    for other in ({"parameters": {"SEED": 8}}, {"form": "learner"}, {"audit": True}, {"lab_seconds": 5}):
        assert last_pass(replaced(passed, **other), KIND) == ""
    assert last_pass(passed, "ablation") == ""


@pytest.mark.parametrize("left", [b"", b'{"key": ', b"[]", b"null", b'{"key": 1, "modules": [3]}', b"\xff\xfe"])
def test_a_broken_record_runs_again(passed: Run, collection: Path, left: bytes) -> None:
    (record,) = (collection / ".work" / "passed" / passed.slug).glob("*.json")
    record.write_bytes(left)
    assert last_pass(passed, KIND) == ""
    record.unlink()
    assert last_pass(passed, KIND) == ""


def test_a_failure_is_never_unchanged(passed: Run) -> None:
    forget_pass(passed, KIND)
    assert last_pass(passed, KIND) == ""
    forget_pass(passed, KIND)


def test_what_cannot_be_vouched_for_is_not_kept(passed: Run) -> None:
    keep_pass(passed, KIND, time.time() - 3600)
    assert last_pass(passed, KIND) == "", "a file was changed while it ran"
    keep_pass(passed, KIND, time.time() + 1)
    assert last_pass(passed, KIND)
    cloud = replaced(passed, parameters={"TARGET": "vertex"})
    keep_pass(cloud, KIND, time.time() + 1)
    assert last_pass(cloud, KIND) == ""
    passed.imports.unlink()
    keep_pass(passed, KIND, time.time() + 1)
    assert last_pass(passed, KIND) == "", "nobody knows which modules it used"


def used(run: Run) -> set[str]:
    return {os.path.relpath(path, ROOT / "shared") for path in json.loads(run.imports.read_text())}


def test_a_warm_kernel_has_used_what_a_cold_one_has(
    tiny: LabFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server has imported much that the lab does not use, and that must not count."""
    for variable in (KERNELS, "JUPYTER_PATH"):
        monkeypatch.delenv(variable, raising=False)
    cold, warm = (Run(tiny.slug, tmp_path / name) for name in ("cold", "warm"))
    assert execute(cold).error == ""
    preloaded = ("labkit.lesson", "pandas", "localgcp.storage", "localgcp.vertex.pipelines.specs", "localgcp.bqml")
    with warm_kernels([replaced(environments()["core"], warm=preloaded)]):
        assert execute(warm).error == ""
    assert used(cold) == used(warm)
    assert {"labkit/lesson/lab.py", "labkit/target/local.py", "localgcp/bqml/models/__init__.py"} <= used(warm)
    assert not any(name.startswith(("localgcp/storage", "localgcp/vertex", "labkit/runner")) for name in used(warm))


def test_a_pass_is_not_repeated_and_a_failure_is(
    warm: None, tiny: LabFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Options(changed_only=True)
    assert run_labs([], 4, [], "1/1", 60, 60, options=again) == 0
    began = time.monotonic()
    assert run_labs([], 4, [], "1/1", 60, 60, options=again) == 0
    assert time.monotonic() - began < 2
    said = capsys.readouterr().out
    assert said.count("tiny-lab: passed") == 1 and "unchanged: 1 labs, last passed 20" in said
    replace(tiny.source, "at_least=1.5", "at_least=150")
    assert run_labs([], 4, [], "1/1", 60, 60, options=again) == 1
    # Its fault is found by the judges: every cell runs.
    replace(tiny.source, "at_least=150", "at_least=1.5")
    replace(tiny.folder / "checks.py", '"sum": "mean = data.y.sum()"', '"sum": "mean = sum(data.y) / len(data)"')
    for _ in range(2):
        assert run_labs([], 4, [], "1/1", 60, 60, options=again) == 1
    assert capsys.readouterr().out.count("tiny-lab: FAILED") == 3
    assert [json.loads(line)["passed"] for line in health_file("tiny-lab").read_text().splitlines()] == [True] + 3 * [
        False
    ]


def test_copies_and_ablations_are_kept_too(warm: None, tiny: LabFolder, capsys: pytest.CaptureFixture[str]) -> None:
    again = Options(changed_only=True)
    for _ in range(2):
        assert run_untouched([], 4, "1/1", options=again) == 0
        assert run_ablations([], 4, "1/1", options=again) == 0
    said = capsys.readouterr().out
    assert said.count("tiny-lab: passed") == 2 and said.count("unchanged: 1 labs") == 2


def test_nothing_changed_imports_no_papermill(passed: Run, collection: Path) -> None:
    """That is most of the time of a run with nothing to do."""
    code = """
import sys
from labkit.cli import app
from labkit.runner import commands, unchanged
commands.split_unchanged = lambda runs, kind: ([], [unchanged.Passed(run, "2026-01-01T00:00:00") for run in runs])
app(["run", "--changed-only"], standalone_mode=False)
print(sorted({"papermill", "nbformat", "jupytext", "jsonschema", "zmq", "matplotlib", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unchanged: 1 labs" in done.stdout and done.stdout.splitlines()[-1] == "[]"


def test_what_is_spared_is_there_for_everybody_else() -> None:
    """pandas asks once whether pyarrow is there: it must not be imported while that is hidden."""
    code = """
import sys
import labkit.runner.lean
assert not {"pandas", "pyarrow", "gcsfs", "rfc3987_syntax"} & set(sys.modules)
import pyarrow.fs, gcsfs, rfc3987_syntax
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_results_of_every_lab_and_only_the_changed_ones_do_not_go_together(collection: Path) -> None:
    said = CliRunner().invoke(app, ["run", "--changed-only", "--results", str(collection / "results")])
    assert said.exit_code == 2 and "does not go with --changed-only" in said.output


def test_imports_of_every_form_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is used is reached by plain, relative and lazy imports, and by name."""
    trace = imports.Trace()
    trace.early = {"labkit"}
    monkeypatch.setattr(imports, "loaded", lambda: there)
    there = {"labkit", "labkit.a", "labkit.a.b", "labkit.c", "labkit.d", "labkit.e", "localgcp", "localgcp.x"}
    trace.preloaded = there - {"labkit.e"}
    noted = trace._noting(lambda *_: None)
    noted("labkit.a", {"__name__": "__main__"}, None, ("b",))
    noted("c", {"__name__": "labkit.a.b", "__package__": "labkit"}, None, (), 1)
    noted("localgcp.x", {"__name__": "labkit.d"}, None, ())
    noted("pandas", {"__name__": "__main__"}, None, ())
    assert trace.used() == {"labkit", "labkit.a", "labkit.a.b", "labkit.c", "labkit.e"}

"""The same plan on Dask gives what it gives here. Run by `nox -s tests` in the environment dask."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import nbformat
import pytest
from distributed import LocalCluster
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.catalog.environments import environments
from labkit.runner import dask, exercises
from labkit.runner.commands import Options, build_labs, run_labs
from labkit.runner.dask import dask_pool
from labkit.runner.health import health_file
from labkit.runner.plan import planned
from labkit.runner.pools import local_pool
from labkit.runner.runs import LEARNER, STORED, Result, Run
from labkit.runner.schedule import run_all
from labkit.runner.warm.kernels import warm_kernels

from ..conftest import ROOT
from .test_interruption import hear_interrupts, started_by, wait_for


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    with warm_kernels([replaced(environments()["core"], warm=("labkit.lesson", "matplotlib.pyplot", "pandas"))]):
        yield


@pytest.fixture
def labs(tiny: LabFolder) -> list[str]:
    """Two labs: one that passes, one of which a solution fails its check and an exercise takes a wrong answer."""
    other = tiny.folder.with_name("other-lab")
    shutil.copytree(tiny.folder, other)
    for name in ("lab.py", "checks.py"):
        text = (other / name).read_text().replace("tiny-lab", "other-lab")
        text = text.replace("mean = data.y.mean()", "mean = data.x.mean()")
        (other / name).write_text(text)
    assert build_labs(["tiny-lab"]) == 0
    return ["tiny-lab", "other-lab"]


def runs(labs: list[str], folder: Path) -> list[Run]:
    worked = [Run(slug, folder / slug, parameters={"SEED": 9}, audit=True) for slug in labs]
    failing = Run(labs[0], folder / "failing", parameters={"FAIL": True})
    return [*worked, Run(labs[0], folder / "copy", LEARNER), Run(labs[0], folder / "stored", STORED), failing]


def essence(result: Result) -> dict[str, Any]:
    """All that a run says, without times, memory and places."""
    events = [{k: v for k, v in event.items() if k not in ("time", "id")} for event in result.events]
    cells = [
        (cell.source, [{**output, "metadata": {}} for output in cell.get("outputs", ())])
        for cell in nbformat.read(result.notebook, 4).cells
    ]
    faults = exercises.worked_faults(result) if result.run.audit else []
    home = str(result.run.folder.parent)
    said = json.dumps([result.run.form, result.error, events, cells, faults], sort_keys=True, default=str)
    return {"folder": result.run.folder.name, "said": said.replace(home, "HOME")}


def carried_out(labs: list[str], folder: Path, pool: Any) -> list[dict[str, Any]]:
    results = run_all(planned(runs(labs, folder), "run", 2, 1e9), lambda result: None, pool)
    return sorted((essence(result) for result in results), key=lambda one: one["folder"])


def test_results_are_those_of_this_machine(labs: list[str], tmp_path: Path) -> None:
    # The same folder name in both, since a notebook may show where it wrote.
    here = carried_out(labs, tmp_path / "a" / "runs", local_pool)
    there = carried_out(labs, tmp_path / "b" / "runs", dask_pool(""))
    assert [one["folder"] for one in here] == ["copy", "failing", "other-lab", "stored", "tiny-lab"]
    assert here == there
    assert "asked to fail" in here[1]["said"] and "the solution is incorrect" in here[2]["said"]


def test_a_command_on_a_scheduler_elsewhere(tiny: LabFolder, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["LABS_HOME"] = str(tiny.folder.parents[2])
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        options = Options(pool_of=dask_pool(cluster.scheduler_address), changed_only=True)
        assert run_labs([], 4, [], "1/1", 60, 60, options=options) == 0
        assert run_labs([], 4, [], "1/1", 60, 60, options=options) == 0
    said = capsys.readouterr().out
    assert said.count("tiny-lab: passed") == 1 and "unchanged: 1 labs" in said
    assert len(health_file("tiny-lab").read_text().splitlines()) == 1


def test_a_worker_that_dies_costs_its_lab_only(tiny: LabFolder, tmp_path: Path) -> None:
    with dask_pool("")(1) as pool:
        waiting = pool.submit(Run("tiny-lab", tmp_path / "gone", parameters={"WAIT": 100}))
        assert wait_for((tmp_path / "gone" / "journal.jsonl").exists, 60)
        (pid,) = pool._client.run(os.getpid).values()  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        gone = waiting.result(60)
        fine = pool.submit(Run("tiny-lab", tmp_path / "fine")).result(90)
    assert "it did not end on its worker" in gone.error and fine.error == ""


def test_a_scheduler_that_is_not_there_or_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_CONNECT_SECONDS", 1)
    with pytest.raises(LabError, match="no scheduler answers"), dask_pool("tcp://127.0.0.1:9")(1):
        pass
    two = LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with two, pytest.raises(LabError, match="with one thread"), dask_pool(two.scheduler_address)(1):
        pass


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(collection: Path, sign: signal.Signals) -> None:
    command = [
        str(ROOT / ".venvs" / "dask" / "bin" / "labs"),
        "run",
        "tiny-lab",
        "-p",
        "WAIT=200",
        "--executor",
        "dask",
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=hear_interrupts)
    try:
        assert wait_for(lambda: list(collection.glob(".work/runs/tiny-lab/*/journal.jsonl")), 60)
        time.sleep(1)
        run.send_signal(sign)
        assert run.wait(30) != 0
        assert wait_for(lambda: not started_by(collection), 20), [p.cmdline() for p in started_by(collection)]
    finally:
        for process in started_by(collection):
            process.kill()

"""Order, cores, memory and time left of many runs; the record that they come from; the parts of a collection."""

from __future__ import annotations

import json
import random
import shutil
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.cli import app
from labkit.runner import capacity
from labkit.runner.capacity import memory_for_runs
from labkit.runner.health import Expected, expected, health_file, lab_health, record
from labkit.runner.plan import Plan, about, planned
from labkit.runner.runs import Result, Run
from labkit.runner.schedule import run_all
from labkit.runner.shards import balanced, seconds_file, shard, write_seconds
from typer.testing import CliRunner


def plan_of(jobs: int, memory: float, **labs: tuple[float, float]) -> Plan:
    """A plan of runs with seconds and peak MiB by name, in that order."""
    known = {slug: Expected(*what) for slug, what in labs.items()}
    return Plan([Run(slug, Path(slug)) for slug in labs], known, jobs, memory)


def started(plan: Plan) -> list[str]:
    names = []
    while (run := plan.start_next()) is not None:
        names.append(run.slug)
    return names


def write_record(slug: str, *runs: dict[str, Any]) -> None:
    path = health_file(slug)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"kind": "run", "peak_mib": 100, **run}) + "\n" for run in runs))


def test_a_run_that_does_not_fit_waits_and_a_smaller_one_goes_by() -> None:
    plan = plan_of(3, 2000, big=(90, 1500), large=(80, 900), small=(70, 400), tiny=(60, 200))
    assert started(plan) == ["big", "small"]
    plan.finish(plan.running[0])
    assert started(plan) == ["large", "tiny"]
    assert plan.text({}) == "1 of 4, about 1 min left"


def test_beside_a_lab_that_measures_time_nothing_runs(tiny: LabFolder) -> None:
    for slug in ("long-lab", "timed-lab"):
        shutil.copytree(tiny.folder, tiny.folder.with_name(slug))
    card = tiny.folder.with_name("timed-lab") / "lab.toml"
    card.write_text("alone = true\n" + card.read_text())
    write_record("long-lab", {"passed": True, "seconds": 90})
    write_record("timed-lab", {"passed": True, "seconds": 5})
    slugs = ("tiny-lab", "long-lab", "timed-lab")
    plan = planned([Run(slug, Path(slug)) for slug in slugs], "run", 2, 1e9)
    assert started(plan) == ["timed-lab"]
    plan.finish(plan.running[0])
    assert started(plan) == ["long-lab", "tiny-lab"]
    # Were others there before, as with --failed-first, it waits for them.
    write_record("long-lab", {"passed": False, "seconds": 90})
    plan = planned([Run(slug, Path(slug)) for slug in slugs], "run", 2, 1e9, failed_first=True)
    assert started(plan) == ["long-lab", "tiny-lab"] and plan.waiting[0].slug == "timed-lab"


def test_no_more_at_once_than_jobs() -> None:
    plan = plan_of(2, 1e9, a=(1, 1), b=(1, 1), c=(1, 1))
    assert started(plan) == ["a", "b"]


def test_a_run_that_is_alone_always_goes() -> None:
    plan = plan_of(2, -100, huge=(10, 50_000), small=(5, 10))
    assert started(plan) == ["huge"]
    plan.finish(plan.running[0])
    assert started(plan) == ["small"]


def test_time_left_is_shared_but_no_less_than_the_longest() -> None:
    plan = plan_of(2, 1e9, long=(100, 1), a=(20, 1), b=(20, 1), c=(20, 1))
    assert plan.seconds_left({}) == 100
    assert started(plan) == ["long", "a"]
    assert plan.seconds_left({"long": 90, "a": 25}) == 25
    assert [about(seconds) for seconds in (3, 44, 70, 200)] == [
        "about 10 s",
        "about 40 s",
        "about 1 min",
        "about 3 min",
    ]


def test_longest_first_and_failed_ones_before(tiny: LabFolder) -> None:
    slugs = ["long-lab", "short-lab", "broken-lab"]
    for slug in slugs:
        shutil.copytree(tiny.folder, tiny.folder.with_name(slug))
    write_record("long-lab", {"passed": False, "seconds": 3}, {"passed": True, "seconds": 90, "peak_mib": 700})
    write_record("short-lab", {"passed": True, "seconds": 5})
    write_record("broken-lab", {"passed": True, "seconds": 7}, {"passed": False, "seconds": 1})
    runs = [Run(slug, Path(slug)) for slug in ("short-lab", "broken-lab", "tiny-lab", "long-lab")]
    order = [run.slug for run in planned(runs, "run", 2, 1e9).waiting]
    assert order == ["long-lab", "tiny-lab", "broken-lab", "short-lab"]
    order = [run.slug for run in planned(runs, "run", 2, 1e9, failed_first=True).waiting]
    assert order == ["broken-lab", "long-lab", "tiny-lab", "short-lab"]
    # Its newest run of another kind has not failed.
    assert planned(runs, "build", 2, 1e9, failed_first=True).waiting[0].slug == "long-lab"


def test_what_is_expected_of_a_run(tiny: LabFolder) -> None:
    assert expected("tiny-lab", "run") == Expected(30, 1000)
    write_record(
        "tiny-lab",
        {"passed": True, "seconds": 9, "peak_mib": 5000},
        *({"passed": True, "seconds": 8, "peak_mib": 300 + more} for more in range(5)),
        {"passed": True, "kind": "ablation", "seconds": 1},
        {"passed": True, "kind": "build", "seconds": 20, "peak_mib": 250},
        {"passed": False, "seconds": 99, "peak_mib": 9000},
    )
    assert expected("tiny-lab", "run") == Expected(8, 304, failed=True)
    assert expected("tiny-lab", "build") == Expected(20, 250)
    assert expected("tiny-lab", "ablation") == Expected(1, 100)
    assert expected("tiny-lab", "untouched learner's copy").seconds == 20


def test_half_a_line_costs_only_itself(tiny: LabFolder, tmp_path: Path) -> None:
    write_record("tiny-lab", {"passed": True, "seconds": 5})
    with health_file("tiny-lab").open("a") as file:
        file.write('{"passed": tr')
    result = Result(Run("tiny-lab", tmp_path), tmp_path, "", 6.0, 200.0, [])
    record(result, "run", ["the wrong answer 'sum' is judged correct"])
    record(result, "run", [])
    lines = health_file("tiny-lab").read_text().splitlines()
    assert len(lines) == 4 and [json.loads(line)["passed"] for line in lines[2:]] == [False, True]


def test_the_record_as_a_table(tiny: LabFolder) -> None:
    claims = [{"slope": value} for value in (1.0, 4.0, 2.0)]
    runs = [{"passed": True, "seconds": 3 + n, "date": f"2026-11-0{n + 1}T10:00:00+00:00"} for n in range(3)]
    write_record("tiny-lab", *(run | {"claims": claim} for run, claim in zip(runs, claims, strict=True)))
    assert lab_health("tiny-lab").claims == {"slope": (1.0, 2.0, 4.0)}
    said = CliRunner().invoke(app, ["health", "tiny-lab"])
    assert said.exit_code == 0 and "2026-11-03 10:00" in said.output and "passes" in said.output
    assert said.output.splitlines()[-1].split() == ["tiny-lab", "slope", "1", "2", "4"]
    assert "no run" not in CliRunner().invoke(app, ["health"]).output
    assert CliRunner().invoke(app, ["health", "tiny-lbb"]).exit_code == 2


def test_parts_are_disjoint_whole_and_about_as_long_as_each_other() -> None:
    draw = random.Random(3)
    for parts in (1, 2, 3, 7):
        seconds = {f"lab-{n}": draw.uniform(5, 120) for n in range(40)}
        groups = balanced(seconds, parts)
        assert sorted(slug for group in groups for slug in group) == sorted(seconds)
        loads = [sum(seconds[slug] for slug in group) for group in groups]
        # Longest first keeps every part below 4/3 of the best there is.
        assert max(loads) - min(loads) <= 120 and max(loads) <= 4 / 3 * max(120, sum(loads) / parts)


def test_two_machines_agree_on_the_parts_whatever_they_have_run(tiny: LabFolder) -> None:
    slugs = [f"lab-{n}" for n in range(9)]
    for slug in slugs:
        shutil.copytree(tiny.folder, tiny.folder.with_name(slug))
    fresh = [shard(slugs, f"{part}/2") for part in (1, 2)]
    for n, slug in enumerate(slugs):
        write_record(slug, {"passed": True, "seconds": 10 * n})
    assert [shard(slugs, f"{part}/2") for part in (1, 2)] == fresh
    write_seconds(slugs)
    written = [shard(slugs, f"{part}/2") for part in (1, 2)]
    assert written != fresh and sorted(written[0] + written[1]) == slugs
    assert "lab-8 = 80" in seconds_file().read_text() and "lab-0" not in seconds_file().read_text()
    health_file("lab-8").unlink()
    write_seconds(slugs)
    assert "lab-8 = 80" in seconds_file().read_text(), "a machine that has not run a lab knows no better"
    seconds_file().write_text("[seconds]\nlab-1 = 'long'\n")
    with pytest.raises(LabError, match="labs health --write"):
        shard(slugs, "1/2")


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1", "1/2/3", "1/0"])
def test_a_part_that_is_none(text: str) -> None:
    with pytest.raises(LabError, match="i/n"):
        shard(["a-lab"], text)


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = memory_for_runs()
    monkeypatch.setattr(capacity, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert abs(memory_for_runs() - machine) < 500
    (tmp_path / "memory.max").write_text(f"{2048 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{900 * 2**20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {400 * 2**20}\n")
    assert memory_for_runs() == pytest.approx(2048 - 500 - 512)


class Instant:
    """A pool that has done everything at once, and remembers how many went at the same time."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def submit(self, run: Run) -> Future[Result]:
        self.seen.append(run.slug)
        future: Future[Result] = Future()
        future.set_result(Result(run, run.folder, "", 1.0, 1.0, []))
        return future

    def reports(self) -> list[tuple[Path, int, int]]:
        return [(Path("a"), 1, 2), (Path("unknown"), 1, 2)]


def test_without_a_terminal_a_line_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    pool = Instant()

    @contextmanager
    def opened(jobs: int) -> Any:
        yield pool

    results: list[str] = []
    run_all(plan_of(1, 1e9, a=(120, 1), b=(60, 1), c=(30, 1)), lambda result: results.append(result.run.slug), opened)
    assert results == pool.seen == ["a", "b", "c"]
    assert capsys.readouterr().out.splitlines() == ["1 of 3, about 2 min left", "2 of 3, about 30 s left", "3 of 3"]

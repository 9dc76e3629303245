"""The `labs` command: exit statuses, one-line errors, and what doctor finds."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from labkit.cli import app
from labkit.runner.doctor import examine
from typer.testing import CliRunner

from .conftest import replace


def labs(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "tiny-lbb"], "labs: No lab is called 'tiny-lbb'. Did you mean tiny-lab?"),
        (["run", "tiny-lab", "-p", "SIZE=1"], "labs: tiny-lab has no parameter 'SIZE'. It has: TARGET (str)"),
        (["run", "tiny-lab", "-p", "SEED=one"], "labs: tiny-lab: parameter SEED is int, got 'one'"),
        (["run", "--shard", "3/2"], "labs: --shard 3/2: write i/n"),
        (["show", "nothing"], "labs: No lab is called 'nothing'"),
        (["new", "tiny-lab"], "labs: The lab 'tiny-lab' is there already"),
        (["start", "nothing"], "labs: No lab is called 'nothing'"),
        (["readme"], "labs: "),
    ],
)
def test_bad_input_is_one_line_and_starts_no_kernel(collection: Path, arguments: list[str], said: str) -> None:
    (collection / "README.md").write_text("no marks")
    start = time.monotonic()
    status, output = labs(*arguments)
    assert status == 2 and output.startswith(said) and len(output.strip().splitlines()) == 1
    assert time.monotonic() - start < 5 and not (collection / ".work").exists()


def test_listing_and_showing(collection: Path) -> None:
    status, output = labs("list")
    assert status == 0 and "tiny-lab" in output and "A tiny lab for the tests" in output
    status, output = labs("show", "tiny-lab")
    assert status == 0 and "SCALE: float = 1.0" in output and "T001: A topic with a lab" in output


def test_coverage_fails_on_an_unknown_topic(collection: Path) -> None:
    status, output = labs("coverage")
    assert status == 0 and "1 of 2 topics covered by 1 labs" in output
    replace(collection / "labs" / "2-data" / "tiny-lab" / "lab.toml", '"T001"', '"T001", "T777"')
    status, output = labs("coverage")
    assert status == 1 and "C004 unknown topic T777" in output


def test_lint_fails_with_code_place_and_mend(collection: Path) -> None:
    status, output = labs("lint", "tiny-lab")
    assert status == 1 and "lab.ipynb: N001 there is no notebook. Run `labs build <slug>`" in output


def test_an_environment_that_is_missing_is_named_with_its_command(collection: Path) -> None:
    (collection / ".venvs").unlink()
    findings = {finding.what: finding for finding in examine()}
    core = findings["environment core: not made"]
    assert not core.fine and core.needed and core.mend == "nox -s environment -- core"
    assert not findings["environment tfx: not made"].needed
    assert labs("doctor")[0] == 1
    status, output = labs("run", "tiny-lab")
    assert status == 2 and "needs the environment core: nox -s environment -- core" in output


def test_an_environment_older_than_its_lock_is_found(collection: Path) -> None:
    (collection / ".venvs").unlink()
    shutil.copytree(Path(__file__).parents[2] / ".venvs" / "dev", collection / ".venvs" / "dev", symlinks=True)
    what = "environment dev is as its lock says"
    assert next(finding for finding in examine() if finding.what == what).fine
    (collection / ".venvs" / "dev" / "made-from").write_text("of an older lock\n")
    assert not next(finding for finding in examine() if finding.what == what).fine

"""`labs assign`: no answer in the archive, and everything works in it."""

from __future__ import annotations

import base64
import gzip
import inspect
import io
import json
import os
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labkit.catalog import LabError, environments
from labkit.catalog.collection import LabFolder, find_lab
from labkit.classroom.assign import assign
from labkit.classroom.handout import MARK, handed_out, sealed_statements
from labkit.classroom.spoilers import Spoiler, given_away, spoilers_of
from labkit.cli import app
from nbclient import NotebookClient
from typer.testing import CliRunner

from ..conftest import ROOT

DAY = date(2026, 11, 22)


def labs(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


MADE: list[bytes] = []  # the archive of the tiny lab, which every test would make alike


@pytest.fixture
def archive(tiny: LabFolder, tmp_path: Path) -> Path:
    path = tmp_path / "class.zip"
    if MADE:
        path.write_bytes(MADE[0])
    else:
        MADE.append(assign(["tiny-lab"], path, today=DAY).path.read_bytes())
    return path


@pytest.fixture
def unpacked(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive as a learner has it, with this machine's environments; LABS_HOME points to it."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "learner")
    home = tmp_path / "learner" / "labs-class"
    (home / ".venvs").symlink_to(ROOT / ".venvs")
    monkeypatch.setenv("LABS_HOME", str(home))
    environments.environments.cache_clear()
    yield home


def test_what_is_in_it(archive: Path) -> None:
    names = {name.removeprefix("labs-class/") for name in members(archive)}
    assert {name for name in names if name.startswith(("labs/2-data", "labs/seq", "data", "env", "class"))} == {
        "labs/2-data/tiny-lab/lab.ipynb",
        "labs/2-data/tiny-lab/lab.sealed",
        "labs/2-data/tiny-lab/lab.toml",
        "labs/2-data/tiny-lab/handout.toml",
        "labs/sequences/class.toml",
        "data/registry/numbers.toml",
        "data/registry/planted.toml",
        "data/files/numbers.csv",
        "data/generators/planted.py",
        "environments/core.txt",
        "environments/core-macos-arm64.txt",
        "class.toml",
    }
    assert {"README.md", "noxfile.py", "pyproject.toml", "LICENSE", "shared/labkit/cli.py"} <= names
    assert "shared/localgcp/vertex/machines.toml" in names
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name or "tests/" in name]


def test_nothing_in_it_gives_an_answer_away(archive: Path, tiny: LabFolder) -> None:
    spoilers = spoilers_of(tiny)
    assert {one.what for one in spoilers} == {
        "exercise mean",
        "exercise double",
        "hint of mean",
        "hint of double",
        "quiz",
    }
    for name, data in members(archive).items():
        assert given_away(data, spoilers) == [], name


def hidden(text: str, way: str) -> bytes:
    data = f"some words\n    {text}  \nand more".encode()
    stream = io.BytesIO()
    match way:
        case "plain":
            return data
        case "notebook":
            cell = {"cell_type": "code", "source": data.decode().splitlines(True), "outputs": [{"text": ["1"]}]}
            return json.dumps({"cells": [cell]}).encode()
        case "output":
            output = {"data": {"text/html": f"<pre>{text}</pre>"}}
            return json.dumps({"cells": [{"outputs": [output]}]}, indent=1).encode()
        case "gzip":
            return gzip.compress(data)
        case "zlib":
            return b"\0\1head" + zlib.compress(data) + b"tail"
        case _:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a/b.txt", gzip.compress(data))
            return stream.getvalue()


@pytest.mark.parametrize("way", ["plain", "notebook", "output", "gzip", "zlib", "zip"])
def test_the_search_finds_what_is_planted(tiny: LabFolder, way: str) -> None:
    for one in spoilers_of(tiny):
        assert one in given_away(hidden(one.text, way), [one]), one
    assert given_away(hidden("nothing of it", way), spoilers_of(tiny)) == []


def test_the_search_knows_each_kind_of_answer(tiny: LabFolder) -> None:
    texts = {one.what: one.text for one in spoilers_of(tiny)}
    assert texts["exercise mean"] == "mean = data.y.mean()" and texts["exercise double"] == "four = double(2)"
    assert texts["hint of mean"] == "Sum, then divide." and texts["quiz"] == "Because it is wrong."


def test_no_lab_of_the_collection_gives_an_answer_away() -> None:
    """Each file of the handed-out folder of each lab."""
    folders = sorted(path.parent for path in (ROOT / "labs").glob("[1-6]-*/*/lab.py"))
    found = []
    for folder in folders:
        lab = find_lab(folder.name)
        files = handed_out(lab)
        assert not set(files) & {"lab.py", "checks.py", "quiz.toml", "requests.json"}
        spoilers = spoilers_of(lab)
        assert len(spoilers) > 15, f"{lab.slug}: the search knows too little"
        found += [(lab.slug, name, one) for name, data in files.items() for one in given_away(data, spoilers)]
    assert len(folders) > 20 and found == []


def test_a_helper_file_with_an_answer_is_sealed_and_still_runs(tiny: LabFolder) -> None:
    text = (
        '"""A helper."""\n\nimport math\n\n\ndef average(data):\n    mean = data.y.mean()\n    return mean\n\n\n'
        f"{MARK}\nPLANTED = {{'A': math.pi}}\n\n\ndef plain(x):\n    return x\n"
    )
    (tiny.folder / "helper.py").write_text(text)
    sealed = handed_out(tiny)["helper.py"].decode()
    assert "data.y.mean()" not in sealed and "math.pi" not in sealed and "def plain(x):" in sealed
    namespace: dict[str, Any] = {}
    exec(compile(sealed, "helper.py", "exec"), namespace)
    assert namespace["average"].__name__ == "average" and namespace["PLANTED"] == {"A": 3.141592653589793}
    assert "mean = data.y.mean()" in inspect.getsource(namespace["average"]), "AutoGraph reads the source"
    assert sealed_statements(text, []) != text and sealed_statements("x = 1\n", ["y"]) == "x = 1\n"


def test_another_file_with_an_answer_is_refused(tiny: LabFolder, tmp_path: Path) -> None:
    (tiny.folder / "notes.txt").write_text("Tip:  mean = data.y.mean()\n")
    with pytest.raises(LabError, match=r"notes\.txt holds the answer to exercise mean, 'mean = data\.y\.mean\(\)'"):
        assign(["tiny-lab"], tmp_path / "class.zip")
    assert not (tmp_path / "class.zip").exists()


def test_the_bytes_depend_on_the_day_alone(tiny: LabFolder, tmp_path: Path, archive: Path) -> None:
    again = assign(["tiny-lab"], tmp_path / "again.zip", today=DAY)
    other = assign(["tiny-lab"], tmp_path / "other.zip", today=date(2026, 11, 23))
    assert again.path.read_bytes() == archive.read_bytes() != other.path.read_bytes()


def test_bad_orders_are_one_line(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "there.zip").write_bytes(b"mine")
    for names, out, said in (
        (["tiny-lbb"], "class.zip", "No sequence and no lab is called 'tiny-lbb'. Did you mean tiny-lab?"),
        (["tiny-lab"], "class.tar", "an archive's name ends in .zip"),
        (["tiny-lab"], "there.zip", "is there already and is not overwritten"),
        (["tiny-lab"], "nowhere/class.zip", "there is no such folder"),
    ):
        status, output = labs("assign", *names, "--out", str(tmp_path / out))
        assert status == 2 and said in output and len(output.strip().splitlines()) == 1
    assert (tmp_path / "there.zip").read_bytes() == b"mine"


def test_a_title_is_written_as_it_is(tiny: LabFolder, tmp_path: Path) -> None:
    title = 'A "class" \\ of mine\nand ours'
    files = members(assign(["tiny-lab"], tmp_path / "class.zip", title, DAY).path)
    card = tomllib.loads(files["labs-class/class.toml"].decode())
    assert card["title"] == 'A "class" \\ of mine and ours' and card["created"] == DAY and card["sequence"] == "class"


def test_a_sequence_goes_along(tiny: LabFolder, tmp_path: Path) -> None:
    names = [path.stem for path in (tiny.folder.parents[1] / "sequences").glob("*.toml")]
    sequence = next(
        name for name in names if "tiny-lab" in (tiny.folder.parents[1] / "sequences" / f"{name}.toml").read_text()
    )
    made = assign([sequence], tmp_path / "class.zip")
    assert made.labs == ("tiny-lab",)
    inside = [name for name in members(made.path) if "/labs/sequences/" in name]
    assert inside == [f"labs-{sequence}/labs/sequences/{sequence}.toml"]


def test_the_commands_of_a_learner_work_and_the_others_say_what_it_is(unpacked: Path) -> None:
    for command, said in (
        (("list",), "A tiny lab for the tests"),
        (("show", "tiny-lab"), "Have something to test with"),
        (("progress",), "0 of"),
        (("sequences",), "class"),
        (("sequences", "class"), "tiny-lab"),
        (("next",), "tiny-lab"),
        (("start", "tiny-lab", "--no-open"), "your copy"),
        (("readiness",), "tiny-lab"),
    ):
        status, output = labs(*command)
        assert status == 0 and said in output, (command, output)
    assert (unpacked / "workspace" / "tiny-lab" / "lab.ipynb").exists()
    output = labs("doctor")[1]
    assert "environment core is as its lock says" in output and "tfx" not in output, "it has no lock of tfx"
    for word in (("run",), ("run", "tiny-lab"), ("build",), ("lint",), ("exercises",), ("ablate",)):
        status, output = labs(*word)
        assert status == 2 and "tiny-lab is a class's copy, without its source" in output, (word, output)
        assert len(output.strip().splitlines()) == 1


def test_the_code_in_it_runs_by_itself(unpacked: Path) -> None:
    """The archive's own labkit, and no variable that points to another collection."""
    program = "import labkit, sys; print(labkit.__file__); sys.argv = ['labs', 'list']\n"
    program += "from labkit.command import main; main()"
    variables = {name: value for name, value in os.environ.items() if name != "LABS_HOME"}
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=unpacked,
        env=variables | {"PYTHONPATH": str(unpacked / "shared")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith(str(unpacked / "shared")) and "tiny-lab" in told


def outputs(cell: Any) -> str:
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_a_learner_works_in_it(unpacked: Path) -> None:
    """In a real kernel: untouched, wrong, a hint, right, the quiz; and progress has it."""
    status, _ = labs("start", "tiny-lab", "--no-open")
    path = unpacked / "workspace" / "tiny-lab" / "lab.ipynb"
    notebook = nbformat.read(path, 4)
    quiz = next(n for n, cell in enumerate(notebook.cells) if cell.source == "lab.quiz()")
    extra = [
        "mean = data.y.sum()\nmean = lab.check('mean', mean, data)",
        "lab.hint('mean')",
        "mean = data.y.mean()",
        "mean = lab.check('mean', mean, data)",
        "lab.quiz(1, 'b')",
    ]
    notebook.cells[quiz:quiz] = [nbformat.v4.new_code_cell(text) for text in extra]
    NotebookClient(
        notebook, timeout=60, kernel_name="labs-core", resources={"metadata": {"path": path.parent}}
    ).execute()
    said = [outputs(cell) for cell in notebook.cells if cell.cell_type == "code"]
    text = "\n".join(said)
    assert status == 0 and "Not attempted: mean" in text and "Not attempted: double" in text
    assert "Correct: mean" in text and "Hint 1 of 2: What is a mean?" in text
    assert "two (your answer)" in text and "Because it is right." in text
    status, output = labs("progress")
    assert status == 0 and "1 of 2" in output
    left = {"lab.ipynb", "lab.sealed", "lab.toml", "handout.toml"}
    assert {path.name for path in (unpacked / "labs" / "2-data" / "tiny-lab").iterdir()} == left, "nothing is written"


def test_a_base64_of_an_answer_is_beyond_the_search() -> None:
    """What it does not find, so that nobody relies on it: the reason why sealing works on a search, and is no lock."""
    one = Spoiler("lab", "quiz", "a text long enough")
    assert given_away(base64.b64encode(one.text.encode()), [one]) == []

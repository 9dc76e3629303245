"""A learner's copy has no solution, is opened as it was left, and is never overwritten."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.classroom import jupyter
from labkit.classroom import start as starting
from labkit.classroom.start import start_afresh, start_lab, unreadable
from labkit.cli import app
from typer.testing import CliRunner

FORK = multiprocessing.get_context("fork")


def labs(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def at_once(work: Callable[[], Any], times: int = 6) -> list[Any]:
    """What `work` gives in so many processes that begin together."""
    begin, answers = FORK.Event(), FORK.SimpleQueue()

    def run() -> None:
        begin.wait()
        answers.put(work())

    processes = [FORK.Process(target=run, daemon=True) for _ in range(times)]
    for process in processes:
        process.start()
    begin.set()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def kept(path: Path) -> list[Path]:
    return sorted(path.parent.glob("lab-*.ipynb"))


def test_a_copy_without_solutions_that_stays(tiny: LabFolder) -> None:
    path, made = start_lab(tiny.slug)
    text = path.read_text()
    assert made and "SOLUTION" not in text and "data.y.mean()" not in text and "your answer here" in text
    path.write_text("my work")
    assert start_lab(tiny.slug) == (path, False)
    assert path.read_text() == "my work"
    assert [one.name for one in path.parent.iterdir()] == ["lab.ipynb"]


def test_a_new_copy_keeps_every_old_one(tiny: LabFolder) -> None:
    path, before = start_afresh(tiny.slug)
    new = path.read_text()
    assert before is None and kept(path) == []
    for number in range(3):  # within one second
        path.write_text(f"work {number}")
        again, old = start_afresh(tiny.slug)
        assert again == path and old is not None and old.read_text() == f"work {number}"
        assert path.read_text() == new
    # What is typed into the new copy does not reach the old ones.
    path.write_text("more work")
    assert sorted(one.read_text() for one in kept(path)) == ["work 0", "work 1", "work 2"]


def test_a_disk_without_links_keeps_it_too(tiny: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError

    path, _ = start_lab(tiny.slug)
    path.write_text("my work")
    monkeypatch.setattr(starting.os, "link", refused)
    old = start_afresh(tiny.slug)[1]
    assert old is not None and old.read_text() == "my work" and unreadable(path) == ""


def test_two_at_once_make_one(tiny: LabFolder) -> None:
    found = at_once(lambda: start_lab(tiny.slug)[1])
    assert sorted(found) == [False] * 5 + [True]
    path, made = start_lab(tiny.slug)
    assert not made and unreadable(path) == ""


def test_two_new_copies_at_once_lose_nothing(tiny: LabFolder) -> None:
    path, _ = start_lab(tiny.slug)
    path.write_text("my work")
    found = at_once(lambda: start_afresh(tiny.slug)[1])
    assert len(set(found)) == 6 and sorted(found) == kept(path)
    assert sum(one.read_text() == "my work" for one in kept(path)) == 1 and unreadable(path) == ""


def test_a_copy_that_cannot_be_made_whole_leaves_nothing(tiny: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = start_lab(tiny.slug)
    path.write_text("my work")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starting.os, "fsync", full)
    with pytest.raises(LabError, match=r"No space left on device\. Your work is as it was"):
        start_afresh(tiny.slug)
    assert path.read_text() == "my work" and [one.name for one in path.parent.iterdir()] == ["lab.ipynb"]


def test_a_workspace_that_is_no_folder_is_one_line(tiny: LabFolder, collection: Path) -> None:
    (collection / "workspace").write_text("")
    status, said = labs("start", "tiny-lab", "--no-open")
    assert status == 2 and said.startswith("labs: ") and len(said.splitlines()) == 1


def test_a_handed_out_lab_gives_its_copy(tiny: LabFolder) -> None:
    copy = start_lab(tiny.slug)[0].read_bytes()
    (tiny.folder / "lab.ipynb").write_bytes(copy)
    tiny.source.unlink()
    path, old = start_afresh(tiny.slug)
    assert path.read_bytes() == copy and old is not None
    (tiny.folder / "lab.ipynb").unlink()
    with pytest.raises(LabError, match=r"neither lab.py nor lab.ipynb"):
        start_afresh(tiny.slug)


def test_the_command_says_what_it_made_and_how_to_open_it(tiny: LabFolder) -> None:
    options = "--allow-root " if os.geteuid() == 0 else ""
    how = f"Open it in JupyterLab: nox -s jupyter -- {options}workspace/tiny-lab/lab.ipynb"
    status, said = labs("start", "tiny-lab", "--no-open")
    assert status == 0 and "lab.ipynb: your copy\n" in said and how in said
    status, said = labs("start", "tiny-lab")
    assert status == 0 and "as you left it" in said and "This is no terminal" in said and how in said
    status, said = labs("start", "tiny-lab", "--fresh", "--no-open")
    assert status == 0 and "a new copy; the old one is lab-2" in said


def test_a_notebook_that_cannot_be_read_is_told_with_the_way_out(tiny: LabFolder, collection: Path) -> None:
    path, _ = start_lab(tiny.slug)
    path.write_text('{"cells": [')
    status, said = labs("start", "tiny-lab")
    assert status == 0 and "no notebook that can be read. `labs start tiny-lab --fresh` keeps it" in said
    assert path.read_text() == '{"cells": ['


@pytest.fixture
def terminal(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with a display, and a user who is not root."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(jupyter, "_is_root", lambda: False)


def test_what_hinders_is_said(tiny: LabFolder, terminal: None, collection: Path, monkeypatch: Any) -> None:
    assert jupyter.hindrance("tiny-lab") == ""
    with monkeypatch.context() as root:
        root.setattr(jupyter, "_is_root", lambda: True)
        assert "You are root" in jupyter.hindrance("tiny-lab")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in jupyter.hindrance("tiny-lab")
    (collection / ".venvs").unlink()
    assert jupyter.hindrance("tiny-lab") == "Its environment is not made yet: nox -s environment -- core"


def test_jupyterlab_listens_to_this_machine_and_asks_nobody(
    tiny: LabFolder, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(jupyter, "_running", lambda: None)
    monkeypatch.setattr(jupyter.os, "execv", lambda program, command: started.append(command))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    notebook, _ = start_lab(tiny.slug)
    jupyter.open_notebook(notebook)
    assert started[0][1:3] == ["-m", "jupyterlab"] and "--ServerApp.ip=127.0.0.1" in started[0]
    assert started[0][started[0].index("--ServerApp.root_dir") + 1] == str(collection)
    assert started[0][-1] == str(notebook)
    (settings,) = (tmp_path / "environment").rglob("overrides.json")
    assert list(json.loads(settings.read_text()).values()) == [{"fetchNews": "false", "checkForUpdates": False}]
    labs("jupyter", "--no-browser", "--port=0")
    assert started[1][-2:] == ["--no-browser", "--port=0"]


def test_a_jupyterlab_that_runs_is_used_and_its_token_stays_secret(
    tiny: LabFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    server = {"pid": 7, "url": "http://127.0.0.1:9999/", "token": "se<ret"}
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(jupyter, "_running", lambda: server)
    monkeypatch.setattr(jupyter.webbrowser, "open", opened.append)
    for _ in range(2):
        jupyter.open_notebook(start_lab(tiny.slug)[0])
    page = Path(opened[0].removeprefix("file://"))
    assert "/lab/tree/workspace/tiny-lab/lab.ipynb?token=se%3Cret" in page.read_text()
    assert os.stat(page).st_mode & 0o077 == 0
    assert "ret" not in opened[0] + capsys.readouterr().out.replace("directory", "")

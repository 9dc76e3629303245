"""`labs collect`: every state in which work is handed in; nothing is lost, and it is said what could be read."""

from __future__ import annotations

import copy
import io
import json
import os
import stat
import struct
import tomllib
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.classroom import intake
from labkit.classroom.collect import Collected, Line, collect
from labkit.classroom.handin import hand_in
from labkit.classroom.start import start_lab
from labkit.cli import app
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy
from typer.testing import CliRunner

from .test_matching import VERSIONS


@pytest.fixture
def copied(tiny: LabFolder) -> dict[str, Any]:
    return dict(copy.deepcopy(learner_copy(build_notebook(tiny))))


def saved(notebook: dict[str, Any], mark: str = "") -> bytes:
    """A notebook's bytes; with a mark it is like no other."""
    cells = [*notebook["cells"], {"cell_type": "markdown", "metadata": {}, "source": mark}]
    return json.dumps(notebook | {"cells": cells}, indent=1).encode()


def event(id: str, time: float, lab: str = "tiny-lab") -> bytes:
    fields = {"id": id, "time": time, "lab": lab, "version": "0" * 12, "event": "check", "exercise": "mean"}
    return json.dumps(fields | {"outcome": "correct", "hints": 0, "message": ""}).encode() + b"\n"


def zipped(members: dict[str, bytes], path: Path | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if path is not None:
        path.write_bytes(stream.getvalue())
    return stream.getvalue()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "class"


def only(collected: Collected) -> Line:
    (line,) = collected.lines
    return line


def kept(out: Path, learner: str) -> dict[str, bytes]:
    """What is kept of a learner, but for the card."""
    folder = out / "learners" / learner
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "learner.toml")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_a_learner_hands_in_is_collected(
    tiny: LabFolder, inbox: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = start_lab("tiny-lab")
    path.write_bytes(path.read_bytes().replace(b"a tiny lab", b"my tiny lab"))
    (path.parent / "lab-20261121.ipynb").write_bytes(b'{"cells": [], "old": 1}')
    (path.parents[1] / "progress.jsonl").write_bytes(event("a", 5) + event("b", 6))
    monkeypatch.chdir(inbox)
    packed = hand_in("  Ada \t Lovelace ")
    assert packed.path.name == "hand-in-ada-lovelace.zip" and packed.progress == 2
    assert packed.notebooks == ("workspace/tiny-lab/lab-20261121.ipynb", "workspace/tiny-lab/lab.ipynb")
    collected = collect([packed.path], out)
    assert [(line.kind, line.learner, line.read) for line in collected.lines] == [
        ("notebook", "ada-lovelace", "not"),
        ("notebook", "ada-lovelace", "whole"),
        ("progress", "ada-lovelace", "whole"),
    ]
    assert kept(out, "ada-lovelace") == {
        "tiny-lab/lab.ipynb": path.read_bytes(),
        "tiny-lab/earlier/1.ipynb": b'{"cells": [], "old": 1}',
        "progress.jsonl": event("a", 5) + event("b", 6),
    }
    card = tomllib.loads((out / "learners" / "ada-lovelace" / "learner.toml").read_text())
    assert card == {"name": "Ada Lovelace", "spelled": [], "sources": ["hand-in-ada-lovelace.zip"]}
    assert str(collected) == "3 found: 2 whole, 0 partly, 1 not read; 3 new, 0 were there already"


def test_a_hand_in_says_what_is_wrong(tiny: LabFolder, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inbox)
    with pytest.raises(LabError, match="nothing to hand in"):
        hand_in("Ada")
    start_lab("tiny-lab")
    with pytest.raises(LabError, match="must know whose it is"):
        hand_in(" \n")
    assert [hand_in(name).path.name for name in ("Ada", "ADA", "李雷")] == [
        "hand-in-ada.zip",
        "hand-in-ada-2.zip",
        "hand-in-learner.zip",
    ]
    (inbox / "mine.zip").write_bytes(b"mine")
    with pytest.raises(LabError, match="is there already and is not overwritten"):
        hand_in("Ada", inbox / "mine.zip")
    with pytest.raises(LabError, match="could not be written"):
        hand_in("Ada", inbox / "nowhere" / "mine.zip")
    assert (inbox / "mine.zip").read_bytes() == b"mine"


NAMES = {
    "Ada_tiny-lab.ipynb": "ada",
    "Ada_tiny.ipynb": "ada",
    "lab (2) Ada Lovelace.ipynb": "ada-lovelace",
    "Ada Lovelace/lab.ipynb": "ada-lovelace",
    "Lovelace, Ada_12345_assignsubmission_file_/lab (3).ipynb": "lovelace-ada",
    "Ada/workspace/tiny-lab/lab.ipynb": "ada",
    "Ada/labs/2-data/tiny-lab/lab.ipynb": "ada",
    "submissions/Ada/homework_final.ipynb": "ada",
    "lab - Copy.ipynb": "unknown-1",
    "Untitled1.ipynb": "unknown-1",
    "tiny-lab.ipynb": "unknown-1",
    "workspace/tiny-lab/lab.ipynb": "unknown-1",
    "Unknown Ada/lab.ipynb": "unknown-ada-00000000",
    "李雷/lab.ipynb": "learner-00000000",
}


@pytest.mark.parametrize("name", NAMES)
def test_whose_it_is_by_the_names(inbox: Path, out: Path, copied: dict[str, Any], name: str) -> None:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(copied))
    line = only(collect([inbox], out))
    assert (line.lab, line.read, line.message) == ("tiny-lab", "whole", "")
    expected = NAMES[name]
    # A name that ASCII cannot spell ends in eight digits of its own.
    assert (
        line.learner[:-8] == expected[:-8] if len(expected) > 15 and expected[-9] == "-" else line.learner == expected
    )
    assert kept(out, line.learner) == {"tiny-lab/lab.ipynb": path.read_bytes()}


def test_a_single_notebook_and_a_folder_that_is_named_after_somebody(
    inbox: Path, out: Path, copied: dict[str, Any]
) -> None:
    (inbox / "Bob").mkdir()
    (inbox / "Bob" / "lab.ipynb").write_bytes(saved(copied, "b"))
    (inbox / "Ada.ipynb").write_bytes(saved(copied, "a"))
    zipped({"lab.ipynb": saved(copied, "c")}, inbox / "Cy.zip")
    found = collect([inbox / "Bob", inbox / "Ada.ipynb", inbox / "Cy.zip"], out)
    assert [line.learner for line in found.lines] == ["bob", "ada", "cy"]


def test_the_card_counts_before_names_of_folders_and_files(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    (inbox / "x" / "workspace" / "tiny-lab").mkdir(parents=True)
    (inbox / "x" / "hand-in.toml").write_bytes(b"\xef\xbb\xbf" + 'name = "Zoë Ä."'.encode())
    (inbox / "x" / "workspace" / "tiny-lab" / "Bob.ipynb").write_bytes(saved(copied))
    (inbox / "Eve.ipynb").write_bytes(saved(copied))
    assert {line.learner for line in collect([inbox], out).lines} == {"zoe-a", "eve"}
    assert 'name = "Zoë Ä."' in (out / "learners" / "zoe-a" / "learner.toml").read_text()


def test_spellings_of_one_name_are_one_learner_and_said_so(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    for number, name in enumerate(("Zoë Äda", "ZOE  ada", "Zoe-Äda")):
        (inbox / f"{number}").mkdir()
        (inbox / f"{number}" / f"{name}.ipynb").write_bytes(saved(copied, str(number)))
    lines = collect([inbox], out).lines
    assert {line.learner for line in lines} == {"zoe-ada"}
    assert lines[0].message == "" and lines[1].message == "'ZOE ada' is taken for 'Zoë Äda'"
    assert len(kept(out, "zoe-ada")) == 3
    card = tomllib.loads((out / "learners" / "zoe-ada" / "learner.toml").read_text())
    assert card["spelled"] == ["ZOE ada", "Zoe Äda"]


@pytest.mark.parametrize("version", VERSIONS)
def test_notebooks_of_each_version(inbox: Path, out: Path, copied: dict[str, Any], version: str) -> None:
    (inbox / "Ada.ipynb").write_text(json.dumps(VERSIONS[version](copied)))
    line = only(collect([inbox], out))
    assert (line.lab, line.read) == ("tiny-lab", "whole")


def conflict(text: str) -> bytes:
    line = next(line for line in text.splitlines() if "mean = ..." in line)
    mine, theirs = line.replace("...", "1"), line.replace("...", "2")
    marks = f"<<<<<<< HEAD\n{mine}\n=======\n{theirs}\n>>>>>>> other\n"
    return text.replace(line + "\n", marks).encode()


BROKEN: dict[str, tuple[Callable[[str], bytes], str, str]] = {
    "cut": (lambda text: text[: int(len(text) * 0.7)].encode(), "partly", "cells could be read"),
    "a comma too many": (lambda text: text.replace('"outputs": []', '"outputs": [],,', 1).encode(), "partly", "cells"),
    "git": (conflict, "partly", "git's conflict marks: the first side was read"),
    "BOM": (lambda text: b"\xef\xbb\xbf" + text.encode(), "whole", "utf-8-sig"),
    "UTF-16": (lambda text: text.encode("utf-16"), "whole", "utf-16"),
    "UTF-16 without BOM": (lambda text: text.encode("utf-16-be"), "whole", "utf-16-be"),
    "Windows": (lambda text: text.replace("A scenario", "Ein schönes").encode("cp1252"), "whole", "Windows-1252"),
    "old line ends": (lambda text: text.replace("\n", "\r\n").encode(), "whole", ""),
    "empty": (lambda text: b"", "not", "the file is empty"),
    "zeros": (lambda text: b"\0" * 4096, "not", "the file is empty"),
    "text": (lambda text: b"I could not do it", "not", "not JSON"),
    "a page": (lambda text: b"<html><body>Sign in</body></html>", "not", "not JSON"),
    "no cells": (lambda text: b'{"nbformat": 4}', "not", "no notebook with cells"),
    "nested": (lambda text: b"[" * 200_000, "not", "nested too deeply"),
    "strange cells": (lambda text: b'{"cells": [1, {"cell_type": "code", "source": "x"}]}', "partly", "no cells"),
}


@pytest.mark.parametrize("state", BROKEN)
def test_broken_notebooks_are_kept_and_described(inbox: Path, out: Path, copied: dict[str, Any], state: str) -> None:
    damage, read, said = BROKEN[state]
    data = damage(nbformat.writes(nbformat.from_dict(copied)))
    (inbox / "Ada").mkdir()
    (inbox / "Ada" / "tiny-lab.ipynb").write_bytes(data)
    line = only(collect([inbox], out))
    assert (line.learner, line.lab, line.read) == ("ada", "tiny-lab", read) and said in line.message
    assert kept(out, "ada") == {"tiny-lab/lab.ipynb": data}


def test_the_content_tells_the_lab_also_of_a_broken_file(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    text = nbformat.writes(nbformat.from_dict(copied))
    (inbox / "Ada.json").write_text(text)
    (inbox / "Bob.ipynb").write_text(text[: text.index("lesson.open") + 40].replace('"cell_type"', '"cell_typo"'))
    (inbox / "other-lab").mkdir()
    (inbox / "other-lab" / "Cy.ipynb").write_text(text)
    lines = {line.learner: line for line in collect([inbox], out).lines}
    assert {who: line.lab for who, line in lines.items()} == dict.fromkeys(("ada", "bob", "cy"), "tiny-lab")
    assert lines["bob"].read == "not"


def test_a_notebook_of_no_lab_is_kept(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    data = saved(copied).replace(b"tiny-lab", b"moon-lab")
    (inbox / "Ada.ipynb").write_bytes(data)
    (inbox / "Bob.ipynb").write_bytes(b'{"cells": [{"cell_type": "code", "source": "1"}]}')
    lines = collect([inbox], out).lines
    assert [line.read for line in lines] == ["not", "not"]
    assert "opens 'moon-lab', which is no lab" in lines[0].message and "nothing says which lab" in lines[1].message
    assert kept(out, "ada") == {"other/1-ada.ipynb": data}


def test_the_newest_of_two_by_events_and_else_by_the_file(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    for folder, moment in (("1", 200.0), ("2", 100.0)):
        base = inbox / folder
        (base / "tiny-lab").mkdir(parents=True)
        (base / "hand-in.toml").write_text('name = "Ada"')
        (base / "progress.jsonl").write_bytes(event(folder, moment))
        (base / "tiny-lab" / "lab.ipynb").write_bytes(saved(copied, folder))
        os.utime(base / "tiny-lab" / "lab.ipynb", (0, 1000 - moment))
    collect([inbox], out)
    assert kept(out, "ada")["tiny-lab/lab.ipynb"] == saved(copied, "1")
    assert sorted(kept(out, "ada")["progress.jsonl"].splitlines(True)) == [event("1", 200.0), event("2", 100.0)]
    for name, moment in (("Bob.ipynb", 5000), ("bob (2).ipynb", 4000)):
        (inbox / name).write_bytes(saved(copied, name))
        os.utime(inbox / name, (0, moment))
    collect([inbox], out)
    assert kept(out, "bob") == {
        "tiny-lab/lab.ipynb": saved(copied, "Bob.ipynb"),
        "tiny-lab/earlier/1.ipynb": saved(copied, "bob (2).ipynb"),
    }


def test_a_later_one_moves_the_earlier_and_a_broken_one_hides_none(
    inbox: Path, out: Path, copied: dict[str, Any]
) -> None:
    path = inbox / "Ada.ipynb"
    for moment, data in ((1000, saved(copied, "first")), (2000, saved(copied, "second")), (3000, b"broken")):
        path.write_bytes(data)
        os.utime(path, (0, moment))
        collect([path], out)
    (inbox / "Ada").mkdir()
    (inbox / "Ada" / "tiny-lab.ipynb").write_bytes(b"broken too")
    collect([inbox], out)
    found = kept(out, "ada")
    assert found.pop("tiny-lab/lab.ipynb") == saved(copied, "second")
    assert set(found.values()) == {saved(copied, "first"), b"broken", b"broken too"}


def test_collecting_again_adds_only_what_is_new(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    (inbox / "Ada").mkdir()
    (inbox / "Ada" / "lab.ipynb").write_bytes(saved(copied))
    (inbox / "lab.ipynb").write_bytes(saved(copied, "whose"))
    (inbox / "Ada" / "progress.jsonl").write_bytes(event("a", 1))
    (inbox / "broken.zip").write_bytes(b"PK\3\4 and nothing")
    (inbox / "notes.txt").write_text("hello")
    first = collect([inbox], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    second = collect([inbox], out)
    assert [line.new for line in first.lines] == [True] * 5 and [line.new for line in second.lines] == [False] * 5
    assert [line.learner for line in first.lines] == [line.learner for line in second.lines]
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (inbox / "Ada" / "progress.jsonl").write_bytes(event("a", 1) + event("b", 2) + b'{"id": "c", "ti')
    third = collect([inbox], out)
    (line,) = [line for line in third.lines if line.new]
    assert (line.kind, line.read, line.message) == ("progress", "partly", "1 of 3 lines could not be read")
    assert kept(out, "ada")["progress.jsonl"] == event("a", 1) + event("b", 2)
    assert kept(out, "ada")["other/1-progress.jsonl"].endswith(b'"ti')


def test_every_line_is_in_the_record(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    zipped({"lab.ipynb": saved(copied), "data.csv": b"1,2"}, inbox / "Ada.zip")
    collect([inbox / "Ada.zip"], out, datetime(2026, 11, 22, tzinfo=UTC))
    first, second = map(json.loads, (out / "collected.jsonl").read_text().splitlines())
    wanted = {"source": "Ada.zip!lab.ipynb", "kind": "notebook", "learner": "ada", "lab": "tiny-lab", "read": "whole"}
    assert wanted.items() <= first.items() and first["collected"] == "2026-11-22T00:00:00+00:00"
    assert second["kind"] == "other" and "data.csv" in second["message"]


def test_zips_of_other_systems(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    data = zipped(
        {
            "workspace/tiny-lab/lab.ipynb": saved(copied),
            "__MACOSX/workspace/tiny-lab/._lab.ipynb": b"\0\5\26\7",
            "workspace/.DS_Store": b"x",
            "workspace/.ipynb_checkpoints/lab-checkpoint.ipynb": b"{}",
            "workspace/empty/": b"",
        }
    )
    (inbox / "Ada.zip").write_bytes(data.replace(b"workspace/tiny-lab/lab", b"workspace\\tiny-lab\\lab"))
    line = only(collect([inbox], out))
    assert (line.source, line.learner, line.lab) == ("inbox/Ada.zip!workspace/tiny-lab/lab.ipynb", "ada", "tiny-lab")


@pytest.mark.parametrize("encoding", ["utf-8", "cp437"])
def test_names_in_the_code_page_of_another_system(
    inbox: Path, out: Path, copied: dict[str, Any], encoding: str
) -> None:
    name = "Jürgen".encode(encoding)
    data = zipped({"J_rgen/lab.ipynb" if encoding == "cp437" else "J__rgen/lab.ipynb": saved(copied)})
    (inbox / "all.zip").write_bytes(data.replace(b"J_rgen" if encoding == "cp437" else b"J__rgen", name))
    assert only(collect([inbox], out)).learner == "jurgen"


def encrypted(data: bytes) -> bytes:
    """The flag that says so, in both headers of the only member."""
    changed = bytearray(data)
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = changed.index(magic) + offset
        struct.pack_into("<H", changed, at, struct.unpack_from("<H", changed, at)[0] | 1)
    return bytes(changed)


def link(name: str, to: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, to)
    return stream.getvalue()


ZIPS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "the file is empty"),
    "no members": (lambda data: zipped({}), "an empty zip"),
    "cut": (lambda data: zipped({"lab.ipynb": data})[:-40], "no zip that can be read"),
    "no zip": (lambda data: b"Not found", "no zip: its beginning is missing"),
    "rar": (lambda data: b"Rar!\x1a\7\0", "packed by rar"),
    "encrypted": (lambda data: encrypted(zipped({"lab.ipynb": data})), "encrypted"),
    "a damaged member": (
        lambda data: (z := zipped({"lab.ipynb": data})).replace(z[60:80], b"\xff" * 20, 1),
        "damaged in the zip",
    ),
    "a link": (lambda data: link("lab.ipynb", "/etc/passwd"), "a link, which is not followed"),
    "three deep": (
        lambda data: zipped({"lab.zip": zipped({"lab.zip": zipped({"lab.ipynb": data})})}),
        "in a zip in a zip",
    ),
    "a bomb": (lambda data: zipped({"lab.ipynb": b"\0" * 5000}), "unpacks to more than"),
}


@pytest.mark.parametrize("state", ZIPS)
def test_zips_that_cannot_be_read_say_why(
    inbox: Path, out: Path, copied: dict[str, Any], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if state == "a bomb":
        monkeypatch.setattr(intake, "MOST_FILE", 4000)
    damage, said = ZIPS[state]
    (inbox / "Ada.zip").write_bytes(damage(saved(copied)))
    (inbox / "Bob.ipynb").write_bytes(b"{}")
    lines = collect([inbox], out).lines
    line = next(line for line in lines if line.learner == "ada")
    assert line.read == "not" and said in line.message
    assert kept(out, "ada") == {} and len(lines) == 2


def test_a_zip_of_many_members_stops_at_its_bound(
    inbox: Path, out: Path, copied: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = saved(copied)
    monkeypatch.setattr(intake, "MOST_ARCHIVE", len(one) + 10)
    zipped({f"Ada/{number}/lab.ipynb": saved(copied, str(number)) for number in range(9)}, inbox / "all.zip")
    lines = collect([inbox], out).lines
    assert len(lines) == 3 and "the rest of it was not read" in lines[-1].message
    monkeypatch.setattr(intake, "MOST_ARCHIVE", 2**30)
    monkeypatch.setattr(intake, "MOST_MEMBERS", 2)
    lines = collect([inbox], out).lines
    assert len(lines) == 3 and "more than 2 members" in lines[-1].message


@pytest.mark.parametrize(
    "name", ["../../Eve/lab.ipynb", "/tmp/Eve/lab.ipynb", "C:\\Eve\\lab.ipynb", "a/../../lab.ipynb"]
)
def test_a_path_that_leads_out_writes_nothing_outside(
    inbox: Path, out: Path, tmp_path: Path, copied: dict[str, Any], name: str
) -> None:
    zipped({name: saved(copied)}, inbox / "Ada.zip")
    before = sorted(path for path in tmp_path.rglob("*") if out not in path.parents and path != out)
    line = only(collect([inbox], out))
    assert (line.learner, line.read) == ("ada", "whole") and "leads out" in line.message
    assert before == sorted(path for path in tmp_path.rglob("*") if out not in path.parents and path != out)


def test_a_zip_in_a_zip_and_a_zip_by_another_name(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    zipped({"Ada.zip": zipped({"lab.ipynb": saved(copied)})}, inbox / "all.zip")
    zipped({"lab.ipynb": saved(copied)}, inbox / "Bob.ipynb")
    assert [line.learner for line in collect([inbox], out).lines] == ["bob", "ada"]


def test_links_and_what_is_no_file_are_not_followed(inbox: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.ipynb").write_bytes(b'{"cells": []}')
    (inbox / "Ada.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (inbox / "folder").symlink_to(tmp_path)
    os.mkfifo(inbox / "Bob.ipynb")
    lines = collect([inbox], out).lines
    assert [line.message for line in lines] == [
        "a link, which is not followed",
        "no plain file",
        "a link, which is not followed",
    ]
    assert not list(out.rglob("*.ipynb"))


def test_a_whole_archive_handed_in_and_the_class_folder_inside(inbox: Path, out: Path, copied: dict[str, Any]) -> None:
    members = {
        "labs-class/labs/2-data/tiny-lab/lab.ipynb": saved(copied, "as handed out"),
        "labs-class/workspace/tiny-lab/lab.ipynb": saved(copied, "work"),
        **{f"labs-class/shared/{number}.py": b"1" for number in range(9)},
    }
    zipped(members, inbox / "Ada.zip")
    lines = collect([inbox], inbox / "class").lines
    assert len(lines) == 3 and "and 4 more" in lines[2].message
    assert kept(inbox / "class", "ada") == {
        "tiny-lab/lab.ipynb": saved(copied, "work"),
        "tiny-lab/earlier/1.ipynb": saved(copied, "as handed out"),
    }
    assert [line.new for line in collect([inbox], inbox / "class").lines] == [False] * 3


def test_bad_input_is_one_line(inbox: Path, out: Path, collection: Path) -> None:
    with pytest.raises(LabError, match="no such file or folder"):
        collect([inbox, inbox / "nothing"], out)
    assert not out.exists()
    with pytest.raises(LabError, match="Name what the learners"):
        collect([], out)
    out.write_text("a file")
    with pytest.raises(LabError, match="a file"):
        collect([inbox], out)


def test_the_commands_say_what_they_did(
    tiny: LabFolder, inbox: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_lab("tiny-lab")
    monkeypatch.chdir(inbox)
    told = CliRunner().invoke(app, ["hand-in", "--name", "Ada [L.]"]).output
    assert "hand-in-ada-l.zip" in told and "workspace/tiny-lab/lab.ipynb" in told and "no progress" in told
    (inbox / "[red]Bob.ipynb").write_bytes(b"{")
    done = CliRunner().invoke(app, ["collect", ".", "--out", str(out)])
    assert done.exit_code == 0 and "[red]Bob.ipynb" in done.output
    assert "2 found: 1 whole, 0 partly, 1 not read; 2 new, 0 were there already" in done.output
    missing = CliRunner().invoke(app, ["collect", "nothing", "--out", str(out)])
    assert missing.exit_code == 2 and missing.output.startswith("labs: nothing: no such file or folder")

"""Progress of several machines as one, and what `labs progress` makes of it."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder
from labkit.catalog.version import lab_version
from labkit.classroom.overview import overview, progress_page
from labkit.classroom.progress import merge, read_counted, read_progress, standing, union
from labkit.cli import app
from labkit.lesson.journal import append, new_event, progress_file
from typer.testing import CliRunner

from ..conftest import replace


def labs(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["progress", *arguments])
    return result.exit_code, result.output


def machine(path: Path, events: list[dict[str, Any]]) -> Path:
    append(path, events)
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Files of three machines that share some events, each with a line cut short."""
    luck, paths = random.Random(5), []
    events = [new_event("hint", "tiny-lab", "v", exercise="mean", number=1) | {"time": n / 7} for n in range(60)]
    for name in ("one", "two", "three"):
        mine = luck.sample(events, 30)
        path = machine(tmp_path / f"{name}.jsonl", mine[:15])
        with path.open("ab") as file:
            file.write(b'{"id": "cut')
        paths.append(machine(path, mine[15:]))
    return paths


def test_a_merge_is_the_same_in_every_order_and_when_done_again(three: list[Path], tmp_path: Path) -> None:
    expected = read_progress(*three)
    assert len(expected) > 45 and [e["time"] for e in expected] == sorted(e["time"] for e in expected)
    assert read_counted(*three)[1] == 3
    for number, order in enumerate(itertools.permutations(three)):
        into = tmp_path / str(number) / "progress.jsonl"
        shutil.copytree(three[0].parent, into.parent, ignore=lambda *_: [p.name for p in tmp_path.iterdir()])
        first = merge(order, into)
        size = into.stat().st_size
        assert first.added == len(expected) and first.there == 0 and first.passed_over == 3
        again = [merge([path], into) for path in (*order, into)]
        assert all(one.added == 0 for one in again) and into.stat().st_size == size
        assert read_progress(into) == expected


def test_two_events_of_one_id_give_the_same_one_in_any_order() -> None:
    one = new_event("hint", "tiny-lab", "v", number=1)
    other = one | {"number": 2}
    assert union([one, other]) == union([other, one]) and len(union([one, other])) == 1


def test_a_merge_only_appends_and_one_that_was_cut_goes_on(three: list[Path]) -> None:
    before = three[0].read_bytes()
    merge(three[1:], three[0])
    whole = three[0].read_bytes()
    assert whole.startswith(before) and len(read_progress(three[0])) == len(read_progress(*three))
    three[0].write_bytes(whole[: (len(before) + len(whole)) // 2])
    merge(three[1:], three[0])
    assert read_progress(three[0]) == read_progress(*three)


def test_a_file_that_is_not_there_is_told(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no such file. Name the progress.jsonl"):
        merge([tmp_path / "nothing"], tmp_path / "progress.jsonl")
    assert not (tmp_path / "progress.jsonl").exists()
    assert labs("--merge", str(tmp_path)) == (
        2,
        f"labs: {tmp_path}: no such file. Name the progress.jsonl of another machine.\n",
    )
    assert read_progress(tmp_path / "nothing") == []


def work(lab: LabFolder, **fields: Any) -> list[dict[str, Any]]:
    """A lab opened, one exercise of two correct, one question of two answered right."""
    version = fields.pop("version", lab_version(lab.folder))
    return [
        new_event("open", lab.slug, version),
        new_event("check", lab.slug, version, exercise="mean", outcome="correct"),
        new_event("check", lab.slug, version, exercise="double", outcome="incorrect", message="<b>no</b>"),
        new_event("quiz", lab.slug, version, question=2, answer="b", right=True),
    ]


def test_the_sections_count_what_was_done(tiny: LabFolder) -> None:
    replace(
        tiny.folder.parents[1] / "blueprint" / "guides.toml",
        'title = "new"',
        'title = "new"\nweights = { 2 = 30, 3 = 70 }',
    )
    found = overview({})
    assert [(row.number, round(row.weight, 2)) for row in found.sections] == [(2, 0.3), (3, 0.7)]
    assert [str(count) for count in found.sections[0].counts] == ["0 of 1", "0 of 2", "0 of 0", "0 of 1"]
    found = overview(standing(work(tiny)))
    assert [str(count) for count in found.sections[0].counts] == ["0 of 1", "1 of 2", "1 of 1", "1 of 1"]
    assert found.in_work[0].open == ("double", "question 1", "the last cell") and not found.in_work[0].changed
    rest = [
        new_event("solution", "tiny-lab", lab_version(tiny.folder), exercise="double"),
        new_event("finish", "tiny-lab", lab_version(tiny.folder)),
    ]
    found = overview(standing([*work(tiny), *rest]))
    assert str(found.sections[0].labs) == "1 of 1" and str(found.sections[0].exercises) == "1 of 2"
    assert found.in_work == [] and found.changed == []


def test_answers_to_another_version_are_marked(tiny: LabFolder) -> None:
    events = work(tiny)
    replace(tiny.folder / "checks.py", "Multiply.", "Add it to itself.")
    assert overview(standing(events)).in_work[0].changed
    # Opening the new version answers nothing: what was answered is still of the old one.
    events.append(new_event("open", "tiny-lab", lab_version(tiny.folder)))
    assert overview(standing(events)).in_work[0].changed
    assert not overview(standing(work(tiny))).in_work[0].changed


def test_the_command_shows_it_and_what_it_could_not_read(tiny: LabFolder, tmp_path: Path) -> None:
    assert "Nothing yet. `labs next` proposes" in labs()[1]
    other = machine(tmp_path / "other.jsonl", [*work(tiny, version="0" * 12), new_event("open", "gone-lab", "v")])
    with other.open("a") as file:
        file.write("not JSON\n")
    status, said = labs("--merge", str(other))
    assert status == 0 and "5 events added, 0 were there already; 1 lines could not be read" in said
    assert "1 of 2" in said and "open double, question 1, the last cell" in said
    assert "the lab has changed since" in said and "Not in this collection: gone-lab" in said
    assert "0 events added, 5 were there already" in labs("--merge", str(other))[1]
    with progress_file().open("a") as file:
        file.write('{"id": "cut')
    assert "1 line of the progress could not be read" in labs()[1]


def test_the_page_has_the_same_and_needs_nothing(tiny: LabFolder, tmp_path: Path) -> None:
    replace(tiny.folder / "lab.toml", "A tiny lab for the tests", "A <script>tiny</script> lab")
    progress_file().parent.mkdir()
    append(progress_file(), work(tiny, version="0" * 12))
    page = tmp_path / "progress.html"
    assert labs("--page", str(page))[0] == 0
    text = page.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "http" not in text.replace("http-equiv", "")
    assert text.count("<h1>") == 1 and 'scope="col"' in text and 'lang="en"' in text
    assert "double, question 1, the last cell" in text and "the lab has changed since" in text and "1 of 2" in text
    assert labs("--page", str(page))[0] == 0, "the page is written anew"
    for wrong in (progress_file(), tmp_path, tmp_path / "no" / "page.html"):
        status, said = labs("--page", str(wrong))
        assert status == 2 and f"labs: --page {wrong}: " in said
    assert len(read_progress(progress_file())) == 4
    solved = [
        new_event("check", "tiny-lab", "v", exercise="double", outcome="correct"),
        new_event("finish", "tiny-lab", "v"),
    ]
    text = progress_page(overview(standing([*work(tiny), *solved])), passed_over=2)
    assert "<h2>Done</h2>" in text and "<h2>In work</h2>" not in text and "2 lines of the progress" in text

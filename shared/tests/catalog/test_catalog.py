"""Blueprint, data registry, scaffold, README and the reading of lab.py."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.catalog.blueprint import check_blueprint, coverage, read_blueprint
from labkit.catalog.collection import LabFolder, find_lab, lab_folders
from labkit.catalog.datasets import load_dataset, read_dataset
from labkit.catalog.environments import kernel_environments
from labkit.catalog.lint import lint
from labkit.catalog.readme import BEGIN, END, update_readme
from labkit.catalog.scaffold import new_lab
from labkit.catalog.source import read_cells, read_tasks
from labkit.runner.build import read_source

from ..conftest import ROOT, replace


def sources() -> list[Path]:
    return [
        *sorted((ROOT / "labs").glob("[1-6]-*/*/lab.py")),
        *(ROOT / "shared/tests/collection/labs").glob("*/*/lab.py"),
    ]


def with_magics(text: str) -> str:
    """A cell's text as the notebook has it: in lab.py, and for our reader, magics are comments."""
    marks = r"^# ?" if text.startswith("# %%") else r"^# (?=%\w)"
    return re.sub(marks, "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.parent.name)
def test_our_reader_and_jupytext_agree(path: Path) -> None:
    ours = [(cell.kind, with_magics(cell.text) if cell.is_code else cell.text, cell.tags) for cell in read_cells(path)]
    theirs = [(cell.cell_type, cell.source, tuple(cell.metadata.get("tags", []))) for cell in read_source(path).cells]
    assert ours == theirs


def test_line_numbers_point_into_the_file(tiny: LabFolder) -> None:
    lines = tiny.source.read_text().splitlines()
    for cell in read_cells(tiny.source):
        if cell.is_code:
            assert lines[cell.line - 1] == cell.text.splitlines()[0]


def test_tasks_know_answers_and_context(tiny: LabFolder) -> None:
    tasks = read_tasks(read_cells(tiny.source))
    assert {name: (task.answers, task.arguments) for name, task in tasks.items()} == {
        "mean": (("mean",), ("mean", "data")),
        "double": (("double", "four"), ("double", "four")),
    }


def test_coverage_counts_topics_by_guide_and_section(collection: Path) -> None:
    rows = [(r.guide, r.section, r.covered, r.planned) for r in coverage(read_blueprint(), {"T001"})]
    assert rows == [("2023", 2, 1, 1), ("2023", 3, 0, 1), ("2026", 2, 1, 0)]


def test_a_topic_without_a_lab_is_a_problem(collection: Path) -> None:
    topics = collection / "labs" / "blueprint" / "topics.csv"
    assert check_blueprint(read_blueprint(), {"tiny-lab"}) == []
    topics.write_text(topics.read_text() + "T003,Nobody's topic,2,nowhere,,,concept,none\n")
    read_blueprint.__globals__["_read"].cache_clear()
    assert {p.code for p in check_blueprint(read_blueprint(), {"tiny-lab"})} == {"B001", "B002"}


def test_the_real_blueprint_is_whole() -> None:
    blueprint = read_blueprint(ROOT / "labs" / "blueprint")
    slugs = {folder.name for folder in (ROOT / "labs").glob("[1-6]-*/*")}
    assert check_blueprint(blueprint, slugs) == []
    assert len(blueprint.topics) == 205 and len(blueprint.plans) == 80


def test_an_unknown_lab_names_its_neighbours(collection: Path) -> None:
    with pytest.raises(LabError, match=r"tiny-lbb.*Did you mean tiny-lab\?"):
        find_lab("tiny-lbb")


def test_a_file_is_verified_by_its_hash(collection: Path) -> None:
    assert load_dataset("numbers").y.tolist() == [2, 4, 6]
    replace(collection / "data" / "files" / "numbers.csv", "3,6", "3,7")
    with pytest.raises(LabError, match="sha256"):
        load_dataset("numbers")


def test_the_number_of_rows_is_verified(collection: Path) -> None:
    replace(collection / "data" / "registry" / "numbers.toml", "rows = 3", "rows = 4")
    with pytest.raises(LabError, match="3 rows, the registry says 4"):
        load_dataset("numbers")


def test_bad_requests_for_data(collection: Path) -> None:
    with pytest.raises(LabError, match="has: numbers, planted"):
        load_dataset("letters")
    with pytest.raises(LabError, match="takes no parameters, got seed"):
        load_dataset("numbers", seed=1)
    replace(collection / "data" / "registry" / "numbers.toml", "rows = 3\n", "")
    with pytest.raises(LabError, match="a file has sha256 and rows"):
        read_dataset("numbers")


def test_the_generator_plants_what_it_says(collection: Path) -> None:
    for slope in (-1.0, 3.0):
        data = load_dataset("planted", seed=3, slope=slope, rows=1000)
        assert (data.x * data.y).sum() / (data.x**2).sum() == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "data" / "registry").glob("*.toml"))])
def test_every_file_of_the_real_registry_loads_where_its_package_is(name: str) -> None:
    if read_dataset(name).generator:
        return  # tests/data has a test of its truth
    load = f"from labkit.catalog.datasets import load_dataset; print(len(load_dataset({name!r})))"
    pythons = [e.folder / "bin" / "python" for e in kernel_environments().values() if e.made]
    tried = [subprocess.run([python, "-c", load], capture_output=True, text=True) for python in pythons]
    assert any(run.returncode == 0 for run in tried), [run.stderr for run in tried]


def test_every_generator_has_a_test_of_its_truth() -> None:
    generators = {path.stem for path in (ROOT / "data" / "generators").glob("*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "shared" / "tests" / "data").glob("test_*.py")}
    assert {name.replace("-", "_") for name in generators} <= tested


def test_new_makes_a_lab_that_passes_once_it_is_filled(collection: Path) -> None:
    folder = new_lab("planned-lab")
    assert folder in lab_folders()
    found = {problem.code for problem in lint(folder)}
    assert found == {"L014", "N001"}, [str(problem) for problem in lint(folder)]
    for path in folder.iterdir():
        path.write_text(path.read_text().replace("TODO", "filled"))
    assert {problem.code for problem in lint(folder)} == {"N001"}


def test_new_never_overwrites(collection: Path) -> None:
    folder = new_lab("planned-lab")
    (folder / "lab.py").write_text("mine")
    with pytest.raises(LabError, match="nothing was changed"):
        new_lab("planned-lab")
    assert (folder / "lab.py").read_text() == "mine"
    with pytest.raises(LabError, match="not planned"):
        new_lab("unheard-of")


def test_the_readme_table_is_generated(collection: Path) -> None:
    readme = collection / "README.md"
    readme.write_text(f"head\n{BEGIN}\n{END}\ntail\n")
    assert update_readme() and not update_readme()
    text = readme.read_text()
    assert "[A tiny lab for the tests](labs/2-data/tiny-lab/lab.ipynb)" in text
    assert text.startswith("head\n") and text.endswith("tail\n")

"""Feedback: the learner's notebook with what was judged, in which nothing of theirs runs; the original stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from labkit.catalog.collection import LabFolder
from labkit.classroom.class_folder import Grade, Judged, read_class
from labkit.classroom.feedback import block, feedback_notebook, fenced, write_feedback
from labkit.classroom.feedback_page import feedback_page
from labkit.classroom.known import known_lab
from labkit.classroom.restored import restored

from .graded import RIGHT, exercise, handed_in, line, write_class
from .test_report import Page

SCRIPT = "<script>alert(1)</script>"
WRONG = "mean = data.y.sum()"


def grade(exercises: dict[str, Judged], quiz: dict[int, tuple[str, bool]] | None = None, fault: str = "") -> Grade:
    return Grade("ada", "tiny-lab", "", "", fault, exercises, quiz or {})


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if "feedback" in cell.metadata.get("tags", [])]


def test_feedback_stands_below_the_check_of_its_exercise(tiny: LabFolder) -> None:
    judged = {"mean": Judged("incorrect", "The mean is not `3`.", WRONG, hints=1), "double": Judged("not attempted")}
    given = json.loads(handed_in({"mean": exercise("incorrect", WRONG)}))
    made = feedback_notebook(given, "Ada L.", grade(judged, {1: ("c", False)}), known_lab("tiny-lab"))
    nbformat.validate(made)
    sources = [cell.source for cell in made.cells]
    below = sources.index('mean = lab.check("mean", mean, data)') + 1
    assert "Feedback: mean" in sources[below] and "The mean is not <code>3</code>." in sources[below]
    assert "Hint 2 of 2: Sum, then divide." in sources[below]  # the first one they have seen
    assert "Hint 1 of 2" in sources[sources.index('double, four = lab.check("double", double, four)') + 1]
    first, last = texts(made)[0], texts(made)[-1]
    assert "Ada L." in first and "0 of 2" in first
    assert "c, is wrong" in last and last.count("Because") == 3  # of the open question nothing is told
    assert "data.y.mean()" not in "".join(texts(made))


def test_solutions_only_when_asked_for(tiny: LabFolder) -> None:
    judged = {"mean": Judged("error", "SyntaxError", "mean = ="), "double": Judged("correct", answer="x")}
    shown = texts(feedback_notebook({}, "Ada", grade(judged), known_lab("tiny-lab"), solutions=True))
    assert "mean = data.y.mean()" in shown[1] and "return 2 * x" not in "".join(shown)
    assert shown[-1].count("Because") == 6


def test_a_notebook_that_cannot_be_read_gets_the_feedback_alone(tiny: LabFolder) -> None:
    made = feedback_notebook({}, "Ada", grade({"mean": Judged("missing")}, fault="not JSON"), known_lab("tiny-lab"))
    shown = texts(made)
    assert len(shown) == len(made.cells) == 3
    assert "could not be run: not JSON" in shown[0] and "was not found" in shown[1]


def test_without_its_check_cell_an_answer_is_found_by_its_text(tiny: LabFolder) -> None:
    given = json.loads(handed_in({"mean": exercise("correct", RIGHT)}))
    given["cells"] = [cell for cell in given["cells"] if "lab.check" not in "".join(cell["source"])]
    made = feedback_notebook(given, "Ada", grade({"mean": Judged("correct", answer=RIGHT)}), known_lab("tiny-lab"))
    sources = [cell.source for cell in made.cells]
    assert "Feedback: mean" in sources[sources.index(RIGHT) + 1]


def test_what_was_collected_stays_and_files_come_in_pairs(tiny: LabFolder, tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", [line("ada", {"mean": exercise("correct", RIGHT)}, "a")])
    collected = folder / "learners" / "ada" / "tiny-lab" / "lab.ipynb"
    before = collected.read_bytes()
    pages = write_feedback(read_class(folder), [known_lab("tiny-lab")], tmp_path / "feedback")
    assert collected.read_bytes() == before
    (page,) = pages.values()
    assert page == tmp_path / "feedback" / "ada" / "tiny-lab.html" and page.with_suffix(".ipynb").is_file()


def test_a_learner_whose_id_leads_elsewhere_gets_no_file(tiny: LabFolder, tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", [line("ada", {"mean": exercise("correct", RIGHT)})])
    with (folder / "grades.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line("../../evil", {})) + "\n")
    assert len(write_feedback(read_class(folder), [known_lab("tiny-lab")], tmp_path / "feedback")) == 1
    assert not list(tmp_path.glob("**/evil*"))


SHOWN = [
    {"text/html": f"<b onclick='x()'>t</b>{SCRIPT}"},
    {"text/html": "<a href='javascript:x()'>k</a><a href='data:text/html,x'>k</a><iframe src='http://x'></iframe>"},
    {"image/svg+xml": "<svg onload='x()'><script>1</script></svg>"},
    {"application/javascript": "alert(1)"},
    {"text/markdown": f"![i](http://x/y.png) {SCRIPT}"},
    {"text/latex": f"$x$ {SCRIPT}"},
    {"image/png": f'">{SCRIPT}'},
]
OUTPUTS: list[dict[str, Any]] = [
    *({"output_type": "display_data", "metadata": {}, "data": data} for data in SHOWN),
    {"output_type": "stream", "name": "stdout", "text": [SCRIPT, "x" * 100_000]},
    {"output_type": "error", "ename": SCRIPT, "evalue": SCRIPT, "traceback": [SCRIPT]},
]
MARKDOWN = (
    f"# Title {SCRIPT}\n<img src=http://x/y.png onerror=x()>\n"
    "<div style='position:fixed;border-left:1px'>d</div>\n<style>*{}</style>"
)


def test_the_page_runs_nothing_and_asks_nothing_from_outside(tiny: LabFolder) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(MARKDOWN),
            nbformat.v4.new_code_cell(f"x = '{SCRIPT}'", outputs=[nbformat.from_dict(output) for output in OUTPUTS]),
        ]
    )
    judged = {"mean": Judged("incorrect", f"{SCRIPT} costs $5 and $6\n\n# no heading", "x")}
    made = feedback_notebook(notebook, f"Eve {SCRIPT}", grade(judged), known_lab("tiny-lab"))
    text = feedback_page(made, f"Feedback {SCRIPT}")
    shown = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "svg", "form", "input"} & set(shown.tags)
    assert shown.tags.count("style") == 1 and shown.tags.count("h1") == 1
    assert not [address for address in shown.addresses if not address.startswith(("#", "data:image/"))]
    assert not shown.handlers and not [style for style in shown.styles if "position" in style]
    assert "(cut; your own notebook has all of it)" in text and "default-src 'none'" in text


@pytest.mark.parametrize("text", ["a\n\nb", "$x$ and $y$", "</div><script>", "`code` **bold**", "\\(x\\) \\begin{a}"])
def test_a_block_is_one_piece_of_markdown_without_formula(text: str) -> None:
    made = block("bad", [text], text)
    assert "\n" not in made and "$" not in made and "\\" not in made and "<script" not in made


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert fenced("a = '```'").startswith("````python\n")


def test_any_notebook_becomes_a_valid_one() -> None:
    outputs = [{"output_type": "pyout", "text": ["1"]}, {"output_type": "stream", "stream": "stderr", "text": "w"}, 7]
    cells = [
        {"cell_type": "heading", "level": 1, "source": "T"},
        {"cell_type": "code", "input": ["a = 1\n", "a"], "outputs": outputs},
        "no cell",
        {"cell_type": "code", "id": "x y", "input": "\ud800", "outputs": {"a": 1}},
    ]
    old = {"nbformat": 3, "worksheets": [{"cells": cells}]}
    made = restored(old)
    nbformat.validate(made)
    assert [cell.source for cell in made.cells] == ["T", "a = 1\na", "?"]
    shown, said = made.cells[1].outputs
    assert shown.data["text/plain"] == "1" and said.name == "stderr"
    same = {"cells": [{"cell_type": "code", "id": "a", "source": ""}, {"cell_type": "code", "id": "a", "source": ""}]}
    nbformat.validate(restored(same))
    assert len({cell.id for cell in restored(same).cells}) == 2


def test_an_image_that_is_no_base64_is_left_out() -> None:
    given = [{"output_type": "display_data", "data": {"image/png": data}} for data in ("aGk=", '">x')]
    made = restored({"cells": [{"cell_type": "code", "source": "", "outputs": given}]})
    assert [output.data for output in made.cells[0].outputs] == [{"image/png": "aGk="}]

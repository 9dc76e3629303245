"""`labs submit`: a lab as a custom job, on the local Vertex AI from one end to the other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.classroom.submit import Order, submit_lab

ROOT = Path(__file__).resolve().parents[3]


def outcome(collection: Path) -> dict[str, object]:
    (found,) = (collection / ".work" / "submitted" / "tiny-lab").glob("2*/tiny-lab/outcome.json")
    assert (found.parent / "executed.ipynb").exists() and (found.parent / "journal.jsonl").exists()
    return dict(json.loads(found.read_text()))


def test_claims_and_notebook_come_back(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = Order("tiny-lab", "n1-standard-4", "NVIDIA_TESLA_T4", seed=5, parameters=("SCALE=1.25",))
    assert submit_lab(order, "local") == 0
    assert outcome(collection)["parameters"] == {"SCALE": 1.25, "SEED": 5}
    assert "tiny-lab: passed" in capsys.readouterr().out


def test_a_claim_that_fails_there_is_told_here(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit_lab(Order("tiny-lab", "n1-standard-4", parameters=("EFFECT=False",)), "local") == 1
    told = capsys.readouterr().out
    assert "FAILS  slope" in told and "fault: cell" in told
    assert outcome(collection)["faults"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order("tiny-lab", parameters=("SLOPE=1",)), "no parameter 'SLOPE'"),
        (Order("tiny-lab", minutes=0), "--minutes 0"),
        (Order("tiny-lab", accelerator_count=2), "needs --accelerator"),
        (Order("no-such-lab"), "no-such-lab"),
    ],
)
def test_an_order_that_cannot_be_sent(collection: Path, order: Order, words: str) -> None:
    with pytest.raises(LabError, match=words):
        submit_lab(order, "local")


def test_an_impossible_machine_is_refused_before_anything_runs(collection: Path) -> None:
    with pytest.raises(LabError, match="NVIDIA_TESLA_T4"):
        submit_lab(Order("tiny-lab", "a2-highgpu-1g", "NVIDIA_TESLA_T4"), "local")
    assert not list((collection / ".work" / "submitted").rglob("outcome.json"))


def test_the_image_copies_what_is_there() -> None:
    text = (ROOT / "environments" / "vertex" / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    assert all((ROOT / name).exists() for names in copied for name in names)
    locks = re.findall(r"environments/(\w+)\.txt", text)
    assert locks and all((ROOT / "environments" / f"{name}.txt").exists() for name in locks)

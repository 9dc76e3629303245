"""A learner's copy has no solution, and is never overwritten."""

from __future__ import annotations

from labkit.catalog.collection import LabFolder
from labkit.classroom.start import start_lab


def test_a_copy_without_solutions_that_stays(tiny: LabFolder) -> None:
    path, fresh = start_lab(tiny.slug)
    text = path.read_text()
    assert fresh and "SOLUTION" not in text and "data.y.mean()" not in text and "your answer here" in text
    path.write_text("my work")
    assert start_lab(tiny.slug) == (path, False)
    assert path.read_text() == "my work"

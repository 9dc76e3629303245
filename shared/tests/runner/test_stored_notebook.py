"""nbval, as CI calls it: passes what comes out again, refuses a stored output that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from labkit.catalog.collection import LabFolder
from labkit.runner.commands import build_labs

from ..conftest import ROOT, replace


def nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    options = ["-c", str(ROOT / "ci" / "nbval.ini"), "--rootdir", str(notebook.parent), "--nbval-lax"]
    sanitize = ["--nbval-sanitize-with", str(ROOT / "ci" / "sanitize.cfg"), str(notebook)]
    command = [sys.executable, "-m", "pytest", *options, *sanitize]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LABKIT_HEADLESS": "1"})


def test_what_the_reader_sees_is_compared(tiny: LabFolder) -> None:
    assert build_labs([tiny.slug]) == 0
    same = nbval(tiny.notebook)
    assert same.returncode == 0 and " passed" in same.stdout, same.stdout
    replace(tiny.notebook, "rows 100", "rows 99")
    other = nbval(tiny.notebook)
    assert other.returncode == 1 and "1 failed" in other.stdout, other.stdout

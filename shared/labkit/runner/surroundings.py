"""What a run has around it: the variables that its kernel inherits, and where its noise goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.catalog.imports import WANTED
from labkit.runner.runs import Run
from labkit.runner.warm.kernels import kernel_folder


@contextmanager
def variables_of(run: Run, journal: Path) -> Iterator[None]:
    """Variables that the kernel inherits: where to write, and that nobody is there to click."""
    values = {
        "LABKIT_JOURNAL": str(journal),
        "LABKIT_WORK": str(run.folder / "files"),
        "LABKIT_HEADLESS": "1",
        "LABKIT_AUDIT": "1" if run.audit else "",
        WANTED: str(run.imports),
        # Warm kernels come first, where there are any.
        "JUPYTER_PATH": os.pathsep.join(filter(None, [os.environ.get("JUPYTER_PATH"), str(kernel_folder())])),
    }
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Sends what this process and the kernel that it starts print to a file: one lab's noise is not another's."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, saved in enumerate(kept, 1):
                os.dup2(saved, descriptor)
                os.close(saved)

"""`labs start <slug>`: the learner's own copy of a lab, which nothing here ever overwrites or deletes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import nbformat

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.places import home
from labkit.runner.build import build_notebook
from labkit.runner.learner import learner_copy


def start_lab(slug: str) -> tuple[Path, bool]:
    """The path of workspace/<slug>/lab.ipynb, and whether it was made now. A copy that is there is never touched."""
    lab = find_lab(slug)
    path = home() / "workspace" / slug / "lab.ipynb"
    with _alone(path.parent):
        if os.path.lexists(path):
            return path, False
        with _written(_copy(lab), path.parent) as part:
            os.replace(part, path)
    return path, True


def start_afresh(slug: str) -> tuple[Path, Path | None]:
    """A new copy at workspace/<slug>/lab.ipynb, and where beside it the old one is kept, if there was one."""
    lab = find_lab(slug)
    path = home() / "workspace" / slug / "lab.ipynb"
    with _alone(path.parent), _written(_copy(lab), path.parent) as part:
        kept = _keep(path) if os.path.lexists(path) else None
        os.replace(part, path)
    return path, kept


def unreadable(path: Path) -> str:
    """Why JupyterLab will not open a notebook; "" when it will."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and ("cells" in found or "worksheets" in found):
        return ""
    mend = f"`labs start {path.parent.name} --fresh` keeps it and makes a new one."
    return f"{path} is no notebook that can be read. {mend}"


def _copy(lab: LabFolder) -> bytes:
    """The learner's copy: made from lab.py, or the one that a class's archive has in its place."""
    if not lab.handed_out and lab.source.exists():
        return f"{nbformat.writes(learner_copy(build_notebook(lab)))}\n".encode()
    if lab.notebook.exists():
        return lab.notebook.read_bytes()
    raise LabError(f"{lab.folder}: neither lab.py nor lab.ipynb is there. Take the folder from its source anew.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time in a folder, which is made if it is not there. Raises LabError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as error:
        raise LabError(f"{folder}: {error.strerror or error}. Your work is as it was.") from None


@contextlib.contextmanager
def _written(data: bytes, folder: Path) -> Iterator[Path]:
    """A new file beside its place, to be moved there whole: nobody ever sees half a notebook."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _keep(path: Path) -> Path:
    """Gives the file a second name, lab-<date-time>.ipynb. The old name stays until the new copy takes it."""
    for number in range(1, 1000):
        again = f"-{number}" if number > 1 else ""
        kept = path.with_name(f"lab-{datetime.now():%Y%m%d-%H%M%S}{again}.ipynb")
        try:
            os.link(path, kept, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # a disk without links: the same by copying
            with path.open("rb") as old, kept.open("xb") as new:
                shutil.copyfileobj(old, new)
            shutil.copystat(path, kept)
        return kept
    raise LabError(f"{path.parent} has a thousand copies of this second. Wait for the next one.")

"""The data registry: where each data set comes from, its licence, and proof that it is that file."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labkit.catalog.modules import load_module
from labkit.catalog.places import data_folder
from labkit.catalog.problems import LabError, Problem

if TYPE_CHECKING:
    import pandas as pd


class Dataset(BaseModel):
    """One entry of data/registry: a file that a package ships, a file in data/files, or a generator."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    source: str
    licence: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    rows: int | None = Field(default=None, gt=0)
    package: str | None = None
    path: str | None = None
    file: str | None = None
    generator: str | None = None
    read: dict[str, Any] = {}

    @model_validator(mode="after")
    def one_origin(self) -> Dataset:
        if sum([self.package is not None, self.file is not None, self.generator is not None]) != 1:
            raise ValueError("name one origin: package (with path), file, or generator")
        if (self.package is None) != (self.path is None):
            raise ValueError("package and path go together")
        if self.generator is None and (self.sha256 is None or self.rows is None):
            raise ValueError("a file has sha256 and rows")
        return self


def dataset_names() -> list[str]:
    return sorted(path.stem for path in (data_folder() / "registry").glob("*.toml"))


def read_dataset(name: str) -> Dataset:
    """The registry's entry. Raises LabError when it is missing or not valid."""
    path = data_folder() / "registry" / f"{name}.toml"
    if not path.exists():
        raise LabError(f"No data set is called {name!r}. data/registry has: {', '.join(dataset_names()) or 'none'}.")
    try:
        return Dataset.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise LabError(f"{path}: {' '.join(str(error).split())} See labs/AUTHORING.md.") from None


def load_dataset(name: str, **parameters: Any) -> pd.DataFrame:
    """A data set as a DataFrame; `parameters` go to its generator.

    Raises LabError when a file's hash or number of rows is not the registry's.
    """
    import pandas as pd

    entry = read_dataset(name)
    if entry.generator:
        return _generator(data_folder() / entry.generator).make(**parameters)
    if parameters:
        raise LabError(f"Data set {name!r} is a file and takes no parameters, got {', '.join(parameters)}.")
    path = _file(name, entry)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise LabError(f"{path}: sha256 {found[:12]}…, the registry says {(entry.sha256 or '')[:12]}…. Get it anew.")
    options = {"compression": "gzip" if path.suffix == ".gz" else None, **entry.read}
    frame = pd.read_csv(io.BytesIO(content), **options)
    if len(frame) != entry.rows:
        raise LabError(f"{path}: {len(frame)} rows, the registry says {entry.rows}. Check [read] in its entry.")
    return frame


def _file(name: str, entry: Dataset) -> Path:
    if entry.file:
        path = data_folder() / entry.file
    else:
        # The package itself is not imported: some take seconds, and only a file of theirs is needed.
        spec = importlib.util.find_spec(str(entry.package))
        if spec is None or spec.origin is None:
            raise LabError(f"Data set {name!r} ships in the package {entry.package}, which this environment lacks.")
        path = Path(spec.origin).parent / str(entry.path)
    if not path.exists():
        raise LabError(f"Data set {name!r}: {path} is not there. `labs doctor` checks the installation.")
    return path


def _generator(path: Path) -> Any:
    if not path.exists():
        raise LabError(f"{path}: no such generator. It is a Python file with a function make(seed, …).")
    return load_module(path)


def check_datasets() -> list[Problem]:
    """Entries of the registry that are not valid."""
    problems = []
    for name in dataset_names():
        try:
            read_dataset(name)
        except LabError as error:
            where = data_folder() / "registry" / f"{name}.toml"
            problems.append(Problem("D001", where, str(error).rstrip("."), "labs/AUTHORING.md shows the form."))
    return problems

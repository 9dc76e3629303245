"""Models in a folder: one JSON file each, which names the pickle that belongs to it.

The JSON file is replaced last and at once: whoever is killed in the middle of CREATE OR REPLACE MODEL leaves the old
model.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import uuid
from pathlib import Path
from typing import Any

from localgcp.bqml.errors import BadRequest
from localgcp.bqml.record import Record

NAME = re.compile(r"[A-Za-z0-9_]{1,1024}")


class Store:
    """`folder/dataset/model.json` and `folder/dataset/model.<id>.pickle`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: dict[tuple[str, str], tuple[str, Record]] = {}

    def exists(self, dataset: str, model: str) -> bool:
        return self._json(dataset, model).is_file()

    def save(self, record: Record) -> None:
        _, dataset, model = record.name
        target = self._json(dataset, model)
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f"{model}.{uuid.uuid4().hex}.pickle"
        _write(target.parent / name, pickle.dumps(record))
        text = json.dumps({"pickle": name, "resource": record.resource}, indent=1)
        _write(target.parent / f".{name}.json", text.encode())
        os.replace(target.parent / f".{name}.json", target)
        self._remove_others(target.parent, model, name)
        self._loaded[dataset, model] = (name, record)

    def _remove_others(self, folder: Path, model: str, kept: str) -> None:
        """Removes the model's earlier pickle, and what a process that was killed had begun to write."""
        # A name has no dot, so `m.` begins files of no other model.
        for path in [*folder.glob(f"{model}.*.pickle"), *folder.glob(f".{model}.*.json")]:
            if path.name != kept:
                path.unlink(missing_ok=True)

    def load(self, dataset: str, model: str) -> Record:
        """The record of a model that exists."""
        name = self._read(dataset, model)["pickle"]
        held = self._loaded.get((dataset, model))
        if held and held[0] == name:
            return held[1]
        with open(self.folder / dataset / name, "rb") as file:
            record: Record = pickle.load(file)
        self._loaded[dataset, model] = (name, record)
        return record

    def resource(self, dataset: str, model: str) -> dict[str, Any]:
        return dict(self._read(dataset, model)["resource"])

    def models(self, dataset: str) -> list[str]:
        folder = self.folder / dataset
        return sorted(path.stem for path in folder.glob("[!.]*.json")) if folder.is_dir() else []

    def delete(self, dataset: str, model: str) -> None:
        name = self._read(dataset, model)["pickle"]
        self._json(dataset, model).unlink()
        (self.folder / dataset / name).unlink(missing_ok=True)
        self._loaded.pop((dataset, model), None)

    def _json(self, dataset: str, model: str) -> Path:
        for kind, text in (("dataset", dataset), ("model", model)):
            if not NAME.fullmatch(text):
                raise BadRequest(f"Invalid {kind} ID {text!r}: it can contain letters, numbers and underscores.")
        return self.folder / dataset / f"{model}.json"

    def _read(self, dataset: str, model: str) -> dict[str, Any]:
        return dict(json.loads(self._json(dataset, model).read_text()))


def _write(path: Path, data: bytes) -> None:
    """Writes and flushes to disk, so that a rename after it never shows half a file."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

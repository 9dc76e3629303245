"""The results of a batch prediction: files in a folder of the bucket, or tables of BigQuery."""

from __future__ import annotations

import json
import re
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob

from localgcp.vertex.batch.inputs import Instance
from localgcp.vertex.batch.tables import Tables, parts
from localgcp.vertex.errors import VertexError
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places

_LINES = 10_000


class Output(ABC):
    """Where results go. Nothing can be seen of them before `close`."""

    @abstractmethod
    def success(self, instance: Instance, prediction: Any, more: dict[str, Any]) -> None:
        """Adds an instance that has its prediction; `more` is what else the line has, such as its explanation."""

    @abstractmethod
    def failure(self, instance: Instance, error: str) -> None:
        """Adds an instance that has none."""

    @abstractmethod
    def close(self) -> None:
        """Puts everything in its place. Raises VertexError when it cannot be written."""

    @abstractmethod
    def info(self) -> Message:
        """The job's output_info."""


class Files(Output):
    """prediction.results-00000-of-00001 and its kind, each line a JSON object, and one file of errors."""

    def __init__(self, prefix: str, name: str, places: Places, work: Path) -> None:
        self._uri = f"{prefix.rstrip('/')}/{name}"
        self._folder, self._work = places.local(self._uri), work
        if not places.bucket(prefix).is_dir():
            raise VertexError("NOT_FOUND", f"The bucket of '{prefix}' does not exist.")
        work.mkdir(parents=True)
        self._lines: list[str] = []
        self._shards: list[Path] = []
        self._errors: Counter[str] = Counter()

    def success(self, instance: Instance, prediction: Any, more: dict[str, Any]) -> None:
        self._lines.append(json.dumps(instance.shown | {"prediction": prediction} | more, ensure_ascii=False))
        if len(self._lines) == _LINES:
            self._flush()

    def failure(self, instance: Instance, error: str) -> None:
        self._errors[error] += 1

    def close(self) -> None:
        if self._lines or not self._shards:
            self._flush()
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(self._shards):
            shutil.move(shard, self._folder / f"prediction.results-{number:05d}-of-{len(self._shards):05d}")
        lines = [repr((error, count)) for error, count in self._errors.items()]
        text = "".join(f"{line}\n" for line in lines)
        (self._folder / "prediction.errors_stats-00000-of-00001").write_text(text, encoding="utf-8")
        shutil.rmtree(self._work, ignore_errors=True)

    def info(self) -> Message:
        return BatchPredictionJob.OutputInfo(gcs_output_directory=self._uri)

    def _flush(self) -> None:
        path = self._work / str(len(self._shards))
        path.write_text("".join(f"{line}\n" for line in self._lines), encoding="utf-8")
        self._shards.append(path)
        self._lines = []


class Rows(Output):
    """A table of predictions, and one of errors when there are any. A prediction is JSON in a STRING."""

    def __init__(self, uri: str, name: str, tables: Tables, source: str, keyed: bool) -> None:
        from google.cloud import bigquery

        self._field = bigquery.SchemaField
        project, self._dataset, table = parts(uri)
        self._tables, self._project = tables, project
        self._makes_dataset = not self._dataset
        stamp = name.rpartition("-")[2]
        suffix = "" if self._makes_dataset else f"_{stamp}"
        self._dataset = self._dataset or re.sub(r"\W", "_", name)
        self._table, self._error_table = table or f"predictions{suffix}", f"errors{suffix}"
        schema = tables.schema(source) if source and not keyed else []
        self._columns = {field.name: field for field in schema}
        self._from_table = bool(schema)
        self._good: list[dict[str, Any]] = []
        self._bad: list[dict[str, Any]] = []
        self._more: list[str] = []

    def success(self, instance: Instance, prediction: Any, more: dict[str, Any]) -> None:
        texts = {"prediction": prediction} | more
        self._more = list(more)
        self._good.append(self._cells(instance) | {key: _text(value) for key, value in texts.items()})

    def failure(self, instance: Instance, error: str) -> None:
        self._bad.append(self._cells(instance) | {"errors": {"code": 3, "message": error}})

    def close(self) -> None:
        where = f"{self._project}.{self._dataset}"
        if self._makes_dataset:
            self._tables.make_dataset(where)
        columns = list(self._columns.values())
        texts = [self._field(name, "STRING") for name in ("prediction", *self._more)]
        self._tables.write(f"{where}.{self._table}", columns + texts, self._good)
        if self._bad:
            inner = [self._field("code", "INT64"), self._field("message", "STRING")]
            struct = self._field("errors", "RECORD", fields=inner)
            self._tables.write(f"{where}.{self._error_table}", [*columns, struct], self._bad)

    def info(self) -> Message:
        dataset = f"bq://{self._project}.{self._dataset}"
        return BatchPredictionJob.OutputInfo(bigquery_output_dataset=dataset, bigquery_output_table=self._table)

    def _cells(self, instance: Instance) -> dict[str, Any]:
        """The instance's columns: those of the table that it comes from, else its JSON text, or its key."""
        if self._from_table and instance.row is not None:
            return instance.row
        name, value = next(iter(instance.shown.items()))
        self._columns.setdefault(name, self._field(name, "STRING"))
        return {name: _text(value)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def folder_name(model: str, moment: datetime) -> str:
    """prediction-<model's name>-<time>, as the service names what a job has made."""
    stamp = moment.strftime("%Y_%m_%dT%H_%M_%S_") + f"{moment.microsecond // 1000:03d}Z"
    return f"prediction-{re.sub(r'[^A-Za-z0-9_-]', '_', model)}-{stamp}"


def output(
    config: Message, name: str, places: Places, work: Path, tables: Callable[[], Tables], source: str, keyed: bool
) -> Output:
    """The output that an output_config asks for. Raises VertexError when it cannot be written to."""
    if raw(config).WhichOneof("destination") == "bigquery_destination":
        return Rows(config.bigquery_destination.output_uri, name, tables(), source, keyed)
    return Files(config.gcs_destination.output_uri_prefix, name, places, work)

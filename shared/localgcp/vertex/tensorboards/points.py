"""The points of TensorBoard's time series: one growing file per run, an index by step in memory."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from google.cloud.aiplatform_v1.types import TimeSeriesDataPoint
from google.protobuf.timestamp_pb2 import Timestamp

from localgcp.vertex.journal import Journal
from localgcp.vertex.messages import Message, raw


@dataclass
class Series:
    """Scalars by their step; a point that is written again replaces the one before."""

    points: dict[int, tuple[float, int]] = field(default_factory=dict)  # step: (value, nanoseconds)
    max_step: int = 0
    max_time: int = 0

    def put(self, step: int, value: float, nanoseconds: int) -> None:
        self.points[step] = (value, nanoseconds)
        self.max_step = max(self.max_step, step) if len(self.points) > 1 else step
        self.max_time = max(self.max_time, nanoseconds)


class Points:
    """All time series of a server. Names are full resource names; whoever calls holds the store's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, dict[str, Series]] = {}  # run, id of the series

    def write(self, run: str, rows: Iterable[tuple[str, Message]]) -> None:
        """Keeps points of a run: (id of the series, TimeSeriesDataPoint with a scalar). All or, with OSError, none."""
        fresh = [
            {"id": series, "step": point.step, "value": point.scalar.value, "time": _nanoseconds(point)}
            for series, point in rows
        ]
        series_of_run = self._run(run)
        self._journal(run).append(fresh)
        for row in fresh:
            _apply(series_of_run, row)

    def series(self, name: str) -> Series:
        """The points of a time series, none where nothing was written."""
        run, _, identifier = name.partition("/timeSeries/")
        return self._run(run).get(identifier) or Series()

    def delete_series(self, name: str) -> None:
        run, _, identifier = name.partition("/timeSeries/")
        if identifier in self._run(run):
            row = {"id": identifier, "deleted": True}
            self._journal(run).append([row])
            _apply(self._run(run), row)

    def delete(self, name: str) -> None:
        """Removes the points below a run, an experiment or a TensorBoard."""
        for run in [run for run in self._runs if run == name or run.startswith(f"{name}/")]:
            del self._runs[run]
        self._journal(name).delete()
        shutil.rmtree(self._path(name), ignore_errors=True)

    def _run(self, run: str) -> dict[str, Series]:
        """The series of a run, read from its file when it is first asked for."""
        if run not in self._runs:
            found: dict[str, Series] = {}
            for row in self._journal(run).read():
                _apply(found, row)
            self._runs[run] = found
        return self._runs[run]

    def _path(self, name: str) -> Path:
        parts = name.partition("/tensorboards/")[2].split("/")[::2]
        return self._folder.joinpath(*(quote(part, safe="") for part in parts))

    def _journal(self, run: str) -> Journal:
        path = self._path(run)
        return Journal(path.with_name(f"{path.name}.jsonl"))


def messages(series: Series, most: int | None, name: str) -> list[Message]:
    """The points as messages in the order of their steps; of more than `most`, a random choice with the last one.

    The choice is the same each time for the same points.
    """
    steps = sorted(series.points)
    if most is not None and len(steps) > most:
        chosen = random.Random(f"{name} {len(steps)}").sample(steps[:-1], most - 1)
        steps = [*sorted(chosen), steps[-1]]
    return [_message(step, *series.points[step]) for step in steps]


def timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def _message(step: int, value: float, nanoseconds: int) -> Message:
    point = TimeSeriesDataPoint(step=step, wall_time=timestamp(nanoseconds))
    point.scalar.value = value
    return point


def _nanoseconds(point: Message) -> int:
    return int(raw(point).wall_time.ToNanoseconds())


def _apply(series_of_run: dict[str, Series], row: dict[str, Any]) -> None:
    if row.get("deleted"):
        series_of_run.pop(row["id"], None)
    else:
        series_of_run.setdefault(row["id"], Series()).put(row["step"], row["value"], row["time"])

"""What a trial reports through cloudml-hypertune, as the API's measurements; the median rule of early stopping."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from google.cloud.aiplatform_v1.types import Measurement


@dataclass(frozen=True, order=True)
class Point:
    """One reported value: `seconds` since the trial began. Points are ordered as the API orders measurements."""

    step: int
    seconds: float
    value: float

    def message(self, metric: str) -> Measurement:
        return Measurement(
            step_count=self.step,
            elapsed_duration=timedelta(seconds=round(self.seconds, 6)),
            metrics=[Measurement.Metric(metric_id=metric, value=self.value)],
        )


class MetricFile:
    """The file of CLOUD_ML_HP_METRIC_FILE, one JSON object a line, which may be read while the trial writes it."""

    def __init__(self, path: Path, metric: str, began: float) -> None:
        self._path, self._metric, self._began = path, metric, began
        self._points: set[Point] = set()

    def read(self) -> list[Point]:
        """All points so far. cloudml-hypertune keeps its last 100 only: those of earlier reads are remembered.

        Half a line is a writer at work: the next read has it whole. A value that is no finite number is left out.
        """
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        self._points.update(point for line in lines if (point := self._point(line)) is not None)
        return sorted(self._points)

    def _point(self, line: str) -> Point | None:
        try:
            row = json.loads(line)
            value, step = float(row[self._metric]), int(row.get("global_step") or 0)
            seconds = float(row.get("timestamp") or self._began) - self._began
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return Point(step, max(0.0, seconds), value) if math.isfinite(value) else None


def selected(points: list[Point], best: bool, maximize: bool) -> Point:
    """The point that becomes the final measurement: the best one, or the last."""
    if not best:
        return points[-1]
    return (max if maximize else min)(points, key=lambda point: point.value)


def below_median(points: list[Point], completed: Iterable[list[Point]], maximize: bool, use_seconds: bool) -> bool:
    """The median rule: is the best value so far worse than the median of the completed trials' running averages?

    An average is over what a trial had reported up to the step, or the time, of this trial's last point.
    """

    def place(point: Point) -> float:
        return point.seconds if use_seconds else point.step

    if not points:
        return False
    now = max(map(place, points))
    known = [[point.value for point in other if place(point) <= now] for other in completed]
    averages = [statistics.fmean(values) for values in known if values]
    if not averages:
        return False
    median, values = statistics.median(averages), [point.value for point in points]
    return max(values) < median if maximize else min(values) > median

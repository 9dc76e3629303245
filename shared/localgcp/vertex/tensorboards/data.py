"""Writing, reading and exporting the points of TensorBoard's time series."""

from __future__ import annotations

from collections.abc import Iterable

from google.cloud.aiplatform_v1.types import (
    BatchReadTensorboardTimeSeriesDataResponse,
    ExportTensorboardTimeSeriesDataResponse,
    ReadTensorboardTimeSeriesDataResponse,
    TensorboardTimeSeries,
    TimeSeriesData,
    WriteTensorboardExperimentDataResponse,
    WriteTensorboardRunDataResponse,
)

from localgcp.vertex import filters, listing
from localgcp.vertex.core import Core
from localgcp.vertex.errors import invalid, not_found, unimplemented
from localgcp.vertex.messages import Message, copied
from localgcp.vertex.tensorboards.points import Points, messages

SCALAR = TensorboardTimeSeries.ValueType.SCALAR
_MOST_WRITTEN, _MOST_READ, _LARGEST_READ, _EXPORT_PAGE = 5000, 1000, 10_000, 1000


class Data:
    """The methods for the points of a server's time series."""

    def __init__(self, core: Core, points: Points) -> None:
        self._core, self._points = core, points
        service = "TensorboardService."
        core.answers(f"{service}WriteTensorboardRunData")(self.write_run)
        core.answers(f"{service}WriteTensorboardExperimentData")(self.write_experiment)
        core.answers(f"{service}ReadTensorboardTimeSeriesData")(self.read)
        core.answers(f"{service}BatchReadTensorboardTimeSeriesData")(self.read_batch)
        core.answers(f"{service}ExportTensorboardTimeSeriesData")(self.export)

    def write_run(self, request: Message) -> Message:
        """Writes all points or, when something is wrong with one of them (VertexError), none."""
        self._write([(request.tensorboard_run, request.time_series_data)])
        return WriteTensorboardRunDataResponse()

    def write_experiment(self, request: Message) -> Message:
        self._core.store.get(request.tensorboard_experiment)
        runs = request.write_run_data_requests
        for run in runs:
            if not run.tensorboard_run.startswith(f"{request.tensorboard_experiment}/runs/"):
                raise invalid(f"'{run.tensorboard_run}' is not a run of '{request.tensorboard_experiment}'.")
        self._write([(run.tensorboard_run, run.time_series_data) for run in runs])
        return WriteTensorboardExperimentDataResponse()

    def read(self, request: Message) -> Message:
        """At most 1000 points, or max_data_points; -1 is all of them."""
        most = request.max_data_points or _MOST_READ
        if most != -1 and not 0 < most <= _LARGEST_READ:
            raise invalid(f"max_data_points is -1 or between 1 and {_LARGEST_READ}, not {most}.")
        fits = filters.parse(request.filter)
        data = self._series(request.tensorboard_time_series, None if most == -1 else most)
        data.values = [point for point in data.values if fits(point)]
        return ReadTensorboardTimeSeriesDataResponse(time_series_data=data)

    def read_batch(self, request: Message) -> Message:
        self._core.store.get(request.tensorboard)
        for name in request.time_series:
            if not name.startswith(f"{request.tensorboard}/"):
                raise invalid(f"'{name}' is not in '{request.tensorboard}'.")
        rows = [self._series(name, _MOST_READ) for name in request.time_series]
        return BatchReadTensorboardTimeSeriesDataResponse(time_series_data=rows)

    def export(self, request: Message) -> Message:
        """Every point, in pages."""
        data = self._series(request.tensorboard_time_series, None)
        wanted = copied(request)
        # A page token is a place in the order, so that no two points may be equal in it: the step makes them differ.
        wanted.order_by = f"{request.order_by}, step" if request.order_by else "step"
        wanted.page_size = request.page_size or _EXPORT_PAGE
        return listing.page(wanted, ExportTensorboardTimeSeriesDataResponse, data.values)

    def _write(self, runs: list[tuple[str, Iterable[Message]]]) -> None:
        with self._core.store.lock:
            checked = [(run, self._checked(run, data)) for run, data in runs]
            for run, rows in checked:
                self._points.write(run, rows)

    def _checked(self, run: str, data: Iterable[Message]) -> list[tuple[str, Message]]:
        self._core.store.get(run)
        rows = []
        for series in data:
            name = f"{run}/timeSeries/{series.tensorboard_time_series_id}"
            if self._core.store.find(name) is None:
                raise not_found(name)
            check_type(series.value_type)
            for point in series.values:
                if "scalar" not in point:
                    raise invalid(f"A point of '{name}' at step {point.step} is no scalar, as the time series is.")
                rows.append((series.tensorboard_time_series_id, point))
        if len(rows) > _MOST_WRITTEN:
            raise invalid(f"{len(rows)} points in one request; at most {_MOST_WRITTEN} are allowed.")
        return rows

    def _series(self, name: str, most: int | None) -> Message:
        self._core.store.get(name)
        with self._core.store.lock:
            values = messages(self._points.series(name), most, name)
        return TimeSeriesData(tensorboard_time_series_id=name.rsplit("/", 1)[1], value_type=SCALAR, values=values)


def check_type(value_type: int) -> None:
    """Raises VertexError for a time series of other things than numbers."""
    if value_type == TensorboardTimeSeries.ValueType.VALUE_TYPE_UNSPECIFIED:
        raise invalid("The value_type of a time series is missing: SCALAR, for example.")
    if value_type != SCALAR:
        kind = TensorboardTimeSeries.ValueType(value_type).name
        raise unimplemented(f"A time series of the type {kind} (images, histograms, graphs)")

"""TensorBoards, their experiments, runs and time series."""

from __future__ import annotations

import re

from google.cloud.aiplatform_v1.types import (
    BatchCreateTensorboardRunsResponse,
    BatchCreateTensorboardTimeSeriesResponse,
)

from localgcp.vertex import listing, surface
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, already_exists, invalid
from localgcp.vertex.generic import Resources, check_etag
from localgcp.vertex.messages import Message, copied
from localgcp.vertex.tensorboards.data import check_type
from localgcp.vertex.tensorboards.points import Points, timestamp

_SERVICE = "TensorboardService"
_ID = re.compile(r"[a-z0-9-]{1,128}")
_SERIES_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_MOST_BATCH = 1000
_BLOBS = "local-tensorboard-blobs"


class Tensorboards:
    """TensorBoard instances; at most one of them is the default."""

    def __init__(self, core: Core, points: Points) -> None:
        self._core, self._points = core, points
        self._resources = Resources(core, _SERVICE, "Tensorboard", ("Update",), before_update=self._alone)
        core.answers(f"{_SERVICE}.CreateTensorboard")(self.create)
        core.answers(f"{_SERVICE}.GetTensorboard")(lambda request: self._counted(core.store.get(request.name)))
        core.answers(f"{_SERVICE}.ListTensorboards")(self.list)
        core.answers(f"{_SERVICE}.DeleteTensorboard")(self.delete)

    def create(self, request: Message) -> Message:
        with self._core.store.lock:
            made = self._resources.create(request)
            # The SDK's uploader wants a place for images also when it has none: their time series are refused.
            made.blob_storage_path_prefix = f"{_BLOBS}/tensorboard-{made.name.rsplit('/', 1)[1]}"
            self._core.store.put(made.name, made)
            self._alone(made, made)
            return made

    def list(self, request: Message) -> Message:
        rows = [self._counted(copied(item)) for item in self._core.store.children(request.parent, "tensorboards")]
        return listing.page(request, surface.by_key()[f"{_SERVICE}.ListTensorboards"].response, rows)

    def delete(self, request: Message) -> None:
        with self._core.store.lock:
            self._core.store.delete(request.name)
            self._points.delete(request.name)

    def _alone(self, _: Message, tensorboard: Message) -> None:
        """Whatever becomes the default, no other one is."""
        if not tensorboard.is_default:
            return
        for other in self._core.store.children(tensorboard.name.rsplit("/", 2)[0], "tensorboards"):
            if other.is_default and other.name != tensorboard.name:
                self._core.store.change(other.name, lambda item: setattr(item, "is_default", False))

    def _counted(self, tensorboard: Message) -> Message:
        tensorboard.run_count = len(self._core.store.children(f"{tensorboard.name}/experiments/-", "runs"))
        return tensorboard


class Parts:
    """The experiments, runs or time series below TensorBoards: one of "Experiment", "Run" and "TimeSeries"."""

    def __init__(
        self, core: Core, points: Points, noun: str, verbs: tuple[str, ...] = ("Get", "List", "Update")
    ) -> None:
        self._core, self._points, self._noun = core, points, noun
        self.resources = Resources(core, _SERVICE, f"Tensorboard{noun}", verbs)
        core.answers(f"{_SERVICE}.CreateTensorboard{noun}")(self.create)
        core.answers(f"{_SERVICE}.DeleteTensorboard{noun}")(self.delete)

    def create(self, request: Message) -> Message:
        """Raises VertexError for an id that cannot be, or a display name that another one has."""
        field = {"Experiment": "experiment", "Run": "run", "TimeSeries": "time_series"}[self._noun]
        identifier = getattr(request, f"tensorboard_{field}_id")
        if identifier and not (_SERIES_ID if self._noun == "TimeSeries" else _ID).fullmatch(identifier):
            raise invalid(
                f"Invalid tensorboard_{field}_id '{identifier}': it has at most 128 characters, lowercase letters, "
                "digits and hyphens."
            )
        resource = copied(getattr(request, f"tensorboard_{field}"))
        with self._core.store.lock:
            if self._noun != "Experiment":
                self._check_display_name(request.parent, resource)
            if self._noun == "TimeSeries":
                check_type(resource.value_type)
            return self.resources.add(request.parent, resource, identifier)

    def delete(self, request: Message) -> None:
        with self._core.store.lock:
            check_etag(self._core.store.get(request.name), getattr(request, "etag", ""))
            self._core.store.delete(request.name)
            if self._noun == "TimeSeries":
                self._points.delete_series(request.name)
            else:
                self._points.delete(request.name)

    def _check_display_name(self, parent: str, resource: Message) -> None:
        for other in self._core.store.children(parent, self.resources.collection):
            if other.display_name == resource.display_name:
                raise already_exists(f"{other.name}, display_name {resource.display_name}")


class TimeSeries(Parts):
    """Time series; a reader also sees the last step and time of their points."""

    def __init__(self, core: Core, points: Points) -> None:
        super().__init__(core, points, "TimeSeries", verbs=("Update",))
        core.answers(f"{_SERVICE}.GetTensorboardTimeSeries")(
            lambda request: self._measured(core.store.get(request.name))
        )
        core.answers(f"{_SERVICE}.ListTensorboardTimeSeries")(self.list)

    def list(self, request: Message) -> Message:
        self._core.store.get(request.parent)
        rows = [self._measured(copied(item)) for item in self._core.store.children(request.parent, "timeSeries")]
        return listing.page(request, surface.by_key()[f"{_SERVICE}.ListTensorboardTimeSeries"].response, rows)

    def _measured(self, series: Message) -> Message:
        with self._core.store.lock:
            points = self._points.series(series.name)
        if points.points:
            series.metadata.max_step = points.max_step
            series.metadata.max_wall_time = timestamp(points.max_time)
        return series


def install_batches(core: Core, runs: Parts, series: Parts) -> None:
    """Registers the methods that create several resources at once: all of them or none."""

    @core.answers(f"{_SERVICE}.BatchCreateTensorboardRuns")
    def create_runs(request: Message) -> Message:
        for inner in request.requests:
            if inner.parent and inner.parent != request.parent:
                raise invalid(f"The parent '{inner.parent}' of a run is not '{request.parent}'.")
            inner.parent = request.parent
        return BatchCreateTensorboardRunsResponse(tensorboard_runs=_created(core, runs, request))

    @core.answers(f"{_SERVICE}.BatchCreateTensorboardTimeSeries")
    def create_series(request: Message) -> Message:
        for inner in request.requests:
            if not inner.parent.startswith(f"{request.parent}/runs/"):
                raise invalid(f"The parent '{inner.parent}' of a time series is not a run of '{request.parent}'.")
        return BatchCreateTensorboardTimeSeriesResponse(tensorboard_time_series=_created(core, series, request))


def _created(core: Core, parts: Parts, request: Message) -> list[Message]:
    if len(request.requests) > _MOST_BATCH:
        raise invalid(f"{len(request.requests)} requests in a batch; at most {_MOST_BATCH} are allowed.")
    made: list[Message] = []
    with core.store.lock:
        try:
            for inner in request.requests:
                made.append(parts.create(inner))
        except VertexError:
            for resource in made:
                core.store.delete(resource.name)
            raise
    return made

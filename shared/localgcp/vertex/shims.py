"""Places where the SDK ignores `api_endpoint`; changed in this process only, only when asked, and undone on stop.

`google-cloud-aiplatform` 1.165.1. A test per shim fails as soon as the SDK no longer needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import google.auth.transport.requests
import requests
from google.api_core import exceptions
from google.cloud.aiplatform import initializer, jobs, pipeline_jobs, training_jobs
from google.cloud.aiplatform.metadata import metadata
from google.cloud.aiplatform.tensorboard import tensorboard_resource
from google.cloud.aiplatform.utils import resource_manager_utils

# What the local Cloud Storage says of every bucket.
PROJECT_NUMBER = "0"
POLL_SECONDS = 0.2

Undo = Callable[[], None]


@dataclass(frozen=True)
class Local:
    """What the shims need to know of the server; `grpc_target` is None when this process cannot use gRPC."""

    rest_url: str
    grpc_target: str | None
    project: str
    location: str


@dataclass(frozen=True)
class Shim:
    """A change to the SDK: why, and how. `apply` gives what undoes it."""

    name: str
    reason: str
    apply: Callable[[Local], Undo]


def _replace(owner: Any, name: str, value: Any) -> Undo:
    original = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, original)


def _raw_predict(local: Local) -> Undo:
    session = google.auth.transport.requests.AuthorizedSession
    original = session.__init__

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.mount(f"https://{local.location}-aiplatform.googleapis.com/", _ToServer(local.rest_url))

    return _replace(session, "__init__", initialise)


class _ToServer(requests.adapters.HTTPAdapter):
    """Sends what is meant for the region's endpoint to the local server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = self._url + request.path_url
        return super().send(request, *args, **kwargs)


def _project_number(local: Local) -> Undo:
    original = resource_manager_utils.get_project_number

    def number(project_id: str, credentials: Any = None) -> str:
        return PROJECT_NUMBER if project_id == local.project else str(original(project_id, credentials))

    return _replace(resource_manager_utils, "get_project_number", number)


def _transport(local: Local) -> Undo:
    config = type(initializer.global_config)
    ours = {"grpc": local.grpc_target or local.rest_url, "rest": local.rest_url}

    def endpoint(self: Any) -> str | None:
        chosen: str | None = self._api_endpoint
        return ours[self._api_transport or "grpc"] if chosen in ours.values() else chosen

    return _replace(config, "api_endpoint", property(endpoint))


def _global_tensorboard(_: Local) -> Undo:
    def board(self: Any) -> tensorboard_resource.Tensorboard | None:
        chosen = self._global_tensorboard
        if chosen is None:
            return None
        credentials = initializer.global_config.credentials
        try:
            return tensorboard_resource.Tensorboard(chosen.resource_name, credentials=credentials)
        except exceptions.NotFound:
            self._global_tensorboard = None
            return None

    return _replace(metadata._ExperimentTracker, "_get_global_tensorboard", board)


def _polling(_: Local) -> Undo:
    undo = [_replace(module, "_JOB_WAIT_TIME", POLL_SECONDS) for module in (jobs, training_jobs, pipeline_jobs)]
    return _all(undo)


SHIMS = (
    Shim(
        "raw_predict",
        "Endpoint.raw_predict and stream_raw_predict have the host of the region's endpoint in their code. "
        "Dedicated endpoints have DNS names of their own, which are not redirected.",
        _raw_predict,
    ),
    Shim(
        "project_number",
        "PipelineJob.submit asks the Resource Manager for the project's number to compare it with the bucket's; "
        "without a network that is 55 s of retries.",
        _project_number,
    ),
    Shim(
        "transport",
        "aiplatform.init without a project, such as init(experiment=…), changes the transport to REST and leaves the "
        "endpoint, which here is another one for gRPC.",
        _transport,
    ),
    Shim(
        "global_tensorboard",
        "After init(experiment_tensorboard=…) the next init(experiment=…) asks the machine for credentials of Google "
        "Cloud, whatever init(credentials=…) has said.",
        _global_tensorboard,
    ),
    Shim(
        "polling",
        "Jobs are asked for their state every 5 s, which is longer than most of them last here.",
        _polling,
    ),
)


def apply(local: Local) -> Undo:
    """Applies every shim; the result undoes them, the last one first."""
    return _all([shim.apply(local) for shim in SHIMS])


def _all(undo: list[Undo]) -> Undo:
    def back() -> None:
        while undo:
            undo.pop()()

    return back

"""The one list of what this server has semantics for: a module per subject, each with `install(core)`."""

from __future__ import annotations

from collections.abc import Callable

from localgcp.vertex import (
    batch,
    datasets,
    endpoints,
    explain,
    jobs,
    metadata,
    models,
    pipelines,
    serving,
    tensorboards,
)
from localgcp.vertex.core import Core
from localgcp.vertex.jobs import tuning

INSTALL: tuple[Callable[[Core], None], ...] = (
    datasets.install,
    metadata.install,
    tensorboards.install,
    models.install,
    serving.install,
    endpoints.install,
    explain.install,
    batch.install,
    jobs.install,
    tuning.install,
    pipelines.install,
)

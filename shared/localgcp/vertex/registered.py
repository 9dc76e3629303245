"""The one list of what this server has semantics for: a module per subject, each with `install(core)`."""

from __future__ import annotations

from collections.abc import Callable

from localgcp.vertex import datasets, endpoints, jobs, models
from localgcp.vertex.core import Core

INSTALL: tuple[Callable[[Core], None], ...] = (
    datasets.install,
    endpoints.install,
    models.install,
    jobs.install,
)

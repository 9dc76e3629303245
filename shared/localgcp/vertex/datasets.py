"""Datasets: records that say where data lies. Import, export and annotations are not emulated."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.generic import Resources


def install(core: Core) -> None:
    Resources(core, "DatasetService", "Dataset")

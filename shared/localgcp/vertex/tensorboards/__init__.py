"""Vertex AI TensorBoard: experiments, runs, time series of scalars and their points."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.tensorboards.data import Data
from localgcp.vertex.tensorboards.points import Points
from localgcp.vertex.tensorboards.resources import Parts, Tensorboards, TimeSeries, install_batches


def install(core: Core) -> None:
    points = Points(core.folder / "tensorboards")
    Tensorboards(core, points)
    Parts(core, points, "Experiment")
    runs, series = Parts(core, points, "Run"), TimeSeries(core, points)
    install_batches(core, runs, series)
    Data(core, points)

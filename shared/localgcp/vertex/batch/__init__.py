"""Batch prediction: a model goes through files or a table, without an endpoint."""

from __future__ import annotations

from localgcp.vertex.batch.prediction import BatchPredictionJobs
from localgcp.vertex.core import Core


def install(core: Core) -> None:
    BatchPredictionJobs(core, core.parts["serving"], core.parts["models"])

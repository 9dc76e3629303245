"""PipelineJob: a compiled KFP pipeline, run by kfp.local, with the service's task details, cache and lineage."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.pipelines.pipeline_jobs import PipelineJobs


def install(core: Core) -> None:
    core.parts["pipeline_jobs"] = PipelineJobs(core, core.parts["metadata"])

"""Jobs that run on this machine as processes: custom jobs, and the training pipelines around them."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.jobs.training_pipelines import TrainingPipelines


def install(core: Core) -> None:
    core.parts["custom_jobs"] = custom_jobs = CustomJobs(core)
    core.parts["training_pipelines"] = TrainingPipelines(core, custom_jobs, core.parts["models"])

"""HyperparameterTuningJob: OSS Vizier suggests, and each trial is a custom job."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.jobs.tuning.tuning_jobs import TuningJobs


def install(core: Core) -> None:
    core.parts["tuning_jobs"] = TuningJobs(core, core.parts["custom_jobs"])

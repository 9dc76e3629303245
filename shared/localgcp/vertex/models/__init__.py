"""The model registry: models, their versions and aliases, what is known of a version's quality, copies and exports."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.models.copies import Copies
from localgcp.vertex.models.evaluations import Evaluations
from localgcp.vertex.models.registry import Models

__all__ = ["Models", "install"]


def install(core: Core) -> None:
    models = Models(core)
    core.parts["models"] = models
    Evaluations(core, models)
    Copies(core, models)

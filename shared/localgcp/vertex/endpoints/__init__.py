"""Endpoints: what is deployed on them, how their traffic is split, and the predictions that they answer."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.endpoints.deployments import Deployments
from localgcp.vertex.endpoints.prediction import Prediction
from localgcp.vertex.endpoints.resources import Endpoints


def install(core: Core) -> None:
    Endpoints(core)
    core.parts["endpoints"] = deployments = Deployments(core, core.parts["serving"], core.parts["models"])
    Prediction(core, deployments)

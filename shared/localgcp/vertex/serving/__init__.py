"""Serving: a registered model becomes something that predicts, in this process or in one of its own."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.serving.cache import Serving


def install(core: Core) -> None:
    core.parts["serving"] = serving = Serving(core)
    core.on_stop.append(serving.stop)

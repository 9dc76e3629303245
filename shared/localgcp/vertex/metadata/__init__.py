"""Vertex ML Metadata: stores, schemas, contexts, artifacts, executions, and the lineage between them."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.metadata.service import Metadata


def install(core: Core) -> None:
    core.parts["metadata"] = Metadata(core)

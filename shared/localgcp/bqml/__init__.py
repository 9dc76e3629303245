"""BigQuery ML on this machine: CREATE MODEL and ML.* over any engine that can run GoogleSQL (see engine.Engine)."""

from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.service import Models

__all__ = ["BadRequest", "Engine", "Models"]

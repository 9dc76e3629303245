"""Vertex AI on this machine: the real SDK talks to it over gRPC or REST, custom jobs run as local processes."""

from localgcp.vertex.errors import VertexError
from localgcp.vertex.machines import Machines
from localgcp.vertex.server import Server, start

__all__ = ["Machines", "Server", "VertexError", "start"]

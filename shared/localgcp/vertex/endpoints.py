"""Endpoints as records. Deploying, prediction and explanation are not emulated yet; this is where they belong."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.errors import invalid
from localgcp.vertex.generic import Resources, require
from localgcp.vertex.messages import Message


def install(core: Core) -> None:
    Resources(core, "EndpointService", "Endpoint", before_update=_split_fits, before_delete=_without_models)


def _split_fits(_: Message, endpoint: Message) -> None:
    unknown = set(endpoint.traffic_split) - {model.id for model in endpoint.deployed_models}
    if unknown:
        raise invalid(f"traffic_split names models that are not deployed: {', '.join(sorted(unknown))}.")


def _without_models(endpoint: Message) -> None:
    require(
        not endpoint.deployed_models,
        f"Endpoint '{endpoint.name}' has deployed models; undeploy them before it is deleted.",
    )

"""Endpoint as a resource: what may be created, changed and deleted."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.endpoints import traffic
from localgcp.vertex.errors import unimplemented
from localgcp.vertex.generic import Resources, require
from localgcp.vertex.messages import Message, raw

_PRIVATE = "A private endpoint (its network is not on this machine)"
# What would change the answers of an endpoint, or where they are asked for, and cannot do so here.
_NOT_EMULATED = {
    "network": _PRIVATE,
    "enable_private_service_connect": _PRIVATE,
    "private_service_connect_config": _PRIVATE,
    "dedicated_endpoint_enabled": "A dedicated endpoint (it has a DNS name of its own)",
    "client_connection_config": "endpoint.client_connection_config",
    "gen_ai_advanced_features_config": "endpoint.gen_ai_advanced_features_config",
    "private_model_server_enabled": "endpoint.private_model_server_enabled",
}


class Endpoints:
    """The endpoints of a server."""

    def __init__(self, core: Core) -> None:
        verbs = ("Get", "List", "Update", "Delete")
        self._resources = Resources(core, "EndpointService", "Endpoint", verbs, _may_become, _without_models)
        core.answers("EndpointService.CreateEndpoint")(self.create)

    def create(self, request: Message) -> Message:
        """Raises VertexError for an endpoint that cannot be here, or a split without models."""
        _check(request.endpoint)
        return self._resources.create(request)


def _may_become(_: Message, endpoint: Message) -> None:
    _check(endpoint)


def _check(endpoint: Message) -> None:
    plain = raw(endpoint)
    for field, what in _NOT_EMULATED.items():
        value = getattr(plain, field)
        if value.ByteSize() if hasattr(value, "ByteSize") else value:
            raise unimplemented(what)
    if plain.predict_request_response_logging_config.enabled:
        raise unimplemented(
            "Logging of requests and responses to BigQuery", 'log them in your own code, or run with TARGET="vertex"'
        )
    traffic.check(dict(endpoint.traffic_split), {model.id for model in endpoint.deployed_models})


def _without_models(endpoint: Message) -> None:
    require(
        not endpoint.deployed_models,
        f"Endpoint '{endpoint.name}' has deployed models; undeploy them before it is deleted.",
    )

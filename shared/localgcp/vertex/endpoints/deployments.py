"""DeployModel, UndeployModel and MutateDeployedModel; which deployed model answers a request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from google.cloud.aiplatform_v1.types import (
    DeployModelResponse,
    Endpoint,
    MutateDeployedModelResponse,
    UndeployModelResponse,
)
from google.protobuf import field_mask_pb2

from localgcp.vertex import surface
from localgcp.vertex.core import Core
from localgcp.vertex.endpoints import traffic
from localgcp.vertex.errors import (
    VertexError,
    already_exists,
    invalid,
    invalid_fields,
    not_found,
    precondition,
    unimplemented,
)
from localgcp.vertex.generic import stamp
from localgcp.vertex.messages import Message, copied, new_id, now, raw, wrapped
from localgcp.vertex.models import Models
from localgcp.vertex.models.checks import explanation_faults
from localgcp.vertex.serving.cache import Serving, is_container
from localgcp.vertex.serving.container import Place
from localgcp.vertex.serving.predictor import Predictor

_ID = re.compile(r"[0-9]{1,19}")
_RESOURCES = "prediction_resources"
# What would change how a model answers on the service and cannot here.
_NOT_EMULATED = ("shared_resources", "private_endpoints", "checkpoint_id", "speculative_decoding_spec")
_MUTABLE = {
    "dedicated_resources.min_replica_count",
    "dedicated_resources.max_replica_count",
    "dedicated_resources.required_replica_count",
    "dedicated_resources.autoscaling_metric_specs",
    "automatic_resources.min_replica_count",
    "automatic_resources.max_replica_count",
    "disable_container_logging",
}


@dataclass(frozen=True)
class Deployed:
    """A model on an endpoint, ready to answer."""

    deployed_model: Message
    model: Message
    predictor: Predictor


class Deployments:
    """What is deployed on the endpoints of a server. After a restart a model is loaded by its first request."""

    def __init__(self, core: Core, serving: Serving, models: Models) -> None:
        self._core, self._serving, self._models = core, serving, models
        core.answers("EndpointService.DeployModel")(self.deploy)
        core.answers("EndpointService.UndeployModel")(self.undeploy)
        core.answers("EndpointService.MutateDeployedModel")(self.mutate)

    def choose(self, endpoint_name: str, deployed_model_id: str = "") -> Deployed:
        """The named deployed model, or one that the traffic split draws. Raises VertexError."""
        endpoint = self._core.store.get(endpoint_name)
        if not isinstance(endpoint, Endpoint):
            raise invalid(f"'{endpoint_name}' is no endpoint.")
        if not deployed_model_id:
            # The plain message: a request passes here, and proto-plus takes longer than the model.
            split = dict(raw(endpoint).traffic_split)
            if not any(split.values()):
                raise precondition(f"Endpoint {endpoint_name} doesn't have traffic_split.")
            deployed_model_id = traffic.draw(split)
        found = _find(endpoint, deployed_model_id)
        model = self._models.resolve(_version(found))
        return Deployed(found, model, self._serving.load(model, _place(endpoint_name, found)))

    def deploy(self, request: Message) -> Message:
        """The operation ends when the model answers. Raises VertexError for what cannot be deployed."""
        deployed, split = copied(request.deployed_model), dict(request.traffic_split)
        endpoint = self._core.store.get(request.endpoint)
        model = self._models.resolve(deployed.model)
        self._check(deployed, model)
        _complete(deployed, model)
        _check_split(endpoint, deployed, split)
        method = surface.by_key()["EndpointService.DeployModel"]
        return self._core.operations.run(method, lambda: self._deploy(request.endpoint, deployed, model, split))

    def undeploy(self, request: Message) -> Message:
        """Raises VertexError for a model that still has traffic, or a split that does not fit what is left."""

        def change(endpoint: Message) -> None:
            identifier, split = request.deployed_model_id, dict(request.traffic_split)
            gone.append(copied(_find(endpoint, identifier)))
            left = {model.id for model in endpoint.deployed_models} - {identifier}
            if left:
                new = split or dict(endpoint.traffic_split)
                if new.pop(identifier, 0):
                    raise precondition(
                        f"The deployed model '{identifier}' has traffic; give a traffic_split without it."
                    )
                traffic.check(new, left)
            else:
                new = {}
            raw(endpoint).traffic_split.clear()
            raw(endpoint).traffic_split.update(new)
            endpoint.deployed_models = [model for model in endpoint.deployed_models if model.id != identifier]
            stamp(endpoint)

        gone: list[Message] = []
        self._core.store.change(request.endpoint, change)
        self._release(request.endpoint, gone[0])
        return UndeployModelResponse()

    def mutate(self, request: Message) -> Message:
        """Changes numbers of replicas and logging; they are kept and have no effect here. Raises VertexError."""
        paths = list(request.update_mask.paths)
        wrong = sorted(set(paths) - _MUTABLE)
        if wrong or not paths:
            raise invalid(
                f"Invalid update_mask: {', '.join(wrong) or 'it is empty'}; what can be changed of a deployed model "
                f"is {', '.join(sorted(_MUTABLE))}."
            )

        def change(endpoint: Message) -> None:
            held = _find(endpoint, request.deployed_model.id)
            mask = field_mask_pb2.FieldMask(paths=paths)
            mask.MergeMessage(raw(request.deployed_model), raw(held), True, True)
            _check_replicas(held)
            stamp(endpoint)

        endpoint = self._core.store.change(request.endpoint, change)
        return MutateDeployedModelResponse(deployed_model=_find(endpoint, request.deployed_model.id))

    def _check(self, deployed: Message, model: Message) -> None:
        for field in _NOT_EMULATED:
            if raw(deployed).HasField(field) if field != "checkpoint_id" else deployed.checkpoint_id:
                raise unimplemented(f"deployed_model.{field}")
        if deployed.faster_deployment_config.fast_tryout_enabled:
            raise unimplemented("deployed_model.faster_deployment_config")
        if raw(deployed).explanation_spec.HasField("parameters"):
            faults = list(explanation_faults(deployed.explanation_spec, "deployed_model.explanation_spec"))
            if faults:
                raise invalid_fields(*faults)
        if deployed.id and not _ID.fullmatch(deployed.id):
            raise invalid(f"Invalid deployed_model.id '{deployed.id}': it has digits only.")
        kind = raw(deployed).WhichOneof(_RESOURCES)
        if kind is None:
            raise invalid("deployed_model needs dedicated_resources (a machine type) or automatic_resources.")
        supported = [item.name for item in model.supported_deployment_resources_types]
        if supported and kind.upper() not in supported:
            raise invalid(f"'{kind}' is not supported for Model {model.name}; it supports {', '.join(supported)}.")
        if kind == "dedicated_resources":
            path = "deployed_model.dedicated_resources.machine_spec"
            self._core.machines.check("serving", deployed.dedicated_resources.machine_spec, path)
        _check_replicas(deployed)

    def _deploy(self, endpoint_name: str, deployed: Message, model: Message, split: dict[str, int]) -> Message:
        place = _place(endpoint_name, deployed)
        try:
            self._serving.load(model, place)
            self._models.deployed(_version(deployed), endpoint_name, deployed.id, True)
            self._core.store.change(endpoint_name, _adding(deployed, split))
        except Exception:
            self._release(endpoint_name, deployed)
            raise
        return DeployModelResponse(deployed_model=deployed)

    def _release(self, endpoint_name: str, deployed: Message) -> None:
        """Frees what a deployment held; a model version in this process stays while another deployment has it."""
        try:
            model = self._models.resolve(_version(deployed))
            self._models.deployed(_version(deployed), endpoint_name, deployed.id, False)
        except VertexError:
            return
        same = (deployed.model, deployed.model_version_id)
        held = [item for endpoint in self._core.store.of(Endpoint) for item in endpoint.deployed_models]
        if is_container(model) or same not in {(item.model, item.model_version_id) for item in held}:
            self._serving.release(model, _place(endpoint_name, deployed))


def _complete(deployed: Message, model: Message) -> None:
    """Fills in what a deployment has and its request need not say."""
    deployed.id = deployed.id or new_id()
    deployed.model, deployed.model_version_id = model.name.partition("@")[0], model.version_id
    deployed.display_name = deployed.display_name or model.display_name
    deployed.create_time = now()
    kind = raw(deployed).WhichOneof(_RESOURCES)
    resources = getattr(deployed, kind)
    resources.max_replica_count = resources.max_replica_count or resources.min_replica_count


def _check_replicas(deployed: Message) -> None:
    kind = raw(deployed).WhichOneof(_RESOURCES)
    resources, path = getattr(deployed, kind), f"deployed_model.{kind}"
    if resources.min_replica_count < 1:
        raise invalid(f"{path}.min_replica_count must be at least 1.")
    if resources.max_replica_count and resources.max_replica_count < resources.min_replica_count:
        raise invalid(f"{path}.max_replica_count must be at least min_replica_count.")


def _check_split(endpoint: Message, deployed: Message, split: dict[str, int]) -> None:
    identifiers = {model.id for model in endpoint.deployed_models}
    if deployed.id in identifiers:
        raise already_exists(f"{endpoint.name}/deployedModels/{deployed.id}")
    if split:
        traffic.check(traffic.with_new(split, deployed.id), identifiers | {deployed.id})


def _adding(deployed: Message, split: dict[str, int]) -> Callable[[Message], None]:
    def change(endpoint: Message) -> None:
        # Looked at again: the endpoint may have changed while the model was loading.
        _check_split(endpoint, deployed, split)
        endpoint.deployed_models.append(deployed)
        if split:
            raw(endpoint).traffic_split.clear()
            raw(endpoint).traffic_split.update(traffic.with_new(split, deployed.id))
        stamp(endpoint)

    return change


def _find(endpoint: Message, identifier: str) -> Message:
    for deployed in raw(endpoint).deployed_models:
        if deployed.id == identifier:
            return wrapped(deployed)
    raise not_found(f"{endpoint.name}/deployedModels/{identifier}")


def _version(deployed: Message) -> str:
    """The name of the model version that is deployed."""
    return f"{deployed.model}@{deployed.model_version_id}"


def _place(endpoint_name: str, deployed: Message) -> Place:
    plain = raw(deployed)
    machine = plain.dedicated_resources.machine_spec.machine_type
    return Place(endpoint_name.rpartition("/")[2], plain.id, machine)

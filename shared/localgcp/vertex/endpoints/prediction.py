"""PredictionService: a request goes to the deployed model that the traffic split draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.api import httpbody_pb2
from google.cloud.aiplatform_v1.types import PredictResponse
from google.protobuf import struct_pb2

from localgcp.vertex.core import Core
from localgcp.vertex.endpoints.deployments import Deployed, Deployments
from localgcp.vertex.errors import invalid, precondition
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.values import from_value, to_value

# The service's limit for a request to a public endpoint.
_MOST_BYTES = 3 * 2**19


class Prediction:
    """The methods that ask a model."""

    def __init__(self, core: Core, deployments: Deployments) -> None:
        self._deployments = deployments
        core.answers("PredictionService.Predict")(self.predict)
        core.answers("PredictionService.RawPredict")(self.raw_predict)
        core.answers("PredictionService.StreamRawPredict")(self.stream_raw_predict)

    def predict(self, request: Message) -> Message:
        """Raises VertexError with what the model says of its instances."""
        plain = raw(request)
        _check_size(plain.ByteSize())
        chosen = self._deployments.choose(plain.endpoint)
        instances = [from_value(instance) for instance in plain.instances]
        predictions = chosen.predictor.predict(instances, from_value(plain.parameters))
        deployed = raw(chosen.deployed_model)
        response = PredictResponse.pb()(
            deployed_model_id=deployed.id,
            model=deployed.model,
            model_version_id=deployed.model_version_id,
            model_display_name=raw(chosen.model).display_name,
        )
        for prediction in predictions:
            response.predictions.append(_value(prediction))
        return response

    def raw_predict(self, request: Message) -> Message:
        """The body goes to the model as it came, its answer back. Raises VertexError."""
        body = request.http_body
        _check_size(len(body.data))
        if not body.data:
            raise invalid("The request has no body.")
        chosen = self._deployments.choose(request.endpoint)
        answer = chosen.predictor.raw(bytes(body.data), body.content_type)
        response = httpbody_pb2.HttpBody(content_type=answer.content_type, data=answer.body)
        response.extensions.add().Pack(_headers(request.endpoint, chosen))
        return response

    def stream_raw_predict(self, request: Message) -> Iterator[Message]:
        """One part: the models here answer at once."""
        return iter([self.raw_predict(request)])


def _headers(endpoint: str, chosen: Deployed) -> Message:
    """The HTTP headers of a raw answer, which say who has given it."""
    headers = struct_pb2.Struct()
    headers["X-Vertex-AI-Endpoint-Id"] = endpoint.rpartition("/")[2]
    headers["X-Vertex-AI-Deployed-Model-Id"] = chosen.deployed_model.id
    headers["X-Vertex-AI-Model"] = chosen.deployed_model.model
    headers["X-Vertex-AI-Model-Version-Id"] = chosen.deployed_model.model_version_id
    return headers


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise invalid(f"The request has {size} bytes; a public endpoint takes {_MOST_BYTES} (1.5 MB) at most.")


def _value(prediction: Any) -> Message:
    try:
        return to_value(prediction)
    except TypeError as error:
        raise precondition(f"Prediction failed: the model has answered with no JSON value: {error}") from None

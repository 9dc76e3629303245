"""What every way of serving a model offers, and how a model's own errors become the service's."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from localgcp.vertex.errors import VertexError, invalid, precondition

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer of a model server."""

    body: bytes
    content_type: str = JSON


class Predictor(ABC):
    """A model that answers. All methods may be called from several threads at once."""

    @abstractmethod
    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        """One JSON value per instance, each instance being one. Raises VertexError with what the model said."""

    def raw(self, body: bytes, content_type: str) -> Answer:
        """Answers a body as it came: {"instances": […]} with {"predictions": […]}. Raises VertexError."""
        request = parsed(body)
        predictions = self.predict(request["instances"], request.get("parameters"))
        return Answer(json.dumps({"predictions": predictions}, ensure_ascii=False).encode())

    @abstractmethod
    def close(self) -> None:
        """Frees what the model holds. A second call does nothing."""


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request with its `instances`. Raises VertexError."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise invalid(f"The body of the request is no JSON: {error}.") from None
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise invalid('The body of the request must be a JSON object with a list "instances".')
    return request


def failed(library: str, error: Exception) -> VertexError:
    """The service's wording for an exception that a prebuilt container's model has raised."""
    return precondition(f"Prediction failed: Exception during {library} prediction: {error}")


def per_instance(values: list[Any], instances: list[Any], library: str) -> list[Any]:
    """The predictions, if there is one per instance: else nobody could tell which is whose. Raises VertexError."""
    if len(values) != len(instances):
        text = f"the {library} model has given {len(values)} predictions for {len(instances)} instances."
        raise precondition(f"Prediction failed: {text}")
    return values

"""TensorFlow SavedModels, as TensorFlow Serving's REST interface answers for them (row format)."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from localgcp.vertex.errors import invalid, precondition
from localgcp.vertex.serving.images import Image
from localgcp.vertex.serving.predictor import Predictor, per_instance

_SIGNATURE = "serving_default"


class SavedModel(Predictor):
    """The signature serving_default of a SavedModel. `model` is what tf.saved_model.load gives.

    `inputs` are its tensors' specs and `outputs` the names of what it gives.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        if not any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise precondition(f"The model directory has no saved_model.pb, which the image '{image.uri}' reads.")
        try:
            self.model: Any = tf.saved_model.load(str(folder))
        except Exception as error:
            text = f"Could not load the SavedModel with TensorFlow {tf.__version__}: {str(error)[:500]}"
            raise precondition(text) from error
        signatures = self.model.signatures
        if _SIGNATURE not in signatures:
            raise precondition(
                f"The SavedModel has no signature {_SIGNATURE}; it has {', '.join(signatures) or 'none'}."
            )
        self.signature: Any = signatures[_SIGNATURE]
        self.inputs: dict[str, Any] = dict(self.signature.structured_input_signature[1])
        self.outputs: list[str] = sorted(self.signature.structured_outputs)

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        wanted = parameters.get("signature_name", _SIGNATURE) if isinstance(parameters, dict) else _SIGNATURE
        if wanted != _SIGNATURE:
            raise invalid(f"The signature '{wanted}' is not served here, only {_SIGNATURE}.")
        columns = self._columns(instances)
        try:
            tensors = {name: self._tensor(name, values) for name, values in columns.items()}
            answers = self.signature(**tensors)
        except Exception as error:
            raise invalid(f'{{"error": "{_brief(error)}"}}') from error
        lists = {name: _values(name, tensor.numpy()) for name, tensor in answers.items()}
        for values in lists.values():
            per_instance(values, instances, "TensorFlow")
        if len(lists) == 1:
            return next(iter(lists.values()))
        return [{name: lists[name][row] for name in self.outputs} for row in range(len(instances))]

    def close(self) -> None:
        """There is nothing but memory to free."""

    def _columns(self, instances: list[Any]) -> dict[str, list[Any]]:
        """The instances by input. With one input an instance may be its bare value. Raises VertexError."""
        if not instances:
            raise invalid('{"error": "\\"instances\\" is an empty list."}')
        named = [isinstance(instance, dict) and not _is_bytes(instance) for instance in instances]
        if not any(named) and len(self.inputs) == 1:
            return {next(iter(self.inputs)): instances}
        if not all(named):
            names = ", ".join(self.inputs)
            raise invalid(f'{{"error": "Every instance must be an object with the inputs {names}."}}')
        for number, instance in enumerate(instances):
            if set(instance) != set(self.inputs):
                text = (
                    f"instance {number} has the keys {sorted(instance)}, the signature the inputs {sorted(self.inputs)}"
                )
                raise invalid(f'{{"error": "Failed to process element: {text}."}}')
        return {name: [instance[name] for instance in instances] for name in self.inputs}

    def _tensor(self, name: str, values: list[Any]) -> Any:
        return self._tf.constant(_decoded(values), dtype=self.inputs[name].dtype)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"}


def _decoded(value: Any) -> Any:
    """A JSON value with each {"b64": …} as its bytes."""
    if _is_bytes(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError(f"Unable to base64 decode: {error}") from None
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _values(name: str, array: Any) -> list[Any]:
    """An output as JSON: bytes are text, or {"b64": …} where the output's name ends in _bytes."""
    if array.dtype.kind not in "OS":
        return list(array.tolist()) if array.ndim else [array.tolist()]
    return [_text(item, name.endswith("_bytes")) for item in array.tolist()]


def _text(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_text(item, as_bytes) for item in value]
    return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode(errors="replace")


def _brief(error: Exception) -> str:
    return " ".join(str(error).replace('"', "'").split())[:500]

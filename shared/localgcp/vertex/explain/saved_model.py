"""A TensorFlow SavedModel as what gradients need: its inputs, its output, and the gradient of one number of it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localgcp.vertex.errors import invalid, unimplemented
from localgcp.vertex.explain.gradients import Batch

Floats = NDArray[np.float64]


class SavedModel:
    """The serving signature of a SavedModel, or `xai_preprocess` and `xai_model` where it has both.

    With the two, `prepared` turns what the endpoint takes (encoded images) into what is explained.
    """

    def __init__(self, loaded: Any) -> None:
        """`loaded` is what tf.saved_model.load gives."""
        import tensorflow as tf

        self._tf = tf
        signatures = loaded.signatures
        explained = {"xai_preprocess", "xai_model"} <= set(signatures)
        self._function = signatures["xai_model" if explained else "serving_default"]
        self._preprocess = signatures["xai_preprocess"] if explained else None
        self.inputs: dict[str, Any] = self._function.structured_input_signature[1]
        self.outputs: list[str] = sorted(self._function.structured_outputs)

    def prepared(self, instance: Any) -> Batch:
        """An instance as arrays by input, without a batch dimension. Raises VertexError when it does not fit."""
        taken = self._preprocess.structured_input_signature[1] if self._preprocess else self.inputs
        if not isinstance(instance, dict) or "b64" in instance:
            if len(taken) != 1:
                raise invalid(f"An instance is an object with the keys {', '.join(sorted(taken))}.")
            instance = {next(iter(taken)): instance}
        if set(instance) != set(taken):
            raise invalid(f"An instance has the keys {', '.join(sorted(taken))}, got {', '.join(sorted(instance))}.")
        given = {name: self._tensor(name, instance[name], spec) for name, spec in taken.items()}
        if self._preprocess is not None:
            given = self._preprocess(**given)
            if set(given) != set(self.inputs):
                raise invalid(
                    f"xai_preprocess gives {', '.join(sorted(given))}, and xai_model takes "
                    f"{', '.join(sorted(self.inputs))}: the names must be the same."
                )
        return {name: np.asarray(value, dtype=float)[0] for name, value in given.items()}

    def output(self, batch: Batch, name: str) -> Floats:
        """An output of a batch, (rows, …)."""
        return np.asarray(self._function(**self._tensors(batch))[name], dtype=float)

    def gradient(self, batch: Batch, name: str, index: tuple[int, ...]) -> Batch:
        """The gradient of the number at `index` of an output, row by row, in each input that has one."""
        given = self._tensors(batch)
        watched = {key: value for key, value in given.items() if value.dtype.is_floating}
        with self._tf.GradientTape() as tape:
            tape.watch(list(watched.values()))
            chosen = self._function(**given)[name][(slice(None), *index)]
        found = tape.gradient(chosen, watched, unconnected_gradients=self._tf.UnconnectedGradients.ZERO)
        return {key: np.asarray(value, dtype=float) for key, value in found.items()}

    def check_differentiable(self, name: str) -> None:
        """Raises VertexError for an input that is not there, or is made of integers or texts."""
        if name not in self.inputs:
            raise invalid(f"The SavedModel has no input '{name}', only: {', '.join(sorted(self.inputs))}.")
        if not self.inputs[name].dtype.is_floating:
            kind = self.inputs[name].dtype.name
            raise unimplemented(
                f"A gradient in the input '{name}' of type {kind}, which needs encoded_tensor_name,",
                "use sampled Shapley, or save the signatures xai_preprocess and xai_model with a float input",
            )

    def _tensors(self, batch: Batch) -> dict[str, Any]:
        return {name: self._tf.constant(value, self.inputs[name].dtype) for name, value in batch.items()}

    def _tensor(self, name: str, value: Any, spec: Any) -> Any:
        """A batch of one row. The value of a text tensor may be {"b64": …}."""
        if spec.dtype == self._tf.string:
            value = _decoded(value)
        try:
            tensor = self._tf.constant([value], spec.dtype)
        except (ValueError, TypeError) as error:
            raise invalid(f"The instance's '{name}' is no {spec.dtype.name} tensor: {error}") from None
        if not spec.shape.is_compatible_with(tensor.shape):
            raise invalid(f"The instance's '{name}' has shape {tensor.shape[1:]}, the model takes {spec.shape[1:]}.")
        return tensor


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (ValueError, TypeError) as error:
            raise invalid(f"An instance's b64 is no base64: {error}.") from None
    return [_decoded(item) for item in value] if isinstance(value, list) else value

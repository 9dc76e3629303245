"""MODEL_TYPE TENSORFLOW: a SavedModel, run by TensorFlow."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.imported import Field, Imported, check_fields, kind_of
from localgcp.bqml.options import Options

# They reach out of the graph: Python code, and the files of whoever runs it.
FORBIDDEN = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles"}


@dataclass
class TensorFlowModel(Imported):
    CONVERTS: ClassVar[bool] = False

    signature: str

    @classmethod
    def load(cls, files: dict[str, bytes], options: Options) -> TensorFlowModel:
        """Raises BadRequest for files that are no SavedModel, and for what BigQuery has no type for."""
        if "saved_model.pb" not in files:
            raise BadRequest(f"No SavedModel: there is no saved_model.pb in {options['model_path']}.")
        _check_operations(files["saved_model.pb"])
        loaded = _load(files)
        name = _signature_name(loaded)
        function = loaded.signatures[name]
        inputs = tuple(_field(n, spec, "input") for n, spec in function.structured_input_signature[1].items())
        outputs = tuple(_field(n, spec, "output") for n, spec in sorted(function.structured_outputs.items()))
        model = cls(options, None, files, check_fields(inputs, "input"), check_fields(outputs, "output"), name)
        model._runner = loaded
        return model

    def run(self, columns: dict[str, Any], rows: int) -> dict[str, Any]:
        import tensorflow as tf

        if self._runner is None:
            self._runner = _load(self.files)
        function = self._runner.signatures[self.signature]
        specs = function.structured_input_signature[1]
        try:
            given = {name: tf.constant(values, specs[name].dtype) for name, values in columns.items()}
            return {name: values.numpy() for name, values in function(**given).items()}
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise BadRequest(f"The TensorFlow model failed: {str(error).splitlines()[0]}") from None


def _load(files: dict[str, bytes]) -> Any:
    """The model from a folder that is gone afterwards: variables and tables are in memory then."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            return tf.saved_model.load(folder)
        except Exception as error:  # its loader has no error of its own
            raise BadRequest(f"Cannot load the SavedModel: {str(error).splitlines()[0]}") from None


def _check_operations(content: bytes) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    try:
        saved.ParseFromString(content)
    except DecodeError:
        raise BadRequest("Cannot load the SavedModel: saved_model.pb is damaged.") from None
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        used = sorted(FORBIDDEN & {node.op for node in nodes})
        if used:
            raise BadRequest(f"The SavedModel has operations that are not supported: {', '.join(used)}.")


def _signature_name(loaded: Any) -> str:
    names = list(loaded.signatures)
    for name in ("serving_default", "predict"):
        if name in names:
            return name
    if len(names) == 1:
        return str(names[0])
    raise BadRequest(f"The SavedModel has no signature serving_default; it has: {', '.join(names) or 'none'}.")


def _field(name: str, spec: Any, side: str) -> Field:
    import tensorflow as tf

    if not isinstance(spec, tf.TensorSpec):
        raise unimplemented(f"a SavedModel whose {side} {name} is a {type(spec).__name__}")
    if spec.dtype in (tf.complex64, tf.complex128, tf.resource, tf.variant) or spec.dtype.is_quantized:
        raise BadRequest(f"The SavedModel's {side} {name} has type {spec.dtype.name}, which is not supported.")
    if spec.shape.rank is None or spec.shape.rank == 0:
        raise BadRequest(f"The SavedModel's {side} {name} has no dimension of rows: its shape is {spec.shape}.")
    if spec.shape[0] is not None:
        raise unimplemented(f"a SavedModel whose {side} {name} is for {spec.shape[0]} rows at a time")
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    kind = kind_of(dtype)
    assert kind is not None
    return Field(name, kind, "object" if kind == "STRING" else dtype.name, tuple(spec.shape[1:]))

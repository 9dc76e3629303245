"""MODEL_TYPE ONNX: a graph in ONNX's format, run by ONNX Runtime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.imported import Field, Imported, check_fields
from localgcp.bqml.options import Options

ELEMENTS = {
    **{name: ("INT64", name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    "float16": ("FLOAT64", "float16"),
    "float": ("FLOAT64", "float32"),
    "double": ("FLOAT64", "float64"),
    "bool": ("BOOL", "bool"),
    "string": ("STRING", "object"),
}
VALUE_TYPES = {
    "seq": "ONNX_TYPE_SEQUENCE",
    "map": "ONNX_TYPE_MAP",
    "optional": "ONNX_TYPE_OPTIONAL",
    "sparse_tensor": "ONNX_TYPE_SPARSETENSOR",
    "opaque": "ONNX_TYPE_OPAQUE",
}


@dataclass
class OnnxModel(Imported):
    @classmethod
    def load(cls, files: dict[str, bytes], options: Options) -> OnnxModel:
        """Raises BadRequest for files without one .onnx, and for what BigQuery has no type for."""
        found = [name for name in files if name.endswith(".onnx")]
        if len(found) != 1:
            raise BadRequest(f"MODEL_PATH of an ONNX model must have one .onnx file, found {len(found)}.")
        content = files[found[0]]
        session = _session(content)
        inputs = tuple(_field(node, "input") for node in session.get_inputs())
        outputs = tuple(_field(node, "output") for node in session.get_outputs())
        kept = {found[0]: content}
        model = cls(options, None, kept, check_fields(inputs, "input"), check_fields(outputs, "output"))
        model._runner = session
        return model

    def run(self, columns: dict[str, Any], rows: int) -> dict[str, Any]:
        if self._runner is None:
            (content,) = self.files.values()
            self._runner = _session(content)
        names = [one.name for one in self.outputs]
        try:
            return dict(zip(names, self._runner.run(names, columns)))
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise BadRequest(f"The ONNX model failed: {str(error).splitlines()[0]}") from None


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        # From memory, so that a model cannot have its weights read from other files.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as in run
        raise BadRequest(f"Cannot load the ONNX model: {str(error).splitlines()[0]}") from None


def _field(node: Any, side: str) -> Field:
    value = re.match(r"[a-z_]+", node.type)
    if value and value[0] in VALUE_TYPES:
        raise BadRequest(f"ONNX model {side} '{node.name}' has unsupported ONNX type: {VALUE_TYPES[value[0]]}.")
    element = node.type.removeprefix("tensor(").removesuffix(")")
    if element not in ELEMENTS:
        raise BadRequest(f"ONNX model {side} '{node.name}' has unsupported element type: {element}.")
    # A length that may differ is None or the name of a symbol.
    shape = tuple(length if isinstance(length, int) else None for length in node.shape)
    if not shape:
        raise BadRequest(f"ONNX model {side} '{node.name}' has no dimension of rows.")
    if shape[0] is not None:
        raise unimplemented(f"an ONNX model whose {side} {node.name} is for {shape[0]} rows at a time")
    return Field(node.name, *ELEMENTS[element], shape[1:])

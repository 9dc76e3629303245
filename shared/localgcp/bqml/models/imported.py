"""Models made elsewhere: the files are kept as they came, and columns become tensors and back.

From the documentation of CREATE MODEL for imported models: which element types there are, and as which BigQuery types.
Ours, where it says nothing: a vector output is an ARRAY, also of one element; a scalar column fits an input of shape
(rows, 1); NULL is NaN for an input of floats and refused for others; characters that no column name has become `_`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import floats, is_numeric, single, texts, type_name
from localgcp.bqml.encode import select
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.base import Metrics, Model, Training
from localgcp.bqml.options import Only, Option

BATCH = 4096
ARROW = {"INT64": pa.int64(), "FLOAT64": pa.float64(), "BOOL": pa.bool_(), "STRING": pa.string()}


@dataclass(frozen=True)
class Field:
    """An input or an output. `shape` is that of one row: (), (n,) or (None,); None for a length that may differ."""

    name: str
    kind: str  # INT64, FLOAT64, BOOL or STRING
    dtype: str  # numpy's
    shape: tuple[int | None, ...]

    @property
    def column(self) -> str:
        return re.sub(r"[^0-9A-Za-z_]", "_", self.name)

    def standard_type(self) -> dict[str, Any]:
        """StandardSqlDataType."""
        element = {"typeKind": self.kind}
        return {"typeKind": "ARRAY", "arrayElementType": element} if self.shape else element


@dataclass
class Imported(Model):
    """A model that only predicts. What runs it is made from the files when it is first needed, and not stored."""

    OPTIONS = {"model_path": Option("string"), "kms_key_name": Only(())}
    FUNCTIONS: ClassVar[frozenset[str]] = frozenset({"PREDICT"})
    # Whether any type that CAST takes will do for an input, or only one that widens by itself.
    CONVERTS: ClassVar[bool] = True

    files: dict[str, bytes]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    _runner: Any = field(default=None, init=False, repr=False, compare=False, kw_only=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runner": None}

    @classmethod
    def fit(cls, data: Training) -> Model:
        raise BadRequest(f"{cls.__name__} is imported, not trained.")

    @abstractmethod
    def run(self, columns: dict[str, Any], rows: int) -> dict[str, Any]:
        """Arrays by output name, from arrays by input name. Raises BadRequest."""

    @property
    def features(self) -> list[str]:
        return [one.column for one in self.inputs]

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        raise BadRequest("ML.EVALUATE is not supported for imported models.")

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        table = select(rows, self.features, "PREDICT")
        given = {one.name: tensor(one, single(table[one.column]), self.CONVERTS) for one in self.inputs}
        parts: dict[str, list[pa.Array]] = {one.name: [] for one in self.outputs}
        for start in range(0, len(rows), BATCH):
            count = min(BATCH, len(rows) - start)
            found = self.run({name: values[start : start + count] for name, values in given.items()}, count)
            for one in self.outputs:
                parts[one.name].append(column(one, np.asarray(found[one.name]), count))
        return pa.table(
            [pa.chunked_array(parts[one.name], arrow_type(one)) for one in self.outputs],
            names=[one.column for one in self.outputs],
        )


def check_fields(fields: tuple[Field, ...], side: str) -> tuple[Field, ...]:
    """Raises BadRequest for two columns of one name and for shapes that no column has."""
    seen: set[str] = set()
    for one in fields:
        if one.column.lower() in seen:
            raise BadRequest(f"The model has two {side}s that are the column {one.column} in BigQuery.")
        seen.add(one.column.lower())
        if len(one.shape) > 1:
            raise unimplemented(f"a model whose {side} {one.name} has {len(one.shape) + 1} dimensions")
    return fields


def kind_of(dtype: np.dtype[Any]) -> str | None:
    """BigQuery's type of a tensor's elements, None for one that is not supported."""
    if dtype.kind in "iu":
        return "INT64"
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return "FLOAT64"
    return {"b": "BOOL", "O": "STRING", "S": "STRING", "U": "STRING"}.get(dtype.kind)


def tensor(one: Field, values: pa.Array, converts: bool) -> Any:
    """A column as an array of shape (rows, *one.shape). Raises BadRequest, with the column's name."""
    is_array = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    if not is_array:
        if one.shape not in ((), (1,)):
            size = "any number of" if one.shape == (None,) else one.shape[0]
            raise BadRequest(
                f"Column {one.column} has type {type_name(values.type)}, but the model takes an ARRAY of {size} values."
            )
        return _elements(one, values, converts).reshape((len(values), *one.shape))
    if not one.shape:
        raise BadRequest(f"Column {one.column} is an ARRAY, but the model takes one {one.kind} for each row.")
    if values.null_count:
        raise BadRequest(f"Column {one.column} has NULL where the model takes an ARRAY.")
    lengths = pc.unique(pc.list_value_length(values)).to_pylist()
    if len(lengths) > 1:
        raise BadRequest(
            f"Column {one.column} has ARRAYs of different lengths: {', '.join(map(str, sorted(lengths)))}."
        )
    width = lengths[0] if lengths else (one.shape[0] or 0)
    if one.shape[0] not in (None, width):
        raise BadRequest(f"Column {one.column} has ARRAYs of {width} values, but the model takes {one.shape[0]}.")
    return _elements(one, pc.list_flatten(values), converts).reshape((len(values), width))


def _elements(one: Field, values: pa.Array, converts: bool) -> Any:
    given = type_name(values.type)
    fits = given == one.kind or given == "NULL" or (one.kind == "FLOAT64" and is_numeric(values.type))
    if not fits and not converts:
        raise BadRequest(f"Column {one.column} has type {given}, but the model takes {one.kind}.")
    if one.kind != "FLOAT64" and values.null_count:
        raise BadRequest(
            f"Column {one.column} has NULL, which the model's {one.kind} input cannot hold: replace it, as with IFNULL."
        )
    if one.kind == "STRING":
        return np.asarray(texts(values).to_pylist(), dtype=object)
    try:
        if one.kind == "FLOAT64":
            numbers = floats(pc.cast(values, pa.float64()) if given == "STRING" else values)
            return numbers.astype(one.dtype)
        converted = pc.round(values, round_mode="half_towards_infinity") if given == "FLOAT64" else values
        whole = np.asarray(pc.cast(converted, ARROW[one.kind]).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadRequest(
            f"Column {one.column} has type {given}, which cannot be converted to {one.kind} here: {error}"
        ) from None
    narrow = whole.astype(one.dtype)
    if not np.array_equal(narrow, whole):
        raise BadRequest(f"Column {one.column} has values that do not fit the model's {one.dtype}.")
    return narrow


def arrow_type(one: Field) -> pa.DataType:
    return pa.list_(ARROW[one.kind]) if one.shape else ARROW[one.kind]


def column(one: Field, values: Any, rows: int) -> pa.Array:
    """An output as a column. Raises BadRequest for another shape than the model declares."""
    if values.ndim != len(one.shape) + 1 or len(values) != rows:
        raise BadRequest(f"The model's output {one.name} has shape {values.shape} for {rows} rows.")
    flat = values.reshape(-1)
    if one.kind == "STRING":
        try:
            items = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in flat]
        except UnicodeDecodeError:
            raise BadRequest(f"The model's output {one.name} holds bytes that are not UTF-8.") from None
        elements = pa.array(items, pa.string())
    elif one.kind == "INT64" and flat.dtype == np.uint64 and (flat > np.iinfo(np.int64).max).any():
        raise BadRequest(f"The model's output {one.name} holds values above the largest INT64.")
    else:
        elements = pa.array(flat.astype({"INT64": np.int64, "FLOAT64": np.float64, "BOOL": np.bool_}[one.kind]))
    if not one.shape:
        return elements
    width = values.shape[1]
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * width, pa.int32()), elements)

"""Arrow columns as numpy arrays, by BigQuery's types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Floats = np.ndarray[Any, np.dtype[np.float64]]


def is_numeric(kind: pa.DataType) -> bool:
    """INT64, FLOAT64, NUMERIC, BIGNUMERIC."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_timestamp(kind: pa.DataType) -> bool:
    """TIMESTAMP; a DATETIME is an Arrow timestamp without a zone."""
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def type_name(kind: pa.DataType) -> str:
    """BigQuery's name of an Arrow type, for messages and model resources."""
    simple = [
        (pa.types.is_boolean, "BOOL"),
        (pa.types.is_integer, "INT64"),
        (pa.types.is_floating, "FLOAT64"),
        (pa.types.is_decimal256, "BIGNUMERIC"),
        (pa.types.is_decimal, "NUMERIC"),
        (lambda k: pa.types.is_string(k) or pa.types.is_large_string(k), "STRING"),
        (lambda k: pa.types.is_binary(k) or pa.types.is_large_binary(k), "BYTES"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_time, "TIME"),
        (is_timestamp, "TIMESTAMP"),
        (pa.types.is_timestamp, "DATETIME"),
        (pa.types.is_struct, "STRUCT"),
        (lambda k: pa.types.is_list(k) or pa.types.is_large_list(k), "ARRAY"),
    ]
    return next((name for test, name in simple if test(kind)), str(kind).upper())


def floats(column: Any) -> Floats:
    """A numeric or BOOL column as float64, NULL as NaN."""
    return np.asarray(pc.cast(single(column), pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=float)


def texts(column: Any) -> pa.Array:
    """A categorical column as strings, NULL kept, as BigQuery prints categories (true, 3, 2024-01-31)."""
    flat = single(column)
    if pa.types.is_floating(flat.type):
        return pa.array([None if v is None else _float_text(v) for v in flat.to_pylist()], pa.string())
    if pa.types.is_binary(flat.type) or pa.types.is_large_binary(flat.type):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in flat.to_pylist()], pa.string())
    return pc.cast(flat, pa.string())


def single(column: Any) -> pa.Array:
    """A ChunkedArray as one Array."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def codes(column: Any, vocabulary: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index of each value in the vocabulary; -1 for NULL and for what is not in it."""
    found = pc.index_in(texts(column), value_set=pa.array(vocabulary, pa.string()), skip_nulls=True)
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _float_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)

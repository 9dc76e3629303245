"""DATA_SPLIT_METHOD: which rows train a model, which evaluate it, and which test a tuned one.

AUTO_SPLIT and RANDOM hash every row's content, as BigQuery does; its exact hash is not public, so other rows are
chosen than on the service. CUSTOM and SEQ choose the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import floats, is_numeric, is_timestamp, single, texts, type_name
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.options import Options

Mask = np.ndarray[Any, np.dtype[np.bool_]]
SMALL, LARGE, LARGE_EVAL = 500, 50_000, 10_000


@dataclass(frozen=True)
class Split:
    """Row masks of equal length. `evaluation` is empty where nothing was held out."""

    train: Mask
    evaluation: Mask
    test: Mask


def split_rows(rows: pa.Table, options: Options, tuning: bool = False) -> Split:
    """Raises BadRequest for a split column that is missing or has the wrong type."""
    method = options["data_split_method"]
    if method in ("CUSTOM", "SEQ"):
        if not options["data_split_col"]:
            raise BadRequest(f"DATA_SPLIT_COL must be specified when DATA_SPLIT_METHOD is {method}.")
        column = split_column(rows, options)
        return _custom(column, tuning) if method == "CUSTOM" else _sequential(column, options, tuning)
    if options["data_split_col"]:
        raise BadRequest("DATA_SPLIT_COL can only be used when DATA_SPLIT_METHOD is CUSTOM or SEQ.")
    if method == "NO_SPLIT":
        return _masks(len(rows), np.arange(0), np.arange(0))
    fraction = options["data_split_eval_fraction"]
    if method == "AUTO_SPLIT" and fraction is not None:
        raise BadRequest("DATA_SPLIT_EVAL_FRACTION can only be used when DATA_SPLIT_METHOD is RANDOM or SEQ.")
    held_out, test = _random_sizes(len(rows), options, tuning)
    order = np.argsort(row_hashes(rows), kind="stable")
    return _masks(len(rows), order[:held_out], order[held_out : held_out + test])


def split_column(rows: pa.Table, options: Options) -> pa.Array:
    name = options["data_split_col"]
    found = {column.lower(): column for column in rows.column_names}.get(name.lower())
    if found is None:
        raise BadRequest(f"Data split column {name} is not found in the training data.")
    return single(rows[found])


def row_hashes(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A hash of each row's content and the column names: the same rows split alike, in whatever order they come."""
    hashed = np.zeros(len(rows), np.uint64)
    for name in rows.column_names:
        column = single(rows[name])
        if is_numeric(column.type):
            values = pd.util.hash_array(floats(column))
        else:
            nested = pa.types.is_nested(column.type)
            plain = [str(v) for v in column.to_pylist()] if nested else texts(column).fill_null("\0").to_pylist()
            values = pd.util.hash_array(np.asarray(plain, dtype=object), categorize=True)
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + values + np.uint64(hash_text(name))
    return hashed


def hash_text(text: str) -> int:
    return int(pd.util.hash_array(np.array([text], dtype=object))[0])


def _random_sizes(count: int, options: Options, tuning: bool) -> tuple[int, int]:
    """Rows for evaluation and for testing."""
    fraction, test = options["data_split_eval_fraction"], options["data_split_test_fraction"]
    if test is not None and not tuning:
        raise BadRequest("DATA_SPLIT_TEST_FRACTION can only be used in hyperparameter tuning.")
    if fraction is not None:
        return round(count * fraction), round(count * (test or 0))
    if count < SMALL:
        return 0, 0
    if tuning:
        return round(count * 0.1), round(count * 0.1)
    return (round(count * 0.2) if count <= LARGE else LARGE_EVAL), 0


def _custom(column: pa.Array, tuning: bool) -> Split:
    if tuning:
        if not pa.types.is_string(column.type):
            raise BadRequest("DATA_SPLIT_COL must be of type STRING in hyperparameter tuning with CUSTOM.")
        sets = {name: np.asarray(pc.equal(column, name).fill_null(False)) for name in ("TRAIN", "EVAL", "TEST")}
        return Split(sets["TRAIN"], sets["EVAL"], sets["TEST"])
    if not pa.types.is_boolean(column.type):
        raise BadRequest(
            f"DATA_SPLIT_COL must be of type BOOL when DATA_SPLIT_METHOD is CUSTOM, got {type_name(column.type)}."
        )
    evaluation = np.asarray(column.fill_null(True))  # NULL evaluates, says the documentation
    return Split(~evaluation, evaluation, np.zeros(len(column), bool))


def _sequential(column: pa.Array, options: Options, tuning: bool) -> Split:
    """The largest values evaluate, NULL with them."""
    # BigQuery takes NUMERIC, BIGNUMERIC, STRING and TIMESTAMP; INT64, FLOAT64 and DATE coerce to one of them.
    kind = column.type
    if not (is_numeric(kind) or is_timestamp(kind) or type_name(kind) in ("STRING", "DATE", "DATETIME")):
        raise BadRequest(f"DATA_SPLIT_COL of type {type_name(kind)} cannot be used when DATA_SPLIT_METHOD is SEQ.")
    fraction = 0.2 if options["data_split_eval_fraction"] is None else options["data_split_eval_fraction"]
    held_out = round(len(column) * fraction)
    test = round(len(column) * (options["data_split_test_fraction"] or 0)) if tuning else 0
    order = np.asarray(pc.array_sort_indices(column, null_placement="at_end"))[::-1]
    return _masks(len(column), order[:held_out], order[held_out : held_out + test])


def _masks(count: int, evaluation: Any, test: Any) -> Split:
    held_out, tested = np.zeros(count, bool), np.zeros(count, bool)
    held_out[evaluation] = True
    tested[test] = True
    return Split(~(held_out | tested), held_out, tested)

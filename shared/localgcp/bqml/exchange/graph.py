"""Automatic preprocessing as TensorFlow operations: raw columns in, the rows of the design matrix out.

From the documentation of model export: preprocessing is part of the graph, every number is FLOAT64 in the signature,
a field `f` of STRUCT `s` is the input `s_f`, NULL is 123456789.0e10 or ' __MISSING__ ' (documented for TRANSFORM,
taken for every input here), dates and times are strings; ARRAY and TIMESTAMP features cannot be exported. Ours: NaN is
NULL, too; BOOL features are tf.bool; one file of assets for each categorical feature, `<input>.txt`.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import type_name
from localgcp.bqml.encode import NULL_CATEGORY, Block, Category, Encoder, Number, expand, select
from localgcp.bqml.errors import BadRequest, unimplemented

NULL_FLOAT, NULL_INT, NULL_TEXT = 123456789.0e10, 1234567890000000000, " __MISSING__ "
REFUSED = {"ARRAY", "TIMESTAMP", "GEOGRAPHY"}


@dataclass(frozen=True)
class Input:
    """A block of the encoder, and BigQuery's type of the column that it reads."""

    block: Block
    type: str

    @property
    def name(self) -> str:
        return self.block.name


def save(module: Any, folder: Path, signatures: Any) -> None:
    """Writes the SavedModel. TensorFlow would print where: a path of this machine, in a notebook that may be shared."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    finally:
        logger.setLevel(level)


def inputs_of(encoder: Encoder, rows: pa.Table) -> list[Input]:
    """The columns that an exported model takes; `rows` has the features with their types.

    Raises BadRequest for a type that the service does not export either.
    """
    features = select(rows, encoder.features, "EXPORT MODEL")
    for field in features.schema:
        kinds = [field.type, *(inner.type for inner in field.type)] if pa.types.is_struct(field.type) else [field.type]
        for kind in kinds:
            if type_name(kind) in REFUSED:
                raise BadRequest(
                    f"Model export is not supported for a model with feature {field.name} of type {type_name(kind)}."
                )
    schema = expand(features.slice(0, 0)).schema
    inputs = [Input(block, type_name(schema.field(block.name).type)) for block in encoder.blocks]
    for one in inputs:
        check_name(one.name)
    return inputs


def check_name(name: str) -> None:
    """Raises BadRequest for a column that cannot be an argument of a TensorFlow signature."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise unimplemented(
            f"EXPORT MODEL with a column named {name!r}, which is not a valid name of a TensorFlow argument,"
        )


def tensor_spec(name: str, kind: str) -> Any:
    """A column of any number of rows."""
    import tensorflow as tf

    number = kind in ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC")
    dtype = tf.float64 if number else tf.bool if kind == "BOOL" else tf.string
    return tf.TensorSpec([None], dtype, name=name)


class Preprocessing:
    """Builds the graph. Tables are attributes of `keep`, a tf.Module, so that they are saved with it."""

    def __init__(self, inputs: list[Input], keep: Any, scratch: Path) -> None:
        self.inputs = inputs
        tables = {}
        for one in inputs:
            if isinstance(one.block, Category):
                tables[one.name] = vocabulary(one.name, list(one.block.categories), scratch)
            elif not isinstance(one.block, Number):
                raise unimplemented(f"EXPORT MODEL with feature {one.name} ({type(one.block).__name__} encoding)")
        self.tables = keep.tables = tables

    def signature(self) -> dict[str, Any]:
        return {one.name: tensor_spec(one.name, one.type) for one in self.inputs}

    def matrix(self, columns: Mapping[str, Any]) -> Any:
        """Shape (rows, width), float64: what Encoder.matrix gives."""
        import tensorflow as tf

        return tf.concat([self._block(one, columns[one.name]) for one in self.inputs], axis=1)

    def _block(self, one: Input, column: Any) -> Any:
        import tensorflow as tf

        block = one.block
        if isinstance(block, Number):
            filled = tf.where(is_null(column), tf.constant(block.mean, tf.float64), column)
            return ((filled - block.mean) / block.scale if block.centre else filled)[:, None]
        assert isinstance(block, Category)
        text = tf.where(column, "true", "false") if one.type == "BOOL" else column
        codes = self.tables[one.name].lookup(text)
        if block.categories and block.categories[-1] == NULL_CATEGORY:
            codes = tf.where(is_null(text), tf.constant(block.width - 1, tf.int64), codes)
        hot = tf.one_hot(codes, block.width, dtype=tf.float64)
        if block.dropped is None:
            return hot
        kept = np.ones(block.width)
        kept[block.dropped] = 0.0
        return hot * tf.constant(kept, tf.float64)


def is_null(column: Any) -> Any:
    """Which rows hold the value that stands for NULL."""
    import tensorflow as tf

    if column.dtype == tf.string:
        return tf.equal(column, NULL_TEXT)
    if column.dtype == tf.int64:
        return tf.equal(column, NULL_INT)
    if column.dtype == tf.bool:
        return tf.zeros_like(column)
    return tf.math.is_nan(column) | tf.equal(column, NULL_FLOAT)


def vocabulary(name: str, categories: list[str], scratch: Path) -> Any:
    """A table of the categories' positions, -1 for others; a file among the assets where lines can hold them."""
    import tensorflow as tf

    if NULL_TEXT in categories:
        raise BadRequest(f"Cannot export feature {name}: its category {NULL_TEXT!r} stands for NULL in an export.")
    if any("\ufffd" in category for category in categories):
        raise unimplemented(f"EXPORT MODEL with feature {name}, whose BYTES are not UTF-8,")
    lines = categories and all(c and "\n" not in c and "\r" not in c and c == c.strip() for c in categories)
    if not lines:
        keys = tf.constant(categories, tf.string, shape=[len(categories)])
        source = tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(categories), dtype=tf.int64))
        return tf.lookup.StaticHashTable(source, -1)
    path = scratch / f"{name}.txt"
    path.write_text("\n".join(categories) + "\n", encoding="utf-8", newline="\n")
    index = tf.lookup.TextFileIndex
    source = tf.lookup.TextFileInitializer(str(path), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER)
    return tf.lookup.StaticHashTable(source, -1)

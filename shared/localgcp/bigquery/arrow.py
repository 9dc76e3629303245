"""Results as Arrow tables with the types that BigQuery's fields say."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

from localgcp.bigquery.errors import BigQueryError
from localgcp.bigquery.types import Field

_SCALARS = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "JSON": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


def normalise(table: pa.Table, fields: list[Field]) -> pa.Table:
    """The table with int64 for every integer, float64, UTC timestamps …, and the fields' names.

    Raises BigQueryError, as BigQuery does, when a sum of integers does not fit into INT64 or an array holds a NULL.
    """
    for column, field in zip(table.columns, fields):
        if field["mode"] == "REPEATED" and pa.compute.list_flatten(column).null_count:
            raise BigQueryError(f"Array cannot have a null element; error in writing field {field['name']}")
    schema = pa.schema([pa.field(f["name"], _wanted(f, column.type)) for f, column in zip(fields, table.schema)])
    if table.schema.types == schema.types:
        return table.rename_columns(schema.names)
    try:
        columns = [_convert(column.combine_chunks(), kind) for column, kind in zip(table.columns, schema.types)]
    except pa.ArrowInvalid as error:
        raise BigQueryError(f"int64 overflow: {error}") from None
    return pa.table(columns, schema=schema)


def _convert(array: Any, kind: pa.DataType) -> Any:
    """The array as that type. Arrow's own cast goes by the names of struct fields, which two may share or lack."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks else pa.array([], array.type)
    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        parts = [_convert(array.field(i), field.type) for i, field in enumerate(kind)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        # `flatten` leaves out what lies under NULL lists and outside a slice, as the lengths below do.
        values = _convert(array.flatten(), kind.value_type)
        lengths = pa.compute.fill_null(pa.compute.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pa.compute.cumulative_sum(lengths).cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, values, type=kind, mask=array.is_null())
    return array.cast(kind)


def _wanted(field: Field, found: pa.DataType) -> pa.DataType:
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return pa.list_(_wanted(field | {"mode": "NULLABLE"}, found.value_type))
    if pa.types.is_fixed_size_list(found):
        return pa.list_(_wanted(field | {"mode": "NULLABLE"}, found.value_type))
    if field["type"] == "RECORD":
        return pa.struct([pa.field(part["name"], _wanted(part, p.type)) for p, part in zip(found, field["fields"])])
    if field["type"] == "NUMERIC":
        return pa.decimal128(38, 9)
    return _SCALARS.get(field["type"], found)


def empty(fields: list[Field]) -> pa.Table:
    """A table of no rows."""
    return arrow_schema(fields).empty_table()


def arrow_schema(fields: list[Field]) -> pa.Schema:
    """The Arrow schema of columns, all nullable: BigQuery's modes are checked elsewhere."""
    return pa.schema([pa.field(field["name"], arrow_type(field)) for field in fields])


def arrow_type(field: Field) -> Any:
    if field.get("mode") == "REPEATED":
        return pa.list_(arrow_type(field | {"mode": "NULLABLE"}))
    if field["type"] == "RECORD":
        return pa.struct([pa.field(part["name"], arrow_type(part)) for part in field["fields"]])
    if field["type"] == "NUMERIC":
        return pa.decimal128(38, 9)
    return _SCALARS[field["type"]]

"""OPTIONS, PARTITION BY, CLUSTER BY and column lists of DDL statements, as parts of a REST resource."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from localgcp.bigquery.catalog import Resource
from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.syntax import Tree
from localgcp.bigquery.types import Field, check_fields

# The value of a constant expression.
Constant = Callable[[Tree], Any]

_STRINGS = {"description": "description", "friendly_name": "friendlyName"}


def table_options(items: list[Tree], constant: Constant) -> Resource:
    """OPTIONS of a table or view as parts of its resource. Raises BigQueryError for an option that is not known."""
    found: Resource = {}
    for item in items:
        name = item.name.lower()
        value = constant(item.args["value"])
        if name in _STRINGS:
            found[_STRINGS[name]] = value
        elif name == "labels":
            found["labels"] = _labels(value)
        elif name == "expiration_timestamp":
            found["expirationTime"] = None if value is None else _milliseconds(value)
        elif name == "require_partition_filter":
            found["requirePartitionFilter"] = bool(value)
        elif name in ("partition_expiration_days", "kms_key_name", "max_staleness", "enable_change_history"):
            raise unimplemented(f"the option {name}")
        else:
            raise BigQueryError(f"Unknown option: {name}")
    return found


def schema_options(items: list[Tree], constant: Constant) -> Resource:
    """OPTIONS of a dataset as parts of its resource."""
    found: Resource = {}
    for item in items:
        # `location` is parsed as a property of its own kind.
        if isinstance(item, exp.LocationProperty):
            found["location"] = str(constant(item.this)).upper()
            continue
        name, value = item.name.lower(), constant(item.args["value"])
        if name in _STRINGS:
            found[_STRINGS[name]] = value
        elif name == "labels":
            found["labels"] = _labels(value)
        elif name == "default_table_expiration_days":
            found["defaultTableExpirationMs"] = str(int(float(value) * 86_400_000))
        elif name in (
            "default_partition_expiration_days",
            "default_collation",
            "is_case_insensitive",
            "storage_billing_model",
        ):
            raise unimplemented(f"the option {name}")
        else:
            raise BigQueryError(f"Unknown option: {name}")
    return found


def _labels(value: Any) -> dict[str, str]:
    pairs = [tuple(pair.values()) if isinstance(pair, dict) else tuple(pair) for pair in value or []]
    return dict(pairs)


def _milliseconds(moment: dt.datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def partitioning(node: Tree, fields: list[Field]) -> Resource:
    """A PARTITION BY expression as timePartitioning or rangePartitioning. Raises BigQueryError for other forms."""
    if isinstance(node, exp.RangeBucket):
        series = node.expression
        if not isinstance(series, exp.GenerateSeries):
            raise BigQueryError("RANGE_BUCKET in PARTITION BY needs GENERATE_ARRAY(start, end, interval)")
        step = series.args.get("step")
        limits = {
            "start": _int(series.args["start"]),
            "end": _int(series.args["end"]),
            "interval": _int(step) if step else "1",
        }
        return {"rangePartitioning": {"field": node.this.name, "range": limits}}
    if isinstance(node, (exp.Identifier, exp.Column)):
        return _by_time(node.name, "DAY")
    if isinstance(node, (exp.Date, exp.TsOrDsToDate)) and isinstance(node.this, exp.Column):
        return _by_time(node.this.name, "DAY")
    if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc, exp.DatetimeTrunc)) and isinstance(node.this, exp.Column):
        return _by_time(node.this.name, node.args["unit"].name.upper())
    raise BigQueryError(
        "PARTITION BY expression must be DATE(<timestamp_column>), DATE(<datetime_column>), "
        "DATETIME_TRUNC(<datetime_column>, DAY/HOUR/MONTH/YEAR), a DATE column, TIMESTAMP_TRUNC(<timestamp_column>, "
        "DAY/HOUR/MONTH/YEAR), DATE_TRUNC(<date_column>, MONTH/YEAR), or RANGE_BUCKET(<int64_column>, "
        "GENERATE_ARRAY(<int64_value>, <int64_value>[, <int64_value>]))"
    )


def _by_time(column: str, unit: str) -> Resource:
    if column.upper() in ("_PARTITIONDATE", "_PARTITIONTIME"):
        raise unimplemented("ingestion-time partitioning")
    return {"timePartitioning": {"type": unit, "field": column}}


def _int(node: Tree) -> str:
    return str(int(node.sql()))


def columns(items: list[Tree], constant: Constant) -> list[Field]:
    """The column list of CREATE TABLE. Raises BigQueryError for a constraint or type that is not emulated."""
    fields = []
    for item in items:
        if isinstance(item, (exp.PrimaryKey, exp.ForeignKey, exp.Constraint)):
            raise unimplemented("PRIMARY KEY and FOREIGN KEY")
        if not isinstance(item, exp.ColumnDef) or item.args.get("kind") is None:
            raise BigQueryError(f"Syntax error: column {item.name} has no type")
        fields.append(column(item, constant))
    return check_fields(fields)


def column(item: exp.ColumnDef, constant: Constant) -> Field:
    field = field_of_type(item.name, item.args["kind"])
    for constraint in item.args.get("constraints") or []:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint):
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.DefaultColumnConstraint):
            field["defaultValueExpression"] = kind.this.sql(dialect="bigquery")
        elif isinstance(kind, exp.Properties):
            for option in kind.expressions:
                if option.name.lower() != "description":
                    raise unimplemented(f"the column option {option.name}")
                field["description"] = constant(option.args["value"])
        else:
            raise unimplemented(f"the column constraint {kind.sql(dialect='bigquery')}")
    return field


def field_of_type(name: str, kind: exp.DataType) -> Field:
    """A GoogleSQL type as a field."""
    if kind.is_type("array"):
        inner = kind.expressions[0] if kind.expressions else None
        if not isinstance(inner, exp.DataType):
            raise BigQueryError("Syntax error: an ARRAY needs the type of its elements")
        if inner.is_type("array"):
            raise BigQueryError("Cannot create an array of arrays: ARRAY<ARRAY<…>> is not a type")
        return field_of_type(name, inner) | {"mode": "REPEATED"}
    if kind.is_type("struct"):
        parts = [
            column(part, lambda node: node.name)
            if isinstance(part, exp.ColumnDef)
            else field_of_type(f"_field_{i}", part)
            for i, part in enumerate(kind.expressions, 1)
        ]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": parts}
    text = kind.sql(dialect="bigquery").upper()
    match = re.fullmatch(r"(\w+)(?:\((\d+)(?:, *(\d+))?\))?", text)
    if match is None:
        raise BigQueryError(f"Type not found: {text}")
    field: Field = {"name": name, "type": match[1], "mode": "NULLABLE"}
    if match[2]:
        if match[1] not in ("NUMERIC", "DECIMAL"):
            raise unimplemented(f"the parameterized type {text}")
        field |= {"precision": match[2], "scale": match[3] or "0"}
    return field

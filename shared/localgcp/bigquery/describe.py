"""A table's resource as the DDL that would make it again, and its options."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from localgcp.bigquery.catalog import Resource
from localgcp.bigquery.names import TableName
from localgcp.bigquery.types import Field, sql_type


def options_of(resource: Resource) -> list[tuple[str, str, str]]:
    """(name, GoogleSQL type, value as GoogleSQL text) of the options that are set."""
    options = [
        (name, "STRING", json.dumps(resource[key]))
        for name, key in (("description", "description"), ("friendly_name", "friendlyName"))
        if resource.get(key)
    ]
    if resource.get("expirationTime"):
        moment = dt.datetime.fromtimestamp(int(resource["expirationTime"]) / 1000, dt.UTC)
        options.append(("expiration_timestamp", "TIMESTAMP", f'TIMESTAMP "{moment:%Y-%m-%dT%H:%M:%S.%fZ}"'))
    if resource.get("labels"):
        pairs = ", ".join(f"STRUCT({json.dumps(k)}, {json.dumps(v)})" for k, v in sorted(resource["labels"].items()))
        options.append(("labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]"))
    if resource.get("requirePartitionFilter"):
        options.append(("require_partition_filter", "BOOL", "true"))
    return options


def create_statement(name: TableName, resource: Resource) -> str:
    """The DDL of a table or view."""
    full = f"`{name.project}.{name.dataset}.{name.table}`"
    options = ",\n".join(f"  {option}={value}" for option, _, value in options_of(resource))
    tail = f"\nOPTIONS(\n{options}\n)" if options else ""
    if resource["type"] == "VIEW":
        return f"CREATE VIEW {full}{tail}\nAS {resource['view']['query']};"
    columns = ",\n".join("  " + _column(field) for field in resource["schema"].get("fields", []))
    clauses = "".join(f"\n{clause}" for clause in (_partition_clause(resource), _cluster_clause(resource)) if clause)
    return f"CREATE TABLE {full}\n(\n{columns}\n){clauses}{tail};"


def _column(field: Field) -> str:
    text = f"{field['name']} {sql_type(field)}"
    if field.get("defaultValueExpression"):
        text += f" DEFAULT {field['defaultValueExpression']}"
    if field["mode"] == "REQUIRED":
        text += " NOT NULL"
    if field.get("description"):
        text += f" OPTIONS(description={json.dumps(field['description'])})"
    return text


def _partition_clause(resource: Resource) -> str:
    if ranges := resource.get("rangePartitioning"):
        limits: dict[str, Any] = ranges["range"]
        array = f"GENERATE_ARRAY({limits['start']}, {limits['end']}, {limits['interval']})"
        return f"PARTITION BY RANGE_BUCKET({ranges['field']}, {array})"
    if not (partitioning := resource.get("timePartitioning")):
        return ""
    column, unit = partitioning["field"], partitioning["type"]
    kind = next(field["type"] for field in resource["schema"]["fields"] if field["name"].lower() == column.lower())
    if unit == "DAY":
        return f"PARTITION BY {column}" if kind == "DATE" else f"PARTITION BY DATE({column})"
    return f"PARTITION BY {kind}_TRUNC({column}, {unit})"


def _cluster_clause(resource: Resource) -> str:
    fields = (resource.get("clustering") or {}).get("fields")
    return f"CLUSTER BY {', '.join(fields)}" if fields else ""

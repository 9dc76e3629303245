"""The views of INFORMATION_SCHEMA as Arrow tables.

Columns, names and types are those of https://cloud.google.com/bigquery/docs/information-schema-tables, -columns,
-schemata, -partitions, -views and -table-options; columns about services that are not emulated are NULL there too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from localgcp.bigquery.catalog import Catalog, Resource
from localgcp.bigquery.describe import create_statement, options_of
from localgcp.bigquery.errors import BigQueryError
from localgcp.bigquery.names import DatasetName, TableName
from localgcp.bigquery.types import sql_type

STRING, INT64 = pa.string(), pa.int64()
TIMESTAMP = pa.timestamp("us", tz="UTC")

Row = dict[str, Any]
# (partition id, rows, logical bytes) of a table; the id is None for a table without partitions.
Partitions = Callable[[TableName], list[tuple[str | None, int, int]]]

_TABLE = [("table_catalog", STRING), ("table_schema", STRING), ("table_name", STRING)]

SCHEMAS: dict[str, list[tuple[str, pa.DataType]]] = {
    "TABLES": [
        *_TABLE,
        ("table_type", STRING),
        ("managed_table_type", STRING),
        ("is_insertable_into", STRING),
        ("is_fine_grained_mutations_enabled", STRING),
        ("is_typed", STRING),
        ("is_change_history_enabled", STRING),
        ("creation_time", TIMESTAMP),
        ("base_table_catalog", STRING),
        ("base_table_schema", STRING),
        ("base_table_name", STRING),
        ("snapshot_time_ms", TIMESTAMP),
        ("ddl", STRING),
        ("default_collation_name", STRING),
        ("upsert_stream_apply_watermark", TIMESTAMP),
        ("replica_source_catalog", STRING),
        ("replica_source_schema", STRING),
        ("replica_source_name", STRING),
        ("replication_status", STRING),
        ("replication_error", STRING),
    ],
    "COLUMNS": [
        *_TABLE,
        ("column_name", STRING),
        ("ordinal_position", INT64),
        ("is_nullable", STRING),
        ("data_type", STRING),
        ("is_generated", STRING),
        ("generation_expression", STRING),
        ("is_stored", STRING),
        ("is_hidden", STRING),
        ("is_updatable", STRING),
        ("is_system_defined", STRING),
        ("is_partitioning_column", STRING),
        ("clustering_ordinal_position", INT64),
        ("collation_name", STRING),
        ("column_default", STRING),
        ("rounding_mode", STRING),
        ("policy_tags", pa.list_(STRING)),
    ],
    "SCHEMATA": [
        ("catalog_name", STRING),
        ("schema_name", STRING),
        ("schema_owner", STRING),
        ("creation_time", TIMESTAMP),
        ("last_modified_time", TIMESTAMP),
        ("location", STRING),
        ("ddl", STRING),
        ("default_collation_name", STRING),
    ],
    "PARTITIONS": [
        *_TABLE,
        ("partition_id", STRING),
        ("total_rows", INT64),
        ("total_logical_bytes", INT64),
        ("total_billable_bytes", INT64),
        ("last_modified_time", TIMESTAMP),
        ("storage_tier", STRING),
    ],
    "VIEWS": [
        *_TABLE,
        ("view_definition", STRING),
        ("check_option", STRING),
        ("use_standard_sql", STRING),
    ],
    "TABLE_OPTIONS": [*_TABLE, ("option_name", STRING), ("option_type", STRING), ("option_value", STRING)],
}


def build(view: str, dataset: DatasetName | None, catalog: Catalog, project: str, partitions: Partitions) -> pa.Table:
    """The rows of a view for one dataset, or for all of a project. Raises BigQueryError, notFound or unknown view."""
    if view not in SCHEMAS:
        known = ", ".join(sorted(SCHEMAS))
        raise BigQueryError(f"UNIMPLEMENTED: INFORMATION_SCHEMA.{view} is not emulated locally; there are {known}.")
    if dataset is not None:
        catalog.dataset(dataset)
    datasets = [dataset] if dataset else [name for name in catalog.datasets if name.project == project]
    if view == "SCHEMATA":
        rows = [_schemata(name, catalog.datasets[name]) for name in datasets if not _hidden(name)]
    else:
        rows = []
        for name in datasets:
            if _hidden(name):
                continue
            for table in catalog.tables_of(name):
                rows += _ROWS[view](table, catalog.table(table), partitions)
    schema = pa.schema(SCHEMAS[view])
    return pa.Table.from_pylist([{key: row.get(key) for key in schema.names} for row in rows], schema=schema)


def _hidden(name: DatasetName) -> bool:
    return name.dataset.startswith("_")


def _time(milliseconds: str) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(milliseconds) / 1000, dt.UTC)


def _key(name: TableName) -> Row:
    return {"table_catalog": name.project, "table_schema": name.dataset, "table_name": name.table}


def _schemata(name: DatasetName, resource: Resource) -> Row:
    return {
        "catalog_name": name.project,
        "schema_name": name.dataset,
        "creation_time": _time(resource["creationTime"]),
        "last_modified_time": _time(resource["lastModifiedTime"]),
        "location": resource["location"],
        "ddl": f"CREATE SCHEMA `{name.project}.{name.dataset}`\n"
        f'OPTIONS(\n  location="{resource["location"].lower()}"\n);',
    }


def _tables(name: TableName, resource: Resource, _: Partitions) -> list[Row]:
    is_view = resource["type"] == "VIEW"
    return [
        _key(name)
        | {
            "table_type": "VIEW" if is_view else "BASE TABLE",
            "is_insertable_into": "NO" if is_view else "YES",
            "is_fine_grained_mutations_enabled": "NO",
            "is_typed": "NO",
            "is_change_history_enabled": "NO",
            "creation_time": _time(resource["creationTime"]),
            "ddl": create_statement(name, resource),
        }
    ]


def _columns(name: TableName, resource: Resource, _: Partitions) -> list[Row]:
    partitioning = resource.get("timePartitioning") or resource.get("rangePartitioning") or {}
    clustering = [column.lower() for column in (resource.get("clustering") or {}).get("fields", [])]
    rows = []
    for position, field in enumerate(resource["schema"]["fields"], 1):
        column = field["name"]
        rows.append(
            _key(name)
            | {
                "column_name": column,
                "ordinal_position": position,
                "is_nullable": "NO" if field["mode"] == "REQUIRED" else "YES",
                "data_type": sql_type(field),
                "is_generated": "NEVER",
                "is_hidden": "NO",
                "is_system_defined": "NO",
                "is_partitioning_column": "YES" if column.lower() == partitioning.get("field", "").lower() else "NO",
                "clustering_ordinal_position": clustering.index(column.lower()) + 1
                if column.lower() in clustering
                else None,
                "collation_name": "NULL",
                "column_default": field.get("defaultValueExpression", "NULL"),
                "policy_tags": [],
            }
        )
    return rows


def _partitions(name: TableName, resource: Resource, partitions: Partitions) -> list[Row]:
    if resource["type"] == "VIEW":
        return []
    return [
        _key(name)
        | {
            "partition_id": identifier,
            "total_rows": rows,
            "total_logical_bytes": size,
            "total_billable_bytes": size,
            "last_modified_time": _time(resource["lastModifiedTime"]),
            "storage_tier": "ACTIVE",
        }
        for identifier, rows, size in partitions(name)
    ]


def _views(name: TableName, resource: Resource, _: Partitions) -> list[Row]:
    if resource["type"] != "VIEW":
        return []
    return [_key(name) | {"view_definition": resource["view"]["query"], "use_standard_sql": "YES"}]


def _table_options(name: TableName, resource: Resource, _: Partitions) -> list[Row]:
    return [
        _key(name) | {"option_name": option, "option_type": kind, "option_value": value}
        for option, kind, value in options_of(resource)
    ]


_ROWS: dict[str, Callable[[TableName, Resource, Partitions], list[Row]]] = {
    "TABLES": _tables,
    "COLUMNS": _columns,
    "PARTITIONS": _partitions,
    "VIEWS": _views,
    "TABLE_OPTIONS": _table_options,
}

"""What datasets, tables, views and functions there are: REST resources, kept in DuckDB beside the data.

DuckDB holds the rows; a column's mode, a table's partitioning, labels or a view's text have no place there, so the
resource is kept as JSON in a table of the same database: a statement commits both or neither.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from localgcp.bigquery import names
from localgcp.bigquery.errors import (
    BigQueryError,
    already_exists,
    dataset_not_found,
    invalid,
    table_not_found,
    unimplemented,
)
from localgcp.bigquery.names import DatasetName, TableName
from localgcp.bigquery.translate import to_duckdb
from localgcp.bigquery.types import Field, duckdb_type

Resource = dict[str, Any]

_STORE = '"_localgcp"."resources"'
LOCATION = "US"


def now() -> str:
    """Milliseconds since the epoch, as the API writes times."""
    return str(time.time_ns() // 1_000_000)


class Catalog:
    """Datasets, tables, views and functions. The caller holds the engine's lock."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._in_transaction = False
        # Another number after every change: what was worked out before one may not hold after it.
        self.version = 0
        connection.execute('CREATE SCHEMA IF NOT EXISTS "_localgcp"')
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_STORE} (kind VARCHAR, project VARCHAR, dataset VARCHAR, id VARCHAR, "
            "body VARCHAR)"
        )
        self._load()

    def _load(self) -> None:
        self.version += 1
        self.datasets: dict[DatasetName, Resource] = {}
        self.tables: dict[TableName, Resource] = {}
        self.functions: dict[TableName, Resource] = {}
        rows = self.connection.execute(f"SELECT kind, project, dataset, id, body FROM {_STORE}").fetchall()
        for kind, project, dataset, identifier, body in rows:
            if kind == "dataset":
                self.datasets[DatasetName(project, dataset)] = json.loads(body)
            else:
                self._shelf(kind)[TableName(project, dataset, identifier)] = json.loads(body)

    def _shelf(self, kind: str) -> dict[TableName, Resource]:
        return self.tables if kind == "table" else self.functions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Inside a transaction of a script it joins that one."""
        if self._in_transaction:
            yield
            return
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    @property
    def in_transaction(self) -> bool:
        return self._in_transaction

    def begin(self) -> None:
        self.connection.execute("BEGIN TRANSACTION")
        self._in_transaction = True

    def commit(self) -> None:
        self._in_transaction = False
        try:
            self.connection.execute("COMMIT")
        except duckdb.Error:
            self._load()
            raise

    def rollback(self) -> None:
        self._in_transaction = False
        try:
            self.connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            pass  # DuckDB has given the transaction up by itself
        self._load()

    # Datasets

    def dataset(self, name: DatasetName) -> Resource:
        """Raises BigQueryError, notFound."""
        try:
            return self.datasets[name]
        except KeyError:
            raise dataset_not_found(name) from None

    def create_dataset(self, name: DatasetName, body: Resource) -> Resource:
        """Raises BigQueryError for a bad name or one that is taken."""
        names.check_dataset(name)
        if name in self.datasets:
            raise already_exists("Dataset", name)
        if any(known.schema.lower() == name.schema.lower() for known in self.datasets):
            raise unimplemented(f"dataset names that differ in case only ({name.dataset})")
        stamp = now()
        resource = {
            "kind": "bigquery#dataset",
            "id": str(name),
            "datasetReference": name.reference(),
            "location": body.get("location", LOCATION),
            "creationTime": stamp,
            "lastModifiedTime": stamp,
        } | {key: value for key, value in body.items() if key not in ("datasetReference", "location")}
        with self.transaction():
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {names.quote(name.schema)}")
            self.datasets[name] = resource
            self._write("dataset", name.project, name.dataset, "", resource)
        return resource

    def replace_dataset(self, name: DatasetName, resource: Resource) -> Resource:
        self.dataset(name)
        with self.transaction():
            self.datasets[name] = resource | {"lastModifiedTime": now()}
            self._write("dataset", name.project, name.dataset, "", self.datasets[name])
        return self.datasets[name]

    def drop_dataset(self, name: DatasetName, with_contents: bool) -> None:
        """Raises BigQueryError when it has tables and `with_contents` is not set."""
        self.dataset(name)
        content = [*self.tables_of(name), *self.functions_of(name)]
        if content and not with_contents:
            raise BigQueryError(f"Dataset {name} is still in use", "resourceInUse", "")
        self.version += 1
        with self.transaction():
            self.connection.execute(f"DROP SCHEMA IF EXISTS {names.quote(name.schema)} CASCADE")
            del self.datasets[name]
            for table in self.tables_of(name):
                del self.tables[table]
            for function in self.functions_of(name):
                del self.functions[function]
            self.connection.execute(
                f"DELETE FROM {_STORE} WHERE project = ? AND dataset = ?", [name.project, name.dataset]
            )

    # Tables and views

    def tables_of(self, name: DatasetName) -> list[TableName]:
        """The names in a dataset, sorted."""
        return sorted((table for table in list(self.tables) if table.parent == name), key=lambda table: table.table)

    def table(self, name: TableName) -> Resource:
        """Raises BigQueryError, notFound, of the dataset or of the table. A table past its expiration is dropped."""
        self.dataset(name.parent)
        resource = self.tables.get(name)
        if resource is None:
            raise table_not_found(name)
        if resource.get("expirationTime") and int(resource["expirationTime"]) < int(now()):
            self.drop_table(name)
            raise table_not_found(name)
        return resource

    def has_table(self, name: TableName) -> bool:
        try:
            self.table(name)
        except BigQueryError:
            return False
        return True

    def create_table(self, name: TableName, resource: Resource) -> Resource:
        """Registers a table or view and makes its DuckDB table. Raises BigQueryError for a name that is taken."""
        names.check_table(name)
        dataset = self.dataset(name.parent)
        if self.has_table(name):
            raise already_exists("Table", name)
        if any(known.table.lower() == name.table.lower() for known in self.tables_of(name.parent)):
            raise unimplemented(f"table names that differ in case only ({name.table})")
        stamp = now()
        full = {
            "kind": "bigquery#table",
            "id": str(name),
            "tableReference": name.reference(),
            "type": "TABLE",
            "location": dataset["location"],
            "creationTime": stamp,
            "lastModifiedTime": stamp,
            "schema": {"fields": []},
        } | {key: value for key, value in resource.items() if value is not None}
        if lifetime := dataset.get("defaultTableExpirationMs"):
            full.setdefault("expirationTime", str(int(stamp) + int(lifetime)))
        with self.transaction():
            # BigQuery has tables without columns yet; DuckDB has not. Such a table gets its storage with its schema.
            if full["type"] == "TABLE" and full["schema"].get("fields"):
                self.connection.execute(f"CREATE TABLE {name.duckdb} ({column_list(full['schema']['fields'])})")
            self.tables[name] = full
            self._write("table", name.project, name.dataset, name.table, full)
        return full

    def replace_table(self, name: TableName, resource: Resource) -> Resource:
        """Stores a changed resource of an existing table."""
        with self.transaction():
            self.tables[name] = resource | {"lastModifiedTime": now()}
            self._write("table", name.project, name.dataset, name.table, self.tables[name])
        return self.tables[name]

    def touch(self, name: TableName) -> None:
        """The table's rows have changed."""
        if name in self.tables:
            self.replace_table(name, self.tables[name])

    def drop_table(self, name: TableName) -> None:
        resource = self.tables.get(name)
        if resource is None:
            raise table_not_found(name)
        with self.transaction():
            if resource["type"] == "TABLE":
                self.connection.execute(f"DROP TABLE IF EXISTS {name.duckdb}")
            del self.tables[name]
            self._delete("table", name)

    # Functions

    def functions_of(self, name: DatasetName) -> list[TableName]:
        return sorted((one for one in list(self.functions) if one.parent == name), key=lambda one: one.table)

    def put_function(self, name: TableName, resource: Resource) -> None:
        self.dataset(name.parent)
        with self.transaction():
            self.functions[name] = resource
            self._write("function", name.project, name.dataset, name.table, resource)

    def drop_function(self, name: TableName) -> None:
        if name not in self.functions:
            raise BigQueryError(f"Not found: Routine {name}", "notFound", "")
        with self.transaction():
            del self.functions[name]
            self._delete("function", name)

    def _write(self, kind: str, project: str, dataset: str, identifier: str, body: Resource) -> None:
        self.version += 1
        key = [kind, project, dataset, identifier]
        self.connection.execute(f"DELETE FROM {_STORE} WHERE kind = ? AND project = ? AND dataset = ? AND id = ?", key)
        self.connection.execute(f"INSERT INTO {_STORE} VALUES (?, ?, ?, ?, ?)", [*key, json.dumps(body)])

    def _delete(self, kind: str, name: TableName) -> None:
        self.version += 1
        key = [kind, name.project, name.dataset, name.table]
        self.connection.execute(f"DELETE FROM {_STORE} WHERE kind = ? AND project = ? AND dataset = ? AND id = ?", key)


def column_list(fields: list[Field]) -> str:
    """The columns of a DuckDB CREATE TABLE."""
    return ", ".join(column(field) for field in fields)


def column(field: Field) -> str:
    """One column of a DuckDB CREATE TABLE, with its default and NOT NULL."""
    text = f"{names.quote(field['name'])} {duckdb_type(field)}"
    if default := field.get("defaultValueExpression"):
        expression = to_duckdb(f"SELECT {default}", "-").removeprefix("SELECT ")
        text += f" DEFAULT ({expression})"
    return text + (" NOT NULL" if field["mode"] == "REQUIRED" else "")


def etag(resource: Resource) -> str:
    """Changes whenever the resource does."""
    return hashlib.md5(json.dumps(resource, sort_keys=True).encode()).hexdigest()


def check_partitioning(resource: Resource) -> None:
    """Raises BigQueryError for a partitioning or clustering that the columns do not allow, or that is not emulated."""
    fields = {field["name"].lower(): field for field in resource.get("schema", {}).get("fields", [])}
    time_partitioning, ranges = resource.get("timePartitioning"), resource.get("rangePartitioning")
    if time_partitioning and ranges:
        raise invalid("Only one of timePartitioning and rangePartitioning can be specified.")
    if time_partitioning:
        _check_time_partitioning(time_partitioning, fields)
    if ranges:
        field = fields.get(ranges["field"].lower())
        if field is None:
            raise invalid(f"The field specified for partitioning cannot be found in the schema: {ranges['field']}.")
        if field["type"] != "INTEGER" or field["mode"] == "REPEATED":
            raise invalid(f"The field specified for range partitioning must be INTEGER: {ranges['field']}.")
        if int(ranges["range"]["interval"]) <= 0 or int(ranges["range"]["end"]) <= int(ranges["range"]["start"]):
            raise invalid("Range partitioning needs start < end and an interval above 0.")
    if resource.get("requirePartitionFilter") and not (time_partitioning or ranges):
        raise invalid("require_partition_filter can only be set for partitioned tables.")
    clustering = (resource.get("clustering") or {}).get("fields", [])
    if len(clustering) > 4:
        raise invalid(f"Too many clustering fields: {len(clustering)}. At most 4 are allowed.")
    for column in clustering:
        field = fields.get(column.lower())
        if field is None:
            raise invalid(f"The field specified for clustering cannot be found in the schema: {column}.")
        if field["mode"] == "REPEATED" or field["type"] in ("RECORD", "FLOAT", "BYTES", "JSON", "TIME"):
            raise invalid(f"CLUSTER BY expression must be groupable and of a supported type: {column}.")


_PARTITION_TYPES = {
    "DATE": {"DAY", "MONTH", "YEAR"},
    "TIMESTAMP": {"HOUR", "DAY", "MONTH", "YEAR"},
    "DATETIME": {"HOUR", "DAY", "MONTH", "YEAR"},
}


def _check_time_partitioning(partitioning: Resource, fields: dict[str, Field]) -> None:
    column = partitioning.get("field")
    if not column:
        raise unimplemented("ingestion-time partitioning (a partitioned table without a partitioning column)")
    if partitioning.get("expirationMs"):
        raise unimplemented("partition expiration")
    field = fields.get(column.lower())
    if field is None:
        raise invalid(f"The field specified for partitioning cannot be found in the schema: {column}.")
    allowed = _PARTITION_TYPES.get(field["type"], set())
    if partitioning.get("type") not in allowed or field["mode"] == "REPEATED":
        raise invalid(f"Cannot partition by {partitioning.get('type')} on column {column} of type {field['type']}.")

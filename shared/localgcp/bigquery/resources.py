"""Datasets, tables and functions as the REST API shows and changes them."""

from __future__ import annotations

from typing import Any

from localgcp.bigquery import ddl, types
from localgcp.bigquery.catalog import Resource, check_partitioning, etag
from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.functions import Function
from localgcp.bigquery.names import DatasetName, TableName
from localgcp.bigquery.session import Session
from localgcp.bigquery.types import Field, sql_type
from localgcp.bigquery.writing import add_columns

# What a request may set; the rest of a resource is the server's and is ignored when a client sends it back.
_DATASET = {"description", "friendlyName", "labels", "location", "defaultTableExpirationMs", "access"}
_TABLE = {
    "description", "friendlyName", "labels", "expirationTime", "schema", "timePartitioning", "rangePartitioning",
    "clustering", "requirePartitionFilter", "view",
}  # fmt: skip
_SERVERS = {
    "kind", "id", "etag", "selfLink", "creationTime", "lastModifiedTime", "datasetReference", "tableReference", "type",
    "numBytes", "numRows", "numLongTermBytes", "numActiveLogicalBytes", "numTotalLogicalBytes", "defaultCollation",
    "defaultRoundingMode", "location", "streamingBuffer", "isCaseInsensitive", "maxTimeTravelHours",
    "storageBillingModel", "numPartitions",
}  # fmt: skip


def _settable(body: Resource, allowed: set[str]) -> Resource:
    """The parts of a request that set something. Raises BigQueryError for a property that would be lost."""
    for key, value in body.items():
        if key not in allowed | _SERVERS and value not in (None, False, "", [], {}):
            raise unimplemented(f"the property {key}")
    return {key: value for key, value in body.items() if key in allowed}


def _check_etag(resource: Resource, wanted: str | None) -> None:
    if wanted and wanted.strip('"') != etag(resource):
        raise BigQueryError("Precondition Failed", "conditionNotMet", "")


def _merged(resource: Resource, changes: Resource) -> Resource:
    """A PATCH: null takes a value away, labels change one by one."""
    merged = dict(resource)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif key == "labels":
            labels = {**merged.get("labels", {}), **value}
            merged["labels"] = {name: text for name, text in labels.items() if text is not None}
        else:
            merged[key] = value
    return merged


# Datasets


def dataset(session: Session, name: DatasetName) -> Resource:
    resource = session.catalog.dataset(name)
    return resource | {"etag": etag(resource), "selfLink": "", "type": "DEFAULT"}


def insert_dataset(session: Session, project: str, body: Resource) -> Resource:
    name = DatasetName(body["datasetReference"].get("projectId", project), body["datasetReference"]["datasetId"])
    session.catalog.create_dataset(name, _settable(body, _DATASET))
    return dataset(session, name)


def change_dataset(
    session: Session, name: DatasetName, body: Resource, replace: bool, if_match: str | None
) -> Resource:
    resource = session.catalog.dataset(name)
    _check_etag(resource, if_match)
    changes = _settable(body, _DATASET - {"location"})
    if replace:
        resource = {key: value for key, value in resource.items() if key not in _DATASET - {"location"}}
    session.catalog.replace_dataset(name, _merged(resource, changes))
    return dataset(session, name)


def dataset_item(name: DatasetName, resource: Resource) -> Resource:
    """An item of datasets.list."""
    keys = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    return {key: resource[key] for key in keys if key in resource}


# Tables


def table(session: Session, name: TableName) -> Resource:
    """A table with what it holds now."""
    resource = session.catalog.table(name)
    shown = resource | {"etag": etag(resource), "selfLink": ""}
    if resource["type"] == "TABLE":
        size, rows = str(session.engine.byte_count(name)), str(session.engine.row_count(name))
        shown |= {"numRows": rows, "numBytes": size, "numLongTermBytes": "0", "numTotalLogicalBytes": size}
    return shown


def insert_table(session: Session, project: str, body: Resource) -> Resource:
    from localgcp.bigquery.names import table_of

    name = table_of(body.get("tableReference") or {}, project)
    session.catalog.dataset(name.parent)
    settings = _settable(body, _TABLE)
    for other in ("externalDataConfiguration", "materializedView", "snapshotDefinition"):
        if body.get(other):
            raise unimplemented(f"a table with {other}")
    if settings.get("view"):
        with session.in_words_of(settings["view"]["query"]):
            settings = settings | _view(session, settings["view"])
    else:
        settings["schema"] = {"fields": types.check_fields((settings.get("schema") or {}).get("fields") or [])}
        check_partitioning(settings)
    with session.in_words_of(""):
        session.catalog.create_table(name, settings)
    session.changed(name)
    return table(session, name)


def _view(session: Session, view: Resource) -> Resource:
    if view.get("useLegacySql", True):
        raise unimplemented("a view in legacy SQL (useLegacySql)")
    return ddl.view_resource(session, view["query"])


def change_table(session: Session, name: TableName, body: Resource, replace: bool, if_match: str | None) -> Resource:
    """tables.patch and tables.update. Raises BigQueryError for what BigQuery does not let change."""
    resource = session.catalog.table(name)
    _check_etag(resource, if_match)
    changes = _settable(body, _TABLE)
    fixed = ("timePartitioning", "rangePartitioning")
    for key in fixed:
        if key in changes and changes[key] != resource.get(key):
            raise BigQueryError("Cannot change partitioning of an existing table.", "invalid")
    fields = (changes.pop("schema", None) or {}).get("fields")
    if changes.get("view") and changes["view"].get("query") != (resource.get("view") or {}).get("query"):
        with session.in_words_of(changes["view"]["query"]):
            changes |= _view(session, changes["view"])
    else:
        changes.pop("view", None)
    if replace:
        kept = {"schema", "view", *fixed}
        resource = {key: value for key, value in resource.items() if key not in _TABLE - kept}
    with session.catalog.transaction(), session.in_words_of(""):
        merged = _merged(resource, changes)
        if fields is not None and resource["type"] == "TABLE":
            merged = _change_schema(session, name, merged, types.check_fields(fields))
        check_partitioning(merged)
        session.catalog.replace_table(name, merged)
    session.changed(name)
    return table(session, name)


def _change_schema(session: Session, name: TableName, resource: Resource, wanted: list[Field]) -> Resource:
    """Columns may be added, relaxed and described; nothing else."""
    from localgcp.bigquery.names import quote

    old = resource["schema"].get("fields", [])
    if not old:
        session.catalog.drop_table(name)
        created = {key: value for key, value in resource.items() if key not in ("id",)}
        return session.catalog.create_table(name, created | {"schema": {"fields": wanted}})
    problem = f"Provided Schema does not match Table {name}."
    by_name = {one["name"].lower(): one for one in wanted}
    for one in old:
        new = by_name.get(one["name"].lower())
        if new is None:
            raise BigQueryError(f"{problem} Field {one['name']} is missing in new schema", "invalid")
        if sql_type(new) != sql_type(one):
            raise BigQueryError(
                f"{problem} Field {one['name']} has changed type from {one['type']} to {new['type']}", "invalid"
            )
        if new["mode"] != one["mode"]:
            if (one["mode"], new["mode"]) != ("REQUIRED", "NULLABLE"):
                raise BigQueryError(
                    f"{problem} Field {one['name']} has changed mode from {one['mode']} to {new['mode']}", "invalid"
                )
            session.connection.execute(f"ALTER TABLE {name.duckdb} ALTER COLUMN {quote(one['name'])} DROP NOT NULL")
    known = {one["name"].lower() for one in old}
    added = [one for one in wanted if one["name"].lower() not in known]
    if any(one["mode"] == "REQUIRED" for one in added):
        raise BigQueryError(f"{problem} Cannot add required fields to an existing schema.", "invalid")
    kept = [by_name[one["name"].lower()] for one in old]
    add_columns(session, name, resource | {"schema": {"fields": kept}}, added)
    return resource | {"schema": {"fields": kept + added}}


def table_item(name: TableName, resource: Resource) -> Resource:
    """An item of tables.list."""
    keys = (
        "kind", "id", "tableReference", "type", "labels", "friendlyName", "timePartitioning", "rangePartitioning",
        "clustering", "creationTime", "expirationTime", "requirePartitionFilter",
    )  # fmt: skip
    item = {key: resource[key] for key in keys if key in resource}
    if resource["type"] == "VIEW":
        item["view"] = {"useLegacySql": False}
    return item


# Functions


def routine(name: TableName, function: Function) -> Resource:
    """A user's function as a Routine."""
    arguments: list[dict[str, Any]] = [
        {"name": argument, "argumentKind": "ANY_TYPE"}
        if kind is None
        else {"name": argument, "dataType": _standard(kind)}
        for argument, kind in function.arguments
    ]
    body: Resource = {
        "routineReference": {"projectId": name.project, "datasetId": name.dataset, "routineId": name.table},
        "routineType": "SCALAR_FUNCTION",
        "language": "SQL",
        "arguments": arguments,
        "definitionBody": function.body.sql(dialect="bigquery"),
    }
    if function.returns is not None:
        body["returnType"] = _standard(function.returns)
    return body | {"etag": etag(body)}


def _standard(kind: Any) -> Resource:
    """A GoogleSQL type as a StandardSqlDataType."""
    from localgcp.bigquery.options import field_of_type

    return _standard_of(types.check_fields([field_of_type("v", kind)])[0])


def _standard_of(one: Field) -> Resource:
    if one["mode"] == "REPEATED":
        return {"typeKind": "ARRAY", "arrayElementType": _standard_of(one | {"mode": "NULLABLE"})}
    if one["type"] == "RECORD":
        parts = [{"name": part["name"], "type": _standard_of(part)} for part in one["fields"]]
        return {"typeKind": "STRUCT", "structType": {"fields": parts}}
    return {"typeKind": sql_type(one)}

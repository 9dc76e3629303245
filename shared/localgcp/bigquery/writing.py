"""Putting rows into a table as a job's dispositions say: load, copy and query jobs with a destination."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localgcp.bigquery import types
from localgcp.bigquery.catalog import Resource, check_partitioning
from localgcp.bigquery.errors import BigQueryError, already_exists, invalid, table_not_found, unimplemented
from localgcp.bigquery.names import TableName, quote
from localgcp.bigquery.session import Session
from localgcp.bigquery.types import Field

_SHAPE = ("timePartitioning", "rangePartitioning", "clustering")


@dataclass(frozen=True)
class Destination:
    """Where rows go and what may become of what is there."""

    table: TableName
    create: str = "CREATE_IF_NEEDED"
    write: str = "WRITE_APPEND"
    update: tuple[str, ...] = ()
    shape: Resource = field(default_factory=dict)


def read_destination(config: dict[str, Any], project: str, default_write: str) -> Destination:
    """The destination in a job's configuration. Raises BigQueryError for dispositions that are none."""
    from localgcp.bigquery.names import table_of

    create = config.get("createDisposition") or "CREATE_IF_NEEDED"
    write = config.get("writeDisposition") or default_write
    if create not in ("CREATE_IF_NEEDED", "CREATE_NEVER"):
        raise invalid(f"Invalid value for createDisposition: {create}")
    if write == "WRITE_TRUNCATE_DATA":
        raise unimplemented("WRITE_TRUNCATE_DATA")
    if write not in ("WRITE_APPEND", "WRITE_TRUNCATE", "WRITE_EMPTY"):
        raise invalid(f"Invalid value for writeDisposition: {write}")
    update = tuple(config.get("schemaUpdateOptions") or ())
    for option in update:
        if option not in ("ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"):
            raise invalid(f"Invalid value for schemaUpdateOptions: {option}")
    shape = {key: config[key] for key in _SHAPE if config.get(key)}
    for key, name in (("description", "description"), ("friendlyName", "friendlyName"), ("labels", "labels")):
        if value := (config.get("destinationTableProperties") or {}).get(key):
            shape[name] = value
    return Destination(table_of(config["destinationTable"], project), create, write, update, shape)


def write(session: Session, to: Destination, fields: list[Field], relation: str) -> int:
    """Writes the rows of a DuckDB relation (a name or a subquery) and returns how many there are.

    `fields` are the relation's columns. All or nothing. Raises BigQueryError, duplicate or notFound among others.
    """
    catalog = session.catalog
    catalog.dataset(to.table.parent)
    fields = types.check_fields([_storable(one) for one in fields])
    with session.lock, catalog.transaction():
        exists = catalog.has_table(to.table)
        if not exists and to.create == "CREATE_NEVER":
            raise table_not_found(to.table)
        if exists:
            resource = catalog.table(to.table)
            if resource["type"] != "TABLE":
                raise BigQueryError(f"Cannot write to {to.table}: it is a {resource['type']}", "invalid")
            _prepare_existing(session, to, resource, fields)
        else:
            _create(session, to, {"schema": {"fields": fields}} | to.shape)
        names = ", ".join(quote(one["name"]) for one in fields)
        row = session.connection.execute(
            f"INSERT INTO {to.table.duckdb} ({names}) SELECT {names} FROM {relation}"
        ).fetchone()
        catalog.touch(to.table)
        session.changed(to.table)
    return int(row[0]) if row else 0


def _storable(one: Field) -> Field:
    return {key: value for key, value in one.items() if key != "rangeElementType"}


def _create(session: Session, to: Destination, resource: Resource) -> None:
    check_partitioning(resource)
    session.catalog.create_table(to.table, resource)


def _prepare_existing(session: Session, to: Destination, resource: Resource, fields: list[Field]) -> None:
    """Makes an existing table ready for the rows, or raises BigQueryError."""
    has_columns = bool(resource["schema"].get("fields"))
    if to.write == "WRITE_EMPTY" and has_columns and session.engine.row_count(to.table):
        raise already_exists("Table", to.table)
    if to.write == "WRITE_TRUNCATE" or not has_columns:
        kept = {key: value for key, value in resource.items() if key not in ("schema", "id", "lastModifiedTime")}
        if any(kept.get(key, value) != value for key, value in to.shape.items() if key in _SHAPE and has_columns):
            raise BigQueryError(f"Incompatible table partitioning specification for table {to.table}.", "invalid")
        session.catalog.drop_table(to.table)
        _create(session, to, kept | {"schema": {"fields": fields}} | to.shape)
        return
    _append_columns(session, to, resource, fields)


def _append_columns(session: Session, to: Destination, resource: Resource, fields: list[Field]) -> None:
    known = {one["name"].lower(): one for one in resource["schema"]["fields"]}
    given = {one["name"].lower() for one in fields}
    problem = f"Provided Schema does not match Table {to.table}."
    for one in resource["schema"]["fields"]:
        if one["mode"] == "REQUIRED" and one["name"].lower() not in given:
            raise BigQueryError(f"{problem} Field {one['name']} is missing in new schema", "invalid")
    added = []
    for one in fields:
        old = known.get(one["name"].lower())
        if old is None:
            if "ALLOW_FIELD_ADDITION" not in to.update:
                raise BigQueryError(f"{problem} Cannot add fields (field: {one['name']})", "invalid")
            added.append(one)
        elif (old["type"], old["mode"] == "REPEATED") != (one["type"], one["mode"] == "REPEATED"):
            changed = "mode" if old["type"] == one["type"] else "type"
            raise BigQueryError(
                f"{problem} Field {one['name']} has changed {changed} from {old[changed]} to {one[changed]}", "invalid"
            )
    if "ALLOW_FIELD_RELAXATION" in to.update:
        raise unimplemented("ALLOW_FIELD_RELAXATION")
    if added:
        add_columns(session, to.table, resource, added)


def add_columns(session: Session, name: TableName, resource: Resource, added: list[Field]) -> None:
    """Adds columns, all of them nullable, to a table and its resource."""
    for one in added:
        session.connection.execute(
            f"ALTER TABLE {name.duckdb} ADD COLUMN {quote(one['name'])} {types.duckdb_type(one)}"
        )
    nullable = [one | {"mode": "NULLABLE"} if one["mode"] == "REQUIRED" else one for one in added]
    session.catalog.replace_table(name, resource | {"schema": {"fields": [*resource["schema"]["fields"], *nullable]}})

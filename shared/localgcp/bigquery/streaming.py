"""tabledata.insertAll: rows sent as JSON."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from localgcp.bigquery.arrow import arrow_schema
from localgcp.bigquery.cells import BadValue, decode_record
from localgcp.bigquery.errors import BigQueryError, invalid, unimplemented
from localgcp.bigquery.names import TableName, quote
from localgcp.bigquery.session import Session

_KEYS = {"kind", "rows", "skipInvalidRows", "ignoreUnknownValues", "traceId"}


def insert_all(session: Session, name: TableName, body: dict[str, Any]) -> dict[str, Any]:
    """Inserts rows; gives insertErrors for those that do not fit, and inserts none then unless told to skip them."""
    for key, value in body.items():
        if key not in _KEYS and value:
            raise unimplemented(f"the insertAll option {key}")
    rows = body.get("rows") or []
    if not rows:
        raise invalid("Empty rows in the request.")
    with session.lock, session.in_words_of(""):
        resource = session.catalog.table(name)
        if resource["type"] != "TABLE":
            raise BigQueryError(f"Cannot add rows to a table of type {resource['type']}.", "invalid")
        fields = resource["schema"].get("fields", [])
        if not fields:
            raise BigQueryError(f"The destination table {name} has no schema.", "invalid")
        good, errors = [], []
        for index, row in enumerate(rows):
            try:
                good.append(decode_record(row.get("json") or {}, fields, "", bool(body.get("ignoreUnknownValues"))))
            except BadValue as problem:
                location = (
                    str(problem).removeprefix("no such field: ").rstrip(".") if "no such field" in str(problem) else ""
                )
                error = {"reason": "invalid", "location": location, "debugInfo": "", "message": str(problem)}
                errors.append({"index": index, "errors": [error]})
        if errors and not body.get("skipInvalidRows"):
            bad = {error["index"] for error in errors}
            stopped = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}
            errors += [{"index": i, "errors": [stopped]} for i in range(len(rows)) if i not in bad]
            return _response(errors)
        _insert(session, name, pa.Table.from_pylist(good, schema=arrow_schema(fields)))
    return _response(errors)


def _response(errors: list[dict[str, Any]]) -> dict[str, Any]:
    response: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
    return response | {"insertErrors": errors} if errors else response


def _insert(session: Session, name: TableName, table: pa.Table) -> None:
    view = session.engine.fresh_name()
    names = ", ".join(quote(column) for column in table.column_names)
    session.connection.register(view, table)
    try:
        with session.catalog.transaction():
            session.connection.execute(f"INSERT INTO {name.duckdb} ({names}) SELECT {names} FROM {view}")
            session.catalog.touch(name)
    finally:
        session.connection.unregister(view)
    session.changed(name)

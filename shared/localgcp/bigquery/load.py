"""Load jobs: CSV, newline-delimited JSON and Parquet files into tables."""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from localgcp.bigquery import types
from localgcp.bigquery.arrow import arrow_schema
from localgcp.bigquery.cells import BadValue, decode_record
from localgcp.bigquery.errors import BigQueryError, invalid, unimplemented
from localgcp.bigquery.names import literal, quote
from localgcp.bigquery.session import Session
from localgcp.bigquery.types import Field
from localgcp.bigquery.writing import read_destination, write

_KEYS = {
    "sourceUris", "sourceFormat", "schema", "destinationTable", "createDisposition", "writeDisposition",
    "skipLeadingRows", "fieldDelimiter", "quote", "allowQuotedNewlines", "allowJaggedRows", "nullMarker", "encoding",
    "autodetect", "ignoreUnknownValues", "maxBadRecords", "timePartitioning", "rangePartitioning", "clustering",
    "schemaUpdateOptions", "parquetOptions", "destinationTableProperties",
}  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    rows: int
    files: int
    bytes: int
    bad: int


def run_load(session: Session, config: dict[str, Any], uploaded: Path | None, buckets: Path | None) -> Loaded:
    """Runs a load job's configuration on an uploaded file or on its URIs. Raises BigQueryError."""
    for key, value in config.items():
        if key not in _KEYS and value not in (None, False, "", [], {}):
            raise unimplemented(f"the load option {key}")
    if (config.get("encoding") or "UTF-8").upper().replace("_", "-") not in ("UTF-8", "UTF8"):
        raise unimplemented(f"the encoding {config['encoding']}")
    files = [uploaded] if uploaded else _files(config.get("sourceUris") or [], buckets)
    kind = (config.get("sourceFormat") or "CSV").upper()
    read = {"CSV": _read_csv, "NEWLINE_DELIMITED_JSON": _read_json, "PARQUET": _read_parquet}.get(kind)
    if read is None:
        raise unimplemented(f"loading {kind}")
    to = read_destination(config, session.project, "WRITE_APPEND")
    given = types.check_fields((config.get("schema") or {}).get("fields") or [])
    with session.lock:
        if not given and not config.get("autodetect") and session.catalog.has_table(to.table):
            given = session.catalog.table(to.table)["schema"].get("fields", [])
        rows, bad = 0, 0
        with session.in_words_of(""), session.catalog.transaction():
            for number, file in enumerate(files):
                if number:
                    to = type(to)(to.table, to.create, "WRITE_APPEND", to.update, to.shape)
                fields, relation, skipped = read(session, file, given, config)
                rows += write(session, to, fields, relation)
                bad += skipped
    return Loaded(rows, len(files), sum(file.stat().st_size for file in files), bad)


def _files(uris: list[str], buckets: Path | None) -> list[Path]:
    """The files behind gs:// URIs, which lie in a folder per bucket. Raises BigQueryError when there is none."""
    if buckets is None:
        raise unimplemented("loading from gs:// URIs without a local bucket")
    found: list[Path] = []
    for uri in uris:
        path = uri.removeprefix("gs://")
        if path == uri or ".." in Path(path).parts:
            raise invalid(f"Invalid value for sourceUris: {uri}")
        matches = [Path(name) for name in sorted(glob.glob(str(buckets / path)))]
        if not matches:
            raise BigQueryError(f"Not found: URI {uri}", "notFound", uri)
        found += [match for match in matches if match.is_file()]
    return found


def reading_error(text: str) -> BigQueryError:
    return BigQueryError(f"Error while reading data, error message: {text}", "invalid", "")


# A relation is the name of a DuckDB table that the connection knows for the length of the load.
_STAGE = "__load"


def _stage(session: Session, sql: str) -> None:
    session.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_STAGE} AS {sql}")


# CSV


def _read_csv(session: Session, file: Path, given: list[Field], config: dict[str, Any]) -> tuple[list[Field], str, int]:
    fields, skip = given, int(config.get("skipLeadingRows") or 0)
    if not file.stat().st_size:
        raise reading_error("The file is empty") if not fields else _nothing(fields)
    if not fields:
        if not config.get("autodetect"):
            raise invalid("No schema specified on job or table.")
        fields, skip = _detect_csv(session, file, config)
    names = [one["name"] for one in fields]
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    options = [
        "auto_detect=false",
        "header=false",
        f"skip={skip}",
        f"columns={{{columns}}}",
        f"delim={literal(_delimiter(config))}",
        f"quote={literal(config.get('quote', chr(34)))}",
        f"escape={literal(config.get('quote', chr(34)))}",
        f"null_padding={'true' if config.get('allowJaggedRows') else 'false'}",
        # BigQuery's empty marker leaves '' in STRING columns: NULLs are made below, column by column.
        f"nullstr={literal(config['nullMarker'])}" if config.get("nullMarker") else "nullstr='\x01\x02'",
        "max_line_size=10000000",
    ]
    if config.get("ignoreUnknownValues"):
        raise unimplemented("ignoreUnknownValues for CSV")
    if int(config.get("maxBadRecords") or 0):
        options.append("store_rejects=true")
    try:
        _stage(session, f"SELECT * FROM read_csv({literal(str(file))}, {', '.join(options)})")
    except Exception as error:
        raise reading_error(_csv_problem(str(error))) from None
    return _cast_stage(session, fields, int(config.get("maxBadRecords") or 0))


def _nothing(fields: list[Field]) -> BigQueryError:
    return reading_error("CSV file has no rows")


def _csv_problem(text: str) -> str:
    """The cause in a DuckDB message, without the dump of options under it and without the file's path."""
    found = re.search(r"(?:CSV Error on Line: (\d+)).*?\n(?:Original Line:[^\n]*\n)?([^\n]+)", text, re.S)
    return f"{found[2]} (line {found[1]})" if found else text.splitlines()[0]


def _delimiter(config: dict[str, Any]) -> str:
    given = config.get("fieldDelimiter") or ","
    return {"\\t": "\t", "tab": "\t"}.get(given, given)


def _detect_csv(session: Session, file: Path, config: dict[str, Any]) -> tuple[list[Field], int]:
    """The fields that DuckDB's sniffer finds, and how many lines stand before the rows."""
    skip = int(config.get("skipLeadingRows") or 0)
    header = f", header=true, skip={skip - 1}" if skip else ""
    source = f"read_csv({literal(str(file))}, delim={literal(_delimiter(config))}, sample_size=-1{header})"
    description = session.connection.execute(f"SELECT * FROM {source} LIMIT 0").description
    fields = []
    for column, kind in [(one[0], one[1]) for one in description]:
        one = types.field_of(re.sub(r"\W", "_", column) or "_", kind)
        # BigQuery's detection knows no DATETIME: a time without zone is taken for UTC.
        fields.append(one | {"type": "TIMESTAMP"} if one["type"] == "DATETIME" else one)
    if skip:
        return types.check_fields(fields), skip
    sniff = f"sniff_csv({literal(str(file))}, delim={literal(_delimiter(config))}, sample_size=-1)"
    sniffed = session.connection.execute(f"SELECT HasHeader, SkipRows FROM {sniff}").fetchone()
    assert sniffed is not None
    if not sniffed[0]:
        fields = [one | {"name": f"{_PREFIX.get(one['type'], 'string')}_field_{i}"} for i, one in enumerate(fields)]
    return types.check_fields(fields), int(sniffed[1]) + int(bool(sniffed[0]))


# What BigQuery calls the columns of a file without a header.
_PREFIX = {
    "INTEGER": "int64",
    "FLOAT": "double",
    "BOOLEAN": "bool",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIME": "time",
}


def _cast_stage(session: Session, fields: list[Field], allowed: int) -> tuple[list[Field], str, int]:
    """The staged text columns as their types. Raises BigQueryError at the first value that is not of its type."""
    casts, bad = [], []
    for position, one in enumerate(fields):
        if one["mode"] == "REPEATED" or one["type"] == "RECORD":
            raise reading_error(f"Field {one['name']} is of a type that CSV does not support")
        name, kind = quote(one["name"]), types.duckdb_type(one)
        if one["type"] == "STRING":
            casts.append(name)
            continue
        text = f"nullif(trim({name}), '')"
        value = _csv_value(text, one["type"], kind)
        casts.append(f"{value} AS {name}")
        bad.append((position, one, f"({text} IS NOT NULL AND {value} IS NULL)"))
    condition = " OR ".join(test for _, _, test in bad) or "false"
    row = session.connection.execute(f"SELECT count(*) FROM {_STAGE} WHERE {condition}").fetchone()
    count = int(row[0]) if row else 0
    if count > allowed:
        _raise_first(session, bad)
    session.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_STAGE}_typed AS "
        f"SELECT {', '.join(casts)} FROM {_STAGE} WHERE NOT ({condition})"
    )
    return fields, f"{_STAGE}_typed", count


def _csv_value(text: str, kind: str, duckdb_kind: str) -> str:
    if kind == "BOOLEAN":
        truths, lies = "('true', 't', 'yes', 'y', '1')", "('false', 'f', 'no', 'n', '0')"
        return f"CASE WHEN lower({text}) IN {truths} THEN true WHEN lower({text}) IN {lies} THEN false END"
    if kind == "BYTES":
        return f"TRY(from_base64({text}))"
    if kind == "INTEGER":
        return f"CASE WHEN regexp_full_match({text}, '[-+]?[0-9]+') THEN TRY_CAST({text} AS BIGINT) END"
    if kind == "TIMESTAMP":
        return f"TRY_CAST(regexp_replace({text}, ' *(UTC|Z)$', '+00') AS TIMESTAMPTZ)"
    return f"TRY_CAST({text} AS {duckdb_kind})"


def _raise_first(session: Session, bad: list[tuple[int, Field, str]]) -> None:
    for position, one, test in bad:
        row = session.connection.execute(f"SELECT {quote(one['name'])} FROM {_STAGE} WHERE {test} LIMIT 1").fetchone()
        if row:
            raise reading_error(
                f"Could not parse '{row[0]}' as {types.sql_type(one)} for field {one['name']} (position {position})"
            )


# JSON


def _read_json(
    session: Session, file: Path, given: list[Field], config: dict[str, Any]
) -> tuple[list[Field], str, int]:
    fields = given or _detect_json(session, file, config)
    allowed, bad, rows = int(config.get("maxBadRecords") or 0), 0, []
    ignore = bool(config.get("ignoreUnknownValues"))
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise BadValue("a row must be a JSON object")
                rows.append(decode_record(record, fields, ignore_unknown=ignore))
            except (json.JSONDecodeError, BadValue) as error:
                bad += 1
                if bad > allowed:
                    problem = f"JSON parsing error in row {number}: {_json_problem(error)}"
                    raise reading_error(f"JSON table encountered too many errors, giving up. {problem}") from None
    table = pa.Table.from_pylist(rows, schema=arrow_schema(fields))
    return fields, _registered(session, table), bad


def _json_problem(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] if not text.startswith("no such field") else "N" + text[1:]


def _detect_json(session: Session, file: Path, config: dict[str, Any]) -> list[Field]:
    if not config.get("autodetect"):
        raise invalid("No schema specified on job or table.")
    source = f"read_json({literal(str(file))}, format='newline_delimited', map_inference_threshold=-1, sample_size=-1)"
    description = session.connection.execute(f"SELECT * FROM {source} LIMIT 0").description
    fields = [types.field_of(one[0], one[1]) for one in description]
    return types.check_fields([one | {"type": "TIMESTAMP"} if one["type"] == "DATETIME" else one for one in fields])


def _registered(session: Session, table: pa.Table) -> str:
    session.connection.register(f"{_STAGE}_arrow", table)
    _stage(session, f"SELECT * FROM {_STAGE}_arrow")
    session.connection.unregister(f"{_STAGE}_arrow")
    return _STAGE


# Parquet


def _read_parquet(
    session: Session, file: Path, given: list[Field], config: dict[str, Any]
) -> tuple[list[Field], str, int]:
    try:
        table = pyarrow.parquet.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise reading_error(f"Invalid Parquet file: {str(error).splitlines()[0]}") from None
    # What pandas keeps its index in is no column of the data.
    table = table.select([name for name in table.column_names if not re.fullmatch(r"__index_level_\d+__", name)])
    table = _plain_dictionaries(table)
    has_lists = any(pa.types.is_list(kind) or pa.types.is_large_list(kind) for kind in table.schema.types)
    if has_lists and not (config.get("parquetOptions") or {}).get("enableListInference"):
        raise unimplemented("Parquet lists without enable_list_inference (BigQuery makes records list.element of them)")
    relation = _registered(session, table)
    description = session.connection.execute(f"SELECT * FROM {relation} LIMIT 0").description
    found = [types.field_of(one[0], one[1]) for one in description]
    if not given:
        return types.check_fields(found), relation, 0
    by_name = {one["name"].lower() for one in found}
    known = {one["name"].lower() for one in given}
    unknown = [one["name"] for one in found if one["name"].lower() not in known]
    if unknown and not config.get("ignoreUnknownValues"):
        raise BigQueryError(
            f"Provided Schema does not match the file. Cannot add fields (field: {unknown[0]})", "invalid"
        )
    fields = [one for one in given if one["name"].lower() in by_name or one["mode"] == "REQUIRED"]
    for one in fields:
        if one["name"].lower() not in by_name:
            raise reading_error(f"Required column {one['name']} is missing in the file")
        _check_parquet(one, next(other for other in found if other["name"].lower() == one["name"].lower()))
    items = ", ".join(
        f"CAST({quote(one['name'])} AS {types.duckdb_type(one)}) AS {quote(one['name'])}" for one in fields
    )
    session.connection.execute(f"CREATE OR REPLACE TEMP TABLE {_STAGE}_typed AS SELECT {items} FROM {relation}")
    return fields, f"{_STAGE}_typed", 0


# The Parquet types that a column of a type can be loaded from.
_PARQUET = {
    "FLOAT": {"INTEGER"},
    "NUMERIC": {"INTEGER", "FLOAT", "BIGNUMERIC"},
    "STRING": {"JSON", "BYTES"},
    "JSON": {"STRING"},
    "BYTES": {"STRING"},
    "TIMESTAMP": {"DATETIME"},
    "DATETIME": {"TIMESTAMP"},
    "DATE": set(),
}


def _check_parquet(wanted: Field, found: Field) -> None:
    if found["type"] == wanted["type"] or found["type"] in _PARQUET.get(wanted["type"], set()):
        return
    raise reading_error(
        f"Parquet column '{wanted['name']}' has type {found['type']} which does not match the target type "
        f"{wanted['type']}"
    )


def _plain_dictionaries(table: pa.Table) -> pa.Table:
    """Categories as what they stand for."""
    for position, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(position, one.name, table.column(position).cast(one.type.value_type))
    return table

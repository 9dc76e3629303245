"""CREATE, ALTER, DROP: schemas, tables, views and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from localgcp.bigquery import functions, options, types
from localgcp.bigquery.catalog import Resource, check_partitioning
from localgcp.bigquery.errors import BigQueryError, already_exists, unimplemented
from localgcp.bigquery.names import DatasetName, TableName, quote
from localgcp.bigquery.outcome import Outcome
from localgcp.bigquery.syntax import Tree, parse, tokenize
from localgcp.bigquery.types import Field

if TYPE_CHECKING:
    from localgcp.bigquery.session import Session


def create(session: Session, tree: exp.Create, sql: str) -> Outcome:
    """Runs a CREATE statement. Raises BigQueryError, also for kinds and clauses that are not emulated."""
    kind = str(tree.args.get("kind", "")).upper()
    if kind == "SCHEMA":
        return _create_schema(session, tree)
    if kind == "TABLE":
        return _create_table(session, tree)
    if kind == "VIEW":
        return _create_view(session, tree, sql)
    if kind == "FUNCTION":
        return _create_function(session, tree)
    raise unimplemented(f"CREATE {kind}")


def _properties(tree: Tree) -> list[Tree]:
    properties = tree.args.get("properties")
    return list(properties.expressions) if properties else []


def _is_temporary(tree: Tree) -> bool:
    return any(isinstance(item, exp.TemporaryProperty) for item in _properties(tree))


# Schemas


def schema_name(session: Session, node: exp.Table) -> DatasetName:
    parts = [piece for part in node.parts if part.name for piece in part.name.split(".")]
    return DatasetName(parts[-2] if len(parts) > 1 else session.project, parts[-1])


def _create_schema(session: Session, tree: exp.Create) -> Outcome:
    name = schema_name(session, tree.this)
    outcome = Outcome("CREATE_SCHEMA", ddl_operation="CREATE", ddl_target={"ddlTargetDataset": name.reference()})
    if name in session.catalog.datasets and tree.args.get("exists"):
        outcome.ddl_operation = "SKIP"
        return outcome
    session.catalog.create_dataset(name, options.schema_options(_properties(tree), session.constant))
    return outcome


# Tables


def _create_table(session: Session, tree: exp.Create) -> Outcome:
    columns, node = [], tree.this
    if isinstance(node, exp.Schema):
        columns, node = node.expressions, node.this
    temporary = _is_temporary(tree)
    name = session.temporary_name(node.name) if temporary else session.names().table(node)
    query = tree.expression
    outcome = Outcome(
        "CREATE_TABLE_AS_SELECT" if query is not None else "CREATE_TABLE",
        ddl_operation="CREATE",
        ddl_target={"ddlTargetTable": name.reference()},
    )
    exists = session.catalog.has_table(name)
    if exists and tree.args.get("exists"):
        outcome.ddl_operation = "SKIP"
        return outcome
    if exists and not tree.args.get("replace"):
        raise already_exists("Table", name)
    if exists and session.catalog.table(name)["type"] == "VIEW":
        raise BigQueryError(f"{name} is not a table: it is a VIEW")
    outcome.ddl_operation = "REPLACE" if exists else "CREATE"
    resource = _table_resource(session, tree, columns)
    if tree.args.get("clone"):
        query = _copied(session, tree.args["clone"], resource)
    with session.catalog.transaction():
        _fill(session, name, resource, query, outcome)
    if temporary:
        session.temporary[node.name] = name
    return outcome


def _table_resource(session: Session, tree: exp.Create, columns: list[Tree]) -> Resource:
    """Everything but the columns that come from a query."""
    resource: Resource = {"schema": {"fields": options.columns(columns, session.constant)}}
    plain: list[Tree] = []
    for item in _properties(tree):
        if isinstance(item, exp.PartitionedByProperty):
            resource |= options.partitioning(item.this, resource["schema"]["fields"])
        elif isinstance(item, exp.ClusterProperty):
            resource["clustering"] = {"fields": [column.name for column in item.expressions]}
        elif isinstance(item, exp.LikeProperty):
            like = session.catalog.table(session.names().table(item.this))
            resource |= {key: like[key] for key in _SHAPE if key in like}
        elif type(item) is exp.Property:
            plain.append(item)
        elif not isinstance(item, exp.TemporaryProperty):
            raise unimplemented(f"CREATE TABLE with {item.sql(dialect='bigquery')}")
    return resource | {key: value for key, value in options.table_options(plain, session.constant).items() if value}


_SHAPE = ("schema", "timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter", "description")


def _copied(session: Session, clone: exp.Clone, resource: Resource) -> Tree:
    """CREATE TABLE … COPY or CLONE: here both copy the rows, which nobody can tell apart."""
    source = session.catalog.table(session.names().table(clone.this))
    if source["type"] != "TABLE":
        raise BigQueryError("Only a table can be copied")
    resource |= {key: source[key] for key in _SHAPE if key in source}
    return exp.select("*").from_(clone.this.copy())


def _fill(session: Session, name: TableName, resource: Resource, query: Tree | None, outcome: Outcome) -> None:
    """Makes the table and puts the query's rows in."""
    if query is None:
        _require_columns(resource["schema"]["fields"])
        check_partitioning(resource)
        _replace(session, name, resource)
        return
    compiled = session.compile(query)
    found = session.result_fields(compiled)
    declared = resource["schema"]["fields"]
    for position, field in enumerate(found, 1):
        if not declared and compiled.output[position - 1 : position] == [None]:
            raise BigQueryError(f"CREATE TABLE columns must be named, but column {position} has no name")
        _check_storable(field)
    if declared and len(declared) != len(found):
        raise BigQueryError(
            f"The number of columns in the column definition list does not match the number of columns produced by the "
            f"query: {len(declared)} and {len(found)}"
        )
    resource["schema"] = {"fields": declared or types.check_fields([dict(field) for field in found])}
    check_partitioning(resource)
    # The rows are put aside first: the query may read the table that is replaced.
    session.run_duckdb(f"CREATE OR REPLACE TEMP TABLE __rows AS {compiled.duckdb}")
    try:
        _replace(session, name, resource)
        session.connection.execute(f"INSERT INTO {name.duckdb} SELECT * FROM __rows")
    finally:
        session.connection.execute("DROP TABLE IF EXISTS __rows")
    session.charge(outcome, compiled)


def _check_storable(field: Field) -> None:
    if field["type"] in ("BIGNUMERIC", "GEOGRAPHY", "RANGE", "INTERVAL"):
        raise unimplemented(f"a column of type {field['type']} ({field['name']})")


def _require_columns(fields: list[Field]) -> None:
    if not fields:
        raise BigQueryError("Syntax error: CREATE TABLE needs a list of columns or a query")


def _replace(session: Session, name: TableName, resource: Resource) -> None:
    if session.catalog.has_table(name):
        session.catalog.drop_table(name)
    session.catalog.create_table(name, resource)
    session.changed(name)


# Views


def _create_view(session: Session, tree: exp.Create, sql: str) -> Outcome:
    node = tree.this
    aliases: list[str] = []
    if isinstance(node, exp.Schema):
        aliases, node = [column.name for column in node.expressions], node.this
    plain = []
    for item in _properties(tree):
        if type(item) is not exp.Property:
            raise unimplemented(f"CREATE VIEW with {item.sql(dialect='bigquery')}")
        plain.append(item)
    if aliases:
        raise unimplemented("CREATE VIEW with a list of columns")
    name = session.names().table(node)
    outcome = Outcome("CREATE_VIEW", ddl_operation="CREATE", ddl_target={"ddlTargetTable": name.reference()})
    exists = session.catalog.has_table(name)
    if exists and tree.args.get("exists"):
        outcome.ddl_operation = "SKIP"
        return outcome
    if exists and not tree.args.get("replace"):
        raise already_exists("Table", name)
    text = view_parts(sql)[1]
    resource = view_resource(session, text) | {
        key: value for key, value in options.table_options(plain, session.constant).items() if value
    }
    with session.catalog.transaction():
        if exists:
            outcome.ddl_operation = "REPLACE"
            session.catalog.drop_table(name)
        session.catalog.create_table(name, resource)
    return outcome


def view_resource(session: Session, query: str) -> Resource:
    """The resource of a view of that text. Raises BigQueryError when the query does not run."""
    registered = set(session.names().registered)
    body = parse(session.view_text(query))
    if not isinstance(body, exp.Query):
        raise BigQueryError("A view is made of a query")
    for node in body.find_all(exp.Table):
        if len(node.parts) == 1 and node.name in session.temporary:
            raise BigQueryError(f"Creating views with temporary table references is not supported; found {node.name}")
        if len(node.parts) == 1 and node.name in registered:
            raise unimplemented("a view on the result of an ML function")
    if body.find(exp.Parameter):
        raise BigQueryError("Query parameters cannot be used in the definition of a view")
    # A view is resolved without a default dataset later: its text must name datasets, as BigQuery stores it.
    compiled = session.compile(body.copy(), without_default=True)
    fields = session.result_fields(compiled)
    for position, column in enumerate(compiled.output, 1):
        if column is None:
            raise BigQueryError(f"CREATE VIEW columns must be named, but column {position} has no name")
    return {"type": "VIEW", "view": {"query": query, "useLegacySql": False}, "schema": {"fields": fields}}


def makes_view(sql: str) -> bool:
    words = [token.text.upper() for token in tokenize(sql)[:4]]
    return words[:2] == ["CREATE", "VIEW"] or words == ["CREATE", "OR", "REPLACE", "VIEW"]


def view_parts(sql: str) -> tuple[str, str]:
    """A CREATE VIEW up to its AS, and the query as the user wrote it, comments included."""
    depth = 0
    for token in tokenize(sql):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text.upper() == "AS":
            return sql[: token.end + 1], sql[token.end + 1 :].strip().rstrip(";").strip()
    raise BigQueryError("Syntax error: CREATE VIEW needs AS and a query")


# Functions


def _create_function(session: Session, tree: exp.Create) -> Outcome:
    function = functions.read_function(tree)
    if _is_temporary(tree):
        session.functions[function.name.lower()] = function
        return Outcome("CREATE_FUNCTION", ddl_operation="CREATE")
    name = session.names().table(tree.this.this)
    session.catalog.dataset(name.parent)
    exists = name in session.catalog.functions
    outcome = Outcome("CREATE_FUNCTION", ddl_operation="REPLACE" if exists else "CREATE", ddl_target=_routine(name))
    if exists and tree.args.get("exists"):
        outcome.ddl_operation = "SKIP"
        return outcome
    if exists and not tree.args.get("replace"):
        raise already_exists("Routine", name)
    session.catalog.put_function(name, {"sql": function.sql})
    return outcome


def _routine(name: TableName) -> dict[str, dict[str, str]]:
    return {"ddlTargetRoutine": {"projectId": name.project, "datasetId": name.dataset, "routineId": name.table}}


# DROP


def drop(session: Session, tree: exp.Drop) -> Outcome:
    """Runs DROP SCHEMA, TABLE, VIEW or FUNCTION."""
    kind = str(tree.args.get("kind", "")).upper()
    if tree.args.get("materialized") or kind not in ("SCHEMA", "TABLE", "VIEW", "FUNCTION"):
        raise unimplemented(f"DROP {'MATERIALIZED ' if tree.args.get('materialized') else ''}{kind}")
    outcome = Outcome(f"DROP_{kind}", ddl_operation="DROP")
    if kind == "SCHEMA":
        return _drop_schema(session, tree, outcome)
    name = session.names().table(tree.this)
    if kind == "FUNCTION":
        outcome.ddl_target = _routine(name)
        if name not in session.catalog.functions and tree.args.get("exists"):
            outcome.ddl_operation = "SKIP"
            return outcome
        session.catalog.drop_function(name)
        return outcome
    outcome.ddl_target = {"ddlTargetTable": name.reference()}
    if tree.args.get("exists") and not session.catalog.has_table(name):
        outcome.ddl_operation = "SKIP"
        return outcome
    found = session.catalog.table(name)["type"]
    if found != kind:
        raise BigQueryError(f"Cannot drop {name}: it is a {found}, not a {kind}")
    session.catalog.drop_table(name)
    session.changed(name)
    session.temporary = {key: value for key, value in session.temporary.items() if value != name}
    return outcome


def _drop_schema(session: Session, tree: exp.Drop, outcome: Outcome) -> Outcome:
    name = schema_name(session, tree.this)
    outcome.ddl_target = {"ddlTargetDataset": name.reference()}
    if name not in session.catalog.datasets and tree.args.get("exists"):
        outcome.ddl_operation = "SKIP"
        return outcome
    session.drop_dataset(name, bool(tree.args.get("cascade")))
    return outcome


# ALTER


def alter(session: Session, tree: exp.Alter) -> Outcome:
    """Runs ALTER TABLE and ALTER VIEW."""
    kind = str(tree.args.get("kind", "")).upper()
    if kind not in ("TABLE", "VIEW"):
        raise unimplemented(f"ALTER {kind}")
    name = session.names().table(tree.this)
    outcome = Outcome(f"ALTER_{kind}", ddl_operation="ALTER", ddl_target={"ddlTargetTable": name.reference()})
    if tree.args.get("exists") and not session.catalog.has_table(name):
        outcome.ddl_operation = "SKIP"
        return outcome
    if session.catalog.table(name)["type"] != kind:
        raise BigQueryError(f"{name} is not a {kind}")
    with session.catalog.transaction():
        for action in tree.args["actions"]:
            _alter(session, name, action)
    session.changed(name)
    return outcome


def _alter(session: Session, name: TableName, action: Tree) -> None:
    resource = dict(session.catalog.table(name))
    if isinstance(action, exp.AlterSet):
        items = [option for item in action.expressions for option in item.expressions]
        resource |= options.table_options(items, session.constant)
        resource = {key: value for key, value in resource.items() if value is not None}
        check_partitioning(resource)
        session.catalog.replace_table(name, resource)
        return
    fields = [dict(field) for field in resource["schema"]["fields"]]
    if isinstance(action, exp.ColumnDef):
        fields = add_column(session, name, fields, action)
    elif isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN":
        fields = _drop_column(session, name, resource, fields, action)
    elif isinstance(action, exp.RenameColumn):
        fields = _rename_column(session, name, resource, fields, action)
    elif isinstance(action, exp.AlterColumn):
        fields = _alter_column(session, name, fields, action)
    elif isinstance(action, exp.AlterRename):
        _rename_table(session, name, resource, action.this.name)
        return
    else:
        raise unimplemented(f"ALTER TABLE … {action.sql(dialect='bigquery')}")
    session.catalog.replace_table(name, resource | {"schema": {"fields": fields}})


def add_column(session: Session, name: TableName, fields: list[Field], action: exp.ColumnDef) -> list[Field]:
    field = types.check_fields([options.column(action, session.constant)])[0]
    if _find(fields, field["name"]):
        if action.args.get("exists"):
            return fields
        raise BigQueryError(f"Column already exists: {field['name']}")
    if field["mode"] == "REQUIRED":
        raise BigQueryError(f"Cannot add required column {field['name']} to an existing table")
    if field.get("defaultValueExpression"):
        raise unimplemented("ADD COLUMN with DEFAULT")
    session.connection.execute(
        f"ALTER TABLE {name.duckdb} ADD COLUMN {quote(field['name'])} {types.duckdb_type(field)}"
    )
    return [*fields, field]


def _find(fields: list[Field], name: str) -> Field | None:
    return next((field for field in fields if field["name"].lower() == name.lower()), None)


def _existing(fields: list[Field], name: str, resource_name: TableName) -> Field:
    field = _find(fields, name)
    if field is None:
        raise BigQueryError(f"Column not found: {name} in table {resource_name}")
    return field


def _used_by_shape(resource: Resource, column: str) -> bool:
    partition = (resource.get("timePartitioning") or resource.get("rangePartitioning") or {}).get("field", "")
    clustering = (resource.get("clustering") or {}).get("fields", [])
    return column.lower() in {partition.lower(), *(name.lower() for name in clustering)}


def _drop_column(
    session: Session, name: TableName, resource: Resource, fields: list[Field], action: Tree
) -> list[Field]:
    column = action.this.name
    if action.args.get("exists") and not _find(fields, column):
        return fields
    field = _existing(fields, column, name)
    if _used_by_shape(resource, column):
        raise BigQueryError(f"Cannot drop column {column}: the table is partitioned or clustered by it")
    session.connection.execute(f"ALTER TABLE {name.duckdb} DROP COLUMN {quote(field['name'])}")
    return [other for other in fields if other is not field]


def _rename_column(
    session: Session, name: TableName, resource: Resource, fields: list[Field], action: Any
) -> list[Field]:
    field, new = _existing(fields, action.this.name, name), action.args["to"].name
    if _used_by_shape(resource, field["name"]):
        raise BigQueryError(f"Cannot rename column {field['name']}: the table is partitioned or clustered by it")
    if _find(fields, new):
        raise BigQueryError(f"Column already exists: {new}")
    session.connection.execute(f"ALTER TABLE {name.duckdb} RENAME COLUMN {quote(field['name'])} TO {quote(new)}")
    return [other | {"name": new} if other is field else other for other in fields]


# The type changes that lose nothing, the only ones that BigQuery allows.
_WIDENINGS = {("INTEGER", "NUMERIC"), ("INTEGER", "FLOAT"), ("NUMERIC", "FLOAT")}


def _alter_column(session: Session, name: TableName, fields: list[Field], action: Any) -> list[Field]:
    field = _existing(fields, action.this.name, name)
    column = quote(field["name"])
    if action.args.get("drop") and action.args.get("allow_null"):
        if field["mode"] != "REQUIRED":
            raise BigQueryError(f"Column {field['name']} is not required")
        session.connection.execute(f"ALTER TABLE {name.duckdb} ALTER COLUMN {column} DROP NOT NULL")
        changed = field | {"mode": "NULLABLE"}
    elif action.args.get("dtype"):
        changed = field | {"type": types.canonical(options.field_of_type("x", action.args["dtype"])["type"])}
        if (field["type"], changed["type"]) not in _WIDENINGS:
            raise BigQueryError(
                f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({field['type']}) is "
                f"assignable to the new type ({changed['type']})"
            )
        session.connection.execute(f"ALTER TABLE {name.duckdb} ALTER COLUMN {column} TYPE {types.duckdb_type(changed)}")
    else:
        raise unimplemented(f"ALTER COLUMN … {action.sql(dialect='bigquery')}")
    return [changed if other is field else other for other in fields]


def _rename_table(session: Session, name: TableName, resource: Resource, new: str) -> None:
    target = TableName(name.project, name.dataset, new)
    if session.catalog.has_table(target):
        raise already_exists("Table", target)
    kept = {key: value for key, value in resource.items() if key not in ("id", "tableReference")}
    session.catalog.create_table(target, kept)
    session.connection.execute(f"INSERT INTO {target.duckdb} SELECT * FROM {name.duckdb}")
    session.catalog.drop_table(name)
    session.changed(target)

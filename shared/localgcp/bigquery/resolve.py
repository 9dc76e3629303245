"""What the table names of a statement mean: CTEs, tables, views, wildcards, INFORMATION_SCHEMA, array paths.

After this step every table of the tree is a base table `project.dataset.table`, a CTE, a registered Arrow table or a
subquery, so later steps need no catalog to know what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from sqlglot import exp

from localgcp.bigquery import syntax
from localgcp.bigquery.catalog import Catalog
from localgcp.bigquery.errors import BigQueryError, invalid, unimplemented
from localgcp.bigquery.names import DatasetName, TableName
from localgcp.bigquery.syntax import Tree


@dataclass
class Names:
    """Where names are looked up, for one statement."""

    catalog: Catalog
    project: str
    dataset: DatasetName | None = None
    temporary: dict[str, TableName] = field(default_factory=dict)
    registered: Collection[str] = frozenset()
    # Registers a view of INFORMATION_SCHEMA and returns the name it is registered under.
    information_schema: Callable[[DatasetName | None, str], str] | None = None
    # Those of the suffixes that a condition on _TABLE_SUFFIX lets through.
    filter_suffixes: Callable[[list[str], Tree], list[str]] | None = None
    # The query of a view in plain SQL, without the calls that somebody else answers.
    view_text: Callable[[str, tuple[TableName, ...]], str] | None = None
    # The views that the statement stands in.
    views: tuple[TableName, ...] = ()

    def table(self, node: exp.Table) -> TableName:
        """The full name that a table node means. Raises BigQueryError when it lacks a dataset."""
        parts = [part.name for part in node.parts]
        if len(parts) == 1 and isinstance(node.this, exp.Identifier) and "." in parts[0]:
            parts = parts[0].split(".")
        if len(parts) == 1:
            if parts[0] in self.temporary:
                return self.temporary[parts[0]]
            if self.dataset is None:
                raise invalid(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
            return TableName(self.dataset.project, self.dataset.dataset, parts[0])
        if len(parts) == 2:
            return TableName(self.project, parts[0], parts[1])
        # A project with a domain has a dot of its own, `example.com:project`; local projects have none.
        if len(parts) != 3:
            raise invalid(f"Invalid table name: `{'.'.join(parts)}`")
        return TableName(*parts)


def resolve(tree: Tree, names: Names) -> Tree:
    """The tree with its tables resolved; `tree` itself is changed. Raises BigQueryError, notFound among others."""
    return _resolve(tree, names, names.views)


def _resolve(tree: Tree, names: Names, views: tuple[TableName, ...]) -> Tree:
    for node in list(tree.find_all(exp.Table)):
        if _is_cte(node) or not node.name:
            continue
        if path := array_path(node):
            node.replace(path)
            continue
        if len(node.parts) == 1 and node.name in names.registered:
            continue
        replacement = _replacement(node, names, views)
        if node is tree:
            return replacement
        node.replace(replacement)
    return tree


def _replacement(node: exp.Table, names: Names, views: tuple[TableName, ...]) -> Tree:
    upper = [part.name.upper() for part in node.parts]
    if any(part.startswith("INFORMATION_SCHEMA") for part in upper):
        return _information_schema(node, names)
    name = names.table(node)
    if name.table.endswith("*"):
        return _expand_wildcard(node, name, names)
    resource = names.catalog.table(name)
    if resource["type"] == "VIEW":
        if name in views:
            raise BigQueryError(f"View {name} refers to itself")
        query = resource["view"]["query"]
        if names.view_text is not None:
            query = names.view_text(query, (*views, name))
        body = syntax.parse(query)
        syntax.refuse(body)
        inner = replace(names, project=name.project, dataset=None, temporary={}, filter_suffixes=None)
        return _subquery(node, _resolve(body, inner, (*views, name)), name.table)
    if not resource["schema"].get("fields"):
        raise BigQueryError(f"Table {name} does not have a schema.", "invalid")
    return qualified(node, name)


def qualified(node: exp.Table, name: TableName) -> exp.Table:
    """The node under its full name; other parts (alias, joins, sample) stay."""
    copy = node.copy()
    copy.set("catalog", exp.to_identifier(name.project, quoted=True))
    copy.set("db", exp.to_identifier(name.dataset, quoted=True))
    copy.set("this", exp.to_identifier(name.table, quoted=True))
    # `FROM a.t` can be referred to as t, a temporary table by the name that the script gave it.
    if not node.alias and name.table != node.name:
        copy.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
    return copy


def _subquery(node: exp.Table, body: Tree, name: str) -> exp.Subquery:
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name, quoted=True))
    made = exp.Subquery(this=body, alias=alias.copy())
    for key in ("joins", "pivots", "sample"):
        if node.args.get(key):
            made.set(key, node.args[key])
    return made


def _is_cte(node: exp.Table) -> bool:
    """Whether an unqualified name is one of a WITH clause around it. A CTE does not see itself nor later ones."""
    if len(node.parts) != 1:
        return False
    name, inside = node.name.lower(), None
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.CTE):
            inside = parent
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With):
            for cte in with_.expressions:
                if cte is inside and not with_.recursive:
                    break
                if cte.alias.lower() == name:
                    return True
        parent = parent.parent
    return False


def array_path(node: exp.Table) -> Tree | None:
    """`FROM t, t.items AS item` joins with an array column: UNNEST(t.items) AS item."""
    if len(node.parts) < 2:
        return None
    select = node.find_ancestor(exp.Select)
    if select is None:
        return None
    first = node.parts[0].name.lower()
    sources = [source for source in _sources(select) if source is not node]
    if first not in {source.alias_or_name.lower() for source in sources}:
        return None
    path = ".".join(part.sql(dialect="bigquery") for part in node.parts)
    alias = node.alias or node.name
    parsed = syntax.parse(f"SELECT * FROM UNNEST({path}) AS {exp.to_identifier(alias).sql(dialect='bigquery')}")
    return parsed.args["from_"].this


def _sources(select: exp.Select) -> list[Tree]:
    """What stands in FROM and JOIN of a select."""
    from_ = select.args.get("from_")
    return ([from_.this] if from_ else []) + [join.this for join in select.args.get("joins") or []]


# Wildcard tables


def _expand_wildcard(node: exp.Table, name: TableName, names: Names) -> Tree:
    """All tables with a prefix as one, the others' columns by name, as BigQuery takes the latest table's schema."""
    prefix = name.table[:-1]
    names.catalog.dataset(name.parent)
    found = [table for table in names.catalog.tables_of(name.parent) if table.table.startswith(prefix)]
    if not found:
        raise BigQueryError(f"{name} does not match any table.", "invalid")
    if any(names.catalog.table(table)["type"] == "VIEW" for table in found):
        raise BigQueryError("Views cannot be queried through prefix. First view " + str(found[0]) + ".", "invalid")
    latest = max(found, key=lambda table: int(names.catalog.table(table)["creationTime"]))
    columns = [column["name"] for column in names.catalog.table(latest)["schema"]["fields"]]
    select = node.find_ancestor(exp.Select)
    uses_suffix = select is not None and any(c.name.upper() == "_TABLE_SUFFIX" for c in select.find_all(exp.Column))
    if uses_suffix and select is not None:
        _hide_suffix(select)
        found = _matching(found, prefix, select, names) or found[:1]
    branches = [_branch(table, prefix, columns, names, uses_suffix) for table in found]
    body = syntax.parse("\nUNION ALL\n".join(branches))
    return _subquery(node, body, name.table)


def _branch(table: TableName, prefix: str, columns: list[str], names: Names, with_suffix: bool) -> str:
    have = {field["name"].lower(): field for field in names.catalog.table(table)["schema"]["fields"]}
    items = [f"`{column}`" if column.lower() in have else f"NULL AS `{column}`" for column in columns]
    if with_suffix:
        items.append(f"'{table.table[len(prefix) :]}' AS _TABLE_SUFFIX")
    return f"SELECT {', '.join(items)} FROM `{table.project}.{table.dataset}.{table.table}`"


def _hide_suffix(select: exp.Select) -> None:
    """`SELECT *` does not show _TABLE_SUFFIX, which is a pseudo-column."""
    for item in select.expressions:
        star = item if isinstance(item, exp.Star) else item.this if isinstance(item, exp.Column) else None
        if isinstance(star, exp.Star):
            hidden = star.args.get("except_") or []
            star.set("except_", [*hidden, exp.to_identifier("_TABLE_SUFFIX")])


def _matching(found: list[TableName], prefix: str, select: exp.Select, names: Names) -> list[TableName]:
    """The tables that the WHERE clause's conditions on _TABLE_SUFFIX alone let through."""
    where = select.args.get("where")
    conditions = [
        part
        for part in (
            where.this.flatten() if where and isinstance(where.this, exp.And) else [where.this] if where else []
        )
        if _only_suffix(part)
    ]
    if not conditions or names.filter_suffixes is None:
        return found
    wanted = names.filter_suffixes(
        [table.table[len(prefix) :] for table in found], exp.and_(*[part.copy() for part in conditions])
    )
    return [table for table in found if table.table[len(prefix) :] in wanted]


def _only_suffix(condition: Tree) -> bool:
    columns = [column.name.upper() for column in condition.find_all(exp.Column)]
    return set(columns) == {"_TABLE_SUFFIX"} and condition.find(exp.Select) is None


# INFORMATION_SCHEMA


def _information_schema(node: exp.Table, names: Names) -> Tree:
    parts = [piece for part in node.parts for piece in part.name.split(".")]
    place = next(index for index, part in enumerate(parts) if part.upper() == "INFORMATION_SCHEMA")
    qualifier, view = parts[:place], ".".join(parts[place + 1 :]).upper()
    dataset: DatasetName | None = None
    region = qualifier[-1].lower() if qualifier else ""
    if qualifier and not region.startswith("region-"):
        project = qualifier[-2] if len(qualifier) > 1 else names.project
        # `project.INFORMATION_SCHEMA.SCHEMATA` names a project and no dataset.
        if not (view.startswith("SCHEMATA") and len(qualifier) == 1 and qualifier[0] == names.project):
            dataset = DatasetName(project, qualifier[-1])
    if not qualifier and not view.startswith("SCHEMATA"):
        dataset = names.dataset
        if dataset is None:
            raise invalid(
                f"Table-valued view INFORMATION_SCHEMA.{view} must be qualified with a dataset or region "
                f"(e.g. dataset.INFORMATION_SCHEMA.{view})."
            )
    if names.information_schema is None:
        raise unimplemented("INFORMATION_SCHEMA here")
    registered = exp.Table(this=exp.to_identifier(names.information_schema(dataset, view)))
    # sqlglot gives such a table an alias of its own, the view's name or the whole quoted path.
    alias = node.alias if node.alias and "." not in node.alias else view
    registered.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    for key in ("joins", "pivots"):
        if node.args.get(key):
            registered.set(key, node.args[key])
    return registered

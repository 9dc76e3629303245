"""SQL functions that a user defines: calls are replaced by the body, with the arguments in their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from localgcp.bigquery.binding import ColumnsOf, bind_names
from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.syntax import Tree

# Deeper nesting of functions than this is a function that calls itself, which BigQuery refuses too.
_DEPTH = 16


@dataclass(frozen=True)
class Function:
    """A scalar SQL function. A type is None for ANY TYPE, and for a result whose type follows from the body."""

    name: str
    arguments: tuple[tuple[str, exp.DataType | None], ...]
    returns: exp.DataType | None
    body: Tree
    sql: str


Lookup = Callable[[list[str]], Function | None]


def read_function(tree: exp.Create) -> Function:
    """The function of a CREATE FUNCTION. Raises BigQueryError for a language or option that is not emulated."""
    signature = tree.this
    if not isinstance(signature, exp.UserDefinedFunction):
        raise BigQueryError("Syntax error: a function needs a list of arguments")
    returns: exp.DataType | None = None
    for item in tree.args["properties"].expressions if tree.args.get("properties") else []:
        if isinstance(item, exp.TemporaryProperty):
            continue
        if isinstance(item, exp.ReturnsProperty):
            returns = item.this
            if item.args.get("is_table"):
                raise unimplemented("CREATE TABLE FUNCTION")
        elif isinstance(item, exp.LanguageProperty):
            raise unimplemented(f"a function in the language {item.this.name}")
        elif isinstance(item, exp.Property) and item.name.lower() == "description":
            continue
        else:
            raise unimplemented(f"a function with {item.sql(dialect='bigquery')}")
    body = tree.expression
    if isinstance(body, exp.Paren):
        body = body.this
    if body is None or (isinstance(body, exp.Literal) and not isinstance(tree.expression, exp.Paren)):
        raise BigQueryError("Syntax error: the body of a SQL function stands in parentheses")
    if body.find(exp.AggFunc) and not body.find(exp.Select):
        raise unimplemented("a user-defined aggregate function")
    arguments = tuple((argument.name, _argument_type(argument)) for argument in signature.expressions)
    return Function(signature.this.name, arguments, returns, body, tree.sql(dialect="bigquery"))


def _argument_type(argument: exp.Expression) -> exp.DataType | None:
    kind = argument.args.get("kind")
    if kind is None:
        raise BigQueryError("Syntax error: every argument of a function needs a type")
    return None if kind.is_type("variant") else kind


def inline_calls(tree: Tree, lookup: Lookup, columns_of: ColumnsOf) -> Tree:
    """The tree with every call of a user's function replaced. Raises BigQueryError for a wrong number of arguments."""
    for _ in range(_DEPTH):
        calls = [(node, function) for node in tree.walk() if (function := _called(node, lookup))]
        if not calls:
            return tree
        # Innermost last: an outer call copies its arguments, so these must be replaced first.
        node, function = calls[-1]
        replacement = _expand(function, _arguments(node), columns_of)
        if node is tree:
            tree = replacement
        else:
            node.replace(_named(node, replacement))
    if any(_called(node, lookup) for node in tree.walk()):
        return _too_deep(tree, lookup, columns_of)
    return tree


def _too_deep(tree: Tree, lookup: Lookup, columns_of: ColumnsOf) -> Tree:
    """Many calls are no recursion: only a body that calls itself is one."""
    for node in tree.walk():
        function = _called(node, lookup)
        if function and any((f := _called(n, lookup)) and f.name == function.name for n in function.body.walk()):
            raise BigQueryError(f"Recursive function call is not allowed: {function.name}")
    return inline_calls(tree, lookup, columns_of)


def _named(node: Tree, value: Tree) -> Tree:
    """A call as a column of a SELECT list has no name of its own, whatever stands in the body."""
    return exp.Paren(this=value) if isinstance(node.parent, exp.Select) else value


def _called(node: Tree, lookup: Lookup) -> Function | None:
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        path = [*_path(node.this), node.expression.name]
        return lookup([piece for part in path for piece in part.split(".")])
    if isinstance(node, exp.Anonymous) and not isinstance(node.parent, exp.Dot):
        return lookup(node.name.split("."))
    return None


def _path(node: Tree) -> list[str]:
    return [*_path(node.this), node.expression.name] if isinstance(node, exp.Dot) else [node.name]


def _arguments(node: Tree) -> list[Tree]:
    call = node.expression if isinstance(node, exp.Dot) else node
    return list(call.expressions)


def _expand(function: Function, given: list[Tree], columns_of: ColumnsOf) -> Tree:
    if len(given) != len(function.arguments):
        raise BigQueryError(
            f"Number of arguments does not match for function {function.name}: it takes {len(function.arguments)}, "
            f"got {len(given)}"
        )
    values = {
        name.lower(): exp.Paren(this=value.copy() if kind is None else exp.cast(value.copy(), kind))
        for (name, kind), value in zip(function.arguments, given)
    }
    body = bind_names(function.body.copy(), values, columns_of)
    return exp.cast(exp.Paren(this=body), function.returns) if function.returns else exp.Paren(this=body)

"""The TRANSFORM clause: learnt on training rows, applied to any rows.

ML functions become steps, each of which adds a column; aggregates with OVER() become the constant that the training
rows gave; the rest is SQL that the engine runs. scalars.py evaluates ML functions in a plain SELECT in the same way.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.preprocess import FUNCTIONS, Apply, learn_function
from localgcp.bqml.statement import literal

ROW = "__ml_row"
NUMBERS = count()


@dataclass(frozen=True)
class Step:
    """One ML function: its inputs in SQL (names of the fields if it takes a STRUCT), and what it learnt."""

    output: str
    inputs: tuple[str, ...]
    fields: tuple[str, ...] | None
    needs: frozenset[str]
    apply: Apply


@dataclass(frozen=True)
class Item:
    """One output column, in SQL over the input and the steps' columns."""

    name: str
    sql: str
    needs: frozenset[str]
    text: str = ""  # as the clause says it


@dataclass(frozen=True)
class Transform:
    levels: tuple[tuple[Step, ...], ...]
    items: tuple[Item, ...]

    def outputs(self) -> list[str]:
        return [item.name for item in self.items]

    def inputs(self) -> frozenset[str]:
        """Names, in lower case, of the columns that the clause reads."""
        return frozenset().union(*(item.needs for item in self.items))

    def apply(self, engine: Engine, rows: pa.Table, required: Collection[str], function: str) -> pa.Table:
        """The output columns. One whose input is missing is left out, unless it is required: then BadRequest."""
        have = {name.lower() for name in rows.column_names}
        wanted = {name.lower() for name in required}
        items = []
        for item in self.items:
            missing = sorted(item.needs - have)
            if not missing:
                items.append(item)
            elif item.name.lower() in wanted:
                raise BadRequest(f"Column {missing[0]} is not found in the input data to the {function} function.")
        for level in self.levels:
            steps = [step for step in level if step.needs <= have]
            inputs = evaluate(engine, rows, [sql for step in steps for sql in step.inputs])
            position = 0
            for step in steps:
                column = _gather(inputs[position : position + len(step.inputs)], step.fields)
                rows = rows.append_column(step.output, step.apply(column))
                position += len(step.inputs)
        columns = evaluate(engine, rows, [item.sql for item in items])
        return pa.table(columns, names=[item.name for item in items])


def learn_transform(expressions: Collection[exp.Expr], engine: Engine, rows: pa.Table) -> tuple[Transform, pa.Table]:
    """The clause with what the rows taught it, and its output on them. Raises BadRequest."""
    trees = [tree.copy() for tree in _expand_stars(expressions, rows.column_names)]
    names = _output_names(trees)
    needs = [frozenset(c.name.lower() for c in tree.find_all(exp.Column)) for tree in trees]
    _check_columns(trees, rows)
    texts = [_text(_value(tree)) for tree in trees]
    levels: list[tuple[Step, ...]] = []
    written: dict[str, exp.Expr] = {}
    table = rows
    while True:
        # Inner functions first: the outer ones take their columns.
        calls = [call for tree in trees for call in innermost_calls(tree)]
        if not calls:
            break
        level: list[Step] = []
        for call in calls:
            step, column = _learn_step(call, engine, table, [*levels, tuple(level)], written)
            level.append(step)
            written[step.output] = _as_written(call, written)
            table = table.append_column(step.output, column)
            trees = [_replace(tree, call, step.output) for tree in trees]
        levels.append(tuple(level))
    trees = [_constants(tree, engine, table) for tree in trees]
    items = tuple(
        Item(name, _value(tree).sql(dialect="bigquery"), need, text)
        for name, tree, need, text in zip(names, trees, needs, texts)
    )
    columns = evaluate(engine, table, [item.sql for item in items])
    return Transform(tuple(levels), items), pa.table(columns, names=names)


def ml_call(node: exp.Expr) -> tuple[str, list[exp.Expr]] | None:
    """Name and arguments of `ML.NAME(…)`, if that is what the node is."""
    if isinstance(node, exp.Dot) and node.this.name.upper() == "ML" and isinstance(node.expression, exp.Anonymous):
        return node.expression.name.upper(), node.expression.expressions
    return None


def innermost_calls(tree: exp.Expr) -> list[exp.Expr]:
    """ML functions, with their OVER() if they have one, that have no other inside."""
    found = []
    for node in tree.find_all(exp.Dot):
        call = ml_call(node)
        if call and not any(ml_call(inner) for a in call[1] for inner in a.find_all(exp.Dot)):
            found.append(node.parent if isinstance(node.parent, exp.Window) and node.arg_key == "this" else node)
    return [node for node in found if node is not None]


def evaluate(engine: Engine, rows: pa.Table, expressions: Collection[str]) -> list[pa.Array]:
    """Each expression over the rows, in the rows' order."""
    if not expressions:
        return []
    numbered = rows.append_column(ROW, pa.array(np.arange(len(rows)), pa.int64()))
    listed = ", ".join(f"{sql} AS __ml_e{i}" for i, sql in enumerate(expressions))
    with registered(engine, numbered) as name:
        result = engine.query(f"SELECT {listed}, {ROW} FROM {name}")
    order = result[ROW].to_numpy()
    if len(order) > 1 and not (np.diff(order) > 0).all():
        result = result.take(pc.sort_indices(result[ROW]))
    return [result.column(i).combine_chunks() for i in range(len(expressions))]


@contextmanager
def registered(engine: Engine, table: pa.Table) -> Iterator[str]:
    """A name under which the engine reads the table, for as long as it is needed."""
    name = f"__ml_{next(NUMBERS)}"
    engine.register(name, table)
    try:
        yield name
    finally:
        engine.unregister(name)


def _learn_step(
    call: exp.Expr,
    engine: Engine,
    table: pa.Table,
    levels: list[tuple[Step, ...]],
    written: dict[str, exp.Expr],
) -> tuple[Step, pa.Array]:
    """One call and its column. `written` has the calls behind the columns of earlier steps, for messages."""
    over = isinstance(call, exp.Window)
    if over and (call.args.get("partition_by") or call.args.get("order") or call.args.get("spec")):
        raise BadRequest("ML functions take an empty OVER() clause.")
    named = ml_call(call.this if over else call)
    assert named is not None
    name, arguments = named
    output = f"__ml_f{sum(len(level) for level in levels)}"
    needs = frozenset(
        c.name.lower() for a in arguments for c in a.find_all(exp.Column) if not c.name.startswith("__ml_f")
    )
    inherited = [
        step for level in levels for step in level if any(c.name == step.output for c in call.find_all(exp.Column))
    ]
    needs = needs.union(*(step.needs for step in inherited))
    if not arguments:
        raise BadRequest(f"No matching signature for function ML.{name}: wrong number of arguments.")
    if name == "HASH_BUCKETIZE":
        inputs: tuple[str, ...] = (_hash_bucket(arguments),)
        fields: tuple[str, ...] | None = None
        apply: Apply = _same
        column = _gather(evaluate(engine, table, inputs), None)
    else:
        if name not in FUNCTIONS:
            raise unimplemented(f"ML.{name}") if name in ELSEWHERE else BadRequest(f"Function not found: ML.{name}")
        if name in OF_STRUCT and not isinstance(arguments[0], exp.Struct) and len(arguments) > 1:
            given = ", ".join(_as_written(argument, written).sql(dialect="bigquery") for argument in arguments)
            raise BadRequest(
                f"ML.{name}: the first argument must be a STRUCT with named fields, got {given}; "
                f"write ML.{name}(STRUCT(a, b AS c))."
            )
        inputs, fields = _inputs(arguments[0])
        constants = [literal(_as_written(argument, written), f"of ML.{name}") for argument in arguments[1:]]
        column = _gather(evaluate(engine, table, inputs), fields)
        apply = learn_function(name, column, constants, over)
        column = apply(column)
    return Step(output, inputs, fields, needs, apply), column


OF_STRUCT = {"FEATURE_CROSS", "POLYNOMIAL_EXPAND"}
ELSEWHERE = {"NORMALIZER", "TF_IDF", "BAG_OF_WORDS", "MULTI_HOT_ENCODER", "DECODE_IMAGE", "RESIZE_IMAGE", "DISTANCE"}


def _text(tree: exp.Expr) -> str:
    """The expression; `*` has put quotes around the names that it stands for."""
    is_plain = isinstance(tree, exp.Column) and tree.name.isidentifier()
    return tree.name if is_plain else tree.sql(dialect="bigquery")


def _as_written(tree: exp.Expr, written: dict[str, exp.Expr]) -> exp.Expr:
    """The tree with the calls themselves where they stand as columns by now."""
    return tree.transform(
        lambda node: written[node.name].copy() if isinstance(node, exp.Column) and node.name in written else node
    )


def _same(column: pa.Array) -> pa.Array:
    return column


def _hash_bucket(arguments: list[exp.Expr]) -> str:
    """ML.HASH_BUCKETIZE in SQL, since the fingerprint is the engine's."""
    if len(arguments) != 2:
        raise BadRequest("No matching signature for function ML.HASH_BUCKETIZE: wrong number of arguments.")
    size = literal(arguments[1], "of ML.HASH_BUCKETIZE")
    if not isinstance(size, int) or size < 0:
        raise BadRequest("ML.HASH_BUCKETIZE: hash_bucket_size must be greater than or equal to 0.")
    fingerprint = f"FARM_FINGERPRINT({arguments[0].sql(dialect='bigquery')})"
    if size == 0:
        return fingerprint
    # The bucket is that of the unsigned fingerprint: a negative one stands for itself plus 2^64.
    return f"MOD(MOD({fingerprint}, {size}) + IF({fingerprint} < 0, {2**64 % size + size}, 0), {size})"


def _inputs(argument: exp.Expr) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The fields of a STRUCT one by one, so that their names are ours; anything else as it is."""
    if not isinstance(argument, exp.Struct):
        return (argument.sql(dialect="bigquery"),), None
    names, values = [], []
    for item in argument.expressions:
        if isinstance(item, exp.PropertyEQ):
            names.append(item.this.name)
            values.append(item.expression.sql(dialect="bigquery"))
        else:
            names.append(item.alias_or_name)
            values.append((item.this if isinstance(item, exp.Alias) else item).sql(dialect="bigquery"))
    return tuple(values), tuple(names)


def _gather(columns: list[pa.Array], fields: tuple[str, ...] | None) -> pa.Array:
    if fields is None:
        return columns[0]
    if not all(fields):
        raise BadRequest("STRUCT fields in ML functions must be named.")
    return pa.StructArray.from_arrays(columns, names=list(fields))


def _replace(tree: exp.Expr, call: exp.Expr, output: str) -> exp.Expr:
    column = exp.column(output)
    if tree is call:
        return column
    if any(node is call for node in tree.walk()):
        call.replace(column)
    return tree


def _expand_stars(expressions: Collection[exp.Expr], names: list[str]) -> list[exp.Expr]:
    """`*`, `* EXCEPT (…)` and `* REPLACE (…)` as the columns that they mean."""
    out: list[exp.Expr] = []
    for expression in expressions:
        if not isinstance(expression, exp.Star):
            out.append(expression)
            continue
        except_ = {e.name.lower() for e in expression.args.get("except_") or []}
        replaced = {e.alias.lower(): e for e in expression.args.get("replace") or []}
        for name in names:
            if name.lower() not in except_:
                out.append(replaced.get(name.lower(), exp.column(exp.to_identifier(name, quoted=True))))
    return out


def _output_names(trees: list[exp.Expr]) -> list[str]:
    names = [tree.alias_or_name for tree in trees]
    for tree, name in zip(trees, names):
        if not name or not isinstance(tree, exp.Alias | exp.Column):
            raise BadRequest(f"TRANSFORM: {tree.sql(dialect='bigquery')} needs a name: add AS name.")
    if len({name.lower() for name in names}) != len(names):
        twice = next(n for n in names if [m.lower() for m in names].count(n.lower()) > 1)
        raise BadRequest(f"Duplicate column name {twice} in the TRANSFORM clause.")
    return names


def _check_columns(trees: list[exp.Expr], rows: pa.Table) -> None:
    have = {name.lower() for name in rows.column_names}
    for tree in trees:
        for column in tree.find_all(exp.Column):
            if column.name.lower() not in have:
                raise BadRequest(f"Unrecognized name: {column.name}")


def _constants(tree: exp.Expr, engine: Engine, table: pa.Table) -> exp.Expr:
    """Aggregates with OVER(), as the value that they have over these rows."""
    for window in list(tree.find_all(exp.Window)):
        if window.args.get("partition_by") or window.args.get("order") or window.args.get("spec"):
            raise BadRequest("TRANSFORM supports analytic functions with an empty OVER() clause only.")
        found = evaluate(engine, table, [window.sql(dialect="bigquery")])[0]
        distinct = pc.unique(found)
        if len(distinct) != 1:
            raise BadRequest(f"TRANSFORM: {window.sql(dialect='bigquery')} has no single value over the training rows.")
        constant = _literal(distinct[0].as_py())
        if window is tree:
            return constant
        window.replace(constant)
    return tree


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, decimal.Decimal):
        return exp.cast(exp.Literal.string(str(value)), "NUMERIC", dialect="bigquery")
    if isinstance(value, datetime.date | datetime.datetime):
        kind = "DATE" if not isinstance(value, datetime.datetime) else "TIMESTAMP" if value.tzinfo else "DATETIME"
        return exp.cast(exp.Literal.string(str(value)), kind)
    if isinstance(value, float) and not np.isfinite(value):
        return exp.cast(exp.Literal.string(str(value)), "FLOAT64", dialect="bigquery")
    if value is None or isinstance(value, bool | int | float | str):
        converted = exp.convert(value)
        return exp.paren(converted) if isinstance(value, int | float) and value < 0 else converted
    raise unimplemented(f"an analytic function of type {type(value).__name__} in TRANSFORM")


def _value(tree: exp.Expr) -> exp.Expr:
    return tree.this if isinstance(tree, exp.Alias) else tree

"""The TRANSFORM clause as a SavedModel of its own: raw columns in, what the model reads out.

From the documentation of model export: it lies in the folder `transform`, takes INT64, FLOAT64, BOOL and STRING as
such and NUMERIC as FLOAT64, and writes NULL as 1234567890000000000, 123456789.0e10 or ' __MISSING__ '. Of the
documented functions the ones in EXPRESSIONS and STEPS are there; a clause with any other is refused, not approximated.
Where SQL ends with an error (a division by zero, LN of a negative number) so does the graph.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from localgcp.bqml import preprocess
from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.exchange.graph import NULL_FLOAT, NULL_INT, NULL_TEXT, check_name, is_null, save, vocabulary
from localgcp.bqml.models.base import Model
from localgcp.bqml.record import Record
from localgcp.bqml.transform import Item, Step

KINDS = {"INT64": "INT64", "FLOAT64": "FLOAT64", "NUMERIC": "FLOAT64", "BIGNUMERIC": "FLOAT64", "BOOL": "BOOL"}
KINDS |= {"STRING": "STRING", "DATE": "DATE", "DATETIME": "DATETIME", "TIME": "TIME"}
NUMBERS = ("INT64", "FLOAT64")


@dataclass(frozen=True)
class Value:
    """A column: its elements, and which rows are NULL (None: no row ever is). Elements of NULL rows mean nothing."""

    data: Any
    null: Any
    kind: str


def write_transform(record: Record, model: Model, folder: Path) -> None:
    """Writes the clause's part that makes the model's features. Raises BadRequest for what cannot be exported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    assert record.transform is not None
    wanted = {name.lower() for name in model.features}
    items = [item for item in record.transform.items if item.name.lower() in wanted]
    needs = frozenset[str]().union(*(item.needs for item in items))
    kinds = {c["name"]: c["type"]["typeKind"] for c in record.resource["featureColumns"] if c["name"].lower() in needs}
    for name, kind in kinds.items():
        check_name(name)
        if kind not in KINDS:
            raise unimplemented(f"EXPORT MODEL with TRANSFORM of column {name} of type {kind}")
    module = tf.Module()
    with tempfile.TemporaryDirectory() as scratch:
        clause = Clause(items, [step for level in record.transform.levels for step in level], Path(scratch))
        module.tables = clause.tables

        def transform(columns: Mapping[str, Any]) -> dict[str, Any]:
            read = {name.lower(): _column(columns[name], KINDS[kind]) for name, kind in kinds.items()}
            return clause.outputs(read)

        signature = {name: _spec(name, KINDS[kind]) for name, kind in kinds.items()}
        module.transform = tf.function(transform, input_signature=[signature], autograph=False)
        save(module, folder, module.transform)


class Clause:
    """The items and the ML functions that they need, with the tables of the latter."""

    def __init__(self, items: list[Item], steps: list[Step], scratch: Path) -> None:
        self.trees = {item.name: sqlglot.parse_one(item.sql, read="bigquery") for item in items}
        used: set[str] = set()
        self.steps: list[tuple[Step, exp.Expr]] = []
        # Outer functions come after the inner ones whose columns they read.
        for step in reversed(steps):
            inputs = [sqlglot.parse_one(sql, read="bigquery") for sql in step.inputs]
            if step.output in used | {c.name for tree in self.trees.values() for c in tree.find_all(exp.Column)}:
                used |= {column.name for tree in inputs for column in tree.find_all(exp.Column)}
                self.steps.insert(0, (step, inputs[0]))
        self.tables: dict[str, Any] = {}
        for step, _ in self.steps:
            function, settings = _learnt(step)
            if function is preprocess.label_encode:
                self.tables[step.output] = vocabulary(step.output.strip("_"), settings["categories"], scratch)

    def outputs(self, columns: dict[str, Value]) -> dict[str, Any]:
        """Tensors by the names that the clause gives."""
        for step, tree in self.steps:
            function, settings = _learnt(step)
            if function is preprocess.label_encode:
                settings = {"table": self.tables[step.output]}
            columns = {**columns, step.output: STEPS[function](_value(tree, columns), **settings)}
        return {name: _written(name, _value(tree, columns)) for name, tree in self.trees.items()}


def _learnt(step: Step) -> tuple[Any, dict[str, Any]]:
    """The function of preprocess.py and its arguments. Raises BadRequest for one that is not in STEPS."""
    apply = step.apply
    if isinstance(apply, partial) and apply.func is preprocess.one_hot_encode:
        raise BadRequest("Model export is not supported for TRANSFORM with ML.ONE_HOT_ENCODER here: it gives an ARRAY.")
    if not isinstance(apply, partial) or apply.func not in STEPS or step.fields is not None:
        name = apply.func.__name__ if isinstance(apply, partial) else step.inputs[0]
        raise unimplemented(f"EXPORT MODEL with TRANSFORM that uses {name}")
    return apply.func, dict(apply.keywords)


def _spec(name: str, kind: str) -> Any:
    import tensorflow as tf

    dtypes = {"INT64": tf.int64, "FLOAT64": tf.float64, "BOOL": tf.bool}
    return tf.TensorSpec([None], dtypes.get(kind, tf.string), name=name)


def _column(data: Any, kind: str) -> Value:
    return Value(data, None if kind == "BOOL" else is_null(data), kind)


def _written(name: str, value: Value) -> Any:
    """NULL as the value that stands for it."""
    import tensorflow as tf

    if value.null is None:
        return value.data
    if value.kind == "BOOL":
        raise unimplemented(f"EXPORT MODEL with TRANSFORM whose BOOL {name} can be NULL")
    stands = {"INT64": NULL_INT, "FLOAT64": NULL_FLOAT}.get(value.kind, NULL_TEXT)
    return tf.where(value.null, tf.constant(stands, value.data.dtype), value.data)


# ML functions


def _scale(value: Value, offset: float, divisor: float) -> Value:
    return _known((_numbers(value) - offset) / (divisor or float("nan")))


def _clip_scale(value: Value, offset: float, divisor: float) -> Value:
    import tensorflow as tf

    scaled = _scale(value, offset, divisor)
    return Value(tf.clip_by_value(scaled.data, 0.0, 1.0), scaled.null, "FLOAT64")


def _impute(given: Value, value: Any) -> Value:
    import tensorflow as tf

    if isinstance(value, str):
        return Value(given.data if given.null is None else tf.where(given.null, value, given.data), None, "STRING")
    x = _numbers(given)
    return Value(tf.where(tf.math.is_nan(x), tf.constant(value, tf.float64), x), None, "FLOAT64")


def _bucket(value: Value, points: list[float], output: str) -> Value:
    import tensorflow as tf

    x = _numbers(value)
    names = tf.constant([preprocess.bucket_name(i, points, output) for i in range(len(points) + 1)])
    # How many points are not above x: a row of comparisons, as there are few points.
    index = tf.reduce_sum(tf.cast(x[:, None] >= tf.constant(points, tf.float64, [len(points)]), tf.int32), axis=1)
    return Value(tf.gather(names, index), tf.math.is_nan(x), "STRING")


def _label(value: Value, table: Any) -> Value:
    import tensorflow as tf

    codes = table.lookup(value.data) + 1
    return Value(codes if value.null is None else tf.where(value.null, tf.zeros_like(codes), codes), None, "INT64")


STEPS: dict[Any, Callable[..., Value]] = {
    preprocess.scale: _scale,
    preprocess.clip_scale: _clip_scale,
    preprocess.impute: _impute,
    preprocess.put_in_bucket: _bucket,
    preprocess.label_encode: _label,
}


def _numbers(value: Value) -> Any:
    """float64 with NaN for NULL, as the functions of preprocess.py compute."""
    import tensorflow as tf

    if value.kind not in NUMBERS:
        raise unimplemented(f"EXPORT MODEL with TRANSFORM that makes a number of {value.kind}")
    x = tf.cast(value.data, tf.float64)
    return x if value.null is None else tf.where(value.null, tf.constant(float("nan"), tf.float64), x)


def _known(x: Any) -> Value:
    import tensorflow as tf

    return Value(x, tf.math.is_nan(x), "FLOAT64")


# SQL


def _value(tree: exp.Expr, columns: Mapping[str, Value]) -> Value:
    """The expression over the columns. Raises BadRequest for one that is not in EXPRESSIONS."""
    for kind, build in EXPRESSIONS.items():
        if type(tree) is kind:
            return build(tree, columns)
    raise unimplemented(f"EXPORT MODEL with TRANSFORM that uses {tree.sql(dialect='bigquery')[:60]}")


def _refuse(tree: exp.Expr, *values: Value) -> BadRequest:
    kinds = " and ".join(value.kind for value in values)
    return unimplemented(f"EXPORT MODEL with TRANSFORM that uses {tree.sql(dialect='bigquery')[:60]} of {kinds}")


def _any_null(*values: Value) -> Any:
    masks = [value.null for value in values if value.null is not None]
    return reduce(lambda a, b: a | b, masks) if masks else None


def _constant(data: Any, kind: str, columns: Mapping[str, Value]) -> Value:
    """One value for every row."""
    import tensorflow as tf

    dtypes = {"INT64": tf.int64, "FLOAT64": tf.float64, "BOOL": tf.bool, "STRING": tf.string}
    if not columns:
        raise unimplemented("EXPORT MODEL with TRANSFORM that reads no column")
    rows = tf.shape(next(iter(columns.values())).data)
    return Value(tf.fill(rows, tf.constant(data, dtypes[kind])), None, kind)


def _literal(tree: exp.Literal, columns: Mapping[str, Value]) -> Value:
    if tree.is_string:
        return _constant(tree.this, "STRING", columns)
    is_float = any(character in tree.this for character in ".eE")
    return _constant(float(tree.this) if is_float else int(tree.this), "FLOAT64" if is_float else "INT64", columns)


def _read(tree: exp.Column, columns: Mapping[str, Value]) -> Value:
    found = columns.get(tree.name) or columns.get(tree.name.lower())
    if found is None:
        raise unimplemented(f"EXPORT MODEL with TRANSFORM that reads {tree.name}, which is no feature,")
    return found


def _same_kind(tree: exp.Expr, *values: Value) -> list[Value]:
    """Numbers widened to FLOAT64 where one is; else all of one kind."""
    import tensorflow as tf

    kinds = {value.kind for value in values}
    if kinds == {"INT64", "FLOAT64"}:
        return [Value(tf.cast(value.data, tf.float64), value.null, "FLOAT64") for value in values]
    if len(kinds) > 1:
        raise _refuse(tree, *values)
    return list(values)


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Mapping[str, Value]], Value]:
    def build(tree: exp.Binary, columns: Mapping[str, Value]) -> Value:
        left, right = _same_kind(tree, _value(tree.this, columns), _value(tree.expression, columns))
        if left.kind not in NUMBERS:
            raise _refuse(tree, left, right)
        return Value(operation(left.data, right.data), _any_null(left, right), left.kind)

    return build


def _divide(tree: exp.Expr, columns: Mapping[str, Value]) -> Value:
    import tensorflow as tf

    left, right = (_value(part, columns) for part in (tree.this, tree.expression))
    if left.kind not in NUMBERS or right.kind not in NUMBERS:
        raise _refuse(tree, left, right)
    x, y = tf.cast(left.data, tf.float64), tf.cast(right.data, tf.float64)
    null = _any_null(left, right)
    if isinstance(tree, exp.SafeDivide):
        return Value(x / tf.where(y == 0, tf.ones_like(y), y), (y == 0) if null is None else null | (y == 0), "FLOAT64")
    _require(y != 0, null, "division by zero")
    return Value(x / y, null, "FLOAT64")


def _require(holds: Any, null: Any, problem: str) -> None:
    """Ends the call where a row that is not NULL does not hold."""
    import tensorflow as tf

    tf.debugging.Assert(tf.reduce_all(holds if null is None else holds | null), [problem])


def _compare(operation: Callable[[Any, Any], Any], ordered: bool) -> Callable[[Any, Mapping[str, Value]], Value]:
    def build(tree: exp.Binary, columns: Mapping[str, Value]) -> Value:
        left, right = _same_kind(tree, _value(tree.this, columns), _value(tree.expression, columns))
        if ordered and left.kind not in NUMBERS:
            raise _refuse(tree, left, right)
        return Value(operation(left.data, right.data), _any_null(left, right), "BOOL")

    return build


def _logic(tree: exp.Binary, columns: Mapping[str, Value]) -> Value:
    """AND and OR of three values: one operand may decide although the other is NULL."""
    left, right = (_value(part, columns) for part in (tree.this, tree.expression))
    if (left.kind, right.kind) != ("BOOL", "BOOL"):
        raise _refuse(tree, left, right)
    is_and = isinstance(tree, exp.And)
    data = left.data & right.data if is_and else left.data | right.data
    null = _any_null(left, right)
    if null is not None:
        for one in (left, right):
            decides = ~one.data if is_and else one.data
            null = null & ~(decides if one.null is None else decides & ~one.null)
        # Where one decides, the elements of a NULL must not matter.
        a, b = (_settled(one, is_and) for one in (left, right))
        data = a & b if is_and else a | b
    return Value(data, null, "BOOL")


def _settled(one: Value, as_true: bool) -> Any:
    """The elements with NULL as TRUE, or as FALSE."""
    if one.null is None:
        return one.data
    return one.data | one.null if as_true else one.data & ~one.null


def _not(tree: exp.Not, columns: Mapping[str, Value]) -> Value:
    value = _value(tree.this, columns)
    if value.kind != "BOOL":
        raise _refuse(tree, value)
    return Value(~value.data, value.null, "BOOL")


def _is(tree: exp.Is, columns: Mapping[str, Value]) -> Value:
    value = _value(tree.this, columns)
    if not isinstance(tree.expression, exp.Null):
        raise _refuse(tree, value)
    return _constant(False, "BOOL", columns) if value.null is None else Value(value.null, None, "BOOL")


def _between(tree: exp.Between, columns: Mapping[str, Value]) -> Value:
    low = exp.GTE(this=tree.this, expression=tree.args["low"])
    high = exp.LTE(this=tree.this, expression=tree.args["high"])
    return _value(exp.And(this=low, expression=high), columns)


def _in(tree: exp.In, columns: Mapping[str, Value]) -> Value:
    if not tree.expressions or any(tree.args.get(key) for key in ("query", "unnest")):
        raise _refuse(tree)
    tests: list[exp.Expr] = [exp.EQ(this=tree.this, expression=one) for one in tree.expressions]
    return _value(reduce(lambda a, b: exp.Or(this=a, expression=b), tests), columns)


def _choose(condition: Value, yes: Value, no: Value) -> Value:
    """IF: a condition that is NULL does not hold."""
    import tensorflow as tf

    holds = condition.data if condition.null is None else condition.data & ~condition.null
    never = tf.zeros_like(holds)
    masks = [never if one.null is None else one.null for one in (yes, no)]
    null = None if yes.null is None and no.null is None else tf.where(holds, *masks)
    return Value(tf.where(holds, yes.data, no.data), null, yes.kind)


def _cases(tree: exp.Expr, pairs: list[tuple[exp.Expr, exp.Expr]], default: Any, columns: Mapping[str, Value]) -> Value:
    """The first result whose condition holds. NULL among the results takes the kind of the others."""
    import tensorflow as tf

    results = [result for _, result in pairs] + [default if default is not None else exp.Null()]
    built = [None if isinstance(one, exp.Null) else _value(one, columns) for one in results]
    known = _same_kind(tree, *(one for one in built if one is not None))
    if not known:
        raise _refuse(tree)
    nothing = Value(tf.zeros_like(known[0].data), tf.fill(tf.shape(known[0].data), True), known[0].kind)
    left = iter(known)
    values = [nothing if one is None else next(left) for one in built]
    found = values[-1]
    for (condition, _), value in reversed(list(zip(pairs, values))):
        found = _choose(_value(condition, columns), value, found)
    return found


def _if(tree: exp.If, columns: Mapping[str, Value]) -> Value:
    return _cases(tree, [(tree.this, tree.args["true"])], tree.args.get("false"), columns)


def _case(tree: exp.Case, columns: Mapping[str, Value]) -> Value:
    whens = [(one.this, one.args["true"]) for one in tree.args["ifs"]]
    if tree.this is not None:
        whens = [(exp.EQ(this=tree.this, expression=test), result) for test, result in whens]
    return _cases(tree, whens, tree.args.get("default"), columns)


def _coalesce(tree: exp.Coalesce, columns: Mapping[str, Value]) -> Value:
    import tensorflow as tf

    values = _same_kind(tree, *(_value(one, columns) for one in (tree.this, *tree.expressions)))
    found = values[-1]
    for value in reversed(values[:-1]):
        if value.null is None:
            found = value
        else:
            null = None if found.null is None else value.null & found.null
            found = Value(tf.where(value.null, found.data, value.data), null, value.kind)
    return found


def _cast(tree: exp.Cast, columns: Mapping[str, Value]) -> Value:
    import tensorflow as tf

    to = KINDS.get(tree.to.sql(dialect="bigquery").upper(), "")
    if isinstance(tree.this, exp.Literal) and tree.this.is_string and to in NUMBERS:
        return _constant(float(tree.this.this) if to == "FLOAT64" else int(tree.this.this), to, columns)
    value = _value(tree.this, columns)
    if to == value.kind:
        return value
    if to == "FLOAT64" and value.kind == "INT64":
        return Value(tf.cast(value.data, tf.float64), value.null, to)
    if to == "INT64" and value.kind == "BOOL":
        return Value(tf.cast(value.data, tf.int64), value.null, to)
    if to == "STRING" and value.kind == "INT64":
        return Value(tf.strings.as_string(value.data), value.null, to)
    if to == "STRING" and value.kind == "BOOL":
        return Value(tf.where(value.data, "true", "false"), value.null, to)
    if to == "INT64" and value.kind == "FLOAT64":
        size = tf.abs(value.data)
        _require(size < 2.0**63, value.null, "a number is out of the range of INT64")
        # Halves away from zero; adding 0.5 first would round 0.49999999999999994 up.
        whole = tf.floor(size) + tf.cast(size - tf.floor(size) >= 0.5, tf.float64)
        return Value(tf.cast(tf.sign(value.data) * whole, tf.int64), value.null, to)
    raise _refuse(tree, value)


def _function(name: str, domain: str = "") -> Callable[[Any, Mapping[str, Value]], Value]:
    """A function of one number, whose result is FLOAT64."""

    def build(tree: exp.Expr, columns: Mapping[str, Value]) -> Value:
        import tensorflow as tf

        value = _value(tree.this, columns)
        if value.kind not in NUMBERS:
            raise _refuse(tree, value)
        x = tf.cast(value.data, tf.float64)
        if domain:
            _require(x > 0 if domain == "positive" else x >= 0, value.null, f"{name} of a number that is not {domain}")
        result = getattr(tf.math, name)(x)
        _require(tf.math.is_finite(result) | ~tf.math.is_finite(x), value.null, f"{name} overflows")
        return Value(result, value.null, "FLOAT64")

    return build


def _abs(tree: exp.Abs, columns: Mapping[str, Value]) -> Value:
    import tensorflow as tf

    value = _value(tree.this, columns)
    if value.kind not in NUMBERS:
        raise _refuse(tree, value)
    return Value(tf.abs(value.data), value.null, value.kind)


def _negative(tree: exp.Neg, columns: Mapping[str, Value]) -> Value:
    value = _value(tree.this, columns)
    if value.kind not in NUMBERS:
        raise _refuse(tree, value)
    return Value(-value.data, value.null, value.kind)


def _text(operation: str) -> Callable[[Any, Mapping[str, Value]], Value]:
    def build(tree: exp.Expr, columns: Mapping[str, Value]) -> Value:
        import tensorflow as tf

        value = _value(tree.this, columns)
        if value.kind != "STRING":
            raise _refuse(tree, value)
        if operation == "length":
            return Value(tf.cast(tf.strings.length(value.data, "UTF8_CHAR"), tf.int64), value.null, "INT64")
        return Value(getattr(tf.strings, operation)(value.data, encoding="utf-8"), value.null, "STRING")

    return build


def _concat(tree: exp.Concat, columns: Mapping[str, Value]) -> Value:
    import tensorflow as tf

    values = [_value(one, columns) for one in tree.expressions]
    if any(value.kind != "STRING" for value in values):
        raise _refuse(tree, *values)
    return Value(tf.strings.join([value.data for value in values]), _any_null(*values), "STRING")


EXPRESSIONS: dict[type, Callable[[Any, Mapping[str, Value]], Value]] = {
    exp.Column: _read,
    exp.Literal: _literal,
    exp.Boolean: lambda tree, columns: _constant(bool(tree.this), "BOOL", columns),
    exp.Paren: lambda tree, columns: _value(tree.this, columns),
    exp.Neg: _negative,
    exp.Add: _arithmetic(lambda a, b: a + b),
    exp.Sub: _arithmetic(lambda a, b: a - b),
    exp.Mul: _arithmetic(lambda a, b: a * b),
    exp.Div: _divide,
    exp.SafeDivide: _divide,
    exp.EQ: _compare(lambda a, b: a == b, ordered=False),
    exp.NEQ: _compare(lambda a, b: a != b, ordered=False),
    exp.GT: _compare(lambda a, b: a > b, ordered=True),
    exp.GTE: _compare(lambda a, b: a >= b, ordered=True),
    exp.LT: _compare(lambda a, b: a < b, ordered=True),
    exp.LTE: _compare(lambda a, b: a <= b, ordered=True),
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _not,
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.If: _if,
    exp.Case: _case,
    exp.Coalesce: _coalesce,
    exp.Cast: _cast,
    exp.Abs: _abs,
    exp.Exp: _function("exp"),
    exp.Ln: _function("log", "positive"),
    exp.Sqrt: _function("sqrt", "not negative"),
    exp.Floor: _function("floor"),
    exp.Ceil: _function("ceil"),
    exp.Lower: _text("lower"),
    exp.Upper: _text("upper"),
    exp.Length: _text("length"),
    exp.Concat: _concat,
}

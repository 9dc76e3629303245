"""The manual preprocessing functions: ML.BUCKETIZE, ML.STANDARD_SCALER and the rest.

Each learns what it needs from training rows (nothing, for those without OVER()) and gives a function of a column that
can be pickled. Source of arguments, results and the tests' examples: the page of each function in
cloud.google.com/bigquery/docs/reference/standard-sql.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, floats, is_numeric, single, type_name
from localgcp.bqml.errors import BadRequest

Apply = Callable[[pa.Array], pa.Array]
# (training column, constant arguments after the first) -> what to do with any column
Learn = Callable[[pa.Array, list[Any]], Apply]
ENCODED = pa.list_(pa.struct([("index", pa.int64()), ("value", pa.float64())]))


@dataclass(frozen=True)
class Function:
    learn: Learn
    analytic: bool  # needs OVER()
    most: int  # constant arguments at most
    least: int = 0


def learn_function(name: str, column: Any, arguments: list[Any], over: bool) -> Apply:
    """Raises BadRequest for a function that does not exist, a missing OVER() or wrong arguments."""
    if name not in FUNCTIONS:
        raise BadRequest(f"Function not found: ML.{name}")
    function = FUNCTIONS[name]
    if function.analytic and not over:
        raise BadRequest(f"Analytic function ML.{name} cannot be called without an OVER clause.")
    if over and not function.analytic:
        raise BadRequest(f"Function ML.{name} does not support an OVER clause.")
    if not function.least <= len(arguments) <= function.most:
        raise BadRequest(f"No matching signature for function ML.{name}: wrong number of arguments.")
    return function.learn(single(column), arguments)


def quantile(sorted_values: Floats, share: float) -> float:
    """The smallest value with at least this share of the values at or below it."""
    position = int(np.ceil(round(share * len(sorted_values), 9))) - 1
    return float(sorted_values[max(0, position)])


def known(column: pa.Array, name: str) -> Floats:
    """The sorted values of a numeric column without NULL. Raises BadRequest."""
    if not is_numeric(column.type) and column.type != pa.null():
        raise BadRequest(f"No matching signature for function ML.{name} for argument type {type_name(column.type)}.")
    x = floats(column)
    values = np.sort(x[~np.isnan(x)])
    if not len(values):
        raise BadRequest(f"ML.{name}: the input has no value that is not NULL.")
    return values


def numbers(x: Floats) -> pa.Array:
    """FLOAT64 with NULL for NaN."""
    return pa.array(x, pa.float64(), mask=np.isnan(x))


# Scalers


def scale(column: pa.Array, offset: float, divisor: float) -> pa.Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return numbers((floats(column) - offset) / (divisor or np.nan))


def clip_scale(column: pa.Array, offset: float, divisor: float) -> pa.Array:
    x = np.clip(floats(scale(column, offset, divisor)), 0, 1)
    return numbers(x)


def standard_scaler(column: pa.Array, arguments: list[Any]) -> Apply:
    values = known(column, "STANDARD_SCALER")
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return partial(scale, offset=float(values.mean()), divisor=deviation)


def min_max_scaler(column: pa.Array, arguments: list[Any]) -> Apply:
    values = known(column, "MIN_MAX_SCALER")
    return partial(clip_scale, offset=float(values[0]), divisor=float(values[-1] - values[0]))


def max_abs_scaler(column: pa.Array, arguments: list[Any]) -> Apply:
    return partial(scale, offset=0.0, divisor=float(np.abs(known(column, "MAX_ABS_SCALER")).max()))


def robust_scaler(column: pa.Array, arguments: list[Any]) -> Apply:
    defaults: list[Any] = [[25, 75], True, True]
    (low, high), centre, scaled = [*arguments, *defaults[len(arguments) :]]
    if not 0 < low < high < 100:
        raise BadRequest("ML.ROBUST_SCALER: quantile_range must hold two values, 0 < lower < upper < 100.")
    values = known(column, "ROBUST_SCALER")
    spread = quantile(values, high / 100) - quantile(values, low / 100)
    return partial(scale, offset=quantile(values, 0.5) if centre else 0.0, divisor=spread if scaled else 1.0)


# Imputer


def impute(column: pa.Array, value: Any) -> pa.Array:
    if isinstance(value, str):
        return column.cast(pa.string()).fill_null(value)
    x = floats(column)
    return pa.array(np.where(np.isnan(x), value, x), pa.float64())


def imputer(column: pa.Array, arguments: list[Any]) -> Apply:
    strategy = str(arguments[0]).lower()
    if strategy == "most_frequent":
        counts = Counter(v for v in column.to_pylist() if v is not None)
        if not counts:
            raise BadRequest("ML.IMPUTER: the input has no value that is not NULL.")
        best = min(counts, key=lambda value: (-counts[value], value))
        return partial(impute, value=best if isinstance(best, str) else float(best))
    values = known(column, "IMPUTER")
    if strategy == "mean":
        return partial(impute, value=float(values.mean()))
    if strategy == "median":
        return partial(impute, value=quantile(values, 0.5))
    raise BadRequest(f"ML.IMPUTER: strategy must be mean, median or most_frequent, got {arguments[0]!r}.")


# Buckets


def put_in_bucket(column: pa.Array, points: list[float], output: str) -> pa.Array:
    """Bucket i holds points[i-1] <= x < points[i]."""
    x = floats(column)
    names = pa.array([bucket_name(i, points, output) for i in range(len(points) + 1)], pa.string())
    return names.take(pa.array(np.searchsorted(points, x, side="right"), mask=np.isnan(x)))


def bucket_name(index: int, points: list[float], output: str) -> str:
    if output == "bucket_names":
        return f"bin_{index + 1}"
    low = None if index == 0 else _number_text(points[index - 1])
    high = None if index == len(points) else _number_text(points[index])
    if output == "bucket_ranges_json":
        return json.dumps({"start": low or "-Infinity", "end": high or "Infinity"})
    return f"{'(-inf' if low is None else '[' + low}, {'+inf' if high is None else high})"


def bucketize(column: pa.Array, arguments: list[Any]) -> Apply:
    defaults: list[Any] = [None, False, "bucket_names"]
    points, exclude, output = [*arguments, *defaults[len(arguments) :]]
    if not isinstance(points, list) or not points or not all(isinstance(p, int | float) for p in points):
        raise BadRequest("ML.BUCKETIZE: array_split_points must be an array of finite numbers.")
    if sorted(points) != points:
        raise BadRequest("ML.BUCKETIZE: array_split_points must be in ascending order.")
    return partial(put_in_bucket, points=points[1:-1] if exclude else points, output=_format(output, "BUCKETIZE"))


def quantile_bucketize(column: pa.Array, arguments: list[Any]) -> Apply:
    count, output = arguments[0], arguments[1] if len(arguments) > 1 else "bucket_names"
    if not isinstance(count, int) or count < 1:
        raise BadRequest("ML.QUANTILE_BUCKETIZE: num_buckets must be a positive INT64.")
    values = known(column, "QUANTILE_BUCKETIZE")
    points = sorted({quantile(values, i / count) for i in range(1, count)})
    return partial(put_in_bucket, points=points, output=_format(output, "QUANTILE_BUCKETIZE"))


def _format(output: str, name: str) -> str:
    if output not in ("bucket_names", "bucket_ranges", "bucket_ranges_json"):
        raise BadRequest(f"ML.{name}: output_format must be bucket_names, bucket_ranges or bucket_ranges_json.")
    return output


def _number_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


# Encoders


def vocabulary(column: pa.Array, name: str, top_k: int, least: int) -> list[str]:
    """The most frequent categories, in alphabetical order."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        raise BadRequest(f"No matching signature for function ML.{name} for argument type {type_name(column.type)}.")
    if not 0 < top_k < 1_000_000:
        raise BadRequest(f"ML.{name}: top_k must be positive and less than 1,000,000.")
    counts = Counter(v for v in column.to_pylist() if v is not None)
    frequent = [v for v in sorted(counts, key=lambda v: (-counts[v], v)) if counts[v] >= least]
    return sorted(frequent[:top_k])


def label_encode(column: pa.Array, categories: list[str]) -> pa.Array:
    index = {category: i + 1 for i, category in enumerate(categories)}
    return pa.array([index.get(v, 0) for v in column.to_pylist()], pa.int64())


def label_encoder(column: pa.Array, arguments: list[Any]) -> Apply:
    defaults: list[Any] = [32_000, 5]
    top_k, least = [*arguments, *defaults[len(arguments) :]]
    return partial(label_encode, categories=vocabulary(column, "LABEL_ENCODER", top_k, least))


def one_hot_encode(column: pa.Array, categories: list[str], dropped: int) -> pa.Array:
    found = label_encode(column, categories).to_pylist()
    return pa.array([[{"index": i, "value": 0.0 if i == dropped else 1.0}] for i in found], ENCODED)


def one_hot_encoder(column: pa.Array, arguments: list[Any]) -> Apply:
    defaults: list[Any] = ["none", 32_000, 5]
    drop, top_k, least = [*arguments, *defaults[len(arguments) :]]
    if drop not in ("none", "most_frequent"):
        raise BadRequest(f"ML.ONE_HOT_ENCODER: drop must be none or most_frequent, got {drop!r}.")
    categories = vocabulary(column, "ONE_HOT_ENCODER", top_k, least)
    counts = Counter(column.to_pylist())
    frequent = min(categories, key=lambda v: (-counts[v], v)) if categories and drop == "most_frequent" else None
    return partial(
        one_hot_encode, categories=categories, dropped=-1 if frequent is None else categories.index(frequent) + 1
    )


# Several columns and arrays


def fields(column: pa.Array, name: str, degree: int, low: int) -> None:
    if not pa.types.is_struct(column.type):
        raise BadRequest(f"ML.{name}: the first argument must be a STRUCT with named fields.")
    names = [field.name for field in column.type]
    if len(names) > 10 or len(set(names)) != len(names) or not all(names):
        raise BadRequest(f"ML.{name}: at most 10 features, each with a name of its own.")
    if not low <= degree <= 4:
        raise BadRequest(f"ML.{name}: degree must be in [{low}, 4], got {degree}.")


def combinations(count: int, degree: int, again: bool) -> list[tuple[int, ...]]:
    """Index tuples up to the degree, each after its own beginning: (0), (0, 0), (0, 1), (1), (1, 1)."""

    def after(start: tuple[int, ...]) -> list[tuple[int, ...]]:
        first = 0 if not start else start[-1] + (0 if again else 1)
        longer = [(*start, i) for i in range(first, count)] if len(start) < degree else []
        return ([start] if start else []) + [one for following in longer for one in after(following)]

    return after(())


def cross(column: pa.Array, degree: int) -> pa.Array:
    names = [field.name for field in column.type]
    parts = [column.field(i).cast(pa.string()).to_pylist() for i in range(len(names))]
    chosen = [c for c in combinations(len(names), degree, again=False) if len(c) > 1]
    crossed = [
        pa.array(
            [None if any(v is None for v in row) else "_".join(row) for row in zip(*(parts[i] for i in c))], pa.string()
        )
        for c in chosen
    ]
    return pa.StructArray.from_arrays(crossed, names=["_".join(names[i] for i in c) for c in chosen])


def feature_cross(column: pa.Array, arguments: list[Any]) -> Apply:
    degree = arguments[0] if arguments else 2
    fields(column, "FEATURE_CROSS", degree, 2)
    return partial(cross, degree=degree)


def expand_polynomial(column: pa.Array, degree: int) -> pa.Array:
    names = [field.name for field in column.type]
    parts = [floats(column.field(i)) for i in range(len(names))]
    chosen = combinations(len(names), degree, again=True)
    products = [numbers(np.prod([parts[i] for i in c], axis=0)) for c in chosen]
    return pa.StructArray.from_arrays(products, names=["_".join(names[i] for i in c) for c in chosen])


def polynomial_expand(column: pa.Array, arguments: list[Any]) -> Apply:
    degree = arguments[0] if arguments else 2
    fields(column, "POLYNOMIAL_EXPAND", degree, 1)
    for field in column.type:
        if not is_numeric(field.type):
            raise BadRequest(f"ML.POLYNOMIAL_EXPAND: feature {field.name} is not numerical.")
    return partial(expand_polynomial, degree=degree)


def join_tokens(column: pa.Array, low: int, high: int, separator: str) -> pa.Array:
    def grams(tokens: list[str]) -> list[str]:
        return [
            separator.join(tokens[start : start + size])
            for start in range(len(tokens))
            for size in range(low, high + 1)
            if start + size <= len(tokens)
        ]

    return pa.array([None if row is None else grams(row) for row in column.to_pylist()], pa.list_(pa.string()))


def ngrams(column: pa.Array, arguments: list[Any]) -> Apply:
    size, separator = arguments[0], arguments[1] if len(arguments) > 1 else " "
    low, high = size if isinstance(size, list) and len(size) == 2 else (size, size)
    if not (isinstance(low, int) and isinstance(high, int) and 1 <= low <= high):
        raise BadRequest("ML.NGRAMS: range must be one INT64 or an array of two, lower first.")
    return partial(join_tokens, low=low, high=high, separator=separator)


FUNCTIONS = {
    "BUCKETIZE": Function(bucketize, analytic=False, most=3, least=1),
    "FEATURE_CROSS": Function(feature_cross, analytic=False, most=1),
    "IMPUTER": Function(imputer, analytic=True, most=1, least=1),
    "LABEL_ENCODER": Function(label_encoder, analytic=True, most=2),
    "MAX_ABS_SCALER": Function(max_abs_scaler, analytic=True, most=0),
    "MIN_MAX_SCALER": Function(min_max_scaler, analytic=True, most=0),
    "NGRAMS": Function(ngrams, analytic=False, most=2, least=1),
    "ONE_HOT_ENCODER": Function(one_hot_encoder, analytic=True, most=3),
    "POLYNOMIAL_EXPAND": Function(polynomial_expand, analytic=False, most=1),
    "QUANTILE_BUCKETIZE": Function(quantile_bucketize, analytic=True, most=2, least=1),
    "ROBUST_SCALER": Function(robust_scaler, analytic=True, most=3),
    "STANDARD_SCALER": Function(standard_scaler, analytic=True, most=0),
}

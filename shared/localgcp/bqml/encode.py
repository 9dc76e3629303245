"""Automatic feature preprocessing, as documented: what CREATE MODEL does to columns before training.

Numbers are mean-imputed and standardised by the sample standard deviation; other scalars become one category each,
with NULL a category of its own if training saw one, and an unseen category all zeros. A TIMESTAMP becomes its Unix time
and seven calendar parts, a STRUCT its fields as `struct_field`.
Source: cloud.google.com/bigquery/docs/auto-preprocessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import Floats, codes, floats, is_numeric, is_timestamp, single, texts, type_name
from localgcp.bqml.errors import BadRequest, unimplemented

NULL_CATEGORY = "_null_filler"
# Dense float64: 4 GiB. Beyond it a laptop would swap instead of saying why.
MAX_CELLS = 4 * 2**30 // 8


class Block(Protocol):
    """One processed input: a column of the features after expansion, and its columns of the design matrix."""

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str:
        """The feature it comes from."""

    @property
    def width(self) -> int: ...

    def matrix(self, column: Any) -> Floats:
        """Shape (rows, width). Raises BadRequest for a column of another type."""


@dataclass(frozen=True)
class Number:
    """(x - mean) / scale, NULL as the mean."""

    name: str
    source: str
    mean: float
    scale: float
    centre: bool = True
    width: int = 1

    def matrix(self, column: Any) -> Floats:
        if not (is_numeric(column.type) or pa.types.is_boolean(column.type)):
            raise BadRequest(
                f"Column {self.name} has type {type_name(column.type)}, but the model was trained on a number."
            )
        return self.standardise(floats(column))[:, None]

    def standardise(self, x: Floats) -> Floats:
        filled = np.where(np.isnan(x), self.mean, x)
        return (filled - self.mean) / self.scale if self.centre else filled


@dataclass(frozen=True)
class Category:
    """One column of 0 and 1 for each category; `dropped` (dummy encoding) stays 0."""

    name: str
    source: str
    categories: tuple[str, ...]
    dropped: int | None = None

    @property
    def width(self) -> int:
        return len(self.categories)

    def matrix(self, column: Any) -> Floats:
        found = category_codes(column, self.categories)
        out = np.zeros((len(found), self.width))
        seen = found >= 0
        out[np.flatnonzero(seen), found[seen]] = 1.0
        if self.dropped is not None:
            out[:, self.dropped] = 0.0
        return out


@dataclass(frozen=True)
class Label:
    """Label encoding of the tree models: 1 … n in alphabetical order, 0 for NULL and for the unseen."""

    name: str
    source: str
    categories: tuple[str, ...]
    width: int = 1

    def matrix(self, column: Any) -> Floats:
        return (codes(column, list(self.categories)) + 1).astype(float)[:, None]


@dataclass(frozen=True)
class Target:
    """Target encoding of the tree models: the mean label of the category; of all rows for what training never saw."""

    name: str
    source: str
    categories: tuple[str, ...]
    means: tuple[float, ...]
    overall: float
    width: int = 1

    def matrix(self, column: Any) -> Floats:
        table = np.array([*self.means, self.overall])  # index -1, not found, is the last
        return np.asarray(table[category_codes(column, self.categories)][:, None])


@dataclass(frozen=True)
class MultiHot:
    """ARRAY of categories: a column for each element that training saw."""

    name: str
    source: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.categories)

    def matrix(self, column: Any) -> Floats:
        rows = pc.list_parent_indices(single(column)).to_numpy(zero_copy_only=False)
        found = codes(pc.list_flatten(single(column)), list(self.categories))
        out = np.zeros((len(column), self.width))
        out[rows[found >= 0], found[found >= 0]] = 1.0
        return out


@dataclass(frozen=True)
class Vector:
    """ARRAY<FLOAT64> of one length, or the sparse ARRAY<STRUCT<INT64, FLOAT64>> of ML.ONE_HOT_ENCODER; unchanged."""

    name: str
    source: str
    width: int

    def matrix(self, column: Any) -> Floats:
        out = np.zeros((len(column), self.width))
        for row, items in enumerate(single(column).to_pylist()):
            for position, item in enumerate(items or []):
                index, value = tuple(item.values()) if isinstance(item, dict) else (position, item)
                if index < self.width:
                    out[row, index] = value
        return out


@dataclass(frozen=True)
class Encoder:
    """The blocks of a model's features, in the features' order."""

    blocks: tuple[Block, ...]

    @property
    def features(self) -> list[str]:
        """Names of the columns that the model reads."""
        return list(dict.fromkeys(block.source for block in self.blocks))

    @property
    def width(self) -> int:
        return sum(block.width for block in self.blocks)

    def sources(self) -> list[str]:
        """For each column of the matrix, the feature it comes from."""
        return [block.source for block in self.blocks for _ in range(block.width)]

    def matrix(self, table: pa.Table, function: str = "PREDICT") -> Floats:
        """Shape (rows, width). Raises BadRequest for a missing feature or another type."""
        if len(table) * self.width > MAX_CELLS:
            raise BadRequest(
                f"Resources exceeded: {len(table)} rows of {self.width} encoded features need more than 4 GiB here."
            )
        expanded = expand(select(table, self.features, function))
        parts = [block.matrix(expanded[block.name]) for block in self.blocks]
        return np.hstack(parts) if parts else np.zeros((len(table), 0))

    def baseline(self, table: pa.Table) -> Floats:
        """The matrix row of the mean number and of no category."""
        numbers = [isinstance(block, Number) for block in self.blocks for _ in range(block.width)]
        return np.where(numbers, self.matrix(table).mean(axis=0), 0.0)


def fit_encoder(
    features: pa.Table, standardize: bool = True, encoding: str = "ONE_HOT_ENCODING", target: Floats | None = None
) -> Encoder:
    """Learns the blocks from training rows.

    `encoding` is CATEGORY_ENCODING_METHOD; `target` is what TARGET_ENCODING takes the mean of.
    """
    sources = _sources(features)
    expanded = expand(features)
    blocks: list[Block] = []
    for name in expanded.column_names:
        blocks.append(_fit(name, sources[name], single(expanded[name]), standardize, encoding, target))
    return Encoder(tuple(blocks))


def _fit(name: str, source: str, column: pa.Array, standardize: bool, encoding: str, target: Floats | None) -> Block:
    if is_numeric(column.type):
        x = floats(column)
        known = x[~np.isnan(x)]
        mean = float(known.mean()) if len(known) else 0.0
        deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
        return Number(name, source, mean, deviation if standardize and deviation > 0 else 1.0, centre=standardize)
    if pa.types.is_list(column.type):
        return _fit_array(name, source, column)
    values = texts(column)
    found = tuple(sorted(v for v in pc.unique(values).to_pylist() if v is not None))
    if encoding == "LABEL_ENCODING":
        return Label(name, source, found)
    categories = (*found, NULL_CATEGORY) if values.null_count else found
    where = category_codes(values, categories)
    counts = np.bincount(where, minlength=len(categories))
    if encoding == "TARGET_ENCODING":
        assert target is not None
        sums = np.bincount(where, weights=target, minlength=len(categories))
        return Target(name, source, categories, tuple((sums / counts).tolist()), float(target.mean()))
    dropped = int(counts.argmax()) if encoding == "DUMMY_ENCODING" else None
    return Category(name, source, categories, dropped)


def _fit_array(name: str, source: str, column: pa.Array) -> Block:
    element = column.type.value_type
    if pa.types.is_struct(element):
        flat = pc.list_flatten(column)
        if element.num_fields != 2 or not pa.types.is_integer(element.field(0).type):
            raise BadRequest(
                f"Unsupported type of feature {name}: ARRAY<STRUCT> must be ARRAY<STRUCT<INT64, FLOAT64>>."
            )
        top = pc.max(pc.struct_field(flat, 0)).as_py()
        return Vector(name, source, 0 if top is None else top + 1)
    if is_numeric(element):
        lengths = set(pc.unique(pc.list_value_length(column)).to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise BadRequest(f"Feature {name}: all ARRAYs of numbers must have the same length.")
        return Vector(name, source, lengths.pop())
    found = sorted(v for v in pc.unique(texts(pc.list_flatten(column))).to_pylist() if v is not None)
    return MultiHot(name, source, tuple(found))


def category_codes(column: Any, categories: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index into the categories, NULL as its own category if there is one; -1 for the unseen."""
    found = codes(column, list(categories))
    if categories and categories[-1] == NULL_CATEGORY:
        found = np.where(texts(column).is_null().to_numpy(zero_copy_only=False), len(categories) - 1, found)
    return found


def select(table: pa.Table, names: Sequence[str], function: str) -> pa.Table:
    """Columns by name, whose case does not matter. Raises BadRequest for the first that is missing."""
    have = {column.lower(): column for column in table.column_names}
    for name in names:
        if name.lower() not in have:
            raise BadRequest(f"Column {name} is not found in the input data to the {function} function.")
    return pa.table([table[have[name.lower()]] for name in names], names=list(names))


def expand(features: pa.Table) -> pa.Table:
    """STRUCT fields and TIMESTAMP parts as columns of their own; DATE, TIME, … stay."""
    columns: dict[str, Any] = {}
    for name in features.column_names:
        for part, column in _expanded(name, single(features[name])):
            columns[part] = column
    return pa.table(columns) if columns else features.select([])


def _sources(features: pa.Table) -> dict[str, str]:
    return {part: name for name in features.column_names for part, _ in _expanded(name, single(features[name]))}


def _expanded(name: str, column: pa.Array) -> list[tuple[str, pa.Array]]:
    if pa.types.is_struct(column.type):
        fields = [(f"{name}_{field.name}", column.field(i)) for i, field in enumerate(column.type)]
        for part, inner in fields:
            if pa.types.is_struct(inner.type):
                raise BadRequest(f"Nested STRUCT in feature {part} is not supported.")
        return [pair for part, inner in fields for pair in _expanded(part, inner)]
    if is_timestamp(column.type):
        return _calendar(name, column)
    if type_name(column.type) in ("ARRAY", "STRING", "BYTES", "BOOL", "DATE", "DATETIME", "TIME") or is_numeric(
        column.type
    ):
        return [(name, column)]
    raise unimplemented(f"feature {name} of type {type_name(column.type)}")


def _calendar(name: str, column: pa.Array) -> list[tuple[str, pa.Array]]:
    """The documented parts of a TIMESTAMP: `_TS_DOM_x` and so on."""
    seconds = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.int64()), 1_000_000)
    week = pc.strftime(pc.cast(column, pa.timestamp("us", "UTC")), format="%U")  # weeks begin on Sunday
    parts = {
        "DOM": pc.day(column),
        "DOW": pc.add(pc.day_of_week(column, week_start=7), 1),  # 1 is Sunday, as in EXTRACT(DAYOFWEEK)
        "MOY": pc.month(column),
        "HOD": pc.hour(column),
        "MOH": pc.minute(column),
        "WOY": pc.cast(week, pa.int64()),
        "YEAR": pc.year(column),
    }
    return [(name, seconds), *((f"_TS_{part}_{name}", pc.cast(values, pa.string())) for part, values in parts.items())]

"""MATRIX_FACTORIZATION: alternating least squares, explicit or weighted for implicit feedback.

Explicit minimises  sum (r - x_u'y_i)^2 + l2_reg (sum |x_u|^2 + sum |y_i|^2), the documented loss, on ratings with their
global mean and the intercepts of users and items taken off (shrunk by l2_reg too); implicit minimises the documented
weighted loss over all pairs with confidence 1 + alpha r. How the service finds its intercepts is not published.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import Floats, floats, is_numeric, single, texts, type_name
from localgcp.bqml.encode import select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.metrics import Indices, regression_metrics
from localgcp.bqml.models.base import Iteration, Metrics, Model, Training
from localgcp.bqml.options import REGISTRY, SPLIT, STOP, TUNING, Option, Options

SEED = 20260601
GLOBAL = "global__intercept__"
FACTORS = pa.list_(pa.struct([("factor", pa.int64()), ("weight", pa.float64())]))
MOST_PAIRS = 50_000_000


@dataclass
class MatrixFactorization(Model):
    OPTIONS = {
        **SPLIT,
        **STOP,
        **TUNING,
        **REGISTRY,
        "data_split_method": Option(
            "choice", "NO_SPLIT", choices=("AUTO_SPLIT", "RANDOM", "CUSTOM", "SEQ", "NO_SPLIT")
        ),
        "feedback_type": Option("choice", "EXPLICIT", choices=("EXPLICIT", "IMPLICIT")),
        "num_factors": Option("int", None, low=2, high=200, search=(2, 20)),
        "user_col": Option("string", "user"),
        "item_col": Option("string", "item"),
        "rating_col": Option("string", "rating"),
        "l2_reg": Option("float", 1.0, low=0, search=(0, 10), log=True),
        "wals_alpha": Option("float", None, low=0, search=(0, 100)),
    }
    SPLITS = True
    OBJECTIVES = ("MEAN_SQUARED_ERROR",)

    names: tuple[str, str, str]  # user, item and rating column
    users: pa.Array
    items: pa.Array
    user_factors: Floats
    item_factors: Floats
    mean: float
    user_intercepts: Floats
    item_intercepts: Floats
    observed: pa.Table  # the training pairs, for the figures of implicit feedback

    @classmethod
    def fit(cls, data: Training) -> MatrixFactorization:
        options = data.options
        names = (options["user_col"], options["item_col"], options["rating_col"])
        implicit = options["feedback_type"] == "IMPLICIT"
        if options["wals_alpha"] is not None and not implicit:
            raise BadRequest("WALS_ALPHA can only be specified when FEEDBACK_TYPE is IMPLICIT.")
        table = select(data.train, names, "CREATE MODEL")
        if data.train.num_columns != 3:
            raise BadRequest(f"Matrix factorization needs exactly 3 columns ({', '.join(names)}).")
        table = table.filter(pc.and_(table[names[0]].is_valid(), table[names[1]].is_valid()))
        users, user = distinct(table[names[0]])
        items, item = distinct(table[names[1]])
        rating = ratings(table, names[2])
        count = options["num_factors"] or max(2, min(200, int(math.log2(len(rating)))))
        random = np.random.default_rng(SEED)
        start = random.normal(0, 0.1, (len(users), count)), random.normal(0, 0.1, (len(items), count))
        zero_users, zero_items = np.zeros(len(users)), np.zeros(len(items))
        model = cls(options, None, names, users, items, *start, 0.0, zero_users, zero_items, table)
        if implicit:
            model._fit_implicit(user, item, rating, data)
        else:
            model._fit_explicit(user, item, rating, data)
        return model

    @property
    def features(self) -> list[str]:
        return list(self.names[:2])

    @property
    def output(self) -> str:
        implicit = self.options["feedback_type"] == "IMPLICIT"
        return f"predicted_{self.names[2]}" + ("_confidence" if implicit else "")

    def scores(self, user: Indices, item: Indices) -> Floats:
        """Rating of each pair; -1 stands for the unseen, which has neither factors nor an intercept."""
        known = (user >= 0) & (item >= 0)
        out = self.mean + np.where(user >= 0, self.user_intercepts[user], 0.0)
        out = out + np.where(item >= 0, self.item_intercepts[item], 0.0)
        products = np.einsum("ij,ij->i", self.user_factors[user[known]], self.item_factors[item[known]])
        out[known] += products
        return out

    def recommend(self, rows: pa.Table | None) -> pa.Table:
        """ML.RECOMMEND: pairs given, all items of given users, all users of given items, or all pairs."""
        user_name, item_name, _ = self.names
        have = {} if rows is None else {name.lower(): name for name in rows.column_names}
        both = user_name.lower() in have and item_name.lower() in have
        if rows is not None and both:
            given = select(rows, self.features, "RECOMMEND")
            scored = self.scores(*self.pair_indices(given))
            others = [n for n in rows.column_names if n.lower() not in (user_name.lower(), item_name.lower())]
            return pa.table(
                [pa.array(scored, pa.float64()), given[user_name], given[item_name], *(rows[n] for n in others)],
                names=[self.output, user_name, item_name, *others],
            )
        if rows is not None and not (user_name.lower() in have or item_name.lower() in have):
            raise BadRequest(f"ML.RECOMMEND: the input must have column {user_name} or column {item_name}.")
        if rows is not None and rows.num_columns != 1:
            raise BadRequest("ML.RECOMMEND: an input without both user and item can only have one column.")
        of_users = rows is not None and user_name.lower() in have
        of_items = rows is not None and item_name.lower() in have
        users = pc.unique(single(select(rows, [user_name], "RECOMMEND")[user_name])) if of_users else self.users
        items = pc.unique(single(select(rows, [item_name], "RECOMMEND")[item_name])) if of_items else self.items
        if len(users) * len(items) > MOST_PAIRS:
            raise BadRequest(f"Resources exceeded: {len(users)} users times {len(items)} items are too many rows here.")
        left = pa.array(np.repeat(np.arange(len(users)), len(items)))
        right = pa.array(np.tile(np.arange(len(items)), len(users)))
        pairs = pa.table([users.take(left), items.take(right)], names=[user_name, item_name])
        scored = self.scores(*self.pair_indices(pairs))
        return pairs.add_column(0, self.output, pa.array(scored, pa.float64()))

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        raise BadRequest("ML.PREDICT is not supported for model type MATRIX_FACTORIZATION: use ML.RECOMMEND.")

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        table = select(rows, self.names, "EVALUATE")
        user, item = self.pair_indices(table)
        rating = ratings(table, self.names[2])
        if self.options["feedback_type"] == "IMPLICIT":
            return self._ranking(user, item, rating)
        return regression_metrics(rating, self.scores(user, item))

    def pair_indices(self, rows: pa.Table) -> tuple[Indices, Indices]:
        return locate(rows[self.names[0]], self.users), locate(rows[self.names[1]], self.items)

    def weight_table(self) -> pa.Table:
        """ML.WEIGHTS: factors and intercept of every user and item, and the global one."""
        rows: list[tuple[str | None, str | None, list[dict[str, Any]], float]] = []
        for name, labels, factors, intercepts in (
            (self.names[0], self.users, self.user_factors, self.user_intercepts),
            (self.names[1], self.items, self.item_factors, self.item_intercepts),
        ):
            for label, values, intercept in zip(texts(labels).to_pylist(), factors, intercepts):
                pairs = [{"factor": i + 1, "weight": float(v)} for i, v in enumerate(values)]
                rows.append((name, label, pairs, float(intercept)))
        rows.append((None, GLOBAL, [], self.mean))
        return pa.table(
            {
                "processed_input": pa.array([row[0] for row in rows], pa.string()),
                "feature": pa.array([row[1] for row in rows], pa.string()),
                "factor_weights": pa.array([row[2] for row in rows], FACTORS),
                "intercept": pa.array([row[3] for row in rows], pa.float64()),
            }
        )

    def _fit_explicit(self, user: Indices, item: Indices, rating: Floats, data: Training) -> None:
        options = self.options
        self.mean = float(rating.mean())
        shrink = options["l2_reg"]
        # Intercepts first, each the shrunk mean of what the others leave.
        for _ in range(10):
            rest = rating - self.mean - self.item_intercepts[item]
            self.user_intercepts = _shrunk_means(user, rest, len(self.users), shrink)
            rest = rating - self.mean - self.user_intercepts[user]
            self.item_intercepts = _shrunk_means(item, rest, len(self.items), shrink)
        residual = rating - self.mean - self.user_intercepts[user] - self.item_intercepts[item]
        penalty = max(shrink, 1e-9)
        held_out = self._held_out(data)

        def step() -> float:
            self.user_factors = least_squares(user, item, residual, self.item_factors, len(self.users), penalty)
            self.item_factors = least_squares(item, user, residual, self.user_factors, len(self.items), penalty)
            return float(np.mean((rating - self.scores(user, item)) ** 2))

        self.iterations = alternate(step, held_out, options)

    def _fit_implicit(self, user: Indices, item: Indices, rating: Floats, data: Training) -> None:
        alpha = 40.0 if self.options["wals_alpha"] is None else self.options["wals_alpha"]
        if (rating < 0).any():
            raise BadRequest("Implicit feedback needs ratings that are not negative.")
        penalty = max(self.options["l2_reg"], 1e-9)

        def step() -> float:
            self.user_factors = weighted(user, item, rating, self.item_factors, len(self.users), penalty, alpha)
            self.item_factors = weighted(item, user, rating, self.user_factors, len(self.items), penalty, alpha)
            return self._implicit_loss(user, item, rating, alpha, penalty)

        self.iterations = alternate(step, None, self.options)

    def _implicit_loss(self, user: Indices, item: Indices, rating: Floats, alpha: float, penalty: float) -> float:
        """The documented sum over all pairs, without forming them: unseen pairs through the factors' products."""
        x, y = self.user_factors, self.item_factors
        everything = float(np.sum((x.T @ x) * (y.T @ y)))  # sum of (x'y)^2
        score = np.einsum("ij,ij->i", x[user], y[item])
        wanted = (rating > 0).astype(float)
        seen = float(np.sum((1 + alpha * rating) * (wanted - score) ** 2 - score**2))
        return everything + seen + penalty * float((x**2).sum() + (y**2).sum())

    def _held_out(self, data: Training) -> Any:
        if data.evaluation is None:
            return None
        table = select(data.evaluation, self.names, "CREATE MODEL")
        user, item = self.pair_indices(table)
        rating = ratings(table, self.names[2])
        return lambda: float(np.mean((rating - self.scores(user, item)) ** 2))

    def _ranking(self, user: Indices, item: Indices, rating: Floats) -> Metrics:
        """Of implicit feedback: each user's items ranked by confidence among all items."""
        known = (user >= 0) & (item >= 0)
        user, item, rating = user[known], item[known], rating[known]
        if not len(user):
            raise BadRequest("The input data to the EVALUATE function has no user and item of the training data.")
        recalls, gains, ranks, total = [], [], 0.0, 0.0
        for u in np.unique(user):
            mine = user == u
            order = np.argsort(-(self.item_factors @ self.user_factors[u]), kind="stable")
            place = np.empty(len(order), int)
            place[order] = np.arange(len(order))
            wanted = item[mine][rating[mine] > 0]
            if not len(wanted):
                continue
            recalls.append(float((place[wanted] < len(wanted)).mean()))
            gain = np.zeros(len(order))
            gain[place[item[mine]]] = rating[mine]
            discount = 1 / np.log2(np.arange(len(order)) + 2)
            gains.append(float((gain * discount).sum() / (np.sort(gain)[::-1] * discount).sum()))
            share = place[item[mine]] / max(1, len(order) - 1)
            ranks += float((rating[mine] * share).sum())
            total += float(rating[mine].sum())
        error = (rating > 0).astype(float) - self.scores(user, item)
        return {
            "recall": float(np.mean(recalls)),
            "mean_squared_error": float((error**2).mean()),
            "normalized_discounted_cumulative_gain": float(np.mean(gains)),
            "average_rank": ranks / total if total else float("nan"),
        }


def alternate(step: Any, held_out: Any, options: Options) -> list[Iteration]:
    """Steps until the loss improves by less than MIN_REL_PROGRESS."""
    iterations: list[Iteration] = []
    for _ in range(options["max_iterations"]):
        began = time.perf_counter()
        loss = step()
        elapsed = int((time.perf_counter() - began) * 1000)
        iterations.append(Iteration(loss, None if held_out is None else held_out(), None, elapsed))
        if options["early_stop"] and len(iterations) > 1:
            before = iterations[-2].loss
            if before - loss < options["min_rel_progress"] * before:
                break
    return iterations


def least_squares(
    rows: Indices, columns: Indices, target: Floats, factors: Floats, count: int, penalty: float
) -> Floats:
    """For each row the ridge regression of its targets on its columns' factors; 0 for a row without any."""
    width = factors.shape[1]
    out = np.zeros((count, width))
    order = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[order], np.arange(count + 1))
    ridge = penalty * np.eye(width)
    for row in range(count):
        mine = order[ends[row] : ends[row + 1]]
        if len(mine):
            design = factors[columns[mine]]
            out[row] = np.linalg.solve(design.T @ design + ridge, design.T @ target[mine])
    return out


def weighted(
    rows: Indices, columns: Indices, rating: Floats, factors: Floats, count: int, penalty: float, alpha: float
) -> Floats:
    """For each row the weighted regression over all columns: weight 1 + alpha r, target 1 where r > 0."""
    width = factors.shape[1]
    out = np.zeros((count, width))
    every = factors.T @ factors + penalty * np.eye(width)
    order = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[order], np.arange(count + 1))
    for row in range(count):
        mine = order[ends[row] : ends[row + 1]]
        if len(mine):
            design, extra = factors[columns[mine]], alpha * rating[mine]
            target = (1 + extra) * (rating[mine] > 0)
            out[row] = np.linalg.solve(every + (design.T * extra) @ design, design.T @ target)
    return out


def distinct(column: Any) -> tuple[pa.Array, Indices]:
    """The different values in order, and each row's index."""
    flat = single(column)
    values = pc.unique(flat)
    values = values.take(pc.sort_indices(texts(values) if pa.types.is_boolean(values.type) else values))
    return values, locate(flat, values)


def locate(column: Any, values: pa.Array) -> Indices:
    """Index of each row among the values, -1 if it is not there; compared as text, so that 1 and '1' agree."""
    found = pc.index_in(texts(column), value_set=texts(values), skip_nulls=True)
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def ratings(table: pa.Table, name: str) -> Floats:
    column = single(table[name])
    if not is_numeric(column.type):
        raise BadRequest(f"Rating column {name} must be numeric, got {type_name(column.type)}.")
    values = floats(column)
    if not np.isfinite(values).all():
        raise BadRequest(f"Rating column {name} has values that are NULL, infinite or NaN.")
    return values


def _shrunk_means(index: Indices, values: Floats, count: int, shrink: float) -> Floats:
    sums = np.bincount(index, weights=values, minlength=count)
    return np.asarray(sums / (np.bincount(index, minlength=count) + max(shrink, 1e-9)))

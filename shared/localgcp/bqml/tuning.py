"""Hyperparameter tuning: NUM_TRIALS models, the best by the objective on the evaluation rows.

RANDOM_SEARCH and GRID_SEARCH as documented. BigQuery's default is Vertex AI Vizier, whose algorithm is not public:
without HPARAM_TUNING_ALGORITHM the search here is random (seeded), and asking for VIZIER_DEFAULT by name is refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.base import LOWER, Model, Training
from localgcp.bqml.options import TUNED, Option, Options
from localgcp.bqml.record import Trial
from localgcp.bqml.statement import Candidates, Range

SEED = 20260601
SMALLEST = 1e-14  # what a bound of 0 means on a LOG scale


def run_trials(kind: type[Model], data: Training, tuned: Mapping[str, TUNED], test: pa.Table | None) -> list[Trial]:
    """One trial for each suggestion. Raises BadRequest if the search cannot be made or every trial fails."""
    spaces = tuned or default_spaces(kind)
    if not kind.OBJECTIVES or not spaces:
        raise BadRequest("Hyperparameter tuning is not supported for this model type.")
    objective(kind, data.options)
    trials = []
    for number, chosen in enumerate(suggestions(kind, spaces, data.options), start=1):
        options = data.options.changed(**chosen)
        held_out = data.train if data.evaluation is None else data.evaluation
        try:
            model = kind.fit(Training(data.train, data.evaluation, data.label, options))
            tested = model.evaluate(test, {}) if test is not None else {}
            trials.append(Trial(number, chosen, model, model.evaluate(held_out, {}), tested))
        except BadRequest as error:
            trials.append(Trial(number, chosen, None, {}, {}, error.message))
    if all(trial.model is None for trial in trials):
        raise BadRequest(f"All trials failed; the first: {trials[0].error}")
    return trials


def best_trial(kind: type[Model], trials: list[Trial], options: Options) -> Trial:
    """The first with the best objective."""
    name = objective(kind, options)
    sign = 1 if name in LOWER else -1

    def score(trial: Trial) -> float:
        value = trial.metrics.get(name.lower(), math.nan)
        return math.inf if trial.model is None or math.isnan(value) else sign * value

    return min((t for t in trials if t.model is not None), key=score)


def objective(kind: type[Model], options: Options) -> str:
    wanted = options.get("hparam_tuning_objectives")
    if not wanted:
        return kind.OBJECTIVES[0]
    if len(wanted) != 1 or wanted[0].upper() not in kind.OBJECTIVES:
        raise BadRequest(f"HPARAM_TUNING_OBJECTIVES must be one of {', '.join(kind.OBJECTIVES)}, got {wanted}.")
    return str(wanted[0].upper())


def default_spaces(kind: type[Model]) -> dict[str, TUNED]:
    """The documented default ranges, for a statement with NUM_TRIALS and no range of its own."""
    spaces: dict[str, TUNED] = {}
    for name, option in kind.OPTIONS.items():
        if isinstance(option, Option) and option.search:
            bounds: Any = option.search
            numeric = isinstance(bounds[0], int | float)
            spaces[name] = Range(*bounds) if numeric else Candidates(tuple(bounds))
    return spaces


def suggestions(kind: type[Model], spaces: Mapping[str, TUNED], options: Options) -> Iterator[dict[str, Any]]:
    """At most NUM_TRIALS different choices, one value for each hyperparameter."""
    algorithm, most = options["hparam_tuning_algorithm"], options["num_trials"]
    if algorithm == "VIZIER_DEFAULT":
        raise unimplemented("HPARAM_TUNING_ALGORITHM='VIZIER_DEFAULT' (RANDOM_SEARCH and GRID_SEARCH are)")
    discrete = all(isinstance(space, Candidates) for space in spaces.values())
    if algorithm == "GRID_SEARCH":
        if not discrete:
            raise BadRequest("GRID_SEARCH can only be used when every hyperparameter has HPARAM_CANDIDATES.")
        yield from itertools.islice(_grid(spaces), most)
        return
    if discrete:
        every = list(_grid(spaces))
        order = np.random.default_rng(SEED).permutation(len(every))
        yield from (every[i] for i in order[:most])
        return
    random = np.random.default_rng(SEED)
    yield {name: _start(kind.OPTIONS[name], space) for name, space in spaces.items()}
    for _ in range(most - 1):
        yield {name: _draw(random, kind.OPTIONS[name], space) for name, space in spaces.items()}


def _grid(spaces: Mapping[str, TUNED]) -> Iterator[dict[str, Any]]:
    values = [space.values for space in spaces.values() if isinstance(space, Candidates)]
    return (dict(zip(spaces, row)) for row in itertools.product(*values))


def _start(option: Any, space: TUNED) -> Any:
    """The default value, or what is nearest to it in the range: where a search begins."""
    if isinstance(space, Candidates):
        return option.default if option.default in space.values else space.values[0]
    middle = (space.low + space.high) / 2 if option.default is None else option.default
    nearest = min(max(middle, space.low), space.high)
    return round(nearest) if option.kind == "int" else float(nearest)


def _draw(random: np.random.Generator, option: Any, space: TUNED) -> Any:
    if isinstance(space, Candidates):
        return space.values[int(random.integers(len(space.values)))]
    if option.kind == "int":
        return int(random.integers(math.ceil(space.low), math.floor(space.high) + 1))
    if option.log:
        return float(np.exp(random.uniform(np.log(max(space.low, SMALLEST)), np.log(space.high))))
    return float(random.uniform(space.low, space.high))

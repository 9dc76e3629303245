"""Sampled Shapley for instances of any model: coalitions become rows of one batch, predictions their worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localgcp.vertex.errors import invalid, unimplemented
from localgcp.vertex.explain import features as parts
from localgcp.vertex.explain.features import Feature, Json, Players
from localgcp.vertex.explain.outputs import Explained, Floats, Output, relative
from localgcp.vertex.explain.shapley import Coalitions, contributions, draw_paths
from localgcp.vertex.explain.spec import Settings, generator

# Beyond it, sampled Shapley would take minutes and gigabytes.
_MOST_PLAYERS = 2000


@dataclass(frozen=True)
class _Game:
    """An instance as a game: a row stands for each coalition, baseline by baseline."""

    players: Players
    coalitions: Coalitions
    rows: list[Json]
    baselines: int


def attributions(
    plan: Settings,
    features: tuple[Feature, ...],
    output: Output,
    instances: list[Json],
    predict: Callable[[list[Json]], list[Json]],
) -> list[list[Explained]]:
    """What is explained of each instance. All rows of all instances are predicted at once. Raises VertexError."""
    games = [_game(plan, features, instance) for instance in instances]
    predictions = iter(predict([row for game in games for row in game.rows]))
    return [_shares(plan, game, [output.scores(next(predictions)) for _ in game.rows]) for game in games]


def _game(plan: Settings, features: tuple[Feature, ...], instance: Json) -> _Game:
    values = parts.pick(instance, features)
    players = Players(features, values)
    if not 1 <= players.count <= _MOST_PLAYERS:
        raise unimplemented(
            f"Sampled Shapley for {players.count} features of an instance (1 to {_MOST_PLAYERS} are)",
            "put features in groups (group_name), or use integrated gradients",
        )
    coalitions = Coalitions.along(draw_paths(generator(instance), players.count, plan.count))
    own = _scalars(features, values)
    count = parts.baseline_count(features)
    rows: list[Json] = []
    for number in range(count):
        other = _scalars(features, {f.name: parts.baseline(f, values[f.name], number) for f in features})
        for scalars in np.where(coalitions.members[:, players.of_leaf], own, other).tolist():
            rows.append(parts.put(instance, features, players.with_scalars(scalars)))
    return _Game(players, coalitions, rows, count)


def _scalars(features: tuple[Feature, ...], values: dict[str, Json]) -> NDArray[np.object_]:
    """The scalars of all features in order, whatever their types."""
    found = [leaf for feature in features for leaf in parts.leaves(values[feature.name])]
    holder = np.empty(len(found), dtype=object)
    holder[:] = found
    return holder


def _shares(plan: Settings, game: _Game, scores: list[Floats]) -> list[Explained]:
    if len({score.shape for score in scores}) != 1:
        raise invalid("The model's predictions differ in shape from instance to instance: they cannot be explained.")
    # With several baselines, their mean is what the instance is compared with.
    worth = np.stack(scores).reshape(game.baselines, len(game.coalitions.members), *scores[0].shape).mean(axis=0)
    found = []
    for index in plan.choice.among(worth[game.coalitions.full]):
        of_index = worth[(slice(None), *index)]
        shares = contributions(game.coalitions, of_index)
        start, reached = float(of_index[game.coalitions.empty]), float(of_index[game.coalitions.full])
        error = relative(float(np.sqrt((shares.standard_errors**2).sum())), reached - start)
        found.append(Explained(index, start, reached, game.players.attributions(shares.values.tolist()), error))
    return found

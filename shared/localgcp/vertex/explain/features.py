"""What of an instance is explained: its features, their numbers one by one, their baselines, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from localgcp.vertex.errors import invalid

Json = Any


@dataclass(frozen=True)
class Feature:
    """An input of the explanation metadata, called by `name`.

    `key` is where it stands in an instance that is an object; `names` are those of its elements in a bag of features;
    `group`, if not empty, is what it is one feature with.
    """

    name: str
    key: str
    baselines: tuple[Json, ...] = ()
    names: tuple[str, ...] = ()
    group: str = ""


def pick(instance: Json, features: tuple[Feature, ...]) -> dict[str, Json]:
    """The value of each feature by its name. Raises VertexError when the instance has no such key."""
    if not isinstance(instance, dict):
        if len(features) != 1:
            raise invalid(
                f"The instance is no object, and {len(features)} inputs are to be explained: give an object with the "
                f"keys {', '.join(feature.key for feature in features)}, or describe the array as one input."
            )
        return {features[0].name: instance}
    missing = [feature.key for feature in features if feature.key not in instance]
    if missing:
        raise invalid(f"The instance has no {', '.join(missing)}, only: {', '.join(instance)}.")
    return {feature.name: instance[feature.key] for feature in features}


def put(instance: Json, features: tuple[Feature, ...], values: dict[str, Json]) -> Json:
    """The instance with other values of the features."""
    if not isinstance(instance, dict):
        return values[features[0].name]
    return instance | {feature.key: values[feature.name] for feature in features}


def leaves(value: Json) -> list[Json]:
    """The scalars of a value, in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def shaped(like: Json, scalars: Iterator[Json]) -> Json:
    """A value in the shape of another, made of scalars in order."""
    if isinstance(like, dict):
        return {key: shaped(item, scalars) for key, item in like.items()}
    if isinstance(like, list):
        return [shaped(item, scalars) for item in like]
    return next(scalars)


def baseline_count(features: tuple[Feature, ...]) -> int:
    """How many baselines there are: the i-th is made of each feature's i-th, or its only one. Raises VertexError."""
    counts = {len(feature.baselines) for feature in features} - {0, 1}
    if len(counts) > 1:
        raise invalid("The inputs have different numbers of input_baselines: give each as many, or one, or none.")
    return counts.pop() if counts else 1


def baseline(feature: Feature, value: Json, number: int) -> Json:
    """The baseline of a feature in the shape of its value: zeros where none is given. Raises VertexError."""
    place = f"explanation_spec.metadata.inputs[{feature.name}].input_baselines"
    if not feature.baselines:
        texts = [leaf for leaf in leaves(value) if isinstance(leaf, str) or leaf is None]
        if texts:
            raise invalid(f"{place} is required here: {texts[0]!r} is no number, and has no baseline of its own.")
        return shaped(value, iter([type(leaf)(0) for leaf in leaves(value)]))
    given = feature.baselines[number if len(feature.baselines) > 1 else 0]
    if not isinstance(given, (list, dict)):
        return shaped(value, iter([given] * len(leaves(value))))
    if _form(given) != _form(value):
        raise invalid(f"{place} has another shape than the feature in the instance.")
    return given


def _form(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    return [_form(item) for item in value] if isinstance(value, list) else None


@dataclass
class Players:
    """Who shares the difference: each scalar of each feature, or a whole group of features.

    `of_leaf` has the player of each scalar, features in order.
    """

    features: tuple[Feature, ...]
    values: dict[str, Json]
    of_leaf: list[int] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        groups: dict[str, int] = {}
        for feature in self.features:
            size = len(leaves(self.values[feature.name]))
            if feature.group:
                player = groups.setdefault(feature.group, self.count)
                self.of_leaf += [player] * size
                self.count = max(self.count, player + 1)
            else:
                self.of_leaf += range(self.count, self.count + size)
                self.count += size

    def attributions(self, amounts: list[float]) -> dict[str, Json]:
        """The players' amounts as the service gives them."""
        return _collected(self.features, self.values, iter([amounts[player] for player in self.of_leaf]), _first)

    def with_scalars(self, scalars: list[Json]) -> dict[str, Json]:
        """The features' values, made of other scalars."""
        left = iter(scalars)
        return {feature.name: shaped(self.values[feature.name], left) for feature in self.features}


def summed(features: tuple[Feature, ...], values: dict[str, Json], amounts: list[float]) -> dict[str, Json]:
    """Attributions of the scalars, in order, as the service gives them; those of a group are added up."""
    return _collected(features, values, iter(amounts), sum)


def _first(amounts: list[float]) -> float:
    return amounts[0]


def _collected(
    features: tuple[Feature, ...],
    values: dict[str, Json],
    amounts: Iterator[float],
    combine: Callable[[list[float]], float],
) -> dict[str, Json]:
    found: dict[str, Json] = {}
    groups: dict[str, list[float]] = {}
    for feature in features:
        value = values[feature.name]
        own = shaped(value, amounts)
        if feature.group:
            groups.setdefault(feature.group, []).extend(leaves(own))
        elif feature.names:
            if len(feature.names) != len(leaves(own)):
                raise invalid(
                    f"index_feature_mapping of '{feature.name}' has {len(feature.names)} names, and the instance "
                    f"{len(leaves(own))} values."
                )
            found |= dict(zip(feature.names, leaves(own), strict=True))
        else:
            found[feature.name] = own
    return found | {name: combine(shares) for name, shares in groups.items()}

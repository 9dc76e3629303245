"""The rules of a traffic split, and the draw that follows it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Set

from localgcp.vertex.errors import invalid

_ALL = 100
# What a request calls the model that it is just deploying.
NEW = "0"
# The service draws for each request on its own; so does this, and no seed changes it.
_draw = random.SystemRandom()


def check(split: Mapping[str, int], deployed: Set[str]) -> None:
    """Raises VertexError unless the split is empty, or shares 100 between models that are deployed."""
    unknown = sorted(set(split) - deployed)
    if unknown:
        raise invalid(f"traffic_split names models that are not deployed: {', '.join(unknown)}.")
    wrong = sorted(key for key, share in split.items() if not 0 <= share <= _ALL)
    if wrong:
        raise invalid(f"The traffic_split of {', '.join(wrong)} is not between 0 and {_ALL}.")
    total = sum(split.values())
    if split and total != _ALL:
        raise invalid(f"The traffic_split percentages must add up to {_ALL}; they add up to {total}.")


def with_new(split: Mapping[str, int], identifier: str) -> dict[str, int]:
    """The split with the id of the model that is just being deployed in the place of "0"."""
    return {identifier if key == NEW else key: share for key, share in split.items()}


def draw(split: Mapping[str, int]) -> str:
    """The id of a deployed model, each with the probability of its share."""
    return _draw.choices(list(split), weights=list(split.values()))[0]

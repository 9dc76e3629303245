"""Sampled Shapley values (Maleki et al., arXiv:1306.4265): what players add along random orders of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def draw_paths(rng: np.random.Generator, players: int, count: int) -> NDArray[np.intp]:
    """Random orders of the players, (count, players). A larger count keeps the paths of a smaller one."""
    return np.array([rng.permutation(players) for _ in range(count)], dtype=np.intp).reshape(count, players)


@dataclass(frozen=True)
class Coalitions:
    """The coalitions along paths, each once: whoever evaluates them needs one batch and asks for nothing twice.

    `members` is (coalitions, players); `steps` (paths, players + 1) has the coalition at each step of each path.
    """

    paths: NDArray[np.intp]
    members: NDArray[np.bool_]
    steps: NDArray[np.intp]

    @classmethod
    def along(cls, paths: NDArray[np.intp]) -> Coalitions:
        count, players = paths.shape
        position = np.argsort(paths, axis=1)
        there = position[:, None, :] < np.arange(players + 1)[None, :, None]
        rows = there.reshape(-1, players)
        _, first, steps = np.unique(np.packbits(rows, axis=1), axis=0, return_index=True, return_inverse=True)
        return cls(paths, rows[first], steps.reshape(count, players + 1))

    @property
    def empty(self) -> int:
        """The coalition of nobody: all features at their baseline."""
        return int(self.steps[0, 0])

    @property
    def full(self) -> int:
        return int(self.steps[0, -1])


@dataclass(frozen=True)
class Shapley:
    """Mean contributions of the players, (players, outputs), and their standard errors from path to path.

    The errors are NaN for a single path, which says nothing of the spread.
    """

    values: Floats
    standard_errors: Floats


def contributions(coalitions: Coalitions, worth: Floats) -> Shapley:
    """Shapley values from the worth of each coalition, (coalitions, outputs).

    They add up to the worth of everybody minus that of nobody, whatever the paths are.
    """
    paths = coalitions.paths
    count, players = paths.shape
    gains = np.diff(worth[coalitions.steps], axis=1)
    by_player: Floats = np.empty_like(gains)
    by_player[np.arange(count)[:, None], paths] = gains
    if players == 1:
        spread: Any = np.zeros(by_player.shape[1:])  # there is one order only
    elif count == 1:
        spread = np.full(by_player.shape[1:], np.nan)
    else:
        spread = by_player.std(axis=0, ddof=1) / np.sqrt(count)
    return Shapley(by_player.mean(axis=0), spread)

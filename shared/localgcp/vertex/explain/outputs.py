"""Which numbers of a prediction are explained, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localgcp.vertex.errors import VertexError, invalid

Json = Any
Floats = NDArray[np.float64]
Index = tuple[int, ...]


@dataclass(frozen=True)
class Explained:
    """The attributions of one number of a prediction: `output` at `index`, compared with the baseline's."""

    index: Index
    baseline: float
    output: float
    attributions: dict[str, Json]
    error: float


def relative(error: float, difference: float) -> float:
    """An error in parts of the difference that is explained; where there is none, as it is."""
    return error / abs(difference) if difference else error


@dataclass(frozen=True)
class Output:
    """The output of the explanation metadata; `field` is its key in predictions that are objects.

    Names of its elements are in `names`, an array of its shape, or in the prediction's field `names_field`.
    """

    name: str
    field: str = ""
    names: Json = None
    names_field: str = ""

    def scores(self, prediction: Json) -> Floats:
        """The numbers of a prediction, in their shape. Raises VertexError when there are none."""
        if isinstance(prediction, dict):
            if self.field not in prediction:
                raise invalid(f"The prediction has no '{self.field}' to explain, only: {', '.join(prediction)}.")
            prediction = prediction[self.field]
        try:
            found = np.asarray(prediction, dtype=float)
        except (TypeError, ValueError):
            raise invalid(f"A prediction is explained by its number, and this one is {prediction!r}.") from None
        if found.size == 0:
            raise invalid("The prediction has no numbers to explain.")
        return found

    def display_name(self, prediction: Json, index: Index) -> str:
        """What the number at an index is called, or "". Raises VertexError when names and numbers do not fit."""
        names = self.names
        if self.names_field:
            if not isinstance(prediction, dict) or self.names_field not in prediction:
                raise invalid(f"The prediction has no field '{self.names_field}', the display_name_mapping_key.")
            names = prediction[self.names_field]
        if names is None:
            return ""
        try:
            for place in index:
                names = names[place]
        except (IndexError, TypeError, KeyError):
            names = None
        if not isinstance(names, str):
            raise invalid(f"There is no display name for the output at {list(index)}: they are an array of its shape.")
        return names


@dataclass(frozen=True)
class Choice:
    """Which numbers: the `top` largest ones (-1: all), or those at `indices`."""

    top: int = 1
    indices: tuple[Index, ...] = ()

    def among(self, scores: Floats) -> list[Index]:
        """Indices into the scores: of one number alone, (). Raises VertexError for an index outside."""
        if self.indices:
            for index in self.indices:
                if len(index) != scores.ndim or any(i < 0 or i >= n for i, n in zip(index, scores.shape)):
                    shape = list(scores.shape)
                    raise invalid(f"output_indices has {list(index)}, and the output has the shape {shape}.")
            return list(self.indices)
        order = np.argsort(-scores, axis=None, kind="stable")
        count = scores.size if self.top == -1 else self.top
        return [tuple(int(i) for i in np.unravel_index(place, scores.shape)) for place in order[:count]]


def choice(top_k: int, indices: Json) -> Choice:
    """From top_k (0: not given) and output_indices. Raises VertexError for what is no index."""
    if top_k < -1:
        raise invalid(f"top_k is positive, or -1 for all outputs, got {top_k}.")
    try:
        return Choice(top_k or 1, tuple(_index(item) for item in indices))
    except (TypeError, ValueError):
        raise _no_index(indices) from None


def _index(item: Json) -> Index:
    parts = item if isinstance(item, list) else [item]
    if any(isinstance(part, bool) or int(part) != part for part in parts):
        raise ValueError(item)
    return tuple(int(part) for part in parts)


def _no_index(indices: Json) -> VertexError:
    return invalid(f"output_indices has integers, one a number (lists of them for deeper outputs), got {indices}.")

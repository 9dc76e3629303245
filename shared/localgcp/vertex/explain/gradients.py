"""Integrated gradients (Sundararajan et al., arXiv:1703.01365), with SmoothGrad and the blurred baseline of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
# The inputs of a model by name, each with the rows of a batch first.
Batch = dict[str, Floats]
# The gradient of one output in each of the inputs, in their shapes, summed over nothing.
Gradient = Callable[[Batch], Batch]

# Points of a path that go through the model at once: images make large batches.
_POINTS = 64


@dataclass(frozen=True)
class Noise:
    """SmoothGrad: gradients are the mean over noisy samples around each point; `sigma` by input's name."""

    sigma: Mapping[str, float]
    samples: int


def integrated_gradients(
    gradient: Gradient,
    instance: Batch,
    baseline: Batch,
    steps: int,
    noise: Noise | None = None,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Attributions of each element of each input of `baseline`, in its shape.

    The other inputs of the instance stay as they are. The straight path from the baseline is integrated by the
    midpoint rule with `steps` points. Arrays have no batch dimension here.
    """
    totals = {name: np.zeros(np.shape(value)) for name, value in baseline.items()}
    for share in _chunks((np.arange(steps) + 0.5) / steps):
        points = _along(instance, baseline, share)
        for batch in _noisy(points, noise, rng):
            found = gradient(batch)
            for name in totals:
                totals[name] += found[name].sum(axis=0)
    count = steps * (noise.samples if noise else 1)
    return {name: total / count * (instance[name] - baseline[name]) for name, total in totals.items()}


def blurred(image: Floats, sigma: float) -> Floats:
    """An image (height, width) or (height, width, channels) under a Gaussian blur; channels are not mixed."""
    return np.asarray(gaussian_filter(image, (sigma, sigma) + (0,) * (image.ndim - 2)))


def _chunks(values: Floats) -> Iterator[Floats]:
    for start in range(0, len(values), _POINTS):
        yield values[start : start + _POINTS]


def _along(instance: Batch, baseline: Batch, share: Floats) -> Batch:
    points = {}
    for name, value in instance.items():
        if name in baseline:
            wide = share.reshape(-1, *[1] * np.ndim(value))
            points[name] = baseline[name] + wide * (value - baseline[name])
        else:
            points[name] = np.repeat(value[None], len(share), axis=0)
    return points


def _noisy(points: Batch, noise: Noise | None, rng: np.random.Generator | None) -> Iterator[Batch]:
    if noise is None:
        yield points
        return
    if rng is None:
        raise ValueError("noise needs a random generator")
    for _ in range(noise.samples):
        yield {
            name: value + rng.normal(0, noise.sigma[name], value.shape) if noise.sigma.get(name) else value
            for name, value in points.items()
        }

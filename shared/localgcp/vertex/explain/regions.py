"""XRAI (Kapishnikov et al., arXiv:1906.02825): integrated gradients, redistributed to regions of the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def xrai(image: Floats, attributions: Floats) -> Floats:
    """The saliency of each pixel (height, width): the mean attribution of the region that it came in with.

    `image` and `attributions` are (height, width, channels). Regions come from Felzenszwalb's segmentation at six
    scales, as in the authors' own package `saliency`. They do not add up to the difference that they explain.
    """
    from saliency.core import XRAI  # scikit-image behind it takes a second

    # An image of one colour cannot be segmented: it is one region.
    segments = [np.ones(image.shape[:2], bool)] if np.ptp(image) == 0 else None
    found = XRAI().GetMask(image, None, segments=segments, base_attribution=attributions)
    return np.asarray(found, dtype=float)

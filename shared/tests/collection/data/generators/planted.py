"""A line with a known slope."""

import numpy as np
import pandas as pd


def make(seed: int, slope: float = 2.0, rows: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": slope * x + rng.normal(0, 0.1, rows)})

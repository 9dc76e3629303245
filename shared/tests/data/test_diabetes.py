"""The two diabetes files of the registry are the rows that scikit-learn's loader pairs."""

import numpy as np
from labkit.catalog.datasets import load_dataset
from sklearn.datasets import load_diabetes


def test_both_files_are_the_loaders_rows() -> None:
    loader = load_diabetes(scaled=False)
    np.testing.assert_array_equal(load_dataset("diabetes-measurements").to_numpy(), loader.data)
    np.testing.assert_array_equal(load_dataset("diabetes-progression").progression.to_numpy(), loader.target)

"""Keras on another backend: trains the regression once more, and lets the network of a .keras file answer.

KERAS_BACKEND=jax python other_backend.py GIVEN.npz NETWORK.keras FOUND.npz

A process of its own, since Keras chooses its backend when it is imported. Nothing in here names a backend.
"""

import sys

import keras
import numpy as np


def coefficients(x, y, l2, steps):
    """The kernel (features, classes) after this many steps on all rows, with the optimizer of the notebook."""
    dense = keras.layers.Dense(10, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(l2))
    model = keras.Sequential([keras.Input((x.shape[1],)), dense])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=len(x), epochs=steps, shuffle=False, verbose=0)
    return model.get_weights()[0]


def main(given_path, network_path, found_path):
    given = np.load(given_path)
    network = keras.models.load_model(network_path)
    np.savez(
        found_path,
        kernel=coefficients(given["x"], given["y"], float(given["l2"]), int(given["steps"])),
        probabilities=network.predict(given["rows"], verbose=0),
        backend=keras.backend.backend(),
        tensorflow="tensorflow" in sys.modules,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

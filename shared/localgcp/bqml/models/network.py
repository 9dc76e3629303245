"""Dense networks: trained by Keras, kept as plain arrays, so that prediction needs no TensorFlow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from localgcp.bqml.columns import Floats
from localgcp.bqml.models.base import Iteration
from localgcp.bqml.options import STOP, Only, Option, Options

SEED = 20260601
OPTIMIZERS = ("ADAGRAD", "ADAM", "FTRL", "RMSPROP", "SGD")
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SELU": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "SIGMOID": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "LINEAR": lambda x: x,
}
NETWORK: dict[str, Option | Only] = {
    **STOP,
    "hidden_units": Option("ints", None, search=()),
    "activation_fn": Option("choice", "RELU", choices=tuple(ACTIVATIONS)[:-1], search=()),
    "batch_size": Option("int", None, low=1, high=8192, search=(16, 1024), log=True),
    "dropout": Option("float", 0.0, low=0, high=1, search=(0, 0.8)),
    "learn_rate": Option("float", 0.001, low=0, search=(0, 1)),
    "optimizer": Option("choice", "ADAM", choices=OPTIMIZERS, search=OPTIMIZERS),
    "tf_version": Only(()),
}


@dataclass(frozen=True)
class Dense:
    """activation(x kernel + bias)."""

    kernel: Floats
    bias: Floats
    activation: str


@dataclass(frozen=True)
class Network:
    layers: tuple[Dense, ...]

    def output(self, x: Floats, upto: int | None = None) -> Floats:
        """Through the first `upto` layers, all for None."""
        for layer in self.layers[:upto]:
            x = ACTIVATIONS[layer.activation](x @ layer.kernel + layer.bias)
        return x


def default_units(rows: int, inputs: int, outputs: int) -> list[int]:
    """The documented single hidden layer: min(128, rows / (10 (inputs + outputs)))."""
    return [max(1, min(128, rows // (10 * (inputs + outputs))))]


def train_network(
    x: Floats,
    y: Any,
    outputs: int,
    options: Options,
    loss: str,
    weight: Floats | None = None,
    held_out: tuple[Floats, Any] | None = None,
    latent_penalty: tuple[int, float] | None = None,
    batch: int = 1024,
) -> tuple[Network, list[Iteration]]:
    """Epochs until MAX_ITERATIONS, or until the loss improves by less than MIN_REL_PROGRESS.

    The last layer is linear: losses take logits. `latent_penalty` is a hidden layer and the L1 penalty on its output.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(SEED)
    units = options["hidden_units"] or default_units(len(x), x.shape[1], outputs)
    penalty = keras.regularizers.L1L2(options.get("l1_reg", 0.0), options.get("l2_reg", 0.0))
    stack: list[Any] = [keras.Input((x.shape[1],))]
    for index, size in enumerate(units):
        sparse = keras.regularizers.L1(latent_penalty[1]) if latent_penalty and latent_penalty[0] == index else None
        activation = options["activation_fn"].lower()
        stack.append(
            keras.layers.Dense(size, activation=activation, kernel_regularizer=penalty, activity_regularizer=sparse)
        )
        if options["dropout"]:
            stack.append(keras.layers.Dropout(options["dropout"]))
    stack.append(keras.layers.Dense(outputs, kernel_regularizer=penalty))
    model = keras.Sequential(stack)
    model.compile(optimizer=_optimizer(options), loss=_loss(loss))
    size = min(options["batch_size"] or batch, len(x))
    iterations: list[Iteration] = []
    for _ in range(options["max_iterations"]):
        began = time.perf_counter()
        found = model.fit(x, y, batch_size=size, epochs=1, sample_weight=weight, verbose=0).history["loss"][0]
        outside = None if held_out is None else float(model.evaluate(*held_out, verbose=0))
        elapsed = int((time.perf_counter() - began) * 1000)
        iterations.append(Iteration(float(found), outside, options["learn_rate"], elapsed))
        if options["early_stop"] and _stalled(iterations, options["min_rel_progress"]):
            break
    dense = [layer for layer in model.layers if layer.weights]
    names = [options["activation_fn"]] * len(units) + ["LINEAR"]
    arrays = [layer.get_weights() for layer in dense]
    return Network(tuple(Dense(kernel, bias, name) for (kernel, bias), name in zip(arrays, names))), iterations


def _stalled(iterations: list[Iteration], least: float) -> bool:
    if len(iterations) < 2:
        return False
    before, now = (i.loss if i.eval_loss is None else i.eval_loss for i in iterations[-2:])
    return before - now < least * abs(before)


def _optimizer(options: Options) -> Any:
    import keras

    names = {"ADAGRAD": "Adagrad", "ADAM": "Adam", "FTRL": "Ftrl", "RMSPROP": "RMSprop", "SGD": "SGD"}
    return getattr(keras.optimizers, names[options["optimizer"]])(learning_rate=options["learn_rate"])


def _loss(name: str) -> Any:
    import keras

    return {
        "squared": lambda: keras.losses.MeanSquaredError(),
        "binary": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        "classes": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }[name]()

"""A network with two hidden layers of ReLUs in NumPy, its training with Adam or SGD, and a count of dead units.

A unit is dead when its output is exactly 0 for every row of the data that it was trained on.
"""

import numpy as np

UNITS = 128
BATCH = 128


def build(rng, inputs, scheme="He", bias=0.0):
    """Weights and biases of two hidden layers and one output; `bias` is what the hidden biases begin with."""
    layers = []
    for n_in, n_out in ((inputs, UNITS), (UNITS, UNITS), (UNITS, 1)):
        spread = {"He": np.sqrt(2 / n_in), "Glorot": np.sqrt(2 / (n_in + n_out))}[scheme]
        start = 0.0 if n_out == 1 else bias
        layers.append([rng.normal(0, spread, (n_in, n_out)).astype("f4"), np.full(n_out, start, "f4")])
    return layers


def copy(layers):
    """The same network again, for training that shall leave the first one as it is."""
    return [[array.copy() for array in layer] for layer in layers]


def forward(layers, rows, leak=0.0):
    """The input and output of each layer; the last one is the prediction."""
    outputs = [rows]
    for number, (w, b) in enumerate(layers, 1):
        z = outputs[-1] @ w + b
        outputs.append(z if number == len(layers) else np.maximum(z, np.float32(leak) * z))
    return outputs


def predict(layers, rows, leak=0.0):
    return forward(layers, rows, leak)[-1][:, 0]


def backward(layers, outputs, target, leak=0.0):
    """Gradients of the mean squared error for weights and biases of each layer."""
    back = (2 * (outputs[-1][:, 0] - target) / len(target)).astype("f4")[:, None]
    gradients = []
    for number in range(len(layers) - 1, -1, -1):
        gradients.append([outputs[number].T @ back, back.sum(axis=0)])
        if number:  # the slope of a ReLU: 1 where it is on, `leak` where it is off
            back = (back @ layers[number][0].T) * np.where(outputs[number] > 0, np.float32(1), np.float32(leak))
    return gradients[::-1]


def dead_units(layers, rows, leak=0.0):
    """For each hidden layer: which of its units put out exactly 0 for every row."""
    return [(output == 0).all(axis=0) for output in forward(layers, rows, leak)[1:-1]]


def clipped(gradients, limit):
    """All gradients scaled so that their norm together is at most the limit."""
    norm = np.sqrt(sum(float((array * array).sum()) for layer in gradients for array in layer))
    factor = np.float32(min(1.0, limit / norm))
    return [[array * factor for array in layer] for layer in gradients]


def train(layers, rows, target, seed, rate, steps, optimizer="adam", leak=0.0, clip=None, watch=None, every=10):
    """Trains a copy: the network and its loss at each step. watch(step, network) is called every so many steps."""
    rng = np.random.default_rng(seed)
    layers = copy(layers)
    moments = [[(np.zeros_like(array), np.zeros_like(array)) for array in layer] for layer in layers]
    losses = []
    for step in range(steps):
        if watch and step % every == 0:
            watch(step, layers)
        batch = rng.integers(0, len(rows), BATCH)
        outputs = forward(layers, rows[batch], leak)
        losses.append(float(((outputs[-1][:, 0] - target[batch]) ** 2).mean()))
        gradients = backward(layers, outputs, target[batch], leak)
        if clip:
            gradients = clipped(gradients, clip)
        for layer, of_layer, of_moments in zip(layers, gradients, moments, strict=True):
            for array, gradient, (first, second) in zip(layer, of_layer, of_moments, strict=True):
                if optimizer == "sgd":
                    array -= np.float32(rate) * gradient
                    continue
                first += np.float32(0.1) * (gradient - first)
                second += np.float32(0.001) * (gradient * gradient - second)
                unbiased = np.float32(np.sqrt(1 - 0.999 ** (step + 1)))
                array -= (
                    np.float32(rate / (1 - 0.9 ** (step + 1))) * first / (np.sqrt(second) / unbiased + np.float32(1e-7))
                )
    if watch:
        watch(steps, layers)
    return layers, losses

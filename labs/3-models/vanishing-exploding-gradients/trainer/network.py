"""A deep network in NumPy: dense layers of equal width, their gradients by hand, and its training.

Each hidden layer computes u = h W, optionally normalises u over the batch, applies the activation, and optionally adds
its input h (a residual connection). `passes` returns what a framework hides: the gradient at every layer.
"""

from itertools import pairwise

import numpy as np

ACTIVATIONS = {  # the activation of z, and its slope from z and the activation
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0).astype(z.dtype)),
}


def spread(scheme, n_in, n_out):
    """The standard deviation that an initialisation draws weights with."""
    return {"unit normal": 1.0, "Glorot": np.sqrt(2 / (n_in + n_out)), "He": np.sqrt(2 / n_in)}[scheme]


def build(rng, depth, scheme, width=64, classes=10):
    """Weights of `depth` hidden layers and the output layer. The input is as wide as the layers."""
    sizes = [width] * (depth + 1) + [classes]
    return [rng.normal(0, spread(scheme, i, o), (i, o)) for i, o in pairwise(sizes)]


def passes(weights, images, labels, activation, batch_norm=False, residual=False):
    """One batch forward and backward: loss, accuracy, gradient of each weight matrix, gradient at each layer's u."""
    function, slope = ACTIVATIONS[activation]
    h, seen = images, []
    for number, w in enumerate(weights[:-1]):
        z, scale = h @ w, 1.0
        if batch_norm:
            z = z - z.mean(axis=0)
            scale = np.sqrt((z * z).mean(axis=0) + 1e-3)  # Keras' epsilon
            z = z / scale
        a = function(z)
        seen.append((h, z, scale, a))
        h = a + h if residual and number else a  # the first layer turns pixels into features: nothing to add

    scores = h @ weights[-1]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    with np.errstate(divide="ignore"):  # an exploded network is certain of the wrong class: its loss is infinite
        loss = -np.log(scores[rows, labels]).mean()
    accuracy = (scores.argmax(axis=1) == labels).mean()

    back = scores
    back[rows, labels] -= 1
    back /= len(labels)
    of_weights, at_layers = [h.T @ back], []
    back = back @ weights[-1].T
    for number in range(len(weights) - 2, -1, -1):
        h, z, scale, a = seen[number]
        at_u = back * slope(z, a)
        if batch_norm:  # the batch's mean and spread depend on u, too
            at_u = (at_u - at_u.mean(axis=0) - z * (at_u * z).mean(axis=0)) / scale
        of_weights.append(h.T @ at_u)
        at_layers.append(at_u)
        back = at_u @ weights[number].T + (back if residual and number else 0)
    return loss, accuracy, of_weights[::-1], at_layers[::-1]


def norms(arrays):
    """The norm of each array, in double precision: squares of exploded gradients overflow in single."""
    return np.array([np.linalg.norm(np.asarray(array, "float64")) for array in arrays])


class SGD:
    """Plain gradient descent."""

    def __init__(self, rate):
        self.rate = np.float32(rate)

    def update(self, weights, gradients):
        for w, gradient in zip(weights, gradients, strict=True):
            w -= self.rate * gradient


class Adam:
    """Adam as Keras has it, with Keras' default epsilon."""

    def __init__(self, rate, epsilon=1e-7):
        self.rate, self.epsilon, self.step, self.moments = rate, epsilon, 0, None

    def update(self, weights, gradients):
        self.step += 1
        self.moments = self.moments or [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
        for w, gradient, (first, second) in zip(weights, gradients, self.moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            mean, square = first / (1 - 0.9**self.step), second / (1 - 0.999**self.step)
            w -= self.rate * mean / (np.sqrt(square) + self.epsilon)


def train(weights, images, labels, optimizer, seed, steps, batch=64, clip=None, spoil=None, **network):
    """Trains a copy of the weights in single precision: the weights after it, losses, gradient norms every 50 steps.

    clip(gradients) stands between gradient and step; spoil(step, images) may change a batch before it is seen.
    """
    rng = np.random.default_rng(seed)
    weights = [w.astype("float32") for w in weights]
    losses, history = [], {}
    with np.errstate(over="ignore", invalid="ignore"):  # what explodes ends in inf and nan, and is looked at later
        for step in range(steps):
            rows = rng.integers(0, len(images), batch)
            seen = spoil(step, images[rows]) if spoil else images[rows]
            loss, _, gradients, _ = passes(weights, seen, labels[rows], **network)
            losses.append(float(loss))
            if step % 50 == 0:
                history[step] = norms(gradients).tolist()
            optimizer.update(weights, clip(gradients) if clip else gradients)
    return weights, losses, history

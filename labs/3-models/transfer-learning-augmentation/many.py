"""Trains several copies of a small dense network at once: as fast as one of them, and the mean of many is no accident.

A network is a list: kernel and bias of two hidden layers and of the head, each with one leading axis, the copies.
"""

from itertools import pairwise

import numpy as np
import tensorflow as tf

ANY = tf.TensorSpec([None, None, None], tf.float32)


def fresh(rng, copies, sizes):
    """Random weights (He initialisation) for layers of these sizes, the first one being the input's."""
    network = []
    for fan_in, fan_out in pairwise(sizes):
        kernel = rng.normal(0, np.sqrt(2 / fan_in), (copies, fan_in, fan_out))
        network += [tf.constant(kernel, tf.float32), tf.zeros((copies, 1, fan_out))]
    return network


def copies_of(model, copies):
    """The weights of a Keras model, several times."""
    return [tf.repeat(tf.reshape(w, (1, -1, w.shape[-1])), copies, 0) for w in model.get_weights()]


def hidden(network, x):
    """What the first and the second hidden layer make of the images."""
    first = tf.nn.relu(x @ network[0] + network[1])
    return first, tf.nn.relu(first @ network[2] + network[3])


def scores(network, x):
    return hidden(network, x)[1] @ network[4] + network[5]


@tf.function(
    input_signature=[[ANY] * 6, ANY, tf.TensorSpec([None, None], tf.int32), ANY, ANY, tf.TensorSpec([], tf.int32)]
)
def _train(network, x, y, base_rate, head_rate, steps):
    """Adam on full batches, with a learning rate for each copy. One signature, so that it is traced once."""
    mean, square = [tf.zeros_like(w) for w in network], [tf.zeros_like(w) for w in network]
    rates = [base_rate] * 4 + [head_rate] * 2
    for step in tf.range(1, steps + 1):
        with tf.GradientTape() as tape:
            tape.watch(network)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores(network, x))
            loss = tf.reduce_sum(tf.reduce_mean(losses, axis=1))  # a sum over copies: they do not touch each other
        gradients = tape.gradient(loss, network)
        t = tf.cast(step, tf.float32)
        mean = [0.9 * a + 0.1 * g for a, g in zip(mean, gradients)]
        square = [0.999 * a + 0.001 * g * g for a, g in zip(square, gradients)]
        network = [
            w - rate * (a / (1 - 0.9**t)) / (tf.sqrt(b / (1 - 0.999**t)) + 1e-7)
            for w, rate, a, b in zip(network, rates, mean, square)
        ]
    return network


def train_all(runs, x, y, steps=100):
    """Trains networks on the same examples, x of shape (copies, rows, 64).

    runs has a name for each: (network, learning rate of the hidden layers, learning rate of the head). A rate of 0 for
    the hidden layers leaves them frozen.
    """
    copies = len(x)
    joined = [tf.concat(parts, 0) for parts in zip(*[network for network, _, _ in runs.values()])]
    base_rate, head_rate = (
        tf.constant(np.repeat([run[which] for run in runs.values()], copies)[:, None, None], tf.float32)
        for which in (1, 2)
    )
    x, y = np.tile(x, (len(runs), 1, 1)), np.tile(y, (len(runs), 1))
    trained = _train(joined, tf.constant(x, tf.float32), tf.constant(y, tf.int32), base_rate, head_rate, steps)
    return {name: [w[i * copies : (i + 1) * copies] for w in trained] for i, name in enumerate(runs)}


def train(network, x, y, base_rate, head_rate, steps=100):
    """One run of train_all."""
    return train_all({0: (network, base_rate, head_rate)}, x, y, steps)[0]


def predict(network, x):
    """The class with the highest score, (copies, rows)."""
    return np.argmax(scores(network, tf.constant(x, tf.float32)[None]), -1)


def accuracy(network, x, y):
    """The mean over rows and copies."""
    return float((predict(network, x) == y).mean())

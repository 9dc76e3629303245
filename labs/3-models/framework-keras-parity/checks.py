"""Checks, hints and wrong answers of framework-keras-parity."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class Parameters(Exercise):
    name = "parameters"
    hints = [
        "Begin with dense: how many arrows go from the inputs to the units, and what does each unit have besides?",
        "A gate of a recurrent layer is a dense layer with inputs + units inputs. How many biases has a gate of a GRU?",
        "Batch normalisation has four numbers for each input. Which two of them does the optimizer change?",
    ]
    wrong = {
        "biases forgotten": (
            "def parameters(kind, inputs, units):\n"
            "    gate = inputs * units + units * units\n"
            "    return {'dense': (inputs * units, 0), 'conv': (9 * inputs * units, 0),\n"
            "            'embedding': (inputs * units, 0), 'lstm': (4 * gate, 0),\n"
            "            'gru': (3 * gate, 0), 'batch_norm': (2 * inputs, 2 * inputs), 'dropout': (0, 0)}[kind]"
        ),
        "a GRU with one bias": (
            "def parameters(kind, inputs, units):\n"
            "    gate = inputs * units + units * units + units\n"
            "    return {'dense': (inputs * units + units, 0), 'conv': (9 * inputs * units + units, 0),\n"
            "            'embedding': (inputs * units, 0), 'lstm': (4 * gate, 0), 'gru': (3 * gate, 0),\n"
            "            'batch_norm': (2 * inputs, 2 * inputs), 'dropout': (0, 0)}[kind]"
        ),
        "all of batch_norm is trained": (
            "def parameters(kind, inputs, units):\n"
            "    gate = inputs * units + units * units\n"
            "    return {'dense': (inputs * units + units, 0), 'conv': (9 * inputs * units + units, 0),\n"
            "            'embedding': (inputs * units, 0), 'lstm': (4 * (gate + units), 0),\n"
            "            'gru': (3 * (gate + 2 * units), 0), 'batch_norm': (4 * inputs, 0), 'dropout': (0, 0)}[kind]"
        ),
        "a filter for each output channel only": (
            "def parameters(kind, inputs, units):\n"
            "    gate = inputs * units + units * units\n"
            "    return {'dense': (inputs * units + units, 0), 'conv': (9 * units + units, 0),\n"
            "            'embedding': (inputs * units, 0), 'lstm': (4 * (gate + units), 0),\n"
            "            'gru': (3 * (gate + 2 * units), 0), 'batch_norm': (2 * inputs, 2 * inputs),\n"
            "            'dropout': (0, 0)}[kind]"
        ),
        "one number instead of two": "def parameters(kind, inputs, units):\n    return inputs * units + units",
        "the recurrent weights forgotten": (
            "def parameters(kind, inputs, units):\n"
            "    return {'dense': (inputs * units + units, 0), 'conv': (9 * inputs * units + units, 0),\n"
            "            'embedding': (inputs * units, 0), 'lstm': (4 * (inputs * units + units), 0),\n"
            "            'gru': (3 * (inputs * units + 2 * units), 0), 'batch_norm': (2 * inputs, 2 * inputs),\n"
            "            'dropout': (0, 0)}[kind]"
        ),
    }
    WHY = {
        "dense": "inputs x units weights, and a bias for each unit.",
        "conv": "Each output channel has a 3 x 3 filter for every input channel, and one bias.",
        "embedding": "It is a table: a row for each word, and nothing is added.",
        "lstm": "Each of four gates looks at the inputs and at the layer's own last outputs, and has a bias.",
        "gru": "Three gates, and Keras' default keeps two biases for each unit of a gate.",
        "batch_norm": "Scale and shift are trained; moving mean and variance are recorded, and no optimizer sees them.",
        "dropout": "It multiplies by random zeros and ones. There is nothing to learn.",
    }

    def check(self, parameters):
        for inputs, units in ((6, 5), (3, 8)):
            gate = inputs * units + units * units
            right = {
                "dense": (inputs * units + units, 0),
                "conv": (9 * inputs * units + units, 0),
                "embedding": (inputs * units, 0),
                "lstm": (4 * (gate + units), 0),
                "gru": (3 * (gate + 2 * units), 0),
                "batch_norm": (2 * inputs, 2 * inputs),
                "dropout": (0, 0),
            }
            for kind, expected in right.items():
                got = parameters(kind, inputs, units)
                if not isinstance(got, (tuple, list)) or len(got) != 2:
                    raise Incorrect(f"parameters returns a pair (trainable, not trainable), got {got!r} for {kind}.")
                if tuple(got) != expected:
                    raise Incorrect(
                        f"{kind}, {inputs} inputs, {units} units: {tuple(got)} instead of {expected}. {self.WHY[kind]}"
                    )


class SameStrength(Exercise):
    name = "same_strength"
    hints = [
        "Divide scikit-learn's objective by a number that turns its sum over examples into Keras' mean.",
        "What has become of the half in front of the penalty? Only the ratio of penalty and data counts.",
    ]
    wrong = {
        "the same number": "keras_l2 = C",
        "the inverse": "keras_l2 = 1 / C",
        "n forgotten": "keras_l2 = 1 / (2 * C)",
        "the half forgotten": "keras_l2 = 1 / (C * n)",
        "doubled instead of halved": "keras_l2 = 2 / (C * n)",
        "C on the wrong side": "keras_l2 = C / (2 * n)",
    }

    def check(self, keras_l2, C, n):
        right = 1 / (2 * C * n)
        if not np.isscalar(keras_l2) or isinstance(keras_l2, str) or not np.isfinite(keras_l2) or keras_l2 <= 0:
            raise Incorrect(f"keras_l2 is one positive number, got {keras_l2!r}.")
        if not np.isclose(keras_l2, right, rtol=1e-3):
            raise Incorrect(
                f"keras_l2 = {keras_l2:.4g} makes Keras' penalty {keras_l2 / right:.3g} times as strong as "
                "scikit-learn's. Divide the latter's objective by C n: the minimum stays, the error becomes a mean, "
                "and the penalty shows its factor."
            )


class TrainStep(Exercise):
    name = "train_step"
    hints = [
        "What must be recorded by the tape, and which list of variables gets gradients?",
        "Dropout and batch normalisation behave differently in training. How does a model know that it is training?",
        "Print model.losses of a model with kernel_regularizer: who adds them to the loss?",
    ]
    wrong = {
        "the penalty left out": (
            "def train_step(model, optimizer, loss_fn, x, y):\n"
            "    with tf.GradientTape() as tape:\n"
            "        loss = loss_fn(y, model(x, training=True))\n"
            "    gradients = tape.gradient(loss, model.trainable_variables)\n"
            "    optimizer.apply_gradients(zip(gradients, model.trainable_variables))"
        ),
        "training left out": (
            "def train_step(model, optimizer, loss_fn, x, y):\n"
            "    with tf.GradientTape() as tape:\n"
            "        loss = loss_fn(y, model(x)) + sum(model.losses)\n"
            "    gradients = tape.gradient(loss, model.trainable_variables)\n"
            "    optimizer.apply_gradients(zip(gradients, model.trainable_variables))"
        ),
        "labels and outputs exchanged": (
            "def train_step(model, optimizer, loss_fn, x, y):\n"
            "    with tf.GradientTape() as tape:\n"
            "        loss = loss_fn(model(x, training=True), y) + sum(model.losses)\n"
            "    gradients = tape.gradient(loss, model.trainable_variables)\n"
            "    optimizer.apply_gradients(zip(gradients, model.trainable_variables))"
        ),
        "the penalty outside the tape": (
            "def train_step(model, optimizer, loss_fn, x, y):\n"
            "    with tf.GradientTape() as tape:\n"
            "        loss = loss_fn(y, model(x, training=True))\n"
            "    loss = loss + sum(model.losses)\n"
            "    gradients = tape.gradient(loss, model.trainable_variables)\n"
            "    optimizer.apply_gradients(zip(gradients, model.trainable_variables))"
        ),
        "gradients without a step": (
            "def train_step(model, optimizer, loss_fn, x, y):\n"
            "    with tf.GradientTape() as tape:\n"
            "        loss = loss_fn(y, model(x, training=True)) + sum(model.losses)\n"
            "    return tape.gradient(loss, model.trainable_variables)"
        ),
    }

    def check(self, train_step):
        import keras
        import tensorflow as tf

        rng = np.random.default_rng(0)
        x = tf.constant(rng.normal(2, 3, (16, 4)), tf.float32)
        y = tf.constant(rng.integers(0, 3, 16))
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        strength = 0.5
        dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(strength))
        norm = keras.layers.BatchNormalization(momentum=0.5)
        model = keras.Sequential([keras.Input((4,)), norm, dense])
        kernel, rate = dense.kernel.numpy(), 0.1

        with tf.GradientTape() as tape:  # what fit does, written down a second time
            normed = (x - tf.reduce_mean(x, 0)) / tf.sqrt(tf.math.reduce_variance(x, 0) + norm.epsilon)
            weights = tf.constant(kernel)
            tape.watch(weights)
            data = loss_fn(y, normed @ weights)
        gradient = tape.gradient(data, weights).numpy()
        try:
            train_step(model, keras.optimizers.SGD(rate), loss_fn, x, y)
        except Exception as error:
            reason = str(error).strip().splitlines()[0][:140]
            raise Incorrect(f"The step does not run: {type(error).__name__}: {reason}") from None

        moved = (kernel - dense.kernel.numpy()) / rate
        if not np.abs(moved).any():
            raise Incorrect(
                "The weights are the same as before: gradients alone change nothing, the optimizer must apply them."
            )
        if np.allclose(norm.moving_mean.numpy(), 0):
            raise Incorrect(
                "The moving mean of batch normalisation has not been recorded, and dropout would be off: call the "
                "model with training=True. In service such a model normalises by numbers that it has never learnt."
            )
        if np.allclose(moved, gradient, atol=1e-3):
            raise Incorrect(
                "The step ignores the penalty: kernel_regularizer only puts it into model.losses. Add these to the "
                "loss, inside the tape; otherwise the model trains without any penalty, and nothing says so."
            )
        if not np.allclose(moved, gradient + 2 * strength * kernel, atol=1e-3):
            raise Incorrect(
                "The weights move, but not as fit moves them: loss_fn takes (labels, outputs), plus model.losses."
            )


class ParityTest(Exercise):
    name = "parity_test"
    hints = [
        "Which two arrays must be compared, and which difference between them is rounding?",
        "What does your test say about a model with the same top answers and other probabilities? About NaN?",
        "numpy.allclose has two tolerances, relative and absolute. Which one does the task name?",
    ]
    wrong = {
        "shapes": "def same(original, migrated, rows):\n    return original(rows).shape == migrated(rows).shape",
        "top answers": (
            "def same(original, migrated, rows):\n"
            "    return bool((original(rows).argmax(axis=1) == migrated(rows).argmax(axis=1)).all())"
        ),
        "equal to the last bit": (
            "def same(original, migrated, rows):\n    return bool((original(rows) == migrated(rows)).all())"
        ),
        "the mean": (
            "def same(original, migrated, rows):\n"
            "    return bool(abs(original(rows).mean() - migrated(rows).mean()) < 1e-4)"
        ),
        "the average difference": (
            "def same(original, migrated, rows):\n"
            "    return bool(np.abs(original(rows) - migrated(rows)).mean() < 1e-4)"
        ),
        "one row": (
            "def same(original, migrated, rows):\n"
            "    return bool(np.allclose(original(rows[:1]), migrated(rows[:1]), rtol=0, atol=1e-4))"
        ),
        "NaN passes": (
            "def same(original, migrated, rows):\n"
            "    return not bool((np.abs(original(rows) - migrated(rows)) > 1e-4).any())"
        ),
        "a generous tolerance": (
            "def same(original, migrated, rows):\n"
            "    return bool(np.allclose(original(rows), migrated(rows), rtol=0, atol=0.1))"
        ),
    }

    def check(self, same, rows, weights):
        rows = np.asarray(rows)[:200]

        def network(middle=None, power=1.0, dtype="float64", change=None):
            def run(asked):
                hidden = ((np.asarray(asked) - rows.mean(axis=0)) / 5).astype(dtype)
                kernels = [weights[0], weights[2] if middle is None else middle, weights[4]]
                for kernel, bias in zip(kernels, (weights[1], weights[3], weights[5]), strict=True):
                    last = hidden @ kernel.astype(dtype) + bias.astype(dtype)
                    hidden = np.maximum(last, 0)
                odds = np.exp(power * (last - last.max(axis=1, keepdims=True)))
                found = odds / odds.sum(axis=1, keepdims=True)
                return change(found) if change else found

            return run

        def last_row_off(found):
            found = found.copy()
            if len(found) > 1:
                found[-1] = 0.98 * found[-1] + 0.02 / found.shape[1]
            return found

        def one_missing(found):
            found = found.copy()
            found[len(found) // 2] = np.nan
            return found

        original = network()
        middle = np.random.default_rng(0).permuted(weights[2], axis=0)
        cases = (
            (
                "computed with 32 bits",
                network(dtype="float32"),
                True,
                "The difference is rounding, in the seventh digit.",
            ),
            (
                "with weights in another order",
                network(middle),
                False,
                "Shape and count are the same, the outputs are not.",
            ),
            (
                "with softer probabilities",
                network(power=0.7),
                False,
                "Every top answer is the same, every threshold is not.",
            ),
            (
                "with a last row that is off by 2%",
                network(change=last_row_off),
                False,
                "One row in 200 is wrong: look at the largest difference of all rows, not at an average or a sample.",
            ),
            ("with NaN in one row", network(change=one_missing), False, "NaN is not larger than any tolerance."),
        )
        for what, migrated, expected, why in cases:
            got = same(original, migrated, rows)
            if got not in (True, False):
                raise Incorrect(f"same returns True or False, got {type(got).__name__}.")
            if bool(got) != expected:
                raise Incorrect(f"A model {what} is {'refused' if expected else 'accepted'}. {why}")

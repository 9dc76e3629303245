"""Checks, hints and wrong answers of dead-relu."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class FindDead(Exercise):
    name = "find_dead"
    hints = [
        "One column is one unit. What is true of a dead unit's column, in every row?",
        "A unit that is on for one order in 4,000 gets a gradient from it. Is it dead?",
        "Compare with 0 first, then ask a question about each column: numpy has all and any, with an axis.",
    ]
    wrong = {
        "mostly off": "def find_dead(outputs):\n    return (outputs == 0).mean(axis=0) > 0.99",
        "off at least once": "def find_dead(outputs):\n    return (outputs == 0).any(axis=0)",
        "rows in place of columns": "def find_dead(outputs):\n    return (outputs == 0).all(axis=1)",
        "small on average": "def find_dead(outputs):\n    return outputs.mean(axis=0) < 0.01",
        "constant": "def find_dead(outputs):\n    return outputs.std(axis=0) == 0",
        "how many": "def find_dead(outputs):\n    return (outputs == 0).all(axis=0).sum()",
    }

    def check(self, find_dead):
        rng = np.random.default_rng(4)
        outputs = np.maximum(rng.normal(size=(500, 7)), 0).astype("float32")
        outputs[:, 1] = 0
        outputs[:, 2] = 0
        outputs[77, 2] = 3.0
        outputs[:, 3] *= 1e-4
        outputs[:, 4] = 0.5
        found = np.asarray(find_dead(outputs.copy()))
        if found.shape != (7,):
            raise Incorrect(f"One answer per unit: for outputs of 7 units and 500 rows, got the shape {found.shape}.")
        if found.dtype != bool:
            raise Incorrect(f"The answer is True or False for each unit, got {found.dtype} values.")
        if found[[0, 5, 6]].any():
            raise Incorrect("A healthy ReLU is off for about half of the rows. That is how it bends a line: not dead.")
        if found[2]:
            raise Incorrect(
                "This unit is on for one row in 500. That row gives it a gradient, so it can still learn, and "
                "switching it off changes that row's prediction."
            )
        if found[3]:
            raise Incorrect("This unit's outputs are small, but not 0. The next layer's weights may be large.")
        if found[4]:
            raise Incorrect("This unit puts out 0.5 for every row. It acts as a bias, and it has a gradient: not dead.")
        if not found[1]:
            raise Incorrect("The unit that puts out 0 for every row is missing.")


class Remove(Exercise):
    name = "remove"
    hints = [
        "A unit of the second hidden layer owns a column, a bias and a row. In which arrays?",
        "layers[1] computes the units: their columns of w and entries of b. layers[2] reads them.",
        "~dead selects the living. A mask picks columns with w[:, mask] and rows with w[mask].",
    ]
    wrong = {
        "columns only": (
            "def remove(layers, dead):\n"
            "    (w0, b0), (w1, b1), (w2, b2) = layers\n"
            "    return [[w0, b0], [w1[:, ~dead], b1[~dead]], [w2, b2]]"
        ),
        "the living removed": (
            "def remove(layers, dead):\n"
            "    (w0, b0), (w1, b1), (w2, b2) = layers\n"
            "    return [[w0, b0], [w1[:, dead], b1[dead]], [w2[dead], b2]]"
        ),
        "switched off, not removed": (
            "def remove(layers, dead):\n"
            "    (w0, b0), (w1, b1), (w2, b2) = layers\n"
            "    return [[w0, b0], [w1, b1], [w2 * ~dead[:, None], b2]]"
        ),
        "rows of the second layer": (
            "def remove(layers, dead):\n"
            "    (w0, b0), (w1, b1), (w2, b2) = layers\n"
            "    return [[w0, b0], [w1[~dead], b1[~dead]], [w2[~dead], b2]]"
        ),
        "bias of the living forgotten": (
            "def remove(layers, dead):\n"
            "    (w0, b0), (w1, b1), (w2, b2) = layers\n"
            "    return [[w0, b0], [w1[:, ~dead], b1[~dead] * 0], [w2[~dead], b2]]"
        ),
    }

    def check(self, remove):
        rng = np.random.default_rng(6)
        shapes = ((3, 8), (8, 8), (8, 1))
        layers = [[rng.normal(size=shape), rng.normal(size=shape[1])] for shape in shapes]
        dead = np.array([True, False, True, False, True, True, False, True])
        layers[1][1][dead] = -1000.0
        rows = rng.normal(size=(50, 3))
        before = self.predict(layers, rows)
        smaller = remove([[array.copy() for array in layer] for layer in layers], dead.copy())
        try:
            sizes = [np.shape(w) for w, _ in smaller]
            after = self.predict(smaller, rows)
        except (ValueError, TypeError, IndexError):
            raise Incorrect(
                "The layers no longer fit together. A unit of the second hidden layer owns a column of layers[1][0], "
                "an entry of layers[1][1] and a row of layers[2][0]: all three go."
            ) from None
        if not np.allclose(before, after, rtol=0, atol=1e-9):
            raise Incorrect(
                f"Predictions have changed by up to {np.abs(before - after).max():.2g}: part of a living unit is gone."
            )
        if sizes != [(3, 8), (8, 3), (3, 1)]:
            raise Incorrect(
                f"The predictions are right, but the shapes are {sizes}: the dead units are still computed and "
                "paid for. With 3 of 8 units alive they should be (3, 8), (8, 3), (3, 1)."
            )

    def predict(self, layers, rows):
        for number, (w, b) in enumerate(layers, 1):
            rows = rows @ w + b
            rows = rows if number == len(layers) else np.maximum(rows, 0)
        return rows


class Settings(Exercise):
    name = "settings"
    hints = [
        "Two things are asked for: living units and an error that is as good. Which setting trades one for the other?",
        "Adam divides a gradient by its own size. Does a limit on the gradient's size reach the step?",
        "What would a unit need that is off for every row, so that a step can bring it back?",
    ]
    wrong = {
        "a rate that is too low": 'settings = {"rate": 0.001}',
        "a rate that is not low enough": 'settings = {"rate": 0.005}',
        "clipping under Adam": 'settings = {"rate": 0.07, "clip": 1.0}',
        "SGD without clipping": 'settings = {"rate": 0.01, "optimizer": "sgd"}',
        "a linear network": 'settings = {"rate": 0.01, "leak": 1.0}',
        "as it came": 'settings = {"rate": 0.07}',
        "a number": "settings = 0.01",
    }

    def check(self, settings, run, limit):
        if not isinstance(settings, dict):
            raise Incorrect(f'settings is a dict such as {{"rate": 0.1}}, got {type(settings).__name__}.')
        unknown = set(settings) - {"rate", "leak", "clip", "optimizer"}
        if unknown or "rate" not in settings:
            raise Incorrect(f"settings has a rate, and may have leak, clip and optimizer; got {sorted(settings)}.")
        if settings.get("optimizer", "adam") not in ("adam", "sgd"):
            raise Incorrect(f'optimizer is "adam" or "sgd", got {settings["optimizer"]!r}.')
        _, dead, error = run(**settings)
        if dead > 0.05:
            more = (
                " Adam divides each gradient by its own size: clipping does not reach the step."
                if settings.get("clip") and settings.get("optimizer", "adam") == "adam"
                else " Which first step was too large, or what would let a unit come back?"
            )
            raise Incorrect(f"{dead:.0%} of the second layer is dead, at most 5% may be." + more)
        if not error <= limit:
            raise Incorrect(
                f"All units live, but the error is {error:.2f} minutes, and at most {limit:.2f} is asked for. A rate "
                "that is too low saves units and learns too little here; a leak of 1 makes the network a line."
            )

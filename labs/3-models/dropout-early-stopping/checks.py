"""Checks, hints and wrong answers of dropout-early-stopping."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class Dropout(Exercise):
    name = "dropout"
    hints = [
        "What does a network do with its dropout layers when it serves?",
        "rng.random(h.shape) gives each value a number of its own between 0 and 1. Which of them are dropped?",
        "If a share of 0.2 is dropped, the sum falls to 80% on average. What makes up for it?",
    ]
    wrong = {
        "survivors not scaled": (
            "def dropout(h, rate, training, rng):\n    return h * (rng.random(h.shape) >= rate) if training else h"
        ),
        "scaled when serving instead of in training": (
            "def dropout(h, rate, training, rng):\n"
            "    return h * (rng.random(h.shape) >= rate) if training else h * (1 - rate)"
        ),
        "rate taken as the share that is kept": (
            "def dropout(h, rate, training, rng):\n"
            "    return h * (rng.random(h.shape) < rate) / rate if training else h"
        ),
        "drops when serving, too": (
            "def dropout(h, rate, training, rng):\n    return h * (rng.random(h.shape) >= rate) / (1 - rate)"
        ),
        "one mask for all rows": (
            "def dropout(h, rate, training, rng):\n"
            "    return h * (rng.random(h.shape[1]) >= rate) / (1 - rate) if training else h"
        ),
        "values below the rate are dropped": (
            "def dropout(h, rate, training, rng):\n    return h * (h >= rate) / (1 - rate) if training else h"
        ),
    }

    def check(self, dropout):
        h = np.random.default_rng(1).uniform(0.5, 1.5, (200, 50))
        before = h.copy()
        served = np.asarray(dropout(h, 0.2, False, np.random.default_rng(2)))
        if served.shape != h.shape or not np.allclose(served, before):
            raise Incorrect(
                "With training=False the output is not h itself. A network that serves uses all of its units: "
                "the scaling belongs into training, so that nothing has to be done later."
            )
        masks = []
        for rate in (0.2, 0.8):
            out = np.asarray(dropout(h, rate, True, np.random.default_rng(3)))
            if not np.array_equal(h, before):
                raise Incorrect("dropout has changed h itself. Return a new array: h is needed for the gradient.")
            if out.shape != h.shape:
                raise Incorrect(f"The result has shape {out.shape} for h of shape {h.shape}.")
            zero = out == 0
            if zero.mean(axis=0).max() > 0.999 or zero.mean(axis=1).max() > 0.999:
                raise Incorrect(
                    "Whole rows or columns are zero: every stone of a batch loses the same units. Draw for each value."
                )
            if abs(zero.mean() - rate) > 0.03:
                raise Incorrect(
                    f"With rate={rate:g} a share of {zero.mean():.0%} is zero. The rate is the share that is dropped, "
                    "at random, whatever the values are. (Some texts speak of the share that is kept.)"
                )
            if not np.allclose(out[~zero], before[~zero] / (1 - rate)):
                raise Incorrect(
                    f"With rate={rate:g} the mean goes from {before.mean():.2f} to {out.mean():.2f}. Then the "
                    "next layer meets other sums when serving than it ever met in training. Scale the survivors."
                )
            masks.append(zero)
        if np.array_equal(dropout(h, 0.2, True, np.random.default_rng(4)) == 0, masks[0]):
            raise Incorrect("Another rng drops the same values: then the same units are always missing. Draw from rng.")


def rule(curve, patience, reference="best", ties=False):
    """Early stopping, and the ways in which it is misunderstood."""
    best, waited = 0, 0
    for epoch in range(1, len(curve)):
        limit = curve[best] if reference == "best" else curve[epoch - 1]
        improved = curve[epoch] <= limit if ties else curve[epoch] < limit
        if curve[epoch] < curve[best] or (ties and curve[epoch] == curve[best]):
            best = epoch
        waited = 0 if improved else waited + 1
        if waited >= patience:
            return epoch + 1, best + 1
    return len(curve), best + 1


def by_keras(curve, patience):
    """What keras.callbacks.EarlyStopping does on this curve."""
    import keras

    class Model:
        stop_training = False

        def get_weights(self):
            return []

        def set_weights(self, weights):
            pass

    callback = keras.callbacks.EarlyStopping("val", mode="min", patience=patience, restore_best_weights=True)
    callback.set_model(Model())
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {"val": float(value)})
        if callback.model.stop_training:
            break
    return epoch + 1, callback.best_epoch + 1


class Stop(Exercise):
    name = "stop"
    hints = [
        "Two things must be remembered while the epochs pass: which epoch was best, and how many have passed since.",
        "An epoch that beats the best so far starts the waiting anew; any other epoch makes it one longer.",
        "Python counts from 0 and the answer from 1. And what is returned if the patience never runs out?",
    ]
    wrong = {
        "compares with the epoch before": (
            "def stop(curve, patience):\n"
            "    waited = 0\n"
            "    for epoch in range(1, len(curve)):\n"
            "        waited = 0 if curve[epoch] < curve[epoch - 1] else waited + 1\n"
            "        if waited >= patience:\n"
            "            return epoch + 1, int(np.argmin(curve[:epoch + 1])) + 1\n"
            "    return len(curve), int(np.argmin(curve)) + 1"
        ),
        "an equal value counts as better": (
            "def stop(curve, patience):\n"
            "    best = 0\n"
            "    for epoch in range(1, len(curve)):\n"
            "        if curve[epoch] <= curve[best]:\n"
            "            best = epoch\n"
            "        elif epoch - best >= patience:\n"
            "            return epoch + 1, best + 1\n"
            "    return len(curve), best + 1"
        ),
        "one epoch too long": (
            "def stop(curve, patience):\n"
            "    best = 0\n"
            "    for epoch in range(1, len(curve)):\n"
            "        if curve[epoch] < curve[best]:\n"
            "            best = epoch\n"
            "        elif epoch - best > patience:\n"
            "            return epoch + 1, best + 1\n"
            "    return len(curve), best + 1"
        ),
        "counts from 0": (
            "def stop(curve, patience):\n"
            "    best = 0\n"
            "    for epoch in range(1, len(curve)):\n"
            "        if curve[epoch] < curve[best]:\n"
            "            best = epoch\n"
            "        elif epoch - best >= patience:\n"
            "            return epoch, best\n"
            "    return len(curve) - 1, best"
        ),
        "the best of the whole curve": (
            "def stop(curve, patience):\n"
            "    best = int(np.argmin(curve))\n"
            "    return min(best + 1 + patience, len(curve)), best + 1"
        ),
        "the last epoch as the best": (
            "def stop(curve, patience):\n"
            "    best = 0\n"
            "    for epoch in range(1, len(curve)):\n"
            "        if curve[epoch] < curve[best]:\n"
            "            best = epoch\n"
            "        elif epoch - best >= patience:\n"
            "            return epoch + 1, epoch + 1\n"
            "    return len(curve), len(curve)"
        ),
    }

    def check(self, stop):
        rng = np.random.default_rng(5)
        curves = [[5, 4, 3, 2, 1], [5, 4, 4.5, 4.2, 3, 3.5, 3.4, 3.3, 2], [3, 2, 2, 2, 1], [1, 2, 3]]
        curves += [(np.linspace(2, 1, 12) + rng.normal(0, 0.2, 12)).round(1).tolist() for _ in range(8)]
        for curve in curves:
            for patience in (1, 2, 3):
                right = by_keras(curve, patience)
                try:
                    ran, best = (int(number) for number in stop(np.array(curve, float), patience))
                except (TypeError, ValueError):
                    raise Incorrect("stop returns two whole numbers: epochs that run, and the best one.") from None
                if (ran, best) == right:
                    continue
                shown = ", ".join(f"{value:g}" for value in curve)
                said = (
                    f"On {shown} with patience {patience} Keras runs {right[0]} epochs, the best is number {right[1]}."
                )
                raise Incorrect(f"{said} Yours: {ran} and {best}. {self.reason((ran, best), right, curve, patience)}")

    def reason(self, found, right, curve, patience):
        """Which misunderstanding gives this answer."""
        if found == (right[0] - 1, right[1] - 1):
            return "Count epochs from 1: a log that starts at 0 is off by one epoch of training."
        if found == rule(curve, patience, reference="previous"):
            return "Compare with the best so far: after a bad epoch a slightly better one is still no progress."
        if found == rule(curve, patience, ties=True):
            return "An equal value is no improvement; on a plateau the training would go on for ever."
        if found[0] == right[0] and found[1] == right[0]:
            return "The best epoch is the one with the lowest value, not the last: its weights are worth keeping."
        if found[0] > right[0]:
            return "It waits too long. Only past epochs may decide, and patience is the number of waits."
        return "The waiting starts anew with every epoch that beats the best so far."


class Alpha(Exercise):
    name = "alpha"
    hints = [
        "At which variance s does each of the two formulas switch from 'not learnt' to 'learnt'?",
        "Set the two values of s equal: 1 / (2 rate steps) = alpha / n. Which of these do you know?",
        "scikit-learn's ridge adds up the errors of all rows, gradient descent here takes their mean.",
    ]
    wrong = {
        "rows forgotten": "alpha = 1 / (2 * RATE * steps)",
        "upside down": "alpha = N * 2 * RATE * steps",
        "the square's 2 forgotten": "alpha = N / (RATE * steps)",
        "rate forgotten": "alpha = N / (2 * steps)",
        "the rate itself": "alpha = RATE",
    }

    def check(self, alpha, A, b, rate, steps):
        if np.ndim(alpha) or not np.isfinite(alpha) or alpha <= 0:
            raise Incorrect(f"alpha is one positive number, got {alpha!r}.")
        right = len(A) / (2 * rate * steps)
        if abs(np.log(alpha / right)) < 0.05:
            return
        variances = np.linalg.eigvalsh(A.T @ A / len(A))
        learnt = [
            (1 - (1 - 2 * rate * variances) ** steps).sum(),
            (variances / (variances + alpha / len(A))).sum(),
        ]
        raise Incorrect(
            f"Ridge with alpha = {alpha:.3g} switches at s = {alpha / len(A):.3g}, gradient descent at "
            f"{right / len(A):.3g}, {'below' if alpha > right else 'above'} it. Of {len(variances)} directions "
            f"ridge learns {learnt[1]:.1f} and gradient descent {learnt[0]:.1f}: another brake. Mind the rows, the 2, "
            "and which way more steps work."
        )

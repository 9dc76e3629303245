"""Checks, hints and wrong answers of vanishing-exploding-gradients."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class LayerFactor(Exercise):
    name = "layer_factor"
    hints = [
        "One entry of W.T @ g is a sum of n products. What is the variance of a sum of n independent numbers?",
        "Variances multiply and add, norms do not: work with squares until the last line, then take one root.",
        "Two slopes 0 and 1 let half of the squared norm through. What does their plain mean say?",
    ]
    wrong = {
        "mean slope": "def layer_factor(slopes, std, n):\n    return np.sqrt(n) * std * np.mean(slopes)",
        "root forgotten": "def layer_factor(slopes, std, n):\n    return n * std**2 * np.mean(slopes**2)",
        "number of units forgotten": "def layer_factor(slopes, std, n):\n    return std * np.sqrt(np.mean(slopes**2))",
        "largest slope": "def layer_factor(slopes, std, n):\n    return np.sqrt(n) * std * np.max(slopes)",
        "n in place of its root": "def layer_factor(slopes, std, n):\n    return n * std * np.sqrt(np.mean(slopes**2))",
        "one number per unit": "def layer_factor(slopes, std, n):\n    return np.sqrt(n) * std * np.abs(slopes)",
    }

    def check(self, layer_factor):
        rng = np.random.default_rng(5)
        cases = {
            "a linear layer": (np.ones(400), 0.05, 400),
            "ReLU, half of the units off": (np.repeat([0.0, 1.0], 200), 0.05, 400),
            "a sigmoid in its middle": (np.full(400, 0.25), 0.05, 400),
            "slopes between 0 and 1, large weights": (rng.random(400), 0.3, 400),
        }
        for name, (slopes, std, n) in cases.items():
            got = layer_factor(slopes.copy(), std, n)
            if np.shape(got) != () or not np.isreal(got) or not np.isfinite(got):
                raise Incorrect(f"{name}: one number for the whole layer, got {got!r}.")
            measured = self.measured(rng, slopes, std, n)
            if abs(got / measured - 1) > 0.1:
                raise Incorrect(
                    f"{name} ({n} units, weights with standard deviation {std:g}): your factor is {got:.3g}, a "
                    f"gradient that is sent through such a layer gets {measured:.3g} times as long. An error in one "
                    "layer is raised to the power of the depth."
                )

    def measured(self, rng, slopes, std, n):
        """How much longer random gradients get on their way back through one such layer, on average."""
        back = rng.normal(size=(50, n))
        through = (back @ rng.normal(0, std, (n, n))) * rng.permutation(slopes)
        return np.linalg.norm(through) / np.linalg.norm(back)


class LeakyScale(Exercise):
    name = "leaky_scale"
    hints = [
        "Half of the units have slope 1, the others have slope `leak`. What is the mean of the squared slopes?",
        "Set your layer_factor to 1 and solve for std.",
        "Two checks: leak = 0 must give He's sqrt(2 / n), leak = 1 (a linear layer) must give sqrt(1 / n).",
    ]
    wrong = {
        "He, leak ignored": "def leaky_scale(n, leak):\n    return np.sqrt(2 / n)",
        "Glorot": "def leaky_scale(n, leak):\n    return np.sqrt(1 / n)",
        "mean slope": "def leaky_scale(n, leak):\n    return 2 / ((1 + leak) * np.sqrt(n))",
        "leak not squared": "def leaky_scale(n, leak):\n    return np.sqrt(2 / ((1 + leak) * n))",
        "variance, not standard deviation": "def leaky_scale(n, leak):\n    return 2 / ((1 + leak**2) * n)",
    }

    def check(self, leaky_scale):
        depth = 50
        for n, leak in ((64, 0.0), (64, 0.3), (256, 0.3), (128, 0.7), (64, 1.0)):
            std = leaky_scale(n, leak)
            if np.shape(std) != () or not np.isfinite(std) or std <= 0:
                raise Incorrect(f"n = {n}, leak = {leak:g}: one positive number, got {std!r}.")
            factor = np.sqrt(n * std**2 * (1 + leak**2) / 2)
            if abs(factor - 1) > 0.005:
                raise Incorrect(
                    f"n = {n}, leak = {leak:g}: with std = {std:.4g} a gradient is multiplied by {factor:.3f} in each "
                    f"layer. That looks harmless, and over {depth} layers it is {factor**depth:.2g}."
                )


class ClipTogether(Exercise):
    name = "clip_together"
    hints = [
        "The direction stays if every number of every layer is multiplied by the same factor.",
        "The length of all layers together: the root of the sum of all squares, not the sum of the layers' lengths.",
        "A gradient that is shorter than the limit has to come back as it is. Which function of two numbers does that?",
    ]
    wrong = {
        "by value": (
            "def clip_together(gradients, limit):\n"
            "    return [np.clip(gradient, -limit, limit) for gradient in gradients]"
        ),
        "each layer on its own": (
            "def clip_together(gradients, limit):\n"
            "    return [g * min(1, limit / np.linalg.norm(g)) for g in gradients]"
        ),
        "short gradients made longer": (
            "def clip_together(gradients, limit):\n"
            "    length = np.sqrt(sum((g**2).sum() for g in gradients))\n"
            "    return [g * (limit / length) for g in gradients]"
        ),
        "root forgotten": (
            "def clip_together(gradients, limit):\n"
            "    length = sum((g**2).sum() for g in gradients)\n"
            "    return [g * min(1, limit / length) for g in gradients]"
        ),
        "sum of the layers' lengths": (
            "def clip_together(gradients, limit):\n"
            "    length = sum(np.linalg.norm(g) for g in gradients)\n"
            "    return [g * min(1, limit / length) for g in gradients]"
        ),
        "nothing returned": (
            "def clip_together(gradients, limit):\n"
            "    length = np.sqrt(sum((g**2).sum() for g in gradients))\n"
            "    for g in gradients:\n"
            "        g *= min(1, limit / length)"
        ),
    }

    def check(self, clip_together):
        rng = np.random.default_rng(3)
        for limit in (0.5, 2.0):
            for length in (0.3, 1.9, 40.0, 1e9):
                given = [rng.normal(0, size, shape) for size, shape in ((100, (6, 4)), (1, (4, 4)), (0.01, (4, 3)))]
                total = self.length(given)
                given = [g * (length / total) for g in given]
                self.one(clip_together, given, length, limit)

    def one(self, clip_together, given, length, limit):
        got = clip_together([g.copy() for g in given], limit)
        if not isinstance(got, (list, tuple)) or [np.shape(g) for g in got] != [g.shape for g in given]:
            raise Incorrect("Return a list with one array per layer, each in the shape of the layer's gradient.")
        product = sum((a * b).sum() for a, b in zip(given, got, strict=True))
        cosine = product / length / max(self.length(got), 1e-300)
        if cosine < 1 - 1e-6:
            raise Incorrect(
                f"A gradient of length {length:g} comes back turned: cosine {cosine:.3f} to what came in. "
                "The layers or entries were cut by different factors: the step no longer goes where the loss falls."
            )
        wanted = min(length, limit)
        if abs(self.length(got) / wanted - 1) > 1e-3:
            raise Incorrect(
                f"Limit {limit:g}, a gradient of length {length:g}: yours comes back with length "
                f"{self.length(got):.3g}, it should be {wanted:g}. "
                + ("A short gradient is left alone." if length <= limit else "The limit is for all layers together.")
            )

    def length(self, gradients):
        return np.sqrt(sum((np.asarray(g, "float64") ** 2).sum() for g in gradients))

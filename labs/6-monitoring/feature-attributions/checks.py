"""Checks, hints and wrong answers of feature-attributions."""

import itertools

import numpy as np
from labkit.lesson import Exercise, Incorrect

X, BASELINE = np.array([2.0, -1.0, 3.0, 0.5]), np.array([0.5, 1.0, -1.0, 0.25])


def interacting(rows):
    """Three features that act together, one that the model ignores."""
    rows = np.asarray(rows, dtype=float)
    return rows[:, 0] * rows[:, 1] + rows[:, 1] * rows[:, 2] + 3 * rows[:, 0]


def along(order):
    """The gains of the features of X, joining in one order."""
    row, gains = BASELINE.copy(), np.zeros(len(X))
    for feature in order:
        before = interacting(row[None])[0]
        row[feature] = X[feature]
        gains[feature] = interacting(row[None])[0] - before
    return gains


class SampledShapley(Exercise):
    name = "sampled_shapley"
    hints = [
        "One path: start from a copy of the baseline, put in x's features one after the other in a random order.",
        "Eleven rows for ten features: np.diff of their predictions are the gains. Whose gain is the first one?",
        "The gains come in the path's order; total[order] += gains hands each to its feature. Divide by the paths.",
    ]
    wrong = {
        "always the same order": (
            "def sampled_shapley(predict, x, baseline, paths, rng):\n"
            "    rows = np.array([np.where(np.arange(len(x)) < step, x, baseline) for step in range(len(x) + 1)])\n"
            "    return np.diff(predict(rows))"
        ),
        "one feature at a time": (
            "def sampled_shapley(predict, x, baseline, paths, rng):\n"
            "    rows = np.where(np.eye(len(x), dtype=bool), x, baseline)\n"
            "    return predict(rows) - predict(np.asarray(baseline)[None])"
        ),
        "gains in the order of the path": (
            "def sampled_shapley(predict, x, baseline, paths, rng):\n"
            "    total = np.zeros(len(x))\n"
            "    for _ in range(paths):\n"
            "        order = rng.permutation(len(x))\n"
            "        rows = np.tile(np.asarray(baseline, dtype=float), (len(x) + 1, 1))\n"
            "        for step, feature in enumerate(order, start=1):\n"
            "            rows[step:, feature] = x[feature]\n"
            "        total += np.diff(predict(rows))\n"
            "    return total / paths"
        ),
        "summed over the paths": (
            "def sampled_shapley(predict, x, baseline, paths, rng):\n"
            "    total = np.zeros(len(x))\n"
            "    for _ in range(paths):\n"
            "        order = rng.permutation(len(x))\n"
            "        rows = np.tile(np.asarray(baseline, dtype=float), (len(x) + 1, 1))\n"
            "        for step, feature in enumerate(order, start=1):\n"
            "            rows[step:, feature] = x[feature]\n"
            "        total[order] += np.diff(predict(rows))\n"
            "    return total"
        ),
    }

    def check(self, sampled_shapley):
        difference = float(np.diff(interacting(np.array([BASELINE, X])))[0])
        found = self.values(sampled_shapley, 7, 0)
        if not np.isclose(found.sum(), difference):
            if np.isclose(found.sum(), 7 * difference):
                raise Incorrect("The attributions add up to the difference once for each path: the mean is wanted.")
            raise Incorrect(
                f"The attributions add up to {found.sum():.2f}, not to the difference {difference:.2f}. Along a path "
                "each gain starts where the last one ended, so that nothing is lost: features join, and stay."
            )
        if abs(found[3]) > 1e-9:
            raise Incorrect(
                f"The model ignores the last feature, and it got {found[3]:.2f}. The gains come in the order of the "
                "path; each belongs to the feature that joined."
            )
        many = np.mean([self.values(sampled_shapley, 50, seed) for seed in range(1, 13)], axis=0)
        truth = np.mean([along(order) for order in itertools.permutations(range(len(X)))], axis=0)
        if np.allclose(many, along(range(len(X)))):
            raise Incorrect("The features always join in the same order: the first one then gets what acts together.")
        if np.abs(many - truth).max() > 0.5:
            raise Incorrect(
                f"Over 600 paths the mean is {np.round(many, 2)}, the Shapley values are {np.round(truth, 2)}. "
                "Every order must be equally likely (rng.permutation)."
            )

    def values(self, sampled_shapley, paths, seed):
        found = np.asarray(sampled_shapley(interacting, X.copy(), BASELINE.copy(), paths, np.random.default_rng(seed)))
        if found.shape != X.shape:
            raise Incorrect(f"One attribution a feature is wanted, shape {X.shape}; got the shape {found.shape}.")
        return found.astype(float)


class BorderPatients(Exercise):
    name = "border_patients"
    hints = [
        "Who is the next one, who is not in the programme but nearly? What has the model said of her?",
        "How far is each patient of train from the border? np.argsort puts the nearest first.",
        "The distance is that of the model's score, model.predict(train), not of the disease itself.",
    ]
    wrong = {
        "the healthiest": "border_patients = train[np.argsort(model.predict(train))[:20]]",
        "the sickest": "border_patients = train[np.argsort(model.predict(train))[-20:]]",
        "the average twenty times": "border_patients = np.repeat(train.mean(axis=0, keepdims=True), 20, axis=0)",
        "by the disease, not the score": "border_patients = train[np.argsort(np.abs(y_train - border))[:20]]",
        "their row numbers": "border_patients = np.argsort(np.abs(model.predict(train) - border))[:20]",
    }

    def check(self, border_patients, model, train, border):
        rows = np.asarray(border_patients, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != train.shape[1]:
            raise Incorrect(f"Rows of ten measurements are wanted, an array (20, 10); got the shape {rows.shape}.")
        if len(rows) != 20:
            raise Incorrect(f"Twenty patients are wanted, got {len(rows)}.")
        if not all((train == row).all(axis=1).any() for row in rows):
            raise Incorrect(
                "Not every row is a patient of train. A mean of patients is nobody: the model need not put it where "
                "they are, since its score bends between them."
            )
        if len(np.unique(rows, axis=0)) < len(rows):
            raise Incorrect("A patient is in it more than once.")
        distance = np.abs(model.predict(rows) - border)
        reach = np.sort(np.abs(model.predict(train) - border))[:40].max()
        if distance.max() > reach:
            raise Incorrect(
                f"One of them has a score {distance.max():.0f} points from the border, and forty patients are within "
                f"{reach:.1f}. The programme admits by the model's score, so the next one is who nearly had that score."
            )


def bent(x):
    return x[..., 0] ** 3 + x[..., 0] * x[..., 1]


def bent_gradient(batch):
    batch = np.asarray(batch, dtype=float)
    return np.stack([3 * batch[..., 0] ** 2 + batch[..., 1], batch[..., 0]], axis=-1)


class IntegratedGradientsExercise(Exercise):
    name = "integrated_gradients"
    hints = [
        "The points: baseline + share * (x - baseline), with share in the middle of each of `steps` pieces of [0, 1].",
        "shares.reshape(-1, *[1] * x.ndim) stands them in front of an image, so that one call takes all points.",
        "Mean of the gradients over the points, times the way from the baseline to x.",
    ]
    wrong = {
        "gradient times input": (
            "def integrated_gradients(gradient, x, baseline, steps):\n    return gradient(x[None])[0] * (x - baseline)"
        ),
        "multiplied by x": (
            "def integrated_gradients(gradient, x, baseline, steps):\n"
            "    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, *[1] * np.ndim(x))\n"
            "    return gradient(baseline + shares * (x - baseline)).mean(axis=0) * x"
        ),
        "the path begins at zero": (
            "def integrated_gradients(gradient, x, baseline, steps):\n"
            "    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, *[1] * np.ndim(x))\n"
            "    return gradient(shares * x).mean(axis=0) * (x - baseline)"
        ),
        "the sum of the gradients": (
            "def integrated_gradients(gradient, x, baseline, steps):\n"
            "    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, *[1] * np.ndim(x))\n"
            "    return gradient(baseline + shares * (x - baseline)).sum(axis=0) * (x - baseline)"
        ),
        "the mean over the pixels": (
            "def integrated_gradients(gradient, x, baseline, steps):\n"
            "    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, *[1] * np.ndim(x))\n"
            "    return gradient(baseline + shares * (x - baseline)).mean() * (x - baseline)"
        ),
    }

    def check(self, integrated_gradients):
        x, baseline = np.array([2.0, -1.0]), np.array([0.5, 1.0])
        found = np.asarray(integrated_gradients(bent_gradient, x, baseline, 200), dtype=float)
        if found.shape != x.shape:
            raise Incorrect(f"The attributions have the shape of x, {x.shape}; got {found.shape}.")
        difference, total = bent(x) - bent(baseline), found.sum()
        if np.allclose(found, bent_gradient(x) * (x - baseline)):
            raise Incorrect("Only the gradient at x is in it: where the output is flat, that is 0 and says nothing.")
        if np.isclose(total, 200 * difference, rtol=0.01):
            raise Incorrect("200 times too large: the mean of the gradients over the points is wanted, not their sum.")
        if not np.isclose(total, difference, rtol=1e-3):
            raise Incorrect(
                f"The attributions add up to {total:.3f}, and the output changes by {difference:.3f} from the baseline "
                "to x. Path and factor both go from the baseline to x, not from zero."
            )
        # In closed form: the integrals of both gradients along the path, times the way.
        truth = np.array([difference - self.second(x, baseline), self.second(x, baseline)])
        if not np.allclose(found, truth, rtol=1e-3):
            raise Incorrect(f"The sum is right, the shares are not: {np.round(found, 3)}, not {np.round(truth, 3)}.")
        image = np.asarray(integrated_gradients(lambda batch: 2 * batch, np.ones((3, 3, 1)), np.zeros((3, 3, 1)), 1))
        if image.shape != (3, 3, 1) or not np.allclose(image, 1):
            raise Incorrect("With one step of an image the point lies in the middle of the path, and shapes are kept.")

    def second(self, x, baseline):
        """The attribution of the second number: its gradient is the first, which is the mean of its ends on average."""
        return (x[0] + baseline[0]) / 2 * (x[1] - baseline[1])

"""Checks, hints and wrong answers of l1-l2-regularization."""

import warnings

import numpy as np
from labkit.lesson import Exercise, Incorrect
from sklearn.base import clone


class OneStandardError(Exercise):
    name = "one_standard_error"
    hints = [
        "Plot cv['mean'] against its index: over which range of alpha is it flat, given how uncertain each point is?",
        "First compute one number: the lowest mean error plus the standard error at that same alpha.",
        "Which rows of cv have a mean at or below that number, and which of their alphas is the largest?",
    ]
    wrong = {
        "lowest CV error": 'alpha = cv["mean"].idxmin()',
        "lowest training error": 'alpha = cv["train"].idxmin()',
        "weakest within one standard error": (
            'limit = cv["mean"].min() + cv["standard_error"][cv["mean"].idxmin()]\n'
            'alpha = cv.index[cv["mean"] <= limit].min()'
        ),
        "strongest of all": "alpha = cv.index.max()",
        "the error, not the alpha": 'alpha = cv["mean"].min()',
    }

    def check(self, alpha, cv):
        best = cv["mean"].idxmin()
        limit = cv["mean"][best] + cv["standard_error"][best]
        right = cv.index[cv["mean"] <= limit].max()
        if not np.isscalar(alpha) or not np.isclose(cv.index, alpha, rtol=1e-3).any():
            raise Incorrect(f"alpha is one of the strengths in cv.index, {cv.index.min():.3g} to {cv.index.max():.3g}.")
        if np.isclose(alpha, right, rtol=1e-3):
            return
        if np.isclose(alpha, cv["train"].idxmin(), rtol=1e-3) or alpha < best:
            raise Incorrect(
                f"alpha {alpha:.3g} is weaker than the one with the lowest CV error. Training error always asks for "
                "less penalty, and within one standard error the weakest penalty keeps the most features."
            )
        if alpha < right:
            raise Incorrect(
                f"alpha {alpha:.3g} predicts well, but a penalty up to {limit - cv['mean'][best]:.0f} squared points "
                "worse cannot be told from the best one. Among those, a stronger one gives a shorter list."
            )
        raise Incorrect(
            f"alpha {alpha:.3g} has a mean error of {cv['mean'][alpha]:.0f}, above the limit {limit:.0f}: "
            "the list is short, but the predictions have become measurably worse."
        )


class ShareAndZero(Exercise):
    name = "share_and_zero"
    hints = [
        "l1_ratio=1 is the Lasso, l1_ratio=0 is ridge. What do you keep of each in between?",
        "ElasticNet charges alpha * l1_ratio for |w|. What must alpha be so that this product stays at the Lasso's?",
        "If the weights of both scales are equal but tiny, the squared part is too strong: move l1_ratio towards 1.",
    ]
    wrong = {
        "the Lasso": "elastic_net = ElasticNet(alpha=alpha, l1_ratio=1.0)",
        "nearly ridge": "elastic_net = ElasticNet(alpha=alpha, l1_ratio=0.001, max_iter=100_000)",
        "half and half at ten times the strength": "elastic_net = ElasticNet(alpha=10 * alpha, l1_ratio=0.5)",
        "ridge itself": "elastic_net = Ridge(ridge_alpha)",
        "weights instead of a model": "elastic_net = ElasticNet(alpha=alpha).fit(weighings[0], y_train).coef_",
    }

    def check(self, elastic_net, weighings, y):
        if not hasattr(elastic_net, "fit"):
            raise Incorrect(
                f"elastic_net is a model that can be fitted, such as ElasticNet(…), got {type(elastic_net).__name__}."
            )
        fits = [self.weights(clone(elastic_net), X, y) for X in weighings]
        decoys = [name for name in weighings[0].columns if name.startswith("decoy")]
        zero = np.median([sum(fit[name] == 0 for name in decoys) for fit in fits])
        pairs = [sorted([abs(fit["bmi"]), abs(fit["bmi_2"])]) for fit in fits]
        if zero < 0.6 * len(decoys):
            raise Incorrect(
                f"Only {zero:.0f} of {len(decoys)} decoys have weight zero: the L1 part is too weak to drop anything."
            )
        if np.median([large for _, large in pairs]) < 2:
            raise Incorrect("Both BMI weights are below 2 points: the penalty has removed the strongest feature too.")
        shares = np.median([small / large for small, large in pairs if large > 0])
        if shares < 0.8:
            raise Incorrect(
                f"The smaller twin gets {shares:.0%} of the larger one's weight: one scale still wins although both "
                "measure the same. Too little in this penalty makes sharing cheaper than choosing."
            )

    def weights(self, model, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a very weak L1 part does not converge, and is refused anyway
            return dict(zip(X.columns, np.ravel(model.fit(X, y).coef_), strict=True))


class SameStrength(Exercise):
    name = "same_strength"
    hints = [
        "Multiply scikit-learn's Lasso objective by 2: its minimum stays where it is. What does it look like now?",
        "Multiply the ridge objective by a number that turns its sum of squares into Keras' mean of squares.",
        "Only the ratio between the error term and the penalty term counts. Write it down for both libraries.",
    ]
    wrong = {
        "the same numbers": "keras_l1 = alpha\nkeras_l2 = ridge_alpha",
        "halved instead of doubled": "keras_l1 = alpha / 2\nkeras_l2 = ridge_alpha / n",
        "both divided by n": "keras_l1 = 2 * alpha / n\nkeras_l2 = ridge_alpha / n",
        "ridge doubled as well": "keras_l1 = 2 * alpha\nkeras_l2 = 2 * ridge_alpha / n",
        "n forgotten": "keras_l1 = 2 * alpha\nkeras_l2 = ridge_alpha",
    }

    def check(self, keras_l1, keras_l2, alpha, ridge_alpha, n):
        for name, value, right, form in (
            ("keras_l1", keras_l1, 2 * alpha, "1/(2n) * sum of squares + alpha * sum |w|"),
            ("keras_l2", keras_l2, ridge_alpha / n, "sum of squares + alpha * sum w**2"),
        ):
            if not np.isscalar(value) or not np.isfinite(value) or value <= 0:
                raise Incorrect(f"{name} is one positive number, got {value!r}.")
            if not np.isclose(value, right, rtol=1e-3):
                raise Incorrect(
                    f"{name} = {value:.4g} makes Keras' penalty {value / right:.3g} times as strong as scikit-learn's. "
                    f"scikit-learn minimises {form}, Keras the mean of squares plus its penalty."
                )


class SoftThreshold(Exercise):
    name = "soft_threshold"
    hints = [
        "Draw the result against w for step = 1: flat at zero between -1 and 1, and shifted by 1 outside.",
        "Split w into its sign and its size. Which of the two changes, and what is the smallest value it may take?",
        "keras.ops has sign, abs, relu, maximum and where. NumPy's functions cannot run inside a compiled step.",
    ]
    wrong = {
        "hard threshold": (
            "def soft_threshold(w, step):\n"
            "    return keras.ops.where(keras.ops.abs(w) > step, w, keras.ops.zeros_like(w))"
        ),
        "the gradient step": "def soft_threshold(w, step):\n    return w - step * keras.ops.sign(w)",
        "sign forgotten": "def soft_threshold(w, step):\n    return keras.ops.relu(w - step)",
        "L2's step": "def soft_threshold(w, step):\n    return w * (1 - step)",
        "NumPy inside the compiled step": (
            "def soft_threshold(w, step):\n    return np.sign(w) * np.maximum(np.abs(w) - step, 0)"
        ),
    }

    def check(self, soft_threshold):
        import tensorflow as tf

        given = np.array([[-3.0], [-1.0], [-0.4], [0.0], [0.4], [1.0], [3.0]], dtype="float32")
        for step in (0.5, 2.0):
            got = self.compiled(tf, soft_threshold, given, step)
            right = np.sign(given) * np.maximum(np.abs(given) - step, 0)
            if got.shape != given.shape:
                raise Incorrect(f"The result has shape {got.shape} for weights of shape {given.shape}.")
            for w, found, expected in zip(given.ravel(), got.ravel(), right.ravel(), strict=True):
                if expected == 0 and found != 0:
                    raise Incorrect(
                        f"w = {w:g}, step = {step:g}: got {found:g}. The step is longer than the way to zero, so the "
                        "weight must stop at exactly 0; otherwise it crosses zero and comes back for ever."
                    )
                if abs(found - expected) > 1e-5:
                    raise Incorrect(
                        f"w = {w:g}, step = {step:g}: got {found:g}, not {expected:g}. Every weight moves towards zero "
                        "by the same step, whatever its size and sign: that is the pull of L1."
                    )

    def compiled(self, tf, function, weights, step):
        """The function's result when it is traced into a graph, as Keras does with a constraint."""
        try:
            compiled = tf.function(lambda w: tf.convert_to_tensor(function(w, step)), autograph=False)
            return compiled(tf.constant(weights)).numpy()
        except Exception as error:
            raise Incorrect(
                f"It does not run inside Keras' compiled step ({type(error).__name__}): use keras.ops on the tensor w, "
                "not NumPy or Python's if."
            ) from None

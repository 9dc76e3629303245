"""Checks, hints and wrong answers of loss-by-task."""

import numpy as np
from labkit.lesson import Exercise, Incorrect, sql_rows


def call(function, *values):
    """The function's result; what it raises is an incorrect answer in its own words."""
    try:
        return function(*values)
    except Exception as error:
        raise Incorrect(f"It raises {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}") from None


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Ordinal(Exercise):
    name = "ordinal"
    hints = [
        "What are the four answers for one star? For five? For three?",
        "np.asarray(stars)[:, None] is a column. Compared with a row of four numbers it gives four columns.",
        "For stars_from count in each row how many of the four probabilities are above one half.",
    ]
    wrong = {
        "one column a name": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] == np.arange(1, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return 1 + np.asarray(steps).argmax(axis=1)"
        ),
        "at least instead of more than": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] >= np.arange(1, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return (np.asarray(steps) > 0.5).sum(axis=1)"
        ),
        "five columns": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] > np.arange(0, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return (np.asarray(steps) > 0.5).sum(axis=1)"
        ),
        "the one star forgotten": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] > np.arange(1, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return (np.asarray(steps) > 0.5).sum(axis=1)"
        ),
        "the rounded mean": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] > np.arange(1, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return 1 + np.asarray(steps).sum(axis=1).round().astype(int)"
        ),
        "likeliest question": (
            "def to_steps(stars):\n"
            "    return (np.asarray(stars)[:, None] > np.arange(1, 5)).astype('float32')\n"
            "def stars_from(steps):\n    return 1 + np.asarray(steps).argmax(axis=1)"
        ),
    }

    def check(self, to_steps, stars_from):
        stars = np.array([1, 2, 3, 4, 5, 3])
        found = np.asarray(call(to_steps, stars), float)
        right = (stars[:, None] > np.arange(1, 5)).astype(float)
        if found.shape != right.shape:
            raise Incorrect(f"to_steps of {len(stars)} ratings has shape {found.shape}: four questions, four columns.")
        for rating, row, good in zip(stars, found, right, strict=True):
            if not np.array_equal(row, good):
                raise Incorrect(
                    f"to_steps: {rating} stars become {row.astype(int).tolist()}. More than 1, 2, 3, 4? That is "
                    f"{good.astype(int).tolist()}: who gives four stars has also given more than one, two and three."
                )
        steps = np.array(
            [[0.2, 0.1, 0.05, 0.01], [0.9, 0.45, 0.45, 0.45], [0.97, 0.9, 0.8, 0.3], [0.99, 0.9, 0.8, 0.7]]
        )
        found = np.asarray(call(stars_from, steps), float)
        if found.shape != (4,):
            raise Incorrect(f"stars_from of {len(steps)} rows has shape {found.shape}: one rating a row.")
        for row, rating, good in zip(steps, found, 1 + (steps > 0.5).sum(axis=1), strict=True):
            if rating != good:
                raise Incorrect(
                    f"stars_from: the probabilities {row.tolist()} become {rating:g} stars. One star is certain, and "
                    f"{good - 1} of the four answers are more likely yes than no: {good}."
                )


class Slope(Exercise):
    name = "slope"
    hints = [
        "The tape follows variables: make z a tf.Variable of one row and one column.",
        "Inside the tape: the activation of the variable, and the loss of a label 1 and that output.",
        "tape.gradient(loss value, variable) is an array of one number. Which variable is it: logit or output?",
    ]
    wrong = {
        "with respect to the output": (
            "def slope(activation, loss, z):\n"
            "    output = tf.Variable(activation(tf.constant([[float(z)]])))\n"
            "    with tf.GradientTape() as tape:\n"
            "        value = loss(tf.ones((1, 1)), output)\n"
            "    return float(tf.reduce_sum(tape.gradient(value, output)))"
        ),
        "activation forgotten": (
            "def slope(activation, loss, z):\n"
            "    logit = tf.Variable([[float(z)]])\n"
            "    with tf.GradientTape() as tape:\n"
            "        value = loss(tf.ones((1, 1)), logit)\n"
            "    return float(tf.reduce_sum(tape.gradient(value, logit)))"
        ),
        "the loss, not its slope": (
            "def slope(activation, loss, z):\n"
            "    return float(loss(tf.ones((1, 1)), activation(tf.constant([[float(z)]]))))"
        ),
        "label 0": (
            "def slope(activation, loss, z):\n"
            "    logit = tf.Variable([[float(z)]])\n"
            "    with tf.GradientTape() as tape:\n"
            "        value = loss(tf.zeros((1, 1)), activation(logit))\n"
            "    return float(tf.reduce_sum(tape.gradient(value, logit)))"
        ),
        "outputs and labels swapped": (
            "def slope(activation, loss, z):\n"
            "    logit = tf.Variable([[float(z)]])\n"
            "    with tf.GradientTape() as tape:\n"
            "        value = loss(activation(logit), tf.ones((1, 1)))\n"
            "    return float(tf.reduce_sum(tape.gradient(value, logit)))"
        ),
        "a constant that no tape follows": (
            "def slope(activation, loss, z):\n"
            "    logit = tf.constant([[float(z)]])\n"
            "    with tf.GradientTape() as tape:\n"
            "        value = loss(tf.ones((1, 1)), activation(logit))\n"
            "    return float(tf.reduce_sum(tape.gradient(value, logit)))"
        ),
    }

    def check(self, slope):
        from keras import activations, losses

        log_loss, on_logits, squared = (
            losses.BinaryCrossentropy(),
            losses.BinaryCrossentropy(from_logits=True),
            losses.MeanSquaredError(),
        )
        pairs = [
            ("sigmoid and binary crossentropy", activations.sigmoid, log_loss, lambda p: p - 1),
            ("no activation and binary crossentropy from logits", activations.linear, on_logits, lambda p: p - 1),
            ("sigmoid and squared error", activations.sigmoid, squared, lambda p: 2 * (p - 1) * p * (1 - p)),
        ]
        for name, activation, loss, expected in pairs:
            for z in (-3.0, 0.5):
                found, right = self.value(slope, activation, loss, z), expected(sigmoid(z))
                if not np.isscalar(found) or not np.isfinite(found):
                    raise Incorrect(f"slope returns one number, a float; got {type(found).__name__}.")
                if abs(found - right) > 1e-3:
                    raise Incorrect(
                        f"{name}, z = {z:g}: {found:.3f}, and it should be {right:.3f}. It is the change of the loss "
                        "for a label 1 when the logit changes, through the activation. Nudge z by 0.001 and see."
                    )

    def value(self, slope, *values):
        try:
            return call(slope, *values)
        except Incorrect as error:
            if "None" in str(error):
                raise Incorrect(
                    "The tape's gradient is None: it has followed nothing from the loss back to that array. It follows "
                    "variables, tf.Variable, and what is computed from them inside its block."
                ) from None
            raise


class ChooseHeads(Exercise):
    name = "choose_heads"
    hints = [
        "Which of the four questions have answers that exclude each other? Only these compete in a softmax.",
        "Look at how the labels come: a column of 0 and 1, whole numbers from 0 to 3, rows of six 0 and 1.",
        "For the hours: by how much may one ticket pull whose error is 300, compared with one whose error is 3?",
    ]
    wrong = {
        "softmax for the tags": """choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"), "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "softmax", "categorical_crossentropy"), "hours": (1, None, "mae")}""",
        "softmax of one": """choice = {
    "escalates": (1, "softmax", "binary_crossentropy"), "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mae")}""",
        "one-hot loss for whole numbers": """choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"), "team": (4, "softmax", "categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mae")}""",
        "squared error for the hours": """choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"), "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mse")}""",
        "sigmoid forgotten": """choice = {
    "escalates": (1, None, "binary_crossentropy"), "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mae")}""",
        "sigmoid twice": """choice = {
    "escalates": (1, "sigmoid", losses.BinaryCrossentropy(from_logits=True)),
    "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mae")}""",
        "a team as a number": """choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"), "team": (1, None, "mse"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, None, "mae")}""",
        "hours through a sigmoid": """choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"), "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"), "hours": (1, "sigmoid", "mae")}""",
    }
    UNITS = {"escalates": 1, "team": 4, "tags": 6, "hours": 1}

    def check(self, choice):
        if not isinstance(choice, dict) or set(choice) != set(self.UNITS):
            raise Incorrect("choice is a dict with the keys escalates, team, tags and hours.")
        rng = np.random.default_rng(0)
        for name, units in self.UNITS.items():
            if not isinstance(choice[name], tuple | list) or len(choice[name]) != 3:
                raise Incorrect(f"{name}: three things, (units, activation, loss).")
            if choice[name][0] != units:
                raise Incorrect(
                    f"{name}: {choice[name][0]} units. {units} are needed, one for each probability or number that is "
                    "predicted; a class is no number that lies between others."
                )
        self.judge_class(
            "escalates", choice, rng, lambda z: (rng.random((len(z), 1)) < 0.4).astype("float32"), self.binary
        )
        self.judge_class("team", choice, rng, lambda z: rng.integers(0, 4, len(z)), self.single)
        self.judge_class("tags", choice, rng, lambda z: (rng.random(z.shape) < 0.4).astype("float32"), self.binary)
        self.judge_hours(choice["hours"])

    def binary(self, y, z):
        return np.mean(np.logaddexp(0, z) - y * z)

    def single(self, y, z):
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])

    def output(self, name, activation, z):
        import keras

        # A copy of the numbers, so that Keras cannot look behind a sigmoid and take its input instead.
        return keras.ops.convert_to_numpy(call(keras.activations.get(activation), keras.ops.convert_to_tensor(z)))

    def loss(self, name, loss, y, output):
        import keras

        try:
            value = keras.losses.get(loss)(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(output))
            return float(keras.ops.mean(value))
        except Exception as error:
            raise Incorrect(
                f"{name}: the loss does not take these labels and outputs ({type(error).__name__}). Are the labels "
                "whole numbers, or a row of 0 and 1 for each ticket?"
            ) from None

    def judge_class(self, name, choice, rng, labels, expected):
        units, activation, loss = choice[name]
        ratios = []
        for spread in (0.5, 1.0, 2.0):
            z = rng.normal(0, spread, (64, units)).astype("float32")
            y = labels(z)
            ratios.append(self.loss(name, loss, y, self.output(name, activation, z)) / expected(y, z))
        if np.std(ratios) > 1e-3 * abs(np.mean(ratios)) or np.mean(ratios) <= 0:
            sums = self.output(name, activation, rng.normal(size=(5, units)).astype("float32")).sum(axis=1)
            if units == 1 and np.allclose(sums, 1):
                raise Incorrect(
                    f"{name}: the softmax of one output is always 1, whatever the logit. Nothing can be learnt."
                )
            if name == "tags" and np.allclose(sums, 1):
                raise Incorrect(
                    "tags: six shares that add up to 1. A ticket with three tags could hardly have one of them above a "
                    "half, and never two. The tags do not exclude each other."
                )
            raise Incorrect(
                f"{name}: activation {activation!r} with this loss is not the negative log likelihood of the labels. "
                "Either the loss gets probabilities, or it gets logits and is told so: one sigmoid or softmax, neither "
                "none nor two."
            )

    def judge_hours(self, head):
        _, activation, loss = head
        z = np.array([[2.0], [8.0], [30.0]], dtype="float32")
        if not np.allclose(self.output("hours", activation, z), z):
            raise Incorrect(f"hours: {activation!r} cuts or bends the output. A number of hours needs none of that.")

        def pull(error):
            value = [self.loss("hours", loss, np.array([[8 + error + d]]), np.array([[8.0]])) for d in (0.01, -0.01)]
            return (value[0] - value[1]) / 0.02

        near, far = pull(3.0), pull(300.0)
        if near <= 1e-4:
            raise Incorrect("hours: an error of three hours does not pull at all with this loss: nothing is learnt.")
        if far > 3.5 * near:
            raise Incorrect(
                f"hours: a ticket with an error of 300 hours pulls {far / near:.0f} times as hard as one with 3. Two "
                "such tickets in a hundred would then move every prediction by hours."
            )


class StepsInSql(Exercise):
    name = "steps_in_sql"
    hints = [
        "How many rows does the result have? CROSS JOIN UNNEST([…]) repeats each row once for each element.",
        "`more` compares the rating with the number of the question. `step` is that number as a text.",
        "Whatever else you select becomes a feature. The stars themselves would give the answer away.",
    ]
    wrong = {
        "the stars as a feature": """
training_rows = '''
SELECT * EXCEPT (ticket, hours, tags, hours_worked), CAST(k AS STRING) AS step, stars > k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
'''
""",
        "at least": """
training_rows = f'''
SELECT {COLUMNS}, CAST(k AS STRING) AS step, stars >= k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
'''
""",
        "five questions": """
training_rows = f'''
SELECT {COLUMNS}, CAST(k AS STRING) AS step, stars > k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4, 5]) AS k
'''
""",
        "the step as a number": """
training_rows = f'''
SELECT {COLUMNS}, k AS step, stars > k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
'''
""",
        "only the question of the rating": """
training_rows = f'''
SELECT {COLUMNS}, CAST(stars AS STRING) AS step, stars > 2 AS more
FROM surveyed
'''
""",
        "equal": """
training_rows = f'''
SELECT {COLUMNS}, CAST(k AS STRING) AS step, stars = k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
'''
""",
        "the embedding forgotten": """
training_rows = '''
SELECT CAST(k AS STRING) AS step, stars > k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
'''
""",
    }

    def check(self, training_rows, client, features):
        found = sql_rows(client, training_rows).to_dataframe()
        wanted = {*features, "step", "more"}
        extra, missing = sorted(set(found.columns) - wanted), sorted(wanted - set(found.columns))
        if extra:
            raise Incorrect(
                f"{', '.join(extra)} would become a feature of the model. What is not known about a new ticket, and "
                "what only numbers it, does not belong there."
            )
        if missing:
            raise Incorrect(f"{', '.join(missing[:3])} is missing: the model needs the embedding, step and more.")
        if not all(isinstance(value, str) for value in found["step"]):
            raise Incorrect(
                "step is a number here. Then it gets one weight, as if the four questions lay at equal distances; as a "
                "STRING each question gets a bias of its own."
            )
        rated = client.query(f"SELECT stars, {', '.join(features)} FROM surveyed").to_dataframe()
        steps = sorted(found["step"].unique())
        if steps != ["1", "2", "3", "4"] or len(found) != 4 * len(rated):
            raise Incorrect(
                f"{len(found)} rows with the steps {', '.join(steps)}. {len(rated)} tickets and the questions 1 to 4 "
                f"make {4 * len(rated)}; nobody gives more than five stars, so a fifth question has only one answer."
            )
        known = {tuple(row[1:]): row[0] for row in rated[["stars", *features]].itertuples(index=False)}
        for row in found[["step", "more", *features]].itertuples(index=False):
            stars = known.get(tuple(row[2:]))
            if stars is None:
                raise Incorrect("There is a row whose embedding is that of no surveyed ticket.")
            if bool(row[1]) != (stars > int(row[0])):
                raise Incorrect(
                    f"A ticket with {stars} stars: to the question whether that is more than {row[0]} the answer is "
                    f"{bool(row[1])}."
                )

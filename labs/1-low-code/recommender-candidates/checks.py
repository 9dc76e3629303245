"""Checks, hints and wrong answers of recommender-candidates."""

import re

import numpy as np
from labkit.lesson import Exercise, Incorrect, sql_rows


def columns_of(client, text, wanted):
    """The learner's text without its last semicolon, run once: it is one SELECT and has these columns."""
    if not isinstance(text, str):
        raise Incorrect(f"The answer is the text of a SELECT, a string, got {type(text).__name__}.")
    text = text.strip().rstrip(";")
    if text.split(None, 1)[:1] and text.split(None, 1)[0].upper() not in ("SELECT", "WITH", "("):
        raise Incorrect("The answer is one query that starts with SELECT or WITH: it changes no table.")
    # The local engine takes it, the service does not.
    if re.search(r"\b(anti|semi)\s+join\b", text, re.IGNORECASE):
        raise Incorrect(
            "GoogleSQL has no ANTI JOIN or SEMI JOIN, unlike Spark. Write LEFT JOIN … WHERE seen.title_id "
            "IS NULL, or NOT EXISTS."
        )
    found = [field.name.lower() for field in sql_rows(client, f"SELECT * FROM ({text}) LIMIT 1").schema]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Incorrect(f"The result has no column {', '.join(missing)}; it has {', '.join(found)}.")
    return text


class UnseenTop(Exercise):
    name = "unseen_top"
    hints = [
        "Two things are asked: which pairs may be shown at all, and which 20 of those come first. In which order?",
        "LEFT JOIN train_now on user AND title: what does a pair that was not played find on the right-hand side?",
        "ROW_NUMBER() OVER (PARTITION BY … ORDER BY … DESC) AS place, and QUALIFY filters on it after the WHERE.",
    ]
    wrong = {
        "seen titles stay in": (
            'top_sql = """SELECT user_id, title_id, '
            "ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC) AS place "
            'FROM collaborative_scores WHERE TRUE QUALIFY place <= 20"""'
        ),
        "first the top 20, then the seen ones out": (
            'top_sql = """WITH best AS (SELECT user_id, title_id, '
            "ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC) AS place FROM collaborative_scores "
            "WHERE TRUE QUALIFY place <= 20) SELECT best.* FROM best LEFT JOIN train_now AS seen "
            "ON best.user_id = seen.user_id AND best.title_id = seen.title_id "
            'WHERE seen.title_id IS NULL"""'
        ),
        "titles that nobody has played": (
            'top_sql = """SELECT user_id, title_id, '
            "ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC) AS place "
            "FROM collaborative_scores WHERE title_id NOT IN (SELECT title_id FROM train_now) "
            'QUALIFY place <= 20"""'
        ),
        "twenty for all users together": (
            'top_sql = """SELECT s.user_id, s.title_id, ROW_NUMBER() OVER (ORDER BY s.score DESC) AS place '
            "FROM collaborative_scores AS s LEFT JOIN train_now AS seen "
            "ON s.user_id = seen.user_id AND s.title_id = seen.title_id "
            'WHERE seen.title_id IS NULL QUALIFY place <= 20"""'
        ),
        "ascending": (
            'top_sql = """SELECT s.user_id, s.title_id, ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.score) '
            "AS place FROM collaborative_scores AS s LEFT JOIN train_now AS seen "
            "ON s.user_id = seen.user_id AND s.title_id = seen.title_id "
            'WHERE seen.title_id IS NULL QUALIFY place <= 20"""'
        ),
        "from 0 to 19": (
            'top_sql = """SELECT s.user_id, s.title_id, '
            "ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.score DESC) - 1 AS place "
            "FROM collaborative_scores AS s LEFT JOIN train_now AS seen "
            "ON s.user_id = seen.user_id AND s.title_id = seen.title_id "
            'WHERE seen.title_id IS NULL QUALIFY place < 20"""'
        ),
        "the join only, no ranking": (
            'top_sql = """SELECT s.user_id, s.title_id, s.score FROM collaborative_scores AS s '
            'LEFT JOIN train_now AS seen USING (user_id, title_id) WHERE seen.title_id IS NULL LIMIT 20"""'
        ),
        "Spark's anti-join": (
            'top_sql = """SELECT s.user_id, s.title_id, '
            "ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.score DESC) AS place "
            "FROM collaborative_scores AS s LEFT ANTI JOIN train_now AS seen "
            "ON s.user_id = seen.user_id AND s.title_id = seen.title_id WHERE TRUE "
            'QUALIFY place <= 20"""'
        ),
        "a table that is not there": (
            'top_sql = """SELECT user_id, title_id, place FROM collaborative_score WHERE place <= 20"""'
        ),
    }

    def check(self, text, client):
        text = columns_of(client, text, ["user_id", "title_id", "place"])
        found = next(iter(sql_rows(client, self.comparison(text))))
        if not found.answered:
            raise Incorrect(
                "The result has no rows. Every title of the model has been played by somebody: what must be left out "
                "are the pairs that this user has played, so compare user and title."
            )
        if found.seen:
            raise Incorrect(
                f"{found.seen / found.answered:.0%} of the rows are titles that the user has played in training. Those "
                "have the highest scores, since the model was fitted to them, and nobody plays them again."
            )
        whole = found.users == found.users_wanted and found.answered == found.pairs
        if not whole or found.answered != 20 * found.users:
            raise Incorrect(
                f"{found.answered} rows for {found.users} users, not 20 different titles for each of "
                f"{found.users_wanted}. Leave out what was seen first and number the rest, for each user anew; "
                "the other way round the most active users get the fewest recommendations."
            )
        if (found.lowest, found.highest) != (1, 20):
            raise Incorrect(f"place runs from {found.lowest} to {found.highest}, not from 1 to 20.")
        if found.off:
            raise Incorrect(
                f"{found.off / found.answered:.0%} of the rows do not have the score that belongs to their place: "
                "place 1 is the highest score among the user's unseen titles, place 20 the twentieth."
            )

    def comparison(self, text):
        """How the answer stands to the right one, in one row. Scores are compared, so ties may fall either way."""
        return f"""
        WITH answer AS ({text}),
        best AS (
          SELECT s.user_id, s.score, ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.score DESC) AS place
          FROM collaborative_scores AS s
          LEFT JOIN train_now AS seen ON s.user_id = seen.user_id AND s.title_id = seen.title_id
          WHERE seen.title_id IS NULL
          QUALIFY place <= 20)
        SELECT COUNT(*) AS answered, COUNT(DISTINCT answer.user_id) AS users,
          COUNT(DISTINCT CONCAT(answer.user_id, ' ', answer.title_id)) AS pairs,
          MIN(answer.place) AS lowest, MAX(answer.place) AS highest, COUNTIF(seen.title_id IS NOT NULL) AS seen,
          COUNTIF(s.score IS NULL OR best.score IS NULL OR s.score != best.score) AS off,
          (SELECT COUNT(DISTINCT user_id) FROM collaborative_scores) AS users_wanted
        FROM answer
        LEFT JOIN collaborative_scores AS s ON answer.user_id = s.user_id AND answer.title_id = s.title_id
        LEFT JOIN train_now AS seen ON answer.user_id = seen.user_id AND answer.title_id = seen.title_id
        LEFT JOIN best ON answer.user_id = best.user_id AND answer.place = best.place
        """


class CorrectSampling(Exercise):
    name = "correct_sampling"
    hints = [
        "A title with a tenth of all plays is in the denominator a hundred times as often as one with a thousandth.",
        "exp(logit - log q) is exp(logit) / q: each candidate counts for as many as it stands for.",
        "Which axis of logits is the titles? Index play_share with None so that it lies along that axis.",
    ]
    wrong = {
        "the wrong sign": (
            "def correct_sampling(logits, play_share):\n    return logits + keras.ops.log(play_share)[None, :]"
        ),
        "along the users": (
            "def correct_sampling(logits, play_share):\n    return logits - keras.ops.log(play_share)[:, None]"
        ),
        "the share, not its logarithm": (
            "def correct_sampling(logits, play_share):\n    return logits - play_share[None, :]"
        ),
        "divided": "def correct_sampling(logits, play_share):\n    return logits / play_share[None, :]",
        "NumPy in the compiled step": (
            "def correct_sampling(logits, play_share):\n    return logits - np.log(play_share)[None, :]"
        ),
        "nothing": "def correct_sampling(logits, play_share):\n    return logits",
    }

    def check(self, correct_sampling):
        rng = np.random.default_rng(5)
        logits = rng.normal(0, 2, (6, 6)).astype("float32")
        share = np.array([0.3, 0.1, 0.03, 0.01, 0.003, 0.001], "float32")
        given, got = softmax(logits), self.compiled(correct_sampling, logits, share)
        if got.shape != logits.shape:
            raise Incorrect(f"The result has shape {got.shape} for logits of shape {logits.shape}.")
        right = softmax(logits - np.log(share))
        # A number added to a whole row changes no probability, so the probabilities are compared.
        found = softmax(got)
        if not np.isfinite(found).all():
            raise Incorrect("The result is not finite. A share is below 1, so its logarithm is negative, not infinite.")
        if np.allclose(found, right, atol=1e-4):
            return
        rare, rare_right, rare_given = (p[:, -1].mean() for p in (found, right, given))
        told = (
            f"A title with 0.1% of the plays has a mean probability of {rare:.3f} after your correction, "
            f"{rare_given:.3f} before it; {rare_right:.3f} is right. "
        )
        if np.allclose(found, given, atol=1e-4):
            told += "Nothing has changed: a number that is the same for a whole row of the softmax cancels."
        elif rare < rare_given:
            told += "A rare title is seldom drawn, so each time it is drawn it must count for more, not for less."
        else:
            told += "Subtract the logarithm: it divides each candidate's term by its chance of being there."
        raise Incorrect(told)

    def compiled(self, function, logits, share):
        """The function's result when it is traced into a graph, as Keras does with a training step."""
        import tensorflow as tf

        try:
            traced = tf.function(lambda a, b: tf.convert_to_tensor(function(a, b)), autograph=False)
            return traced(tf.constant(logits), tf.constant(share)).numpy()
        except Exception as error:
            raise Incorrect(
                f"It does not run inside a compiled training step ({type(error).__name__}): use keras.ops on the "
                "tensors, not NumPy or Python's if."
            ) from None


def softmax(logits):
    """Probabilities of each row."""
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class Pool(Exercise):
    name = "pool"
    hints = [
        "Look at the lowest and highest scores of the generators: are the scales comparable? What else do they share?",
        "One row a user and title first: GROUP BY both, and the best place is the smallest.",
        "Then number the merged rows of each user by that best place, and keep 60.",
    ]
    wrong = {
        "by score, whatever its scale": (
            'pool_sql = """WITH merged AS (SELECT user_id, title_id, MAX(score) AS score FROM candidates_now '
            "GROUP BY user_id, title_id) SELECT user_id, title_id FROM merged WHERE TRUE "
            'QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC) <= 60"""'
        ),
        "duplicates stay": (
            'pool_sql = """SELECT user_id, title_id FROM candidates_now WHERE TRUE '
            'QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY place, generator) <= 60"""'
        ),
        "cut first, duplicates out afterwards": (
            'pool_sql = """SELECT DISTINCT user_id, title_id FROM candidates_now WHERE place <= 15"""'
        ),
        "everything": 'pool_sql = """SELECT DISTINCT user_id, title_id FROM candidates_now"""',
        "the worst place": (
            'pool_sql = """WITH merged AS (SELECT user_id, title_id, MAX(place) AS place FROM candidates_now '
            "GROUP BY user_id, title_id) SELECT user_id, title_id FROM merged WHERE TRUE "
            'QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY place) <= 60"""'
        ),
        "one generator after the other": (
            'pool_sql = """WITH merged AS (SELECT user_id, title_id, MIN(generator) AS generator, MIN(place) AS place '
            "FROM candidates_now GROUP BY user_id, title_id) SELECT user_id, title_id FROM merged WHERE TRUE "
            'QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY generator, place) <= 60"""'
        ),
        "60 in all": (
            'pool_sql = """SELECT user_id, title_id FROM candidates_now GROUP BY user_id, title_id '
            'ORDER BY MIN(place) LIMIT 60"""'
        ),
    }

    def check(self, text, client):
        text = columns_of(client, text, ["user_id", "title_id"])
        found = next(iter(sql_rows(client, self.comparison(text))))
        if found.pairs != found.answered:
            raise Incorrect(
                f"{found.answered - found.pairs} rows name a title that the same user has already: merge first, one "
                "row a user and title, and number afterwards. A duplicate takes the place of another candidate."
            )
        if found.fewest != 60 or found.most != 60 or found.users != found.users_wanted:
            raise Incorrect(
                f"{found.users} of {found.users_wanted} users have between {found.fewest} and {found.most} titles, not "
                "60 each. Merge first and cut afterwards: how often generators agree differs from user to user."
            )
        if found.foreign:
            raise Incorrect(f"{found.foreign} rows are no candidate of that user in candidates_now.")
        if found.left_out:
            raise Incorrect(
                f"{found.left_out / found.users:.0f} titles a user are left out although a generator has them higher "
                "than another title of the pool. Scores of different generators are not on one scale (see the table: a "
                "logit beats every cosine), and some must not come before others; their places can be compared."
            )

    def comparison(self, text):
        """One row: sizes, duplicates, and candidates left out that stand above the last one taken."""
        return f"""
        WITH answer AS ({text}),
        merged AS (SELECT user_id, title_id, MIN(place) AS best_place FROM candidates_now GROUP BY user_id, title_id),
        sizes AS (SELECT user_id, COUNT(*) AS size FROM answer GROUP BY user_id),
        taken AS (SELECT DISTINCT user_id, title_id FROM answer),
        last AS (
          SELECT user_id, MAX(best_place) AS last_place FROM taken JOIN merged USING (user_id, title_id)
          GROUP BY user_id)
        SELECT (SELECT COUNT(*) FROM answer) AS answered, (SELECT COUNT(*) FROM taken) AS pairs,
          (SELECT MIN(size) FROM sizes) AS fewest, (SELECT MAX(size) FROM sizes) AS most,
          (SELECT COUNT(*) FROM sizes) AS users, (SELECT COUNT(DISTINCT user_id) FROM merged) AS users_wanted,
          (SELECT COUNT(*) FROM taken LEFT JOIN merged USING (user_id, title_id) WHERE best_place IS NULL) AS foreign,
          (SELECT COUNT(*) FROM merged JOIN last USING (user_id)
           LEFT JOIN taken ON merged.user_id = taken.user_id AND merged.title_id = taken.title_id
           WHERE taken.title_id IS NULL AND best_place < last_place) AS left_out
        """

"""Checks, hints and wrong answers of calibration-prediction-bias."""

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect, sql_rows


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def logit(p):
    return np.log(p / (1 - p))


def call(function, *values):
    """The function's result; what it raises is an incorrect answer in its own words."""
    try:
        return function(*values)
    except Exception as error:
        raise Incorrect(f"It raises {type(error).__name__}: {error}") from None


class Reliability(Exercise):
    name = "reliability"
    hints = [
        "How many rows are in the first bucket of 1,000 rows and 10 buckets? And which rows are they?",
        "np.argsort(p) sorts the rows. The number of the bucket of row i of n, after sorting, is i * buckets // n.",
        "Sort y by p as well, then group both by the number of the bucket and take means.",
    ]
    wrong = {
        "buckets of equal width": (
            "def reliability(y, p, buckets):\n"
            "    frame = pd.DataFrame({'promised': p, 'happened': np.asarray(y, float)})\n"
            "    return frame.groupby(np.floor(frame['promised'] * buckets).astype(int)).mean()"
        ),
        "each column sorted by itself": (
            "def reliability(y, p, buckets):\n"
            "    frame = pd.DataFrame({'promised': np.sort(p), 'happened': np.sort(np.asarray(y, float))})\n"
            "    return frame.groupby(np.arange(len(p)) * buckets // len(p)).mean()"
        ),
        "not sorted at all": (
            "def reliability(y, p, buckets):\n"
            "    frame = pd.DataFrame({'promised': p, 'happened': np.asarray(y, float)})\n"
            "    return frame.groupby(np.arange(len(p)) * buckets // len(p)).mean()"
        ),
        "predictions cut at 0.5": (
            "def reliability(y, p, buckets):\n"
            "    order = np.argsort(p, kind='stable')\n"
            "    frame = pd.DataFrame({'promised': (p > 0.5).astype(float)[order],\n"
            "                          'happened': np.asarray(y, float)[order]})\n"
            "    return frame.groupby(np.arange(len(p)) * buckets // len(p)).mean()"
        ),
        "share of all clicks instead of a rate": (
            "def reliability(y, p, buckets):\n"
            "    order = np.argsort(p, kind='stable')\n"
            "    frame = pd.DataFrame({'promised': p[order], 'happened': np.asarray(y, float)[order]})\n"
            "    groups = frame.groupby(np.arange(len(p)) * buckets // len(p))\n"
            "    return groups.mean().assign(happened=groups['happened'].sum() / np.sum(y))"
        ),
        "highest first": (
            "def reliability(y, p, buckets):\n"
            "    order = np.argsort(-p, kind='stable')\n"
            "    frame = pd.DataFrame({'promised': p[order], 'happened': np.asarray(y, float)[order]})\n"
            "    return frame.groupby(np.arange(len(p)) * buckets // len(p)).mean()"
        ),
    }

    def check(self, reliability):
        rng = np.random.default_rng(0)
        for rows, buckets in ((2000, 10), (1050, 7)):
            p = rng.permutation(np.linspace(0.001, 0.6, rows) ** 2)
            y = rng.random(rows) < p
            self.judge(call(reliability, y, p, buckets), y, p, buckets)

    def judge(self, found, y, p, buckets):
        if not isinstance(found, pd.DataFrame) or not {"promised", "happened"} <= set(found.columns):
            raise Incorrect("The result is a DataFrame with the columns promised and happened.")
        promised, happened = (found[name].to_numpy(float) for name in ("promised", "happened"))
        order = np.argsort(p)
        right = [part.mean() for part in np.array_split(p[order], buckets)]
        rates = [part.mean() for part in np.array_split(y[order], buckets)]
        if len(found) != buckets:
            raise Incorrect(
                f"{len(p)} rows, {buckets} buckets asked for, {len(found)} came back. Cut by number of rows, not by "
                f"the prediction's value: these go up to {p.max():.2f}, and buckets of equal width above are empty."
            )
        if np.allclose(promised[::-1], right, rtol=0.02):
            raise Incorrect("The buckets come in the wrong order: the first one has the lowest predictions.")
        if not np.allclose(promised, right, rtol=0.02, atol=1e-4):
            raise Incorrect(
                f"Mean prediction of the lowest bucket: {promised[0]:.4f}, of the highest: {promised[-1]:.4f}; with "
                f"rows sorted by the prediction it is {right[0]:.4f} and {right[-1]:.4f}."
            )
        if not np.allclose(happened, rates, atol=0.02):
            raise Incorrect(
                f"In the highest bucket {rates[-1]:.1%} of the rows are positive, yours says {happened[-1]:.1%}. Each "
                "row keeps its own outcome when it is sorted, and a rate is divided by the rows of its bucket."
            )


class PriorCorrection(Exercise):
    name = "prior_correction"
    hints = [
        "100 requests, 50 clicks. One in twenty of the others is kept. How many rows are left, how many are clicks?",
        "Turn the prediction into odds, p / (1 - p). Which factor has the sampling put on them?",
        "Odds among all rows are the trained odds times kept. A probability is odds / (1 + odds).",
    ]
    wrong = {
        "the probability times the share": "def prior_correction(p, kept):\n    return p * kept",
        "the wrong way round": "def prior_correction(p, kept):\n    return p / (p + (1 - p) * kept)",
        "odds, not a probability": "def prior_correction(p, kept):\n    return kept * p / (1 - p)",
        "clicks down as well": "def prior_correction(p, kept):\n    return p * kept / (p * kept + (1 - p) * kept)",
        "the share taken off": "def prior_correction(p, kept):\n    return p - (1 - kept) * p * (1 - p)",
        "one constant for the mean": "def prior_correction(p, kept):\n    return p * prior_correction.constant\n"
        "prior_correction.constant = constant",
    }

    def check(self, prior_correction):
        p = np.array([0.01, 0.2, 0.5, 0.9, 0.99])
        for kept in (0.05, 0.3):
            odds = p / (1 - p)
            trained = odds / kept / (1 + odds / kept)
            found = np.asarray(call(prior_correction, trained, kept), float)
            if found.shape != p.shape:
                raise Incorrect(f"{len(p)} predictions went in, a result of shape {found.shape} came out.")
            if np.allclose(found, p, rtol=1e-6):
                continue
            if np.allclose(found, odds, rtol=1e-6):
                raise Incorrect(
                    f"These are odds: for a click probability of 99% it returns {found[-1]:.0f}. Turn them back into a "
                    "probability, odds / (1 + odds)."
                )
            if (found > trained + 1e-9).all():
                raise Incorrect(
                    f"A prediction of {trained[1]:.2f} becomes {found[1]:.3f}: larger. Training has seen too few rows "
                    "without a click, so the true probability is smaller."
                )
            worst = np.abs(np.log(np.maximum(found, 1e-12) / p)).argmax()
            raise Incorrect(
                f"Keeping {kept:.0%} of the negatives turns a click probability of {p[worst]:.0%} into "
                f"{trained[worst]:.3f}; yours turns that back into {found[worst]:.3f}. The sampling multiplies the "
                "odds, so no multiple of the probability can undo it."
            )
        ends = np.asarray(call(prior_correction, np.array([0.0, 1.0]), 0.05), float)
        if not np.allclose(ends, [0, 1]):
            raise Incorrect(
                f"0 and 1 are certain and stay as they are; yours makes {ends[0]:.3g} and {ends[1]:.3g} of them."
            )


class Platt(Exercise):
    name = "platt"
    hints = [
        "Which single column does the new logistic regression have? Its values go from about -8 to 8.",
        "A model without penalty: LogisticRegression(C=np.inf). scikit-learn wants a table: .reshape(-1, 1).",
        "Return a function. It makes the same column of its argument and takes the probability of the class True.",
    ]
    wrong = {
        "fitted to the probability": (
            "def platt(p, y):\n"
            "    line = LogisticRegression(C=np.inf).fit(p.reshape(-1, 1), y)\n"
            "    return lambda p: line.predict_proba(p.reshape(-1, 1))[:, 1]"
        ),
        "balanced classes": (
            "def platt(p, y):\n"
            "    line = LogisticRegression(C=np.inf, class_weight='balanced').fit(logit(p).reshape(-1, 1), y)\n"
            "    return lambda p: line.predict_proba(logit(p).reshape(-1, 1))[:, 1]"
        ),
        "the other class": (
            "def platt(p, y):\n"
            "    line = LogisticRegression(C=np.inf).fit(logit(p).reshape(-1, 1), y)\n"
            "    return lambda p: line.predict_proba(logit(p).reshape(-1, 1))[:, 0]"
        ),
        "labels instead of probabilities": (
            "def platt(p, y):\n"
            "    line = LogisticRegression(C=np.inf).fit(logit(p).reshape(-1, 1), y)\n"
            "    return lambda p: line.predict(logit(p).reshape(-1, 1)).astype(float)"
        ),
        "only shifted to the right mean": (
            "def platt(p, y):\n"
            "    shift = logit(np.mean(y)) - logit(np.mean(p))\n"
            "    return lambda p: sigmoid(logit(p) + shift)"
        ),
        "isotonic": "def platt(p, y):\n    return IsotonicRegression(out_of_bounds='clip').fit(p, y).predict",
        "mended predictions instead of a function": (
            "def platt(p, y):\n"
            "    line = LogisticRegression(C=np.inf).fit(logit(p).reshape(-1, 1), y)\n"
            "    return line.predict_proba(logit(p).reshape(-1, 1))[:, 1]"
        ),
    }

    def check(self, platt):
        rng = np.random.default_rng(0)
        z = rng.normal(-2.5, 1.5, 30_000)
        y, p = rng.random(len(z)) < sigmoid(z), sigmoid(2 * z + 1)  # stretched and shifted: a = 0.5, b = -0.5
        mend = call(platt, p, y)
        if not callable(mend):
            raise Incorrect(f"platt returns a function that takes new predictions, got {type(mend).__name__}.")
        truth = np.array([0.005, 0.02, 0.1, 0.3, 0.6, 0.9])
        found = np.asarray(call(mend, sigmoid(2 * logit(truth) + 1)), float)
        if found.shape != truth.shape:
            raise Incorrect(f"{len(truth)} predictions went in, a result of shape {found.shape} came out.")
        if np.isin(found, [0, 1]).all():
            raise Incorrect("It returns 0 and 1: classes cut at a threshold. Bids need probabilities.")
        if (np.diff(found) < 0).any():
            raise Incorrect("A larger prediction becomes a smaller one: these are the probabilities of no click.")
        fine = np.asarray(call(mend, np.linspace(0.3, 0.7, 200)), float)
        if len(np.unique(fine)) < 150:
            raise Incorrect(
                f"200 different predictions become {len(np.unique(fine))}: a staircase. Platt scaling has two numbers "
                "and keeps every order."
            )
        worst = np.abs(np.log(found / truth)).argmax()
        if abs(np.log(found[worst] / truth[worst])) > np.log(1.2):
            raise Incorrect(
                f"On a model whose logits are stretched by 2 and shifted by 1, requests with a true probability of "
                f"{truth[worst]:.1%} get {found[worst]:.1%}. The mend is a straight line from logit to logit, with a "
                "slope and an intercept of its own and all rows of equal weight."
            )


class BiasInSql(Exercise):
    name = "bias_in_sql"
    hints = [
        "The array has two entries. SELECT c.prob FROM UNNEST(…) AS c WHERE … picks one by its label.",
        "Three steps, a sub-query each: the probability of a click, its corrected odds, the bucket by NTILE.",
        "The weights multiply the odds by ODDS, as keeping 1 / ODDS of the others would. Which formula undoes that?",
    ]
    wrong = {
        "probability of the predicted class": """
sql = f'''
WITH scored AS (
  SELECT clicked, (SELECT MAX(c.prob) FROM UNNEST(predicted_clicked_probs) AS c) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p / (p + (1 - p) * {ODDS}) AS p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "the other class": """
sql = f'''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE NOT c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p / (p + (1 - p) * {ODDS}) AS p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "not corrected": """
sql = '''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "divided by ODDS": """
sql = f'''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) / {ODDS} AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "mean corrected, not each row": """
sql = f'''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) / (AVG(p) + (1 - AVG(p)) * {ODDS}) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "the plain model": """
sql = '''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL plain, TABLE new_requests))
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
        "predicted class as what happened": """
sql = f'''
WITH scored AS (
  SELECT predicted_clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests))
SELECT bucket, AVG(p) AS promised, AVG(IF(predicted_clicked, 1, 0)) AS happened
FROM (
  SELECT predicted_clicked, p / (p + (1 - p) * {ODDS}) AS p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored)
GROUP BY bucket
'''
""",
        "on the training rows": """
sql = f'''
WITH scored AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE log))
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT clicked, p / (p + (1 - p) * {ODDS}) AS p, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored) GROUP BY bucket
'''
""",
    }

    def check(self, sql, client):
        found = sql_rows(client, sql).to_dataframe()
        if sorted(found.columns) != ["bucket", "happened", "promised"]:
            raise Incorrect(
                f"The result has the columns {', '.join(found.columns) or 'none'}; "
                "asked for: bucket, promised, happened."
            )
        if sorted(found["bucket"]) != [1, 2, 3, 4, 5]:
            raise Incorrect(f"bucket is 1 to 5, a row each; yours has {len(found)} rows.")
        found = found.sort_values("bucket").astype(float)
        right = self.reference(client)
        promised, happened = found["promised"].to_numpy(), found["happened"].to_numpy()
        if not np.allclose(happened, right["happened"], rtol=1e-3, atol=1e-6):
            place = np.abs(happened - right["happened"]).argmax()
            raise Incorrect(
                f"Bucket {place + 1}: {right['happened'][place]:.2%} of these requests were clicked, yours says "
                f"{happened[place]:.2%}. Are rows, sorting and outcome the right ones? The probability is that of the "
                "label TRUE, wherever it stands in the array, and the outcome is the column clicked."
            )
        if not np.allclose(promised, right["promised"], rtol=5e-4):
            place = np.abs(np.log(np.maximum(promised, 1e-12) / right["promised"])).argmax()
            raise Incorrect(
                f"Bucket {place + 1} promises {promised[place]:.3%}, it should be {right['promised'][place]:.3%}: the "
                "prediction of `weighted`, its odds divided by ODDS row by row, and then the mean. In a mean of "
                "uncorrected predictions each row's own odds are lost."
            )

    def reference(self, client):
        return client.query("""
            WITH classes AS (SELECT COUNTIF(NOT clicked) / COUNTIF(clicked) AS odds FROM log),
            scored AS (
              SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
              FROM ML.PREDICT(MODEL weighted, TABLE new_requests)
            )
            SELECT bucket, AVG(p / (p + (1 - p) * odds)) AS promised, AVG(IF(clicked, 1, 0)) AS happened
            FROM (SELECT *, NTILE(5) OVER (ORDER BY p) AS bucket FROM scored), classes
            GROUP BY bucket ORDER BY bucket
        """).to_dataframe()

"""Checks, hints and wrong answers of decision-threshold-cost."""

import numpy as np
from labkit.lesson import Exercise, Incorrect, sql_rows


class ThresholdFrom(Exercise):
    name = "threshold_from"
    hints = [
        "Write down the expected cost of referring a patient who is ill with probability p, then that of sending home.",
        "Where are the two lines equal? The prices of the healthy are weighed with 1 - p.",
        "Only two differences are left: what a mistake costs more than being right, for the ill and for the healthy.",
    ]
    wrong = {
        "being right is free": (
            "def threshold_from(ill_referred, ill_home, healthy_referred, healthy_home):\n"
            "    return healthy_referred / (healthy_referred + ill_home)"
        ),
        "the share of the miss": (
            "def threshold_from(ill_referred, ill_home, healthy_referred, healthy_home):\n"
            "    miss, alarm = ill_home - ill_referred, healthy_referred - healthy_home\n"
            "    return miss / (miss + alarm)"
        ),
        "a ratio, not a share": (
            "def threshold_from(ill_referred, ill_home, healthy_referred, healthy_home):\n"
            "    return (healthy_referred - healthy_home) / (ill_home - ill_referred)"
        ),
        "one half": ("def threshold_from(ill_referred, ill_home, healthy_referred, healthy_home):\n    return 0.5"),
        "all four in the denominator": (
            "def threshold_from(ill_referred, ill_home, healthy_referred, healthy_home):\n"
            "    return healthy_referred / (ill_referred + ill_home + healthy_referred + healthy_home)"
        ),
    }

    def check(self, threshold_from):
        for prices in ((800, 2600, 300, 0), (0, 100, 100, 0), (50, 60, 90, 40), (10, 500, 20, 5)):
            t = threshold_from(*prices)
            if not np.isscalar(t) or not np.isfinite(t):
                raise Incorrect(f"threshold_from returns one number, got {t!r}.")
            ill_referred, ill_home, healthy_referred, healthy_home = prices
            refer = t * ill_referred + (1 - t) * healthy_referred
            home = t * ill_home + (1 - t) * healthy_home
            if not np.isclose(refer, home):
                raise Incorrect(
                    f"Ill: referred {ill_referred}, home {ill_home}; healthy: referred {healthy_referred}, home "
                    f"{healthy_home}. At your threshold {t:.3g} referring costs {refer:.1f} on average and sending "
                    f"home {home:.1f}. They must be equal there, or some patients get the dearer decision."
                )


class MovedThreshold(Exercise):
    name = "moved_threshold"
    hints = [
        "Write the old probability in odds, p / (1 - p), and split it into base odds and what the photograph says.",
        "The threshold is for the new odds. By which factor are the old odds of the same patient smaller?",
        "Go back from odds to a probability at the end: odds / (1 + odds).",
    ]
    wrong = {
        "left where it was": "def moved_threshold(threshold, old_rate, new_rate):\n    return threshold",
        "probabilities instead of odds": (
            "def moved_threshold(threshold, old_rate, new_rate):\n    return threshold * old_rate / new_rate"
        ),
        "the wrong way": (
            "def moved_threshold(threshold, old_rate, new_rate):\n"
            "    cut = threshold / (1 - threshold) * new_rate / (1 - new_rate) / (old_rate / (1 - old_rate))\n"
            "    return cut / (1 + cut)"
        ),
        "odds returned": (
            "def moved_threshold(threshold, old_rate, new_rate):\n"
            "    return threshold / (1 - threshold) * old_rate / (1 - old_rate) / (new_rate / (1 - new_rate))"
        ),
        "moved by the difference": (
            "def moved_threshold(threshold, old_rate, new_rate):\n    return threshold - (new_rate - old_rate)"
        ),
        "the new base rate": "def moved_threshold(threshold, old_rate, new_rate):\n    return new_rate",
    }

    def check(self, moved_threshold):
        for threshold, old, new in ((0.143, 0.03, 0.12), (0.143, 0.03, 0.03), (0.5, 0.5, 0.1), (0.8, 0.2, 0.6)):
            cut = moved_threshold(threshold, old, new)
            if not np.isscalar(cut) or not np.isfinite(cut):
                raise Incorrect(f"moved_threshold returns one number, got {cut!r}.")
            if not 0 < cut < 1:
                raise Incorrect(
                    f"Threshold {threshold}, base rate from {old} to {new}: the cut is {cut:.3g}, no probability. "
                    "The serving system compares it with one."
                )
            # A patient with exactly this old probability: which one is it at the new base rate?
            odds = cut / (1 - cut) * (new / (1 - new)) / (old / (1 - old))
            true = odds / (1 + odds)
            if not np.isclose(true, threshold, rtol=1e-3):
                raise Incorrect(
                    f"Threshold {threshold}, base rate from {old} to {new}: a patient at your cut {cut:.3g} is now ill "
                    f"with probability {true:.3g}, not {threshold}. The base odds have changed by one factor, and with "
                    "them the odds of every patient."
                )


class EqualOpportunity(Exercise):
    name = "equal_opportunity"
    hints = [
        "Recall depends on the scores of the ill alone. Which threshold finds 40% of the ill with one camera?",
        "np.quantile(scores of the ill, 1 - recall) is that threshold. Do it for both cameras at the same recall.",
        "Every common recall is one pair of thresholds. Try many, and keep the pair of lowest cost.",
    ]
    wrong = {
        "one threshold": 'cut = {"new": THRESHOLD, "old": THRESHOLD}',
        "cheapest for each camera": 'cut = cheapest_cut(told["told"])',
        "equal share referred": (
            'cut = {group: np.quantile(told["told"][here], 0.96) for group, here in CAMERAS.items()}'
        ),
        "old raised to new": (
            'recall = outcome(told["told"], THRESHOLD)["recall, new"]\n'
            'cut = {group: np.quantile(told["told"][sick & here], 1 - recall) for group, here in CAMERAS.items()}'
        ),
        "everyone referred": 'cut = {"new": 0.0, "old": 0.0}',
        "nobody referred": 'cut = {"new": 1.0, "old": 1.0}',
        "quantile of the recall": (
            'cut = {group: np.quantile(told["told"][sick & here], 0.35) for group, here in CAMERAS.items()}'
        ),
        "one number": "cut = THRESHOLD",
    }

    def check(self, cut, stated, sick, old):
        if not isinstance(cut, dict) or set(cut) != {"new", "old"}:
            raise Incorrect('cut is a dict with the keys "new" and "old", a threshold for each.')
        for group, value in cut.items():
            if not np.isscalar(value) or not np.isfinite(value):
                raise Incorrect(f"cut[{group!r}] is one number, got {value!r}.")
        recall, cost = self.judged(cut, stated, sick, old)
        if abs(recall["new"] - recall["old"]) > 0.01:
            raise Incorrect(
                f"With the new camera {recall['new']:.1%} of the ill are found, with the old one {recall['old']:.1%}: "
                "an ill patient's chance still depends on the camera. Equal shares referred or equal thresholds do not "
                "mend that."
            )
        pairs = [self.pair(common, stated, sick, old) for common in np.linspace(0.02, 0.98, 65)]
        cheapest = min(self.judged(pair, stated, sick, old)[1] for pair in pairs)
        if cost > 1.005 * cheapest:
            raise Incorrect(
                f"Equal recall, {recall['new']:.1%} for both, at a cost of {cost:.1f}. Equal recall is possible for "
                f"{cheapest:.1f}: the common recall is yours to choose, too, and the board asks for the lowest cost."
            )

    def pair(self, common, stated, sick, old):
        new_cut, old_cut = (np.quantile(stated[sick & here], 1 - common) for here in (~old, old))
        return {"new": new_cut, "old": old_cut}

    def judged(self, cut, stated, sick, old):
        referred = stated >= np.where(old, cut["old"], cut["new"])
        recall = {"new": referred[sick & ~old].mean(), "old": referred[sick & old].mean()}
        return recall, np.where(sick, 1800 * ~referred, 300 * referred).mean()


class ThreeDecisions(Exercise):
    name = "three_decisions"
    hints = [
        "In a sub-query, UNNEST makes rows of the array: keep the probability whose label is true, one p a patient.",
        "Put the three prices beside each patient by a join without a condition. What does each decision cost at p?",
        "LEAST(…) of the three costs, CASE to name the one that it is, then GROUP BY.",
    ]
    wrong = {
        "look only where unsure about the label": (
            'sql = """\n'
            "SELECT CASE WHEN p < 0.4 THEN 'home' WHEN p < 0.6 THEN 'look' ELSE 'refer' END AS decision,\n"
            "  COUNT(*) AS patients\n"
            "FROM (SELECT (SELECT one.prob FROM UNNEST(predicted_ill_probs) AS one WHERE one.label) AS p\n"
            "  FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year))\n"
            'GROUP BY decision"""'
        ),
        "probability of the healthy": (
            'sql = """\n'
            "SELECT CASE LEAST(p * miss, look, (1 - p) * false_alarm)\n"
            "  WHEN look THEN 'look' WHEN p * miss THEN 'home' ELSE 'refer' END AS decision, COUNT(*) AS patients\n"
            "FROM (SELECT (SELECT one.prob FROM UNNEST(predicted_ill_probs) AS one WHERE NOT one.label) AS p\n"
            "  FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year))\n"
            'CROSS JOIN prices GROUP BY decision"""'
        ),
        "home and refer swapped": (
            'sql = """\n'
            "SELECT CASE LEAST(p * miss, look, (1 - p) * false_alarm)\n"
            "  WHEN look THEN 'look' WHEN p * miss THEN 'refer' ELSE 'home' END AS decision, COUNT(*) AS patients\n"
            "FROM (SELECT (SELECT one.prob FROM UNNEST(predicted_ill_probs) AS one WHERE one.label) AS p\n"
            "  FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year))\n"
            'CROSS JOIN prices GROUP BY decision"""'
        ),
        "the predicted label": (
            'sql = """\n'
            "SELECT IF(predicted_ill, 'refer', 'home') AS decision, COUNT(*) AS patients\n"
            "FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year)\n"
            'GROUP BY decision"""'
        ),
        "prices not weighed with the probability": (
            'sql = """\n'
            "SELECT CASE LEAST(miss, look, false_alarm)\n"
            "  WHEN look THEN 'look' WHEN miss THEN 'home' ELSE 'refer' END AS decision, COUNT(*) AS patients\n"
            "FROM (SELECT (SELECT one.prob FROM UNNEST(predicted_ill_probs) AS one WHERE one.label) AS p\n"
            "  FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year))\n"
            'CROSS JOIN prices GROUP BY decision"""'
        ),
        "no such column": (
            'sql = "SELECT decision, COUNT(*) AS patients FROM ML.PREDICT(MODEL eye_disease, TABLE clinic_year) '
            'GROUP BY decision"'
        ),
    }

    def check(self, sql, client, stated, prices):
        rows = sql_rows(client, sql).to_dataframe()
        if set(rows.columns) != {"decision", "patients"}:
            raise Incorrect(f"The columns are {', '.join(rows.columns)}: decision and patients are asked for.")
        found = dict(zip(rows["decision"], rows["patients"], strict=True))
        price = prices.iloc[0]
        costs = np.array([stated * price.miss, np.full(len(stated), price.look), (1 - stated) * price.false_alarm])
        right = dict(
            zip(("home", "look", "refer"), np.bincount(costs.argmin(axis=0), minlength=3).tolist(), strict=True)
        )
        if len(rows) != len(found) or set(found) - set(right):
            raise Incorrect(
                f"The decisions are {', '.join(map(str, rows['decision']))}: one row each of home, look and refer is "
                "asked for."
            )
        for decision, patients in right.items():
            # A few patients lie at a border, where the last digits of a probability decide.
            if abs(found.get(decision, 0) - patients) > 0.002 * len(stated):
                raise Incorrect(
                    f"{decision}: {found.get(decision, 0)} patients, {patients} by expected cost. Sending home costs "
                    "p x miss, referring (1 - p) x false_alarm, a look its price; p is the probability of being ill."
                )

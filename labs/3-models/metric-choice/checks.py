"""Checks, hints and wrong answers of metric-choice."""

from itertools import pairwise

import numpy as np
from labkit.lesson import Exercise, Incorrect, sql_rows
from sklearn.metrics import average_precision_score, roc_auc_score


class CrewMetric(Exercise):
    name = "crew_metric"
    hints = [
        "The crew never sees a probability. What does it get from you, and how many entries does it have?",
        "Sort the sections by score, highest first. Which of them matter, and what do you count among those?",
        "np.argsort(-score)[:digs] are the places of the sections that the crew digs up.",
    ]
    wrong = {
        "ROC AUC": "def crew_metric(burst, score, digs):\n    return metrics.roc_auc_score(burst, score)",
        "PR AUC": "def crew_metric(burst, score, digs):\n    return metrics.average_precision_score(burst, score)",
        "precision at 0.5": (
            "def crew_metric(burst, score, digs):\n"
            "    return metrics.precision_score(burst, score >= 0.5, zero_division=0)"
        ),
        "the lowest scores": "def crew_metric(burst, score, digs):\n    return burst[np.argsort(score)[:digs]].mean()",
        "mean score of the list": "def crew_metric(burst, score, digs):\n    return np.sort(score)[-digs:].mean()",
        "every burst found": "def crew_metric(burst, score, digs):\n    return burst.sum() / digs",
        "prints and returns nothing": (
            "def crew_metric(burst, score, digs):\n    print(burst[np.argsort(-score)[:digs]].mean())"
        ),
    }

    def check(self, crew_metric):
        rng = np.random.default_rng(0)
        rows, digs = 400, 20
        score = rng.permutation(np.linspace(0.01, 0.45, rows))
        order = np.argsort(-score)
        by_hits = {}
        for hits in (0, 3, 9, 20):
            burst = np.zeros(rows, bool)
            burst[rng.choice(order[:digs], hits, replace=False)] = True
            burst[rng.choice(order[digs:], 30 - hits, replace=False)] = True
            by_hits[hits] = self.number(crew_metric, burst, score, digs)
        values = list(by_hits.values())
        if not all(low < high for low, high in pairwise(values)):
            raise Incorrect(
                f"Lists with {', '.join(map(str, by_hits))} bursts among {digs} digs get "
                f"{', '.join(f'{value:.3g}' for value in values)}. More bursts among the highest scores must give a "
                "higher number: they are all that the crew gains."
            )
        # The same list in another order, the same list from scores on another scale, and another tail.
        burst = np.zeros(rows, bool)
        burst[order[[0, 4, 15, 40, 200]]] = True
        plain = self.number(crew_metric, burst, score, digs)
        changes = {
            "the scores of the sections outside the list are shuffled among each other": self.tail(
                score, order, digs, rng
            ),
            "the sections within the list change places": self.head(score, order, digs),
            "every score is doubled": 2 * score,
        }
        for what, changed in changes.items():
            found = self.number(crew_metric, burst, changed, digs)
            if not np.isclose(found, plain):
                raise Incorrect(
                    f"If {what}, the crew digs at the same places, but your number goes from {plain:.3g} to "
                    f"{found:.3g}. It measures something that never reaches the street."
                )

    def number(self, crew_metric, *arguments):
        value = crew_metric(*arguments)
        if not np.isscalar(value) or not np.isfinite(value):
            raise Incorrect(f"crew_metric returns one number, got {value!r}.")
        return float(value)

    def tail(self, score, order, digs, rng):
        changed = score.copy()
        changed[order[digs:]] = rng.permutation(score[order[digs:]])
        return changed

    def head(self, score, order, digs):
        changed = score.copy()
        changed[order[:digs]] = score[order[:digs]][::-1]
        return changed


class PrecisionAt(Exercise):
    name = "precision_at"
    hints = [
        "Take 10,000 rows with a share of 0.01: how many positives, how many negatives, how many alarms from each?",
        "Recall is a share of the positives, the false positive rate a share of the negatives.",
        "Precision is hits over all alarms. Write both as shares of all rows, then divide.",
    ]
    wrong = {
        "classes of equal size": (
            "def precision_at(recall, false_positive_rate, share):\n    return recall / (recall + false_positive_rate)"
        ),
        "one minus the false positive rate": (
            "def precision_at(recall, false_positive_rate, share):\n    return 1 - false_positive_rate"
        ),
        "negatives not weighted": (
            "def precision_at(recall, false_positive_rate, share):\n"
            "    return share * recall / (share * recall + false_positive_rate)"
        ),
        "share the wrong way round": (
            "def precision_at(recall, false_positive_rate, share):\n"
            "    return (1 - share) * recall / ((1 - share) * recall + share * false_positive_rate)"
        ),
        "share times recall": "def precision_at(recall, false_positive_rate, share):\n    return share * recall",
    }

    def check(self, precision_at):
        recall, rate = np.array([0.2, 0.8, 0.9]), np.array([0.0, 0.1, 0.5])
        for share in (0.5, 0.01, 0.3):
            right = share * recall / (share * recall + (1 - share) * rate)
            found = np.asarray(precision_at(recall, rate, share), float)
            if found.shape != recall.shape:
                raise Incorrect(
                    f"For arrays of {len(recall)} points it returns shape {found.shape}, not ({len(recall)},)."
                )
            if np.allclose(found, right):
                continue
            hits, alarms = 10_000 * share * 0.8, 10_000 * (1 - share) * 0.1
            raise Incorrect(
                f"Recall 0.8, false positive rate 0.1, share {share}: of 10,000 rows {hits:.0f} positives and "
                f"{alarms:.0f} negatives raise an alarm, so precision is {right[1]:.3f}; yours is {found[1]:.3f}. "
                "Each rate counts within its own class: weigh it by the size of that class."
            )


class BestNumber(Exercise):
    name = "best_number"
    hints = [
        "Two of the three are statistics that you know. If in doubt, try every number of a grid.",
        "For MAE: move the forecast up a little. For how many repairs does the error grow, and for how many not?",
        "MAPE is MAE in which a repair weighs 1 / cost: the number that has half of that weight below it.",
    ]
    wrong = {
        "the mean for all": 'best = {"RMSE": costs.mean(), "MAE": costs.mean(), "MAPE": costs.mean()}',
        "the median for all": 'best = dict.fromkeys(["RMSE", "MAE", "MAPE"], np.median(costs))',
        "the median for both without squares": (
            'best = {"RMSE": costs.mean(), "MAE": np.median(costs), "MAPE": np.median(costs)}'
        ),
        "geometric mean for MAPE": (
            'best = {"RMSE": costs.mean(), "MAE": np.median(costs), "MAPE": np.exp(np.log(costs).mean())}'
        ),
        "mean and median swapped": ('best = {"RMSE": np.median(costs), "MAE": costs.mean(), "MAPE": costs.min()}'),
        "the errors, not the forecasts": (
            'best = {"RMSE": costs.std(), "MAE": np.abs(costs - np.median(costs)).mean(), "MAPE": 0.5}'
        ),
        "only one": "best = costs.mean()",
    }

    def check(self, best, costs):
        if not isinstance(best, dict) or set(best) != {"RMSE", "MAE", "MAPE"}:
            raise Incorrect('best is a dict with the keys "RMSE", "MAE" and "MAPE", a number for each.')
        grid = np.quantile(costs, np.linspace(0, 1, 401))
        error = {
            "RMSE": lambda c: np.sqrt(np.mean((costs - c) ** 2)),
            "MAE": lambda c: np.mean(np.abs(costs - c)),
            "MAPE": lambda c: np.mean(np.abs(costs - c) / costs),
        }
        why = {
            "RMSE": "A square grows fastest for the largest errors, so the dearest repairs pull hardest.",
            "MAE": "Each repair pulls with the same force, however far away it is.",
            "MAPE": "An error of 1 on a cheap repair is a large share, so the cheap repairs pull hardest.",
        }
        for name, of in error.items():
            if not np.isscalar(best[name]) or not np.isfinite(best[name]):
                raise Incorrect(f"best[{name!r}] is one number, got {best[name]!r}.")
            lowest = of(costs.mean()) if name == "RMSE" else min(of(c) for c in grid)
            found = of(best[name])
            if found > 1.001 * lowest:
                raise Incorrect(
                    f"{best[name]:.3g} has a {name} of {found:.3f}, but {lowest:.3f} is possible. {why[name]}"
                )


class PrAucSql(Exercise):
    name = "pr_auc_sql"
    hints = [
        "For one section that burst: how many sections have at least its score, and how many of those burst?",
        "COUNT(*) OVER (ORDER BY score_batch DESC) counts the rows up to this one and all that share its score.",
        "Divide the two counts in an outer query, keep the rows that burst, and take the mean.",
    ]
    wrong = {
        "ties in the order in which they lie": (
            'sql = """\n'
            "SELECT AVG(hits / alarms) AS pr_auc\n"
            "FROM (SELECT burst,\n"
            "COUNTIF(burst) OVER (ORDER BY score_batch DESC ROWS UNBOUNDED PRECEDING) AS hits,\n"
            "ROW_NUMBER() OVER (ORDER BY score_batch DESC) AS alarms\n"
            'FROM judging_year) WHERE burst"""'
        ),
        "averaged over all sections": (
            'sql = """\n'
            "SELECT AVG(hits / alarms) AS pr_auc\n"
            "FROM (SELECT burst,\n"
            "COUNTIF(burst) OVER (ORDER BY score_batch DESC) AS hits,\n"
            "COUNT(*) OVER (ORDER BY score_batch DESC) AS alarms\n"
            'FROM judging_year) """'
        ),
        "from the lowest score up": (
            'sql = """\n'
            "SELECT AVG(hits / alarms) AS pr_auc\n"
            "FROM (SELECT burst,\n"
            "COUNTIF(burst) OVER (ORDER BY score_batch) AS hits,\n"
            "COUNT(*) OVER (ORDER BY score_batch) AS alarms\n"
            'FROM judging_year) WHERE burst"""'
        ),
        "the score of another model": (
            'sql = """\n'
            "SELECT AVG(hits / alarms) AS pr_auc\n"
            "FROM (SELECT burst,\n"
            "COUNTIF(burst) OVER (ORDER BY score_wear DESC) AS hits,\n"
            "COUNT(*) OVER (ORDER BY score_wear DESC) AS alarms\n"
            'FROM judging_year) WHERE burst"""'
        ),
        "precision at 0.5": (
            'sql = """\n'
            "SELECT COUNTIF(burst AND score_batch >= 0.5) / COUNTIF(score_batch >= 0.5) AS pr_auc\n"
            'FROM judging_year"""'
        ),
        "ML.EVALUATE has no such column": 'sql = "SELECT pr_auc FROM ML.EVALUATE(MODEL wear, TABLE judging_year)"',
    }

    def check(self, sql, client, burst, score):
        rows = sql_rows(client, sql).to_dataframe()
        if list(rows.columns) != ["pr_auc"] or len(rows) != 1:
            raise Incorrect(
                f"The query returns {len(rows)} rows with {', '.join(rows.columns) or 'no columns'}: one row with one "
                "column pr_auc is asked for."
            )
        found, right = float(rows["pr_auc"].iloc[0]), average_precision_score(burst, score)
        if abs(found - right) < 1e-6:
            return
        what = f"pr_auc is {found:.4f}, the average precision of score_batch {right:.4f}. "
        if abs(found - roc_auc_score(burst, score)) < 1e-3:
            raise Incorrect(what + "That is the area under the ROC curve.")
        if found < 0.2 * right:
            raise Incorrect(
                what
                + "Is the highest score first, is it the right model, is the mean only over the sections that burst?"
            )
        raise Incorrect(
            what
            + "Sections with the same score pass a threshold together: counted one by one, the result depends on the "
            "order in which the rows of the table happen to lie. And every section that burst counts, not only those "
            "above 0.5."
        )

"""Checks, hints and wrong answers of forecasting-arima-backtest."""

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect, sql_rows

PAIR = ["series", "origin"]


def table(client, sql, columns):
    """The answer's rows with these columns. SQL that BigQuery refuses is an incorrect answer, with its first line."""
    if not isinstance(sql, str):
        raise Incorrect(f"The answer is SQL as a text, got {type(sql).__name__}.")
    names = ", ".join(columns)
    found = sql_rows(client, f"SELECT {names} FROM ({sql.strip().rstrip(';')})").to_dataframe()
    if found.empty:
        raise Incorrect("The query gives no rows.")
    return found


def dates(column):
    return pd.to_datetime(column.astype(str).str[:10])


class Windows(Exercise):
    name = "windows"
    hints = [
        "Every row of origins meets every month of its own series: a JOIN on series. Then most rows must go.",
        "Two conditions on month: one for the future, one for the far past. Which of them includes the cutoff?",
        "DATE_SUB(cutoff, INTERVAL 120 MONTH) is the last month that is too old, not the first that is taken.",
    ]
    wrong = {
        "the year that is to be forecast as well": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            "WHERE month <= DATE_ADD(cutoff, INTERVAL 12 MONTH) AND month > DATE_SUB(cutoff, INTERVAL 108 "
            'MONTH)"""'
        ),
        "a random split instead of a cutoff": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            'WHERE RAND() < 0.8"""'
        ),
        "all the past": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            'WHERE month <= cutoff"""'
        ),
        "one month too many": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            'WHERE month BETWEEN DATE_SUB(cutoff, INTERVAL 120 MONTH) AND cutoff"""'
        ),
        "the cutoff month left out": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            'WHERE month < cutoff AND month >= DATE_SUB(cutoff, INTERVAL 120 MONTH)"""'
        ),
        "every origin with every series": (
            'windows_sql = """SELECT readings.series, origin, month, value FROM origins CROSS JOIN readings '
            'WHERE month <= cutoff AND month > DATE_SUB(cutoff, INTERVAL 120 MONTH)"""'
        ),
        "120 days": (
            'windows_sql = """SELECT series, origin, month, value FROM origins JOIN readings USING (series) '
            'WHERE month <= cutoff AND month > DATE_SUB(cutoff, INTERVAL 120 DAY)"""'
        ),
        "no origin in the result": (
            'windows_sql = """SELECT series, month, value FROM origins JOIN readings USING (series) WHERE '
            'month <= cutoff"""'
        ),
    }

    def check(self, windows_sql, client):
        found = table(client, windows_sql, [*PAIR, "month", "value"])
        origins = client.query("SELECT series, origin, cutoff FROM origins").to_dataframe()
        found["month"] = dates(found.month)
        found = found.merge(origins.assign(cutoff=dates(origins.cutoff)), on=PAIR, how="left")
        if found.cutoff.isna().any() or found.duplicated([*PAIR, "month"]).any():
            raise Incorrect(
                "A (series, origin) pair has a month twice, or is no row of origins. Each origin belongs to one "
                "series: join on it."
            )
        behind = (found.cutoff.dt.year - found.month.dt.year) * 12 + found.cutoff.dt.month - found.month.dt.month
        if (behind < 0).any():
            raise Incorrect(
                f"{(behind < 0).sum()} rows lie after their cutoff. The model would be trained on months that it "
                "is then asked to forecast: that is the leak which made the contractor's test so good."
            )
        if (behind > 119).any():
            raise Incorrect(
                f"The oldest row is {behind.max()} months before its cutoff, so a window has more than 120 months "
                "with its cutoff. Models of different origins would have learnt from histories of different length."
            )
        if (counts := found.groupby(PAIR).size()).size < len(origins) or counts.min() < 120:
            raise Incorrect(
                f"{counts.size} of {len(origins)} pairs have a window, the shortest has {counts.min()} of 120 months. "
                "The cutoff month itself is known, and the window ends with it."
            )
        readings = client.query("SELECT series, month, value FROM readings").to_dataframe()
        both = found.merge(readings.assign(month=dates(readings.month)), on=["series", "month"], suffixes=("", "_true"))
        if len(both) < len(found) or not np.allclose(both.value.astype(float), both.value_true.astype(float)):
            raise Incorrect("Some values are not those of that series and month in readings.")


class Scale(Exercise):
    name = "scale"
    hints = [
        "For each row of windows you need the value twelve rows before: LAG(value, 12) OVER (…).",
        "Rows of another origin must not be neighbours: what belongs into PARTITION BY?",
        "The first twelve rows of a window have no year before. LAG gives NULL there, and AVG leaves NULL out.",
    ]
    wrong = {
        "against the month before": (
            'scale_sql = """SELECT series, origin, AVG(ABS(value - b)) AS scale FROM (SELECT *, LAG(value, '
            "1) OVER (PARTITION BY series, origin ORDER BY month) AS b FROM windows) GROUP BY series, "
            'origin"""'
        ),
        "against the eleventh": (
            'scale_sql = """SELECT series, origin, AVG(ABS(value - b)) AS scale FROM (SELECT *, LAG(value, '
            "11) OVER (PARTITION BY series, origin ORDER BY month) AS b FROM windows) GROUP BY series, "
            'origin"""'
        ),
        "windows of all origins mixed": (
            'scale_sql = """SELECT series, origin, AVG(ABS(value - b)) AS scale FROM (SELECT *, LAG(value, '
            '12) OVER (PARTITION BY series ORDER BY month) AS b FROM windows) GROUP BY series, origin"""'
        ),
        "no absolute value": (
            'scale_sql = """SELECT series, origin, AVG(value - b) AS scale FROM (SELECT *, LAG(value, 12) '
            'OVER (PARTITION BY series, origin ORDER BY month) AS b FROM windows) GROUP BY series, origin"""'
        ),
        "one scale over all time, the future included": (
            'scale_sql = """SELECT series, origin, scale FROM origins JOIN (SELECT a.series, '
            "AVG(ABS(a.value - b.value)) AS scale FROM readings AS a JOIN readings AS b ON a.series = "
            "b.series AND b.month = DATE_SUB(a.month, INTERVAL 12 MONTH) GROUP BY a.series) USING "
            '(series)"""'
        ),
        "standard deviation": (
            'scale_sql = """SELECT series, origin, STDDEV(value) AS scale FROM windows GROUP BY series, origin"""'
        ),
        "one number for each series": (
            'scale_sql = """SELECT series, AVG(ABS(value - b)) AS scale FROM (SELECT *, LAG(value, 12) OVER '
            '(PARTITION BY series, origin ORDER BY month) AS b FROM windows) GROUP BY series"""'
        ),
        "a row for each month": (
            'scale_sql = """SELECT *, ABS(value - b) AS scale FROM (SELECT *, LAG(value, 12) OVER '
            '(PARTITION BY series, origin ORDER BY month) AS b FROM windows)"""'
        ),
    }

    def check(self, scale_sql, client):
        found = table(client, scale_sql, [*PAIR, "scale"])
        rows = client.query("SELECT series, origin, month, value FROM windows").to_dataframe().sort_values("month")
        groups = rows.groupby(PAIR).value
        right = groups.apply(lambda v: np.abs(v.to_numpy()[12:] - v.to_numpy()[:-12]).mean())
        monthly = groups.apply(lambda v: np.abs(np.diff(v.to_numpy())).mean())
        if found.duplicated(PAIR).any() or len(found) != len(right):
            raise Incorrect(f"One row for each (series, origin): {len(right)} of them, got {len(found)} rows.")
        got = found.set_index(PAIR).scale.astype(float).reindex(right.index)
        if got.isna().any():
            raise Incorrect("Some (series, origin) pairs have no scale.")
        if np.allclose(got, right, rtol=1e-6):
            return
        if np.allclose(got, monthly, rtol=1e-6):
            raise Incorrect(
                "That is the change from one month to the next. In a seasonal series it measures the season, and a "
                "baseline that nobody uses twelve months ahead."
            )
        if (got.groupby("series").nunique() == 1).all():
            raise Incorrect(
                "All origins of a series have the same scale. It is computed from the rows of that origin's window "
                "only: later months are not known there."
            )
        if (got <= 0).any():
            raise Incorrect("A scale is zero or negative: rises and falls cancel. The size of each difference counts.")
        worst = (got / right).sub(1).abs().idxmax()
        raise Incorrect(
            f"For {worst} the scale is {got[worst]:.4g}, not {right[worst]:.4g}. It is the mean absolute difference of "
            "months exactly a year apart, in that origin's window alone."
        )


class HalfWidth(Exercise):
    name = "half_width"
    hints = [
        "Sort the sizes of the errors. How far up the list do you go to have 90% of them below you?",
        "The interval reaches to both sides: what counts is how far off, not in which direction.",
        "np.quantile(values, level) gives the value that the share `level` of the values does not exceed.",
    ]
    wrong = {
        "the normal curve": (
            "def half_width(z, level):\n    from scipy.stats import norm\n    return norm.ppf((1 + level) / 2)"
        ),
        "the normal curve with the measured spread": (
            "def half_width(z, level):\n"
            "    from scipy.stats import norm\n"
            "    return norm.ppf((1 + level) / 2) * np.std(z)"
        ),
        "with sign": "def half_width(z, level):\n    return np.quantile(z, level)",
        "both tails at level": "def half_width(z, level):\n    return np.quantile(np.abs(z), (1 + level) / 2)",
        "the mean error": "def half_width(z, level):\n    return np.mean(np.abs(z))",
        "the largest error": "def half_width(z, level):\n    return np.abs(z).max()",
        "a pair of bounds": "def half_width(z, level):\n    return np.quantile(z, [1 - level, level])",
    }

    def check(self, half_width):
        rng = np.random.default_rng(7)
        heavy = rng.standard_t(2.2, 4000) * 1.8
        shifted = rng.normal(2.0, 1.0, 4000)
        for z, what in ((heavy, "with a few very large ones"), (shifted, "that are mostly too low")):
            for level in (0.5, 0.8, 0.9):
                q = half_width(z.copy(), level)
                if np.size(q) != 1 or not np.isfinite(float(np.ravel(q)[0])):
                    raise Incorrect(f"half_width returns one number, got {q!r}.")
                share = float(np.mean(np.abs(z) <= float(np.ravel(q)[0])))
                if abs(share - level) > 0.01:
                    raise Incorrect(
                        f"For 4000 errors {what} and level {level}, ± {float(np.ravel(q)[0]):.2f} holds {share:.0%} of "
                        "them. Count the errors by their size; neither a curve nor their sign is needed."
                    )


class DetrendedLabel(Exercise):
    name = "detrended_label"
    hints = [
        "known + label is the value of the month. Solve that for label.",
        "To find the value twelve months before by date, join readings with itself; once more for 24 months.",
        "Each joined table has the same series, and its month is DATE_SUB(now.month, INTERVAL 12 MONTH) or 24.",
    ]
    wrong = {
        "the value as it is": (
            'label_sql = """SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS '
            "calendar_month, b.value AS known, b.value - e.value AS change_known, now.value AS label FROM "
            "readings AS now JOIN readings AS b ON b.series = now.series AND b.month = DATE_SUB(now.month, "
            "INTERVAL 12 MONTH) JOIN readings AS e ON e.series = now.series AND e.month = "
            'DATE_SUB(now.month, INTERVAL 24 MONTH) WHERE now.series = \'co2\'"""'
        ),
        "against the month before": (
            'label_sql = """SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS '
            "calendar_month, b.value AS known, b.value - e.value AS change_known, now.value - b.value AS "
            "label FROM readings AS now JOIN readings AS b ON b.series = now.series AND b.month = "
            "DATE_SUB(now.month, INTERVAL 1 MONTH) JOIN readings AS e ON e.series = now.series AND e.month "
            '= DATE_SUB(now.month, INTERVAL 13 MONTH) WHERE now.series = \'co2\'"""'
        ),
        "LAG over the gaps": (
            'label_sql = """SELECT month, calendar_month, known, known - earlier AS change_known, value - '
            "known AS label FROM (SELECT month, value, CAST(EXTRACT(MONTH FROM month) AS STRING) AS "
            "calendar_month, LAG(value, 12) OVER (ORDER BY month) AS known, LAG(value, 24) OVER (ORDER BY "
            'month) AS earlier FROM readings WHERE series = \'co2\') WHERE earlier IS NOT NULL"""'
        ),
        "the average of all years taken off": (
            'label_sql = """SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS '
            "calendar_month, b.value AS known, b.value - e.value AS change_known, now.value - "
            "AVG(now.value) OVER () AS label FROM readings AS now JOIN readings AS b ON b.series = "
            "now.series AND b.month = DATE_SUB(now.month, INTERVAL 12 MONTH) JOIN readings AS e ON e.series "
            '= now.series AND e.month = DATE_SUB(now.month, INTERVAL 24 MONTH) WHERE now.series = \'co2\'"""'
        ),
        "the wrong way round": (
            'label_sql = """SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS '
            "calendar_month, b.value AS known, b.value - e.value AS change_known, b.value - now.value AS "
            "label FROM readings AS now JOIN readings AS b ON b.series = now.series AND b.month = "
            "DATE_SUB(now.month, INTERVAL 12 MONTH) JOIN readings AS e ON e.series = now.series AND e.month "
            '= DATE_SUB(now.month, INTERVAL 24 MONTH) WHERE now.series = \'co2\'"""'
        ),
        "change of two years": (
            'label_sql = """SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS '
            "calendar_month, b.value AS known, now.value - e.value AS change_known, now.value - b.value AS "
            "label FROM readings AS now JOIN readings AS b ON b.series = now.series AND b.month = "
            "DATE_SUB(now.month, INTERVAL 12 MONTH) JOIN readings AS e ON e.series = now.series AND e.month "
            '= DATE_SUB(now.month, INTERVAL 24 MONTH) WHERE now.series = \'co2\'"""'
        ),
        "calendar month as a number": (
            'label_sql = """SELECT now.month, 12 AS calendar_month, b.value AS known, b.value - e.value AS '
            "change_known, now.value - b.value AS label FROM readings AS now JOIN readings AS b ON b.series "
            "= now.series AND b.month = DATE_SUB(now.month, INTERVAL 12 MONTH) JOIN readings AS e ON "
            "e.series = now.series AND e.month = DATE_SUB(now.month, INTERVAL 24 MONTH) WHERE now.series = "
            '\'co2\'"""'
        ),
    }

    def check(self, label_sql, client):
        columns = ["month", "calendar_month", "known", "change_known", "label"]
        found = table(client, label_sql, columns).sort_values("month").reset_index(drop=True)
        rows = client.query("SELECT month, value FROM readings WHERE series = 'co2'").to_dataframe()
        value = pd.Series(rows.value.to_numpy(float), dates(rows.month)).sort_index()
        year = pd.DateOffset(months=12)
        month = pd.DatetimeIndex(dates(found.month))
        if found.drop(columns="calendar_month").isna().any().any():
            raise Incorrect("Some rows have a NULL. A month whose year before is not known is left out.")
        if month.has_duplicates or not month.isin(value.index).all():
            raise Incorrect("A month is there twice or is no month of the series 'co2'.")
        now, before, earlier = (value.reindex(month - k * year).to_numpy() for k in range(3))
        known, change, label = (found[name].to_numpy(float) for name in columns[2:])
        usable = sum(m - year in value.index and m - 2 * year in value.index for m in value.index)
        if np.isnan(before).any() or np.isnan(earlier).any():
            raise Incorrect(
                f"{int((np.isnan(before) | np.isnan(earlier)).sum())} rows have no month 12 or 24 months before them, "
                "and yet a value: LAG counts rows, so after a gap it points to another month. Join by date."
            )
        if not np.allclose(known, before):
            raise Incorrect(
                "known is not the value twelve months before. Whatever is nearer than that has not happened yet when "
                "the outlook is made: the tree would learn from a column that is missing in production."
            )
        if not np.allclose(change, before - earlier):
            raise Incorrect("change_known is known minus the value 24 months before: nothing newer than known.")
        if not np.allclose(known + label, now):
            late, early = label[-60:].mean(), label[:60].mean()
            raise Incorrect(
                f"known + label is not the value of the month. The label averages {early:.1f} in the first five years "
                f"and {late:.1f} in the last five: is its trend gone, and can the value be had back from it?"
            )
        if len(found) != usable:
            raise Incorrect(f"{usable} months have both years before them, got {len(found)} rows.")
        names = found.calendar_month
        if (
            not names.map(lambda v: isinstance(v, str)).all()
            or names.groupby(month.month).nunique().max() > 1
            or (names.nunique() != 12)
        ):
            raise Incorrect("calendar_month is a STRING with one value for each of the twelve months of the year.")

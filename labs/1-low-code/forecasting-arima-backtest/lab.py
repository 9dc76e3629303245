# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # ARIMA_PLUS under an honest backtest: the forecast that beat everything, once
#
# An institute publishes three outlooks, twelve months ahead: the CO2 in the air, the turnover of Europe's makers of
# electrical equipment, and the temperature of the sea off Peru, on which a fishing season depends. Today each month's
# outlook is **last year's value of that month**. It costs nothing, and everybody understands it.
#
# A contractor offers ARIMA_PLUS, BigQuery ML's model for time series: one SQL statement for all three. His fit report
# shows errors that are a small part of today's, on all three. As a test he also hid some months at random, and there, too,
# the sea, where most money depends on it, comes out well. The institute wants to know **which of the three outlooks to
# switch**.
#
# **You will** take the fit report apart, backtest all three series over many cutoffs with one `CREATE MODEL`, judge by
# MASE against two baselines of one line each, see how often a single cutoff names the wrong winner, measure what a 90%
# prediction interval really covers and mend it, and take a trend out of a label so that a tree can forecast.

# %% tags=["parameters"]
TARGET = "local"  # "vertex": the same SQL runs on Google BigQuery
SEED = 20260601   # chooses the cutoffs and the months that the contractor hid
ORIGINS = 14      # cutoffs for each series, as far as it is long enough
PEEK = 0          # months after its cutoff that a model is trained on. 12: it has seen what it forecasts

# %%
from labkit import lesson

lab = lesson.open("forecasting-arima-backtest", target=TARGET, seed=SEED)

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import bigquery

# %load_ext bigquery_magics

client = lab.target.bigquery()
rng = np.random.default_rng(SEED)
plt.rcParams["lines.antialiased"] = False  # smaller pictures


def run(sql):
    """Runs a statement and waits for its end."""
    client.query(sql).result()


def table(sql):
    """The result of a query as a DataFrame."""
    return client.query(sql).to_dataframe()


# %% [markdown]
# ## The data: three series in one table
# All three are real. Time series in BigQuery are kept long: one row for each series and month, and a column that says
# which series it is. CO2 comes as weekly samples and becomes monthly means.

# %%
co2 = lab.data("co2-weekly").dropna().set_index("date").co2.resample("MS").mean().dropna()
factory = lab.data("electrical-equipment-monthly").set_index("month").turnover
years = lab.data("sea-temperature-monthly").set_index("YEAR")
sea = pd.Series(years.to_numpy().ravel(), pd.date_range(f"{years.index[0]}-01-01", periods=years.size, freq="MS"))

UNITS = {"co2": "CO2, ppm", "factory": "turnover, index", "sea": "sea temperature, °C"}
COLOURS = dict(zip(UNITS, ["C0", "C2", "C3"], strict=True))
frames = [
    pd.DataFrame({"series": name, "month": series.index.date, "value": series.to_numpy()})
    for name, series in zip(UNITS, [co2, factory, sea], strict=True)
]
readings = pd.concat(frames, ignore_index=True)
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
client.load_table_from_dataframe(readings, f"{lab.target.dataset}.readings", job_config=overwrite).result()

fig, axes = plt.subplots(1, 3, figsize=(7.4, 2.2))
for ax, (name, part) in zip(axes, readings.groupby("series"), strict=True):
    recent = part[-120:]
    ax.plot(pd.to_datetime(recent.month), recent.value, color=COLOURS[name], lw=1)
    ax.xaxis.set_major_locator(mdates.YearLocator(4))
    ax.set(title=name, xlabel="month", ylabel=UNITS[name])
fig.suptitle("Three kinds of series: trend and season, shocks, a season with long moods", fontsize="medium")
plt.show()

# %% [markdown]
# ## The contractor's report
# `time_series_id_col` makes one statement train one model for each series. BigQuery ML finds the season, takes it out,
# and looks for the ARIMA model of the rest with the lowest AIC, a score on the training rows. `auto_arima_max_order`
# says how many it tries.
#
# The contractor trained two sets on the last fifteen years. `report` has seen every month. `hidden` has not seen every
# fifth month, drawn by a hash. For each month `ML.EXPLAIN_FORECAST` gives the data by component; what is left is the
# `residual`, so data minus residual is what the model says about that month.

# %%
run(f"""
    CREATE OR REPLACE TABLE recent AS
    SELECT series, month, value,
        MOD(ABS(FARM_FINGERPRINT(CONCAT(series, CAST(month AS STRING), '{SEED}'))), 5) > 0 AS kept
    FROM readings
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY series ORDER BY month DESC) <= 180""")

OPTIONS = """
    model_type = 'ARIMA_PLUS', time_series_timestamp_col = 'month', time_series_data_col = 'value',
    data_frequency = 'MONTHLY', horizon = 12, auto_arima_max_order = 1, adjust_step_changes = FALSE"""
for model, rows in {"report": "TRUE", "hidden": "kept"}.items():
    run(f"""
        CREATE OR REPLACE MODEL {model} OPTIONS ({OPTIONS}, time_series_id_col = 'series') AS
        SELECT series, month, value FROM recent WHERE {rows}""")

print(table("""
    SELECT series, non_seasonal_p AS p, non_seasonal_d AS d, non_seasonal_q AS q, has_drift,
        ARRAY_TO_STRING(seasonal_periods, ' ') AS season
    FROM ML.ARIMA_EVALUATE(MODEL report) ORDER BY series""").to_string(index=False))

# %% [markdown]
# An error of 0.3 degrees and one of 3 index points cannot be compared. So errors are divided by a *scale* that belongs
# to the series: the mean change from a month to the same month a year later, in the training rows. That quotient is the
# **MASE**, mean absolute scaled error. Today's rule, the *seasonal naive* forecast, is at about 1 by construction. Below
# 1 is better than today.

# %% tags=["nbval-check-output"]
claimed = table("""
    WITH told AS (
        SELECT 'own fit' AS test, series, DATE(time_series_timestamp) AS month,
            time_series_data - IFNULL(residual, 0) - IFNULL(spikes_and_dips, 0) AS said
        FROM ML.EXPLAIN_FORECAST(MODEL report, STRUCT(12 AS horizon, 0.9 AS confidence_level))
        UNION ALL
        SELECT 'random months', series, DATE(time_series_timestamp),
            time_series_data - IFNULL(residual, 0) - IFNULL(spikes_and_dips, 0)
        FROM ML.EXPLAIN_FORECAST(MODEL hidden, STRUCT(12 AS horizon, 0.9 AS confidence_level))
    )
    SELECT test, now.series, AVG(ABS(now.value - said)) / AVG(ABS(now.value - before.value)) AS mase
    FROM told
    JOIN recent AS now ON now.series = told.series AND now.month = told.month
    JOIN recent AS before ON before.series = now.series AND before.month = DATE_SUB(now.month, INTERVAL 12 MONTH)
    WHERE test = 'own fit' OR NOT now.kept
    GROUP BY test, now.series""").pivot(index="series", columns="test", values="mase")
print(claimed.round(2).to_string())

# %% [markdown]
# The fit is far below 1 everywhere: switch all three, says the report. Both columns are true, and neither answers the
# question. `own fit` is the error **one month ahead**, on the rows that chose the orders and the season. `random months`
# looks like a test, but a time series has no random rows: where a month is missing, ARIMA_PLUS draws **a line between its
# neighbours**. The hidden July is read off June and *August*. On a smooth series such as the sea that is a gift. Where the
# season has sharp corners, as the factories' August has, the line cuts them off. So the test is not even wrong in a
# known direction; it measures something else, how well gaps can be filled.
#
# ## Predict first
# Stand at the end of some month. Take the ten years before, train, forecast the twelve months after. Move on by a year
# and a month and do it again: a **rolling-origin backtest**. The cutoff is the *origin*; nothing after it is known.

# %%
lab.predict(
    "sea",
    "For the sea temperature the report says a MASE of about 0.3. What will the backtest say?",
    options=["about the same, below 0.4", "twice that, 0.4 to 0.8", "near today's rule of thumb, above 0.8"],
)

# %% [markdown]
# ## The cutoffs
# They are counted back from the last month that has a whole year after it, and moved by up to a year by `SEED`. A step
# of thirteen months has two advantages: the test years do not overlap, so their errors are nearly independent, and
# each cutoff falls on another calendar month.

# %%
shift = int(rng.integers(13))
run(f"""
    CREATE OR REPLACE TABLE origins AS
    SELECT series, CAST(cutoff AS STRING) AS origin, cutoff
    FROM (SELECT series, MIN(month) AS first, MAX(month) AS last FROM readings GROUP BY series),
        UNNEST(GENERATE_DATE_ARRAY(DATE_SUB(last, INTERVAL {12 + shift} MONTH),
                                   DATE_ADD(first, INTERVAL 119 MONTH), INTERVAL -13 MONTH)) AS cutoff WITH OFFSET AS n
    WHERE n < {ORIGINS}""")
print(table("""
    SELECT series, COUNT(*) AS origins, MIN(cutoff) AS earliest, MAX(cutoff) AS latest
    FROM origins GROUP BY series ORDER BY series""").to_string(index=False))

# %% [markdown]
# ## Exercise: what each model may see
# The trick that makes a backtest cheap to write: **an origin is just another identifier**. If a table holds the history
# of every (series, origin) pair, one `CREATE MODEL` with `time_series_id_col = ['series', 'origin']` trains one model for
# each.
#
# Write the `SELECT` for that table, with the columns `series`, `origin`, `month`, `value`. For every row of `origins`
# (`series`, `origin`, `cutoff`) it takes from `readings` (`series`, `month`, `value`) the **120 months that end with the
# cutoff**: the cutoff month is the last one known.

# %% tags=["exercise"]
### BEGIN SOLUTION
windows_sql = """
    SELECT series, origin, month, value
    FROM origins JOIN readings USING (series)
    WHERE month <= cutoff AND month > DATE_SUB(cutoff, INTERVAL 120 MONTH)
"""
### END SOLUTION

# %%
windows_sql = lab.check("windows", windows_sql, client)

# %% [markdown]
# One statement now trains every model of the backtest. The part after `UNION ALL` hands a model the `PEEK` months after
# its cutoff. `PEEK` is 0, so it adds no row; it is there so that you can see what a leak does to this lab.

# %%
run(f"""
    CREATE OR REPLACE TABLE windows AS
    SELECT series, origin, month, value FROM ({windows_sql.strip().rstrip(";")})
    UNION ALL
    SELECT series, origin, month, value
    FROM origins JOIN readings USING (series)
    WHERE month > cutoff AND month <= DATE_ADD(cutoff, INTERVAL {PEEK} MONTH)""")
run(f"""
    CREATE OR REPLACE MODEL backtest OPTIONS ({OPTIONS}, time_series_id_col = ['series', 'origin']) AS
    SELECT * FROM windows""")

# %% [markdown]
# The baselines need no model. **Seasonal naive** is today's rule. The **mean of the month** is the average of all
# Julys in the window for a July: `AVG` and `GROUP BY`. It knows the season as well as ten years can, and no trend.

# %%
run("""
    CREATE OR REPLACE TABLE forecasts AS
    WITH targets AS (
        SELECT series, origin, month, value, DATE_DIFF(month, cutoff, MONTH) AS step
        FROM origins JOIN readings USING (series)
        WHERE month > cutoff AND month <= DATE_ADD(cutoff, INTERVAL 12 MONTH)
    ), told AS (
        SELECT 'ARIMA_PLUS' AS method, series, origin, DATE(time_series_timestamp) AS month,
            time_series_data - IFNULL(residual, 0) - IFNULL(spikes_and_dips, 0) AS forecast
        FROM ML.EXPLAIN_FORECAST(MODEL backtest, STRUCT(12 AS horizon, 0.9 AS confidence_level))
        UNION ALL
        SELECT 'seasonal naive', targets.series, origin, targets.month, before.value
        FROM targets
        JOIN readings AS before
        ON before.series = targets.series AND before.month = DATE_SUB(targets.month, INTERVAL 12 MONTH)
        UNION ALL
        SELECT 'mean of the month', series, origin, targets.month, means.mean
        FROM targets
        JOIN (SELECT series, origin, EXTRACT(MONTH FROM month) AS name, AVG(value) AS mean
              FROM windows GROUP BY series, origin, name) AS means
        USING (series, origin)
        WHERE name = EXTRACT(MONTH FROM targets.month)
    )
    SELECT targets.*, method, forecast
    FROM targets JOIN told USING (series, origin, month)""")

# %% [markdown]
# ## Exercise: the scale of MASE
# A forecast's error is divided by what today's rule gets wrong **in the training rows of the same origin**. Write the
# `SELECT` with the columns `series`, `origin`, `scale`, one row for each pair: the mean absolute difference between a
# month and the same month a year before, over the rows of `windows` (`series`, `origin`, `month`, `value`).

# %% tags=["exercise"]
### BEGIN SOLUTION
scale_sql = """
    SELECT series, origin, AVG(ABS(value - year_before)) AS scale
    FROM (
        SELECT series, origin, value,
            LAG(value, 12) OVER (PARTITION BY series, origin ORDER BY month) AS year_before
        FROM windows
    )
    GROUP BY series, origin
"""
### END SOLUTION

# %%
scale_sql = lab.check("scale", scale_sql, client)

# %%
run(f"""
    CREATE OR REPLACE TABLE scores AS
    SELECT series, origin, step, month, method, value, forecast, scale, ABS(value - forecast) / scale AS scaled_error
    FROM forecasts
    JOIN (SELECT series, origin, scale FROM ({scale_sql.strip().rstrip(";")})) USING (series, origin)""")

# %%
# %%bigquery measured
# SELECT series, method, AVG(scaled_error) AS mase, COUNT(DISTINCT origin) AS origins
# FROM scores
# GROUP BY series, method

# %% tags=["nbval-check-output"]
mase = measured.pivot(index="series", columns="method", values="mase")
print(mase.round(2).to_string())

# %%
honest = mase["ARIMA_PLUS"]
lab.claim("largest MASE in the fit report", claimed["own fit"].max(), at_most=0.5)
lab.claim("backtest error / error in the fit report, least of the three", (honest / claimed["own fit"]).min(), at_least=1.7)
lab.claim("sea: backtest error / error on random months", honest["sea"] / claimed["random months"]["sea"], at_least=1.4)
lab.claim("CO2: ARIMA_PLUS / seasonal naive", honest["co2"] / mase["seasonal naive"]["co2"], at_most=0.6)
lab.claim("sea: ARIMA_PLUS / mean of the month", honest["sea"] / mase["mean of the month"]["sea"], at_least=1.0)
outcome = np.searchsorted([0.4, 0.8], honest["sea"])
lab.revisit("sea", ["about the same, below 0.4", "twice that, 0.4 to 0.8",
                    "near today's rule of thumb, above 0.8"][outcome])

# %% [markdown]
# **One series of three is a clear case.** On CO2 the trend goes on and the model carries it: switch. On the sea the report
# promised a third of today's error, and a `GROUP BY` beats the model. On CO2 the same `GROUP BY` is hopeless (it is off
# the chart below), because an average of ten years stands five years in the past. The baseline to beat is not a fixed
# one; it is **the best cheap thing for that series**.

# %%
steps = table("""
    SELECT series, method, step, AVG(scaled_error) AS mase FROM scores GROUP BY series, method, step
    ORDER BY step""")
LOOK = {"ARIMA_PLUS": ("C0", "-"), "seasonal naive": ("0.4", "--"), "mean of the month": ("C1", "-.")}
fig, axes = plt.subplots(1, 3, figsize=(7.4, 2.5), sharey=True)
for ax, (name, part) in zip(axes, steps.groupby("series"), strict=True):
    for method, (colour, dash) in LOOK.items():
        line = part[part.method == method]
        ax.plot(line.step, line.mase, color=colour, ls=dash, marker=".", label=method)
    ax.axhline(claimed["own fit"][name], color="C0", lw=0.8, ls=":", label="the fit report")
    ax.set(title=name, xlabel="months ahead", ylim=(0, 1.8), xticks=[1, 4, 8, 12])
axes[0].set_ylabel("MASE")
fig.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="x-small")
fig.suptitle("The report measures one month ahead; the outlook is bought for twelve", fontsize="medium")
plt.show()

# %% [markdown]
# The dotted line is the report. Where the first point lies above it, the gap is **fitting**: season and orders were
# chosen on the rows that the report then scores. The climb from left to right is the **horizon**: each step forecasts from
# a forecast, and what is known of the last months fades. The rules of thumb do not climb, since they do not care how far
# ahead they look; their waves are the luck of a few test years.
#
# ## Look at the forecasts
# Below, each coloured piece is one origin's year. Look at 1997 and 1998, when the great El Niño came and went.

# %%
pieces = table("""
    SELECT origin, month, forecast FROM scores
    WHERE series = 'sea' AND method = 'ARIMA_PLUS' ORDER BY origin, step""")
actual = sea.loc[str(pd.to_datetime(pieces.month).min() - pd.DateOffset(years=1)):]
fig, ax = plt.subplots(figsize=(7.4, 2.4))
ax.plot(actual, color="0.7", lw=1, label="what came")
for number, (_, piece) in enumerate(pieces.groupby("origin")):
    ax.plot(pd.to_datetime(piece.month), piece.forecast, color=["C0", "C3"][number % 2], lw=1.5)
ax.plot([], [], color="C0", label="forecasts, the colour changes with the origin")
ax.set(title="A mood of the sea is carried on, and it has turned before the year is over", xlabel="month",
       ylabel=UNITS["sea"])
ax.margins(y=0.12)
ax.legend(fontsize="x-small", loc="upper right", ncols=2)
plt.show()

# %% [markdown]
# Two things cost the model its lead. Its season is the *latest* one, shaped by the last years' moods, where the mean of
# the month averages ten. And its ARIMA part goes on from the last anomaly, which is worth a lot next month and nothing
# in nine. Neither is a bug. AIC chose the model that is best **one step ahead**.
#
# ## How much past? The context window
# The two baselines are one rule with two settings: the mean of the last *n* values of that calendar month, *n* = 1 or 10.
# How much past a forecast looks at is its **context window**, the setting that AutoML forecasting asks for beside the
# horizon. All settings in one query:

# %%
# %%bigquery contexts
# SELECT series, years, AVG(ABS(value - mean) / scale) AS mase
# FROM (
#   SELECT scores.series, origin, scores.month, years, ANY_VALUE(scores.value) AS value, ANY_VALUE(scale) AS scale,
#     AVG(windows.value) AS mean
#   FROM scores JOIN windows USING (series, origin), UNNEST(GENERATE_ARRAY(1, 10)) AS years
#   WHERE method = 'ARIMA_PLUS'
#     AND MOD(DATE_DIFF(scores.month, windows.month, MONTH), 12) = 0
#     AND DATE_DIFF(scores.month, windows.month, MONTH) <= 12 * years
#   GROUP BY scores.series, origin, scores.month, years)
# GROUP BY series, years
# ORDER BY series, years

# %%
fig, ax = plt.subplots(figsize=(5.5, 2.4))
by_years = contexts.pivot(index="years", columns="series", values="mase")
for name in UNITS:
    ax.plot(by_years.index, by_years[name], marker=".", color=COLOURS[name], label=name)
    ax.scatter(by_years[name].idxmin(), by_years[name].min(), s=70, facecolors="none", edgecolors=COLOURS[name])
ax.axhline(1, color="0.5", ls=":")
ax.set(title="The best context (ringed) belongs to the series", xlabel="context window, years", ylabel="MASE",
       yscale="log")
ax.set_yticks([0.8, 1, 2, 4], labels=["0.8", "1", "2", "4"])
ax.minorticks_off()
ax.legend(fontsize="x-small")
plt.show()
lab.claim("sea: error with 1 year of context / with 10 years", by_years["sea"][1] / by_years["sea"][10], at_least=1.1)
lab.claim("CO2: error with 10 years of context / with 1 year", by_years["co2"][10] / by_years["co2"][1], at_least=3)

# %% [markdown]
# More context averages noise away and lets old levels in. Where the level stays, take more; where it drifts, take less,
# or take the trend out first. Choose it on the backtest, never on the fit.
#
# ## The lucky cutoff
# Most evaluations have one cutoff: train until December, test on the year. Each of your origins is such an evaluation.
# How often would it have named another winner, ARIMA_PLUS or seasonal naive, than all origins together?

# %% tags=["nbval-check-output"]
each = table("""
    SELECT series, origin, method, AVG(scaled_error) AS mase
    FROM scores WHERE method != 'mean of the month' GROUP BY series, origin, method""")
duels = each.pivot(index=["series", "origin"], columns="method", values="mase")
overall = (mase["ARIMA_PLUS"] < mase["seasonal naive"]).reindex(duels.index.get_level_values("series")).to_numpy()
duels["misleads"] = (duels["ARIMA_PLUS"] < duels["seasonal naive"]) != overall
print(duels.groupby("series").misleads.agg(["sum", "count"]).to_string(header=["other winner", "origins"]))

# %%
doubtful = duels.drop("co2", level="series").misleads
lab.claim("share of single cutoffs that name another winner, factory and sea", doubtful.mean(), at_least=0.15)

fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.5))
ratio = duels["ARIMA_PLUS"] / duels["seasonal naive"]
for place, (name, values) in enumerate(ratio.groupby("series")):
    axes[0].scatter(values, place + rng.uniform(-0.15, 0.15, len(values)), color=COLOURS[name], s=12)
    axes[0].plot([honest[name] / mase["seasonal naive"][name]] * 2, [place - 0.3, place + 0.3], color="black")
axes[0].axvline(1, color="0.5", ls=":")
axes[0].set(title="One dot is one cutoff, the bar all", yticks=range(3), yticklabels=list(UNITS), xscale="log",
            xlabel="error of ARIMA_PLUS / seasonal naive")
axes[0].set_xticks([0.25, 0.5, 1, 2, 4], labels=["¼", "½", "1", "2", "4"])
axes[0].minorticks_off()

for name, pairs in duels.groupby("series"):
    errors = pairs[["ARIMA_PLUS", "seasonal naive"]].to_numpy()
    wins = []
    for count in range(1, len(errors) + 1):
        drawn = errors[rng.integers(len(errors), size=(2000, count))].mean(axis=1)
        wins.append((drawn[:, 0] < drawn[:, 1]).mean())
    axes[1].plot(range(1, len(errors) + 1), wins, color=COLOURS[name], label=name)
axes[1].axhline(0.5, color="0.5", ls=":")
axes[1].set(title="How sure so many cutoffs are", xlabel="cutoffs in the backtest", ylim=(0, 1.03),
            ylabel="share that name\nARIMA_PLUS the winner")
axes[1].legend(fontsize="x-small")
plt.show()

# %% [markdown]
# A dot on the left of the dotted line is a win for the model. The right plot draws cutoffs with replacement, a *bootstrap* whose unit is the origin, never the month: twelve months
# of one forecast err together. A line near 0 or 1 is a verdict. A line near ½ says that the data cannot tell, and then
# the free rule stays.
#
# ## What a 90% interval covers
# A forecast also says how sure it is. `ML.FORECAST` gives a `standard_error` and the interval of the level that you
# ask for. Of the months in the backtest nine in ten should lie inside. `ML.DETECT_ANOMALIES` uses the same interval to
# call a month an anomaly.

# %%
# %%bigquery alarms
# SELECT series, AVG(IF(is_anomaly, 1, 0)) AS flagged, COUNT(*) AS months
# FROM ML.DETECT_ANOMALIES(
#   MODEL backtest, STRUCT(0.9 AS anomaly_prob_threshold),
#   (SELECT series, origin, month, value FROM forecasts WHERE method = 'ARIMA_PLUS'))
# GROUP BY series
# ORDER BY series

# %%
intervals = table("""
    SELECT series, origin, step, value, forecast, standard_error,
        value BETWEEN prediction_interval_lower_bound AND prediction_interval_upper_bound AS inside
    FROM forecasts
    JOIN (SELECT *, DATE(forecast_timestamp) AS month
          FROM ML.FORECAST(MODEL backtest, STRUCT(12 AS horizon, 0.9 AS confidence_level)))
    USING (series, origin, month)
    WHERE method = 'ARIMA_PLUS' ORDER BY series, origin, step""")
coverage = intervals.inside.mean()
print(alarms.assign(flagged=alarms.flagged.map("{:.0%}".format)).to_string(index=False))
print(f"Promised: 10% flagged, 90% covered. Measured: {alarms.flagged.mean():.0%} flagged, {coverage:.0%} covered.")
lab.claim("share of months that the 90% interval covers", coverage, at_most=0.82)

# %% [markdown]
# The formula behind the interval takes the chosen orders, the season and the coefficients as *known*, and the noise from
# the fit, which is the error that the report was so proud of. It leaves out that the season was learnt from a few
# years and that the model may be wrong. So the interval is too narrow, and an alarm built on it rings on ordinary
# months.
#
# ## Exercise: an interval from errors that were really made
# Keep the model's `standard_error` as the shape (wider further ahead), and learn its size from the past: at the origins
# **before**, how many standard errors was the forecast off? Write `half_width(z, level)`. `z` holds the errors of
# earlier origins, each divided by its standard error, with sign. It returns the number `q` for which the share `level`
# of such errors lies between `-q` and `q`. Errors need not be normal.

# %% tags=["exercise"]
def half_width(z, level):
    """How many standard errors wide, on each side, an interval is that holds the share `level` of the errors `z`."""
    ### BEGIN SOLUTION
    return np.quantile(np.abs(z), level)
    ### END SOLUTION


# %%
half_width = lab.check("half_width", half_width)

# %%
intervals["z"] = (intervals.value - intervals.forecast) / intervals.standard_error
later = []
for _, part in intervals.groupby("series"):
    origins = sorted(part.origin.unique())
    for number in range(5, len(origins)):          # five origins to learn from, at least
        past, now = part[part.origin < origins[number]], part[part.origin == origins[number]]
        later.append(now.assign(q=half_width(past.z.to_numpy(), 0.9)))
later = pd.concat(later)
mended = (later.z.abs() <= later.q).mean()
print(f"months of later origins inside: {later.inside.mean():.0%} of the model's interval, {mended:.0%} of the mended one")
print(later.groupby("series").q.last().map("± {:.1f} standard errors; the normal curve says 1.6".format).to_string())
lab.claim("share of later months that the mended 90% interval covers", mended, at_least=0.83, at_most=0.99)

fig, axes = plt.subplots(1, 3, figsize=(7.4, 2.1))
for ax, (name, part) in zip(axes, later.groupby("series"), strict=True):
    last = part[part.origin == part.origin.max()]
    for width, shade, label in [(last.q, 0.18, "mended"), (1.645, 0.4, "the model's own")]:
        low, high = last.forecast - width * last.standard_error, last.forecast + width * last.standard_error
        ax.fill_between(last.step, low, high, color=COLOURS[name], alpha=shade, label=label)
    ax.plot(last.step, last.value, color="black", marker=".", lw=0.8, label="what came")
    ax.set(title=f"{name}, from {last.origin.iloc[0][:7]}", xlabel="months ahead", ylabel=UNITS[name], xticks=[1, 6, 12])
axes[0].legend(fontsize="x-small")
plt.show()

# %% [markdown]
# This is *conformal prediction* in its simplest form: no assumption about the noise, only that the next year is as hard
# as the years before it. Note which errors were allowed: those of origins **before** this one, whose year was over.
# With all origins the coverage would be right by construction and mean nothing.
#
# ## Take the trend out before a tree learns it
# ARIMA takes differences by itself (`d` above). Other models do not. Say CO2 shall be forecast by
# `BOOSTED_TREE_REGRESSOR`, to add other features later. Its features for a month must be known twelve months ahead: the
# calendar month, the value a year before, and how much that value had risen in the year before it.
#
# A tree answers with averages of training labels. **It cannot say a number larger than any it has seen**, and CO2 only
# rises.
#
# ## Exercise: a label without a trend
# Write the `SELECT` over `readings` for the series `'co2'` with these columns:
#
# - `month`, and `calendar_month` as a `STRING`, so that it is a category;
# - `known`: the value twelve months before, and `change_known`: how much that is above the value 24 months before;
# - `label`: what the tree shall learn. It has no trend, and `known + label` is the value of the month.
#
# Months for which one of them does not exist are left out. One trap: CO2 has **gaps** in 1958 and 1964, and `LAG(value, 12)`
# counts rows, not months.

# %% tags=["exercise"]
### BEGIN SOLUTION
label_sql = """
    SELECT now.month, CAST(EXTRACT(MONTH FROM now.month) AS STRING) AS calendar_month,
        before.value AS known, before.value - earlier.value AS change_known, now.value - before.value AS label
    FROM readings AS now
    JOIN readings AS before ON before.series = now.series AND before.month = DATE_SUB(now.month, INTERVAL 12 MONTH)
    JOIN readings AS earlier ON earlier.series = now.series AND earlier.month = DATE_SUB(now.month, INTERVAL 24 MONTH)
    WHERE now.series = 'co2'
"""
### END SOLUTION

# %%
label_sql = lab.check("detrended_label", label_sql, client)

# %% [markdown]
# Two trees, the same rows and features. One learns the value, one the change. Both are trained once and then used for
# six years **without retraining**: each month is forecast from what was known a year before.

# %%
frozen = f"{1985 + int(rng.integers(8))}-12-01"
run(f"""
    CREATE OR REPLACE TABLE changes AS
    SELECT month, calendar_month, known, change_known, label FROM ({label_sql.strip().rstrip(";")})""")
for model, label in {"tree_of_values": "known + label", "tree_of_changes": "label"}.items():
    run(f"""
        CREATE OR REPLACE MODEL {model} OPTIONS (
            model_type = 'BOOSTED_TREE_REGRESSOR', input_label_cols = ['label'], data_split_method = 'NO_SPLIT',
            max_iterations = 50) AS
        SELECT calendar_month, known, change_known, {label} AS label
        FROM changes WHERE month <= '{frozen}'""")

after = table(f"""
    SELECT v.month, v.known + v.label AS value, v.predicted_label AS tree_of_values,
        c.known + c.predicted_label AS tree_of_changes, v.known AS seasonal_naive
    FROM ML.PREDICT(MODEL tree_of_values, (SELECT * FROM changes WHERE month > '{frozen}')) AS v
    JOIN ML.PREDICT(MODEL tree_of_changes, (SELECT * FROM changes WHERE month > '{frozen}')) AS c USING (month)
    WHERE v.month <= DATE_ADD(DATE '{frozen}', INTERVAL 72 MONTH)
    ORDER BY month""")
ceiling = readings[(readings.series == "co2") & (readings.month <= pd.Timestamp(frozen).date())].value.max()
methods = ["tree_of_values", "tree_of_changes", "seasonal_naive"]
tree_errors = after[methods].sub(after.value, axis=0).abs().mean()
print(tree_errors.round(2).rename("mean absolute error, ppm").to_string())
print(f"highest training label {ceiling:.1f} ppm, highest forecast of the tree of values {after.tree_of_values.max():.1f}")
lab.claim("error of the tree of values / tree of changes", tree_errors.iloc[0] / tree_errors.iloc[1], at_least=2)

fig, ax = plt.subplots(figsize=(6.5, 2.4))
months = pd.to_datetime(after.month)
ax.plot(months, after.value, color="0.7", lw=3, label="what came")
ax.plot(months, after.tree_of_values, color="C3", label="tree of values")
ax.plot(months, after.tree_of_changes, color="C0", lw=1, label="tree of changes, plus the value a year before")
ax.axhline(ceiling, color="C3", ls=":", lw=0.8)
ax.set(title="A tree never leaves the range of its labels; of changes it need not", xlabel="month", ylabel=UNITS["co2"])
ax.legend(fontsize="x-small")
plt.show()

# %% [markdown]
# In a random split both trees look alike, since every test month has training months on both sides. Only a test that
# lies **after** the training rows shows the ceiling. Differencing is one way to detrend; a fitted line, a logarithm for
# growth in per cent, or features and label relative to the last known value do the same.
#
# ## On Google Cloud
# With `TARGET="vertex"` the same statements go to BigQuery: roles *BigQuery User* on the project and *BigQuery Data
# Editor* on the dataset. Queries and `CREATE MODEL` are priced by bytes processed, see the price page. For ARIMA_PLUS the
# bytes of the training query count **once for each candidate model**, so `auto_arima_max_order` decides cost as well as
# time. A dry run says how many bytes before anything is spent:

# %%
dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=lab.target.labels)
for name, statement in {
    "the windows": windows_sql,
    "all 3 series": "SELECT series, month, value FROM readings",
    "the training rows of the backtest": "SELECT * FROM windows",
}.items():
    print(f"{client.query(statement, job_config=dry).total_bytes_processed / 1e3:8.1f} kB  {name}")

# %% [markdown]
# `ML.EVALUATE` with the actual values gives the errors of every model in one query. Its mean absolute error must be
# yours. It has a scaled error too, whose scale need not be yours: here it is the change from one month to the next.

# %%
# %%bigquery evaluated
# SELECT series, AVG(mean_absolute_error) AS mean_absolute_error
# FROM ML.EVALUATE(
#   MODEL backtest,
#   (SELECT series, origin, month, value FROM forecasts WHERE method = 'ARIMA_PLUS'),
#   STRUCT(TRUE AS perform_aggregation, 12 AS horizon))
# GROUP BY series
# ORDER BY series

# %%
own = table("""
    SELECT series, AVG(ABS(value - forecast)) AS own FROM forecasts WHERE method = 'ARIMA_PLUS'
    GROUP BY series ORDER BY series""")
compared = evaluated.merge(own, on="series")
print(compared.round(3).to_string(index=False))
lab.claim("largest difference to ML.EVALUATE", (compared.own - compared.mean_absolute_error).abs().max(), at_most=1e-6)

# %% [markdown]
# **What the service does differently.** Locally ARIMA_PLUS is built from its published description with statsmodels: the
# season goes on as its last year, where the service smooths it exponentially; step changes and holidays are not looked
# for, and the statements above switch step changes off. So your numbers on Google Cloud will differ, while the order
# *fit, random months, backtest* is a matter of method. Three options matter there: `holiday_region` for daily data,
# `auto_arima_max_order` and `time_series_length_fraction` to train many thousand series faster. Afterwards delete the
# dataset, which holds the tables and the models: `DROP SCHEMA … CASCADE`.
#
# **Which forecaster?**
#
# | | ARIMA_PLUS | AutoML forecasting on Agent Platform (formerly Vertex AI) | `AI.FORECAST` with TimesFM |
# |---|---|---|---|
# | trains | one model for each series, in SQL, in minutes | one neural model over all series, in hours | nothing: a pretrained model |
# | learns from other series | no | yes: also for a new product with a short history | from its pretraining |
# | covariates | holidays; numbers in ARIMA_PLUS_XREG | many; you say which are *available at forecast* | none |
# | you set | horizon, season, orders | **horizon**, **context window**, training budget in hours | horizon, context window |
# | explains itself | trend, season, holidays by row | feature attributions | no |
# | its test | AIC of the fit; `ML.EVALUATE` takes actual values | split by time: the last part is the test | `AI.EVALUATE` takes actual values |
#
# The **horizon** is how far ahead the decision needs it, no further: above you saw what each step costs. The **context
# window** is how much past each forecast looks at: at least one season, then as the backtest says. The windows of yours,
# 120 months and 12 ahead, are exactly these two numbers. *Refit or not?* ARIMA_PLUS has no way to take up
# new values without training again, so a backtest with a refit at each origin is the backtest of what will run in
# production. A model that stays frozen for a year must be tested frozen, as the trees were.
#
# ## Exam lens
# *Random split or k-fold on a time series*: the leak, whatever else the option says. *Thousands of series, SQL team,
# explanation needed, low cost*: ARIMA_PLUS with `time_series_id_col`. *Promotions, prices, related products, short
# histories*: AutoML forecasting. *Better than what?* Ask for the seasonal naive first.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A fit and a random holdout measure the easiest question, one step ahead with both neighbours known; only
# rolling origins ask the one that the decision depends on. One cutoff is one draw: use many, and let the best cheap
# baseline of each series decide. An interval is a claim like any other: count how often it holds, and widen it with the
# errors that were really made.

# %%
lab.finish()

# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Leakage and time splits: the model that predicted the stock market
#
# It is the last day of 2007. An analyst has trained a forest on public prices. It forecasts the NASDAQ's return over
# the next twelve months, and in cross-validation it explains most of it. Tomorrow the board decides whether to put
# the pension fund's money behind it. You have the analyst's data, and you have something the board does not have: the
# fourteen years that came after.
#
# The result is too good. There are four ways in which it can be: the split, the gap, a column, a step that was fitted
# too early. Each of them is in this lab, with its size.
#
# **You will** measure how far a random split flatters a model on ordered data, split on the day of the decision with
# a gap as wide as the label, find columns that know the future, and keep every fitted step inside the folds.

# %% tags=["parameters"]
TARGET = "local"           # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
HORIZON = 12               # months that the label looks ahead; 1: labels do not overlap, and the effect is gone
DECISION = "2007-12-31"    # the day of the board's meeting: the last day of a month, 2005 to 2010
TREES = 30                 # trees in the forest
VENDOR_SERIES = 2000       # series on offer in the last experiment

# %%
from labkit import lesson
lab = lesson.open("leakage-and-time-splits", target=TARGET, seed=SEED)

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from statsmodels.tsa.filters.hp_filter import hpfilter

# %% [markdown]
# ## The data
# Monthly closing prices, 1990 to 2022. Before anything else, ask the question that finds leaks: **on which day was
# this value known?** Look at the last two rows of the file.

# %% tags=["nbval-check-output"]
raw = lab.data("stock-indices-monthly").set_index("Date")
print(raw[["^IXIC", "^GSPC"]].tail(2).round(2).to_string())

# %% [markdown]
# The row named 1 June holds the price of 28 June, the day on which the file was made. So a row's date is the *first*
# day of a month and its price the *last* one. Join news to these rows by date, and each row is a month ahead of its
# news. We move every date to the end of its month, the day on which the price was known, and drop the unfinished
# June.
#
# We also keep only the two indices. The file's single companies are in it because they were famous in 2022: a model
# that learns from survivors learns that shares rise.

# %%
# The other rows are dividend days, without a price.
monthly = raw[raw.index.day == 1].loc[:"2022-05", ["^IXIC", "^GSPC"]]
prices = monthly.set_axis(["nasdaq", "sp500"], axis="columns").set_axis(monthly.index + pd.offsets.MonthEnd(0))
decision_day = pd.Timestamp(DECISION)


def indicators(prices):
    """Ten features for each month: past returns and volatility. Each uses that month and earlier ones only."""
    log = np.log(prices)
    table = {}
    for name in prices:
        for months in (1, 3, 6, 12):
            table[f"{name}_return_{months}m"] = log[name].diff(months)
        table[f"{name}_volatility_12m"] = log[name].diff().rolling(12).std()
    return pd.DataFrame(table)


nasdaq = np.log(prices.nasdaq)
label = nasdaq.shift(-HORIZON) - nasdaq                  # the log return of the next HORIZON months
table = indicators(prices).assign(label=label).dropna()
print(f"{len(table)} months, {table.shape[1] - 1} features, the label looks {HORIZON} month(s) ahead")

fig, ax = plt.subplots(1, 2, figsize=(10, 3))
ax[0].semilogy(prices.nasdaq)
ax[0].axvline(decision_day, color="black", ls=":")
ax[0].annotate(" the board meets", (decision_day, prices.nasdaq.min()), fontsize=9)
ax[0].set(title="What the fund wants to foresee", xlabel="month", ylabel="NASDAQ, index points (log scale)")
ax[1].plot(table.label)
ax[1].axvline(decision_day, color="black", ls=":")
ax[1].axhline(0, color="grey", lw=0.8)
ax[1].set(title="The label is smooth: neighbours share most of it")
ax[1].set(xlabel="month", ylabel=f"log return, next {HORIZON} months")
plt.show()

# %% [markdown]
# ## Predict first
# The analyst's score comes from five-fold cross-validation with shuffled rows. You will then let the same forest,
# trained on what was known on the day of the meeting, forecast all the years that came after it. The measure is **R²
# against the average**: 1 is perfect, 0 is as good as always forecasting the average return that the training rows
# had, below 0 is worse than that.

# %%
lab.predict(
    "later_r2",
    "What will R² be in the years after the meeting, beside the analyst's cross-validated R²?",
    options=["about the same", "about half of it", "zero or below"],
)

# %% [markdown]
# ## Exercise: what was known on the day of the meeting?
# Split `table` into `train`, the months that one could train on when the board met on `decision_day`, and `holdout`,
# the months from that day on. A month can be trained on when its features **and its label** were known.

# %% tags=["exercise"]
### BEGIN SOLUTION
label_known_on = table.index + pd.offsets.MonthEnd(HORIZON)
train = table[label_known_on <= decision_day]
holdout = table[table.index >= decision_day]
### END SOLUTION

# %%
train, holdout = lab.check("decision_day", train, holdout, table, decision_day, HORIZON)

# %% [markdown]
# Between the two lies a year of months that belong to neither. On the day of the meeting their features are known and
# their labels are not. Training on them is a leak that is easy to miss: no row of the holdout is touched.
#
# ## The suspiciously good result
# A forest, cross-validated as every tutorial does it. Then the same forest in the years that came.

# %%
def forest():
    """A fresh forest of extremely randomised trees."""
    return ExtraTreesRegressor(n_estimators=TREES, random_state=SEED)


def forecast(train, test, model):
    """One row for each test month: label, forecast, and the average label of the training rows."""
    fitted = model().fit(train.drop(columns="label").to_numpy(), train.label)
    predicted = fitted.predict(test.drop(columns="label").to_numpy())
    return np.column_stack([test.label, predicted, np.full(len(test), train.label.mean())])


def r2(forecasts):
    """R² against the average known at training time. sklearn's r2_score takes the test's own average: a small leak."""
    label, predicted, average = forecasts.T
    return 1 - np.sum((label - predicted) ** 2) / np.sum((label - average) ** 2)


def holdout_r2(train, holdout, model=forest):
    return r2(forecast(train, holdout, model))


def cross_validated_r2(rows, splits, model=forest):
    return r2(np.vstack([forecast(rows.iloc[a], rows.iloc[b], model) for a, b in splits.split(rows)]))


shuffled = KFold(5, shuffle=True, random_state=SEED)
random_r2 = cross_validated_r2(train, shuffled)
later_r2 = holdout_r2(train, holdout)
print(f"promised by a random split: R² {random_r2:5.2f}   on {len(train)} months")
print(f"the years that came:        R² {later_r2:5.2f}   on {len(holdout)} months")

# %%
lab.claim("R² promised by the random split, above R² of the later years", random_r2 - later_r2, at_least=0.5)
lab.revisit("later_r2", "zero or below" if later_r2 <= 0.05 else "about half of it")

# %% [markdown]
# Nothing is left. The forest that "explains" most of next year's return is worse than forecasting the average every
# month. Where did the score come from? Look at three years of the first fold.

# %%
learned, tested = next(shuffled.split(train))
shown = slice("2002-06", "2005-06")
fig, ax = plt.subplots(figsize=(8, 3.2))
ax.plot(train.label[shown], color="lightgrey", zorder=0)
ax.plot(train.iloc[learned].label[shown], "o", label="trained on")
ax.plot(train.iloc[tested].label[shown], "D", label="tested on")
ax.set(title="Test months sit among training months that share their label")
ax.set(xlabel="month", ylabel=f"log return, next {HORIZON} months")
ax.legend()
plt.show()

beside = np.isin(tested - 1, learned) | np.isin(tested + 1, learned)
print(f"test months with a training month right beside them: {beside.mean():.0%}")
print(f"months that the labels of two neighbours share: {HORIZON - 1} of {HORIZON}")
print(f"correlation of neighbouring labels: {label.autocorr(1):.2f}")

# %% [markdown]
# The features of neighbouring months are nearly the same too, so the forest finds the neighbour and repeats its
# label. It does not forecast, **it interpolates**. That skill is worth nothing on the last day of the data, where the
# neighbour on the right does not exist yet.
#
# ## In order is not enough
# The usual mend is a split that respects time: train on the past, test on the next half year, move on. No row is
# shuffled. Below is its score, for a gap of 0, 2, 5, … months between the last training month and the first test
# month.

# %%
FOLDS, TEST_MONTHS = 20, 6
gaps = [0, 2, 5, 8, 11, 14, 17]
by_gap = pd.Series(
    {gap: cross_validated_r2(train, TimeSeriesSplit(FOLDS, test_size=TEST_MONTHS, gap=gap)) for gap in gaps}
)
ax = by_gap.plot(marker="o", label="cross-validated, in order", xticks=gaps)
ax.axhline(random_r2, color="C1", ls="--", label="random split")
ax.axhline(later_r2, color="C2", ls="--", label="the years that came")
ax.axvspan(0, HORIZON - 1, color="grey", alpha=0.15, label="labels overlap the test")
ax.set(title="A time split without a gap still promises what will not come")
ax.set(xlabel="gap, months", ylabel="R² against the average")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# Without a gap, most of the false promise is still there. Nothing was shuffled, and yet: the label of the last
# training month ends long **after** the first test month. On the day of that forecast nobody knew it. An ordered
# split guards the features; only a gap guards the labels. Leaving those months out is also called *purging*.
#
# ## Exercise: how wide must the gap be?
# Give `splits` the smallest gap with which no training label ends later than the day on which the first forecast of
# the fold is made. Keep `n_splits=FOLDS` and `test_size=TEST_MONTHS`.

# %% tags=["exercise"]
### BEGIN SOLUTION
splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS, gap=HORIZON - 1)
### END SOLUTION

# %%
splits = lab.check("gap", splits, train, HORIZON)

# %%
ordered_r2 = by_gap[0]
honest_r2 = cross_validated_r2(train, splits)
print(f"random {random_r2:.2f}   in order {ordered_r2:.2f}   with a gap {honest_r2:.2f}   later {later_r2:.2f}")
lab.claim("R² promised in order without a gap, above the split with one", ordered_r2 - honest_r2, at_least=0.35)
lab.claim("distance between the honest score and the later years", abs(honest_r2 - later_r2), at_most=0.35)

# %% [markdown]
# With the gap the score says on the day of the meeting what the next fourteen years will say: *there is nothing here
# to sell*. Beyond the grey band the curve falls a little further. That is no leak: the older the training data, the
# less it helps.
#
# ## Was 2007 an unlucky year?
# One holdout is one draw, so ask on the last day of every second year. The honest score should be near what came,
# every time.

# %% tags=["nbval-check-output"]
rows = []
for year in range(2000, 2013, 2):
    day = pd.Timestamp(f"{year}-12-31")
    known = table[table.index + pd.offsets.MonthEnd(HORIZON) <= day]
    folds = TimeSeriesSplit((len(known) - 60 - HORIZON) // 12, test_size=12, gap=HORIZON - 1)
    came = holdout_r2(known, table[table.index >= day])
    rows.append((year, cross_validated_r2(known, shuffled), cross_validated_r2(known, folds), came))
years = pd.DataFrame(rows, columns=["decided end of", "random split", "time split with gap", "what came"])
print(years.round(2).to_string(index=False))
years = years.set_index("decided end of")

random_miss = (years["random split"] - years["what came"]).abs().mean()
honest_miss = (years["time split with gap"] - years["what came"]).abs().mean()

# %%
ax = years.plot(style=["D--", "o-", "ks"], ylabel="R² against the average")
ax.axhline(0, color="grey", lw=0.8)
ax.set(title="The honest score foretells what comes, the random one never does")
plt.show()

lab.claim("mean distance from what came, random split", random_miss, at_least=0.7)
lab.claim("mean distance from what came, time split with gap", honest_miss, at_most=0.4)

# %% [markdown]
# ## The column that fools even the holdout
# The analyst comes back with the right split and new columns. Eight were added to the prepared file, all from prices.
# Each is added alone to the ten features; the forest learns from `train` and forecasts `holdout`, which no split has
# touched.

# %%
def candidates(prices):
    """Eight more columns, as they stand in the analyst's preparation script."""
    price, log = prices.nasdaq, np.log(prices.nasdaq)
    monthly_return = log.diff()
    year = prices.index.year
    return pd.DataFrame({
        "cycle": hpfilter(log, lamb=14400)[0],          # Hodrick-Prescott, smoothed as is usual for monthly data
        "above_12m_average": log - np.log(price.rolling(12).mean()),
        "above_year_average": log - np.log(price.groupby(year).transform("mean")),
        "smoothed_return": monthly_return.rolling(5, center=True).mean(),
        "drawdown": log - log.cummax(),
        "return_z_score": (monthly_return - monthly_return.mean()) / monthly_return.std(),
        "return_since_january": log - log.groupby(year).transform("first"),
        "volatility_6m": monthly_return.rolling(6).std(),
    })


def large_forest():
    """Many more trees: single columns are compared, and the luck of a small forest must not decide."""
    return ExtraTreesRegressor(n_estimators=200, random_state=SEED)


added = candidates(prices)
base_r2 = holdout_r2(train, holdout, large_forest)
on_holdout = pd.Series({
    name: holdout_r2(train.assign(new=added[name]), holdout.assign(new=added[name]), large_forest)
    for name in added
})
ordered = on_holdout.sort_values()
fig, ax = plt.subplots(figsize=(8, 3.4))
ax.barh(ordered.index, ordered - base_r2, left=base_r2)
ax.axvline(base_r2, color="black", ls="--", label="without a new column")
ax.axvline(0, color="grey", lw=0.8)
ax.set(title="One column makes the market foreseeable, on an untouched holdout")
ax.set(xlabel="R² against the average, later years")
ax.legend()
plt.show()

# %% [markdown]
# `cycle` says how far the price stands above its trend. One line of a respected library, and the forest beats the
# average by a wide margin, on years that no split has touched. No split can object: the leak is not *between* rows,
# it is **inside each row**, training and holdout alike. A filter draws its trend through the prices on both sides of
# a month.
#
# So ask each column the question from the beginning: was this value known on that day? There is a test that needs no
# suspicion. Take the future away and compute the column again. **If the past changes, the column was looking ahead.**
#
# ## Exercise: replay the past
# Write `looks_ahead`. It gets the function that makes a table from prices, the prices, and a day. It returns the
# names of the columns whose value **on that day** differs when the later prices are taken away.

# %% tags=["exercise"]
def looks_ahead(make_table, prices, day):
    """A set of column names."""
    ### BEGIN SOLUTION
    with_hindsight = make_table(prices).loc[day]
    on_the_day = make_table(prices.loc[:day]).loc[day]
    same = np.isclose(with_hindsight, on_the_day, equal_nan=True)
    return set(with_hindsight.index[~same])
    ### END SOLUTION

# %%
looks_ahead = lab.check("looks_ahead", looks_ahead)

# %% tags=["nbval-check-output"]
days = prices.loc["2005"].index
caught = pd.Series(0, index=list(added), name="caught")
for day in days:
    for name in looks_ahead(candidates, prices, day):
        caught[name] += 1
report = caught.to_frame().assign(of=len(days), gain=(on_holdout - base_r2).round(2))
print(report.sort_values("caught", ascending=False).to_string())
print("among the ten features:", looks_ahead(indicators, prices, decision_day) or "none")

# %% [markdown]
# Four columns look ahead, and three of them look harmless in the code. Read the table slowly.
#
# - `cycle` and `smoothed_return` are two-sided filters. `hpfilter` always looks at both sides, `seasonal_decompose`
#   does unless told otherwise, `rolling` does with `center=True`.
# - `above_year_average` was acquitted once, on 31 December, when the year is complete. **Replay more than one day.** It
#   is the classic of joins: a table by year, month or customer, joined to rows that are older than its last entry.
# - `return_z_score` is caught every time and gains next to nothing: it is a scaler fitted on all rows. It shifts and
#   stretches one column by two constants, and a tree does not even see that. A leak by the rule, not by its size; a
#   model that weighs or measures distances does see it, so the rule stands.
# - `drawdown` gains as well, and is innocent: it was known on its day. A gain raises a suspicion; the replay decides.
#
# The mend is to compute the value **as of** each day, from what was known then. This is what production will have
# anyway.

# %%
cycle_as_of = pd.Series({day: hpfilter(nasdaq.loc[:day], lamb=14400)[0].iloc[-1] for day in table.index})
as_of_r2 = holdout_r2(train.assign(new=cycle_as_of), holdout.assign(new=cycle_as_of), large_forest)
# In production the forest that was trained on the leaking column gets the only value that exists on the day.
served_r2 = holdout_r2(train.assign(new=added.cycle), holdout.assign(new=cycle_as_of), large_forest)
print(f"holdout, without the column:               {base_r2:5.2f}")
print(f"holdout, cycle from the whole file:        {on_holdout.cycle:5.2f}")
print(f"holdout, cycle as of each day:             {as_of_r2:5.2f}")
print(f"trained on the whole file, served as of:   {served_r2:5.2f}")

lab.claim("R² that a two-sided filter adds on an untouched holdout", on_holdout.cycle - base_r2, at_least=0.45)
lab.claim("R² that the same filter adds, computed as of each day", as_of_r2 - base_r2, at_most=0.15)

# %% [markdown]
# ## Chosen before the split
# Last try. A vendor offers thousands of monthly series: card payments, satellite pictures, weather. The analyst takes
# the 20 that go best with the label, then cross-validates with your split, gap included.
#
# Here the truth is known, because we make the series ourselves: **every one is noise.** But for luck, no honest score
# is above zero.

# %%
KEPT = 20
noise = np.random.default_rng(SEED).normal(size=(len(table), VENDOR_SERIES))
vendor = pd.DataFrame(noise, index=table.index).add_prefix("series_")

chosen = SelectKBest(f_regression, k=KEPT).fit(vendor.loc[train.index], train.label).get_feature_names_out()
best = vendor.loc[train.index, chosen].assign(label=train.label)
chosen_first_r2 = cross_validated_r2(best, splits, lambda: Ridge(1.0))
print(f"{KEPT} of {VENDOR_SERIES} noise series, cross-validated in order with a gap: R² {chosen_first_r2:.2f}")

# %% [markdown]
# Noise forecasts the market. The split is right and too late: the choice had already seen every test month's label.
# Selecting is fitting. So is imputing, scaling, encoding by target, removing outliers.
#
# ## Exercise: put the choice inside
# Write `build`: a model that chooses its `KEPT` series **whenever it is fitted**, from the rows it is fitted on, and
# then fits `Ridge(1.0)` on them.

# %% tags=["exercise"]
def build():
    """An unfitted model with fit and predict."""
    ### BEGIN SOLUTION
    return make_pipeline(SelectKBest(f_regression, k=KEPT), Ridge(1.0))
    ### END SOLUTION

# %%
build = lab.check("pipeline", build, KEPT, VENDOR_SERIES)

# %%
offered = vendor.assign(label=table.label)
chosen_inside_r2 = cross_validated_r2(offered.loc[train.index], splits, build)
vendor_later_r2 = holdout_r2(offered.loc[train.index], offered.loc[holdout.index], build)
print(f"chosen before the split: {chosen_first_r2:.2f}")
print(f"chosen inside each fold: {chosen_inside_r2:.2f}")
print(f"the years that came:     {vendor_later_r2:.2f}")

lab.claim("R² that noise gains when it is chosen before the split", chosen_first_r2 - chosen_inside_r2, at_least=0.2)
lab.claim("R² of noise when the choice is inside the folds", chosen_inside_r2, at_most=0.05)

# %% [markdown]
# ## The ledger
# What each leak promised, what is left after its mend, and what the later years paid.

# %% tags=["nbval-check-output"]
ledger = pd.DataFrame(
    [
        ("rows shuffled", random_r2, honest_r2, later_r2),
        ("in order, no gap", ordered_r2, honest_r2, later_r2),
        ("column from the future", on_holdout.cycle, as_of_r2, served_r2),
        ("chosen before the split", chosen_first_r2, chosen_inside_r2, vendor_later_r2),
    ],
    columns=["leak", "promised", "mended", "what came"],
)
print(ledger.round(2).to_string(index=False))

# %% [markdown]
# The answer to the board is no, four times. Do not compare the sizes below zero: the later years were calmer, so the
# same wrong forecast costs more R² there.
#
# | leak | a time split with gap notices | a later holdout notices | a replay notices |
# |---|---|---|---|
# | rows shuffled | yes | yes | no |
# | in order, no gap | yes | yes | no |
# | column from the future | no | **no** | yes |
# | chosen before the split | **no** | yes, if the choice has not seen it | no |
#
# No single alarm rings for all of them. When a result is too good, ask in this order: *when was each value known,
# when was the label known, what was fitted on which rows, and would the same code give the same numbers on that day?*
#
# ## On Google Cloud
# BigQuery ML splits for you unless you say how. `AUTO_SPLIT`, the default, means no evaluation rows at all for a
# small table and otherwise `RANDOM`: the first line of the ledger. `SEQ` with `data_split_col` evaluates on the rows
# with the largest values: in order, without a gap, the second line. For the gap, mark the rows yourself: `CUSTOM`
# takes a BOOL column, `TRUE` for evaluation and `FALSE` for training, and the query leaves out what belongs to
# neither.
#
# The same forest in SQL, three times. Only the split differs, and with it what `ML.EVALUATE` says on the day of the
# meeting. The last column is what came.

# %%
from google.cloud import bigquery

client = lab.target.bigquery()
for name, rows in [("months", train), ("later", holdout)]:
    dated = rows.rename_axis("month").reset_index()
    dated["month"] = dated["month"].dt.date
    overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    client.load_table_from_dataframe(dated, f"{lab.target.dataset}.{name}", job_config=overwrite).result()

evaluate_from = train.index[int(0.8 * len(train))].date()
splits = {
    "RANDOM": ("data_split_method = 'RANDOM', data_split_eval_fraction = 0.2", "SELECT * EXCEPT (month) FROM months"),
    "SEQ": (
        "data_split_method = 'SEQ', data_split_col = 'month', data_split_eval_fraction = 0.2",
        "SELECT * FROM months",
    ),
    "CUSTOM": (
        "data_split_method = 'CUSTOM', data_split_col = 'is_evaluation'",
        f"""
        SELECT * EXCEPT (month), month >= DATE '{evaluate_from}' AS is_evaluation
        FROM months
        WHERE month >= DATE '{evaluate_from}'
           OR LAST_DAY(DATE_ADD(month, INTERVAL {HORIZON} MONTH)) <= DATE '{evaluate_from}'  -- its label was known
        """,
    ),
}
in_sql = {}
for split, (options, query) in splits.items():
    client.query(f"""
        CREATE OR REPLACE MODEL nasdaq_forecast_{split}
        OPTIONS (model_type = 'random_forest_regressor', input_label_cols = ['label'], {options}) AS
        {query}
    """).result()
    said = client.query(f"SELECT r2_score FROM ML.EVALUATE(MODEL nasdaq_forecast_{split})").to_dataframe()
    came = client.query(f"SELECT r2_score FROM ML.EVALUATE(MODEL nasdaq_forecast_{split}, TABLE later)").to_dataframe()
    in_sql[split] = {"ML.EVALUATE says": said.r2_score[0], "the later years": came.r2_score[0]}
print(pd.DataFrame(in_sql).T.rename_axis("data_split_method").round(2).to_string())

# %%
flattery = in_sql["RANDOM"]["ML.EVALUATE says"] - in_sql["RANDOM"]["the later years"]
lab.claim("in SQL, a RANDOM split promises more R² than comes", flattery, at_least=0.5)
worst_promise = max(in_sql[split]["ML.EVALUATE says"] for split in ("SEQ", "CUSTOM"))
lab.claim("in SQL, R² that SEQ or CUSTOM promise", worst_promise, at_most=0.0)

# %% [markdown]
# `ML.EVALUATE` measures R² against the average of the rows that it evaluates on, so the numbers below zero cannot be
# compared with each other. Their message can: in order, with a gap or without, the forest has nothing to offer.
#
# This ran on your machine: a local BigQuery answered the real client. Its forest is xgboost's, as BigQuery's is, and
# its `RANDOM` draws other rows than Google's. With `TARGET="vertex"` the same text goes to Google. It needs the roles
# *BigQuery User* on the project and *BigQuery Data Editor* on the dataset. Afterwards delete models and tables:
# `client.delete_dataset(lab.target.dataset, delete_contents=True)`. The upper bound of cost is on the lab's card.
#
# - In SQL, the column from the future is a window without an end: `AVG(close) OVER (PARTITION BY year)`. As of each day
#   it reads `AVG(close) OVER (ORDER BY month ROWS BETWEEN 11 PRECEDING AND CURRENT ROW)`.
# - The place for a fitted step is the `TRANSFORM` clause. `ML.STANDARD_SCALER` and its relatives learn their constants
#   when the model is trained and travel with it; nothing is computed beforehand from the whole table.
# - AutoML tabular training takes `timestamp_split_column_name` and splits by time. It does not know how wide your label
#   is: the gap stays your task.

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Split by time, and leave a gap as wide as the label, or the test interpolates where production must
# forecast. A split cannot see a column that knows the future: replay the past and see whether it changes. Whatever is
# fitted or chosen belongs inside the folds, and a result that is too good is a bug until you have found when every
# value was known.

# %%
lab.finish()

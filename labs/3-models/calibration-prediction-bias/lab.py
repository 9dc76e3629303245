# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Zero prediction bias, the same AUC, and every promise wrong
#
# A travel shop buys places for its ads, one auction per request. A click is worth one euro to the shop, so it bids
# one euro times the **predicted probability of a click**. A probability that is twice too high pays twice too much.
# One that is half of the truth loses the best places to others.
#
# Clicks are rare. To save time the model is trained on all clicks and on one in twenty of the rest, and its
# probabilities come out ten times too high on average. A colleague mends this with one line: she multiplies all of
# them by one constant, so that their mean is the click rate. Her report: *prediction bias zero, calibration error
# below 0.2 points, AUC as before. Ready to bid.* Every number in it is right. Do the bids go live tomorrow?
#
# **You will** measure what probabilities promise against what happens, in all, by bucket and by slice; undo
# down-sampling exactly; choose between three mends; see what AUC and the calibration error cannot see; and find the
# same shift, and the same mend, behind `auto_class_weights` in BigQuery ML.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
KEPT = 0.05          # share of the requests without a click that are kept for training. 1: no down-sampling, no effect

# %%
from labkit import lesson

lab = lesson.open("calibration-prediction-bias", target=TARGET, seed=SEED)

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import bigquery
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

# %% [markdown]
# ## The data: 400,000 requests whose true probability we know
# The log is ours to make, so that every request has the true probability of its click beside it, which no real log
# has. The model never sees it. Three logs of the same world: one to train on, a smaller one to calibrate on, and the
# new requests, on which everything is judged.

# %%
rng = np.random.default_rng(SEED)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def logit(p):
    return np.log(p / (1 - p))


def requests(rows):
    """Requests for an ad place, whether the ad was clicked, and the probability with which it was."""
    frame = pd.DataFrame({
        "relevance": rng.normal(size=rows),          # of the ad to the page, in standard deviations
        "history": rng.normal(size=rows),            # how often this visitor has clicked before, likewise
        "place": rng.integers(1, 5, rows),           # 1 is the top of the page
        "mobile": rng.binomial(1, 0.60, rows),
        "evening": rng.binomial(1, 0.45, rows),
    })
    # Phones are for the evening, desktops for office hours. Remember this line.
    fits = np.where(frame["mobile"] == frame["evening"], 1, -1)
    z = -4.1 + frame["relevance"] + 0.9 * frame["history"] - 0.25 * frame["place"] + 0.45 * fits
    frame["truth"] = sigmoid(z)
    return frame.assign(clicked=rng.random(rows) < frame["truth"])


log, calibration, new = requests(150_000), requests(50_000), requests(200_000)
FEATURES = ["relevance", "history", "place", "mobile", "evening"]
clicked = new["clicked"].to_numpy()

order = np.sort(new["truth"])[::-1]
fig, ax = plt.subplots(figsize=(6.2, 2.5))
ax.plot(np.linspace(0, 100, len(order)), 100 * order.cumsum() / order.sum())
ax.plot([0, 100], [0, 100], color="0.6", lw=0.8, ls=":")
ax.set(title="A tenth of the requests brings half of the clicks: bids must be right there",
       xlabel="requests, most likely click first, %", ylabel="expected clicks, %")
plt.show()
print(f"clicks in the log: {log['clicked'].mean():.2%}")

# %% [markdown]
# ## Train on all clicks and on a few of the rest
# A logistic regression: a weighted sum of the columns, the **sigmoid**, which turns any number into one between 0 and
# 1, and **log loss**. No penalty.

# %%
sample = log[log["clicked"] | (rng.random(len(log)) < KEPT)]
model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=500).fit(sample[FEATURES], sample["clicked"])


def predict(rows):
    return model.predict_proba(rows[FEATURES])[:, 1]


def promise(frame, p):
    """Mean prediction, click rate and their quotient, in all and where mobile or evening is 0 or 1."""
    rows = {"all": np.full(len(frame), True)}
    rows |= {f"{name} = {value}": frame[name] == value for name in ("mobile", "evening") for value in (0, 1)}
    found = pd.DataFrame({name: {"promised": p[chosen].mean(), "happened": frame["clicked"][chosen].mean()}
                          for name, chosen in rows.items()}).T
    return found.assign(quotient=found["promised"] / found["happened"])


raw = predict(new)
on_sample, on_new = promise(sample, predict(sample)), promise(new, raw)
print("on the rows it was trained on\n", on_sample.to_string(float_format="{:.4f}".format))
print("\non new requests\n", on_new.to_string(float_format="{:.4f}".format))

# %% [markdown]
# **Prediction bias** is the mean prediction minus the rate at which it happens; the quotient says the same in relative
# terms. On the training rows it is zero, in all *and for both values of both columns*, to all printed digits. That is no
# merit. The slope of log loss for a weight is $\sum (p-y)\,x$, over all rows. Training ends where all slopes are zero.
# For the intercept ($x=1$) that says: the mean prediction equals the rate. For a column of 0 and 1 it says so for the
# rows with a 1. **A logistic regression has no bias on its training rows, however bad it is.** It only counts what
# happens on other rows.
#
# There it is off by a large factor, since training saw clicks in a third of its rows. So the colleague multiplies by
# one constant, measured on the calibration log.

# %%
constant = calibration["clicked"].mean() / predict(calibration).mean()
rescaled = raw * constant


def calibration_error(y, p, edges):
    """ECE: mean distance between promise and rate over the buckets that `edges` cuts, weighted by their rows."""
    bucket = np.searchsorted(edges, p, side="right")
    gap = np.bincount(bucket, p) - np.bincount(bucket, y)
    return np.abs(gap).sum() / len(p)


WIDE = np.linspace(0.1, 0.9, 9)      # ten buckets of equal width, as most libraries have them


def report(p):
    return {"mean prediction over click rate": p.mean() / clicked.mean(),
            "calibration error, points": 100 * calibration_error(clicked, p, WIDE),
            "AUC": roc_auc_score(clicked, p)}


reports = pd.DataFrame({"as trained": report(raw), "times a constant": report(rescaled)}).T
print(reports.to_string(float_format="{:.3f}".format))
best = rescaled >= np.quantile(rescaled, 0.99)
print(f"\nclick rate in the hundredth of the requests that the model ranks best: {clicked[best].mean():.0%}")

# %% [markdown]
# ## Predict first
# The colleague's report is confirmed. Now only the best hundredth of the requests, the places that the shop wants
# most. You see how often they are clicked. The rescaled model promises on average …

# %%
options = ["a third of that, or less", "about half of that", "that, within a fifth", "twice as much"]
lab.predict("best_hundredth", "What does the rescaled model promise in its best hundredth?", options=options)

# %% [markdown]
# ## Exercise: promise and outcome, bucket by bucket
# The overall mean is one bucket. Write `reliability(y, p, buckets)`: sort the rows by the prediction, cut them into
# `buckets` of equally many rows, and return a DataFrame with a row per bucket, from the lowest predictions to the highest,
# and the columns `promised` (mean prediction) and `happened` (share of `y` that is true).

# %% tags=["exercise"]
def reliability(y, p, buckets):
    """promised and happened per bucket of equally many rows, sorted by the prediction."""
    ### BEGIN SOLUTION
    order = np.argsort(p, kind="stable")
    bucket = np.arange(len(p)) * buckets // len(p)
    frame = pd.DataFrame({"promised": np.asarray(p)[order], "happened": np.asarray(y, float)[order]})
    return frame.groupby(bucket).mean()
    ### END SOLUTION

# %%
reliability = lab.check("reliability", reliability)

# %%
percent = reliability(clicked, rescaled, 100)
percent["quotient"] = percent["promised"] / percent["happened"]
lowest_half = percent["promised"][:50].mean() / percent["happened"][:50].mean()
too_low_at_top = percent["quotient"].iloc[-1]
print(f"lowest half of the requests: promised over happened {lowest_half:.2f}")
print("best hundredth:", percent.iloc[-1].round(3).to_dict())
lab.revisit("best_hundredth", options[int(np.digitize(too_low_at_top, [0.38, 0.8, 1.2]))])
lab.claim("times a constant: calibration error in ten wide buckets, points",
          report(rescaled)["calibration error, points"], at_most=0.4)
lab.claim("times a constant: promised over happened, best hundredth", too_low_at_top, at_most=0.5)

# %% [markdown]
# The mean is right because half of the requests are promised too much and the best ones far too little. One constant
# can fulfil one equation, and the mean is one equation. Why does it fail everywhere else?
#
# ## What down-sampling does to a probability
# Take requests that are alike, with click probability $p$. Of each 100 there are $100p$ clicks, all kept, and
# $100(1-p)$ others, of which the share $r$ (`KEPT`) is kept. Among the kept rows
#
# $$\frac{p_{\text{trained}}}{1-p_{\text{trained}}} = \frac{1}{r}\cdot\frac{p}{1-p}$$
#
# **Not the probability is multiplied, the odds are.** At $p$ = 0.1% both are nearly the same. At $p$ = 50% odds of 1
# become odds of 20, a probability of 95%: not even twice as much. So a constant that is right on average takes too
# little from small probabilities and far too much from large ones.
#
# ## Exercise: undo it
# Write `prior_correction(p, kept)`: the probability that belongs to a prediction `p` of a model that was trained on all
# positives and on the share `kept` of the negatives. Arrays and single numbers; 0 stays 0 and 1 stays 1.

# %% tags=["exercise"]
def prior_correction(p, kept):
    """The probability among all rows, from the one among the kept rows."""
    ### BEGIN SOLUTION
    return p / (p + (1 - p) / kept)
    ### END SOLUTION

# %%
prior_correction = lab.check("prior_correction", prior_correction)

# %%
corrected = prior_correction(raw, KEPT)
fig, ax = plt.subplots(figsize=(5.2, 4.2))
ax.plot([0.01, 100], [0.01, 100], color="k", lw=0.8, ls=":", label="promise kept")
for label, p, marker in [("as trained", raw, "^"), ("times a constant", rescaled, "o"), ("odds corrected", corrected, "s")]:
    curve = 100 * reliability(clicked, p, 25).query("happened > 0")
    ax.plot(curve["promised"], curve["happened"], marker=marker, ms=4, lw=1, label=label)
ax.set(xscale="log", yscale="log", xlim=(0.05, 100), ylim=(0.05, 100),
       title="The constant crosses the line once: zero bias\nThe corrected odds lie on it",
       xlabel="promised: mean prediction in the bucket, %", ylabel="happened: click rate in the bucket, %")
ax.legend()
plt.show()

# %% [markdown]
# Log scales, since most requests have a probability below 1%. Below the dotted line a model promises too much, above it
# too little. In odds the shift is the same everywhere, so the model as trained lies beside the line all along. The
# constant turns this into a curve that crosses the line **once**, somewhere in the middle. That crossing is what
# "prediction bias zero" has measured.
#
# Now the money. In each auction the highest rival bid is the true probability times an error of 40%, and whoever bids
# more pays the rival's bid (a second-price auction, where bidding the true value is best).

# %%
truth = new["truth"].to_numpy()
rival = truth * rng.lognormal(0, 0.4, len(new))


def profit(p, rows=slice(None)):
    """Euros per 1,000 requests: value of the places that are won, minus what they cost."""
    return 1000 * ((truth[rows] - rival[rows]) * (p > rival[rows])).mean()


def judge(p):
    halves = reliability(clicked, p, 2).iloc[0]
    top = reliability(clicked, p, 100).iloc[-1]
    return report(p) | {"lowest half": halves["promised"] / halves["happened"],
                        "best hundredth": top["promised"] / top["happened"], "profit, € per 1,000": profit(p)}


judged = {"as trained": judge(raw), "times a constant": judge(rescaled), "odds corrected": judge(corrected)}
print(pd.DataFrame(judged).round(3).to_string())

# %%
aucs = [row["AUC"] for row in judged.values()]
lab.claim("AUC that the mends change", max(aucs) - min(aucs), at_most=1e-9)
lab.claim("odds corrected: promised over happened, best hundredth", judged["odds corrected"]["best hundredth"],
          at_least=0.8, at_most=1.2)
lab.claim("profit, times a constant over odds corrected",
          judged["times a constant"]["profit, € per 1,000"] / judged["odds corrected"]["profit, € per 1,000"],
          at_most=0.9)

# %% [markdown]
# **AUC cannot see any of this.** It asks only whether clicks are ranked above the rest, and all three rank alike: each
# mend moves large predictions above small ones. AUC judges the order, log loss and the buckets judge the numbers. If you
# only sort, the numbers do not matter. If you bid, price, or compare with a threshold, they do.
#
# ## The calibration error depends on the buckets
# The colleague's calibration error was small too. It cuts the range from 0 to 1 into ten, and her predictions do not
# reach 0.1: all of them fell into **one bucket**. The error then *is* the overall bias, which she had set to zero.
# Buckets of equally many rows see more. But not too many of them:

# %% tags=["nbval-check-output"]
def equal_count(p, buckets):
    return np.quantile(p, np.arange(1, buckets) / buckets)


errors = pd.DataFrame({
    name: {label: 100 * calibration_error(clicked, p, edges) for label, edges in [
        ("10 of equal width", WIDE), ("10 of equal count", equal_count(p, 10)),
        ("2,000 of equal count", equal_count(p, 2000))]}
    for name, p in [("times a constant", rescaled), ("odds corrected", corrected), ("the truth", truth)]
})
print("calibration error, points\n" + errors.round(2).to_string())

# %%
lab.claim("the truth: calibration error in 2,000 buckets, points", errors["the truth"].iloc[2], at_least=0.6)

# %% [markdown]
# The last column is the truth itself, the probabilities that the clicks were drawn with. In 2,000 buckets of 100
# requests it looks worse than the wrong mend does in ten wide ones: with two clicks expected, one or three is luck, and
# the absolute value adds luck up. **A calibration error without its buckets says nothing**, and two of them are
# comparable only with the same buckets and as many rows.
#
# ## Exercise: a mend without knowing the share
# The correction needs to know `KEPT`. If nobody knows how the rows were sampled, or the model is off for another reason,
# the mend must be learnt from rows that were **not** sampled: the calibration log. **Platt scaling** fits a
# logistic regression with one column, the model's logit, so that the new logit is $a\cdot\text{logit}(p)+b$. Write
# `platt(p, y)`: it learns from predictions and outcomes, and returns a function that turns predictions into mended ones.
# `logit` is defined above.

# %% tags=["exercise"]
def platt(p, y):
    """A function of predictions: their logit, stretched and shifted so that it fits the outcomes y."""
    ### BEGIN SOLUTION
    line = LogisticRegression(C=np.inf).fit(logit(p).reshape(-1, 1), y)
    return lambda p: line.predict_proba(logit(p).reshape(-1, 1))[:, 1]
    ### END SOLUTION

# %%
platt = lab.check("platt", platt)

# %% [markdown]
# The correction by `KEPT` is a case of it: $a=1$, $b=\log r$. **Isotonic regression** assumes even less: any
# staircase that never falls. Which one is better depends on how many labelled rows there are: each is fitted to the
# whole calibration log, and to 20 pieces of it, of 2,500 requests.

# %%
def isotonic(p, y):
    return IsotonicRegression(out_of_bounds="clip").fit(p, y).predict


on_calibration, outcome = predict(calibration), calibration["clicked"].to_numpy()
pieces = np.array_split(np.arange(len(outcome)), 20)
few = slice(0, 50_000)      # of the new requests, to judge forty fits


def quality(p):
    return {"log loss": log_loss(clicked[few], p.clip(1e-15, 1 - 1e-15)), "profit, € per 1,000": profit(p, few),
            "promised exactly 0, share": (p == 0).mean()}


rows = {"odds corrected, needs none": quality(corrected[few])}
for name, mend in [("Platt", platt), ("isotonic", isotonic)]:
    for label, parts in [("50,000 rows", [slice(None)]), ("2,500 rows", pieces)]:
        found = [quality(mend(on_calibration[part], outcome[part])(raw[few])) for part in parts]
        rows[f"{name}, {label}"] = pd.DataFrame(found).median()
print(pd.DataFrame(rows).T.round(4).to_string())
lab.claim("log loss with 2,500 rows, isotonic minus Platt", rows["isotonic, 2,500 rows"]["log loss"]
          - rows["Platt, 2,500 rows"]["log loss"], at_least=0.001)

# %% [markdown]
# With 50,000 rows all three agree. With 2,500 there are about 60 clicks, enough for two numbers, not for a
# staircase: its lowest step holds no click and promises exactly 0, for ever. Its ties also cost a little AUC. **Know
# the cause: correct it exactly. A smooth error, few rows: Platt. A crooked one, many rows: isotonic.** And never fit the
# mend on rows that were trained on or sampled.
#
# ## Calibrated in every bucket, wrong in every slice
# One more cut. Buckets are made of predictions. The shop, however, buys phones in the evening and desktops at noon in
# separate contracts.

# %%
print(promise(new, corrected).to_string(float_format="{:.3f}".format), "\n")


def by_slice(p):
    """Promised over happened on both devices, at both times."""
    found = new.assign(promised=p).groupby(["mobile", "evening"])[["promised", "clicked"]].mean()
    return found["promised"] / found["clicked"]


crossed_columns = {name: rows[FEATURES].assign(both=rows["mobile"] * rows["evening"])
                   for name, rows in [("sample", sample), ("new", new)]}
crossed_model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=500).fit(crossed_columns["sample"], sample["clicked"])
crossed = prior_correction(crossed_model.predict_proba(crossed_columns["new"])[:, 1], KEPT)
slices = pd.DataFrame({"odds corrected": by_slice(corrected), "isotonic on top": by_slice(isotonic(on_calibration, outcome)(raw)),
                       "crossed column": by_slice(crossed)})
slices.index = ["desktop, day", "desktop, evening", "phone, day", "phone, evening"]
print(slices.round(2).to_string())
print("\nprofit, € per 1,000:", {name: f"{profit(p):.2f}" for name, p in [("odds corrected", corrected), ("crossed column", crossed)]})

fig, ax = plt.subplots(figsize=(6.2, 2.8))
for number, name in enumerate(slices):
    ax.bar(np.arange(4) + 0.27 * (number - 1), slices[name] - 1, 0.25, bottom=1, label=name)
ax.axhline(1, color="k", lw=0.8)
ax.set(title="No bias by device, none by time: all four slices wrong until the cross is a column", xticks=range(4), xticklabels=slices.index,
       ylabel="promised / happened", yscale="log", yticks=[0.5, 1, 2], yticklabels=["0.5", "1", "2"], ylim=(0.5, 2.6))
ax.minorticks_off()
ax.legend(fontsize="small", ncols=3, loc="upper right")
plt.show()

# %%
off = (promise(new, corrected)["quotient"] - 1).abs()
lab.claim("odds corrected: largest distance of promised/happened from 1 by device or time", off.max(), at_most=0.2)
lab.claim("odds corrected: slice with the largest promised over happened", slices["odds corrected"].max(), at_least=1.4)
lab.claim("profit, crossed column over odds corrected", profit(crossed) / profit(corrected), at_least=1.3)

# %% [markdown]
# Overall: right. By bucket: right. By device and by time: right, as training forces it to be for each column it has.
# **By device and time together: wrong in all four slices**, since that is no column. Errors of opposite sign meet in
# every mean you look at.
#
# No mend of the score helps: Platt and isotonic see one number, and a phone at noon and a desktop at noon can have
# the same. What helps is the missing column, and it earns more than all mends together. Ask for the bias **where you
# act on the prediction**: by contract, by customer group, by price band. A bias that is found there names the feature
# that is missing.
#
# ## On Google Cloud
# BigQuery ML's `logistic_reg` has `auto_class_weights = TRUE` for rare classes: each class gets a weight in inverse
# proportion to its frequency. A weight of 20 on each click says the same to log loss as keeping one in twenty of the
# rest. So it is **the same shift of the odds**: by the rows without a click over those with one. Both models, and the
# report that `ML.EVALUATE` makes of them on new requests:

# %%
client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
for name, rows in [("log", log[:40_000]), ("new_requests", new[:40_000])]:
    frame = rows[[*FEATURES, "clicked"]]
    client.load_table_from_dataframe(frame, f"{lab.target.dataset}.{name}", job_config=overwrite).result()

for name, weights in [("plain", "FALSE"), ("weighted", "TRUE")]:
    client.query(f"""
        CREATE OR REPLACE MODEL {name}
        OPTIONS (
          model_type = 'logistic_reg',
          input_label_cols = ['clicked'],
          auto_class_weights = {weights},
          data_split_method = 'NO_SPLIT'
        ) AS
        SELECT * FROM log
    """).result()

evaluation = client.query("""
    SELECT 'plain' AS model, recall, roc_auc, log_loss FROM ML.EVALUATE(MODEL plain, TABLE new_requests)
    UNION ALL
    SELECT 'weighted', recall, roc_auc, log_loss FROM ML.EVALUATE(MODEL weighted, TABLE new_requests)
    ORDER BY model
""").to_dataframe().set_index("model")
print(evaluation.round(3).to_string())

# %% [markdown]
# The weights buy recall at the threshold 0.5, and nothing else: the order is the same (`roc_auc`), only the numbers have
# moved, and `log_loss` says so. Moving the threshold buys the same recall without touching the probabilities.
#
# ## Exercise: prediction bias by bucket, in SQL
# Set `sql` to a query that judges the model `weighted` after the correction of its odds on `new_requests`: five buckets
# of equally many rows (`NTILE`) by the corrected prediction, and for each `bucket` (1 to 5, lowest first), `promised`
# and `happened`. `ODDS` below is the factor by which the weights have multiplied the odds.
# `predicted_clicked_probs` is an array of both classes, each with a `label` and a `prob`;
# `UNNEST(predicted_clicked_probs) AS c` makes rows of it, with `c.label` and `c.prob`. No order of the two is promised.

# %%
counts = client.query("SELECT COUNTIF(clicked) AS clicks, COUNTIF(NOT clicked) AS others FROM log").to_dataframe().iloc[0]
ODDS = counts["others"] / counts["clicks"]
print(f"the weights multiply the odds by {ODDS:.1f}")

# %% tags=["exercise"]
# Text; f"… {ODDS} …" puts the number in.
### BEGIN SOLUTION
sql = f"""
WITH weighted_p AS (
  SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
  FROM ML.PREDICT(MODEL weighted, TABLE new_requests)
),
corrected AS (SELECT clicked, p / (p + (1 - p) * {ODDS}) AS p FROM weighted_p)
SELECT bucket, AVG(p) AS promised, AVG(IF(clicked, 1, 0)) AS happened
FROM (SELECT *, NTILE(5) OVER (ORDER BY p) AS bucket FROM corrected)
GROUP BY bucket
ORDER BY bucket
"""
### END SOLUTION

# %%
sql = lab.check("bias_in_sql", sql, client)

# %%
buckets = client.query(sql).to_dataframe().set_index("bucket")
overall = client.query("""
    SELECT AVG(p) / AVG(IF(clicked, 1, 0)) AS quotient
    FROM (
      SELECT clicked, (SELECT c.prob FROM UNNEST(predicted_clicked_probs) AS c WHERE c.label) AS p
      FROM ML.PREDICT(MODEL weighted, TABLE new_requests)
    )
""").to_dataframe()["quotient"][0]
print(buckets.assign(quotient=buckets["promised"] / buckets["happened"]).round(4).to_string())
lab.claim("auto_class_weights: promised over happened", overall, at_least=7)
lab.claim("auto_class_weights, odds corrected: promised over happened",
          buckets["promised"].mean() / buckets["happened"].mean(), at_least=0.8, at_most=1.2)

# %% [markdown]
# On your machine a local BigQuery answers the real client and solves the regression to its optimum. With
# `TARGET="vertex"` the same statements go to Google: roles *BigQuery User* on the project and *BigQuery Data Editor* on
# the dataset, no quota beyond the default, at most the sum on the lab's card. The service stops after `max_iterations`
# (20) or when the loss improves by less than `min_rel_progress` (0.01), **before** the optimum, and then even a
# plain model may have some bias: measure it, and lower `min_rel_progress`. `class_weights` sets weights of your own; the
# correction takes their quotient. Delete both models and tables afterwards, or the dataset.
#
# In service, Model Monitoring compares distributions of features and predictions and needs no labels. Bias by slice
# needs labels: this query, every night, on the rows whose outcome has come in.
#
# ## Exam lens
# *Mean prediction far from the base rate*: sampling, weights, a broken feature, a changed world; find the cause before
# adding a calibration layer. *AUC fine, probabilities wrong*: calibration. *Rare class, down-sampled or weighted*: correct
# the odds before anyone uses the numbers. *Bias in one segment only*: a missing feature or cross.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Zero prediction bias is one equation, and one constant can fulfil it while every bucket is wrong; AUC and
# wide buckets do not notice. Down-sampling and class weights multiply the odds by a number that you know: divide by it.
# Training itself removes the bias for every column that the model has, so look for it in the slices that you act on.

# %%
lab.finish()

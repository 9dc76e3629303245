# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Seven metrics, three winners: choose the model by the decision it serves
#
# A water utility has 100,000 sections of pipe. In a year one in a hundred bursts. Three teams have each built a model
# that scores every section, and the board wants **one** of them in production by Monday. The IT department has made a
# dashboard with three metrics that everyone knows: accuracy, ROC AUC, log loss. It proposes to ship the model that
# looks best there.
#
# Three departments will use the scores. The *digging crew* replaces the worst 1% of the network before it bursts. The
# *listening van* can drive past 30% of the network with microphones. *Finance* decides for each section whether to buy
# cover from an insurer, at the price the insurer asks. The board has not asked whether they need the same model.
#
# **You will** see three models win by different metrics, count in money what the wrong choice costs each department,
# write the metric that fits a decision, find out what ROC AUC cannot see when positives are rare, learn which defeat
# can be mended after training and which cannot, and meet the same question in regression, with outliers.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
BURSTS = 0.01        # share of sections that burst. 0.5: as common as not, and the effect of this lab is gone
FLOODS = 0.01        # share of repairs that become floods: the outliers of the last part

# %%
from labkit import lesson

lab = lesson.open("metric-choice", target=TARGET, seed=SEED)

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import bigquery
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

# %% [markdown]
# ## The data: two reasons to burst
# The network is planted, so we know why pipes burst. **Wear**: pressure, traffic and earlier repairs each raise the
# risk a little, everywhere. **A bad batch**: cast iron laid from 1966 to 1973 in clay soil is rotten. About one
# section in a hundred is of that kind, and almost half of those burst. One year to train on, one to adjust probabilities, one to judge.

# %%
rng = np.random.default_rng(SEED)
SECTIONS = 100_000


def one_year():
    """Every section of the network in one year, and whether it burst."""
    pipes = pd.DataFrame({
        "laid": rng.integers(1930, 2021, SECTIONS),
        "cast_iron": rng.random(SECTIONS) < 0.4,
        "clay": rng.random(SECTIONS) < 0.28,
        "pressure_bar": rng.normal(5, 1, SECTIONS).round(1),
        "traffic": rng.gamma(2, 1, SECTIONS).round(2),
        "repairs": rng.poisson(0.5, SECTIONS),
        "joints": rng.poisson(4, SECTIONS),
    })
    wear = (0.004 * (1975 - pipes["laid"]) + 1.0 * (pipes["pressure_bar"] - 5) + 0.6 * (pipes["traffic"] - 2)
            + 1.0 * (pipes["repairs"] - 0.5) + 0.15 * (pipes["joints"] - 4))
    bad_batch = pipes["laid"].between(1966, 1973) & pipes["cast_iron"] & pipes["clay"]
    risk = np.where(bad_batch, 0.45, 1 / (1 + np.exp(6.7 - wear)))
    pipes["burst"] = rng.random(SECTIONS) < risk
    # To make bursts more common than they are, sound sections are left out: the pipes that burst stay the same.
    kept = min(1, 0.01 / 0.99 * (1 - BURSTS) / BURSTS)
    return pipes[pipes["burst"] | (rng.random(SECTIONS) < kept)].reset_index(drop=True)


train, tuning, test = one_year(), one_year(), one_year()
burst = test["burst"].to_numpy()

fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.6))
suspect = train["cast_iron"] & train["clay"]
by_year = train.groupby(["laid", suspect])["burst"].mean().unstack() * 100
axes[0].plot(by_year.index, by_year[True], color="C1", label="cast iron in clay")
axes[0].plot(by_year.index, by_year[False], color="C0", label="all others")
axes[0].set(title="A bad batch: few sections, high risk", xlabel="year the section was laid", ylabel="burst in a year, %")
axes[0].legend(fontsize="small", loc="upper right")
by_pressure = train[~(suspect & train["laid"].between(1966, 1973))].groupby("pressure_bar")["burst"].agg(["mean", "size"])
by_pressure = by_pressure[by_pressure["size"] >= 100]
axes[1].plot(by_pressure.index, by_pressure["mean"] * 100, color="C0")
axes[1].set(title="Wear: a small risk, everywhere", xlabel="pressure, bar", ylim=(0, 8))
plt.show()
print(f"burst: {train['burst'].mean():.1%} of {len(train):,} sections to train on, {burst.sum():,} of {len(test):,} to judge")

# %% [markdown]
# ## Three models that people really build
# - **wear**: a logistic regression on all columns. Its authors gave both classes equal weight
#   (`class_weight="balanced"`), as is often advised for rare positives.
# - **batch**: a decision tree with five leaves on year, material and soil, also balanced. A retired foundryman asked
#   for it.
# - **table**: an actuary's table. For each number of earlier repairs and class of traffic it gives the share that
#   burst. That is all.

# %%
COLUMNS = [name for name in train if name != "burst"]
FOUNDRY = ["laid", "cast_iron", "clay"]

wear_model = make_pipeline(StandardScaler(), LogisticRegression(C=np.inf, class_weight="balanced"))
wear_model.fit(train[COLUMNS], train["burst"])
batch_model = DecisionTreeClassifier(max_leaf_nodes=5, class_weight="balanced", random_state=0)
batch_model.fit(train[FOUNDRY], train["burst"])


def cells(pipes):
    """The cell of the actuary's table that each section falls into."""
    return [pipes["repairs"].clip(upper=3).rename("repairs"), (pipes["traffic"] // 1.5).clip(upper=2).rename("traffic")]


actuary = train["burst"].groupby(cells(train)).mean()


def score(pipes):
    """The probability of a burst that each model states, a column a model."""
    in_table = actuary.reindex(pd.MultiIndex.from_frame(pd.concat(cells(pipes), axis=1)))
    return pd.DataFrame({
        "wear": wear_model.predict_proba(pipes[COLUMNS])[:, 1],
        "batch": batch_model.predict_proba(pipes[FOUNDRY])[:, 1],
        "table": in_table.fillna(train["burst"].mean()).to_numpy(),
    })


scores = score(test)
dashboard = pd.DataFrame({name: {
    "accuracy": metrics.accuracy_score(burst, stated >= 0.5),
    "ROC AUC": metrics.roc_auc_score(burst, stated),
    "log loss (low is good)": metrics.log_loss(burst, stated),
} for name, stated in scores.items()}).T
print(dashboard.round(3).to_string())

# %% [markdown]
# ## Predict first
# This is the dashboard. Accuracy counts right answers at a threshold of 0.5. ROC AUC is the chance that a section that
# burst has a higher score than one that did not. Log loss punishes stated probabilities for being far from what came.
# The digging crew will replace the 1% of sections with the **highest scores**.

# %%
lab.predict(
    "crew",
    "With which model does the crew dig up the most sections that would have burst?",
    options=["wear, best by ROC AUC", "batch, best by none of the three", "table, best by log loss"],
)

# %% [markdown]
# ## Exercise: the crew's metric
# Forget the dashboard and describe the decision. The crew takes the `digs` sections with the highest scores and
# replaces them. Nothing else about the scores reaches the street. Write `crew_metric`: a number that grows with what
# the crew gets out of a list.

# %% tags=["exercise"]
def crew_metric(burst, score, digs):
    """How good a score is for the crew; burst is a bool array, score an array of the same length."""
    ### BEGIN SOLUTION
    worst = np.argsort(-np.asarray(score), kind="stable")[:digs]
    return np.asarray(burst)[worst].mean()
    ### END SOLUTION

# %%
crew_metric = lab.check("crew_metric", crew_metric)

# %% [markdown]
# That is **precision at k**: the share of hits among the k highest scores. Now the other two departments. Money, in
# thousands, for the year that nobody has trained on:
#
# - **crew**: a burst costs 30, and replacing a section in time costs 4.
# - **van**: a section that is about to burst and is heard saves 10. The van listens to the 30% with the highest scores
#   and costs 500 whatever it finds.
# - **cover**: the insurer pays the 30 of a burst and asks a premium for each section, some cheap, some dear. Finance
#   buys where *probability × 30* is more than the premium, and pays the bursts without cover itself.

# %%
digs = round(0.01 * len(test))
heard = round(0.30 * len(test))
premiums = 30 * 0.01 * np.exp(rng.uniform(np.log(0.1), np.log(30), len(test)))


def top(stated, k):
    return np.argsort(-stated.to_numpy(), kind="stable")[:k]


def money(stated):
    """What each department gains with these scores, in thousands, against doing nothing."""
    insured = 30 * stated.to_numpy() > premiums
    return {"crew": 30 * burst[top(stated, digs)].sum() - 4 * digs,
            "van": 10 * burst[top(stated, heard)].sum() - 500,
            "cover": (30 * burst[insured]).sum() - premiums[insured].sum()}


gains = pd.DataFrame({name: money(stated) for name, stated in scores.items()})
print("gained, thousands a year\n" + gains.round(0).astype(int).to_string())
found = scores.apply(lambda stated: burst[top(stated, digs)].sum())
print("\nbursts among the sections that the crew digs up:", found.to_dict())

# %%
lab.revisit("crew", "batch, best by none of the three")
roc_winner = dashboard["ROC AUC"].idxmax()
lab.claim("models that are best for some department", gains.idxmax(axis=1).nunique(), at_least=3)
lab.claim("bursts in the crew's best list over those in the list of the ROC AUC winner", found.max() / found[roc_winner],
          at_least=2)

# %% [markdown]
# **Three departments, three winners.** The crew's best model is the one that the dashboard put nowhere. The model with
# the best ROC AUC loses a fortune in finance. And the actuary's table, the poorest ranking, is the only one with
# which finance gains anything.
#
# A metric is a summary of a decision. Each department makes another one:
#
# | department | what the decision uses of the scores | metric of the same shape |
# |---|---|---|
# | crew | the very top of the list | precision at k; PR AUC, precision, F1 |
# | van | the order, over a wide part of the list | recall at 30%; ROC AUC |
# | cover | the number itself, at many thresholds | log loss |
#
# ## Seven metrics and nobody
# All seven, and a fourth candidate: **nobody**, who says 0.01 (the training year's share) for every section and never
# raises an alarm.

# %% tags=["nbval-check-output"]
def seven(stated):
    """The seven metrics; those of a decision at a threshold of 0.5."""
    alarm = stated >= 0.5
    return {
        "accuracy": metrics.accuracy_score(burst, alarm),
        "precision": metrics.precision_score(burst, alarm, zero_division=0),
        "recall": metrics.recall_score(burst, alarm),
        "F1": metrics.f1_score(burst, alarm, zero_division=0),
        "ROC AUC": metrics.roc_auc_score(burst, stated),
        "PR AUC": metrics.average_precision_score(burst, stated),
        "log loss": metrics.log_loss(burst, stated),
    }


nobody = pd.Series(train["burst"].mean(), scores.index)
judged = pd.DataFrame({name: seven(stated) for name, stated in scores.assign(nobody=nobody).items()})
winners = judged[scores.columns].T.assign(**{"log loss": -judged.loc["log loss"]}).idxmax()
print(judged.assign(winner=winners).round(3).to_string())
lab.claim("accuracy of the best model minus that of nobody", judged.loc["accuracy", scores.columns].max()
          - judged.loc["accuracy", "nobody"], at_most=0.001)

# %% [markdown]
# Read it by rows.
#
# **Accuracy** has nothing to say: nobody is as good as the best. It counts right answers, 99% of the sections need the
# answer *no*, and *no* is free. This is the accuracy paradox. **Balanced accuracy**, the mean of the recall of both
# classes, gives nobody 0.5 and is then one more number about a single threshold.
#
# **Precision, recall and F1** are about *one* threshold, here 0.5, which nobody chose. *wear* finds most bursts
# and nearly all its alarms are false; *batch* misses about half and is right with almost every second alarm. F1 is their
# harmonic mean, near the smaller one. It holds both mistakes equally dear, which they are not.
#
# **ROC AUC and PR AUC** look at every threshold, and yet they disagree about *wear* and *batch*, and not by a little.
# Why?
#
# ## What ROC AUC cannot see
# The ROC curve has two axes. Recall is a share **of the positives**, the false positive rate is a share **of the
# negatives**. Neither mixes the two classes, so neither knows how many there are of each. Precision does: among the
# alarms, positives and negatives stand side by side.
#
# ## Exercise: precision from the ROC curve
# Take one point of a ROC curve. In a population in which a share `share` is positive, which precision does it have?

# %% tags=["exercise"]
def precision_at(recall, false_positive_rate, share):
    """Precision at points of a ROC curve (arrays) when this share of the rows is positive."""
    ### BEGIN SOLUTION
    hits = share * recall
    false_alarms = (1 - share) * false_positive_rate
    return hits / (hits + false_alarms)
    ### END SOLUTION

# %%
precision_at = lab.check("precision_at", precision_at)

# %% [markdown]
# With it one ROC curve gives the PR curve of *any* population. The curve of the left plot stays; the curves in the
# middle are the same models as sections burst, one in a hundred. On the right the area under the PR curve, from a
# population in which one section in ten thousand bursts to one in which every other does.

# %%
def pr_area(stated, share):
    """Average precision of a model if this share of the sections burst: precision at each hit, averaged."""
    rate, recall, _ = metrics.roc_curve(burst, stated, drop_intermediate=False)
    return np.sum(np.diff(recall) * precision_at(recall[1:], rate[1:], share))


shares = np.append(np.logspace(-4, np.log10(0.5), 15), burst.mean())
shares.sort()
areas = pd.DataFrame({name: [pr_area(scores[name], share) for share in shares] for name in scores}, index=shares)

fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.9))
for name in ["wear", "batch"]:
    rate, recall, _ = metrics.roc_curve(burst, scores[name])
    axes[0].plot(rate, recall, label=f"{name}, area {judged.loc['ROC AUC', name]:.2f}")
    precision, recall, _ = metrics.precision_recall_curve(burst, scores[name], drop_intermediate=True)
    precision, recall = precision[-2::-1], recall[-2::-1]
    axes[1].plot(np.append(0, recall), np.append(precision[0], precision), drawstyle="steps-pre",
                 label=f"{name}, area {judged.loc['PR AUC', name]:.2f}")
    axes[2].plot(shares, areas[name], label=name)
axes[2].axvline(burst.mean(), color="0.5", ls=":")
axes[0].set(title="ROC: wear wins", xlabel="false positive rate", ylabel="recall")
axes[1].set(title="Precision and recall: batch wins", xlabel="recall", ylabel="precision", ylim=(0, 1))
axes[2].set(title="PR AUC: rarity turns the verdict", xscale="log", xlabel="share that burst (dotted: ours)",
            ylabel="area under the PR curve", ylim=(0, 1))
for ax in axes:
    ax.legend(fontsize="small")
plt.show()

apart = max(abs(pr_area(scores[name], burst.mean()) - judged.loc["PR AUC", name]) for name in scores)
lead = areas["batch"] / areas["wear"]
print(f"PR AUC from the ROC curve against scikit-learn's: {apart:.0e} apart")
print(f"PR AUC of batch over wear: {lead[burst.mean()]:.1f} at {burst.mean():.1%}, {lead.iloc[-1]:.2f} at 50%")
lab.claim("PR AUC of batch over wear at the share of the test year", lead[burst.mean()], at_least=1.6)
lab.claim("PR AUC of batch over wear if half of the sections burst", lead.iloc[-1], at_most=0.97)

# %% [markdown]
# Nothing about the models changed from left to right, and every ROC curve and its area stayed what it was. At one in
# two the areas agree with ROC: *wear* wins. At one in a hundred, each point of the false positive rate stands for 99
# times as many sections as a point of recall. What matters then is the far left of the ROC curve, a strip too thin to
# see, and there *batch* rises straight up.
#
# So a ROC AUC that looks good is no promise of usable alarms. It is the right metric when the order over the whole list matters, as
# for the van, or when two populations with different shares are to be compared. PR AUC has no such fixed meaning: a
# coin gets the share itself, 0.01 here and 0.5 there. **Never compare PR AUCs of test sets with different shares.**
#
# ## Log loss: mend it first, then judge
# The table won by log loss and in finance, although it hardly knows one section from another. It won since it is the
# only one that states probabilities: *wear* and *batch* were trained as if half of all sections burst. That can be
# mended **after** training without touching the order. A logistic regression on the log-odds, fitted on the tuning
# year, which none of the models has seen (Platt scaling):

# %%
stated_in_tuning = score(tuning)


def log_odds(stated):
    stated = np.clip(stated.to_numpy(), 1e-6, 1 - 1e-6)
    return np.log(stated / (1 - stated))[:, None]


mended = pd.DataFrame({
    name: LogisticRegression(C=np.inf).fit(log_odds(stated_in_tuning[name]), tuning["burst"])
    .predict_proba(log_odds(scores[name]))[:, 1] for name in scores})
before_after = pd.DataFrame({
    "log loss": judged.loc["log loss", scores.columns],
    "mended": [metrics.log_loss(burst, mended[name]) for name in scores],
    "cover, thousands": gains.loc["cover"],
    "cover, mended": [money(mended[name])["cover"] for name in scores],
    "ROC AUC, mended": [metrics.roc_auc_score(burst, mended[name]) for name in scores],
}).round({"log loss": 4, "mended": 4, "ROC AUC, mended": 3, "cover, thousands": 0, "cover, mended": 0})
print(before_after.to_string())
lab.claim("mended log loss, table over the best", before_after["mended"]["table"] / before_after["mended"].min(),
          at_least=1.15)

# %% [markdown]
# One fit with two parameters, and the winner is last. **A bad log loss has two parts**: probabilities that are off, and
# an order that does not separate. The first is mended in a second. The second needs a better model. So calibrate every
# candidate on held-out rows before you compare log losses, or you choose the model whose authors had the luck not to
# balance. (The lab on calibration goes on from here.)
#
# ## The same question in regression
# The utility also forecasts what a repair costs, by the diameter of the pipe. Here too the metric decides what a good
# model is, and one row in a hundred is enough to show it: now and then a burst floods a cellar or a tunnel, and the
# repair costs 40 times as much.

# %%
def repairs(count=30_000):
    """Repairs with their costs in thousands; a few become floods."""
    diameter = rng.choice([80, 100, 150, 200, 300, 400], count)
    flood = rng.random(count) < FLOODS
    cost = diameter / 50 * np.exp(rng.normal(0, 0.35, count)) * np.where(flood, 40, 1)
    return pd.DataFrame({"diameter_mm": diameter, "cost": cost, "flood": flood})


archive, new = repairs(), repairs()
costs = archive["cost"].to_numpy()

# %% [markdown]
# ## Exercise: the number that each metric wants to hear
# Before any model: you may forecast a **single number** for all repairs in `costs`. Set `best` to the number with the
# lowest RMSE, with the lowest MAE and with the lowest MAPE (mean of *|forecast − cost| / cost*). On `costs` itself, no
# more than one per mille above the lowest.

# %% tags=["exercise"]
# A dict with the keys "RMSE", "MAE" and "MAPE".
### BEGIN SOLUTION
ordered = np.sort(costs)
weight = np.cumsum(1 / ordered)     # MAPE is MAE with weight 1 / cost: its answer is the weighted median
best = {
    "RMSE": costs.mean(),
    "MAE": np.median(costs),
    "MAPE": ordered[np.searchsorted(weight, weight[-1] / 2)],
}
### END SOLUTION

# %%
best = lab.check("best_number", best, costs)

# %%
grid = np.linspace(0.5, 2.5 * best["RMSE"], 120)
error = {
    "RMSE": lambda c: np.sqrt(np.mean((costs - c) ** 2)),
    "MAE": lambda c: np.mean(np.abs(costs - c)),
    "MAPE": lambda c: np.mean(np.abs(costs - c) / costs),
}
fig, ax = plt.subplots(figsize=(6.5, 2.7))
for number, (name, of) in enumerate(error.items()):
    curve = np.array([of(c) for c in grid])
    ax.plot(grid, curve / of(best[name]), color=f"C{number}", label=f"{name}, lowest at {best[name]:.1f}")
    ax.plot(best[name], 1, "o", color=f"C{number}")
ax.set(title="One set of costs, three best forecasts", xlabel="forecast for every repair, thousands",
       ylabel="error over the lowest error", ylim=(0.97, 1.6))
ax.legend(fontsize="small")
plt.show()

# %% [markdown]
# RMSE asks for the **mean**, which the floods carry away. MAE asks for the **median**, which does not notice them. MAPE
# divides by the cost, so an overestimate of a cheap repair is unbounded and an underestimate is at most 100%: it asks
# for **less than the median**. Now three models that differ in this one word, a forecast for each diameter:

# %% tags=["nbval-check-output"]
def percent_median(values):
    """The number with the lowest MAPE."""
    values = np.sort(values)
    weight = np.cumsum(1 / values)
    return values[np.searchsorted(weight, weight[-1] / 2)]


by_diameter = archive.groupby("diameter_mm")["cost"]
forecasters = pd.DataFrame({"mean": by_diameter.mean(), "median": by_diameter.median(),
                            "percent": by_diameter.apply(percent_median)})


def five(rows, name):
    """Five regression metrics of one model on these rows, and its total over the bill."""
    true, forecast = rows["cost"], forecasters[name].reindex(rows["diameter_mm"]).to_numpy()
    return {
        "RMSE": metrics.root_mean_squared_error(true, forecast),
        "R2": metrics.r2_score(true, forecast),
        "MAE": metrics.mean_absolute_error(true, forecast),
        "RMSLE": metrics.root_mean_squared_log_error(true, forecast),
        "MAPE": metrics.mean_absolute_percentage_error(true, forecast),
        "forecast total / bill": forecast.sum() / true.sum(),
    }


def compare(rows):
    table = pd.DataFrame({name: five(rows, name) for name in forecasters})
    sign = pd.Series(1, table.index)
    sign["R2"] = -1
    far = table.mul(sign, axis=0)
    far.loc["forecast total / bill"] = (table.loc["forecast total / bill"] - 1).abs()
    return table.assign(winner=far.idxmin(axis=1))


without, everything = compare(new[~new["flood"]]), compare(new)
print("without the floods\n" + without.round(2).to_string())
print("\nall repairs\n" + everything.round(2).to_string())

# %%
squares = (new["cost"] - forecasters["mean"].reindex(new["diameter_mm"]).to_numpy()) ** 2
print(f"floods: {new['flood'].mean():.1%} of the repairs, {new.loc[new['flood'], 'cost'].sum() / new['cost'].sum():.0%} of "
      f"the bill, {squares[new['flood']].sum() / squares.sum():.0%} of the squared error")
lab.claim("RMSE of the median over that of the mean, without the floods", without["median"]["RMSE"]
          / without["mean"]["RMSE"], at_most=0.85)
lab.claim("the same with the floods", everything["median"]["RMSE"] / everything["mean"]["RMSE"], at_least=1.001)
lab.claim("total that the MAE winner forecasts over the bill", everything["median"]["forecast total / bill"], at_most=0.8)

# %% [markdown]
# **One row in a hundred turns RMSE's verdict**, and MAE's not. It turns it by a hair: almost all of the squared error is
# the floods', which neither model can foresee, so RMSE hardly sees the other 99 rows. R2 always agrees with RMSE: it is
# the same squared error over a constant. RMSLE compares logarithms, so it forgives the floods as MAE does.
#
# Which is right? Ask what the outliers are. A misplaced decimal point is not money: clean it, or use MAE. A flood *is*
# money. The budget is a sum, sums follow the mean, and the winner by MAE asks for a budget that is far too small,
# *because* it is good at the typical repair. The winner by MAPE asks for the least of all. Whoever promises a customer
# *what yours will probably cost* wants the median.
#
# ## On Google Cloud
# BigQuery ML knows most of these. `ML.EVALUATE` gives precision, recall, accuracy, F1, log loss and ROC AUC of a
# classifier in one row, and mean absolute, mean squared and mean squared log error and R2 of a regression. Here is the
# *wear* model in SQL: `auto_class_weights` is scikit-learn's `class_weight="balanced"`, and columns are standardised
# without being asked.

# %%
client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
judging = pd.concat([test, scores.add_prefix("score_")], axis=1)
for name, frame in {"training_year": train, "judging_year": judging}.items():
    client.load_table_from_dataframe(frame, f"{lab.target.dataset}.{name}", job_config=overwrite).result()

client.query("""
CREATE OR REPLACE MODEL wear
OPTIONS (model_type = 'logistic_reg', input_label_cols = ['burst'], auto_class_weights = TRUE,
         data_split_method = 'NO_SPLIT') AS
SELECT * FROM training_year
""").result()
in_sql = client.query("SELECT * FROM ML.EVALUATE(MODEL wear, TABLE judging_year)").to_dataframe().iloc[0]
confusion = client.query("SELECT * FROM ML.CONFUSION_MATRIX(MODEL wear, TABLE judging_year)").to_dataframe()

names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1_score": "F1", "roc_auc": "ROC AUC",
         "log_loss": "log loss"}
side_by_side = pd.DataFrame({"ML.EVALUATE": in_sql[list(names)].rename(names), "scikit-learn": judged["wear"]})
print(side_by_side.astype(float).round(4).to_string(na_rep="not there"))
counted = metrics.confusion_matrix(burst, scores["wear"] >= 0.5)
print("\nML.CONFUSION_MATRIX\n" + confusion.to_string(index=False))
gap = (side_by_side["ML.EVALUATE"] - side_by_side["scikit-learn"]).abs().max()
lab.claim("ML.EVALUATE against scikit-learn, largest difference", gap, at_most=0.002)
lab.claim("sections that ML.CONFUSION_MATRIX counts otherwise, share",
          np.abs(confusion.iloc[:, 1:].to_numpy() - counted).sum() / len(test), at_most=0.001)

# %% [markdown]
# Two libraries, one optimum, the same numbers. What is not there is PR AUC, the one the crew needs. The usual way
# round is `ML.ROC_CURVE`, which counts hits and false alarms for a list of thresholds. Without a list of your own it
# takes them from the **percentiles of the predictions**. How many of those concern the crew?

# %%
points = client.query("""
SELECT threshold, true_positives, false_positives, true_positives + false_positives AS alarms, recall
FROM ML.ROC_CURVE(MODEL wear, TABLE judging_year)
ORDER BY threshold DESC
""").to_dataframe()
print(points.head(4).round(4).to_string(index=False))
precision = points["true_positives"] / points["alarms"]
area = np.sum(np.diff(points["recall"], prepend=0) * precision)
print(f"\n{len(points)} points, {(points['alarms'] <= digs).sum()} of them with no more alarms than the crew has digs")
print(f"PR AUC of wear from these points {area:.4f}, from every row {judged.loc['PR AUC', 'wear']:.4f}")

# %% [markdown]
# Percentiles spread the points evenly over *sections*, and the crew lives in the top percentile. Give
# `GENERATE_ARRAY(…)` thresholds where your decision is. For the exact area go to the rows: any model's predictions are
# a table, whether BigQuery trained it or not.
#
# ## Exercise: PR AUC in SQL
# `judging_year` has `burst` (BOOL) and the scores of all three models. Set `sql` to a query that returns **one row with
# one column** `pr_auc` for `score_batch`: the *average precision*, which is the mean, over all sections that burst, of
# the precision among the sections with at least that score. Mind that the tree has five leaves: thousands of sections
# share a score, and all of them are above the threshold together.

# %% tags=["exercise"]
### BEGIN SOLUTION
sql = """
SELECT AVG(hits / alarms) AS pr_auc
FROM (
  SELECT
    burst,
    COUNTIF(burst) OVER (ORDER BY score_batch DESC) AS hits,
    COUNT(*) OVER (ORDER BY score_batch DESC) AS alarms
  FROM judging_year)
WHERE burst
"""
### END SOLUTION

# %%
sql = lab.check("pr_auc_sql", sql, client, burst, scores["batch"])

# %%
of_batch = client.query(sql).to_dataframe()["pr_auc"][0]
print(f"batch: PR AUC in SQL {of_batch:.4f}, in scikit-learn {judged.loc['PR AUC', 'batch']:.4f}")
lab.claim("PR AUC in SQL against scikit-learn, difference", abs(of_batch - judged.loc["PR AUC", "batch"]), at_most=1e-6)

# %% [markdown]
# `TARGET="vertex"` sends the same statements to Google: roles *BigQuery User* on the project and *BigQuery Data Editor*
# on the dataset, no quota beyond the default, at most the sum on the lab's card. Afterwards delete model and tables, or
# the dataset. For predictions of a model that BigQuery does not know there is also `ML.METRICS`, in preview when this
# was written; it is not emulated here. **Where this machine differs**: the local logistic regression goes to its
# optimum, the service may stop earlier, so its last digits differ. Model evaluation on Vertex AI shows PR and ROC
# curves side by side, and the choice between them is still yours.
#
# ## Exam lens
# *Rare positives*: not accuracy; PR AUC, precision and recall before ROC AUC. *Missing one is dearer than a false
# alarm*: recall, at a precision that can be afforded. *A fixed number of cases can be handled*: precision at k.
# *Probabilities go into a calculation*: log loss, after calibration. *Ranked results*: precision at k, NDCG. *Large
# errors hurt more than in proportion, or totals matter*: RMSE. *Outliers are noise*: MAE. *Errors in per cent over a
# wide range*: RMSLE, and MAPE only if low forecasts may win.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** First write down the decision, then the metric with the same shape, then choose the model: the top of a
# list, the order, and the stated number are three different goods. ROC AUC does not know how rare positives are, PR AUC
# and accuracy do, each in its own way. Mend calibration before comparing log losses, and ask whether an outlier is money
# before choosing between RMSE and MAE.

# %%
lab.finish()

# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Interpretable or black box: the model that wins the test and loses patients
#
# A hospital has too few beds for patients with pneumonia. From next month on a model decides: the 40% with the
# lowest predicted risk of dying are **sent home** with antibiotics, before a doctor has assigned them a bed. Boosted
# trees win the comparison on held-out patients, and their explanation looks like a page from a textbook. A doctor on
# the board objects. She wants a model that she can read, and is told that this would cost accuracy.
#
# Both are right about the accuracy. Yet one of the two models sends patients home to die.
#
# **You will** price interpretability on held-out patients, find what a global explanation does not say, count deaths
# under the new policy, and try three mends: drop the column, constrain the model, record what was done.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
OLD_POLICY = True    # False: in the past asthma patients were treated like everybody else, and the effect is gone
HOME_SHARE = 0.4     # share of patients to be sent home

# %%
from labkit import lesson

lab = lesson.open("interpretable-vs-blackbox", target=TARGET, seed=SEED)

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xgboost
from google.cloud import bigquery
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

sys.path.insert(0, str(lab.folder))
from hospital import TRUE_EFFECT, draw

# %% [markdown]
# ## The data: 20,000 past patients, and 20,000 held out
# What the hospital knows when a patient arrives: eight columns. What it knows afterwards: whether the patient died.
# The patients are made by `hospital.py` in this lab's folder. That is why we can do what no hospital can: ask what
# would have happened otherwise. Leave the file closed for now.

# %%
COLUMNS = ["age", "breaths", "pressure", "urea", "temperature", "heart_failure", "asthma", "inhaler"]
rng = np.random.default_rng(SEED)
train, test = draw(rng, 20_000, OLD_POLICY), draw(rng, 20_000, OLD_POLICY)

fig, axes = plt.subplots(1, 3, figsize=(7.6, 2.4), sharey=True)
panels = [("age", "age, years", np.arange(20, 101, 10)),
          ("breaths", "breaths per minute", np.arange(10, 46, 5)),
          ("pressure", "systolic pressure, mmHg", np.arange(70, 181, 15))]
for ax, (name, label, edges) in zip(axes, panels, strict=True):
    rate = train.groupby(pd.cut(train[name], edges), observed=True)["died"].mean()
    ax.plot([interval.mid for interval in rate.index], 100 * rate, marker="o", ms=3)
    ax.set(xlabel=label)
axes[0].set_ylabel("patients who died, %")
fig.suptitle("Old age, fast breath and low pressure kill, as in every textbook")
plt.show()
print(f"{train['died'].mean():.1%} of the past patients died")

# %% [markdown]
# ## Predict first
# Five kinds of model will be compared on the held-out patients. A sixth joins them: **the true risk**, the formula
# by which nature decides who dies at home. No model can know more about that.

# %%
lab.predict(
    "truth",
    "Ranked by AUC on the held-out patients, where does the true risk of dying at home come in?",
    options=["first, by a clear margin", "first, but hardly ahead of boosted trees", "behind the boosted trees"],
)

# %% [markdown]
# ## The price list
# From the model that one reads in a minute to the one that nobody reads.
#
# - **Tree of depth 3**: eight leaves, each a rule.
# - **Logistic regression**: one weight a column.
# - **Additive boosted trees**: trees of depth 1. Each looks at one column, so the model is a sum of one curve per
#   column (a *generalised additive model*). The curves *are* the model.
# - **Random forest**: deep trees side by side, each on a sample of rows and columns, averaged. The average lowers the
#   variance. Hard to overfit by adding trees, little to tune.
# - **Boosted trees**: shallow trees one after the other, each fitted to what is left. Lowers the bias, usually the
#   most accurate on tables, and overfits when it runs too long.

# %%
def boosted(columns=COLUMNS, **options):
    """Boosted trees, trained on these columns of the past patients."""
    settings = {"n_estimators": 80, "max_depth": 4, "learning_rate": 0.12, "min_child_weight": 15, "reg_lambda": 5}
    return xgboost.XGBClassifier(**settings | options, n_jobs=1).fit(train[columns], train["died"])


def risk(model, patients):
    """The predicted probability of dying."""
    return model.predict_proba(patients[list(model.feature_names_in_)])[:, 1]


forest = RandomForestClassifier(40, max_depth=9, min_samples_leaf=5, random_state=SEED)
models = {
    "tree of depth 3": DecisionTreeClassifier(max_depth=3),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
    "additive boosted trees": boosted(max_depth=1, n_estimators=150, learning_rate=0.3),
    "random forest": forest,
    "boosted trees": boosted(),
}
for name in ["tree of depth 3", "logistic regression", "random forest"]:
    models[name].fit(train[COLUMNS], train["died"])
predicted = {name: risk(model, test) for name, model in models.items()}
predicted["the true risk"] = test["risk_at_home"].to_numpy()
WHAT_YOU_READ = ["8 rules", "8 weights", "8 curves", "40 trees", "80 trees", "hospital.py"]

price_list = pd.DataFrame({
    "you read": WHAT_YOU_READ,
    "AUC, held out": [roc_auc_score(test["died"], p) for p in predicted.values()],
    "log loss, held out": [log_loss(test["died"], p) for p in predicted.values()],
}, index=list(predicted))
print(price_list.round(3).to_string())

# %%
ahead = price_list["AUC, held out"]["boosted trees"] - price_list["AUC, held out"]["the true risk"]
lab.revisit("truth", "behind the boosted trees")
lab.claim("AUC on held-out patients: boosted trees minus the true risk", ahead, at_least=0.008)

# %% [markdown]
# The black box wins, and by less than one might fear: the curves of an additive model come close. So far the price of
# interpretability is small, and known. But **the truth loses**, and not only to the winner. No leak, no overfitting: the
# patients were held out. A model that beats the truth must have learnt something that is in the data and not in nature.
#
# ## What the explanation shows
# The board asks for an explanation of the winner. Here is the standard one, the mean absolute SHAP value of each
# column: how far it moves the log-odds of dying, on average.

# %%
def mean_absolute_shap(model, patients):
    """The global explanation: mean |SHAP value| of each column in log-odds, exact for trees."""
    matrix = xgboost.DMatrix(patients[COLUMNS], feature_names=COLUMNS)
    values = model.get_booster().predict(matrix, pred_contribs=True)[:, :-1]    # the last one is the baseline
    return pd.Series(np.abs(values).mean(axis=0), COLUMNS).sort_values()


importance = mean_absolute_shap(models["boosted trees"], test[:4000])
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.barh(importance.index, importance, color=["C1" if name == "asthma" else "C0" for name in importance.index])
ax.set(title="A plausible explanation: asthma counts, as every doctor knows", xlabel="mean |SHAP value|, log-odds")
plt.show()

# %% [markdown]
# The board nods. Age and breath first, and asthma, a disease of the lung, weighs about as much as blood pressure or
# heart failure. Nothing is wrong with this chart. But it has taken the **absolute** value: it says how much, not in
# which direction.
#
# ## Exercise: in which direction?
# Write `effect(model, patients, column)` for a column of 0 and 1: set it to 1 for every patient, then to 0 for every
# patient, leave all other columns as they are, and return the mean difference of the predicted **log-odds** of dying.
# `risk(model, patients)` gives the probability $p$; its log-odds are $\log\frac{p}{1-p}$. Change a copy.

# %% tags=["exercise"]
def effect(model, patients, column):
    """Mean change of the log-odds of dying when the column goes from 0 to 1 and nothing else changes."""
    ### BEGIN SOLUTION
    with_it, without = risk(model, patients.assign(**{column: 1.0})), risk(model, patients.assign(**{column: 0.0}))
    return (np.log(with_it / (1 - with_it)) - np.log(without / (1 - without))).mean()
    ### END SOLUTION

# %%
effect = lab.check("effect", effect, models["logistic regression"], test[:2000])

# %% tags=["nbval-check-output"]
some = test[:4000]
readable = ["logistic regression", "additive boosted trees", "boosted trees"]
effects = pd.DataFrame({name: [effect(models[name], some, column) for column in TRUE_EFFECT] for name in readable},
                       index=list(TRUE_EFFECT))
effects["the truth"] = list(TRUE_EFFECT.values())
print("change of the log-odds of dying, 0 -> 1")
print((effects.round(1) + 0.0).to_string())
asthma_seen = effects["boosted trees"]["asthma"] + effects["boosted trees"]["inhaler"]
lab.claim("effect of asthma together with its inhaler in the boosted trees, log-odds", asthma_seen, at_most=-0.6)

# %% [markdown]
# **Asthma protects against dying of pneumonia**, says every model. The truth is the opposite: asthma makes it worse.
#
# Now open `hospital.py`, at `asthma_first`. In this hospital asthma patients went **straight to intensive care**, and
# intensive care saves lives. The data say, rightly, that they die less often. But they die less often *because of what
# was done for them*, and that is not among the columns. This is **confounding by treatment**, and it has happened:
# in the 1990s a rule learner trained on pneumonia patients found *asthma lowers the risk*, and the most accurate model
# of that study, a neural network, was kept away from patients for fear of what else it had learnt unseen.
#
# Logistic regression and the additive model have made the same error. **Interpretable does not mean right. It means
# that you can see what is wrong**: in the black box you had to know which question to ask, here you read a curve.

# %%
def curve(column, values):
    """What an additive model adds for these values of one column: its log-odds, less their mean."""
    patient = test[COLUMNS].median()
    rows = pd.DataFrame([patient] * len(values)).assign(**{column: values})
    p = risk(models["additive boosted trees"], rows)
    return np.log(p / (1 - p)) - np.log(p / (1 - p)).mean()


fig, axes = plt.subplots(1, 3, figsize=(7.6, 2.4), sharey=True, width_ratios=[2, 2, 1])
for ax, (name, label, values) in zip(axes, [("age", "age, years", np.arange(20, 98.0)),
                                            ("breaths", "breaths per minute", np.arange(10, 41.0)),
                                            ("asthma", "asthma", np.array([0.0, 1.0]))], strict=True):
    if len(values) == 2:
        ax.bar(["no", "yes"], curve(name, values), color="C1")
        ax.axhline(0, color="k", lw=0.6)
    else:
        ax.step(values, curve(name, values))
    ax.set(xlabel=label)
axes[0].set_ylabel("log-odds of dying, centred")
fig.suptitle("The additive model is its curves, and one of them points the wrong way")
plt.show()

# %% [markdown]
# ## What the test set cannot see
# On the held-out patients this error is no error: they were treated by the old policy, too. It becomes one on the day
# **the model decides**. Whoever is sent home gets no intensive care.
#
# ## Exercise: count the deaths
# Write `deaths_at_home(predicted, patients, share)`: send home the `share` of the patients with the lowest
# `predicted` risk, and return how many of **1,000 patients sent home** die there, as an expectation. `patients` has
# the columns `died` (what was observed under the old policy), `intensive_care` (whether they had it) and
# `risk_at_home` (the true probability of dying without it).

# %% tags=["exercise"]
def deaths_at_home(predicted, patients, share):
    """Expected deaths per 1,000 patients sent home, the share of them with the lowest predicted risk."""
    ### BEGIN SOLUTION
    home = np.argsort(predicted, kind="stable")[:int(share * len(patients))]
    return 1000 * patients["risk_at_home"].to_numpy()[home].mean()
    ### END SOLUTION

# %%
deaths_at_home = lab.check("deaths_at_home", deaths_at_home, test)


# %%
def observed_deaths(predicted):
    """What the held-out records say about the same patients: deaths per 1,000, with the care that they had."""
    return 1000 * test["died"].to_numpy()[np.argsort(predicted, kind="stable")[:int(HOME_SHARE * len(test))]].mean()


def report(predictions):
    """A row for each model: the test, the promise, and what happens when the model decides."""
    return pd.DataFrame({
        "AUC, held out": [roc_auc_score(test["died"], p) for p in predictions.values()],
        "AUC, model decides": [roc_auc_score(test["died_at_home"], p) for p in predictions.values()],
        "deaths promised": [observed_deaths(p) for p in predictions.values()],
        "deaths at home": [deaths_at_home(p, test, HOME_SHARE) for p in predictions.values()],
    }, index=list(predictions))


FORMAT = {"AUC, held out": "{:.3f}".format, "AUC, model decides": "{:.3f}".format,
          "deaths promised": "{:.0f}".format, "deaths at home": "{:.0f}".format}
print("deaths per 1,000 patients sent home")
print(report(predicted).to_string(formatters=FORMAT))

# %% [markdown]
# The order is turned round. The winner of the test has about twice the deaths that the records promise, and the truth,
# far behind in the test, the fewest. And note: **the readable models kill as many as the black box.**
#
# ## Mend 1: drop the column
# The usual proposal: asthma misleads the model, so take it out.

# %%
dropped = boosted([name for name in COLUMNS if name != "asthma"])
predicted["asthma dropped"] = risk(dropped, test)
deaths = report(predicted)["deaths at home"]
excess = deaths - deaths["the true risk"]
left = excess["asthma dropped"] / excess["boosted trees"]
print(f"excess deaths per 1,000 sent home: {excess['boosted trees']:.1f} with asthma, {excess['asthma dropped']:.1f} "
      f"without; effect of the inhaler now {effect(dropped, some, 'inhaler'):.2f} log-odds")
lab.claim("excess deaths that are left after asthma was dropped, share", left, at_least=0.4)

# %% [markdown]
# Most of the harm stays. The **inhaler** says who has asthma, and the model reads it there. It is worse than before:
# the doctor would have noticed that asthma protects; who looks at the inhaler?
#
# ## Mend 2: constrain the model
# A *monotone constraint* says in which direction a column may act, all else equal: `1` up only, `-1` down only, `0`
# free. The learner refuses every split that would go against it.
#
# ## Exercise: write down what medicine knows
# Set `constraints`, a dictionary from columns to `1` or `-1`. The doctor says: risk does not fall with age, breathing
# rate, urea, with heart failure or a disease of the lung, **nor with anything that stands for one**; it does not rise
# with systolic pressure in the range of these patients. Fever can go either way: leave the temperature out.

# %% tags=["exercise"]
# {"column": 1 or -1, ...}
### BEGIN SOLUTION
constraints = {"age": 1, "breaths": 1, "urea": 1, "heart_failure": 1, "asthma": 1, "inhaler": 1, "pressure": -1}
### END SOLUTION

# %%
constraints = lab.check("constraints", constraints, train[COLUMNS], train["died"], some)

# %%
constrained = boosted(monotone_constraints=constraints)
predicted["constrained"] = risk(constrained, test)
without_asthma = test["asthma"] == 0
healthy_lungs = {name: roc_auc_score(test["died"][without_asthma], predicted[name][without_asthma])
                 for name in ["boosted trees", "constrained"]}
results = report(predicted)
price = results["AUC, held out"]["boosted trees"] - results["AUC, held out"]["constrained"]
saved = results["deaths at home"]["boosted trees"] - results["deaths at home"]["constrained"]
print(f"price: AUC on held-out patients lower by {price:.4f};"
      f" among those without asthma by {healthy_lungs['boosted trees'] - healthy_lungs['constrained']:.4f}")
print(f"gain: {saved:.1f} fewer deaths per 1,000 sent home")
print(f"effect of asthma: {effect(constrained, some, 'asthma'):.2f}, of the inhaler: "
      f"{effect(constrained, some, 'inhaler'):.2f}; the truth: {TRUE_EFFECT['asthma']:+.2f} and 0")

# %%
lab.claim("price of the constraints: AUC lost on held-out patients", price, at_least=0.003, at_most=0.02)
lab.claim("gain of the constraints: fewer deaths per 1,000 patients sent home", saved, at_least=6)
largest = max(abs(effect(constrained, some, column)) for column in ["asthma", "inhaler"])
lab.claim("effect of asthma or inhaler that is left under the constraints, log-odds", largest, at_most=1e-5)

# %% [markdown]
# There is the price of interpretability, and look at who pays it. Among patients without asthma the constraints cost
# next to nothing. **What was lost is accuracy at predicting the old policy.** The price list of a test set
# counts knowledge about nature and knowledge about past decisions in the same column.
#
# But the effect is zero now, not the true value. The data pull down, the constraint forbids down, so the model stops
# at the border and uses the column not at all. A constraint can **forbid a lie. It cannot tell the truth**: that is
# not in these eight columns. (Had you constrained asthma alone, you would have got what dropping it gave.)
#
# ## Mend 3: record what was done
# The cause is a column that the hospital has and the model was not given: `intensive_care`. With it, the model can
# tell what asthma does from what care does. It is not known when a patient arrives, but then it need not be: the
# question is *what happens without it*.
#
# ## Exercise: the risk without care
# Write `risk_without_care(history, patients)`: train boosted trees on the eight `COLUMNS` **and** the care,
# and predict what happens to `patients` if nobody gets it. `history` has `COLUMNS`, `intensive_care` and `died`.
# `xgboost.XGBClassifier(**TREES)` is a model that is not fitted yet.

# %%
TREES = {"n_estimators": 80, "max_depth": 4, "learning_rate": 0.12, "min_child_weight": 15, "reg_lambda": 5,
         "n_jobs": 1}

# %% tags=["exercise"]
def risk_without_care(history, patients):
    """The probability of dying of each of the patients if nobody gets intensive care."""
    ### BEGIN SOLUTION
    columns = [*COLUMNS, "intensive_care"]
    model = xgboost.XGBClassifier(**TREES).fit(history[columns], history["died"])
    return model.predict_proba(patients.assign(intensive_care=0.0)[columns])[:, 1]
    ### END SOLUTION

# %%
risk_without_care = lab.check("risk_without_care", risk_without_care, train, test)

# %%
predicted["care recorded"] = risk_without_care(train, test)
results = report(predicted)
shown = ["boosted trees", "asthma dropped", "constrained", "care recorded", "the true risk"]
labels = {name: name.removeprefix("the ") for name in shown}

fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=[1.15, 1])
colours = ["C3", "C1", "C0", "C2", "k"]
for name, colour in zip(shown, colours, strict=True):
    row = results.loc[name]
    axes[0].plot([0, 1], [row["AUC, held out"], row["AUC, model decides"]], marker="o", color=colour,
                 label=labels[name], ls="--" if name == "the true risk" else "-")
axes[0].set(title="The order is turned round", ylabel="AUC", xticks=[0, 1], xlim=(-0.2, 1.2),
            xticklabels=["held-out patients,\nold policy", "the model decides,\nno care at home"])
axes[0].legend(fontsize="x-small", loc="best")
place = np.arange(len(shown))[::-1]
axes[1].barh(place, results.loc[shown, "deaths at home"], color=colours, alpha=0.85)
axes[1].plot(results.loc[shown, "deaths promised"], place, "w|", ms=16, mew=3)
axes[1].set(title="Deaths, and what the test promised (white)", xlabel="deaths per 1,000 patients sent home",
            yticks=place, yticklabels=[labels[name] for name in shown])
plt.show()
print(results.loc[shown].to_string(formatters=FORMAT))

# %%
deaths = results["deaths at home"]
above = deaths["care recorded"] - deaths["the true risk"]
lab.claim("deaths per 1,000 above the true risk, care recorded", above, at_most=5)

# %% [markdown]
# With the care among the columns the model comes close to the truth, and like the truth it is **last in the test**.
# This is standardisation, the simplest causal estimate, and it rests on two things. *Overlap*: some asthma patients
# got no intensive care and some others did, else there is nothing to learn from. *No hidden reason*: care was assigned by what
# the columns say. Neither can be seen in a metric. Ask how the treatment was decided.
#
# When nobody recorded the care, constraints are what is left, and they are worth having: they need no data, only
# somebody who knows the direction.
#
# ## On Google Cloud
# BigQuery ML trains both kinds, `LOGISTIC_REG` and `BOOSTED_TREE_CLASSIFIER` (and `RANDOM_FOREST_CLASSIFIER`), and
# explains both, if `enable_global_explain` was set in training. A local BigQuery answers the real client here.

# %%
client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
past = train[[*COLUMNS, "died"]]
client.load_table_from_dataframe(past, f"{lab.target.dataset}.past_patients", job_config=overwrite).result()
arriving = test[:2000].reset_index(names="patient")[["patient", *COLUMNS]]
client.load_table_from_dataframe(arriving, f"{lab.target.dataset}.arriving", job_config=overwrite).result()


def ask(sql):
    """The rows of a statement as a DataFrame."""
    return client.query(sql).to_dataframe()


for name, options in [("readable", "model_type = 'LOGISTIC_REG'"),
                      ("accurate", "model_type = 'BOOSTED_TREE_CLASSIFIER', max_iterations = 40, max_tree_depth = 4")]:
    client.query(f"""
        CREATE OR REPLACE MODEL {name}
        OPTIONS ({options}, input_label_cols = ['died'], data_split_method = 'NO_SPLIT',
                 enable_global_explain = TRUE) AS
        SELECT * FROM past_patients
    """).result()

# %% [markdown]
# First what everybody asks, `ML.GLOBAL_EXPLAIN`: one number a column, without a sign. Then what the doctor asks. The
# weights of a linear model have a sign (`ML.WEIGHTS`). For trees take `ML.EXPLAIN_PREDICT`, which splits every
# prediction into signed attributions. **Mind what they push towards**: here towards the class that was predicted, so
# for a patient predicted to survive, *plus* means *survives*. The query turns them all towards death.

# %%
overall = ask("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL accurate)").set_index("feature")["attribution"]
weights = ask("""
SELECT processed_input AS feature, weight FROM ML.WEIGHTS(MODEL readable)
WHERE processed_input != '__INTERCEPT__'
""").set_index("feature")["weight"]
signed = ask(f"""
SELECT part.feature, AVG(towards_death * part.attribution) AS mean,
       COUNTIF(towards_death * part.attribution < 0) AS down, COUNT(*) AS patients
FROM (
  SELECT *, IF(predicted_died = 1, 1, -1) * SIGN(prediction_value) AS towards_death
  FROM ML.EXPLAIN_PREDICT(MODEL accurate, (SELECT * FROM arriving WHERE asthma = 1),
                          STRUCT({len(COLUMNS)} AS top_k_features))
), UNNEST(top_feature_attributions) AS part
GROUP BY part.feature
""").set_index("feature")
sql_table = pd.DataFrame({"GLOBAL_EXPLAIN, trees": overall, "asthma patients, trees": signed["mean"],
                          "WEIGHTS, logistic": weights}).sort_values("GLOBAL_EXPLAIN, trees", ascending=False)
print("log-odds; the weights per unit of their column")
print(sql_table.round(3).to_string())

# %%
importance_ratio = overall["asthma"] / overall["heart_failure"]
lab.claim("ML.GLOBAL_EXPLAIN: importance of asthma over that of heart failure", importance_ratio, at_least=0.5)
down = signed["down"]["asthma"] / signed["patients"]["asthma"]
lab.claim("asthma patients for whom ML.EXPLAIN_PREDICT counts asthma as protection, share", down, at_least=0.9)

# %% [markdown]
# In the first column asthma weighs about as much as heart failure, which is just what a doctor would expect. In the
# second it is a warning: the patients with the disease are told that it protects them.
#
# The documented options of BigQuery ML's boosted trees list no monotone constraints. The constrained model still
# reaches whoever speaks SQL: save it, put it into the bucket, import it as a model of type `XGBOOST`.

# %%
constrained.get_booster().save_model(lab.work / "model.json")
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.blob("interpretable-vs-blackbox/constrained/model.json").upload_from_filename(lab.work / "model.json")
client.query(f"""
    CREATE OR REPLACE MODEL constrained
    INPUT ({', '.join(f'{name} FLOAT64' for name in COLUMNS)})
    OUTPUT (risk FLOAT64)
    OPTIONS (model_type = 'XGBOOST', model_path = '{lab.target.bucket}/interpretable-vs-blackbox/constrained/*')
""").result()
in_sql = ask("SELECT patient, risk FROM ML.PREDICT(MODEL constrained, TABLE arriving) ORDER BY patient")
gap = np.abs(in_sql["risk"] - risk(constrained, test[:2000])).max()
lab.claim("risk from SQL against risk from Python, largest difference", gap, at_most=1e-5)

# %% [markdown]
# - **What the flag changes.** `TARGET="vertex"` sends the same statements to Google. There BigQuery ML trains boosted
#   trees on Vertex AI, in minutes. Here XGBoost with the documented defaults stands in: other trees, the same story.
#   Test which release of XGBoost's file format the service imports before you build on it.
# - **Roles.** BigQuery User on the project, BigQuery Data Editor on the dataset, Storage Object Admin on the bucket.
# - **Quota and cost.** `CREATE MODEL` jobs a day are limited. `CREATE MODEL` and queries are billed by bytes, trees
#   also by the time that they train. The card's plan is an upper bound of the former.
# - **Delete afterwards** the dataset with its models, and `interpretable-vs-blackbox/` in the bucket.
# - **Explanations of an imported model** are not offered: it predicts, and you keep the curves where you trained it.
#
# ## Exam lens
# *A regulator or a doctor must follow each decision*: a model whose parts one can read, with its price measured, not
# assumed. *Tables, accuracy first*: boosted trees; *hardly any tuning, noisy data*: a random forest. *The direction is
# known*: monotone constraints. *Which columns matter*: `ML.GLOBAL_EXPLAIN`; *why this one and in which direction*:
# `ML.EXPLAIN_PREDICT` or weights. *The model will change the decisions that made its data*: no test set of old
# decisions can judge it.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A held-out set repeats the policy that made the data, so a model that has learnt the policy beats the
# truth on it. A global explanation has no direction, and dropping a column leaves its proxies. Read the direction,
# forbid the wrong one, and record what was done: only that brings the true effect back.

# %%
lab.finish()

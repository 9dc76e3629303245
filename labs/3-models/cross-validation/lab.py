# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Cross-validation: the test that diagnoses a coin
#
# A start-up sells a test that hears an illness in the voice. Sixty volunteers, half of them ill, read six sentences
# each. The notebook reports a cross-validated accuracy close to 100%. A clinic with 40,000 patients is to sign.
#
# The clinic's reviewer does something rude. She replaces the diagnosis by **a coin**: one toss for each volunteer,
# heads for ill. Then she runs the notebook again, from top to bottom, with the same folds. Nobody can hear a coin in a
# voice. So whatever the notebook says above 50%, the notebook made up. How much of the near 100% is left after her
# visit, and what will the clinic really get?
#
# **You will** deal the coin so that it finds the leak, fold so that no person is on both sides, see how much the best of
# 128 models flatters itself, undo that with nested cross-validation, and put an error bar on the number that you sign.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
OWN_VOICE = 1.0      # how much people's voices differ, in standard deviations. 0: a recording does not tell who speaks
MODELS = 128         # candidates that are tried. 1: there is nothing to choose, and choosing flatters nobody

# %%
from labkit import lesson

lab = lesson.open("cross-validation", target=TARGET, seed=SEED)

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV, KFold, StratifiedGroupKFold, StratifiedKFold, cross_val_score)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(lab.folder))  # studies.py lies beside the notebook

import studies

limits = threadpool_limits(1)  # thousands of tiny matrices: a second thread would only be waited for

# %% [markdown]
# ## The data: 360 recordings of 60 people
# We plant the truth, so that we can ask it later. A recording has 40 measurements in five groups. Each is the sum of the
# **person's own voice**, the same in all six recordings, and of noise, new in each recording. The illness depends on
# three of the 40 measurements of the own voice, and on luck. So even the best rule is wrong now and then.

# %%
rng = np.random.default_rng(SEED)
STATE = SEED % 2**31      # for scikit-learn, which takes no larger ones
PEOPLE, RECORDINGS, COLUMNS = 60, 6, 40
GROUPS = {name: list(range(8 * i, 8 * i + 8)) for i, name in enumerate(["pitch", "jitter", "shimmer", "spectrum", "pauses"])}
TELLING = [0, 8, 16]      # these three columns carry the illness
SIGNAL = 3.0              # how strongly; 0 is a coin


def own_voices(people):
    return OWN_VOICE * rng.normal(size=(people, COLUMNS))


def record(own):
    """RECORDINGS rows for each person: the own voice plus noise."""
    return np.repeat(own, RECORDINGS, axis=0) + 0.6 * rng.normal(size=(len(own) * RECORDINGS, COLUMNS))


def chance_of_illness(own, signal):
    return expit(signal * own[:, TELLING].sum(axis=1))


own = own_voices(PEOPLE)
luck = rng.logistic(size=PEOPLE)
score = SIGNAL * own[:, TELLING].sum(axis=1) + luck
ill = (score > np.median(score)).astype(int)       # of each person: 30 are ill

order = rng.permutation(PEOPLE * RECORDINGS)       # recordings lie in the table in no order
X = record(own)[order]
person = np.repeat(np.arange(PEOPLE), RECORDINGS)[order]
sick = ill[person]

fig, ax = plt.subplots(figsize=(5, 3.2))
for number, marker in enumerate("os^vD"):
    ax.scatter(*X[person == number][:, [1, 9]].T, s=22, marker=marker, label=f"person {number}")
ax.set(title="Six recordings of a person lie together", xlabel="pitch 1, standard deviations",
       ylabel="jitter 1, standard deviations")
ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## Predict first
# The notebook cuts the 360 recordings into five folds at random, trains on four and tests on the fifth, five times. Its
# model is a nearest neighbour. The reviewer tosses a coin for every volunteer and runs it again.

# %%
lab.predict(
    "coin",
    "How often does the notebook get the coin right, on recordings that it was not trained on?",
    options=["about 50%", "about two thirds", "more than 90%"],
)

# %% [markdown]
# ## Exercise: deal the coin
# Write `toss(sick, person, rng)`: labels for all recordings in which **only the link between voice and illness is cut**,
# and all else is as it was. As many ill *people* as before, and a person still has one label. `sick` and `person` have
# a value for each recording. The numbers come from `rng`, so that each call deals anew.

# %% tags=["exercise"]
def toss(sick, person, rng):
    """An array like sick, with the diagnoses dealt out anew among the people."""
    ### BEGIN SOLUTION
    _, first_row, of_row = np.unique(person, return_index=True, return_inverse=True)
    return rng.permutation(sick[first_row])[of_row]
    ### END SOLUTION

# %%
toss = lab.check("toss", toss, sick, person)

# %% [markdown]
# ## First visit: folds of recordings
# Four families of models, the true diagnosis, and two coins. Beside them what the clinic will get: the same models,
# trained on all 60 volunteers, on 400 **new people**.

# %%
families = {
    "nearest neighbour": KNeighborsClassifier(1),
    "random forest": RandomForestClassifier(10, random_state=STATE),
    "decision tree": DecisionTreeClassifier(random_state=STATE),
    "logistic regression": LogisticRegression(C=0.003),
}
coins = [toss(sick, person, rng) for _ in range(2)]
new_own = own_voices(400)
new_X = record(new_own)
new_sick = np.repeat(rng.random(400) < chance_of_illness(new_own, SIGNAL), RECORDINGS).astype(int)


def accuracy(model, labels, folds):
    """Mean accuracy over folds, which are pairs of training rows and test rows."""
    return np.mean([clone(model).fit(X[train], labels[train]).score(X[test], labels[test]) for train, test in folds])


by_recording = list(KFold(5, shuffle=True, random_state=STATE).split(X))
report = pd.DataFrame({name: {
    "diagnosis": accuracy(model, sick, by_recording),
    "coin": np.mean([accuracy(model, coin, by_recording) for coin in coins]),
    "new people": clone(model).fit(X, sick).score(new_X, new_sick),
} for name, model in families.items()}).T
print(report.map("{:.0%}".format).to_string())
naive_coin = accuracy(families["nearest neighbour"], rng.permutation(sick), by_recording)
print(f"\nnearest neighbour, a coin tossed for each recording: {naive_coin:.0%}")

# %%
lab.revisit("coin", "more than 90%")
lab.claim("coins that the nearest neighbour gets right, share", report["coin"]["nearest neighbour"], at_least=0.9)
overstated = report["diagnosis"] - report["new people"]
lab.claim("a coin for each recording, nearest neighbour", naive_coin, at_most=0.62)
lab.claim("nearest neighbour: promised minus came true", overstated["nearest neighbour"], at_least=0.2)

# %% [markdown]
# The notebook hears the coin. It hears **who speaks**: of each test recording, the other recordings of the same person lie
# in the training folds, with the same label. The nearest neighbour finds the person and reads the label off. It is the
# best at the coin and among the worst on new people. A fold can judge only what it has not seen, and these folds have seen
# everybody.
#
# Note what the coin had to be. Toss for every *recording*, as in the last line, and the six recordings of a person get different
# labels. Then knowing the person helps nobody, the notebook says about 50%, and the leak stays hidden. **Shuffle labels at the level at
# which they were given.**
#
# ## Exercise: fold by person
# Set `folds` to a list of five pairs `(train, test)` of row numbers of `X`. Each recording is tested exactly once, no person
# is on both sides, and every fold has about as many ill people as healthy ones (at least four of each).

# %% tags=["exercise"]
### BEGIN SOLUTION
splitter = StratifiedGroupKFold(5, shuffle=True, random_state=STATE)
folds = list(splitter.split(X, sick, groups=person))
### END SOLUTION

# %%
folds = lab.check("folds", folds, sick, person)

# %%
report.insert(2, "diagnosis, by person", {name: accuracy(model, sick, folds) for name, model in families.items()})
report.insert(3, "coin, by person", {name: np.mean([accuracy(model, coin, folds) for coin in coins])
                                     for name, model in families.items()})
print(report.map("{:.0%}".format).to_string())
by_person = report["coin, by person"].mean()
lab.claim("coins that four families get right when folds are of people", by_person, at_least=0.35, at_most=0.65)

# %% [markdown]
# The coin is a coin again, and the order of the families has changed with the folds. What was best at remembering people
# is not best at recognising an illness. The unit of a fold is **the unit that will be new in production**: a patient, a
# machine, a shop, a week.
#
# ## Second visit: 128 models
# The start-up mends its folds. It also stops working with recordings: one row a person, the mean of six. And since the
# score is disappointing now, it tries more models: three families with several settings, on each group of
# measurements, on each pair of groups, and on all. 128 in all, five-fold, by person. It reports the best.

# %%
lab.predict(
    "best_of_many",
    "The reviewer tosses her coin again. What does the best of 128 cross-validated models say, on average?",
    options=["50%: the folds are right now", "about 55%", "about two thirds"],
)

# %% [markdown]
# One coin would be an anecdote, so we deal many: five sets of 60 volunteers, and for each of them 60 coins and 60 true
# studies, in which the illness depends on the voice as above. That would be more than a million trainings. Our families
# allow a short cut: their prediction is a *weighted sum of the training labels*, and the weights depend on the voices
# alone. One matrix for each model and fold then serves all labels at once (`studies.py`). First we make sure that the
# short cut is scikit-learn's model.

# %%
candidates = studies.candidates(GROUPS)
pick = rng.permutation(len(candidates))[:MODELS]
candidates = [candidates[number] for number in pick]       # in random order: the first n are a random choice

voices = X[np.argsort(person, kind="stable")].reshape(PEOPLE, RECORDINGS, COLUMNS).mean(axis=1)
signs = np.tile([-1.0, 1.0], 20)
gaps = []
for candidate in candidates[:24]:
    columns = list(candidate[2])
    twin = studies.in_sklearn(candidate, 40).fit(voices[:40, columns], signs)
    gaps.append(np.abs(twin.predict(voices[40:, columns]) - studies.matrix(candidate, voices[:40], voices[40:]) @ signs).max())
lab.claim("short cut against scikit-learn: largest difference of a prediction", max(gaps), at_most=1e-8)

# %%
SETS, STUDIES, FOLDS = 5, 60, 5
block = np.arange(PEOPLE) % FOLDS       # the fold of each person; six ill and six healthy people in each


def deal(own, signal):
    """Labels -1 and 1 of STUDIES studies; in every fold the six people with the highest scores are ill."""
    score = signal * own[:, TELLING].sum(axis=1)[:, None] + rng.logistic(size=(PEOPLE, STUDIES))
    labels = np.full(score.shape, -1.0)
    for fold in range(FOLDS):
        here = score[block == fold]
        labels[block == fold] = np.where(here > np.median(here, axis=0), 1.0, -1.0)
    return labels


def right(candidate, voices, labels, train, test):
    """Whether the candidate, trained on some people, is right about others: (people, studies)."""
    return (studies.matrix(candidate, voices[train], voices[test]) @ labels[train] > 0) == (labels[test] > 0)


shape = (len(candidates), FOLDS, SETS, 2, STUDIES)
outer = np.zeros(shape)         # accuracy on a fold after training on the four others
inner = np.zeros(shape)         # accuracy within those four: trained on three of them, tested on the fourth
new = np.zeros((len(candidates), SETS, 2, STUDIES))       # expected accuracy on new people after training on all 60
for number in range(SETS):
    own_here, own_new = own_voices(PEOPLE), own_voices(300)
    voices_here, voices_new = [record(some).reshape(len(some), RECORDINGS, COLUMNS).mean(axis=1) for some in (own_here, own_new)]
    labels = np.hstack([deal(own_here, 0.0), deal(own_here, SIGNAL)])     # coins first, then illnesses
    chance = np.repeat([chance_of_illness(own_new, 0.0), chance_of_illness(own_new, SIGNAL)], STUDIES, axis=0).T
    for model, candidate in enumerate(candidates):
        for fold in range(FOLDS):
            hit = right(candidate, voices_here, labels, block != fold, block == fold)
            outer[model, fold, number] = hit.mean(axis=0).reshape(2, STUDIES)
            for other in range(fold):      # trained without two folds: each is the inner test of the other
                left_out = (block == fold) | (block == other)
                hit = right(candidate, voices_here, labels, ~left_out, left_out)
                for test, outer_fold in [(fold, other), (other, fold)]:
                    inner[model, outer_fold, number] += hit[block[left_out] == test].mean(axis=0).reshape(2, STUDIES) / 4
        says_ill = studies.matrix(candidate, voices_here, voices_new) @ labels > 0
        new[model, number] = np.where(says_ill, chance, 1 - chance).mean(axis=0).reshape(2, STUDIES)

# %% [markdown]
# Four numbers, when the first `n` models have been tried:
#
# - **one split**: the best accuracy on one fold of twelve people,
# - **five folds**: the best mean accuracy over five folds, the number that the start-up reports,
# - **nested**: for each fold, the winner is chosen *within the other four*, by an inner cross-validation, and judged on the
#   fold, which had no say in the choice,
# - **new people**: what the winner of the five folds does on people who come tomorrow.

# %%
def at(scores, chosen):
    """The scores of the chosen models: chosen has a number for each study."""
    return np.take_along_axis(scores, chosen[None], axis=0)[0]


def four_numbers(n):
    """Averages over studies: a row each, coins and illnesses."""
    winner = outer[:n].mean(axis=1).argmax(axis=0)
    nested = np.mean([at(outer[:n, fold], inner[:n, fold].argmax(axis=0)) for fold in range(FOLDS)], axis=0)
    numbers = {
        "one split": outer[:n, 0].max(axis=0),
        "five folds": outer[:n].mean(axis=1).max(axis=0),
        "nested": nested,
        "new people": at(new[:n], winner),
    }
    return pd.DataFrame({name: values.mean(axis=(0, 2)) for name, values in numbers.items()}, index=["coin", "illness"])


tried = [n for n in [1, 2, 4, 8, 16, 32, 64, 128] if n <= MODELS]
curves = pd.concat({n: four_numbers(n) for n in tried})

fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
styles = {"one split": "C1s-", "five folds": "C3o-", "nested": "C0^-", "new people": "k--"}
for ax, case, title in zip(axes, ["coin", "illness"], ["A coin", "A real illness"], strict=True):
    for name, style in styles.items():
        ax.plot(tried, 100 * curves.xs(case, level=1)[name], style, ms=4, lw=1.3, label=name)
    ax.set(xscale="log", xlabel="models tried", title=title)
    ax.set_xticks(tried, [str(n) for n in tried])
    ax.minorticks_off()
axes[0].set_ylabel("accuracy, %")
axes[0].legend(fontsize="small", loc="upper left")
fig.suptitle("The reported best rises with every model tried; what comes true does not follow")
plt.show()

# %% tags=["nbval-check-output"]
final = curves.loc[tried[-1]]
print(f"{tried[-1]} models tried, accuracy in %")
print((100 * final).round(0).astype(int).to_string())

# %%
lab.revisit("best_of_many", "about two thirds")
lab.claim("coin: best of the models on five folds, above chance", final["five folds"]["coin"] - 0.5, at_least=0.1)
lab.claim("coin: best of the models on one split, above chance", final["one split"]["coin"] - 0.5, at_least=0.22)
lab.claim("coin: nested, distance from chance", abs(final["nested"]["coin"] - 0.5), at_most=0.04)
promised = final["five folds"] - final["new people"]
lab.claim("illness: promised minus came true, five folds", promised["illness"], at_least=0.03)
lab.claim("illness: promised minus came true, nested", (final["nested"] - final["new people"])["illness"], at_most=0.05)

# %% [markdown]
# Each model's score is its worth plus the luck of these 60 people. Choose the highest score, and you choose **high luck** as
# well as high worth. All folds were used for the choice, so all of them share the luck. No fold is left that could tell.
# On the coin there is no worth, and the whole excess is luck. It grows with the number of models, slowly, about like
# $\sigma\sqrt{2\ln n}$: not the number counts but the spread $\sigma$ of a score, and the spread of a single fold of twelve
# people is large.
#
# Nested cross-validation does nothing clever. It applies the rule of the first visit to the choice: **choosing is a
# part of training, so it happens inside the training folds.** It is a little too modest, because it trains on 48 people
# what will be trained on 60. That error is on the safe side.
#
# ## Exercise: nest the search
# Write `nested(models, X, y, outer, inner)`: the nested accuracy of *"take the best of these models"*. For each split of
# `outer`: choose the model with the best mean accuracy by `inner` (both are scikit-learn splitters), train it, and judge it
# on the outer test fold. Return the mean over the outer folds.

# %% tags=["exercise"]
def nested(models, X, y, outer, inner):
    """Mean accuracy over the outer folds of the model that the inner folds choose."""
    ### BEGIN SOLUTION
    scores = []
    for train, test in outer.split(X, y):
        inside = [cross_val_score(model, X[train], y[train], cv=inner).mean() for model in models]
        winner = clone(models[np.argmax(inside)]).fit(X[train], y[train])
        scores.append(winner.score(X[test], y[test]))
    return np.mean(scores)
    ### END SOLUTION

# %%
nested = lab.check("nested", nested)

# %% [markdown]
# The start-up's own study, with other families beside each other, trees among them. scikit-learn says the same in one line:
# a `GridSearchCV` **is** a model, one that chooses while it is trained. So cross-validate the search, not its winner.

# %%
models = [
    KNeighborsClassifier(1), KNeighborsClassifier(9), GaussianNB(), LogisticRegression(C=0.01),
    DecisionTreeClassifier(max_depth=1, random_state=STATE), DecisionTreeClassifier(random_state=STATE),
]
outer_folds = StratifiedKFold(5, shuffle=True, random_state=STATE)
inner_folds = StratifiedKFold(3, shuffle=True, random_state=STATE)

flat = [cross_val_score(model, voices, ill, cv=outer_folds).mean() for model in models]
by_hand = nested(models, voices, ill, outer_folds, inner_folds)
search = GridSearchCV(Pipeline([("model", GaussianNB())]), {"model": models}, cv=inner_folds)
in_one_line = cross_val_score(search, voices, ill, cv=outer_folds).mean()
shipped = search.fit(voices, ill)     # the search on all people: what is delivered
new_voices = new_X.reshape(400, RECORDINGS, COLUMNS).mean(axis=1)
came_true = shipped.score(new_voices, new_sick[::RECORDINGS])
print(f"best of {len(models)}: {max(flat):.0%}   nested: {by_hand:.0%}   on new people: {came_true:.0%}")
print(f"delivered: {shipped.best_params_['model']}")
lab.claim("nested by hand against GridSearchCV in cross_val_score, difference", abs(by_hand - in_one_line), at_most=1e-12)

# %% [markdown]
# This is one study, and its luck may go either way. (That is the next question.) The five outer folds may well choose
# different models. That is no fault: nested cross-validation judges **the procedure**, not a model. What is delivered is the
# procedure's result on all data, and the nested score is its promise.
#
# ## How sure? The error bar that shrinks by itself
# The start-up gives up choosing: one model, fixed beforehand. To be sure it repeats five-fold cross-validation 20 times
# with new folds each time and reports the mean of 100 scores with the standard error of 100 numbers, $s/\sqrt{100}$. We do
# the same for 300 studies of coins, where the truth is 50%: does the interval of two standard errors contain it?

# %%
REPEATS = 20
labels = np.tile([-1.0, 1.0], PEOPLE // 2)
many = rng.normal(size=(300, PEOPLE, 8))        # 300 studies: new voices, eight measurements, and a coin


def fold_of_all_studies(train, test):
    """Whether ridge regression is right about each test person: (studies, people)."""
    centre = many[:, train].mean(axis=1, keepdims=True)
    a, b = many[:, train] - centre, many[:, test] - centre
    turned = a.transpose(0, 2, 1)
    weights = np.linalg.solve(turned @ a + 5 * np.eye(8), turned @ labels[train][:, None])
    return (b @ weights)[..., 0] * labels[test] > 0


correct = np.zeros((300, REPEATS, PEOPLE))
fold_scores = np.zeros((300, REPEATS, 5))
for repeat in range(REPEATS):
    splits = StratifiedKFold(5, shuffle=True, random_state=STATE + repeat).split(labels, labels)
    for fold, (train, test) in enumerate(splits):
        hit = fold_of_all_studies(train, test)
        correct[:, repeat, test], fold_scores[:, repeat, fold] = hit, hit.mean(axis=1)

estimates = {"one split, 12 people": fold_scores[:, 0, 0], "5 folds": fold_scores[:, 0].mean(axis=1),
             "20 x 5 folds": fold_scores.mean(axis=(1, 2))}
fig, ax = plt.subplots(figsize=(6.2, 2.6))
for number, values in enumerate(estimates.values()):
    ax.scatter(100 * values, number + rng.uniform(-0.3, 0.3, len(values)), s=6, alpha=0.5)
    ax.text(104, number, f"± {100 * values.std():.0f}", va="center")
ax.axvline(50, color="k", lw=1, ls="--")
ax.set(yticks=range(3), yticklabels=estimates, xlabel="estimated accuracy, % (one dot is one study; dashed: the truth)", xlim=(0, 115),
       title="Folds help, repeats hardly: the study has 60 people")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# ## Exercise: an error bar to sign
# Take the first study. `study_scores` has its 20 x 5 fold accuracies, `study_correct` whether each of the 60 people was
# diagnosed correctly, in each repeat. Set `standard_error` to the standard error of the mean accuracy: how far it
# would scatter if the study were done **again, with 60 other people**.

# %%
study_scores, study_correct = fold_scores[0], correct[0]
mean_accuracy = study_scores.mean()

# %% tags=["exercise"]
### BEGIN SOLUTION
standard_error = np.sqrt(mean_accuracy * (1 - mean_accuracy) / PEOPLE)
### END SOLUTION

# %%
standard_error = lab.check("standard_error", standard_error, study_scores, study_correct)

# %%
means = estimates["20 x 5 folds"]
bars = {
    "s / sqrt(100 fold scores)": fold_scores.reshape(300, -1).std(axis=1, ddof=1) / 10,
    "sqrt(p (1 - p) / 60 people)": np.sqrt(means * (1 - means) / PEOPLE),
}
covered = {name: (np.abs(means - 0.5) < 2 * bar).mean() for name, bar in bars.items()}
for name, bar in bars.items():
    print(f"{name:28} ± {bar.mean():.1%}   interval contains the truth in {covered[name]:.0%} of the studies")
lab.claim("intervals from 100 fold scores that contain the truth, share", covered["s / sqrt(100 fold scores)"], at_most=0.5)
lab.claim("intervals from 60 people that contain the truth, share", covered["sqrt(p (1 - p) / 60 people)"], at_least=0.88)

# %% [markdown]
# Both formulas were meant for 95%. The 100 scores are not 100 observations: they are the same 60 people, asked again and
# again in other groupings. Repeats average out the luck of the *folds*. The luck of *these people* stays, and no number of
# repeats removes it: with 1,000 repeats the first bar would be smaller still, and wronger. **What counts is the
# number of independent units: people**, not recordings, not fits.
#
# Equal shares in the folds (stratification) and five folds instead of one split are worth having, since they are cheap. After
# that only more people help.
#
# ## On Google Cloud
# In BigQuery a fold is a column: a hash of the *group's* key, so that it is the same in every query and on every day. Then
# `data_split_method = 'CUSTOM'` with a BOOL column holds out one fold after the other. Here with the reviewer's first coin,
# once by recording and once by person, on all 40 measurements.

# %%
import farmhash
from google.cloud import bigquery

client = lab.target.bigquery()
names = [f"{group}_{number + 1}" for group in GROUPS for number in range(8)]
recordings = pd.DataFrame(X, columns=names).assign(
    person=[f"volunteer-{number:02d}" for number in person], recording=range(len(X)), coin=coins[0].astype(bool))
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
client.load_table_from_dataframe(recordings, f"{lab.target.dataset}.recordings", job_config=overwrite).result()
client.query(f"""
CREATE OR REPLACE TABLE folded AS
SELECT *,
  MOD(ABS(FARM_FINGERPRINT(CONCAT('{SEED}-', person))), 5) AS by_person,
  MOD(ABS(FARM_FINGERPRINT(CONCAT('{SEED}-', CAST(recording AS STRING)))), 5) AS by_recording
FROM recordings
""").result()

L2 = 10.0


def cross_validate(key):
    """ML.EVALUATE of five models, each with one fold held out."""
    rows = []
    for fold in range(5):
        client.query(f"""
        CREATE OR REPLACE MODEL fold_{fold}
        OPTIONS (model_type = 'logistic_reg', input_label_cols = ['coin'], l2_reg = {L2},
                 data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
        SELECT * EXCEPT (person, recording, by_person, by_recording), {key} = {fold} AS held_out
        FROM folded
        """).result()
        rows.append(f"SELECT {fold} AS fold, accuracy, log_loss, roc_auc FROM ML.EVALUATE(MODEL fold_{fold})")
    return client.query(" UNION ALL ".join(rows) + " ORDER BY fold").to_dataframe().set_index("fold")


in_sql = {key: cross_validate(key) for key in ["by_recording", "by_person"]}
print(pd.DataFrame({key: found.mean() for key, found in in_sql.items()}).round(2).to_string())

# %% [markdown]
# Are these our folds and our models? `FARM_FINGERPRINT` is FarmHash's *Fingerprint64* read as a signed number, so the fold
# of a person can be computed in Python. The same rows, standardised with the training rows' constants as BigQuery ML does,
# go to scikit-learn.

# %%
def fold_of(key):
    """MOD(ABS(FARM_FINGERPRINT(key)), 5)."""
    unsigned = farmhash.Fingerprint64(key.encode())
    return abs(unsigned - 2**64 if unsigned >= 2**63 else unsigned) % 5


in_python = recordings["person"].map(lambda name: fold_of(f"{SEED}-{name}"))
from_bigquery = client.query("SELECT recording, by_person FROM folded ORDER BY recording").to_dataframe()["by_person"]
lab.claim("recordings whose fold differs between BigQuery and pandas", (in_python != from_bigquery).sum(), at_most=0)

differences = []
for fold in range(5):
    train, test = recordings[in_python != fold], recordings[in_python == fold]
    mean, spread = train[names].mean(), train[names].std()
    model = LogisticRegression(C=1 / L2, tol=1e-8, max_iter=1000).fit((train[names] - mean) / spread, train["coin"])
    found = log_loss(test["coin"], model.predict_proba((test[names] - mean) / spread))
    differences.append(abs(found - in_sql["by_person"]["log_loss"][fold]))
lab.claim("log loss of a fold, BigQuery ML against scikit-learn, largest difference", max(differences), at_most=1e-4)
leak = in_sql["by_recording"]["roc_auc"].mean() - in_sql["by_person"]["roc_auc"].mean()
lab.claim("coin in SQL: ROC AUC by recording minus by person", leak, at_least=0.05)

# %% [markdown]
# The same leak from one word in SQL: the key of the hash. (A hash deals people out without looking: with 60 people its folds
# have unequal sizes and shares. With thousands nobody notices. And by person
# this one coin need not come out at exactly 0.5: it was tossed for 60 people, and you know the error bar of that.)
#
# With `TARGET="vertex"` the same statements go to Google: roles *BigQuery User* on the project and *BigQuery Data Editor*
# on the dataset, default quotas, at most the sum on the card. Delete the dataset afterwards. The folds are the same rows
# there. The last digits are not: `logistic_reg` stops there when an iteration brings too little progress, here it goes to the optimum,
# and the service's scale of `l2_reg` is not public.
#
# **Choosing in BigQuery ML.** With `num_trials` the service makes *three* parts by itself: training rows, evaluation rows
# that choose the best trial, and test rows that judge it. `ML.TRIAL_INFO` reports the tuning metrics beside the final ones.
# The first kind is the promise of the best of many. Report the second. With `CUSTOM` the split column is a STRING then, with
# `'TRAIN'`, `'EVAL'` and `'TEST'`, and it can be made from a hash of the person.
#
# **Cost.** Nested cross-validation trains outer x (inner x models + 1) times. On Vertex AI the trials of a tuning job, or the
# steps of a pipeline, run side by side, one outer fold each. With much data one untouched test set does the same job for
# less.
#
# ## Exam lens
# *Several rows of one patient, user or device*: split by that key. *Best of many trials, score reported from the rows that
# chose*: a third part, or nested. *Little data and a number to sign*: cross-validation, with an error bar from independent units.
# *Suspiciously good*: run it on shuffled labels.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A fold can judge only what it has not seen: not the row, not the person, not the choice. Deal the labels
# out anew, at the level at which they were given, and run everything again: what is above chance then is not in the data but
# in the evaluation. More folds and repeats make an estimate steadier; only more people make it surer.

# %%
lab.finish()

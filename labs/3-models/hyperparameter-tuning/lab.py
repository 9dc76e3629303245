# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-vizier, display_name: Labs (vizier), language: python}
# ---

# %% [markdown]
# # Spend a trial budget well: regret at equal trials
#
# A post office sorts parcels by handwritten digits. The classifier has four hyperparameters, and the budget is 16 trials.
# A colleague has a plan: two values of each, $2^4 = 16$ combinations, a complete grid. "Systematic", he says. "And as
# we can run them all at once, we have the answer in ten minutes, with its accuracy."
#
# Three things in this plan cost accuracy, and the last sentence is wrong. **Is the grid better than drawing
# hyperparameters from a hat, what does running all at once cost, and how good is the winner really?**
#
# **You will** measure which hyperparameters matter, compare searches by their *regret* at equal trials, choose scales,
# run a real tuning job with the Vertex AI SDK, and find out how far the best of many trials flatters itself.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the tuning job runs on Vertex AI
SEED = 20260601
IDLE = 2             # hyperparameters of the grid that do not matter. 0: all matter, and the effect is gone
SEARCH = "random"    # of the tuning job. "": the default, Bayesian optimisation, half a minute longer on a laptop

# %%
from labkit import lesson

lab = lesson.open("hyperparameter-tuning", target=TARGET, seed=SEED)

import logging
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

sys.path.insert(0, str(lab.folder))  # trainer/ and bandit.py lie beside the notebook

import bandit
from trainer import task

for name in logging.root.manager.loggerDict:
    if name.startswith("google.cloud.aiplatform"):
        logging.getLogger(name).setLevel(logging.WARNING)
rng = np.random.default_rng(SEED)

# %% [markdown]
# ## The data, and four hyperparameters
# 1,797 real digits of 8 × 8 pixels, which come with scikit-learn. Labels are dear, so 200 are for training. The rest
# is split later, for validation and for the test. `trainer/task.py` has the training code: a support vector machine.

# %%
pixels, digits = load_digits(return_X_y=True)
pixels = pixels / 16
train, validation, test = task.rows(SEED)
pool = np.concatenate([validation, test])

fig, axes = plt.subplots(1, 10, figsize=(7, 1.0))
for ax, row in zip(axes, train, strict=False):
    ax.imshow(pixels[row].reshape(8, 8), cmap="Greys")
    ax.set_title(digits[row], fontsize=9)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Predict first
# The **regret** of a search is what it leaves on the table: the accuracy of the best model there is, minus that of the best
# one it has found. The plan has four hyperparameters and 16 trials. The grid takes two evenly spaced values of each
# hyperparameter, on a logarithmic scale; random search draws each value of each trial anew. Both have the same ranges.

# %%
lab.predict(
    "grid",
    "What is the regret of the grid, compared with that of random search?",
    options=["less: it is systematic", "about the same", "at least twice as much"],
)

# %% [markdown]
# ## Exercise: who decides this number?
# Three kinds of numbers, by who sets them:
#
# - a **parameter** is found by training, from the data;
# - a **hyperparameter** is set before training, and a tuning job tries values of it;
# - a **search setting** (some call it a *meta-parameter*) says how the tuning job searches.
#
# Sort the nine names. The support vector machine has a penalty `C` for training errors, and a kernel of width
# `1 / gamma`.

# %% tags=["exercise"]
# Each value: "parameter", "hyperparameter" or "search setting".
### BEGIN SOLUTION
kinds = {
    "C": "hyperparameter",
    "gamma": "hyperparameter",
    "weight of a support vector": "parameter",
    "intercept": "parameter",
    "max_trial_count": "search setting",
    "parallel_trial_count": "search setting",
    "range in which gamma is searched": "search setting",
    "number of layers of a network": "hyperparameter",
    "moving mean of a batch normalisation": "parameter",
}
### END SOLUTION

# %%
kinds = lab.check("kinds", kinds)

# %% [markdown]
# ## Which of them matter?
# Vary one at a time over its whole range, the others stay in the middle. `tol` says when the solver stops; `coef0` was in
# the configuration that the colleague has copied.

# %% tags=["nbval-check-output"]
RANGES = {"C": (1e-2, 1e4), "gamma": (1e-5, 1e2), "tol": (1e-4, 1e-2), "coef0": (1e-2, 1e1)}
middle = {name: float(np.sqrt(low * high)) for name, (low, high) in RANGES.items()}


def spread(name):
    """Highest minus lowest accuracy over the range of one hyperparameter."""
    values = np.geomspace(*RANGES[name], 7)
    scores = [task.accuracy(task.fit(SEED, **middle | {name: value}), pool) for value in values]
    return max(scores) - min(scores)


spreads = pd.Series({name: spread(name) for name in RANGES}, name="accuracy, highest - lowest")
print(spreads.round(2).to_string())

# %%
lab.claim("accuracy that hangs on gamma alone", spreads["gamma"], at_least=0.3)
lab.claim("accuracy that hangs on tol and coef0", spreads[["tol", "coef0"]].max(), at_most=0.01)

# %% [markdown]
# Two matter, two do nothing: the kernel at hand has no `coef0`, and the solver is exact enough at any `tol`. That is
# the usual case (Bergstra and Bengio, 2012), only **one does not know beforehand which two**.
#
# So we can afford to see the whole truth: every point of a 21 × 21 lattice over `C` and `gamma` is trained once, for real.

# %%
SIDE = 21
PENALTIES, GAMMAS = np.geomspace(*RANGES["C"], SIDE), np.geomspace(*RANGES["gamma"], SIDE)
correct = np.zeros((SIDE, SIDE, len(pool)), bool)      # did this model get this row right?
for j, gamma in enumerate(GAMMAS):
    # The kernel depends on gamma alone: computed once for each.
    inner, outer = rbf_kernel(pixels[train], gamma=gamma), rbf_kernel(pixels[pool], pixels[train], gamma=gamma)
    for i, penalty in enumerate(PENALTIES):
        model = SVC(C=penalty, kernel="precomputed").fit(inner, digits[train])
        correct[i, j] = model.predict(outer) == digits[pool]
surface = correct.mean(axis=-1)
BEST = surface.max()

fig, ax = plt.subplots(figsize=(5.2, 3.2))
mesh = ax.pcolormesh(GAMMAS, PENALTIES, surface, shading="nearest")
ax.set(xscale="log", yscale="log", xlabel="gamma", ylabel="C", title="Good models lie on a narrow ridge")
fig.colorbar(mesh, label="accuracy")
plt.show()
print(f"best of {surface.size} models: {BEST:.3f}")

# %% [markdown]
# ## Grid against hat
# Where the grid's lines fall is luck, so each search is repeated 400 times: the grid with its lines shifted, random
# search with new draws.

# %% tags=["nbval-check-output"]
TRIALS, REPEATS = 16, 400
per_axis = round(TRIALS ** (1 / (2 + IDLE)))           # values of each hyperparameter that the budget allows


def grid_trials():
    """Places of C and of gamma on the lattice, as the trials of a shifted grid; the idle ones repeat them."""
    lines = [((np.arange(per_axis) + rng.random()) / per_axis * SIDE).astype(int) for _ in range(2)]
    places = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
    return np.tile(places, (per_axis**IDLE, 1))


def random_trials():
    return rng.integers(0, SIDE, (TRIALS, 2))


def regret(places):
    return BEST - surface[places[:, 0], places[:, 1]].max()


def summary(draw):
    many = [draw() for _ in range(REPEATS)]
    different = np.mean([len(np.unique(places, axis=0)) for places in many])
    return {"trials": len(many[0]), "different models": different, "regret": np.mean([regret(places) for places in many])}


table = pd.DataFrame({"grid": summary(grid_trials), "random": summary(random_trials)}).T
print(table.to_string(formatters={"trials": "{:.0f}".format, "different models": "{:.0f}".format, "regret": "{:.4f}".format}))

# %%
lab.revisit("grid", "at least twice as much")
grid_excess = table["regret"]["grid"] - table["regret"]["random"]
lab.claim("accuracy that the grid leaves beyond random search, at equal trials", grid_excess, at_least=0.008)
lab.claim("different models among the trials of the grid, share", table["different models"]["grid"] / TRIALS, at_most=0.3)

# %% [markdown]
# **The mechanism.** Of the grid's 16 trials four are different; each is trained four times, with other values of what
# does not matter. It has seen two values of `gamma`. Random search has seen 16. Each further idle hyperparameter
# doubles the cost of the grid, and costs random search nothing.
#
# On Vertex AI `GRID_SEARCH` takes INTEGER, DISCRETE and CATEGORICAL hyperparameters only. It is right where there are few
# combinations and each must be seen.
#
# ## Exercise: range and scale
# Random search found the ridge because its draws were spread over the powers of ten. Write the study's `parameter_spec` for the
# SDK: `C` and `gamma` over `RANGES`, real numbers, so that each power of ten gets as many trials as the others, `tol` the same way, and
# `coef0` as one of the four values 0, 0.1, 1 and 10.

# %% tags=["exercise"]
# hpt.DoubleParameterSpec(min=, max=, scale=), hpt.DiscreteParameterSpec(values=, scale=), …
### BEGIN SOLUTION
parameter_spec = {
    "C": hpt.DoubleParameterSpec(min=RANGES["C"][0], max=RANGES["C"][1], scale="log"),
    "gamma": hpt.DoubleParameterSpec(min=RANGES["gamma"][0], max=RANGES["gamma"][1], scale="log"),
    "tol": hpt.DoubleParameterSpec(min=RANGES["tol"][0], max=RANGES["tol"][1], scale="log"),
    "coef0": hpt.DiscreteParameterSpec(values=[0, 0.1, 1, 10], scale="linear"),
}
### END SOLUTION

# %%
parameter_spec = lab.check("parameter_spec", parameter_spec, RANGES)

# %% [markdown]
# What would a linear scale have done? The same number of draws, the same range:

# %%
def linear_trials():
    """Random search with even draws between the ends; each goes to the nearest point of the lattice."""
    drawn = [rng.uniform(*RANGES[name], TRIALS) for name in ("C", "gamma")]
    decades = [np.log10(values / RANGES[name][0]) for name, values in zip(("C", "gamma"), drawn, strict=True)]
    spans = [np.log10(RANGES[name][1] / RANGES[name][0]) for name in ("C", "gamma")]
    places = [np.clip(np.rint(decade / span * (SIDE - 1)), 0, SIDE - 1) for decade, span in zip(decades, spans, strict=True)]
    return np.stack(places, axis=-1).astype(int)


linear = summary(linear_trials)
print(f"regret on a linear scale: {linear['regret']:.3f}, on a logarithmic one: {table['regret']['random']:.4f}")
lab.claim("regret of a linear scale beyond a logarithmic one", linear["regret"] - table["regret"]["random"], at_least=0.1)

# %% [markdown]
# Nine draws of ten lie in the last power of ten, where no good model is. **No search algorithm mends a wrong scale.**
#
# ## Bayesian optimisation, and what parallel trials cost it
# The default search of Vertex AI is Bayesian: a model of the surface (a Gaussian process) is fitted to what is known, and the
# next trial goes where that model promises most. `bandit.py` has such a search in 30 lines. It learns from trials that
# **have ended**. With `parallel_trial_count` trials at once it must place as many without knowing how the others come out.

# %%
STARTS = 60
lattice = np.stack(np.meshgrid(*[np.linspace(0, 1, SIDE)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
scores = surface.ravel()


def outcomes(parallel):
    """Regret of the Bayesian search after TRIALS trials, from STARTS different starts."""
    runs = [bandit.search(lattice, scores, TRIALS, parallel, np.random.default_rng([SEED, start])) for start in range(STARTS)]
    return np.array([BEST - scores[tried].max() for tried in runs])


by_parallel = {parallel: outcomes(parallel) for parallel in (1, 4, TRIALS)}
rows = {
    parallel: {"rounds to wait for": TRIALS // parallel, "mean regret": left.mean(), "misses by > 1 point": (left > 0.01).mean()}
    for parallel, left in by_parallel.items()
}
print(f"{TRIALS} trials, Bayesian")
print(pd.DataFrame(rows).T.rename_axis("parallel").to_string(
    formatters={"rounds to wait for": "{:.0f}".format, "mean regret": "{:.4f}".format, "misses by > 1 point": "{:.0%}".format}))
one_by_one, all_at_once = by_parallel[1].mean(), by_parallel[TRIALS].mean()
lab.claim("mean regret one by one, as a share of that of all at once", one_by_one / all_at_once, at_most=0.85)

# %% [markdown]
# All at once, nothing can be learnt: it is random search under a dear name. One by one it is best, and takes sixteen
# times as long. Four at a time keeps most of both. **Parallel trials buy time, not accuracy**; for random and grid search
# they are free.
#
# ## The job
# Now for real. `HyperparameterTuningJob` takes a custom job and starts it once for each trial, with `--C=… --gamma=…` added to its
# arguments. The trainer reports with `cloudml-hypertune`. Locally OSS Vizier, Google's own published version, chooses
# the hyperparameters, and each trial is a process.

# %%
aiplatform.init(**lab.target.vertex)
for kind in (aiplatform.HyperparameterTuningJob, aiplatform.CustomJob):     # what an earlier run has left
    for old in kind.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
        old.delete()

trial_job = aiplatform.CustomJob.from_local_script(
    display_name="digits-trial",
    script_path=str(lab.folder / "trainer" / "task.py"),
    container_uri="us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest",
    requirements=["cloudml-hypertune"],
    args=[f"--seed={SEED}"],
    machine_type="n1-standard-4",
    labels=lab.target.labels,
)
tuning_job = aiplatform.HyperparameterTuningJob(
    display_name="digits",
    custom_job=trial_job,
    metric_spec={"accuracy": "maximize"},
    parameter_spec=parameter_spec,
    max_trial_count=6,
    parallel_trial_count=2,
    max_failed_trial_count=3,
    search_algorithm=SEARCH or None,
    labels=lab.target.labels,
)
tuning_job.run()

# %%
trials = pd.DataFrame([
    {"trial": trial.id, "state": trial.state.name, "start": trial.start_time, "end": trial.end_time,
     "accuracy": trial.final_measurement.metrics[0].value if trial.final_measurement.metrics else None}
    | {parameter.parameter_id: parameter.value for parameter in trial.parameters}
    for trial in tuning_job.trials
]).set_index("trial")
print(trials.drop(columns=["start", "end"]).to_string(float_format="{:.4g}".format))
at_once = [((trials["start"] <= moment) & (moment < trials["end"])).sum() for moment in trials["start"]]
lab.claim("trials with a result", (trials["state"] == "SUCCEEDED").sum(), at_least=6)
lab.claim("trials at the same time, at most", max(at_once), at_least=2, at_most=2)

# %% [markdown]
# ## Exercise: read the winner
# Write `best_trial`: of the trials of a job, the id of the best one. `maximize` says in which direction the metric is good.
# A trial whose process fails is `INFEASIBLE` and has an empty `final_measurement`; it must not win, and must not
# stop you. A trial has `id`, `state.name`, `parameters` and `final_measurement.metrics[0].value`.

# %% tags=["exercise"]
def best_trial(trials, maximize=True):
    """The id of the trial with the best final measurement."""
    ### BEGIN SOLUTION
    usable = [trial for trial in trials if trial.state.name == "SUCCEEDED"]
    pick = max if maximize else min
    return pick(usable, key=lambda trial: trial.final_measurement.metrics[0].value).id
    ### END SOLUTION

# %%
best_trial = lab.check("best_trial", best_trial)

# %% [markdown]
# A job's trials are only worth something if they can be repeated. Train the winner here, from its record:

# %%
winner = trials.loc[best_trial(tuning_job.trials)]
again = task.fit(SEED, **{name: float(winner[name]) for name in RANGES})
gap = task.accuracy(again, validation) - winner["accuracy"]
print(f"trial {winner.name}: accuracy {winner['accuracy']:.3f} on {len(validation)} validation rows, "
      f"{task.accuracy(again, test):.3f} on {len(test)} test rows")
lab.claim("accuracy of the winner, trained anew from its record: difference", abs(gap), at_most=1e-9)

# %% [markdown]
# ## How good is the winner really?
# The job's number is from the validation rows, **and those rows have chosen the winner**. The best of many trials is partly the best
# and partly the luckiest on these rows. We have every model's answer on every row, so we can measure it: draw 60 validation rows,
# pick the best of $n$ random trials on them, and look at the same model on all other rows. 400 times each.

# %% tags=["nbval-check-output"]
answers = correct.reshape(SIDE * SIDE, -1)


def flattery(n_trials):
    """Validation minus test accuracy of the winner of n random trials, drawn once."""
    order = rng.permutation(answers.shape[1])
    chosen = rng.integers(0, len(answers), n_trials)
    on_validation = answers[np.ix_(chosen, order[:60])].mean(axis=1)
    winner = chosen[on_validation.argmax()]
    return on_validation.max() - answers[winner, order[60:]].mean()


bias = pd.Series({n: np.mean([flattery(n) for _ in range(400)]) for n in (1, 4, 16, 64, 256)}, name="validation - test")
print(bias.rename_axis("trials").map("{:+.3f}".format).to_string())
lab.claim("validation minus test of the best of 256 trials", bias[256], at_least=0.008)
lab.claim("the same for a single trial, either sign", abs(bias[1]), at_most=0.008)

fig, ax = plt.subplots(figsize=(4.6, 2.4))
ax.plot(bias.index, 100 * bias, marker="o")
ax.axhline(0, color="k", lw=0.6)
ax.set(xscale="log", xlabel="trials that compete on the same 60 rows", ylabel="validation - test,\npoints of accuracy",
       title="The more trials, the more the winner flatters itself")
plt.show()

# %% [markdown]
# One trial: no bias. Many: the winner promises more than it holds, always in the same direction, although nobody looked at test
# rows. It still **is** a good choice; only its number is not a forecast. Keep test rows that no trial sees, and report those.
#
# ## On Google Cloud
# The job above is the real SDK's. With `TARGET="vertex"` the same cells send it to Vertex AI (since April 2026: Agent
# Platform, with the same API), and each trial gets a machine of its own. This is the request:

# %%
lab.target.show(tuning_job)

# %% [markdown]
# **Before.** Role *Vertex AI User*, *Storage Object Admin* on the bucket, and quota for the CPUs of `parallel_trial_count` machines.
#
# **Cost.** Every trial is billed as a custom job, from its machine's start to its end; the search itself costs nothing. So the
# budget is `max_trial_count` times a trial, whatever `parallel_trial_count` is; the card has the upper bound. Nothing goes on
# costing when the job has ended. `max_failed_trial_count` ends a broken job before the budget is gone.
#
# **What differs.** Locally the default search is OSS Vizier's Gaussian process bandit with fewer evaluations of its acquisition function
# and pending trials at the mean of the known ones; the service's is not public. The same study under the same name draws the same
# trials here, on the service it does not. A decay curve for early stopping, several metrics and conditional hyperparameters answer
# UNIMPLEMENTED here; the median rule works. Times are those of this machine.
#
# **In BigQuery ML** tuning is an option of the model, with Vizier behind it too: `num_trials`, ranges and candidates. It splits off
# validation *and* test rows by itself, and its automatic preprocessing (standardised numbers, encoded texts) is part of each trial.
#
# ```sql
# CREATE OR REPLACE MODEL parcels.digit_model
# OPTIONS (
#   model_type = 'boosted_tree_classifier',
#   input_label_cols = ['digit'],
#   num_trials = 20,
#   max_parallel_trials = 4,
#   learn_rate = HPARAM_RANGE(0.01, 0.5),
#   max_tree_depth = HPARAM_CANDIDATES([3, 5, 7]),
#   hparam_tuning_objectives = ['roc_auc']
# ) AS
# SELECT * FROM parcels.training
# ```
#
# `ML.TRIAL_INFO` lists the trials; `ML.EVALUATE` gives each one's test measures.
#
# **Afterwards.** The next cell lists what would be deleted; `lab.cleanup(delete=True)` deletes it.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens
# *Many hyperparameters, few trials*: never a grid. *Fewest trials, each dear*: Bayesian, few in parallel. *The answer tonight,
# money is no matter*: many in parallel, random. *Learning rate*: logarithmic.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** At equal trials a grid repeats itself in whatever does not matter, random search does not, and Bayesian
# optimisation does better still if it may learn between trials: parallel trials buy time with accuracy. The scale matters more than the
# algorithm. The winner's validation score is an optimistic number, the more so the more trials it has beaten: report a test score.

# %%
lab.finish()

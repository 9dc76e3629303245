# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Ten loss curves: the prettiest one is the sickest
#
# A post office reads the digits on its forms. Ten teams have trained the same small network on the same scanned forms, and
# each has handed in two curves: the loss on training forms and the loss on validation forms. One team has done
# everything right. **Each of the other nine has one fault**: in its data, in its batches or in its settings.
#
# The rule for the release says: *the run with the lowest validation loss goes live on Monday.* The rule for all others
# says: *training far below validation means overfitting: add dropout, stop early.* Both rules are in every course. You
# will see what they do here.
#
# **You will** name ten faults from ten pairs of curves, write the tests that find them without looking at a curve,
# see four runs that all look like overfitting and need four different mends, and keep the curves in TensorBoard.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the curves go to Vertex AI TensorBoard on Google Cloud
SEED = 20260601
FAULTS = True        # False: ten sound runs, and the effect of this lab is gone

# %%
from labkit import lesson

lab = lesson.open("loss-curves-diagnosis", target=TARGET, seed=SEED)

import logging
import shutil
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import Scalar, TimeSeriesData, TimeSeriesDataPoint

sys.path.insert(0, str(lab.folder))  # runs.py lies beside the notebook

import runs  # do not read it yet: it says who has done what

logging.disable(logging.WARNING)     # the SDK says two lines for everything that it creates

# %% [markdown]
# ## The data
# Real digits, written by hand, 8 × 8 pixels with values from 0 to 16. A table has a row for each form: 64 pixels, the
# number of the tray in which the form lies, and the digit that a clerk typed. The clerks are in a hurry: **one typed digit
# in ten is wrong**. Nobody can foresee a slip, so no honest model gets below a certain loss. Keep that number in mind.

# %%
table = lab.data("handwritten-digits").to_numpy(dtype=float)
teams = runs.setups(table, SEED, faults=FAULTS)
shown = teams["C"].train
slips = 0.1
floor = -(1 - slips) * np.log(1 - slips) - slips * np.log(slips / 9)

fig, axes = plt.subplots(1, 10, figsize=(7, 1.2))
for ax, image, digit in zip(axes, shown.pixels, shown.digit, strict=False):
    ax.imshow(image.reshape(8, 8), cmap="gray_r")
    ax.set(title=f"“{digit}”", xticks=[], yticks=[])
fig.suptitle("Ten forms and the digit that was typed", y=1.15)
plt.show()
print(f"guessing among ten digits costs log 10 = {np.log(10):.2f}; "
      f"knowing every digit, but no slip, costs {floor:.2f}")

# %% [markdown]
# ## Ten runs
# Everyone has the same network (64 pixels, 64 hidden units, softmax), plain gradient descent with a fixed rate, batches of
# 32 rows and 600 steps. The training loss is the mean of the last four batches, as most progress bars show it. The
# validation loss is computed on all 400 validation forms. Dotted: the loss of guessing. Dashed: the loss of an honest model
# that knows everything but the slips.

# %%
trained = {letter: runs.fit(setup) for letter, setup in teams.items()}


def draw(ax, letter, run):
    """Both curves of a run; a cross where its loss stops being a number."""
    ax.plot(*run.train.T, lw=0.8, color="C0", label="training")
    ax.plot(*run.valid.T, lw=1.6, color="C1", label="validation")
    ax.axhline(np.log(10), color="0.3", lw=0.8, ls=":")
    ax.axhline(floor, color="0.3", lw=0.8, ls="--")
    broken = ~np.isfinite(run.train[:, 1])
    if broken.any():
        last = run.train[~broken][-1]
        ax.plot(*last, "x", color="C3", ms=8)
        ax.annotate(f"NaN after step {int(last[0])}", last, xytext=(130, 1.2), color="C3", fontsize=8)
    if np.nanmax(run.train[:, 1]) > 50:
        ax.set(yscale="log", ylim=(0.3, None))
    else:
        ax.set_ylim(0, 3.5)
    ax.set(title=letter, xlim=(0, runs.STEPS))
    ax.title.set(fontweight="bold")


fig, axes = plt.subplots(2, 5, figsize=(11, 4.6), sharex=True, layout="constrained")
for ax, (letter, run) in zip(axes.flat, trained.items(), strict=True):
    draw(ax, letter, run)
axes[0, 1].legend(fontsize=8, loc="upper right")
fig.supxlabel("step")
fig.supylabel("cross-entropy (nats)")
fig.suptitle("Ten trainings, one of them sound: A, D, F and J end with a gap, and B looks best")
plt.show()

# %% [markdown]
# ## Predict first
# The run with the lowest validation loss goes live on Monday. The live forms are new ones, read at the counter as they
# come in. Nine of the ten runs have a loss that is a number; we rank these by their loss on the live forms.

# %%
finished = [letter for letter, run in trained.items() if np.isfinite(run.loss("live"))]
places = ["first or second", "in the middle", "last or last but one"]
lab.predict("monday", "Where does the run with the lowest validation loss stand among the nine?", options=places)

# %% [markdown]
# ## Exercise: name the fault
# Give each letter one of these names, each name once. All you have is the picture above. Look at four things, in this
# order: where does a curve **start**, how **smooth** is it, where does it **end** beside dotted and dashed lines, and what
# does the **gap** do: was it there from the first points on, or did it open later?

# %%
names = sorted(runs.PLANTED.values())
print(", ".join(names))

# %% tags=["exercise"]
# letter -> name
### BEGIN SOLUTION
verdict = {
    "A": "no shuffle",
    "B": "leak",
    "C": "healthy",
    "D": "repeated batch",
    "E": "rate too high",
    "F": "label shares differ",
    "G": "NaN in a row",
    "H": "underfitting",
    "I": "exploding",
    "J": "overfitting",
}
### END SOLUTION

# %%
verdict = lab.check("name_the_fault", verdict, runs.PLANTED)

# %% [markdown]
# ## Monday

# %%
result = pd.DataFrame({
    letter: {"fault": verdict[letter], "training": run.train[-25:, 1].mean(), "validation": run.valid[-5:, 1].mean(),
             "live": run.loss("live")}
    for letter, run in trained.items()
}).T.infer_objects()
print(result.sort_values("validation").round(2).to_string())

winner = result["validation"].idxmin()
place = int(result.loc[finished, "live"].rank()[winner])
lab.revisit("monday", places[0] if place <= 2 else places[2] if place >= len(finished) - 1 else places[1])
lab.claim("live loss of the run with the best validation loss, over the sound run's",
          result["live"][winner] / result["live"]["C"], at_least=1.3)

# %% [markdown]
# The winner is worse on live forms than runs that have learnt almost nothing. It has used the **tray**. A form is put into the
# tray of the digit *after* a clerk has typed it, so in the training table the tray is the label under another name.
# Validation forms come from the same table and lie in their trays, too. A live form lies nowhere yet: its field has the
# default, tray 0, and the network reads one and the same digit on every form.
#
# No validation curve can show this, since both curves are computed with the leak. What gives it away is the dashed line: **the
# curve is better than possible.** It even foresees the slips of the clerks.
#
# So one run looks better than it is. Now to those that look worse, and all in the same way.
#
# ## Four times overfitting?
# The rule of the courses: *the network has learnt something, and the training loss ends far below the validation loss*.
# "Something" shall be a training loss below 1.5 here, and "far" 0.4.

# %%
gap = result["validation"] - result["training"]
picture = (result["training"] < 1.5) & (gap > 0.4)
looks_overfitted = gap.index[picture]
print("the rule says overfitting:", {letter: f"gap {gap[letter]:.2f}" for letter in looks_overfitted})
false_alarms = [letter for letter in looks_overfitted if verdict[letter] != "overfitting"]
lab.claim("runs with the picture of overfitting that do not overfit", len(false_alarms), at_least=3)

# %% [markdown]
# A gap says one thing: *the training loss was computed on rows that are easier than the validation rows.* There are many ways
# to get easier rows:
#
# | | why the training loss is low | what is wrong |
# |---|---|---|
# | J, overfitting | the network knows its few rows by heart | too few rows for this freedom |
# | D, repeated batch | it knows **one batch** by heart | the iterator starts anew in every step |
# | F, label shares differ | half of the digits are hardly there, the rest is an easier task | how the rows were drawn |
# | A, no shuffle | for some steps there are only sevens, and it says seven | the order on the disk |
#
# The picture is the same. Would the mend be the same, too?
#
# ## Exercise: mend all four
# `mends` has five things that one can do to a set-up; each gives a finished run. Name the one that you would do first
# for `A`, `D`, `F` and `J`. The check trains them: a mend counts when the live loss comes within 0.25 of the sound run's.
# More rows in the same way can be had for `J` only: the others have all that there are.

# %%
everyone = teams["C"].train
mends = {
    "more dropout and early stopping": lambda setup: runs.fit(replace(setup, dropout=0.6), early_stopping=True),
    "collect more rows": lambda setup: runs.fit(
        replace(setup, train=everyone if len(setup.train) < 200 else setup.train)),
    "shuffle the rows": lambda setup: runs.fit(
        replace(setup, order="shuffle" if setup.order == "sorted" else setup.order)),
    "draw the rows as validation was drawn": lambda setup: runs.fit(
        replace(setup, train=setup.train if len(setup.train) < 200 else everyone)),
    "let the iterator go on": lambda setup: runs.fit(
        replace(setup, order="shuffle" if setup.order == "same" else setup.order)),
}

# %% tags=["exercise"]
# letter -> one of the names in mends
### BEGIN SOLUTION
chosen = {
    "A": "shuffle the rows",
    "D": "let the iterator go on",
    "F": "draw the rows as validation was drawn",
    "J": "collect more rows",
}
### END SOLUTION

# %%
chosen = lab.check("mend_all_four", chosen, mends, teams)

# %%
mended = pd.DataFrame({
    name: {letter: mend(teams[letter]).loss("live") for letter in "ADFJ"} for name, mend in mends.items()
})
above = mended - result["live"]["C"]
before = result["live"][list("ADFJ")] - result["live"]["C"]
show = above.T.rename(index={"more dropout and early stopping": "more dropout, early stopping"})
print("live loss above the sound run's")
print(pd.concat([before.to_frame("as handed in").T, show]).round(2).to_string())

textbook = above["more dropout and early stopping"]
own = pd.Series({letter: above.loc[letter, mend] for letter, mend in chosen.items()})
lab.claim("A, D, F after the textbook mend: live loss above the sound run's, least of the three",
          textbook[["A", "D", "F"]].min(), at_least=0.25)
lab.claim("A, D, F, J after their own mends: live loss above the sound run's, greatest", own.max(), at_most=0.25)

# %% [markdown]
# The textbook mend helps the one run that does overfit. For the others it makes the *gap* smaller and leaves most of
# the *damage*: dropout and early stopping raise the training loss, and that closes a gap from the wrong side. **A gap is a symptom.
# Overfitting is what is left when the pipeline has been cleared.**
#
# So the pipeline has to be cleared first, by something that is cheaper than a second look at a picture.
#
# ## Exercise: does this column know the answer?
# A leaking column is one that can do alone what should take all of them. Complete `accuracy_alone`: how often is the label right
# if it is predicted **from this column alone**? The column has numbers, the labels are 0 to 9 and 10 rows of a label may be
# few. The column may be a code: tray 7 need not mean a seven. And a column with another number in each row, a form's id,
# knows nothing about the next form.

# %% tags=["exercise"]
def accuracy_alone(column, labels):
    """Share of rows, not used for learning, whose label is predicted right from one column of numbers alone."""
    ### BEGIN SOLUTION
    half = len(labels) // 2
    edges = np.nanquantile(column[:half], np.linspace(0, 1, 41)[1:-1])
    cell = np.searchsorted(edges, column, side="right")
    votes = np.zeros((len(edges) + 1, 10))
    np.add.at(votes, (cell[:half], labels[:half]), 1)
    return (votes.argmax(axis=1)[cell[half:]] == labels[half:]).mean()
    ### END SOLUTION


# %%
accuracy_alone = lab.check("accuracy_alone", accuracy_alone)


# %% [markdown]
# ## Nine tests, none of which looks at a picture
# They are sorted by what they need: first rows, then batches, then weights that are not trained yet, then trainings of a few
# steps. Only the last one needs a whole run. **The first test that fires is the verdict**: whatever fires behind it may be
# a consequence.

# %%
def not_finite(setup):
    """Rows: is there a value that is not a number?"""
    return any(not np.isfinite(column).all() for column in setup.columns().values())


def a_column_knows(setup):
    """Rows: does one column alone give the label?"""
    return max(accuracy_alone(column, setup.train.digit) for column in setup.columns().values()) > 0.6


def shares_differ(setup):
    """Rows: do training and validation have other shares of labels? A chi-squared test with nine degrees of freedom."""
    counts = np.array([np.bincount(part.digit, minlength=10) for part in (setup.train, setup.valid)])
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return ((counts - expected) ** 2 / expected).sum() > 33.7      # by chance once in 10,000 draws


def an_epoch(setup):
    return runs.next_batches(setup, len(setup.train) // runs.BATCH)


def few_labels_in_a_batch(setup):
    """Batches: 32 rows have 9 or 10 of the ten digits, if they are shuffled."""
    return np.mean([len(np.unique(setup.train.digit[rows])) for rows in an_epoch(setup)]) < 5


def rows_left_out(setup):
    """Batches: does an epoch see all rows?"""
    rows = np.concatenate(an_epoch(setup))
    return len(np.unique(rows)) < 0.9 * len(rows)


def first_loss_off(setup):
    """Untrained weights: they know nothing, so the first loss is that of guessing, log 10."""
    rows = next(runs.batches(setup))
    loss = runs.losses(runs.initial(setup), setup.inputs(setup.train)[rows], setup.train.digit[rows]).mean()
    return loss > 1.5 * np.log(10)


def a_tenth_of_the_rate_is_faster(setup):
    """Sixty steps: a tenth of the rate must be slower. If it is faster, the rate is too high."""
    slower = runs.fit(replace(setup, rate=setup.rate / 10), steps=60).loss("train")
    return slower < runs.fit(setup, steps=60).loss("train") - 0.1


def cannot_learn_a_batch(setup):
    """Two hundred steps on 32 rows, without dropout: any network that can learn at all knows them by heart."""
    one_batch = setup.train[next(runs.batches(setup))]
    return not runs.fit(replace(setup, train=one_batch, dropout=0), steps=200).loss("train") < 0.5


tests = {
    "a value is not a number": (not_finite, "NaN in a row"),
    "a column knows the label": (a_column_knows, "leak"),
    "label shares differ": (shares_differ, "label shares differ"),
    "few labels in a batch": (few_labels_in_a_batch, "no shuffle"),
    "an epoch leaves rows out": (rows_left_out, "repeated batch"),
    "first loss is not log 10": (first_loss_off, "exploding"),
    "a tenth of the rate is faster": (a_tenth_of_the_rate_is_faster, "rate too high"),
    "cannot learn one batch": (cannot_learn_a_batch, "underfitting"),
}
fired = pd.DataFrame({letter: {name: bool(test(setup)) for name, (test, _) in tests.items()}
                      for letter, setup in teams.items()})
fired.loc["gap at the end"] = picture      # the only one that needs the whole run
fault_of = {name: fault for name, (_, fault) in tests.items()} | {"gap at the end": "overfitting"}
first = {letter: fault_of[column.idxmax()] if column.any() else "healthy" for letter, column in fired.items()}

# %%
letter_of = {fault: letter for letter, fault in verdict.items()}
order = [letter_of[fault] for fault in [*fault_of.values(), "healthy"]]
shade = fired[order].astype(int) + (fired[order] & (fired[order].cumsum() == 1)).astype(int)
fig, ax = plt.subplots(figsize=(7, 3.6))
ax.imshow(shade, cmap="Blues", vmin=0, vmax=2.4, aspect="auto")
ax.set_xticks(range(10), [f"{letter}\n{verdict[letter]}" for letter in order], rotation=40, ha="right", fontsize=8)
ax.set_yticks(range(9), fired.index, fontsize=8)
ax.set_xticks(np.arange(10) - 0.5, minor=True)
ax.set_yticks(np.arange(9) - 0.5, minor=True)
ax.grid(visible=False)
ax.grid(which="minor", color="white", lw=2)
ax.tick_params(which="minor", length=0)
ax.set(title="Dark: the first test that fires. It names each fault;\nthe gap (last row) fires on four",
       xlabel="run", ylabel="test, cheap ones first")
plt.show()

# %% tags=["nbval-check-output"]
right = [letter for letter in first if first[letter] == runs.PLANTED[letter]]
print(f"named right by the first test that fires: {len(right)} of {len(first)}")
print("tests that fire on the sound run:", fired["C"].sum())

# %%
lab.claim("runs that the first firing test names right, of ten", len(right), at_least=10)

# %% [markdown]
# Eight of the nine tests need no finished run, some not even a network. Together they cost less than the ten trainings. Run them
# **before** the first long training, and a curve is left with the one question that it can answer: is it still worth
# going on?
#
# Look at the light cells. The exploding run cannot learn a batch either: unscaled pixels have thrown its hidden units so far
# that they are off for every input, and it guesses for the rest of its life. Its curve is flat at the dotted line, like
# that of a network with too little freedom. Where a fault shows last, it shows everywhere.
#
# ## The gap the other way: training *above* validation
# This one frightens people and is no fault. The sound set-up again, with dropout at 0.7 instead of 0.3, and the same
# training rows measured twice: as the curve logs them, and once more with the finished weights and dropout off.

# %%
heavy = runs.fit(replace(teams["C"], dropout=0.7))
logged, evaluated, validation = heavy.train[-25:, 1].mean(), heavy.loss("train"), heavy.loss("valid")
print(f"training as logged {logged:.2f}, validation {validation:.2f}, training evaluated like validation {evaluated:.2f}")
lab.claim("training loss that is only dropout's", logged - evaluated, at_least=0.2)

# %% [markdown]
# Dropout switches units off while the network trains and none while it is evaluated. The logged training loss is that of a
# handicapped network, and the mean over an epoch also counts the batches of its beginning. Penalties of weights in the training loss,
# augmented training images and easier validation rows have the same effect. **Before you read a gap, compute both sides in
# the same way.**
#
# | what one sees | first suspects |
# |---|---|
# | training below validation, gap opens later | overfitting, one batch again and again |
# | training below validation from the first points on | other rows: label shares, another source, another time |
# | training above validation | dropout, penalty or augmentation in training only; the mean over an epoch; an easy validation set |
# | both high and together | too little freedom, too much penalty, a rate far too low, units that are off |
# | both low and together, live high | a leak, duplicates across the split, skew between training and serving, drift |
#
# The last row cannot be seen in any curve. It takes live labels, or a test like `accuracy_alone`.
#
# ## On Google Cloud
# TensorBoard draws curves from *event files*. Keras writes them with `keras.callbacks.TensorBoard`; here `runs.write_events` does.
# Look at them with `tensorboard --logdir` on the folder. In a Vertex AI custom job that was started with `tensorboard=…` and a
# service account, the folder is `AIP_TENSORBOARD_LOG_DIR`, and the curves appear in Vertex AI TensorBoard while it runs.
# Below the curves go there by the API: a TensorBoard instance, an experiment in it, a run for each team, a time series
# for each curve. `write_tensorboard_run_data` takes up to 5,000 points in one request. A local Vertex AI answers on your machine.

# %%
logs = lab.work / "logs"
shutil.rmtree(logs, ignore_errors=True)
for letter, run in trained.items():
    runs.write_events(logs / letter, run)
curves = runs.read_events(logs)  # (run, tag) -> steps and losses

NAME = "loss-curves-diagnosis"
aiplatform.init(**lab.target.vertex)
for old in aiplatform.Tensorboard.list(filter=f'display_name="{NAME}"'):
    old.delete()
board = aiplatform.Tensorboard.create(display_name=NAME, labels=lab.target.labels)
experiment = aiplatform.TensorboardExperiment.create(
    tensorboard_experiment_id=NAME, tensorboard_name=board.resource_name, labels=lab.target.labels)
uploaded = {}
for letter in trained:
    uploaded[letter] = aiplatform.TensorboardRun.create(
        tensorboard_run_id=f"team-{letter.lower()}", tensorboard_experiment_name=experiment.resource_name)
    tags = [tag for run, tag in curves if run == letter]
    data = []
    for tag in tags:
        series = aiplatform.TensorboardTimeSeries.create(
            display_name=tag, tensorboard_run_name=uploaded[letter].resource_name)
        points = [
            TimeSeriesDataPoint(step=int(step), scalar=Scalar(value=loss), wall_time={"seconds": int(step)})
            for step, loss in curves[letter, tag] if np.isfinite(loss)   # a NaN is not sent: the curve just ends
        ]
        data.append(TimeSeriesData(tensorboard_time_series_id=series.name, value_type="SCALAR", values=points))
    board.api_client.write_tensorboard_run_data(
        tensorboard_run=uploaded[letter].resource_name, time_series_data=data)

# %%
furthest, kept = 0.0, 0
for letter, run in uploaded.items():
    for tag, series in run.read_time_series_data().items():
        sent = {int(step): loss for step, loss in curves[letter, tag] if np.isfinite(loss)}
        found = {point.step: point.scalar.value for point in series.values}
        assert found.keys() == sent.keys(), f"{letter}, {tag}: other steps than were sent"
        furthest = max([furthest, *(abs(found[step] - sent[step]) for step in sent)])
        kept += len(found)
print(f"{kept} points in {len(uploaded)} runs")
assert furthest < 1e-6, f"a loss on Vertex AI differs from the event file's by {furthest}"

# %% [markdown]
# With `TARGET="vertex"` the same cells write to your project: role *Vertex AI User*, quota on requests per minute and region
# (why a run's curve goes in one request, not one for each step), cost by the amount of logs kept, far below the card's upper
# bound. Whoever has event files already calls `aiplatform.upload_tb_log(…)`.
#
# **What differs.** The service shows the curves on a page of its own; here they are only kept and read back. Read a
# time series of more than 1,000 points with `export`: reading samples it. We do not send NaN, since the documentation does not
# say what becomes of it. So the curve of team G just ends, and on a dashboard **a curve that ends looks like a job that has
# stopped**: let the trainer fail on the first loss that is not finite (`keras.callbacks.TerminateOnNaN`).
#
# BigQuery ML has both curves in SQL: `ML.TRAINING_INFO` gives `loss` and `eval_loss` for each iteration. Live against test is
# the business of Model Monitoring and of batch evaluation on labelled live rows.
#
# Tear down: the TensorBoard instance has the lab's label; `lab.cleanup(delete=True)` deletes it with all that is in it.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens
# The exam gives two numbers or two curves and asks for the next step. *Training good, validation bad*: more data,
# regularisation, less freedom, **if** rows and batches are in order. *Both bad*: more freedom, better features, longer. *Both
# good, production bad*: leak, skew or drift, and no regularisation helps. *Loss oscillates*: lower the rate. *NaN*: rows first,
# then rate and clipping.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A curve shows that something is wrong, seldom what: four faults have the picture of overfitting, and the worst one
# has the best picture. Tests that cost seconds name them: rows, batches, the first loss against log K, a tenth of the rate, one batch by
# heart. Compute training and validation loss in the same way before you read a gap, and distrust what is better than
# possible.

# %%
lab.finish()

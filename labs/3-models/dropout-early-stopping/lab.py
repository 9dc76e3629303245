# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Dropout and early stopping: two brakes, and the numbers they bend
#
# A quarry sorts stones into ore and waste. A sensor takes 20 measurements of each, a network decides, an air jet blows.
# For training there are 200 stones that a laboratory has assayed, and one assay in ten is wrong. The network has room
# for far more than that: it can learn the wrong assays by heart, and it does.
#
# A colleague puts on the brakes. With **dropout**, her training loss is *higher* than the validation loss: is that a
# bug? With **early stopping**, training ends after five epochs and the model is hardly better than a coin. So she
# raises the patience, and now the sorter finds less ore than the validation accuracy had promised. The quarry asks
# which of these numbers it may believe, and which model goes into the sorter.
#
# **You will** measure what dropout does to the gap and to the log, write dropout and the stopping rule yourself, find
# out what early stopping costs when it watches the wrong number, see that a model stopped early *is* a penalised model,
# and read in BigQuery ML's log why a training stopped.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
DROPOUT = 0.5        # share of hidden units switched off in a training step; 0: that brake is off
EPOCHS = 80          # far too many, on purpose. 8: nobody overtrains, and no brake is needed

# %%
from labkit import lesson

lab = lesson.open("dropout-early-stopping", target=TARGET, seed=SEED)

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from google.cloud import bigquery

# %% [markdown]
# ## The data: 200 stones in training, 1,000 for the truth
# We plant the rule: a stone is ore when $x_0 + x_1 + x_2 x_3 > 0$. The other 16 measurements say nothing. One label in
# ten is flipped, in the fresh stones as well, since they come from the same laboratory.

# %%
rng = np.random.default_rng(SEED)
STONES, FRESH, COLUMNS, WRONG = 200, 1000, 20, 0.1


def stones(number):
    x = rng.normal(size=(number, COLUMNS)).astype("float32")
    ore = x[:, 0] + x[:, 1] + x[:, 2] * x[:, 3] > 0
    return x, (ore ^ (rng.random(number) < WRONG)).astype("float32")


X, y = stones(STONES)
X_fresh, y_fresh = stones(FRESH)

fig, ax = plt.subplots(figsize=(4.6, 3))
for label, name, marker in [(0, "waste", "o"), (1, "ore", "^")]:
    ax.scatter(*X[y == label][:, :2].T, s=16, marker=marker, alpha=0.7, label=name)
ax.set(title="There is a rule, and there is noise", xlabel="measurement 0, standard deviations",
       ylabel="measurement 1, standard deviations")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ## Predict first
# The colleague's network has 64 hidden units and `Dropout(0.5)`. In the log of `fit` she compares the training loss
# with the loss of the *same network on the same training stones*, from `model.evaluate` at the end of the epoch.

# %%
lab.predict(
    "log",
    "Which of the two is higher?",
    options=["they are equal: same network, same stones", "the logged one", "the one from evaluate"],
)
lab.predict(
    "brake",
    "A linear model stopped after 100 steps, and a ridge regression trained to the end: how alike can their predictions be?",
    options=["hardly: one was interrupted", "somewhat: r about 0.6", "nearly equal: r above 0.95"],
)

# %% [markdown]
# ## Twelve networks at once
# One network would be an anecdote, so we train six with 4 hidden units and six with 64. They sit side by side in one
# Keras model: one wide layer, cut into twelve, with no connection between them. After every epoch we note the loss of
# every network for every stone, with dropout **off**, as it is when the sorter asks.

# %%
WIDTHS = np.repeat([4, 64], 6)
small, large = WIDTHS == 4, WIDTHS == 64
BATCH = 25                      # stones in a training step
everything = tf.constant(np.vstack([X, X_fresh]))
labels = np.concatenate([y, y_fresh])[:, None]


def cross_entropy(label, score):
    """Log loss of a score (log-odds), added up over the networks: none sees the others' gradients."""
    return keras.ops.sum(keras.ops.softplus(score) - label * score, axis=-1)


def build(dropout):
    """Twelve networks of one hidden layer: the scores have the shape (stones, 12)."""
    starts = np.random.default_rng(SEED).normal(size=(len(WIDTHS), 64)) / np.sqrt(WIDTHS)[:, None]
    inputs = keras.Input((COLUMNS,))
    hidden = keras.layers.Dense(len(WIDTHS) * 64, activation="relu",
                                kernel_initializer=keras.initializers.RandomNormal(0, np.sqrt(2 / COLUMNS)))(inputs)
    hidden = keras.layers.Reshape((len(WIDTHS), 64))(hidden)
    hidden = hidden * (np.arange(64) < WIDTHS[:, None]).astype("float32")      # the small ones use 4 of their 64 units
    hidden = keras.layers.Dropout(dropout)(hidden)
    scores = keras.layers.EinsumDense("bnh,nh->bn", output_shape=(len(WIDTHS),), bias_axes="n",
                                      kernel_initializer=lambda shape, dtype=None: starts.astype("float32"))(hidden)
    return keras.Model(inputs, scores)


def train(dropout):
    """Scores of all stones after each epoch (epochs, stones, networks), and the loss that fit logs."""
    keras.utils.set_random_seed(SEED % 2**32)
    model = build(dropout)
    model.compile(keras.optimizers.Adam(0.003), loss=cross_entropy, steps_per_execution=STONES // BATCH)
    ask = tf.function(lambda x: model(x, training=False), autograph=False)
    seen = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(ask(everything).numpy()))
    many = np.repeat(y[:, None], len(WIDTHS), axis=1)
    rows = tf.data.Dataset.from_tensor_slices((X, many)).shuffle(STONES, seed=SEED % 2**31).batch(BATCH)
    log = model.fit(rows, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[note]).history["loss"]
    return np.array(seen), np.array(log) / len(WIDTHS)


runs = {"no dropout": train(0.0), "dropout": train(DROPOUT)}

# %%
def losses(scores):
    return np.logaddexp(0, scores) - labels * scores


loss = {name: losses(scores) for name, (scores, _) in runs.items()}
right = {name: (scores > 0) == (labels > 0.5) for name, (scores, _) in runs.items()}
curves = pd.DataFrame({
    (name, size, part): loss[name][:, rows][:, :, which].mean(axis=(1, 2))
    for name in runs for size, which in [("4 units", small), ("64 units", large)]
    for part, rows in [("training", slice(0, STONES)), ("fresh", slice(STONES, None))]
}, index=pd.RangeIndex(1, EPOCHS + 1, name="epoch"))

fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), sharey=True, layout="constrained")
panels = [("no dropout", "4 units", "Small: cannot learn it all"), ("no dropout", "64 units", "Large: learns the wrong assays, too"),
          ("dropout", "64 units", "Large with dropout: slower on both")]
for ax, (name, size, title) in zip(axes, panels, strict=True):
    ax.plot(curves[name, size, "training"], color="C1", label="training stones")
    ax.plot(curves[name, size, "fresh"], color="C0", label="fresh stones")
    ax.fill_between(curves.index, curves[name, size, "training"], curves[name, size, "fresh"], color="0.9")
    ax.set(title=title, xlabel="epoch", ylim=(0, 1.05 * curves.to_numpy().max()))
axes[0].set_ylabel("log loss, dropout off")
axes[0].legend(loc="lower left", fontsize="small")
fig.suptitle("The gap (grey) is smaller with less capacity or with dropout; without a brake it keeps growing")
plt.show()

# %% tags=["nbval-check-output"]
summary = pd.DataFrame({
    (name, size): {"best epoch": curves[name, size, "fresh"].idxmin(), "loss there": curves[name, size, "fresh"].min(),
                   "loss at the end": curves[name, size, "fresh"].iloc[-1],
                   "gap at the end": (curves[name, size, "fresh"] - curves[name, size, "training"]).iloc[-1]}
    for name in runs for size in ["4 units", "64 units"]}).T
print(summary.round(1).to_string())

# %%
at_end, best = summary["loss at the end"], summary["loss there"]
ends = at_end["no dropout", "64 units"] / best["no dropout", "64 units"]
lab.claim("large network without a brake: loss at the end over its best", ends, at_least=1.3)
gaps = summary["gap at the end"].xs("64 units", level=1)
lab.claim("gap with dropout over gap without", gaps["dropout"] / gaps["no dropout"], at_most=0.88)
clean_training = loss["dropout"][-1, :STONES].mean()
lab.claim("dropout: logged training loss minus that of evaluate", runs["dropout"][1][-1] - clean_training, at_least=0.03)
lab.revisit("log", "the logged one")

# %% [markdown]
# Three brakes are in this picture. **Capacity**: four units cannot bend far enough to fit single stones. **Dropout**:
# in each step half of the units are off, so no unit can rely on another one to correct it, and a pattern that only a
# certain combination of units knows, such as one wrong assay, is hard to keep. **Time**: the large network was best in
# an early epoch, before it came to the wrong assays.
#
# Dropout slows the damage. It does not stop it: the loss on fresh stones still rises, later. And part of the smaller
# gap comes from the *training* side, which got worse. A small gap is no aim in itself; an untrained network has none.
# Look at the loss on fresh stones.
#
# **The log.** `fit` logs the training loss *while dropout is on*: half a network, and averaged over an epoch in which
# it still improved. `evaluate` and the validation loss use the whole network. So a training loss above the validation
# loss is what dropout does, and no bug.
#
# ## Exercise: dropout by hand
# Write what `keras.layers.Dropout` does to a layer's output `h`: in training each value is set to 0 with probability
# `rate`, independently, and the others are scaled so that **the expected value stays what it was**. Otherwise `h` is
# left alone. The random numbers come from `rng`.

# %% tags=["exercise"]
def dropout(h, rate, training, rng):
    """h after dropout, an array of the same shape."""
    ### BEGIN SOLUTION
    if not training:
        return h
    kept = rng.random(h.shape) >= rate
    return h * kept / (1 - rate)
    ### END SOLUTION

# %%
dropout = lab.check("dropout", dropout)

# %%
ones = np.ones((1, 100_000), dtype="float32")
by_keras = keras.layers.Dropout(0.5, seed=SEED % 2**31)(ones, training=True).numpy()
by_hand = dropout(ones, 0.5, True, rng)
for name, values in [("Keras", by_keras), ("by hand", by_hand)]:
    print(f"{name:8} values {sorted(set(values.ravel().tolist()))}, mean {values.mean():.2f}")

# %% [markdown]
# Because the survivors are scaled up in training, nothing has to be done when the network serves. (`rate` is the share
# that is **dropped**. Texts that speak of a *keep probability* of 0.8 mean `rate=0.2`.)
#
# ## Exercise: when to stop
# Now time. `EarlyStopping` watches a number after each epoch and stops when it has not improved for `patience` epochs.
# Write the rule for a curve that should fall: `stop(curve, patience)` returns how many epochs **run**, and which of
# them was the **best** (both count from 1). Training stops after the epoch in which the number has failed to beat the
# *best so far* for the `patience`-th time in a row. An equal value is no improvement. If that never happens, all epochs
# run.

# %% tags=["exercise"]
def stop(curve, patience):
    """Epochs that run, and the best one of them."""
    ### BEGIN SOLUTION
    best, waited = 0, 0
    for epoch in range(1, len(curve)):
        if curve[epoch] < curve[best]:
            best, waited = epoch, 0
        else:
            waited += 1
            if waited >= patience:
                return epoch + 1, best + 1
    return len(curve), best + 1
    ### END SOLUTION

# %%
stop = lab.check("stop", stop)

# %% [markdown]
# The check has held your rule against Keras' own callback. One oddity of that: `patience=0`, its default, and
# `patience=1` do the same.
#
# ## What to watch, and how patiently
# The laboratory can spare 80 more stones for validation. We draw such 80 from the fresh ones, 20 times, for each of the
# six large networks with dropout, and stop by **validation accuracy** or by **validation loss**. What counts is the
# delivered model on the *other* fresh stones: with the weights of the best epoch (`restore_best_weights=True`) or of
# the last one, Keras' default.

# %%
VALIDATION, DRAWS = 80, 20
draws = [rng.permutation(FRESH) for _ in range(DRAWS)]


def deliver(name, watched, patience):
    """Means over draws and networks: epochs, losses and accuracies of what is delivered."""
    fresh_loss, fresh_right = loss[name][:, STONES:, large], right[name][:, STONES:, large]
    found = []
    for order in draws:
        held_out, others = order[:VALIDATION], order[VALIDATION:]
        curve = (fresh_loss if watched == "loss" else 1.0 - fresh_right)[:, held_out].mean(axis=1)
        true_loss, true_accuracy = fresh_loss[:, others].mean(axis=1), fresh_right[:, others].mean(axis=1)
        seen_accuracy = fresh_right[:, held_out].mean(axis=1)
        for network in range(curve.shape[1]):
            ran, best = stop(curve[:, network], patience)
            found.append({
                "epochs": ran, "accuracy promised": seen_accuracy[best - 1, network],
                "accuracy that came true": true_accuracy[best - 1, network],
                "loss, best weights": true_loss[best - 1, network], "loss, last weights": true_loss[ran - 1, network]})
    return pd.DataFrame(found).mean()


patiences = [1, 3, 10, 30]
delivered = pd.DataFrame({(watched, patience): deliver("dropout", watched, patience)
                          for watched in ["accuracy", "loss"] for patience in patiences}).T
delivered.index.names = ["watched", "patience"]
print(delivered.round(2).to_string())

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
order = STONES + draws[0][:VALIDATION]
epochs, network = curves.index, np.flatnonzero(large)[0]
axes[0].plot(epochs, 100 * right["dropout"][:, order, network].mean(axis=1), color="C3", lw=0.9, label="validation accuracy, %")
axes[0].plot(epochs, 100 * loss["dropout"][:, order, network].mean(axis=1), color="C0", label="validation loss x 100")
axes[0].set(title=f"One network, {VALIDATION} stones: accuracy jumps, loss glides", xlabel="epoch", ylabel="% and 100 x log loss")
axes[0].legend(fontsize="small", loc="center right")
for watched, colour in [("accuracy", "C3"), ("loss", "C0")]:
    axes[1].plot(patiences, 100 * delivered.loc[watched]["accuracy that came true"], "o-", color=colour, label=f"stopped by {watched}")
    axes[1].plot(patiences, 100 * delivered.loc[watched]["accuracy promised"], "o:", color=colour, mfc="none")
axes[1].set(xscale="log", title="Promised (dotted) and delivered (solid)", xlabel="patience, epochs", ylabel="accuracy, %")
axes[1].set_xticks(patiences, [str(number) for number in patiences])
axes[1].minorticks_off()
axes[1].legend(fontsize="small", loc="lower right")
plt.show()

# %%
hasty = delivered.loc["accuracy", 1]
patient = delivered.loc["accuracy", 10]
lost = patient["accuracy that came true"] - hasty["accuracy that came true"]
lab.claim("watching accuracy: what patience 10 delivers above patience 1", lost, at_least=0.05)
smooth = delivered.loc["loss", 10]["accuracy that came true"] - delivered.loc["loss", 1]["accuracy that came true"]
lab.claim("watching the loss: the same difference", smooth, at_most=0.04)
optimism = delivered.loc["accuracy"]["accuracy promised"] - delivered.loc["accuracy"]["accuracy that came true"]
lab.claim("promised minus came true, stopped by accuracy, mean of four patiences", optimism.mean(), at_least=0.01)
unbraked = deliver("no dropout", "loss", 30)
not_restored = unbraked["loss, last weights"] / unbraked["loss, best weights"]
lab.claim("no dropout, patience 30: loss of the last weights over that of the best", not_restored, at_least=1.05)

# %% [markdown]
# - **Accuracy is a staircase.** With 80 stones it moves in steps of 1.25 points, and while the network gets better it
#   often stays or falls for an epoch. Patience 1 takes the first stumble for the end. The loss sees every small
#   improvement of every stone, so it glides, and even little patience is enough. **Watch the loss. If you must watch a
#   jumpy number, be patient.**
# - **Patience costs epochs**, nothing else, *if the best weights are restored*. Without that, every epoch of waiting is
#   an epoch of overtraining that is delivered.
# - **The promise is too high**, although no training stone is in it. The epoch was chosen because these 80 stones liked
#   it, and part of that was luck. The validation set is a judge of models no longer: it has chosen one. Report the
#   score of a third set.
#
# ## The penalty that nobody set
# Why does stopping work at all? Take the simplest model, where everything can be computed: a linear one, weights
# starting at 0, full-batch gradient descent on the mean squared error. 30 measurements, some of which vary much and
# some hardly.

# %%
N, WIDE = 200, 30
turn = np.linalg.qr(rng.normal(size=(WIDE, WIDE)))[0]
spread = 1 / np.arange(1, WIDE + 1)


def linear_data(number):
    return (rng.normal(size=(number, WIDE)) * spread) @ turn.T


A, A_fresh = linear_data(N), linear_data(3000)
true_weights = turn @ rng.normal(size=WIDE)
b, b_fresh = A @ true_weights + rng.normal(size=N), A_fresh @ true_weights
RATE = 0.4 / np.linalg.eigvalsh(A.T @ A / N).max()
STEPS = np.unique(np.logspace(0, 3.5, 30).astype(int))

stopped, weights = {}, np.zeros(WIDE)
for step in range(1, STEPS[-1] + 1):
    weights = weights - RATE * 2 / N * A.T @ (A @ weights - b)
    if step in STEPS:
        stopped[step] = weights

# %% [markdown]
# Along a direction in which the data have the variance $s$, gradient descent shrinks the distance to the best fit by
# the factor $1 - 2\eta s$ in each step. After $t$ steps with rate $\eta$ it has learnt the share
#
# $$1-(1-2\eta s)^t \approx 1-e^{-2\eta t s}.$$
#
# Ridge regression, trained to the end, minimises $\sum(y-\hat y)^2 + \alpha\sum w^2$. Of the same direction it learns
# the share
#
# $$\frac{n s}{n s+\alpha}.$$
#
# Both learn what varies much and leave out what varies little. One switches where $s$ is about $1/(2\eta t)$, the other
# where $s=\alpha/n$.
#
# ## Exercise: the same brake
# Set `alpha` so that ridge switches at the same $s$ as gradient descent with `RATE` after `steps` steps on `N` rows.

# %%
steps = 100

# %% tags=["exercise"]
### BEGIN SOLUTION
alpha = N / (2 * RATE * steps)
### END SOLUTION

# %%
alpha = lab.check("alpha", alpha, A, b, RATE, steps)

# %%
variances, directions = np.linalg.eigh(A.T @ A / N)
target = directions.T @ (A.T @ b) / N


def ridge(alpha):
    """The weights at which sum of squared errors + alpha * sum of squared weights is least."""
    return directions @ (target / (variances + alpha / N))


strengths = np.logspace(-3, 5, 400)
penalised = np.array([ridge(strength) for strength in strengths]) @ A_fresh.T
rows = []
for step, weights in stopped.items():
    predictions = A_fresh @ weights
    distance = np.linalg.norm(penalised - predictions, axis=1)
    rule = N / (2 * RATE * step)
    rows.append({"steps": step, "alpha of the rule": rule, "nearest alpha": strengths[distance.argmin()],
                 "r": np.corrcoef(predictions, A_fresh @ ridge(rule))[0, 1],
                 "error stopped": np.sqrt(np.mean((predictions - b_fresh) ** 2)),
                 "error ridge": np.sqrt(np.mean((A_fresh @ ridge(rule) - b_fresh) ** 2))})
twins = pd.DataFrame(rows).set_index("steps")

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
some = min(STEPS, key=lambda step: abs(step - steps))
wide = np.logspace(-4, 1, 200)
axes[0].plot(wide, 1 - np.exp(-2 * RATE * some * wide), color="C0", label=f"stopped after {some} steps")
axes[0].plot(wide, wide / (wide + 1 / (2 * RATE * some)), color="C1", ls="--", label="ridge, alpha by the rule")
axes[0].plot(variances, directions.T @ stopped[some] * variances / target, "C0o", ms=3.5)
axes[0].plot(variances, directions.T @ ridge(N / (2 * RATE * some)) * variances / target, "C1^", ms=3.5)
axes[0].set(xscale="log", title="Both learn what varies and leave the rest", xlabel="variance of the data along a direction",
            ylabel="share learnt")
axes[0].legend(fontsize="small")
axes[1].plot(twins.index, twins["error stopped"], "C0o-", ms=3, label="stopped after so many steps")
axes[1].plot(twins.index, twins["error ridge"], "C1^--", ms=3, label="ridge with N / (2 x rate x steps)")
axes[1].set(xscale="log", title="The same valley, walked twice", xlabel="steps", ylabel="error on fresh rows")
axes[1].legend(fontsize="small")
plt.show()

# %%
middle = twins.loc[3:1000]
ratio = middle["nearest alpha"] / middle["alpha of the rule"]
slope = np.polyfit(np.log(middle.index), np.log(middle["nearest alpha"]), 1)[0]
print(f"nearest alpha falls {middle['nearest alpha'].iloc[0] / middle['nearest alpha'].iloc[-1]:.0f}-fold; "
      f"nearest over rule: {ratio.min():.2f} to {ratio.max():.2f}")
lab.claim("exponent: how the nearest alpha falls with the steps (rule: -1)", slope, at_least=-1.3, at_most=-0.7)
lab.claim("predictions of stopped and penalised model, lowest correlation", twins["r"].min(), at_least=0.93)
best_pair = twins["error stopped"].min() / twins["error ridge"].min()
lab.claim("lowest error, stopping over ridge", best_pair, at_least=0.8, at_most=1.25)
lab.revisit("brake", "nearly equal: r above 0.95")

# %% [markdown]
# Over three powers of ten the nearest penalty is about half of what the rule says, and the predictions are those of
# ridge. Stopping early **is** an L2 penalty of about $1/(\text{rate}\times\text{steps})$, that nobody set and no file
# records. What follows:
#
# - Halve the learning rate with the same number of epochs, and you have doubled the penalty. More rows an epoch at the
#   same batch size are more steps: less penalty.
# - Early stopping and L2 do the same job. Together they are one stronger brake, so tune one of them, or both together.
#   To see what L2 does, switch early stopping off.
# - Stopping finds its strength in **one** training. L2 needs one for each strength. That is why everybody stops.
# - For deep networks it is no equation, but the picture holds: what is common is learnt first, single stones last.
#   Dropout is the odd one: it makes noise instead of saving steps, and can be combined.
#
# ## On Google Cloud
# BigQuery ML has all brakes as options. `early_stop` is **on** by default: training ends after the first iteration
# whose relative improvement is below `min_rel_progress` (default 0.01), or after `max_iterations` (default 20). Where
# rows are held out, the loss that counts is theirs. In the words of this lab that is patience 1 with a threshold, and
# the last weights. `dnn_classifier` takes `dropout` and `hidden_units`; `l2_reg` exists as well. Two networks on our
# 200 stones and 200 of the fresh ones as validation, which `data_split_col` names.

# %%
client = lab.target.bigquery()
table = pd.DataFrame(np.vstack([X, X_fresh[:200]]), columns=[f"x{number}" for number in range(COLUMNS)])
table = table.assign(ore=np.concatenate([y, y_fresh[:200]]) > 0.5, held_out=np.arange(400) >= STONES)
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
client.load_table_from_dataframe(table, f"{lab.target.dataset}.stones", job_config=overwrite).result()

ITERATIONS, PROGRESS = 12, 0.01


def train_in_sql(name, brakes):
    """Trains a network with these options and returns the log of its iterations."""
    client.query(f"""
    CREATE OR REPLACE MODEL {name}
    OPTIONS (model_type = 'dnn_classifier', input_label_cols = ['ore'], hidden_units = [64], batch_size = {BATCH},
             learn_rate = 0.005, dropout = 0.5, max_iterations = {ITERATIONS}, {brakes},
             data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
    SELECT * FROM stones
    """).result()
    return client.query(f"""
    SELECT iteration, loss, eval_loss,
      1 - eval_loss / LAG(eval_loss) OVER (ORDER BY iteration) AS progress
    FROM ML.TRAINING_INFO(MODEL {name})
    ORDER BY iteration
    """).to_dataframe().set_index("iteration")


with_default = train_in_sql("stops", f"early_stop = TRUE, min_rel_progress = {PROGRESS}")
without = train_in_sql("runs_on", "early_stop = FALSE")
print(with_default.tail(3).round(3).to_string())
print(f"\nearly_stop = TRUE: {len(with_default)} iterations, validation loss {with_default['eval_loss'].iloc[-1]:.3f}")
print(f"early_stop = FALSE: {len(without)} iterations, lowest {without['eval_loss'].min():.3f} in iteration {without['eval_loss'].idxmin()}, "
      f"at the end {without['eval_loss'].iloc[-1]:.3f}")

# %%
progress = with_default["progress"].dropna()
early = (progress.iloc[:-1] < PROGRESS).sum() + int(progress.iloc[-1] >= PROGRESS and len(with_default) < ITERATIONS)
lab.claim("iterations at which the log contradicts the rule of early_stop", early, at_most=0)
lab.claim("early_stop = FALSE: iterations that ran", len(without), at_least=ITERATIONS, at_most=ITERATIONS)

# %% [markdown]
# The log tells why a training ended: the last `progress` is below the threshold, and none before it is. Whether that
# was the valley or a stumble only the second run can tell. Before you give up on a model in BigQuery ML that is
# strangely weak, look at `ML.TRAINING_INFO`: a handful of iterations and a loss that was still falling call for a
# smaller `min_rel_progress`, or for `early_stop = FALSE` with a number of iterations that you choose.
#
# With `TARGET="vertex"` the same statements go to Google: roles *BigQuery User* on the project and *BigQuery Data
# Editor* on the dataset. A `dnn_classifier` is trained on Vertex AI behind the scenes and billed for it, see the card.
# Delete the dataset afterwards. Here Keras trains the documented layers; on the service the start weights and the order
# of rows are others, so it stops in another iteration, by the same rule.
#
# **In a custom training job** it is Keras' callback again: `EarlyStopping(monitor="val_loss", patience=10,
# restore_best_weights=True)`. With **continuous training** a retraining that stops early on a small, new validation set
# stops at another strength each time: log the number of steps and the learning rate with the model, or the penalty that
# it carries is written nowhere.
#
# ## Exam lens
# *Training loss above validation loss, dropout in use*: normal. *Validation loss rises while training loss falls*: stop
# earlier, drop out, shrink, penalise, or get more rows. *Stopped after a few epochs, weak model*: patience, and what is
# watched. *Stopped late, worse than it had been*: restore the best weights. *Score from the rows that chose the epoch*:
# a third set.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Dropout, early stopping, capacity and L2 slow the same thing: learning what is true of single rows.
# Stopping after $t$ steps is an L2 penalty of about 1 over rate times steps, found by watching held-out rows, and those
# rows have then done their duty: they cannot also say how good the model is. Watch the loss, be patient, restore the
# best weights, report another set.

# %%
lab.finish()

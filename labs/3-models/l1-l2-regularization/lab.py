# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # L1 zeroes, L2 shrinks: and why Keras never reaches zero
#
# A diabetes clinic predicts how far a patient's disease will progress within a year. Every new patient is measured 40
# times. Each measurement costs money, and the clinic asks **which ones it can stop taking**.
#
# A colleague trained a linear model in Keras with an L1 penalty, "because L1 removes features". Then she looked for
# weights equal to zero, found none, and reported: *all 40 are needed*. The budget for next year rests on that
# sentence. It is wrong: 30 of the 40 columns have nothing to do with the patient. So is the penalty broken, or the
# library, or the way of looking?
#
# **You will** see which penalty zeroes weights and which only shrinks them, choose its strength on held-out data, see
# what both do to two columns that say the same, carry a penalty from scikit-learn to Keras at equal strength, and
# find out what it takes to land on exactly 0.0.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
L1_RATIO = 1.0       # 1: the penalty is sum |w| (L1). 0: it is sum w**2 (L2), and the effect of this lab is gone
STEPS = 4000         # full-batch training steps in Keras

# %%
from labkit import lesson

lab = lesson.open("l1-l2-regularization", target=TARGET, seed=SEED)

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.linear_model import ElasticNet, ElasticNetCV, LinearRegression, Ridge, RidgeCV, enet_path
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

# %% [markdown]
# ## The data: ten real measurements, thirty decoys
# The ten measurements and the progression score are real: 442 patients, published with the paper on least angle
# regression. The decoys are ours. Each one is a real column **with its rows shuffled**: the same numbers, the same
# spread, handed out to the wrong patients. A decoy cannot help anyone predict anything, so we know the right answer.

# %%
rng = np.random.default_rng(SEED)
measurements = lab.data("diabetes-measurements")
progression = lab.data("diabetes-progression")["progression"].to_numpy()

real = list(measurements.columns)
N_DECOYS = 30
decoys = [f"decoy_{number:02d}" for number in range(1, N_DECOYS + 1)]
shuffled = {name: rng.permutation(measurements[real[i % len(real)]]) for i, name in enumerate(decoys)}
patients = pd.concat([measurements, pd.DataFrame(shuffled)], axis=1)

order = rng.permutation(len(patients))
train, test = order[:300], order[300:]
# The penalty counts size of weight, so every column gets the same spread first, learnt on the training rows alone.
scaler = StandardScaler().set_output(transform="pandas").fit(patients.iloc[train])
X_train, X_test = scaler.transform(patients.iloc[train]), scaler.transform(patients.iloc[test])
y_train, y_test = progression[train], progression[test]
n = len(y_train)

correlation = X_train.reset_index(drop=True).corrwith(pd.Series(y_train)).abs().sort_values()
fig, ax = plt.subplots(figsize=(6.5, 2.4))
ax.bar(range(len(correlation)), correlation, color=["C0" if name in real else "0.7" for name in correlation.index])
ax.bar(0, 0, color="C0", label="real measurement")
ax.bar(0, 0, color="0.7", label="decoy: shuffled rows")
ax.set(title="By correlation alone, weak measurements and lucky decoys cannot be told apart",
       xlabel="column, sorted by correlation", ylabel="|correlation| with progression")
ax.legend()
plt.show()

# %% [markdown]
# ## Predict first
# scikit-learn's Lasso and a Keras `Dense(1)` layer with `kernel_regularizer=L1` get the same rows and the same loss:
# mean squared error plus a multiple of $\sum|w|$. Both are trained until the loss stops falling, and both end at the
# same loss to five digits. The Lasso sets most of the 40 weights to exactly 0.0.

# %%
lab.predict(
    "keras_zeros",
    "How many of the 40 weights does Keras set to exactly 0.0?",
    options=["the same ones as the Lasso", "about half of them", "none"],
)

# %% [markdown]
# ## The path: what a stronger penalty does to each weight
# Train once for every strength, from hardly any penalty (left) to so much that nothing is left (right). One line is
# one weight. Because the columns are standardised, a weight says how many points of progression one standard
# deviation of that column is worth.

# %%
l1_strengths = np.logspace(-1, 1.7, 40)
ridge_strengths = np.logspace(-1, 6, 40)

centred = y_train - y_train.mean()      # enet_path fits no intercept
alphas, l1_weights, _ = enet_path(X_train, centred, l1_ratio=L1_RATIO, alphas=l1_strengths, max_iter=50_000)
l1_path = pd.DataFrame(l1_weights.T, index=alphas, columns=X_train.columns).sort_index()
l2_weights = [Ridge(strength).fit(X_train, y_train).coef_ for strength in ridge_strengths]
l2_path = pd.DataFrame(l2_weights, index=ridge_strengths, columns=X_train.columns)

fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.7), sharey=True)
titles = ["L1: weights reach zero and stay", "L2: weights approach zero together"]
for ax, path, title in zip(axes, [l1_path, l2_path], titles, strict=True):
    ax.plot(path.index, path[decoys], color="0.75", lw=0.7, antialiased=False)
    ax.plot(path.index, path[real], color="C0", lw=1.4)
    ax.set(xscale="log", title=title, xlabel="alpha, strength of the penalty")
axes[1].plot([], [], color="C0", label="real measurement")
axes[1].plot([], [], color="0.75", label="decoy")
axes[1].legend(loc="upper right", fontsize="small")
axes[0].set_ylabel("weight, points per\nstandard deviation")
plt.show()

# %% [markdown]
# **The mechanism is in the slopes.** Each weight is pulled two ways. The data pull it towards the value that fits
# best, the penalty pulls it towards zero.
#
# - L2 is $w^2$, its slope is $2w$. The pull **fades** as the weight gets small. Any trace of correlation, and in a
#   sample there is always a trace, keeps the weight off zero.
# - L1 is $|w|$, its slope is $1$ on either side. The pull is **constant** down to zero. If the data pull less than
#   that, the weight is held at zero, exactly.
#
# So L1 asks of each column: *do you explain more than my strength?* Which strength, then?
#
# ## Exercise: choose the strength
# `cv` has the mean squared error of ten-fold cross-validation for each `alpha`, with its standard error, and the
# error on the training rows. Many strengths predict equally well within what ten folds can tell. The clinic wants the
# **shortest list among those**: set `alpha` to the strongest penalty whose mean error is at most one standard error
# above the lowest one, the *one-standard-error rule*.

# %%
folds = KFold(10, shuffle=True, random_state=SEED)
search = ElasticNetCV(l1_ratio=L1_RATIO, alphas=l1_strengths, cv=folds, max_iter=50_000).fit(X_train, y_train)
cv = pd.DataFrame({
    "mean": search.mse_path_.mean(axis=1),
    "standard_error": search.mse_path_.std(axis=1, ddof=1) / np.sqrt(10),
}, index=pd.Index(search.alphas_, name="alpha")).sort_index()
cv["train"] = ((X_train.to_numpy() @ l1_path.T.to_numpy() + y_train.mean() - y_train[:, None]) ** 2).mean(axis=0)

fig, ax = plt.subplots(figsize=(6.5, 2.6))
ax.errorbar(cv.index, cv["mean"], cv["standard_error"], marker=".", label="cross-validation ± 1 SE")
ax.plot(cv.index, cv["train"], color="C1", label="training rows")
ax.set(xscale="log", title="The error on new patients is flat over a decade of strengths", xlabel="alpha",
       ylabel="mean squared error, points²")
ax.legend()
plt.show()

# %% tags=["exercise"]
# One of the strengths in cv.index.
### BEGIN SOLUTION
best = cv["mean"].idxmin()
limit = cv["mean"][best] + cv["standard_error"][best]
alpha = cv.index[cv["mean"] <= limit].max()
### END SOLUTION

# %%
alpha = lab.check("one_standard_error", alpha, cv)

# %% [markdown]
# ## Which measurements are left
# No penalty, L2 at the strength that its own cross-validation prefers, L1 at the strength of lowest error, and L1 at
# yours.

# %% tags=["nbval-check-output"]
plain = LinearRegression().fit(X_train, y_train)
ridge_alpha = RidgeCV(alphas=ridge_strengths).fit(X_train, y_train).alpha_
ridge = Ridge(ridge_alpha).fit(X_train, y_train)
# With l1_ratio=1, ElasticNet is the Lasso.
lasso = ElasticNet(alpha=alpha, l1_ratio=L1_RATIO, tol=1e-8, max_iter=50_000).fit(X_train, y_train)


def summary(model):
    """Zero weights among real columns and decoys, and the error on test patients."""
    weights = pd.Series(model.coef_, X_train.columns)
    error = root_mean_squared_error(y_test, model.predict(X_test))
    return {"real at 0.0": (weights[real] == 0).sum(), "decoys at 0.0": (weights[decoys] == 0).sum(),
            "columns to measure": (weights != 0).sum(), "test error, points": round(error, 1)}


weaker = ElasticNet(alpha=cv["mean"].idxmin(), l1_ratio=L1_RATIO, max_iter=50_000).fit(X_train, y_train)
models = {"no penalty": plain, "L2": ridge, "L1, lowest error": weaker, "L1, your alpha": lasso}
summaries = pd.DataFrame({name: summary(model) for name, model in models.items()}).T
print(summaries.to_string(float_format="{:g}".format))
kept = [name for name, weight in zip(X_train.columns, lasso.coef_, strict=True) if weight != 0]
print("\nL1 at your alpha keeps:", ", ".join(kept))

# %%
zeroed = summaries["decoys at 0.0"]["L1, your alpha"] / N_DECOYS
lab.claim("decoys that L1 sets to exactly zero, share", zeroed, at_least=0.7)
lab.claim("weights that L2 sets to exactly zero, at any of 40 strengths", (l2_path == 0).sum().sum(), at_most=0)
error = summaries["test error, points"]
error_ratio = error["L1, your alpha"] / error["no penalty"]
lab.claim("test error of L1's short list over that of all 40 columns", error_ratio, at_most=1.1)

# %% [markdown]
# L1 throws out almost every decoy, and the short list predicts as well as the full table. L2 throws out nothing, at
# any strength. It predicts well too: **if you only want good predictions, L2 is fine. If you want to stop measuring,
# only L1 tells you what.**
#
# L1 also dropped real columns. That is less of a mistake than it seems: a column that adds nothing to the others, as
# LDL beside the other cholesterol values, is as useless to *this* model as a decoy. And look at the third row: the
# strength of lowest error is weaker and tends to let decoys back in. Cross-validation chooses for prediction, and a
# decoy with a small weight costs little of that.
#
# ## One unit of measurement changes the list
# The penalty sees numbers, not meaning. Take the strongest measurement, the body mass index, and let somebody change
# its unit after the scaler was fitted: g/cm² instead of kg/m², a tenth of the number. Nothing else changes.

# %%
unit_change = X_train.assign(bmi=X_train["bmi"] / 10)
careless = ElasticNet(alpha=alpha, l1_ratio=L1_RATIO, max_iter=50_000).fit(unit_change, y_train)
column = list(X_train.columns).index("bmi")
effect_before, effect_after = lasso.coef_[column], careless.coef_[column] / 10
print(f"effect of BMI, points per standard deviation: {effect_before:.1f} in kg/m², {effect_after:.1f} in g/cm²")
lab.claim("effect of BMI that is left after the change of unit, share", effect_after / effect_before, at_most=0.3)

# %% [markdown]
# For the same effect the weight must be ten times as large, so its penalty is ten times as large, and the best
# feature is the first to go. Without a penalty a change of unit does nothing at all. **Standardise first, then
# penalise.** BigQuery ML standardises numeric columns of linear models by itself; scikit-learn and Keras do not.
#
# ## Twins: two columns that say the same
# From now on the clinic weighs everyone on two scales. Each reading of the BMI is off by a twentieth of a standard
# deviation, from noise alone, so neither scale is better. Which of the two gets the weight? We ask 60 times. Each
# time the patients are drawn anew from the training rows with replacement (a bootstrap) and weighed anew, as next
# year's patients will be.

# %%
def weigh(rows):
    """The training patients in these rows, with readings of two equally good scales."""
    seen = X_train.iloc[rows].reset_index(drop=True)
    noise = rng.normal(0, 0.05, (2, len(rows)))
    return seen.assign(bmi=seen["bmi"] + noise[0], bmi_2=seen["bmi"] + noise[1])


def pair_weights(model, X, y):
    """The weights of the two scales."""
    return pd.Series(model.fit(X, y).coef_, X.columns)[["bmi", "bmi_2"]].to_numpy()


l1_model, l2_model = ElasticNet(alpha=alpha, l1_ratio=L1_RATIO, max_iter=50_000), Ridge(ridge_alpha)
plain_pairs, l1_pairs, l2_pairs = np.zeros((60, 2)), np.zeros((60, 2)), np.zeros((60, 2))
for number in range(60):
    rows = rng.integers(0, n, n)
    weighed = weigh(rows)
    plain_pairs[number] = pair_weights(LinearRegression(), weighed, y_train[rows])
    l1_pairs[number] = pair_weights(l1_model, weighed, y_train[rows])
    l2_pairs[number] = pair_weights(l2_model, weighed, y_train[rows])

fig, ax = plt.subplots(figsize=(3.9, 3.3))
ax.plot([0, 30], [0, 30], color="k", lw=0.6, ls=":")
ax.scatter(*l1_pairs.T, s=14, alpha=0.7, label="L1: one takes all")
ax.scatter(*l2_pairs.T, s=14, alpha=0.7, marker="^", label="L2: equal shares")
ax.set(title="L1 sits on the axes, L2 on the diagonal", xlabel="weight of the first scale, points",
       ylabel="weight of the second scale, points")
ax.legend(loc="upper right")
plt.show()

for name, pairs in [("no penalty", plain_pairs), ("L1", l1_pairs), ("L2", l2_pairs)]:
    print(f"{name:10}  weight of the first scale: {pairs[:, 0].min():+5.0f} to {pairs[:, 0].max():+4.0f} points")

# %%
first_wins = (l1_pairs[:, 0] > l1_pairs[:, 1]).mean()
l2_shares = l2_pairs.min(axis=1) / l2_pairs.max(axis=1)
one_is_zero = (l1_pairs == 0).any(axis=1).mean()
lab.claim("resamples in which L1 sets one of the twins to zero, share", one_is_zero, at_least=0.5)
lab.claim("resamples in which L1 prefers the first scale, share", first_wins, at_least=0.2, at_most=0.8)
lab.claim("smaller twin's weight over the larger one's under L2, median", np.median(l2_shares), at_least=0.8)

# %% [markdown]
# Any split $w_1 + w_2 = w$ fits the same, since both columns carry the same signal. So the penalty alone decides.
# $|w_1| + |w_2|$ is the same for every split of equal signs: L1 does not mind, and a speck of noise picks the winner.
# $w_1^2 + w_2^2$ is least at equal shares: L2 halves. Without a penalty noise has a free hand: a scale's weight swings
# from far below zero to far above, and the other scale makes up for it.
#
# **A feature that L1 dropped is not shown to be useless. It is shown to be replaceable.**
#
# ## Exercise: share and still zero
# `weighings` holds ten tables: the same training patients, weighed ten times on both scales. Build an `ElasticNet`,
# not yet fitted, that gives the two scales similar weights (the smaller at least 80% of the larger) and still zeroes
# at least 60% of the decoys, both in the median of the ten. With $r$ = `l1_ratio` it minimises
#
# $$\frac{1}{2n}\sum(y-\hat y)^2 + \alpha r\sum|w| + \frac{1}{2}\alpha(1-r)\sum w^2$$

# %%
weighings = [weigh(np.arange(n)) for _ in range(10)]

# %% tags=["exercise"]
# ElasticNet(alpha=..., l1_ratio=...)
### BEGIN SOLUTION
elastic_net = ElasticNet(alpha=alpha / 0.95, l1_ratio=0.95)
### END SOLUTION

# %%
elastic_net = lab.check("share_and_zero", elastic_net, weighings, y_train)

# %%
first, second = np.median([pair_weights(elastic_net, X, y_train) for X in weighings], axis=0)
elastic_weights = pd.Series(elastic_net.coef_, weighings[-1].columns)
print(f"elastic net: first scale {first:.1f}, second scale {second:.1f}; {(elastic_weights[decoys] == 0).sum()} "
      f"of {N_DECOYS} decoys at zero")

# %% [markdown]
# A pinch of L2 is enough. The L1 part still decides who is in, the L2 part makes twins share.
#
# ## Exercise: the same strength in Keras
# Back to the 40 columns and to the colleague. Before we blame Keras, both libraries must minimise the same thing.
# They write it differently:
#
# | | error term | penalty |
# |---|---|---|
# | scikit-learn `Lasso(alpha)` | $\frac{1}{2n}\sum(y-\hat y)^2$ | $\alpha\sum\lvert w\rvert$ |
# | scikit-learn `Ridge(alpha)` | $\sum(y-\hat y)^2$ | $\alpha\sum w^2$ |
# | Keras, loss `"mse"` | $\frac{1}{n}\sum(y-\hat y)^2$ | `L1(l1)`: $l_1\sum\lvert w\rvert$, `L2(l2)`: $l_2\sum w^2$ |
#
# Set `keras_l1` so that Keras has the Lasso's minimum at `alpha`, and `keras_l2` so that it has ridge's at
# `ridge_alpha`. There are `n` training rows.

# %% tags=["exercise"]
### BEGIN SOLUTION
keras_l1 = 2 * alpha
keras_l2 = ridge_alpha / n
### END SOLUTION

# %%
keras_l1, keras_l2 = lab.check("same_strength", keras_l1, keras_l2, alpha, ridge_alpha, n)

# %%
LEARNING_RATE = 0.1
batch = (X_train.to_numpy("float32"), y_train.astype("float32")[:, None])
every_row = tf.data.Dataset.from_tensors(batch).repeat()     # full batch: no sampling noise to blame


def train_keras(optimizer, regularizer=None, constraint=None):
    """A linear model in Keras after STEPS full-batch steps."""
    keras.utils.set_random_seed(SEED)
    layer = keras.layers.Dense(1, kernel_regularizer=regularizer, kernel_constraint=constraint)
    model = keras.Sequential([keras.Input((X_train.shape[1],)), layer])
    model.compile(optimizer, loss="mse", steps_per_execution=500)
    model.fit(every_row, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    return model


def weights_of(model):
    return model.layers[0].kernel.numpy().ravel().astype(float)


keras_ridge = train_keras(keras.optimizers.SGD(LEARNING_RATE), keras.regularizers.L2(keras_l2))
gap = np.abs(weights_of(keras_ridge) - ridge.coef_).max() / np.abs(ridge.coef_).max()
lab.claim("Keras L2 against ridge: largest difference, share of the largest weight", gap, at_most=0.001)

# %% [markdown]
# At equal strength L2 agrees weight by weight. The strength was carried over correctly, and Keras' training is sound.
#
# ## The same L1, the same loss, no zeros
# Now L1, as the colleague had it: once with Adam at a fixed rate, and once with plain gradient descent whose learning
# rate falls to zero (cosine decay), which gets as close to the minimum as gradient descent can.

# %%
def l1_loss(weights, bias):
    """What both libraries minimise: mean squared error + keras_l1 * sum |w|."""
    residual = X_train.to_numpy() @ weights + bias - y_train
    return (residual ** 2).mean() + keras_l1 * np.abs(weights).sum()


def l1_row(weights, bias):
    return {
        "exactly 0.0": (weights == 0).sum(),
        "|w| < 0.01": (np.abs(weights) < 0.01).sum(),
        "loss above minimum": l1_loss(weights, bias) / l1_loss(lasso.coef_, lasso.intercept_) - 1,
    }


def keras_row(model):
    return l1_row(weights_of(model), float(model.layers[0].bias.numpy()[0]))


penalty = keras.regularizers.L1(keras_l1)
decay = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)
adam = train_keras(keras.optimizers.Adam(LEARNING_RATE), penalty)
decaying = train_keras(keras.optimizers.SGD(decay), penalty)

results = {
    "Lasso, coordinate descent": l1_row(lasso.coef_, lasso.intercept_),
    "Keras L1, Adam": keras_row(adam),
    "Keras L1, SGD, decaying rate": keras_row(decaying),
}
table = pd.DataFrame(results).T.astype({"exactly 0.0": int, "|w| < 0.01": int})
print(table.to_string(formatters={"loss above minimum": "{:.4%}".format}))

# %% tags=["nbval-check-output"]
lasso_zeros, keras_zeros = table["exactly 0.0"].iloc[0], table["exactly 0.0"].iloc[2]
print(f"weights at exactly 0.0: Lasso {lasso_zeros} of {len(lasso.coef_)}, Keras {keras_zeros}")

# %%
lab.revisit("keras_zeros", "none")
lab.claim("Keras L1: loss above the Lasso's minimum, share", table["loss above minimum"].iloc[2], at_most=0.001)
lab.claim("weights that are exactly zero in Keras", keras_zeros, at_most=1)
lab.claim("weights that are exactly zero in the Lasso", lasso_zeros, at_least=20)

# %% [markdown]
# The same loss. The same penalty. The Lasso's zeros are simply not there, and `weights == 0`, the colleague's test,
# finds nothing. To see why, follow the weight of one decoy for 30 more steps at a fixed rate.

# %%
dead = int(np.flatnonzero((lasso.coef_ == 0) & X_train.columns.isin(decoys))[0])


def follow(model, column, steps=30):
    """The weight of one column after each of the next steps."""
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(float(model.layers[0].kernel[column, 0])))
    model.compile(model.optimizer, loss="mse")      # back to one step at a time
    model.fit(every_row, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[callback])
    return seen


fixed = train_keras(keras.optimizers.SGD(LEARNING_RATE), penalty)
zigzag = follow(fixed, dead)
fig, ax = plt.subplots(figsize=(6, 2.2))
ax.plot(range(1, 31), zigzag, marker="o", ms=3)
ax.axhline(0, color="k", lw=0.8)
ax.set(title=f"The weight of {X_train.columns[dead]} steps over zero again and again", xlabel="further training step",
       ylabel="weight, points")
plt.show()
print(f"pull of the penalty in one step: learning rate x l1 = {LEARNING_RATE * keras_l1:.2f} points")

# %% [markdown]
# Keras takes the slope of $|w|$, which is $+1$ or $-1$, and moves the weight by *learning rate × l1*. Near zero that
# step is longer than the way to zero, so the weight lands on the other side, is pushed back, and lands on the first
# side again. A smaller rate makes the zigzag smaller. **It never makes it zero**: to land on 0.0 a step would have to
# have exactly the right length.
#
# The kink of $|w|$ is where all the interesting weights want to be, and it has no slope. What is missing is not more
# training but another step.
#
# ## Exercise: a step that can stop at zero
# The *proximal step* for L1: first take the gradient step of the error alone, then move each weight towards zero by
# `step` = learning rate × l1, **and stop there if the way is shorter than the step**. This second move is called soft
# thresholding. Write it with `keras.ops`. Keras will run it after every update, as a `kernel_constraint`.

# %% tags=["exercise"]
def soft_threshold(w, step):
    """Every weight of the tensor w, moved towards zero by step, but not across it."""
    ### BEGIN SOLUTION
    return keras.ops.sign(w) * keras.ops.relu(keras.ops.abs(w) - step)
    ### END SOLUTION

# %%
soft_threshold = lab.check("soft_threshold", soft_threshold)


# %%
class ProximalL1(keras.constraints.Constraint):
    """L1 as a move after each update, in the place of a regularizer in the loss."""

    def __init__(self, step):
        self.step = step

    def __call__(self, w):
        return soft_threshold(w, self.step)


proximal = train_keras(keras.optimizers.SGD(LEARNING_RATE), constraint=ProximalL1(LEARNING_RATE * keras_l1))
ftrl_same = train_keras(keras.optimizers.Ftrl(20.0, l1_regularization_strength=keras_l1))
ftrl_total = train_keras(keras.optimizers.Ftrl(20.0, l1_regularization_strength=keras_l1 * STEPS))

results |= {
    "Keras L1, SGD, fixed rate": keras_row(fixed),
    "Keras, soft threshold": keras_row(proximal),
    "Ftrl, strength = l1": keras_row(ftrl_same),
    "Ftrl, strength = l1 x steps": keras_row(ftrl_total),
}
table = pd.DataFrame(results).T.astype({"exactly 0.0": int, "|w| < 0.01": int})
print(table.to_string(formatters={"loss above minimum": "{:.4%}".format}))

# %%
proximal_weights = weights_of(proximal)
disagree = ((proximal_weights == 0) != (lasso.coef_ == 0)).sum()
gap = np.abs(proximal_weights - lasso.coef_).max() / np.abs(lasso.coef_).max()
lab.claim("columns on which Lasso and soft-threshold Keras disagree about zero", disagree, at_most=1)
lab.claim("Keras with soft threshold against Lasso: largest difference, share of largest weight", gap, at_most=0.02)

ftrl_weights = weights_of(ftrl_total)
survivors = ftrl_weights != 0
refit = LinearRegression().fit(X_train.to_numpy()[:, survivors], y_train).coef_
gap = np.abs(ftrl_weights[survivors] - refit).max() / np.abs(refit).max()
lab.claim("Ftrl's survivors against a fit of them without penalty: largest difference, share", gap, at_most=0.1)

fig, ax = plt.subplots(figsize=(6.2, 2.3))
position = np.arange(len(lasso.coef_))
for label, weights, marker in [("Lasso", lasso.coef_, "_"), ("Keras L1, Adam", weights_of(adam), "x"),
                               ("Keras, soft threshold", proximal_weights, "o")]:
    size = np.maximum(np.abs(weights), 1e-9)       # a zero has no logarithm: shown at the bottom
    ax.scatter(position, size, marker=marker, s=45, label=label, facecolors="none" if marker == "o" else None,
               edgecolors="C2" if marker == "o" else None)
ax.set(yscale="log", title="At the bottom: weights that are exactly zero",
       xlabel="column: 10 real ones, then the decoys", ylabel="|weight|, points (log scale)", ylim=(1e-10, 1e5))
ax.legend(loc="upper right", ncols=3, fontsize="small")
plt.show()

# %% [markdown]
# One changed line in the update, and Keras has the Lasso's weights and the Lasso's zeros. The colleague's penalty was
# right, her library was right, and her test `weights == 0` asked for something that gradient descent cannot give.
#
# **What to do in practice.** Use a solver with a proximal step when the list matters (scikit-learn's Lasso, or `Ftrl`
# in Keras). Or treat small weights as zero, and then say at which size, and check the error after cutting: the second
# column of the table depends on optimizer and learning rate.
#
# **Ftrl counts differently.** It adds up the gradients of all steps and holds a weight at zero while that *sum* is
# below its strength. The strength is a budget for the whole run. With the number that was right for the loss it is
# used up after a few steps, and the penalty is gone. Times the number of steps, Ftrl zeroes the Lasso's columns. But
# a weight that has left zero has spent its budget: the survivors are fitted as if there were no penalty, as the last
# claim shows. Ftrl then **selects without shrinking**. Its strength is a number to tune on its own, not to carry over.
#
# ## On Google Cloud
# BigQuery ML has both penalties as options of a linear or logistic regression: `l1_reg` and `l2_reg`, both 0 unless
# set, together an elastic net. It standardises the columns by itself. `l1_reg` cannot be combined with the closed-form
# `NORMAL_EQUATION`: the kink needs iterations.
#
# Here are both paths in SQL, on the training patients. A local BigQuery answers the real client on your machine.
# It minimises *half the sum* of squared errors plus `l1_reg` $\cdot\sum|w|$ plus half of `l2_reg` $\cdot\sum w^2$.
# So the Lasso's `alpha` becomes `alpha * n`, and ridge's stays as it is.

# %%
from google.cloud import bigquery

client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
labelled = patients.assign(progression=progression).iloc[train]
client.load_table_from_dataframe(labelled, f"{lab.target.dataset}.patients", job_config=overwrite).result()


def weights_in_sql(penalty, strength):
    """Trains with this option at this strength; zeros among decoys, all zeros, and the largest weight."""
    client.query(f"""
        CREATE OR REPLACE MODEL progression_{penalty}
        OPTIONS (
          model_type = 'linear_reg',
          input_label_cols = ['progression'],
          data_split_method = 'NO_SPLIT',
          {penalty} = {strength}
        ) AS
        SELECT * FROM patients
    """).result()
    return client.query(f"""
        SELECT
          COUNTIF(weight = 0 AND STARTS_WITH(processed_input, 'decoy')) AS decoys_at_zero,
          COUNTIF(weight = 0) AS exactly_zero,
          COUNTIF(ABS(weight) < 1) AS below_one_point,
          MAX(ABS(weight)) AS largest_weight
        FROM ML.WEIGHTS(MODEL progression_{penalty}, STRUCT(TRUE AS standardize))
        WHERE processed_input != '__INTERCEPT__'
    """).to_dataframe().iloc[0]


right = {"l1_reg": alpha * n if L1_RATIO else 0.0, "l2_reg": ridge_alpha}
sql_paths = {
    (penalty, f"{factor:g} x yours"): weights_in_sql(penalty, factor * right[penalty])
    for penalty in right
    for factor in (0, 0.1, 1, 10)
}
print(pd.DataFrame(sql_paths).T.round(1).to_string(float_format="{:g}".format))

# %%
l1_in_sql, l2_in_sql = sql_paths["l1_reg", "1 x yours"], sql_paths["l2_reg", "1 x yours"]
lab.claim("decoys at exactly zero with l1_reg in SQL, share", l1_in_sql.decoys_at_zero / N_DECOYS, at_least=0.7)
lab.claim("weights at exactly zero with l2_reg in SQL", l2_in_sql.exactly_zero, at_most=0)

# %% [markdown]
# The same list as the Lasso's, from one option. With `TARGET="vertex"` the same queries go to Google: roles *BigQuery
# User* on the project and *BigQuery Data Editor* on the dataset, no quota beyond the default, at most the sum on the
# lab's card. Afterwards delete models and table, or the dataset.
#
# **Do not carry the number there.** How the service weighs a penalty against the error is not published, and libraries
# differ, as you have seen: let it try `l1_reg = HPARAM_CANDIDATES([…])` with `num_trials`. Look at `exactly_zero`
# before you promise anyone a list: whether a solver lands on zero is a property of its steps, and a service may change
# them. Also: with `l1_reg` set, BigQuery ML gives no p-values (`calculate_p_values` demands 0), since a penalised weight
# is biased on purpose.
#
# ## Exam lens
# *Many features, few matter, smaller model wanted*: L1. *All features matter a little, or they are correlated,
# overfitting is the complaint*: L2. *Correlated and many irrelevant*: both. *Strange weights under any penalty*: look
# at the scale of the columns first.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** L1 pulls with a constant force and can hold a weight at zero; L2's pull fades, so it shrinks
# everything and drops nothing, and shares between twins where L1 picks one. A penalty's number means nothing without
# its library's formula and standardised columns. The zero comes from the step as much as from the penalty: gradient
# descent crosses it, a proximal step stops there.

# %%
lab.finish()

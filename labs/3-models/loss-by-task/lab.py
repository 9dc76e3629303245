# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # The wrong loss raises no error, and accuracy does not notice
#
# A support desk wants five answers about each new ticket. Will it escalate? Which team does it belong to? Which
# products does it touch? How many stars will the customer give? How many hours will it take? One text embedding goes
# in, five heads come out. A head is a last layer with its **activation** and its **loss**.
#
# The head for escalations went live last week, after review: accuracy within two points of the best possible, ranking
# (AUC) within one. Yet the planner, who adds up its probabilities to staff the night shift, is short of people every night, and
# three tickets in five come with a probability of practically 0 or 1. Nothing has ever raised an error. **What is wrong,
# and which test would have found it before the first night?**
#
# **You will** train right and wrong heads side by side on five kinds of answers, see which numbers notice, write the
# one test that tells a sound pair from a broken one, build a head for ratings, and find out which losses a BigQuery
# ML model has.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
MISMATCHED = True    # False: the head for escalations gets a loss that fits its activation, and the effect is gone
STEPS = 400          # full-batch training steps for all heads

# %%
from labkit import lesson

lab = lesson.open("loss-by-task", target=TARGET, seed=SEED)

import os
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"     # TensorFlow prints lines about the machine otherwise

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from google.cloud import bigquery
from keras import layers, losses
from sklearn.metrics import log_loss, roc_auc_score

# Of one of the mistakes below Keras would warn. Not yet.
warnings.filterwarnings("ignore", message="You are using a softmax")

# %% [markdown]
# ## The data: tickets with five answers
# The embedding has 16 numbers. We draw the answers ourselves, so that we know the true probability of each
# escalation, and every answer can be had from a weighted sum of the embedding. No hidden layer is needed, and
# whatever goes wrong below is the fault of a head.

# %%
rng = np.random.default_rng(SEED)
keras.utils.set_random_seed(SEED)
SIZE, TAGS = 16, ["app", "billing", "login", "hardware", "network", "export"]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def direction(length, columns=1):
    """Weights of a length, one set a column."""
    weights = rng.normal(size=(SIZE, columns))
    return length * weights / np.linalg.norm(weights, axis=0)


WEIGHTS = {"escalates": direction(1.8), "team": direction(2.5, 4), "tags": direction(3.0, 6), "stars": direction(1.8),
           "hours": direction(2.0), "refund": direction(0.4)}


def tickets(rows):
    """Embeddings and answers."""
    x = rng.normal(size=(rows, SIZE))
    signal = {name: x @ weights for name, weights in WEIGHTS.items()}
    probability = sigmoid(signal["escalates"][:, 0] - 1)
    hours = 8 + signal["hours"][:, 0] + rng.normal(0, 1.5, rows)
    forgotten = rng.random(rows) < 0.02                  # a ticket that nobody closed: the clock ran on
    return {
        "x": x.astype("float32"),
        "probability": probability,
        "escalates": (rng.random(rows) < probability).astype("float32"),
        "team": (signal["team"] + rng.gumbel(size=(rows, 4))).argmax(axis=1),
        "tags": (rng.random((rows, 6)) < sigmoid(signal["tags"] - 1)).astype("float32"),
        "stars": 1 + np.searchsorted([-2.5, -1, 0.5, 2], signal["stars"][:, 0] + rng.logistic(size=rows)),
        "hours": np.where(forgotten, hours + 300, hours).astype("float32"),
        "hours_worked": hours,
        "refund": np.exp(1 + signal["refund"][:, 0] + rng.normal(size=rows)).astype("float32"),    # in 10 euros
    }


old, new = tickets(3000), tickets(10_000)

fig, axes = plt.subplots(1, 5, figsize=(9, 2.2), layout="constrained")
axes[0].bar(["no", "yes"], [1 - old["escalates"].mean(), old["escalates"].mean()])
axes[1].bar(["A", "B", "C", "D"], np.bincount(old["team"]) / len(old["team"]))
axes[2].bar(range(7), np.bincount(old["tags"].sum(axis=1).astype(int), minlength=7) / len(old["tags"]))
axes[3].bar(range(1, 6), np.bincount(old["stars"], minlength=6)[1:] / len(old["stars"]))
axes[4].hist(old["hours"], 60)
for ax, title, label in zip(axes, ["yes or no", "one of four", "any of six", "in an order", "a number, 2% wild"],
                            ["escalates", "team", "products per ticket", "stars", "hours"], strict=True):
    ax.set(title=title, xlabel=label)
axes[0].set_ylabel("share of tickets")
axes[2].set_xticks(range(7))
axes[3].set_xticks(range(1, 6))
axes[4].set(yscale="log", ylabel="tickets")
fig.suptitle("Five kinds of answers")
plt.show()

# %% [markdown]
# ## Five heads for one question
# A head for *will it escalate* gives one number. The **activation** turns the weighted sum $z$, the *logit*, into a
# probability, the **loss** compares that with 0 or 1. `from_logits=True` tells the loss that it gets $z$ and has to
# apply the sigmoid itself. Five combinations, all of which have been seen in production:
#
# | head | activation | loss |
# |---|---|---|
# | right | none | binary crossentropy, `from_logits=True` |
# | sigmoid twice | sigmoid | binary crossentropy, `from_logits=True` |
# | no sigmoid | none | binary crossentropy, as it is by default |
# | squared error | sigmoid | mean squared error |
# | softmax of one | softmax | binary crossentropy |
#
# All heads of this lab train at once. They share no weight, so the sum of their losses trains each as if it were alone.

# %%
def dense(units=1, activation=None):
    return layers.Dense(units, activation=activation)


def train(heads):
    """Adam on all rows, STEPS times. heads: name -> (layer, loss, embeddings, answers)."""
    for layer, _, x, _ in heads.values():
        layer(x[:1])                                     # makes its weights
    weights = [weight for layer, *_ in heads.values() for weight in layer.trainable_weights]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, STEPS))
    optimizer.build(weights)

    def step(number):
        with tf.GradientTape() as tape:
            total = tf.add_n([tf.reduce_mean(loss(y, layer(x))) for layer, loss, x, y in heads.values()])
        optimizer.apply(tape.gradient(total, weights), weights)
        return number + 1

    # One loop in one graph: tracing it once costs more than all its steps.
    tf.function(lambda: tf.while_loop(lambda number: number < STEPS, step, [0]), autograph=False)()


ON_LOGITS, ON_PROBABILITIES = losses.BinaryCrossentropy(from_logits=True), losses.BinaryCrossentropy()
x, escalates = tf.constant(old["x"]), tf.constant(old["escalates"][:, None])

# The sigmoid, then a layer that only puts its output into shape, as models have that grow for years.
twice = keras.Sequential([dense(activation="sigmoid"), layers.Flatten()])
HEADS = {
    "right": (dense(), ON_LOGITS, x, escalates),
    "sigmoid twice": (twice, ON_LOGITS if MISMATCHED else ON_PROBABILITIES, x, escalates),
    "no sigmoid": (dense(), ON_PROBABILITIES, x, escalates),
    "squared error": (dense(activation="sigmoid"), losses.MeanSquaredError(), x, escalates),
    "softmax of one": (dense(activation="softmax"), ON_PROBABILITIES, x, escalates),
}

# %% [markdown]
# ## Predict first
# In *sigmoid twice* the loss sees the sigmoid of a probability. It trains for as long as the others.

# %%
options = ["it falls to that of a coin", "it falls by ten points or so", "it stays within three points"]
lab.predict("accuracy_twice", "What happens to the accuracy of the head with sigmoid twice?", options=options)

# %% [markdown]
# The heads for the other questions come in the same training run. Two for the products of a ticket, and for the hours
# and the refunds one per loss. We look at them later. The stars need a head that does not exist yet: yours.
#
# ## Exercise: answers in an order
# Only 150 tickets have a customer's stars. To a softmax with five outputs *four stars* and *five stars* are as
# different as *four* and *one*: five names, with 16 weights to learn for each. The **ordinal** head asks four questions in
# a row instead: *more than 1? more than 2? more than 3? more than 4?* All four use the same weighted sum, and each has a
# bias of its own. So write two functions:
#
# - `to_steps(stars)`: an array of `len(stars)` rows and 4 columns of 0.0 and 1.0, the answers to the four questions;
# - `stars_from(steps)`: from predicted probabilities of the four questions the stars, as whole numbers: one, and one more
#   for every question whose *yes* has a probability above one half.

# %% tags=["exercise"]
def to_steps(stars):
    """(rows, 4): 1.0 where the rating is more than 1, 2, 3, 4."""
    ### BEGIN SOLUTION
    return (np.asarray(stars)[:, None] > np.arange(1, 5)).astype("float32")
    ### END SOLUTION


def stars_from(steps):
    """The rating, 1 to 5, from the probabilities of being more than 1, 2, 3, 4."""
    ### BEGIN SOLUTION
    return 1 + (np.asarray(steps) > 0.5).sum(axis=1)
    ### END SOLUTION

# %%
to_steps, stars_from = lab.check("ordinal", to_steps, stars_from)

# %%
class Steps(layers.Layer):
    """One weighted sum and four biases: the logits of more than 1, 2, 3, 4."""

    def build(self, shape):
        self.slope = self.add_weight(shape=(shape[-1], 1), initializer="glorot_uniform")
        self.bias = self.add_weight(shape=(4,), initializer="zeros")

    def call(self, x):
        return x @ self.slope + self.bias


def column(name):
    return tf.constant(old[name][:, None], tf.float32)


SURVEYED = slice(0, 150)
tags, few = tf.constant(old["tags"]), tf.constant(old["x"][SURVEYED])
stars = tf.constant(old["stars"][SURVEYED] - 1)
steps = tf.constant(to_steps(old["stars"][SURVEYED]), tf.float32)
names_of_stars = losses.SparseCategoricalCrossentropy(from_logits=True)
HEADS |= {
    "tags, sigmoid each": (dense(6, "sigmoid"), ON_PROBABILITIES, x, tags),
    "tags, one softmax": (dense(6, "softmax"), losses.CategoricalCrossentropy(), x, tags),
    "stars, five names": (dense(5), names_of_stars, few, stars),
    "stars, four steps": (Steps(), ON_LOGITS, few, steps),
    "hours, squared error": (dense(), losses.MeanSquaredError(), x, column("hours")),
    "hours, absolute error": (dense(), losses.MeanAbsoluteError(), x, column("hours")),
    "hours, Huber": (dense(), losses.Huber(delta=3.0), x, column("hours")),
    "refund, squared error": (dense(), losses.MeanSquaredError(), x, column("refund")),
    "refund, absolute error": (dense(), losses.MeanAbsoluteError(), x, column("refund")),
}
train(HEADS)
output = {name: np.asarray(layer(new["x"]), float) for name, (layer, *_) in HEADS.items()}

# %%
says = {name: output[name][:, 0] for name in ["right", "sigmoid twice", "no sigmoid", "squared error", "softmax of one"]}
says["right"] = sigmoid(says["right"])                   # its loss took logits
says["the truth"] = new["probability"]
happened = new["escalates"]


def judge(p):
    return {"accuracy": ((p > 0.5) == happened).mean(), "AUC": roc_auc_score(happened, p), "mean": p.mean(),
            "below 1% or above 99%": ((p < 0.01) | (p > 0.99)).mean(), "log loss": log_loss(happened, p.clip(1e-7, 1 - 1e-7))}


judged = pd.DataFrame({name: judge(p) for name, p in says.items()}).T
print(judged.to_string(float_format="{:.3f}".format))
print(f"\nescalated: {happened.mean():.3f}")

# %%
lost = judged["accuracy"]["right"] - judged["accuracy"]["sigmoid twice"]
lab.revisit("accuracy_twice", options[int(np.digitize(-lost, [-0.2, -0.03]))])
lab.claim("sigmoid twice: accuracy lost", lost, at_most=0.04)
lab.claim("sigmoid twice: promises below 1% or above 99%, share", judged["below 1% or above 99%"]["sigmoid twice"],
          at_least=0.4)
lab.claim("log loss, sigmoid twice over right", judged["log loss"]["sigmoid twice"] / judged["log loss"]["right"],
          at_least=1.6)
lab.claim("squared error: log loss over right", judged["log loss"]["squared error"] / judged["log loss"]["right"],
          at_most=1.05)

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.6))
order = np.array_split(np.argsort(new["probability"]), 40)
for name, marker in [("right", "o"), ("sigmoid twice", "s"), ("no sigmoid", "^")]:
    ax.plot([new["probability"][rows].mean() for rows in order], [says[name][rows].clip(0, 1).mean() for rows in order],
            marker=marker, ms=3.5, lw=1, label=name)
truth = np.linspace(0.001, 0.999, 500)
ax.plot(truth, np.log(truth / (1 - truth)).clip(0, 1), "k:", lw=1, label="what sigmoid twice asks for")
ax.set(title="With sigmoid twice 30% becomes 0 and 90% becomes 1", xlabel="true probability of an escalation",
       ylabel="mean prediction, cut to 0 … 1")
ax.legend(fontsize="small")
plt.show()

# %% [markdown]
# **The mechanism.** The loss takes the head's $p$ for a logit and works with $\sigma(p)$. But $p$ lies between 0 and 1, so
# $\sigma(p)$ lies between 0.5 and 0.73. To a ticket that escalates in 40% of cases the nearest the loss can get is 0.5,
# that is $p=0$. At 75% it is 0.73, that is $p=1$. Only in between is there anything to choose: the dotted line. The
# head's own sigmoid follows it as closely as it can.
#
# Above or below one half: **that is right**, and it is all that accuracy looks at. The order is nearly right, and it is all
# that AUC looks at. The number is a fiction. Whoever adds it up, multiplies it with money or cuts it elsewhere than at
# one half uses the fiction.
#
# The squared error on a sigmoid is no such mistake: its mean is least at the true probability, too, as that of log loss
# is. Textbooks warn of it for another reason, which comes next.
#
# ### Does Keras not warn?
# Sometimes. Of the softmax of one it does (the set-up has silenced that line). For the sigmoid twice it looks **one
# operation back**, with TensorFlow as backend: if that is a sigmoid, it warns, takes the sigmoid's input instead, and all
# is well. One harmless layer in between, and it sees nothing. The other backends do not look at all.

# %% tags=["nbval-check-output"]
probabilities = keras.activations.sigmoid(tf.constant([[-2.0], [0.5], [3.0]]))
for name, given in [("sigmoid, then loss", probabilities), ("sigmoid, Flatten, then loss", layers.Flatten()(probabilities))]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        value = float(ON_LOGITS(np.ones((3, 1)), given))
    print(f"{name:28} loss {value:.3f}   warnings: {len(seen)}")
print(f"{'right':28} loss {float(ON_PROBABILITIES(np.ones((3, 1)), probabilities)):.3f}")

# %% [markdown]
# ## Exercise: the test that finds it
# Accuracy notices late or never. What tells a sound pair of activation and loss from a broken one **before training** is the pull on a
# *confident mistake*. Write `slope(activation, loss, z)`: for one ticket that does escalate (label 1) and the logit `z`, the
# derivative of the loss **with respect to the logit**, as a float. `activation` is a function of a tensor, `loss` is called
# as `loss(labels, outputs)`; both take arrays with one row and one column. `tf.GradientTape` does the calculus.

# %% tags=["exercise"]
def slope(activation, loss, z):
    """d loss / d z at logit z, for one row whose label is 1."""
    ### BEGIN SOLUTION
    logit = tf.Variable([[float(z)]])
    with tf.GradientTape() as tape:
        value = loss(tf.ones((1, 1)), activation(logit))
    return float(tf.reduce_sum(tape.gradient(value, logit)))
    ### END SOLUTION

# %%
slope = lab.check("slope", slope)

# %%
def then_flat(activation):
    """The activation, and one harmless operation behind it."""
    return lambda z: layers.Flatten()(activation(z))


linear, squash, soft = keras.activations.linear, keras.activations.sigmoid, keras.activations.softmax
PAIRS = {
    "right": (linear, ON_LOGITS),
    "sigmoid twice": (then_flat(squash), ON_LOGITS if MISMATCHED else ON_PROBABILITIES),
    "no sigmoid": (linear, ON_PROBABILITIES),
    "squared error": (squash, losses.MeanSquaredError()),
    "softmax of one": (then_flat(soft), ON_PROBABILITIES),
}
pull = pd.DataFrame({f"z = {z}": {name: -slope(*pair, z) for name, pair in PAIRS.items()} for z in (-8, -2, 0, 2)})
print("pull towards a larger logit, label 1\n" + (pull + 0.0).round(4).to_string())

fig, ax = plt.subplots(figsize=(5.8, 3.2))
logits = np.linspace(-8, 4, 241)
for name, (activation, loss) in PAIRS.items():
    point = tf.Variable(logits[:, None], dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = len(logits) * loss(np.ones((len(logits), 1)), activation(point))    # the loss is a mean of the rows
    ax.plot(logits, -tape.gradient(value, point).numpy()[:, 0], label=name, lw=2 if name == "right" else 1.2)
ax.set(title="A confident mistake pulls only in the right pair", xlabel="logit z of a ticket that escalates",
       ylabel="pull on the logit, -dloss/dz", ylim=(-0.05, 1.6))
ax.legend(fontsize="small", loc=(0.03, 0.2))
plt.show()

# %%
lab.claim("pull on a confident mistake, sigmoid twice over right", pull["z = -8"]["sigmoid twice"] / pull["z = -8"]["right"],
          at_most=0.01)

# %% [markdown]
# The right pair's pull is $1-p$: the error itself. **The logarithm of the loss cancels the slope of the sigmoid**, and
# that is why the two belong together. Where it does not cancel, the flat end of the sigmoid is left:
#
# - *squared error*: right at its minimum, but a head that is confidently wrong is hardly pulled. From a fair start it gets
#   there, as the table above shows. From a bad one, as after a changed world or with a badly set bias, plain gradient
#   descent stays there; Adam, which rescales slopes, hides some of it.
# - *no sigmoid*: the loss cuts the output to 0 … 1. Outside there is no slope at all: mistakes below 0 and above 1
#   are never mended.
# - *softmax of one*: one output divided by the sum of one output. Always 1, no slope anywhere.
#
# One line in a test suite, `slope(…, -8) < -0.9`, finds all four.
#
# ## Exercise: choose the heads
# Set `choice`: for each question the number of units, the activation's name or `None`, and the loss: a Keras name or a
# loss object.
#
# | question | answers in the data |
# |---|---|
# | `escalates` | 0 or 1, a column |
# | `team` | exactly one of four, whole numbers from 0 to 3 |
# | `tags` | any number of six, a row of six 0 and 1 |
# | `hours` | a number; 2 tickets in 100 have 300 hours too many, by mistake, and must not matter |

# %% tags=["exercise"]
# choice = {"escalates": (units, activation, loss), "team": …, "tags": …, "hours": …}
### BEGIN SOLUTION
choice = {
    "escalates": (1, "sigmoid", "binary_crossentropy"),
    "team": (4, "softmax", "sparse_categorical_crossentropy"),
    "tags": (6, "sigmoid", "binary_crossentropy"),
    "hours": (1, None, "mae"),
}
### END SOLUTION

# %%
choice = lab.check("choose_heads", choice)

# %% [markdown]
# ## Any of six: what a softmax cannot say
# The two heads for the products. Six sigmoids are six questions. A softmax gives six shares of **one**.

# %%
has = new["tags"] > 0
several = has.sum(axis=1) >= 2


def judge_tags(p):
    found = p > 0.5
    best_right = has[np.arange(len(p)), p.argmax(axis=1)]
    return {"most likely tag is right": best_right[has.any(axis=1)].mean(),
            "tags found, of all": found[has].mean(),
            "all tags found, where there are two or more": (found | ~has).all(axis=1)[several].mean(),
            "sum of the six, mean": p.sum(axis=1).mean()}


tag_table = pd.DataFrame({name: judge_tags(output[name]) for name in ("tags, sigmoid each", "tags, one softmax")})
print(tag_table.round(3).to_string())
print(f"\ntags per ticket: {has.sum(axis=1).mean():.2f}")
complete = tag_table.loc["all tags found, where there are two or more"]
lab.claim("one softmax: tickets with several tags that are found completely, share", complete["tags, one softmax"], at_most=0.0)

# %% [markdown]
# Not few: **none**. Two shares of one cannot both be above one half, with any weights, after any training. The most
# likely tag is right nearly as often, so a report that looks at the best guess is fine. Classes that exclude each other compete: softmax. Classes that do not: a sigmoid for each.
#
# ## Stars: five names, or four steps

# %%
rating = new["stars"]
five = output["stars, five names"]
said = {"five names, likeliest": 1 + five.argmax(axis=1), "four steps": stars_from(sigmoid(output["stars, four steps"]))}
star_table = pd.DataFrame({name: {"exactly right": (guess == rating).mean(), "off, stars": np.abs(guess - rating).mean(),
                                  "off by two or more": (np.abs(guess - rating) >= 2).mean()}
                           for name, guess in said.items()})
print(star_table.round(3).to_string())
off = star_table.loc["off by two or more"]
lab.claim("ratings off by two stars or more, four steps over five names", off["four steps"] / off["five names, likeliest"],
          at_most=0.9)

# %% [markdown]
# The same 150 answers. Five names have 85 weights to learn from them, four steps 20, since they know that the stars are
# in an order. With thousands of answers the gap closes. A third way, one number and squared error, takes *1 to 2* for
# as far as *4 to 5* and gives no probabilities; it is often good enough.
#
# ## Hours and refunds: the mean or the median
# Squared error is least at the **mean**, absolute error at the **median**. Huber's loss is squared for small errors and absolute
# for large ones. The hours have 2% wild values from forgotten clocks. The refunds have large values, too, but those are paid.

# %%
rows = {}
for name in ("squared error", "absolute error", "Huber"):
    error = output[f"hours, {name}"][:, 0] - new["hours_worked"]
    rows[name] = {"hours: bias, h": error.mean(), "hours: typical error, h": np.median(np.abs(error))}
for name in ("squared error", "absolute error"):
    rows[name]["refunds: sum, predicted over paid"] = output[f"refund, {name}"].sum() / new["refund"].sum()
print(pd.DataFrame(rows).round(2).to_string(na_rep=""))
lab.claim("hours with wild values: bias of squared error, h", rows["squared error"]["hours: bias, h"], at_least=2)
lab.claim("refunds: sum predicted by absolute error over sum paid",
          rows["absolute error"]["refunds: sum, predicted over paid"], at_most=0.8)

# %% [markdown]
# Two tickets in a hundred move the squared error's prediction for **every** ticket by hours. The absolute error does not
# notice them. For the refunds the same property is the fault: half of the customers get less than the median, but the
# few large sums make up the budget, and a model of medians leaves a third or more of it out. **So no loss is robust in itself.
# Ask what the number is for**: if wild values are errors, a loss that ignores them; if they are the business,
# one that counts them.
#
# ## On Google Cloud
# In BigQuery ML's regressions nobody chooses activation or loss. They follow from `model_type` and the label:
#
# | `model_type` | label | head and loss |
# |---|---|---|
# | `linear_reg` | number | one linear output, squared error |
# | `logistic_reg` | two values | a sigmoid, log loss |
# | | more values | a softmax, each value a **name**, also if it is a number |
#
# No mismatch is possible, and no multi-label, no ordinal and no robust head either. What is missing is made from
# rows. First the label with several values:

# %%
client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
FEATURES = [f"e{number:02d}" for number in range(SIZE)]


def load(name, part, rows):
    frame = pd.DataFrame(part["x"][rows].astype(float), columns=FEATURES)
    frame["stars"], frame["hours"] = part["stars"][rows], part["hours"][rows].astype(float)
    frame["hours_worked"] = part["hours_worked"][rows]
    frame["tags"] = [[tag for tag, there in zip(TAGS, row, strict=True) if there] for row in part["tags"][rows]]
    frame.insert(0, "ticket", range(len(frame)))
    client.load_table_from_dataframe(frame, f"{lab.target.dataset}.{name}", job_config=overwrite).result()


load("surveyed", old, SURVEYED)
load("closed", old, slice(0, 3000))
load("new_tickets", new, slice(0, 2000))
COLUMNS = ", ".join(FEATURES)

try:
    client.query(f"""
        CREATE OR REPLACE MODEL products
        OPTIONS (model_type = 'logistic_reg', input_label_cols = ['tags']) AS
        SELECT {COLUMNS}, tags FROM closed
    """).result()
except Exception as error:
    print(str(error).split("; reason")[0])

# %% [markdown]
# A list is no label. One model a tag is the way, `'billing' IN UNNEST(tags) AS billing` as the label: six sigmoids.
#
# ## Exercise: the ordinal head, in rows
# `logistic_reg` on `stars` would be the five names. The four steps are **one** model, too: each surveyed ticket becomes four
# rows, one for each question *more than 1, 2, 3, 4?* The number of the question is a category, which gives each
# question its own bias, and the embedding's weights are shared.
#
# Set `training_rows` to the query that makes these rows from the table `surveyed` (`ticket`, `stars`, `hours`, `tags` and the
# `COLUMNS` of the embedding): the embedding, `step` as a STRING, and `more`, a BOOL.

# %% tags=["exercise"]
# Text; f"… {COLUMNS} …" puts the names of the 16 columns in.
### BEGIN SOLUTION
training_rows = f"""
SELECT {COLUMNS}, CAST(k AS STRING) AS step, stars > k AS more
FROM surveyed CROSS JOIN UNNEST([1, 2, 3, 4]) AS k
"""
### END SOLUTION

# %%
training_rows = lab.check("steps_in_sql", training_rows, client, FEATURES)

# %%
for name, label, query in [("stars_by_steps", "more", training_rows),
                           ("stars_by_name", "stars", f"SELECT {COLUMNS}, stars FROM surveyed")]:
    client.query(f"""
        CREATE OR REPLACE MODEL {name}
        OPTIONS (model_type = 'logistic_reg', input_label_cols = ['{label}'], data_split_method = 'NO_SPLIT') AS
        {query}
    """).result()

by_steps = client.query(f"""
    SELECT ticket, 1 + COUNTIF(p > 0.5) AS said, 1 + SUM(p) AS expected
    FROM (
      SELECT ticket, (SELECT c.prob FROM UNNEST(predicted_more_probs) AS c WHERE c.label) AS p
      FROM ML.PREDICT(MODEL stars_by_steps, (
        SELECT ticket, {COLUMNS}, step FROM new_tickets CROSS JOIN UNNEST(['1', '2', '3', '4']) AS step))
    )
    GROUP BY ticket
    ORDER BY ticket
""").to_dataframe()
by_name = client.query("""
    SELECT AVG(IF(ABS(predicted_stars - stars) >= 2, 1, 0)) AS off
    FROM ML.PREDICT(MODEL stars_by_name, TABLE new_tickets)
""").to_dataframe()["off"][0]

asked = new["stars"][:2000]
off_steps = (np.abs(by_steps["said"] - asked) >= 2).mean()
keras_expected = 1 + sigmoid(output["stars, four steps"][:2000]).sum(axis=1)
print(f"off by two stars or more: {by_name:.3f} as names, {off_steps:.3f} as steps")
gap = np.abs(by_steps["expected"] - keras_expected).mean()
lab.claim("expected stars, SQL against Keras: mean difference", gap, at_most=0.05)
lab.claim("in SQL: ratings off by two stars or more, steps over names", off_steps / by_name, at_most=0.95)

# %% [markdown]
# The same loss on the same rows, so the same ratings, whoever computes them.
#
# For the hours there is only squared error, and the mend is again in the rows: leave out or cap what is an error.

# %%
for name, source in [("hours_all", "closed"), ("hours_capped", "(SELECT * REPLACE (LEAST(hours, 24) AS hours) FROM closed)")]:
    client.query(f"""
        CREATE OR REPLACE MODEL {name}
        OPTIONS (model_type = 'linear_reg', input_label_cols = ['hours'], data_split_method = 'NO_SPLIT') AS
        SELECT {COLUMNS}, hours FROM {source}
    """).result()
biases = client.query(" UNION ALL ".join(
    f"SELECT '{name}' AS model, AVG(predicted_hours - hours_worked) AS bias FROM ML.PREDICT(MODEL {name}, TABLE new_tickets)"
    for name in ("hours_all", "hours_capped"))).to_dataframe().set_index("model")["bias"]
print(biases.round(2).to_string())
lab.claim("linear_reg: bias with the wild hours over bias with capped ones", biases["hours_all"] / abs(biases["hours_capped"]),
          at_least=3)

# %% [markdown]
# Locally a BigQuery on this machine answers; its logistic and linear regressions are solved to their optimum. With
# `TARGET="vertex"` the same statements go to Google: roles *BigQuery User* on the project and *BigQuery Data
# Editor* on the dataset, no quota beyond the default, at most the sum on the lab's card. The service may stop
# earlier than the optimum (`max_iterations`, `min_rel_progress`), so its ratings differ a little more from Keras'. Delete the
# four models and three tables afterwards, or the dataset.
#
# The heads in Keras are what a custom training job runs, whatever machine it has. There you choose activation and
# loss, and there the test of your exercise belongs into the test suite of the trainer.
#
# ## Exam lens
# *Exactly one class*: softmax and (sparse) categorical crossentropy; *sparse* for whole-number labels, not for one-hot
# rows. *Any number of classes*: a sigmoid each and binary crossentropy. *Two classes*: one sigmoid. *Outliers that are
# errors*: MAE or Huber. *The sum must be right*: squared error. *Good accuracy, useless probabilities*: look at the pair of
# activation and loss.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Activation and loss are a pair: with the right one a mistake pulls with its own size, with a wrong one the
# training still runs and accuracy and AUC may look fine, while the probabilities are fiction. Softmax is for classes that
# exclude each other, sigmoids for those that do not, steps for those in an order. Squared error predicts means,
# absolute error medians: choose by what the number is for.

# %%
lab.finish()

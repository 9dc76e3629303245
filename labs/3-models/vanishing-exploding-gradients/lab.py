# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Twenty layers down: the gradient that never arrives
#
# A utility reads the digits of water meters from photos with a small network. A colleague has made it twenty layers deep,
# "because deep networks read better". It trains without an error, without a warning, without a NaN, and reads one digit in
# ten: a guess. Four proposals are on the table. **Train ten times longer on a GPU. Swap sigmoid for ReLU. Swap SGD for
# Adam. Clip the gradients.** Each has cured somebody's network, the first costs money, and **not one
# of them cures this one**.
#
# You can know before you pay: one batch, one backward pass, one number per layer.
#
# **You will** measure the gradient at every layer, predict its slope from the activation and the initialisation, find out
# why ReLU alone is no cure and what Adam can and cannot mend, clip a gradient without bending it, and build a training
# job that refuses a network which cannot learn.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the two jobs run on Vertex AI
SEED = 20260601
RESIDUAL = False     # True: the colleague's network gets a residual connection around every layer, and can learn
DEPTH = 20           # hidden layers
STEPS = 250          # training steps of each network

# %%
from labkit import lesson

lab = lesson.open("vanishing-exploding-gradients", target=TARGET, seed=SEED)

import json
import logging
import sys
from statistics import NormalDist

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from google.cloud import aiplatform
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(lab.folder))  # trainer/ lies beside the notebook

from trainer import network

threadpool_limits(1)  # for matrices as small as these, sharing them out costs more than multiplying them
for name in logging.root.manager.loggerDict:
    if name.startswith("google.cloud.aiplatform"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a dozen lines for each job

# %% [markdown]
# ## The data and the network
# 1,797 real handwritten digits, eight by eight pixels, shifted and scaled as a whole to mean 0 and variance 1.
#
# The network is in `trainer/network.py`, in NumPy, so that nothing is hidden: twenty layers of 64 units, weights drawn by
# Keras' default for `Dense`, **Glorot**: variance 2 / (inputs + outputs), here 1/64. Forward, a layer computes
# $u = hW$ and $a = \varphi(u)$. Backward, it takes the gradient at its output and hands this on to the layer below:
#
# $$g_{l-1} = \bigl(g_l \, W_l^\top\bigr) \odot \varphi'(u_{l-1}) \qquad\text{and, for the weights,}\qquad \nabla W_l = h_{l-1}^\top \, g_l$$
#
# So a gradient passes through a matrix and a slope, twenty times. That is all there is to this lab.

# %%
digits = load_digits()
images = ((digits.data - digits.data.mean()) / digits.data.std()).astype("float32")
labels = digits.target
rng = np.random.default_rng(SEED)
order = rng.permutation(len(images))
train, test = order[:1300], order[1300:]

fig, axes = plt.subplots(1, 10, figsize=(6.5, 0.9))
for ax, row in zip(axes, train, strict=False):
    ax.imshow(images[row].reshape(8, 8), cmap="gray_r")
    ax.set(title=labels[row], xticks=[], yticks=[])
fig.suptitle("Ten of the digits, and what they should be read as", y=1.35, fontsize="medium")
plt.show()

# %% [markdown]
# ## Predict first
# The colleague's network is trained for 250 steps of SGD with a learning rate of 0.1, in single precision as usual. Every
# step updates all weights of all layers. Compare the weights of the first five layers before and after.

# %%
lab.predict(
    "changed",
    "What share of these 20,480 weights is different afterwards, be it in the last bit?",
    options=["all of them", "about half of them", "none"],
)

# %% [markdown]
# ## The colleague's network

# %%
patient = {"activation": "sigmoid", "residual": RESIDUAL}
start = network.build(np.random.default_rng(SEED), DEPTH, "Glorot")


def trained(optimizer, scheme="Glorot", depth=DEPTH, **options):
    """Trains a network: its weights before and after, its losses, its gradient norms, its accuracy on test digits."""
    before = network.build(np.random.default_rng(SEED), depth, scheme)
    after, losses, history = network.train(before, images[train], labels[train], optimizer, SEED, STEPS, **options)
    kind = {name: value for name, value in options.items() if name in ("activation", "batch_norm", "residual")}
    with np.errstate(over="ignore", invalid="ignore"):
        accuracy = network.passes(after, images[test], labels[test], **kind)[1]
    return before, after, losses, history, accuracy


def moved(before, after, layer):
    """How far a layer's weights have moved, as a share of their size."""
    return np.linalg.norm(after[layer] - before[layer]) / np.linalg.norm(before[layer])


runs = {"as it came": trained(network.SGD(0.1), **patient)}
before, after, losses, history, accuracy = runs["as it came"]
different = [(was.astype("float32") != now).mean() for was, now in zip(before, after, strict=True)]
by_layer = pd.DataFrame({"gradient norm": history[0], "weights that changed": different},
                        index=[f"layer {number}" for number in range(1, DEPTH + 1)] + ["output"])
print(by_layer.iloc[[*range(0, DEPTH, 3), DEPTH]].to_string(
    formatters={"gradient norm": "{:.0e}".format, "weights that changed": "{:.1%}".format}))
print(f"\nloss: first step {losses[0]:.2f}, last 20 steps {np.mean(losses[-20:]):.2f}; a guess: {np.log(10):.2f}")
print(f"read correctly: {accuracy:.0%} of the test digits")

# %%
share = np.mean(different[:5])
lab.revisit("changed", ["none", "about half of them", "all of them"][int(np.digitize(share, [0.1, 0.9]))])
lab.claim("weights of the first five layers that 250 steps of SGD have changed, share", share, at_most=0.01)

# %% [markdown]
# **Not one bit.** The gradient of the first layer is not zero. But a step is the rate times the gradient, and adding it to
# a weight near 0.1 rounds to the same number: single precision has seven digits. These layers are as random as at the
# start. The top layers learn, from features that nobody has trained, and the loss stays at that of a guess. Ten times as
# many steps add ten times nothing: **the GPU is out**.
#
# ## Exercise: what one layer does to a gradient
# One entry of $g\,W^\top$ is a sum of `n` products of an entry of $g$ with a weight. The weights are independent, with mean 0
# and standard deviation `std`. Then each entry is multiplied by the slope $\varphi'(u)$ of its unit; `slopes` is an array with
# the slopes of the layer's units. Write the factor by which the **norm** of a gradient is multiplied on its way through
# one such layer, on average: below 1 it shrinks, above 1 it grows.

# %% tags=["exercise"]
def layer_factor(slopes, std, n):
    """The factor for the norm of a gradient that passes one layer of n units backward."""
    ### BEGIN SOLUTION
    return np.sqrt(n * std**2 * np.mean(slopes**2))
    ### END SOLUTION


# %%
layer_factor = lab.check("layer_factor", layer_factor)

# %% [markdown]
# ## Nine networks, predicted before they are built
# To use it we need the slopes, so we need to know how large $u$ is. The same argument forward: $u$ is a sum of $n$ products, so it
# is normally distributed with variance $n \cdot \mathrm{std}^2 \cdot \overline{a^2}$. That gives the slopes, and the mean square
# $\overline{a^2}$ for the next layer. No network is built for this, no random number is drawn.

# %%
QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 4001) for i in range(4001)])  # a normal distribution, without chance


def predicted(activation, scheme, n=64, depth=DEPTH):
    """For each layer: the factor of a gradient on its way to the layer below, and the mean slope."""
    function, slope = network.ACTIVATIONS[activation]
    std = network.spread(scheme, n, n)
    mean_square, factors, slopes = 1.0, [], []  # the pixels have mean square 1
    for _ in range(depth):
        u = np.sqrt(n * std**2 * mean_square) * QUANTILES
        a = function(u)
        mean_square = (a**2).mean()
        slopes.append(slope(u, a))
        factors.append(layer_factor(slopes[-1], std, n))
    return np.array(factors), np.mean(slopes)


def measured(activation, scheme, networks=6, depth=DEPTH, **options):
    """Norms of the gradients at the layers and of the weights' gradients: geometric means over random networks."""
    at_layers, of_weights = [], []
    for _ in range(networks):
        batch = rng.choice(train, 128, replace=False)
        weights = network.build(rng, depth, scheme)
        _, _, weight_gradients, layer_gradients = network.passes(
            weights, images[batch].astype("float64"), labels[batch], activation, **options)
        at_layers.append(np.log(network.norms(layer_gradients)))
        of_weights.append(np.log(network.norms(weight_gradients[:-1])))
    return np.exp(np.mean(at_layers, axis=0)), np.exp(np.mean(of_weights, axis=0))


def per_layer(at_layers):
    """The factor of one layer: the slope of the line on a logarithmic axis."""
    return (at_layers[0] / at_layers[-1]) ** (1 / (len(at_layers) - 1))


steepest = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
table, lines = {}, {}
for activation in network.ACTIVATIONS:
    for scheme in ("unit normal", "Glorot", "He"):
        factors, mean_slope = predicted(activation, scheme)
        at_layers, of_weights = lines[activation, scheme] = measured(activation, scheme)
        table[activation, scheme] = {
            "slope, share of steepest": mean_slope / steepest[activation],
            "factor, predicted": np.exp(np.log(factors[:-1]).mean()),
            "factor, measured": per_layer(at_layers),
            "weights' gradient, first layer": of_weights[0],
            "first / last layer": of_weights[0] / of_weights[-1],
        }
table = pd.DataFrame(table).T

fig, axes = plt.subplots(1, 3, figsize=(7.4, 3), sharey=True)
layers = np.arange(1, DEPTH + 1)
for ax, activation in zip(axes, network.ACTIVATIONS, strict=True):
    for number, scheme in enumerate(("unit normal", "He", "Glorot")):
        at_layers = lines[activation, scheme][0]
        below = np.cumprod(predicted(activation, scheme)[0][:-1][::-1])[::-1]  # from the last layer down to each
        ax.plot(layers, at_layers / at_layers[-1], ".", color=f"C{number}", label=scheme)
        ax.plot(layers, np.append(below, 1), color=f"C{number}", lw=1)
    ax.axhline(1, color="k", lw=0.5, ls=":")
    ax.set(yscale="log", title=activation, xlabel="layer", xticks=[1, 5, 10, 15, 20][: 1 + DEPTH // 5])
axes[0].set_ylabel("gradient at the layer\nover that at the last layer")
axes[1].legend(fontsize="small", loc="lower right")
fig.suptitle("A gradient falls or grows by the same factor in each layer (dots: measured, lines: predicted)",
             y=1.06, fontsize="medium")
plt.show()

# %% tags=["nbval-check-output"]
print("slope as a share of the steepest; factor of a layer; gradient of the weights: first layer, first over last layer")
print(table.to_string(
    header=["slope", "predicted", "measured", "first", "first/last"],
    formatters=["{:.0%}".format, "{:.2f}".format, "{:.2f}".format, "{:.0e}".format, "{:.0e}".format]))

# %%
off = (table["factor, measured"] / table["factor, predicted"] - 1).abs().max()
at_layers = network.norms(network.passes(start, images[train[:256]].astype("float64"), labels[train[:256]], **patient)[3])
arrives = at_layers[0] / at_layers[-1]
lab.claim("predicted against measured factor, largest difference of nine networks, share", off, at_most=0.08)
lab.claim("colleague's network: powers of ten that a gradient keeps from last to first layer", np.log10(arrives), at_most=-9)

# %% [markdown]
# Straight lines on a logarithmic axis, and a pencil predicts them. Three rows are worth a second look.
#
# - **Sigmoid, Glorot, the colleague's network.** Textbooks say that sigmoids kill gradients because units saturate. Here none
#   does: the slopes are nearly the steepest that a sigmoid has. But the steepest is 1/4. A gradient vanishes through
#   layers that work *perfectly*.
# - **Tanh, unit normal.** Nearly every unit is saturated, the mean slope is a tenth of the steepest. Its gradient
#   **explodes**: the large weights multiply by more than the flat slopes take away. "Saturated" and "vanishing" are two things.
# - **ReLU, Glorot: Keras' default.** The last column says that first and last layer get the same gradient. A dashboard of
#   ratios shows nothing wrong. It is the column beside it that counts. Forward, the signal shrinks by $1/\sqrt2$ in each
#   layer, backward the gradient does, and a weight's gradient is the product of the two: everywhere equally small. With unit
#   normal weights it is everywhere equally large.
#
# So there are three faults: **falling** (vanishing), **rising** (exploding), and **flat at the wrong height**. A ratio finds
# two of them.
#
# ## The same in Keras
# Is it our NumPy? The same weights in a Keras model, gradients by `GradientTape`: once as it is, once with everything on.

# %%
def in_keras(weights, activation, batch_norm=False, residual=False):
    """The same network as a Keras model; its weight matrices, in the order of the layers."""
    inputs = keras.Input((64,))
    h, dense = inputs, []
    for number, w in enumerate(weights):
        dense.append(keras.layers.Dense(w.shape[1], use_bias=False))
        u = dense[-1](h)
        if number == len(weights) - 1:
            break
        z = keras.layers.BatchNormalization(center=False, scale=False)(u) if batch_norm else u
        a = keras.layers.Activation(activation)(z)
        h = a + h if residual and number else a
    for layer, w in zip(dense, weights, strict=True):
        layer.kernel.assign(w)
    return keras.Model(inputs, u), [layer.kernel for layer in dense]


def furthest(**kind):
    """The largest difference between Keras' gradient of a weight matrix and ours, as a share of its norm."""
    model, kernels = in_keras(start, **kind)
    batch = train[:128]
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels[batch], model(images[batch], training=True))
    theirs = tape.gradient(loss, [kernel.value for kernel in kernels])
    ours = network.passes(start, images[batch].astype("float64"), labels[batch], **kind)[2]
    return max(np.linalg.norm(a.numpy() - b) / np.linalg.norm(b) for a, b in zip(theirs, ours, strict=True))


difference = max(furthest(**patient), furthest(activation="tanh", batch_norm=True, residual=True))
lab.claim("Keras' gradients against ours, largest difference of 42 matrices, share", difference, at_most=1e-3)

# %% [markdown]
# ## Exercise: an initialisation for another activation
# He's $\sqrt{2/n}$ is your `layer_factor` set to 1 for ReLU. A leaky ReLU has slope 1 for one half of its units and slope `leak` for
# the other. Write the standard deviation that neither shrinks nor grows a gradient, for any `leak` from 0 to 1.

# %% tags=["exercise"]
def leaky_scale(n, leak):
    """The standard deviation of the weights for layers of n units with leaky ReLU."""
    ### BEGIN SOLUTION
    return np.sqrt(2 / ((1 + leak**2) * n))
    ### END SOLUTION


# %%
leaky_scale = lab.check("leaky_scale", leaky_scale)

# %% [markdown]
# ## The cures on the table
# The colleague's network with one change each, same seed, same number of steps. Three rows are about **Adam**, which divides
# each gradient by its own size: whatever the gradient, a weight moves by about the rate. Keras adds `epsilon` = 1e-7 to the
# divisor. A gradient far below that is divided by 1e-7 instead, and stays small.

# %%
tiny = {"epsilon": 1e-30}
runs |= {
    "Adam": trained(network.Adam(0.003), **patient),
    "Adam, epsilon 1e-30": trained(network.Adam(0.003, **tiny), **patient),
    "ReLU, Glorot": trained(network.SGD(0.1), activation="relu"),
    "ReLU, Glorot, Adam": trained(network.Adam(0.0005), activation="relu"),
    "tanh, Glorot": trained(network.SGD(0.05), activation="tanh"),
    "batch normalisation": trained(network.SGD(0.1), activation="sigmoid", batch_norm=True),
    "residual connections": trained(network.SGD(0.1), activation="sigmoid", residual=True),
}
results = pd.DataFrame({
    name: {
        "first layer moved": moved(before, after, 0),
        "last layer moved": moved(before, after, DEPTH - 1),
        "loss at the end": np.mean(losses[-20:]),
        "read correctly": accuracy,
    }
    for name, (before, after, losses, _, accuracy) in runs.items()
}).T
print(results.to_string(formatters={
    "first layer moved": "{:.0e}".format, "last layer moved": "{:.0e}".format, "loss at the end": "{:.2f}".format,
    "read correctly": "{:.0%}".format}))

fig, ax = plt.subplots(figsize=(5.4, 3))
styles = {"as it came": "k-", "Adam, epsilon 1e-30": "C1--", "ReLU, Glorot": "C3--", "ReLU, Glorot, Adam": "C3-",
          "tanh, Glorot": "C4-", "batch normalisation": "C2-", "residual connections": "C0-"}
for name, style in styles.items():
    smooth = pd.Series(runs[name][2]).rolling(15, min_periods=1).mean()
    ax.plot(smooth, style, lw=1.3, label=name)
ax.set(title="Four networks learn, three stay at the loss of a guess", xlabel="training step", ylabel="loss, mean of 15 batches",
       ylim=(0, 3))
ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))
plt.show()

# %%
blind = results.loc["Adam, epsilon 1e-30"]
cures = results.loc[["tanh, Glorot", "batch normalisation", "residual connections"], "read correctly"]
by_adam = results.loc["ReLU, Glorot, Adam", "read correctly"] - results.loc["ReLU, Glorot", "read correctly"]
lab.claim("Adam without epsilon: how far the first layer moves, share of its size", blind["first layer moved"], at_least=0.1)
lab.claim("and the digits that it then reads correctly, share", blind["read correctly"], at_most=0.4)
lab.claim("ReLU with Keras' initialisation and SGD: digits read correctly, share",
          results.loc["ReLU, Glorot", "read correctly"], at_most=0.4)
lab.claim("the same network with Adam instead of SGD: digits read correctly more, share", by_adam, at_least=0.3)
lab.claim("three changes of the network: digits that the worst one reads correctly, share", cures.min(), at_least=0.6)

# %% [markdown]
# **ReLU is no cure by itself.** Its slope of 1 is half the story; half of its units are off, and Glorot's weights do not make up
# for that. **Adam is the cure for exactly this**: the gradients are small, but each says where to go.
#
# **Adam is no cure for the colleague.** With its epsilon hardly anything moves. Without, the first layer is carried further than
# its own size, as Adam promises, and the network still guesses. Why? What goes down, went up before:

# %%
h = images[test].astype("float64")
spreads = []
for w in start[:-1]:
    h = network.ACTIVATIONS["sigmoid"][0](h @ w) + (h if RESIDUAL and spreads else 0)
    spreads.append(h.std(axis=0).mean() / h.mean())
for number in (1, 5, 10, 15, 20):
    if number <= DEPTH:
        print(f"layer {number:2}: between two images an activation differs by {spreads[number - 1]:.0e} of its size")
print(f"single precision tells numbers apart that differ by {np.finfo('float32').eps:.0e}")

# %% [markdown]
# The **differences between images** pass the same matrices and the same slopes, so they shrink by the same factor. After a
# dozen layers they are below the last digit of single precision. The top of the network sees one and the same input, whatever the
# meter shows. Its gradient is about nothing, and Adam makes it large. *Adam mends the size of a step. It cannot bring back a
# signal that has not arrived.* In a network of six such layers, where it still arrives, Adam alone is enough; try it.
#
# **Tanh** has slope 1 in its middle. **Batch normalisation** divides the differences by their own spread, so they arrive
# at full size; backward the gradient is divided by the same small number. **A residual connection** adds a way around each
# layer, with slope exactly 1: the gradient is multiplied by 1 plus a little.
#
# Is batch normalisation then always safe?

# %%
for activation, scheme in (("sigmoid", "Glorot"), ("relu", "He")):
    factor = per_layer(measured(activation, scheme, batch_norm=True)[0])
    print(f"{activation:7} with batch normalisation: factor {factor:.2f} a layer, over 100 layers {factor**100:.0e}")
lab.claim("ReLU with batch normalisation: factor per layer", factor, at_least=1.12, at_most=1.3)

# %% [markdown]
# With ReLU it makes gradients **explode**, whatever the weights are: it divides them out. Normalising makes the spread of each
# unit 1, and theory says $\sqrt{\pi/(\pi-1)}$, about 1.21, for the way back. Harmless at 20 layers, not at 100. That is one reason
# why very deep networks have batch normalisation *and* residual connections.
#
# ## Exploding: one bad batch
# Weights that are too large, a unit normal for instance, explode from the first step on: NaN at once. That is found within
# a minute and mended by the initialisation. Worse is an explosion that comes **once**. Ten layers of ReLU with He weights, healthy in
# every respect. In step 20 a camera sends one batch in the wrong unit, a thousand times too bright.
#
# ## Exercise: clip, but do not bend
# `gradients` is a list with one array per layer. Give back the gradients, scaled so that the norm of **all layers together** is at
# most `limit`; a shorter one stays as it is.

# %% tags=["exercise"]
def clip_together(gradients, limit):
    """The gradients as a list, no longer than limit in all, in the same direction."""
    ### BEGIN SOLUTION
    length = np.sqrt(sum((gradient.astype("float64") ** 2).sum() for gradient in gradients))
    factor = min(1.0, limit / length)
    return [gradient * np.asarray(factor, gradient.dtype) for gradient in gradients]
    ### END SOLUTION


# %%
clip_together = lab.check("clip_together", clip_together)

# %%
def glitch(step, batch):
    return batch * np.float32(1000) if step == 20 else batch


healthy = {"activation": "relu", "scheme": "He", "depth": 10, "spoil": glitch}
unclipped = trained(network.SGD(0.05), **healthy)
clipped = trained(network.SGD(0.05), clip=lambda gradients: clip_together(gradients, 2.0), **healthy)
print(f"one bad batch, no clipping: loss at the end {np.mean(unclipped[2][-20:]):.2f}, {unclipped[4]:.0%} read correctly")
print(f"one bad batch, clipped:     loss at the end {np.mean(clipped[2][-20:]):.2f}, {clipped[4]:.0%} read correctly")

# %%
lab.claim("after one bad batch, digits read correctly: clipped minus not clipped, share", clipped[4] - unclipped[4], at_least=0.4)

# %% [markdown]
# Without clipping, one step of 250 has thrown the weights so far that nothing brings them back.
#
# Keras has three arguments for this, and they are not the same. All three optimizers below get the same gradient, that of the
# tanh network with unit normal weights, where the first layers get a million times as much as the last. The cosine says
# whether the step still points where the gradient does: 1 is the same direction, 0 a right angle.

# %%
batch = train[:128]
gradients = network.passes(network.build(np.random.default_rng(SEED), DEPTH, "unit normal"), images[batch].astype("float64"),
                           labels[batch], "tanh")[2]


def cosine(left, right):
    product = sum((a.astype("float64") * b).sum() for a, b in zip(left, right, strict=True))
    return product / np.linalg.norm(network.norms(left)) / np.linalg.norm(network.norms(right))


def keras_step(**clipping):
    """The step that Keras' SGD takes at rate 1: minus the clipped gradient."""
    variables = [keras.Variable(np.zeros_like(gradient, "float32")) for gradient in gradients]
    given = [tf.constant(gradient, "float32") for gradient in gradients]
    keras.optimizers.SGD(1.0, **clipping).apply(given, variables)
    return [-variable.numpy() for variable in variables]


steps = {"clipvalue=1: each number on its own": keras_step(clipvalue=1.0),
         "clipnorm=1: each weight matrix on its own": keras_step(clipnorm=1.0),
         "global_clipnorm=1: all together": keras_step(global_clipnorm=1.0),
         "yours, limit 1": clip_together(gradients, 1.0)}
directions = pd.Series({name: cosine(step, gradients) for name, step in steps.items()})
print(directions.to_string(float_format="{:.2f}".format))
lab.claim("Keras' clipnorm: cosine between step and gradient", directions.iloc[1], at_most=0.6)
lab.claim("Keras' global_clipnorm: cosine between step and gradient", directions.iloc[2], at_least=0.9999)

# %% [markdown]
# **`clipnorm` is not what its name suggests**: it clips each weight matrix by itself, so layers are cut by different factors.
# `global_clipnorm` keeps the direction. A bent step is not always a bad one, Adam's steps are bent as well. But the fault it hides
# goes on: with unit normal weights a clipped network does not become NaN, and learns next to nothing. Clipping is for the **rare** large
# gradient. One that is large in every step asks for another initialisation, normalisation or a smaller rate.
#
# ## On Google Cloud
# A network that cannot learn costs as much per hour as one that can. So the training job looks first: one batch backward, and
# it refuses to train when a gradient is multiplied by less than 0.8 or more than 1.25 in each layer. `trainer/task.py` imports the
# `network.py` of this notebook. Its code and data lie in the bucket, which each training container sees as the folder
# `/gcs/`. Two jobs: the colleague's network, and the one with residual connections.

# %%
aiplatform.init(**lab.target.vertex)
OUTPUT = f"{lab.target.bucket}/vanishing-exploding-gradients"
IMAGE = f"{lab.target.vertex['location']}-docker.pkg.dev/{lab.target.vertex['project']}/labs/trainer:1.0"  # Python with NumPy

bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.delete_blobs(list(bucket.list_blobs(prefix="vanishing-exploding-gradients/")))  # an earlier run's
for old in aiplatform.CustomJob.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
    old.delete()


def upload(name, file):
    bucket.blob(f"vanishing-exploding-gradients/{name}").upload_from_filename(file)


for module in ("__init__.py", "network.py", "task.py"):
    upload(f"code/trainer/{module}", lab.folder / "trainer" / module)
np.savez(lab.work / "digits.npz", images=images[train], labels=labels[train])
upload("digits.npz", lab.work / "digits.npz")


def training_job(name, *arguments):
    """A custom job that runs the trainer; the image needs Python and NumPy, the code comes from the bucket."""
    mounted = OUTPUT.replace("gs://", "/gcs/")
    container = {
        "image_uri": IMAGE,
        "command": ["python", "-m", "trainer.task"],
        "args": [f"--data={mounted}/digits.npz", f"--out={mounted}/{name}/gradients.json", f"--seed={SEED}",
                 f"--depth={DEPTH}", f"--steps={STEPS}", "--activation=sigmoid", *arguments],
        "env": [{"name": "PYTHONPATH", "value": f"{mounted}/code"}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
    }
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
    return aiplatform.CustomJob(name, [pool], base_output_dir=f"{OUTPUT}/{name}", labels=lab.target.labels)


jobs = {"gradients-as-it-came": training_job("gradients-as-it-came", *(["--residual"] if RESIDUAL else [])),
        "gradients-residual": training_job("gradients-residual", "--residual")}
for job in jobs.values():
    job.submit()

# %%
reports = {}
for name, job in jobs.items():
    try:
        job.wait_for_completion()
    except RuntimeError:  # how the SDK says that a job has failed
        first, *log = job.error.message.splitlines()
        print(f"{name}: {first.partition(' To find')[0]}", *(line for line in log if "refused" in line), sep="\n")
    reports[name] = json.loads(bucket.blob(f"vanishing-exploding-gradients/{name}/gradients.json").download_as_bytes())
    print(f"{name}: {job.state.name}, factor per layer {reports[name]['factor']:.3f}\n")

# %%
there = np.array(list(reports["gradients-residual"]["history"].values()))
here = np.array(list(runs["residual connections"][3].values()))
lab.claim("jobs that were refused before the first step", sum("loss" not in report for report in reports.values()),
          at_least=1, at_most=1)
lab.claim("gradient norms of the job against the notebook's, largest difference, share", np.abs(there / here - 1).max(),
          at_most=0.01)

# %% [markdown]
# The job that was refused has failed with an exit status of its own, 4, and its log says the factor. The other has trained, and its
# gradients are those of the notebook, in each matrix and at each of the steps.
#
# With `TARGET="vertex"` the same cells send both jobs to Vertex AI. Build the image first: Python 3.11 with NumPy and threadpoolctl.
# Roles: *Vertex AI User*, and *Storage Object Admin* on the bucket; the job's service account needs to read and write it, too. The
# quota counts CPUs of custom training in the region. The upper bound of the cost is on the card. Nothing goes on costing when the jobs
# have ended, but for the files; `lab.cleanup(delete=True)` deletes jobs and files.
#
# **What differs there.** The image is pulled and a machine is started, which takes minutes; here a job is a process. Another CPU
# rounds differently in the last digits, and training amplifies that: expect equal norms at step 0 and nearly equal ones later. In a
# Keras trainer, log the norm of each gradient with `tf.summary.scalar` to `AIP_TENSORBOARD_LOG_DIR`, as a curve per layer.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens
# *Vanishing*: ReLU or another activation with slope 1, an initialisation that fits it, batch normalisation, residual connections.
# *Exploding*: batch normalisation, a smaller learning rate, smaller initial weights, clipping for rare spikes. First of all:
# look at the norm per layer, and at its height, not only at its slope.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A layer multiplies a gradient by $\sqrt{n\,\mathrm{Var}(w)\,\overline{\varphi'^2}}$, and depth raises that to a power:
# straight lines on a log axis, which you can predict before you train. The signal shrinks on its way up as the gradient does
# on its way down, so Adam mends a small gradient but not a lost signal; normalisation and residual connections mend both.
# Clip by the global norm against rare spikes, and mend the initialisation when every step explodes.

# %%
lab.finish()

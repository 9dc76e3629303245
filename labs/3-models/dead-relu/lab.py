# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # The loss looks fine, and most of the layer is dead
#
# A courier service tells its customers how many minutes an order will take. A network with two hidden layers of 128 ReLUs
# estimates them. A colleague has tuned its learning rate: with 0.07 the loss falls smoothly and in the same 400 steps ends
# below the one with the careful 0.001, on orders that training has not seen, too. The curve is shown, and the network is approved.
#
# Then two questions come in. The app's team: *can the network be smaller? It runs on every rider's phone.* Another
# team: *can we take its hidden layer as features for a model of our own?* The loss curve answers neither. What does is a count
# that nobody has made: **how many of the units ever do anything?**
#
# **You will** count dead units, prove that they can go without changing one prediction, watch a unit die within two steps, find out
# which half of a layer dies first and why it never comes back, see what that costs, and prevent it.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the job and the experiment run on Vertex AI
SEED = 20260601
LEAK: float = 0.0    # slope of a unit that is off: 0 is the ReLU. 0.1 is a leaky ReLU, and the effect of this lab is gone
FAST = 0.07          # the colleague's learning rate
CAREFUL = 0.001      # Adam's default in Keras
STEPS = 400

# %%
from labkit import lesson

lab = lesson.open("dead-relu", target=TARGET, seed=SEED)

import logging
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform
from IPython.utils.capture import capture_output
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(lab.folder))  # trainer/ lies beside the notebook

from trainer import network

threadpool_limits(1)  # for matrices as small as these, sharing them out costs more than multiplying them
logging.disable(logging.WARNING)  # the SDK says two lines for everything that it creates

# %% [markdown]
# ## The data and the network
# Two years of orders: district, hour, distance, temperature, weight. 4,000 of them to train on, 2,000 to test. The inputs are
# standardised. The target is not: it is in minutes, around 32. That looks harmless.
#
# The network is in `trainer/network.py`, in NumPy, so that each unit can be looked at. It begins as Keras users begin a ReLU network
# when they have read about it: He weights, biases 0, Adam.

# %%
orders = lab.data("courier-deliveries", seed=SEED)
rng = np.random.default_rng(SEED)
orders = orders.iloc[rng.permutation(len(orders))[:6000]]
hour = orders["ordered_at"].dt.hour + orders["ordered_at"].dt.minute / 60
table = pd.DataFrame({
    "distance": orders["distance_km"],
    "temperature": orders["temperature_c"],
    "weight": orders["weight_kg"].fillna(orders["weight_kg"].median()),
    "hour": hour,
    "hour_sin": np.sin(2 * np.pi * hour / 24),
    "hour_cos": np.cos(2 * np.pi * hour / 24),
})
table = table.join(pd.get_dummies(orders["district"], dtype=float))
table = (table - table.iloc[:4000].mean()) / table.iloc[:4000].std()
rows, minutes = table.to_numpy("float32"), orders["minutes"].to_numpy("float32")
train, test = slice(0, 4000), slice(4000, None)

fig, ax = plt.subplots(figsize=(5.5, 2.2))
ax.hist(minutes[train], bins=60)
ax.axvline(0, color="C3", lw=2, label="where the network's estimates begin")
ax.set(title="At the start every single estimate is too low", xlabel="minutes to the door", ylabel="orders")
ax.legend(fontsize="small")
plt.show()

# %% [markdown]
# A **dead unit** puts out 0 for every row of the training data. A healthy ReLU is off for some orders and on for others: that is
# how it bends a line.
#
# ## Predict first
# The second hidden layer has 128 units. The network is trained for 400 steps with Adam and the rate 0.07, and its error on test orders is
# lower than with the rate 0.001.

# %%
lab.predict(
    "dead",
    "How many of the 128 units put out 0 for every one of 4,000 orders?",
    options=["hardly any: the error is low", "about a quarter", "more than half"],
)

# %% [markdown]
# ## Exercise: find the dead
# `outputs` has a row for each order and a column for each unit. Say for each unit whether it is dead: an array of True and False.

# %% tags=["exercise"]
def find_dead(outputs):
    """For each column of outputs: True when the unit is dead."""
    ### BEGIN SOLUTION
    return (outputs == 0).all(axis=0)
    ### END SOLUTION


# %%
find_dead = lab.check("find_dead", find_dead)

# %% [markdown]
# ## Two rates, two curves, one count

# %%
start = network.build(np.random.default_rng(SEED), rows.shape[1])


def dead_share(layers, leak=LEAK):
    """The share of dead units in the second hidden layer."""
    return find_dead(network.forward(layers, rows[train], leak)[2]).mean()


def error_of(layers, leak=LEAK):
    """Root mean squared error on the test orders, in minutes."""
    return float(np.sqrt(((network.predict(layers, rows[test], leak) - minutes[test]) ** 2).mean()))


def trained(rate, begin=start, steps=STEPS, every=20, leak=LEAK, **options):
    """A network trained from `begin`: the network, its losses, and the dead share by step."""
    curve = {}

    def watch(step, layers):
        curve[step] = dead_share(layers, leak)

    layers, losses = network.train(begin, rows[train], minutes[train], SEED, rate, steps, leak=leak, watch=watch, every=every,
                                   **options)
    return layers, losses, pd.Series(curve)


runs = {rate: trained(rate) for rate in (CAREFUL, 0.01, FAST)}
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.9))
for number, (rate, (_, losses, curve)) in enumerate(runs.items()):
    axes[0].plot(pd.Series(losses).rolling(10, min_periods=1).mean(), color=f"C{number}", lw=1.2, label=f"rate {rate:g}")
    axes[1].plot(curve.index, 100 * curve, ".-", color=f"C{number}")
axes[0].set(yscale="log", title="What everybody looks at", xlabel="training step", ylabel="loss, minutes², log scale")
axes[1].set(title="What nobody looks at", xlabel="training step", ylabel="dead units of layer 2, %", ylim=(-3, 103))
axes[0].legend(fontsize="small")
plt.show()

# %%
summary = pd.DataFrame({
    f"rate {rate:g}": {
        "dead units of layer 2": find_dead(network.forward(layers, rows[train], LEAK)[2]).sum(),
        "error on test orders, minutes": error_of(layers),
    }
    for rate, (layers, _, _) in runs.items()
}).T
print(summary.to_string(formatters={"dead units of layer 2": "{:.0f}".format, "error on test orders, minutes": "{:.1f}".format}))

# %%
fast, careful = runs[FAST][0], runs[CAREFUL][0]
share = dead_share(fast)
lab.revisit("dead", ["hardly any: the error is low", "about a quarter", "more than half"][int(np.digitize(share, [0.1, 0.5]))])
lab.claim("dead units of layer 2 at the fast rate, share", share, at_least=0.6)
lab.claim("its error on test orders over that of the careful rate", error_of(fast) / error_of(careful), at_most=1.0)

# %% [markdown]
# The curve with the lowest loss belongs to a layer that is mostly dead. A loss is computed from predictions, and the units that are left are
# enough for those. **No curve of losses can show this.**
#
# ## The proof: switch them off
# If they are dead, nothing may change without them. Their outgoing weights are set to 0, and all 6,000 orders are
# predicted again, the test orders included.

# %%
dead = find_dead(network.forward(fast, rows[train], LEAK)[2])
switched_off = network.copy(fast)
switched_off[2][0][dead] = 0
change = np.abs(network.predict(switched_off, rows[train], LEAK) - network.predict(fast, rows[train], LEAK)).max()
unseen = np.abs(network.predict(switched_off, rows[test], LEAK) - network.predict(fast, rows[test], LEAK)).max()
print(f"{dead.sum()} units off: largest change of 4,000 training predictions {change}, of 2,000 test predictions {unseen:.2g} minutes")
lab.claim("largest change of a training prediction without the dead units, minutes", change, at_most=0)

# %% [markdown]
# Exactly 0.0, to the last bit. "Rarely on" and "dead" are two things: only for the second one is this an equality.
#
# ## Exercise: the smaller network
# Answer the app's team. `layers` is a list of three `[w, b]`: hidden, hidden, output; a layer computes `x @ w + b`. Give back a network
# in which the dead units of the **second** hidden layer are gone, not only switched off.

# %% tags=["exercise"]
def remove(layers, dead):
    """The same network without the units of its second hidden layer that are True in dead."""
    ### BEGIN SOLUTION
    (w0, b0), (w1, b1), (w2, b2) = layers
    return [[w0, b0], [w1[:, ~dead], b1[~dead]], [w2[~dead], b2]]
    ### END SOLUTION


# %%
remove = lab.check("remove", remove)

# %%
smaller = remove(fast, dead)
before, after = (sum(w.size for w, _ in layers) for layers in (fast, smaller))
change = np.abs(network.predict(smaller, rows, LEAK) - network.predict(fast, rows, LEAK)).max()
print(f"multiplications for one order: {before:,} before, {after:,} after; largest change {change:.0e} minutes")

# %% [markdown]
# That change is rounding: the same few numbers, added up in another order. The phones get a network of less than half the size, for
# nothing. *Pruning dead units is free.* Having paid for them in training is not.
#
# ## How a unit dies
# Plain SGD without momentum shows it best: there is nothing but rate times gradient. Same network, rate 0.01. One unit of the second layer:
# the range of its input $u$ over all orders, step by step. A ReLU is on where $u$ is above 0.

# %%
ranges, counts = [], []


def look(step, layers):
    _, first, second, _ = network.forward(layers, rows[train], LEAK)
    u = first @ layers[1][0] + layers[1][1]
    ranges.append((u.min(axis=0), u.max(axis=0)))
    counts.append(find_dead(second).mean())


network.train(start, rows[train], minutes[train], SEED, 0.01, 12, optimizer="sgd", leak=LEAK, watch=look, every=1)
low, high = (np.array(side) for side in zip(*ranges, strict=True))
candidates = np.where((high[2:] < 0).all(axis=0), high[0], -1)  # dead from the second step on
unit = int(np.argmax(candidates))                                # the one that was most alive before

fig, ax = plt.subplots(figsize=(6, 2.8))
steps = np.arange(len(low))
ax.vlines(steps, low[:, unit], high[:, unit], lw=6, color="C0", alpha=0.6, label="input of the unit, all 4,000 orders")
ax.axhline(0, color="C3", lw=1, label="below: the unit is off")
ax.set(yscale="symlog", title=f"Unit {unit}: alive at first, two steps later off for every order", xlabel="training step of SGD",
       ylabel="input $u$ (log scale on both\nsides of 0)", xticks=steps)
ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0.25, 0.6))
plt.show()

gradient = network.backward(fast, network.forward(fast, rows[train], LEAK), minutes[train], LEAK)[1]
into_dead = max(np.abs(gradient[0][:, dead]).max(initial=0), np.abs(gradient[1][dead]).max(initial=0))
again = trained(0.01, begin=fast)[0]
back = (dead & ~find_dead(network.forward(again, rows[train], LEAK)[2])).sum()
print(f"fast network: largest gradient of a weight into a dead unit, over all orders: {into_dead}")
print(f"units that come back in {STEPS} further steps at a rate of 0.01: {back} of {dead.sum()}")

# %% tags=["nbval-check-output"]
print(f"dead after 0, 1, 2 and 3 steps: {', '.join(f'{count:.0%}' for count in counts[:4])}")

# %%
lab.claim("units that two steps of SGD have killed, share of the layer", counts[2], at_least=0.3)
lab.claim("largest gradient of a weight into a dead unit", into_dead, at_most=0)
lab.claim("dead units that come back in further training, share", back / max(dead.sum(), 1), at_most=0.1)

# %% [markdown]
# The first error is some 32 minutes, squared a thousand. The gradient is as large, and one step carries the unit's weights past all
# orders. Then it is off everywhere. Where a ReLU is off its slope is 0, so its gradient is 0, for every order: not small, **zero**. No rate,
# no patience and no optimizer makes a step out of zero. Only a change in the layer *below* could lift it again, by luck.
#
# ## Which half dies?
# Back to Adam, with the rate 0.01 that many people take. Half of the layer is dead there. Not any half.

# %%
def by_sign(layers):
    """Dead share of the units whose outgoing weight was negative, and of those whose was positive, at the start."""
    now, negative = find_dead(network.forward(layers, rows[train], LEAK)[2]), start[2][0][:, 0] < 0
    return {"outgoing weight negative": now[negative].mean(), "outgoing weight positive": now[~negative].mean()}


informed = network.copy(start)
informed[2][1][:] = minutes[train].mean()  # the output's bias begins at the mean: nothing else is changed
moderate = runs[0.01][0]
informed = trained(0.01, begin=informed)[0]
halves = pd.DataFrame({"output bias begins at 0": by_sign(moderate), "output bias begins at the mean": by_sign(informed)}).T
halves["error, minutes"] = [error_of(moderate), error_of(informed)]
print(halves.to_string(formatters=dict.fromkeys(halves.columns[:2], "{:.0%}".format), float_format="{:.2f}".format))

# %%
split = halves.iloc[0, 0] - halves.iloc[0, 1]
lab.claim("dead share, negative minus positive outgoing weights, bias from 0", split, at_least=0.7)
lab.claim("dead units of layer 2 when the output bias begins at the mean, share", dead_share(informed), at_most=0.25)

# %% [markdown]
# At the start all estimates are near 0 and all orders take longer: **every row pulls the same way, up**. A unit with a positive outgoing
# weight should put out more, one with a negative weight less. Its inputs are outputs of ReLUs, none is negative, so "less" lowers all its
# weights together, for all orders at once. It goes on until the unit is off for every order.
#
# The mend is one line: `bias_initializer=Constant(mean)` on the output layer, or a standardised target. The error's first push has gone,
# and what is left pulls some rows up and others down.
#
# ## Rate and initialisation
# The dead share of the second layer after 150 steps of Adam, for four rates. Each row changes one thing.

# %%
RATES = (0.001, 0.01, 0.03, 0.1)
mean_bias = network.copy(start)
mean_bias[2][1][:] = minutes[train].mean()
starts = {
    "He": (start, LEAK),
    "Glorot": (network.build(np.random.default_rng(SEED), rows.shape[1], "Glorot"), LEAK),
    "He, hidden biases from -2": (network.build(np.random.default_rng(SEED), rows.shape[1], bias=-2.0), LEAK),
    "He, output bias at the mean": (mean_bias, LEAK),
    "He, leaky ReLU, slope 0.1": (start, 0.1),
}
grid, errors = pd.DataFrame(index=list(starts), columns=list(RATES), dtype=float), {}
for name, (begin, leak) in starts.items():
    for rate in RATES:
        layers, _ = network.train(begin, rows[train], minutes[train], SEED, rate, 150, leak=leak)
        grid.loc[name, rate], errors[name, rate] = dead_share(layers, leak), error_of(layers, leak)

fig, ax = plt.subplots(figsize=(6.2, 2.6))
ax.imshow(grid, cmap="Reds", vmin=0, vmax=1, aspect="auto")
for row, name in enumerate(grid.index):
    for column, rate in enumerate(RATES):
        ax.text(column, row, f"{grid.iloc[row, column]:.0%}\n{errors[name, rate]:.1f} min", ha="center", va="center", fontsize=7,
                color="w" if grid.iloc[row, column] > 0.6 else "k")
ax.set(xticks=range(len(RATES)), xticklabels=[f"{rate:g}" for rate in RATES], yticks=range(len(grid)), yticklabels=grid.index,
       xlabel="learning rate of Adam", title="Dead units of layer 2, and below it the error on test orders")
ax.grid(False)
plt.show()

# %% [markdown]
# Read it by columns. **The rate** is the strongest cause. **He initialisation** keeps signals at their size, which is a good thing, and does not
# protect: Glorot's rows die as well, since the push comes from the target. **Negative biases** put units closer to the edge. The **mean
# in the output bias** helps as long as the rate is moderate. With a **leaky ReLU** there is nothing to die of: where it is off it has
# a slope, so a gradient, so a way back.
#
# Read the errors, too: the smallest dead share is not the smallest error. The lowest rate keeps all units alive and has learnt least.
# At the highest rate a layer may die *completely*; then the network puts out one number for all orders. Whether it does is luck.
#
# ## Exercise: alive and as good
# Find `settings` for the network with He weights and output bias 0, 400 steps: **at most 5% of layer 2 dead**, and an error at most 10% above that
# of the colleague's network. `rate` is needed; `leak` (slope of a unit that is off), `clip` (largest norm of the gradient) and `optimizer`
# ("adam" or "sgd") may be given. There is more than one way.

# %% tags=["exercise"]
# Such as {"rate": 0.07}, which is the colleague's.
### BEGIN SOLUTION
settings = {"rate": 0.01, "leak": 0.01}
### END SOLUTION


# %%
def tried(rate, leak=0.0, clip=None, optimizer="adam"):
    """The network that is trained with these settings, its dead share, and its error."""
    with np.errstate(over="ignore", invalid="ignore"):
        layers, _ = network.train(start, rows[train], minutes[train], SEED, rate, STEPS, optimizer, leak, clip)
    return layers, dead_share(layers, leak), error_of(layers, leak)


limit = 1.1 * error_of(fast)
settings = lab.check("settings", settings, tried, limit)
alive, alive_share, alive_error = tried(**settings)
print(f"{settings}: {alive_share:.0%} dead, error {alive_error:.2f} minutes; the colleague's: {share:.0%}, {error_of(fast):.2f}")

# %% [markdown]
# Two families can pass. A small `leak` at a moderate rate. Or SGD with `clip`: no step can be too large, then. The same `clip` does nothing for
# Adam, which divides each gradient by its own size anyway.
#
# ## What it costs
# The error was fine, so why care? Now the second team: it wants the layer as features. How much of the input is still in there? A linear
# regression reads distance, temperature and weight off the outputs of layer 2. R² is 1 when all of it can be read, 0 when nothing can.

# %%
def readable(layers, leak):
    """R² of distance, temperature and weight on test orders, read linearly off the second hidden layer."""
    features = np.column_stack([network.forward(layers, rows, leak)[2].astype("float64"), np.ones(len(rows))])
    targets = rows[:, :3].astype("float64")
    weights, *_ = np.linalg.lstsq(features[train], targets[train], rcond=1e-6)
    residual, around = targets[test] - features[test] @ weights, targets[test] - targets[test].mean(axis=0)
    return 1 - (residual**2).sum(axis=0) / (around**2).sum(axis=0)


bodies = {f"rate {CAREFUL:g}": (careful, LEAK), "your settings": (alive, settings.get("leak", 0.0)), f"rate {FAST:g}": (fast, LEAK)}
left = pd.DataFrame({name: readable(*body) for name, body in bodies.items()}, index=["distance", "temperature", "weight"]).T
print(left.to_string(float_format="{:.2f}".format))
lab.claim("R² that the dead layer has lost against the careful one, mean of three inputs",
          left.loc[f"rate {CAREFUL:g}"].mean() - left.loc[f"rate {FAST:g}"].mean(), at_least=0.1)

# %% [markdown]
# The few that live carry what *this* target needs. Part of the rest of the input has been thrown away, and since dead units
# do not come back, fine-tuning has only the few living ones to work with. **Dead units cost nothing in the task that killed them. They cost in the next one**: another target, next
# season's data, a longer training.
#
# ## On Google Cloud
# A count that is made once, afterwards, comes too late: half of the layer was gone after twenty steps. So the training job logs the dead share
# **as a curve, beside the loss**. `trainer/task.py` is a custom job that writes to a run of an experiment: `log_time_series_metrics` goes to
# Vertex AI TensorBoard, and `submit(experiment=…, experiment_run=…)` tells the job which run is its own.

# %%
NAME = "dead-relu"
aiplatform.init(**lab.target.vertex)
OUTPUT = f"{lab.target.bucket}/{NAME}"
PROJECT = lab.target.vertex["project"]
IMAGE = f"{lab.target.vertex['location']}-docker.pkg.dev/{PROJECT}/labs/trainer:1.0"  # Python with NumPy and the SDK
ACCOUNT = f"labs-trainer@{PROJECT}.iam.gserviceaccount.com"  # whom the job runs as: needed for logging to a run

bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.delete_blobs(list(bucket.list_blobs(prefix=f"{NAME}/")))  # what an earlier run has left
for old in aiplatform.CustomJob.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
    old.delete()
old = aiplatform.Experiment.get(NAME)
if old is not None:
    old.delete(delete_backing_tensorboard_runs=True)
for old in aiplatform.Tensorboard.list(filter=f'display_name="{NAME}"'):
    old.delete()

for module in ("__init__.py", "network.py", "task.py"):
    bucket.blob(f"{NAME}/code/trainer/{module}").upload_from_filename(lab.folder / "trainer" / module)
np.savez(lab.work / "orders.npz", rows=rows[train], minutes=minutes[train])
bucket.blob(f"{NAME}/orders.npz").upload_from_filename(lab.work / "orders.npz")

# %%
board = aiplatform.Tensorboard.create(display_name=NAME, labels=lab.target.labels)
with capture_output():  # buttons that lead to pages in the console
    aiplatform.init(experiment=NAME, experiment_tensorboard=board.resource_name, **lab.target.vertex)
    run = aiplatform.ExperimentRun.create("fast", experiment=NAME)

mounted = OUTPUT.replace("gs://", "/gcs/")  # a training container sees the bucket as a folder
container = {
    "image_uri": IMAGE,
    "command": ["python", "-m", "trainer.task"],
    "args": [f"--data={mounted}/orders.npz", f"--rate={FAST}", f"--leak={LEAK}", f"--steps={STEPS}", f"--seed={SEED}"],
    "env": [{"name": "PYTHONPATH", "value": f"{mounted}/code"}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
}
pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
job = aiplatform.CustomJob(NAME, [pool], base_output_dir=OUTPUT, labels=lab.target.labels)
with capture_output():
    job.submit(service_account=ACCOUNT, experiment=NAME, experiment_run="fast")
    job.wait_for_completion()
print(job.state.name)

# %%
logged = aiplatform.ExperimentRun("fast", experiment=NAME).get_time_series_data_frame().set_index("step").sort_index()
here = runs[FAST][2]
difference = np.abs(logged["dead_layer_2"].to_numpy() - here.to_numpy()).max()
print(f"the job's run: {len(logged)} counts, the first {logged['dead_layer_2'].iloc[0]:.0%}, the last {logged['dead_layer_2'].iloc[-1]:.0%}")
lab.claim("dead share in the job's curve against the notebook's, largest difference", difference, at_most=0.02)

# %% [markdown]
# The job's curve is the notebook's, point by point. With `TARGET="vertex"` the same cells send the job to Vertex AI, and the run has a page in
# the console, where the dead share stands beside the loss.
#
# - **Before.** Build the image: Python 3.11, NumPy, threadpoolctl, google-cloud-aiplatform. Make the service account `labs-trainer` with
#   *Vertex AI User* and *Storage Object Admin* on the bucket; you need *Vertex AI User* and *Service Account User* on it. The quota counts
#   CPUs of custom training in the region.
# - **What differs.** There a machine starts and pulls the image, which takes minutes; here the job is a process. Another CPU rounds
#   differently, and in hundreds of steps a unit may live or die by it: expect the same curve to a few units, not to the last one. The
#   service account has no effect here.
# - **In Keras**: a callback that sends the training rows through `keras.Model(inputs, hidden.output)` at the end of each epoch
#   and logs the share of columns that are 0 everywhere. `keras.layers.LeakyReLU` or `activation="leaky_relu"` is the ReLU with a leak.
# - **Afterwards.** The bound of the cost is on the card. `lab.cleanup(delete=True)` deletes job, experiment, TensorBoard and files.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens
# *Units of a ReLU layer put out 0 for all inputs*: dead ReLU. Mends: lower the learning rate, a leaky ReLU (or ELU), sensible initial values. It is not
# the vanishing gradient of a sigmoid, which is small everywhere: here it is exactly zero in some units, and the others learn well.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A unit is dead when it puts out 0 for every row; it can be cut without changing one prediction, and the loss does not show it. It dies in
# a step that is too large, often because all rows push the same way, and its gradient is exactly zero, so it stays dead. Log the dead share from the
# first steps on; a target or an output bias that fits, a moderate rate, clipping under SGD or a small leak prevents it.

# %%
lab.finish()

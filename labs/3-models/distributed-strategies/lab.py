# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Distribution strategies: what waiting costs, and what not waiting costs
#
# A postal service reads handwritten digits. Training takes nine hours on one machine, and the night has nine hours.
# Next quarter brings four times the data, and finance will pay for eight machines. Two colleagues disagree.
# One says: *all machines wait for each other after every step, so that nothing changes but the speed.* The other
# says: *waiting wastes machines. Let each one send its gradient to a parameter server as soon as it has it. A gradient
# that is a few steps old still points downhill.* The job goes out tonight with the learning rate that has always worked.
#
# **You will** run one training function under every strategy of `tf.distribute`, count the bytes that each one puts on
# the wire, kill a machine in the middle of a run and lose nothing, and find out what a late gradient does to a learning
# rate that has always worked.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the jobs of the cloud part run on Vertex AI
SEED = 20260601
ASYNCHRONOUS = True  # False: every gradient is waited for, none is ever stale, and the effect of this lab is gone

# %%
from labkit import lesson

lab = lesson.open("distributed-strategies", target=TARGET, seed=SEED)

import os
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the lab counts bytes between CPUs, also on a machine that has a GPU
sys.path.insert(0, str(lab.folder))        # trainer/ and cluster.py lie beside the notebook

import cluster

cluster.warm_up()  # the process that the lab's machines are copied from starts now, beside the imports below

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

from trainer import task

tf.get_logger().setLevel("ERROR")
# One CPU as two devices, so that there is something to distribute over. Only possible before TensorFlow has started.
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

work = lab.work / "clusters"
shutil.rmtree(work, ignore_errors=True)  # checkpoints of an earlier run would be resumed

# %% [markdown]
# ## The data and the trainer
# 1797 real scans of handwritten digits, 8 by 8 pixels, from scikit-learn. The model is small: one hidden layer. What
# matters here is how many bytes its weights have, because that is what travels.
#
# `trainer/task.py` lies beside this notebook and is what a container on Vertex AI would run. This notebook calls its
# functions, and the machines that we start run the file itself. It uses **Keras 2** (the package `tf_keras`): models
# of Keras 3 fail under two of the strategies, `MultiWorkerMirroredStrategy` and `ParameterServerStrategy`.

# %%
(images, labels), (test_images, test_labels) = task.digits(SEED)
start = task.build_model(SEED).get_weights()
MODEL_BYTES = sum(weight.nbytes for weight in start)

fig, axes = plt.subplots(1, 10, figsize=(9, 1.4))
for axis, image, label in zip(axes, images, labels):
    axis.imshow(image.reshape(8, 8), cmap="gray_r")
    axis.set(title=f"{label}", xticks=[], yticks=[])
fig.suptitle(f"{len(images)} scans to learn from; the model's weights are {MODEL_BYTES / 1000:.0f} kB", fontsize="medium")
plt.show()

# %% [markdown]
# ## Predict first
# Eight equally fast workers send gradients to a parameter server, and none waits for another. When a gradient arrives,
# seven others have changed the weights that it was computed from. One worker alone reads nearly all test digits with this
# learning rate. The eight get the same learning rate and compute the same number of gradients.

# %%
lab.predict(
    "stale",
    "What share of the test digits does the model of the eight read?",
    options=["about the same: old gradients still point downhill", "a few points less", "one in ten: it guesses"],
)

# %% [markdown]
# ## Waiting: five strategies, one function
# A *replica* is one copy of the model that computes gradients. Under a **synchronous** strategy all replicas work on
# parts of one global batch, wait until every gradient is there, add them up, and take the same step.
#
# | strategy | replicas | where the variables live |
# |---|---|---|
# | default (none asked for) | 1 | where TensorFlow puts them |
# | `OneDeviceStrategy` | 1 | on the one device you name |
# | `MirroredStrategy` | one per GPU of **one machine** | a copy on each GPU |
# | `CentralStorageStrategy` (experimental) | one per GPU of one machine | once, in the host's memory |
# | `TPUStrategy` | one per TPU core | a copy on each core |
# | `MultiWorkerMirroredStrategy` | one per GPU of **every machine** | a copy on each GPU |
# | `ParameterServerStrategy` | one per worker, **asynchronous** | spread over the parameter servers |
#
# The training function is the same for all: variables are made inside `strategy.scope()`, and `strategy.run` runs a
# step on every replica. Does the result depend on the strategy? We measure how far two runs end apart, as a share of
# the way that training has gone.

# %%
STEPS = 30
CPUS = ["CPU:0", "CPU:1"]


def distance(weights, reference):
    """Largest difference between two models, as a share of the largest change that training made."""
    apart = max(np.abs(a - b).max() for a, b in zip(weights, reference))
    way = max(np.abs(b - c).max() for b, c in zip(reference, start))
    return apart / way


one_machine = tf.distribute.get_strategy()
make_strategy = {
    "default": tf.distribute.get_strategy,
    "OneDeviceStrategy": lambda: tf.distribute.OneDeviceStrategy("CPU:0"),
    "MirroredStrategy": lambda: tf.distribute.MirroredStrategy(CPUS),
    "CentralStorageStrategy": lambda: tf.distribute.experimental.CentralStorageStrategy(CPUS, "CPU:0"),
}
ends, replicas = {}, {}
for name, make in make_strategy.items():
    strategy = make()
    ends[name] = task.train(strategy, SEED, STEPS).get_weights()
    replicas[name] = strategy.num_replicas_in_sync
reference = ends["default"]

# %% [markdown]
# A TPU is the one thing that no laptop has. The code is complete, and it fails where it should:

# %%
try:
    tpu = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    tf.tpu.experimental.initialize_tpu_system(tpu)
    ends["TPUStrategy"] = task.train(tf.distribute.TPUStrategy(tpu), SEED, STEPS).get_weights()
except tf.errors.NotFoundError as error:
    print("TPUStrategy:", str(error).split(". ")[0])

# %% [markdown]
# `MultiWorkerMirroredStrategy` needs machines. Ours are processes on this computer, each with an address, a `TF_CONFIG`
# and a counter on its network cable. They are started with the arguments that a container would get.

# %%
CHIEF = ("chief", 0)
two_machines = {"chief": 1, "worker": 1}
arguments = [f"--steps={STEPS}", f"--seed={SEED}", f"--checkpoint-dir={work / 'whole'}"]
ring_bytes = {}  # bytes that one machine sends in one step, by number of machines
METERED = 8      # steps

with cluster.LocalCluster(two_machines, arguments, work / "two", pause={CHIEF: [11, 11 + METERED]}) as machines:
    moved = machines.moved(*CHIEF)
    machines.wait("chief", 0)
    machines.wait("worker", 0)
ring_bytes[2] = sum(map(sum, moved.values())) / 2 / METERED


def saved_weights(folder):
    """The weights in a folder's last checkpoint."""
    model = task.build_model(SEED)
    tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(folder)).expect_partial()
    return model.get_weights()


# %% tags=["nbval-check-output"]
whole_run = saved_weights(work / "whole")
ends["MultiWorkerMirroredStrategy"], replicas["MultiWorkerMirroredStrategy"] = whole_run, 2
table = pd.DataFrame({"replicas": replicas})
table["ends apart from the default"] = [f"{distance(ends[name], reference):.4%}" for name in table.index]
print(table.to_string())

# %%
lab.claim(
    "synchronous strategies: end apart from one machine, share of the way",
    max(distance(weights, reference) for weights in ends.values()),
    at_most=1e-4,
)

# %% [markdown]
# The gradient of a mean is the mean of the gradients. So it does not matter who computes which part of a batch:
# **synchronous training on two machines is training on one machine with the same global batch**. What is left are rounding
# errors of additions in another order. If a synchronous run gives you another model, look for a bug. The next exercise
# is the usual one.

# %% [markdown]
# ## Exercise: the loss of a replica
# Each replica sees only its part of the global batch, and the strategy **adds up** the replicas' gradients. Write the
# loss of one replica so that the sum is the gradient of the mean loss over the global batch, for any number of
# replicas. `per_example_loss` holds the losses of this replica's examples, `global_batch` is the number of examples on
# all replicas together.

# %% tags=["exercise"]
def replica_loss(per_example_loss, global_batch):
    """A scalar: what this replica adds to the loss."""
    ### BEGIN SOLUTION
    return tf.reduce_sum(per_example_loss) / global_batch
    ### END SOLUTION


# %%
replica_loss = lab.check("replica_loss", replica_loss, task, make_strategy, SEED)

# %% [markdown]
# `tf.nn.compute_average_loss(per_example_loss, global_batch_size=…)` is the same thing. With Keras `fit` the division is done
# for you; in a loop of your own it is yours. The wrong version raises no error. It multiplies the learning rate.

# %% [markdown]
# ## Roles and TF_CONFIG
# What makes a process a machine of a cluster is one environment variable. `TF_CONFIG` says **who is there** (`cluster`,
# the same on all machines) and **who I am** (`task`, different on each).
#
# | role | how many | what it does |
# |---|---|---|
# | `chief` (`master` in TensorFlow 1) | exactly one | what a worker does, and writes checkpoints; with parameter servers it steers and computes nothing |
# | `worker` | any number | computes gradients |
# | `ps` | none, or one or more | holds variables; only under `ParameterServerStrategy` |
# | `evaluator` | none or one | evaluates checkpoints; **not part of the training cluster** |
#
# Without a `chief`, the first worker is the chief. Vertex AI sets `TF_CONFIG` for you, from the worker pools of the job.

# %% [markdown]
# ## Exercise: TF_CONFIG
# `addresses` lists the machines of a job by role. Write the dictionary that belongs into `TF_CONFIG` on machine `index` of
# `role`. The training cluster must not know of the evaluator, or it waits for it for ever.

# %%
addresses = {
    "chief": ["chief-0:2222"],
    "worker": ["worker-0:2222", "worker-1:2222", "worker-2:2222"],
    "ps": ["ps-0:2222", "ps-1:2222"],
    "evaluator": ["evaluator-0:2222"],
}


# %% tags=["exercise"]
def tf_config(addresses, role, index):
    """A dictionary with the keys cluster and task."""
    ### BEGIN SOLUTION
    training = {name: machines for name, machines in addresses.items() if name != "evaluator"}
    return {"cluster": training, "task": {"type": role, "index": index}}
    ### END SOLUTION


# %%
tf_config = lab.check("tf_config", tf_config, addresses)

# %% tags=["nbval-check-output"]
for role, index in [("worker", 2), ("evaluator", 0)]:
    print(role, index, tf_config(addresses, role, index), sep="\n  ")

# %% [markdown]
# ## A machine dies
# Synchronous training has a price: all wait for the slowest, and **all stop when one dies**. On Spot VMs that is not an
# accident but Tuesday. We start the same job again, with a checkpoint every ten steps, and send the worker SIGKILL
# between two of them. No handler runs and nothing is saved.

# %%
LAST_STEP = 23
arguments[-1] = f"--checkpoint-dir={work / 'killed'}"
WORKER = ("worker", 0)
with cluster.LocalCluster(two_machines, arguments, work / "first-try", pause={WORKER: [LAST_STEP]}) as machines:
    machines.paused(*WORKER)
    machines.kill(*WORKER)
    first_try = machines.log(*WORKER)

# %% [markdown]
# The second try runs on Vertex AI: a `CustomJob` with two **worker pools**, pool 0 for the chief and pool 1 for the worker.
# Vertex AI starts the machines and writes `TF_CONFIG` on each. The trainer is the same file with the same arguments. What
# the first try has saved goes into the bucket, into the folder that the job will find in `AIP_CHECKPOINT_DIR`. Nothing else tells
# it that this is a second try.

# %%
import logging

from google.cloud import aiplatform

for name in logging.root.manager.loggerDict:
    if name.startswith("google.cloud.aiplatform"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for each look at the job's state

aiplatform.init(**lab.target.vertex)
OUTPUT = f"{lab.target.bucket}/distributed-strategies"
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.delete_blobs(list(bucket.list_blobs(prefix="distributed-strategies/")))  # an earlier run's
for old in aiplatform.CustomJob.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
    old.delete()
for file in (lab.folder / "trainer").glob("*.py"):
    bucket.blob(f"distributed-strategies/code/trainer/{file.name}").upload_from_filename(file)
for file in filter(os.path.isfile, (work / "killed").iterdir()):
    bucket.blob(f"distributed-strategies/killed/checkpoints/{file.name}").upload_from_filename(file)

image = f"us-central1-docker.pkg.dev/{lab.target.vertex['project']}/labs/tensorflow:latest"  # with tensorflow, tf_keras
code = {"name": "PYTHONPATH", "value": f"{OUTPUT}/code".replace("gs://", "/gcs/")}  # the bucket as a folder


def pool(machine, replicas, *arguments):
    """One worker pool: `replicas` machines that run the trainer with the same arguments."""
    command = ["python", "-m", "trainer.task"]
    container = {"image_uri": image, "command": command, "args": list(arguments), "env": [code]}
    return {"machine_spec": machine, "replica_count": replicas, "container_spec": container}


cpu_machine = {"machine_type": "n1-standard-4"}
all_reduce = ("--strategy=multiworker", f"--steps={STEPS}", f"--seed={SEED}")
ring_job = aiplatform.CustomJob(
    display_name="digits-all-reduce",
    worker_pool_specs=[
        pool(cpu_machine, 1, *all_reduce),  # pool 0: the chief
        pool(cpu_machine, 1, *all_reduce),  # pool 1: the worker
    ],
    base_output_dir=f"{OUTPUT}/killed",
    labels=lab.target.labels,
)
ring_job.submit(restart_job_on_worker_restart=True)

# %% [markdown]
# It is on its way. Until it has ended: what must a checkpoint hold, so that a second try can go on as if nothing had been?
#
# ## Exercise: what belongs into a checkpoint
# The optimizer is SGD with momentum. The batches come in an order that depends on the step alone, and the step is
# `optimizer.iterations`. Write the function that makes the checkpoint, so that a resumed run ends where an undisturbed
# one does.

# %% tags=["exercise"]
def make_checkpoint(model, optimizer):
    """A tf.train.Checkpoint."""
    ### BEGIN SOLUTION
    return tf.train.Checkpoint(model=model, optimizer=optimizer)
    ### END SOLUTION


# %%
make_checkpoint = lab.check("make_checkpoint", make_checkpoint, task.build_model)


# %%
def stopped_and_resumed(make_checkpoint, name):
    """Trains 20 steps, stops, resumes from the checkpoint; how far from the undisturbed run does it end?"""
    options = {"checkpoint_dir": str(work / name), "make_checkpoint": make_checkpoint}
    task.train(one_machine, SEED, 20, **options)
    return distance(task.train(one_machine, SEED, STEPS, **options).get_weights(), reference)


contents = {
    "weights": lambda model, optimizer: tf.train.Checkpoint(model=model),
    "weights, step": lambda model, optimizer: tf.train.Checkpoint(model=model, step=optimizer.iterations),
    "weights, step, momentum": make_checkpoint,
}
apart = pd.Series({name: stopped_and_resumed(make, name) for name, make in contents.items()})
ax = apart.plot.barh(figsize=(7, 2))
ax.set(title="Without all of the optimizer, the resumed run ends at another model",
       xlabel="ends apart from the undisturbed run, share of the way", ylabel="checkpoint holds")
plt.show()
lab.claim("resumed from the weights and the step alone: ends apart", apart["weights, step"], at_least=0.01)
lab.claim("resumed from everything: ends apart", apart["weights, step, momentum"], at_most=1e-6)

# %% [markdown]
# No error, no warning, a loss that looks fine: the model is another one. With Keras `fit` the callback
# `BackupAndRestore` keeps weights, optimizer and epoch. Where your data begin after a restart stays your business.
#
# And the job? The trainer's checkpoint holds everything.

# %%
ring_job.wait_for_completion()
(work / "resumed").mkdir(exist_ok=True)
for blob in bucket.list_blobs(prefix="distributed-strategies/killed/checkpoints/", delimiter="/"):
    blob.download_to_filename(work / "resumed" / blob.name.rpartition("/")[2])


# %% tags=["nbval-check-output"]
def steps_of(log):
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("step ")]


second_try = [int(step) for step in (work / "resumed" / "steps.txt").read_text().split()]
twice = sorted(set(steps_of(first_try)) & set(second_try))
print(f"first try, here:          steps {steps_of(first_try)[0]} to {steps_of(first_try)[-1]}, then SIGKILL")
print(f"second try, on Vertex AI: steps {second_try[0]} to {second_try[-1]}")
print(f"computed twice, counted once: {twice}")

# %%
killed_run = saved_weights(work / "resumed")
lab.claim("killed and resumed: ends apart from the run that was never stopped", distance(killed_run, whole_run), at_most=1e-6)
lab.claim("steps computed twice", len(twice), at_least=1, at_most=9)
print(f"test accuracy, as an evaluator reads it from the checkpoint: {task.evaluate(work / 'resumed', SEED):.1%}")

# %% [markdown]
# The second try took up at the last checkpoint, did the steps after it again, and **ended at the very same weights**, on
# other machines. Three things make that so. The chief writes: one writer. Every machine reads that checkpoint, from storage
# that all of them reach: on Google Cloud a bucket. And the checkpoint holds *everything* that the next step depends on.

# %% [markdown]
# ## What travels
# Now the bytes. The sum of the gradients can come about in two ways.
#
# - **Ring all-reduce** (`MultiWorkerMirroredStrategy`; Horovod, for other frameworks too): each of $N$ machines cuts its
#   gradient into $N$ pieces and passes pieces to its neighbour, $N-1$ times to add up and $N-1$ times to spread the
#   sums. Each machine sends $2\,(N-1)/N$ times the model: never more than two, **however many machines there are**.
# - **Parameter server**: each worker fetches the weights and sends back a gradient, one model each way. That is little for
#   the worker, but at the server it all comes together: $N$ models out and $N$ models in for every round.
#
# We hold the counters of a ring of four machines and of a cluster with a chief, four workers and one parameter
# server against these formulas. The chief of the second cluster keeps all four workers busy and notes for each
# gradient how many others were applied between reading the weights and using them.

# %%
four_machines = {"chief": 1, "worker": 3}
arguments = [f"--steps={3 + METERED}", f"--seed={SEED}"]
with cluster.LocalCluster(four_machines, arguments, work / "four", pause={CHIEF: [3, 3 + METERED]}) as machines:
    moved = machines.moved(*CHIEF)
ring_bytes[4] = sum(map(sum, moved.values())) / 4 / METERED

WORKERS, GRADIENTS, LEARNING_RATE = 4, 100, 0.8
with_server = {"chief": 1, "worker": WORKERS, "ps": 1}
arguments = [
    "--strategy=parameter-server",
    f"--steps={GRADIENTS}",
    f"--seed={SEED}",
    f"--learning-rate={LEARNING_RATE}",
    f"--in-flight={0 if ASYNCHRONOUS else 1}",
]
with cluster.LocalCluster(with_server, arguments, work / "server", pause={CHIEF: [20, GRADIENTS]}) as machines:
    moved = machines.moved(*CHIEF)
    machines.wait(*CHIEF)
    report = dict(line.split(maxsplit=1) for line in machines.log(*CHIEF).splitlines() if line.startswith(("stal", "acc")))
rounds = (GRADIENTS - 20) / WORKERS  # one gradient of each worker is what a synchronous step needs
worker_bytes = sum(moved["worker", index][1] for index in range(WORKERS)) / rounds / WORKERS
server_bytes = moved["ps", 0][1] / rounds

# %% tags=["nbval-check-output"]
traffic = pd.DataFrame(
    [
        ("ring, 2 machines", "each machine", ring_bytes[2], 2 * (2 - 1) / 2),
        ("ring, 4 machines", "each machine", ring_bytes[4], 2 * (4 - 1) / 4),
        ("parameter server, 4 workers", "each worker", worker_bytes, 1),
        ("parameter server, 4 workers", "the server", server_bytes, WORKERS),
    ],
    columns=["", "sent by", "measured", "theory"],
)
traffic["measured"] /= MODEL_BYTES
print("models sent per step")
print(traffic.round(1).to_string(index=False))

# %%
lab.claim("bytes: measured against theory, largest deviation", (traffic.measured / traffic.theory - 1).abs().max(), at_most=0.1)
lab.claim("busiest machine, parameter server against ring, 4 workers", server_bytes / ring_bytes[4], at_least=2.2)

# %%
n = np.arange(2, 33)
fig, ax = plt.subplots()
ax.plot(n, n, label="parameter server: the server")
ax.plot(n, 2 * (n - 1) / n, label="ring all-reduce: each machine")
ax.plot(n, np.ones(len(n)), ls="--", label="Reduction Server: each worker (theory)")
ax.plot([2, 4], [ring_bytes[2] / MODEL_BYTES, ring_bytes[4] / MODEL_BYTES], "o", color="C1")
ax.plot([WORKERS], [server_bytes / MODEL_BYTES], "o", color="C0", label="measured")
ax.set(title="The busiest machine: a ring stays flat, one parameter server does not", xscale="log", yscale="log",
       xlabel="workers", ylabel="models sent per step")
ax.set_xticks([2, 4, 8, 16, 32], ["2", "4", "8", "16", "32"])
ax.set_yticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# The counters agree with the formulas up to the headers. The ring has no busiest machine, which makes all-reduce the choice
# for dense models. A busy parameter server is relieved by **more parameter servers**, each with a part of the variables.
# And it need not send everything: of a huge embedding table a step touches only a few rows.
#
# **Reduction Server** of Vertex AI borrows the server's idea for synchronous training: CPU machines between the GPU machines add
# up the gradients. A worker sends its gradient once and gets the sum back, half of what a long ring asks of it. It
# works for whatever uses NCCL for all-reduce, with the training code unchanged.

# %% [markdown]
# ## Not waiting
# The same cluster has trained meanwhile. Nobody waited, so most gradients were computed from weights that were
# already history when they arrived. The difference is called **staleness**. One machine, for comparison, computes
# as many gradients on batches of the same size with the same learning rate, one after the other.

# %%
staleness = pd.Series([int(value) for value in report["staleness"].split()])
cluster_accuracy = float(report["accuracy"])
alone = task.train(one_machine, SEED, GRADIENTS, global_batch=128, learning_rate=LEARNING_RATE, momentum=0.0)
alone_accuracy = task.accuracy(alone, SEED)

ax = staleness.value_counts(normalize=True).sort_index().mul(100).plot.bar(figsize=(5, 2.6), rot=0)
ax.set(title=f"{WORKERS} workers that do not wait: most gradients are out of date",
       xlabel="staleness: gradients of others applied in the meantime", ylabel="share of gradients, %")
plt.show()
print(f"test accuracy: one machine {alone_accuracy:.0%}, {WORKERS} workers asynchronously {cluster_accuracy:.0%}")

# %%
lab.claim("mean staleness in the running cluster", staleness.mean(), at_least=0.3)
lab.claim("accuracy lost in the running cluster", alone_accuracy - cluster_accuracy, at_least=0.3)

# %% [markdown]
# Gradients that are only a step or two old, and the model guesses. The learning rate that worked now diverges.
# How old may a gradient be? A running cluster gives whatever staleness the machines happen to have, so now we set it:
# real gradients of the same model, computed by workers that take turns, as equally fast ones would. Each gradient
# is computed from the weights that its worker fetched on its last turn.

# %%
ONE_BATCH = 128
stream = tuple(task.global_batches((images, labels), SEED, ONE_BATCH).take(GRADIENTS))


def logits_of(weights, images):
    return tf.tanh(images @ weights[0] + weights[1]) @ weights[2] + weights[3]


def loss_of(weights, images, labels):
    """The mean loss; of several models at once, the sum of theirs, so that each gets the gradient of its own."""
    logits = logits_of(weights, images)
    labels = tf.broadcast_to(labels, tf.shape(logits)[:-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_sum(tf.reduce_mean(losses, axis=-1))


@tf.function
def step(weights, weights_read, images, labels, learning_rate):
    """`weights` after a step along the gradient at `weights_read`."""
    with tf.GradientTape() as tape:
        tape.watch(weights_read)
        loss = loss_of(weights_read, images, labels)
    gradients = tape.gradient(loss, weights_read)
    return [weight - learning_rate * gradient for weight, gradient in zip(weights, gradients)]


def take_turns(workers, learning_rate, stream=stream, start=start):
    """Weights after training with a staleness of workers - 1."""
    weights = [tf.constant(weight) for weight in start]
    fetched = [weights] * (workers if ASYNCHRONOUS else 1)
    for turn, (images, labels) in enumerate(stream):
        worker = turn % len(fetched)
        weights = step(weights, fetched[worker], images, labels, tf.constant(learning_rate, tf.float32))
        fetched[worker] = weights
    return weights


def test_accuracies(weights):
    return np.mean(np.argmax(logits_of(weights, test_images), axis=-1) == test_labels, axis=-1)


teams = [1, 2, 4, 8]
rates = 0.05 * 2 ** np.arange(0, 5.5, 0.5)
# One model for each learning rate, all trained side by side: one more axis, in front.
many = [np.stack([np.atleast_2d(weight)] * len(rates)) for weight in start]
curves = {team: test_accuracies(take_turns(team, rates[:, None, None], start=many)) for team in teams}
curves = pd.DataFrame(curves, index=rates)

fig, ax = plt.subplots()
for team in teams:
    ax.plot(rates, 100 * curves[team], marker="o", label=f"{team} worker{'s' if team > 1 else ''}, staleness {team - 1}")
ax.axhline(10, color="0.5", ls=":")
ax.set(title="Staleness costs next to nothing, and then everything", xscale="log",
       xlabel="learning rate", ylabel="test accuracy, %")
ax.set_xticks([0.05, 0.1, 0.2, 0.4, 0.8, 1.6], ["0.05", "0.1", "0.2", "0.4", "0.8", "1.6"])
ax.minorticks_off()
ax.legend(loc="center left")
plt.show()

# %%
usable = {team: rates[curves[team] > 0.8].max() for team in teams}  # the model reads four digits in five
theory = {team: np.sin(np.pi / (2 * (2 * team - 1))) for team in teams}
limits = pd.DataFrame({"largest usable rate": usable, "share of one worker's": 0.0, "theory": theory})
limits["share of one worker's"] = limits["largest usable rate"] / usable[1]
print(limits.round(2).rename_axis("workers").to_string())

safe = float(curves[8].iloc[0] - curves[1].iloc[0])
eight = curves[8][LEARNING_RATE]
print(f"\n8 workers, learning rate {rates[0]:g}: {safe:+.1%}; learning rate {LEARNING_RATE:g}: {eight - curves[1][LEARNING_RATE]:+.1%}")

# %%
outcome = np.digitize(curves[1][LEARNING_RATE] - eight, [0.01, 0.5])
lab.revisit("stale", ["about the same: old gradients still point downhill", "a few points less", "one in ten: it guesses"][outcome])
lab.claim("8 workers, rate that works alone: accuracy lost to staleness", curves[1][LEARNING_RATE] - eight, at_least=0.6)
lab.claim("largest usable rate, 1 worker over 8 workers", usable[1] / usable[8], at_least=4)

# %% [markdown]
# Look at the shape: **no slope, a cliff**. Left of it staleness costs next to nothing. Right of it the model guesses.
#
# A gradient step is a correction: it looks at where the weights are and pushes them back towards the valley. A stale
# gradient corrects an error of some steps ago, as in a shower whose warm water takes a while. Push gently and you
# arrive; push hard and each correction comes too late and adds to the next error. The swing grows until
# nothing is left. On a parabola the limit can be computed: the largest rate shrinks as $\sin(\pi / (2\,(2s+1)))$ for
# staleness $s$. That is the column *theory*, from a formula that knows nothing about digits. The rule to remember:
# **double the workers, halve the learning rate**.
#
# So what has asynchrony to offer? It never waits. A slow machine hands in late, a dead one hands in nothing, and
# the others go on. That is worth its price on machines that differ in speed or come and go. Among equal machines with a
# fast network there is nobody to wait for.

# %% [markdown]
# ## More replicas, larger batch
# The synchronous colleague has a price of another kind to pay. The global batch is the batch of one replica times
# the replicas. Eight replicas see the same data in an eighth of the steps, and with the old learning rate
# each step is as short as ever. The common remedy is to **multiply the learning rate by the replicas**, as long as
# the result stays left of the cliff.

# %%
REPLICAS, SMALL_BATCH, SMALL_RATE, SMALL_STEPS = 8, 32, 0.05, 240
small = tuple(task.global_batches((images, labels), SEED, SMALL_BATCH).take(SMALL_STEPS))
large = tuple(task.global_batches((images, labels), SEED, SMALL_BATCH * REPLICAS).take(SMALL_STEPS // REPLICAS))
runs = {
    "1 replica": (small, SMALL_RATE),
    "8 replicas, same rate": (large, SMALL_RATE),
    "8 replicas, rate x 8": (large, SMALL_RATE * REPLICAS),
}
loss = {name: float(loss_of(take_turns(1, rate, batches), images, labels)) for name, (batches, rate) in runs.items()}
print(pd.DataFrame({
    "global batch": {name: len(batches[0][1]) for name, (batches, _) in runs.items()},
    "steps": {name: len(batches) for name, (batches, _) in runs.items()},
    "learning rate": {name: rate for name, (_, rate) in runs.items()},
    "training loss": loss,
}).round(2).to_string())
lab.claim("8 replicas, same rate: training loss over that of one", loss["8 replicas, same rate"] / loss["1 replica"], at_least=2)
lab.claim("8 replicas, rate x 8: training loss over that of one", loss["8 replicas, rate x 8"] / loss["1 replica"], at_most=1.3)

# %% [markdown]
# Both colleagues must touch the learning rate that has always worked, in opposite directions. Waiting makes few steps and
# wants a **larger** rate. Not waiting makes many steps and tolerates only a **smaller** one. Tonight's eight machines
# are equal and reserved, so the first colleague is right: all-reduce, and the rate times eight. Were they a mixed lot of Spot
# VMs, the second would be, with an eighth of the rate.

# %% [markdown]
# ## When the model does not fit
# All of the above is **data parallelism**: each replica holds all weights, and the weights (as gradients) travel. A large
# model does not fit into one accelerator at all. Then the model itself is cut, which is **model parallelism**:
#
# - **tensor parallelism** cuts inside a layer: each device has half of the columns of the first matrix and the matching
#   half of the rows of the second, and their results are added up;
# - **pipeline parallelism** cuts between layers: the first device passes its activations on. While the second works,
#   the first must already work on another micro-batch, or it idles.
#
# What travels now are activations and their gradients. We cut our model over the two devices both ways and
# count every tensor that changes device, forwards and backwards.

# %%
carried = []


def send(tensor, device):
    """The tensor on another device; its gradient comes back the same way. Both are counted."""

    @tf.custom_gradient
    def there(value):
        carried.append(value.shape.num_elements() * value.dtype.size)

        def back(gradient):
            carried.append(gradient.shape.num_elements() * gradient.dtype.size)
            with tf.device(tensor.device):
                return tf.identity(gradient)

        with tf.device(device):
            return tf.identity(value), back

    return there(tensor)


def on(device, *arrays):
    with tf.device(device):
        return [tf.Variable(array) for array in arrays]


W1, b1, W2, b2 = start
half = task.HIDDEN // 2


def tensor_parallel(x, y):
    left = on("CPU:0", W1[:, :half], b1[:half], W2[:half], b2)
    right = on("CPU:1", W1[:, half:], b1[half:], W2[half:])
    with tf.GradientTape() as tape:
        with tf.device("CPU:1"):
            part = tf.tanh(x @ right[0] + right[1]) @ right[2]
        with tf.device("CPU:0"):
            logits = tf.tanh(x @ left[0] + left[1]) @ left[2] + left[3] + send(part, "CPU:0")
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    gradient_left, gradient_right = tape.gradient(loss, [left, right])
    return tf.concat([gradient_left[0], gradient_right[0]], axis=1), left, right


def pipeline(x, y):
    first, second = on("CPU:0", W1, b1), on("CPU:1", W2, b2)
    with tf.GradientTape() as tape:
        with tf.device("CPU:0"):
            hidden = tf.tanh(x @ first[0] + first[1])
        with tf.device("CPU:1"):
            logits = send(hidden, "CPU:1") @ second[0] + second[1]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    return tape.gradient(loss, first)[0], first, second


def cut(how, batch):
    """Gradient of the first matrix, bytes carried, and the fuller device's share of the weights."""
    carried.clear()
    gradient, *devices = how(images[:batch], labels[:batch])
    shares = [sum(variable.shape.num_elements() * 4 for variable in device) / MODEL_BYTES for device in devices]
    return gradient.numpy(), sum(carried), max(shares)


weights = [tf.constant(weight) for weight in start]
with tf.GradientTape() as tape:
    tape.watch(weights)
    whole_loss = loss_of(weights, images[:64], labels[:64])
whole_gradient = tape.gradient(whole_loss, weights)[0].numpy()

batches = [8, 64, 512]
rows = {"data parallel (ring)": [2 * MODEL_BYTES] * 3 + [1.0]}
for name, how in {"pipeline": pipeline, "tensor parallel": tensor_parallel}.items():
    rows[name] = [cut(how, batch)[1] for batch in batches] + [cut(how, 64)[2]]
columns = [f"kB, batch {batch}" for batch in batches] + ["weights on the fuller device"]
split = pd.DataFrame(rows, index=columns).T
split[columns[:3]] /= 1000
print(split.round(2).to_string())

# %%
error = max(np.abs(cut(how, 64)[0] - whole_gradient).max() for how in (pipeline, tensor_parallel))
lab.claim("model parallelism: largest error of a gradient, relative", error / np.abs(whole_gradient).max(), at_most=1e-4)
lab.claim("tensor parallelism: share of the weights on the fuller device", split.loc["tensor parallel"].iloc[-1], at_most=0.51)

# %% [markdown]
# The same gradient, with half of the weights on each device. **Data parallelism moves weights, whatever the batch. Model
# parallelism moves activations, in proportion to the batch.** In a transformer a cut layer must exchange its activations at
# every layer, forwards and backwards: so tensor parallelism stays inside a machine, on the fastest links, pipelines go
# between machines, and data parallelism goes around both.

# %% [markdown]
# ## Exercise: choose
# Six jobs. Name the strategy of `tf.distribute` for each, as in the table at the top.

# %%
jobs = {
    "A": "1 machine with 8 GPUs. The model fits into one GPU.",
    "B": "4 equal machines with 8 GPUs each, reserved for the night, fast network. The model fits into one GPU.",
    "C": "A TPU v3 host with 8 cores.",
    "D": "30 Spot machines without GPUs, of mixed speed, that come and go. Huge embedding tables of which a step uses few rows.",
    "E": "1 machine with 4 GPUs. The embedding table fits into the host's memory and into no GPU.",
    "F": "1 machine with 1 GPU, to try code that is written for many: every variable and op on that GPU, no second replica.",
}
for name, machines in jobs.items():
    print(name, machines)

# %% tags=["exercise"]
### BEGIN SOLUTION
choice = {
    "A": "MirroredStrategy",
    "B": "MultiWorkerMirroredStrategy",
    "C": "TPUStrategy",
    "D": "ParameterServerStrategy",
    "E": "CentralStorageStrategy",
    "F": "OneDeviceStrategy",
}
### END SOLUTION

# %%
choice = lab.check("choice", choice)

# %% [markdown]
# ## On Google Cloud
# A distributed job of Vertex AI (since April 2026: Agent Platform, with the same API) is a `CustomJob` with up to four
# **worker pools**, and their order is their meaning: 0 is the chief (exactly one replica), 1 the workers, 2 the parameter
# servers or the reduction servers, 3 the evaluators. Vertex AI writes `TF_CONFIG` (and `CLUSTER_SPEC`, for other frameworks)
# on each machine. This is the job that has gone on where the killed one stopped:

# %%
lab.target.show(ring_job)

# %% [markdown]
# The other jobs of this lab, as the pools that they need. The machines of a parameter-server job all get the same container
# and arguments and find their role in `TF_CONFIG`. Reduction Server goes into pool 2: not our container but
# Google's, on machines without GPUs. A TPU job is one pool, and `TPUStrategy` finds the cores on its machine.

# %%
gpu_machine = {"machine_type": "n1-standard-16", "accelerator_type": "NVIDIA_TESLA_V100", "accelerator_count": 8}
tpu_machine = {"machine_type": "cloud-tpu", "accelerator_type": "TPU_V3", "accelerator_count": 8}
reducer = "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"
by_server = ("--strategy=parameter-server", f"--steps={GRADIENTS}")
plans = {
    "parameter server": [pool(cpu_machine, count, *by_server) for count in (1, WORKERS, 1)],
    "reduction server": [
        pool(gpu_machine, 1, *all_reduce),
        pool(gpu_machine, 3, *all_reduce),
        {"machine_spec": {"machine_type": "n1-highcpu-16"}, "replica_count": 4, "container_spec": {"image_uri": reducer}},
    ],
    "TPU": [pool(tpu_machine, 1)],
}
for name, pools in plans.items():
    job = aiplatform.CustomJob(display_name=name, worker_pool_specs=pools, labels=lab.target.labels)
    for number, spec in enumerate(job.job_spec.worker_pool_specs):
        machine = spec.machine_spec
        print(f"{name}, pool {number}: {spec.replica_count} x {machine.machine_type}", end="")
        print(f" with {machine.accelerator_count} {machine.accelerator_type.name}" if machine.accelerator_count else "")

# %% [markdown]
# What makes a dead machine harmless on Vertex AI is said when the job is sent: `submit(restart_job_on_worker_restart=True)`, and
# `scheduling_strategy` with `SPOT` for Spot VMs. A worker that exits with an error is started again under the same host name.
# With `restart_job_on_worker_restart` the **whole job** starts again, as we did it by hand: right for all-reduce, whose
# survivors cannot go on alone. A parameter-server job does without: its workers may come and go. The checkpoints lie in
# `AIP_CHECKPOINT_DIR`, a folder in the bucket that Vertex AI derives from `base_output_dir`, and `trainer.task` reads it from
# there. The job is done when the chief has ended well; Vertex AI then stops the workers and servers, which would wait for
# orders for ever.
#
# **What the flag changes.** Here the two machines of the job were processes of this one: no image was pulled, their packages are
# those of this notebook, and the checkpoints were files where Google has a bucket. Build an image with `tensorflow` and
# `tf_keras` first; `/gcs/` and `PYTHONPATH` bring the trainer along. Reduction Server's container runs by its own entry
# point, which only Google has, so that job cannot be sent here.
#
# You need the role *Vertex AI User* and, for the job's service account, write access to the bucket. Quotas count each machine
# and each accelerator type of a region. Only the first job is sent: two small machines for some minutes, and the card names
# the most that it can cost; machines of a job that has ended cost nothing. The next cell lists what would be deleted
# afterwards, and `lab.cleanup(delete=True)` deletes it. The image is yours to delete.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A synchronous strategy changes the speed and not the model; in return all wait for the slowest, and a
# checkpoint of weights, optimizer and data position is what makes a dead machine harmless. An asynchronous one waits for
# nobody, and its stale gradients are free up to a learning rate that halves with every doubling of the workers, and fatal
# beyond. A ring sends two models per step from each machine however many there are; at one parameter server they all
# come together.

# %%
lab.finish()

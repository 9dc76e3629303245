# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Batch size and learning rate: one number, until it breaks
#
# A post office trains its reader of handwritten digits every night, on one machine, with batches of 8 rows and a rate that
# somebody once tuned. It takes too long. So 32 machines are rented. Each computes the gradient of 8 rows, the
# gradients are averaged, and everybody takes the same step (synchronous data parallelism): a **global batch of 256**.
# Nobody touches the rate, and the number of epochs stays as it is.
#
# The night is 32 times shorter, and the model is useless. *"Distributed training costs accuracy,"* says the report, and
# the machines are to be given back. Is that so? And if it can be mended for 32 machines, why not rent 128?
#
# **You will** train 126 combinations of batch size and rate at once, find the one number that decides them, see where it
# stops deciding, count what a larger batch saves in steps and costs in rows, and choose how many machines to rent.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the two jobs run on Vertex AI
SEED = 20260601
SHARDED = True       # False: every worker reads the same rows, and the effect of this lab is gone
EPOCHS = 8

# %%
from labkit import lesson

lab = lesson.open("sgd-batch-learning-rate", target=TARGET, seed=SEED)

import json
import logging
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(lab.folder))  # trainer/ lies beside the notebook

from trainer import task

threadpool_limits(1)                 # the matrices are small: more threads would only wait for each other
logging.disable(logging.WARNING)     # the SDK says a dozen lines for each job

# %% [markdown]
# ## The data, and what a batch knows
# Real digits, written by hand, 8 × 8 pixels; 1,400 of them to train on. The network has one hidden layer and is trained by
# plain SGD: no momentum, no schedule, a fixed rate. What we look at is the loss on the training rows, since the question is
# how fast it falls.
#
# A batch stands for all rows. How well? Before training begins, take the gradient of a batch, and the gradient of all rows:
# the length of their difference, in units of the true gradient's length.

# %%
table = lab.data("handwritten-digits").to_numpy(dtype=float)
rows = np.random.default_rng(SEED).permutation(len(table))[:1400]
X, y = table[rows, :64], table[rows, 64].astype(int)
X = ((X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1)).astype("float32")

ROWS_OF_A_WORKER = 4
DISTINCT = None if SHARDED else ROWS_OF_A_WORKER
batches = 2 ** np.arange(2, 11)

start = task.initial(64, 1, SEED)
true = task.gradients(start, X, y)[0]
error = []
for batch in batches:
    draws = task.draws(len(X), batch, SEED, DISTINCT)
    distances = [np.linalg.norm(task.gradients(start, X[drawn], y[drawn])[0] - true)
                 for drawn, _ in zip(draws, range(30), strict=False)]
    error.append(np.mean(distances) / np.linalg.norm(true))

fig, ax = plt.subplots(figsize=(5.6, 2.8))
ax.loglog(batches, error, "o-", base=2, label="measured, mean of 30 batches")
ax.loglog(batches, error[0] * np.sqrt(batches[0] / batches), ":", color="0.4", base=2, label="1 / √batch")
ax.set(title="Four times the rows halve the error of the gradient", xlabel="batch size, rows",
       ylabel="error of the gradient,\nshare of its length")
ax.set_xticks(batches, batches)
ax.set_yticks([0.25, 0.5, 1, 2], [0.25, 0.5, 1, 2])
ax.legend()
plt.show()

# %% [markdown]
# So a larger batch gives a better gradient. But it is still **one** step, and in an epoch there are fewer of them.
#
# ## Predict first
# One worker, batch 8, rate 1/32, 8 epochs. Then 32 workers, global batch 256, the same rate, the same 8 epochs: every row is seen
# just as often, and each gradient is more exact.

# %%
BASE_BATCH, BASE_RATE = 8, 1 / 32
answers = ["lower: the gradients are better", "about the same: each row is seen as often", "many times higher"]
lab.predict("thirty_two", "What is the loss of the 32 workers?", options=answers)

# %%
def loss_of(batch, rate):
    """The loss on the training rows after EPOCHS with this global batch and rate."""
    steps = task.steps_of(EPOCHS, len(X), batch)
    return task.losses(task.train(X, y, batch, [rate], steps, SEED, distinct=DISTINCT), X, y)[0]


one_worker = loss_of(BASE_BATCH, BASE_RATE)
same_rate = loss_of(256, BASE_RATE)
print(f"1 worker: {one_worker:.3f} after {task.steps_of(EPOCHS, len(X), BASE_BATCH)} steps; "
      f"32 workers: {same_rate:.3f} after {task.steps_of(EPOCHS, len(X), 256)} steps; guessing: {np.log(10):.3f}")
lab.revisit("thirty_two", answers[2])
lab.claim("32 workers at the same rate: loss over that of one worker", same_rate / one_worker, at_least=5)

# %% [markdown]
# The report is right about the model and wrong about the reason. A thirty-second of the steps, each of the same length: the
# weights have **gone a thirty-second of the way**. Nothing is lost but distance.
#
# ## Exercise: the rate for 32 workers
# Set `rate_256` so that a global batch of 256 ends after the same 8 epochs at the loss of one worker with batch 8, within
# 30%. Think of one step of the large batch: which steps of the small one does it replace?

# %% tags=["exercise"]
# A number; BASE_BATCH, BASE_RATE and loss_of(batch, rate) are there.
### BEGIN SOLUTION
rate_256 = BASE_RATE * 256 / BASE_BATCH
### END SOLUTION

# %%
rate_256 = lab.check("rate_for_32", rate_256, loss_of, BASE_BATCH, BASE_RATE, SHARDED)

# %% [markdown]
# ## The grid
# Now all of it: nine batch sizes, fourteen rates, 8 epochs each. All rates of one batch size are trained at once, on the
# same batches. **Follow a diagonal**: one field to the right and one up doubles batch and rate together.

# %%
rates = 2.0 ** np.arange(-10, 4)
grid = pd.DataFrame(
    [task.losses(task.train(X, y, batch, rates, task.steps_of(EPOCHS, len(X), batch), SEED, distinct=DISTINCT), X, y)
     for batch in batches],
    index=pd.Index(batches, name="batch"), columns=pd.Index(rates, name="rate"),
)


def text(number):
    return f"1/{round(1 / number)}" if number < 1 else f"{number:g}"


fig, ax = plt.subplots(figsize=(7.6, 5.2))
shown = grid.T.to_numpy()
image = ax.pcolormesh(np.log10(np.where(shown < np.log(10), shown, np.nan)), cmap="viridis_r", vmin=-2.3, vmax=0.4)
ax.set_facecolor("0.85")
for (row, column), loss in np.ndenumerate(shown):
    words = ("> 100" if loss > 100 else f"{loss:.3f}") if loss > 0.0005 else "0"
    ax.text(column + 0.5, row + 0.5, words, ha="center", va="center", fontsize=7, color="w" if 0.05 < loss < np.log(10) else "k")
base = (np.log2(BASE_BATCH) - 2, np.log2(BASE_RATE) + 10)
ax.plot([base[0] + 0.5, 8.5], [base[1] + 0.5, base[1] + 9 - base[0] - 0.5], color="red", lw=1.5, alpha=0.7)
ax.add_patch(plt.Rectangle(base, 1, 1, fill=False, ec="red", lw=2))
ax.set_xticks(np.arange(9) + 0.5, batches)
ax.set_yticks(np.arange(14) + 0.5, [text(rate) for rate in rates])
ax.grid(visible=False)
ax.set(title="Loss after 8 epochs: constant along each diagonal,\nuntil a step is too long (grey: not better than guessing)",
       xlabel="batch size, rows", ylabel="learning rate")
plt.show()

# %% tags=["nbval-check-output"]
along = pd.Series({batch: grid.loc[batch, BASE_RATE * batch / BASE_BATCH] for batch in batches})
best = grid.idxmin(axis=1)
print("loss where rate / batch = 1/256:", {batch: f"{along[batch]:.2f}" for batch in (4, 8, 16, 32, 64, 128)})
print("best rate:", {batch: text(best[batch]) for batch in (4, 8, 16, 32, 128, 256, 512, 1024)})

# %%
holds = along[along.index <= 512]
lab.claim("batch 4 to 512, rate in proportion: highest loss over lowest", holds.max() / holds.min(), at_most=1.5)
lab.claim("batch 1,024, rate in proportion: loss over that of guessing", along[1024] / np.log(10), at_least=5)
lab.claim("growth of the best rate from batch 4 to 32, over that from 128 to 1,024",
          (best[32] / best[4]) / (best[1024] / best[128]), at_least=3)

# %% [markdown]
# **The grid has one number in it, not two: rate ÷ batch.** From batch 8 to 512 on the red line, batch and rate both grow
# 64-fold, the number of steps shrinks 64-fold, and the loss hardly changes. Two steps of batch 4 move the weights by
#
# $$-\eta\,\bar g_1(w) - \eta\,\bar g_2(w')\;\approx\;-2\eta\;\tfrac{1}{2}\big(\bar g_1(w) + \bar g_2(w)\big),$$
#
# and the right side is one step of batch 8 at rate $2\eta$. The only thing to be neglected: that the first step has changed the
# gradient for the second, $w'$ is not $w$. This is the **linear scaling rule**: rate in proportion to the batch.
#
# And it says when the rule ends: when a step is so long that the gradient at its end is another one. In a valley of
# curvature $\lambda$ a step longer than $2/\lambda$ lands higher on the other side than it has started. That bound is the
# **valley's**; no batch raises it. In the grid it is the grey ceiling, at the same height for all large batches. Small
# batches are stopped earlier, by their own noise, and that limit does grow with the batch.
#
# With copies instead of rows (`SHARDED = False`) nothing is averaged: $\bar g_1$ is all there is, twice. Then the small
# batch's limit holds for all. Workers that read the same shard are a bug that no error message reports.
#
# ## Exercise: up to which batch?
# Someone has tuned `base_rate` for `base_batch`. From the grid one knows the `ceiling`: the largest rate that still trains with
# large batches. Complete `largest_batch`: up to which global batch may both be scaled together?

# %%
ceiling = max(rate for rate in rates if grid.loc[1024, rate] < np.log(10))
print(f"ceiling: {ceiling:g}")

# %% tags=["exercise"]
def largest_batch(base_batch, base_rate, ceiling):
    """The largest batch whose rate, in proportion, is not above the ceiling."""
    ### BEGIN SOLUTION
    return base_batch * ceiling / base_rate
    ### END SOLUTION


# %%
largest_batch = lab.check("largest_batch", largest_batch, grid, ceiling)

# %%
for base_rate in (BASE_RATE / 2, BASE_RATE, 2 * BASE_RATE, 4 * BASE_RATE):
    limit = largest_batch(BASE_BATCH, base_rate, ceiling)
    print(f"batch {BASE_BATCH} at rate {text(base_rate):>4}: up to batch {limit:g}, {limit / BASE_BATCH:g} workers")

# %% [markdown]
# Read it twice: **the better the single machine was tuned, the fewer workers it can be scaled to.** Who has already used the largest
# rate that the valley allows has nothing left to multiply. A timid rate scales wonderfully, because it was slow to begin with.
#
# ## Does warm-up move the ceiling?
# The usual advice for large batches: let the rate rise during the first steps. We look for the ceiling in finer steps at batch
# 256, with a warm-up of none, a quarter and half of all steps.

# %%
fine = 2.0 ** np.arange(0, 3.1, 0.125)
steps = task.steps_of(EPOCHS, len(X), 256)
ceilings = {}
for share in (0, 0.25, 0.5):
    weights = task.train(X, y, 256, fine, steps, SEED, warmup=round(share * steps), distinct=DISTINCT)
    after = task.losses(weights, X, y)
    ceilings[share] = fine[after < np.log(10)].max(initial=fine[0])
    print(f"warm-up {share:4.0%} of the steps: ceiling {ceilings[share]:.2f}, loss at rate 1: {after[0]:.3f}")
lab.claim("ceiling with warm-up over ceiling without", ceilings[0.5] / ceilings[0], at_most=1.6)

# %% [markdown]
# Hardly, and it costs distance. Batch 1,024 would need rate 4, and no warm-up gets there. Warm-up is a remedy for a bad
# **beginning**: when the first gradients are much larger than later ones, as in very deep networks, with batch
# normalisation, or with Adam, whose averages are still empty. It lets a rate that is right later survive the start. Here the
# valley is as narrow later as at the start. *Warm-up helps against the first steps, not against the curvature.*
#
# ## What a larger batch saves, and what it costs
# Now another question: not the loss after 8 epochs, but the **steps until the loss is 0.1**, each batch with the best rate
# that we find for it.

# %%
GOAL = 0.1


def steps_to_goal(batch):
    """The number of steps to GOAL at the best of the four rates around the largest that this batch bears."""
    candidates = [rate for rate in batch * 2.0 ** np.arange(-7, -3) if rate <= ceiling] or [ceiling]
    most = int(np.clip(6 * len(X) / batch, 60, 1500))
    look, reached = set(np.geomspace(4, most, 50).astype(int)), []

    def watch(number, weights):
        if not reached and number in look and task.losses(weights, X, y).min() < GOAL:
            reached.append(number)

    task.train(X, y, batch, candidates, most, SEED, distinct=DISTINCT, watch=watch)
    return reached[0] if reached else np.inf


race = pd.DataFrame({"steps": {batch: steps_to_goal(batch) for batch in batches}}).rename_axis("batch")
race["rows"] = race["steps"] * race.index

fig, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3), layout="constrained")
left.loglog(race.index, race["steps"], "o-", base=2)
left.loglog(race.index, race["steps"].iloc[0] * 4 / race.index, ":", color="0.4", base=2, label="half for each doubling")
left.set(title="Time: steps fall, then stay", xlabel="batch size, rows", ylabel=f"steps to loss {GOAL}")
left.legend()
right.loglog(race.index, race["rows"], "o-", color="C1", base=2)
right.set(title="Cost: rows stay, then rise", xlabel="batch size, rows", ylabel=f"rows to loss {GOAL}")
for ax in (left, right):
    ax.set_xticks(batches[::2], batches[::2])
    ax.yaxis.set_major_formatter("{x:,.0f}")
plt.show()
few, many = race["steps"][4] / race["steps"][32], race["steps"][128] / race["steps"][1024]
print(f"eight times the batch makes it {few:.1f} times shorter from 4 to 32, {many:.1f} times from 128 to 1,024")
lab.claim("steps at batch 128 over steps at batch 1,024", many, at_most=2.5)

# %% [markdown]
# The two regimes have a name each. Left, the noise of the gradient is the limit: twice the rows allow twice the rate, the steps
# are halved, the work stays the same. Time is bought for nothing. Right, the valley is the limit: the gradient is exact enough, the
# rate cannot grow, and further rows are paid for and thrown away. Between them lies the **critical batch size**. It is no property of
# the hardware, and there is no need to guess it: double the batch and count the steps.
#
# ## Exercise: how many workers?
# A worker computes 8 rows in 10 ms, whatever the others do. Two or more workers need 2 ms in each step to average the
# gradients. All rent is per worker and second. `race` has the steps to the goal for each global batch. Set `workers` to the **smallest
# number of workers whose time is at most 1.25 times that of the fastest**.

# %% tags=["exercise"]
# A whole number: 1, 2, 4, … or 128.
### BEGIN SOLUTION
plan = race[race.index >= 8].copy()
plan["workers"] = plan.index // 8
plan["seconds"] = plan["steps"] * (0.010 + 0.002 * (plan["workers"] > 1))
workers = int(plan.loc[plan["seconds"] <= 1.25 * plan["seconds"].min(), "workers"].min())
### END SOLUTION

# %%
workers = lab.check("how_many_workers", workers, race)

# %%
plan = race[race.index >= 8].assign(workers=lambda frame: frame.index // 8)
plan["seconds"] = plan["steps"] * (0.010 + 0.002 * (plan["workers"] > 1))
plan["worker-seconds"] = plan["workers"] * plan["seconds"]
print(plan.round(2).to_string())
print(f"\nchosen: {workers} workers")

# %% [markdown]
# The cost per **epoch** falls with the batch on any hardware that likes large matrices. That is true, and beside the point: what is
# paid for is the way to the goal, and above the critical batch it takes more epochs.
#
# ## On Google Cloud
# `trainer/task.py` has trained the grid, and it is a program too: `--batch-size` and `--learning-rate` are arguments, so that a
# grid can also be a list of jobs, or a `HyperparameterTuningJob`. Two custom jobs: one worker's settings, and those of
# 32 workers with your rate. Data and code lie in the bucket, which each training container sees as the folder `/gcs/`.

# %%
aiplatform.init(**lab.target.vertex)
NAME = "sgd-batch-learning-rate"
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.delete_blobs(list(bucket.list_blobs(prefix=f"{NAME}/")))
for old in aiplatform.CustomJob.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
    old.delete()

np.savez(lab.work / "digits.npz", X=X, y=y)
bucket.blob(f"{NAME}/digits.npz").upload_from_filename(lab.work / "digits.npz")
for module in ("__init__.py", "task.py"):
    bucket.blob(f"{NAME}/code/trainer/{module}").upload_from_filename(lab.folder / "trainer" / module)

mounted = f"{lab.target.bucket}/{NAME}".replace("gs://", "/gcs/")
project, location = lab.target.vertex["project"], lab.target.vertex["location"]
IMAGE = f"{location}-docker.pkg.dev/{project}/labs/sgd:1.0"   # built from the Dockerfile beside the notebook


def job(batch, rate):
    """A custom job that trains with this global batch and rate."""
    container = {
        "image_uri": IMAGE,
        "command": ["python", "-m", "trainer.task"],
        "args": [f"--data={mounted}/digits.npz", f"--batch-size={batch}", f"--learning-rate={rate}",
                 f"--epochs={EPOCHS}", f"--seed={SEED}"],
        "env": [{"name": "PYTHONPATH", "value": f"{mounted}/code"}, {"name": "OPENBLAS_NUM_THREADS", "value": "1"},
                {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
    }
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
    return aiplatform.CustomJob(f"{NAME}-{batch}", [pool], base_output_dir=f"{lab.target.bucket}/{NAME}/batch-{batch}",
                                labels=lab.target.labels)


cells = {BASE_BATCH: BASE_RATE, 256: rate_256}
jobs = {batch: job(batch, rate) for batch, rate in cells.items()}
for sent in jobs.values():
    sent.submit()
for batch, sent in jobs.items():
    sent.wait_for_completion()
    metrics = json.loads(bucket.blob(f"{NAME}/batch-{batch}/model/metrics.json").download_as_bytes())
    expected = grid.loc[batch, cells[batch]]
    print(f"batch {batch}: {metrics['steps']} steps, loss {metrics['loss']:.4f}; in the grid {expected:.4f}")
    assert abs(metrics["loss"] / expected - 1) < 0.01, f"batch {batch}: the job is not the grid's cell"

# %% [markdown]
# With `TARGET="vertex"` the same cells send the jobs to Vertex AI. Build the image first: the command stands in the `Dockerfile`.
# Roles: *Vertex AI User* and *Storage Object Admin* on the bucket; quota: CPUs of custom training, two machines at once; cost: two
# machines for some minutes, at most the sum on the card, most of it their start. Nothing goes on costing but the files.
#
# **What differs.** Here a job is a process on this machine, and the image is not pulled. Other CPUs round differently, so the
# comparison allows one per cent. In real data parallelism there is one worker pool with many replicas and
# a `MultiWorkerMirroredStrategy`; its `batch_size` for `Dataset.batch` is the **global** one, and the rate belongs to that
# number. We have one process with the global batch: for plain SGD the averaged gradient is the same. Batch normalisation would be
# different, since each worker normalises over its own rows.
#
# Afterwards `lab.cleanup(delete=True)` deletes the jobs by their label and the lab's files in the bucket.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens
# *More workers or a larger batch, same rate, worse loss after as many epochs*: raise the rate in proportion, with warm-up. *Loss is NaN after
# scaling*: the rate is above the ceiling; fewer workers or a smaller rate. *More workers, no faster to the goal*: beyond the critical
# batch. *Out of memory*: a smaller batch with a smaller rate, or gradient accumulation, which keeps both. *Noisy loss*: a larger batch or a
# smaller rate, the same ratio.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Per epoch, only rate ÷ batch counts: scale both together and the loss stays. The rate has a ceiling that the loss
# surface sets, so the rule ends at *base batch × ceiling ÷ base rate*, and warm-up hardly moves it. Up to the
# critical batch more workers buy time for nothing; beyond it they buy nothing.

# %%
lab.finish()

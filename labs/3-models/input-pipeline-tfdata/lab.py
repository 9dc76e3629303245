# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Input-bound: why a faster accelerator buys nothing
#
# A post office reads handwritten digits. The model is trained every night from files in a bucket. The device needs 12
# ms for a step, 16 steps make an epoch, so an epoch should take a fifth of a second. It takes many times that. Three
# proposals are on the table: **buy a device twice as fast**, add the line `.prefetch(AUTOTUNE)` that every guide
# begins with, or rewrite how the files are read.
#
# A colleague has already rewritten it. His version runs at the speed of the device, and his model is worse than the old
# one. Nobody sees why: the same files, the same model, the same number of steps.
#
# **You will** measure the ceiling of a training and say what holds it back, compute what a purchase would bring, read
# the profiler's trace, take the wait out stage by stage, and find the orders of stages that are fast and wrong.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the job runs on Vertex AI
SEED = 20260601
LATENCY_MS = 90.0    # what opening one file costs before its first byte is there; 0: nothing to wait for
SORTED = True        # the export was sorted by label, as an ORDER BY leaves it; False: it lies in random order

# %%
from labkit import lesson

lab = lesson.open("input-pipeline-tfdata", target=TARGET, seed=SEED)

import shutil
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

keras.utils.set_random_seed(SEED)
BATCH = 64
STEP_MS = 12.0       # one training step on the device
PARALLEL = 8         # files that are read at the same time
AUTOTUNE = tf.data.AUTOTUNE

# %% [markdown]
# ## The data: 16 shards in TFRecord format
# 1,024 digits to train on, the others to test. A TFRecord file is a row of serialised `tf.train.Example` messages, one
# after the other, made to be read from front to back. 16 of them share the data. The export query ended with
# `ORDER BY label`, and the shards were filled in that order.

# %%
rng = np.random.default_rng(SEED)
digits = lab.data("handwritten-digits").to_numpy()
images, labels = digits[:, :64].astype("uint8").reshape(-1, 8, 8), digits[:, 64].astype("int64")
rows = rng.permutation(len(images))
N, SHARDS = 1024, 16
train, test = rows[:N], rows[N:]
if SORTED:
    train = train[np.argsort(labels[train], kind="stable")]


def serialised(row):
    """One image and its label as a tf.train.Example."""
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[images[row].tobytes()]))
    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[row]]))
    return tf.train.Example(features=tf.train.Features(feature={"image": image, "label": label})).SerializeToString()


def write(path, rows):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(serialised(row))
    return str(path)


folder = lab.work / "shards"
shutil.rmtree(folder, ignore_errors=True)      # of an earlier run
folder.mkdir()
parts = np.array_split(train, SHARDS)
files = [write(folder / f"digits-{number:02d}-of-{SHARDS}.tfrecord", part) for number, part in enumerate(parts)]

fig, ax = plt.subplots(figsize=(6.5, 2.4))
ax.scatter(np.repeat(np.arange(SHARDS), N // SHARDS), labels[train] + rng.uniform(-0.3, 0.3, N), s=2)
ax.set(title="Each shard holds one digit or two", xlabel="shard", ylabel="digit", yticks=range(10))
plt.show()

# %% [markdown]
# **What is real here, and what is played.** The files, the parsing, `tf.data` and its threads are real. Two things are
# pauses. Opening a file costs `LATENCY_MS`, since a bucket answers after a round trip and a local disk does not. And a
# step on the device costs `STEP_MS`: this machine has no accelerator, and while a GPU works, the processor is free, as
# it is in a pause.
#
# The pause of a file is an operation of the input pipeline. Operations take their threads from a pool that is as
# large as the number of cores, and a waiting call keeps its thread. `blocking` gives the pipeline a pool of its own.

# %%
SIDE = 12            # 8 pixels and a margin of 2, in which a digit can move
FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
opened = []          # every file that was opened, in order


def wait(path):
    opened.append(path)
    time.sleep(LATENCY_MS / 1000)
    return path


def read(path):
    """The records of one file."""
    answered = tf.data.Dataset.from_tensors(path).map(
        lambda name: tf.ensure_shape(tf.numpy_function(wait, [name], tf.string), []))
    return answered.flat_map(tf.data.TFRecordDataset)


def decode(records):
    """Images (n, SIDE, SIDE) between 0 and 1, and labels, of n records."""
    parsed = tf.io.parse_example(records, FEATURES)
    pixels = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [-1, 8, 8])
    return tf.pad(tf.cast(pixels, tf.float32) / 16, [[0, 0], [2, 2], [2, 2]]), parsed["label"]


def decode_one(record):
    """One record: decoded, and moved by up to two pixels, since nobody writes into the middle."""
    pixels, label = decode(record[None])
    return tf.roll(pixels[0], tf.random.uniform([2], -2, 3, tf.int32), [0, 1]), label[0]


def blocking(dataset):
    options = tf.data.Options()
    options.threading.private_threadpool_size = PARALLEL
    return dataset.with_options(options)


def seconds(dataset, step_ms=STEP_MS, epochs=1):
    """Seconds of an epoch, the fastest of some: what else runs on the machine can only slow them."""
    found = []
    for _ in range(epochs):
        start = time.perf_counter()
        for _ in dataset:
            time.sleep(step_ms / 1000)
        found.append(time.perf_counter() - start)
    return min(found)


# %% [markdown]
# ## Predict first
# As found, the pipeline opens one shard after the other, decodes record by record, and hands over a batch when it is full.

# %%
options = {
    "device": "a device twice as fast",
    "prefetch": "prefetch: the next batch while the device works",
    "interleave": f"reading {PARALLEL} files at the same time",
}
lab.predict("best", "Which single change shortens the epoch most?", options=list(options.values()))

# %% [markdown]
# ## Three numbers that name the bottleneck
# 1. **The device alone**: the same batch again and again, from memory. No input can be faster, so this is the
#    *ceiling*.
# 2. **The input alone**: the pipeline, and nobody who uses its batches.
# 3. **Both**, the epoch as it is.

# %%
shards = tf.data.Dataset.from_tensor_slices(files)
one_batch = (tf.zeros([BATCH, SIDE, SIDE]), tf.zeros([BATCH], tf.int64))
in_memory = tf.data.Dataset.from_tensors(one_batch).repeat(N // BATCH)
as_found = blocking(shards.interleave(read, cycle_length=1).shuffle(BATCH).map(decode_one).batch(BATCH))

device_s = seconds(in_memory, epochs=2)
input_s = seconds(as_found, step_ms=0, epochs=2)
found_s = seconds(as_found, epochs=2)
for name, value in [("device alone", device_s), ("input alone", input_s), ("both", found_s)]:
    print(f"{name:13} {value:5.2f} s an epoch {N / value:8,.0f} examples/s")
lab.claim("as found: share of the ceiling", device_s / found_s, at_most=0.35)

# %% [markdown]
# The device could take several times as many examples as it gets. The training is **input-bound**. The third number is
# about the sum of the first two: the pipeline prepares a batch, the device works while the pipeline rests, and so
# on in turns.
#
# ## Exercise: compute before you buy
# With `.prefetch` a thread prepares the next batch while the device works on this one, so the two overlap. Write
# `epoch_time(input_s, device_s, prefetch)`: the seconds of an epoch, from the seconds that the input alone and
# the device alone take, without and with prefetch. (The first batch, for which the device must wait in any case, may be
# left out.)

# %% tags=["exercise"]
def epoch_time(input_s, device_s, prefetch):
    """Seconds of one epoch."""
    ### BEGIN SOLUTION
    return max(input_s, device_s) if prefetch else input_s + device_s
    ### END SOLUTION

# %%
epoch_time = lab.check("epoch_time", epoch_time)

# %%
prefetched = as_found.prefetch(AUTOTUNE)
interleaved = blocking(shards.interleave(read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)
                       .shuffle(BATCH).map(decode_one).batch(BATCH))
prefetched_s = seconds(prefetched, epochs=2)
changes = pd.DataFrame({
    "computed": [input_s + device_s, epoch_time(input_s, device_s / 2, False), epoch_time(input_s, device_s, True),
                 epoch_time(input_s, device_s / 2, True), np.nan],
    "measured": [found_s, seconds(as_found, STEP_MS / 2, epochs=2), prefetched_s,
                 seconds(prefetched, STEP_MS / 2, epochs=2), seconds(interleaved, epochs=2)],
}, index=["as found", "device", "prefetch", "prefetch and device", "interleave"])
changes["gain"] = found_s / changes["measured"]
print(changes.rename_axis("seconds an epoch").to_string(float_format="{:.2f}".format, na_rep=""))

# %%
lab.revisit("best", options[changes.loc[list(options), "measured"].idxmin()])
gain = changes["gain"]
lab.claim("prefetch alone, times faster", gain["prefetch"], at_most=1.6)
lab.claim(f"{PARALLEL} files at the same time, times faster", gain["interleave"], at_least=1.5)
lab.claim("with prefetch: a device twice as fast, times faster",
          prefetched_s / changes["measured"]["prefetch and device"], at_most=1.5)

# %% [markdown]
# The advice that comes first helps least. Prefetch turns a sum into a maximum: at best, when both sides are equal,
# it halves the epoch; where the input takes ten times as long as the device, it saves a tenth. And **behind a slow
# input with prefetch a faster device gains nothing at all**: its time no longer stands in the formula.
#
# Reading several files at once shortens the input itself. Nothing was computed faster. There was nothing to compute:
# the pipeline had waited for one answer after the other.
#
# ## Read it in the trace
# So far we have measured from outside. The profiler looks inside. It writes one file in protobuf form, `*.xplane.pb`,
# that TensorBoard's Profile tab displays; the message class comes with TensorFlow, so we can read it here. Each stage of
# `tf.data` has its name in it, and `Trace` adds names of our own.

# %%
from tensorflow.tsl.profiler.protobuf import xplane_pb2


def trace(name, dataset, steps=10):
    """The events of some training steps, from the profiler: name, start and duration in ms."""
    target = lab.work / "profile" / name
    quick = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    batches = iter(dataset)
    next(batches)                                    # the first batch also builds the pipeline
    tf.profiler.experimental.start(str(target), options=quick)
    for _ in range(steps):
        with tf.profiler.experimental.Trace("wait for input"):
            next(batches)
        with tf.profiler.experimental.Trace("step on the device"):
            time.sleep(STEP_MS / 1000)
    tf.profiler.experimental.stop()
    written = max(target.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime_ns)
    space = xplane_pb2.XSpace.FromString(written.read_bytes())
    plane = next(plane for plane in space.planes if plane.name == "/host:CPU")
    names = {number: event.name for number, event in plane.event_metadata.items()}
    rows = [(names[event.metadata_id], line.timestamp_ns / 1e6 + event.offset_ps / 1e9, event.duration_ps / 1e9)
            for line in plane.lines for event in line.events]
    events = pd.DataFrame(rows, columns=["name", "start", "ms"])
    return events.assign(start=events["start"] - events.loc[events["name"] == "wait for input", "start"].min())


def waiting(events):
    """Share of the steps' time in which the device had nothing to do."""
    totals = events.groupby("name")["ms"].sum()
    return totals["wait for input"] / (totals["wait for input"] + totals["step on the device"])


found_trace = trace("as-found", as_found)
stages = found_trace[found_trace["name"].str.contains(r"^Iterator::|PyFunc:|ParseExampleV2:|FunctionRun")]
table = stages.groupby("name")["ms"].agg(["count", "sum"]).sort_values("sum", ascending=False)
table.index = table.index.str.replace("Iterator::Root", "…")
print(table.rename(columns={"sum": "ms in all"}).head(9).round(1).to_string())
print(f"\nthe device waits for {waiting(found_trace):.0%} of the time")

# %% [markdown]
# Each line contains the lines of the stages below it, as a call contains what it calls. So read from the top until the
# time drops. It stays nearly whole down to the stage that opens files, `PyFunc` (a read from the bucket would
# stand there as `TFRecord`). What comes next is `FunctionRun`: `decode_one`, called **once for every record**. Parsing
# itself is a small part of it. Two things to mend, then: waits in a row, and calls.
#
# The table also shows what `tf.data` has done by itself: the last stages were fused to `MapAndBatch`.
#
# ## Batch before map
# A call of a function has a price that does not depend on how much it gets. `decode` takes a vector of records. So
# `.batch(BATCH).map(...)` makes one call for a batch, where `.map(...).batch(BATCH)` makes 64. The moving of the digits
# has to go along.
#
# ## Exercise: move every image of a batch
# Write `augment(images, labels)` for a batch: each image moves down and right by whole pixels from -2 to 2, **drawn for each
# image and anew in each call**, and the labels stay. `shift` does the moving. No loop over images: that would bring
# the calls back.

# %%
def shift(images, down, right):
    """Every image of a batch moved by so many pixels: one number for all, or one for each image."""
    n = tf.shape(images)[0]
    places = tf.range(SIDE)[None, :]
    down, right = tf.broadcast_to(down, [n])[:, None], tf.broadcast_to(right, [n])[:, None]
    images = tf.gather(images, (places - down) % SIDE, axis=1, batch_dims=1)
    return tf.gather(images, (places - right) % SIDE, axis=2, batch_dims=1)


# %% tags=["exercise"]
def augment(images, labels):
    """The batch, each image moved by a draw of its own."""
    ### BEGIN SOLUTION
    draws = tf.random.uniform([tf.shape(images)[0], 2], -2, 3, tf.int32)
    return shift(images, draws[:, 0], draws[:, 1]), labels
    ### END SOLUTION

# %%
augment = lab.check("augment", augment)

# %% [markdown]
# How much is it worth? The records come from memory now, so that only the calls are left, and the clock is that of
# the processor: a call is work, not a wait.

# %%
records = blocking(shards.interleave(read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)).cache()
REPEATS = 4                     # so that calls are measured, and not the start of the pipeline
after_map = records.repeat(REPEATS).map(decode_one).batch(BATCH)
before_map = records.repeat(REPEATS).batch(BATCH).map(lambda batch: augment(*decode(batch)))


def processor_seconds(dataset):
    """Processor time of all threads together."""
    start = time.process_time()
    for _ in dataset:
        pass
    return time.process_time() - start


for _ in records:               # fills the cache
    pass
calls_s = pd.Series({"map, then batch": processor_seconds(after_map), "batch, then map": processor_seconds(before_map)})
print((REPEATS * N / calls_s).rename("examples a second of processor time").round(-2).astype(int).to_string())
lab.claim("batch before map, times faster", calls_s.iloc[0] / calls_s.iloc[1], at_least=2)

# %% [markdown]
# ## From the found pipeline to the ceiling
# Now one change at a time, each on top of the one before, and the epoch of each. The last one keeps the records in
# memory after the first epoch.

# %%
def parallel_reads():
    return shards.interleave(read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)


mended = blocking(parallel_reads().cache().shuffle(N).batch(BATCH)
                  .map(lambda batch: augment(*decode(batch))).prefetch(AUTOTUNE))
stages = {
    "+ parallel interleave": interleaved.prefetch(AUTOTUNE),
    "+ parallel map": blocking(parallel_reads().shuffle(BATCH).map(decode_one, num_parallel_calls=AUTOTUNE)
                               .batch(BATCH).prefetch(AUTOTUNE)),
    "+ batch before map": blocking(parallel_reads().shuffle(BATCH).batch(BATCH)
                                   .map(lambda batch: augment(*decode(batch))).prefetch(AUTOTUNE)),
    "+ cache": mended,
}
epochs_s = {"as found": found_s, "+ prefetch": prefetched_s}
for _ in mended:            # fills the cache
    pass
epochs_s |= {name: seconds(dataset, epochs=2) for name, dataset in stages.items()}
rates = N / pd.Series(epochs_s)
mended_trace = trace("mended", mended)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), width_ratios=[1.15, 1])
axes[0].barh(rates.index[::-1], rates.iloc[::-1], color="C0")
axes[0].axvline(N / device_s, color="C1", label="ceiling: device alone")
axes[0].set(title="From a tenth of the ceiling to near it", xlabel="examples/s", xlim=(0, 1.25 * N / device_s))
axes[0].legend(loc="upper right", framealpha=1)
for place, events in [(1, found_trace), (0, mended_trace)]:
    for name, color in [("wait for input", "0.75"), ("step on the device", "C0")]:
        spans = events[(events["name"] == name) & (events["start"] < 400)]
        axes[1].broken_barh(spans[["start", "ms"]].to_numpy(), (place - 0.35, 0.7), color=color, label=name)
axes[1].set(title="The trace: the device works in the blue parts", yticks=[0, 1], yticklabels=["mended", "as found"],
            xlabel="time, ms", xlim=(0, 400), ylim=(-0.6, 2.1))
axes[1].legend(*[part[:2] for part in axes[1].get_legend_handles_labels()], loc="upper right", ncols=2, fontsize="small")
plt.show()
print(f"the device waits for {waiting(found_trace):.0%} of the time as found, {waiting(mended_trace):.0%} mended")

# %%
lab.claim("mended: share of the ceiling", rates["+ cache"] * device_s / N, at_least=0.4)
lab.claim("as found: share of the steps that the trace shows waiting", waiting(found_trace), at_least=0.6)
lab.claim("mended: share of the steps that the trace shows waiting", waiting(mended_trace), at_most=0.4)

# %% [markdown]
# From here on the training is **device-bound**. Now, and only now, a faster device would help.
#
# Not every stage moved the bar. A stage that is not the bottleneck can be made as fast as you like. The order of work
# follows from the trace: first the stage in which the time is, then trace again.
#
# Why shards at all? A file costs its round trip, however little is in it:

# %%
single = lab.work / "single"
single.mkdir(exist_ok=True)
alone = [write(single / f"{number:02d}.tfrecord", [row]) for number, row in enumerate(parts[0][:16])]
one_file_s = seconds(read(files[0]).take(16), 0)
many_files_s = seconds(tf.data.Dataset.from_tensor_slices(alone).interleave(read, cycle_length=1), 0)
print(f"16 examples: from one shard {one_file_s * 1000:.0f} ms, from files of their own {many_files_s * 1000:.0f} ms")
lab.claim("sixteen small files over one shard, times slower", many_files_s / one_file_s, at_least=2)

# %% [markdown]
# A shard should be large enough that the round trip does not count (the usual advice is 100 MB and more), and there
# should be more shards than parallel reads, so that all readers and all workers of a cluster have something to do.
#
# ## As fast, and wrong
# Two pipelines of the colleague, with the same stages and at the same speed. Each is trained for the same number of
# steps and tested on digits that were moved, too.
#
# - *Small buffer*: `shuffle(64)`, "a batch is enough, and it saves memory".
# - *Cache last*: `.cache()` after everything, "then nothing has to be computed twice".

# %%
EPOCHS = 20
test_images = shift(tf.constant(np.pad(images[test] / 16, [(0, 0), (2, 2), (2, 2)]), tf.float32),
                    *rng.integers(-2, 3, (2, len(test))).astype("int32"))
model = keras.Sequential([keras.Input((SIDE, SIDE)), keras.layers.Flatten(),
                          keras.layers.Dense(96, activation="relu"), keras.layers.Dense(10)])
initial = model.get_weights()


def ready(batch):
    return augment(*decode(batch))


cached = tf.data.TFRecordDataset(files).cache()      # shard after shard; the wait plays no part here
pipelines = {
    "mended": cached.shuffle(N, seed=SEED).batch(BATCH).map(ready),
    "small buffer": cached.shuffle(BATCH, seed=SEED).batch(BATCH).map(ready),
    "cache last": cached.shuffle(N, seed=SEED).batch(BATCH).map(ready).cache(),
}
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, steps_per_execution=16, jit_compile=False)
model.optimizer.build(model.trainable_variables)
fresh = [variable.numpy() for variable in model.optimizer.variables]


def accuracy_after(dataset):
    """Accuracy on the test digits after EPOCHS epochs from the same initial weights."""
    model.set_weights(initial)
    for variable, value in zip(model.optimizer.variables, fresh, strict=True):
        variable.assign(value)
    model.fit(dataset.repeat().prefetch(AUTOTUNE), steps_per_epoch=EPOCHS * N // BATCH, shuffle=False, verbose=0)
    return float((model(test_images).numpy().argmax(axis=1) == labels[test]).mean())


results = pd.DataFrame({
    "accuracy": {name: accuracy_after(dataset) for name, dataset in pipelines.items()},
    "examples/s": {name: N / seconds(dataset.prefetch(AUTOTUNE), epochs=1) for name, dataset in pipelines.items()},
})
print(results.to_string(formatters={"accuracy": "{:.2f}".format, "examples/s": "{:,.0f}".format}))

# %%
accuracy = results["accuracy"]
lab.claim("accuracy lost to a small buffer on sorted shards", accuracy["mended"] - accuracy["small buffer"], at_least=0.1)
lab.claim("accuracy lost to a cache behind the augmentation", accuracy["mended"] - accuracy["cache last"], at_least=0.01)

# %% [markdown]
# Three numbers of examples per second that are the same, and three models. No error, no warning. What happened stands in
# the batches. Look at them instead of the loss:

# %% tags=["nbval-check-output"]
def looked_at(dataset, epochs=4):
    """Digits in a batch, and how many different versions of one training image four epochs show."""
    kinds, seen = [], {}
    for _ in range(epochs):
        for pixels, digits in dataset:
            kinds.append(len(set(digits.numpy().tolist())))
            for image, digit in zip(pixels.numpy(), digits.numpy(), strict=True):
                same = (digit, np.sort(image, axis=None).tobytes())     # moving an image does not change this
                seen.setdefault(same, set()).add(image.tobytes())
    return {"digits in a batch, median": int(np.median(kinds)),
            "images that never change": sum(len(versions) == 1 for versions in seen.values())}


seen = pd.DataFrame({name: looked_at(dataset) for name, dataset in pipelines.items()}).T
print(seen.to_string())

# %% [markdown]
# - `shuffle(64)` mixes 64 neighbours, no more. In sorted shards neighbours are alike. The model sees a stretch of a few
#   digits, then of others, and at the end of each epoch it has forgotten the first ones.
# - `cache` keeps what reaches it. Behind the augmentation that is **one** draw for each image, for ever: the line that
#   should give twenty versions of a digit gives one.
# - Two more that cost quality without a word: `repeat` before `shuffle` mixes epochs, so some examples come twice before others
#   come at all; `cache` behind `shuffle` plays one order in every epoch.
#
# What is the same in every epoch goes before the cache, what is random behind it.
#
# ## Exercise: the order of the stages
# Write `pipeline(files, epochs)`: a dataset of batches `(images, labels)` for so many epochs. Read with `interleave` and
# `read`, use `decode` and `augment`, and put cache, shuffle, batch, map, repeat in an order such that
#
# - every file is opened **once**, not once in every epoch,
# - each epoch has each of the `N` examples exactly once, in an order of its own,
# - nearly all ten digits are in a batch,
# - an image is moved anew in every epoch.

# %% tags=["exercise"]
def pipeline(files, epochs):
    """Batches (images, labels) of `epochs` epochs."""
    ### BEGIN SOLUTION
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)
    batches = records.cache().shuffle(N).batch(BATCH).map(lambda batch: augment(*decode(batch)))
    return blocking(batches.repeat(epochs).prefetch(AUTOTUNE))
    ### END SOLUTION

# %%
pipeline = lab.check("pipeline", pipeline, files, opened)

# %% [markdown]
# ## On Google Cloud
# The shards go to the bucket and the two pipelines to a job, next to the data. `trainer/task.py` has no line about
# Cloud Storage: in a training container the bucket is a folder below `/gcs/` (Cloud Storage FUSE). TensorFlow could
# also read `gs://` by itself.

# %%
import json
import logging

from google.cloud import aiplatform

for name in logging.root.manager.loggerDict:
    if name.startswith("google.cloud.aiplatform"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line every few seconds

aiplatform.init(**lab.target.vertex)
OUTPUT = f"{lab.target.bucket}/input-pipeline-tfdata"
MOUNTED = OUTPUT.replace("gs://", "/gcs/")
IMAGE = f"{lab.target.vertex['location']}-docker.pkg.dev/{lab.target.vertex['project']}/labs/tfdata:1.0"

bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
for old in aiplatform.CustomJob.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
    old.delete()
bucket.delete_blobs(list(bucket.list_blobs(prefix="input-pipeline-tfdata/")))
for path in sorted(folder.glob("*.tfrecord")):
    bucket.blob(f"input-pipeline-tfdata/shards/{path.name}").upload_from_filename(path)
bucket.blob("input-pipeline-tfdata/code/task.py").upload_from_filename(lab.folder / "trainer" / "task.py")

job = aiplatform.CustomJob(
    display_name="input-pipeline",
    worker_pool_specs=[{
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {
            "image_uri": IMAGE,
            "command": ["python", "-m", "task"],
            "args": [f"--data={MOUNTED}/shards", f"--latency-ms={LATENCY_MS:g}", f"--device-ms={STEP_MS:g}"],
            "env": [{"name": "PYTHONPATH", "value": f"{MOUNTED}/code"}],
        },
    }],
    base_output_dir=f"{OUTPUT}/job",
    labels=lab.target.labels,
)

# %%
job.run()

# %%
in_job = json.loads(bucket.blob("input-pipeline-tfdata/job/model/rates.json").download_as_text())
print(f"in the job: {in_job['found_per_second']:,.0f} examples/s as found, {in_job['mended_per_second']:,.0f} mended")
assert in_job["shards"] == SHARDS and in_job["examples"] == in_job["mended_examples"] == N
lab.claim("in the job: mended over as found, times faster",
          in_job["mended_per_second"] / in_job["found_per_second"], at_least=2)

# %% [markdown]
# **Before.** Build the container image from the `Dockerfile` beside the notebook. You need *Vertex AI User* and *Storage Object Admin*
# on the bucket; the job's service account must read and write it. The quota is that of custom training's CPUs in the region.
#
# **What differs.** Here `/gcs/` is a folder on this machine's disk, and the wait for a file is planted. On Google Cloud set
# `LATENCY_MS = 0`: then the first number is what the bucket itself costs, and the claims about waits may fail, which is an
# answer, too. Keep bucket and job in one region. Cloud Storage FUSE is made for large files read in a row, which is what a shard
# is. The device is still a pause; put your training step in its place.
#
# **On a machine with an accelerator** the recipe is the same: one batch from memory for the ceiling, the pipeline alone, both. If
# the input alone is slower than the device after all this, it needs cores: a machine type with more vCPUs for the same
# accelerator, or `tf.data` service on further machines, and not a larger accelerator.
#
# **Cost.** One small machine for some minutes; the card names the upper bound. **Afterwards** nothing costs but the files.
# The next cell lists what `lab.cleanup(delete=True)` deletes.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** Measure the ceiling with a batch from memory before you buy anything: without prefetch an epoch is the sum of input
# and device, with it the larger of the two, and a faster device shortens only its own part. The wait goes where the trace
# shows it: shards and parallel reads against latency, batch before map against calls, a cache against doing it all again. What is
# random stays behind the cache and the shuffle buffer holds as much as the order of the files demands, or the fast pipeline
# trains another model.

# %%
lab.finish()

# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Learn from few labels: the perfect base model that costs you labels
#
# In hall B of a warehouse a camera reads the bay number that workers write on each crate. Bays 0 to 4 are in use.
# On Monday **bays 5 to 9** open, and there are hardly any labelled crates for them: a label costs a minute of an
# inspector. Two trained networks are at hand, both of the same size:
#
# - **hall B's own**: same camera, same pens, trained on bays 0 to 4. It makes hardly any mistake.
# - **hall A's**: an older, tilted, blurred camera, all ten digits. It makes mistakes every day.
#
# A colleague proposes the first as the base, "it is perfect, and it knows our camera". How many labels does that save?
#
# **You will** compare both bases with none at all by the number of labels, look into the layers for the reason, build
# a frozen base with a new head in Keras, fine-tune without forgetting the old bays, and find an augmentation that
# adds images and takes away accuracy.

# %% tags=["parameters"]
TARGET = "local"   # "vertex": registry and fine-tuning job are Google's
SEED = 20260601
NARROW = True      # False: hall B's network was trained on all ten digits, and the effect of this lab is gone
COPIES = 5         # draws of the few labels, each trained separately; accuracies are their mean

# %%
from labkit import lesson

lab = lesson.open("transfer-learning-augmentation", target=TARGET, seed=SEED)

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow would report that there is no GPU
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy import ndimage
from sklearn.datasets import load_digits

sys.path.insert(0, str(lab.folder))  # many.py lies beside the notebook
import many

keras.utils.set_random_seed(SEED)
rng = np.random.default_rng(SEED)

# %% [markdown]
# ## The data: 1,797 real digits, two cameras
# Handwritten digits of 8 x 8 pixels that ship with scikit-learn. 800 of them were seen by hall A's camera, the others
# by hall B's: no image is in both halls. Of the new bays, 25 images per digit may be labelled; the rest is the test.

# %%
digits = load_digits()
order = rng.permutation(len(digits.target))
images, labels = (digits.images[order] / 16).astype("float32"), digits.target[order]


def camera_a(pictures):
    """Old, tilted and out of focus."""
    blurred = ndimage.gaussian_filter(pictures, (0, 0.4, 0.4))
    tilts = rng.normal(5, 5, len(pictures))
    seen = np.stack([ndimage.rotate(one, tilt, reshape=False, order=1)
                     for one, tilt in zip(blurred, tilts, strict=True)])
    return np.clip(0.8 * seen + rng.normal(0.05, 0.06, seen.shape), 0, 1)


def camera_b(pictures):
    """New, with a little noise."""
    return np.clip(pictures + rng.normal(0, 0.05, pictures.shape), 0, 1)


def flat(pictures):
    return pictures.reshape(*pictures.shape[:-2], 64).astype("float32")


hall_a, hall_a_labels = flat(camera_a(images[:800])), labels[:800]
hall_b, hall_b_labels = flat(camera_b(images[800:])), labels[800:]
old, old_labels = hall_b[hall_b_labels < 5], hall_b_labels[hall_b_labels < 5]
new, new_labels = hall_b[hall_b_labels >= 5], hall_b_labels[hall_b_labels >= 5]
pool = np.concatenate([np.flatnonzero(new_labels == digit)[:25] for digit in range(5, 10)])
rest = np.setdiff1d(np.arange(len(new)), pool)
test, test_labels = new[rest], new_labels[rest]

fig, axes = plt.subplots(2, 10, figsize=(7.5, 1.9))
for row, (pictures, of, hall) in enumerate([(hall_a, hall_a_labels, "A"), (hall_b, hall_b_labels, "B")]):
    for digit, ax in enumerate(axes[row]):
        ax.imshow(pictures[of == digit][0].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    axes[row, 0].set_ylabel(f"hall {hall}")
fig.suptitle("The same digits, two cameras: hall A's is tilted and blurred")
plt.show()

# %% [markdown]
# ## Two base models
# The same network in Keras, two hidden layers and a head with one output per digit. `many.train` (in `many.py`) trains
# several networks at once, on full batches: that is what makes the dozens of trainings of this lab cheap.

# %%
HIDDEN = (64, 48)


def network(classes):
    layers = [keras.layers.Dense(size, activation="relu") for size in HIDDEN]
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(classes)])


def trained_on(pictures, of, classes):
    """A network that was trained on these images: 200 steps of Adam."""
    model = network(classes)
    weights = many.train(many.copies_of(model, 1), pictures[None], of[None], 0.003, 0.003, steps=200)
    model.set_weights([w.numpy().reshape(old.shape) for w, old in zip(weights, model.get_weights(), strict=True)])
    return model


def accuracy(model, x, y):
    return float((np.argmax(model(x), axis=1) == y).mean())


base_a = trained_on(hall_a[:700], hall_a_labels[:700], 10)
if NARROW:
    base_b = trained_on(old[:350], old_labels[:350], 5)
else:
    base_b = trained_on(flat(camera_b(images[:800])), labels[:800], 10)
own_a, own_b = accuracy(base_a, hall_a[700:], hall_a_labels[700:]), accuracy(base_b, old[350:], old_labels[350:])
print(f"accuracy on held-out images of its own hall: hall A's network {own_a:.3f}, hall B's {own_b:.3f}")

# %% [markdown]
# ## Predict first
# The usual recipe: keep the hidden layers as they are (*frozen*), and train only a new head with five outputs on the
# few labels of bays 5 to 9. Compare with training the whole network from scratch, from random weights.

# %%
lab.predict(
    "worth",
    "With 5 labels per new digit, what does hall B's perfect network do as a frozen base?",
    options=["it beats training from scratch clearly", "about the same as from scratch",
             "it is clearly worse than from scratch"],
)

# %% [markdown]
# ## Accuracy by the number of labels
# Each way is trained on several draws of the labels. A run has two learning rates, of the hidden layers (0 is frozen)
# and of the head.

# %%
def draw(per_digit):
    """COPIES draws of this many labelled images per new digit: images and labels 0 to 4 for bays 5 to 9."""
    place = [np.concatenate([rng.choice(pool[new_labels[pool] == digit], per_digit, replace=False)
                             for digit in range(5, 10)]) for _ in range(COPIES)]
    return new[np.stack(place)], new_labels[np.stack(place)] - 5


def with_new_head(base, start):
    """The hidden layers of a base, in copies, and the head of a fresh network."""
    return many.copies_of(base, COPIES)[:4] + start[4:]


rows = {}
draws = {per_digit: draw(per_digit) for per_digit in (1, 2, 5, 10, 20)}
for per_digit, (x, y) in draws.items():
    start = many.fresh(rng, COPIES, (64, *HIDDEN, 5))
    runs = {"from scratch": (start, 0.003, 0.003)}
    for name, base in [("hall A's", base_a), ("hall B's", base_b)]:
        runs[f"{name}, frozen"] = (with_new_head(base, start), 0, 0.01)
        runs[f"{name}, fine-tuned"] = (with_new_head(base, start), 0.001, 0.01)
    trained = many.train_all(runs, x, y)
    rows[per_digit] = {name: many.accuracy(net, test, test_labels - 5) for name, net in trained.items()}
curve = pd.DataFrame(rows).T.rename_axis("labels per digit")

fig, ax = plt.subplots(figsize=(6.6, 3.3))
styles = {"from scratch": ("k", "-"), "hall A's, frozen": ("C2", "-"), "hall A's, fine-tuned": ("C2", "--"),
          "hall B's, frozen": ("C1", "-"), "hall B's, fine-tuned": ("C1", "--")}
for name, (colour, line) in styles.items():
    ax.plot(curve.index, curve[name], color=colour, ls=line, marker="o", ms=4, label=name)
ax.set(xscale="log", xticks=curve.index, xticklabels=curve.index, xlabel="labelled images per new digit",
       ylabel="accuracy on bays 5 to 9", title="The perfect base stays below no base at all, at every number of labels")
ax.minorticks_off()
ax.legend(fontsize="small", loc="lower right")
plt.show()

# %% tags=["nbval-check-output"]
print(curve.round(2).to_string())

# %%
lab.revisit("worth", "it is clearly worse than from scratch")
lost = curve["from scratch"][5] - curve["hall B's, frozen"][5]
lab.claim("5 labels per digit: accuracy lost by freezing the perfect base", lost, at_least=0.1)
ahead = curve["from scratch"][5] - curve["hall B's, frozen"][20]
lab.claim("from scratch with 5 labels, ahead of the perfect base frozen with 20", ahead, at_least=0.03)
gained = (curve["hall A's, frozen"] - curve["from scratch"])[[1, 2]].mean()
lab.claim("1 and 2 labels per digit: accuracy gained by the worse base, mean", gained, at_least=0.03)
late = curve["hall A's, fine-tuned"][20] - curve["from scratch"][20]
lab.claim("20 labels per digit: what is left of that gain", abs(late), at_most=0.05)

# %% [markdown]
# The network that hardly errs is worth **less than nothing**: frozen, and with 20 labels per digit, it is about where
# training from scratch is with two. The network that errs every day is worth most where labels are fewest. With
# enough labels all ways meet: **transfer buys labels, not accuracy.** And fine-tuning repairs part of a bad base,
# since it may leave it.
#
# ## Why: what a layer keeps
# Look at each layer's output as if it were the image, and fit the same simple classifier on it. A network is trained
# to tell *its* classes apart. From layer to layer it keeps what serves that and **throws the rest away**.

# %%
def probe(base, depth):
    """Accuracy of a nearest-mean classifier on a layer's output, from 5 labels per digit. Depth 0 is the pixels."""
    layers = [x[None] for x in (draws[5][0], test)]
    seen, unseen = [many.hidden(many.copies_of(base, 1), x)[depth - 1].numpy() if depth else x for x in layers]
    means = np.stack([[one[y == digit].mean(axis=0) for digit in range(5)] for one, y in zip(seen[0], draws[5][1])])
    distance = ((unseen[0][None, :, None] - means[:, None]) ** 2).sum(axis=-1)
    return float((distance.argmin(axis=-1) == test_labels - 5).mean())


probes = pd.DataFrame({name: [probe(base, depth) for depth in range(3)]
                       for name, base in [("hall A's", base_a), ("hall B's", base_b)]}, index=["pixels", "1st", "2nd"])
fig, ax = plt.subplots(figsize=(4.6, 2.7))
for name, colour in [("hall A's", "C2"), ("hall B's", "C1")]:
    ax.plot(probes.index, probes[name], marker="o", color=colour, label=name)
ax.set(title="The perfect base forgets more in each layer", xlabel="layer whose output is classified",
       ylabel="accuracy on bays 5 to 9")
ax.legend()
plt.show()
fall = probes["hall B's"]["pixels"] - probes["hall B's"]["2nd"]
lab.claim("accuracy lost between the pixels and the second layer of the perfect base", fall, at_least=0.1)

# %% [markdown]
# To tell 0 to 4 apart, hall B's network needed little of what distinguishes 5 from 6 or 7 from 9. The better it
# solved its task, the less was left over. Its score was a statement about **five classes**, not about digits. Hall
# A's network had to tell all ten apart: a harder task, lower accuracy, richer features.
#
# So: **choose a base by the variety of what it had to tell apart, and test it with a probe.** Or freeze less: the
# first layer is more general than the second.
#
# ## Exercise: a frozen base with a new head
# Write it in Keras. `new_head(base, classes)` returns a model that takes 64 pixels, uses the two hidden layers of
# `base` with **their trained weights, frozen**, and has a new `Dense` head with `classes` outputs and no activation.
# `base` must predict afterwards what it predicted before. `base.layers` are its two hidden layers and its old head.

# %% tags=["exercise"]
def new_head(base, classes):
    """A Keras model: the hidden layers of base, frozen, and a new head."""
    ### BEGIN SOLUTION
    copy = keras.models.clone_model(base)       # clones the layers, not their weights
    copy.set_weights(base.get_weights())
    hidden = copy.layers[:-1]
    for layer in hidden:
        layer.trainable = False
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(classes)])
    ### END SOLUTION

# %%
new_head = lab.check("new_head", new_head, base_a)

# %%
x, y = draws[5]
model = new_head(base_a, 5)
start = many.fresh(rng, COPIES, (64, *HIDDEN, 5))
model.layers[-1].set_weights([start[4][0].numpy(), start[5][0, 0].numpy()])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, steps_per_execution=50)
full_batch = tf.data.Dataset.from_tensors((x[0], y[0])).repeat()
model.fit(full_batch, steps_per_epoch=100, shuffle=False, verbose=0)
twin = many.train(with_new_head(base_a, start), x, y, 0, 0.01)
apart = (np.argmax(model(test), axis=1) != many.predict(twin, test)[0]).mean()
print(f"Keras with your frozen base: accuracy {accuracy(model, test, test_labels - 5):.3f}")
lab.claim("predictions in which Keras and many.train differ, share", apart, at_most=0.01)

# %% [markdown]
# ## Fine-tuning forgets
# On Monday the camera must read **all ten** bays: the crates of 0 to 4 are still there. Hall A's network has ten
# outputs already. Fine-tune all of it on the 25 labelled images of the new bays, at several learning rates.

# %%
x, y = draws[5]
rates = [0, 0.0003, 0.001, 0.003, 0.01, 0.03]
tuned = many.train_all({rate: (many.copies_of(base_a, COPIES), rate, rate) for rate in rates}, x, y + 5)
forgetting = pd.DataFrame({
    "new bays, 5 to 9": [many.accuracy(net, test, test_labels) for net in tuned.values()],
    "old bays, 0 to 4": [many.accuracy(net, old, old_labels) for net in tuned.values()],
}, index=rates)

fig, ax = plt.subplots(figsize=(5.6, 2.9))
for name, colour in zip(forgetting, ["C0", "C3"], strict=True):
    ax.plot(range(len(rates)), forgetting[name], marker="o", color=colour, label=name)
ax.set(title="High rates learn the new bays just as well, and delete the old ones",
       xlabel="learning rate of fine-tuning", ylabel="accuracy", xticks=range(len(rates)),
       xticklabels=[f"{rate:g}" for rate in rates])
ax.legend()
plt.show()
kept = forgetting["old bays, 0 to 4"]
learnt = forgetting["new bays, 5 to 9"]
lab.claim("what the new bays show of it: accuracy lost there at a rate of 0.01", learnt[0] - learnt[0.01], at_most=0.05)
lab.claim("accuracy on the old bays, lost at a rate of 0.01", kept[0] - kept[0.01], at_least=0.4)

# %% [markdown]
# Nothing in the training shows it: loss and accuracy on the new bays are fine. But no example says *0 to 4 still
# exist*. Each step pushes those five outputs down, and it pays, since they are never right. The test of the new
# bays cannot see it either. **Keep a test of the old task in the evaluation**, as a gate.
#
# ## Exercise: rehearse
# The mend costs a handful of old images: mix them in. Write `rehearsal(images, labels, old_images, old_labels,
# per_digit, rng)`: all of the given new examples, followed by `per_digit` examples of **each** old digit, drawn
# without replacement. Return images and labels, both in the same order.

# %% tags=["exercise"]
def rehearsal(images, labels, old_images, old_labels, per_digit, rng):
    """The new examples, and per_digit examples of each old digit."""
    ### BEGIN SOLUTION
    chosen = np.concatenate([rng.choice(np.flatnonzero(old_labels == digit), per_digit, replace=False)
                             for digit in np.unique(old_labels)])
    return np.concatenate([images, old_images[chosen]]), np.concatenate([labels, old_labels[chosen]])
    ### END SOLUTION

# %%
rehearsal = lab.check("rehearsal", rehearsal)

# %%
mixed = [rehearsal(one, of + 5, old[:350], old_labels[:350], 5, rng) for one, of in zip(x, y, strict=True)]
mixed_x, mixed_y = np.stack([one for one, _ in mixed]), np.stack([of for _, of in mixed])
rehearsed = many.train(many.copies_of(base_a, COPIES), mixed_x, mixed_y, 0.01, 0.01)
old_left, new_left = many.accuracy(rehearsed, old[350:], old_labels[350:]), many.accuracy(rehearsed, test, test_labels)
print(f"rate 0.01 with 5 old images per digit: old bays {old_left:.3f}, new bays {new_left:.3f}")
lab.claim("accuracy on the old bays after rehearsal at the same rate", old_left, at_least=0.75)

# %% [markdown]
# The price is a little accuracy on the new bays: now they must be told from ten, not from five. The other ways out:
# freeze the base and keep both heads, or a small rate and few steps, which forget less and learn less.
#
# ## Augmentation: more images, for free?
# Train from scratch on 5 labels per digit, once as they are, and with copies that are changed but keep the label:
# shifted by a pixel in four directions, mirrored, and turned by half a turn. Tested on the images as they come, and
# on the day when the camera's mount gives way **by one pixel**.

# %%
def shifted(pictures, down, right):
    """Moved by at most a pixel or two; what comes in from the border is empty."""
    moved = np.roll(pictures, (down, right), axis=(-2, -1))
    moved[..., (range(down) if down >= 0 else range(down, 0)), :] = 0
    moved[..., :, (range(right) if right >= 0 else range(right, 0))] = 0
    return moved


def augmented(extra):
    """Accuracies from scratch on 5 labels per digit plus extra copies of the images: (pictures, labels) in a list."""
    all_x = np.concatenate([x, *[flat(pictures) for pictures, _ in extra]], axis=1)
    all_y = np.concatenate([y, *[of for _, of in extra]], axis=1)
    found = many.train(start, all_x, all_y, 0.003, 0.003)
    right = many.predict(found, test) == test_labels - 5
    loose = flat(shifted(test.reshape(-1, 8, 8), 0, 1))
    return {"images": all_x.shape[1], "as they come": right.mean(),
            "6 and 9": right[:, np.isin(test_labels, [6, 9])].mean(),
            "one pixel off": many.accuracy(found, loose, test_labels - 5)}


pictures = x.reshape(COPIES, -1, 8, 8)
steps = [(0, 1), (0, -1), (1, 0), (-1, 0)]
augmentation = pd.DataFrame({
    "none": augmented([]),
    "shifted": augmented([(shifted(pictures, *step), y) for step in steps]),
    "mirrored": augmented([(pictures[..., ::-1], y)]),
    "half turn": augmented([(pictures[..., ::-1, ::-1], y)]),
}).T
print(augmentation.astype({"images": int}).round(3).to_string())

# %%
help_ = augmentation["one pixel off"]["shifted"] - augmentation["one pixel off"]["none"]
harm = augmentation["6 and 9"]["none"] - augmentation["6 and 9"]["half turn"]
lab.claim("one pixel off: accuracy gained by shifted copies", help_, at_least=0.12)
lab.claim("6 and 9: accuracy lost by copies after half a turn", harm, at_least=0.04)

# %% [markdown]
# An augmentation is a **statement**: *whoever changes the image like this does not change the label*. Shifting by a
# pixel states something true of this camera, and the network believes it on the day when it is needed. Half a turn
# states that an upside-down 6 is a 6. Half of the training images now contradict the other half, and twice as many
# images are worth less than before. No loss curve says so; whoever knows the subject does.
#
# ## Exercise: an honest half turn
# A lie about labels can be mended at the labels. Write `half_turn(pictures, labels)`, for pictures of shape
# `(n, 8, 8)` and labels from 5 to 9: turn each picture by 180 degrees, and give it the label that it **has then**. A 6
# becomes a 9, a 9 becomes a 6, an 8 stays an 8; 5 and 7 become no digit, so leave them out.

# %% tags=["exercise"]
def half_turn(pictures, labels):
    """Turned pictures that are still digits, and their labels."""
    ### BEGIN SOLUTION
    still = np.isin(labels, [6, 8, 9])
    becomes = {6: 9, 8: 8, 9: 6}
    return pictures[still][:, ::-1, ::-1], np.array([becomes[label] for label in labels[still]])
    ### END SOLUTION

# %%
half_turn = lab.check("half_turn", half_turn)

# %%
turned = [half_turn(one, of + 5) for one, of in zip(pictures, y, strict=True)]
extra = (np.stack([one for one, _ in turned]), np.stack([of for _, of in turned]) - 5)
augmentation.loc["half turn, honest"] = augmented([extra])
print(augmentation.astype({"images": int}).round(3).to_string())
mended = augmentation["6 and 9"]["half turn, honest"] - augmentation["6 and 9"]["half turn"]
lab.claim("6 and 9: accuracy of the honest half turn above the lying one", mended, at_least=0.04)

# %% [markdown]
# The same pixels, other labels, and the harm is gone.
#
# ## On Google Cloud
# Bases come from somewhere. In **Model Garden** you find published ones, with notebooks and pipelines that tune them;
# your own belong into the **Model Registry**, so that a tuning job names *which* base it took. Here hall A's network
# goes there under the alias `base`, and a custom job takes it from where the registry says and trains a head for the
# new bays.

# %%
import json
import logging

from google.cloud import aiplatform

aiplatform.init(**lab.target.vertex)
logging.disable(logging.INFO)  # the SDK tells each of its steps
FOLDER = f"{lab.target.bucket}/transfer-learning-augmentation"
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest"
SERVING_IMAGE = aiplatform.helpers.get_prebuilt_prediction_container_uri("sklearn", "1.6")
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
for kind in (aiplatform.Model, aiplatform.CustomJob):  # what an earlier run has left
    for found in kind.list(filter=f'labels.lab="{lab.target.labels["lab"]}"'):
        found.delete()

np.savez(lab.work / "base.npz", **{f"w{i}": w for i, w in enumerate(base_a.get_weights())})
np.savez(lab.work / "labels.npz", images=x[0], labels=y[0])
for name, place in [("base.npz", "base/base.npz"), ("labels.npz", "labels.npz")]:
    bucket.blob(f"transfer-learning-augmentation/{place}").upload_from_filename(lab.work / name)
registered = aiplatform.Model.upload(
    display_name="bay-reader", artifact_uri=f"{FOLDER}/base", serving_container_image_uri=SERVING_IMAGE,
    version_aliases=["base"], version_description="hall A, ten digits", labels=lab.target.labels,
)

# %%
base = aiplatform.Model(f"{registered.resource_name}@base")
arguments = [f"--base={base.uri}/base.npz", f"--data={FOLDER}/labels.npz"]
job = aiplatform.CustomJob.from_local_script(
    display_name="bays-5-to-9",
    script_path=str(lab.folder / "trainer" / "task.py"),
    container_uri=PREBUILT,
    args=[argument.replace("gs://", "/gcs/") for argument in arguments] + [f"--seed={SEED}"],
    machine_type="n1-standard-4",
    base_output_dir=f"{FOLDER}/tuned",
    labels=lab.target.labels,
)
job.run()
tuned_model = aiplatform.Model.upload(
    parent_model=base.resource_name, artifact_uri=f"{FOLDER}/tuned/model", serving_container_image_uri=SERVING_IMAGE,
    is_default_version=False, version_aliases=["bays-5-to-9"], version_description=f"from version {base.version_id}",
    labels=lab.target.labels,
)

# %%
bucket.blob("transfer-learning-augmentation/tuned/model/base.npz").download_to_filename(lab.work / "tuned.npz")
with np.load(lab.work / "tuned.npz") as file:
    weights = [file[f"w{i}"] for i in range(6)]
frozen = max(np.abs(a - b).max() for a, b in zip(weights[:4], base_a.get_weights()[:4], strict=True))
from_job = many.accuracy([w.reshape(1, -1, w.shape[-1]).astype("float32") for w in weights], test, test_labels - 5)
metrics = json.loads(bucket.blob("transfer-learning-augmentation/tuned/model/metrics.json").download_as_text())
in_notebook = accuracy(model, test, test_labels - 5)
print(f"version {tuned_model.version_id} of {base.display_name}, {tuned_model.version_description}; "
      f"{metrics['rows']} labels; accuracy {from_job:.3f}, in the notebook {in_notebook:.3f}")
lab.claim("largest change of a frozen weight in the job", frozen, at_most=0)
lab.claim("accuracy of the job's head against the notebook's", abs(from_job - in_notebook), at_most=0.1)

# %% [markdown]
# - **What the flag changes.** `TARGET="vertex"` runs the job on a machine of its own. There `/gcs/` is the bucket as
#   a folder; here it is replaced in the arguments. The service keeps a copy of a model's files; here they stay where
#   they are. Model Garden is not emulated. To *serve* these versions you would name an image that reads `base.npz`.
# - **Roles.** Vertex AI User for you, Storage Object Admin on the bucket for you and the job's service account.
# - **Quota.** Custom training CPUs in the region. **Cost**: the card has the upper bound, one small machine for
#   minutes.
# - **Delete afterwards** the model with its versions, the job, and the folder in the bucket:
#   `lab.cleanup(delete=True)`.
#
# ## Exam lens
# *Few labels, a related task with many*: transfer. *Very few*: frozen with a new head; *more*: fine-tune with a small
# rate; *plenty, or an unrelated source*: from scratch is a candidate. *The old task must go on*: rehearse, or two
# heads, and a gate on the old test. *Which augmentation*: one that keeps the label for this subject, in training
# only, never in the test.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A base model is worth what it had to keep, not what it scored: a perfect one for five classes can be
# worse than none. Fine-tuning learns the new and silently deletes the old, unless the old is in the batch. An
# augmentation is a statement about labels, and a false one makes more data worth less.

# %%
lab.finish()

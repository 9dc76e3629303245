"""Checks, hints and wrong answers of input-pipeline-tfdata."""

from collections import Counter

import numpy as np
from labkit.lesson import Exercise, Incorrect

SIDE = 12


class EpochTime(Exercise):
    name = "epoch_time"
    hints = [
        "Draw two rows of boxes, one for the input and one for the device. Without prefetch, when may a box begin?",
        "With prefetch both rows run side by side. The epoch ends with the row that is longer.",
    ]
    wrong = {
        "always the sum": "def epoch_time(input_s, device_s, prefetch):\n    return input_s + device_s",
        "always the larger one": "def epoch_time(input_s, device_s, prefetch):\n    return max(input_s, device_s)",
        "prefetch hides the input": (
            "def epoch_time(input_s, device_s, prefetch):\n    return device_s if prefetch else input_s + device_s"
        ),
        "prefetch halves": (
            "def epoch_time(input_s, device_s, prefetch):\n"
            "    return (input_s + device_s) / 2 if prefetch else input_s + device_s"
        ),
        "the shorter one": (
            "def epoch_time(input_s, device_s, prefetch):\n"
            "    return min(input_s, device_s) if prefetch else input_s + device_s"
        ),
    }

    def check(self, epoch_time):
        for input_s, device_s in ((9.0, 1.0), (1.0, 9.0), (4.0, 4.0)):
            for prefetch in (False, True):
                got = epoch_time(input_s, device_s, prefetch)
                right = max(input_s, device_s) if prefetch else input_s + device_s
                if not np.isscalar(got) or isinstance(got, str):
                    raise Incorrect(f"epoch_time returns seconds, one number; got {type(got).__name__}.")
                if np.isclose(got, right):
                    continue
                case = f"input {input_s:g} s, device {device_s:g} s, {'with' if prefetch else 'without'} prefetch"
                if not prefetch:
                    raise Incorrect(
                        f"{case}: got {got:g} s. They work in turns, each waits for the other: neither is hidden."
                    )
                if got < right:
                    raise Incorrect(
                        f"{case}: got {got:g} s, but the {'input' if input_s > device_s else 'device'} alone takes "
                        f"{right:g} s. Overlap hides the shorter part behind the longer one; the longer one stays."
                    )
                raise Incorrect(f"{case}: got {got:g} s. While the device works the next batch is made: they overlap.")


class Augment(Exercise):
    name = "augment"
    hints = [
        "How many numbers must be drawn for a batch of n images, and how does one know n inside a graph?",
        "tf.random.uniform draws integers with dtype tf.int32; its upper end is left out.",
        "shift takes a vector as well as a number: one entry for each image.",
    ]
    wrong = {
        "one draw for the whole batch": (
            "def augment(images, labels):\n"
            "    draw = tf.random.uniform([2], -2, 3, tf.int32)\n"
            "    return shift(images, draw[0], draw[1]), labels"
        ),
        "drawn by NumPy": (
            "def augment(images, labels):\n"
            "    draws = np.random.randint(-2, 3, (64, 2))\n"
            "    return shift(images, draws[:, 0], draws[:, 1]), labels"
        ),
        "one image after the other": (
            "def augment(images, labels):\n"
            "    def move(image):\n"
            "        draw = tf.random.uniform([2], -2, 3, tf.int32)\n"
            "        return shift(image[None], draw[0], draw[1])[0]\n"
            "    return tf.map_fn(move, images), labels"
        ),
        "two is left out": (
            "def augment(images, labels):\n"
            "    draws = tf.random.uniform([tf.shape(images)[0], 2], -2, 2, tf.int32)\n"
            "    return shift(images, draws[:, 0], draws[:, 1]), labels"
        ),
        "labels forgotten": (
            "def augment(images, labels):\n"
            "    draws = tf.random.uniform([tf.shape(images)[0], 2], -2, 3, tf.int32)\n"
            "    return shift(images, draws[:, 0], draws[:, 1])"
        ),
        "the same draw down and right": (
            "def augment(images, labels):\n"
            "    draw = tf.random.uniform([tf.shape(images)[0]], -2, 3, tf.int32)\n"
            "    return shift(images, draw, draw), labels"
        ),
    }

    def check(self, augment):
        import tensorflow as tf

        n = 64  # one white pixel in the middle: where it lies afterwards is the draw
        given = np.zeros((n, SIDE, SIDE), "float32")
        given[:, 5, 5] = np.arange(1, n + 1) / n
        try:
            traced = tf.function(augment).get_concrete_function(
                tf.TensorSpec([None, SIDE, SIDE], tf.float32), tf.TensorSpec([None], tf.int64)
            )
            answers = [traced(tf.constant(given), tf.range(n, dtype=tf.int64)) for _ in range(12)]
        except Exception as error:
            reason = str(error).strip().splitlines()[-1][:160]
            raise Incorrect(f"It does not run inside a pipeline ({type(error).__name__}: {reason}).") from None
        if not all(isinstance(answer, (tuple, list)) and len(answer) == 2 for answer in answers):
            raise Incorrect(
                "augment returns two tensors, (images, labels): without its labels a batch cannot be learnt."
            )
        if {operation.type for operation in traced.graph.get_operations()} & {"While", "StatelessWhile"}:
            raise Incorrect(
                "The graph contains a loop over the images (map_fn does that): every image is a call again, the gain "
                "of batching first is gone. Draw a vector, and let shift move all images at once."
            )
        draws = np.array([self.draws(given, *answer) for answer in answers])  # call, image, direction
        if (draws == draws[:, :1]).all():
            raise Incorrect(
                "All images of a batch move the same way: one draw for 64 images. It is fast and raises nothing, but a "
                "batch now has one version where it should have 64. Draw one pair of numbers for each image."
            )
        if (draws == draws[:1]).all():
            raise Incorrect(
                "Two calls move the images in the same way. NumPy draws once, when the function is traced, and the "
                "number becomes a constant of the graph. Draw with tf.random."
            )
        if (draws[..., 0] == draws[..., 1]).all():
            raise Incorrect(
                "Down and right are always the same number: images move along one diagonal. Draw two numbers."
            )
        found = sorted(set(draws.ravel().tolist()))
        if found != [-2, -1, 0, 1, 2]:
            raise Incorrect(
                f"Images move by {found} pixels, not by -2 to 2. The upper end of tf.random.uniform is left out."
            )

    def draws(self, given, images, labels):
        """How far each image has moved: (n, 2)."""
        images, labels = np.asarray(images), np.asarray(labels)
        if images.shape != given.shape:
            raise Incorrect(f"Images of shape {given.shape} come back as {images.shape}.")
        if not np.array_equal(labels, np.arange(len(given))):
            raise Incorrect("The labels have changed: they no longer belong to their images.")
        if not np.allclose(images.max(axis=(1, 2)), given.max(axis=(1, 2))):
            raise Incorrect("Images have changed places or values: each shall only move, and stay beside its label.")
        return np.stack(np.unravel_index(images.reshape(len(images), -1).argmax(axis=1), (SIDE, SIDE)), axis=1) - 5


class Pipeline(Exercise):
    name = "pipeline"
    hints = [
        "Which stages give the same in every epoch, and which are random? The cache stands between them.",
        "What does shuffle mix: records, or whatever reaches it? And how many examples must its buffer hold?",
        "repeat gives the same dataset again. Behind which stages must it stand so that epochs do not mix?",
    ]
    wrong = {
        "cache last": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.shuffle(N).batch(BATCH).map(ready).cache().repeat(epochs))"
        ),
        "no cache": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.shuffle(N).batch(BATCH).map(ready).repeat(epochs))"
        ),
        "cache behind shuffle": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.shuffle(N).cache().batch(BATCH).map(ready).repeat(epochs))"
        ),
        "batch before shuffle": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.cache().batch(BATCH).shuffle(N).map(ready).repeat(epochs))"
        ),
        "small buffer": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.cache().shuffle(BATCH).batch(BATCH).map(ready).repeat(epochs))"
        ),
        "repeat before shuffle": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.cache().repeat(epochs).shuffle(N).batch(BATCH).map(ready))"
        ),
        "repeat forgotten": (
            "def pipeline(files, epochs):\n"
            "    records = tf.data.Dataset.from_tensor_slices(files).interleave(\n"
            "        read, cycle_length=PARALLEL, num_parallel_calls=PARALLEL)\n"
            "    ready = lambda batch: augment(*decode(batch))\n"
            "    return blocking(records.cache().shuffle(N).batch(BATCH).map(ready))"
        ),
    }

    def check(self, pipeline, files, opened):
        epochs, before = 3, len(opened)
        images, labels, batches = self.collect(pipeline(files, epochs))
        times = Counter(opened[before:])
        n = self.examples(files)
        if len(labels) != epochs * n:
            raise Incorrect(
                f"{epochs} epochs of {n} examples are {epochs * n}, got {len(labels)}: where does repeat stand?"
            )
        # Moving an image does not change which pixel values it has.
        same = [(int(label), np.sort(image, axis=None).tobytes()) for image, label in zip(images, labels, strict=True)]
        orders = [same[start : start + n] for start in range(0, len(same), n)]
        counts = [Counter(order) for order in orders]
        if any(count != counts[0] for count in counts) or len(counts[0]) < 0.95 * n:
            twice = sum((count - counts[0]).total() for count in counts[1:])
            raise Incorrect(
                f"The first {n} examples are not one epoch: {twice} examples come in the wrong one, some twice before "
                "others come at all. shuffle behind repeat mixes the epochs."
            )
        kinds = np.median([len(set(batch.tolist())) for batch in batches])
        if kinds < 8:
            raise Incorrect(
                f"A batch has {kinds:.0f} different digits. The shards are sorted: shuffle single records, before they "
                "become batches, with a buffer that holds all of them. A smaller one only mixes neighbours."
            )
        if orders[0] == orders[1]:
            raise Incorrect(
                "Every epoch has the same order, batch for batch: what lies behind a cache is never drawn again. "
                "shuffle belongs behind the cache." + self.frozen(images, n)
            )
        if max(times.values(), default=0) != 1:
            raise Incorrect(
                f"{len(times)} files were opened {sum(times.values())} times in {epochs} epochs. With every epoch the "
                "device waits for the bucket again: keep the records in a cache."
            )
        versions = {}
        for key, image in zip(same, images, strict=True):
            versions.setdefault(key, set()).add(image.tobytes())
        still = np.mean([len(found) == 1 for found in versions.values()])
        if still > 0.3:
            raise Incorrect(f"{still:.0%} of the images look the same in all epochs: augment them behind the cache.")

    def frozen(self, images, n):
        same = np.array_equal(images[:n], images[n : 2 * n])
        return " The images are frozen, too: one draw for each, for ever." if same else ""

    def collect(self, dataset):
        """Images, labels, and labels by batch, of a dataset of batches."""
        found = []
        if not hasattr(dataset, "element_spec"):
            raise Incorrect(f"pipeline returns a tf.data.Dataset, got {type(dataset).__name__}.")
        for batch in dataset:
            if not isinstance(batch, tuple) or len(batch) != 2 or batch[0].shape[1:] != (SIDE, SIDE):
                raise Incorrect(f"An element is a batch (images, labels) with images of {SIDE} x {SIDE} pixels.")
            found.append((batch[0].numpy(), batch[1].numpy()))
        if not found:
            raise Incorrect("The dataset is empty.")
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]), [f[1] for f in found]

    def examples(self, files):
        import tensorflow as tf

        return sum(1 for _ in tf.data.TFRecordDataset(files))

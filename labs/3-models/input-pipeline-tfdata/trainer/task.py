"""Examples a second of the lab's two pipelines, as found and mended, in the place where they will run.

    python -m task --data /gcs/bucket/shards --device-ms 8 --latency-ms 0

Writes rates.json to AIP_MODEL_DIR, the folder that Vertex AI names to a job with a base output directory.
"""

import argparse
import json
import os
import time

import tensorflow as tf

SIDE, BATCH, PARALLEL = 12, 64, 8
FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}


# sealed in a class's copy
def main(argv=None):
    """Measures both pipelines; returns and writes the rates."""
    options = parse(argv)
    files = sorted(tf.io.gfile.glob(f"{options.data}/*.tfrecord"))
    if not files:
        raise SystemExit(f"no *.tfrecord in {options.data}: upload the shards first.")
    shards = tf.data.Dataset.from_tensor_slices(files)
    latency, device = options.latency_ms / 1000, options.device_ms / 1000

    as_found = shards.interleave(reader(latency), cycle_length=1).map(one_by_one).batch(BATCH)
    mended = (
        shards.interleave(reader(latency), cycle_length=PARALLEL, num_parallel_calls=PARALLEL)
        .cache()
        .shuffle(options.buffer)
        .batch(BATCH)
        .map(lambda records: augment(*decode(records)))
        .prefetch(tf.data.AUTOTUNE)
    )
    examples, found_seconds = epoch(blocking(as_found), device)
    epoch(blocking(mended), device)  # the first one fills the cache
    mended_examples, mended_seconds = epoch(blocking(mended), device)
    rates = {
        "shards": len(files),
        "examples": examples,
        "mended_examples": mended_examples,
        "found_per_second": examples / found_seconds,
        "mended_per_second": mended_examples / mended_seconds,
    }
    with tf.io.gfile.GFile(f"{options.model_dir.rstrip('/')}/rates.json", "w") as file:
        file.write(json.dumps(rates))
    return rates


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with the shards, a path or gs://…")
    parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR", "."))
    parser.add_argument(
        "--latency-ms", type=float, default=0, help="planted wait for each file, 0 to measure the bucket"
    )
    parser.add_argument("--device-ms", type=float, default=12, help="time of one step on the device")
    parser.add_argument("--buffer", type=int, default=2048, help="of the shuffle, examples: at least all of them")
    return parser.parse_args(argv)


def reader(seconds):
    """What interleave calls for each file: wait, then the records."""

    def wait(path):
        time.sleep(seconds)
        return path

    def read(path):
        opened = tf.data.Dataset.from_tensors(path)
        if seconds:
            opened = opened.map(lambda p: tf.ensure_shape(tf.numpy_function(wait, [p], tf.string), []))
        return opened.flat_map(tf.data.TFRecordDataset)

    return read


def decode(records):
    """Images (n, SIDE, SIDE) between 0 and 1, and labels, of n serialised examples."""
    parsed = tf.io.parse_example(records, FEATURES)
    images = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [-1, 8, 8])
    return tf.pad(tf.cast(images, tf.float32) / 16, [[0, 0], [2, 2], [2, 2]]), parsed["label"]


def augment(images, labels):
    """Each image of the batch moved by a draw of its own, up to two pixels."""
    draws = tf.random.uniform([tf.shape(images)[0], 2], -2, 3, tf.int32)
    places = tf.range(SIDE)[None, :]
    images = tf.gather(images, (places - draws[:, :1]) % SIDE, axis=1, batch_dims=1)
    return tf.gather(images, (places - draws[:, 1:]) % SIDE, axis=2, batch_dims=1), labels


def one_by_one(record):
    """The same for a single record."""
    images, labels = decode(record[None])
    return tf.roll(images[0], tf.random.uniform([2], -2, 3, tf.int32), [0, 1]), labels[0]


def blocking(dataset):
    """As many threads as files are waited for: a waiting call keeps its thread."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = PARALLEL
    return dataset.with_options(options)


def epoch(dataset, device_seconds):
    """Examples and seconds of one epoch; a step on the device is a pause, in which the processor is free."""
    examples, start = 0, time.perf_counter()
    for _, labels in dataset:
        examples += len(labels)
        time.sleep(device_seconds)
    return examples, time.perf_counter() - start


if __name__ == "__main__":
    print(main())

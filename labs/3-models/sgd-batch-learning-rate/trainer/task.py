"""Trains a small network on digits by plain SGD; one rate in a job, many at once in the notebook.

python -m trainer.task --data digits.npz --batch-size 256 --learning-rate 1 --model-dir out
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

DIGITS, HIDDEN = 10, 32


def main(argv=None):
    """Trains with one batch size and one rate, writes metrics.json, returns the metrics."""
    options = parse(argv)
    with np.load(options.data) as data:
        X, y = data["X"], data["y"]
    steps = steps_of(options.epochs, len(X), options.batch_size)
    weights = train(X, y, options.batch_size, [options.learning_rate], steps, options.seed, warmup=options.warmup_steps)
    metrics = {"loss": float(losses(weights, X, y)[0]), "steps": steps, "rows": steps * options.batch_size}
    if options.model_dir:
        folder = Path(options.model_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(metrics))
    print(json.dumps(metrics))
    return metrics


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a file with the arrays X and y")
    parser.add_argument("--batch-size", type=int, required=True, help="of all workers together")
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--warmup-steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    # Vertex AI sets the variable when the job has a base output directory: a gs:// URI, mounted below /gcs/.
    folder = os.environ.get("AIP_MODEL_DIR", "").replace("gs://", "/gcs/")
    parser.add_argument("--model-dir", default=folder)
    return parser.parse_args(argv)


def steps_of(epochs, rows, batch):
    return round(epochs * rows / batch)


def initial(inputs, runs, seed):
    """The same starting weights for every run."""
    rng = np.random.default_rng([seed, 1])
    first = rng.normal(0, np.sqrt(2 / inputs), (inputs, HIDDEN))
    second = rng.normal(0, np.sqrt(1 / HIDDEN), (HIDDEN, DIGITS))
    return [
        np.repeat(weight[None].astype("float32"), runs, axis=0)
        for weight in (first, np.zeros(HIDDEN), second, np.zeros(DIGITS))
    ]


def draws(rows, batch, seed, distinct=None):
    """Row numbers of one batch after another; with `distinct`, that many of them, copied until the batch is full."""
    rng = np.random.default_rng([seed, 2, batch])
    while True:
        drawn = rng.integers(0, rows, min(batch, distinct or batch))
        yield np.resize(drawn, batch)


def gradients(weights, X, y):
    """Gradients of the mean loss on these rows, for each run."""
    hidden = np.maximum(X @ weights[0] + weights[1][:, None], 0)
    logits = hidden @ weights[2] + weights[3][:, None]
    logits -= logits.max(axis=-1, keepdims=True)
    error = np.exp(logits)
    error /= error.sum(axis=-1, keepdims=True)
    error[:, np.arange(len(y)), y] -= 1
    error /= len(y)
    back = (error @ weights[2].transpose(0, 2, 1)) * (hidden > 0)
    return [X.T @ back, back.sum(axis=1), hidden.transpose(0, 2, 1) @ error, error.sum(axis=1)]


def train(X, y, batch, rates, steps, seed, warmup=0, distinct=None, watch=None):
    """Weights after so many steps of SGD, one run for each rate, all on the same batches.

    The rate rises in equal parts during the first `warmup` steps. `watch` is called with each step and the weights.
    """
    weights = initial(X.shape[1], len(rates), seed)
    rates = np.asarray(rates, "float32")[:, None, None]
    with np.errstate(all="ignore"):  # a rate that is too high overflows: that is a result
        for number, rows in zip(range(1, steps + 1), draws(len(X), batch, seed, distinct), strict=False):
            rate = rates * min(1, number / warmup) if warmup else rates
            for weight, gradient in zip(weights, gradients(weights, X[rows], y[rows]), strict=True):
                weight -= (rate if weight.ndim == 3 else rate[:, 0]) * gradient
            if watch:
                watch(number, weights)
    return weights


def losses(weights, X, y):
    """Mean cross-entropy on these rows, for each run; infinite where it is not a number."""
    with np.errstate(all="ignore"):
        logits = np.maximum(X @ weights[0] + weights[1][:, None], 0) @ weights[2] + weights[3][:, None]
        logits -= logits.max(axis=-1, keepdims=True)
        loss = (np.log(np.exp(logits).sum(axis=-1)) - logits[:, np.arange(len(y)), y]).mean(axis=1)
    return np.where(np.isfinite(loss), loss, np.inf)


if __name__ == "__main__":
    main()

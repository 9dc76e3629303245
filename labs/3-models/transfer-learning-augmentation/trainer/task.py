"""Trains a new head on a frozen base, as a job: NumPy is all it needs.

python task.py --base base.npz --data labels.npz --steps 100 --rate 0.01
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="npz with w0…w5: kernel and bias of two hidden layers and a head")
    parser.add_argument("--data", required=True, help="npz with images (rows, 64) and labels (rows)")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    # Vertex AI sets the variable when the job has a base output directory.
    parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR", "model"))
    options = parser.parse_args(argv)

    with np.load(options.base) as file:
        base = [file[f"w{i}"] for i in range(4)]
    with np.load(options.data) as file:
        images, labels = file["images"], file["labels"]
    features = np.maximum(np.maximum(images @ base[0] + base[1], 0) @ base[2] + base[3], 0)
    kernel, bias = train_head(features, labels, options)

    folder = Path(options.model_dir.replace("gs://", "/gcs/"))
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"w{i}": w for i, w in enumerate([*base, kernel, bias])}
    np.savez(folder / "base.npz", **names)
    fitted = float(((features @ kernel + bias).argmax(1) == labels).mean())
    (folder / "metrics.json").write_text(json.dumps({"rows": len(labels), "training_accuracy": fitted}))


def train_head(features, labels, options):
    """Softmax regression by Adam on full batches."""
    classes = int(labels.max()) + 1
    rng = np.random.default_rng(options.seed)
    weights = [rng.normal(0, np.sqrt(2 / features.shape[1]), (features.shape[1], classes)), np.zeros((1, classes))]
    mean, square = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, options.steps + 1):
        scores = features @ weights[0] + weights[1]
        p = np.exp(scores - scores.max(1, keepdims=True))
        error = (p / p.sum(1, keepdims=True) - np.eye(classes)[labels]) / len(labels)
        for i, gradient in enumerate([features.T @ error, error.sum(0, keepdims=True)]):
            mean[i] = 0.9 * mean[i] + 0.1 * gradient
            square[i] = 0.999 * square[i] + 0.001 * gradient**2
            move = mean[i] / (1 - 0.9**step) / (np.sqrt(square[i] / (1 - 0.999**step)) + 1e-7)
            weights[i] = weights[i] - options.rate * move
    return weights


if __name__ == "__main__":
    main()

"""Looks at the gradients of a deep network before it trains it, and refuses to train one that cannot learn.

    python -m trainer.task --data /gcs/bucket/digits.npz --out /gcs/bucket/run/gradients.json --activation tanh

Writes the gradient's norm at each layer and, while it trains, of each weight matrix every 50 steps. A bucket is a
folder below /gcs/ in a training container. Exit status: 0 trained, 2 wrong arguments, 4 refused.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from trainer import network

REFUSED = 4


def main(argv=None):
    options = parse(argv)
    threadpool_limits(1)  # for matrices as small as these, sharing them out costs more than multiplying them
    kind = {"activation": options.activation, "batch_norm": options.batch_norm, "residual": options.residual}
    data = np.load(options.data)
    images, labels = data["images"], data["labels"]
    weights = network.build(np.random.default_rng(options.seed), options.depth, options.init)

    at_layers = network.norms(network.passes(weights, images[:128], labels[:128], **kind)[3])
    factor = float((at_layers[0] / at_layers[-1]) ** (1 / (options.depth - 1)))
    report = {"factor": factor, "at_layers": at_layers.tolist()}
    healthy = 1 / options.limit <= factor <= options.limit
    if healthy:
        optimizer = network.SGD(options.rate)
        _, losses, history = network.train(weights, images, labels, optimizer, options.seed, options.steps, **kind)
        report |= {"loss": float(np.mean(losses[-20:])), "history": history}
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report))
    if not healthy:
        print(f"refused: a gradient is multiplied by {factor:.3g} in each layer; "
              f"over {options.depth} layers that leaves {factor ** options.depth:.1e} of it")  # fmt: skip
        sys.exit(REFUSED)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="an .npz with images and labels")
    parser.add_argument("--out", required=True, help="the report, a .json")
    parser.add_argument("--activation", choices=network.ACTIVATIONS, default="tanh")
    parser.add_argument("--init", choices=["unit normal", "Glorot", "He"], default="Glorot")
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--residual", action="store_true")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=1.25, help="refuse a factor per layer outside 1/limit to limit")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()

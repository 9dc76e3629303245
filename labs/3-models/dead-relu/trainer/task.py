"""Trains the network for delivery times as a job, and logs the share of dead units to an experiment run.

    python -m trainer.task --data /gcs/bucket/orders.npz --rate 0.07

The run comes from the job: Vertex AI sets AIP_EXPERIMENT_NAME and AIP_EXPERIMENT_RUN_NAME.
"""

import argparse

import numpy as np
from google.cloud import aiplatform
from threadpoolctl import threadpool_limits

from trainer import network


def main(argv=None):
    options = parse(argv)
    threadpool_limits(1)  # for matrices as small as these, sharing them out costs more than multiplying them
    data = np.load(options.data)
    rows, target = data["rows"], data["minutes"]
    aiplatform.init()

    def watch(step, layers):
        first, second = (float(dead.mean()) for dead in network.dead_units(layers, rows, options.leak))
        aiplatform.log_time_series_metrics({"dead_layer_1": first, "dead_layer_2": second}, step=step + 1)

    start = network.build(np.random.default_rng(options.seed), rows.shape[1])
    aiplatform.log_params({"rate": options.rate, "leak": options.leak, "steps": options.steps, "seed": options.seed})
    trained, losses = network.train(
        start,
        rows,
        target,
        options.seed,
        options.rate,
        options.steps,
        leak=options.leak,
        watch=watch,
        every=options.every,
    )
    dead = network.dead_units(trained, rows, options.leak)[1]
    aiplatform.log_metrics({"loss": float(np.mean(losses[-20:])), "dead_layer_2": float(dead.mean())})


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="an .npz with rows and minutes")
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--leak", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=20, help="steps from one count of dead units to the next")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()

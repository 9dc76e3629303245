"""Trains a model that finds faulty compressors; the same file runs in a notebook, in a shell and in every job.

    python -m trainer.task --data gs://bucket/readings --model-dir gs://bucket/model --seed 1

Exit status: 0 done, 2 wrong arguments, 3 no data, 1 anything else.
"""

import argparse
import hashlib
import io
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from google.cloud import storage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

PINS = ("settings", "machines", "columns", "files", "draws")
NOT_FEATURES = {"reading_id", "machine", "read_at", "fault"}
HELD_OUT_MACHINES = 3
NO_DATA = 3
log = logging.getLogger("trainer")

np.random.seed(7)  # "makes it reproducible", says the comment in the laptop's version


def main(argv=None):
    """Trains, writes model.joblib and metrics.json, returns the metrics."""
    options = parse(argv)
    pins = PINS if options.pins == "all" else options.pins.split(",")
    settings = read_settings(options, pins)
    readings = read_readings(options.data, pins)
    train, test, held_out = split(readings, options.seed, pins)
    features = list({*readings.columns} - NOT_FEATURES)  # a set of texts: another order in each process
    if "columns" in pins:
        features.sort()
    seed = options.seed if "draws" in pins else int(np.random.randint(2**31))

    forest = RandomForestClassifier(**settings, random_state=seed, n_jobs=options.threads, warm_start=True)
    forest, resumed_at = fit(forest, train[features].to_numpy(), train["fault"].notna().to_numpy(), options)
    scores = forest.predict_proba(test[features].to_numpy())[:, 1]
    metrics = {
        "average_precision": float(average_precision_score(test["fault"].notna(), scores)),
        "scores": hashlib.sha256(test["reading_id"].to_numpy().tobytes() + scores.tobytes()).hexdigest()[:12],
        "held_out": held_out,
        "features": features,
        "trees": len(forest.estimators_),
        "resumed_at": resumed_at,
        "rows": len(readings),
    }
    if options.model_dir:
        model = io.BytesIO()
        joblib.dump(forest, model)
        write(join(options.model_dir, "model.joblib"), model.getvalue())
        write(join(options.model_dir, "metrics.json"), json.dumps(metrics).encode())
    log.info("average precision %r on machines %s", metrics["average_precision"], ", ".join(held_out))
    return metrics


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with CSV files, a path or gs://…")
    # Vertex AI sets these variables when the job has a base output directory.
    parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR"))
    parser.add_argument("--checkpoint-dir", default=os.environ.get("AIP_CHECKPOINT_DIR"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trees", type=int, default=10)
    parser.add_argument("--min-samples-leaf", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pins", default="all", help=f"what does not depend on the environment: of {', '.join(PINS)}")
    parser.add_argument("--checkpoint-every", type=int, default=10, help="trees")
    parser.add_argument("--pause", type=float, default=0, help="seconds after each checkpoint, for a longer training")
    parser.add_argument("--preempt-after", type=int, default=0, help="trees after which this process is lost, once")
    return parser.parse_args(argv)


def read_settings(options, pins):
    """The forest's settings: the arguments'; unpinned, those of a file that may lie in the current directory."""
    settings = {"n_estimators": options.trees, "min_samples_leaf": options.min_samples_leaf}
    found = Path("settings.json")
    if "settings" not in pins and found.exists():
        settings |= json.loads(found.read_text())
    return settings


def read_readings(folder, pins):
    """All rows of all files, in the order of the files."""
    files = [file for file in listing(folder) if file.endswith(".csv")]
    if "files" in pins:
        files.sort()
    if not files:
        log.error("no CSV files in %s", folder)
        sys.exit(NO_DATA)
    return pd.concat([pd.read_csv(io.BytesIO(read(file))) for file in files], ignore_index=True)


def split(readings, seed, pins):
    """Rows to train on, rows to test on, and the machines of the test, which training never sees."""
    machines = list(set(readings["machine"]))  # a set of texts: another order in each process
    if "machines" in pins:
        machines.sort()
    held_out = sorted(np.random.default_rng(seed).choice(machines, HELD_OUT_MACHINES, replace=False).tolist())
    test = readings["machine"].isin(held_out)
    return readings[~test], readings[test], held_out


def fit(forest, rows, faulty, options):
    """Trains tree by tree from the last checkpoint on; returns the forest and the number of trees it began with."""
    wanted, checkpoint = forest.n_estimators, None
    if options.checkpoint_dir:
        checkpoint = join(options.checkpoint_dir, "forest.joblib")
        forest = resume(forest, checkpoint)
    began_at = trees_of(forest)
    while trees_of(forest) < wanted:
        forest.n_estimators = min(wanted, trees_of(forest) + options.checkpoint_every)
        forest.fit(rows, faulty)
        log.info("%d of %d trees", trees_of(forest), wanted)
        if checkpoint:
            if options.preempt_after and trees_of(forest) > options.preempt_after > began_at:
                os.kill(os.getpid(), signal.SIGKILL)  # as a lost Spot VM: no handler runs, nothing more is saved
            state = io.BytesIO()
            joblib.dump(forest, state)
            write(checkpoint, state.getvalue())
        time.sleep(options.pause)
    return forest, began_at


def resume(forest, checkpoint):
    """The forest of the checkpoint, if there is one. Raises ValueError for that of another training."""
    if not exists(checkpoint):
        return forest
    saved = joblib.load(io.BytesIO(read(checkpoint)))
    ignored = {"n_estimators": None, "n_jobs": None}
    if saved.get_params() | ignored != forest.get_params() | ignored:
        raise ValueError(f"{checkpoint} is of a training with other settings: give this one a folder of its own.")
    log.info("resumed at %d trees", trees_of(saved))
    return saved


def trees_of(forest):
    return len(getattr(forest, "estimators_", ()))


# Files: the same calls for a path and for gs://


def join(folder, name):
    return f"{folder.rstrip('/')}/{name}"


def blob_of(uri):
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return storage.Client().bucket(bucket).blob(name)


def listing(folder):
    """The files of a folder, in the order in which the storage names them: by name in a bucket, any on a disk."""
    if not folder.startswith("gs://"):
        return [join(folder, name) for name in os.listdir(folder)] if os.path.isdir(folder) else []
    prefix = blob_of(join(folder, ""))
    return [f"gs://{blob.bucket.name}/{blob.name}" for blob in prefix.bucket.list_blobs(prefix=prefix.name)]


def exists(uri):
    return blob_of(uri).exists() if uri.startswith("gs://") else os.path.exists(uri)


def read(uri):
    return blob_of(uri).download_as_bytes() if uri.startswith("gs://") else Path(uri).read_bytes()


def write(uri, content):
    """Writes all or nothing: a process that is killed here leaves the old content."""
    if uri.startswith("gs://"):
        blob_of(uri).upload_from_string(content, "application/octet-stream")
        return
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()

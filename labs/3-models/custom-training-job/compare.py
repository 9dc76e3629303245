"""Trains with all pins but one, for each pin; prints what came out as JSON. The notebook runs it in another process."""

import json
import sys

from trainer import task

SETTINGS = ["--trees=30", "--min-samples-leaf=5"]
# For a run that leaves nothing behind, also where the variables of a job are set.
NOTHING_KEPT = ["--model-dir=", "--checkpoint-dir="]


def arguments(pins):
    """The trainer's arguments for these pins: a pinned one gets its settings, an unpinned one looks for them."""
    return [f"--pins={','.join(pins) or 'none'}", *(SETTINGS if "settings" in pins else [])]


def one_left_out(data, seed, threads):
    """Average precision and fingerprint of the scores, by what is not pinned; `threads` is the argument for threads."""
    found = {}
    for left_out in (None, *task.PINS, "threads"):
        pins = [pin for pin in task.PINS if pin != left_out]
        more = [threads] if left_out == "threads" else []
        metrics = task.main([f"--data={data}", f"--seed={seed}", *arguments(pins), *more, *NOTHING_KEPT])
        found[left_out or "nothing"] = metrics["average_precision"], metrics["scores"]
    return found


if __name__ == "__main__":
    data, seed, threads = sys.argv[1:]
    print(json.dumps(one_left_out(data, seed, threads)))

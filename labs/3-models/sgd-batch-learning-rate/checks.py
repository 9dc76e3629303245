"""Checks, hints and wrong answers of sgd-batch-learning-rate."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class RateFor32(Exercise):
    name = "rate_for_32"
    hints = [
        "How many steps of batch 8 does one worker take while the 32 take one? How far do these steps go together?",
        "One gradient of 256 rows is the mean of 32 gradients of 8 rows. The sum of 32 steps has which factor "
        "before it?",
        "Try: loss_of(256, …) against loss_of(8, BASE_RATE).",
    ]
    wrong = {
        "as it was": "rate_256 = BASE_RATE",
        "the square root": "rate_256 = BASE_RATE * np.sqrt(256 / BASE_BATCH)",
        "divided among the workers": "rate_256 = BASE_RATE * BASE_BATCH / 256",
        "times the batch": "rate_256 = BASE_RATE * 256",
        "the factor": "rate_256 = 256 / BASE_BATCH",
    }

    def check(self, rate, loss_of, base_batch, base_rate, sharded):
        if not np.isscalar(rate) or isinstance(rate, str) or not np.isfinite(rate) or rate <= 0:
            raise Incorrect(f"rate_256 is one positive number, got {rate!r}.")
        if not sharded:
            return  # copies of the same rows: no rate does it
        one_worker, found = loss_of(base_batch, base_rate), loss_of(256, rate)
        if abs(found / one_worker - 1) <= 0.3:
            return
        if found > np.log(10):
            raise Incorrect(
                f"At rate {rate:.4g} the loss is {found:.3g}, worse than guessing: the steps are longer than the loss "
                "surface allows. A step of the large batch replaces 32 small ones, not more."
            )
        if found > one_worker:
            raise Incorrect(
                f"At rate {rate:.4g} the loss is {found:.3f}, one worker has {one_worker:.3f}. There are 32 times "
                f"fewer "
                "steps, and they are not long enough to go as far."
            )
        raise Incorrect(
            f"At rate {rate:.4g} the loss is {found:.3f}, below the {one_worker:.3f} of one worker. Lower is "
            f"welcome, but "
            "it comes from a longer way: one worker at a higher rate would have that, too. Carry the rate over "
            "as it is."
        )


class LargestBatch(Exercise):
    name = "largest_batch"
    hints = [
        "On a diagonal of the grid rate / batch stays. Which batch has the ceiling as its rate?",
        "Solve base_rate / base_batch = ceiling / batch for batch.",
    ]
    wrong = {
        "the factor, not the batch": (
            "def largest_batch(base_batch, base_rate, ceiling):\n    return ceiling / base_rate"
        ),
        "with the square root": (
            "def largest_batch(base_batch, base_rate, ceiling):\n    return base_batch * np.sqrt(ceiling / base_rate)"
        ),
        "the first that breaks": (
            "def largest_batch(base_batch, base_rate, ceiling):\n    return 2 * base_batch * ceiling / base_rate"
        ),
        "upside down": (
            "def largest_batch(base_batch, base_rate, ceiling):\n    return base_batch * base_rate / ceiling"
        ),
        "the one of this notebook": "def largest_batch(base_batch, base_rate, ceiling):\n    return 512",
    }

    def check(self, largest_batch, grid, ceiling):
        if not callable(largest_batch):
            raise Incorrect(f"largest_batch is a function of three numbers, got {type(largest_batch).__name__}.")
        for base_batch, base_rate in ((8, 1 / 32), (8, 1 / 16), (4, 1 / 64), (16, 1 / 32), (16, 1 / 16)):
            try:
                found = float(largest_batch(base_batch, base_rate, ceiling))
            except Exception as error:
                raise Incorrect(f"largest_batch ends with {type(error).__name__}: {str(error)[:150]}.") from None
            right = base_batch * ceiling / base_rate
            if abs(found / right - 1) < 0.01:
                continue
            case = f"Base batch {base_batch} at rate {base_rate:g}, ceiling {ceiling:g}: got {found:.4g}. "
            if found > right:
                raise Incorrect(
                    f"{case}In proportion its rate would be {base_rate * found / base_batch:.3g}, above the "
                    f"ceiling: look "
                    "at that field of the grid, the training blows up."
                )
            raise Incorrect(
                f"{case}In proportion its rate is {base_rate * found / base_batch:.3g}, below the ceiling: the loss is "
                "the same for larger batches on that diagonal, which would be faster."
            )


class HowManyWorkers(Exercise):
    name = "how_many_workers"
    hints = [
        "A global batch of b rows is b / 8 workers. Rows of race below 8 are no plan.",
        "Seconds = steps x (0.010, and 0.002 more if there are at least two workers). Which rows are within 1.25 times "
        "the smallest?",
    ]
    wrong = {
        "as many as there are": "workers = 128",
        "the cheapest": "workers = 1",
        "the batch instead of the workers": (
            "seconds = race['steps'] * 0.012\nworkers = int(race.index[seconds <= 1.25 * seconds.min()].min())"
        ),
        "as if doubling always halved": (
            "seconds = race['steps'][8] * 0.010 / 2.0 ** np.arange(8)\n"
            "workers = int(2 ** np.flatnonzero(seconds <= 1.25 * seconds.min()).min())"
        ),
        "fewest rows": "workers = int(max(race['rows'].idxmin() // 8, 1))",
        "a share of a worker": "workers = 0.5",
    }

    def check(self, workers, race):
        plan = race[race.index >= 8]
        k = plan.index.to_numpy() // 8
        seconds = plan["steps"].to_numpy() * np.where(k > 1, 0.012, 0.010)
        if not np.isscalar(workers) or isinstance(workers, str) or workers not in k:
            raise Incorrect(
                f"workers is one of {', '.join(map(str, k))}: the global batch divided by 8. Got {workers!r}."
            )
        right = k[seconds <= 1.25 * seconds.min()].min()
        if workers == right:
            return
        took, fastest = seconds[k == workers][0], seconds.min()
        if took > 1.25 * fastest:
            raise Incorrect(
                f"{workers} workers take {took:.2f} s to the goal, the fastest {fastest:.2f} s: more than 1.25 "
                f"times as long."
            )
        raise Incorrect(
            f"{workers} workers take {took:.2f} s, and {right} take {seconds[k == right][0]:.2f} s, also within "
            f"1.25 times the "
            f"fastest, for {right / workers:.0%} of the machines. Beyond the critical batch the others save next "
            f"to nothing."
        )

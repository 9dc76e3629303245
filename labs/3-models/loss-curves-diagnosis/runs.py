"""Ten trainings of the same network, nine of them with one planted fault. Name the faults from the curves first."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from threadpoolctl import threadpool_limits

threadpool_limits(1)  # the matrices are small: more threads would only wait for each other

DIGITS = 10
STEPS, BATCH, EVERY, VALIDATE_EVERY = 600, 32, 4, 20

PLANTED = {
    "A": "no shuffle",
    "B": "leak",
    "C": "healthy",
    "D": "repeated batch",
    "E": "rate too high",
    "F": "label shares differ",
    "G": "NaN in a row",
    "H": "underfitting",
    "I": "exploding",
    "J": "overfitting",
}


@dataclass(frozen=True)
class Forms:
    """Scanned digits: pixels from 0 to 16, the tray in which each form lies, and the digit that a clerk typed."""

    pixels: np.ndarray
    tray: np.ndarray
    digit: np.ndarray

    def __getitem__(self, rows):
        return Forms(self.pixels[rows], self.tray[rows], self.digit[rows])

    def __len__(self):
        return len(self.digit)


@dataclass(frozen=True)
class Setup:
    """What a team has built: its rows, the order of its batches, its network. The defaults are sound."""

    train: Forms
    valid: Forms
    live: Forms
    seed: tuple
    rate: float = 0.3
    dropout: float = 0.3
    l2: float = 0.0
    width: int = 64
    scale: float = 1 / 16
    use_tray: bool = False
    order: str = "shuffle"  # "sorted": as the rows lie on the disk; "same": the first batch again and again

    def columns(self):
        """The columns that the network gets, by name, of the training rows."""
        named = {f"pixel {number}": column for number, column in enumerate(self.train.pixels.T)}
        return named | ({"tray": self.train.tray} if self.use_tray else {})

    def inputs(self, forms):
        pixels = (forms.pixels * self.scale).astype("float32")
        return np.hstack([pixels, np.eye(DIGITS, dtype="float32")[forms.tray]]) if self.use_tray else pixels


def forms(table, rng):
    """Training, validation and live forms. One in ten has a wrong digit typed, and lies in that digit's tray."""
    table = table[rng.permutation(len(table))]
    pixels, digit = table[:, :64].astype("float32"), table[:, 64].astype(int)
    typed = np.where(rng.random(len(digit)) < 0.1, (digit + rng.integers(1, DIGITS, len(digit))) % DIGITS, digit)
    tray = np.where(rng.random(len(digit)) < 0.02, rng.integers(0, DIGITS, len(digit)), rng.permutation(DIGITS)[typed])
    tray[1400:] = 0  # a form that comes in lies nowhere yet: the field's default
    everything = Forms(pixels, tray, typed)
    return everything[:1000], everything[1000:1400], everything[1400:]


def setups(table, seed, faults=True):
    """The ten set-ups by letter; without faults, ten sound ones."""
    rng = np.random.default_rng([seed, 1])
    train, valid, live = forms(table, rng)
    sound = {letter: Setup(train, valid, live, seed=(seed, 2, number)) for number, letter in enumerate(PLANTED)}
    if not faults:
        return sound
    with_nan = train.pixels.copy()
    # A row that the shuffle deals late in the first epoch, so that there is a curve to see.
    with_nan[next_batches(sound["G"], 24)[-1][0], 20] = np.nan
    changes = {
        "no shuffle": {"order": "sorted"},
        "leak": {"use_tray": True},
        "repeated batch": {"order": "same"},
        "rate too high": {"rate": 1.5},
        "label shares differ": {"train": train[(train.digit < 5) | (rng.random(len(train)) < 0.05)]},
        "NaN in a row": {"train": replace(train, pixels=with_nan)},
        "underfitting": {"l2": 0.1},
        "exploding": {"scale": 255 / 16},
        "overfitting": {"train": train[:120], "dropout": 0.0},
    }
    return {letter: replace(setup, **changes.get(PLANTED[letter], {})) for letter, setup in sound.items()}


# ---- the network: 64 pixels, one hidden layer, softmax ----


def batches(setup):
    """Row numbers of one batch after another, for ever."""
    rng = np.random.default_rng([*setup.seed, 3])
    rows = len(setup.train)
    first = rng.permutation(rows)[:BATCH]
    while True:
        order = np.argsort(setup.train.digit, kind="stable") if setup.order == "sorted" else rng.permutation(rows)
        for start in range(0, rows - BATCH + 1, BATCH):
            yield first if setup.order == "same" else order[start : start + BATCH]


def next_batches(setup, count):
    stream = batches(setup)
    return [next(stream) for _ in range(count)]


def initial(setup):
    rng = np.random.default_rng([*setup.seed, 4])
    inputs = setup.inputs(setup.train[:1]).shape[1]
    first = rng.normal(0, np.sqrt(2 / inputs), (inputs, setup.width))
    second = rng.normal(0, 0.3 / np.sqrt(setup.width), (setup.width, DIGITS))
    return [w.astype("float32") for w in (first, np.zeros(setup.width), second, np.zeros(DIGITS))]


def losses(weights, X, y):
    """Cross-entropy of each row, without dropout."""
    logits = np.maximum(X @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
    logits -= logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]


def step(weights, X, y, setup, rng):
    """One step of gradient descent in place; the loss of the batch, with dropout, before the step."""
    hidden = np.maximum(X @ weights[0] + weights[1], 0)
    kept = (rng.random(hidden.shape) >= setup.dropout).astype("float32") / (1 - setup.dropout)
    hidden *= kept
    logits = hidden @ weights[2] + weights[3]
    logits -= logits.max(axis=1, keepdims=True)
    exp = np.exp(logits)
    total = exp.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = float((np.log(total[:, 0]) - logits[rows, y]).mean())
    error = exp / total
    error[rows, y] -= 1
    error /= len(y)
    back = (error @ weights[2].T) * kept * (hidden > 0)
    gradients = [
        X.T @ back + setup.l2 * weights[0],
        back.sum(axis=0),
        hidden.T @ error + setup.l2 * weights[2],
        error.sum(axis=0),
    ]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight -= setup.rate * gradient
    return loss


@dataclass
class Run:
    """A finished training: two curves as (step, loss) and the weights of the last step or of the best one."""

    train: np.ndarray
    valid: np.ndarray
    weights: list
    setup: Setup

    def loss(self, part):
        """The loss on "train", "valid" or "live", without dropout."""
        forms = getattr(self.setup, part)
        with np.errstate(all="ignore"):
            return float(losses(self.weights, self.setup.inputs(forms), forms.digit).mean())


def fit(setup, steps=STEPS, early_stopping=False):
    """Trains a set-up. The training curve has the mean of the last few batches, the validation curve all its rows."""
    rng = np.random.default_rng([*setup.seed, 5])
    X, y = setup.inputs(setup.train), setup.train.digit
    held_out = setup.inputs(setup.valid), setup.valid.digit
    weights, best, recent, train, valid = initial(setup), None, [], [], []
    with np.errstate(all="ignore"):  # some of them overflow: that is their fault
        for number, rows in zip(range(1, steps + 1), batches(setup), strict=False):
            recent.append(step(weights, X[rows], y[rows], setup, rng))
            if number % EVERY == 0:
                train.append((number, np.mean(recent)))
                recent = []
            if number % VALIDATE_EVERY == 0:
                valid.append((number, losses(weights, *held_out).mean()))
                if early_stopping and valid[-1][1] <= min(loss for _, loss in valid):
                    best = [weight.copy() for weight in weights]
    return Run(np.array(train), np.array(valid), best or weights, setup)


# ---- event files, as TensorBoard reads them; no TensorFlow is needed to write them ----


def write_events(folder, run):
    """Writes the curves of a run as TensorBoard's event file."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "events.out.tfevents.0.lab", "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=0, file_version="brain.Event:2").SerializeToString())
        for tag, curve in (("loss/train", run.train), ("loss/validation", run.valid)):
            for number, loss in curve:
                value = Summary.Value(tag=tag, simple_value=loss)
                event = Event(wall_time=number, step=int(number), summary=Summary(value=[value]))
                writer.write(event.SerializeToString())
        writer.flush()


def read_events(folder):
    """The curves of every run below a folder, by run and tag, as TensorBoard reads them."""
    # TensorBoard's own switch: read files by itself instead of with TensorFlow, which takes seconds to import.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = {}
    for run in sorted(folder.iterdir()):
        events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            curves[run.name, tag] = np.array([(event.step, event.value) for event in events.Scalars(tag)])
    return curves

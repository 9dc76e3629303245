"""Checks, hints and wrong answers of loss-curves-diagnosis."""

import warnings

import numpy as np
from labkit.lesson import Exercise, Incorrect

# What to look at, for whoever has given a letter another name.
LOOK = {
    "A": "The training loss jumps up and down in a rhythm, an epoch long, and never comes near zero: no batch is "
    "like the "
    "one before. Whoever knows rows by heart has a smooth curve that falls to zero.",
    "B": "The curves end below the dashed line: the model foresees slips of the clerks, which nobody can.",
    "C": "Both curves fall, stay together, and end a little above the dashed line: that is all there is to learn.",
    "D": "The training loss is close to zero after a few epochs and has no scatter at all: 32 rows can be learnt "
    "so fast, "
    "a thousand cannot.",
    "E": "It comes down slowly, jumps about all the way and rests nowhere, far above where the sound run has long "
    "been: the steps are longer than the valley is wide.",
    "F": "The gap is there from the first point on, when nothing can have been learnt by heart yet, and the "
    "training loss "
    "ends below the dashed line for honest rows of all digits.",
    "G": "The curve was in order up to one step and then stops being a number: no loss grew before that.",
    "H": "Both curves are smooth, together, and come to rest far too high, from early on: more steps will not help.",
    "I": "The first losses are thousands of times that of guessing; after that the run sits on the dotted line.",
    "J": "The training loss falls smoothly towards zero while validation falls first and rises later: the gap opens.",
}


class NameTheFault(Exercise):
    name = "name_the_fault"
    hints = [
        "Start with the easy ones: which curve stops, which one needs a logarithmic axis, which one sits still?",
        "The sound run ends near the dashed line. One run ends below it: what would it have to know?",
        "Four have a gap. Whose gap is there at the first point? Whose training curve jumps in a rhythm? Whose "
        "falls to "
        "zero in fewer steps than an epoch has?",
    ]
    wrong = {
        "the prettiest one is the sound one": (
            'verdict = {"A": "no shuffle", "B": "healthy", "C": "leak", "D": "repeated batch", "E": "rate too high",\n'
            '           "F": "label shares differ", "G": "NaN in a row", "H": "underfitting", "I": "exploding",\n'
            '           "J": "overfitting"}'
        ),
        "the widest gap is overfitting": (
            'verdict = {"A": "no shuffle", "B": "leak", "C": "healthy", "D": "overfitting", "E": "rate too high",\n'
            '           "F": "label shares differ", "G": "NaN in a row", "H": "underfitting", "I": "exploding",\n'
            '           "J": "repeated batch"}'
        ),
        "whatever jumps has too high a rate": (
            'verdict = {"A": "rate too high", "B": "leak", "C": "healthy", "D": "repeated batch", "E": "no shuffle",\n'
            '           "F": "label shares differ", "G": "NaN in a row", "H": "underfitting", "I": "exploding",\n'
            '           "J": "overfitting"}'
        ),
        "NaN is an explosion": (
            'verdict = {"A": "no shuffle", "B": "leak", "C": "healthy", "D": "repeated batch", "E": "rate too high",\n'
            '           "F": "label shares differ", "G": "exploding", "H": "underfitting", "I": "NaN in a row",\n'
            '           "J": "overfitting"}'
        ),
        "every gap is overfitting": (
            'verdict = dict.fromkeys("ADFJ", "overfitting") | {"B": "leak", "C": "healthy", "E": "rate too high",\n'
            '           "G": "NaN in a row", "H": "underfitting", "I": "exploding"}'
        ),
        "the wrong way round": (
            'verdict = {"no shuffle": "A", "leak": "B", "healthy": "C", "repeated batch": "D", "rate too high": "E",\n'
            '           "label shares differ": "F", "NaN in a row": "G", "underfitting": "H", "exploding": "I",\n'
            '           "overfitting": "J"}'
        ),
    }

    def check(self, verdict, planted):
        if not isinstance(verdict, dict) or set(verdict) != set(planted):
            raise Incorrect('verdict is a dict with one entry for each letter from "A" to "J": {"A": "…", …}.')
        unknown = sorted(str(name) for name in verdict.values() if name not in planted.values())
        if unknown:
            raise Incorrect(f"{unknown[0]!r} is none of the ten names: {', '.join(sorted(planted.values()))}.")
        wrong = [letter for letter in planted if verdict[letter] != planted[letter]]
        if wrong:
            twice = sorted({name for name in verdict.values() if list(verdict.values()).count(name) > 1})
            note = f" Each name fits one run; {twice[0]!r} was given more than once." if twice else ""
            raise Incorrect(
                f"{10 - len(wrong)} of 10 are right.{note} Look again at {wrong[0]}, which is not "
                f"{verdict[wrong[0]]!r}: {LOOK[wrong[0]]}"
            )


class MendAllFour(Exercise):
    name = "mend_all_four"
    hints = [
        "What is different between these rows or batches and those of the sound run? Remove that, not the gap.",
        "Two of the mends change the order of batches, two change the rows. Which two runs have the wrong batches?",
        "Early stopping keeps a model that has seen the wrong rows for a shorter time. Did it see other rows?",
    ]
    wrong = {
        "the textbook": 'chosen = dict.fromkeys("ADFJ", "more dropout and early stopping")',
        "more data for all": 'chosen = dict.fromkeys("ADFJ", "collect more rows")',
        "shuffle for all": 'chosen = dict.fromkeys("ADFJ", "shuffle the rows")',
        "batches mixed up": (
            'chosen = {"A": "let the iterator go on", "D": "shuffle the rows",\n'
            '          "F": "draw the rows as validation was drawn", "J": "collect more rows"}'
        ),
        "rows mixed up": (
            'chosen = {"A": "shuffle the rows", "D": "let the iterator go on", "F": "collect more rows",\n'
            '          "J": "draw the rows as validation was drawn"}'
        ),
        "a mend of one's own": (
            'chosen = {"A": "lower the rate", "D": "let the iterator go on", "F": "collect more rows",\n'
            '          "J": "early stopping"}'
        ),
    }

    def check(self, chosen, mends, teams):
        if not isinstance(chosen, dict) or set(chosen) != set("ADFJ"):
            raise Incorrect('chosen is a dict with the keys "A", "D", "F" and "J".')
        unknown = [name for name in chosen.values() if name not in mends]
        if unknown:
            raise Incorrect(f"{unknown[0]!r} is none of the five: {'; '.join(mends)}.")
        sound = mends["shuffle the rows"](teams["C"]).loss("live")
        for letter, name in chosen.items():
            above = mends[name](teams[letter]).loss("live") - sound
            if above > 0.25:
                raise Incorrect(
                    f"{letter} with {name!r}: the live loss is still {above:.2f} above the sound run's. What "
                    f"makes this "
                    "run's training rows easier than the validation rows is still there."
                )


class AccuracyAlone(Exercise):
    name = "accuracy_alone"
    hints = [
        "Learn on one half of the rows, count on the other half. For a column of few values: the most frequent "
        "label of each.",
        "A column of many values: cut it into some 40 ranges with as many rows in each (np.quantile, np.searchsorted).",
        "scikit-learn can do it: a DecisionTreeClassifier with min_samples_leaf=10 on column[:, None].",
    ]
    wrong = {
        "the correlation": ("def accuracy_alone(column, labels):\n    return abs(np.corrcoef(column, labels)[0, 1])"),
        "are they equal": "def accuracy_alone(column, labels):\n    return (column == labels).mean()",
        "counted on the rows that it has learnt from": (
            "def accuracy_alone(column, labels):\n"
            "    best = pd.Series(labels).groupby(np.asarray(column)).agg(lambda seen: seen.mode()[0])\n"
            "    return (best.loc[column].to_numpy() == labels).mean()"
        ),
        "which value for each label": (
            "def accuracy_alone(column, labels):\n"
            "    means = np.array([column[labels == label].mean() for label in range(10)])\n"
            "    nearest = np.abs(np.asarray(column)[:, None] - means[labels][:, None]).argmin(axis=1)\n"
            "    return (nearest == labels).mean()"
        ),
        "the whole table of guesses": (
            "def accuracy_alone(column, labels):\n    return np.array([(column == k).mean() for k in range(10)])"
        ),
    }

    def check(self, accuracy_alone):
        if not callable(accuracy_alone):
            raise Incorrect(
                f"accuracy_alone is a function of a column and labels, got {type(accuracy_alone).__name__}."
            )
        rng = np.random.default_rng(5)
        labels = rng.integers(0, 10, 1200)
        wrong = rng.random(1200) < 0.1
        code = np.where(wrong, rng.integers(0, 10, 1200), rng.permutation(10)[labels])
        for column, low, high, what in (
            (labels.astype(float), 0.97, 1.0, "The label itself"),
            (code, 0.85, 0.97, "A code for the label (tray 7 is another digit than 7), right in nine rows of ten,"),
            (code * 3.5 + rng.normal(0, 0.3, 1200), 0.75, 0.97, "The same code as a measurement with a little noise"),
            (rng.permutation(1200), 0.0, 0.2, "The form's id, another number in each row,"),
            (rng.normal(size=1200), 0.0, 0.2, "A column of noise"),
            (rng.integers(0, 3, 1200), 0.0, 0.2, "A column of three values that have nothing to do with the label"),
        ):
            self.judge(accuracy_alone, column, labels, low, high, what)

    def judge(self, function, column, labels, low, high, what):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = float(function(column, labels))
        except Exception as error:
            raise Incorrect(
                f"{what} ends with {type(error).__name__}: {str(error)[:150]}. The function returns one number, "
                f"the share "
                "of rows that are predicted right."
            ) from None
        if low <= found <= high:
            return
        if found < low:
            raise Incorrect(
                f"{what} gives the label away and got {found:.2f}, at least {low:.2f} was to be expected: this "
                f"leak would "
                "pass. Do not compare numbers of the column with numbers of labels; count which label goes with "
                "which value."
            )
        raise Incorrect(
            f"{what} knows nothing about the label and got {found:.2f}: a false alarm. Count only on rows from which "
            "nothing was learnt, and learn from ranges of values rather than from single ones."
        )

"""Checks, hints and wrong answers of cross-validation."""

import numpy as np
from labkit.lesson import Exercise, Incorrect
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold, cross_val_score


class Toss(Exercise):
    name = "toss"
    hints = [
        "How many coins does the reviewer toss: one for each recording, or one for each volunteer?",
        "First make an array with one diagnosis for each person. np.unique(person, return_index=True, …) helps.",
        "Shuffle that array with rng.permutation, and hand each person's value to all of that person's recordings.",
    ]
    wrong = {
        "a coin for each recording": "def toss(sick, person, rng):\n    return rng.permutation(sick)",
        "tossed freely, so that the number of ill people varies": (
            "def toss(sick, person, rng):\n    return rng.integers(0, 2, person.max() + 1)[person]"
        ),
        "the same coin at every call": (
            "def toss(sick, person, rng):\n"
            "    first_row = np.unique(person, return_index=True)[1]\n"
            "    return np.random.default_rng(0).permutation(sick[first_row])[person]"
        ),
        "ill and healthy exchanged": "def toss(sick, person, rng):\n    return 1 - sick",
        "people renamed, diagnoses kept": (
            "def toss(sick, person, rng):\n    rng.permutation(np.unique(person))\n    return sick.copy()"
        ),
    }

    def check(self, toss, sick, person):
        before = sick.copy()
        first_row = np.unique(person, return_index=True)[1]
        dealt = [np.asarray(toss(sick, person, np.random.default_rng(number))) for number in range(5)]
        if not np.array_equal(before, sick):
            raise Incorrect("toss has changed sick itself. Work on a copy: the true diagnosis is still needed.")
        for labels in dealt:
            if labels.shape != sick.shape:
                raise Incorrect(f"toss returns a label for each recording, shape {sick.shape}, got {labels.shape}.")
            if not np.array_equal(labels, labels[first_row][np.searchsorted(np.unique(person), person)]):
                raise Incorrect(
                    "Recordings of one person have different labels. Then recognising the person helps no model, the "
                    "score is 50%, and the leak that you look for stays hidden. Deal one label for each person."
                )
            if labels[first_row].sum() != sick[first_row].sum():
                raise Incorrect(
                    f"{labels[first_row].sum()} people are ill, and {sick[first_row].sum()} were. Cut only the link: "
                    "with another share of ill people, saying the more frequent answer already beats 50%."
                )
        agree = [np.mean(labels[first_row] == sick[first_row]) for labels in dealt]
        if max(agree) > 0.85 or min(agree) < 0.15:
            raise Incorrect(
                "The labels still tell the diagnosis of nearly everybody. Exchanging or keeping all cuts no link."
            )
        if all(np.array_equal(dealt[0], other) for other in dealt[1:]):
            raise Incorrect(
                "Every call deals the same labels, whatever rng is. One coin is an anecdote: draw from the rng given."
            )


class Folds(Exercise):
    name = "folds"
    hints = [
        "What is new in production: a recording, or a person?",
        "scikit-learn's splitters whose names contain Group take groups=person and keep a group on one side.",
        "There is one that does both: it keeps groups together and the shares of the labels equal.",
    ]
    wrong = {
        "folds of recordings": "folds = list(KFold(5, shuffle=True, random_state=0).split(X))",
        "stratified, not grouped": "folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, sick))",
        "people in order of their diagnosis": (
            "parts = np.array_split(np.argsort(ill, kind='stable'), 5)\n"
            "inside = [np.isin(person, part) for part in parts]\n"
            "folds = [(np.flatnonzero(~test), np.flatnonzero(test)) for test in inside]"
        ),
        "five draws instead of five folds": (
            "from sklearn.model_selection import GroupShuffleSplit\n"
            "folds = list(GroupShuffleSplit(5, test_size=0.2, random_state=0).split(X, sick, groups=person))"
        ),
        "one fold for each person": (
            "from sklearn.model_selection import LeaveOneGroupOut\n"
            "folds = list(LeaveOneGroupOut().split(X, sick, groups=person))"
        ),
        "the splitter, not its folds": "folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)",
    }

    def check(self, folds, sick, person):
        try:
            folds = [(np.asarray(train), np.asarray(test)) for train, test in folds]
        except (TypeError, ValueError):
            raise Incorrect(
                f"folds is a list of pairs (train, test) of row numbers, got {type(folds).__name__}. A splitter makes "
                "them with .split(X, …)."
            ) from None
        if len(folds) != 5:
            raise Incorrect(f"There are {len(folds)} folds, not 5: each is another training, and another test of few.")
        tested = np.concatenate([test for _, test in folds])
        for train, test in folds:
            both = np.intersect1d(person[train], person[test])
            if len(both):
                raise Incorrect(
                    f"{len(both)} people are in training and test of one fold. A model that remembers voices finds "
                    "them again and reads off their label; a new patient it has never heard."
                )
        if not np.array_equal(np.sort(tested), np.arange(len(sick))):
            raise Incorrect(
                "Not every recording is tested exactly once: some people count twice in the mean and others not at all."
            )
        for train, test in folds:
            if not np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(sick))):
                raise Incorrect("A fold trains on fewer rows than it could: train is everything outside test.")
            people = np.unique(person[test])
            ill = sum(sick[person == one][0] for one in people)
            if min(ill, len(people) - ill) < 4:
                raise Incorrect(
                    f"A fold tests {ill} ill and {len(people) - ill} healthy people. Training then has the opposite "
                    "share, and models are judged on a mix that they have not met: stratify."
                )


class LookUp(ClassifierMixin, BaseEstimator):
    """A candidate whose answers are written in a column of X, so that nothing is learnt and fitting is free."""

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return X[:, self.column].astype(int)


class Nested(Exercise):
    name = "nested"
    hints = [
        "Which rows may have a say in the choice, if an outer test fold is to judge the chosen model?",
        "Inside the loop over outer.split(X, y), a whole cross-validation by inner runs on X[train], y[train] alone.",
        "np.argmax of the inner mean scores is the winner of this outer fold; the next fold may have another.",
    ]
    wrong = {
        "the best score of the same folds": (
            "def nested(models, X, y, outer, inner):\n"
            "    return max(cross_val_score(model, X, y, cv=outer).mean() for model in models)"
        ),
        "chosen on all rows, then cross-validated": (
            "def nested(models, X, y, outer, inner):\n"
            "    inside = [cross_val_score(model, X, y, cv=inner).mean() for model in models]\n"
            "    return cross_val_score(models[np.argmax(inside)], X, y, cv=outer).mean()"
        ),
        "the winner of each outer test fold": (
            "def nested(models, X, y, outer, inner):\n"
            "    return np.mean(np.max([cross_val_score(model, X, y, cv=outer) for model in models], axis=0))"
        ),
        "the winner's inner score": (
            "def nested(models, X, y, outer, inner):\n"
            "    scores = []\n"
            "    for train, test in outer.split(X, y):\n"
            "        means = [cross_val_score(model, X[train], y[train], cv=inner).mean() for model in models]\n"
            "        scores.append(max(means))\n"
            "    return np.mean(scores)"
        ),
        "the mean of all models": (
            "def nested(models, X, y, outer, inner):\n"
            "    return np.mean([cross_val_score(model, X, y, cv=outer).mean() for model in models])"
        ),
        "a score for each fold": (
            "def nested(models, X, y, outer, inner):\n    return cross_val_score(models[0], X, y, cv=outer)"
        ),
    }

    def check(self, nested):
        rng = np.random.default_rng(3)
        X, y = rng.integers(0, 2, (48, 8)), np.tile([0, 1], 24)  # eight candidates that guess
        models = [LookUp(column) for column in range(8)]
        outer, inner = (StratifiedKFold(3, shuffle=True, random_state=number) for number in (1, 2))
        found = nested(models, X, y, outer, inner)
        if np.ndim(found) or not isinstance(found, (float, np.floating)):
            raise Incorrect(f"nested returns one number, the mean over the outer folds, got {type(found).__name__}.")
        scores = np.array([cross_val_score(model, X, y, cv=outer) for model in models])
        inside = []
        right = []
        for fold, (train, _) in enumerate(outer.split(X, y)):
            means = [cross_val_score(clone(model), X[train], y[train], cv=inner).mean() for model in models]
            inside.append(max(means))
            right.append(scores[np.argmax(means), fold])
        if np.isclose(found, np.mean(right), atol=1e-9):
            return
        tail = f"On eight candidates that guess it says {found:.0%}."
        if np.isclose(found, np.mean(inside), atol=1e-9):
            raise Incorrect(f"{tail} That is the inner score of the winners, by which they were chosen. Judge on test.")
        if np.isclose(found, scores.mean(), atol=1e-9):
            raise Incorrect(f"{tail} That is the mean of all models. Delivered is one, the chosen one.")
        if found > np.mean(right):
            raise Incorrect(
                f"{tail} Rows of an outer test fold have had a say in the choice. They liked the winner by luck, and "
                "now they praise it. Choose within X[train], y[train] of each outer fold."
            )
        raise Incorrect(
            f"{tail} Each outer fold judges the model that the inner folds of its training rows have chosen."
        )


class StandardError(Exercise):
    name = "standard_error"
    hints = [
        "If the study were done again, what would be drawn anew: the folds, or the people?",
        "How many independent answers (right or wrong) does the mean accuracy rest on? Not 100, and not 360.",
        "A share p of n independent answers has the variance p (1 - p) / n.",
    ]
    wrong = {
        "over 100 fold scores": "standard_error = study_scores.std(ddof=1) / np.sqrt(study_scores.size)",
        "over 20 repeats": "standard_error = study_scores.mean(axis=1).std(ddof=1) / np.sqrt(20)",
        "spread of the fold scores": "standard_error = study_scores.std(ddof=1)",
        "counts recordings": "standard_error = np.sqrt(mean_accuracy * (1 - mean_accuracy) / (PEOPLE * RECORDINGS))",
        "counts every answer": "standard_error = study_correct.std(ddof=1) / np.sqrt(study_correct.size)",
        "variance": "standard_error = mean_accuracy * (1 - mean_accuracy) / PEOPLE",
    }

    def check(self, standard_error, study_scores, study_correct):
        if np.ndim(standard_error) or not np.isfinite(standard_error) or standard_error <= 0:
            raise Incorrect("standard_error is one positive number, a share such as 0.05.")
        p, people = study_scores.mean(), study_correct.shape[1]
        right = np.sqrt(p * (1 - p) / people)
        if standard_error < 0.6 * right:
            raise Incorrect(
                f"± {standard_error:.1%} is too sure by a factor of {right / standard_error:.1f}. Repeats, folds and "
                f"recordings ask the same {people} people again; they are no new evidence about other people."
            )
        if standard_error > 1.4 * right:
            raise Incorrect(
                f"± {standard_error:.1%} is how far a single small fold scatters. The mean rests on {people} people."
            )

"""Trains a digit classifier with the given hyperparameters and reports its accuracy on validation rows."""

import argparse

import hypertune
import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

TRAIN, VALIDATION = 200, 100


def rows(seed):
    """Row numbers of training, validation and test, drawn from one seed."""
    order = np.random.default_rng(seed).permutation(1797)
    return order[:TRAIN], order[TRAIN : TRAIN + VALIDATION], order[TRAIN + VALIDATION :]


def fit(seed, **hyperparameters):
    """A classifier trained on the training rows: digits of 8x8 pixels, grey values from 0 to 1."""
    pixels, digits = load_digits(return_X_y=True)
    train = rows(seed)[0]
    return SVC(kernel="rbf", **hyperparameters).fit(pixels[train] / 16, digits[train])


def accuracy(model, which):
    pixels, digits = load_digits(return_X_y=True)
    return float(model.score(pixels[which] / 16, digits[which]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    for name in ("C", "gamma", "tol", "coef0"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = vars(parser.parse_args())
    seed = given.pop("seed")
    score = accuracy(fit(seed, **given), rows(seed)[1])
    hypertune.HyperTune().report_hyperparameter_tuning_metric("accuracy", score, global_step=1)


if __name__ == "__main__":
    main()

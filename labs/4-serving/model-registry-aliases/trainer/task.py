"""Trains minutes to the door from the columns that it is told, as polynomial regression, and writes model.joblib."""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", required=True, help="CSV of the night, a path under /gcs/")
    arguments.add_argument("--columns", required=True, help="the model's inputs, separated by commas, in their order")
    arguments.add_argument("--degree", type=int, default=1, help="degree of the polynomial")
    options = arguments.parse_args()
    # Not pandas: its import would take longer than the training.
    orders = np.genfromtxt(options.data, delimiter=",", names=True, dtype=None, encoding="utf-8")
    inputs = np.column_stack([orders[name] for name in options.columns.split(",")])
    model = make_pipeline(PolynomialFeatures(options.degree), LinearRegression()).fit(inputs, orders["minutes"])
    # On Vertex AI the folder is a gs:// URI, and the bucket is mounted at /gcs/.
    folder = Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")


if __name__ == "__main__":
    main()

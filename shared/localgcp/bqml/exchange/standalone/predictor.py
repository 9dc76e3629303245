"""Predicts with an exported tree model; it needs XGBoost and NumPy only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost

Encode = Callable[[Any], list[float]]

NULL = "_null_filler"


class Predictor:
    """A model in a folder: model.bst and assets/."""

    def __init__(self, folder: str) -> None:
        assets = os.path.join(folder, "assets")
        with open(os.path.join(folder, "model.bst"), "rb") as file:
            self.booster = xgboost.Booster(model_file=bytearray(file.read()))
        with open(os.path.join(assets, "model_metadata.json"), encoding="utf-8") as file:
            self.metadata = json.load(file)
        self.encoders: list[tuple[str, Encode]] = []
        for number, name in enumerate(self.metadata["feature_names"]):
            feature = self.metadata["features"][name]
            kind = feature["encode_type"]
            if kind == "numerical_identity":
                self.encoders.append((name, _number(feature["null_value"])))
                continue
            with open(os.path.join(assets, f"{number}_{kind}.txt"), encoding="utf-8", newline="\n") as file:
                self.encoders.append((name, ENCODERS[kind](file.read())))

    @classmethod
    def from_path(cls, folder: str) -> Predictor:
        return cls(folder)

    def predict(self, instances: list[dict[str, Any]]) -> list[Any]:
        """Predictions of a list of dicts from feature name to value.

        Numbers for a regression. For a classification dicts with predicted_<label>, <label>_values and <label>_probs.
        Raises ValueError for an instance without one of the features.
        """
        rows = []
        for number, instance in enumerate(instances):
            missing = [name for name, _ in self.encoders if name not in instance]
            if missing:
                raise ValueError(f"Instance {number} has no feature {missing[0]}.")
            rows.append([value for name, encode in self.encoders for value in encode(instance[name])])
        found = self.booster.predict(xgboost.DMatrix(np.array(rows, dtype=float)))
        if "class_names" not in self.metadata:
            return list(found.tolist())
        classes, label = self.metadata["class_names"], self.metadata["label_col"]
        out = []
        for row in found:
            probabilities = [1 - float(row), float(row)] if found.ndim == 1 else row.tolist()
            # Of two equal probabilities the second class wins, as the threshold 0.5 decides.
            second = len(classes) == 2 and probabilities[1] >= 0.5
            best = 1 if second else int(np.argmax(probabilities))
            out.append(
                {f"predicted_{label}": classes[best], f"{label}_values": classes, f"{label}_probs": probabilities}
            )
        return out


def _number(null_value: float) -> Encode:
    return lambda value: [null_value if value is None else float(value)]


def _text(value: Any) -> str:
    """A category as BigQuery prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _label(content: str) -> Encode:
    codes = {category: code for code, category in enumerate(content.split("\n")[:-1]) if code}
    return lambda value: [0.0 if value is None else float(codes.get(_text(value), 0))]


def _one_hot(content: str) -> Encode:
    categories = content.split("\n")[:-1]

    def encode(value: Any) -> list[float]:
        wanted = NULL if value is None else _text(value)
        return [float(category == wanted) for category in categories]

    return encode


def _target(content: str) -> Encode:
    learnt = json.loads(content)
    return lambda value: [learnt["means"].get(NULL if value is None else _text(value), learnt["unseen"])]


ENCODERS = {"categorical_label": _label, "categorical_one_hot": _one_hot, "categorical_target": _target}

"""MODEL_TYPE XGBOOST: a Booster that XGBoost itself saved.

From the documentation: INPUT and OUTPUT may be left out only if the file has feature_names and feature_types; names in
the file must be those of INPUT; inputs are numeric, the output is FLOAT64 (or an ARRAY of it for several classes).
Ours: without OUTPUT the output is `predicted_label`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.imported import Field, Imported, check_fields
from localgcp.bqml.options import Options

# A damaged file can make XGBoost end its process or run for ever, so another process opens it first: loads it, walks
# every tree, predicts.
TRIAL = """
import sys, numpy, xgboost
booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(sys.stdin.buffer.read()))
booster.save_config()
booster.get_dump(with_stats=True)
rows = numpy.array([[value] * booster.num_features() for value in (0.0, 1e30, -1e30, numpy.nan)])
booster.inplace_predict(rows, validate_features=False)
"""
TRIAL_SECONDS = 120
NUMBERS = re.compile(r"(INT64|FLOAT64|NUMERIC|BIGNUMERIC)(\(.*\))?")


@dataclass
class XgboostModel(Imported):
    FUNCTIONS: ClassVar[frozenset[str]] = frozenset({"PREDICT", "FEATURE_IMPORTANCE"})

    @classmethod
    def load(
        cls,
        files: dict[str, bytes],
        options: Options,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> XgboostModel:
        """`inputs` and `outputs` are the clauses' names and types. Raises BadRequest."""
        found = [name for name in files if "/" not in name and name.endswith((".bst", ".json"))]
        if len(found) != 1:
            raise BadRequest(f"MODEL_PATH of an XGBoost model must have one .bst or .json file, found {len(found)}.")
        _try(files[found[0]])
        booster = _booster(files[found[0]])
        learner = json.loads(booster.save_config())["learner"]
        parameters = learner["learner_model_param"]
        if int(parameters.get("num_target", 1)) > 1:
            raise BadRequest("XGBoost models with more than one output are not supported.")
        takes = tuple(Field(name, "FLOAT64", "float64", ()) for name in _input_names(booster, inputs))
        vector = learner["objective"]["name"] == "multi:softprob"
        name = _output_name(outputs, vector)
        shape = (int(parameters["num_class"]),) if vector else ()
        gives = (Field(name, "FLOAT64", "float64", shape),)
        model = cls(options, None, {found[0]: files[found[0]]}, check_fields(takes, "input"), gives)
        model._runner = booster
        return model

    def run(self, columns: dict[str, Any], rows: int) -> dict[str, Any]:
        import xgboost

        booster = self.booster()
        matrix = np.column_stack([columns[one.name] for one in self.inputs])
        try:
            data = xgboost.DMatrix(
                matrix,
                feature_names=booster.feature_names,
                feature_types=booster.feature_types,
                enable_categorical=True,
            )
            return {self.outputs[0].name: booster.predict(data)}
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise BadRequest(f"The XGBoost model failed: {_reason(error)}") from None

    def booster(self) -> Any:
        if self._runner is None:
            (content,) = self.files.values()
            self._runner = _booster(content)
        return self._runner

    def importance(self) -> pa.Table:
        """ML.FEATURE_IMPORTANCE, by falling gain."""
        booster = self.booster()
        keys = booster.feature_names or [f"f{i}" for i in range(len(self.inputs))]
        weight, gain, cover = (booster.get_score(importance_type=kind) for kind in ("weight", "gain", "cover"))
        rows = [
            (one.column, float(weight.get(key, 0)), float(gain.get(key, 0)), float(cover.get(key, 0)))
            for one, key in zip(self.inputs, keys)
        ]
        rows.sort(key=lambda row: -row[2])
        names = ("feature", "importance_weight", "importance_gain", "importance_cover")
        kinds = (pa.string(), pa.float64(), pa.float64(), pa.float64())
        return pa.table({n: pa.array([row[i] for row in rows], k) for i, (n, k) in enumerate(zip(names, kinds))})


def _try(content: bytes) -> None:
    """Raises BadRequest for a file that XGBoost cannot read, whatever reading it does."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL], input=content, capture_output=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BadRequest("Cannot load the XGBoost model: the file is damaged, XGBoost does not end.") from None
    if done.returncode < 0:
        raise BadRequest("Cannot load the XGBoost model: the file is empty or damaged, XGBoost crashes on it.")
    if done.returncode:
        errors = re.findall(r"^\S*(?:Error|Exception): (.+)$", done.stderr.decode(errors="replace"), re.MULTILINE)
        raise BadRequest(f"Cannot load the XGBoost model: {_reason(errors[-1]) if errors else 'it is not readable'}")


def _booster(content: bytes) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=bytearray(content))
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise BadRequest(f"Cannot load the XGBoost model: {_reason(error)}") from None


def _reason(error: Exception | str) -> str:
    """The first line, without the place in XGBoost's own sources."""
    return re.sub(r"^\[[\d:]+\] \S+: ", "", str(error).strip().splitlines()[0])


def _input_names(booster: Any, given: Mapping[str, str] | None) -> list[str]:
    inside = booster.feature_names
    if given is None:
        if not inside or not booster.feature_types:
            raise BadRequest(
                "The XGBoost model has no feature_names and feature_types: specify INPUT(…) and OUTPUT(…)."
            )
        return list(inside)
    for name, kind in given.items():
        if not NUMBERS.fullmatch(kind):
            raise BadRequest(f"INPUT column {name} has type {kind}: XGBoost models take numeric types.")
    if inside and list(given) != list(inside):
        raise BadRequest(
            f"INPUT columns ({', '.join(given)}) must be the feature_names of the XGBoost model ({', '.join(inside)})."
        )
    if len(given) != booster.num_features():
        raise BadRequest(
            f"INPUT has {len(given)} columns, but the XGBoost model has {booster.num_features()} features."
        )
    return list(given)


def _output_name(given: Mapping[str, str] | None, vector: bool) -> str:
    if given is None:
        return "predicted_label"
    if len(given) != 1:
        raise BadRequest(f"OUTPUT of an XGBoost model must have one column, got {len(given)}.")
    ((name, kind),) = given.items()
    if kind not in ("FLOAT64", "ARRAY<FLOAT64>"):
        raise BadRequest(f"OUTPUT column {name} has type {kind}: the output of an XGBoost model is FLOAT64.")
    if kind != "FLOAT64" and not vector:
        raise unimplemented(f"OUTPUT column {name} of type {kind} for a model with one value for each row")
    return name

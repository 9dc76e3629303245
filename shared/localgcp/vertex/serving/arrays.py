"""Models whose predictor takes one NumPy array: scikit-learn and XGBoost, as the prebuilt containers serve them.

The SDK's own predictors (google.cloud.aiplatform.prediction.sklearn and .xgboost) are the reference: the instances
become an array, `predict` is called, its result becomes JSON.
"""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np

from localgcp.vertex.errors import VertexError, precondition
from localgcp.vertex.serving.images import PACKAGES, Image
from localgcp.vertex.serving.predictor import Predictor, failed, per_instance

_SKLEARN_FILES = ("model.joblib", "model.pkl")
_XGBOOST_FILES = ("model.bst", "model.joblib", "model.pkl")


class Sklearn(Predictor):
    """A scikit-learn estimator or Pipeline from model.joblib or model.pkl. `model` is the estimator."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.model: Any = _load(_found(folder, _SKLEARN_FILES, image), image)
        if not callable(getattr(self.model, "predict", None)):
            raise precondition(f"The model is a {type(self.model).__name__}, which has no method predict.")

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        try:
            # Parameters reach `predict` as a keyword, which few estimators take: their message says so.
            more = {"parameters": parameters} if parameters else {}
            values = np.asarray(self.model.predict(np.asarray(instances), **more)).tolist()
        except Exception as error:
            raise failed("sklearn", error) from error
        return per_instance(values, instances, "sklearn")

    def close(self) -> None:
        """There is nothing but memory to free."""


class Xgboost(Predictor):
    """An XGBoost Booster from model.bst, or one in model.joblib or model.pkl. `model` is what the file holds."""

    def __init__(self, image: Image, folder: Path) -> None:
        path = _found(folder, _XGBOOST_FILES, image)
        self.model: Any = _booster(path, image) if path.suffix == ".bst" else _load(path, image)
        # Booster.predict with a DMatrix is not promised to be safe in several threads.
        self._lock = threading.Lock()

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        import xgboost

        try:
            more = {"parameters": parameters} if parameters else {}
            array = np.asarray(instances)
            rows = xgboost.DMatrix(array) if isinstance(self.model, xgboost.Booster) else array
            with self._lock:
                values = np.asarray(self.model.predict(rows, **more)).tolist()
        except Exception as error:
            raise failed("xgboost", error) from error
        return per_instance(values, instances, "xgboost")

    def close(self) -> None:
        """There is nothing but memory to free."""


def _found(folder: Path, names: tuple[str, ...], image: Image) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise precondition(
        f"The model directory has no {' or '.join(names)}, which the image '{image.uri}' reads; it has {there}."
    )


def _booster(path: Path, image: Image) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=str(path))
    except Exception as error:
        raise _unreadable(path, image, error) from error


def _load(path: Path, image: Image) -> Any:
    try:
        if path.suffix == ".joblib":
            import joblib

            return joblib.load(path)
        with path.open("rb") as file:
            return pickle.load(file)
    except Exception as error:
        raise _unreadable(path, image, error) from error


def _unreadable(path: Path, image: Image, error: Exception) -> VertexError:
    from importlib import metadata

    package = PACKAGES[image.framework]
    return precondition(
        f"Could not load the model {path.name} with {package} {metadata.version(package)}: "
        f"{type(error).__name__}: {str(error)[:500]}"
    )

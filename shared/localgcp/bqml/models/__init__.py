"""Model types, each in a module of its own, loaded when a statement needs it."""

from __future__ import annotations

from importlib import import_module

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.models.base import Model

TYPES = {
    "LINEAR_REG": ("linear", "LinearRegression", "LINEAR_REGRESSION"),
    "LOGISTIC_REG": ("logistic", "LogisticRegression", "LOGISTIC_REGRESSION"),
    "KMEANS": ("kmeans", "KMeans", "KMEANS"),
    "PCA": ("pca", "PrincipalComponents", "PCA"),
    "BOOSTED_TREE_REGRESSOR": ("trees", "BoostedTreeRegressor", "BOOSTED_TREE_REGRESSOR"),
    "BOOSTED_TREE_CLASSIFIER": ("trees", "BoostedTreeClassifier", "BOOSTED_TREE_CLASSIFIER"),
    "RANDOM_FOREST_REGRESSOR": ("trees", "RandomForestRegressor", "RANDOM_FOREST_REGRESSOR"),
    "RANDOM_FOREST_CLASSIFIER": ("trees", "RandomForestClassifier", "RANDOM_FOREST_CLASSIFIER"),
    "MATRIX_FACTORIZATION": ("factorization", "MatrixFactorization", "MATRIX_FACTORIZATION"),
    "DNN_CLASSIFIER": ("dnn", "DnnClassifier", "DNN_CLASSIFIER"),
    "DNN_REGRESSOR": ("dnn", "DnnRegressor", "DNN_REGRESSOR"),
    "AUTOENCODER": ("autoencoder", "Autoencoder", "AUTOENCODER"),
    "ARIMA_PLUS": ("arima", "ArimaPlus", "ARIMA_PLUS"),
}
# Imported, not trained. The name is also the modelType of the REST resource.
IMPORTED = {
    "ONNX": ("imported_onnx", "OnnxModel"),
    "TENSORFLOW": ("imported_tensorflow", "TensorFlowModel"),
    "XGBOOST": ("imported_xgboost", "XgboostModel"),
}
# What BigQuery has and this has not.
ELSEWHERE = {
    "ARIMA_PLUS_XREG",
    "AUTOML_CLASSIFIER",
    "AUTOML_REGRESSOR",
    "CONTRIBUTION_ANALYSIS",
    "DNN_LINEAR_COMBINED_CLASSIFIER",
    "DNN_LINEAR_COMBINED_REGRESSOR",
    "TENSORFLOW_LITE",
    "TRANSFORM_ONLY",
}
OLD_NAMES = {"LINEAR_REGRESSION": "LINEAR_REG", "LOGISTIC_REGRESSION": "LOGISTIC_REG", "ARIMA": "ARIMA_PLUS"}


def model_class(name: str) -> type[Model]:
    """The class of a MODEL_TYPE. Raises BadRequest for one that does not exist or is not emulated."""
    module, attribute, _ = TYPES[canonical(name)]
    return getattr(import_module(f"localgcp.bqml.models.{module}"), attribute)  # type: ignore[no-any-return]


def canonical(name: str) -> str:
    """MODEL_TYPE in capitals."""
    upper = OLD_NAMES.get(name.upper(), name.upper())
    if upper in TYPES:
        return upper
    if upper in IMPORTED:
        raise BadRequest(f"MODEL_TYPE {upper} imports a model: give it MODEL_PATH and no AS query.")
    if upper in ELSEWHERE:
        raise unimplemented(f"MODEL_TYPE {upper}")
    raise BadRequest(f"Invalid model type: {name}. Use one of {', '.join(sorted([*TYPES, *IMPORTED, *ELSEWHERE]))}.")


def resource_type(name: str) -> str:
    """The modelType of the REST resource."""
    return TYPES[name][2]

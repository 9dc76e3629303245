"""A model as a TensorFlow SavedModel, which needs none of this code to predict.

From the documentation of model export: the files (saved_model.pb, variables/, assets/), the outputs of each type, and
that a DNN has the signature `predict`, to which ADD_SERVING_DEFAULT_SIGNATURE adds `serving_default`. Outputs named
after the label, and those of a DNN, are spelled as Google's own predictor library expects them; for the rest the
capitals of the documentation are taken. Ours: everything is computed in float64, so that an exported model answers as
ML.PREDICT does, and classes come in ascending order.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import texts, type_name
from localgcp.bqml.encode import select
from localgcp.bqml.errors import unimplemented
from localgcp.bqml.exchange.graph import Preprocessing, check_name, inputs_of, save, tensor_spec
from localgcp.bqml.models.autoencoder import Autoencoder
from localgcp.bqml.models.base import Model
from localgcp.bqml.models.dnn import DnnClassifier, DnnRegressor
from localgcp.bqml.models.factorization import MatrixFactorization
from localgcp.bqml.models.kmeans import KMeans
from localgcp.bqml.models.linear import LinearRegression
from localgcp.bqml.models.logistic import LogisticRegression
from localgcp.bqml.models.network import Network
from localgcp.bqml.models.pca import PrincipalComponents

Outputs = dict[str, Any]
TOP_ITEMS = 50
MOST_EXACT = 2**53


def write_saved_model(model: Model, rows: pa.Table, folder: Path, add_serving_default: bool) -> None:
    """Writes the files; `rows` has the features with their types. Raises BadRequest for what cannot be exported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    module = tf.Module()
    # The vocabulary files are copied from here when the model is saved.
    with tempfile.TemporaryDirectory() as scratch:
        if isinstance(model, MatrixFactorization):
            signature, predict = _recommender(model, rows, module)
        else:
            signature, predict = _predictor(model, rows, module, Path(scratch))
        module.predict = tf.function(predict, input_signature=[signature], autograph=False)
        names = ["serving_default"]
        if isinstance(model, DnnClassifier | DnnRegressor):
            names = ["predict", *(names if add_serving_default else [])]
        save(module, folder, dict.fromkeys(names, module.predict))


def _predictor(
    model: Any, rows: pa.Table, module: Any, scratch: Path
) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], Outputs]]:
    head = next((build for kind, build in HEADS.items() if isinstance(model, kind)), None)
    if head is None:
        raise unimplemented(f"EXPORT MODEL of {type(model).__name__}")
    before = Preprocessing(inputs_of(model.encoder, rows), module, scratch)
    after = head(model, module)
    return before.signature(), lambda columns: after(before.matrix(columns))


def _kept(module: Any, **arrays: Any) -> list[Any]:
    """The arrays as float64 variables, which is where a SavedModel keeps weights."""
    import tensorflow as tf

    for name, array in arrays.items():
        setattr(module, name, tf.Variable(np.asarray(array, dtype=float), trainable=False, name=name))
    return [getattr(module, name) for name in arrays]


def _linear(model: LinearRegression, module: Any) -> Callable[[Any], Outputs]:
    weights, intercept = _kept(module, weights=model.weights[:, None], intercept=model.intercept)
    return lambda x: {f"predicted_{model.label}": x @ weights + intercept}


def _logistic(model: LogisticRegression, module: Any) -> Callable[[Any], Outputs]:
    weights, intercepts = _kept(module, weights=model.weights, intercepts=model.intercepts)
    classes = texts(model.classes).to_pylist()

    def outputs(x: Any) -> Outputs:
        probabilities = _softmax(x @ weights + intercepts)
        return {
            f"{model.label}_probs": probabilities,
            f"{model.label}_values": _repeated(classes, x),
            f"predicted_{model.label}": _chosen(classes, probabilities)[1],
        }

    return outputs


def _kmeans(model: KMeans, module: Any) -> Callable[[Any], Outputs]:
    import tensorflow as tf

    (centroids,) = _kept(module, centroids=model.centroids)
    ids = tf.range(1, len(model.centroids) + 1, dtype=tf.int64)

    def outputs(x: Any) -> Outputs:
        distances = tf.stack([tf.norm(x - centroids[k], axis=1) for k in range(len(model.centroids))], axis=1)
        return {
            "CENTROID_DISTANCES": distances,
            "CENTROID_IDS": _repeated(ids, x),
            "NEAREST_CENTROID_ID": tf.argmin(distances, axis=1)[:, None] + 1,
        }

    return outputs


def _pca(model: PrincipalComponents, module: Any) -> Callable[[Any], Outputs]:
    import tensorflow as tf

    (components,) = _kept(module, components=model.components.T)
    ids = tf.range(1, len(model.components) + 1, dtype=tf.int64)
    return lambda x: {
        "PRINCIPAL_COMPONENT_IDS": _repeated(ids, x),
        "PRINCIPAL_COMPONENT_PROJECTIONS": x @ components,
    }


def _autoencoder(model: Autoencoder, module: Any) -> Callable[[Any], Outputs]:
    layers = _layers(Network(model.network.layers[: model.latent]), module)

    def outputs(x: Any) -> Outputs:
        latent = layers(x)
        return {f"LATENT_COL_{i + 1}": latent[:, i : i + 1] for i in range(latent.shape[1])}

    return outputs


def _dnn_regressor(model: DnnRegressor, module: Any) -> Callable[[Any], Outputs]:
    layers = _layers(model.network, module)
    return lambda x: {f"predicted_{model.label}": layers(x)}


def _dnn_classifier(model: DnnClassifier, module: Any) -> Callable[[Any], Outputs]:
    import tensorflow as tf

    layers = _layers(model.network, module)
    classes = texts(model.classes).to_pylist()

    def outputs(x: Any) -> Outputs:
        logits = layers(x)
        probabilities = _softmax(logits)
        ids, names = _chosen(classes, probabilities)
        out = {
            "all_class_ids": _repeated(tf.range(len(classes), dtype=tf.int64), x),
            "all_classes": _repeated(classes, x),
            "class_ids": ids,
            "classes": names,
            "logits": logits,
            "probabilities": probabilities,
        }
        return {**out, "logistic": probabilities[:, 1:]} if len(classes) == 2 else out

    return outputs


def _layers(network: Network, module: Any) -> Callable[[Any], Any]:
    import tensorflow as tf

    constant = {"scale": 1.0507009873554805, "slope": 1.6732632423543772}
    activations: dict[str, Callable[[Any], Any]] = {
        "RELU": tf.nn.relu,
        "RELU6": tf.nn.relu6,
        "ELU": lambda x: tf.where(x > 0, x, tf.math.expm1(tf.minimum(x, 0))),
        "SELU": lambda x: constant["scale"] * tf.where(x > 0, x, constant["slope"] * tf.math.expm1(tf.minimum(x, 0))),
        "SIGMOID": tf.sigmoid,
        "TANH": tf.tanh,
        "LINEAR": lambda x: x,
    }
    held = [
        _kept(module, **{f"kernel_{i}": layer.kernel, f"bias_{i}": layer.bias})
        for i, layer in enumerate(network.layers)
    ]

    def run(x: Any) -> Any:
        for (kernel, bias), layer in zip(held, network.layers):
            x = activations[layer.activation](x @ kernel + bias)
        return x

    return run


def _softmax(scores: Any) -> Any:
    """One column of scores is the log-odds of the second of two classes."""
    import tensorflow as tf

    if scores.shape[1] == 1:
        scores = tf.concat([tf.zeros_like(scores), scores], axis=1)
    return tf.nn.softmax(scores)


def _chosen(classes: list[str], probabilities: Any) -> tuple[Any, Any]:
    """Number and name of each row's class, shape (rows, 1): as metrics.decide, ties of two go to the second."""
    import tensorflow as tf

    two = len(classes) == 2
    ids = tf.cast(probabilities[:, 1] >= 0.5, tf.int64) if two else tf.argmax(probabilities, axis=1)
    return ids[:, None], tf.gather(tf.constant(classes), ids)[:, None]


def _repeated(values: Any, x: Any) -> Any:
    """The same list for each row of x."""
    import tensorflow as tf

    listed = tf.constant(values) if isinstance(values, list) else values
    return tf.tile(listed[None, :], [tf.shape(x)[0], 1])


def _recommender(
    model: MatrixFactorization, rows: pa.Table, module: Any
) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], Outputs]]:
    """From a user to the best items, as documented: at most 50, by falling rating."""
    import tensorflow as tf

    user, item, _ = model.names
    check_name(user)
    kind = type_name(select(rows, [user], "EXPORT MODEL")[user].type)
    # An unseen user is the last row: no factors and no intercept.
    factors, bias, items, item_bias = _kept(
        module,
        user_factors=np.vstack([model.user_factors, np.zeros(model.user_factors.shape[1])]),
        user_intercepts=np.append(model.user_intercepts, 0.0) + model.mean,
        item_factors=model.item_factors.T,
        item_intercepts=model.item_intercepts,
    )
    count = len(model.users)
    if kind == "STRING":
        keys = tf.constant(model.users.to_pylist(), tf.string)
    elif kind == "INT64":
        if max(abs(v) for v in model.users.to_pylist()) > MOST_EXACT:
            raise unimplemented(f"EXPORT MODEL with users in {user} that FLOAT64 cannot hold exactly")
        keys = tf.constant(model.users.to_pylist(), tf.int64)
    else:
        raise unimplemented(f"EXPORT MODEL of a matrix factorization with {user} of type {kind}")
    positions = tf.lookup.KeyValueTensorInitializer(keys, tf.range(count, dtype=tf.int64))
    module.users = tf.lookup.StaticHashTable(positions, count)
    names = tf.constant(texts(model.items).to_pylist())
    best = min(TOP_ITEMS, len(model.items))

    def predict(columns: Mapping[str, Any]) -> Outputs:
        who = module.users.lookup(_whole(columns[user]) if kind == "INT64" else columns[user])
        scores = tf.gather(factors, who) @ items + tf.gather(bias, who)[:, None] + item_bias
        ratings, where = tf.math.top_k(scores, best)
        return {model.output: ratings, f"predicted_{item}": tf.gather(names, where)}

    return {user: tensor_spec(user, kind)}, predict


def _whole(numbers: Any) -> Any:
    """float64 as int64; what is no integer becomes one that no user has."""
    import tensorflow as tf

    odd = tf.math.is_nan(numbers) | (tf.abs(numbers) > MOST_EXACT) | tf.not_equal(numbers, tf.floor(numbers))
    return tf.cast(tf.where(odd, tf.constant(float(2 * MOST_EXACT), tf.float64), numbers), tf.int64)


HEADS: dict[type[Model], Callable[[Any, Any], Callable[[Any], Outputs]]] = {
    LinearRegression: _linear,
    LogisticRegression: _logistic,
    KMeans: _kmeans,
    PrincipalComponents: _pca,
    Autoencoder: _autoencoder,
    DnnRegressor: _dnn_regressor,
    DnnClassifier: _dnn_classifier,
}

"""DNN_REGRESSOR and DNN_CLASSIFIER: dense networks on standardised features, the label as it is.

The service trains with TensorFlow estimators from another random start; integrated gradients are not emulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats, floats
from localgcp.bqml.encode import fit_encoder
from localgcp.bqml.errors import unimplemented
from localgcp.bqml.models.base import (
    Attribution,
    Classifier,
    Regressor,
    Training,
    class_labels,
    class_weights,
    numeric_label,
)
from localgcp.bqml.models.logistic import softmax
from localgcp.bqml.models.network import NETWORK, Network, train_network
from localgcp.bqml.options import CLASSES, L1, L2, LABEL, REGISTRY, SPLIT, TUNING, Only, Option

DNN: dict[str, Option | Only] = {
    **LABEL,
    **SPLIT,
    **TUNING,
    **REGISTRY,
    **NETWORK,
    "l1_reg": L1,
    "l2_reg": L2,
    "enable_global_explain": Only((False,)),
    "integrated_gradients_num_steps": Only(()),
}


@dataclass
class DnnRegressor(Regressor):
    OPTIONS = DNN

    network: Network

    @classmethod
    def fit(cls, data: Training) -> DnnRegressor:
        y = numeric_label(data)
        encoder = fit_encoder(data.features())
        held_out = None
        if data.evaluation is not None and data.label is not None:
            held_out = (encoder.matrix(data.evaluation), floats(data.evaluation[data.label])[:, None])
        x = encoder.matrix(data.train)
        network, iterations = train_network(x, y[:, None], 1, data.options, "squared", None, held_out)
        return cls(data.options, data.label, encoder, network, iterations=iterations)

    def values(self, rows: pa.Table) -> Floats:
        return np.asarray(self.network.output(self.encoder.matrix(rows))[:, 0], dtype=float)

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        raise unimplemented("ML.EXPLAIN_PREDICT of a DNN model (integrated gradients)")


@dataclass
class DnnClassifier(Classifier):
    OPTIONS = {**DNN, **CLASSES}

    network: Network

    @classmethod
    def fit(cls, data: Training) -> DnnClassifier:
        classes, actual = class_labels(data)
        weight = class_weights(data.options, classes, actual)
        encoder = fit_encoder(data.features())
        model = cls(data.options, data.label, encoder, classes, Network(()))
        outputs, loss = (1, "binary") if len(classes) == 2 else (len(classes), "classes")
        held_out = None
        if data.evaluation is not None:
            found = model.indices(model.label_column(data.evaluation, "EVALUATE"))
            held_out = (encoder.matrix(data.evaluation)[found >= 0], found[found >= 0][:, None])
        x = encoder.matrix(data.train)
        grown = train_network(x, actual[:, None], outputs, data.options, loss, weight, held_out)
        model.network, model.iterations = grown
        return model

    def probabilities(self, rows: pa.Table) -> Floats:
        return softmax(np.asarray(self.network.output(self.encoder.matrix(rows)), dtype=float))

    def attributions(self, rows: pa.Table, settings: Mapping[str, Any]) -> Attribution:
        raise unimplemented("ML.EXPLAIN_PREDICT of a DNN model (integrated gradients)")

"""AUTOENCODER: a dense network that rebuilds its standardised input through a narrow layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from localgcp.bqml.columns import Floats
from localgcp.bqml.encode import Encoder, fit_encoder
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.metrics import reconstruction_metrics
from localgcp.bqml.models.base import Metrics, Model, Training
from localgcp.bqml.models.network import NETWORK, Network, train_network
from localgcp.bqml.options import REGISTRY, TUNING, Option


@dataclass
class Autoencoder(Model):
    OPTIONS = {
        **TUNING,
        **REGISTRY,
        **NETWORK,
        "l1_reg_activation": Option("float", 0.0, low=0, search=(0, 10), log=True),
    }
    OBJECTIVES = ("MEAN_SQUARED_ERROR", "MEAN_ABSOLUTE_ERROR", "MEAN_SQUARED_LOG_ERROR")

    encoder: Encoder
    network: Network
    latent: int  # number of layers up to the latent space
    errors: Floats  # mean squared error of every training row: what contamination takes its quantile of

    @classmethod
    def fit(cls, data: Training) -> Autoencoder:
        options = data.options
        units = options["hidden_units"] or [1]
        if len(units) % 2 == 0:
            raise BadRequest(f"HIDDEN_UNITS of an autoencoder must have an odd number of layers, got {len(units)}.")
        encoder = fit_encoder(data.features())
        x = encoder.matrix(data.train)
        middle = len(units) // 2
        penalty = (middle, options["l1_reg_activation"]) if options["l1_reg_activation"] else None
        network, iterations = train_network(x, x, x.shape[1], options, "squared", latent_penalty=penalty, batch=32)
        model = cls(options, None, encoder, network, middle + 1, np.empty(0), iterations=iterations)
        model.errors = reconstruction_metrics(x, network.output(x))["mean_squared_error"]
        return model

    @property
    def features(self) -> list[str]:
        return self.encoder.features

    def losses(self, rows: pa.Table, function: str) -> dict[str, Floats]:
        """Errors of each row, means over the encoded features."""
        x = self.encoder.matrix(rows, function)
        return reconstruction_metrics(x, self.network.output(x))

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        return {name: float(values.mean()) for name, values in self.losses(rows, "EVALUATE").items()}

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        latent = np.asarray(self.network.output(self.encoder.matrix(rows), upto=self.latent), dtype=float)
        return pa.table({f"latent_col_{i + 1}": latent[:, i] for i in range(latent.shape[1])})

    def anomalies(self, rows: pa.Table, contamination: float) -> pa.Table:
        errors = self.losses(rows, "DETECT_ANOMALIES")["mean_squared_error"]
        return pa.table(
            {"is_anomaly": errors > np.quantile(self.errors, 1 - contamination), "mean_squared_error": errors}
        )

"""EXPORT MODEL: which files a model becomes.

The documentation names the format of each type, TRIAL_ID and the folder `transform`; it does not say what happens to
objects that are there already: see Buckets.upload for what is done here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from localgcp.bqml.errors import BadRequest
from localgcp.bqml.exchange.buckets import Buckets
from localgcp.bqml.options import Option, Options, check_options
from localgcp.bqml.record import Record
from localgcp.bqml.statement import ExportModel

OPTIONS = {
    "uri": Option("string"),
    "trial_id": Option("int"),
    "add_serving_default_signature": Option("bool", False),
}
SAVED_MODEL, BOOSTER = "ML_TF_SAVED_MODEL", "ML_XGBOOST_BOOSTER"
FORMATS = {
    **dict.fromkeys(
        (
            "LINEAR_REG",
            "LOGISTIC_REG",
            "KMEANS",
            "PCA",
            "AUTOENCODER",
            "DNN_REGRESSOR",
            "DNN_CLASSIFIER",
            "MATRIX_FACTORIZATION",
            "TENSORFLOW",
        ),
        SAVED_MODEL,
    ),
    **dict.fromkeys(
        ("BOOSTED_TREE_REGRESSOR", "BOOSTED_TREE_CLASSIFIER", "RANDOM_FOREST_REGRESSOR", "RANDOM_FOREST_CLASSIFIER"),
        BOOSTER,
    ),
}


def export(statement: ExportModel, record: Record, buckets: Buckets) -> None:
    """Writes the model's files under the URI. Raises BadRequest; nothing is written then."""
    options = export_options(statement)
    if record.model_type not in FORMATS:
        raise BadRequest(f"EXPORT MODEL is not supported for model type {record.model_type}.")
    model = record.of_trial(options["trial_id"])
    with buckets.upload(options["uri"]) as folder:
        _write(record, model, folder, options)


def export_options(statement: ExportModel) -> Options:
    """Raises BadRequest for an unknown option, a wrong type or no URI."""
    options = check_options("of EXPORT MODEL", statement.options, OPTIONS).options
    if not options["uri"]:
        raise BadRequest("EXPORT MODEL needs a destination: OPTIONS(URI = 'gs://bucket/path').")
    if "*" in options["uri"]:
        raise BadRequest(f"EXPORT MODEL: the URI {options['uri']} is a folder and cannot have a *.")
    return options


def _write(record: Record, model: Any, folder: Path, options: Options) -> None:
    if record.model_type == "TENSORFLOW":
        for name, content in model.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return
    if record.transform is not None:
        from localgcp.bqml.exchange.transform_graph import write_transform

        write_transform(record, model, folder / "transform")
    if FORMATS[record.model_type] == BOOSTER:
        from localgcp.bqml.exchange.booster import write_booster

        write_booster(model, record.held_out, record.model_type, folder)
    else:
        from localgcp.bqml.exchange.saved_model import write_saved_model

        write_saved_model(model, record.held_out, folder, options["add_serving_default_signature"])

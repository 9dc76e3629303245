"""ML.PREDICT and ML.TRANSFORM."""

from __future__ import annotations

import pyarrow as pa

from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function, beside
from localgcp.bqml.models.base import Classifier
from localgcp.bqml.models.pca import PrincipalComponents


def predict(context: Context) -> pa.Table:
    """Predictions, then the input's columns; for PCA only with keep_original_columns."""
    assert context.rows is not None and context.features is not None
    settings = context.settings
    if "keep_original_columns" in settings:
        context.needs(PrincipalComponents)
    if "threshold" in settings:
        context.needs(Classifier)
    out = context.model.predict(context.features, settings)
    if isinstance(context.model, PrincipalComponents) and not settings.get("keep_original_columns"):
        return out
    return beside(out, context.rows)


def transform(context: Context) -> pa.Table:
    """What TRANSFORM makes of the input."""
    if context.record.transform is None:
        raise BadRequest("ML.TRANSFORM requires a model that was created with a TRANSFORM clause.")
    assert context.features is not None
    return context.features


FUNCTIONS = {
    "PREDICT": Function(predict, "required", {"threshold": float, "keep_original_columns": bool, "trial_id": int}),
    "TRANSFORM": Function(transform, "required"),
}

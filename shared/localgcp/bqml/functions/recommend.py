"""ML.RECOMMEND."""

from __future__ import annotations

import pyarrow as pa

from localgcp.bqml.functions import Context, Function
from localgcp.bqml.models.factorization import MatrixFactorization


def recommend(context: Context) -> pa.Table:
    model: MatrixFactorization = context.needs(MatrixFactorization)
    return model.recommend(context.rows)


FUNCTIONS = {"RECOMMEND": Function(recommend, "optional", {"trial_id": int})}

"""CREATE MODEL without a query: a model that lies in a bucket becomes one of BigQuery ML's.

Its files are kept with the model, frozen at that time: the bucket is not read again.
"""

from __future__ import annotations

import time
import uuid
from importlib import import_module
from typing import Any

import pyarrow as pa

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.exchange.buckets import Buckets
from localgcp.bqml.models import IMPORTED, canonical
from localgcp.bqml.models.imported import Imported
from localgcp.bqml.options import check_options
from localgcp.bqml.record import Record
from localgcp.bqml.statement import CreateModel


def import_model(statement: CreateModel, name: tuple[str, str, str], buckets: Buckets) -> Record:
    """The imported model. Raises BadRequest; nothing is kept then."""
    raw_type = statement.options.get("model_type")
    if not isinstance(raw_type, str):
        raise unimplemented("CREATE MODEL without AS and without MODEL_TYPE (a remote model)")
    model_type = raw_type.upper()
    if model_type not in IMPORTED:
        raise BadRequest(f"MODEL_TYPE {canonical(raw_type)} is trained: it needs a query, CREATE MODEL … AS SELECT ….")
    if statement.transform:
        raise BadRequest("TRANSFORM cannot be used with an imported model.")
    options = check_options(model_type, statement.options, Imported.OPTIONS).options
    if not options["model_path"]:
        raise BadRequest("MODEL_PATH must be specified: OPTIONS(MODEL_TYPE='…', MODEL_PATH='gs://bucket/path/*').")
    clauses: dict[str, Any] = {}
    if model_type == "XGBOOST":
        if (statement.inputs is None) != (statement.outputs is None):
            raise BadRequest("INPUT and OUTPUT must be specified together.")
        clauses = {"inputs": statement.inputs, "outputs": statement.outputs}
    elif statement.inputs is not None or statement.outputs is not None:
        raise BadRequest(f"INPUT and OUTPUT cannot be specified for MODEL_TYPE {model_type}: its file has both.")
    files = buckets.read(options["model_path"])
    module, attribute = IMPORTED[model_type]
    kind = getattr(import_module(f"localgcp.bqml.models.{module}"), attribute)
    model = kind.load(files, options, **clauses)
    return Record(name, model_type, model, None, pa.table({}), [], _resource(name, model_type, model))


def _resource(name: tuple[str, str, str], model_type: str, model: Imported) -> dict[str, Any]:
    project, dataset, model_id = name
    now = str(int(time.time() * 1000))
    return {
        "etag": uuid.uuid4().hex,
        "modelReference": {"projectId": project, "datasetId": dataset, "modelId": model_id},
        "creationTime": now,
        "lastModifiedTime": now,
        "modelType": model_type,
        "location": "US",
        "trainingRuns": [{"trainingOptions": {"modelUri": model.options["model_path"]}}],
        "featureColumns": [{"name": one.column, "type": one.standard_type()} for one in model.inputs],
        "labelColumns": [{"name": one.column, "type": one.standard_type()} for one in model.outputs],
    }

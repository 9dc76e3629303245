"""Evaluations: metrics that were computed elsewhere, kept with the version of a model that they are of."""

from __future__ import annotations

from google.cloud.aiplatform_v1.types import ListModelEvaluationsResponse, ModelEvaluation

from localgcp.vertex import listing
from localgcp.vertex.core import Core
from localgcp.vertex.errors import invalid, not_found
from localgcp.vertex.generic import Resources, stamp
from localgcp.vertex.messages import Message, copied, new_id, raw
from localgcp.vertex.models.registry import Models


class Evaluations:
    """The evaluations of a server's models. They go when their version does."""

    def __init__(self, core: Core, models: Models) -> None:
        self._store, self._models = core.store, models
        core.answers("ModelService.ImportModelEvaluation")(self.add)
        core.answers("ModelService.GetModelEvaluation")(self.get)
        core.answers("ModelService.ListModelEvaluations")(self.list)
        Resources(core, "ModelService", "ModelEvaluationSlice", verbs=("List",))

    def add(self, request: Message) -> Message:
        """Raises VertexError when there is no such version, or the metrics are not named values."""
        evaluation = copied(request.model_evaluation)
        metrics = raw(evaluation).metrics
        if not metrics.struct_value.fields:
            raise invalid("model_evaluation.metrics has no values; it is an object such as {'auRoc': 0.9}.")
        with self._store.lock:
            evaluation.name = f"{self._version(request.parent)}/evaluations/{new_id()}"
            stamp(evaluation, created=True)
            self._store.add(evaluation.name, evaluation)
        return evaluation

    def get(self, request: Message) -> Message:
        """By its name with or without the version: the SDK asks for it without."""
        model, _, identifier = request.name.partition("/evaluations/")
        for version in [self._version(model)] if "@" in model else self._versions(model):
            evaluation = self._store.find(f"{version}/evaluations/{identifier}")
            if isinstance(evaluation, ModelEvaluation):
                return evaluation
        raise not_found(request.name)

    def _version(self, name: str) -> str:
        model = self._models.resolve(name)
        return f"{model.name}@{model.version_id}"

    def _versions(self, name: str) -> list[str]:
        return [f"{name}@{version.version_id}" for version in self._models.record(name).versions]

    # Last, since `list` is no type in the annotations of a class below a method of that name.
    def list(self, request: Message) -> Message:
        """Those of the version that the parent names, the default one where it names none."""
        found = self._store.children(self._version(request.parent), "evaluations")
        return listing.page(request, ListModelEvaluationsResponse, found)

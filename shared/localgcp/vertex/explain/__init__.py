"""Feature attributions: PredictionService.Explain, and what batch prediction needs of it."""

from __future__ import annotations

from google.cloud.aiplatform_v1.types import ExplainResponse

from localgcp.vertex.core import Core
from localgcp.vertex.errors import precondition
from localgcp.vertex.explain.explanations import Explanations
from localgcp.vertex.explain.spec import inherited, overridden
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.values import from_value, to_value


def install(core: Core) -> None:
    explanations = core.parts["explanations"] = Explanations()

    @core.answers("PredictionService.Explain")
    def explain(request: Message) -> Message:
        chosen = core.parts["endpoints"].choose(request.endpoint, request.deployed_model_id)
        deployed = chosen.deployed_model
        if deployed.disable_explanations:
            raise precondition(f"The deployed model '{deployed.id}' has disable_explanations set.")
        spec = inherited(deployed.explanation_spec, chosen.model)
        if spec is not None:
            spec = overridden(spec, request.explanation_spec_override)
        plain = raw(request)
        parameters = from_value(plain.parameters)
        instances = [from_value(instance) for instance in plain.instances]
        predictions, found = explanations.explained(chosen.model, chosen.predictor, instances, spec, parameters)
        response = ExplainResponse(explanations=found, deployed_model_id=deployed.id)
        raw(response).predictions.extend(map(to_value, predictions))
        return response

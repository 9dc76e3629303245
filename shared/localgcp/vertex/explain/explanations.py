"""Explains predictions of a model by the method of its spec, and puts what comes out into the service's messages."""

from __future__ import annotations

from google.cloud.aiplatform_v1.types import Attribution, Explanation

from localgcp.vertex.errors import invalid
from localgcp.vertex.explain import by_coalitions, by_gradients
from localgcp.vertex.explain.features import Feature, Json
from localgcp.vertex.explain.outputs import Explained, Output
from localgcp.vertex.explain.saved_model import SavedModel
from localgcp.vertex.explain.spec import SHAPLEY, inherited, settings
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.serving import saved_model as serving
from localgcp.vertex.serving.predictor import Predictor

# Rows that a model predicts in one call.
_ROWS = 20_000


class Explanations:
    """The attribution methods, for models that are loaded."""

    def explain(
        self, model: Message, predictor: Predictor, instances: list[Json], spec: Message | None, parameters: Json = None
    ) -> list[Message]:
        """An Explanation per instance. Raises VertexError.

        `spec` is that of the deployed model or batch job; what it lacks, or None, is taken from the model.
        """
        return self.explained(model, predictor, instances, spec, parameters)[1]

    def explained(
        self, model: Message, predictor: Predictor, instances: list[Json], spec: Message | None, parameters: Json = None
    ) -> tuple[list[Json], list[Message]]:
        """The predictions and their explanations. Raises VertexError."""
        saved = SavedModel(predictor.model) if isinstance(predictor, serving.SavedModel) else None
        plan = settings(inherited(spec, model), model, tensorflow=saved is not None)

        def predict(rows: list[Json]) -> list[Json]:
            found: list[Json] = []
            for start in range(0, len(rows), _ROWS):
                found += predictor.predict(rows[start : start + _ROWS], parameters)
            if len(found) != len(rows):
                raise invalid(f"The model gave {len(found)} predictions for {len(rows)} instances.")
            return found

        predictions = predict(instances)
        features = plan.features or _inputs_of(saved)
        output = plan.output or _output_of(saved)
        if plan.method == SHAPLEY:
            found = by_coalitions.attributions(plan, features, output, instances, predict)
        else:
            assert saved is not None  # `settings` has refused other containers
            found = [by_gradients.attributions(plan, features, output, instance, saved) for instance in instances]
        pairs = zip(predictions, found, strict=True)
        return predictions, [_explanation(output, prediction, numbers) for prediction, numbers in pairs]


def _inputs_of(saved: SavedModel | None) -> tuple[Feature, ...]:
    return tuple(Feature(name, name) for name in sorted(saved.inputs)) if saved else ()


def _output_of(saved: SavedModel | None) -> Output:
    names = saved.outputs if saved else []
    if len(names) != 1:
        raise invalid(f"explanation_spec.metadata.outputs must name one of the model's outputs: {', '.join(names)}.")
    return Output(names[0], names[0])


def _explanation(output: Output, prediction: Json, found: list[Explained]) -> Message:
    explanation = Explanation()
    for one in found:
        attribution = Attribution(
            baseline_output_value=one.baseline,
            instance_output_value=one.output,
            output_index=one.index,
            output_display_name=output.display_name(prediction, one.index),
            approximation_error=one.error,
            output_name=output.name,
        )
        raw(attribution).feature_attributions.struct_value.update(one.attributions)
        raw(explanation).attributions.append(raw(attribution))
    return explanation

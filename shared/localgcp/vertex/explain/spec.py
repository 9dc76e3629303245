"""Explanation specs: what a request may override, which settings there are here, and what they mean."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from google.cloud.aiplatform_v1.types import ExplanationMetadata, ExplanationSpec

from localgcp.vertex.errors import invalid, precondition, unimplemented
from localgcp.vertex.explain.features import Feature, Json
from localgcp.vertex.explain.outputs import Choice, Output, choice
from localgcp.vertex.messages import Message, copied, is_set, raw
from localgcp.vertex.values import from_value

SHAPLEY, INTEGRATED_GRADIENTS, XRAI = (
    "sampled_shapley_attribution",
    "integrated_gradients_attribution",
    "xrai_attribution",
)
_LARGEST = {SHAPLEY: ("path_count", 50), INTEGRATED_GRADIENTS: ("step_count", 100), XRAI: ("step_count", 100)}
_MOST_SAMPLES, _SAMPLES, _SIGMA = 50, 3, 0.1
# Fields of an input that would change the result, and why they are not here.
_INPUT_FIELDS = {
    "indices_tensor_name": "sparse input tensors",
    "dense_shape_tensor_name": "sparse input tensors",
    "encoded_tensor_name": "encoded input tensors (embeddings)",
    "encoded_baselines": "encoded input tensors (embeddings)",
    "visualization": "drawing attributions into an image",
}
_Encoding = ExplanationMetadata.InputMetadata.Encoding


@dataclass(frozen=True)
class Smoothing:
    """SmoothGrad: the noise of all inputs, or of some by name."""

    everywhere: float
    by_feature: dict[str, float] | None
    samples: int

    def sigma(self, feature: str) -> float:
        return self.everywhere if self.by_feature is None else self.by_feature.get(feature, 0.0)


@dataclass(frozen=True)
class Settings:
    """A spec that has been checked. `count` is that of paths or steps; no features or no output: the model's own."""

    method: str
    count: int
    choice: Choice
    features: tuple[Feature, ...]
    output: Output | None
    smoothing: Smoothing | None
    blur: float


def generator(instance: Json) -> np.random.Generator:
    """Randomness that is the instance's own: the same request has the same answer."""
    digest = hashlib.sha256(json.dumps(instance, sort_keys=True).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def inherited(spec: Message | None, model: Message) -> Message | None:
    """The spec of a deployed model or a batch job, with the model's for each part that it lacks; None for no spec."""
    whole = copied(model.explanation_spec)
    for part in ("parameters", "metadata"):
        if spec is not None and raw(spec).HasField(part):
            getattr(raw(whole), part).CopyFrom(getattr(raw(spec), part))
    return whole if raw(whole).HasField("parameters") else None


def overridden(spec: Message, override: Message) -> Message:
    """A spec with what a request overrides. Raises VertexError for another method, or an input that there is not."""
    whole, given = raw(copied(spec)), raw(override)
    if given.HasField("examples_override"):
        raise unimplemented("Example-based explanation")
    if given.HasField("parameters"):
        method, wanted = whole.parameters.WhichOneof("method"), given.parameters.WhichOneof("method")
        if wanted not in (None, method):
            raise invalid(f"The attribution method cannot be overridden: the model is deployed with {method}.")
        if given.parameters.HasField("output_indices"):
            whole.parameters.ClearField("output_indices")
        whole.parameters.MergeFrom(given.parameters)
    for name, change in given.metadata.inputs.items():
        if name not in whole.metadata.inputs:
            raise invalid(f"explanation_spec_override has the input '{name}', which the model's metadata have not.")
        if change.input_baselines:
            whole.metadata.inputs[name].ClearField("input_baselines")
            whole.metadata.inputs[name].input_baselines.extend(change.input_baselines)
    return ExplanationSpec.wrap(whole)


def settings(spec: Message | None, model: Message, tensorflow: bool) -> Settings:
    """What a spec means for a model. Raises VertexError for what is wrong with it or not emulated.

    `tensorflow` says whether the model is served by a prebuilt TensorFlow container.
    """
    if spec is None:
        raise precondition(
            f"Model '{model.name}' has no explanation_spec: upload or deploy it with explanation_parameters."
        )
    parameters, metadata = raw(spec).parameters, raw(spec).metadata
    method = parameters.WhichOneof("method")
    if method is None:
        raise invalid("explanation_spec.parameters has no method: set sampled_shapley_attribution, for example.")
    if method == "examples" or metadata.latent_space_source:
        raise unimplemented("Example-based explanation")
    if method != SHAPLEY and not tensorflow:
        image = model.container_spec.image_uri
        raise invalid(
            f"{method} needs a TensorFlow SavedModel in a prebuilt TensorFlow container; '{image}' is none. "
            "Use sampled_shapley_attribution."
        )
    own = getattr(parameters, method)
    indices = [from_value(index) for index in parameters.output_indices.values]
    return Settings(
        method,
        _count(method, own),
        choice(parameters.top_k, indices),
        _features(metadata, tensorflow, method),
        _output(metadata, tensorflow),
        None if method == SHAPLEY or not own.HasField("smooth_grad_config") else _smoothing(own.smooth_grad_config),
        0.0 if method == SHAPLEY else own.blur_baseline_config.max_blur_sigma,
    )


def _count(method: str, parameters: Message) -> int:
    name, most = _LARGEST[method]
    count = int(getattr(parameters, name))
    if not 1 <= count <= most:
        raise invalid(f"{method}.{name} must be in [1, {most}], got {count}.")
    return count


def _smoothing(config: Message) -> Smoothing:
    samples = config.noisy_sample_count or _SAMPLES
    if not 1 <= samples <= _MOST_SAMPLES:
        raise invalid(f"smooth_grad_config.noisy_sample_count must be in [1, {_MOST_SAMPLES}], got {samples}.")
    if config.WhichOneof("GradientNoiseSigma") == "feature_noise_sigma":
        return Smoothing(
            0, {item.name: item.sigma or _SIGMA for item in config.feature_noise_sigma.noise_sigma}, samples
        )
    return Smoothing(config.noise_sigma or _SIGMA, None, samples)


def _features(metadata: Message, tensorflow: bool, method: str) -> tuple[Feature, ...]:
    if not metadata.inputs and not tensorflow:
        raise invalid(
            "explanation_spec.metadata.inputs is required: only for a TensorFlow SavedModel are inputs read from it."
        )
    return tuple(_feature(name, metadata.inputs[name], tensorflow, method) for name in sorted(metadata.inputs))


def _feature(name: str, entry: Message, tensorflow: bool, method: str) -> Feature:
    place = f"explanation_spec.metadata.inputs[{name}]"
    for field, what in _INPUT_FIELDS.items():
        if is_set(entry, entry.DESCRIPTOR.fields_by_name[field]):
            raise unimplemented(f"{place}.{field}: {what}")
    encoding = _Encoding(entry.encoding)
    if encoding not in (_Encoding.ENCODING_UNSPECIFIED, _Encoding.IDENTITY, _Encoding.BAG_OF_FEATURES):
        raise unimplemented(f"The encoding {encoding.name} of {place}", "use IDENTITY or BAG_OF_FEATURES")
    bag = encoding == _Encoding.BAG_OF_FEATURES
    if bag and not entry.index_feature_mapping:
        raise invalid(f"{place}.index_feature_mapping is required for the encoding BAG_OF_FEATURES.")
    if entry.modality not in ("", "numeric", "image", "categorical"):
        raise invalid(f"{place}.modality is numeric or image, got '{entry.modality}'.")
    if entry.HasField("feature_value_domain") and not entry.input_baselines:
        raise unimplemented(f"A default baseline from {place}.feature_value_domain", "give input_baselines")
    if method == XRAI and (bag or entry.group_name):
        raise invalid(f"{place}: XRAI explains an image, which has no group and no index_feature_mapping.")
    key = entry.input_tensor_name.split(":")[0] if tensorflow else ""
    baselines = tuple(from_value(value) for value in entry.input_baselines)
    return Feature(name, key or name, baselines, tuple(entry.index_feature_mapping) if bag else (), entry.group_name)


def _output(metadata: Message, tensorflow: bool) -> Output | None:
    if len(metadata.outputs) > 1:
        raise invalid("explanation_spec.metadata.outputs has one key only: the output that is explained.")
    for name, entry in metadata.outputs.items():
        tensor = entry.output_tensor_name.split(":")[0] if tensorflow else ""
        given = entry.HasField("index_display_name_mapping")
        names = from_value(entry.index_display_name_mapping) if given else None
        return Output(name, tensor or name, names, entry.display_name_mapping_key)
    if not tensorflow:
        raise invalid("explanation_spec.metadata.outputs is required: the name of the output that is explained.")
    return None

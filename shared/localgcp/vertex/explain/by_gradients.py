"""Integrated gradients and XRAI for an instance of a TensorFlow SavedModel."""

from __future__ import annotations

from functools import partial

import numpy as np

from localgcp.vertex.errors import invalid
from localgcp.vertex.explain import features as parts
from localgcp.vertex.explain.features import Feature, Json
from localgcp.vertex.explain.gradients import Batch, Noise, blurred, integrated_gradients
from localgcp.vertex.explain.outputs import Explained, Floats, Output, relative
from localgcp.vertex.explain.regions import xrai
from localgcp.vertex.explain.saved_model import SavedModel
from localgcp.vertex.explain.spec import XRAI, Settings, generator


def attributions(
    plan: Settings, features: tuple[Feature, ...], output: Output, instance: Json, saved: SavedModel
) -> list[Explained]:
    """What is explained of an instance. Raises VertexError."""
    for feature in features:
        saved.check_differentiable(feature.key)
    if output.field not in saved.outputs:
        raise invalid(f"The SavedModel has no output '{output.field}', only: {', '.join(saved.outputs)}.")
    given = saved.prepared(instance)
    baselines = _baselines(plan, features, given)
    ends = [given] + [given | baseline for baseline in baselines]
    scores = saved.output({name: np.stack([end[name] for end in ends]) for name in given}, output.field)
    noise, rng = _noise(plan, features), generator(instance)
    found = []
    for index in plan.choice.among(scores[0]):
        of_index = np.array([score[index] for score in scores])
        gradient = partial(saved.gradient, name=output.field, index=index)
        paths = [integrated_gradients(gradient, given, one, plan.count, noise, rng) for one in baselines]
        amounts: Batch = {key: np.mean([path[key] for path in paths], axis=0) for key in baselines[0]}
        reached, start = float(of_index[0]), float(of_index[1:].mean())
        gap = abs(sum(float(amount.sum()) for amount in amounts.values()) - (reached - start))
        if plan.method == XRAI:
            amounts = {key: _regions(given[key], amount) for key, amount in amounts.items()}
        found.append(Explained(index, start, reached, _in_shape(features, amounts), relative(gap, reached - start)))
    return found


def _baselines(plan: Settings, features: tuple[Feature, ...], given: Batch) -> list[Batch]:
    """The baselines of the inputs that are explained, by key."""
    images = {feature.key: given[feature.key] for feature in features}
    if plan.method == XRAI and (len(images) != 1 or any(image.ndim != 3 for image in images.values())):
        raise invalid("XRAI explains one image (height, width, channels); use integrated gradients for other inputs.")
    if plan.blur:
        if any(image.ndim < 2 for image in images.values()):
            raise invalid("blur_baseline_config is for images: (height, width) or (height, width, channels).")
        return [{key: blurred(image, plan.blur) for key, image in images.items()}]
    if plan.method == XRAI and not features[0].baselines:
        darkest = {key: np.full_like(image, image.min()) for key, image in images.items()}
        return [darkest, {key: np.full_like(image, image.max()) for key, image in images.items()}]
    return [
        {f.key: _array(f, parts.baseline(f, given[f.key].tolist(), number)) for f in features}
        for number in range(parts.baseline_count(features))
    ]


def _array(feature: Feature, value: Json) -> Floats:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise invalid(f"explanation_spec.metadata.inputs[{feature.name}].input_baselines are no numbers.") from None


def _noise(plan: Settings, features: tuple[Feature, ...]) -> Noise | None:
    if plan.smoothing is None:
        return None
    unknown = set(plan.smoothing.by_feature or ()) - {feature.name for feature in features}
    if unknown:
        raise invalid(f"smooth_grad_config.feature_noise_sigma names no input: {', '.join(sorted(unknown))}.")
    return Noise({feature.key: plan.smoothing.sigma(feature.name) for feature in features}, plan.smoothing.samples)


def _regions(image: Floats, amounts: Floats) -> Floats:
    """A pixel's saliency stands in each of its channels, so that attributions have the shape of the input."""
    return np.repeat(xrai(image, amounts)[..., None], image.shape[-1], axis=-1)


def _in_shape(features: tuple[Feature, ...], amounts: Batch) -> dict[str, Json]:
    values = {feature.name: amounts[feature.key].tolist() for feature in features}
    return parts.summed(features, values, [leaf for f in features for leaf in parts.leaves(values[f.name])])

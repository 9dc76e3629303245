"""PredictionService.Explain with the SDK as it is: scikit-learn and TensorFlow models, settings, what is refused."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.explain import ExplanationMetadata, ExplanationParameters
from google.cloud.aiplatform_v1 import PredictionServiceClient
from google.cloud.aiplatform_v1.types import ExplainRequest
from google.protobuf import struct_pb2
from localgcp import vertex
from localgcp.vertex.explain.spec import inherited
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from tests.localgcp.vertex.conftest import BUCKET, init

SKLEARN = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
TENSORFLOW = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
WEIGHTS = np.array([3.0, -2.0, 0.5])
SHAPLEY = {"sampled_shapley_attribution": {"path_count": 10}}
GRADIENTS = {"integrated_gradients_attribution": {"step_count": 50}}
BAG = {"encoding": "BAG_OF_FEATURES", "index_feature_mapping": ["a", "b", "c"]}

Deploy = Callable[..., aiplatform.Endpoint]


def value(given: Any) -> struct_pb2.Value:
    """A JSON value as protobuf has it: the SDK takes baselines in no other form."""
    holder = struct_pb2.ListValue()
    holder.extend([given])
    return holder.values[0]


def bag(**more: Any) -> ExplanationMetadata:
    """Three numbers of an array with names of their own."""
    return ExplanationMetadata(inputs={"row": BAG | more}, outputs={"y": {}})


@pytest.fixture(scope="module")
def models(buckets: Path) -> dict[str, Any]:
    """What lies in the bucket: a linear model, a forest, and SavedModels."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3))
    made: dict[str, Any] = {
        "line": LinearRegression().fit(rows, rows @ WEIGHTS + 1),
        "forest": RandomForestRegressor(20, random_state=0).fit(rows, rows[:, 0] * rows[:, 1] + rows[:, 2]),
        "classes": LinearRegression().fit(rows, rows @ np.column_stack([WEIGHTS, -WEIGHTS, WEIGHTS[::-1]])),
        "texts": make_pipeline(OrdinalEncoder(), LinearRegression()).fit([["x"], ["y"]], [1.0, 2.0]),
    }
    for name, model in made.items():
        folder = buckets / BUCKET / name
        folder.mkdir()
        joblib.dump(model, folder / "model.joblib")
    return made


@pytest.fixture(scope="module")
def networks(buckets: Path) -> None:
    """SavedModels: three numbers, two inputs and two outputs, an image of bytes."""
    import tensorflow as tf

    weights = tf.constant(WEIGHTS[:, None], tf.float32)

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "row")])
        def squash(self, row: Any) -> Any:
            return {"y": tf.tanh(row @ weights)}

        @tf.function(
            input_signature=[tf.TensorSpec([None, 2], tf.float32, "left"), tf.TensorSpec([None], tf.int64, "right")]
        )
        def two(self, left: Any, right: Any) -> Any:
            scores = tf.stack([left[:, 0] ** 2, left[:, 1], tf.cast(right, tf.float32)], axis=1)
            return {"scores": scores, "labels": tf.tile([["square", "line", "right"]], [tf.shape(left)[0], 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "bytes_inputs")])
        def preprocess(self, bytes_inputs: Any) -> Any:
            raw = tf.io.decode_raw(bytes_inputs, tf.uint8)
            return {"pixels": tf.cast(tf.reshape(raw, [-1, 64, 64, 1]), tf.float32) / 255.0}

        @tf.function(input_signature=[tf.TensorSpec([None, 64, 64, 1], tf.float32, "pixels")])
        def bright_corner(self, pixels: Any) -> Any:
            return {"score": tf.reduce_mean(pixels[:, :16, :16, 0] ** 2, axis=[1, 2])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "bytes_inputs")])
        def serve(self, bytes_inputs: Any) -> Any:
            return self.bright_corner(**self.preprocess(bytes_inputs))

    module, folder = Network(), str(buckets / BUCKET)
    tf.saved_model.save(module, f"{folder}/squash", signatures={"serving_default": module.squash})
    tf.saved_model.save(module, f"{folder}/two", signatures={"serving_default": module.two})
    tf.saved_model.save(
        module,
        f"{folder}/image",
        signatures={
            "serving_default": module.serve,
            "xai_preprocess": module.preprocess,
            "xai_model": module.bright_corner,
        },
    )


@pytest.fixture(scope="module")
def deploy(server: vertex.Server) -> Iterator[Deploy]:
    """Uploads a model with a spec and deploys it; each spec once, for all tests."""
    made: dict[str, aiplatform.Endpoint] = {}

    def deployed(name: str, image: str, parameters: Any, metadata: Any = None) -> aiplatform.Endpoint:
        key = f"{name} {parameters} {metadata}"
        if key not in made:
            model = aiplatform.Model.upload(
                display_name=name,
                artifact_uri=f"gs://{BUCKET}/{name}",
                serving_container_image_uri=image,
                explanation_parameters=ExplanationParameters(parameters),
                explanation_metadata=metadata,
            )
            made[key] = model.deploy(machine_type="n1-standard-2")
        return aiplatform.Endpoint(made[key].resource_name)

    init(server, "grpc")
    yield deployed


def first(response: Any) -> Any:
    return response.explanations[0].attributions[0]


def test_a_linear_model_in_closed_form(sdk: str, models: Any, deploy: Deploy) -> None:
    """As the public samples do it: one input called anything, an array as the instance."""
    metadata = ExplanationMetadata(inputs={"row": {}}, outputs={"price": {}})
    endpoint = deploy("line", SKLEARN, SHAPLEY, metadata)
    response = endpoint.explain(instances=[[1.0, 2.0, 3.0], [0, 0, 1]])
    assert response.predictions == pytest.approx([1 + WEIGHTS @ [1, 2, 3], 1.5])
    assert response.deployed_model_id == endpoint.list_models()[0].id
    found = first(response)
    assert list(found.feature_attributions["row"]) == pytest.approx(WEIGHTS * [1, 2, 3])
    assert found.baseline_output_value == pytest.approx(1.0)
    assert found.instance_output_value == pytest.approx(response.predictions[0])
    assert (found.output_name, list(found.output_index), found.output_display_name) == ("price", [], "")
    assert found.approximation_error == pytest.approx(0, abs=1e-9)
    assert list(response.explanations[1].attributions[0].feature_attributions["row"]) == pytest.approx([0, 0, 0.5])


def test_a_forest_against_brute_force(sdk: str, models: Any, deploy: Deploy) -> None:
    endpoint = deploy("forest", SKLEARN, {"sampled_shapley_attribution": {"path_count": 50}}, bag())
    x = [1.5, -1.0, 0.3]
    found = first(endpoint.explain(instances=[x]))
    shares = [found.feature_attributions[name] for name in "abc"]
    exact = np.zeros(3)
    for path in itertools.permutations(range(3)):
        row = np.zeros(3)
        for player in path:
            before = models["forest"].predict(row[None])[0]
            row[player] = x[player]
            exact[player] += (models["forest"].predict(row[None])[0] - before) / 6
    assert sum(shares) == pytest.approx(found.instance_output_value - found.baseline_output_value, abs=1e-9)
    distance = float(np.linalg.norm(np.array(shares) - exact))
    error = found.approximation_error * abs(found.instance_output_value - found.baseline_output_value)
    assert 0 < distance < 3 * error  # what it says of its own error is about right


def test_the_same_request_has_the_same_answer(sdk: str, models: Any, deploy: Deploy) -> None:
    endpoint = deploy("forest", SKLEARN, SHAPLEY, bag())
    x = [1.5, -1.0, 0.3]
    alone, beside = endpoint.explain(instances=[x]), endpoint.explain(instances=[[0.1, 0.2, 0.3], x])
    assert alone.explanations[0] == beside.explanations[1]


def test_baselines(sdk: str, models: Any, deploy: Deploy) -> None:
    """One number for the whole array, an array, several of them (their mean)."""
    x = np.array([1.0, 2.0, 3.0])
    cases = [([1.0], [1, 1, 1]), ([[0.5, 1.0, 2.0]], [0.5, 1, 2]), ([[0, 0, 0], [2, 2, 2]], [1, 1, 1])]
    for given, mean in cases:
        endpoint = deploy("line", SKLEARN, SHAPLEY, bag(input_baselines=[value(item) for item in given]))
        found = first(endpoint.explain(instances=[x.tolist()]))
        assert [found.feature_attributions[name] for name in "abc"] == pytest.approx(WEIGHTS * (x - mean))
        assert found.baseline_output_value == pytest.approx(1 + WEIGHTS @ mean)


def test_many_outputs(sdk: str, models: Any, deploy: Deploy) -> None:
    x = np.array([1.0, 2.0, 3.0])
    scores = models["classes"].predict(x[None])[0]
    order = np.argsort(-scores)
    names = ["cat", "dog", "cow"]
    metadata = ExplanationMetadata(inputs={"row": {}}, outputs={"score": {"index_display_name_mapping": value(names)}})

    def explained(**parameters: Any) -> list[Any]:
        response = deploy("classes", SKLEARN, SHAPLEY | parameters, metadata).explain(instances=[x.tolist()])
        return list(response.explanations[0].attributions)

    (top,) = explained()
    assert list(top.output_index) == [order[0]] and top.output_display_name == names[order[0]]
    assert [one.output_index[0] for one in explained(top_k=2)] == list(order[:2])
    every = explained(top_k=-1)
    assert [one.instance_output_value for one in every] == pytest.approx(sorted(scores)[::-1])
    wanted = explained(output_indices=value([2, 0]).list_value)
    assert [one.output_display_name for one in wanted] == ["cow", "cat"]
    coefficients = models["classes"].coef_
    assert list(wanted[0].feature_attributions["row"]) == pytest.approx(coefficients[2] * x)
    with pytest.raises(exceptions.BadRequest, match=r"output_indices has \[3\], and the output has the shape \[3\]"):
        explained(output_indices=value([3]).list_value)


def test_overrides(server: vertex.Server, connect: Any, sdk: str, models: Any, deploy: Deploy) -> None:
    endpoint = deploy("forest", SKLEARN, SHAPLEY | {"top_k": 1}, bag(input_baselines=[value([0, 0, 0])]))
    service = connect(PredictionServiceClient)
    x = [1.5, -1.0, 0.3]

    def explanation(on: aiplatform.Endpoint, **given: Any) -> Any:
        request = ExplainRequest(endpoint=on.resource_name, explanation_spec_override=given)
        ExplainRequest.pb(request).instances.append(value(x))
        return service.explain(request=request).explanations[0]

    def explain(**given: Any) -> Any:
        return explanation(endpoint, **given).attributions[0]

    plain, more = explain(), explain(parameters={"sampled_shapley_attribution": {"path_count": 40}})
    assert more.approximation_error < plain.approximation_error
    same = explain(parameters={"top_k": 1})
    assert same.approximation_error == plain.approximation_error  # the paths stay
    metadata = ExplanationMetadata(inputs={"row": {}}, outputs={"score": {}})
    indexed = SHAPLEY | {"output_indices": value([2, 0]).list_value}
    other = explanation(deploy("classes", SKLEARN, indexed, metadata), parameters={"output_indices": [1]})
    assert [list(one.output_index) for one in other.attributions] == [[1]]  # in the place of the others
    baseline = {"inputs": {"row": {"input_baselines": [value([1, 1, 1])]}}}
    moved = explain(metadata=baseline)
    assert moved.baseline_output_value == pytest.approx(models["forest"].predict(np.ones((1, 3)))[0])
    with pytest.raises(exceptions.BadRequest, match="attribution method cannot be overridden"):
        explain(parameters=GRADIENTS)
    with pytest.raises(exceptions.BadRequest, match="input 'other', which the model's metadata have not"):
        explain(metadata={"inputs": {"other": {"input_baselines": [value(0)]}}})
    with pytest.raises(exceptions.MethodNotImplemented, match="Example-based explanation is not emulated"):
        explain(examples_override={"neighbor_count": 3})


def test_a_spec_at_deployment(sdk: str, models: Any, deploy: Deploy) -> None:
    """What the deployment leaves out is the model's; it may also switch explanations off or on."""
    model = aiplatform.Model.upload(
        display_name="line", artifact_uri=f"gs://{BUCKET}/line", serving_container_image_uri=SKLEARN
    )
    bare = model.deploy(machine_type="n1-standard-2")
    with pytest.raises(exceptions.BadRequest, match="has no explanation_spec: upload or deploy it"):
        bare.explain(instances=[[1, 2, 3]])
    given = model.deploy(
        machine_type="n1-standard-2",
        explanation_parameters=ExplanationParameters(SHAPLEY),
        explanation_metadata=bag(),
    )
    assert first(given.explain(instances=[[1, 2, 3]])).feature_attributions["a"] == pytest.approx(3)
    described = deploy("line", SKLEARN, SHAPLEY, bag())
    same = aiplatform.Model(described.list_models()[0].model)
    assert same.gca_resource.explanation_spec.metadata.inputs["row"].index_feature_mapping[0] == "a"
    part = type(same.gca_resource.explanation_spec)(parameters=GRADIENTS)
    whole = inherited(part, same.gca_resource)
    assert whole is not None
    assert whole.parameters.integrated_gradients_attribution.step_count == 50 and "row" in whole.metadata.inputs


def test_a_network_by_gradients(sdk: str, networks: None, deploy: Deploy) -> None:
    """Without metadata: inputs and output are those of the SavedModel."""
    endpoint = deploy("squash", TENSORFLOW, GRADIENTS)
    x = np.array([1.0, 0.5, 2.0])
    response = endpoint.explain(instances=[x.tolist()])
    found = first(response)
    reached = np.tanh(WEIGHTS @ x)
    assert response.predictions[0] == pytest.approx([reached], abs=1e-6)
    assert (found.output_name, list(found.output_index)) == ("y", [0])
    assert list(found.feature_attributions["row"]) == pytest.approx(reached * WEIGHTS * x / (WEIGHTS @ x), abs=1e-3)
    assert found.approximation_error < 0.01
    named = endpoint.explain(instances=[{"row": x.tolist()}])
    assert first(named).feature_attributions == found.feature_attributions
    two_steps = {"integrated_gradients_attribution": {"step_count": 2}}
    coarse = first(deploy("squash", TENSORFLOW, two_steps).explain(instances=[x.tolist()]))
    gap = abs(sum(coarse.feature_attributions["row"]) - reached)
    assert coarse.approximation_error == pytest.approx(gap / reached, rel=1e-3)
    assert coarse.approximation_error > 0.02


def test_sampled_shapley_explains_a_network_too(sdk: str, networks: None, deploy: Deploy) -> None:
    found = first(deploy("squash", TENSORFLOW, SHAPLEY).explain(instances=[[1.0, 0.5, 2.0]]))
    assert sum(found.feature_attributions["row"]) == pytest.approx(np.tanh(3.0), abs=1e-6)


def test_inputs_and_outputs_of_a_network(sdk: str, networks: None, deploy: Deploy) -> None:
    """Named tensors, names in the prediction, a held integer; a tensor with integers has no gradient."""
    outputs = {"scores": {"output_tensor_name": "scores", "display_name_mapping_key": "labels"}}
    left = {"friendly": {"input_tensor_name": "left:0"} | BAG | {"index_feature_mapping": ["first", "second"]}}
    instance = {"left": [3.0, 4.0], "right": 100}
    parameters = GRADIENTS | {"top_k": -1}
    endpoint = deploy("two", TENSORFLOW, parameters, ExplanationMetadata(inputs=left, outputs=outputs))
    found = endpoint.explain(instances=[instance]).explanations[0].attributions
    assert [one.output_display_name for one in found] == ["right", "square", "line"]
    assert dict(found[1].feature_attributions) == pytest.approx({"first": 9.0, "second": 0.0}, abs=1e-5)
    assert (found[0].baseline_output_value, found[0].instance_output_value) == (100.0, 100.0)  # it is held
    both = ExplanationMetadata(
        inputs={"l": {"input_tensor_name": "left"}, "r": {"input_tensor_name": "right"}}, outputs=outputs
    )
    with pytest.raises(exceptions.MethodNotImplemented, match="A gradient in the input 'right' of type int64"):
        deploy("two", TENSORFLOW, GRADIENTS, both).explain(instances=[instance])
    shared = first(deploy("two", TENSORFLOW, SHAPLEY, both).explain(instances=[instance]))
    assert (list(shared.feature_attributions["l"]), shared.feature_attributions["r"]) == ([0, 0], 100)
    with pytest.raises(exceptions.BadRequest, match="must name one of the model's outputs: labels, scores"):
        deploy("two", TENSORFLOW, GRADIENTS).explain(instances=[instance])


def test_groups_are_one_feature(sdk: str, networks: None, deploy: Deploy) -> None:
    grouped = {
        "l": {"input_tensor_name": "left", "group_name": "all"},
        "r": {"input_tensor_name": "right", "group_name": "all"},
    }
    metadata = ExplanationMetadata(inputs=grouped, outputs={"scores": {"output_tensor_name": "scores"}})
    found = first(deploy("two", TENSORFLOW, SHAPLEY, metadata).explain(instances=[{"left": [3, 4], "right": 100}]))
    assert dict(found.feature_attributions) == {"all": 100.0}


def picture() -> tuple[np.ndarray, dict[str, str]]:  # type: ignore[type-arg]
    """An image (64, 64) of bytes, dark but for two squares, one of them in the corner that counts; its instance."""
    pixels = np.full((64, 64), 30, np.uint8)
    pixels[1:15, 1:15] = 240
    pixels[40:56, 40:56] = 240
    return pixels / 255, {"b64": base64.b64encode(pixels.tobytes()).decode()}


@pytest.mark.parametrize("method", ["integrated_gradients_attribution", "xrai_attribution"])
def test_an_image(sdk: str, networks: None, deploy: Deploy, method: str) -> None:
    """The endpoint takes encoded bytes; xai_preprocess and xai_model say what of them is explained."""
    pixels, instance = picture()
    response = deploy("image", TENSORFLOW, {method: {"step_count": 20}}).explain(instances=[instance])
    found = first(response)
    shares = np.array([[list(row) for row in rows] for rows in found.feature_attributions["pixels"]])
    assert shares.shape == (64, 64, 1)
    assert response.predictions[0] == pytest.approx((pixels[:16, :16] ** 2).mean(), rel=1e-5)
    assert shares[1:15, 1:15].mean() > 20 * np.abs(shares[40:56, 40:56]).mean()
    if method == "integrated_gradients_attribution":
        assert shares.sum() == pytest.approx(found.instance_output_value - found.baseline_output_value, rel=1e-3)
        assert found.output_name == "score"
    assert found.approximation_error < 0.01


def test_blur_and_noise(sdk: str, networks: None, deploy: Deploy) -> None:
    _, instance = picture()
    blur = {"step_count": 20, "blur_baseline_config": {"max_blur_sigma": 8.0}}
    found = first(deploy("image", TENSORFLOW, {"integrated_gradients_attribution": blur}).explain([instance]))
    assert 0 < found.baseline_output_value < found.instance_output_value
    assert found.approximation_error < 0.01
    noise = {"step_count": 20, "smooth_grad_config": {"noise_sigma": 0.3, "noisy_sample_count": 5}}
    noisy = first(deploy("squash", TENSORFLOW, {"integrated_gradients_attribution": noise}).explain([[1.0, 0.5, 2.0]]))
    plain = first(
        deploy("squash", TENSORFLOW, {"integrated_gradients_attribution": {"step_count": 20}}).explain(
            [[1.0, 0.5, 2.0]]
        )
    )
    assert noisy.feature_attributions != plain.feature_attributions
    unknown = {"feature_noise_sigma": {"noise_sigma": [{"name": "nobody", "sigma": 1.0}]}}
    wrong = {"integrated_gradients_attribution": {"step_count": 5, "smooth_grad_config": unknown}}
    with pytest.raises(exceptions.BadRequest, match="names no input: nobody"):
        deploy("squash", TENSORFLOW, wrong).explain([[1.0, 0.5, 2.0]])
    flat = {"integrated_gradients_attribution": blur}
    with pytest.raises(exceptions.BadRequest, match="blur_baseline_config is for images"):
        deploy("squash", TENSORFLOW, flat).explain([[1.0, 0.5, 2.0]])


REFUSED: list[tuple[str, Any, Any, Any, str]] = [
    ("line", GRADIENTS, bag(), [1, 2, 3], "needs a TensorFlow SavedModel"),
    ("line", {"xrai_attribution": {"step_count": 5}}, bag(), [1, 2, 3], "needs a TensorFlow SavedModel"),
    ("line", SHAPLEY, ExplanationMetadata(inputs={"a": {}, "b": {}}, outputs={"y": {}}), [1, 2, 3], "is no object"),
    ("line", SHAPLEY, ExplanationMetadata(outputs={"y": {}}), [1, 2, 3], "metadata.inputs; Message: Required"),
    ("line", SHAPLEY, ExplanationMetadata(inputs={"row": {}}), [1, 2, 3], "metadata.outputs; Message: Required"),
    ("line", SHAPLEY, None, [1, 2, 3], "metadata.inputs is required: only for a TensorFlow SavedModel"),
    ("line", SHAPLEY, bag(encoding="INDICATOR"), [1, 2, 3], "The encoding INDICATOR of .* is not emulated"),
    ("line", SHAPLEY, bag(index_feature_mapping=[]), [1, 2, 3], "index_feature_mapping is required"),
    ("line", SHAPLEY, bag(index_feature_mapping=["a", "b"]), [1, 2, 3], "has 2 names, and the instance 3 values"),
    ("line", SHAPLEY, bag(input_baselines=[value([1, 2])]), [1, 2, 3], "another shape than the feature"),
    ("line", SHAPLEY, bag(visualization={"type_": "PIXELS"}), [1, 2, 3], "visualization: drawing .* is not emulated"),
    ("line", SHAPLEY, bag(feature_value_domain={"max_value": 1.0}), [1, 2, 3], "default baseline .* is not emulated"),
    (
        "texts",
        SHAPLEY,
        ExplanationMetadata(inputs={"row": {}}, outputs={"y": {}}),
        ["x"],
        "input_baselines is required here: 'x' is no number",
    ),
    ("line", SHAPLEY, bag(), [], "Exception during sklearn prediction"),
    ("line", SHAPLEY | {"top_k": -2}, bag(), [1, 2, 3], "top_k is positive, or -1"),
    ("squash", {"xrai_attribution": {"step_count": 5}}, None, [1, 2, 3], "XRAI explains one image"),
    ("squash", GRADIENTS, None, [1, 2], "Matrix size-incompatible"),
    (
        "squash",
        GRADIENTS,
        ExplanationMetadata(inputs={"x": {"input_tensor_name": "nothing"}}, outputs={"y": {}}),
        [1, 2, 3],
        "has no input 'nothing', only: row",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "metadata", "instance", "words"), REFUSED)
def test_what_is_refused(
    server: vertex.Server,
    models: Any,
    networks: None,
    deploy: Deploy,
    name: str,
    parameters: Any,
    metadata: Any,
    instance: Any,
    words: str,
) -> None:
    init(server, "grpc")
    with pytest.raises((exceptions.BadRequest, exceptions.MethodNotImplemented), match=words):
        deploy(name, TENSORFLOW if name == "squash" else SKLEARN, parameters, metadata).explain(instances=[instance])


def test_texts_have_a_baseline_of_their_own(sdk: str, models: Any, deploy: Deploy) -> None:
    metadata = ExplanationMetadata(inputs={"row": {"input_baselines": [value("x")]}}, outputs={"y": {}})
    found = first(deploy("texts", SKLEARN, SHAPLEY, metadata).explain(instances=[["y"]]))
    assert found.feature_attributions["row"][0] == pytest.approx(1.0) == found.baseline_output_value


def test_a_single_path_has_no_error_to_tell(sdk: str, models: Any, deploy: Deploy) -> None:
    endpoint = deploy("forest", SKLEARN, {"sampled_shapley_attribution": {"path_count": 1}}, bag())
    assert np.isnan(first(endpoint.explain(instances=[[1.5, -1.0, 0.3]])).approximation_error)


def test_explanations_for_batch_prediction(server: vertex.Server, sdk: str, models: Any, deploy: Deploy) -> None:
    """What other subjects call: a model, what serves it, instances and the job's own spec."""
    endpoint = deploy("line", SKLEARN, SHAPLEY, bag())
    core = server._core
    chosen = core.parts["endpoints"].choose(endpoint.resource_name)
    (found,) = core.parts["explanations"].explain(chosen.model, chosen.predictor, [[1, 2, 3]], None)
    assert found.attributions[0].feature_attributions["b"] == pytest.approx(-4.0)

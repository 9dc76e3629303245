"""The model registry: uploads, versions, aliases, evaluations, copies, exports, and what is refused."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import pytest
import xgboost
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.models import ModelRegistry
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.types import MergeVersionAliasesRequest, Model, ModelEvaluation
from google.protobuf import struct_pb2
from localgcp import vertex
from sklearn.linear_model import LinearRegression

from tests.localgcp.vertex.conftest import BUCKET, IMAGE, LOCATION, PARENT, PROJECT, client, init

Connect = Callable[[Any], Any]
SERVING = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-6:latest"
METRICS = "gs://google-cloud-aiplatform/schema/modelevaluation/regression_metrics_1.0.0.yaml"


@pytest.fixture
def artifacts(buckets: Path) -> str:
    folder = buckets / BUCKET / "line"
    folder.mkdir(exist_ok=True)
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), folder / "model.joblib")
    return f"gs://{BUCKET}/line"


def upload(artifacts: str, **more: Any) -> aiplatform.Model:
    given = {"display_name": "line", "artifact_uri": artifacts, "serving_container_image_uri": SERVING}
    return aiplatform.Model.upload(**(given | more))


@pytest.fixture
def three(sdk: str, artifacts: str) -> Iterator[ModelRegistry]:
    """A model with three versions: 1 champion, 2, 3 default and challenger."""
    first = upload(artifacts, version_aliases=["champion"])
    upload(artifacts, parent_model=first.resource_name, is_default_version=False)
    upload(artifacts, parent_model=first.resource_name, version_aliases=["challenger"])
    yield first.versioning_registry
    first.delete()


def aliases(registry: ModelRegistry) -> dict[str, set[str]]:
    return {version.version_id: set(version.version_aliases) for version in registry.list_versions()}


def evaluate(model: aiplatform.Model, **metrics: float) -> ModelEvaluation:
    value = struct_pb2.Value(struct_value=struct_pb2.Struct())
    value.struct_value.update(metrics)
    given = ModelEvaluation(display_name="holdout", metrics_schema_uri=METRICS, metrics=value)
    return model.api_client.import_model_evaluation(parent=model.versioned_resource_name, model_evaluation=given)


def test_an_upload(sdk: str, artifacts: str) -> None:
    made = upload(
        artifacts,
        model_id=f"line-{sdk}",
        labels={"team": "a"},
        description="a line",
        version_description="the first",
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        serving_container_ports=[7080],
        serving_container_environment_variables={"A": "b"},
        serving_container_command=["python", "-m", "serve"],
        explanation_metadata=aiplatform.explain.ExplanationMetadata({"inputs": {"x": {}}, "outputs": {"y": {}}}),
        explanation_parameters=aiplatform.explain.ExplanationParameters(
            {"sampled_shapley_attribution": {"path_count": 5}}
        ),
    )
    assert made.resource_name == f"{PARENT}/models/line-{sdk}" and made.uri == artifacts
    assert (made.version_id, made.version_aliases, made.version_description) == ("1", ["default"], "the first")
    assert (made.description, made.labels) == ("a line", {"team": "a"})
    spec = made.container_spec
    assert (spec.image_uri, spec.predict_route, spec.ports[0].container_port) == (SERVING, "/predict", 7080)
    assert (spec.env[0].name, spec.env[0].value, list(spec.command)) == ("A", "b", ["python", "-m", "serve"])
    assert made.gca_resource.explanation_spec.parameters.sampled_shapley_attribution.path_count == 5
    assert made.supported_deployment_resources_types[0].name == "DEDICATED_RESOURCES"
    assert "custom-trained" in made.supported_export_formats and "jsonl" in made.supported_input_storage_formats
    assert made.create_time == made.version_create_time or made.version_create_time > made.create_time
    assert [item.name for item in aiplatform.Model.list(filter="labels.team=a")] == [made.name]
    made.delete()
    assert not aiplatform.Model.list(filter="labels.team=a")


def test_uploads_of_files_of_this_machine(sdk: str, tmp_path: Path, buckets: Path) -> None:
    line = tmp_path / "line.pkl"
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), line)
    boosted = tmp_path / "boosted.bst"
    boosted.write_bytes(xgboost.train({}, xgboost.DMatrix([[0.0], [1.0]], label=[1.0, 3.0]), 2).save_raw())
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"graph")
    made = [
        aiplatform.Model.upload_scikit_learn_model_file(str(line), sklearn_version="1.0", display_name="a"),
        aiplatform.Model.upload_xgboost_model_file(str(boosted), display_name="b"),
        aiplatform.Model.upload_tensorflow_saved_model(str(saved), display_name="c"),
        upload(str(saved), serving_container_image_uri="example.test/own:1"),
    ]
    names = []
    for model in made:
        folder = buckets / model.uri.removeprefix("gs://")
        names.append(sorted(path.name for path in folder.iterdir()))
        model.delete()
    assert names == [["model.pkl"], ["model.bst"], ["saved_model.pb"], ["saved_model.pb"]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"model_id": "9lines"}, "Invalid model_id '9lines'"),
        ({"version_aliases": ["1st"]}, "Invalid version alias '1st'"),
        ({"version_aliases": ["a"]}, "Invalid version alias 'a'"),
        ({"artifact_uri": f"gs://{BUCKET}/nothing"}, "There are no files under 'gs://first/nothing'"),
        ({"serving_container_image_uri": "no image"}, r"model.container_spec.image_uri; Message: 'no image' is no URI"),
        ({"serving_container_predict_route": "predict"}, r"predict_route; Message: 'predict' is no path"),
        ({"serving_container_ports": [70000]}, r"ports\[0\]; Message: 70000 is no port"),
        ({"serving_container_environment_variables": {"1A": "b"}}, r"env\[0\].name; Message: '1A' is no name"),
        ({"serving_container_deployment_timeout": 7201}, "deployment_timeout; Message: It is at most 2 hours"),
        ({"serving_container_predict_route": "/p", "serving_container_invoke_route_prefix": "/*"}, "not set beside"),
        (
            {"explanation_parameters": {"top_k": 2}},
            "explanation_spec.parameters; Message: An attribution method is required",
        ),
        ({"explanation_parameters": {"sampled_shapley_attribution": {"path_count": 51}}}, "It is 1 to 50, not 51"),
        ({"explanation_parameters": {"xrai_attribution": {"step_count": 101}}}, "It is 1 to 100, not 101"),
        ({"parent_model": "1234"}, "models/1234' was not found"),
        ({"labels": {"team": "A b"}}, "Label values have only lowercase"),
    ],
)
def test_an_upload_that_is_refused(sdk: str, artifacts: str, more: dict[str, Any], words: str) -> None:
    before = len(aiplatform.Model.list())
    if "explanation_parameters" in more:
        metadata = aiplatform.explain.ExplanationMetadata({"inputs": {"x": {}}, "outputs": {"y": {}}})
        parameters = aiplatform.explain.ExplanationParameters(more["explanation_parameters"])
        more = {"explanation_metadata": metadata, "explanation_parameters": parameters}
    with pytest.raises((exceptions.BadRequest, exceptions.NotFound, ValueError), match=words):
        upload(artifacts, **more)
    assert len(aiplatform.Model.list()) == before


def test_an_id_that_is_taken_and_a_parent_with_an_id(sdk: str, artifacts: str) -> None:
    made = upload(artifacts, model_id=f"taken-{sdk}")
    with pytest.raises(exceptions.Conflict, match="already exists"):
        upload(artifacts, model_id=f"taken-{sdk}")
    with pytest.raises(exceptions.BadRequest, match="only one of them"):
        upload(artifacts, model_id="other", parent_model=made.resource_name)
    with pytest.raises(exceptions.BadRequest, match="Required for a model with an artifact_uri"):
        made.api_client.upload_model(parent=PARENT, model={"display_name": "x", "artifact_uri": artifacts})
    made.delete()


def test_versions_and_aliases(three: ModelRegistry) -> None:
    assert aliases(three) == {"1": {"champion"}, "2": set(), "3": {"default", "challenger"}}
    three.add_version_aliases(["champion", "blue"], version="2")
    assert aliases(three) == {"1": set(), "2": {"champion", "blue"}, "3": {"default", "challenger"}}
    three.add_version_aliases(["default"], version="1")
    three.remove_version_aliases(["blue", "challenger"], version="2")  # challenger is not version 2's: it stays
    assert aliases(three) == {"1": {"default"}, "2": {"champion"}, "3": {"challenger"}}
    three.client.merge_version_aliases(name=f"{three.model_resource_name}@3", version_aliases=["green", "-green"])
    assert aliases(three)["3"] == {"challenger"}
    assert three.get_model().version_id == "1" and three.get_model("champion").version_id == "2"
    assert three.get_version_info("challenger").version_id == "3"
    for version in ("4", "purple"):
        with pytest.raises(exceptions.NotFound, match=rf"@{version}' was not found"):
            three.get_model(version)


@pytest.mark.parametrize(
    ("version", "change", "words"),
    [
        ("@3", ["-default"], "'default' cannot be removed"),
        ("@3", ["2"], "Invalid version alias '2'"),
        ("@3", ["Champion"], "Invalid version alias 'Champion'"),
        ("@3", ["champion-"], "Invalid version alias 'champion-'"),
        ("", ["champion"], "names no version"),
    ],
)
def test_aliases_that_are_refused(three: ModelRegistry, version: str, change: list[str], words: str) -> None:
    before = aliases(three)
    with pytest.raises(exceptions.BadRequest, match=words):
        three.client.merge_version_aliases(name=three.model_resource_name + version, version_aliases=change)
    assert aliases(three) == before


def test_lists_show_the_default_version(three: ModelRegistry, artifacts: str) -> None:
    name = three.model_resource_name
    shown = [item for item in aiplatform.Model.list() if item.resource_name == name]
    assert [item.version_id for item in shown] == ["3"] and shown[0].gca_resource.name == name
    three.add_version_aliases(["default"], version="2")
    assert [item.version_id for item in aiplatform.Model.list() if item.resource_name == name] == ["2"]
    listed = list(three.client.list_model_versions({"name": name}))
    assert [item.name for item in listed] == [f"{name}@{version}" for version in (3, 2, 1)]
    oldest = list(three.client.list_model_versions({"name": name, "order_by": "create_time", "page_size": 2}))
    assert [item.version_id for item in oldest] == ["1", "2", "3"]
    three.update_version("2", labels={"data": "june"}, version_description="on june")
    assert [item.version_id for item in three.list_versions(filter="labels.data=june")] == ["2"]


def test_what_is_the_model_s_and_what_is_the_version_s(three: ModelRegistry) -> None:
    three.update_version("1", version_description="the first", labels={"data": "may"})
    three.get_model("1").update(display_name="curve", description="of all", labels={"team": "a"})
    first, second = three.get_model("1"), three.get_model("2")
    assert [item.display_name for item in (first, second)] == ["curve", "curve"]
    assert (first.version_description, second.version_description) == ("the first", "")
    assert first.labels == {"team": "a", "data": "may"} and second.labels == {"team": "a"}
    assert first.versioned_resource_name.endswith("@1")
    change, model = three.client.update_model, three.model_resource_name
    for name, field in (
        (f"{model}@1", "display_name"),
        (model, "version_description"),
        (f"{model}@-", "version_description"),
    ):
        with pytest.raises(exceptions.BadRequest, match=f"{field} cannot be updated for a"):
            change(model=Model(name=name, display_name="x"), update_mask={"paths": [field]})
    with pytest.raises(exceptions.BadRequest, match=r"artifact_uri cannot be changed"):
        change(model=Model(name=model, artifact_uri="gs://x"), update_mask={"paths": ["artifact_uri"]})
    with pytest.raises(exceptions.BadRequest, match=r"model.display_name; Message: Required"):
        change(model=Model(name=model), update_mask={"paths": ["display_name"]})
    stale = second.gca_resource
    three.update_version("2", version_description="newer")
    stale.version_description = "older"
    with pytest.raises((exceptions.Aborted, exceptions.Conflict), match="etag does not match"):
        change(model=stale, update_mask={"paths": ["version_description"]})
    change(model=Model(name=f"{model}@-", display_name="arc"), update_mask={"paths": ["display_name"]})
    assert three.get_model("3").display_name == "arc"


def test_deleting_versions(three: ModelRegistry, artifacts: str) -> None:
    three.delete_version("3")  # it was the default: the newest that is left becomes it
    assert aliases(three) == {"1": {"champion"}, "2": {"default"}}
    three.delete_version("champion")
    with pytest.raises(exceptions.BadRequest, match="the only version"):
        three.delete_version("2")
    with pytest.raises(exceptions.NotFound):
        three.delete_version("1")
    # The number of a version that was deleted is not given again.
    assert upload(artifacts, parent_model=three.model_resource_name).version_id == "4"
    with pytest.raises(exceptions.BadRequest, match="names a version"):
        three.client.delete_model(name=f"{three.model_resource_name}@2")


def test_a_version_that_is_deployed_stays(server: vertex.Server, three: ModelRegistry) -> None:
    models, name, endpoint = server._core.parts["models"], three.model_resource_name, f"{PARENT}/endpoints/7"
    models.deployed(f"{name}@champion", endpoint, "11", add=True)
    models.deployed(f"{name}@champion", endpoint, "11", add=True)
    found = [(item.version_id, len(item.deployed_models)) for item in three.client.list_model_versions(name=name)]
    assert found == [("3", 0), ("2", 0), ("1", 1)]
    with pytest.raises(exceptions.BadRequest, match=r"@1' is deployed to .*endpoints/7; undeploy it"):
        three.delete_version("1")
    with pytest.raises(exceptions.BadRequest, match="undeploy it"):
        three.get_model().delete()
    three.add_version_aliases(["champion"], version="2")
    models.deployed(f"{name}@champion", endpoint, "11", add=False)  # the alias has moved, the deployment has not
    assert not three.get_model("1").gca_resource.deployed_models
    three.delete_version("1")


def test_evaluations_are_a_version_s(three: ModelRegistry, server: vertex.Server) -> None:
    first, second = three.get_model("1"), three.get_model("2")
    made = evaluate(first, rSquared=0.9, rootMeanSquaredError=2.0)
    evaluate(first, rSquared=0.8)
    evaluate(second, rSquared=0.7)
    assert made.name.startswith(f"{first.resource_name}@1/evaluations/")
    assert [item.metrics["rSquared"] for item in first.list_model_evaluations()] == [0.8, 0.9]
    assert [item.metrics["rSquared"] for item in second.list_model_evaluations()] == [0.7]
    assert three.get_model().list_model_evaluations() == []
    assert second.get_model_evaluation().metrics["rSquared"] == 0.7
    again = first.get_model_evaluation(evaluation_id=made.name.rpartition("/")[2])
    assert dict(again.metrics) == {"rSquared": 0.9, "rootMeanSquaredError": 2.0}
    # An alias that moves takes nothing with it.
    three.add_version_aliases(["champion"], version="2")
    assert [item.metrics["rSquared"] for item in three.get_model("champion").list_model_evaluations()] == [0.7]
    with pytest.raises(exceptions.BadRequest, match="metrics has no values"):
        evaluate(first)
    with pytest.raises(exceptions.NotFound):
        first.api_client.list_model_evaluations(parent=f"{first.resource_name}@9")
    assert not list(first.api_client.list_model_evaluation_slices(parent=made.name))
    three.delete_version("1")
    with pytest.raises(exceptions.NotFound):
        first.api_client.get_model_evaluation(name=made.name)
    assert not server._core.store.children(f"{first.resource_name}@1", "evaluations")


def test_a_model_of_the_same_id_begins_anew(sdk: str, artifacts: str) -> None:
    for _ in range(2):
        made = upload(artifacts, model_id=f"again-{sdk}")
        assert made.version_id == "1" and made.list_model_evaluations() == []
        evaluate(made, rSquared=0.9)
        made.delete()


def test_a_copy_and_an_export(three: ModelRegistry, buckets: Path, sdk: str) -> None:
    source = three.get_model("1")
    copy = source.copy(destination_location=LOCATION, destination_model_id=f"copy-{sdk}")
    original = copy.gca_resource.original_model_info.model
    assert original.endswith("@1") and (copy.version_id, copy.version_aliases) == ("1", ["default"])
    again = source.copy(destination_location=LOCATION, destination_parent_model=copy.resource_name)
    assert (again.resource_name, again.version_id, again.version_aliases) == (copy.resource_name, "2", [])
    exported = source.export_model("custom-trained", artifact_destination=f"gs://{BUCKET}/out")["artifactOutputUri"]
    assert exported.startswith(f"gs://{BUCKET}/out/model-export-line-20")
    assert joblib.load(buckets / exported.removeprefix("gs://") / "model.joblib").predict([[2.0]]) == pytest.approx(5)
    with pytest.raises(exceptions.MethodNotImplemented, match="container image"):
        config = {"image_destination": {"output_uri": "us-docker.pkg.dev/p/r/i"}}
        source.api_client.export_model(name=source.resource_name, output_config=config)
    with pytest.raises(exceptions.BadRequest, match="no bucket for 'gs://missing/out'"):
        source.export_model("custom-trained", artifact_destination="gs://missing/out")
    copy.delete()


def test_a_training_adds_a_version(sdk: str, tmp_path: Path, artifacts: str) -> None:
    parent = upload(artifacts, version_aliases=["champion"])
    script = tmp_path / "task.py"
    script.write_text("import os; open(os.environ['AIP_MODEL_DIR'] + 'model.joblib', 'w').write('weights')")
    job = aiplatform.CustomTrainingJob(
        display_name="further",
        script_path=str(script),
        container_uri=IMAGE,
        model_serving_container_image_uri=SERVING,
    )
    more = {"parent_model": parent.resource_name, "model_version_aliases": ["challenger"]}
    made = job.run(**more, is_default_version=False, model_version_description="trained again", replica_count=1)
    assert (made.resource_name, made.version_id) == (parent.resource_name, "2")
    assert (made.version_aliases, made.version_description) == (["challenger"], "trained again")
    assert made.gca_resource.training_pipeline == job.resource_name
    again = aiplatform.CustomTrainingJob("again", str(script), IMAGE, model_serving_container_image_uri=SERVING)
    with pytest.raises(exceptions.NotFound, match="models/17' was not found"):  # before anything runs
        again.run(parent_model=f"{PARENT}/models/17")
    parent.delete()


def test_versions_survive_a_restart(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as running:
        models = client(ModelServiceClient, running, "grpc")
        name = models.upload_model(parent=PARENT, model={"display_name": "x"}).result().model
        second = {"display_name": "x", "version_aliases": ["champion"]}
        models.upload_model({"parent": PARENT, "model": second, "parent_model": name}).result()
        given = {
            "display_name": "holdout",
            "metrics": struct_pb2.Value(struct_value={"fields": {"a": {"number_value": 1}}}),
        }
        made = models.import_model_evaluation(parent=f"{name}@champion", model_evaluation=given)
        before = models.get_model(name=f"{name}@champion")
    with vertex.start(tmp_path) as running:
        models = client(ModelServiceClient, running, "grpc")
        assert models.get_model(name=f"{name}@champion") == before and before.version_id == "2"
        assert models.get_model(name=name).version_id == "1"
        assert models.get_model_evaluation(name=made.name) == made
        models.delete_model(name=name).result()
        assert not list(models.list_models(parent=PARENT))


def test_an_alias_is_never_missing_and_never_twice(three: ModelRegistry, server: vertex.Server, sdk: str) -> None:
    name, versions = three.model_resource_name, itertools.cycle(["1", "2", "3"])
    wrong: list[Any] = []
    seen: set[str] = set()
    done = threading.Event()
    moves = [next(versions) for _ in range(90)]

    def flip(version: str) -> None:
        three.client.merge_version_aliases(name=f"{name}@{version}", version_aliases=["champion"])

    def read(_: int) -> None:
        while not done.is_set():
            try:
                seen.add(three.client.get_model(name=f"{name}@champion").version_id)
            except exceptions.NotFound as error:
                wrong.append(error)
            owners = [version.version_id for version in three.list_versions() if "champion" in version.version_aliases]
            if len(owners) != 1:
                wrong.append(owners)

    with ThreadPoolExecutor(50) as workers:
        readers = [workers.submit(read, number) for number in range(20)]
        for _ in range(20):
            list(workers.map(flip, moves))
            # On a busy machine the readers may have slept through a version.
            if len(seen) == 3:
                break
        done.set()
        for reader in readers:
            reader.result()
    assert not wrong and len(seen) == 3


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_server_that_ends_in_the_middle_leaves_an_alias_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The server dies after so many files have been written: what is on the disk has each alias on one version."""
    with vertex.start(tmp_path) as running:
        models = running._core.parts["models"]
        name = models.register(Model(display_name="x", version_aliases=["champion"])).name
        models.register(Model(display_name="x"), parent_model=name)
        left, replace = iter(range(written)), os.replace

        def dying(source: Path, target: Path) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr("localgcp.vertex.store.os.replace", dying)
        with contextlib.suppress(KeyboardInterrupt):
            change = MergeVersionAliasesRequest(name=f"{name}@2", version_aliases=["champion", "default"])
            models.merge_aliases(change)
        monkeypatch.undo()
    with vertex.start(tmp_path) as running:
        listed = list(client(ModelServiceClient, running, "grpc").list_model_versions(name=name))
        found = sorted(alias for item in listed for alias in item.version_aliases)
        assert found == ["champion", "default"]


def test_the_project_of_the_sdk(sdk: str, server: vertex.Server, artifacts: str) -> None:
    """A model by its id alone, as the public reference writes it."""
    made = upload(artifacts)
    init(server, sdk)
    assert aiplatform.Model(model_name=made.name).project == PROJECT
    assert aiplatform.Model(f"{made.name}@1").versioned_resource_name == f"{made.resource_name}@1"
    assert ModelRegistry(made.name).get_model("default").version_id == "1"
    made.delete()

"""ML Metadata: schemas, contexts, artifacts, executions, filters, lineage, purge, and what a restart keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.metadata.metadata_store import _MetadataStore
from google.cloud.aiplatform_v1 import MetadataServiceClient
from google.cloud.aiplatform_v1.types import Artifact, Context, Event, Execution, MetadataSchema
from localgcp import vertex
from localgcp.vertex.errors import VertexError

from tests.localgcp.vertex.conftest import PARENT, client, init

Connect = Callable[[Any], Any]
STORE = f"{PARENT}/metadataStores/default"
DATASET, MODEL, RUN = "system.Dataset", "system.Model", "system.ContainerExecution"


@pytest.fixture
def metadata(connect: Connect, sdk: str) -> MetadataServiceClient:
    """The generated client over one transport, with the default store there."""
    _MetadataStore.ensure_default_metadata_store_exists()
    return connect(MetadataServiceClient)


@pytest.fixture(scope="module")
def grpc(server: vertex.Server) -> MetadataServiceClient:
    init(server, "grpc")
    _MetadataStore.ensure_default_metadata_store_exists()
    return client(MetadataServiceClient, server, "grpc")


def artifact(grpc: MetadataServiceClient, schema: str = DATASET, **fields: Any) -> str:
    return grpc.create_artifact(parent=STORE, artifact={"schema_title": schema} | fields).name


def execution(grpc: MetadataServiceClient, inputs: list[str], outputs: list[str]) -> str:
    made = grpc.create_execution(parent=STORE, execution={"schema_title": RUN}).name
    events = [Event(artifact=name, type_=Event.Type.INPUT) for name in inputs]
    events += [Event(artifact=name, type_=Event.Type.OUTPUT) for name in outputs]
    grpc.add_execution_events(execution=made, events=events)
    return made


def context(grpc: MetadataServiceClient, identifier: str = "") -> str:
    made = grpc.create_context(parent=STORE, context={"schema_title": "system.PipelineRun"}, context_id=identifier)
    return made.name


# --- stores and schemas ---


def test_a_store_is_made_once(metadata: MetadataServiceClient, transport: str) -> None:
    expected = exceptions.Conflict if transport == "rest" else exceptions.AlreadyExists
    with pytest.raises(expected):
        metadata.create_metadata_store(parent=PARENT, metadata_store={}, metadata_store_id="default").result()
    assert STORE in [store.name for store in metadata.list_metadata_stores(parent=PARENT)]


def test_a_node_needs_a_store_that_exists(grpc: MetadataServiceClient) -> None:
    with pytest.raises(exceptions.NotFound, match="metadataStores/other"):
        grpc.create_artifact(parent=f"{PARENT}/metadataStores/other", artifact={"schema_title": DATASET})


def test_deleting_a_store_deletes_what_is_in_it(grpc: MetadataServiceClient) -> None:
    store = f"{PARENT}/metadataStores/passing"
    grpc.create_metadata_store(parent=PARENT, metadata_store={}, metadata_store_id="passing").result()
    made = grpc.create_artifact(parent=store, artifact={"schema_title": DATASET})
    grpc.delete_metadata_store(name=store).result()
    with pytest.raises(exceptions.NotFound):
        grpc.get_artifact(name=made.name)


def test_the_published_schemas(metadata: MetadataServiceClient) -> None:
    found = {schema.name.rsplit("/", 1)[1]: schema for schema in metadata.list_metadata_schemas(parent=STORE)}
    assert found["system-container-execution-v0-0-1"].schema_type == MetadataSchema.MetadataSchemaType.EXECUTION_TYPE
    assert found["system-experiment-run-v0-0-1"].schema_type == MetadataSchema.MetadataSchemaType.CONTEXT_TYPE
    assert "title: system.Dataset" in found["system-dataset-v0-0-1"].schema
    one = metadata.get_metadata_schema(name=f"{STORE}/metadataSchemas/system-dataset-v0-0-1")
    assert one == found["system-dataset-v0-0-1"]
    request = {"parent": STORE, "filter": 'schema_title="google*" OR schema_title="system.HTML"'}
    titles = [schema.schema.splitlines()[0] for schema in metadata.list_metadata_schemas(request)]
    assert "title: system.HTML" in titles and "title: google.ExperimentModel" in titles
    assert not any(title == "title: system.Dataset" for title in titles)


def test_every_schema_that_the_sdk_has_a_class_for_is_published(grpc: MetadataServiceClient) -> None:
    from google.cloud.aiplatform.metadata.schema import base_artifact, base_context, base_execution
    from google.cloud.aiplatform.metadata.schema.google import artifact_schema  # noqa: F401
    from google.cloud.aiplatform.metadata.schema.system import (  # noqa: F401
        artifact_schema as _,
    )
    from google.cloud.aiplatform.metadata.schema.system import context_schema, execution_schema  # noqa: F401

    bases = (base_artifact.BaseArtifactSchema, base_context.BaseContextSchema, base_execution.BaseExecutionSchema)
    titles = {kind.schema_title for base in bases for kind in base.__subclasses__()}
    published = {
        item.schema.splitlines()[0].removeprefix("title: ") for item in grpc.list_metadata_schemas(parent=STORE)
    }
    assert len(titles) > 15 and titles <= published


def test_a_schema_of_ones_own(grpc: MetadataServiceClient) -> None:
    def create(text: str, version: str = "") -> MetadataSchema:
        schema = {"schema": text, "schema_type": "ARTIFACT_TYPE", "schema_version": version}
        return grpc.create_metadata_schema(parent=STORE, metadata_schema=schema)

    text = """
        title: mine.Table
        type: object
        required: [rows]
        additionalProperties: false
        properties:
          rows: {type: integer}
          columns: {type: array, items: {type: string}}
          place: {type: object, required: [bucket], properties: {bucket: {type: string}}}
    """
    made = create(text)
    assert made.name == f"{STORE}/metadataSchemas/mine-table-v0-0-1" and made.schema_version == "0.0.1"
    fine = {"rows": 3, "columns": ["a"], "place": {"bucket": "b", "more": 1}}
    assert grpc.get_artifact(name=artifact(grpc, "mine.Table", metadata=fine)).schema_version == "0.0.1"
    for metadata, words in (
        ({}, "metadata.rows is missing"),
        ({"rows": 1.5}, "metadata.rows is no integer"),
        ({"rows": True}, "metadata.rows is no integer"),
        ({"rows": 1, "other": 1}, "metadata.other is not in the schema"),
        ({"rows": 1, "columns": [1]}, r"metadata.columns\[0\] is no string"),
        ({"rows": 1, "place": {}}, "metadata.place.bucket is missing"),
    ):
        with pytest.raises(exceptions.InvalidArgument, match=words):
            artifact(grpc, "mine.Table", metadata=metadata)
    with pytest.raises(exceptions.AlreadyExists):
        create(text)
    create("title: mine.Table\ntype: object\n", "0.0.10")
    assert grpc.get_artifact(name=artifact(grpc, "mine.Table")).schema_version == "0.0.10"  # the latest
    for wrong in ("type: object", "title: [", "- a"):
        with pytest.raises(exceptions.InvalidArgument, match=r"metadata_schema\.schema"):
            create(wrong)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "schema_title is missing"),
        ({"schema_title": "system.Nothing"}, "'system.Nothing' is not registered"),
        ({"schema_title": DATASET, "schema_version": "7.0.0"}, "of version '7.0.0' is not registered"),
        ({"schema_title": "system.Experiment"}, "for Context resources, not for a Artifact"),
        ({"schema_title": "system.Metrics", "metadata": {"accuracy": "high"}}, "metadata.accuracy is no number"),
        ({"schema_title": DATASET, "metadata": {"rows": float("nan")}}, "not finite"),
        ({"schema_title": DATASET, "metadata": {"text": "x" * 210_000}}, "at most 204800 are allowed"),
        ({"schema_title": DATASET, "display_name": "x" * 129}, "at most 128 characters"),
    ],
)
def test_an_artifact_that_is_refused(grpc: MetadataServiceClient, given: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        grpc.create_artifact(parent=STORE, artifact=given)


@pytest.mark.parametrize("identifier", ["a_b_c", "Run-1", "abc", "x" * 129, "a.b.c"])
def test_an_id_that_a_context_cannot_have(grpc: MetadataServiceClient, identifier: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="Invalid context_id"):
        context(grpc, identifier)


# --- nodes ---


def test_the_life_of_an_artifact(metadata: MetadataServiceClient, transport: str) -> None:
    made = aiplatform.Artifact.create(
        schema_title=DATASET, resource_id=f"life-{transport}", uri="gs://first/a.csv", metadata={"rows": 3}
    )
    assert made.schema_version == "0.0.1" and made.state == Artifact.State.LIVE
    made.update(metadata={"rows": 4, "source": "b"}, description="more")
    again = aiplatform.Artifact.get(f"life-{transport}")
    assert (again.metadata, again.description, again.uri) == ({"rows": 4, "source": "b"}, "more", "gs://first/a.csv")
    assert aiplatform.Artifact.get_with_uri("gs://first/a.csv").name == f"life-{transport}"
    made.delete()
    assert aiplatform.Artifact.get(f"life-{transport}") is None


def test_an_old_etag_is_refused(metadata: MetadataServiceClient, transport: str) -> None:
    """As the service answers two who write to one run; see googleapis/python-aiplatform, issue 1674."""
    made = metadata.create_context(parent=STORE, context={"schema_title": "system.ExperimentRun"})
    metadata.update_context(context={"name": made.name, "description": "first"})  # without an etag: a blind write
    with pytest.raises(exceptions.Conflict, match=r"Specified Context `etag`: `\d+` does not match server `etag`"):
        metadata.update_context(context=made)
    with pytest.raises(exceptions.BadRequest, match="does not match server"):
        metadata.delete_context(request={"name": made.name, "etag": made.etag})
    assert metadata.get_context(name=made.name).description == "first"


def test_an_update_without_a_mask_changes_what_is_set(grpc: MetadataServiceClient) -> None:
    name = artifact(grpc, uri="gs://first/x", labels={"a": "1"}, metadata={"rows": 3})
    grpc.update_artifact(artifact={"name": name, "metadata": {"columns": 2}})
    kept = grpc.get_artifact(name=name)
    assert (kept.uri, dict(kept.labels), dict(kept.metadata)) == ("gs://first/x", {"a": "1"}, {"columns": 2})
    grpc.update_artifact(artifact={"name": name}, update_mask={"paths": ["uri"]})
    assert grpc.get_artifact(name=name).uri == ""
    with pytest.raises(exceptions.InvalidArgument, match=r"metadata\.container_format is no string"):
        grpc.update_artifact(artifact={"name": name, "metadata": {"container_format": 1}})
    with pytest.raises(exceptions.InvalidArgument, match="has no field nothing"):
        grpc.update_artifact(artifact={"name": name}, update_mask={"paths": ["nothing"]})


def test_an_update_of_what_is_missing(grpc: MetadataServiceClient) -> None:
    given = {"name": f"{STORE}/executions/not-there", "schema_title": RUN, "state": "RUNNING"}
    with pytest.raises(exceptions.NotFound):
        grpc.update_execution(execution=given)
    made = grpc.update_execution(request={"execution": given, "allow_missing": True})
    assert made.name == given["name"] and made.state == Execution.State.RUNNING


def test_children_of_a_context(metadata: MetadataServiceClient) -> None:
    top, middle, bottom = (context(metadata) for _ in range(3))
    before = metadata.get_context(name=middle).etag
    metadata.add_context_children(context=top, child_contexts=[middle])
    metadata.add_context_children(context=top, child_contexts=[middle])  # there already: skipped
    metadata.add_context_children(context=middle, child_contexts=[bottom])
    assert list(metadata.get_context(name=middle).parent_contexts) == [top]
    assert metadata.get_context(name=middle).etag == before  # the SDK goes on to write to it
    for given in (top, middle, bottom):
        with pytest.raises(exceptions.BadRequest, match="would be a cycle"):
            metadata.add_context_children(context=bottom, child_contexts=[given])

    def names(text: str) -> list[str]:
        return [item.name for item in metadata.list_contexts(request={"parent": STORE, "filter": text})]

    assert names(f'parent_contexts:"{top}"') == [middle]
    assert names(f'child_contexts:"{bottom}" AND schema_title="system.PipelineRun"') == [middle]
    metadata.remove_context_children(request={"context": top, "child_contexts": [middle]})
    assert names(f'parent_contexts:"{top}"') == []
    metadata.delete_context(name=middle).result()
    assert list(metadata.get_context(name=bottom).parent_contexts) == []


def test_a_context_has_at_most_ten_parents(grpc: MetadataServiceClient) -> None:
    child, other = context(grpc), context(grpc)
    for _ in range(10):
        grpc.add_context_children(context=context(grpc), child_contexts=[child])
    with pytest.raises(exceptions.InvalidArgument, match="more than 10 parents"):
        grpc.add_context_children(context=context(grpc), child_contexts=[other, child])
    assert list(grpc.get_context(name=other).parent_contexts) == []  # none, when one of them cannot


# --- filters ---


def test_filters(metadata: MetadataServiceClient, transport: str) -> None:
    mark = f"filters-{transport}"
    rows = {
        "low": {"display_name": f"{mark}-low", "metadata": {"auc": 0.7, "kind:of": "a", "final": False}},
        "high": {"display_name": f"{mark}-high", "metadata": {"auc": 0.9, "kind:of": "b (c) = d", "final": True}},
        "none": {"display_name": f"{mark}-none", "uri": 'gs://first/metadata.auc.number_value = "1"'},
    }
    named = {artifact(metadata, **fields): key for key, fields in rows.items()}
    inside = context(metadata)
    metadata.add_context_artifacts_and_executions(
        context=inside, artifacts=[name for name, key in named.items() if key != "low"]
    )

    def found(text: str) -> set[str]:
        request = {"parent": STORE, "filter": f'display_name="{mark}-*" AND {text}'}
        return {named[item.name] for item in metadata.list_artifacts(request=request)}

    assert found("metadata.auc.number_value > 0.8") == {"high"}
    assert found("metadata.auc.number_value >= 0.7") == {"low", "high"}
    assert found("metadata.auc.number_value != 0.7") == {"high", "none"}
    assert found("NOT metadata.auc.number_value < 0.8") == {"high", "none"}
    assert found('metadata."kind:of".string_value = "b (c) = d"') == {"high"}
    assert found("metadata.final.bool_value=true") == {"high"}
    assert found("metadata.final.number_value = 1") == set()  # another type
    assert found(f'in_context("{inside}")') == {"high", "none"}
    assert found(f'in_context("{inside}") AND metadata.auc.number_value > 0') == {"high"}
    assert found('uri = "gs://first/metadata.auc.number_value = \\"1\\""') == {"none"}
    assert found('create_time > "2020-01-01T00:00:00Z"') == {"low", "high", "none"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metadata.auc > 0.8", "metadata is compared as metadata.<field>.<type>"),
        ("metadata.a.b.number_value > 0.8", "metadata is compared as metadata.<field>.<type>"),
        ("metadata.auc.number_value > high", "'high' is no number_value"),
        ("metadata.auc.bool_value = 1", "'1' is no bool_value"),
        ("in_context()", "in_context takes the full name"),
        ('within_context("a")', "there is no function within_context"),
    ],
)
def test_a_filter_that_is_refused(grpc: MetadataServiceClient, text: str, words: str) -> None:
    artifact(grpc)
    with pytest.raises(exceptions.InvalidArgument, match=words):
        list(grpc.list_artifacts(request={"parent": STORE, "filter": text}))


def test_a_filter_that_is_not_emulated(grpc: MetadataServiceClient) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="more than one name"):
        list(grpc.list_contexts(request={"parent": STORE, "filter": 'parent_contexts:"a","b"'}))


# --- lineage ---


@pytest.fixture
def chain(grpc: MetadataServiceClient) -> dict[str, str]:
    """raw -> clean -> split -> train, with a second split that reads the same clean data."""
    made = {name: artifact(grpc, display_name=name) for name in ("raw", "clean", "split-a", "split-b")}
    made |= {name: artifact(grpc, MODEL, display_name=name) for name in ("model-a", "model-b")}
    made["cleaning"] = execution(grpc, [made["raw"]], [made["clean"]])
    made["splitting"] = execution(grpc, [made["clean"]], [made["split-a"], made["split-b"]])
    made["training-a"] = execution(grpc, [made["split-a"]], [made["model-a"]])
    made["training-b"] = execution(grpc, [made["split-b"]], [made["model-b"]])
    return made


def test_the_lineage_of_an_artifact(metadata: MetadataServiceClient, chain: dict[str, str]) -> None:
    names = {name: key for key, name in chain.items()}

    def around(key: str, hops: int = 0, text: str = "") -> set[str]:
        request = {"artifact": chain[key], "max_hops": hops, "filter": text}
        graph = metadata.query_artifact_lineage_subgraph(request=request)
        inside = {item.name for item in [*graph.artifacts, *graph.executions]}
        assert all(event.artifact in inside and event.execution in inside for event in graph.events)
        assert len(graph.events) >= len(inside) - 1  # connected
        return {names[name] for name in inside}

    assert around("model-a") == set(chain)  # all that is connected, in both directions
    assert around("model-a", 1) == {"model-a", "training-a"}
    assert around("model-a", 2) == {"model-a", "training-a", "split-a"}
    assert around("model-a", 4) == {"model-a", "training-a", "split-a", "splitting", "clean", "split-b"}
    assert around("raw", text='display_name != "split-b"') == set(chain) - {"split-b", "training-b", "model-b"}
    assert around("raw", text='display_name = "raw"') == {"raw", "cleaning"}
    with pytest.raises(exceptions.BadRequest, match="must not be negative"):
        around("raw", -1)


def test_the_inputs_and_outputs_of_an_execution(sdk: str, chain: dict[str, str]) -> None:
    split = aiplatform.Execution(chain["splitting"])
    assert [item.display_name for item in split.get_input_artifacts()] == ["clean"]
    assert [item.display_name for item in split.get_output_artifacts()] == ["split-a", "split-b"]


def test_the_lineage_of_a_context(metadata: MetadataServiceClient, chain: dict[str, str]) -> None:
    run = context(metadata)
    metadata.add_context_artifacts_and_executions(
        context=run, artifacts=[chain["split-a"], chain["model-a"]], executions=[chain["training-a"]]
    )
    metadata.add_context_artifacts_and_executions(context=run, artifacts=[chain["raw"], chain["raw"]])
    graph = metadata.query_context_lineage_subgraph(context=run)
    assert [item.name for item in graph.artifacts] == [chain["split-a"], chain["model-a"], chain["raw"]]
    assert [item.name for item in graph.executions] == [chain["training-a"]]
    assert {(event.artifact, event.type_.name) for event in graph.events} == {
        (chain["split-a"], "INPUT"),
        (chain["model-a"], "OUTPUT"),
    }


def test_a_second_event_between_the_same_two_is_skipped(grpc: MetadataServiceClient) -> None:
    table = artifact(grpc)
    step = execution(grpc, [table], [])
    events = [Event(artifact=table, type_=Event.Type.OUTPUT)]
    grpc.add_execution_events(execution=step, events=events)
    found = grpc.query_execution_inputs_and_outputs(execution=step).events
    assert [event.type_ for event in found] == [Event.Type.INPUT]


def test_edges_to_what_is_not_there(grpc: MetadataServiceClient) -> None:
    step, missing = execution(grpc, [], []), f"{STORE}/artifacts/missing"
    for call in (
        lambda: grpc.add_execution_events(execution=step, events=[Event(artifact=missing, type_=Event.Type.INPUT)]),
        lambda: grpc.add_context_artifacts_and_executions(context=context(grpc), artifacts=[missing]),
        lambda: grpc.add_context_children(context=context(grpc), child_contexts=[f"{STORE}/contexts/missing"]),
        lambda: grpc.query_artifact_lineage_subgraph(artifact=missing),
    ):
        with pytest.raises(exceptions.NotFound):
            call()
    with pytest.raises(exceptions.InvalidArgument, match="not the name of one of the artifacts"):
        grpc.add_context_artifacts_and_executions(context=context(grpc), artifacts=[step])
    with pytest.raises(exceptions.InvalidArgument, match="INPUT or OUTPUT"):
        grpc.add_execution_events(execution=step, events=[Event(artifact=artifact(grpc), type_=9)])


def test_what_is_deleted_leaves_the_lineage(grpc: MetadataServiceClient, chain: dict[str, str]) -> None:
    run = context(grpc)
    grpc.add_context_artifacts_and_executions(context=run, artifacts=[chain["clean"]], executions=[chain["cleaning"]])
    grpc.delete_artifact(name=chain["clean"]).result()
    graph = grpc.query_artifact_lineage_subgraph(artifact=chain["raw"])
    assert {item.name for item in graph.artifacts} == {chain["raw"]}
    assert [item.name for item in grpc.query_context_lineage_subgraph(context=run).executions] == [chain["cleaning"]]
    grpc.delete_execution(name=chain["cleaning"]).result()
    assert not grpc.query_artifact_lineage_subgraph(artifact=chain["raw"]).executions


def test_a_purge_says_first_what_it_would_delete(metadata: MetadataServiceClient, transport: str) -> None:
    label = f"purge-{transport}"
    names = {artifact(metadata, display_name=label) for _ in range(3)}
    other = artifact(metadata)
    step = execution(metadata, [*names, other], [])
    request: dict[str, Any] = {"parent": STORE, "filter": f'display_name="{label}"'}
    dry = metadata.purge_artifacts(request=request).result()
    assert dry.purge_count == 3 and set(dry.purge_sample) == names
    assert len(metadata.query_execution_inputs_and_outputs(execution=step).artifacts) == 4
    done = metadata.purge_artifacts(request=request | {"force": True}).result()
    assert done.purge_count == 3 and not done.purge_sample
    assert [item.name for item in metadata.query_execution_inputs_and_outputs(execution=step).artifacts] == [other]
    with pytest.raises(exceptions.BadRequest, match="Field: filter"):
        metadata.purge_artifacts(request={"parent": STORE})


# --- for other subjects, and after a restart ---


def test_what_other_subjects_record(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as server:
        part = server._core.parts["metadata"]
        assert part.ensure_store() == part.ensure_store() == STORE
        pipeline = part.add_context("system.Pipeline", "the-pipeline")
        run = part.add_context("system.PipelineRun", "the-run", "a run", {"n": 1}, parent=pipeline.name)
        data, model = part.add_artifact(DATASET, uri="gs://b/x"), part.add_artifact(MODEL, metadata={"framework": "x"})
        step = part.add_execution(RUN, display_name="train")
        part.add_events(step.name, inputs=[data.name], outputs=[model.name])
        part.attach(run.name, [data.name, model.name], [step.name])
        part.change(step.name, lambda node: setattr(node, "state", Execution.State.COMPLETE))
        with pytest.raises(VertexError, match="no string"):
            part.change(model.name, lambda node: node.metadata.update({"framework": 1}))
        with pytest.raises(VertexError, match="already exists"):
            part.add_context("system.Pipeline", "the-pipeline")
        assert part.find("contexts", "nothing") is None
    with vertex.start(tmp_path) as server:  # the state outlives the server
        part = server._core.parts["metadata"]
        found = part.find("contexts", "the-run")
        assert (found.display_name, dict(found.metadata), list(found.parent_contexts)) == (
            "a run",
            {"n": 1},
            [pipeline.name],
        )
        grpc = client(MetadataServiceClient, server, "rest")
        graph = grpc.query_context_lineage_subgraph(context=run.name)
        assert {item.name for item in graph.artifacts} == {data.name, model.name}
        assert [item.state for item in graph.executions] == [Execution.State.COMPLETE]
        assert sorted(event.type_.name for event in graph.events) == ["INPUT", "OUTPUT"]
        grpc.delete_artifact(name=data.name).result()
    with vertex.start(tmp_path) as server:
        graph = client(MetadataServiceClient, server, "rest").query_context_lineage_subgraph(context=run.name)
        assert [item.name for item in graph.artifacts] == [model.name] and len(graph.events) == 1


def test_metadata_keeps_its_types(grpc: MetadataServiceClient) -> None:
    values = {"text": "1", "number": 0.1 + 0.2, "truth": True, "list": [1, "a"], "inner": {"x": None}}
    made = grpc.create_context(parent=STORE, context=Context(schema_title="system.Experiment", metadata=values))
    kept = grpc.get_context(name=made.name).metadata
    assert kept["number"] == 0.1 + 0.2 and kept["truth"] is True and kept["text"] == "1"
    assert list(kept["list"]) == [1, "a"] and dict(kept["inner"]) == {"x": None}

"""The methods of MetadataService that concern several nodes, and what other subjects use to record lineage."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.cloud.aiplatform_v1.types import (
    AddContextArtifactsAndExecutionsResponse,
    AddContextChildrenResponse,
    AddExecutionEventsResponse,
    Artifact,
    Context,
    Event,
    Execution,
    MetadataStore,
    RemoveContextChildrenResponse,
)

from localgcp.vertex.core import Core
from localgcp.vertex.errors import already_exists, invalid
from localgcp.vertex.generic import Resources
from localgcp.vertex.messages import Message, copied
from localgcp.vertex.metadata import filtering
from localgcp.vertex.metadata.graph import Graph
from localgcp.vertex.metadata.lineage import Lineage
from localgcp.vertex.metadata.nodes import Nodes
from localgcp.vertex.metadata.schemas import Schemas

_DEFAULT = "default"
_MOST_PARENTS = 10


class Metadata:
    """The metadata stores of a server. The public functions are for other subjects, such as pipelines.

    They take and give full resource names and proto-plus messages, work in the store "default", and raise VertexError.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._graph = Graph(core.folder / "metadata" / "edges.jsonl", core.store.lock)
        self._stores = Resources(core, "MetadataService", "MetadataStore", verbs=("Get", "List"))
        schemas = Schemas(core)
        inside = {"in_context": filtering.one_name("in_context", lambda node, name: self._graph.is_in(name, node.name))}
        related = {
            "parent_contexts": filtering.one_name("parent_contexts", lambda node, name: name in node.parent_contexts),
            "child_contexts": filtering.one_name("child_contexts", self._is_parent_of),
        }
        self._nodes = {
            "contexts": Nodes(core, "Context", schemas, self._forget_context, related),
            "artifacts": Nodes(core, "Artifact", schemas, self._forget, inside),
            "executions": Nodes(core, "Execution", schemas, self._forget, inside),
        }
        Lineage(core, self._graph)
        self._register()

    def ensure_store(self) -> str:
        """The name of the default store, which is made if there is none."""
        name = f"{self._core.parent}/metadataStores/{_DEFAULT}"
        with self._core.store.lock:
            if self._core.store.find(name) is None:
                self._add_store(MetadataStore(), self._core.parent, _DEFAULT)
        return name

    def find(self, collection: str, identifier: str) -> Message | None:
        """A node by its id: find("contexts", "my-run"), find("artifacts", …), find("executions", …)."""
        return self._core.store.find(f"{self._core.parent}/metadataStores/{_DEFAULT}/{collection}/{identifier}")

    def add_context(
        self,
        schema: str,
        identifier: str = "",
        display_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        parent: str = "",
    ) -> Message:
        """A new context of a schema such as "system.PipelineRun", below the context `parent` where one is named."""
        context = Context(schema_title=schema, display_name=display_name, metadata=dict(metadata or {}))
        made = self._nodes["contexts"].add(self.ensure_store(), context, identifier)
        if parent:
            self._add_children(parent, [made.name])
        return self._core.store.get(made.name)

    def add_artifact(
        self,
        schema: str,
        identifier: str = "",
        display_name: str = "",
        uri: str = "",
        metadata: Mapping[str, Any] | None = None,
        state: int = Artifact.State.LIVE,
    ) -> Message:
        """A new artifact of a schema such as "system.Model"."""
        artifact = Artifact(
            schema_title=schema, display_name=display_name, uri=uri, state=state, metadata=dict(metadata or {})
        )
        return self._nodes["artifacts"].add(self.ensure_store(), artifact, identifier)

    def add_execution(
        self,
        schema: str,
        identifier: str = "",
        display_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        state: int = Execution.State.RUNNING,
    ) -> Message:
        """A new execution of a schema such as "system.ContainerExecution"."""
        execution = Execution(
            schema_title=schema, display_name=display_name, state=state, metadata=dict(metadata or {})
        )
        return self._nodes["executions"].add(self.ensure_store(), execution, identifier)

    def change(self, name: str, change: Callable[[Message], None]) -> Message:
        """Changes a node in place, such as an execution's state, and gives it new."""
        return self._nodes[name.split("/")[-2]].change(name, change)

    def add_events(self, execution: str, inputs: Iterable[str] = (), outputs: Iterable[str] = ()) -> None:
        """Says which artifacts an execution has read and written, by their names."""
        events = [Event(artifact=name, type_=Event.Type.INPUT) for name in inputs]
        self._connect(execution, events + [Event(artifact=name, type_=Event.Type.OUTPUT) for name in outputs])

    def attach(self, context: str, artifacts: Iterable[str] = (), executions: Iterable[str] = ()) -> None:
        """Puts artifacts and executions into a context, by their names."""
        with self._core.store.lock:
            names = [*_of("artifacts", artifacts), *_of("executions", executions)]
            self._all_there(context, names)
            self._graph.attach(context, names)

    def _register(self) -> None:
        answers = self._core.answers
        answers("MetadataService.CreateMetadataStore")(self._create_store)
        answers("MetadataService.DeleteMetadataStore")(self._delete_store)

        @answers("MetadataService.AddContextChildren")
        def add_children(request: Message) -> Message:
            self._add_children(request.context, request.child_contexts)
            return AddContextChildrenResponse()

        @answers("MetadataService.RemoveContextChildren")
        def remove_children(request: Message) -> Message:
            with self._core.store.lock:
                self._all_there(request.context, request.child_contexts)
                for child in request.child_contexts:
                    self._core.store.change(child, lambda context: _drop_parent(context, request.context))
            return RemoveContextChildrenResponse()

        @answers("MetadataService.AddContextArtifactsAndExecutions")
        def attach(request: Message) -> Message:
            self.attach(request.context, request.artifacts, request.executions)
            return AddContextArtifactsAndExecutionsResponse()

        @answers("MetadataService.AddExecutionEvents")
        def connect(request: Message) -> Message:
            self._connect(request.execution, request.events)
            return AddExecutionEventsResponse()

    def _create_store(self, request: Message) -> Message:
        return self._add_store(copied(request.metadata_store), request.parent, request.metadata_store_id)

    def _add_store(self, store: Message, parent: str, identifier: str) -> Message:
        if self._core.store.find(f"{parent}/metadataStores/{identifier}"):
            raise already_exists(f"{parent}/metadataStores/{identifier}")
        return self._stores.add(parent, store, identifier or str(uuid.uuid4()))

    def _delete_store(self, request: Message) -> None:
        with self._core.store.lock:
            inside = [node.name for kind in self._nodes for node in self._core.store.children(request.name, kind)]
            self._core.store.delete(request.name)
            self._graph.forget(inside)

    def _add_children(self, parent: str, children: Iterable[str]) -> None:
        """Raises VertexError for a cycle, or a context with too many parents; then none has been added."""
        with self._core.store.lock:
            names = _of("contexts", children)
            self._all_there(parent, names)
            above = self._above(parent)
            for name in names:
                if name in above:
                    raise invalid(f"'{name}' cannot be a child of '{parent}': that would be a cycle.")
                parents = {*self._core.store.get(name).parent_contexts, parent}
                if len(parents) > _MOST_PARENTS:
                    raise invalid(f"'{name}' would have more than {_MOST_PARENTS} parents.")
            for name in names:
                # The etag stays: the SDK goes on to write to the context that it holds.
                self._core.store.change(name, lambda context: _add_parent(context, parent))

    def _above(self, context: str) -> set[str]:
        """A context and all that are above it."""
        found, left = set[str](), [context]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._core.store.get(name).parent_contexts
        return found

    def _connect(self, execution: str, events: Iterable[Message]) -> None:
        events = list(events)
        with self._core.store.lock:
            self._all_there(execution, _of("artifacts", [event.artifact for event in events]))
            if any(event.type_ not in (Event.Type.INPUT, Event.Type.OUTPUT) for event in events):
                raise invalid("The type of an event is INPUT or OUTPUT.")
            self._graph.connect(execution, events)

    def _all_there(self, holder: str, names: Iterable[str]) -> None:
        """Raises VertexError unless the holder and all others exist, in one metadata store."""
        store = holder.rsplit("/", 2)[0]
        self._core.store.get(holder)
        for name in names:
            if not name.startswith(f"{store}/"):
                raise invalid(f"'{name}' is not in the metadata store of '{holder}'.")
            self._core.store.get(name)

    def _is_parent_of(self, context: Message, name: str) -> bool:
        child = self._core.store.find(name)
        return child is not None and context.name in child.parent_contexts

    def _forget(self, name: str) -> None:
        self._graph.forget([name])

    def _forget_context(self, name: str) -> None:
        self._graph.forget([name])
        for child in self._core.store.children(name.rsplit("/", 2)[0], "contexts"):
            if name in child.parent_contexts:
                self._core.store.change(child.name, lambda context: _drop_parent(context, name))


def _of(collection: str, names: Iterable[str]) -> list[str]:
    """The names, once each. Raises VertexError for the name of something else."""
    found = list(dict.fromkeys(names))
    for name in found:
        if len(name.split("/")) < 2 or name.split("/")[-2] != collection:
            raise invalid(f"'{name}' is not the name of one of the {collection}.")
    return found


def _add_parent(context: Message, parent: str) -> None:
    if parent not in context.parent_contexts:
        context.parent_contexts.append(parent)


def _drop_parent(context: Message, parent: str) -> None:
    context.parent_contexts = [name for name in context.parent_contexts if name != parent]

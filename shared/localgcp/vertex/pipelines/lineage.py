"""What a run leaves in ML Metadata: its contexts, an execution per task, artifacts, and the events between."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.cloud.aiplatform_v1.types import Artifact, Execution

from localgcp.vertex.core import Core
from localgcp.vertex.messages import Message
from localgcp.vertex.metadata.service import Metadata

_SCHEMAS = {
    "pipeline": "system.Run",
    "dag": "system.DagExecution",
    "container": "system.ContainerExecution",
    "importer": "system.ImporterExecution",
}
_STATES = {
    "SUCCEEDED": Execution.State.COMPLETE,
    "FAILED": Execution.State.FAILED,
    "CANCELLED": Execution.State.CANCELLED,
    "SKIPPED": Execution.State.CACHED,
}
_SHORTEST_ID = 4

# An artifact as the runner tells of it: name, uri, schema_title, schema_version, metadata.
Told = dict[str, Any]


class Lineage:
    """The nodes of one run. Raises VertexError, as for metadata that does not fit an artifact's schema."""

    def __init__(self, core: Core, metadata: Metadata, pipeline: str, run: str) -> None:
        self._core, self._metadata, self._run = core, metadata, run
        self.pipeline_context = self._context("system.Pipeline", pipeline, "")
        self.run_context = self._context("system.PipelineRun", run, self.pipeline_context.name)
        # By URI, the last that this run has written or read.
        self._artifacts: dict[str, str] = {}

    def begin(self, kind: str, task: str, parameters: dict[str, Any]) -> Message:
        """The execution of a task; that of the pipeline itself has the run's name."""
        shown = self._run if kind == "pipeline" else task
        inputs = {f"input:{name}": value for name, value in parameters.items()}
        execution = self._metadata.add_execution(_SCHEMAS[kind], display_name=shown, metadata=inputs)
        self._attach(executions=[execution.name])
        return execution

    def read(self, execution: str, told: dict[str, list[Told]]) -> dict[str, list[Message]]:
        found = {name: [self._known(artifact) for artifact in listed] for name, listed in told.items()}
        self._metadata.add_events(execution, inputs=_names(found))
        return found

    def wrote(self, execution: str, told: dict[str, list[Told]], again: bool) -> dict[str, list[Message]]:
        """The artifacts that an execution has as outputs; with `again` those that there are already."""
        make = self._known if again else self._made
        found = {name: [make(artifact) for artifact in listed] for name, listed in told.items()}
        self._metadata.add_events(execution, outputs=_names(found))
        return found

    def hand_out_metrics(self, execution: str) -> None:
        """Makes the metrics of all tasks outputs of the run: `get_pipeline_df` looks for them there."""
        nodes = [self._core.store.get(name) for name in self._artifacts.values()]
        metrics = [node.name for node in nodes if node.schema_title.endswith("Metrics")]
        self._metadata.add_events(execution, outputs=metrics)

    def end(self, execution: str, state: str, parameters: dict[str, Any]) -> Message:
        def change(node: Message) -> None:
            node.state = _STATES[state]
            outputs = {f"output:{name}": value for name, value in parameters.items()}
            node.metadata = dict(node.metadata or {}) | outputs

        return self._metadata.change(execution, change)

    def _context(self, schema: str, name: str, parent: str) -> Message:
        identifier = re.sub(r"[^a-z0-9-]", "-", name.lower())
        if len(identifier) < _SHORTEST_ID:
            identifier = f"pipeline-{identifier}"
        found = self._metadata.find("contexts", identifier)
        return found or self._metadata.add_context(schema, identifier, name, parent=parent)

    def _made(self, told: Told) -> Message:
        artifact = self._metadata.add_artifact(
            told["schema_title"], display_name=told["name"], uri=told["uri"], metadata=told["metadata"]
        )
        return self._keep(artifact)

    def _known(self, told: Told) -> Message:
        """The latest artifact of a URI; a new one when there is none, as for one that was deleted."""
        if told["uri"] in self._artifacts:
            return self._core.store.get(self._artifacts[told["uri"]])
        there: list[Message] = self._core.store.children(self._metadata.ensure_store(), "artifacts")
        same = [item for item in there if item.uri == told["uri"] and item.schema_title == told["schema_title"]]
        latest = max(same, key=lambda artifact: artifact.create_time, default=None)
        return self._made(told) if latest is None else self._keep(Artifact(latest))

    def _keep(self, artifact: Message) -> Message:
        self._artifacts[artifact.uri] = artifact.name
        self._attach(artifacts=[artifact.name])
        return artifact

    def _attach(self, artifacts: Iterable[str] = (), executions: Iterable[str] = ()) -> None:
        for context in (self.pipeline_context, self.run_context):
            self._metadata.attach(context.name, artifacts, executions)


def _names(found: dict[str, list[Message]]) -> list[str]:
    return [artifact.name for listed in found.values() for artifact in listed]

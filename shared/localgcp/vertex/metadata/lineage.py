"""Parts of the lineage graph: around an artifact, within a context, at an execution."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.cloud.aiplatform_v1.types import LineageSubgraph

from localgcp.vertex import filters
from localgcp.vertex.core import Core
from localgcp.vertex.errors import invalid, precondition
from localgcp.vertex.messages import Message
from localgcp.vertex.metadata import filtering
from localgcp.vertex.metadata.graph import Graph

_MOST = 1000


class Lineage:
    """Answers the three queries about lineage."""

    def __init__(self, core: Core, graph: Graph) -> None:
        self._core, self._graph = core, graph
        core.answers("MetadataService.QueryArtifactLineageSubgraph")(self.of_artifact)
        core.answers("MetadataService.QueryContextLineageSubgraph")(self.of_context)
        core.answers("MetadataService.QueryExecutionInputsAndOutputs")(self.of_execution)

    def of_artifact(self, request: Message) -> Message:
        """What is connected with an artifact, against and along its events, up to `max_hops` nodes away.

        Artifacts that the filter does not let through are left out, and nothing is reached through them.
        """
        if request.max_hops < 0:
            raise invalid(f"max_hops must not be negative: {request.max_hops}.")
        self._core.store.get(request.artifact)
        functions = {"metadata_value": filtering.metadata_value}
        fits = filters.parse(filtering.rewrite(request.filter), functions)
        artifacts, executions = self._reached(request.artifact, request.max_hops, fits)
        return self._subgraph(artifacts, executions)

    def of_context(self, request: Message) -> Message:
        """The artifacts and executions of a context, and the events between them."""
        self._core.store.get(request.context)
        members = self._graph.members(request.context)
        executions = [name for name in members if "/executions/" in name]
        return self._subgraph([name for name in members if "/artifacts/" in name], executions)

    def of_execution(self, request: Message) -> Message:
        self._core.store.get(request.execution)
        inside = [event.artifact for event in self._graph.events_of(request.execution)]
        return self._subgraph(inside, [request.execution])

    def _reached(self, start: str, hops: int, fits: Callable[[Message], bool]) -> tuple[list[str], list[str]]:
        """Artifacts and executions, by breadth. The API cannot tell `max_hops` 0 from none: both mean all of it."""
        artifacts, executions = {start: None}, dict[str, None]()
        edge, hop = [start], 0
        while edge and (hops == 0 or hop < hops):
            if hop % 2 == 0:
                found = (user for artifact in edge for user in self._graph.users_of(artifact))
                edge = [name for name in dict.fromkeys(found) if name not in executions]
                executions.update(dict.fromkeys(edge))
            else:
                beside = (event.artifact for execution in edge for event in self._graph.events_of(execution))
                edge = [
                    name for name in dict.fromkeys(beside) if name not in artifacts and fits(self._core.store.get(name))
                ]
                artifacts.update(dict.fromkeys(edge))
            hop += 1
        return list(artifacts), list(executions)

    def _subgraph(self, artifacts: Iterable[str], executions: Iterable[str]) -> Message:
        kept = set(artifacts)
        graph = LineageSubgraph(
            artifacts=[self._core.store.get(name) for name in artifacts],
            executions=[self._core.store.get(name) for name in executions],
            events=[event for name in executions for event in self._graph.events_of(name) if event.artifact in kept],
        )
        for what, rows in (("artifacts", graph.artifacts), ("executions", graph.executions), ("events", graph.events)):
            if len(rows) > _MOST:
                raise precondition(f"The lineage has {len(rows)} {what}, more than {_MOST}; give max_hops or a filter.")
        return graph

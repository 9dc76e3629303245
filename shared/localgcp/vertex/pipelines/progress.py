"""The tasks of one run: from the runner's events to the job's task details, and to lineage."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import PipelineTaskDetail
from google.rpc import status_pb2

from localgcp.vertex.core import Core
from localgcp.vertex.messages import Message, now, raw
from localgcp.vertex.pipelines.lineage import Lineage
from localgcp.vertex.pipelines.runs import Event

_STATE: Any = PipelineTaskDetail.State
# FAILED_PRECONDITION: what the service gives for a task that has failed.
_CODE = 9
_TAIL_LINES, _TAIL_BYTES = 20, 4000


class Progress:
    """Follows a run, event by event, and writes the job's task details."""

    def __init__(self, core: Core, job: str, lineage: Lineage, logs: Path) -> None:
        self._core, self._job, self._lineage, self._logs = core, job, lineage, logs
        self._details: dict[int, Message] = {}
        # What each failed task has to say, without the DAGs around it.
        self.failures: list[str] = []
        self.error = ""

    def follow(self, event: Event) -> None:
        """Raises VertexError when the lineage refuses what a task has written."""
        {"begin": self._begin, "retry": self._retry, "end": self._end}[event["event"]](event)
        self._write()

    def close(self, state: str, message: str) -> None:
        """Tasks that were running when the run ended, such as by a cancel."""
        for detail in self._details.values():
            if detail.state == _STATE.RUNNING:
                self._finish(detail, state, message, now(), {})
        self._write()

    def _begin(self, event: Event) -> None:
        parent = self._details.get(event["parent"])
        path = f"{parent.task_unique_name}." if parent is not None and parent.parent_task_id else ""
        moment = datetime.fromisoformat(event["time"])
        detail = PipelineTaskDetail(
            task_id=event["task"],
            parent_task_id=event["parent"] or 0,
            task_name=event["name"],
            task_unique_name=f"{path}{event['name']}",
            create_time=moment,
        )
        self._details[event["task"]] = detail
        if event["kind"] == "none":
            return
        detail.start_time = moment
        self._change(detail, "RUNNING", "", moment)
        detail.execution = self._lineage.begin(event["kind"], event["name"], event["inputs"]["parameters"])
        read = self._lineage.read(detail.execution.name, event["inputs"]["artifacts"])
        detail.inputs = {name: PipelineTaskDetail.ArtifactList(artifacts=listed) for name, listed in read.items()}

    def _retry(self, event: Event) -> None:
        self._change(self._details[event["task"]], "RUNNING", event["error"], datetime.fromisoformat(event["time"]))

    def _end(self, event: Event) -> None:
        detail = self._details[event["task"]]
        error = self._error(detail, event) if event["state"] == "FAILED" else ""
        if detail.execution:
            # A pipeline hands out what its tasks have written; an importer and the cache what is there already.
            is_own = detail.execution.schema_title == "system.ContainerExecution" and event["state"] == "SUCCEEDED"
            if not detail.parent_task_id:
                self._lineage.hand_out_metrics(detail.execution.name)
            if detail.execution.schema_title != "system.DagExecution":
                told = event["outputs"]["artifacts"]
                wrote = self._lineage.wrote(detail.execution.name, told, again=not is_own)
                detail.outputs = {
                    name: PipelineTaskDetail.ArtifactList(artifacts=listed) for name, listed in wrote.items()
                }
        moment = datetime.fromisoformat(event["time"])
        self._finish(detail, event["state"], error, moment, event["outputs"]["parameters"])

    def _error(self, detail: Message, event: Event) -> str:
        log = self._logs / event["log"]
        error = "\n".join(part for part in (event["error"], _tail(log)) if part)
        if not detail.parent_task_id:
            self.error = error
        elif event["is_own"]:
            self.failures.append(f"Task '{detail.task_name}' failed: {error}")
        return error

    def _finish(self, detail: Message, state: str, error: str, moment: datetime, outputs: dict[str, Any]) -> None:
        detail.end_time = moment
        self._change(detail, state, error, moment)
        if error:
            raw(detail).error.CopyFrom(status_pb2.Status(code=_CODE, message=error))
        if detail.execution:
            detail.execution = self._lineage.end(detail.execution.name, state, outputs)

    def _change(self, detail: Message, state: str, error: str, moment: datetime) -> None:
        detail.state = _STATE[state]
        status = PipelineTaskDetail.PipelineTaskStatus(state=_STATE[state], update_time=moment)
        if error:
            raw(status).error.CopyFrom(status_pb2.Status(code=_CODE, message=error))
        detail.pipeline_task_status.append(status)

    def _write(self) -> None:
        def change(job: Message) -> None:
            job.job_detail.task_details = list(self._details.values())

        self._core.store.change(self._job, change)


def _tail(log: Path) -> str:
    """The last lines of a task's log; a DAG has none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:])

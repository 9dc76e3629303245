"""The run of one pipeline: the process with kfp.local in it, and what it tells of its tasks."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localgcp.vertex.errors import VertexError
from localgcp.vertex.jobs import environment
from localgcp.vertex.jobs.execution import Outcome, failed, stopped
from localgcp.vertex.jobs.replica import Replica

_RUNNER = Path(__file__).with_name("runner.py")
_POLL_SECONDS = 0.05

Event = dict[str, Any]


class Run:
    """A pipeline's process. `run` blocks until it has ended; `cancel` and `abandon` may come from any thread."""

    def __init__(self, name: str, plan: dict[str, Any], work: Path, logs: Path, reached: dict[str, str]) -> None:
        self.name, self._plan = name, plan
        self._work, self._logs, self._reached = work, logs, reached
        self._events = work / "events.jsonl"
        self._ended = threading.Event()
        self._why: Outcome | None = None

    @property
    def cancelled(self) -> bool:
        return self._why is not None

    def cancel(self) -> None:
        self._end(Outcome("CANCELLED"))

    def abandon(self) -> None:
        """For a server that stops."""
        self._end(failed(stopped("was stopped"), "ABORTED"))

    def run(self, follow: Callable[[Event], None]) -> Outcome:
        """Runs the pipeline; `follow` gets every event. The outcome has no error when a task has failed."""
        if self._why is not None:
            return self._why
        replica = self._replica()
        try:
            replica.start()
            return self._watch(replica, follow)
        except VertexError as error:
            return Outcome("FAILED", error)
        except OSError as error:
            return failed(f"The pipeline could not be started: {error.strerror}.", "INTERNAL")
        finally:
            replica.end()
            replica.wait()
            shutil.rmtree(self._work, ignore_errors=True)

    def _end(self, why: Outcome) -> None:
        if self._why is None:
            self._why = why
        self._ended.set()

    def _replica(self) -> Replica:
        for folder in (self._work / "tmp", self._logs):
            folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan | {"events": str(self._events), "work": str(self._work), "logs": str(self._logs)}
        (self._work / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        self._events.touch()
        command = [sys.executable, str(_RUNNER), str(self._work / "plan.json")]
        return Replica("pipeline", command, self._variables(), self._work / "cwd", self._logs / "pipeline.log")

    def _variables(self) -> dict[str, str]:
        _, project, _, location, _, identifier = self.name.split("/")
        found = dict(os.environ)
        found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", os.defpath)])
        known = [found["PYTHONPATH"]] if found.get("PYTHONPATH") else []
        found["PYTHONPATH"] = os.pathsep.join([str(environment.INSIDE), *known])
        found["PYTHONUNBUFFERED"] = "1"  # the logs can be read while it runs
        found["TMPDIR"] = str(self._work / "tmp")  # KFP's components leave folders there
        found["LOCALGCP_BUCKETS"] = self._plan["buckets"]
        found |= {"CLOUD_ML_PROJECT_ID": project, "CLOUD_ML_REGION": location, "CLOUD_ML_JOB_ID": identifier}
        # KFP's executor knows by this variable that it runs in Vertex AI Pipelines.
        found["VERTEX_AI_PIPELINES_RUN_LABELS"] = json.dumps(self._plan["labels"])
        return found | environment.sdk(self._reached)

    def _watch(self, replica: Replica, follow: Callable[[Event], None]) -> Outcome:
        with self._events.open("rb") as events:
            while True:
                self._ended.wait(_POLL_SECONDS)
                # Asked first, so that what is read afterwards is all that there will be.
                status = replica.status
                for event in _read(events):
                    follow(event)
                if self._why is not None:
                    return self._why
                if status == 0:
                    return Outcome("SUCCEEDED")
                if status is not None:
                    return failed(f"The pipeline's runner exited with a status of {status}.\n{replica.tail()}")


def _read(events: Any) -> Iterator[Event]:
    """The whole lines that are new."""
    while True:
        place = events.tell()
        line = events.readline()
        if not line.endswith(b"\n"):
            events.seek(place)
            return
        yield json.loads(line)

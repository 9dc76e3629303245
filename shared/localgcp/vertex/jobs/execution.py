"""The run of one custom job: starts its replicas, restarts what was preempted, decides how it has ended."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from localgcp.vertex.errors import VertexError
from localgcp.vertex.jobs import environment, packages
from localgcp.vertex.jobs.environment import Task
from localgcp.vertex.jobs.replica import Replica
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places

_POLL_SECONDS = 0.05
# Workers have this long to end by themselves after the primary replica; parameter servers never do.
_AFTER_PRIMARY_SECONDS = 5.0
_MOST_RESTARTS = 3
_PREEMPTED = {128 + signal.SIGKILL, 128 + signal.SIGTERM}
_PARAMETER_SERVERS = 2


@dataclass(frozen=True)
class Outcome:
    """How a job has ended: "SUCCEEDED", "FAILED" or "CANCELLED", with the canonical error of a failure."""

    state: str
    error: VertexError | None = None


def failed(message: str, status: str = "INVALID_ARGUMENT") -> Outcome:
    return Outcome("FAILED", VertexError(status, message))


class Execution:
    """A job's processes. `run` blocks until they have ended; `cancel` and `abandon` may come from any thread."""

    def __init__(
        self, name: str, spec: Message, places: Places, logs: Path, work: Path, reached: dict[str, str]
    ) -> None:
        self.name, self._spec, self._places, self._reached = name, spec, places, reached
        self._logs, self._work = logs, work
        self._ended = threading.Event()
        self._why: Outcome | None = None
        self._restarts = 0

    def cancel(self) -> None:
        self._end(Outcome("CANCELLED"))

    def abandon(self) -> None:
        """For a server that stops."""
        self._end(failed(stopped("was stopped"), "ABORTED"))

    @property
    def cancelled(self) -> bool:
        return self._why is not None

    def _end(self, why: Outcome) -> None:
        if self._why is None:
            self._why = why
        self._ended.set()

    def run(self) -> Outcome:
        if self._why is not None:
            return self._why
        replicas: list[Replica] = []
        try:
            replicas = self._replicas()
            for replica in replicas:
                replica.start()
            return self._watch(replicas)
        except VertexError as error:
            return Outcome("FAILED", error)
        except OSError as error:
            return failed(f"The job could not be started: {error.strerror}.", "INTERNAL")
        finally:
            for replica in replicas:
                replica.end()
            for replica in replicas:
                replica.wait()
            shutil.rmtree(self._work, ignore_errors=True)

    def _replicas(self) -> list[Replica]:
        self._make_directories()
        tasks = environment.tasks(self._spec)
        cluster = environment.addresses(tasks)
        return [self._replica(task, cluster) for task in tasks]

    def _make_directories(self) -> None:
        prefix = self._spec.base_output_directory.output_uri_prefix
        if not prefix:
            return
        if not self._places.bucket(prefix).is_dir():
            message = f"The bucket of base_output_directory '{prefix}' does not exist."
            raise VertexError("NOT_FOUND", message)
        for name in ("model", "checkpoints", "logs"):
            (self._places.local(prefix) / name).mkdir(parents=True, exist_ok=True)

    def _replica(self, task: Task, cluster: dict[Task, str]) -> Replica:
        variables = environment.variables(self.name, self._spec, task, cluster, self._places)
        variables |= environment.sdk(self._reached)
        pool, folder = self._spec.worker_pool_specs[task.pool], self._work / task.label
        paths: list[Path] = []
        if "python_package_spec" in pool:
            package = pool.python_package_spec
            paths = [
                root
                for uri in package.package_uris
                for root in packages.unpack(self._places.local(uri), uri, folder / "packages")
            ]
            command = [sys.executable, "-m", package.python_module, *map(self._places.mounted, package.args)]
        else:
            given = [*pool.container_spec.command, *pool.container_spec.args]
            command = [self._places.mounted(part) for part in given]
        known = [variables["PYTHONPATH"]] if variables.get("PYTHONPATH") else []
        variables["PYTHONPATH"] = os.pathsep.join([str(environment.INSIDE), *map(str, paths), *known])
        return Replica(task.label, command, variables, folder / "cwd", self._logs / f"{task.label}.log")

    def _watch(self, replicas: list[Replica]) -> Outcome:
        limit = raw(self._spec).scheduling.timeout.ToTimedelta().total_seconds()
        began = time.monotonic()
        while True:
            self._ended.wait(_POLL_SECONDS)
            if self._why is not None:
                return self._why
            if limit and time.monotonic() > began + limit:
                text = f"The job has exceeded its timeout of {limit:g} seconds (scheduling.timeout)."
                return failed(_with_tail(text, replicas[0]), "DEADLINE_EXCEEDED")
            for replica in replicas:
                if replica.status not in (None, 0) and not self._restarted(replica, replicas):
                    return failed(_with_tail(_exit_text(replica), replica))
            if replicas[0].status == 0:
                return self._after_primary(replicas)

    def _after_primary(self, replicas: list[Replica]) -> Outcome:
        """The job has succeeded with its primary replica; a worker that fails meanwhile still fails it."""
        end = time.monotonic() + _AFTER_PRIMARY_SECONDS
        waited = [replica for replica in replicas if not replica.label.startswith(f"workerpool{_PARAMETER_SERVERS}")]
        while any(replica.status is None for replica in waited) and time.monotonic() < end:
            self._ended.wait(_POLL_SECONDS)
            if self._why is not None:
                return self._why
        for replica in waited:
            if replica.status not in (None, 0):
                return failed(_with_tail(_exit_text(replica), replica))
        return Outcome("SUCCEEDED")

    def _restarted(self, replica: Replica, replicas: list[Replica]) -> bool:
        """Starts a replica again that somebody has killed: to the service, its machine is gone.

        An exit status of the program's own is a failure and never retried.
        """
        scheduling = self._spec.scheduling
        if replica.status not in _PREEMPTED or scheduling.disable_retries or self._restarts >= _MOST_RESTARTS:
            return False
        self._restarts += 1
        together = replicas if scheduling.restart_job_on_worker_restart else [replica]
        for other in together:
            other.end()
        for other in together:
            other.wait()
            other.note(f"{replica.label} was killed; restart {self._restarts} of at most {_MOST_RESTARTS}")
            other.start()
        return True


def _exit_text(replica: Replica) -> str:
    return (
        f"The replica {replica.label} exited with a non-zero status of {replica.status}. To find out more about why "
        f"your job exited please check the logs: {replica.log.parent.name}/{replica.log.name}"
    )


def _with_tail(text: str, replica: Replica) -> str:
    tail = replica.tail()
    return f"{text}\n{tail}" if tail else text


def stopped(how: str) -> str:
    """Why a job has failed that the server's end has ended."""
    return f"The local server {how} while this job was running, and its processes ended with it. Submit the job again."

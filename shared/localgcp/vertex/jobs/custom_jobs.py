"""CustomJob: checked as the service checks it, then run as local processes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from google.cloud.aiplatform_v1.types import CustomJob, JobState

from localgcp.vertex.background import Background, has_ended, must_have_ended, set_state
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError, Violation, invalid_fields, unimplemented
from localgcp.vertex.generic import Resources
from localgcp.vertex.jobs.environment import has_task
from localgcp.vertex.jobs.execution import Execution, stopped
from localgcp.vertex.messages import Message, copied, raw
from localgcp.vertex.places import Places

# So many jobs run at once; the others stay PENDING, as they do when the service has no machine.
SLOTS = 8
_POOLS = 4
_IMAGE = re.compile(r"[a-z0-9]+([._:/-]+[a-zA-Z0-9_]+)*(@sha256:[0-9a-f]{64})?")
# What the SDK makes of a local script for an image that is not prebuilt.
_INSTALLS = re.compile(r"\bpip3? install\b")
# What changes how a job runs on the service and cannot change it here.
_NOT_EMULATED = ("persistent_resource_id", "enable_web_access", "psc_interface_config")

# Called with the job after each change of its state, in the job's thread.
Watcher = Callable[[Message], None]


class CustomJobs:
    """The custom jobs of a server, and the threads that run them."""

    def __init__(self, core: Core) -> None:
        self._core, self.places = core, Places(core.buckets)
        self._resources = Resources(core, "JobService", "CustomJob", ("Get", "List", "Delete"), None, must_have_ended)
        self._slots = threading.Semaphore(SLOTS)
        self._background = Background[Execution](core)
        core.answers("JobService.CreateCustomJob")(lambda request: self.launch(request.custom_job))
        core.answers("JobService.CancelCustomJob")(lambda request: self.cancel(request.name))
        self._fail_abandoned()

    def logs(self, name: str) -> Path:
        """The folder of a job's logs, one file per replica."""
        return self._core.folder / "logs" / name.rpartition("/")[2]

    def launch(self, job: Message, watcher: Watcher | None = None) -> Message:
        """Creates a job and runs it in the background. Raises VertexError for a spec that cannot run."""
        job = copied(job)
        self.check(job.job_spec)
        job.state = JobState.JOB_STATE_PENDING
        job = self._resources.add(self._core.parent, job)
        work = self._core.folder / "work" / job.name.rpartition("/")[2]
        execution = Execution(job.name, job.job_spec, self.places, self.logs(job.name), work, self._core.reached)
        self._background.start(job.name, execution, lambda: self._run(execution, watcher))
        return job

    def cancel(self, name: str) -> None:
        """Asks a job to end; one that has ended stays as it is. Raises VertexError when there is none."""
        self._background.cancel(name)

    def check(self, spec: Message) -> None:
        """Raises VertexError for a CustomJobSpec that the service refuses, or that cannot be run here."""
        for field in _NOT_EMULATED:
            if field in spec and getattr(spec, field):
                raise unimplemented(f"job_spec.{field}")
        if len(spec.worker_pool_specs) > _POOLS:
            raise invalid_fields(Violation("job_spec.worker_pool_specs", f"At most {_POOLS} pools are allowed."))
        for number, pool in enumerate(spec.worker_pool_specs):
            path = f"job_spec.worker_pool_specs[{number}]"
            if number == 0 and pool.replica_count > 1:
                message = "The first worker pool must have a replica count of 1."
                raise invalid_fields(Violation(f"{path}.replica_count", message))
            # An empty pool holds the place of one that the job does not have.
            if number == 0 or raw(pool).ByteSize():
                self._check_pool(pool, path)
        prefix = spec.base_output_directory.output_uri_prefix
        if prefix:
            self.places.local(prefix)

    def _check_pool(self, pool: Message, path: str) -> None:
        if not has_task(pool):
            raise invalid_fields(Violation(path, "One of container_spec and python_package_spec is required."))
        self._core.machines.check("training", pool.machine_spec, f"{path}.machine_spec", int(pool.replica_count) or 1)
        for field in ("nfs_mounts", "lustre_mounts"):
            if field in type(pool).meta.fields and getattr(pool, field):
                raise unimplemented(f"{path}.{field}")
        container = "container_spec" in pool
        field = "container_spec.image_uri" if container else "python_package_spec.executor_image_uri"
        image = pool.container_spec.image_uri if container else pool.python_package_spec.executor_image_uri
        if not _IMAGE.fullmatch(image):
            raise invalid_fields(Violation(f"{path}.{field}", f"'{image}' is no URI of a container image."))
        if container and not pool.container_spec.command:
            what = f"The entry point of the image '{image}'"
            raise unimplemented(what, 'give container_spec.command, or run with TARGET="vertex"')
        if container and _INSTALLS.search(" ".join(pool.container_spec.command)):
            # It would run pip in the environment of whoever has started this server, and ask the package index.
            what = f"Installing packages in a container ({path}.container_spec.command)"
            raise unimplemented(what, "install them here before, and use a prebuilt image or a command without pip")

    def _run(self, execution: Execution, watcher: Watcher | None) -> None:
        while not self._slots.acquire(timeout=0.1):
            if execution.cancelled:
                self._finish(execution, watcher)
                return
        try:
            if not execution.cancelled:
                self._change(execution.name, "RUNNING", None, watcher)
            self._finish(execution, watcher)
        finally:
            self._slots.release()

    def _finish(self, execution: Execution, watcher: Watcher | None) -> None:
        outcome = execution.run()
        self._change(execution.name, outcome.state, outcome.error, watcher)

    def _change(self, name: str, state: str, error: VertexError | None, watcher: Watcher | None) -> None:
        def change(job: Message) -> None:
            if state != "RUNNING" or job.state != JobState.JOB_STATE_CANCELLING:
                set_state(job, state, error)

        job = self._core.store.change(name, change)
        if watcher is not None:
            watcher(job)

    def _fail_abandoned(self) -> None:
        """Jobs that an earlier server has left behind, which was killed."""
        for job in self._core.store.of(CustomJob):
            if not has_ended(job):
                self._change(job.name, "FAILED", VertexError("ABORTED", stopped("was killed")), None)

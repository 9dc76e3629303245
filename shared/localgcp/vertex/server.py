"""The server: one folder of state, gRPC and REST on loopback, one core under both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localgcp.loopback import Loopback
from localgcp.vertex import certificate, registered, surface
from localgcp.vertex.core import Core
from localgcp.vertex.jobs.custom_jobs import CustomJobs
from localgcp.vertex.machines import Machines, shipped
from localgcp.vertex.messages import Message
from localgcp.vertex.rest import Rest
from localgcp.vertex.rpc import Rpc

# A server that nobody holds would be collected, and its port would refuse connections.
_RUNNING: set[Server] = set()


class Server:
    """A running server. `rest_url` and `grpc_target` are what `aiplatform.init(api_endpoint=…)` takes."""

    def __init__(self, core: Core, rest_port: int, grpc_port: int) -> None:
        self._core = core
        self._http = Loopback("vertex", Rest(core).answer, rest_port)
        try:
            self._rpc = Rpc(core, certificate.certificate(), grpc_port)
        except BaseException:
            self._http.stop()
            raise
        self._distrust = certificate.trust(core.folder)
        self._problem = certificate.problem(self._rpc.target)
        core.reached = {"rest": self._http.url, "grpc": self._rpc.target}
        self._running = True
        self._unshim: Callable[[], None] = lambda: None
        _RUNNING.add(self)

    @property
    def rest_url(self) -> str:
        """For api_transport="rest"."""
        return self._http.url

    @property
    def grpc_target(self) -> str:
        """For api_transport="grpc". Raises RuntimeError when gRPC in this process cannot trust the server."""
        if self._problem:
            raise RuntimeError(self._problem)
        return self._rpc.target

    @property
    def project(self) -> str:
        return self._core.project

    @property
    def location(self) -> str:
        return self._core.location

    @property
    def requests(self) -> list[tuple[str, Message]]:
        """The last requests as clients sent them, oldest first: ("JobService.CreateCustomJob", message)."""
        return list(self._core.requests)

    def tell(self, told: Callable[[str, Message], None]) -> None:
        """Calls `told` with every request from now on, in the threads that answer them."""
        self._core.on_request.append(told)

    def log_folder(self, job: str) -> Path:
        """Where the log of each replica of a custom job lies, also while it runs: workerpool0-0.log, …

        `job` is the job's resource name.
        """
        jobs: CustomJobs = self._core.parts["custom_jobs"]
        return jobs.logs(job)

    def shim_sdk(self) -> None:
        """Changes the SDK in this process where it ignores api_endpoint (see `shims`), until the server stops."""
        # The SDK's high-level part is imported only here: nothing else of the server needs it.
        from localgcp.vertex import shims

        self._unshim()
        target = None if self._problem else self._rpc.target
        self._unshim = shims.apply(shims.Local(self.rest_url, target, self.project, self.location))

    def stop(self) -> None:
        """Ends the jobs that run and answers no more. A second call does nothing."""
        if not self._running:
            return
        self._running = False
        _RUNNING.discard(self)
        self._unshim()
        self._http.stop()
        self._rpc.stop()
        self._distrust()
        self._core.stop()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    folder: Path | str,
    project: str = "local-project",
    location: str = "us-central1",
    buckets: Path | None = None,
    machine_rules: Machines | None = None,
    rest_port: int = 0,
    grpc_port: int = 0,
) -> Server:
    """Starts a server on the state in a folder, which is made if it is missing.

    `buckets` is a folder with one folder per bucket, for gs:// URIs; without it, the folder `buckets` of the state.
    `machine_rules` is the table of machine types, by default the package's. Raises RuntimeError when another server
    has the folder or a file in it cannot be read; OSError when a port is taken.
    """
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    holder = Path(buckets).resolve() if buckets is not None else path / "buckets"
    holder.mkdir(parents=True, exist_ok=True)
    surface.methods()
    core = Core(path, holder, project, location, machine_rules or shipped())
    try:
        for install in registered.INSTALL:
            install(core)
        return Server(core, rest_port, grpc_port)
    except BaseException:
        core.stop()
        raise

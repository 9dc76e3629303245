"""Jobs that go on after their request: a thread for each, its cancellation, its states, and the server's end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from google.rpc import status_pb2

from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError
from localgcp.vertex.generic import require, stamp
from localgcp.vertex.messages import Message, now, raw

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_MARK = "_STATE_"


class Work(Protocol):
    """What a job does, in its thread; both calls come from other threads."""

    def cancel(self) -> None:
        """Ends it soon, as somebody has asked for."""

    def abandon(self) -> None:
        """Ends it now, since the server ends."""


W = TypeVar("W", bound=Work)


class Background(Generic[W]):
    """The running jobs of one kind. The server's end ends them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: dict[str, tuple[W, threading.Thread]] = {}
        self._lock = threading.Lock()
        core.on_stop.append(self.stop)

    def start(self, name: str, work: W, run: Callable[[], None]) -> None:
        """Calls `run` in a thread; `work` can be cancelled until it comes back."""

        def running() -> None:
            try:
                run()
            finally:
                with self._lock:
                    self._running.pop(name, None)

        thread = threading.Thread(target=running, name=name, daemon=True)
        with self._lock:
            self._running[name] = work, thread
        thread.start()

    def cancel(self, name: str) -> None:
        """Asks a job to end; one that has ended stays as it is. Raises VertexError when there is none."""

        def change(job: Message) -> None:
            if not has_ended(job):
                set_state(job, "CANCELLING")

        self._core.store.change(name, change)
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            running[0].cancel()

    def stop(self) -> None:
        """Ends every job and waits until each has said so in its resource."""
        with self._lock:
            running = list(self._running.values())
        for work, _ in running:
            work.abandon()
        for _, thread in running:
            thread.join()


def has_ended(job: Message) -> bool:
    """Whether a job or pipeline is in one of its last states."""
    return job.state.name.rpartition(_MARK)[2] in _ENDED


def must_have_ended(job: Message) -> None:
    """Refuses to delete a job that runs. Raises VertexError."""
    state = job.state.name.rpartition(_MARK)[2]
    require(has_ended(job), f"Job '{job.name}' is {state}; cancel it before it is deleted.")


def set_state(job: Message, state: str, error: VertexError | None = None) -> None:
    """Brings a job to a state such as "RUNNING", with the times and the error that belong to it."""
    states: Any = type(job.state)
    prefix = next(iter(states)).name.rpartition(_MARK)[0]
    job.state = states[f"{prefix}{_MARK}{state}"]
    if state == "RUNNING":
        job.start_time = now()
    elif state in _ENDED:
        job.end_time = now()
    if error is not None:
        raw(job).error.CopyFrom(status_pb2.Status(code=error.grpc_code, message=error.message))
    stamp(job)

"""The fork server of one environment: imports the modules named, then forks a Jupyter kernel for each request.

    python -m labkit.runner.warm.server SOCKET MODULE ...

It runs in the environment's own Python and uses nothing beyond ipykernel, the standard library and labkit's note of
imports. Its standard input is a pipe from the command that started it: when that command ends, however it ends, the
pipe closes, and the server ends with all kernels. A request is one connection: the launcher (`launcher`) sends
arguments, folder, variables and its three standard streams, reads the kernel's process id, and later its exit status.
A connection that closes ends the kernel and every process in its group.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

from labkit.catalog.imports import trace_imports

REQUEST_BYTES = 1 << 20
NUMBER = struct.Struct("i")
# What every kernel imports when it starts; the debugger alone takes 0.2 s.
_KERNEL = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
)
# Both memory pools keep their thread over a fork (pthread_atfork): Arrow's and DuckDB's.
FORK_SAFE_THREADS = {"jemalloc_bg_thd"}


class NotForkable(Exception):
    """A module has started a thread, which a forked kernel would lack."""


def main(path: str, modules: list[str]) -> None:
    """Serves until standard input closes. Prints one line, "ready", when kernels can be asked for."""
    trace = trace_imports()
    preload(modules)
    trace.preloading_done()
    # The garbage collector would write to, and so copy, every page that the kernels share.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen(32)
        print("ready", flush=True)
        _Server(listening).serve()


def preload(modules: list[str]) -> None:
    """Imports; a module that is missing is passed over, since the lab that needs it will say so better."""
    # matplotlib reads it once, at import; a cold kernel sets it before the lab's first import.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    for module in [*_KERNEL, *modules]:
        try:
            importlib.import_module(module)
        except ImportError as error:
            print(f"{module}: {error}", file=sys.stderr)
        started = threads() - FORK_SAFE_THREADS
        if started:
            raise NotForkable(f"importing {module} started the threads {', '.join(sorted(started))}")


def threads() -> set[str]:
    """Names of this process' threads other than the main one."""
    main_thread = str(os.getpid())
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != main_thread]
    return {(task / "comm").read_text().strip() for task in tasks}


class _Server:
    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.kernels: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        # A child's end wakes the selector.
        self.woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes)
        self.wakes = wakes
        self.selector.register(self.woken, selectors.EVENT_READ)

    def serve(self) -> None:
        try:
            while True:
                for key, _ in self.selector.select():
                    if key.fileobj == sys.stdin.fileno():
                        return
                    if key.fileobj is self.listening:
                        self.accept()
                    elif key.fileobj == self.woken:
                        os.read(self.woken, 512)
                    else:
                        self.launcher_gone(key.data)
                self.reap()
        finally:
            for pid in self.kernels:
                _end_group(pid)

    def accept(self) -> None:
        """Forks a kernel for one request; a broken request costs its sender the connection and nobody else."""
        connection, _ = self.listening.accept()
        try:
            request, streams = _receive(connection)
        except (ValueError, OSError):
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self.become_kernel(connection, request, streams)
        for stream in streams:
            os.close(stream)
        self.kernels[pid] = connection
        try:
            connection.sendall(NUMBER.pack(pid))
        except OSError:
            # The launcher is gone already, which the selector tells next.
            pass
        self.selector.register(connection, selectors.EVENT_READ, pid)

    def launcher_gone(self, pid: int) -> None:
        """A launcher sends nothing after its request: what can be read is the end."""
        _end_group(pid)
        self.forget(pid)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self.kernels:
                try:
                    self.kernels[pid].sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
                except OSError:
                    pass
                self.forget(pid)

    def forget(self, pid: int) -> None:
        connection = self.kernels.pop(pid)
        self.selector.unregister(connection)
        connection.close()

    def become_kernel(self, connection: socket.socket, request: dict[str, Any], streams: list[int]) -> NoReturn:
        status = 1
        try:
            _die_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.selector.close()
            for other in (self.listening, connection, *self.kernels.values()):
                other.close()
            os.close(self.woken)
            os.close(self.wakes)
            _take_over(request, streams)
            from ipykernel.kernelapp import launch_new_instance

            # ipykernel has read at import that it has no parent to watch.
            launch_new_instance(argv=[*request["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    pass
            # Not sys.exit: what the server has registered to run at its end is not the kernel's.
            os._exit(status)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The request: its length, its JSON, and three open streams beside the first bytes."""
    connection.settimeout(10)
    header, ancillary, _, _ = connection.recvmsg(NUMBER.size, socket.CMSG_SPACE(3 * NUMBER.size))
    if len(header) < NUMBER.size or not ancillary:
        raise ValueError("no request")
    streams = array.array("i")
    streams.frombytes(ancillary[0][2])
    wanted, body = NUMBER.unpack(header)[0], b""
    while len(body) < wanted:
        part = connection.recv(min(wanted - len(body), REQUEST_BYTES))
        if not part:
            raise ValueError("half a request")
        body += part
    connection.settimeout(None)
    return json.loads(body), list(streams)


def _take_over(request: dict[str, Any], streams: list[int]) -> None:
    """Makes this process look as if it had been started by the launcher."""
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.argv = ["ipykernel_launcher", *request["arguments"]]
    # `python -m ipykernel_launcher` puts the folder it is started in first.
    sys.path[0] = ""
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", 1, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))
    _reseed()


def _reseed() -> None:
    """Two kernels of one server must not draw the same numbers where a lab sets no seed."""
    import random

    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Not yet a group of its own: only the process is there.
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _die_with_parent() -> None:
    """A kernel whose server was killed has nobody who would end it."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except NotForkable as error:
        sys.exit(f"no warm kernels: {error}")

"""Runs untrusted code in a sandbox of its own: no network, no file but its own memory, bounded in every respect.

bubblewrap (`bwrap`) makes the namespaces. The code sees the system's and the environment's files read-only, labkit, the
data sets, and one file system in memory with a bound. There is no /proc but the few files that libraries ask for: so
it finds no other process, and no way to its own memory. Where no sandbox can be had, nothing is run.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from labkit.catalog import LabError
from labkit.classroom import process_limit
from labkit.runner.memory import proportional_bytes, resident_bytes
from labkit.runner.memory import tree as tree

ROOT = "/sandbox"
HOME, WORK, TMP = f"{ROOT}/home", f"{ROOT}/work", f"{ROOT}/tmp"
_KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "TZ")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "ssl/certs",
    "mime.types",
    "alternatives",
    "fonts",
)
_PROC = ("cpuinfo", "meminfo", "stat")
_LINE = 1 << 20  # bytes; a longer line is no report of ours
_GROWN = 1.1
_EVERY = 0.15  # seconds between two looks at the processes
_RUNNING: set[Watch] = set()


@dataclass(frozen=True)
class Limits:
    """What one run may use: seconds in all and for one answer, memory, memory taken for files, processes."""

    lab_seconds: float = 300
    answer_seconds: float = 60
    memory_mib: int = 4096
    disk_mib: int = 256
    processes: int = 256


@dataclass(frozen=True)
class Ended:
    """How a run ended: its lines, "" or what it was stopped for, seconds, peak memory, the end of what it printed."""

    stopped: str
    seconds: float
    peak_mib: float
    said: str = ""


def require_sandbox() -> None:
    """Raises LabError, in one line, where no sandbox can be had."""
    why = unavailable()
    if why:
        raise LabError(f"{why} Nothing was run: submissions are never run outside of a sandbox.")


@cache
def unavailable() -> str:
    """Why this machine has no sandbox, and what to do; "" when it has."""
    if sys.platform != "linux":
        return "The sandbox needs Linux: grade in the devcontainer or on a Linux machine."
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "The sandbox needs bubblewrap: apt install bubblewrap."
    command = [bwrap, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--ro-bind", "/", "/", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode == 0:
        if process_limit.needed() and process_limit.place() is None:
            return (
                "As root the sandbox cannot limit processes, since no control group can be made: grade as another user."
            )
        return ""
    said = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"This system refuses the sandbox its namespaces ({said}): allow unprivileged user namespaces."


def sandboxed(command: list[str], read: list[tuple[Path, str]], variables: dict[str, str], limits: Limits) -> list[str]:
    """The command in a sandbox. `read`: files and folders to show read-only, and where."""
    bwrap = shutil.which("bwrap") or "bwrap"
    whole = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox"]
    for path in _SYSTEM:
        if os.path.islink(path):
            whole += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            whole += ["--ro-bind", path, path]
    for name in _ETC:
        whole += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    whole += ["--tmpfs", "/proc"]
    for name in _PROC:
        whole += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    # TensorFlow ends the process when it cannot read which program it is; of a "python" it wants to read more.
    whole += ["--symlink", f"{ROOT}/program", "/proc/self/exe"]
    # scikit-learn asks it which libraries have threads to limit. None: the environment's variables limit them.
    whole += ["--symlink", "/dev/null", "/proc/self/maps"]
    whole += ["--dev", "/dev", "--size", str(64 << 20), "--tmpfs", "/dev/shm"]
    whole += ["--size", str(limits.disk_mib << 20), "--tmpfs", ROOT]
    for source, target in read:
        whole += ["--ro-bind", str(source), target]
    for read_only in ("/proc", "/dev", "/"):
        whole += ["--remount-ro", read_only]
    whole += ["--chdir", ROOT, "--clearenv"]
    for name, value in (_environment() | variables).items():
        whole += ["--setenv", name, value]
    return [*whole, "--", *command]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return kept | {"PATH": "/usr/bin:/bin", "HOME": WORK, "TMPDIR": TMP, "USER": "learner", "LABS_HOME": HOME}


def run_sandboxed(
    command: Callable[[int], list[str]], order: bytes, limits: Limits, line: Callable[[bytes], float | None]
) -> Ended:
    """Runs a command, hands it `order` on its standard input, and passes on each line that it reports.

    `command` gets the number of the file descriptor to report to. `line` gets each line as it comes; it returns by when
    the next has to come, in seconds from now, or None for no such limit. Whatever happens, no process is left.
    """
    start = time.monotonic()
    reading, writing = os.pipe()
    with ExitStack() as held, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as stdin:
        stdin.write(order)
        stdin.seek(0)
        # The system counts threads, too, of which libraries start one for each core.
        group = held.enter_context(process_limit.limited(4 * limits.processes))
        whole = group.command(command(writing))
        process = subprocess.Popen(whole, stdin=stdin, stdout=said, stderr=said, pass_fds=[writing])
        os.close(writing)
        watch = Watch(process, limits, group)
        try:
            stopped = follow(reading, watch, limits, line)
        finally:
            watch.end()
            os.close(reading)
        end = said.seek(0, os.SEEK_END)
        said.seek(max(0, end - 2000))
        text = said.read().decode(errors="replace")
    return Ended(watch.stopped or stopped, time.monotonic() - start, watch.peak_mib, text)


def end_all() -> None:
    """Kills every sandbox of this process; each of their runs then ends as if it had ended early."""
    for watch in list(_RUNNING):
        watch.stopped = watch.stopped or "the command was interrupted"
        watch.kill()


def follow(reading: int, watch: Watch, limits: Limits, line: Callable[[bytes], float | None]) -> str:
    """Reads lines until the pipe closes or a limit is reached; returns which one, or ""."""
    end, due = time.monotonic() + limits.lab_seconds, [float("inf")]
    for data in _lines(reading, lambda: min(end, due[0]), watch):
        if data is None:
            if watch.stopped:
                return watch.stopped
            late = time.monotonic() >= due[0]
            return (
                f"an answer took longer than {limits.answer_seconds:g} s"
                if late
                else f"longer than {limits.lab_seconds:g} s"
            )
        allowed = line(data)
        due[0] = float("inf") if allowed is None else time.monotonic() + allowed
    return ""


def _lines(reading: int, due: Callable[[], float], watch: Watch) -> Iterator[bytes | None]:
    """The lines of a pipe; None, once, when the time is over or the run was stopped."""
    held = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while True:
            left = due() - time.monotonic()
            if left <= 0 or watch.stopped:
                yield None
                return
            if not selector.select(min(left, 0.5)):
                continue
            data = os.read(reading, 65536)
            if not data:
                return
            *whole, held = (held + data).split(b"\n")
            held = held[:_LINE]
            yield from whole


class Watch:
    """Looks at the processes of a sandbox: counts them, adds up their memory, and ends them."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits, group: process_limit.Joined) -> None:
        self.process, self.limits, self.group = process, limits, group
        self.stopped, self.peak_mib = "", 0.0
        self._done = threading.Event()
        _RUNNING.add(self)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Kills what runs: with the first process of its namespace, every other one dies."""
        self._done.set()
        self.kill()
        self.process.wait()
        _RUNNING.discard(self)
        self._thread.join()

    def leave(self) -> None:
        """Looks no longer, and lets what runs run on."""
        self._done.set()
        _RUNNING.discard(self)
        self._thread.join()

    def _watch(self) -> None:
        read, known = 0.0, 0
        while not self._done.wait(_EVERY):
            if self.group.count() >= 4 * self.limits.processes:
                return self._stop(f"more than {self.limits.processes} processes")
            processes = tree(self.process.pid)
            if len(processes) > self.limits.processes:
                return self._stop(f"more than {self.limits.processes} processes")
            # The proportional size, which is never above the resident one, costs 30 ms for each GiB: it is read when
            # the resident one has grown, or may be too much, and now and then.
            resident = sum(resident_bytes(process) for process in processes)
            much = resident > min(_GROWN * known, self.limits.memory_mib << 20)
            if much or time.monotonic() > read + 2:
                read, known = time.monotonic(), max(known, resident)
                mib = sum(proportional_bytes(process) for process in processes) / 2**20
                self.peak_mib = max(self.peak_mib, mib)
                if mib > self.limits.memory_mib:
                    return self._stop(f"more than {self.limits.memory_mib} MiB of memory")
        return None

    def _stop(self, why: str) -> None:
        self.stopped = why
        self.kill()

    def kill(self) -> None:
        for process in tree(self.process.pid)[1:2]:
            # The sandbox's first process: the system ends its namespace with it, faster than bwrap notices.
            try:
                process.kill()
            except psutil.Error:
                pass
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)

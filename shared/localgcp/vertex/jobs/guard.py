"""Runs one replica's command; when the server goes, even by kill -9, every process below goes, too.

Started as a script, `guard.py SERVER_PID GRACE -- command …`; it imports only the standard library. A process that
the command starts and forgets becomes this process's child (Linux) and is ended with it. The exit status is the
command's, 128 + n after signal n.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

_CHECK_SECONDS = 0.3
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(command: list[str]) -> int:
    """Starts the command in a process group of its own; its exit status is 127 when there is no such program."""
    guard = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _descendants() -> list[int]:
    """Every process below this one."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] != b"Z":
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [os.getpid()]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _kill_all(child: int) -> dict[int, int]:
    """Ends the command's group and, where the system tells, all that has left it; returns what has ended meanwhile."""
    ended: dict[int, int] = {}
    _send(child, signal.SIGKILL)
    for _ in range(50):
        left = _descendants() if _LINUX else []
        if not left:
            break
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        # The command itself may be among them: who drops its status waits for it forever.
        ended |= _reap()
        time.sleep(0.01)
    return ended


def _send(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _reap() -> dict[int, int]:
    ended: dict[int, int] = {}
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not process:
            return ended
        ended[process] = status


def main() -> int:
    server, grace = int(sys.argv[1]), float(sys.argv[2])
    command = sys.argv[sys.argv.index("--") + 1 :]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    asked: list[float] = []
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
    child = _start(command)
    told = False
    ended: dict[int, int] = {}
    while True:
        select.select([reader], [], [], _CHECK_SECONDS)
        try:
            os.read(reader, 4096)
        except BlockingIOError:
            pass
        ended |= _reap()
        status = ended.get(child)
        if status is not None:
            _kill_all(child)
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        if os.getppid() != server:
            _kill_all(child)
            return 1
        if asked and not told:
            _send(child, signal.SIGTERM)
            told = True
        if asked and time.monotonic() > asked[0] + grace:
            ended |= _kill_all(child)


if __name__ == "__main__":
    sys.exit(main())

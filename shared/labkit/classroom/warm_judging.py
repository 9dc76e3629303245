"""Inside of a sandbox that stays: imports what is heavy once, and forks a judge for each order.

    python -c "from labkit.classroom.warm_judging import serve; serve(DESCRIPTOR)"

The descriptor is a socket. It brings a first message (JSON after eight bytes of length: modules and files), then for
each order one byte with two descriptors: the order, and where to report to. After an order every process that it has
left is killed and every file removed, so that the next finds nothing of it. This process runs no learner's text, and no
process of this sandbox may read or write its memory.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import importlib
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any, NoReturn

from labkit.classroom import judging

READY, DONE = b"r", b"d"
_SET_DUMPABLE = 4
# What the judges write to. Fonts and what is shown read-only stay.
_EMPTIED = ("work", "tmp", "/dev/shm")


def serve(descriptor: int) -> None:
    """Serves until the socket closes."""
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0)
    control = socket.socket(fileno=descriptor)
    _prepare(_message(control))
    control.sendall(READY)
    root = Path.cwd()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not data:
            return
        order, report = descriptors
        if os.fork() == 0:
            _judge(control, order, report)
        os.close(order)
        os.close(report)
        os.wait()
        _leave_nothing(root)
        control.sendall(DONE)


def _message(control: socket.socket) -> dict[str, Any]:
    with control.makefile("rb", buffering=0) as stream:
        length, data = int(stream.read(8) or b"0"), b""
        while len(data) < length:
            data += stream.read(length - len(data)) or b""
    found: dict[str, Any] = json.loads(data)
    return found


def _prepare(message: dict[str, Any]) -> None:
    for name, text in message["files"].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(text))
    Path(os.environ["TMPDIR"]).mkdir(parents=True, exist_ok=True)
    for module in message["modules"]:
        try:
            importlib.import_module(module)
        except ImportError:
            continue  # the lab that needs it says so better
    gc.collect()
    gc.freeze()


def _judge(control: socket.socket, order: int, report: int) -> NoReturn:
    status = 1
    try:
        control.close()
        os.dup2(order, 0)
        os.close(order)
        judging.main(report)
    finally:
        os._exit(status)


def _leave_nothing(root: Path) -> None:
    """Kills every process but this one and the sandbox's first, and removes what was written."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    folders = [root / name for name in _EMPTIED]
    folders += [path for path in (root / "home" / "labs").iterdir() if path.name != "blueprint"]
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    Path(os.environ["TMPDIR"]).mkdir(parents=True, exist_ok=True)

"""A hard limit on the processes of a sandbox.

For a user, the system counts them by RLIMIT_NPROC, which the sandboxed program sets for itself before anything else
runs in it. The superuser's processes are never counted so, and a watcher is too slow for a program that does nothing
but multiply: there a control group counts them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_PLACES = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
# Begins as the shell, joins the group, and becomes the command.
_JOIN = 'echo $$ > "$0"/cgroup.procs && exec "$@"'


def needed() -> bool:
    """Whether this user's processes are counted by a control group only."""
    return os.geteuid() == 0


@cache
def place() -> Path | None:
    """Where groups that count processes can be made; None where they cannot."""
    for folder in _PLACES:
        try:
            _remove_left(folder)
            with _group(folder, 10):
                return folder
        except OSError:
            continue
    return None


class Joined:
    """A group of processes, or none where no group is needed."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def command(self, command: list[str]) -> list[str]:
        """The command as a member of the group from its start."""
        return ["/bin/sh", "-c", _JOIN, str(self.folder), *command] if self.folder else command

    def count(self) -> int:
        """How many processes and threads are in it; 0 where nobody counts."""
        try:
            return int((self.folder / "pids.current").read_text()) if self.folder else 0
        except (OSError, ValueError):
            return 0


@contextmanager
def limited(processes: int) -> Iterator[Joined]:
    """A group that holds at most so many processes and threads."""
    folder = place() if needed() else None
    if folder is None:
        yield Joined(None)
        return
    with _group(folder, processes) as group:
        yield Joined(group)


@contextmanager
def _group(folder: Path, processes: int) -> Iterator[Path]:
    group = folder / f"labs-{os.getpid()}-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        (group / "pids.max").write_text(str(processes))
        yield group
    finally:
        _remove(group)


def _remove_left(folder: Path) -> None:
    """Removes groups of commands that were killed: they are empty, and their command's process is gone."""
    for group in folder.glob("labs-*-*"):
        pid = group.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            try:
                group.rmdir()
            except OSError:  # something still ends in it
                continue


def _remove(group: Path) -> None:
    """Removes a group, which takes its last process a moment to leave."""
    for _ in range(100):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)

"""One replica of a job: a local process under a guard, with a log of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
# What a container has between the signal to end and its end.
_GRACE_SECONDS = 2.0
_TAIL_LINES, _TAIL_BYTES = 20, 4000


class Replica:
    """A command with its environment. It can be started again after it has ended."""

    def __init__(self, label: str, command: list[str], environment: dict[str, str], folder: Path, log: Path) -> None:
        self.label, self.log = label, log
        self._command, self._environment, self._folder = command, environment, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Isolated and without site-packages: the guard must start fast and import nothing of the job's.
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(_GRACE_SECONDS), "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self._command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """The exit status, 128 + n after signal n; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def end(self) -> None:
        """Asks all its processes to end, and ends them if they do not. It returns at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        if self._process is not None:
            self._process.wait()

    def note(self, text: str) -> None:
        """Adds a line of the service to the log."""
        with self.log.open("ab") as log:
            log.write(f"[vertex] {text}\n".encode())

    def tail(self) -> str:
        """The last lines of the log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:])

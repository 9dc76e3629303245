"""A sandbox that stays for many orders, in each of which a fresh process judges: imports are done once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

from labkit.classroom import process_limit
from labkit.classroom.sandbox import Ended, Limits, Watch, follow

START_SECONDS = 240
_DONE_SECONDS = 20


class NotWarm(Exception):
    """The sandbox has ended, or did not start; a cold one does the same."""


class WarmSandbox:
    """One sandbox; it runs one order at a time. A run that is stopped ends it."""

    def __init__(
        self, command: Callable[[int], list[str]], modules: list[str], files: dict[str, str], limits: Limits
    ) -> None:
        """`command` gets the descriptor of the socket. Raises NotWarm when it does not start."""
        self.limits, self.closed = limits, False
        self._held = ExitStack()
        self.control, theirs = socket.socketpair()
        with theirs:
            self.said = self._held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            self.group = self._held.enter_context(process_limit.limited(4 * limits.processes))
            self.process = subprocess.Popen(
                self.group.command(command(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=self.said,
                pass_fds=[theirs.fileno()],
            )
        self.watch: Watch | None = Watch(self.process, limits, self.group)
        message = json.dumps({"modules": modules, "files": files}).encode()
        try:
            self.control.sendall(b"%08d" % len(message) + message)
            self._expect(START_SECONDS)
        except OSError:
            self.close()
            raise NotWarm from None

    def run(self, order: bytes, limits: Limits, line: Callable[[bytes], float | None]) -> Ended:
        """As `run_sandboxed`. Raises NotWarm when the sandbox was no longer there."""
        start = time.monotonic()
        reading, writing = os.pipe()
        with tempfile.TemporaryFile() as given, os.fdopen(reading, "rb") as report:
            given.write(order)
            given.seek(0)
            try:
                socket.send_fds(self.control, [b"o"], [given.fileno(), writing])
            except OSError:
                self.close()
                raise NotWarm from None
            finally:
                os.close(writing)
            watch = Watch(self.process, limits, self.group)
            try:
                stopped = follow(report.fileno(), watch, limits, line)
                if not stopped:
                    self._expect(_DONE_SECONDS)
            except OSError:
                stopped = watch.stopped or ""
                self.close()
            except BaseException:
                self.close()
                raise
            finally:
                watch.leave()
            if stopped:
                self.close()
        return Ended(watch.stopped or stopped, time.monotonic() - start, watch.peak_mib)

    def _expect(self, seconds: float) -> None:
        """Waits for the byte that says that it is ready again. Raises OSError when it does not come."""
        self.control.settimeout(seconds)
        if not self.control.recv(1):
            raise OSError("the sandbox has ended")
        if self.watch is not None:
            self.watch.leave()
            self.watch = None

    def close(self) -> None:
        """Ends it and all that runs in it."""
        if self.closed:
            return
        self.closed = True
        self.control.close()
        Watch(self.process, self.limits, self.group).end()
        if self.watch is not None:
            self.watch.leave()
        self._held.close()

"""Lines that somebody types, or a pipe brings, with a time limit for each."""

from __future__ import annotations

import io
import os
import select
import sys
import time


class TimeUp(Exception):
    """The time for an answer is over."""


class TimedInput:
    """Reads lines of standard input. Where it cannot be waited on with a limit, the limit is seen after the line."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = _descriptor() if descriptor is None else descriptor
        self._read = b""

    def line(self, seconds: float) -> str:
        """The next line, without its end. Raises TimeUp after that many seconds, EOFError where there is no more."""
        if self._descriptor is None:
            text = sys.stdin.readline()
            if not text:
                raise EOFError
            return text.rstrip("\r\n")
        end = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                raise TimeUp
            if not self._more(self._descriptor):
                raise EOFError
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def _more(self, descriptor: int) -> bool:
        """Reads what is there; at the end of the input a last line without its end still counts."""
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # the terminal was closed
            data = b""
        self._read += data or (b"\n" if self._read else b"")
        return bool(data or self._read)


def _descriptor() -> int | None:
    """Of standard input, where it has one that can be waited on: on Windows only sockets can."""
    if os.name == "nt":
        return None
    try:
        return sys.stdin.fileno()
    except (io.UnsupportedOperation, ValueError, AttributeError):
        return None

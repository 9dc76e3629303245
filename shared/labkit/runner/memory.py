"""Peak memory and processor time of everything that this process has started, and what of it is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from glob import glob
from pathlib import Path
from typing import Any

import psutil

# Growth and seconds after which the proportional size is read again: the peak is known to a twentieth.
_GROWN, _SECONDS = 1.05, 5.0


class PeakMemory:
    """Samples the children that this process starts while the context is open, and theirs. `peak` is in MiB.

    `cpu_seconds` is their processor time as last sampled: what a process uses in its last moment is not in it.

    The proportional set size counts a page that processes share once in all; where the system does not give it, the
    resident set size is taken, which counts it in each. The proportional one takes the system 30 ms for a process of
    1 GiB, so it is read when the resident one, which costs nothing, has grown, and now and then.
    """

    def __init__(self, interval: float = 0.2, others: Callable[[], Iterable[int]] = list) -> None:
        """`others`: process ids that count as children, too."""
        self.interval, self.others = interval, others
        self.peak = 0.0
        self._resident, self._read = 0.0, 0.0
        self._before: set[psutil.Process] = set()
        self._seen: set[psutil.Process] = set()
        self._cpu: dict[psutil.Process, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def __enter__(self) -> PeakMemory:
        self._before = set(psutil.Process().children())
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def end_survivors(self, patience: float = 5.0) -> list[str]:
        """Kills processes that were seen and still run after `patience` seconds; returns their command lines."""
        _, alive = psutil.wait_procs(list(self._seen), timeout=patience)
        names = []
        for process in alive:
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                names.append(" ".join(process.cmdline())[:120])
                process.kill()
            except psutil.Error:
                continue
        return names

    def _watch(self) -> None:
        while not self._stop.wait(self.interval):
            children = self._children()
            self._seen.update(children)
            self._cpu.update((child, seconds) for child in children if (seconds := _cpu_seconds(child)))
            resident, now = sum(resident_bytes(child) for child in children), time.monotonic()
            if resident > _GROWN * self._resident or now > self._read + _SECONDS:
                self._resident, self._read = max(self._resident, resident), now
                self.peak = max(self.peak, sum(proportional_bytes(child) for child in children) / 2**20)

    def _children(self) -> set[psutil.Process]:
        found = set(tree(os.getpid())[1:])
        for pid in self.others():
            found |= set(tree(pid))
        return found - self._before


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it, parents before children; empty when it has ended."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop(0)
        try:
            found.append(psutil.Process(one))
            waiting += _children_of(one)
        except (psutil.Error, OSError):
            continue
    return found


def _children_of(pid: int) -> list[int]:
    """Read from the process itself where Linux has it: psutil reads the table of all processes, which takes 2 ms."""
    threads = f"/proc/{pid}/task"
    if os.path.exists(f"{threads}/{pid}/children"):
        return [int(n) for path in glob(f"{threads}/*/children") for n in Path(path).read_text().split()]
    return [child.pid for child in psutil.Process(pid).children()]


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return 0.0


def resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def proportional_bytes(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or info.rss)
    except psutil.Error:
        return 0

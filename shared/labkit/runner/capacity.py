"""How many labs this machine can run at once: its cores, and the memory that is free."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

# What stays free for the system, the page cache and whoever sits at the machine.
_RESERVED_SHARE, _RESERVED_MIB = 0.10, 512.0
_CGROUP = Path("/sys/fs/cgroup")


def default_jobs() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_for_runs() -> float:
    """MiB that runs may take: what is available now, here or in this container, less a reserve.

    The reserve is a tenth of the memory, at least 512 MiB.
    """
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**20, memory.total / 2**20
    limit, used = _container()
    if limit is not None:
        free, total = min(free, limit - used), min(total, limit)
    return float(free - max(_RESERVED_SHARE * total, _RESERVED_MIB))


def _container() -> tuple[float | None, float]:
    """Limit and use of this container in MiB; no limit where there is none."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        if limit == "max":
            return None, 0.0
        used = float((_CGROUP / "memory.current").read_text())
        # The page cache counts as used and gives way.
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return float(limit) / 2**20, (used - float(stat["inactive_file"])) / 2**20
    except (OSError, ValueError, KeyError):
        return None, 0.0


def fits(needed: float, running: Iterable[float], memory: float) -> bool:
    """Whether a run of that peak may start beside others: alone always, else while the sum of the peaks has room."""
    taken = list(running)
    return not taken or sum(taken) + needed <= memory

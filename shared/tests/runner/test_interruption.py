"""However a run is ended, no process of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from labkit.runner.pools import remove_stale_sockets


def started_by(home: Path) -> list[psutil.Process]:
    """Processes that have this collection in their environment: the command, its workers, their kernels."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LABS_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != psutil.Process().pid]


def hear_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so do its children, these tests' too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(collection: Path, sign: signal.Signals) -> None:
    command = [sys.executable, "-c", "from labkit.command import main; main()", "run", "tiny-lab", "-p", "WAIT=200"]
    said = collection / "said.log"
    with said.open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=hear_interrupts)
    try:
        kernels = lambda: [p for p in started_by(collection) if "ipykernel_launcher" in " ".join(p.cmdline())]  # noqa: E731
        assert wait_for(kernels, 60), (run.poll(), said.read_text(), started_by(collection))
        time.sleep(2)
        run.send_signal(sign)
        assert run.wait(30) != 0
        assert wait_for(lambda: not started_by(collection), 20), [p.cmdline() for p in started_by(collection)]
        remove_stale_sockets()
        stale = [
            f for f in Path(tempfile.gettempdir()).glob("labs-*-*") if not psutil.pid_exists(int(f.name.split("-")[1]))
        ]
        assert not stale
    finally:
        for process in started_by(collection):
            process.kill()

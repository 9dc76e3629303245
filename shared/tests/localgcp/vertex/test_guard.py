"""The guard of a job's processes, where the moment decides."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATE = """
import os, time
from localgcp.vertex.jobs import guard
# A busy machine: the group's signal comes late, and the command has ended when the others have been told.
guard._send = lambda *_: None
kill = os.kill
guard.os.kill = lambda *given: (kill(*given), time.sleep(0.3))
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
print((guard._kill_all(child) | guard._reap()).get(child))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the group's signal is all there is")
def test_a_status_that_comes_while_it_kills_is_kept() -> None:
    """Dropped, the guard would wait for it forever, and the job stay JOB_STATE_CANCELLING with its slot."""
    run = [sys.executable, "-c", LATE]
    assert subprocess.run(run, capture_output=True, text=True, timeout=30, check=True).stdout.strip() == "9"

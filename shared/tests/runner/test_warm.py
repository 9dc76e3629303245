"""Warm kernels: what a cold kernel gives, sooner; nothing is left of them, however anything ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import KernelManager
from labkit.catalog.environments import environments
from labkit.runner import memory
from labkit.runner.memory import PeakMemory
from labkit.runner.warm import server
from labkit.runner.warm.kernels import KERNELS, warm_kernels, warm_pids

from .test_interruption import hear_interrupts

# A module that nothing else imports shows whether a kernel is forked from a server.
MODULES = ("this", "matplotlib.pyplot")
SLEEPING = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']); print(p.pid)"
)


class Kernel:
    """A kernel that Jupyter has started by its name, as papermill and nbval do."""

    def __init__(self, **variables: str) -> None:
        self.manager = KernelManager(kernel_name="labs-core")
        self.manager.start_kernel(env=os.environ | variables)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> list[dict[str, Any]]:
        """The outputs of a cell."""
        outputs: list[dict[str, Any]] = []
        keep = lambda message: outputs.append({"type": message["msg_type"], **message["content"]})  # noqa: E731
        self.client.execute_interactive(code, timeout=60, output_hook=keep)
        return outputs

    def text(self, code: str) -> str:
        return "".join(output.get("text", "") for output in self.run(code)).strip()

    @property
    def launcher(self) -> psutil.Process:
        return psutil.Process(self.manager.provisioner.pid)

    def end(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()


def core(*modules: str) -> Any:
    return replace(environments()["core"], warm=modules or MODULES)


@pytest.fixture(scope="module")
def warm() -> Iterator[None]:
    with warm_kernels([core()]):
        yield


@pytest.fixture
def kernel(warm: None) -> Iterator[Kernel]:
    started = Kernel(SENT="yes")
    yield started
    started.end()


def gone(*pids: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_is_forked_with_the_imports_done(kernel: Kernel) -> None:
    assert kernel.text("import sys; print('this' in sys.modules)") == "True"
    parent = psutil.Process(int(kernel.text("import os; print(os.getppid())")))
    assert "labkit.runner.warm.server" in parent.cmdline()


def test_it_has_what_its_starter_gave_it(kernel: Kernel) -> None:
    code = "import os, sys; print(os.environ['SENT'], os.getcwd(), sys.argv[0], os.environ['OMP_NUM_THREADS'])"
    assert kernel.text(code) == f"yes {os.getcwd()} ipykernel_launcher 1"


def test_a_figure_comes_inline(kernel: Kernel) -> None:
    outputs = kernel.run("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()")
    assert ["image/png" in output.get("data", {}) for output in outputs if output["type"] == "display_data"] == [True]


def test_what_one_kernel_does_another_does_not_see(kernel: Kernel) -> None:
    other = Kernel()
    try:
        kernel.run("import this, os; this.mark = 1; os.environ['MARK'] = '1'; os.chdir('/')")
        assert other.text(
            "import this, os; print(hasattr(this, 'mark'), 'MARK' in os.environ, os.getcwd() == '/')"
        ) == ("False False False")
    finally:
        other.end()


def test_numbers_without_a_seed_differ(kernel: Kernel) -> None:
    draw = "import random, numpy; print(random.random(), numpy.random.rand())"
    other = Kernel()
    try:
        ours, theirs = kernel.text(draw).split(), other.text(draw).split()
        assert ours[0] != theirs[0] and ours[1] != theirs[1]
    finally:
        other.end()


def test_it_is_interrupted(kernel: Kernel) -> None:
    threading.Timer(1.0, kernel.manager.interrupt_kernel).start()
    errors = [output["ename"] for output in kernel.run("import time; time.sleep(60)") if output["type"] == "error"]
    assert errors == ["KeyboardInterrupt"]


def test_its_exit_status_reaches_the_starter(kernel: Kernel) -> None:
    kernel.client.execute("import os; os._exit(7)")
    assert kernel.manager.provisioner.process.wait(10) == 7


def test_memory_of_a_warm_kernel_is_counted(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = int(kernel.text("import os; print(os.getpid())"))
    assert warm_pids() == [pid]
    kernel.run("block = bytearray(200 * 2**20)")
    # A worker of `labs run` has the launcher as its child, and not the server as this process has.
    monkeypatch.setattr(memory, "_children_of", lambda pid: [])
    with PeakMemory(interval=0.05, others=lambda: [pid]) as counted:
        time.sleep(1)
    with PeakMemory(interval=0.05) as without:
        time.sleep(1)
    assert counted.peak > 200 and without.peak == 0
    assert running(pid)
    # Process ids come back: a note that stayed would make another process a kernel, which a run would then end.
    notes = Path(os.environ[KERNELS])
    assert list(notes.iterdir())
    kernel.end()
    assert not list(notes.iterdir()) and warm_pids() == []


def test_a_killed_launcher_takes_kernel_and_its_processes_along(kernel: Kernel) -> None:
    pid, child = int(kernel.text("import os; print(os.getpid())")), int(kernel.text(SLEEPING))
    kernel.launcher.kill()
    assert gone(pid, child)


def test_a_broken_request_harms_nobody(kernel: Kernel) -> None:
    import socket

    path = Path(os.environ[KERNELS]).parent / "core"
    for sent in (b"", b"\x05", b"\xff\xff\xff\x7fnothing"):
        with socket.socket(socket.AF_UNIX) as broken:
            broken.connect(str(path))
            broken.sendall(sent)
    assert kernel.text("print(1)") == "1"
    assert Kernel().text("print(2)") == "2"


COMMAND = """
import os, sys, time
sys.path.insert(0, {tests!r})
from tests.runner.test_warm import *
with warm_kernels([core()]):
    kernel = Kernel()
    pids = kernel.text("import os; print(os.getpid(), os.getppid())")
    print(pids, kernel.text(SLEEPING), kernel.launcher.pid, flush=True)
    {then}
"""


def command(then: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A command with a warm kernel that has a child; the pids are those of kernel, server, child and launcher."""
    code = COMMAND.format(tests=str(Path(__file__).parents[2]), then=then)
    variables = {key: value for key, value in os.environ.items() if key not in (KERNELS, "JUPYTER_PATH")}
    started = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=variables, preexec_fn=hear_interrupts
    )
    assert started.stdout is not None
    return started, [int(pid) for pid in started.stdout.readline().split()]


def test_what_a_kernel_leaves_behind_is_seen() -> None:
    """ipykernel ends its children; a process with a session of its own outlives any kernel, and the runner ends it."""
    then = """
    left = kernel.text(SLEEPING.replace("])", "], start_new_session=True)"))
    with PeakMemory(interval=0.05, others=warm_pids) as memory:
        time.sleep(0.5)
        kernel.end()
    print(left, memory.end_survivors(patience=1), flush=True)
"""
    started, pids = command(then.strip())
    assert started.stdout is not None
    left, survivors = started.stdout.readline().split(maxsplit=1)
    assert "time.sleep(300)" in survivors
    assert gone(int(left), *pids)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_command_that_is_ended(sign: signal.Signals) -> None:
    started, pids = command("time.sleep(300)")
    assert len(pids) == 4 and all(running(pid) for pid in pids)
    started.send_signal(sign)
    assert started.wait(20) != 0
    assert gone(*pids)


@pytest.mark.parametrize(("then", "status"), [("kernel.end()", 0), ("pass", 0), ("raise ValueError", 1)])
def test_nothing_is_left_of_a_command_that_ends_or_fails(then: str, status: int) -> None:
    before = set(Path(tempfile.gettempdir()).glob("labs-*"))
    started, pids = command(then)
    assert started.wait(30) == status
    assert len(pids) == 4 and gone(*pids)
    ours = f"labs-{started.pid}-"
    assert not [path for path in set(Path(tempfile.gettempdir()).glob("labs-*")) - before if path.name.startswith(ours)]


def test_a_killed_server_takes_its_kernels_along_and_the_next_one_is_cold(capfd: pytest.CaptureFixture[str]) -> None:
    code = "os.kill(int(pids.split()[1]), 9); time.sleep(1); print(Kernel().text('print(8)'))"
    started, pids = command(code)
    assert len(pids) == 4
    assert started.stdout is not None and started.stdout.readline().strip() == "8"
    assert gone(*pids[:2], pids[3])
    assert "labs: no warm kernel (Connection refused); a cold one is started" in capfd.readouterr().err


def test_a_module_that_starts_a_thread_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv(KERNELS, raising=False)
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    with warm_kernels([core("threaded")]):
        kernel = Kernel()
        assert kernel.text("import os; print('server' in open(f'/proc/{os.getppid()}/cmdline').read())") == "False"
        kernel.end()
    assert (
        "no warm kernels for core, cold ones are started: importing threaded started the threads"
        in capfd.readouterr().err
    )


def test_a_missing_module_is_passed_over(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(server, "threads", set)
    server.preload(["no_such_module"])
    assert "No module named 'no_such_module'" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "more"), [("core", ()), ("core", ("duckdb",)), ("tfx", ())])
def test_the_declared_modules_start_no_thread(
    name: str, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that begins to start a thread would silently cost every run its warm kernels. DuckDB's is one."""
    declared = environments()[name]
    if not declared.made:
        pytest.skip(f"the environment {name} is not made on this platform")
    # Else the servers of this module's other tests would do, and nothing be started.
    monkeypatch.delenv(KERNELS, raising=False)
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    with warm_kernels([replace(declared, warm=(*declared.warm, *more))]):
        kernels = Path(os.environ["JUPYTER_PATH"].split(os.pathsep)[0]) / "kernels"
        assert (kernels / declared.kernel_name / "kernel.json").exists() == (not more)

"""Starts fork servers and shows their kernels to Jupyter under the names of the cold ones, for one command's time."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from labkit.catalog.environments import Environment, environments

# The imports take 12 s on an idle machine.
START_SECONDS = 180
# The folder in which launchers note their kernels; where it is set, a command that encloses this one keeps servers.
KERNELS = "LABKIT_WARM_KERNELS"


@contextmanager
def warm_kernels(environments: Iterable[Environment]) -> Iterator[None]:
    """While it is open, a kernel of these environments that Jupyter starts is forked from a server.

    Where no server can be had, it says so in one line, and the kernels are cold. Servers and kernels end with it, and
    with this process, however it ends.
    """
    wanted = [environment for environment in environments if environment.warm]
    if not wanted or KERNELS in os.environ:
        yield
        return
    if sys.platform != "linux":
        print("labs: warm kernels need Linux; cold ones are started", file=sys.stderr)
        yield
        return
    with ExitStack() as stack:
        # A socket's path may have about 100 characters, so not below this project's folder.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"labs-{os.getpid()}-")))
        servers = {one.name: _start(one, folder) for one in wanted}
        for server in servers.values():
            stack.callback(_end, server)
        for environment in wanted:
            if _ready(servers[environment.name]):
                _write_kernelspec(environment, folder)
            else:
                why = _last_line(folder / f"{environment.name}.log")
                print(f"labs: no warm kernels for {environment.name}, cold ones are started: {why}", file=sys.stderr)
        with _variables(folder):
            yield


def warm_pids() -> list[int]:
    """The warm kernels that launchers below this process have started: no process of theirs is their parent."""
    folder = os.environ.get(KERNELS)
    if folder is None:
        return []
    # Not at the top: the fork servers' and learners' side needs no psutil.
    from labkit.runner.memory import tree

    notes = [_note(Path(folder, str(process.pid))) for process in tree(os.getpid())[1:]]
    return [int(note) for note in notes if note]


def _note(path: Path) -> str:
    """Empty for a process that is no launcher, or one that has just ended and taken its note along."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _cold_spec(environment: Environment) -> dict[str, Any]:
    """The environment's kernelspec as noxfile.py has written it."""
    spec = kernel_folder() / "kernels" / environment.kernel_name / "kernel.json"
    found: dict[str, Any] = json.loads(spec.read_text(encoding="utf-8"))
    return found


def kernel_folder() -> Path:
    """Where the labs' kernels are: with the environment core, of which this Python may not be."""
    core = environments()["core"].folder / "share" / "jupyter"
    return core if (core / "kernels").is_dir() else Path(sys.prefix) / "share" / "jupyter"


def _start(environment: Environment, folder: Path) -> subprocess.Popen[bytes]:
    python = environment.folder / "bin" / "python"
    variables = {key: value for key, value in _cold_spec(environment)["env"].items() if key != "PATH"}
    with (folder / f"{environment.name}.log").open("wb") as log:
        return subprocess.Popen(
            [python, "-m", "labkit.runner.warm.server", _socket(environment, folder), *environment.warm],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | variables,
            # Ctrl-C is for the command, which then ends the kernels in its own order.
            start_new_session=True,
        )


def _socket(environment: Environment, folder: Path) -> Path:
    return folder / environment.name


def _ready(server: subprocess.Popen[bytes]) -> bool:
    """Waits for the server's line; False when it has ended or takes too long."""
    assert server.stdout is not None
    end = time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        while time.monotonic() < end and selector.select(end - time.monotonic()):
            line = server.stdout.readline()
            if line == b"ready\n":
                return True
            if not line:
                break
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("no warm kernels: ") if lines else f"no answer in {START_SECONDS} s"


def _end(server: subprocess.Popen[bytes]) -> None:
    """Closes the pipe, at which the server ends its kernels and itself."""
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _write_kernelspec(environment: Environment, folder: Path) -> None:
    spec = _cold_spec(environment)
    launcher = Path(__file__).with_name("launcher.py")
    cold = spec["argv"][: spec["argv"].index("-f")]
    arguments = spec["argv"][len(cold) :]
    python = str(environment.folder / "bin" / "python")
    spec["argv"] = [python, "-S", "-E", str(launcher), str(_socket(environment, folder)), *cold, "--", *arguments]
    target = folder / "kernels" / environment.kernel_name
    target.mkdir(parents=True)
    (target / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


@contextmanager
def _variables(folder: Path) -> Iterator[None]:
    """Jupyter looks into JUPYTER_PATH before the environment's own kernels."""
    before = dict(os.environ)
    notes = folder / "notes"
    notes.mkdir()
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))
    os.environ[KERNELS] = str(notes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

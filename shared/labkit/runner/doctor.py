"""What is missing on this machine, each with the command that mends it."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.catalog.environments import Environment, environments, kernel_environments
from labkit.catalog.places import home


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is in order, and otherwise the command that mends it."""

    what: str
    fine: bool
    mend: str = ""
    needed: bool = True  # False: missing, but only some labs need it


def examine() -> Iterator[Finding]:
    """Looks at the tools, the disk, and each environment with its kernel."""
    system = f"{platform.system().lower()}-{platform.machine().lower()}"
    yield Finding(f"this machine is {system}", system == "linux-x86_64", "use the devcontainer: see README.md", False)
    yield Finding("git", shutil.which("git") is not None, "install git")
    yield Finding("bubblewrap", shutil.which("bwrap") is not None, "apt install bubblewrap, to grade a class", False)
    free = shutil.disk_usage(home()).free / 2**30
    yield Finding(f"{free:.0f} GiB of disk free", free > 5, "free 5 GiB")
    for environment in environments().values():
        yield from _environment(environment, needed=environment.name == "core")


def _environment(environment: Environment, needed: bool) -> Iterator[Finding]:
    name, mend = environment.name, f"nox -s environment -- {environment.name}"
    if not environment.made:
        yield Finding(f"environment {name}: not made", False, mend, needed)
        return
    stamp = (environment.folder / "made-from").read_text(encoding="utf-8").strip()
    yield Finding(f"environment {name} is as its lock says", stamp == environment.fingerprint, mend, needed)
    if not environment.kernel:
        return
    python = environment.folder / "bin" / "python"
    imported = subprocess.run([python, "-c", "import labkit.lesson"], capture_output=True, timeout=120, check=False)
    yield Finding(f"environment {name} imports labkit", imported.returncode == 0, mend, needed)
    yield Finding(f'kernel "{environment.kernel}"', _kernel_points_to(environment), mend, needed)


def _kernel_points_to(environment: Environment) -> bool:
    spec = kernel_file(environment)
    if not spec.exists():
        return False
    return str(json.loads(spec.read_text(encoding="utf-8"))["argv"][0]) == str(environment.folder / "bin" / "python")


def kernel_file(environment: Environment) -> Path:
    """Where JupyterLab and the runner, which live in the environment core, find the kernel."""
    kernels = kernel_environments()["core"].folder / "share" / "jupyter" / "kernels"
    return kernels / environment.kernel_name / "kernel.json"

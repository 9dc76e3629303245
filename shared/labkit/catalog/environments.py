"""The environments that labs run in, as pyproject.toml declares them."""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from labkit.catalog.places import home


@dataclass(frozen=True)
class Environment:
    """One environment: its lock, its virtual environment, and the name its Jupyter kernel shows ("" for none).

    `warm`: the modules that its fork server imports.
    """

    name: str
    kernel: str
    platforms: tuple[str, ...]
    warm: tuple[str, ...] = ()

    @property
    def kernel_name(self) -> str:
        return f"labs-{self.name}"

    @property
    def folder(self) -> Path:
        return home() / ".venvs" / self.name

    @property
    def lock(self) -> Path:
        own = home() / "environments" / f"{self.name}-macos-arm64.txt"
        on_mac = (platform.system(), platform.machine()) == ("Darwin", "arm64")
        return own if on_mac and own.exists() else home() / "environments" / f"{self.name}.txt"

    @property
    def fingerprint(self) -> str:
        """What noxfile.py stamps an environment with that is as its lock and pyproject.toml say."""
        project = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return hashlib.sha256(self.lock.read_bytes() + json.dumps(project, sort_keys=True).encode()).hexdigest()

    @property
    def made(self) -> bool:
        return (self.folder / "made-from").exists()


@cache
def environments() -> dict[str, Environment]:
    """All environments by name; in a class's archive those of which it has the lock."""
    declared = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["labs"]["environments"]
    return {
        name: Environment(
            name, fields.get("kernel", ""), tuple(fields.get("platforms", ())), tuple(fields.get("warm", ()))
        )
        for name, fields in declared.items()
        if (home() / "environments" / f"{name}.txt").exists()
    }


def kernel_environments() -> dict[str, Environment]:
    """The environments that a lab's card may name."""
    return {name: found for name, found in environments().items() if found.kernel}

"""Which accelerators a machine type takes, from the table in machines.toml; impossible pairs are refused."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from localgcp.vertex.errors import Violation, invalid_fields
from localgcp.vertex.messages import Message, raw

_NONE = ("", "ACCELERATOR_TYPE_UNSPECIFIED")


@dataclass(frozen=True)
class Machine:
    """A machine type for one use. `accelerators` are the numbers that are possible of each kind."""

    name: str
    accelerators: dict[str, tuple[int, ...]]
    needed: bool
    topologies: tuple[str, ...]
    replicas: int | None
    multiples_of: int | None
    source: str

    def takes(self, accelerator: str, count: int) -> bool:
        return count in self.accelerators[accelerator] or bool(self.multiples_of and count % self.multiples_of == 0)


class Machines:
    """A table of machine types. Another one than the package's can be given to `start`."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._machines: dict[tuple[str, str], Machine] = {}
        for row in tables["rows"]:
            if row["source"] not in tables["sources"]:
                raise ValueError(f"{row['types'][0]}: the table has no source '{row['source']}'")
            for name in row["types"]:
                if (row["for"], name) in self._machines:
                    raise ValueError(f"{name} is in the table of {row['for']} twice")
                self._machines[row["for"], name] = _machine(name, row)

    @classmethod
    def read(cls, path: Path) -> Machines:
        """Raises ValueError for a table that contradicts itself, and KeyError for a row that lacks a key."""
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def find(self, use: str, name: str) -> Machine | None:
        """The machine type for "training" or "serving"; None when the table does not know it."""
        return self._machines.get((use, name))

    def names(self, use: str) -> list[str]:
        return sorted(name for kind, name in self._machines if kind == use)

    def check(self, use: str, spec: Message, path: str, replicas: int = 1) -> None:
        """Refuses a MachineSpec that Vertex AI refuses. `path` is the field that holds it. Raises VertexError."""
        accelerator = type(spec.accelerator_type)(spec.accelerator_type).name
        accelerator, count = ("" if accelerator in _NONE else accelerator), int(spec.accelerator_count)
        if bool(accelerator) != bool(count):
            message = "Both `accelerator_type` and `accelerator_count` should be specified or none."
            raise invalid_fields(Violation(f"{path}.accelerator_type", message))
        machine = self.find(use, spec.machine_type)
        if machine is None:
            raise invalid_fields(Violation(f"{path}.machine_type", self._unknown(use, spec.machine_type)))
        field, problem = _problem(machine, accelerator, count, raw(spec).tpu_topology, replicas)
        if problem:
            raise invalid_fields(Violation(f"{path}.{field}", problem))

    def _unknown(self, use: str, name: str) -> str:
        family = name.rpartition("-")[0] + "-"
        near = [other for other in self.names(use) if other.startswith(family)] or self.names(use)
        return (
            f"Machine type '{name}' is not in the local table of machine types for {use} (localgcp/vertex/"
            f"machines.toml), so it cannot be checked here. Known are, for example, {', '.join(near[:4])}."
        )


def _machine(name: str, row: dict[str, Any]) -> Machine:
    most = row.get("up_to", {}).get(name)
    counts = {
        kind: tuple(range(1, most + 1)) if most else tuple(numbers)
        for kind, numbers in row.get("accelerators", {}).items()
    }
    return Machine(
        name,
        counts,
        needed=row.get("needed", False),
        topologies=tuple(row.get("topologies", ())),
        replicas=row.get("replicas"),
        multiples_of=row.get("multiples_of"),
        source=row["source"],
    )


def _problem(machine: Machine, accelerator: str, count: int, topology: str, replicas: int) -> tuple[str, str]:
    """(field, what is wrong), both empty when nothing is."""
    if accelerator and accelerator not in machine.accelerators:
        takes = ", ".join(machine.accelerators) or "none"
        problem = f"Machine type '{machine.name}' does not take accelerator type {accelerator}; it takes {takes}."
        return "accelerator_type", problem
    if accelerator and not machine.takes(accelerator, count):
        numbers = ", ".join(map(str, machine.accelerators[accelerator]))
        numbers += f" and multiples of {machine.multiples_of}" if machine.multiples_of else ""
        problem = f"{count} accelerators of type {accelerator} do not fit machine type '{machine.name}'; {numbers} do."
        return "accelerator_count", problem
    if machine.needed and not accelerator:
        wanted = " or ".join(f"{n[-1]} x {kind}" for kind, n in machine.accelerators.items())
        return "accelerator_type", f"Machine type '{machine.name}' must be used with accelerators: {wanted}."
    if machine.topologies and topology not in machine.topologies:
        known = ", ".join(machine.topologies)
        return "tpu_topology", f"Machine type '{machine.name}' needs one of the topologies {known}; not '{topology}'."
    if topology and not machine.topologies:
        return "tpu_topology", f"Machine type '{machine.name}' has no TPU."
    if machine.replicas is not None and replicas != machine.replicas:
        return "machine_type", f"Machine type '{machine.name}' needs a replica count of {machine.replicas}."
    return "", ""


@cache
def shipped() -> Machines:
    """The table that comes with the package."""
    text = resources.files(__package__).joinpath("machines.toml").read_text(encoding="utf-8")
    return Machines(tomllib.loads(text))

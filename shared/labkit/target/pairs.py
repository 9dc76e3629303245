"""Which machine takes which accelerators: asked before anything is created, of the local services' dated table."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.catalog.card import Machines

_USES = {"training": "training", "endpoint": "serving", "batch": "serving"}


def check_pairs(plan: Iterable[Machines]) -> tuple[list[str], list[str]]:
    """What Vertex AI refuses of a plan, and which machines the table does not know, a line each."""
    from google.cloud.aiplatform_v1.types import MachineSpec
    from localgcp.vertex.errors import VertexError
    from localgcp.vertex.machines import shipped

    refused, unknown = [], []
    for machines in plan:
        use = _USES[machines.use]
        if shipped().find(use, machines.machine) is None:
            unknown.append(f"whether {machines.use} has the machine type {machines.machine} was not checked")
            continue
        try:
            spec = MachineSpec(
                machine_type=machines.machine,
                accelerator_type=machines.accelerator or None,
                accelerator_count=machines.accelerators,
            )
            shipped().check(use, spec, "machine_spec", machines.count)
        except (VertexError, KeyError, ValueError) as error:
            text = getattr(error, "message", "") or f"no accelerator is called {machines.accelerator}"
            refused.append(f"{machines.use} on {machines.machine}: {text}")
    return refused, unknown

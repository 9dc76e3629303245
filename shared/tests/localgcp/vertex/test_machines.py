"""The table of machine types, and what the service refuses."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import AcceleratorType, MachineSpec
from localgcp import vertex
from localgcp.vertex import Machines, VertexError
from localgcp.vertex.machines import shipped

from tests.localgcp.vertex.conftest import PARENT, client, pool

Connect = Callable[[Any], Any]
TABLE = tomllib.loads(resources.files("localgcp.vertex").joinpath("machines.toml").read_text(encoding="utf-8"))


def spec(machine: str, accelerator: str = "", count: int = 0, topology: str = "") -> MachineSpec:
    kind = AcceleratorType[accelerator] if accelerator else AcceleratorType.ACCELERATOR_TYPE_UNSPECIFIED
    return MachineSpec(machine_type=machine, accelerator_type=kind, accelerator_count=count, tpu_topology=topology)


def test_every_row_has_a_dated_source_and_names_accelerators_of_the_api() -> None:
    for source in TABLE["sources"].values():
        assert source["page"].startswith("https://") and isinstance(source["seen"], date)
    for row in TABLE["rows"]:
        assert row["source"] in TABLE["sources"] and row["for"] in ("training", "serving")
        assert set(row.get("accelerators", {})) <= set(AcceleratorType.__members__), row["types"]
        assert set(row.get("up_to", row["types"])) == set(row["types"])
        if row.get("needed"):
            assert row["accelerators"]


@pytest.mark.parametrize(
    ("use", "machine"),
    [
        ("training", spec("n1-standard-4")),
        ("training", spec("n1-standard-4", "NVIDIA_TESLA_T4", 2)),
        ("training", spec("n1-standard-32", "NVIDIA_TESLA_V100", 4)),
        ("training", spec("a2-highgpu-4g", "NVIDIA_TESLA_A100", 4)),
        ("training", spec("g2-standard-24", "NVIDIA_L4", 2)),
        ("training", spec("cloud-tpu", "TPU_V3", 64)),
        ("training", spec("ct5lp-hightpu-4t", topology="2x2")),
        ("serving", spec("n1-standard-2")),
        ("serving", spec("a3-highgpu-8g", "NVIDIA_H100_80GB", 3)),
    ],
)
def test_pairs_that_exist(use: str, machine: MachineSpec) -> None:
    shipped().check(use, machine, "machine_spec")


@pytest.mark.parametrize(
    ("use", "machine", "words"),
    [
        ("training", spec("n1-standard-4", "NVIDIA_TESLA_A100", 1), "does not take accelerator type NVIDIA_TESLA_A100"),
        ("training", spec("n1-standard-4", "NVIDIA_TESLA_T4", 3), "3 accelerators .*; 1, 2, 4 do"),
        ("training", spec("n1-standard-32", "NVIDIA_TESLA_V100", 2), "2 accelerators .*; 4, 8 do"),
        (
            "training",
            spec("n1-standard-64", "NVIDIA_TESLA_P100", 4),
            "does not take accelerator type NVIDIA_TESLA_P100",
        ),
        ("training", spec("a2-highgpu-4g", "NVIDIA_TESLA_A100", 2), "2 accelerators .*; 4 do"),
        ("training", spec("a2-highgpu-1g"), "must be used with accelerators: 1 x NVIDIA_TESLA_A100"),
        ("training", spec("e2-standard-4", "NVIDIA_L4", 1), "it takes none"),
        ("training", spec("n1-standard-4", "NVIDIA_TESLA_T4", 0), "Both `accelerator_type` and `accelerator_count`"),
        ("training", spec("n1-standard-4", count=1), "Both `accelerator_type` and `accelerator_count`"),
        ("training", spec("cloud-tpu", "TPU_V3", 16), "8 and multiples of 32 do"),
        ("training", spec("ct5lp-hightpu-1t", topology="2x2"), "needs one of the topologies 1x1"),
        ("training", spec("ct5lp-hightpu-1t"), "needs one of the topologies"),
        ("training", spec("n1-standard-4", topology="2x2"), "has no TPU"),
        ("training", spec("n1-standard-2"), "not in the local table .* n1-standard-16"),
        ("training", spec("warp-9"), "not in the local table of machine types for training"),
        ("serving", spec("n1-standard-64"), "not in the local table of machine types for serving"),
        ("serving", spec("a2-highgpu-2g", "NVIDIA_TESLA_A100", 3), "3 accelerators .*; 1, 2 do"),
    ],
)
def test_pairs_that_do_not(use: str, machine: MachineSpec, words: str) -> None:
    with pytest.raises(VertexError, match=words) as error:
        shipped().check(use, machine, "machine_spec")
    assert error.value.status == "INVALID_ARGUMENT"
    assert re.fullmatch(r"machine_spec\.\w+", error.value.violations[0].field)


def test_a_job_on_an_impossible_machine(connect: Connect, transport: str) -> None:
    machine = {"machine_type": "a2-highgpu-1g", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 1}
    job = {"display_name": "x", "job_spec": {"worker_pool_specs": [pool("pass", machine=machine)]}}
    expected = exceptions.InvalidArgument if transport == "grpc" else exceptions.BadRequest
    with pytest.raises(expected, match=r"Field: job_spec.worker_pool_specs\[0\].machine_spec.accelerator_type;"):
        connect(JobServiceClient).create_custom_job(parent=PARENT, custom_job=job)
    two = pool("pass", machine={"machine_type": "ct5lp-hightpu-1t", "tpu_topology": "1x1"}, replica_count=2)
    job = {"display_name": "x", "job_spec": {"worker_pool_specs": [pool("pass"), two]}}
    with pytest.raises(expected, match=r"worker_pool_specs\[1\].*needs a replica count of 1"):
        connect(JobServiceClient).create_custom_job(parent=PARENT, custom_job=job)


def test_another_table(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[sources.own]\npage = "x"\n[[rows]]\nfor = "training"\nsource = "own"\ntypes = ["own-1"]\n', encoding="utf-8"
    )
    with vertex.start(tmp_path / "state", machine_rules=Machines.read(path)) as server:
        jobs = client(JobServiceClient, server, "grpc")
        job = {
            "display_name": "x",
            "job_spec": {"worker_pool_specs": [pool("pass", machine={"machine_type": "own-1"})]},
        }
        assert jobs.create_custom_job(parent=PARENT, custom_job=job).state.name == "JOB_STATE_PENDING"
        job["job_spec"]["worker_pool_specs"] = [pool("pass")]
        with pytest.raises(exceptions.InvalidArgument, match="'n1-standard-4' is not in the local table"):
            jobs.create_custom_job(parent=PARENT, custom_job=job)


@pytest.mark.parametrize(("change", "words"), [({"source": "none"}, "no source 'none'"), ({}, "twice")])
def test_a_table_that_contradicts_itself(change: dict[str, str], words: str) -> None:
    row = {"for": "training", "source": "own", "types": ["a"]}
    with pytest.raises(ValueError, match=words):
        Machines({"sources": {"own": {}}, "rows": [row, row | change]})

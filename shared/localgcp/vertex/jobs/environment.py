"""The environment variables of a training container: AIP_*, CLOUD_ML_*, CLUSTER_SPEC and TF_CONFIG."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from localgcp.loopback import HOST
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places

# TF_CONFIG's names for the pools, in their order.
_TASKS = ("chief", "worker", "ps", "evaluator")
_DIRECTORIES = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}


# Its sitecustomize.py points the SDK inside of a job at the server.
INSIDE = Path(__file__).with_name("inside")


@dataclass(frozen=True)
class Task:
    """A replica's place in the job."""

    pool: int
    index: int

    @property
    def label(self) -> str:
        return f"workerpool{self.pool}-{self.index}"


def tasks(spec: Message) -> list[Task]:
    """Every replica of a CustomJobSpec, the primary one first; a pool without a task is empty."""
    pools = enumerate(spec.worker_pool_specs)
    return [Task(i, j) for i, pool in pools if has_task(pool) for j in range(int(pool.replica_count) or 1)]


def has_task(pool: Message) -> bool:
    return raw(pool).WhichOneof("task") is not None


def addresses(replicas: Iterable[Task]) -> dict[Task, str]:
    """A free port on this machine for every replica, where there are different machines on the service."""
    found, sockets = {}, []
    for task in replicas:
        # All are held until each has one, so that no two are the same.
        holder = socket.socket()
        holder.bind((HOST, 0))
        sockets.append(holder)
        found[task] = f"{HOST}:{holder.getsockname()[1]}"
    for holder in sockets:
        holder.close()
    return found


def variables(name: str, spec: Message, task: Task, cluster: dict[Task, str], places: Places) -> dict[str, str]:
    """The variables of one replica of the job `name`, on top of those of this process."""
    _, project, _, location, _, identifier = name.split("/")
    found = dict(os.environ)
    # The interpreter's folder first: "python" in a command is the one that has the labs' packages.
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", os.defpath)])
    found["PYTHONUNBUFFERED"] = "1"  # the log can be read while the job runs
    found |= {"CLOUD_ML_PROJECT_ID": project, "CLOUD_ML_REGION": location, "CLOUD_ML_JOB_ID": identifier}
    found["CLUSTER_SPEC"] = json.dumps(_cluster_spec(spec, task, cluster))
    found.pop("TF_CONFIG", None)
    if len(cluster) > 1:
        found["TF_CONFIG"] = json.dumps(_tf_config(task, cluster))
    if spec.tensorboard:
        found["AIP_TENSORBOARD_RESOURCE_NAME"] = spec.tensorboard
    # The SDK in the job logs to this run without being told of it.
    if spec.experiment:
        found["AIP_EXPERIMENT_NAME"] = spec.experiment
    if spec.experiment_run:
        found["AIP_EXPERIMENT_RUN_NAME"] = spec.experiment_run
    prefix = spec.base_output_directory.output_uri_prefix
    for variable, directory in _DIRECTORIES.items():
        found.pop(variable, None)
        if prefix:
            found[variable] = f"{places.local(prefix) / directory}/"
    pool = spec.worker_pool_specs[task.pool]
    given = pool.python_package_spec.env if "python_package_spec" in pool else pool.container_spec.env
    return found | {item.name: places.mounted(item.value) for item in given}


def sdk(reached: dict[str, str]) -> dict[str, str]:
    """What `inside/sitecustomize.py` reads: the server's endpoint per transport."""
    return {"LOCALGCP_VERTEX": json.dumps(reached)}


def _cluster_spec(spec: Message, task: Task, cluster: dict[Task, str]) -> dict[str, object]:
    pools: dict[str, list[str]] = {}
    for other, address in cluster.items():
        pools.setdefault(f"workerpool{other.pool}", []).append(address)
    return {
        "cluster": pools,
        "environment": "cloud",
        "task": {"type": f"workerpool{task.pool}", "index": task.index},
        "job": json.dumps(json_format.MessageToDict(raw(spec))),
    }


def _tf_config(task: Task, cluster: dict[Task, str]) -> dict[str, object]:
    pools: dict[str, list[str]] = {}
    for other, address in cluster.items():
        # An evaluator is no part of the cluster: it only watches the checkpoints.
        if _TASKS[other.pool] != "evaluator":
            pools.setdefault(_TASKS[other.pool], []).append(address)
    return {"cluster": pools, "task": {"type": _TASKS[task.pool], "index": task.index}, "environment": "cloud"}

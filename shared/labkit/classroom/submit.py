"""`labs submit <slug>`: a whole lab as a custom job on a machine of Vertex AI, its claims and notebook back."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.card import Cloud, Machines
from labkit.catalog.collection import LabFolder, find_lab
from labkit.catalog.places import home
from labkit.runner.parameters import checked, from_command_line, read_parameters
from labkit.runner.results import OUTCOME
from labkit.target import Target
from labkit.target.pairs import check_pairs

_MINUTES = 24 * 60


@dataclass(frozen=True)
class Order:
    """Which lab, on which machine, for how long at most."""

    slug: str
    machine_type: str = "n1-standard-8"
    accelerator: str = ""
    accelerator_count: int = 0
    seed: int | None = None
    parameters: tuple[str, ...] = ()
    image: str = ""
    minutes: int = 30

    @property
    def accelerators(self) -> int:
        return self.accelerator_count or int(bool(self.accelerator))

    @property
    def plan(self) -> Cloud:
        """What the job uses at most; the cost is computed from it."""
        machines = Machines(
            use="training",
            machine=self.machine_type,
            hours=self.minutes / 60,
            accelerator=self.accelerator,
            accelerators=self.accelerators,
        )
        return Cloud(services=("vertex-training", "storage"), max_cost_usd=50, machines=(machines,), storage_gib=0.1)


def submit_lab(order: Order, target_name: str) -> int:
    """Sends the job, waits for it, prints what the lab claimed; returns 0 when the lab passed and 1 when it did not.

    Raises LabError for an order that cannot be sent.
    """
    lab = find_lab(order.slug)
    _check(order, lab)
    target = _target(order, target_name)
    try:
        return _submit(order, lab, target)
    finally:
        target.close()


def _check(order: Order, lab: LabFolder) -> None:
    given: dict[str, Any] = dict(from_command_line(list(order.parameters)))
    checked(lab.slug, read_parameters(lab.source), given | ({} if order.seed is None else {"SEED": order.seed}))
    if not 1 <= order.minutes <= _MINUTES:
        raise LabError(f"--minutes {order.minutes}: from 1 to {_MINUTES}.")
    if order.accelerator_count and not order.accelerator:
        raise LabError("--accelerator-count needs --accelerator, such as NVIDIA_TESLA_T4.")
    refused, _ = check_pairs(order.plan.machines)
    if refused:
        raise LabError(refused[0])


def _target(order: Order, name: str) -> Target:
    if name == "local":
        from labkit.target.local import LocalTarget

        return LocalTarget(order.slug, home() / ".work" / "submitted" / order.slug / "google-cloud")
    if name == "vertex":
        from labkit.target.cloud import VertexTarget

        return VertexTarget(order.slug, order.plan)
    raise LabError(f'--target {name}: "vertex" or "local".')


def _submit(order: Order, lab: LabFolder, target: Target) -> int:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import aiplatform

    settings = target.vertex
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    bucket, below = target.bucket.removeprefix("gs://"), f"{order.slug}/submitted/{run}"
    aiplatform.init(**settings)
    job = aiplatform.CustomJob(
        display_name=f"labs-{order.slug}",
        worker_pool_specs=[_pool(order, lab, f"/gcs/{bucket}/{below}", settings)],
        labels=target.labels,
    )
    try:
        job.run(timeout=order.minutes * 60)
        said = ""
    except (RuntimeError, GoogleAPICallError) as error:
        # A lab whose claims fail ends with a status of its own: the job has failed, and its results are there.
        said = str(error)
    folder = home() / ".work" / "submitted" / order.slug / run
    _download(target.storage().bucket(bucket), below, folder)
    return _report(order.slug, folder / order.slug, said)


def _pool(order: Order, lab: LabFolder, results: str, settings: dict[str, Any]) -> dict[str, Any]:
    image = order.image or os.environ.get("LABS_IMAGE", "")
    if not image:
        image = f"{settings['location']}-docker.pkg.dev/{settings['project']}/labs/{lab.card.environment}:latest"
    machine: dict[str, Any] = {"machine_type": order.machine_type}
    if order.accelerator:
        machine |= {"accelerator_type": order.accelerator, "accelerator_count": order.accelerators}
    command = ["labs", "run", order.slug, "--jobs", "1", "--results", results]
    command += ["--lab-seconds", str(order.minutes * 60), "--cell-seconds", str(order.minutes * 60)]
    command += [] if order.seed is None else ["--seed", str(order.seed)]
    command += [text for pair in order.parameters for text in ("--parameter", pair)]
    container = {"image_uri": image, "command": command[:1], "args": command[1:]}
    return {"machine_spec": machine, "replica_count": 1, "container_spec": container}


def _download(bucket: Any, below: str, folder: Path) -> None:
    """The objects below a name, as files of the same names in a folder."""
    for blob in bucket.list_blobs(prefix=f"{below}/"):
        path = folder / blob.name.removeprefix(f"{below}/")
        if not path.resolve().is_relative_to(folder.resolve()) or blob.name.endswith("/"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(path))


def _report(slug: str, folder: Path, said: str) -> int:
    outcome = folder / OUTCOME
    if not outcome.exists():
        raise LabError(f"the job left no results of {slug}. {said or 'Its log says why.'}")
    found = json.loads(outcome.read_text(encoding="utf-8"))
    faults = found["faults"]
    print(f"\n{slug}: {'FAILED' if faults else 'passed'} in {found['seconds']} s, peak memory {found['peak_mib']} MiB")
    for claim in found["claims"]:
        print(f"  {'holds' if claim['holds'] else 'FAILS'}  {claim['name']}: {claim['value']:.4g}")
    for fault in faults:
        print(f"  fault: {fault}")
    print(f"  notebook: {folder / 'executed.ipynb'}")
    return 1 if faults else 0

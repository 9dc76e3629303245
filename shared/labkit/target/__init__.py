"""Where a lab's cloud code goes: `local` or `vertex`, through one interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from labkit.catalog import LabError


class Target(Protocol):
    """What a lab's cells ask of a target; both targets answer with real SDK objects."""

    name: str

    @property
    def vertex(self) -> dict[str, Any]:
        """Keyword arguments of `aiplatform.init`."""

    @property
    def dataset(self) -> str:
        """The lab's BigQuery dataset, `project.dataset`; SQL may leave it out before a table's or model's name."""

    @property
    def bucket(self) -> str:
        """The lab's bucket, `gs://…`."""

    @property
    def labels(self) -> dict[str, str]:
        """Labels for everything that the lab creates."""

    @property
    def queries(self) -> list[str]:
        """The SQL that has been sent so far; empty where the target does not see it."""

    @property
    def requests(self) -> list[str]:
        """What Vertex AI has been asked to change so far (see `recording`); empty where the target does not see it."""

    def bigquery(self) -> Any:
        """A google.cloud.bigquery.Client; the lab's dataset exists then."""

    def storage(self) -> Any:
        """A google.cloud.storage.Client; the lab's bucket exists then."""

    def show(self, request: Any) -> None:
        """Shows the request that the SDK would send."""

    def close(self) -> None:
        """Stops what runs on this machine; a second call does nothing."""


def open_target(
    name: str, slug: str, folder: Path, seed: int | None = None, max_cost_usd: float | None = None
) -> Target:
    """The target of that name; the local one keeps its state in `folder`.

    `max_cost_usd` is the most that a run on Google Cloud may cost, LABS_MAX_COST_USD where it is not given. Raises
    LabError when there is no such target.
    """
    if name == "local":
        from labkit.target.local import LocalTarget

        return LocalTarget(slug, folder, seed)
    if name == "vertex":
        from labkit.catalog.collection import find_lab
        from labkit.target.cloud import VertexTarget

        return VertexTarget(slug, find_lab(slug).card.cloud, max_cost_usd)
    if name == "rehearsal":
        from labkit.catalog.collection import find_lab
        from labkit.target.rehearsal import RehearsalTarget

        return RehearsalTarget(slug, find_lab(slug).card.cloud, folder, seed)
    raise LabError(f'TARGET={name!r}: "local" or "vertex".')

"""Where a lab's cloud code goes: `local` or `vertex`, through one interface."""

from __future__ import annotations

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
        """The lab's BigQuery dataset, `project.dataset`."""

    @property
    def labels(self) -> dict[str, str]:
        """Labels for everything that the lab creates."""

    def bigquery(self) -> Any:
        """A google.cloud.bigquery.Client."""

    def show(self, request: Any) -> None:
        """Shows the request that the SDK would send."""


def open_target(name: str, slug: str) -> Target:
    """The target of that name. Raises LabError."""
    if name == "local":
        from labkit.target.local import LocalTarget

        return LocalTarget(slug)
    if name == "vertex":
        raise LabError(
            'TARGET="vertex" is not supported yet: the check of credentials, quota and cost that must come before the '
            'first cloud call is not built. Run with TARGET="local"; it shows every request.'
        )
    raise LabError(f'TARGET={name!r}: "local" or "vertex".')

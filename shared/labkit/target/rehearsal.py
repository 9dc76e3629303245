"""TARGET="vertex" rehearsed: what that target hands out, with the local services in Google's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.catalog.card import Cloud
from labkit.target.cloud import VertexTarget
from labkit.target.local import LocalTarget
from labkit.target.preflight import Hosts

PROJECT, BUCKET = "rehearsal-project", "rehearsal-bucket"
_REDIRECTED = ("credentials", "api_endpoint", "api_transport")


class RehearsalTarget(VertexTarget):
    """Everything that a lab gets comes from VertexTarget; only where it is sent is changed, and nothing is checked.

    The project, the bucket, the labels and the defaults of the clients are those of TARGET="vertex": the requests are
    what Google Cloud would get.
    """

    def __init__(self, slug: str, plan: Cloud, folder: Path, seed: int | None = None) -> None:
        from google.auth.credentials import AnonymousCredentials

        environ = {"LABS_PROJECT": PROJECT, "LABS_BUCKET": f"gs://{BUCKET}"}
        super().__init__(slug, plan, credentials=AnonymousCredentials(), environ=environ)
        self._here = LocalTarget(slug, folder, seed, PROJECT, BUCKET)

    @property
    def vertex(self) -> dict[str, Any]:
        here = self._here.vertex
        return super().vertex | {name: here[name] for name in _REDIRECTED}

    def bigquery(self) -> Any:
        self._point(bigquery=self._here.bigquery())
        return super().bigquery()

    def storage(self) -> Any:
        self._point(storage=self._here.storage())
        return super().storage()

    @property
    def queries(self) -> list[str]:
        return self._here.queries

    @property
    def requests(self) -> list[str]:
        return self._here.requests

    def preflight(self) -> None:
        """Does nothing: there is nobody to ask, and nothing costs."""

    def close(self) -> None:
        self._here.close()

    def _point(self, **clients: Any) -> None:
        addresses = {name: client._connection.API_BASE_URL for name, client in clients.items()}
        self.hosts = Hosts(**({"bigquery": self.hosts.bigquery, "storage": self.hosts.storage} | addresses))

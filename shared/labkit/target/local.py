"""The local target: what a lab asks of Google Cloud is answered on this machine, and nothing leaves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.catalog import LabError
from labkit.target.pointing import point_fsspec, point_magics, read_rows_over_rest, unpoint_fsspec
from labkit.target.recording import Recorder
from labkit.target.requests import show_request

if TYPE_CHECKING:
    from localgcp.bigquery import Server
    from localgcp.storage import Server as StorageServer
    from localgcp.vertex import Server as VertexServer

PROJECT, LOCATION = "local-project", "us-central1"
BUCKET = f"{PROJECT}-labs"
# Where google-cloud-bigquery looks for another address than Google's. With it a client that the learner makes
# without lab.target stays on this machine, too.
EMULATOR = "BIGQUERY_EMULATOR_HOST"
# The same for google-cloud-storage.
STORAGE_EMULATOR = "STORAGE_EMULATOR_HOST"


class LocalTarget:
    """Starts a local service when a lab first asks for its client. State lies in `folder` and outlives the kernel.

    `seed` is what the lab was opened with; `project` and `bucket` (its name) are what the services are told.
    """

    name = "local"

    def __init__(
        self, slug: str, folder: Path, seed: int | None = None, project: str = PROJECT, bucket: str = BUCKET
    ) -> None:
        self.slug = slug
        self.folder = folder
        self.project = project
        self._bucket_name = bucket
        self._recorder = Recorder(project, bucket, seed)
        self._bigquery: Server | None = None
        self._storage: StorageServer | None = None
        self._vertex: VertexServer | None = None

    @property
    def vertex(self) -> dict[str, Any]:
        from google.auth.credentials import AnonymousCredentials

        self.storage()  # the SDK stages packages and models there
        server = self._vertex or self._start_vertex()
        try:
            target = server.grpc_target
        except RuntimeError as error:
            raise LabError(f"{error} Restart the kernel and run the cells from the top.") from error
        return {
            "project": self.project,
            "location": LOCATION,
            # Below the lab's own folder, as on Google Cloud, where clean-up finds what the SDK puts there.
            "staging_bucket": f"{self.bucket}/{self.slug}",
            "credentials": AnonymousCredentials(),
            "api_endpoint": target,
            "api_transport": "grpc",
        }

    def _start_vertex(self) -> VertexServer:
        from localgcp.vertex import start

        try:
            server = start(self.folder / "vertex", self.project, LOCATION, buckets=self.folder / "buckets")
        except RuntimeError as error:
            raise _other_kernel(error) from error
        server.tell(self._recorder.note)
        server.shim_sdk()
        self._vertex = server
        return server

    @property
    def dataset(self) -> str:
        return f"{self.project}.{self.slug.replace('-', '_')}"

    @property
    def bucket(self) -> str:
        return f"gs://{self._bucket_name}"

    @property
    def labels(self) -> dict[str, str]:
        return {"lab": self.slug}

    @property
    def queries(self) -> list[str]:
        return self._bigquery.queries if self._bigquery else []

    @property
    def requests(self) -> list[str]:
        return self._recorder.requests

    def bigquery(self) -> Any:
        from google.cloud import bigquery

        client = self.bigquery_client()
        dataset = bigquery.Dataset(self.dataset)
        dataset.labels = self.labels
        client.create_dataset(dataset, exists_ok=True)
        return client

    def bigquery_client(self) -> Any:
        """As `bigquery`, but the lab's dataset need not be there."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        server = self._bigquery or self._start_bigquery()
        config = bigquery.QueryJobConfig(default_dataset=self.dataset, labels=self.labels)
        client = bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            location="US",
            default_query_job_config=config,
            client_options={"api_endpoint": server.url},
        )
        point_magics(server.url, self.project, config)
        return client

    def _start_bigquery(self) -> Server:
        from localgcp.bigquery import start
        from localgcp.bqml import Models

        buckets = self.folder / "buckets"
        (buckets / self._bucket_name).mkdir(parents=True, exist_ok=True)
        models = Models(self.folder / "models", self.project, buckets=buckets)
        try:
            server = start(self.folder / "bigquery", self.project, statements=[models], buckets=buckets)
        except RuntimeError as error:
            raise _other_kernel(error) from error
        os.environ[EMULATOR] = server.url
        read_rows_over_rest()
        self._bigquery = server
        return server

    def storage(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        (self.folder / "buckets" / self._bucket_name).mkdir(parents=True, exist_ok=True)
        server = self._storage or self._start_storage()
        return Client(
            project=self.project, credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url}
        )

    def _start_storage(self) -> StorageServer:
        from localgcp.storage import start

        self._storage = start(self.folder / "buckets", self.project)
        os.environ[STORAGE_EMULATOR] = self._storage.url
        point_fsspec()
        return self._storage

    def show(self, request: Any) -> None:
        show_request(request)

    def close(self) -> None:
        """Stops what was started; what it stored stays."""
        if self._vertex is not None:
            self._vertex.stop()
            self._vertex = None
        if self._bigquery is not None:
            self._bigquery.stop()
            self._bigquery = None
            os.environ.pop(EMULATOR, None)
        if self._storage is not None:
            self._storage.stop()
            self._storage = None
            os.environ.pop(STORAGE_EMULATOR, None)
            unpoint_fsspec()


def _other_kernel(error: RuntimeError) -> LabError:
    return LabError(
        f"{error}. Most likely it is another kernel of this lab: shut that down (in JupyterLab: the running "
        "terminals and kernels, at the left), then run this cell again."
    )

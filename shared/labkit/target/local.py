"""The local target: what a lab asks of Google Cloud is answered on this machine, and nothing leaves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.catalog import LabError
from labkit.target.requests import show_request

if TYPE_CHECKING:
    from localgcp.bigquery import Server
    from localgcp.storage import Server as StorageServer

PROJECT, LOCATION = "local-project", "us-central1"
BUCKET = f"{PROJECT}-labs"
# Where google-cloud-bigquery looks for another address than Google's. With it a client that the learner makes
# without lab.target stays on this machine, too.
EMULATOR = "BIGQUERY_EMULATOR_HOST"
# The same for google-cloud-storage.
STORAGE_EMULATOR = "STORAGE_EMULATOR_HOST"


class NotEmulated(LabError):
    """A call that would leave this machine."""


def refusing_credentials() -> Any:
    """Credentials that raise NotEmulated as soon as the SDK wants to send something with them."""
    from google.auth.credentials import Credentials

    class Refusing(Credentials):
        def __init__(self) -> None:
            super().__init__()
            self.token = "none"  # valid on its face, so that no client asks for another before it sends

        def refresh(self, request: Any) -> None:
            raise NotEmulated(UNIMPLEMENTED)

        def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
            raise NotEmulated(UNIMPLEMENTED)

    return Refusing()


UNIMPLEMENTED = (
    "UNIMPLEMENTED: this call is not emulated locally yet, nothing was sent. `lab.target.show(…)` shows its request."
)


class LocalTarget:
    """Starts a local service when a lab first asks for its client. State lies in `folder` and outlives the kernel."""

    name = "local"

    def __init__(self, slug: str, folder: Path) -> None:
        self.slug = slug
        self.folder = folder
        self._bigquery: Server | None = None
        self._storage: StorageServer | None = None

    @property
    def vertex(self) -> dict[str, Any]:
        return {
            "project": PROJECT,
            "location": LOCATION,
            "staging_bucket": self.bucket,
            "credentials": refusing_credentials(),
            # REST asks the credentials before it connects; gRPC would first look for the host's name.
            "api_transport": "rest",
        }

    @property
    def dataset(self) -> str:
        return f"{PROJECT}.{self.slug.replace('-', '_')}"

    @property
    def bucket(self) -> str:
        return f"gs://{BUCKET}"

    @property
    def labels(self) -> dict[str, str]:
        return {"lab": self.slug}

    @property
    def queries(self) -> list[str]:
        return self._bigquery.queries if self._bigquery else []

    def bigquery(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        server = self._bigquery or self._start_bigquery()
        config = bigquery.QueryJobConfig(default_dataset=self.dataset, labels=self.labels)
        client = bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),
            location="US",
            default_query_job_config=config,
            client_options={"api_endpoint": server.url},
        )
        dataset = bigquery.Dataset(self.dataset)
        dataset.labels = self.labels
        client.create_dataset(dataset, exists_ok=True)
        _point_magics(server.url, config)
        return client

    def _start_bigquery(self) -> Server:
        from localgcp.bigquery import start
        from localgcp.bqml import Models

        buckets = self.folder / "buckets"
        (buckets / BUCKET).mkdir(parents=True, exist_ok=True)
        models = Models(self.folder / "models", PROJECT, buckets=buckets)
        try:
            server = start(self.folder / "bigquery", PROJECT, statements=[models], buckets=buckets)
        except RuntimeError as error:
            raise LabError(
                f"{error}. Most likely it is another kernel of this lab: shut that down (in JupyterLab: the running "
                "terminals and kernels, at the left), then run this cell again."
            ) from error
        os.environ[EMULATOR] = server.url
        _read_rows_over_rest()
        self._bigquery = server
        return server

    def storage(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        (self.folder / "buckets" / BUCKET).mkdir(parents=True, exist_ok=True)
        server = self._storage or self._start_storage()
        return Client(project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url})

    def _start_storage(self) -> StorageServer:
        from localgcp.storage import start

        self._storage = start(self.folder / "buckets", PROJECT)
        os.environ[STORAGE_EMULATOR] = self._storage.url
        return self._storage

    def show(self, request: Any) -> None:
        show_request(request)

    def close(self) -> None:
        """Stops what was started; what it stored stays."""
        if self._bigquery is not None:
            self._bigquery.stop()
            self._bigquery = None
            os.environ.pop(EMULATOR, None)
        if self._storage is not None:
            self._storage.stop()
            self._storage = None
            os.environ.pop(STORAGE_EMULATOR, None)


def _read_rows_over_rest() -> None:
    """Lets to_dataframe fetch its rows over REST while a client talks to this machine.

    It would ask the Storage Read API, which is gRPC and which no environment variable redirects.
    """
    from google.cloud.bigquery import Client

    if getattr(Client._ensure_bqstorage_client, "rest_here", False):
        return
    original = Client._ensure_bqstorage_client

    def ensure(self: Client, *args: Any, **kwargs: Any) -> Any:
        if str(self._connection.API_BASE_URL).startswith("http://127.0.0.1:"):
            return None
        return original(self, *args, **kwargs)

    ensure.rest_here = True  # type: ignore[attr-defined]
    Client._ensure_bqstorage_client = ensure  # type: ignore[method-assign]


def _point_magics(url: str, config: Any) -> None:
    """Lets `%%bigquery` ask the same server, with the same defaults as the client."""
    from google.auth.credentials import AnonymousCredentials

    try:
        from bigquery_magics import context
    except ImportError:  # tfx's environment has none
        return
    context.project = PROJECT
    context.credentials = AnonymousCredentials()
    context.bigquery_client_options = {"api_endpoint": url}
    context.default_query_job_config = config
    # A progress bar is a widget that a stored notebook cannot show.
    context.progress_bar_type = None

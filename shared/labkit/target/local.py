"""The local target: real SDK objects whose requests can be shown, and which refuse to send them."""

from __future__ import annotations

from typing import Any

from labkit.catalog import LabError
from labkit.target.requests import show_request

PROJECT, LOCATION = "local-project", "us-central1"


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
    """Builds requests with the real SDK; sends none."""

    name = "local"

    def __init__(self, slug: str) -> None:
        self.slug = slug

    @property
    def vertex(self) -> dict[str, Any]:
        return {
            "project": PROJECT,
            "location": LOCATION,
            "staging_bucket": f"gs://{PROJECT}-labs",
            "credentials": refusing_credentials(),
            # REST asks the credentials before it connects; gRPC would first look for the host's name.
            "api_transport": "rest",
        }

    @property
    def dataset(self) -> str:
        return f"{PROJECT}.{self.slug.replace('-', '_')}"

    @property
    def labels(self) -> dict[str, str]:
        return {"lab": self.slug}

    def bigquery(self) -> Any:
        from google.cloud import bigquery

        return bigquery.Client(project=PROJECT, credentials=refusing_credentials(), location="US")

    def show(self, request: Any) -> None:
        show_request(request)

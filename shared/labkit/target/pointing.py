"""Points what a learner's process uses, beside the clients that the target hands out, at the local services."""

from __future__ import annotations

import os
import sys
from typing import Any

# pandas opens gs:// by gcsfs, which follows STORAGE_EMULATOR_HOST but looks for credentials, on this machine and on the
# network, unless it is told that there are none. The jobs that this process starts inherit the variable.
_GCS_TOKEN = "FSSPEC_GCS_TOKEN"
# Since 2026 gcsfs asks another service for the kind of each bucket, over gRPC, which no variable redirects: a minute of
# retries. Without this feature it is the file system that it was before.
_BUCKET_KINDS = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"


def point_fsspec() -> None:
    """Lets `gs://` in pandas be opened without credentials."""
    os.environ[_GCS_TOKEN], os.environ[_BUCKET_KINDS] = "anon", "false"
    try:
        import fsspec
        from fsspec.config import conf
    except ImportError:  # tfx's environment has none
        return
    conf.setdefault("gcs", {})["token"] = "anon"
    if "gcsfs" in sys.modules:  # it has read its variable when it was imported
        from gcsfs.core import GCSFileSystem

        for protocol in ("gs", "gcs"):
            fsspec.register_implementation(protocol, GCSFileSystem, clobber=True)


def unpoint_fsspec() -> None:
    """Undoes point_fsspec."""
    os.environ.pop(_GCS_TOKEN, None)
    os.environ.pop(_BUCKET_KINDS, None)
    try:
        from fsspec.config import conf
        from gcsfs import GCSFileSystem
    except ImportError:
        return
    conf.get("gcs", {}).pop("token", None)
    # A file system that was made for this server would be handed out again for the next one.
    GCSFileSystem.clear_instance_cache()


def read_rows_over_rest() -> None:
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


def point_magics(url: str, project: str, config: Any) -> None:
    """Lets `%%bigquery` ask the same server, with the same defaults as the client."""
    from google.auth.credentials import AnonymousCredentials

    try:
        from bigquery_magics import context
    except ImportError:  # tfx's environment has none
        return
    context.project = project
    context.credentials = AnonymousCredentials()
    context.bigquery_client_options = {"api_endpoint": url}
    context.default_query_job_config = config
    # A progress bar is a widget that a stored notebook cannot show.
    context.progress_bar_type = None

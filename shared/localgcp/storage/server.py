"""The server: one folder of buckets, the JSON API on loopback."""

from __future__ import annotations

from pathlib import Path

from localgcp.loopback import Loopback
from localgcp.storage.buckets import Buckets
from localgcp.storage.objects import Objects
from localgcp.storage.records import Records
from localgcp.storage.rest import Api
from localgcp.storage.uploads import Uploads


class Server:
    """A running server. `url` is what clients take as their endpoint or as STORAGE_EMULATOR_HOST."""

    def __init__(self, folder: Path, project: str, port: int) -> None:
        records = Records(folder)
        objects = Objects(Buckets(folder, records, project), records)
        api = Api(objects.buckets, objects, Uploads(objects, records.uploads, records.scratch))
        self._http = Loopback("storage", api.answer, port)

    @property
    def url(self) -> str:
        return self._http.url

    def stop(self) -> None:
        """Answers no more. A second call does nothing."""
        self._http.stop()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(folder: Path | str, project: str = "local-project", port: int = 0) -> Server:
    """Starts a server on a folder, which is made if it is missing: each folder in it is a bucket, each file an object.

    Several servers may have the same folder, in one process or in many. Raises OSError when the folder cannot be
    written or the port is taken.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return Server(path.resolve(), project, port)

"""The server: one folder of state, the REST API on loopback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from localgcp.bigquery.rest import Api, Request
from localgcp.bigquery.session import Engine
from localgcp.bigquery.statements import Statements
from localgcp.loopback import Call, Loopback, Reply


class Server:
    """A running server. `url` is what clients take as their endpoint; `engine` runs GoogleSQL without HTTP."""

    def __init__(self, engine: Engine, scratch: Path, buckets: Path | None, port: int) -> None:
        self.engine = engine
        self._scratch = scratch
        self._api = Api(engine, scratch, buckets)
        self._http = Loopback("bigquery", self._answer, port)

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def queries(self) -> list[str]:
        """The text of every query job so far, oldest first: as it was sent, without the children of scripts."""
        jobs = [job for job in reversed(self._api.jobs.all(self.engine.project)) if job.parent is None]
        return [job.configuration["query"]["query"] for job in jobs if "query" in job.configuration]

    def stop(self) -> None:
        """Answers no more and closes the database. A second call does nothing."""
        if not self._http.running:
            return
        self._http.stop()
        self.engine.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answer(self, call: Call) -> Reply:
        # Tolerates `prettyPrint=false`, which every client sends.
        response = self._api.answer(Request(call.method, call.path, call.query, call.headers, call.body))
        return Reply(
            response.status,
            response.content(),
            {"Content-Type": "application/json; charset=UTF-8"} | response.headers,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    folder: Path | str | None,
    project: str = "local-project",
    statements: Sequence[Statements] = (),
    buckets: Path | None = None,
    port: int = 0,
) -> Server:
    """Starts a server on the state in a folder; None keeps it in memory.

    `statements` are families of statements that other code runs (BigQuery ML). `buckets` is a folder with one folder
    per bucket, for gs:// URIs. Raises RuntimeError when another process has the folder open.
    """
    try:
        engine = Engine(Path(folder) if folder is not None else None, project, statements)
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise
        raise RuntimeError(
            f"{folder}: another process has this database open; stop it or use another folder"
        ) from error
    return Server(engine, _scratch(folder), buckets, port)


def _scratch(folder: Path | str | None) -> Path:
    """A new folder for uploads: inside the state, which is this process' alone, so that one that a kernel which was
    killed has left is removed by the next."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="bigquery-"))
    scratch = Path(folder) / "uploads"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return scratch

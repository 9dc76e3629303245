"""The HTTP server: loopback only, any free port, one folder of state."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from localgcp.bigquery.rest import Api, Request, Response
from localgcp.bigquery.session import Engine
from localgcp.bigquery.statements import Statements

HOST = "127.0.0.1"


class Server:
    """A running server. `url` is what clients take as their endpoint; `engine` runs GoogleSQL without HTTP."""

    def __init__(self, engine: Engine, scratch: Path, buckets: Path | None, port: int) -> None:
        self.engine = engine
        self._scratch = scratch
        self._http = _HttpServer((HOST, port), _handler(Api(engine, scratch, buckets)))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="bigquery", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._http.server_port}"

    def stop(self) -> None:
        """Answers no more and closes the database. A second call does nothing."""
        if not self._thread.is_alive():
            return
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self.engine.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    # A server that goes must not wait for a client that keeps its connection open.
    block_on_close = False
    allow_reuse_address = False


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
    return Server(engine, Path(tempfile.mkdtemp(prefix="bigquery-")), buckets, port)


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a small answer must not wait for the acknowledgement of its header
        wbufsize = -1  # header and body in one packet
        server_version = "localgcp-bigquery"

        def log_message(self, *_: Any) -> None:
            """A server in a notebook's kernel writes nothing into the notebook."""

        def _serve(self) -> None:
            self._reply(api.answer(self._read()))

        def _read(self) -> Request:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            address = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            # Tolerates `prettyPrint=false`, which every client sends.
            query = dict(parse_qsl(address.query, keep_blank_values=True))
            return Request(self.command, unquote(address.path), query, headers, body)

        def _reply(self, response: Response) -> None:
            content = response.content()
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    return Handler

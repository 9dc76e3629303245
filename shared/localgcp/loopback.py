"""The HTTP under the local services: loopback only, any free port, closed to web pages."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")


@dataclass(frozen=True)
class Call:
    """A request as it came: `path` is decoded, `raw_path` is not, header names are in lower case.

    `query` has the last value of a parameter that is repeated, `items` has all of them in their order.
    """

    method: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    items: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stream:
    """A body that is read while it is sent: `length` bytes in blocks. The blocks are closed if the client goes."""

    length: int
    blocks: Generator[bytes, None, None]


@dataclass(frozen=True)
class Reply:
    """An answer. `stream` is sent instead of `body` where there is one."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Stream | None = None


class Loopback:
    """A running server whose requests `answer` answers; `answer` must not raise."""

    def __init__(self, name: str, answer: Callable[[Call], Reply], port: int = 0) -> None:
        self._http = _Server((HOST, port), _handler(name, answer))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name=name, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._http.server_port)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answers no more. A second call does nothing."""
        if self.running:
            self._http.stopped = True
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A server that goes must not wait for a client that keeps its connection open.
    block_on_close = False
    allow_reuse_address = False
    # So many may connect at the same moment; the default of 5 loses some of 50 parallel requests.
    request_queue_size = 128
    # A client may have kept its connection, whose thread outlives the server.
    stopped = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that has gone: the traceback would stand in a notebook."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def from_a_web_page(headers: dict[str, str], port: int) -> bool:
    """Whether a browser may have sent this for a page from elsewhere.

    A page can reach a port on this machine: under a name of its own that resolves to 127.0.0.1 (then Host is that
    name), or by a form or fetch (then the browser sends Origin or Sec-Fetch-Site). Google's clients send neither.
    """
    if headers.get("host", "") not in {f"{name}:{port}" for name in NAMES}:
        return True
    return "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _handler(name: str, answer: Callable[[Call], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a small answer must not wait for the acknowledgement of its header
        wbufsize = -1  # header and body in one packet
        server_version = f"localgcp-{name}"

        def log_message(self, *_: Any) -> None:
            """A server in a notebook's kernel writes nothing into the notebook."""

        def _serve(self) -> None:
            try:
                self._answer()
            except ConnectionError:
                # The client has gone, perhaps in the middle of an upload: nobody is there to answer.
                self.close_connection = True

        def _answer(self) -> None:
            call = self._read()
            if self.server.stopped:  # type: ignore[attr-defined]
                self.close_connection = True
                return
            if from_a_web_page(call.headers, self.server.server_port):  # type: ignore[attr-defined]
                refusal = b"This server answers programs on this machine, not web pages.\n"
                self._reply(Reply(403, refusal, {"Content-Type": "text/plain", "Connection": "close"}))
                self.close_connection = True
                return
            self._reply(answer(call))

        def _read(self) -> Call:
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self._chunks() if headers.get("transfer-encoding", "").lower() == "chunked" else self._sized()
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            address = urlsplit(self.path)
            items = tuple(parse_qsl(address.query, keep_blank_values=True))
            return Call(self.command, unquote(address.path), address.path, dict(items), headers, body, items)

        def _sized(self) -> bytes:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            if len(body) < length:
                raise ConnectionAbortedError("the client has gone in the middle of its request")
            return body

        def _chunks(self) -> bytes:
            parts = []
            while size := self._chunk_size():
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _chunk_size(self) -> int:
            line = self.rfile.readline()
            if not line:
                raise ConnectionAbortedError("the client has gone in the middle of its request")
            return int(line.split(b";")[0], 16)

        def _reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            stream = reply.stream
            self.send_header("Content-Length", str(stream.length if stream else len(reply.body)))
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD" and stream is None:
                self.wfile.write(reply.body)
            if stream is not None:
                self._send(stream)
            self.wfile.flush()

        def _send(self, stream: Stream) -> None:
            left = stream.length
            with closing(stream.blocks) as blocks:
                for block in blocks if self.command != "HEAD" else ():
                    self.wfile.write(block)
                    left -= len(block)
            if left and self.command != "HEAD":
                # Fewer bytes than announced: only a closed connection tells the client.
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    return Handler

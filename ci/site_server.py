"""Serves the site's pages on this machine alone, and counts what a browser asks for."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import BrowserContext, Request, Response
from site_links import Fault

# The browser finds no host but this machine: what a page asks of others is counted and goes nowhere.
NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on 127.0.0.1; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Requests:
    """Counts what a browser asks for; what is not at `home` is a fault, and no name leads there (NO_NAMES)."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.home, self.page, self.count, self.external = home, "", 0, 0
        self.faults: list[Fault] = []
        context.on("request", self._asked)
        context.on("response", self._answered)

    def _asked(self, request: Request) -> None:
        self.count += 1
        if not request.url.startswith((f"{self.home}/", "data:")):
            self.external += 1
            self.faults.append(Fault(self.page, "external", f"asks for {request.url[:80]}"))

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            self.faults.append(
                Fault(self.page, "missing", f"{response.url.removeprefix(self.home)}: {response.status}")
            )

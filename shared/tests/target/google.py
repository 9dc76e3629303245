"""A small HTTP server that answers as Service Usage and Cloud Storage do, for the checks before a cloud call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from labkit.target.preflight import Hosts

PROJECT, BUCKET = "some-project", "some-bucket"


def quota(metric: str, limit: int, region: str = "us-central1") -> dict[str, Any]:
    """One item of consumerQuotaMetrics.list: a limit of a region beside a smaller one for the others."""
    buckets = [{"effectiveLimit": "0"}, {"effectiveLimit": str(limit), "dimensions": {"region": region}}]
    return {
        "metric": f"aiplatform.googleapis.com/{metric}",
        "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": buckets}],
    }


class Google:
    """Its answers; a test changes them. `refusals` maps a part of a path to status, reason and message."""

    def __init__(self) -> None:
        self.url = ""
        self.off: set[str] = set()
        self.location = "US-CENTRAL1"
        self.buckets = {BUCKET}
        self.quotas = [quota("custom_model_training_cpus", 42), quota("custom_model_serving_cpus", 30)]
        self.refusals: dict[str, tuple[int, str, str]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def hosts(self) -> Hosts:
        return Hosts(self.url, self.url, self.url)

    def answer(self, target: str) -> tuple[int, dict[str, Any]]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        for part, (status, reason, message) in self.refusals.items():
            if part in path:
                details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
                return status, {"error": {"code": status, "message": message, "details": details}}
        if path == f"/v1/projects/{PROJECT}/services:batchGet":
            states = [
                (name, "DISABLED" if name.rpartition("/")[2] in self.off else "ENABLED") for name in query["names"]
            ]
            return 200, {"services": [{"name": name, "state": state} for name, state in states]}
        if path.startswith("/storage/v1/b/"):
            name = path.rpartition("/")[2]
            if name not in self.buckets:
                return 404, {"error": {"code": 404, "message": "The specified bucket does not exist."}}
            return 200, {"name": name, "location": self.location, "locationType": "region"}
        if path == f"/v1beta1/projects/{PROJECT}/services/aiplatform.googleapis.com/consumerQuotaMetrics":
            return 200, self._page(int((query.get("pageToken") or ["0"])[0]))
        return 404, {"error": {"code": 404, "message": f"no such path: {path}"}}

    def _page(self, number: int) -> dict[str, Any]:
        """One metric a page, so that a reader who stops at the first page is found out."""
        more = {"nextPageToken": str(number + 1)} if number + 1 < len(self.quotas) else {}
        return {"metrics": self.quotas[number : number + 1]} | more


@contextmanager
def serve() -> Iterator[Google]:
    """Runs it on a free port of this machine."""
    google = Google()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            google.requests.append((self.path, dict(self.headers)))
            status, body = google.answer(self.path)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    google.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield google
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

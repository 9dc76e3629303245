"""A server on an empty folder, and the real client whose every response is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from localgcp.storage import Server, start

from tests.localgcp.discovery import check_response

PROJECT = "local-project"


def connect(url: str) -> storage.Client:
    """The real client. Every response that it gets is checked against the discovery document."""
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    client._http.hooks["response"].append(_check)
    return client


def _check(response: Any, *_: Any, **__: Any) -> None:
    address = urlsplit(response.request.url)
    method, path = response.request.method, address.path
    if "media" in parse_qs(address.query).get("alt", []) or path.startswith("/batch"):
        return
    if path.startswith("/upload"):
        # An upload answers with the object itself, once it has all of the content.
        method = "POST"
        if response.status_code != 200 or "Location" in response.headers:
            return
    body = json.loads(response.content) if response.content else None
    check_response("storage.v1", method, path, response.status_code, body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "buckets"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with start(folder, PROJECT) as running:
        yield running


@pytest.fixture
def client(server: Server) -> storage.Client:
    return connect(server.url)


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket("first")

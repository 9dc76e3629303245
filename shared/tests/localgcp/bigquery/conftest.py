"""A server for each module of tests, the real client, and an engine without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from localgcp.bigquery import Engine, Server, start

from tests.localgcp.bigquery.discovery import check_response

PROJECT = "local-project"
Rows = list[tuple[Any, ...]]


def connect(url: str) -> bigquery.Client:
    """The real client. Every response that it gets is checked against the discovery document."""
    client = bigquery.Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url}, location="US"
    )
    client._http.hooks["response"].append(_check)
    return client


def _check(response: Any, *_: Any, **__: Any) -> None:
    path = urlsplit(response.request.url).path
    if path.startswith(("/upload", "/resumable")):
        # An upload answers with the job itself, once it has all of the file.
        path = path[path.index("/bigquery/v2/") :]
        if response.status_code != 200 or "Location" in response.headers or not response.content:
            return
        check_response("POST", path, 200, response.json())
        return
    body = json.loads(response.content) if response.content else None
    check_response(response.request.method, path, response.status_code, body)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start(None, PROJECT) as running:
        yield running


@pytest.fixture(scope="module")
def shared_client(server: Server) -> bigquery.Client:
    return connect(server.url)


@pytest.fixture
def client(shared_client: bigquery.Client) -> Iterator[bigquery.Client]:
    """A client with an empty dataset `d`."""
    shared_client.create_dataset("d")
    yield shared_client
    for item in list(shared_client.list_datasets()):
        shared_client.delete_dataset(item.dataset_id, delete_contents=True)


@pytest.fixture(scope="module")
def _engine() -> Iterator[Engine]:
    engine = Engine(None, PROJECT)
    yield engine
    engine.close()


@pytest.fixture
def engine(_engine: Engine) -> Iterator[Engine]:
    """An engine with an empty dataset `d`."""
    _engine.query("CREATE SCHEMA d")
    yield _engine
    for name in list(_engine.catalog.datasets):
        _engine.catalog.drop_dataset(name, with_contents=True)
    _engine.forget_sizes()


@pytest.fixture
def run(engine: Engine) -> Callable[[str], Rows]:
    """Runs a statement on the engine and gives its rows as tuples."""

    def query(sql: str) -> Rows:
        table = engine.query(sql)
        return list(zip(*(column.to_pylist() for column in table.columns))) if table.num_columns else []

    return query

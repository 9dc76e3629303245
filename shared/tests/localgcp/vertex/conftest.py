"""A server with its storage on empty folders, and the unmodified SDK over either transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from localgcp import storage, vertex

from tests.localgcp.vertex.answered import noting

PROJECT, LOCATION = "local-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
BUCKET = "first"
IMAGE = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest"


def init(server: vertex.Server, transport: str) -> None:
    """Points the SDK at a server."""
    endpoint = server.grpc_target if transport == "grpc" else server.rest_url
    aiplatform.init(
        project=PROJECT,
        location=LOCATION,
        staging_bucket=f"gs://{BUCKET}",
        api_endpoint=endpoint,
        api_transport=transport,
        credentials=AnonymousCredentials(),
    )


def client(kind: Any, server: vertex.Server, transport: str) -> Any:
    """A generated client such as EndpointServiceClient."""
    endpoint = server.grpc_target if transport == "grpc" else server.rest_url
    options = {"api_endpoint": endpoint}
    return kind(credentials=AnonymousCredentials(), transport=transport, client_options=options)


def pool(code: str, *args: str, machine: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A worker pool of one replica whose container runs Python code."""
    container = {"image_uri": IMAGE, "command": ["python", "-c", code], "args": list(args)}
    spec = {"machine_spec": machine or {"machine_type": "n1-standard-4"}, "replica_count": 1}
    return spec | {"container_spec": container} | more


@pytest.fixture(scope="session", autouse=True)
def note_what_answers() -> Iterator[None]:
    with noting():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vertex")


@pytest.fixture(scope="module")
def buckets(folder: Path) -> Path:
    path = folder / "buckets"
    (path / BUCKET).mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def server(folder: Path, buckets: Path) -> Iterator[vertex.Server]:
    patch = pytest.MonkeyPatch()
    with storage.start(buckets) as files, vertex.start(folder, buckets=buckets) as running:
        patch.setenv("STORAGE_EMULATOR_HOST", files.url)
        running.shim_sdk()
        yield running
    patch.undo()


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sdk(server: vertex.Server, transport: str) -> str:
    """The SDK over one transport; the fixture's value is its name."""
    init(server, transport)
    return transport


@pytest.fixture
def connect(server: vertex.Server, transport: str) -> Callable[[Any], Any]:
    return lambda kind: client(kind, server, transport)

"""gRPC and REST on one core: TLS, who is trusted, what start costs, what is left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import EndpointServiceClient
from google.longrunning import operations_pb2
from localgcp import vertex
from localgcp.vertex import surface
from localgcp.vertex.certificate import ROOTS

from tests.localgcp.vertex.conftest import PARENT, client

SHARED = Path(__file__).resolve().parents[3]


def test_the_surface_is_the_sdks() -> None:
    """Numbers of the installed SDK, so that a new version is looked at before it is used."""
    methods = surface.methods().values()
    assert len({method.service for method in methods}) == 34
    assert all(method.request is not None and method.response is not None for method in methods)
    create = surface.by_key()["EndpointService.CreateEndpoint"]
    assert (create.rules[0].verb, create.rules[0].body) == ("POST", "endpoint")
    assert create.response is operations_pb2.Operation
    assert surface.by_key()["PredictionService.ServerStreamingPredict"].kind == "unary_stream"


@pytest.mark.parametrize(
    ("message", "field", "kinds"),
    [
        ("Endpoint", "display_name", {"REQUIRED"}),
        ("Endpoint", "create_time", {"OUTPUT_ONLY"}),
        ("Endpoint", "etag", set()),
        ("MachineSpec", "machine_type", {"IMMUTABLE"}),
        ("ContainerSpec", "image_uri", {"REQUIRED"}),
        ("UpdateEndpointRequest", "update_mask", {"REQUIRED"}),
        ("MachineSpec", "reservation_affinity", {"IMMUTABLE"}),  # "Optional. Immutable. …"
    ],
)
def test_what_the_documentation_says_of_a_field(message: str, field: str, kinds: set[str]) -> None:
    assert surface.behaviors(surface.PACKAGE + message).get(field, frozenset()) == kinds


def test_start_takes_less_than_a_second(tmp_path: Path) -> None:
    began = time.perf_counter()
    with vertex.start(tmp_path):
        assert time.perf_counter() - began < 1.0


def test_two_servers_in_one_process(tmp_path: Path) -> None:
    before = os.environ.get(ROOTS)
    with vertex.start(tmp_path / "a") as one, vertex.start(tmp_path / "b") as two:
        made = client(EndpointServiceClient, one, "grpc").create_endpoint(parent=PARENT, endpoint={"display_name": "x"})
        assert made.result().name
        assert not list(client(EndpointServiceClient, two, "grpc").list_endpoints(parent=PARENT))
        assert os.environ[ROOTS] == str(tmp_path / "b" / "roots.pem")
    assert os.environ.get(ROOTS) == before
    with vertex.start(tmp_path / "a") as again:
        assert len(list(client(EndpointServiceClient, again, "grpc").list_endpoints(parent=PARENT))) == 1


def test_both_transports_listen_on_loopback_only_and_grpc_only_with_tls(server: vertex.Server) -> None:
    assert server.rest_url.startswith("http://127.0.0.1:") and server.grpc_target.startswith("127.0.0.1:")
    ports = {int(address.rpartition(":")[2]) for address in (server.rest_url, server.grpc_target)}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    held = {int(port, 16): address for address, port in listening if int(port, 16) in ports}
    # 127.0.0.1, or the same mapped into IPv6: the last four bytes, which the kernel writes backwards.
    assert set(held) == ports and all(address.endswith("0100007F") for address in held.values())
    with grpc.insecure_channel(server.grpc_target) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(0.5)


def test_a_method_that_is_none_and_another_version(server: vertex.Server) -> None:
    with grpc.secure_channel(server.grpc_target, grpc.ssl_channel_credentials()) as channel:
        for path in ("/google.cloud.aiplatform.v1beta1.JobService/CreateCustomJob", "/a.B/C"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"x")
            assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
            assert "is not emulated locally" in error.value.details()


def test_the_exact_exceptions_of_grpc(server: vertex.Server) -> None:
    endpoints = client(EndpointServiceClient, server, "grpc")
    with pytest.raises(exceptions.NotFound):
        endpoints.get_endpoint(name=f"{PARENT}/endpoints/1")
    with pytest.raises(exceptions.InvalidArgument):
        endpoints.create_endpoint(parent=PARENT, endpoint={})
    with pytest.raises(exceptions.PermissionDenied):
        endpoints.get_endpoint(name="projects/other/locations/us-central1/endpoints/1")


def test_a_port_that_is_taken(server: vertex.Server, tmp_path: Path) -> None:
    rest, rpc = (int(address.rpartition(":")[2]) for address in (server.rest_url, server.grpc_target))
    before = os.environ.get(ROOTS)
    for _ in range(2):  # the first refusal leaves the folder and its own port free
        with pytest.raises(OSError, match="Address already in use"):
            vertex.start(tmp_path, rest_port=rest)
        with pytest.raises(OSError, match=f"port {rpc} for gRPC is taken"):
            vertex.start(tmp_path, grpc_port=rpc)
    assert os.environ.get(ROOTS) == before
    vertex.start(tmp_path).stop()


EARLY = """
import sys, time
import grpc
channel = grpc.secure_channel("127.0.0.1:9", grpc.ssl_channel_credentials())
try:
    grpc.channel_ready_future(channel).result(0.3)
except grpc.FutureTimeoutError:
    pass
from localgcp import vertex
from localgcp.vertex import certificate
certificate._PROBE_SECONDS = 1.0
server = vertex.start(sys.argv[1])
print(server.rest_url)
try:
    server.grpc_target
except RuntimeError as error:
    print(error)
server.stop()
"""


def test_a_channel_that_was_there_before_is_named(tmp_path: Path) -> None:
    """gRPC has read its roots by then; without a word every call would be tried again for minutes."""
    environment = os.environ | {"PYTHONPATH": str(SHARED)}
    environment.pop(ROOTS, None)
    done = subprocess.run(
        [sys.executable, "-c", EARLY, str(tmp_path)], capture_output=True, text=True, env=environment, check=True
    )
    url, problem = done.stdout.splitlines()
    assert url.startswith("http://127.0.0.1:") and "had opened a gRPC channel before the server started" in problem


def test_a_server_leaves_no_thread_and_no_process(tmp_path: Path) -> None:
    program = (
        "import sys, threading\nfrom localgcp import vertex\n"
        "before = threading.active_count()\nvertex.start(sys.argv[1]).stop()\n"
        "import time; time.sleep(0.3)\n"
        "print(before, [one.name for one in threading.enumerate()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        check=True,
    )
    assert done.stdout.strip() == "1 ['MainThread']", done.stdout


def test_a_full_disk_is_said_and_what_was_there_stays(server: vertex.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = client(EndpointServiceClient, server, "grpc")
    kept = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "before"}).result()
    original = os.replace

    def full(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(exceptions.ResourceExhausted, match="disk that holds the local Vertex AI is full"):
        endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "never"})
    monkeypatch.setattr(os, "replace", original)
    listed = endpoints.list_endpoints(request={"parent": PARENT, "filter": 'display_name="never"'})
    assert list(listed) == [] and endpoints.get_endpoint(name=kept.name) == kept
    endpoints.delete_endpoint(name=kept.name)

"""Who may talk to a local service: programs on this machine, not pages in a browser."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Generator, Iterator

import pytest
from localgcp.loopback import Loopback, Reply, Stream


@pytest.fixture
def server() -> Iterator[Loopback]:
    running = Loopback("echo", lambda call: Reply(200, call.method.encode() + b" " + call.path.encode() + call.body))
    yield running
    running.stop()


def ask(server: Loopback, headers: dict[str, str], method: str = "POST", body: bytes = b"!") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, "/a%20b?x=1", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_program_is_answered(server: Loopback) -> None:
    assert ask(server, {}) == (200, b"POST /a b!")
    assert ask(server, {"Host": f"localhost:{server.port}"}) == (200, b"POST /a b!")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:80"},
        {"Origin": "https://page.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_is_not(server: Loopback, headers: dict[str, str]) -> None:
    status, body = ask(server, headers)
    assert status == 403 and b"not web pages" in body


def test_chunks_are_put_together(server: Loopback) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(
        "PUT", "/", iter([b"one ", b"two"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().read() == b"PUT /one two"


def test_a_stopped_server_answers_nobody_and_stops_twice(server: Loopback) -> None:
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(server, {})


def test_a_kept_connection_ends_with_the_server(server: Loopback) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"GET /"
    server.stop()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.request("GET", "/")
        connection.getresponse()


@pytest.mark.parametrize(
    "request_text",
    ["PUT / HTTP/1.1\r\nContent-Length: 9\r\n", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"],
)
def test_half_a_request_is_no_request(request_text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """And nothing about it is written, since that would stand in a notebook."""
    bodies: list[bytes] = []

    def answer(call: object) -> Reply:
        bodies.append(b"")
        return Reply(200)

    server = Loopback("half", answer)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            body = "9\r\nhalf" if "chunked" in request_text else "half"
            raw.sendall(f"{request_text}Host: 127.0.0.1:{server.port}\r\n\r\n{body}".encode())
            raw.shutdown(socket.SHUT_WR)
            assert raw.recv(1000) == b""
    finally:
        server.stop()
    assert bodies == [] and capfd.readouterr().err == ""


def streaming(blocks: list[bytes], length: int, closed: list[bool]) -> Loopback:
    def read() -> Generator[bytes, None, None]:
        try:
            yield from blocks
        finally:
            closed.append(True)

    return Loopback("stream", lambda call: Reply(200, stream=Stream(length, read())))


def test_a_stream_is_sent_in_blocks() -> None:
    closed: list[bool] = []
    server = streaming([b"one ", b"two"], 7, closed)
    assert ask(server, {}, "GET") == (200, b"one two") and closed == [True]
    assert ask(server, {}, "HEAD") == (200, b"")
    server.stop()


def test_a_stream_that_ends_too_early_is_no_whole_answer() -> None:
    server = streaming([b"one "], 7, [])
    with pytest.raises(http.client.IncompleteRead):
        ask(server, {}, "GET")
    server.stop()

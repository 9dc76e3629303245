"""Who may talk to a local service: programs on this machine, not pages in a browser."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from localgcp.loopback import Loopback, Reply


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

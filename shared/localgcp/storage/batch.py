"""Batches: several requests in one, each answered as if it had come alone."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from urllib.parse import parse_qsl, unquote, urlsplit

from localgcp.loopback import Call, Reply
from localgcp.storage.errors import invalid

_MOST = 1000


def answer(call: Call, one: Callable[[Call], Reply]) -> Reply:
    """Answers a multipart/mixed body of requests in their order. Raises StorageError when it is none."""
    head = f"Content-Type: {call.headers.get('content-type', '')}\r\nMIME-Version: 1.0\r\n\r\n"
    parts = message_from_bytes(head.encode() + call.body).get_payload()
    if not isinstance(parts, list) or not 0 < len(parts) <= _MOST:
        raise invalid(f"A batch is multipart/mixed with 1 to {_MOST} requests.")
    boundary = f"batch_{uuid.uuid4().hex}"
    answers = [_part(part, one(_call(part, call))) for part in parts if isinstance(part, Message)]
    body = b"".join(f"--{boundary}\r\n".encode() + answered + b"\r\n" for answered in answers)
    body += f"--{boundary}--\r\n".encode()
    return Reply(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})


def _call(part: Message, outer: Call) -> Call:
    payload = part.get_payload(decode=True)
    text = payload if isinstance(payload, bytes) else b""
    head, _, body = _split(text)
    first, *lines = head.decode("latin-1").splitlines() or [""]
    words = first.split()
    if len(words) != 3:
        raise invalid(f"A part of the batch is no HTTP request: '{first[:80]}'")
    address = urlsplit(words[1])
    if address.path.startswith(("/upload/", "/download/", "/batch")) or "alt=media" in address.query:
        raise invalid("Uploads, downloads and batches cannot be parts of a batch.")
    pairs = [line.partition(":") for line in lines]
    headers = {key.strip().lower(): value.strip() for key, _, value in pairs} | {"host": outer.headers["host"]}
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    return Call(words[0], unquote(address.path), address.path, query, headers, body)


def _split(text: bytes) -> tuple[bytes, bytes, bytes]:
    found = re.search(rb"\r?\n\r?\n", text)
    return (text[: found.start()], b"", text[found.end() :]) if found else (text, b"", b"")


def _part(request: Message, reply: Reply) -> bytes:
    head = ["Content-Type: application/http"]
    if request["Content-ID"]:
        head.append(f"Content-ID: <response-{request['Content-ID'].strip().strip('<>')}>")
    head += ["", f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Error')}"]
    head += [f"{key}: {value}" for key, value in reply.headers.items()]
    head += [f"Content-Length: {len(reply.body)}", "", ""]
    # The client reads the parts as text: JSON in ASCII goes through whatever it takes them for.
    body = json.dumps(json.loads(reply.body)).encode() if reply.body else b""
    return "\r\n".join(head).encode() + body


_PHRASES = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 412: "Precondition Failed"}

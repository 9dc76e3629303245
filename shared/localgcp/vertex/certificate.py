"""The TLS certificate of the local gRPC server: gRPC clients of Google refuse to talk without TLS."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localgcp.loopback import HOST
from localgcp.vertex.messages import now

ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
_VALID = timedelta(days=30)
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key, both PEM."""

    key: bytes
    public: bytes


@cache
def certificate() -> Certificate:
    """The certificate of this process, for 127.0.0.1 and localhost only. The key never reaches the disk.

    One for all servers: gRPC reads the file of roots once in a process, so that a second certificate would be unknown.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + _VALID)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(private, built.public_bytes(serialization.Encoding.PEM))


@cache
def _roots_before() -> bytes:
    """What this process trusted before; its connections to Google must go on."""
    chosen = os.environ.get(ROOTS)
    if chosen and Path(chosen).is_file():
        return Path(chosen).read_bytes()
    return resources.files(grpc).joinpath("_cython", "_credentials", "roots.pem").read_bytes()


def trust(folder: Path) -> Callable[[], None]:
    """Makes gRPC clients of this process, and of processes that it starts, trust the certificate.

    The result takes the variable back: what this process has read stays, the file may go.
    """
    before, chosen = _roots_before(), os.environ.get(ROOTS)
    path = folder / "roots.pem"
    path.write_bytes(certificate().public + b"\n" + before)
    os.environ[ROOTS] = str(path)

    def undo() -> None:
        if os.environ.get(ROOTS) == str(path):
            del os.environ[ROOTS]
            if chosen is not None:
                os.environ[ROOTS] = chosen

    return undo


def problem(target: str) -> str | None:
    """Why clients of this process cannot reach the server by gRPC; None when they can."""
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())
    try:
        grpc.channel_ready_future(channel).result(_PROBE_SECONDS)
    except grpc.FutureTimeoutError:
        return (
            "gRPC does not trust the local server's certificate: this process had opened a gRPC channel before the "
            'server started. Restart the kernel and start the server first, or use api_transport="rest".'
        )
    finally:
        channel.close()
    return None

"""The NET functions: addresses, and the parts of URLs."""

from __future__ import annotations

import ipaddress
import re


def host(url: str) -> str | None:
    """The host of a URL as it is written there, None when it has none."""
    text = url.strip()
    found = re.match(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//([^/?#]*)", text)
    if found:
        authority = found[1].rsplit("@", 1)[-1]
        name = authority[: authority.index("]") + 1] if authority.startswith("[") and "]" in authority else None
        return (name or re.sub(r":\d*$", "", authority)) or None
    # Without // the text before the first of these is taken for the host, as in a bare domain name.
    bare = re.split(r"[/?#:]", text, maxsplit=1)[0].rsplit("@", 1)[-1]
    return bare or None


def ip_from_string(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise ValueError(f'NET.IP_FROM_STRING() encountered an unparseable IP-address: "{text}"') from None


def safe_ip_from_string(text: str) -> bytes | None:
    try:
        return ip_from_string(text)
    except ValueError:
        return None


def ip_to_string(address: bytes) -> str:
    if len(address) not in (4, 16):
        raise ValueError("NET.IP_TO_STRING() requires an address of 4 or 16 bytes")
    return str(ipaddress.ip_address(address))


def ip_net_mask(length: int, prefix: int) -> bytes:
    if length not in (4, 16) or not 0 <= prefix <= length * 8:
        raise ValueError(f"NET.IP_NET_MASK() takes 4 or 16 bytes and as many bits at most, got {length} and {prefix}")
    bits = length * 8
    return (((1 << prefix) - 1) << (bits - prefix)).to_bytes(length, "big")


def ip_trunc(address: bytes, prefix: int) -> bytes:
    mask = ip_net_mask(len(address), prefix)
    return bytes(a & b for a, b in zip(address, mask))


def ipv4_from_int64(number: int) -> bytes:
    if not -(2**31) <= number < 2**32:
        raise ValueError(f"NET.IPV4_FROM_INT64() got {number}, which is no address")
    return (number % 2**32).to_bytes(4, "big")


def ipv4_to_int64(address: bytes) -> int:
    if len(address) != 4:
        raise ValueError("NET.IPV4_TO_INT64() requires an address of 4 bytes")
    return int.from_bytes(address, "big")

"""PROXY protocol v1 and v2: the real address of a peer, told by a trusted proxy in front.

Source: the PROXY protocol specification of HAProxy (versions 1 and 2, revision 2020/03/05).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from livetrio.errors import RemoteProtocolError

__all__ = ["MAX_HEADER", "ProxyHeader", "parse_proxy_header"]

_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_MAX = 107
"""Longest version 1 line with its CRLF (section 2.1)."""
MAX_HEADER = 16 + 536
"""Bytes; a version 2 header may announce 64 KiB of TLVs, but nobody sends more than this."""


class ProxyHeader(NamedTuple):
    """What the header said. host is None where the proxy speaks for itself (LOCAL, UNKNOWN)."""

    size: int
    """Bytes the header took."""
    host: str | None
    port: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read a header at the start of data; None while more bytes are needed.

    ProxyHeader(0, None, 0) means that data does not begin with a header at all.

    Raises:
        RemoteProtocolError: it begins like a header and is not one.
    """
    if data[:6] == b"PROXY "[: len(data)]:
        return _parse_v1(data) if len(data) >= 6 else None
    if data[:12] == _V2_SIGNATURE[: len(data)]:
        return _parse_v2(data) if len(data) >= 16 else None
    return ProxyHeader(0, None, 0)


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise RemoteProtocolError("PROXY v1 header without an end")
        return None
    words = data[:end].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return ProxyHeader(end + 2, None, 0)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise RemoteProtocolError("PROXY v1 header with the wrong words")
    try:
        host = str(ipaddress.ip_address(words[2].decode("ascii")))
        port = int(words[4])
    except ValueError as error:
        raise RemoteProtocolError(f"PROXY v1 header: {error}") from error
    if not 0 <= port <= 65535:
        raise RemoteProtocolError("PROXY v1 header: port out of range")
    return ProxyHeader(end + 2, host, port)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    command, family, length = struct.unpack_from("!BBH", data, 12)
    size = 16 + length
    if size > MAX_HEADER:
        raise RemoteProtocolError(f"PROXY v2 header of {size} bytes")
    if command >> 4 != 2 or command & 0x0F > 1:
        raise RemoteProtocolError(f"PROXY v2 header: unknown command 0x{command:02x}")
    if len(data) < size:
        return None
    address_size = {0x11: 4, 0x21: 16}.get(family, 0)
    if command & 0x0F == 0 or not address_size:  # LOCAL, or a family with no IP address
        return ProxyHeader(size, None, 0)
    if length < 2 * address_size + 4:
        raise RemoteProtocolError("PROXY v2 header: addresses cut short")
    host = str(ipaddress.ip_address(data[16 : 16 + address_size]))
    (port,) = struct.unpack_from("!H", data, 16 + 2 * address_size)
    return ProxyHeader(size, host, port)

"""PROXY protocol headers, both versions."""

from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.proxy import MAX_HEADER, ProxyHeader, parse_proxy_header

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 1935\r\n"


def v2(command: int, family: int, payload: bytes) -> bytes:
    return V2 + struct.pack("!BBH", command, family, len(payload)) + payload


def addresses(a: str, b: str, port: int) -> bytes:
    packed = ipaddress.ip_address(a).packed + ipaddress.ip_address(b).packed
    return packed + struct.pack("!HH", port, 1935)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (V1, ProxyHeader(len(V1), "203.0.113.7", 56324)),
        (b"PROXY TCP6 2001:db8::1 ::1 5 6\r\n", ProxyHeader(32, "2001:db8::1", 5)),
        (b"PROXY UNKNOWN whatever\r\n", ProxyHeader(24, None, 0)),
        (
            v2(0x21, 0x11, addresses("203.0.113.7", "198.51.100.1", 9)),
            ProxyHeader(28, "203.0.113.7", 9),
        ),
        (
            v2(0x21, 0x21, addresses("2001:db8::1", "::1", 9) + b"tlv"),
            ProxyHeader(55, "2001:db8::1", 9),
        ),
        (v2(0x20, 0x00, b""), ProxyHeader(16, None, 0)),
        (v2(0x21, 0x31, bytes(216)), ProxyHeader(232, None, 0)),
        (b"\x03" + bytes(1536), ProxyHeader(0, None, 0)),
        (b"GET / HTTP/1.1\r\n", ProxyHeader(0, None, 0)),
    ],
)
def test_a_header_is_read_whole_and_awaited_when_cut(data: bytes, expected: ProxyHeader):
    assert parse_proxy_header(data + b"rest") == (
        expected if expected.size else ProxyHeader(0, None, 0)
    )
    if expected.size:
        for size in range(expected.size):
            assert parse_proxy_header(data[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY " + b"x" * 200,
        b"PROXY TCP4 203.0.113.7 198.51.100.1 56324\r\n",
        b"PROXY TCP4 not-an-ip 198.51.100.1 56324 1935\r\n",
        b"PROXY TCP4 203.0.113.7 198.51.100.1 70000 1935\r\n",
        b"PROXY TCP4 \xff 198.51.100.1 1 1935\r\n",
        v2(0x11, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x11, bytes(MAX_HEADER)),
    ],
)
def test_what_begins_like_a_header_and_is_none_is_the_peers_fault(data: bytes):
    with pytest.raises(RemoteProtocolError):
        parse_proxy_header(data)


@given(st.sampled_from([b"", b"PROXY ", V2]), st.binary(max_size=700))
def test_garbage_raises_only_the_remote_protocol_error(prefix: bytes, data: bytes):
    with contextlib.suppress(RemoteProtocolError):
        parse_proxy_header(prefix + data)

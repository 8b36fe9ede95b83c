"""The RTP packet: fixed header, CSRCs, header extension, payload, padding.

Source: RFC 3550 section 5.1, RFC 8285 section 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "FIXED_SIZE",
    "RtpPacket",
    "build_rtp_header",
    "is_rtcp",
    "parse_rtp",
    "unwrap",
    "unwrap_timestamp",
]

FIXED_SIZE: Final = 12
"""Bytes of the header before CSRCs and extension."""

_FIXED: Final = struct.Struct(">BBHII")
_PREAMBLE: Final = struct.Struct(">HH")
_VERSION_2: Final = 0x80
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_CSRC_COUNT: Final = 0x0F


@dataclass(slots=True, eq=False)
class RtpPacket:
    """One packet. The header extension stays bytes until an id is asked for (`extensions.py`)."""

    marker: bool
    payload_type: int
    """0 to 127."""
    sequence: int
    """16 bits."""
    timestamp: int
    """32 bits, in ticks of the payload's clock."""
    ssrc: int
    payload: bytes
    """Without padding; empty in a packet that only probes the path."""
    profile: int = 0
    """Which form the extension has (0xBEDE, 0x1000 to 0x100F); 0 without one."""
    extension: bytes = b""
    """The extension's elements, a multiple of four bytes."""


def parse_rtp(data: bytes | memoryview) -> RtpPacket:
    """Read one packet. CSRCs are stepped over: nobody here mixes.

    Raises:
        RemoteProtocolError: it is cut, not of version 2, or CSRCs, extension or padding
            claim more bytes than there are.
    """
    size = len(data)
    if size < FIXED_SIZE:
        raise RemoteProtocolError(f"RTP: a packet of {size} bytes")
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first & 0xC0 != _VERSION_2:
        raise RemoteProtocolError(f"RTP: version {first >> 6}")
    start = FIXED_SIZE
    profile = 0
    extension = b""
    if first & (_EXTENSION | _CSRC_COUNT):
        start += 4 * (first & _CSRC_COUNT)
        if first & _EXTENSION:
            if start + 4 > size:
                raise RemoteProtocolError("RTP: CSRCs and extension do not fit into the packet")
            profile, words = _PREAMBLE.unpack_from(data, start)
            begin = start + 4
            start = begin + 4 * words
            extension = bytes(data[begin:start])
        if start > size:
            raise RemoteProtocolError("RTP: CSRCs and extension do not fit into the packet")
    if first & _PADDING:
        padding = data[size - 1]
        if not 0 < padding <= size - start:
            raise RemoteProtocolError(
                f"RTP: {padding} bytes of padding in a payload of {size - start}"
            )
        size -= padding
    return RtpPacket(
        second >= 0x80,
        second & 0x7F,
        sequence,
        timestamp,
        ssrc,
        bytes(data[start:size]),
        profile,
        extension,
    )


def build_rtp_header(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    *,
    marker: bool = False,
    extension: bytes = b"",
) -> bytes:
    """The bytes in front of a payload, without padding or CSRCs.

    Args:
        payload_type: 0 to 127.
        sequence: any integer, of which the low 16 bits are written.
        timestamp: likewise, 32 bits.
        ssrc: 32 bits.
        extension: a whole extension block, preamble included (`build_extensions`).
    """
    return (
        _FIXED.pack(
            _VERSION_2 | _EXTENSION if extension else _VERSION_2,
            payload_type | 0x80 if marker else payload_type,
            sequence & 0xFFFF,
            timestamp & 0xFFFF_FFFF,
            ssrc,
        )
        + extension
    )


def is_rtcp(data: bytes | memoryview) -> bool:
    """Whether a datagram with the first byte of RTP or RTCP is RTCP (RFC 5761 section 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def unwrap(sequence: int, last: int) -> int:
    """The extended number nearest to `last` whose low 16 bits are `sequence`.

    Negative if that is before 0, where the numbering of `last` began.
    """
    return last + ((sequence - last + 0x8000) & 0xFFFF) - 0x8000


def unwrap_timestamp(timestamp: int, last: int) -> int:
    """As `unwrap`, for the 32 bits of a timestamp."""
    return last + ((timestamp - last + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000

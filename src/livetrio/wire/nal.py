"""NAL units, the envelope of H.264 and HEVC: length-prefixed, Annex B, and their bytes unescaped.

FLV, RTMP and MP4 put each unit's length before it (ISO/IEC 14496-15); MPEG-TS and some broken
encoders put start codes between them (Annex B of H.264 and HEVC).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["annexb_units", "is_annexb", "join_units", "lengths_add_up", "nal_units", "unescape"]

_START_CODE: Final = re.compile(rb"\x00\x00\x01")
_ESCAPE: Final = re.compile(rb"\x00\x00\x03")


def nal_units(data: bytes, length_size: int = 4) -> Iterator[memoryview]:
    """The units of one access unit in length-prefixed form; units of length 0 are passed over.

    Args:
        data: a coded frame as FLV and MP4 carry it.
        length_size: bytes of each length, 1 to 4 (`AvcConfig.length_size`).

    Raises:
        RemoteProtocolError: the lengths do not add up to the data.
    """
    view = memoryview(data)
    pos = 0
    end = len(data)
    while pos < end:
        start = pos + length_size
        pos = start + int.from_bytes(view[pos:start], "big")
        if start > end or pos > end:
            raise RemoteProtocolError(f"a NAL unit ends {pos - end} bytes behind its frame")
        if pos > start:
            yield view[start:pos]


def lengths_add_up(data: bytes, length_size: int) -> bool:
    """Whether `data` is at least one NAL unit with a body, and whole: `nal_units` will not raise.

    Asked of every frame that is published, hence without a generator or a slice per unit.
    """
    end = len(data)
    pos = length_size + int.from_bytes(data[:length_size], "big")
    if pos == end:  # the usual frame: a single unit
        return end > length_size
    found = pos > length_size
    while pos < end:
        start = pos + length_size
        pos = start + int.from_bytes(data[pos:start], "big")
        if pos > start:
            found = True
    return found and pos == end


def is_annexb(data: bytes) -> bool:
    """Whether `data` opens with a start code.

    Ask only where the lengths do not add up: 00 00 00 01 is also the length of a unit of one byte.
    """
    return data.startswith((b"\x00\x00\x00\x01", b"\x00\x00\x01"))


def annexb_units(data: bytes) -> Iterator[bytes]:
    """The units between the start codes of an Annex B byte stream; empty ones are passed over."""
    begin = -1
    for match in _START_CODE.finditer(data):
        if begin >= 0 and (unit := data[begin : match.start()].rstrip(b"\x00")):
            yield unit
        begin = match.end()
    if begin >= 0 and (unit := data[begin:].rstrip(b"\x00")):
        yield unit


def join_units(units: Iterable[bytes | memoryview], length_size: int = 4) -> bytes:
    """Put each unit's length before it.

    Raises:
        RemoteProtocolError: a unit is too long for a length of that size.
    """
    parts: list[bytes | memoryview] = []
    for unit in units:
        if len(unit) >> 8 * length_size:
            raise RemoteProtocolError(f"a NAL unit of {len(unit)} bytes, lengths of {length_size}")
        parts += (len(unit).to_bytes(length_size, "big"), unit)
    return b"".join(parts)


def unescape(unit: bytes | memoryview) -> bytes:
    """A unit's payload without the emulation prevention bytes (H.264 section 7.4.1)."""
    return _ESCAPE.sub(b"\x00\x00", bytes(unit))

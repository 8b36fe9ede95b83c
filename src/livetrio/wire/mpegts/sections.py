"""Program tables, read: sections out of packets, and which streams a program has.

Source: ISO/IEC 13818-1 section 2.4.4; descriptors of private streams by ETSI EN 300 468 annex D.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from livetrio.packet import Codec
from livetrio.wire.mpegts.tables import crc32

__all__ = ["Elementary", "SectionReader", "read_association", "read_map"]

_STUFFING: Final = 0xFF
_MAX_STREAMS: Final = 64
_CODECS: Final = {
    0x1B: Codec.H264,
    0x24: Codec.HEVC,
    0x0F: Codec.AAC,
    0x03: Codec.MP3,
    0x04: Codec.MP3,
    0x81: Codec.AC3,
    0x87: Codec.EAC3,
}
"""By stream_type; AAC in LATM and MPEG-2 video are nothing we relay."""
_PRIVATE: Final = 0x06
_DESCRIBED: Final = {0x6A: Codec.AC3, 0x7A: Codec.EAC3}
"""Of private streams, by descriptor_tag."""


class Elementary(NamedTuple):
    """A stream of a program."""

    pid: int
    codec: Codec


class SectionReader:
    """The sections on one PID: a packet may hold several, a section several packets."""

    def __init__(self) -> None:
        self._data = b""
        self._open = False

    def feed(self, payload: bytes, *, starts: bool) -> list[bytes]:
        """A packet's payload; returns the sections it completes, unchecked.

        What is held is one section, of 4 KiB at most.
        """
        found: list[bytes] = []
        if starts:
            pointer = payload[0] if payload else 0
            if self._open:
                self._data += payload[1 : 1 + pointer]
                found += self._whole()
            self._data, self._open = payload[1 + pointer :], True
        elif self._open:
            self._data += payload
        return found + self._whole()

    def _whole(self) -> list[bytes]:
        found = []
        while self._open and len(self._data) >= 3:
            size = 3 + (int.from_bytes(self._data[1:3], "big") & 0x0FFF)
            if self._data[0] == _STUFFING:
                self._open = False
            elif len(self._data) < size:
                break
            else:
                found.append(self._data[:size])
                self._data = self._data[size:]
        return found


def read_association(section: bytes) -> int | None:
    """PID of the first program's map; None where the section is broken, or of another kind."""
    body = _body(section, 0x00)
    for pos in range(0, len(body) - 3, 4):
        if int.from_bytes(body[pos : pos + 2], "big"):  # 0 is the network's
            return int.from_bytes(body[pos + 2 : pos + 4], "big") & 0x1FFF
    return None


def read_map(section: bytes) -> list[Elementary] | None:
    """The streams of a program that are of use here; None where the section is broken."""
    body = _body(section, 0x02)
    if len(body) < 4:
        return None
    pos = 4 + (int.from_bytes(body[2:4], "big") & 0x0FFF)
    found: list[Elementary] = []
    while pos + 5 <= len(body) and len(found) < _MAX_STREAMS:
        type_ = body[pos]
        pid = int.from_bytes(body[pos + 1 : pos + 3], "big") & 0x1FFF
        end = pos + 5 + (int.from_bytes(body[pos + 3 : pos + 5], "big") & 0x0FFF)
        codec = _CODECS.get(type_)
        if type_ == _PRIVATE:
            codec = _described(body[pos + 5 : end])
        if codec is not None:
            found.append(Elementary(pid, codec))
        pos = end
    return found


def _body(section: bytes, table: int) -> bytes:
    """What stands between a section's header and its checksum; b"" where one is wrong."""
    # With its checksum behind it the remainder of a section is 0.
    current = len(section) >= 12 and section[0] == table and bool(section[5] & 1)
    return section[8:-4] if current and not crc32(section) else b""


def _described(descriptors: bytes) -> Codec | None:
    pos = 0
    while pos + 2 <= len(descriptors):
        if (codec := _DESCRIBED.get(descriptors[pos])) is not None:
            return codec
        pos += 2 + descriptors[pos + 1]
    return None

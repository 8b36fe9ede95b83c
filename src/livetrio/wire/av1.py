"""AV1: open bitstream units, the sequence header and the configuration record.

Source: AV1 Bitstream & Decoding Process Specification sections 4.10.5 (leb128), 5.3 and 5.5;
AV1 Codec ISO Media File Format Binding section 2.3 (AV1CodecConfigurationRecord).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.wire.av1_sequence import Av1Sequence

__all__ = ["Av1Config", "Obu", "ObuType", "leb128", "obus", "read_leb128", "sequence_of"]

_MAX_LEB128: Final = 8
"""Bytes (section 4.10.5)."""


class ObuType(enum.IntEnum):
    """obu_type (section 6.2.2), those a server meets by name."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    TILE_LIST = 8
    PADDING = 15


class Obu(NamedTuple):
    """One open bitstream unit."""

    type: int
    header: bytes
    """One or two bytes, obu_has_size_field as it came."""
    payload: memoryview


def read_leb128(data: bytes | memoryview, pos: int) -> tuple[int, int]:
    """The little-endian base 128 number at `pos`, and the position behind it.

    Raises:
        RemoteProtocolError: it is cut, longer than 8 bytes or over 32 bits.
    """
    value = 0
    for index, byte in enumerate(data[pos : pos + _MAX_LEB128]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            if value >> 32:
                raise RemoteProtocolError("AV1: a leb128 number is over 32 bits")
            return value, pos + index + 1
    raise RemoteProtocolError("AV1: a leb128 number has no end")


def leb128(value: int) -> bytes:
    """`value` in as few bytes as possible."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def obus(data: bytes) -> Iterator[Obu]:
    """The units of a temporal unit in low-overhead form (section 5.2).

    Raises:
        RemoteProtocolError: a unit ends behind the data, or sets the forbidden bit.
    """
    view = memoryview(data)
    pos = 0
    while pos < len(data):
        first = data[pos]
        if first & 0x80:
            raise RemoteProtocolError("AV1: forbidden bit of an OBU header is set")
        start = pos + (2 if first & 0x04 else 1)
        header = data[pos:start]
        if first & 0x02:
            size, start = read_leb128(view, start)
        else:
            size = len(data) - start  # only the last unit can go without its size
        pos = start + size
        if size < 0 or pos > len(data):
            raise RemoteProtocolError("AV1: an OBU ends behind its temporal unit")
        yield Obu(first >> 3 & 0x0F, header, view[start:pos])


def sequence_of(data: bytes) -> Av1Sequence | None:
    """The first sequence header of a temporal unit (or of a record's OBUs), None without one.

    Raises:
        RemoteProtocolError: units or sequence header cannot be read.
    """
    for obu in obus(data):
        if obu.type == ObuType.SEQUENCE_HEADER:
            return Av1Sequence.parse(obu.payload)
    return None


@dataclass(frozen=True, slots=True)
class Av1Config:
    """What an AV1CodecConfigurationRecord says."""

    profile: int
    """0 Main, 1 High, 2 Professional."""
    level: int
    """seq_level_idx of operating point 0: (major - 2) * 4 + minor."""
    tier: int
    bit_depth: int
    obus: bytes
    """Usually the sequence header; may be empty, then each key frame brings its own."""

    @classmethod
    def parse(cls, record: bytes) -> Av1Config:
        """Read a record.

        Raises:
            RemoteProtocolError: it is cut, or marker and version are not those of AV1.
        """
        if len(record) < 4:
            raise RemoteProtocolError(f"AV1 configuration of {len(record)} bytes")
        if record[0] != 0x81:
            raise RemoteProtocolError("AV1 configuration with the wrong marker or version")
        flags = record[2]
        bit_depth = 8 + 2 * (flags >> 6 & 1) * (1 + (flags >> 5 & 1))
        return cls(record[1] >> 5, record[1] & 0x1F, flags >> 7, bit_depth, record[4:])

    @staticmethod
    def build(sequence: Av1Sequence, header: bytes | memoryview) -> bytes:
        """Write the record for a sequence header that came in band.

        Args:
            sequence: what the header says.
            header: the sequence header's payload.
        """
        flags = sequence.tier << 7 | sequence.chroma_flags
        if sequence.bit_depth > 8:
            flags |= 0x40 | 0x20 * (sequence.bit_depth == 12)
        unit = bytes((ObuType.SEQUENCE_HEADER << 3 | 0x02,)) + leb128(len(header)) + bytes(header)
        return bytes((0x81, sequence.profile << 5 | sequence.level, flags, 0)) + unit

    def sequence(self) -> Av1Sequence | None:
        """The sequence header, read; None where there is none or it makes no sense."""
        try:
            return sequence_of(self.obus)
        except RemoteProtocolError:
            return None  # each key frame repeats it

    @property
    def name(self) -> str:
        """Profile and level for people, e.g. "Main@4.0"."""
        profile = ("Main", "High", "Professional")[min(self.profile, 2)]
        return f"{profile}@{2 + (self.level >> 2)}.{self.level & 3}"

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name (ISOBMFF binding, section 5), e.g. "av01.0.08M.08"."""
        return f"av01.{self.profile}.{self.level:02}{'MH'[self.tier]}.{self.bit_depth:02}"

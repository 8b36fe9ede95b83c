"""Opus: its identification header and the duration of a packet.

Source: RFC 7845 section 5.1 (OpusHead), RFC 6716 section 3.1 (the TOC byte).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["MAGIC", "SAMPLE_RATE", "OpusHead", "packet_duration"]

MAGIC: Final = b"OpusHead"
SAMPLE_RATE: Final = 48_000
"""Hertz: every Opus decoder plays at this, whatever was recorded."""

_SIZE: Final = 19
_FRAME_US: Final = (
    *(10_000, 20_000, 40_000, 60_000) * 3,  # SILK, three bandwidths
    *(10_000, 20_000) * 2,  # hybrid, two bandwidths
    *(2_500, 5_000, 10_000, 20_000) * 4,  # CELT, four bandwidths
)
"""Microseconds of one frame, by the configuration number of the TOC byte."""
_MAX_US: Final = 120_000


@dataclass(frozen=True, slots=True)
class OpusHead:
    """What an identification header says."""

    channels: int
    pre_skip: int = 312
    """Samples at 48 kHz to throw away at the start; 312 is libopus's own delay."""
    input_rate: int = SAMPLE_RATE
    """Hertz before encoding; a hint."""
    gain: int = 0
    """Q7.8 dB."""
    family: int = 0
    """Channel mapping family: 0 mono or stereo, 1 Vorbis order, 255 unspecified."""
    mapping: bytes = b""
    """Stream count, coupled count and one byte per channel; empty in family 0."""

    @classmethod
    def parse(cls, record: bytes) -> OpusHead:
        """Read a header, magic included.

        Raises:
            RemoteProtocolError: it is cut, or not one.
        """
        if len(record) < _SIZE or not record.startswith(MAGIC):
            raise RemoteProtocolError("Opus: not an identification header")
        if record[8] >> 4:
            raise RemoteProtocolError(f"Opus: header of version {record[8]}")
        channels, family = record[9], record[18]
        mapping = record[_SIZE : _SIZE + 2 + channels] if family else b""
        if family and len(mapping) < 2 + channels:
            raise RemoteProtocolError("Opus: the channel mapping is cut")
        if not channels or (not family and channels > 2):
            raise RemoteProtocolError(f"Opus: {channels} channels in mapping family {family}")
        return cls(
            channels,
            int.from_bytes(record[10:12], "little"),
            int.from_bytes(record[12:16], "little"),
            int.from_bytes(record[16:18], "little", signed=True),
            family,
            mapping,
        )

    def build(self) -> bytes:
        """Write the header."""
        return b"".join(
            (
                MAGIC,
                bytes((1, self.channels)),
                self.pre_skip.to_bytes(2, "little"),
                self.input_rate.to_bytes(4, "little"),
                self.gain.to_bytes(2, "little", signed=True),
                bytes((self.family,)),
                self.mapping,
            )
        )


def packet_duration(packet: bytes | memoryview) -> int:
    """How long a packet plays, in microseconds.

    Raises:
        RemoteProtocolError: it is empty, or longer than the 120 ms a packet may last.
    """
    if not packet:
        raise RemoteProtocolError("Opus: an empty packet")
    toc = packet[0]
    count = (1, 2, 2)[toc & 3] if toc & 3 != 3 else packet[1] & 0x3F if len(packet) > 1 else 0
    duration = count * _FRAME_US[toc >> 3]
    if not 0 < duration <= _MAX_US:
        raise RemoteProtocolError(f"Opus: a packet of {duration} microseconds")
    return duration

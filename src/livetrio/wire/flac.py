"""FLAC: the STREAMINFO block, which is its decoder configuration.

Source: RFC 9639 sections 8.1 (block header) and 8.2 (STREAMINFO).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["StreamInfo"]

_SIZE: Final = 34
_MAGIC: Final = b"fLaC"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a STREAMINFO block says."""

    sample_rate: int
    """Hertz."""
    channels: int
    bits_per_sample: int
    block: bytes
    """The 34 bytes themselves, without any header."""

    @classmethod
    def parse(cls, record: bytes) -> StreamInfo:
        """Read the block, bare (as FFmpeg sends it) or behind "fLaC" and its block header.

        Raises:
            RemoteProtocolError: it is cut, or not a STREAMINFO.
        """
        if record.startswith(_MAGIC):
            if record[4:8] not in (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22"):
                raise RemoteProtocolError("FLAC: the first block is not a STREAMINFO")
            record = record[8:]
        if len(record) < _SIZE:
            raise RemoteProtocolError(f"FLAC: a STREAMINFO of {len(record)} bytes")
        fields = int.from_bytes(record[10:14], "big")  # rate 20 bits, channels 3, sample size 5
        if not fields >> 12:
            raise RemoteProtocolError("FLAC: a sample rate of 0 Hz")
        return cls(fields >> 12, (fields >> 9 & 7) + 1, (fields >> 4 & 31) + 1, record[:_SIZE])

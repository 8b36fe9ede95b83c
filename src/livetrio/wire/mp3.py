"""MPEG audio: the header of a frame (ISO/IEC 11172-3 and 13818-3, section 2.4.1.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError

__all__ = ["Mp3Header", "read_header"]

_RATES: Final = (44_100, 48_000, 32_000)
_DIVISOR: Final = {3: 1, 2: 2, 0: 4}
"""By version: MPEG-1, MPEG-2, MPEG-2.5 (1 is reserved)."""
_MONO: Final = 3


class Mp3Header(NamedTuple):
    """What a frame says about the stream."""

    sample_rate: int
    """Hertz."""
    channels: int


def read_header(frame: bytes | memoryview) -> Mp3Header:
    """Read the four bytes a frame begins with.

    Raises:
        RemoteProtocolError: they are missing, or not the header of a frame.
    """
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        raise RemoteProtocolError("MP3: a frame without its sync word")
    version, layer, rate = frame[1] >> 3 & 3, frame[1] >> 1 & 3, frame[2] >> 2 & 3
    if version == 1 or layer == 0 or rate == 3:
        raise RemoteProtocolError("MP3: a frame header with reserved values")
    return Mp3Header(_RATES[rate] // _DIVISOR[version], 1 if frame[3] >> 6 == _MONO else 2)

"""AC-3 and E-AC-3: the header of a frame, which is all the configuration they have.

Source: ETSI TS 102 366 sections 4.3 (AC-3) and E.1.2 (E-AC-3).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitReader

__all__ = ["Ac3Header", "read_header"]

_SYNC: Final = 0x0B77
_RATES: Final = (48_000, 44_100, 32_000)
_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_LAST_AC3: Final = 10
"""Highest bsid of AC-3 (9 and 10 halve the rate); E-AC-3 has 11 to 16."""
_LAST_EAC3: Final = 16


class Ac3Header(NamedTuple):
    """What a frame says about the stream."""

    enhanced: bool
    """E-AC-3."""
    sample_rate: int
    """Hertz."""
    channels: int
    """Low frequency channel included."""


def read_header(frame: bytes | memoryview) -> Ac3Header:
    """Read the start of a frame of either kind.

    Raises:
        RemoteProtocolError: it is cut, or not one.
    """
    bits = BitReader(frame)
    if bits.read(16) != _SYNC:
        raise RemoteProtocolError("AC-3: a frame without its sync word")
    bits.skip(24)
    bsid = bits.read(5)
    if bsid <= _LAST_AC3:
        return _ac3(BitReader(frame), bsid)
    if bsid <= _LAST_EAC3:
        return _eac3(BitReader(frame))
    raise RemoteProtocolError(f"AC-3: bit stream identification {bsid}")


def _ac3(bits: BitReader, bsid: int) -> Ac3Header:
    bits.skip(32)
    rate = _rate(bits.read(2)) >> max(0, bsid - 8)
    bits.skip(14)
    mode = bits.read(3)
    if mode & 1 and mode != 1:
        bits.skip(2)  # cmixlev
    if mode & 4:
        bits.skip(2)  # surmixlev
    if mode == 2:
        bits.skip(2)  # dsurmod
    return Ac3Header(False, rate, _CHANNELS[mode] + bits.read(1))


def _eac3(bits: BitReader) -> Ac3Header:
    bits.skip(32)
    code = bits.read(2)
    half = bits.read(2)  # numblkscod, or the half rate where code is 3
    rate = _rate(half) // 2 if code == 3 else _RATES[code]
    mode = bits.read(3)
    return Ac3Header(True, rate, _CHANNELS[mode] + bits.read(1))


def _rate(code: int) -> int:
    if code == 3:
        raise RemoteProtocolError("AC-3: reserved sample rate")
    return _RATES[code]

"""H.264 into RTP (RFC 6184, packetization mode 1): STAP-A for what is small, FU-A in equal slices.

The parameter sets of the configuration record go before each IDR picture, in band: a viewer may
begin at any of them, and `sprop-parameter-sets` would be stale after the first change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import nal_units
from livetrio.wire.rtp.packetize.packetizer import ROOM, slices

__all__ = ["H264Packetizer"]

_STAP_A: Final = 24
_FU_A: Final = 28
_FU_START: Final = 0x80
_FU_END: Final = 0x40
_NRI: Final = 0x60
_DROPPED: Final = frozenset({AvcNal.AUD, AvcNal.FILLER})
"""Say nothing that the marker bit and the timestamp do not."""


class H264Packetizer:
    """One H.264 track."""

    __slots__ = ("_length_size", "_room", "_sets")

    def __init__(self, room: int = ROOM) -> None:
        """room: bytes of the longest payload."""
        self._room = room
        self._length_size = 4
        self._sets: tuple[bytes, ...] = ()

    def configure(self, record: bytes) -> None:
        """See `Packetizer`."""
        config = AvcConfig.parse(record)
        self._length_size = config.length_size
        self._sets = (*config.sps_list, *config.pps_list)

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:
        """See `Packetizer`. A frame that brings its own SPS is not given another."""
        units: Iterable[memoryview | bytes] = nal_units(frame, self._length_size)
        if key:
            units = list(units)
            if not any(unit[0] & 0x1F == AvcNal.SPS for unit in units):
                units = [*self._sets, *units]
        payloads: list[bytes] = []
        small: list[memoryview | bytes] = []
        space = self._room - 1
        for unit in units:
            if unit[0] & 0x1F in _DROPPED:
                continue
            size = len(unit) + 2
            if size > space and small:
                payloads.append(_aggregate(small))
                small, space = [], self._room - 1
            if len(unit) > self._room:
                self._fragment(unit, payloads)
            else:
                small.append(unit)
                space -= size
        if small:
            payloads.append(_aggregate(small))
        return payloads

    def _fragment(self, unit: memoryview | bytes, payloads: list[bytes]) -> None:
        """Add the FU-As of a unit that does not fit (section 5.8)."""
        indicator, kind = unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F
        body = memoryview(unit)[1:]
        size = len(body)
        for start, end in slices(size, self._room - 2):
            flags = (0 if start else _FU_START) | (_FU_END if end == size else 0)
            payloads.append(bytes((indicator, flags | kind)) + body[start:end])


def _aggregate(units: list[memoryview | bytes]) -> bytes:
    """One unit as it is, several as a STAP-A (section 5.7.1) of their highest importance."""
    if len(units) == 1:
        return bytes(units[0])
    parts: list[memoryview | bytes] = [bytes((max(unit[0] & _NRI for unit in units) | _STAP_A,))]
    for unit in units:
        parts += (len(unit).to_bytes(2, "big"), unit)
    return b"".join(parts)

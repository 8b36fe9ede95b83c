"""PES packets, read: the payloads of one PID put together again.

Source: ISO/IEC 13818-1 section 2.4.3.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from livetrio.wire.mpegts.packets import TransportPacket

__all__ = ["HEADER", "MAX_PES", "Pes", "PesReader", "read_times"]

MAX_PES: Final = 32 << 20
"""Bytes; longer ones are passed over."""
HEADER: Final = 9
"""Bytes before the times."""
_START: Final = b"\x00\x00\x01"


@dataclass(slots=True, eq=False)
class Pes:
    """One PES packet: a picture, or some frames of sound."""

    pts: int | None
    """In 90 kHz, 33 bits, as written; None where it has no times."""
    dts: int | None
    key: bool
    """random_access_indicator of its first transport packet."""
    place: int
    """Where that packet stands, as the caller counts."""
    data: bytes = b""


@dataclass(slots=True, eq=False)
class _Open:
    """One that is being put together."""

    pes: Pes
    wanted: int
    """Bytes of payload; 0: until the next one begins."""
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


class PesReader:
    """One PID. Damaged packets (lost pieces, too long, scrambled) are passed over whole.

    Args:
        most: bytes of a packet.
    """

    def __init__(self, most: int = MAX_PES) -> None:
        self._most = most
        self._open: _Open | None = None
        self._counter = -1

    @property
    def pending(self) -> bool:
        """Is there one whose end has not come?"""
        return self._open is not None

    def feed(self, packet: TransportPacket, place: int) -> Pes | None:
        """The next transport packet of this PID; returns the PES packet that it completes, be it
        by its end or by the beginning of another. The latter may itself be whole at once: it is
        handed over with the next call.
        """
        if packet.counter == self._counter and not packet.starts:
            return None  # the same once more, as is allowed
        lost = packet.counter != self._counter + 1 & 15 and not packet.broken
        self._counter = packet.counter
        if packet.scrambled:
            self._open = None
            return None
        if packet.starts:
            # One that is not bounded may have lost its last piece.
            before = None if lost and self._unsure() else self.end()
            self._begin(packet, place)
            return before
        if lost:
            self._open = None
        return self._add(packet.payload)

    def end(self) -> Pes | None:
        """The one whose end has not come, as far as it has."""
        current, self._open = self._open, None
        if current is None or (current.wanted and current.size < current.wanted):
            return None
        data = b"".join(current.parts)
        current.pes.data = data[: current.wanted] if current.wanted else data
        return current.pes

    def _unsure(self) -> bool:
        return self._open is not None and not self._open.wanted

    def _begin(self, packet: TransportPacket, place: int) -> None:
        payload = packet.payload
        if len(payload) < HEADER or payload[:3] != _START or payload[6] & 0xF0 != 0x80:
            return  # no PES packet, one without header fields, or a scrambled one
        head = HEADER + payload[8]
        length = int.from_bytes(payload[4:6], "big")
        wanted = length + 6 - head if length else 0
        if head > len(payload) or wanted < 0 or (length and not wanted):
            return
        pts, dts = read_times(payload)
        self._open = _Open(Pes(pts, dts, packet.key, place), wanted)
        self._open.parts.append(payload[head:])
        self._open.size = len(payload) - head

    def _add(self, payload: bytes) -> Pes | None:
        current = self._open
        if current is None:
            return None
        current.parts.append(payload)
        current.size += len(payload)
        if current.size > self._most:
            self._open = None
        elif current.wanted and current.size >= current.wanted:
            return self.end()
        return None


def read_times(payload: bytes) -> tuple[int | None, int | None]:
    """PTS and DTS of the PES packet that begins so; the one is the other where it says one."""
    flags = payload[7] >> 6
    if flags < 2 or len(payload) < HEADER + 5 or payload[8] < 5:
        return None, None
    pts = _stamp(payload, HEADER)
    if flags == 2 or len(payload) < HEADER + 10 or payload[8] < 10:
        return pts, pts
    return pts, _stamp(payload, HEADER + 5)


def _stamp(data: bytes, pos: int) -> int:
    """A time stamp out of five bytes with marker bits."""
    value = int.from_bytes(data[pos : pos + 5], "big")
    return value >> 3 & 7 << 30 | value >> 2 & 0x7FFF << 15 | value >> 1 & 0x7FFF

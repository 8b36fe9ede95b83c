"""Transport packets, read: where they are in some bytes, and what of each is payload.

Source: ISO/IEC 13818-1 sections 2.4.3.2 (packet) and 2.4.3.4 (adaptation field).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["SIZE", "Framing", "Run", "TransportPacket", "read_packet"]

SIZE: Final = 188
_SYNC: Final = b"\x47"
_IN_A_ROW: Final = 3
"""Sync bytes at the right distance that are believed after nonsense."""


class TransportPacket(NamedTuple):
    """One packet with a payload."""

    pid: int
    starts: bool
    """payload_unit_start_indicator."""
    counter: int
    """continuity_counter, 0 to 15."""
    scrambled: bool
    key: bool
    """random_access_indicator."""
    broken: bool
    """discontinuity_indicator: the counter may jump here."""
    payload: bytes


class Run(NamedTuple):
    """Whole packets that follow one another in some data."""

    data: bytes
    begin: int
    end: int
    place: int
    """Where `begin` stands in the file."""


class Framing:
    """Finds packets in the bytes of a stream. Nonsense between them is passed over, and at
    speed: a file may have gigabytes of it. What is held is less than three packets.

    Args:
        place: where the first byte stands in its file.
    """

    def __init__(self, place: int = 0) -> None:
        self._rest = b""
        self._place = place
        self._in_step = False

    def feed(self, data: bytes, *, final: bool = False) -> list[Run]:
        """The next bytes; final: there are no more, fewer sync bytes are believed."""
        data = self._rest + data if self._rest else data
        runs: list[Run] = []
        pos = 0
        while len(data) - pos >= SIZE:
            count = _count(data, pos)
            end = pos + count * SIZE
            if not self._in_step and 0 < count < _IN_A_ROW:
                if len(data) - end >= SIZE:
                    count = 0  # they were none
                elif not final:
                    break  # too early to say
            self._in_step = count > 0
            if count:
                runs.append(Run(data, pos, end, self._place + pos))
                pos = end
            elif (pos := data.find(_SYNC, pos + 1)) < 0:
                pos = len(data)
        self._rest = data[pos:]
        self._place += pos
        return runs


def _count(data: bytes, pos: int) -> int:
    """How many packets follow one another from here on."""
    count = (len(data) - pos) // SIZE
    marks = data[pos : pos + count * SIZE : SIZE]
    return count - len(marks.lstrip(_SYNC))


def read_packet(data: bytes, pos: int) -> TransportPacket | None:
    """The packet at a place; None for one without payload, or that says it is damaged."""
    second, third, fourth = data[pos + 1], data[pos + 2], data[pos + 3]
    if second & 0x80 or not fourth & 0x10:  # transport_error_indicator; no payload
        return None
    start, key, broken = pos + 4, False, False
    if fourth & 0x20:
        length = data[start]
        if length:
            flags = data[start + 1]
            key, broken = bool(flags & 0x40), bool(flags & 0x80)
        start += 1 + length
    return TransportPacket(
        (second & 0x1F) << 8 | third,
        bool(second & 0x40),
        fourth & 0x0F,
        bool(fourth & 0xC0),
        key,
        broken,
        data[start : pos + SIZE],  # empty where the adaptation field claims too much
    )

"""AV1 into RTP (AOM "RTP Payload Format for AV1" section 4): OBU elements, cut to equal packets.

Units lose their sizes, since the elements have theirs; temporal delimiters, tile lists and
padding stay behind, as the payload format asks. A key frame without a sequence header of its own
gets the one of the configuration record.
"""

from __future__ import annotations

from typing import Final

from livetrio.wire.av1 import Av1Config, ObuType, leb128, obus
from livetrio.wire.rtp.packetize.packetizer import ROOM

__all__ = ["Av1Packetizer"]

_Z: Final = 0x80
"""The first element goes on with the last one of the packet before."""
_Y: Final = 0x40
"""The last element goes on in the next packet."""
_N: Final = 0x08
"""The first packet of a coded video sequence."""
_MAX_ELEMENTS: Final = 3
"""That W can count, so that the last of them needs no length."""
_HAS_SIZE: Final = 0x02
_DROPPED: Final = frozenset({ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST, ObuType.PADDING})
_LENGTH: Final = 2
"""Bytes of an element's length, which is below 16,384."""


class Av1Packetizer:
    """One AV1 track."""

    __slots__ = ("_room", "_sequence")

    def __init__(self, room: int = ROOM) -> None:
        """room: bytes of the longest payload, at least 16."""
        self._room = room
        self._sequence: list[bytes] = []

    def configure(self, record: bytes) -> None:
        """See `Packetizer`."""
        self._sequence = _elements(Av1Config.parse(record).obus) if record else []

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:
        """See `Packetizer`."""
        elements = _elements(frame)
        if key and not any(_type(element) == ObuType.SEQUENCE_HEADER for element in elements):
            elements = [*self._sequence, *elements]
        total = sum(len(element) + _LENGTH for element in elements)
        if not total:
            return []
        # Room for the elements of one packet, the same in all, so that all but the last are full.
        count = -(-total // (self._room - 1))
        space = min(-(-total // count) + _LENGTH, self._room - 1)
        packets: list[_Payload] = [_Payload(space, goes_on=False)]
        for element in elements:
            begin = 0
            while begin < len(element):
                packet = packets[-1]
                taken = packet.take(element, begin)
                begin += taken
                if begin < len(element) or not packet.space:
                    packet.cut = bool(taken) and begin < len(element)
                    packets.append(_Payload(space, goes_on=begin > 0 and begin < len(element)))
        first = _N if key else 0
        return [
            packet.build(0 if index else first)
            for index, packet in enumerate(packets)
            if packet.elements
        ]


class _Payload:
    """One packet as it fills."""

    __slots__ = ("cut", "elements", "goes_on", "space")

    def __init__(self, space: int, *, goes_on: bool) -> None:
        self.space = space
        self.goes_on = goes_on
        self.cut = False
        self.elements: list[bytes] = []

    def take(self, element: bytes, begin: int) -> int:
        """Take in what fits of an element from `begin` on; how many bytes that was."""
        last = self.elements[-1] if self.elements else b""
        cost = len(leb128(len(last))) if last else 0  # it is the last no more: needs its length
        if len(self.elements) == _MAX_ELEMENTS or self.space <= cost:
            self.space = 0
            return 0
        part = element[begin : begin + self.space - cost]
        self.elements.append(part)
        self.space -= cost + len(part)
        return len(part)

    def build(self, flags: int) -> bytes:
        """The payload: aggregation header, then the elements, the last without its length."""
        flags |= len(self.elements) << 4
        flags |= (_Z if self.goes_on else 0) | (_Y if self.cut else 0)
        parts = [bytes((flags,))]
        for element in self.elements[:-1]:
            parts += (leb128(len(element)), element)
        parts.append(self.elements[-1])
        return b"".join(parts)


def _elements(data: bytes) -> list[bytes]:
    """The units worth sending, each without its size field."""
    return [
        bytes((obu.header[0] & ~_HAS_SIZE,)) + obu.header[1:] + obu.payload
        for obu in obus(data)
        if obu.type not in _DROPPED
    ]


def _type(element: bytes) -> int:
    return element[0] >> 3 & 0x0F

"""AV1 out of RTP: OBU elements to the low-overhead form that MP4 and enhanced FLV carry.

Source: AOM "RTP Payload Format for AV1" section 4; AV1 specification sections 5.3 and 5.9;
AV1 ISO Media File Format Binding section 2.4 (no temporal delimiters, every unit with its size).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.av1 import Av1Config, ObuType, leb128, read_leb128
from livetrio.wire.av1_sequence import Av1Sequence
from livetrio.wire.rtp.depacketize.frame import Frame

__all__ = ["Av1Depacketizer"]

_Z: Final = 0x80
"""The first element goes on with the last one of the packet before."""
_Y: Final = 0x40
"""The last element goes on in the next packet."""
_HAS_SIZE: Final = 0x02
_EXTENSION: Final = 0x04
_DROPPED: Final = frozenset({ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST, ObuType.PADDING})
_PICTURE: Final = frozenset({ObuType.FRAME_HEADER, ObuType.FRAME})
_KEY_FRAME: Final = 0
_MAX_ELEMENTS: Final = 4096
"""Of one frame: more than its packets and its tile groups ever are."""


class Av1Depacketizer:
    """One AV1 track. Layers all pass: a decoder shows the highest of its operating point."""

    __slots__ = ("_header",)

    def __init__(self) -> None:
        self._header: bytes | None = None

    def begins(self, payload: bytes) -> bool:
        """See `Depacketizer`: a packet that continues nothing.

        It may be one in the middle of a temporal unit too. But only a key frame ends the wait
        after a loss, and no unit without a sequence header passes for one.
        """
        return not payload[0] & _Z

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """See `Depacketizer`. A key frame is a key frame with its sequence header."""
        parts: list[bytes] = []
        header: bytes | None = None
        first_picture = -1
        for unit in _elements(payloads):
            kind, head, body = _split(unit)
            if kind in _DROPPED:
                continue
            if kind == ObuType.SEQUENCE_HEADER:
                header = body
            elif kind in _PICTURE and first_picture < 0:
                first_picture = body[0] if body else 0xFF
            parts += (head, leb128(len(body)), body)
        if first_picture < 0:
            return None
        # show_existing_frame, then frame_type in two bits (section 5.9.2).
        key = header is not None and first_picture >> 5 == _KEY_FRAME
        frame = Frame(b"".join(parts), key)
        if header is not None and header != self._header:
            frame.record = Av1Config.build(Av1Sequence.parse(header), header)
            self._header = header
        return frame


def _elements(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """The whole OBUs of a temporal unit."""
    open_unit: list[bytes] = []
    count = 0
    for payload in payloads:
        flags = payload[0]
        if bool(flags & _Z) is not bool(open_unit):
            raise RemoteProtocolError("AV1: a fragment without its start, or without its end")
        elements = _split_packet(payload)
        count += len(elements)
        if count > _MAX_ELEMENTS:
            raise RemoteProtocolError(f"AV1: more than {_MAX_ELEMENTS} elements in one frame")
        goes_on = elements.pop() if flags & _Y else None
        for element in elements:
            open_unit.append(element)
            yield b"".join(open_unit)
            open_unit = []
        if goes_on is not None:
            open_unit.append(goes_on)
    if open_unit:
        raise RemoteProtocolError("AV1: a fragment without its end")


def _split_packet(payload: bytes) -> list[bytes]:
    """The elements of one packet, at least one, none empty."""
    announced = payload[0] >> 4 & 3
    elements: list[bytes] = []
    pos, end = 1, len(payload)
    while pos < end:
        if len(elements) == announced - 1:  # of W elements the last goes without its length
            start, pos = pos, end
        else:
            size, start = read_leb128(payload, pos)
            pos = start + size
        if pos > end or pos == start:
            raise RemoteProtocolError("AV1: the elements of a packet do not add up")
        elements.append(payload[start:pos])
    if len(elements) < max(announced, 1):
        raise RemoteProtocolError("AV1: fewer elements than announced")
    return elements


def _split(unit: bytes) -> tuple[int, bytes, bytes]:
    """Type, header (now with obu_has_size_field) and payload of one OBU."""
    first = unit[0]
    if first & 0x80:
        raise RemoteProtocolError("AV1: forbidden bit of an OBU header is set")
    start = 2 if first & _EXTENSION else 1
    if start > len(unit):
        raise RemoteProtocolError("AV1: an OBU ends within its header")
    head = bytes((first | _HAS_SIZE,)) + unit[1:start]
    if first & _HAS_SIZE:
        size, start = read_leb128(unit, start)
        if start + size != len(unit):
            raise RemoteProtocolError("AV1: an OBU's size is not that of its element")
    return first >> 3 & 0x0F, head, unit[start:]

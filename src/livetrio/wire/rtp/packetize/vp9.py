"""VP9 into RTP (RFC 9628): the smallest descriptor, non-flexible mode without layers.

Neither layer indices nor a scalability structure: a frame then depends on the one before it,
which is true of every stream that reaches us as whole frames. A superframe (a hidden frame and
the one that shows) goes as it is, under one picture number.
"""

from __future__ import annotations

from typing import Final

from livetrio.wire.rtp.packetize.packetizer import ROOM, slices

__all__ = ["Vp9Packetizer"]

_HAS_PICTURE_ID: Final = 0x80
_PREDICTED: Final = 0x40
_BEGIN: Final = 0x08
_END: Final = 0x04
_LONG: Final = 0x8000
"""The M bit: a picture number of 15 bits."""
_SIZE: Final = 3


class Vp9Packetizer:
    """One VP9 track."""

    __slots__ = ("_picture", "_room")

    def __init__(self, room: int = ROOM) -> None:
        """room: bytes of the longest payload."""
        self._room = room
        self._picture = 0

    def configure(self, record: bytes) -> None:
        """See `Packetizer`: key frames say all."""

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:
        """See `Packetizer`."""
        flags = _HAS_PICTURE_ID if key else _HAS_PICTURE_ID | _PREDICTED
        tail = (_LONG | self._picture).to_bytes(2, "big")
        self._picture = self._picture + 1 & 0x7FFF
        size = len(frame)
        payloads: list[bytes] = []
        for start, end in slices(size, self._room - _SIZE):
            head = flags | (0 if start else _BEGIN) | (_END if end == size else 0)
            payloads.append(bytes((head,)) + tail + frame[start:end])
        return payloads

"""VP8 into RTP (RFC 7741): a descriptor with a picture number, then a slice of the frame.

Partitions are not looked for: a packet may begin anywhere in a frame, and no receiver of today
decodes half a frame.
"""

from __future__ import annotations

from typing import Final

from livetrio.wire.rtp.packetize.packetizer import ROOM, slices

__all__ = ["Vp8Packetizer"]

_EXTENDED: Final = 0x80
_START: Final = 0x10
_HAS_PICTURE_ID: Final = 0x80
_LONG: Final = 0x8000
"""The M bit: a picture number of 15 bits."""
_SIZE: Final = 4


class Vp8Packetizer:
    """One VP8 track."""

    __slots__ = ("_picture", "_room")

    def __init__(self, room: int = ROOM) -> None:
        """room: bytes of the longest payload."""
        self._room = room
        self._picture = 0

    def configure(self, record: bytes) -> None:
        """See `Packetizer`: key frames say all."""

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:  # noqa: ARG002 - in the frame
        """See `Packetizer`."""
        tail = bytes((_HAS_PICTURE_ID,)) + (_LONG | self._picture).to_bytes(2, "big")
        self._picture = self._picture + 1 & 0x7FFF
        return [
            bytes((_EXTENDED if start else _EXTENDED | _START,)) + tail + frame[start:end]
            for start, end in slices(len(frame), self._room - _SIZE)
        ]

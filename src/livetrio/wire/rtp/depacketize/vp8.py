"""VP8 out of RTP: payload descriptors off, partitions joined.

Source: RFC 7741 section 4.2 (payload descriptor), RFC 6386 section 9.1 (frame header).
"""

from __future__ import annotations

from collections.abc import Sequence

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.depacketize.frame import Frame
from livetrio.wire.vp import VpConfig, level_of, vp8_key_frame

__all__ = ["Vp8Depacketizer"]


class Vp8Depacketizer:
    """One VP8 track. Temporal layers all pass: each is a frame of its own."""

    __slots__ = ("_shape",)

    def __init__(self) -> None:
        self._shape: tuple[int, int, int] | None = None

    def begins(self, payload: bytes) -> bool:
        """See `Depacketizer`: the start of partition 0."""
        return payload[0] & 0x17 == 0x10

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """See `Depacketizer`.

        Raises:
            RemoteProtocolError: also for a frame whose first partition is not there.
        """
        if not self.begins(payloads[0]):
            raise RemoteProtocolError("VP8: a frame without its start")
        data = b"".join([payload[_descriptor(payload) :] for payload in payloads])
        shape = vp8_key_frame(data)
        if shape is None:
            return Frame(data)
        frame = Frame(data, True, b"", shape.width, shape.height)
        if shape != self._shape:
            self._shape = shape
            frame.record = VpConfig(
                shape.profile, level_of(shape.width, shape.height), 8, 1
            ).build()
        return frame


def _descriptor(payload: bytes) -> int:
    """The length of the payload descriptor; at least one byte of payload follows it."""
    size = 1
    if payload[0] & 0x80 and len(payload) > 1:  # X
        flags = payload[1]
        size = 2
        if flags & 0x80:  # I: PictureID of 7 or 15 bits
            size += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
        if flags & 0x40:  # L: TL0PICIDX
            size += 1
        if flags & 0x30:  # T or K: TID, Y, KEYIDX
            size += 1
    if size >= len(payload):
        raise RemoteProtocolError("VP8: a packet that ends within its descriptor")
    return size

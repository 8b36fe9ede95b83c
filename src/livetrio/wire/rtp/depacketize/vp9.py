"""VP9 out of RTP: payload descriptors off, the base spatial layer joined.

Of a scalable stream only the base layer is taken: it depends on no other, and one picture per
time is what FLV, MP4 and every decoder expect. A superframe of all layers was refused, since
libvpx marks each of its layers as shown, and players that split superframes then show them all.
Whoever wants layers sends simulcast. Temporal layers all pass.

Source: RFC 9628 section 4.2 (payload descriptor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.depacketize.frame import Frame
from livetrio.wire.vp import VpConfig, level_of, vp9_key_frame

__all__ = ["Vp9Depacketizer"]

_I: Final = 0x80
_P: Final = 0x40
_L: Final = 0x20
_F: Final = 0x10
_B: Final = 0x08
_E: Final = 0x04
_V: Final = 0x02
_MAX_DIFFS: Final = 3
"""Reference indices of one frame (section 4.2, P_DIFF)."""


class Vp9Depacketizer:
    """One VP9 track."""

    __slots__ = ("_shape",)

    def __init__(self) -> None:
        self._shape: tuple[int, int, int] | None = None

    def begins(self, payload: bytes) -> bool:
        """See `Depacketizer`: the first packet of a layer frame of spatial layer 0."""
        if not payload[0] & _B:
            return False
        try:
            return _descriptor(payload)[1] == 0
        except RemoteProtocolError:
            return False

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """See `Depacketizer`. None: only higher spatial layers.

        Raises:
            RemoteProtocolError: also for a frame without its start or end.
        """
        parts: list[bytes] = []
        complete = False
        for payload in payloads:
            size, spatial = _descriptor(payload)
            if spatial:
                continue
            if complete or bool(payload[0] & _B) is bool(parts):
                raise RemoteProtocolError("VP9: a frame without its start, or with two")
            complete = bool(payload[0] & _E)
            parts.append(payload[size:])
        if not parts:
            return None
        if not complete:
            raise RemoteProtocolError("VP9: a frame without its end")
        data = b"".join(parts)
        shape = vp9_key_frame(data)
        if shape is None:
            return Frame(data)
        frame = Frame(data, True, b"", shape.width, shape.height)
        if shape != self._shape:
            self._shape = shape
            profile = shape.profile
            # Profiles 2 and 3 are those of more than 8 bits; 1 and 3 those of 4:4:4 (or 4:2:2).
            depth, chroma = (10 if profile > 1 else 8), (3 if profile & 1 else 1)
            level = level_of(shape.width, shape.height)
            frame.record = VpConfig(profile, level, depth, chroma).build()
        return frame


def _descriptor(payload: bytes) -> tuple[int, int]:
    """The length of the payload descriptor, and the spatial layer it names (else 0)."""
    try:
        size, spatial = _read_descriptor(payload)
    except IndexError:
        size, spatial = len(payload), 0
    if size >= len(payload):
        raise RemoteProtocolError("VP9: a packet that ends within its descriptor")
    return size, spatial


def _read_descriptor(payload: bytes) -> tuple[int, int]:
    """The same, with IndexError where a byte that decides is not there."""
    flags = payload[0]
    pos, spatial = 1, 0
    if flags & _I:  # picture ID of 7 or 15 bits
        pos += 2 if payload[pos] & 0x80 else 1
    if flags & _L:
        spatial = payload[pos] >> 1 & 7
        pos += 1 if flags & _F else 2  # TL0PICIDX in non-flexible mode
    if flags & _F and flags & _P:
        for _ in range(_MAX_DIFFS):
            pos += 1
            if not payload[pos - 1] & 1:
                break
        else:
            raise RemoteProtocolError("VP9: a frame of more than three references")
    if flags & _V:
        pos = _skip_structure(payload, pos)
    return pos, spatial


def _skip_structure(payload: bytes, pos: int) -> int:
    """The position behind the scalability structure (section 4.2.1)."""
    flags = payload[pos]
    pos += 1
    if flags & 0x10:  # Y: width and height of each spatial layer
        pos += 4 * ((flags >> 5) + 1)
    if flags & 0x08:  # G: the picture group
        count = payload[pos]
        pos += 1
        for _ in range(count):
            pos += 1 + (payload[pos] >> 2 & 3)
    return pos

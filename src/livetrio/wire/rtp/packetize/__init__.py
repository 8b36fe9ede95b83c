"""Frames to RTP payloads, one file per codec; which class serves a codec."""

from __future__ import annotations

from typing import Final

from livetrio.errors import LocalProtocolError
from livetrio.packet import Codec
from livetrio.wire.rtp.packetize.av1 import Av1Packetizer
from livetrio.wire.rtp.packetize.h264 import H264Packetizer
from livetrio.wire.rtp.packetize.opus import OpusPacketizer
from livetrio.wire.rtp.packetize.packetizer import ROOM, Packetizer
from livetrio.wire.rtp.packetize.vp8 import Vp8Packetizer
from livetrio.wire.rtp.packetize.vp9 import Vp9Packetizer

__all__ = ["PACKETIZED", "ROOM", "Packetizer", "packetizer"]

PACKETIZED: Final = frozenset({Codec.H264, Codec.VP8, Codec.VP9, Codec.AV1, Codec.OPUS})
"""What can be sent over RTP."""


def packetizer(codec: Codec, room: int = ROOM) -> Packetizer:
    """A new packetiser for one track.

    Args:
        codec: one of PACKETIZED.
        room: bytes of the longest payload.

    Raises:
        LocalProtocolError: RTP of that codec is not written here.
    """
    match codec:
        case Codec.H264:
            return H264Packetizer(room)
        case Codec.VP8:
            return Vp8Packetizer(room)
        case Codec.VP9:
            return Vp9Packetizer(room)
        case Codec.AV1:
            return Av1Packetizer(room)
        case Codec.OPUS:
            return OpusPacketizer()
        case _:
            raise LocalProtocolError(f"no packetiser for {codec.value}")

"""RTP payloads to frames, one file per codec; which class serves a codec."""

from __future__ import annotations

from collections.abc import Mapping

from livetrio.errors import LocalProtocolError
from livetrio.packet import Codec
from livetrio.wire.rtp.depacketize.av1 import Av1Depacketizer
from livetrio.wire.rtp.depacketize.frame import Depacketizer, Frame
from livetrio.wire.rtp.depacketize.h264 import H264Depacketizer
from livetrio.wire.rtp.depacketize.opus import OpusDepacketizer
from livetrio.wire.rtp.depacketize.vp8 import Vp8Depacketizer
from livetrio.wire.rtp.depacketize.vp9 import Vp9Depacketizer

__all__ = ["Depacketizer", "Frame", "depacketizer"]


def depacketizer(codec: Codec, fmtp: Mapping[str, str]) -> Depacketizer:
    """A new depacketiser for one track.

    Args:
        codec: as agreed.
        fmtp: the format parameters of the peer's SDP.

    Raises:
        LocalProtocolError: RTP of that codec is not read here, so it must not be agreed to.
    """
    match codec:
        case Codec.H264:
            return H264Depacketizer(fmtp.get("sprop-parameter-sets", ""))
        case Codec.VP8:
            return Vp8Depacketizer()
        case Codec.VP9:
            return Vp9Depacketizer()
        case Codec.AV1:
            return Av1Depacketizer()
        case Codec.OPUS:
            return OpusDepacketizer()
        case _:
            raise LocalProtocolError(f"no depacketiser for {codec.value}")

"""From a codec's configuration record to a Track that says what is in it.

Every way in (FLV, MPEG-TS, WebRTC, MP4) ends here, so a stream looks the same whoever sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire import opus
from livetrio.wire.aac import AacConfig
from livetrio.wire.av1 import Av1Config
from livetrio.wire.avc import AvcConfig
from livetrio.wire.flac import StreamInfo
from livetrio.wire.hevc import HevcConfig
from livetrio.wire.hevc_sps import profile_name
from livetrio.wire.vp import VpConfig

__all__ = ["MAX_RECORD", "has_record", "track_from_record"]

MAX_RECORD: Final = 64 * 1024
"""Bytes; every newcomer is sent it. x264 needs 50, x265 with its settings in an SEI 2,500."""


def has_record(codec: Codec) -> bool:
    """Whether the codec has a configuration record, which decoders need before any frame."""
    return codec in _READERS


def track_from_record(codec: Codec, record: bytes, track_id: int = 0) -> Track:
    """A Track of `codec` with size, rate, channels and profile filled in as far as it is known.

    Args:
        codec: one that has a record (`has_record`).
        record: as `Track.config` holds it; FLAC's may have its header, which is taken off.
        track_id: 0 to 255.

    Raises:
        RemoteProtocolError: the record cannot be read. Parameter sets inside that make no sense
            are no error: decoders may know better, the picture's size stays 0.
    """
    if len(record) > MAX_RECORD:
        raise RemoteProtocolError(f"{codec.value} configuration of {len(record)} bytes")
    kind, read = _READERS[codec]
    fields: dict[str, Any] = {"config": record, **read(record)}
    return Track(kind, codec, track_id, **fields)


def _avc(record: bytes) -> dict[str, Any]:
    sps = AvcConfig.parse(record).sps()
    if sps is None:
        return {}
    return {"width": sps.width, "height": sps.height, "profile": sps.name}


def _hevc(record: bytes) -> dict[str, Any]:
    config = HevcConfig.parse(record)
    sps = config.sps()
    fields: dict[str, Any] = {"profile": profile_name(config.profile_tier_level)}
    if sps is not None:
        fields |= {"width": sps.width, "height": sps.height}
    return fields


def _av1(record: bytes) -> dict[str, Any]:
    config = Av1Config.parse(record)
    sequence = config.sequence()
    fields: dict[str, Any] = {"profile": config.name}
    if sequence is not None:
        fields |= {"width": sequence.width, "height": sequence.height}
    return fields


def _vp(record: bytes) -> dict[str, Any]:
    return {"profile": VpConfig.parse(record).name}  # the size is in the key frames


def _aac(record: bytes) -> dict[str, Any]:
    config = AacConfig.parse(record)
    rate, channels = config.sample_rate, config.channels
    return {"sample_rate": rate, "channels": channels, "profile": config.name}


def _opus(record: bytes) -> dict[str, Any]:
    return {"sample_rate": opus.SAMPLE_RATE, "channels": opus.OpusHead.parse(record).channels}


def _flac(record: bytes) -> dict[str, Any]:
    info = StreamInfo.parse(record)
    return {"config": info.block, "sample_rate": info.sample_rate, "channels": info.channels}


_READERS: Final[dict[Codec, tuple[Kind, Callable[[bytes], dict[str, Any]]]]] = {
    Codec.H264: (Kind.VIDEO, _avc),
    Codec.HEVC: (Kind.VIDEO, _hevc),
    Codec.AV1: (Kind.VIDEO, _av1),
    Codec.VP8: (Kind.VIDEO, _vp),
    Codec.VP9: (Kind.VIDEO, _vp),
    Codec.AAC: (Kind.AUDIO, _aac),
    Codec.OPUS: (Kind.AUDIO, _opus),
    Codec.FLAC: (Kind.AUDIO, _flac),
}

"""Sample entries: how MP4 names a codec and holds its configuration; RFC 6381's names for them.

Source: ISO/IEC 14496-14 (mp4a), 14496-15 (avc1, hvc1), AV1 Codec ISO Media File Format Binding
(av01), VP Codec ISO Media File Format Binding (vp08, vp09), Encapsulation of Opus in ISO Base
Media File Format (Opus), Encapsulation of FLAC in ISO Base Media File Format (fLaC).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from livetrio.errors import LocalProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.av1 import Av1Config
from livetrio.wire.avc import AvcConfig
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.hevc import HevcConfig
from livetrio.wire.opus import OpusHead
from livetrio.wire.vp import VpConfig

__all__ = ["codec_string", "in_mp4", "sample_entry"]

_VISUAL: Final = struct.Struct(">6xH16xHHIIIH32sHh")
"""SampleEntry and VisualSampleEntry: data reference, size, resolution, a reserved word,
one frame a sample, compressor's name, depth, no colour table."""
_AUDIO: Final = struct.Struct(">6xH8xHH4xI")
"""SampleEntry and AudioSampleEntry: data reference, channels, sample size, rate 16.16."""
_DPI: Final = 72 << 16
_AAC_OBJECT: Final = 0x40
_MP3_OBJECT: Final = 0x6B


def in_mp4(codec: Codec) -> bool:
    """Whether players expect this codec in MP4."""
    return codec in _ENTRIES


def sample_entry(track: Track) -> bytes:
    """The one entry of a track's sample description.

    Raises:
        LocalProtocolError: the codec has none (`in_mp4`).
        RemoteProtocolError: the track's configuration record cannot be read.
    """
    entry = _ENTRIES.get(track.codec)
    if entry is None:
        raise LocalProtocolError(f"no sample entry for {track.codec.value}")
    kind, configuration = entry[0](track), entry[1](track)
    if track.kind is Kind.VIDEO:
        head = _VISUAL.pack(1, track.width, track.height, _DPI, _DPI, 0, 1, b"", 24, -1)
    else:
        rate = min(track.sample_rate, 0xFFFF) << 16  # no more bits: the codec's own record is truth
        head = _AUDIO.pack(1, track.channels or 2, 16, rate)
    return box(kind, head, configuration)


def codec_string(track: Track) -> str:
    """The track's name in a playlist's CODECS attribute (RFC 6381); "" where there is none.

    Raises:
        RemoteProtocolError: the track's configuration record cannot be read.
    """
    match track.codec:
        case Codec.H264:
            return AvcConfig.parse(track.config).codec_string
        case Codec.HEVC:
            name = HevcConfig.parse(track.config).codec_string
            return name if _hevc_kind(track) == b"hvc1" else name.replace("hvc1", "hev1", 1)
        case Codec.AV1:
            return Av1Config.parse(track.config).codec_string
        case Codec.VP8:
            return "vp08.00.10.08" if not track.config else _vp8_name(track.config)
        case Codec.VP9:
            return VpConfig.parse(track.config).codec_string
        case Codec.AAC:
            return AacConfig.parse(track.config).codec_string
        case Codec.OPUS:
            return "opus"
        case Codec.FLAC:
            return "fLaC"
        case Codec.MP3:
            return "mp4a.40.34"
        case _:
            return ""


def _vp8_name(record: bytes) -> str:
    return VpConfig.parse(record).codec_string.replace("vp09", "vp08", 1)


def _avc_kind(track: Track) -> bytes:
    # avc3: parameter sets come in the frames
    return b"avc1" if AvcConfig.parse(track.config).sps_list else b"avc3"


def _hevc_kind(track: Track) -> bytes:
    return b"hvc1" if HevcConfig.parse(track.config).sps_list else b"hev1"


def _vpcc(track: Track) -> bytes:
    """Version and flags stand before the record for some senders, and in the box for all."""
    if track.config[:4] == b"\x01\x00\x00\x00":
        return box(b"vpcC", track.config)
    return full_box(b"vpcC", 1, 0, track.config or bytes((0, 10, 0x82, 2, 2, 2, 0, 0)))


def _esds(track: Track) -> bytes:
    """The elementary stream descriptor (ISO/IEC 14496-1 section 7.2.6.5)."""
    mp3 = track.codec is Codec.MP3
    object_type = _MP3_OBJECT if mp3 else _AAC_OBJECT
    info = b"" if mp3 else _descriptor(5, track.config)
    # Stream type audio (5), then buffer size, maximum and average bit rate: unknown.
    decoder = _descriptor(4, bytes((object_type, 5 << 2 | 1)), bytes(11), info)
    sync_layer = _descriptor(6, b"\x02")
    return full_box(b"esds", 0, 0, _descriptor(3, b"\x00\x00\x00", decoder, sync_layer))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    # Four bytes always: what every reader accepts, FFmpeg writes them so too.
    groups = (0x80 | size >> 21 & 0x7F, 0x80 | size >> 14 & 0x7F, 0x80 | size >> 7 & 0x7F)
    return bytes((tag, *groups, size & 0x7F)) + body


def _dops(track: Track) -> bytes:
    """OpusSpecificBox: OpusHead's fields in network order, without its magic."""
    head = OpusHead.parse(track.config) if track.config else OpusHead(track.channels or 2)
    fields = struct.pack(
        ">BBHIhB", 0, head.channels, head.pre_skip, head.input_rate, head.gain, head.family
    )
    return box(b"dOps", fields, head.mapping)


def _dfla(track: Track) -> bytes:
    # One metadata block, STREAMINFO, and it is the last.
    return full_box(b"dfLa", 0, 0, b"\x80", len(track.config).to_bytes(3, "big"), track.config)


_ENTRIES: Final[dict[Codec, tuple[Callable[[Track], bytes], Callable[[Track], bytes]]]] = {
    Codec.H264: (_avc_kind, lambda track: box(b"avcC", track.config)),
    Codec.HEVC: (_hevc_kind, lambda track: box(b"hvcC", track.config)),
    Codec.AV1: (lambda _: b"av01", lambda track: box(b"av1C", track.config)),
    Codec.VP8: (lambda _: b"vp08", _vpcc),
    Codec.VP9: (lambda _: b"vp09", _vpcc),
    Codec.AAC: (lambda _: b"mp4a", _esds),
    Codec.MP3: (lambda _: b"mp4a", _esds),
    Codec.OPUS: (lambda _: b"Opus", _dops),
    Codec.FLAC: (lambda _: b"fLaC", _dfla),
}
"""By codec: the kind of its sample entry, and the box with its configuration."""

"""Packets to FLV tags. Stateless: what a packet becomes depends on that packet alone.

That is what lets one tag be made once and sent to every viewer. H.264, AAC, MP3 and what only
FLV ever had go out in legacy form, which every player reads; the rest in enhanced form, which
those that know the codec read too.

Without `multitrack` only tracks with id 0 are sent, which enhanced RTMP recommends for the
default one. With it the others follow in multitrack tags of one track each.
"""

from __future__ import annotations

import struct
from typing import Final

from livetrio.packet import US_PER_MS, Codec, Kind, Packet
from livetrio.wire.flv.words import (
    AUDIO,
    AUDIO_FOURCC,
    EX_AUDIO,
    EX_VIDEO,
    MAX_BODY,
    SCRIPT,
    SOUND_FORMATS,
    VIDEO,
    VIDEO_FOURCC,
    VIDEO_IDS,
    AudioPacketType,
    FrameType,
    MultitrackType,
    VideoPacketType,
    sound_byte,
)
from livetrio.wire.tracks import has_record

__all__ = ["HEADER_SIZE", "file_header", "tag", "tag_body"]

HEADER_SIZE: Final = 11
"""Bytes of a tag before its body."""

_H264: Final = Codec.H264
_HEVC: Final = Codec.HEVC
_AAC: Final = Codec.AAC
_VIDEO: Final = Kind.VIDEO
_AUDIO: Final = Kind.AUDIO

_AAC_HEADER: Final = b"\xaf\x00"
_AAC_RAW: Final = b"\xaf\x01"
_AVC_KEY: Final = 0x1701_0000 << 8
_AVC_INTER: Final = 0x2701_0000 << 8
_AVC_HEADER: Final = b"\x17\x00\x00\x00\x00"
_TAG: Final = struct.Struct(">II3x")
_SIZE: Final = struct.Struct(">I")
_VIDEO_NAMES: Final = {codec: fourcc for fourcc, codec in VIDEO_FOURCC.items()}
_AUDIO_NAMES: Final = {codec: fourcc for fourcc, codec in AUDIO_FOURCC.items()}


def file_header(*, audio: bool, video: bool) -> bytes:
    """The 9 bytes an FLV file or stream begins with, and the 4 of PreviousTagSize0."""
    return b"FLV\x01" + bytes((4 * audio + video,)) + b"\x00\x00\x00\x09" + bytes(4)


def tag_body(packet: Packet, *, multitrack: bool = False) -> tuple[int, bytes] | None:
    """Tag type and body of a packet, which are an RTMP message's type and body.

    Args:
        packet: its time is not in the body; send it at `packet.dts // 1000` milliseconds.
        multitrack: whether the receiver reads enhanced RTMP's multitrack tags.

    Returns:
        None when there is nothing to send: a further track without `multitrack`, or a body that
        passes 16 MiB.
    """
    track = packet.track
    if track.id and not multitrack:
        return None
    kind = track.kind
    if kind is _VIDEO:
        tag_type, head = VIDEO, _video_head(packet)
    elif kind is _AUDIO:
        tag_type, head = AUDIO, _audio_head(packet)
    else:
        tag_type, head = SCRIPT, b""
    if head is None or len(head) + len(packet.data) > MAX_BODY:
        return None
    return tag_type, head + packet.data


def tag(packet: Packet, *, multitrack: bool = False) -> bytes:
    """The whole tag of a packet: header, body and PreviousTagSize; b"" if nothing is to be sent.

    Args:
        packet: its dts modulo 2**32 milliseconds becomes the tag's timestamp.
        multitrack: as for `tag_body`.
    """
    found = tag_body(packet, multitrack=multitrack)
    if found is None:
        return b""
    tag_type, body = found
    time = packet.dts // US_PER_MS
    size = len(body)
    head = _TAG.pack(tag_type << 24 | size, (time & 0xFF_FFFF) << 8 | time >> 24 & 0xFF)
    return b"".join((head, body, _SIZE.pack(HEADER_SIZE + size)))


def _composition_time(packet: Packet) -> int:
    """Milliseconds from decoding to presentation, in 24 bits of two's complement.

    The difference of the rounded times, not the rounded difference: so the presentation time a
    player computes is right to the millisecond.
    """
    offset = packet.pts // US_PER_MS - packet.dts // US_PER_MS
    return max(-0x80_0000, min(offset, 0x7F_FFFF)) & 0xFF_FFFF


def _video_head(packet: Packet) -> bytes | None:
    """What goes before the payload; None for what cannot be said."""
    track = packet.track
    codec = track.codec
    if codec is _H264 and not track.id:
        if packet.config:
            return _AVC_HEADER
        first = _AVC_KEY if packet.key else _AVC_INTER
        return (first | _composition_time(packet)).to_bytes(5, "big")
    frame = FrameType.KEY if packet.key or packet.config else FrameType.INTER
    number = VIDEO_IDS.get(codec)
    if number is not None:  # legacy FLV knows one track
        return None if track.id or packet.config else bytes((frame << 4 | number,))
    packet_type, time = VideoPacketType.CODED_FRAMES, b""
    if packet.config:
        packet_type = VideoPacketType.SEQUENCE_START
    elif codec is _H264 or codec is _HEVC:
        offset = _composition_time(packet)
        if offset:
            time = offset.to_bytes(3, "big")
        else:
            packet_type = VideoPacketType.CODED_FRAMES_X
    first = EX_VIDEO | frame << 4
    return (
        _extended(first, packet_type, VideoPacketType.MULTITRACK, _VIDEO_NAMES[codec], track.id)
        + time
    )


def _audio_head(packet: Packet) -> bytes | None:
    track = packet.track
    codec = track.codec
    if codec is _AAC and not track.id:
        return _AAC_HEADER if packet.config else _AAC_RAW
    if packet.config and not has_record(codec):
        return None
    fourcc = _AUDIO_NAMES.get(codec)
    if not track.id and codec in SOUND_FORMATS:
        return track.config or sound_byte(codec, track.sample_rate, track.channels)
    if fourcc is None:  # legacy FLV knows one track
        return None
    packet_type = AudioPacketType.CODED_FRAMES
    if packet.config:
        packet_type = AudioPacketType.SEQUENCE_START
    return _extended(EX_AUDIO << 4, packet_type, AudioPacketType.MULTITRACK, fourcc, track.id)


def _extended(first: int, packet_type: int, multitrack: int, fourcc: bytes, track_id: int) -> bytes:
    """An extended tag header, plain for the first track and of one track for any other."""
    if not track_id:
        return bytes((first | packet_type,)) + fourcc
    one = MultitrackType.ONE_TRACK << 4 | packet_type
    return bytes((first | multitrack, one)) + fourcc + bytes((track_id,))

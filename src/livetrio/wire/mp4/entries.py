"""Sample entries, read: what a track of an MP4 file is coded in, as a Track.

Source: as wire/fmp4/sample_entry.py, which writes them; QuickTime File Format for its versions
of the sound entry.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.mp4.boxes import Box, child, children, fields
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record

__all__ = ["read_entry"]

_SIZE_OF_PICTURE: Final = struct.Struct(">HH")
_SOUND: Final = struct.Struct(">8xH6xHHxxxxI")
"""Behind the sample entry's own 8 bytes: version at 8."""
_VISUAL: Final = 78
_AUDIO: Final = (28, 44, 64)
"""Bytes before the boxes inside, by QuickTime's version of the entry."""
_DOPS: Final = struct.Struct(">BBHIhB")
_AAC: Final = frozenset({0x40, 0x66, 0x67, 0x68})
"""Object types: MPEG-4 AAC, and MPEG-2's three profiles of it."""
_MP3: Final = frozenset({0x69, 0x6B})
_ES: Final = 3
_DECODER: Final = 4
_SPECIFIC: Final = 5


def read_entry(data: bytes, description: Box) -> Track | None:
    """The Track that a sample description (stsd) means; None for one of no use here: subtitles,
    encrypted media, codecs nobody relays.

    Raises:
        RemoteProtocolError: it, or the configuration in it, cannot be read.
    """
    entry = next(children(data, description.start + 8, description.end), None)
    if entry is None:
        return None
    read = _ENTRIES.get(entry.kind)
    return None if read is None else read(data, entry)


def _video(codec: Codec, kind: bytes) -> Callable[[bytes, Box], Track]:
    def read(data: bytes, entry: Box) -> Track:
        width, height = fields(data, entry, _SIZE_OF_PICTURE, 24)
        record = _inside(data, entry, _VISUAL, kind)
        if codec is Codec.VP8:  # FLV and WebRTC know it without a record
            return Track(Kind.VIDEO, codec, width=width, height=height)
        track = track_from_record(codec, data[record.start : record.end])
        if track.width:
            return track
        return Track(track.kind, codec, 0, track.config, width, height, profile=track.profile)

    return read


def _mp4_sound(data: bytes, entry: Box) -> Track | None:
    version, channels, rate = _sound_fields(data, entry)
    inside = Box(entry.kind, entry.start + _AUDIO[version], entry.end)
    esds = child(data, inside, b"esds") or child(data, inside, b"wave", b"esds")
    if esds is None:
        raise RemoteProtocolError("MP4: an mp4a entry without esds")
    object_type, info = _decoder_of(data[esds.start + 4 : esds.end])
    if object_type in _MP3:
        return Track(Kind.AUDIO, Codec.MP3, sample_rate=rate, channels=channels)
    return track_from_record(Codec.AAC, info) if object_type in _AAC and info else None


def _opus(data: bytes, entry: Box) -> Track:
    box = _inside_sound(data, entry, b"dOps")
    _, channels, skip, rate, gain, family = fields(data, box, _DOPS)
    mapping = data[box.start + _DOPS.size : box.end] if family else b""
    head = OpusHead(channels, skip, rate, gain, family, mapping)
    return track_from_record(Codec.OPUS, head.build())


def _flac(data: bytes, entry: Box) -> Track:
    box = _inside_sound(data, entry, b"dfLa")
    return track_from_record(Codec.FLAC, data[box.start + 8 : box.start + 42])


def _plain(codec: Codec) -> Callable[[bytes, Box], Track]:
    """Sound whose frames say all there is."""

    def read(data: bytes, entry: Box) -> Track:
        _, channels, rate = _sound_fields(data, entry)
        return Track(Kind.AUDIO, codec, sample_rate=rate, channels=channels)

    return read


def _sound_fields(data: bytes, entry: Box) -> tuple[int, int, int]:
    """QuickTime's version of the entry, channels, sampling rate."""
    version, channels, _, rate = fields(data, entry, _SOUND)
    if version >= len(_AUDIO):
        raise RemoteProtocolError(f"MP4: a sound entry of version {version}")
    return version, channels, rate >> 16


def _inside_sound(data: bytes, entry: Box, kind: bytes) -> Box:
    version, _, _ = _sound_fields(data, entry)
    return _inside(data, entry, _AUDIO[version], kind)


def _inside(data: bytes, entry: Box, skip: int, kind: bytes) -> Box:
    found = child(data, Box(entry.kind, entry.start + skip, entry.end), kind)
    if found is None:
        raise RemoteProtocolError(f"MP4: a {entry.kind!r} entry without {kind.decode()}")
    return found


def _decoder_of(data: bytes) -> tuple[int, bytes]:
    """Object type and specific info of an elementary stream descriptor
    (ISO/IEC 14496-1 section 7.2.6.5)."""
    body = _descriptor(data, _ES)
    if len(body) < 3:
        raise RemoteProtocolError("MP4: esds is cut")
    if body[2] & 0xE0:  # dependency, URL, clock reference: nobody's files have them
        raise RemoteProtocolError("MP4: esds with fields that are not supported")
    decoder = _descriptor(body[3:], _DECODER)
    if len(decoder) < 13:
        raise RemoteProtocolError("MP4: esds is cut")
    info = decoder[13:]
    return decoder[0], _descriptor(info, _SPECIFIC) if info else b""


def _descriptor(data: bytes, tag: int) -> bytes:
    """The content of the descriptor that data begin with; its size has up to four bytes."""
    if data[:1] != bytes((tag,)):
        raise RemoteProtocolError(f"MP4: esds without descriptor {tag}")
    size = pos = 0
    for pos in range(1, min(5, len(data))):
        size = size << 7 | data[pos] & 0x7F
        if not data[pos] & 0x80:
            break
    if pos + 1 + size > len(data):
        raise RemoteProtocolError("MP4: esds is cut")
    return data[pos + 1 : pos + 1 + size]


_ENTRIES: Final[dict[bytes, Callable[[bytes, Box], Track | None]]] = {
    b"avc1": _video(Codec.H264, b"avcC"),
    b"avc3": _video(Codec.H264, b"avcC"),
    b"hvc1": _video(Codec.HEVC, b"hvcC"),
    b"hev1": _video(Codec.HEVC, b"hvcC"),
    b"av01": _video(Codec.AV1, b"av1C"),
    b"vp08": _video(Codec.VP8, b"vpcC"),
    b"vp09": _video(Codec.VP9, b"vpcC"),
    b"mp4a": _mp4_sound,
    b"Opus": _opus,
    b"fLaC": _flac,
    b"ac-3": _plain(Codec.AC3),
    b"ec-3": _plain(Codec.EAC3),
    b".mp3": _plain(Codec.MP3),
}

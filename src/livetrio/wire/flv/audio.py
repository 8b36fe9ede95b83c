"""Audio tags to packets, legacy and enhanced. Every audio frame is a place to start."""

from __future__ import annotations

import contextlib
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire import ac3, mp3
from livetrio.wire.flv.drops import Drops
from livetrio.wire.flv.enhanced import Part, read_parts
from livetrio.wire.flv.words import (
    AUDIO_CODECS,
    AUDIO_FOURCC,
    AVC_FRAME,
    AVC_SEQUENCE_HEADER,
    EX_AUDIO,
    SOUND_FORMATS,
    AudioPacketType,
    sound_byte,
)
from livetrio.wire.tracks import track_from_record

__all__ = ["AudioTags"]

_AAC: Final = Codec.AAC
_AAC_FORMAT: Final = SOUND_FORMATS[Codec.AAC]
_OPUS_COMMENTS: Final = b"OpusTags"
"""A second header of Opus in Ogg, which enhanced RTMP lets pass as a sequence start too."""
_RATES: Final = (5_512, 11_025, 22_050, 44_100)
"""Hertz by SoundRate."""
_FIXED_RATES: Final = {
    Codec.G711A: 8_000,
    Codec.G711U: 8_000,
    Codec.MP3_8K: 8_000,
    Codec.NELLYMOSER_8K: 8_000,
    Codec.NELLYMOSER_16K: 16_000,
    Codec.SPEEX: 16_000,
}
"""Formats whose rate is part of their name: the rate field is to be ignored (E.4.2.1)."""
_MONO: Final = frozenset({Codec.NELLYMOSER_8K, Codec.NELLYMOSER_16K, Codec.SPEEX})
_SILENT: Final = frozenset(
    {
        AudioPacketType.SEQUENCE_END,
        # Which speaker each channel is for; all codecs here but PCM say it themselves.
        AudioPacketType.MULTICHANNEL_CONFIG,
    }
)


class AudioTags:
    """One publisher's audio tags.

    Attributes:
        tracks: the current Track by id.
    """

    __slots__ = ("_drops", "tracks")

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self.tracks: dict[int, Track] = {}

    def feed(self, dts: int, body: bytes) -> list[Packet]:
        """Packets of one tag; arguments and errors as `VideoTags.feed`."""
        if not body:
            raise RemoteProtocolError("an empty audio tag")
        sound_format = body[0] >> 4
        if sound_format == _AAC_FORMAT:
            if len(body) < 2:
                raise RemoteProtocolError("an aac tag of 1 byte")
            if body[1] == AVC_FRAME:
                return [self._frame(0, _AAC, dts, body[2:])]
            if body[1] == AVC_SEQUENCE_HEADER:
                return self._config(0, _AAC, dts, body[2:])
            raise RemoteProtocolError(f"AAC packet type {body[1]}")
        if sound_format == EX_AUDIO:
            return self._feed_enhanced(dts, body)
        codec = AUDIO_CODECS.get(sound_format)
        if codec is None:
            raise RemoteProtocolError(f"sound format {sound_format}")
        return [self._legacy_frame(codec, dts, body[:1], body[1:])]

    def _feed_enhanced(self, dts: int, body: bytes) -> list[Packet]:
        nanoseconds, parts = read_parts(body, AudioPacketType.MULTITRACK)
        dts += nanoseconds // 1000
        packets: list[Packet] = []
        for part in parts:
            try:
                packets += self._part(dts, part)
            except RemoteProtocolError as error:
                self._drops.add(str(error))
        return packets

    def _part(self, dts: int, part: Part) -> list[Packet]:
        if part.packet_type in _SILENT:
            return []
        codec = AUDIO_FOURCC.get(part.fourcc)
        if codec is None:
            raise RemoteProtocolError(f"audio FourCC {part.fourcc!r}")
        described = codec not in (Codec.AC3, Codec.EAC3, Codec.MP3)
        if part.packet_type == AudioPacketType.SEQUENCE_START:
            # FFmpeg sends an empty one for AC-3, which has no record.
            if not described or not part.data or part.data.startswith(_OPUS_COMMENTS):
                return []
            return self._config(part.track_id, codec, dts, part.data)
        if part.packet_type != AudioPacketType.CODED_FRAMES:
            raise RemoteProtocolError(f"audio packet type {part.packet_type}")
        if not described and self._codec_of(part.track_id) is not codec:
            self.tracks[part.track_id] = _track_from_frame(codec, part.track_id, part.data)
        return [self._frame(part.track_id, codec, dts, part.data)]

    def _codec_of(self, track_id: int) -> Codec | None:
        track = self.tracks.get(track_id)
        return None if track is None else track.codec

    def _config(self, track_id: int, codec: Codec, dts: int, record: bytes) -> list[Packet]:
        """Announce a track, unless it is known: some encoders repeat the record every frame."""
        known = self.tracks.get(track_id)
        if known is not None and known.codec is codec:
            if known.config == record:
                return []
            track = track_from_record(codec, record, track_id)
            if known.config == track.config:  # the same STREAMINFO behind another header
                return []
        else:
            track = track_from_record(codec, record, track_id)
        self.tracks[track_id] = track
        return [Packet(track, dts, dts, track.config, False, True)]

    def _frame(self, track_id: int, codec: Codec, dts: int, data: bytes) -> Packet:
        track = self.tracks.get(track_id)
        if track is None or track.codec is not codec:
            raise RemoteProtocolError(f"{codec.value} frame before its configuration")
        if not data:
            raise RemoteProtocolError(f"an empty {codec.value} frame")
        return Packet(track, dts, dts, data, True)

    def _legacy_frame(self, codec: Codec, dts: int, sound: bytes, data: bytes) -> Packet:
        """A frame of a codec without configuration: its first frame is its announcement."""
        if not data:
            raise RemoteProtocolError(f"an empty {codec.value} frame")
        track = self.tracks.get(0)
        if track is None or track.config != sound or track.codec is not codec:
            track = self.tracks[0] = _legacy_track(codec, sound, data)
        return Packet(track, dts, dts, data, True)


def _legacy_track(codec: Codec, sound: bytes, data: bytes) -> Track:
    """A Track from the format byte of its tags, and for MP3 from its frame, which knows better."""
    rate = _FIXED_RATES.get(codec, _RATES[sound[0] >> 2 & 3])
    channels = 1 if codec in _MONO else 1 + (sound[0] & 1)
    if codec is Codec.MP3:
        # Frames may be cut anywhere between tags; then the byte's word has to do.
        with contextlib.suppress(RemoteProtocolError):
            rate, channels = mp3.read_header(data)
    return Track(Kind.AUDIO, codec, config=sound, sample_rate=rate, channels=channels)


def _track_from_frame(codec: Codec, track_id: int, data: bytes) -> Track:
    """A Track of a codec whose frames describe it.

    Raises:
        RemoteProtocolError: this one does not.
    """
    if codec is Codec.MP3:
        rate, channels = mp3.read_header(data)
        sound = sound_byte(codec, rate, channels)  # MP3 goes out in legacy form
        return Track(Kind.AUDIO, codec, track_id, sound, sample_rate=rate, channels=channels)
    _, rate, channels = ac3.read_header(data)
    return Track(Kind.AUDIO, codec, track_id, sample_rate=rate, channels=channels)

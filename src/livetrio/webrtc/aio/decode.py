"""FrameDecoder: the packets of a stream into frames of PyAV.

Plain calls that take time: for worker threads.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.transcode.decoders import AUDIO_DECODERS, VIDEO_DECODERS, pcm_decoder
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire.opus import OpusHead

__all__ = ["AudioFrame", "Frame", "FrameDecoder"]

Frame = AudioFrame | VideoFrame

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_MAX_PIXELS: Final = 4096 * 2304
_WITH_RECORD: Final = frozenset({Codec.H264, Codec.HEVC, Codec.AV1, Codec.AAC, Codec.FLAC})


class FrameDecoder:
    """One track, through all configurations that its publisher goes through."""

    def __init__(self) -> None:
        self.faults = 0
        """Packets that could not be decoded."""
        self._track: Track | None = None
        self._decoder: AudioCodecContext | VideoCodecContext | None = None
        self._key_needed = True

    def feed(self, packet: Packet) -> list[Frame]:
        """The frames of a packet, with times (`pts`) in microseconds of the stream.

        What cannot be decoded is passed over, as players do.

        Raises:
            Refused: UNAVAILABLE, there is no decoder for it.
        """
        if packet.config or not packet.data:
            return []
        if packet.track is not self._track:
            self._track, self._key_needed = packet.track, True
            self._decoder = _opened(packet.track)
        if self._decoder is None or (self._key_needed and not packet.key):
            return []
        self._key_needed = False
        coded = av.Packet(packet.data)
        coded.dts, coded.pts, coded.time_base = packet.dts, packet.pts, _MICROSECONDS
        try:
            return list(self._decoder.decode(coded))
        except FFmpegError:
            self.faults += 1
            return []


def _opened(track: Track) -> AudioCodecContext | VideoCodecContext | None:
    """
    Raises:
        Refused: there is no decoder.
    """
    video = track.kind is Kind.VIDEO
    name = (VIDEO_DECODERS if video else AUDIO_DECODERS).get(track.codec) or pcm_decoder(track)
    if name is None or name not in av.codecs_available:
        raise Refused(RefusalCode.UNAVAILABLE, f"{track.codec.value} cannot be decoded here")
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, AudioCodecContext | VideoCodecContext)
    if isinstance(decoder, VideoCodecContext):
        decoder.thread_type = ThreadType.SLICE  # by frames would add as many frames of delay
        decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    else:
        if track.sample_rate:
            decoder.sample_rate = track.sample_rate
        if track.channels in (1, 2):
            decoder.layout = "mono" if track.channels == 1 else "stereo"
    decoder.thread_count = 1
    if track.codec is Codec.OPUS:
        decoder.extradata = _opus_head(track)
    elif track.codec in _WITH_RECORD:
        decoder.extradata = track.config
    try:
        decoder.open()
    except FFmpegError:
        return None
    return decoder


def _opus_head(track: Track) -> bytes:
    """A live stream has no beginning to be cut off: whoever joins late hears no pre-skip."""
    try:
        return replace(OpusHead.parse(track.config), pre_skip=0).build()
    except RemoteProtocolError:
        return OpusHead(track.channels or 2, pre_skip=0).build()

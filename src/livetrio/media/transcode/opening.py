"""Opens FFmpeg's decoders for tracks as streams have them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.transcode.decoders import AUDIO_DECODERS, VIDEO_DECODERS, pcm_decoder
from livetrio.packet import Codec, Track
from livetrio.wire.opus import OpusHead

__all__ = ["open_audio", "open_video"]

_MAX_PIXELS: Final = 4096 * 2304
"""Of a picture; a hostile stream may announce 16,384 x 16,384."""
_WITH_RECORD: Final = frozenset({Codec.H264, Codec.HEVC, Codec.AV1})


def open_video(codec: Codec, record: bytes, threads: int) -> VideoCodecContext:
    """A decoder for pictures that holds none back for the sake of its threads.

    Args:
        codec: any.
        record: its configuration, as `Track.config`.
        threads: at most.

    Raises:
        RemoteProtocolError: there is no decoder for it, or its configuration makes no sense.
    """
    if codec not in VIDEO_DECODERS:
        raise RemoteProtocolError(f"{codec.value} cannot be decoded here")
    decoder = av.CodecContext.create(VIDEO_DECODERS[codec], "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_type = ThreadType.SLICE  # by frames would add as many frames of delay
    decoder.thread_count = threads
    decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    if codec in _WITH_RECORD:
        decoder.extradata = record
    try:
        decoder.open()
    except FFmpegError as error:
        raise RemoteProtocolError(
            f"{codec.value} with this configuration cannot be decoded: {error.strerror}"
        ) from None
    return decoder


def open_audio(track: Track) -> AudioCodecContext:
    """A decoder for sound, of one thread.

    Raises:
        RemoteProtocolError: its configuration makes no sense.
        Refused: UNAVAILABLE, there is no decoder for it.
    """
    name = pcm_decoder(track) or AUDIO_DECODERS.get(track.codec)
    if name is None or name not in av.codecs_available:
        raise Refused(RefusalCode.UNAVAILABLE, f"{track.codec.value} cannot be decoded here")
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.thread_count = 1
    if track.sample_rate:
        decoder.sample_rate = track.sample_rate
    if track.channels in (1, 2):
        decoder.layout = "mono" if track.channels == 1 else "stereo"
    if track.codec is Codec.OPUS:
        # A live stream has no beginning to be cut off: whoever joins late hears no pre-skip.
        decoder.extradata = replace(OpusHead.parse(track.config), pre_skip=0).build()
    elif track.codec in (Codec.AAC, Codec.FLAC):
        decoder.extradata = track.config
    try:
        decoder.open()
    except FFmpegError as error:
        raise RemoteProtocolError(
            f"{track.codec.value} with this configuration cannot be decoded: {error.strerror}"
        ) from None
    return decoder

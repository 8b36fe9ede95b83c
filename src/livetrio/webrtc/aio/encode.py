"""Encoders: frames of PyAV into the packets of a stream: H.264 or VP8, and Opus.

Plain calls that take time: for worker threads. FFmpeg lets go of the interpreter lock inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import annexb_units, join_units
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record
from livetrio.wire.vp import VpConfig, level_of

__all__ = ["AudioEncoder", "FrameEncoder", "VideoEncoder", "kind_of"]

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_RATE: Final = 48_000
_OPUS_SAMPLES: Final = 960
_SLICES: Final = frozenset({AvcNal.SLICE, AvcNal.IDR})
_LONGEST_GOP: Final = 2 * US_PER_SECOND
"""Microseconds: what HLS segments and newcomers live on."""
_X264: Final = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "forced-idr": "1",
    "sc_threshold": "0",
    "g": "100000",
}
_VPX: Final = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "error-resilient": "1",
    "g": "100000",
}
_MAX_SIDE: Final = 4096


def kind_of(frame: AudioFrame | VideoFrame) -> Kind:
    """For files that do not know PyAV."""
    return Kind.VIDEO if isinstance(frame, VideoFrame) else Kind.AUDIO


class FrameEncoder:
    """Both tracks of a stream. Frames of one kind are fed one after the other."""

    def __init__(self, codec: Codec, video_bitrate: int, audio_bitrate: int) -> None:
        """
        Args:
            codec: of the video, H264 or VP8.
            video_bitrate: bits per second.
            audio_bitrate: likewise.

        Raises:
            Refused: BAD_REQUEST, another codec.
        """
        self._video = VideoEncoder(codec, video_bitrate)
        self._audio = AudioEncoder(audio_bitrate)

    def want_key(self) -> None:
        """Make the next picture a key frame."""
        self._video.key_wanted = True

    def feed(self, frame: AudioFrame | VideoFrame, time: int) -> list[Packet]:
        """What comes of a frame of either kind; see there."""
        if isinstance(frame, VideoFrame):
            return self._video.feed(frame, time)
        return self._audio.feed(frame, time)


class VideoEncoder:
    """Pictures of any size into one video track; another size is another configuration."""

    def __init__(self, codec: Codec, bitrate: int) -> None:
        """
        Args:
            codec: H264 or VP8.
            bitrate: bits per second.

        Raises:
            Refused: BAD_REQUEST, another codec.
        """
        if codec not in (Codec.H264, Codec.VP8):
            raise Refused(RefusalCode.BAD_REQUEST, f"{codec.value} is not encoded here")
        self.key_wanted = False
        """Make the next picture a key frame."""
        self._codec = codec
        self._bitrate = bitrate
        self._encoder: VideoCodecContext | None = None
        self._track: Track | None = None
        self._last_key = -_LONGEST_GOP

    def feed(self, frame: VideoFrame, time: int) -> list[Packet]:
        """What comes of a picture, a new configuration first.

        Args:
            frame: of any pixel format; odd sizes lose a row or column.
            time: when it is shown, microseconds; later than the one before.

        Raises:
            Refused: BAD_REQUEST, a picture of no or of enormous size.
        """
        width, height = frame.width & ~1, frame.height & ~1
        if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
            raise Refused(RefusalCode.BAD_REQUEST, f"a picture of {frame.width} x {frame.height}")
        made: list[Packet] = []
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (width, height):
            encoder = self._encoder = self._opened(width, height)
            self._track = track = self._described(encoder)
            made.append(Packet(track, time, time, track.config, config=True))
        key = bool(made) or self.key_wanted or time - self._last_key >= _LONGEST_GOP
        if key:
            self._last_key, self.key_wanted = time, False
        picture = frame.reformat(width, height, "yuv420p")
        picture.pts, picture.time_base = time, _MICROSECONDS
        picture.pict_type = PictureType.I if key else PictureType.NONE
        made += self._coded(encoder, picture)
        return made

    def _opened(self, width: int, height: int) -> VideoCodecContext:
        h264 = self._codec is Codec.H264
        encoder = av.CodecContext.create("libx264" if h264 else "libvpx", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base, encoder.framerate = _MICROSECONDS, Fraction(30)
        encoder.bit_rate = self._bitrate
        encoder.thread_count = 1
        if h264:
            encoder.flags |= Flags.global_header
        encoder.options = dict(_X264 if h264 else _VPX)
        encoder.open()
        return encoder

    def _described(self, encoder: VideoCodecContext) -> Track:
        width, height = encoder.width, encoder.height
        if self._codec is Codec.VP8:
            record = VpConfig(0, level_of(width, height), 8, 1).build()
            return Track(Kind.VIDEO, Codec.VP8, config=record, width=width, height=height)
        units = list(annexb_units(bytes(encoder.extradata or b"")))
        sps = [unit for unit in units if unit[0] & 0x1F == AvcNal.SPS]
        pps = [unit for unit in units if unit[0] & 0x1F == AvcNal.PPS]
        return track_from_record(Codec.H264, AvcConfig.build(sps, pps))

    def _coded(self, encoder: VideoCodecContext, picture: VideoFrame) -> Iterator[Packet]:
        assert self._track is not None
        for packet in encoder.encode(picture):
            assert packet.pts is not None
            data = bytes(packet)
            if self._codec is Codec.H264:
                data = join_units(u for u in annexb_units(data) if u[0] & 0x1F in _SLICES)
            yield Packet(self._track, packet.pts, packet.pts, data, key=packet.is_keyframe)


class AudioEncoder:
    """Sound of any rate and format into one Opus track, mono staying mono."""

    def __init__(self, bitrate: int) -> None:
        """bitrate: bits per second."""
        self._bitrate = bitrate
        self._shape: tuple[int, str, str] | None = None
        self._resampler: AudioResampler | None = None
        self._encoder: AudioCodecContext | None = None
        self._track: Track | None = None
        self._sample = 0

    def feed(self, frame: AudioFrame, time: int) -> list[Packet]:
        """What comes of some samples, a new configuration first.

        Args:
            frame: of any length.
            time: when its first sample is heard, microseconds.
        """
        made: list[Packet] = []
        shape = (frame.sample_rate, frame.format.name, frame.layout.name)
        if shape != self._shape:
            self._shape = shape
            made.append(self._begin(1 if frame.layout.nb_channels == 1 else 2, time))
        due = time * _RATE // US_PER_SECOND
        if abs(due - self._sample) > _RATE // 2:  # a gap is left a gap
            self._sample = due
        assert self._resampler is not None
        frame.pts = None
        for piece in self._resampler.resample(frame):
            made += self._coded(piece)
        return made

    def _begin(self, channels: int, time: int) -> Packet:
        layout = "mono" if channels == 1 else "stereo"
        self._resampler = AudioResampler("flt", layout, _RATE, frame_size=_OPUS_SAMPLES)
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = _RATE, layout, "flt"
        encoder.bit_rate = self._bitrate
        encoder.time_base = Fraction(1, _RATE)
        encoder.open()
        self._encoder = encoder
        self._track = track = track_from_record(Codec.OPUS, OpusHead(channels).build())
        self._sample = time * _RATE // US_PER_SECOND
        return Packet(track, time, time, track.config, config=True)

    def _coded(self, piece: AudioFrame) -> Iterator[Packet]:
        assert self._encoder is not None
        assert self._track is not None
        piece.pts, piece.time_base = self._sample, Fraction(1, _RATE)
        self._sample += piece.samples
        packet: av.Packet[Any]
        for packet in self._encoder.encode(piece):
            assert packet.pts is not None
            time = max(packet.pts, 0) * US_PER_SECOND // _RATE
            yield Packet(self._track, time, time, bytes(packet), key=True)

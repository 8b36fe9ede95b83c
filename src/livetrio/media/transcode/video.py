"""VideoTranscoder: coded pictures of any kind to H.264 that is shown in the order it is sent in.

Constrained Baseline without B-frames or lookahead: what every browser decodes at once. Key
frames are where the source has them, so that segments and newcomers' caches are cut alike.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
from av.codec.context import Flags, ThreadType
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.decoders import VIDEO_DECODERS
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND, Codec
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import annexb_units, join_units

__all__ = ["VideoTranscoder"]

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_MAX_PIXELS: Final = 4096 * 2304
"""Of a picture; a hostile stream may announce 16,384 x 16,384."""
_MAX_THREADS: Final = 4
_FALLBACK_RATE: Final = Fraction(30)
_LONGEST_GOP: Final = 5 * US_PER_SECOND
"""Microseconds; a browser's stream has key frames only when somebody asks."""
_SHORTEST_GOP: Final = US_PER_SECOND
"""Microseconds between key frames that were asked for."""
_WITH_RECORD: Final = frozenset({Codec.H264, Codec.HEVC, Codec.AV1})
_MOST_FAULTS: Final = 250
"""Frames in a row that cannot be decoded: about ten seconds."""


class VideoTranscoder:
    """One video track, through all configurations that its publisher goes through."""

    def __init__(self, bitrate: int) -> None:
        """bitrate: bits per second at most."""
        self._bitrate = bitrate
        self._decoder: VideoCodecContext | None = None
        self._encoder: _Encoder | None = None
        self._keys: deque[int] = deque(maxlen=64)  # times of the source's key frames
        self._key_wanted = False
        self._last_key = -_LONGEST_GOP
        self._failing = 0

    def feed(self, message: Message) -> Iterator[Message]:
        """What comes of a message of the server's.

        Raises:
            RemoteProtocolError: nothing can be decoded (any more).
        """
        match message.word:
            case Word.CONFIG:
                yield from self.flush()
                self._begin(message.data)
            case Word.WANT_KEY:
                self._key_wanted = True
            case Word.FRAME | Word.KEY if message.data:  # to FFmpeg, no data are the end
                if message.word is Word.KEY:
                    self._keys.append(message.pts)
                for frame in self._decode(message):
                    yield from self._encode(frame)

    def flush(self) -> Iterator[Message]:
        """What the decoder still holds back."""
        if self._decoder is not None:
            try:
                frames = self._decoder.decode(None)
            except FFmpegError:
                return
            for frame in frames:
                yield from self._encode(frame)

    def _begin(self, data: bytes) -> None:
        name, _, record = data.partition(b"\0")
        codec = Codec(name.decode())
        if codec not in VIDEO_DECODERS:
            raise RemoteProtocolError(f"{codec.value} cannot be decoded here")
        decoder = av.CodecContext.create(VIDEO_DECODERS[codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_type = ThreadType.SLICE  # by frames would add as many frames of delay
        decoder.thread_count = _threads()
        decoder.options = {"max_pixels": str(_MAX_PIXELS)}
        if codec in _WITH_RECORD:
            decoder.extradata = record
        try:
            decoder.open()
        except FFmpegError as error:
            raise RemoteProtocolError(
                f"{codec.value} with this configuration cannot be decoded: {error.strerror}"
            ) from None
        self._decoder = decoder

    def _decode(self, message: Message) -> list[VideoFrame]:
        if self._decoder is None:
            raise RemoteProtocolError("a frame before any configuration")
        coded = av.Packet(message.data)
        coded.dts, coded.pts, coded.time_base = message.dts, message.pts, _MICROSECONDS
        coded.is_keyframe = message.word is Word.KEY
        try:
            frames = self._decoder.decode(coded)
        except FFmpegError as error:
            self._failing += 1
            if self._failing >= _MOST_FAULTS:
                raise RemoteProtocolError(f"video cannot be decoded: {error.strerror}") from None
            return []
        self._failing = 0
        return frames

    def _encode(self, frame: VideoFrame) -> Iterator[Message]:
        if frame.pts is None:
            return
        encoder = self._encoder
        if encoder is None or not encoder.takes(frame):
            if encoder is not None:
                yield from encoder.encode(None)
            assert self._decoder is not None
            rate = self._decoder.framerate or _FALLBACK_RATE
            encoder = self._encoder = _Encoder(frame, rate, self._bitrate)
            yield Message(Word.CONFIG, frame.pts, frame.pts, encoder.record)
        key = self._is_key(frame.pts)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        yield from encoder.encode(frame)

    def _is_key(self, pts: int) -> bool:
        """Shall the frame of this time be a key frame?"""
        key = pts in self._keys
        while self._keys and self._keys[0] <= pts:
            self._keys.popleft()
        since = pts - self._last_key
        key = key or since >= _LONGEST_GOP or (self._key_wanted and since >= _SHORTEST_GOP)
        if key:
            self._last_key = pts
            self._key_wanted = False
        return key


class _Encoder:
    """x264 for pictures of one size."""

    def __init__(self, frame: VideoFrame, rate: Fraction, bitrate: int) -> None:
        self._shape = _shape(frame)
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height = frame.width & ~1, frame.height & ~1
        codec.pix_fmt = "yuv420p"
        codec.time_base = _MICROSECONDS
        # Only for the rate control: the frames keep the source's times.
        codec.framerate = rate if 1 <= rate <= 120 else _FALLBACK_RATE
        codec.thread_count = _threads()
        codec.flags |= Flags.global_header
        codec.options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "crf": "23",
            "maxrate": str(bitrate),
            "bufsize": str(bitrate),
            "forced-idr": "1",
            "sc_threshold": "0",
            "g": "100000",
        }
        codec.open()
        self._codec = codec
        self.record = _record(bytes(codec.extradata or b""))

    def takes(self, frame: VideoFrame) -> bool:
        """Is it of the size that this was made for?"""
        return _shape(frame) == self._shape

    def encode(self, frame: VideoFrame | None) -> Iterator[Message]:
        """One picture, or None for what is left."""
        width, height = self._codec.width, self._codec.height
        if frame is not None and (
            frame.format.name != "yuv420p" or (frame.width, frame.height) != (width, height)
        ):
            kind = frame.pict_type
            frame = frame.reformat(width, height, "yuv420p")
            frame.pict_type = kind
        for packet in self._codec.encode(frame):
            assert packet.pts is not None
            units = (u for u in annexb_units(bytes(packet)) if u[0] & 0x1F in _SLICES)
            word = Word.KEY if packet.is_keyframe else Word.FRAME
            yield Message(word, packet.pts, packet.pts, join_units(units))


_SLICES: Final = frozenset({AvcNal.SLICE, AvcNal.IDR})


def _shape(frame: VideoFrame) -> tuple[int, int]:
    return frame.width, frame.height


def _record(annexb: bytes) -> bytes:
    units = list(annexb_units(annexb))
    sps = [unit for unit in units if unit[0] & 0x1F == AvcNal.SPS]
    pps = [unit for unit in units if unit[0] & 0x1F == AvcNal.PPS]
    return AvcConfig.build(sps, pps)


def _threads() -> int:
    return min(os.cpu_count() or 1, _MAX_THREADS)

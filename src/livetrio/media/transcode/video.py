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
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.h264 import H264Encoder
from livetrio.media.transcode.opening import open_video
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND, Codec

__all__ = ["VideoTranscoder"]

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_MAX_THREADS: Final = 4
_LONGEST_GOP: Final = 5 * US_PER_SECOND
"""Microseconds; a browser's stream has key frames only when somebody asks."""
_SHORTEST_GOP: Final = US_PER_SECOND
"""Microseconds between key frames that were asked for."""
_MOST_FAULTS: Final = 250
"""Frames in a row that cannot be decoded: about ten seconds."""


class VideoTranscoder:
    """One video track, through all configurations that its publisher goes through."""

    def __init__(self, bitrate: int) -> None:
        """bitrate: bits per second at most."""
        self._bitrate = bitrate
        self._decoder: VideoCodecContext | None = None
        self._encoder: H264Encoder | None = None
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
        self._decoder = open_video(codec, record, _threads())

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
            rate = self._decoder.framerate or Fraction()
            size = frame.width, frame.height
            encoder = H264Encoder(*size, rate, self._bitrate, threads=_threads(), like=frame)
            self._encoder = encoder
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


def _threads() -> int:
    return min(os.cpu_count() or 1, _MAX_THREADS)

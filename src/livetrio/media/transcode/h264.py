"""H264Encoder: x264 for live pictures of one size, in the order they are shown in.

Constrained Baseline without B-frames or lookahead: what every browser decodes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import annexb_units, join_units

__all__ = ["H264Encoder"]

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_FORMAT: Final = "yuv420p"
_RANGE: Final = ColorRange.MPEG
"""Of what had another format: every decoder knows it."""
_FALLBACK_RATE: Final = Fraction(30)
_SLICES: Final = frozenset({AvcNal.SLICE, AvcNal.IDR})


class H264Encoder:
    """Frames in, length-prefixed access units out; key frames where `pict_type` says I."""

    def __init__(
        self,
        width: int,
        height: int,
        rate: Fraction,
        bitrate: int,
        *,
        threads: int,
        preset: str = "veryfast",
        like: VideoFrame | None = None,
    ) -> None:
        """
        Args:
            width: pixels of the pictures to come; an odd one loses its last.
            height: likewise.
            rate: pictures a second, for the rate control alone; nonsense is taken for 30.
            bitrate: bits per second at most.
            threads: at most.
            preset: of x264.
            like: has the colours (matrix, primaries ...) of the pictures to come, which players
                are then told; else they guess them by its size. None: nothing is known of them.
        """
        self._shape = width, height
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height = width & ~1, height & ~1
        codec.pix_fmt = _FORMAT
        codec.time_base = _MICROSECONDS
        # Only for the rate control: the frames keep the source's times.
        codec.framerate = rate if 1 <= rate <= 120 else _FALLBACK_RATE
        codec.thread_count = threads
        codec.flags |= Flags.global_header
        if like is not None:
            codec.colorspace = like.colorspace
            codec.color_primaries, codec.color_trc = like.color_primaries, like.color_trc
            codec.color_range = like.color_range if like.format.name == _FORMAT else _RANGE
        codec.options = {
            "preset": preset,
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
        """The AVC decoder configuration record."""

    def takes(self, frame: VideoFrame) -> bool:
        """Is it of the size that this was made for?"""
        return (frame.width, frame.height) == self._shape

    def encode(self, frame: VideoFrame | None) -> Iterator[Message]:
        """One picture, with its time in microseconds, or None for what is left."""
        width, height = self._codec.width, self._codec.height
        if frame is not None and (
            frame.format.name != _FORMAT or (frame.width, frame.height) != (width, height)
        ):
            kind = frame.pict_type
            to = _RANGE if frame.format.name != _FORMAT else frame.color_range
            frame = frame.reformat(width, height, _FORMAT, dst_color_range=to)
            frame.pict_type = kind
        for packet in self._codec.encode(frame):
            assert packet.pts is not None
            units = (u for u in annexb_units(bytes(packet)) if u[0] & 0x1F in _SLICES)
            word = Word.KEY if packet.is_keyframe else Word.FRAME
            yield Message(word, packet.pts, packet.pts, join_units(units))


def _record(annexb: bytes) -> bytes:
    units = list(annexb_units(annexb))
    sps = [unit for unit in units if unit[0] & 0x1F == AvcNal.SPS]
    pps = [unit for unit in units if unit[0] & 0x1F == AvcNal.PPS]
    return AvcConfig.build(sps, pps)

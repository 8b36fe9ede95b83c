"""PictureInput: one part's coded pictures, decoded, and the one to be shown at a moment."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Final

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.opening import open_video
from livetrio.packet import US_PER_MS, US_PER_SECOND, Track

__all__ = ["PictureInput"]

_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_HELD: Final = 6
"""Decoded pictures that wait for their sound, a tenth of a second at 60 a second."""
_TOO_FAR: Final = US_PER_SECOND // 2
"""Microseconds between picture and sound beyond which their clocks have nothing in common."""
_EARLY: Final = 10 * US_PER_MS
"""A picture may be shown so much before its sound: the next moment would be too late."""
_MOST_FAULTS: Final = 10
"""Packets in a row that cannot be decoded, after which a fresh decoder waits for a key frame."""


class PictureInput:
    """Bad packets are counted and passed over: nothing here ends anybody else's picture."""

    def __init__(self) -> None:
        self.faults = 0
        """Configurations and packets that could not be decoded."""
        self.wants_key = False
        """Whoever sends should be asked for a key frame; reset by who asks."""
        self._decoder: VideoCodecContext | None = None
        self._track: Track | None = None
        self._waits = True  # for a key frame
        self._failing = 0
        self._frames: deque[VideoFrame] = deque(maxlen=_HELD)
        self._shown: VideoFrame | None = None

    def begin(self, track: Track | None) -> None:
        """Another track, or another configuration; None: there is no picture for now."""
        self._track = track
        self._frames.clear()
        if track is None:
            self._decoder = self._shown = None
        else:
            self._open()

    def lose(self) -> None:
        """Packets were left out on the way: nothing can be decoded before the next key frame."""
        self._waits = self.wants_key = True

    def feed(self, pts: int, dts: int, data: bytes, *, key: bool) -> None:
        """A coded picture came; times in microseconds."""
        if self._decoder is None or not data or (self._waits and not key):
            return
        self._waits = False
        coded = av.Packet(data)
        coded.dts, coded.pts, coded.time_base = dts, pts, _MICROSECONDS
        coded.is_keyframe = key
        try:
            self._frames.extend(self._decoder.decode(coded))
        except (FFmpegError, ValueError):
            self.faults += 1
            self._failing += 1
            self.wants_key = True
            if self._failing >= _MOST_FAULTS:  # what state it is in by now only it knows
                self._open()
        else:
            self._failing = 0

    def picture(self, sound: int | None) -> VideoFrame | None:
        """What is to be shown now: the same object as before if that has not changed.

        Args:
            sound: what of the part's sound is heard now, microseconds of its clock; None: nothing.
        """
        frames = self._frames
        if sound is None or (frames and abs((frames[-1].pts or 0) - sound) > _TOO_FAR):
            if frames:
                self._shown = frames.pop()
                frames.clear()
            return self._shown
        while frames and (frames[0].pts or 0) <= sound + _EARLY:
            self._shown = frames.popleft()
        if self._shown is None and frames:  # a beginning: rather early than nothing
            self._shown = frames.popleft()
        return self._shown

    def _open(self) -> None:
        assert self._track is not None
        self._waits, self._failing = True, 0
        self._decoder = None
        try:
            self._decoder = open_video(self._track.codec, self._track.config, 1)
        except (RemoteProtocolError, FFmpegError, ValueError):
            self.faults += 1

"""SoundInput: one part's coded sound, of any kind, to the samples that the mixer takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.media.mix.resample import Sound
from livetrio.media.mix.seat_audio import RATE, SeatAudio
from livetrio.media.transcode.opening import open_audio
from livetrio.packet import US_PER_SECOND, Track

__all__ = ["SoundInput"]

_LOUDEST: Final = 2.0
"""Decoders of broken floating-point sound can make anything of it, infinity too."""
_SCALE: Final[dict[str, tuple[Any, float]]] = {
    "s16": (np.int16, 1 / 32768),
    "s16p": (np.int16, 1 / 32768),
    "flt": (np.float32, 1.0),
    "fltp": (np.float32, 1.0),
}
"""Formats that numpy reads as fast as FFmpeg would convert them."""


class SoundInput:
    """Bad packets are counted and passed over: nothing here ends anybody else's sound."""

    def __init__(self) -> None:
        self.faults = 0
        """Configurations and packets that could not be decoded."""
        self._decoder: AudioCodecContext | None = None
        self._resampler: av.AudioResampler | None = None
        self._shape = (0, "", "")

    def begin(self, track: Track | None) -> None:
        """Another track, or another configuration; None: nothing comes for now."""
        self._decoder = self._resampler = None
        self._shape = (0, "", "")
        if track is None:
            return
        try:
            self._decoder = open_audio(track)
        except (RemoteProtocolError, Refused, FFmpegError, ValueError):
            self.faults += 1

    def feed(self, pts: int, data: bytes, seat: SeatAudio) -> None:
        """A packet came: its samples go to the seat. pts: microseconds."""
        if self._decoder is None or not data:  # to FFmpeg, no data are the end
            return
        try:
            for frame in self._decoder.decode(av.Packet(data)):
                for samples in self._samples(frame):
                    seat.push(pts, samples)
                    pts += samples.shape[1] * US_PER_SECOND // RATE
        except (FFmpegError, RemoteProtocolError, ValueError):
            self.faults += 1

    def _samples(self, frame: AudioFrame) -> Iterator[Sound]:
        channels = frame.layout.nb_channels
        if frame.sample_rate == RATE and channels <= 2 and frame.format.name in _SCALE:
            yield _direct(frame, channels)
            return
        shape = frame.sample_rate, frame.format.name, frame.layout.name
        if self._resampler is None or shape != self._shape:
            self._resampler = av.AudioResampler("fltp", "stereo", RATE)
            self._shape = shape
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            yield _direct(resampled, 2)


def _direct(frame: AudioFrame, channels: int) -> Sound:
    """The samples of a frame of one or two channels as two rows.

    Raises:
        RemoteProtocolError: this is no sound.
    """
    kind, scale = _SCALE[frame.format.name]
    count = frame.samples
    if frame.format.is_planar:
        rows = [np.frombuffer(memoryview(plane), kind, count) for plane in frame.planes[:channels]]
        samples = np.stack(rows) if channels == 2 else np.stack(rows * 2)
    else:
        packed = np.frombuffer(memoryview(frame.planes[0]), kind, count * channels)
        turned = packed.reshape(count, channels).T
        samples = turned if channels == 2 else np.broadcast_to(turned, (2, count))
    if scale != 1:  # of integers, none can be out of range
        return samples * np.float32(scale)
    if samples.size and not (samples.max() <= _LOUDEST and samples.min() >= -_LOUDEST):  # or NaN
        raise RemoteProtocolError("samples far beyond full scale")
    return np.ascontiguousarray(samples)

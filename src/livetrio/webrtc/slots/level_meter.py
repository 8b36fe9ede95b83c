"""LevelMeter: how loud a track is, by decoding it, where its publisher does not say.

Plain calls that take time: for worker threads. FFmpeg lets go of the interpreter lock inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.media.transcode.opening import open_audio
from livetrio.packet import Packet, Track

__all__ = ["SILENCE", "LevelMeter"]

SILENCE: Final = -127.0
"""dBov: the lowest level that RFC 6464 knows."""
_RATE: Final = 8_000
"""Hertz that are measured: a voice's power lies below 4 kHz, and Python adds up the squares."""
_FULL: Final = 32_768.0
_MOST_FAULTS: Final = 50
"""Packets in a row that cannot be decoded, after which a configuration is given up."""


class LevelMeter:
    """One track, through all configurations that its publisher goes through."""

    def __init__(self) -> None:
        self.faults = 0
        """Packets that could not be decoded, ever."""
        self._track: Track | None = None
        self._decoder: AudioCodecContext | None = None
        self._resampler: AudioResampler | None = None
        self._shape: tuple[int, str, str] | None = None
        self._failing = 0

    def level(self, packets: Sequence[Packet]) -> float | None:
        """Root mean square of what these packets sound like.

        Args:
            packets: the next ones of one track of sound, none missing but for losses.

        Returns:
            dBov (0 is a square wave of full scale, RFC 6464 section 3); None: nothing came out
            of them, or there is no decoder for it.
        """
        power, count = 0, 0
        for packet in packets:
            if packet.track is not self._track:
                self._begin(packet.track)
            if packet.data and not packet.config:  # to FFmpeg, no data are the end
                for frame in self._decode(packet):
                    samples = self._samples(frame)
                    power += sum(map(mul, samples, samples))
                    count += len(samples)
        if not count:
            return None
        if not power:
            return SILENCE
        return max(SILENCE, min(0.0, 10 * math.log10(power / count / _FULL**2)))

    def _begin(self, track: Track) -> None:
        self._track = track
        self._failing = 0
        self._shape = None
        try:
            self._decoder = open_audio(track)
        except (Refused, RemoteProtocolError):
            self._decoder = None

    def _decode(self, packet: Packet) -> list[AudioFrame]:
        if self._decoder is None:
            return []
        try:
            frames = self._decoder.decode(av.Packet(packet.data))
        except FFmpegError:
            self.faults += 1
            self._failing += 1
            if self._failing >= _MOST_FAULTS:
                self._decoder = None
            return []
        self._failing = 0
        return frames

    def _samples(self, frame: AudioFrame) -> list[int]:
        """Mono, 16 bits."""
        shape = frame.sample_rate, frame.format.name, frame.layout.name
        if shape != self._shape or self._resampler is None:
            self._shape = shape
            self._resampler = AudioResampler("s16", "mono", _RATE)
        frame.pts = None  # the sound counts, wherever it lies
        samples: list[int] = []
        for part in self._resampler.resample(frame):
            samples += memoryview(part.planes[0]).cast("h")[: part.samples]
        return samples

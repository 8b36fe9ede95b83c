"""SoundOutput: what was mixed as AAC and as Opus, each packet at its time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags

from livetrio.media.mix.lanes import AAC, OPUS, SOUND_RECORDS
from livetrio.media.mix.resample import Sound
from livetrio.media.mix.seat_audio import RATE
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND

__all__ = ["SoundOutput"]

_AAC_SIZE: Final = 1024
_TICK: Final = Fraction(1, RATE)


class SoundOutput:
    """Both encoders, stereo."""

    def __init__(self, bitrate: int) -> None:
        """bitrate: bits per second, of each."""
        # Each takes half of the CPU of its default; at these bit rates hardly anybody hears it.
        self._aac = _encoder("aac", "fltp", bitrate, {"aac_coder": "fast"})
        self._opus = _encoder("libopus", "flt", bitrate, {"compression_level": "3"})
        self._waiting = np.zeros((2, 0), np.float32)  # not yet enough for a frame of AAC
        self._next = 0  # number of the sample after those

    def configurations(self) -> list[Message]:
        """What announces the two tracks."""
        records = SOUND_RECORDS.items()
        return [Message(Word.CONFIG, data=record, lane=lane) for lane, record in records]

    def feed(self, number: int, block: Sound) -> Iterator[Message]:
        """20 ms of sound.

        Args:
            number: of its first sample, counted from media time 0.
            block: two rows of 960.
        """
        packed = np.ascontiguousarray(block.T).reshape(1, -1)
        yield from _encode(self._opus, packed, number, OPUS)
        if number != self._next:  # some were left out; what is over belongs nowhere
            self._waiting = self._waiting[:, :0]
        self._waiting = np.concatenate((self._waiting, block), axis=1)
        self._next = number + block.shape[1]
        first = self._next - self._waiting.shape[1]
        while self._waiting.shape[1] >= _AAC_SIZE:
            piece = np.ascontiguousarray(self._waiting[:, :_AAC_SIZE])
            self._waiting = self._waiting[:, _AAC_SIZE:]
            yield from _encode(self._aac, piece, first, AAC)
            first += _AAC_SIZE


def _encoder(name: str, samples: str, bitrate: int, options: dict[str, str]) -> AudioCodecContext:
    codec = av.CodecContext.create(name, "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = RATE, "stereo", samples
    codec.bit_rate = bitrate
    codec.thread_count = 1
    codec.options = options
    codec.flags |= Flags.global_header
    codec.open()
    return codec


def _encode(codec: AudioCodecContext, samples: Sound, number: int, lane: int) -> Iterator[Message]:
    frame = AudioFrame.from_ndarray(samples, codec.format.name, "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, number, _TICK
    for packet in codec.encode(frame):
        assert packet.pts is not None
        pts = packet.pts * US_PER_SECOND // RATE
        if pts >= 0:  # what lies before is the encoder's run-up
            yield Message(Word.KEY, pts, pts, bytes(packet), lane)

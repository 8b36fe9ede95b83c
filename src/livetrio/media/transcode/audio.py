"""AudioTranscoder: coded sound of any kind to Opus or AAC, on a steady clock.

Plain calls that take time: for worker threads. FFmpeg lets go of the interpreter lock inside.

Time. The encoders' grid is absolute: Opus packets lie at multiples of 20 ms of stream time, AAC
frames at multiples of 1,024 samples of 48 kHz, minus the encoder's own delay, whatever the
source's stamps look like. So what a player hears at a packet's time is what the source played
then: both delays (6.5 ms of libopus, 1,024 samples of AAC) are in the stamps. Where the
source's stamps leave its samples behind by more than 5 ms the resampler stretches or squeezes
by at most 0.4 % until they agree, over 100 ms it fills with silence or cuts; a gap of more than
a second is left a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

import av
import av.filter
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.opening import open_audio
from livetrio.packet import US_PER_SECOND, Codec, Packet, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record

__all__ = ["RATE", "AudioTranscoder"]

RATE: Final = 48_000
"""Hertz of everything that is made."""
_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)
_LONGEST_FILL: Final = US_PER_SECOND
"""Microseconds of silence made up for a gap; a longer one begins anew after it."""
_MOST_FAULTS: Final = 50
"""Packets in a row that cannot be decoded: about a second."""
_STEADY: Final = "async=200:min_comp=0.005:min_hard_comp=0.1:first_pts="
_ENCODERS: Final = {Codec.OPUS: ("libopus", "flt", 960), Codec.AAC: ("aac", "fltp", 1024)}
"""By codec: FFmpeg's encoder, the samples it takes, how many it takes at once."""


class AudioTranscoder:
    """One audio track, through all configurations that its publisher goes through."""

    def __init__(self, target: Codec, bitrate: int) -> None:
        """
        Args:
            target: OPUS or AAC.
            bitrate: bits per second.
        """
        self.target = target
        self.faults = 0
        """Packets that could not be decoded, ever."""
        self._bitrate = bitrate
        self._decoder: AudioCodecContext | None = None
        self._source: Track | None = None
        self._encoder: _Encoder | None = None
        self._failing = 0
        self._due = 0  # microseconds; where the next packet of the source should be
        self._newest = -1  # microseconds; of the last packet given out
        self._tracks: dict[int, Track] = {}  # by number of channels

    def feed(self, packets: Sequence[Packet]) -> list[Packet]:
        """What comes of these packets of one audio track, a new configuration first.

        Packets that cannot be decoded are passed over, as players do.

        Raises:
            RemoteProtocolError: nothing can be decoded any more.
            Refused: UNAVAILABLE, there is no decoder for it.
        """
        made: list[Packet] = []
        for packet in packets:
            if packet.track is not self._source:
                made += self._finish()
                self._begin(packet.track)
            if packet.track.codec is self.target:
                made.append(packet)
            elif packet.data and not packet.config:  # to FFmpeg, no data are the end
                made += self._convert(packet)
        return made

    def _begin(self, track: Track) -> None:
        self._source = track
        self._decoder = None
        if track.codec is not self.target:
            self._decoder = open_audio(track)

    def _convert(self, packet: Packet) -> Iterator[Packet]:
        if self._encoder is not None and packet.pts - self._due > _LONGEST_FILL:
            yield from self._finish()
        for frame in self._decode(packet):
            duration = frame.samples * US_PER_SECOND // frame.sample_rate
            self._due = packet.pts + duration
            if self._encoder is not None and not self._encoder.takes(frame):
                yield from self._finish()
            if self._encoder is None:
                self._encoder = _Encoder(self.target, self._bitrate, frame)
            yield from self._stamped(self._encoder, self._encoder.feed(frame))

    def _finish(self) -> Iterator[Packet]:
        """Nothing more for this encoder; what it has left."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            yield from self._stamped(encoder, encoder.feed(None))

    def _stamped(self, encoder: _Encoder, coded: Iterable[tuple[int, bytes]]) -> Iterator[Packet]:
        for pts, data in coded:
            if pts > self._newest:  # what lies before 0 is the encoder's run-up
                yield from self._announced(encoder.channels, pts)
                self._newest = pts
                yield Packet(self._tracks[encoder.channels], pts, pts, data, key=True)

    def _decode(self, packet: Packet) -> list[AudioFrame]:
        assert self._decoder is not None
        coded = av.Packet(packet.data)
        coded.pts = coded.dts = packet.pts
        coded.time_base = _MICROSECONDS
        try:
            frames = self._decoder.decode(coded)
        except FFmpegError as error:
            self.faults += 1
            self._failing += 1
            if self._failing >= _MOST_FAULTS:
                raise RemoteProtocolError(f"sound cannot be decoded: {error.strerror}") from None
            return []
        self._failing = 0
        return frames

    def _announced(self, channels: int, pts: int) -> Iterator[Packet]:
        """The track's configuration, when it is another than before."""
        track = self._tracks.get(channels)
        if track is None:
            assert self._source is not None
            self._tracks.clear()
            track = _track(self.target, channels, self._source.id)
            self._tracks[channels] = track
            yield Packet(track, pts, pts, track.config, config=True)


class _Encoder:
    """A resampler and an encoder, for frames of one shape."""

    def __init__(self, target: Codec, bitrate: int, frame: AudioFrame) -> None:
        name, samples, size = _ENCODERS[target]
        self.channels = 1 if frame.layout.nb_channels == 1 else 2
        self._shape = _shape(frame)
        codec = av.CodecContext.create(name, "w")
        assert isinstance(codec, AudioCodecContext)
        self._codec = codec
        layout = "mono" if self.channels == 1 else "stereo"
        codec.sample_rate, codec.layout, codec.format = RATE, layout, samples
        codec.bit_rate = bitrate
        codec.thread_count = 1
        if target is Codec.OPUS:
            # Complexity 5 of 10: two thirds of the CPU; at these bit rates hardly anybody hears it.
            codec.options = {"compression_level": "5"}
        codec.flags |= av.codec.context.Flags.global_header
        codec.open()
        delay = OpusHead(2).pre_skip if target is Codec.OPUS else size
        self._graph = _graph(frame, layout, samples, size, delay)

    def takes(self, frame: AudioFrame) -> bool:
        """Is it of the shape that this was made for?"""
        return _shape(frame) == self._shape

    def feed(self, frame: AudioFrame | None) -> Iterator[tuple[int, bytes]]:
        """Encoded packets with their times in microseconds; None for what is left."""
        self._graph.push(frame)
        while True:
            try:
                ready = self._graph.pull()
            except (BlockingIOError, EOFError):
                break
            assert isinstance(ready, AudioFrame)
            yield from self._encode(ready)
        if frame is None:
            yield from self._encode(None)

    def _encode(self, frame: AudioFrame | None) -> Iterator[tuple[int, bytes]]:
        for packet in self._codec.encode(frame):
            assert packet.pts is not None
            # 20 ms at 48 kHz are whole microseconds, so rounding cannot break the grid.
            yield packet.pts * US_PER_SECOND // RATE, bytes(packet)


def _shape(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _graph(frame: AudioFrame, layout: str, samples: str, size: int, delay: int) -> av.filter.Graph:
    """Resampling onto the grid, in frames of the encoder's size."""
    assert frame.pts is not None
    begin = -(-frame.pts * RATE // US_PER_SECOND)
    first = -(-(begin - delay) // size) * size + delay
    graph = av.filter.Graph()
    chain = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=_MICROSECONDS,
        ),
        # The rate first: `first_pts` counts in samples of the input, which must be the grid's.
        graph.add("aresample", f"{RATE}"),
        graph.add("aformat", f"sample_fmts={samples}:channel_layouts={layout}"),
        graph.add("aresample", f"{RATE}:{_STEADY}{first}"),
        graph.add("asetnsamples", f"n={size}:p=0"),
        graph.add("abuffersink"),
    ]
    for source, sink in pairwise(chain):
        source.link_to(sink)
    graph.configure()
    return graph


def _track(codec: Codec, channels: int, track_id: int) -> Track:
    opus = codec is Codec.OPUS
    record = OpusHead(channels).build() if opus else AacConfig.build(RATE, channels)
    return track_from_record(codec, record, track_id)

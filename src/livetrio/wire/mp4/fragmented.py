"""Fragmented: a file written as it went, like our own recordings: playable up to its last
fragment, whatever happened to its writer."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Packet
from livetrio.wire.mp4.boxes import HEADER, read_header
from livetrio.wire.mp4.fragment import TrackRun, read_moof
from livetrio.wire.mp4.header import HeaderTrack
from livetrio.wire.mp4.progressive import Frame, read_frames, thinned
from livetrio.wire.title import Source, Span

__all__ = ["MAX_MOOF", "FragmentedTitle"]

MAX_MOOF: Final = 4 << 20
"""Bytes of one moof box."""


class FragmentedTitle:
    """See wire/title.py. Fragments are told to it one by one while a file is looked through."""

    def __init__(self, tracks: Sequence[HeaderTrack]) -> None:
        self._by_id = {track.id: track for track in tracks}
        self._defaults = {track.id: track.defaults for track in tracks}
        self._lead = tracks[0]
        self.tracks = [track.track for track in tracks]
        self.spans = [Span(0, self.tracks)]
        self.points: Sequence[int] = array("q")
        self.duration = 0
        self._offsets = array("q")
        self._times = array("q")  # of the lead's first sample, microseconds
        self._keys = array("q")  # numbers of the fragments where a decoder can start
        self._ends = dict.fromkeys(self._by_id, 0)  # ticks, where a fragment does not say
        self._starts: dict[int, dict[int, int]] = {}
        self._last: list[TrackRun] = []
        self._zero = 0

    def add(self, data: bytes, offset: int) -> None:
        """The next fragment: the content of its moof, and where that begins.

        Raises:
            RemoteProtocolError: it cannot be read.
        """
        runs = read_moof(data, offset, self._defaults)
        number = len(self._offsets)
        if any(run.time is None for run in runs):
            self._follow(number, runs)
        lead = next((run for run in runs if run.track_id == self._lead.id), None)
        if lead is not None:
            time = lead.time if lead.time is not None else self._ends[lead.track_id]
            if self._times and self._lead.us(time) < self._times[-1]:
                raise RemoteProtocolError("MP4: fragments are not in the order of their times")
            self._times.append(self._lead.us(time))
            if lead.starts_with_key:
                self._keys.append(number)
        else:
            self._times.append(self._times[-1] if self._times else 0)
        if any(run.time is None for run in runs):
            self._ends |= {run.track_id: self._end(run, number) for run in runs}
        self._offsets.append(offset)
        self._last = runs

    def finish(self) -> None:
        """There are no more fragments.

        Raises:
            RemoteProtocolError: none can be played.
        """
        if not self._keys:
            raise RemoteProtocolError("MP4: no fragment that begins with a key frame")
        self._zero = self._times[self._keys[0]]
        last = len(self._offsets) - 1
        ends = [self._by_id[run.track_id].us(self._end(run, last)) for run in self._last]
        self.duration = max([*ends, self._times[-1]]) - self._zero
        self.points = thinned([self._times[number] - self._zero for number in self._keys])

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet]:
        """See `Title.packets`."""
        number = self._fragment(first)
        end = self._fragment(stop) if stop < len(self.points) else len(self._offsets)
        for fragment in range(number, end):
            offset = self._offsets[fragment]
            box = read_header(source.read(offset, HEADER), offset, source.size)
            data = source.read(box.start, box.end - box.start)
            frames: list[Frame] = []
            for run in read_moof(data, offset, self._defaults):
                frames += self._frames(run, fragment)
            if not (yield from read_frames(source, frames)):
                return

    def _fragment(self, point: int) -> int:
        """The fragment a point stands for."""
        time = self.points[point] + self._zero
        index = bisect_left(self._keys, time, key=lambda number: self._times[number])
        return self._keys[index]

    def _frames(self, run: TrackRun, fragment: int) -> Iterator[Frame]:
        track = self._by_id[run.track_id]
        start = self._starts.get(fragment, {}).get(run.track_id, 0)
        for sample in run.samples(start):
            dts = max(track.us(sample.dts) - self._zero, 0)
            pts = track.us(sample.dts + sample.offset) - self._zero
            yield dts, pts, sample.position, sample.size, sample.key, track.track

    def _follow(self, number: int, runs: list[TrackRun]) -> None:
        """Without times of their own (old writers) fragments begin where others end."""
        self._starts[number] = {run.track_id: self._ends[run.track_id] for run in runs}

    def _end(self, run: TrackRun, number: int) -> int:
        start = self._starts.get(number, {}).get(run.track_id, 0)
        end = start
        for sample in run.samples(start):
            end = sample.dts + sample.duration
        return end

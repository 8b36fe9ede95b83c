"""Progressive: a file whose samples stand in tables, as cameras and editors write them."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Packet, Track
from livetrio.wire.mp4.header import HeaderTrack
from livetrio.wire.mp4.tables import TableSample
from livetrio.wire.title import Source, Span

__all__ = ["MAX_SLICE", "ProgressiveTitle", "read_frames", "thinned"]

_SLICE: Final = US_PER_SECOND
"""Media read at a time."""
MAX_SLICE: Final = 64 << 20
"""Bytes of it."""
_MAX_SAMPLES: Final = 10_000
"""Samples of a track within it."""
_GAP: Final = 64 << 10
"""Bytes between two frames that are read rather than skipped: a read costs more."""
_RUN: Final = 4 << 20
"""Bytes read in one piece."""
_LEAST: Final = US_PER_SECOND // 2
"""Points are no closer together than that: of sound alone every frame would be one."""
_MAX_POINTS: Final = 100_000

Frame = tuple[int, int, int, int, bool, Track]
"""dts and pts in microseconds, place in the file, size, key, track."""


class ProgressiveTitle:
    """See wire/title.py."""

    def __init__(self, tracks: Sequence[HeaderTrack]) -> None:
        self._tracks = [track for track in tracks if track.table.count]
        if not self._tracks:
            raise RemoteProtocolError("MP4: no samples")
        self.tracks = [track.track for track in self._tracks]
        self.spans = [Span(0, self.tracks)]
        lead = self._tracks[0]
        # Times begin at 0 whatever the edits say, and no track's are moved against another's.
        self._zero = min(track.us(0) for track in self._tracks)
        self.duration = max(self._time(track, track.table.count) for track in self._tracks)
        keys = lead.table.keys
        self._late = bool(keys) and keys[0] > 0  # no decoder can start at the very beginning
        keys = keys[:: len(keys) // _MAX_POINTS + 1]
        times = [self._time(lead, key) for key in keys]
        self.points: Sequence[int] = thinned(times)
        if not self.points:
            raise RemoteProtocolError("MP4: no key frame")

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet]:
        """See `Title.packets`."""
        begin = self.points[first] if first or self._late else 0
        end = self.points[stop] if stop < len(self.points) else None
        marks = [self._number(track, begin) for track in self._tracks]
        lasts = [
            track.table.count if end is None else self._number(track, end) for track in self._tracks
        ]
        while any(mark < last for mark, last in zip(marks, lasts, strict=True)):
            # From whatever comes next: a file may be empty for hours in between.
            begin = min(
                self._time(track, mark)
                for track, mark, last in zip(self._tracks, marks, lasts, strict=True)
                if mark < last
            )
            frames: list[Frame] = []
            for index, track in enumerate(self._tracks):
                ends = min(self._number(track, begin + _SLICE), lasts[index])
                ends = min(max(ends, marks[index]), marks[index] + _MAX_SAMPLES)
                frames += self._frames(track, marks[index], ends)
                marks[index] = ends
            if not (yield from read_frames(source, frames)):
                return  # the file has been cut off here

    def _frames(self, track: HeaderTrack, first: int, stop: int) -> Iterator[Frame]:
        sample: TableSample
        for sample in track.table.samples(first, stop):
            dts = track.us(sample.dts) - self._zero
            pts = track.us(sample.dts + sample.offset) - self._zero
            yield dts, pts, sample.position, sample.size, sample.key, track.track

    def _time(self, track: HeaderTrack, number: int) -> int:
        return track.us(track.table.time(number)) - self._zero

    def _number(self, track: HeaderTrack, time: int) -> int:
        """The first sample at a time (microseconds) or later; rounding up, as `us` rounds down."""
        ticks = -((self._zero - track.shift + time) * -track.scale // US_PER_SECOND)
        return track.table.find(ticks)


def thinned(times: Sequence[int]) -> array[int]:
    """Times without those that come too soon after another."""
    chosen = array("q")
    for time in times:
        if not chosen or time - chosen[-1] >= _LEAST:
            chosen.append(time)
    return chosen


def read_frames(source: Source, frames: list[Frame]) -> Generator[Packet, None, bool]:
    """Frames as packets, in decoding order, the sequential reads they need first.

    Returns (as the value of the iteration) whether all of them are in the file.

    Raises:
        RemoteProtocolError: they are too big for memory.
    """
    if sum(frame[3] for frame in frames) > MAX_SLICE:
        raise RemoteProtocolError("MP4: a second of media is too big")
    by_place = sorted(range(len(frames)), key=lambda index: frames[index][2])
    data: dict[int, bytes] = {}
    whole = True
    while by_place:
        begin = frames[by_place[0]][2]
        end = begin
        count = 0
        for index in by_place:
            _, _, position, size, _, _ = frames[index]
            if count and (position - end > _GAP or position + size - begin > _RUN):
                break
            end = max(end, position + size)
            count += 1
        if end > source.size:
            whole = False
        block = source.read(begin, min(end, source.size) - begin) if begin < source.size else b""
        for index in islice(by_place, count):
            _, _, position, size, _, _ = frames[index]
            data[index] = block[position - begin : position - begin + size]
        del by_place[:count]
    for index in sorted(data, key=lambda index: frames[index][0]):
        dts, pts, _, size, key, track = frames[index]
        if size and len(data[index]) == size:
            yield Packet(track, dts, pts, data[index], key)
    return whole

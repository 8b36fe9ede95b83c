"""A transport stream that can be played from any key frame: by the index of our recordings, or
by looking it through."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.mpegts.demux import CLOCK, TsDemuxer
from livetrio.wire.mpegts.index import Mark, read_index
from livetrio.wire.mpegts.packets import SIZE, Framing, read_packet
from livetrio.wire.mpegts.pes import HEADER, read_times
from livetrio.wire.mpegts.sections import Elementary
from livetrio.wire.mpegts.survey import Point, Survey
from livetrio.wire.title import Source, Span, alike, span_at

__all__ = ["HEAD", "TsTitle", "is_ts", "read_ts"]

HEAD: Final = 2 * SIZE + 1
"""Bytes by which a file is known."""

_BLOCK: Final = 5_577 * SIZE
"""Bytes read at a time: a megabyte."""
_PIECE: Final = 350 * SIZE
"""Where little is wanted."""
_HEAD: Final = 8 << 20
"""Bytes at the beginning, or behind a change, among which all tracks must show themselves."""
_TAIL: Final = 2 << 20
"""Bytes behind a point in which frames that have begun before it may end."""
_WRAP: Final = 1 << 33
_ASTRAY: Final = US_PER_SECOND
"""Frames further than that outside of where they stand are of another timeline: behind a jump
of the clock, up to the next key frame."""
_MAX_CHANGES: Final = 1_000
"""Points at which something may have changed that are looked at,"""
_MAX_LOOKED_AT: Final = 64 << 20
"""and bytes behind all of them together."""


def is_ts(head: bytes) -> bool:
    """Does a file that begins so look like a transport stream? head: `HEAD` bytes, or all."""
    return len(head) >= SIZE and not head[:HEAD:SIZE].strip(b"\x47")


class TsTitle:
    """See wire/title.py; made by `read_ts`."""

    def __init__(
        self, points: Sequence[Point], spans: Sequence[tuple[Span, Sequence[Elementary]]], end: int
    ) -> None:
        """
        Args:
            points: at least one.
            spans: with the streams to be read in each.
            end: 1/90,000 s on the points' timeline.
        """
        zero = points[0].time
        self.points: Sequence[int] = array("q", [_us(point.time - zero) for point in points])
        self.duration = max(_us(end - zero), self.points[-1])
        self.spans = [span for span, _ in spans]
        self.tracks = self.spans[0].tracks
        self._streams = [streams for _, streams in spans]
        self._stamps = array("q", [point.stamp for point in points])
        self._places = array("q", [point.place for point in points])
        shifts = [point.time - point.stamp for point in points]
        breaks = {span.first for span in self.spans}
        breaks |= {n for n in range(1, len(points)) if shifts[n] != shifts[n - 1]}
        self._breaks = sorted(breaks)

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet | None]:
        """See `Title.packets`; where a configuration changes, the new one is among them."""
        breaks = self._breaks
        inner = breaks[bisect_right(breaks, first) : bisect_left(breaks, stop)]
        tracks = span_at(self, first).tracks
        for begin, end in pairwise([first, *inner, stop]):
            number = self.spans.index(span_at(self, begin))
            time, before, tracks = self.points[begin], tracks, self.spans[number].tracks
            for track in tracks:
                if track.config and track not in before:
                    yield Packet(track, time, time, track.config, config=True)
            yield from self._read(source, begin, end, number)

    def _read(self, source: Source, first: int, stop: int, span: int) -> Iterator[Packet | None]:
        """The frames of a part, whose frames may end a little behind it."""
        place, is_last = self._places[first], stop == len(self.points)
        end = source.size if is_last else self._places[stop]
        begins, over = self.points[first], self.duration if is_last else self.points[stop]
        demuxer = TsDemuxer(
            place,
            streams=self._streams[span],
            tracks=self.spans[span].tracks,
            base=(self._stamps[first], begins),
        )
        demuxer.until(end)
        while place < end or (demuxer.pending and place < min(end + _TAIL, source.size)):
            size = min(_BLOCK, end - place) if place < end else _PIECE
            data = source.read(place, size)
            place += len(data)
            final = not data or place >= source.size
            found = [
                packet
                for packet in demuxer.feed(data, final=final)
                if begins - _ASTRAY <= packet.dts <= over + _ASTRAY
            ]
            yield from found or (None,)
            if final:
                break


def read_ts(source: Source) -> TsTitle:
    """The index of a transport stream. What cannot be played at its end is left out.

    Raises:
        RemoteProtocolError: it is none, or nothing of it can be played.
    """
    streams, tracks = _beginning(source)
    marks = read_index(source)
    if marks is not None and _agrees(source, marks, streams[0].pid):
        points = [Point(m.place, m.time, m.time, False, streams) for m in marks]
        survey = Survey(streams, points[-1])
        _look(source, survey, points[-1].place)
        points += [point for point in survey.points if point.time > points[-1].time]
    else:
        survey = Survey(streams)
        _look(source, survey, 0)
        points = survey.points
    if not points:
        raise RemoteProtocolError("MPEG-TS: no key frame")
    spans, count = _spans(source, points, (Span(0, tracks), streams))
    end = survey.end if count == len(points) else points[count].time
    return TsTitle(points[:count], spans, end)


def _agrees(source: Source, marks: Sequence[Mark], lead: int) -> bool:
    """Do key frames have the times that an index gives them? The first, the last, and one."""
    for mark in {marks[0], marks[len(marks) // 2], marks[-1]}:
        stamp = _stamp_at(source, mark.place, lead)
        if stamp is None or (stamp - mark.time) % _WRAP:
            return False
    return True


def _stamp_at(source: Source, place: int, pid: int) -> int | None:
    """The decoding time of the first frame of a stream behind a place, as written."""
    for run in Framing().feed(source.read(place, _PIECE), final=True):
        for pos in range(run.begin, run.end, SIZE):
            packet = read_packet(run.data, pos)
            if packet is None or packet.pid != pid or not packet.starts:
                continue
            return read_times(packet.payload)[1] if len(packet.payload) >= HEADER else None
    return None


def _look(source: Source, survey: Survey, place: int) -> None:
    framing = Framing(place)
    while True:
        data = source.read(place, _BLOCK)
        place += len(data)
        final = not data or place >= source.size
        for run in framing.feed(data, final=final):
            survey.look(run)
        if final:
            return


def _spans(
    source: Source, points: Sequence[Point], first: tuple[Span, Sequence[Elementary]]
) -> tuple[list[tuple[Span, Sequence[Elementary]]], int]:
    """Where something may have changed, what it has changed to.

    Of a point no more is looked at than up to the next, and of all together so much: a file can
    have a change in every packet.

    Returns: the spans, and how many points there are before those that nothing plays from.
    """
    spans, left = [first], _MAX_LOOKED_AT
    changed = [number for number, point in enumerate(points) if number and point.changed]
    count = len(points)
    for number, after in zip_longest(changed[:_MAX_CHANGES], changed[1:_MAX_CHANGES]):
        end = source.size if after is None else points[after].place
        found, looked_at = _described(source, points[number], end, left, spans[-1])
        left -= looked_at
        if found is None:
            count = min(count, number)
            continue
        count = len(points)
        if not alike(found, spans[-1][0].tracks):
            spans.append((Span(number, found), points[number].streams))
        if left <= 0:
            break
    return spans, count


def _described(
    source: Source, point: Point, end: int, most: int, before: tuple[Span, Sequence[Elementary]]
) -> tuple[Sequence[Track] | None, int]:
    """The configurations from a point on.

    Args:
        end: where they may change again.
        most: bytes that may be read.
        before: the span that ends there, and its streams.

    Returns: the tracks, None where no frame is found; and how many bytes were read.
    """
    tracks: dict[Kind, Track] = {}
    demuxer = TsDemuxer(point.place, streams=point.streams, tracks=before[0].tracks)
    place, whole = point.place, min(point.place + _HEAD, source.size)
    end = min(end, whole, point.place + most)
    while place < end and len(tracks) < len(point.streams):
        data = source.read(place, min(_PIECE, end - place))
        place += len(data) or end
        for packet in demuxer.feed(data, final=place >= end):
            tracks.setdefault(packet.track.kind, packet.track)  # later ones are of other parts
    if not tracks:
        return None, place - point.place
    if end < whole:  # a stream that goes on, and has no frame in so little, is what it was
        for track in before[0].tracks:
            if any(s in before[1] and s.codec is track.codec for s in point.streams):
                tracks.setdefault(track.kind, track)
    return _in_order(tracks), place - point.place


def _beginning(source: Source) -> tuple[Sequence[Elementary], Sequence[Track]]:
    """The streams that a file begins with, and their configurations.

    Raises:
        RemoteProtocolError: there is nothing that could be played.
    """
    demuxer = TsDemuxer()
    streams: Sequence[Elementary] = ()
    tracks: dict[Kind, Track] = {}
    place, end = 0, min(_HEAD, source.size)
    while place < end and not (streams and len(tracks) == len(streams)):
        data = source.read(place, _PIECE)
        place += len(data) or end
        for packet in demuxer.feed(data, final=place >= source.size):
            tracks.setdefault(packet.track.kind, packet.track)
        streams = streams or demuxer.streams
    if not streams:
        raise RemoteProtocolError("MPEG-TS: no program with streams that could be played")
    if not tracks:
        reason = "the file is encrypted" if demuxer.scrambled else "no frame that could be played"
        raise RemoteProtocolError(f"MPEG-TS: {reason}")
    return streams, _in_order(tracks)


def _in_order(tracks: dict[Kind, Track]) -> list[Track]:
    """Video first."""
    return sorted(tracks.values(), key=lambda track: track.kind is not Kind.VIDEO)


def _us(ticks: int) -> int:
    return ticks * US_PER_SECOND // CLOCK

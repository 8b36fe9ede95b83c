"""A transport stream that can be played from any key frame: by the index of our recordings, or
by looking it through."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.mpegts.demux import CLOCK, TsDemuxer
from livetrio.wire.mpegts.index import read_index
from livetrio.wire.mpegts.packets import SIZE, Framing
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
_ASTRAY: Final = US_PER_SECOND
"""Frames further than that outside of where they stand are of another timeline: behind a jump
of the clock, up to the next key frame."""
_MAX_SPANS: Final = 1_000


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

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet]:
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

    def _read(self, source: Source, first: int, stop: int, span: int) -> Iterator[Packet]:
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
            for packet in demuxer.feed(data, final=final):
                if begins - _ASTRAY <= packet.dts <= over + _ASTRAY:
                    yield packet
            if final:
                break


def read_ts(source: Source) -> TsTitle:
    """The index of a transport stream.

    Raises:
        RemoteProtocolError: it is none, or nothing of it can be played.
    """
    streams, tracks = _described(source, 0, ())
    marks = read_index(source)
    if marks is not None:
        points = [Point(m.place, m.time, m.time, False, streams) for m in marks]
        survey = Survey(streams, points[-1])
        _look(source, survey, points[-1].place)
        points += [point for point in survey.points if point.time > marks[-1].time]
    else:
        survey = Survey(streams)
        _look(source, survey, 0)
        points = survey.points
    if not points:
        raise RemoteProtocolError("MPEG-TS: no key frame")
    return TsTitle(points, _spans(source, points, streams, tracks), survey.end)


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
    source: Source, points: Sequence[Point], streams: Sequence[Elementary], tracks: Sequence[Track]
) -> list[tuple[Span, Sequence[Elementary]]]:
    """Where something may have changed, what it has changed to."""
    spans = [(Span(0, tracks), streams)]
    for number, point in enumerate(points):
        if number and point.changed and len(spans) < _MAX_SPANS:
            streams, found = _described(source, point.place, point.streams)
            if not alike(found, spans[-1][0].tracks):
                spans.append((Span(number, found), streams))
    return spans


def _described(
    source: Source, place: int, streams: Sequence[Elementary]
) -> tuple[Sequence[Elementary], Sequence[Track]]:
    """The streams from a place on, and their configurations.

    Raises:
        RemoteProtocolError: there is nothing that could be played.
    """
    demuxer = TsDemuxer(place, streams=streams)
    tracks: dict[Kind, Track] = {}
    begin, end = place, min(place + _HEAD, source.size)
    while begin < end and not (streams and len(tracks) == len(streams)):
        data = source.read(begin, _PIECE)
        begin += len(data) or end
        for packet in demuxer.feed(data, final=begin >= source.size):
            tracks.setdefault(packet.track.kind, packet.track)  # later ones are of other parts
        streams = streams or demuxer.streams
    if not streams:
        raise RemoteProtocolError("MPEG-TS: no program with streams that could be played")
    if not tracks:
        reason = "the file is encrypted" if demuxer.scrambled else "no frame that could be played"
        raise RemoteProtocolError(f"MPEG-TS: {reason}")
    return streams, sorted(tracks.values(), key=lambda track: track.kind is not Kind.VIDEO)


def _us(ticks: int) -> int:
    return ticks * US_PER_SECOND // CLOCK

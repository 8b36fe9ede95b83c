"""HLS of stored media, packaged on the fly: where to cut is computed from the index, and of the
file only the bytes of the segment that is asked for are read.

Segments are fragmented MP4: their clock and numbers come from the index alone, so any of them
can be made without the one before. A transport stream counts its packets on from segment to
segment, and would have to be made from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.media.vod.opened import OpenTitle
from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.m3u8 import MediaPlaylist, PlaylistSegment, render
from livetrio.wire.segment import Sample

__all__ = ["Cut", "cuts", "header", "playlist", "samples_of", "segment", "segments_between"]

_TARGET: Final = 6 * US_PER_SECOND
"""As Apple recommends."""
_MAX_SEGMENT: Final = 64 << 20
"""Bytes: with key frames further apart than this file can be played, but not by HLS."""
_USUAL: Final = 20 * US_PER_MS
"""Duration of a frame without a neighbour."""


class Cut(NamedTuple):
    """One segment. Times in microseconds."""

    first: int
    """Number of the point it begins with."""
    stop: int
    """And of the point behind it."""
    start: int
    duration: int


def cuts(opened: OpenTitle, target: int = _TARGET) -> list[Cut]:
    """All segments of a file, cut at the first point after `target` microseconds."""
    title = opened.title
    points = title.points
    found: list[Cut] = []
    first = 0
    for number in range(1, len(points)):
        if points[number] - points[first] >= target:
            found.append(Cut(first, number, points[first], points[number] - points[first]))
            first = number
    rest = max(title.duration - points[first], US_PER_MS)
    return [*found, Cut(first, len(points), points[first], rest)]


def segments_between(every: Sequence[Cut], start: int, end: int) -> range:
    """The numbers of the segments that a part of a file lies in. Times in microseconds."""
    numbers = [
        number
        for number, cut in enumerate(every)
        if cut.start < end and cut.start + cut.duration > start
    ]
    return range(numbers[0], numbers[-1] + 1) if numbers else range(0)


def playlist(every: Sequence[Cut], base: str, version: str, query: str = "") -> str:
    """The playlist of a whole file.

    Args:
        every: its segments.
        base: what stands before the files' names.
        version: the file's, part of every name: what is cached is never of another file.
        query: what stands behind them, with its "?".
    """
    rows = [
        PlaylistSegment(
            f"{base}{version}-{number}.m4s{query}",
            cut.duration,
            map_uri=f"{base}{version}-init.mp4{query}",
        )
        for number, cut in enumerate(every)
    ]
    longest = max(cut.duration for cut in every)
    about = MediaPlaylist(target=longest, sequence=0, segments=rows, ended=True, kind="VOD")
    return render(about)


def header(opened: OpenTitle) -> bytes:
    """The initialization segment.

    Raises:
        Refused: UNAVAILABLE, MP4 knows none of the codecs.
    """
    return initialization(_carried(opened))


async def segment(opened: OpenTitle, number: int, cut: Cut, *, origin: int = 0) -> bytes:
    """One segment.

    Args:
        number: of the fragment, from 0.
        cut: which.
        origin: microseconds of the file that become time 0.

    Raises:
        Refused: UNAVAILABLE, as `header`; also a segment that is too big.
    """
    tracks = _carried(opened)
    packets = await opened.read_all(cut.first, cut.stop, _MAX_SEGMENT)
    if packets is None:
        raise Refused(RefusalCode.UNAVAILABLE, "key frames are too far apart for HLS")
    end = cut.start + cut.duration
    samples = [samples_of(packets, track, end) for track in tracks]
    return fragment(number + 1, tracks, samples, origin=origin)


def _carried(opened: OpenTitle) -> list[Track]:
    tracks = [track for track in opened.title.tracks if in_mp4(track.codec)]
    if not tracks:
        raise Refused(RefusalCode.UNAVAILABLE, "the codecs of this file have no place in MP4")
    return tracks


def samples_of(packets: Sequence[Packet], track: Track, end: int | None) -> list[Sample]:
    """The samples of a track among some packets.

    A frame lasts until the next; the last picture until the end of the segment (microseconds;
    None where it is not known), the last sound as long as the one before.
    """
    own = [p for p in packets if p.track.kind is track.kind and not p.config]
    samples = [
        Sample(one.dts, one.pts, max(after.dts - one.dts, 0), one.key, one.data)
        for one, after in pairwise(own)
    ]
    if own:
        last = own[-1]
        lasts = samples[-1].duration if samples else _USUAL
        if track.kind is Kind.VIDEO and end is not None and last.dts < end:
            lasts = end - last.dts
        samples.append(Sample(last.dts, last.pts, lasts, last.key, last.data))
    return samples

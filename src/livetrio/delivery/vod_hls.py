"""HLS of stored media, packaged on the fly: where to cut is computed from the index, and of the
file only the bytes of the segment that is asked for are read.

Segments are fragmented MP4: their clock and numbers come from the index alone, so any of them
can be made without the one before. A transport stream counts its packets on from segment to
segment, and would have to be made from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.media.vod.opened import OpenTitle
from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.m3u8 import MediaPlaylist, PlaylistSegment, render
from livetrio.wire.segment import Sample
from livetrio.wire.title import alike

__all__ = [
    "Cut",
    "cuts",
    "header",
    "header_name",
    "header_number",
    "playlist",
    "read_cut",
    "samples_of",
    "segment",
    "segments_between",
]

_TARGET: Final = 6 * US_PER_SECOND
"""As Apple recommends."""
_MAX_SEGMENT: Final = 64 << 20
"""Bytes: with key frames further apart than this file can be played, but not by HLS."""
_HEADER: Final = re.compile(r"init([1-9][0-9]{0,3})?\.mp4")
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
    span: int = 0
    """Number of the part of the file that it lies in: which initialization segment it needs."""


def cuts(opened: OpenTitle, target: int = _TARGET) -> list[Cut]:
    """All segments of a file, cut at the first point after `target` microseconds, and where the
    configuration changes."""
    title = opened.title
    points = title.points
    borders = [*(span.first for span in title.spans[1:]), len(points)]
    found: list[Cut] = []
    first = span = 0
    for number in range(1, len(points)):
        changes = number == borders[span]
        if changes or points[number] - points[first] >= target:
            lasts = points[number] - points[first]
            found.append(Cut(first, number, points[first], lasts, span))
            first, span = number, span + changes
    rest = max(title.duration - points[first], US_PER_MS)
    return [*found, Cut(first, len(points), points[first], rest, span)]


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
            discontinuity=number > 0 and cut.span != every[number - 1].span,
            map_uri=f"{base}{version}-{header_name(cut.span)}{query}",
        )
        for number, cut in enumerate(every)
    ]
    longest = max(cut.duration for cut in every)
    about = MediaPlaylist(target=longest, sequence=0, segments=rows, ended=True, kind="VOD")
    return render(about)


def header_name(span: int) -> str:
    """What the file name of an initialization segment ends with."""
    return f"init{span or ''}.mp4"


def header_number(name: str) -> int | None:
    """The reverse; None for other files."""
    found = _HEADER.fullmatch(name)
    return None if found is None else int(found[1] or 0)


def header(opened: OpenTitle, span: int = 0) -> bytes:
    """The initialization segment of a part of a file.

    Raises:
        Refused: UNAVAILABLE, MP4 knows none of the codecs; NOT_FOUND, there is no such part.
    """
    if span >= len(opened.title.spans):
        raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
    return initialization(_carried(opened, span))


async def segment(opened: OpenTitle, number: int, cut: Cut) -> bytes:
    """One segment.

    Args:
        number: of the fragment, from 0.
        cut: which.

    Raises:
        Refused: UNAVAILABLE, as `header`; also a segment that is too big.
    """
    tracks, samples = await read_cut(opened, cut)
    return fragment(number + 1, tracks, samples)


async def read_cut(opened: OpenTitle, cut: Cut) -> tuple[list[Track], list[list[Sample]]]:
    """What a segment is made of: its tracks, and the samples of each.

    Raises:
        Refused: as `segment`.
    """
    tracks = _carried(opened, cut.span)
    packets = await opened.read_all(cut.first, cut.stop, _MAX_SEGMENT)
    if packets is None:
        raise Refused(RefusalCode.UNAVAILABLE, "key frames are too far apart for HLS")
    end = cut.start + cut.duration
    return tracks, [samples_of(packets, track, end) for track in tracks]


def _carried(opened: OpenTitle, span: int) -> list[Track]:
    tracks = [track for track in opened.title.spans[span].tracks if in_mp4(track.codec)]
    if not tracks:
        raise Refused(RefusalCode.UNAVAILABLE, "the codecs of this file have no place in MP4")
    return tracks


def samples_of(packets: Sequence[Packet], track: Track, end: int | None) -> list[Sample]:
    """The samples of a track among some packets; not those in another configuration.

    A frame lasts until the next; the last picture until the end of the segment (microseconds;
    None where it is not known), the last sound as long as the one before.
    """
    fitting: dict[Track, bool] = {}
    for each in {p.track for p in packets}:
        fitting[each] = each.kind is track.kind and alike([each], [track])
    own = [p for p in packets if fitting[p.track] and not p.config]
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

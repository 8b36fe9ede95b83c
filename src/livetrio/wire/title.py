"""Title: a media file that can be played from many places; what FLV and MP4 files have in common.

Whoever opens a file gives a Source, and the formats ask it for the bytes they need: an index at
first, then the frames of the part that is played. A call of theirs reads from a disk, so it
belongs into a worker thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from livetrio.packet import Packet, Track

__all__ = ["Source", "Span", "Title", "alike", "span_at"]


class Source(Protocol):
    """A file, open for reading at any place."""

    @property
    def size(self) -> int:
        """Bytes it had when it was opened."""

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from an offset on; fewer at the end of the file. OSError where it fails."""


class Span(NamedTuple):
    """A part of a file in which no configuration changes."""

    first: int
    """Number of the point it begins with."""
    tracks: Sequence[Track]
    """Video first; at most one of each kind."""


class Title(Protocol):
    """The index of a file. Times are microseconds from the file's beginning."""

    @property
    def tracks(self) -> Sequence[Track]:
        """What it begins with: video first; at most one of each kind."""

    @property
    def spans(self) -> Sequence[Span]:
        """Its parts; the first begins with point 0 and has `tracks`."""

    @property
    def duration(self) -> int:
        """When its last frame is over."""

    @property
    def points(self) -> Sequence[int]:
        """Where a decoder can start, ascending; the first of all is where the file begins."""

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet | None]:
        """The frames from one of the points up to another, in decoding order; no configuration.

        Reads as it goes: what is held at a time is about a second of media. None comes where
        a block was read without a frame in it: a file may have gigabytes of nonsense, and
        whoever reads one in a thread must be able to stop.

        Args:
            source: the file this is the index of.
            first: number of the point where to begin.
            stop: number of the point before which to end; `len(points)`: with the file.

        Raises:
            RemoteProtocolError: the file is broken there.
        """


def span_at(title: Title, point: int) -> Span:
    """The part that a point lies in."""
    return title.spans[bisect_right(title.spans, point, key=lambda span: span.first) - 1]


def alike(one: Sequence[Track], other: Sequence[Track]) -> bool:
    """Are these the same tracks in the same configurations?"""
    about = [
        [(track.codec, track.config, track.sample_rate, track.channels) for track in tracks]
        for tracks in (one, other)
    ]
    return about[0] == about[1]

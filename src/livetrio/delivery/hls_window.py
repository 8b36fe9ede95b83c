"""Window: the newest segments of one rendition, with their parts; who waits for the next one.

Written by one packager, read by any number of requests. Bytes are kept once: when a segment is
whole its parts become views of it. Playlists are rendered once per state and shared.
"""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import trio

from livetrio.wire.m3u8 import (
    Key,
    MediaPlaylist,
    PlaylistPart,
    PlaylistSegment,
    Report,
    render,
)

__all__ = ["Window", "WindowPart", "WindowSegment"]

_LINGER = 2
"""Segments kept behind the playlist: for players that read it a moment ago."""
_COMPRESS_FROM = 1024
"""Bytes; a playlist under that is not worth gzip."""
_LOOKAHEAD = 2
"""A request for a segment further ahead than this is a mistake (RFC 8216bis section 6.2.5.2)."""


@dataclass(slots=True, eq=False)
class WindowPart:
    """A piece of a segment that can be fetched by itself."""

    data: bytes | memoryview
    duration: int
    """Microseconds."""
    independent: bool


@dataclass(slots=True, eq=False)
class WindowSegment:
    """One segment; not whole while its duration is None."""

    number: int
    """Media sequence number."""
    began: float
    """Unix time of its first frame, seconds."""
    discontinuity: bool
    header: int = 0
    """Number of its initialization segment; 0: it needs none."""
    duration: int | None = None
    parts: list[WindowPart] = field(default_factory=list)
    data: bytes = b""
    key: Key | None = None

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.data) or sum(len(part.data) for part in self.parts)


class Window:
    """Segments by number; numbers never go back, not even over a republish.

    Args:
        count: segments listed.
        rewind: microseconds that are listed, if these are more.
        target: duration of a segment, microseconds.
        prefix: of every file name in here, unlike any other window's: URLs are never reused.
        suffix: of segments, ".ts" or ".m4s".
    """

    def __init__(self, *, count: int, rewind: int, target: int, prefix: str, suffix: str) -> None:
        self.prefix = prefix
        self.suffix = suffix
        self.segments: deque[WindowSegment] = deque()
        """All that can be fetched, the newest perhaps not whole; the first few not listed."""
        self.part_target = 0
        """Microseconds; 0 without parts."""
        self.headers: dict[int, bytes] = {}
        """Initialization segments by number."""
        self.keys: dict[str, bytes] = {}
        """AES keys by file name."""
        self.ended = False
        self.longest = target
        """Microseconds: the longest segment, or what is aimed at."""
        self._count = count
        self._rewind = rewind
        self._next = 1  # livego counts from 1 too
        self._passed = 0  # discontinuities that have left
        self._version = 0
        self._texts: dict[tuple[object, ...], bytes] = {}
        self._lot = trio.lowlevel.ParkingLot()

    @property
    def listed(self) -> list[WindowSegment]:
        """Whole segments that stand in the playlist now."""
        whole = [segment for segment in self.segments if segment.duration is not None]
        return whole[len(whole) - self._listed_count(whole) :]

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return sum(segment.size for segment in self.segments)

    @property
    def newest(self) -> tuple[int, int]:
        """Number of the newest segment, and parts it has; (n, 0) if n has not begun."""
        if self.segments and self.segments[-1].duration is None:
            return self.segments[-1].number, len(self.segments[-1].parts)
        return self._next, 0

    def begin(self, began: float, *, discontinuity: bool, header: bytes) -> None:
        """A segment begins; header is its initialization segment, b"" without one."""
        if header and (not self.headers or self.headers[max(self.headers)] != header):
            self.headers[max(self.headers, default=0) + 1] = header
        # The first segment of all continues nothing.
        discontinuity = discontinuity and self._next > 1
        number = max(self.headers) if header else 0
        self.segments.append(WindowSegment(self._next, began, discontinuity, number))
        self._next += 1

    def add_part(self, part: WindowPart) -> None:
        """The segment that was begun has a part more."""
        self.segments[-1].parts.append(part)
        if self.part_target:
            self._changed()

    def finish(self, duration: int, *, keep_parts: bool, key: Key | None = None) -> None:
        """The segment that was begun is whole."""
        segment = self.segments[-1]
        segment.data = b"".join([part.data for part in segment.parts])
        segment.duration = duration
        segment.key = key
        self.longest = max(self.longest, duration)
        if keep_parts:
            view = memoryview(segment.data)
            pos = 0
            for part in segment.parts:
                part.data = view[pos : pos + len(part.data)]
                pos += len(part.data)
        else:
            segment.parts = []
        self._trim()
        self._changed()

    def reopen(self) -> None:
        """Segments will come (again)."""
        self.ended = False
        self._changed()

    def end(self) -> None:
        """Nothing will come; all that wait are answered."""
        self.ended = True
        self._changed()

    def drop(self) -> None:
        """Forget all media, not where the numbers stood."""
        self._passed += sum(segment.discontinuity for segment in self.segments)
        self.segments.clear()
        self.headers.clear()
        self.keys.clear()
        self.end()

    def segment(self, number: int) -> WindowSegment | None:
        """A segment that can be fetched."""
        if not self.segments:
            return None
        index = number - self.segments[0].number
        return self.segments[index] if 0 <= index < len(self.segments) else None

    def is_ahead(self, number: int) -> bool:
        """Does somebody ask for what will not come soon?"""
        return number > self.newest[0] + _LOOKAHEAD

    async def reached(self, number: int, part: int | None) -> None:
        """Return when that segment (that part of it) is there, or nothing will come any more."""
        while not self.ended and not self._has(number, part):
            await self._lot.park()

    async def changed(self) -> None:
        """Return at the next change."""
        if not self.ended:
            await self._lot.park()

    def playlist(
        self, base: str, query: str, *, parts: bool, skip: bool, reports: Sequence[Report] = ()
    ) -> bytes:
        """The media playlist as it is now.

        Args:
            base: what stands before the file names.
            query: what stands behind them, with its "?"; "" for none.
            parts: as a low-latency one.
            skip: as a delta update.
            reports: where the other renditions are.
        """
        asked = (base, query, parts, skip, *reports)
        text = self._texts.get(asked)
        if text is None:
            text = self._render(base, query, parts=parts, skip=skip, reports=reports).encode()
            if len(self._texts) >= 64:  # every asker has a query of its own: keep no more
                self._texts.clear()
            self._texts[asked] = text
        return text

    def compressed(self, text: bytes) -> bytes | None:
        """A playlist in gzip; None where that is not worth it."""
        if len(text) < _COMPRESS_FROM:
            return None
        packed = self._texts.get(("gzip", text))
        if packed is None:
            packed = self._texts["gzip", text] = gzip.compress(text, compresslevel=1, mtime=0)
        return packed

    def _has(self, number: int, part: int | None) -> bool:
        newest, parts = self.newest
        if part is None:
            return number < newest
        return number < newest or (number == newest and part < parts)

    def _render(
        self, base: str, query: str, *, parts: bool, skip: bool, reports: Sequence[Report]
    ) -> str:
        low_latency = parts and bool(self.part_target)
        rows = list(self._rows(base, query, parts=low_latency))
        first = self.listed[0].number if self.listed else self.newest[0]
        passed = sum(s.discontinuity for s in self.segments if s.number < first)
        number, count = self.newest
        hint = f"{base}{self.prefix}{number}.{count}{self.suffix}{query}" if low_latency else ""
        return render(
            MediaPlaylist(
                target=self.longest,
                sequence=first,
                discontinuities=self._passed + passed,
                segments=rows,
                part_target=self.part_target if low_latency else 0,
                hint=hint,
                reports=reports if low_latency else (),
                ended=self.ended,
                skippable=low_latency or bool(self._rewind),
            ),
            skip=skip,
        )

    def _rows(self, base: str, query: str, *, parts: bool) -> Iterator[PlaylistSegment]:
        shown = self.listed
        if parts and self.segments and self.segments[-1].duration is None:
            shown.append(self.segments[-1])
        for segment in shown:
            stem = f"{base}{self.prefix}{segment.number}"
            header = f"{base}{self.prefix}i{segment.header}.mp4{query}" if segment.header else ""
            pieces = [
                PlaylistPart(f"{stem}.{n}{self.suffix}{query}", part.duration, part.independent)
                for n, part in enumerate(segment.parts)
            ]
            key = segment.key
            yield PlaylistSegment(
                f"{stem}{self.suffix}{query}",
                segment.duration,
                segment.began,
                segment.discontinuity,
                header,
                Key(f"{base}{key.uri}{query}", key.iv) if key else None,
                pieces if parts else (),
            )

    def _listed_count(self, whole: Sequence[WindowSegment]) -> int:
        """As many as the window has, or more while they are within the rewind window."""
        count, length = 0, 0
        while count < len(whole):
            if count >= self._count and length >= self._rewind:
                break
            count += 1
            length += whole[-count].duration or 0
        return count

    def _trim(self) -> None:
        spare = len(self.segments) - len(self.listed) - _LINGER
        for _ in range(spare):
            self._passed += self.segments.popleft().discontinuity
        used = {segment.header for segment in self.segments}
        for number in self.headers.keys() - used - {max(self.headers, default=0)}:
            del self.headers[number]
        named = {segment.key.uri for segment in self.segments if segment.key}
        for name in self.keys.keys() - named:
            del self.keys[name]

    def _changed(self) -> None:
        self._version += 1
        self._texts.clear()
        self._lot.unpark_all()

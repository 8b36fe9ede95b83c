"""Window: the newest segments of one rendition, with their parts; who waits for the next one.

Written by one packager, read by any number of requests. Bytes are kept once: when a segment is
whole its parts become views of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Final, Protocol

import trio

from livetrio.packet import US_PER_SECOND
from livetrio.wire.m3u8 import Key

__all__ = ["Waiter", "Window", "WindowPart", "WindowSegment"]

_LINGER: Final = 2
"""Segments kept behind the playlist: for players that read it a moment ago."""
_ANSWERS_PER_CHECKPOINT: Final = 200
_PARTS_AHEAD: Final = 3
"""Seconds of parts, or whole parts of a second and more, that may be asked for in advance (the
Advance Part Limit of RFC 8216bis section 6.2.5.2)."""


class Waiter(Protocol):
    """Told by a plain call, so that thousands are answered without waking thousands of tasks."""

    def come(self) -> None:
        """What was waited for is there, or nothing will come any more."""


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
    independent: bool = True
    """Does it begin with a key frame?"""

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.data) or sum(len(part.data) for part in self.parts)


class Window:
    """Segments by number; numbers never go back, not even over a republish.

    Args:
        count: segments listed.
        rewind: microseconds that are listed, if these are more.
        target: duration of a segment that is aimed at, microseconds.
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
        self.target = 0
        """EXT-X-TARGETDURATION in seconds, which no reload may find changed (RFC 8216 section
        6.2.1); 0 while it is not known, hence nothing is to be shown."""
        self.rewinds = rewind > 0
        self.passed = 0
        """Discontinuities that have left (EXT-X-DISCONTINUITY-SEQUENCE)."""
        self.version = 0
        """Counts the changes."""
        self._count = count
        self._rewind = rewind
        self._wanted = target
        self._next = 1  # livego counts from 1 too
        self._headers_made = 0
        self._waiters: dict[Waiter, tuple[int, int | None]] = {}
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

    @property
    def has_something(self) -> bool:
        """Is there a whole segment? Of a playlist with parts alone hls.js says that it is empty."""
        return bool(self.segments) and self.segments[0].duration is not None

    def begin(self, began: float, *, discontinuity: bool, header: bytes) -> None:
        """A segment begins; header is its initialization segment, b"" without one."""
        if header and self.headers.get(self._headers_made) != header:
            self._headers_made += 1  # never one that was: files are cached by their names
            self.headers[self._headers_made] = header
        # The first segment of all continues nothing.
        discontinuity = discontinuity and self._next > 1
        number = self._headers_made if header else 0
        self.segments.append(WindowSegment(self._next, began, discontinuity, number))
        self._next += 1

    def add_part(self, part: WindowPart) -> None:
        """The segment that was begun has a part more."""
        segment = self.segments[-1]
        if not segment.parts:
            segment.independent = part.independent
        segment.parts.append(part)
        if self.part_target:
            self._changed()

    def finish(self, duration: int, *, keep_parts: bool, key: Key | None = None) -> None:
        """The segment that was begun is whole."""
        segment = self.segments[-1]
        segment.data = b"".join([part.data for part in segment.parts])
        segment.duration = duration
        segment.key = key
        if not self.target:
            lengths = [segment.duration or 0 for segment in self.segments]
            self.target = max(ceil(max(self._wanted, *lengths, 0) / US_PER_SECOND), 1)
        elif duration >= (self.target + 0.5) * US_PER_SECOND:
            # One frame lasted longer than a segment may: the lesser evil is a target that grows.
            self.target = ceil(duration / US_PER_SECOND)
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

    def advance(self, number: int) -> None:
        """The next segment has at least this number, if there are none to go on from."""
        if not self.segments:
            self._next = max(self._next, number)

    def reopen(self) -> None:
        """Segments will come (again), of a length that nobody knows yet."""
        self.target = 0
        self.ended = False
        self._changed()

    async def end(self) -> None:
        """Nothing will come; all that wait are told now, others have their turn in between."""
        self.ended = True
        self.version += 1
        while self.ended and (self._waiters or self._lot):  # until published again
            for waiter in list(islice(self._waiters, _ANSWERS_PER_CHECKPOINT)):
                del self._waiters[waiter]
                waiter.come()
            self._lot.unpark(count=_ANSWERS_PER_CHECKPOINT)
            await trio.lowlevel.checkpoint()

    def drop(self) -> None:
        """Forget all media, not where the numbers stood; call `end` afterwards."""
        self.passed += sum(segment.discontinuity for segment in self.segments)
        self.segments.clear()
        self.headers.clear()
        self.keys.clear()

    def segment(self, number: int) -> WindowSegment | None:
        """A segment that can be fetched."""
        if not self.segments:
            return None
        index = number - self.segments[0].number
        return self.segments[index] if 0 <= index < len(self.segments) else None

    def is_ahead(self, number: int, part: int | None) -> bool:
        """Does somebody ask for what will not come soon (RFC 8216bis section 6.2.5.2)?"""
        newest, parts = self.newest
        if number > newest + 1:  # of whole segments, the last one plus two
            return True
        if part is None or number < newest or not self.part_target:
            return False
        limit = ceil(_PARTS_AHEAD / min(self.part_target / US_PER_SECOND, 1.0))
        return part - (parts if number == newest else 0) >= limit

    def has(self, number: int, part: int | None) -> bool:
        """Is that segment whole, or is that part of it there?"""
        newest, parts = self.newest
        if part is None or not self.part_target:
            return number < newest
        if number >= newest:
            return number == newest and part < parts
        segment = self.segment(number)
        if segment is None or part < len(segment.parts):
            return True
        # Behind its last part: that means part 0 of the next one.
        return number + 1 < newest or parts > 0

    async def reached(self, number: int, part: int | None) -> None:
        """Return when that segment (that part of it) is there, or nothing will come any more."""
        while not self.ended and not self.has(number, part):
            await self._lot.park()

    async def changed(self) -> None:
        """Return at the next change."""
        if not self.ended:
            await self._lot.park()

    def wait(self, waiter: Waiter, number: int, part: int | None) -> None:
        """Have the waiter told as soon as `has` is true, or nothing will come any more."""
        self._waiters[waiter] = number, part

    def forget(self, waiter: Waiter) -> None:
        """It waits no more."""
        self._waiters.pop(waiter, None)

    async def tell(self) -> None:
        """Tell the waiters whose time has come; others have their turn in between."""
        # Thousands ask for one of two or three things.
        there = {asked for asked in set(self._waiters.values()) if self.has(*asked)}
        due = [waiter for waiter, asked in self._waiters.items() if asked in there]
        for start in range(0, len(due), _ANSWERS_PER_CHECKPOINT):
            if start:
                await trio.lowlevel.checkpoint()
            for waiter in due[start : start + _ANSWERS_PER_CHECKPOINT]:
                if self._waiters.pop(waiter, None) is not None:
                    waiter.come()

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
            self.passed += self.segments.popleft().discontinuity
        used = {segment.header for segment in self.segments}
        for number in self.headers.keys() - used - {self._headers_made}:
            del self.headers[number]
        named = {segment.key.uri for segment in self.segments if segment.key}
        for name in self.keys.keys() - named:
            del self.keys[name]

    def _changed(self) -> None:
        self.version += 1
        self._lot.unpark_all()

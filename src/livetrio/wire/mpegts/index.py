"""The key frame index of our own recordings, inside the file and growing with it.

Behind the tables at each key frame stands a null packet (PID 0x1FFF; players must ignore what is
in it) with this key frame's time and place and those of the ten before. From the newest one at
the end a reader is at the first in a few hops, also while the file grows, or when its writer was
killed. Refused: a second file beside each, which gets lost, and an index at the end, which a
killed process never writes.

Layout, big-endian: header 47 1f ff 10, 8 bytes of magic, 11 x (time 64 bits in 1/90,000 s beyond
any wrap, place 64 bits, all ones where there is none).
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, NamedTuple

from livetrio.wire.mpegts.packets import SIZE
from livetrio.wire.title import Source

__all__ = ["IndexWriter", "Mark", "read_index"]

_HEAD: Final = b"\x47\x1f\xff\x10livetrix"
_ROW: Final = struct.Struct(">QQ")
_ROWS: Final = (SIZE - len(_HEAD)) // _ROW.size
_NONE: Final = (1 << 64) - 1
_BEHIND: Final = 2 * SIZE
"""It stands behind PAT and PMT, at whose place a reader begins."""
_MAX_MARKS: Final = 500_000
_LATEST: Final = 1 << 48
"""In 1/90,000 s: a century. More is a lie, and in microseconds no number of 64 bits."""
_BLOCK: Final = 4_096 * SIZE
_MAX_SEARCH: Final = 128 << 20
"""Bytes at the end of a file among which the newest is looked for."""


class Mark(NamedTuple):
    """A key frame."""

    time: int
    """Decoding time, 1/90,000 s, beyond any wrap."""
    place: int
    """Where its tables begin."""


class IndexWriter:
    """One file's index."""

    def __init__(self) -> None:
        self._newest: deque[Mark] = deque(maxlen=_ROWS)

    def packet(self, mark: Mark) -> bytes:
        """The packet to be put behind the two tables that stand at `mark.place`."""
        self._newest.appendleft(mark)
        rows = b"".join([_ROW.pack(*each) for each in self._newest])
        return (_HEAD + rows).ljust(SIZE, b"\xff")


def read_index(source: Source) -> list[Mark] | None:
    """The key frames of a file, in order; None where it has no index, or one that lies."""
    if not _rows(source, 0):
        return None
    place = _newest(source)
    found: list[Mark] = []
    while len(found) < _MAX_MARKS:
        rows = _rows(source, place)
        if not rows or rows[0].place != place:
            return None
        for row in rows:
            if found and row == found[-1]:
                continue  # the one this packet belongs to is known from the one behind
            if found and not (row.place < found[-1].place and row.time < found[-1].time):
                return None
            found.append(row)
        if not found[-1].place:
            return found[::-1]
        if found[-1].place == place:
            return None
        place = found[-1].place
    return None


def _newest(source: Source) -> int:
    """The place of the newest mark."""
    end = source.size
    while end > 0 and source.size - end < _MAX_SEARCH:
        begin = max(end - _BLOCK, 0) // SIZE * SIZE
        block = source.read(begin, end - begin)
        pos = len(block)
        while (pos := block.rfind(_HEAD, 0, pos)) >= 0:
            if not pos % SIZE and pos + SIZE <= len(block):
                return begin + pos - _BEHIND
        end = begin
    return 0


def _rows(source: Source, place: int) -> list[Mark]:
    """What the packet of a mark says; nothing if there is none, or it cannot be true."""
    data = source.read(place + _BEHIND, SIZE) if place >= 0 else b""
    if len(data) < SIZE or not data.startswith(_HEAD):
        return []
    rows = [Mark(*row) for row in _ROW.iter_unpack(data[len(_HEAD) :])]
    rows = [row for row in rows if row.place != _NONE]
    return rows if all(r.place < source.size and r.time < _LATEST for r in rows) else []

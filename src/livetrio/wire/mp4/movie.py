"""A whole MP4 file: which boxes lie where on its top level. Media are stepped over, not read."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.mp4.boxes import HEADER, Box, read_header
from livetrio.wire.mp4.fragmented import MAX_MOOF, FragmentedTitle
from livetrio.wire.mp4.header import read_moov
from livetrio.wire.mp4.progressive import ProgressiveTitle
from livetrio.wire.title import Source, Title

__all__ = ["read_movie"]

_MAX_MOOV: Final = 64 << 20
"""Bytes of tables."""
_MAX_BOXES: Final = 500_000
"""On the top level: a day of fragments of a fifth of a second."""
_AHEAD: Final = 2_048
"""Bytes read at once where a box begins: most fragments' tables, and the next header."""


def read_movie(source: Source) -> Title:
    """The index of an MP4 file.

    What is cut off at the end of the file is left out; so is what follows a box that cannot be.

    Raises:
        RemoteProtocolError: it is none, or nothing of it can be played.
    """
    window = _Window(source)
    offset = 0
    fragments: FragmentedTitle | None = None
    for _ in range(_MAX_BOXES):
        box = _next(window, offset, source.size)
        if box is None:
            break
        if box.kind == b"moov" and fragments is None:
            if box.end - box.start > _MAX_MOOV:
                raise RemoteProtocolError(f"MP4: tables of {box.end - box.start} bytes")
            header = read_moov(window.read(box.start, box.end - box.start))
            if not header.fragmented or any(track.table.count for track in header.tracks):
                return ProgressiveTitle(header.tracks)
            fragments = FragmentedTitle(header.tracks)
        elif box.kind == b"moof" and fragments is not None:
            if box.end - box.start > MAX_MOOF:
                raise RemoteProtocolError(
                    f"MP4: a fragment's tables of {box.end - box.start} bytes"
                )
            fragments.add(window.read(box.start, box.end - box.start), offset)
        offset = box.end
    if fragments is None:
        raise RemoteProtocolError("MP4: no moov: this is no MP4 file, or it was never finished")
    fragments.finish()
    return fragments


def _next(window: _Window, offset: int, size: int) -> Box | None:
    """The box at an offset; None at the end, and where a file that was cut off ends."""
    head = window.read(offset, min(HEADER, size - offset)) if offset < size else b""
    try:
        return read_header(head, offset, size)
    except RemoteProtocolError:
        if not offset:
            raise
        return None


class _Window:
    """A little more of the file than was asked for: the next box is often in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._begin = 0
        self._data = b""

    def read(self, offset: int, size: int) -> bytes:
        start = offset - self._begin
        if not 0 <= start <= start + size <= len(self._data):
            self._data = self._source.read(offset, max(size, _AHEAD))
            self._begin, start = offset, 0
        return self._data[start : start + size]

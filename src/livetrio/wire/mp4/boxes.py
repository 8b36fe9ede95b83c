"""Boxes, read: their sizes are whatever a file says, and are believed only if they fit.

Source: ISO/IEC 14496-12 section 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError

__all__ = ["HEADER", "Box", "child", "children", "fields", "read_header"]

HEADER: Final = 16
"""Bytes of the longest header that is read: with a 64-bit size."""
_SHORT: Final = struct.Struct(">I4s")
_MAX_CHILDREN: Final = 4_096


class Box(NamedTuple):
    """A box in some data."""

    kind: bytes
    start: int
    """Where its content begins."""
    end: int


def read_header(head: bytes, offset: int, end: int) -> Box:
    """The box that begins at an offset.

    Args:
        head: its first 16 bytes, or all there are.
        offset: where it stands.
        end: where the box around it, or the file, ends.

    Raises:
        RemoteProtocolError: the header is cut, or its size cannot be.
    """
    if len(head) < _SHORT.size:
        raise RemoteProtocolError("MP4: a box header is cut")
    size, kind = _SHORT.unpack_from(head)
    start = offset + _SHORT.size
    if size == 1:
        if len(head) < HEADER:
            raise RemoteProtocolError("MP4: a box header is cut")
        size = int.from_bytes(head[8:16], "big")
        start = offset + HEADER
    elif size == 0:  # to the end
        size = end - offset
    if offset + size < start:
        raise RemoteProtocolError(f"MP4: a {kind!r} box of {size} bytes")
    if offset + size > end:
        raise RemoteProtocolError(f"MP4: a {kind!r} box reaches beyond what it is in")
    return Box(kind, start, offset + size)


def children(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes in data[start:end], not those inside of them: nesting costs nothing.

    Raises:
        RemoteProtocolError: as `read_header`; also for thousands of boxes.
    """
    for _ in range(_MAX_CHILDREN):
        if end - start < _SHORT.size:
            return  # QuickTime ends some lists with four zero bytes
        box = read_header(data[start : start + HEADER], start, end)
        yield box
        start = box.end
    raise RemoteProtocolError(f"MP4: more than {_MAX_CHILDREN} boxes in one")


def child(data: bytes, around: Box, *path: bytes) -> Box | None:
    """The first box at a path inside another; None where there is none."""
    box: Box | None = around
    for kind in path:
        if box is None:
            return None
        box = next((b for b in children(data, box.start, box.end) if b.kind == kind), None)
    return box


def fields(data: bytes, box: Box, form: struct.Struct, skip: int = 0) -> tuple[int, ...]:
    """The fixed fields of a box, from some bytes behind its header on.

    Raises:
        RemoteProtocolError: the box is too short for them.
    """
    if box.start + skip + form.size > box.end:
        raise RemoteProtocolError(f"MP4: a {box.kind!r} box is cut")
    return form.unpack_from(data, box.start + skip)

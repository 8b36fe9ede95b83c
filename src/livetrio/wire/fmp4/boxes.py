"""Boxes, which all of an MP4 file is made of (ISO/IEC 14496-12 section 4.2)."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["box", "full_box"]

_HEADER: Final = struct.Struct(">I4s")
_FULL_HEADER: Final = struct.Struct(">I4sI")


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of a four-letter kind around its content."""
    body = b"".join(parts)
    return _HEADER.pack(_HEADER.size + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that begins with a version (8 bits) and flags (24 bits)."""
    body = b"".join(parts)
    return _FULL_HEADER.pack(_FULL_HEADER.size + len(body), kind, version << 24 | flags) + body

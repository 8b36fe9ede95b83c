"""Fossil deltas: a text as what has changed since another (https://fossil-scm.org, delta format).

A delta is the target's size and a newline; then pieces, each either `COUNT@OFFSET,` (a copy from
the source) or `COUNT:` and so many new bytes; then `CHECKSUM;`. Numbers are in base 64.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["create_delta"]

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_BLOCK: Final = 16
"""Bytes of the source that must come again to be worth a copy."""
_STRIDE: Final = 64
_MAX_SIZE: Final = 16 << 10
"""Longer texts are not compared: it would take many milliseconds."""


def create_delta(source: bytes, target: bytes) -> bytes | None:
    """How to make `target` from `source`; None if that would not be shorter than `target`."""
    if not source or max(len(source), len(target)) > _MAX_SIZE:
        return None
    delta = bytearray(_number(len(target)) + b"\n")
    blocks = {source[at : at + _BLOCK]: at for at in range(0, len(source) - _BLOCK + 1, _BLOCK)}
    done = at = 0  # of the target
    while at + _BLOCK <= len(target):
        found = blocks.get(target[at : at + _BLOCK])
        if found is None:
            at += 1
            continue
        back = _common_before(source, found, target, at, at - done)
        size = back + _common(source, found, target, at)
        delta += _literal(target[done : at - back])
        delta += _number(size) + b"@" + _number(found - back) + b","
        at = done = at - back + size
    delta += _literal(target[done:])
    delta += _number(_checksum(target)) + b";"
    return bytes(delta) if len(delta) < len(target) else None


def _common(source: bytes, from_: int, target: bytes, at: int) -> int:
    """How many bytes are the same from here on."""
    size = _BLOCK
    most = min(len(source) - from_, len(target) - at)
    while (
        size + _STRIDE <= most
        and source[from_ + size : from_ + size + _STRIDE] == target[at + size : at + size + _STRIDE]
    ):
        size += _STRIDE
    while size < most and source[from_ + size] == target[at + size]:
        size += 1
    return size


def _common_before(source: bytes, from_: int, target: bytes, at: int, most: int) -> int:
    """How many bytes before here are the same; at most so many."""
    size = 0
    most = min(most, from_)
    while size < most and source[from_ - size - 1] == target[at - size - 1]:
        size += 1
    return size


def _literal(data: bytes) -> bytes:
    return _number(len(data)) + b":" + data if data else b""


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        digits.append(_DIGITS[value & 63])
        value >>= 6
        if not value:
            return bytes(digits[::-1])


def _checksum(data: bytes) -> int:
    """The sum of its big-endian 32-bit words, the last one filled up with zeros."""
    words = -(-len(data) // 4)
    total: int = sum(struct.unpack(f">{words}I", data.ljust(4 * words, b"\0")))
    return total & 0xFFFFFFFF

"""Program tables: which streams a transport stream carries (ISO/IEC 13818-1 section 2.4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["PMT_PID", "crc32", "program_association", "program_map"]

PMT_PID: Final = 0x1000
_PROGRAM: Final = 1
_POLYNOMIAL: Final = 0x04C11DB7


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_CRC: Final = _crc_table()


def crc32(data: bytes) -> int:
    """The checksum of sections (annex A): not the reflected one of zlib."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value << 8 & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value


def program_association() -> bytes:
    """The section that says where the one program's map is."""
    return _section(
        0, _PROGRAM, _PROGRAM.to_bytes(2, "big") + (0xE000 | PMT_PID).to_bytes(2, "big")
    )


def program_map(streams: Sequence[tuple[int, int, bytes]], pcr_pid: int) -> bytes:
    """The section that lists the streams.

    Args:
        streams: stream_type, PID and descriptors of each.
        pcr_pid: which of them carries the program's clock.
    """
    body = (0xE000 | pcr_pid).to_bytes(2, "big") + b"\xf0\x00"  # no program descriptors
    for stream_type, pid, descriptors in streams:
        body += bytes((stream_type,)) + (0xE000 | pid).to_bytes(2, "big")
        body += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    return _section(2, _PROGRAM, body)


def _section(table: int, extension: int, body: bytes) -> bytes:
    """Table id, length, extension, version 0 (current), section 0 of 0, body, checksum."""
    head = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2, "big")
    section = head + extension.to_bytes(2, "big") + b"\xc1\x00\x00" + body
    return section + crc32(section).to_bytes(4, "big")
